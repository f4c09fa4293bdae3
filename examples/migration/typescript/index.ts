import * as pulumi from "@pulumi/pulumi";
import * as clickhouse from "pulumi-clickhouse-kubernetes";

const config = new pulumi.Config();

// This is what `pulumi import clickhouse:kubernetes:Cluster db default/analytics` writes of ../installation.yaml:
// what no input says of somebody else's installation is in chiOverrides.
const db = new clickhouse.kubernetes.Cluster("db", {
    name: "analytics",
    namespace: "default",
    clusterName: "main",
    version: "25.8.30.16",
    shards: config.getNumber("shards") ?? 2,
    replicas: 1,
    admin: { username: "default", networks: ["10.0.0.0/8"] },
    storage: { size: "20Gi", provisioner: "StatefulSet", reclaimPolicy: "Retain" },
    chiOverrides: {
        configuration: {
            profiles: { "default/max_memory_usage": "4000000000" },
            users: {
                "default/password_sha256_hex": "65e84be33532fb784c48129675f9eff3a682b27168c0ea744b2cf58ee02337c5",
            },
        },
        defaults: { templates: { dataVolumeClaimTemplate: "data", podTemplate: "server" } },
    },
}, {
    // The first `up` takes the cluster over and changes nothing. Later the option can go.
    import: "default/analytics",
});

export const url = db.endpoints.http.url;
export const hosts = db.hosts;
