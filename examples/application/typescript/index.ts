import * as pulumi from "@pulumi/pulumi";
import * as clickhouse from "pulumi-clickhouse-kubernetes";

const config = new pulumi.Config();

// The Kubernetes cluster of another stack, or of a kubeconfig in this one's configuration.
const infrastructure = config.get("infrastructure");
const kubeconfig = infrastructure
    ? new pulumi.StackReference(infrastructure).requireOutput("kubeconfig")
    : config.requireSecret("kubeconfig");

const provider = new clickhouse.Provider("kubernetes", { kubeconfig });

const db = new clickhouse.kubernetes.Cluster("db", {
    namespace: config.get("namespace") ?? "default",
    shards: config.getNumber("shards") ?? 1,
}, { provider });

// A Deployment takes login and addresses from the Secret, see ../deployment.yaml.
export const credentialsSecret = db.credentialsSecret.name;
export const url = db.endpoints.http.url;
