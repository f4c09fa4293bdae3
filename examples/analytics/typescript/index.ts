import * as pulumi from "@pulumi/pulumi";
import * as clickhouse from "pulumi-clickhouse-kubernetes";

const config = new pulumi.Config();

const db = new clickhouse.kubernetes.Cluster("db", {
    version: "26.3.33.24",
    shards: config.getNumber("shards") ?? 3,
    replicas: 2,
    pod: {
        // The zones of the Kubernetes cluster's nodes.
        zones: ["zone-a", "zone-b", "zone-c"],
        restricted: true,
    },
    tls: {
        // A Secret of type kubernetes.io/tls in the namespace. With cert-manager an issuer can make it instead:
        // issuerRef: { name: "internal-ca", kind: "ClusterIssuer" }
        secretName: config.get("certificate") ?? "clickhouse-tls",
        insecurePorts: false,
    },
    // For the Prometheus operator, which selects by labels, and for Grafana.
    monitoring: {
        podMonitor: { labels: { release: "prometheus" } },
        rules: { labels: { release: "prometheus" } },
        dashboard: {},
    },
    profiles: {
        dashboards: {
            settings: { max_execution_time: 30, max_memory_usage: "4000000000" },
            constraints: { max_execution_time: { max: 60 } },
            inherits: "readonly",
        },
    },
    quotas: {
        dashboards: { intervals: [{ seconds: 3600, queries: 10000, errors: 1000 }] },
    },
    roles: {
        reader: { grants: ["GRANT SELECT ON analytics.*"] },
        writer: { grants: ["GRANT SELECT, INSERT ON analytics.*"] },
    },
    users: {
        // The SHA-256 of a password: echo -n "the password" | sha256sum
        dashboards: {
            passwordSha256: config.require("dashboardsPassword"),
            roles: ["reader"],
            profile: "dashboards",
            quota: "dashboards",
        },
        loader: {
            passwordSha256: config.require("loaderPassword"),
            roles: ["writer"],
        },
    },
    settings: { max_concurrent_queries: 200 },
});

export const url = db.endpoints.apply(endpoints => endpoints.https?.url);
export const hosts = db.hosts;
export const password = db.password;
