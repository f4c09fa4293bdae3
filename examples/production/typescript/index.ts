import * as pulumi from "@pulumi/pulumi";
import * as clickhouse from "pulumi-clickhouse-kubernetes";

const config = new pulumi.Config();
const storageClass = config.get("storageClass") ?? "standard";

const db = new clickhouse.kubernetes.Cluster("db", {
    shards: config.getNumber("shards") ?? 3,
    replicas: 2,
    resources: {
        requests: { cpu: "2", memory: "8Gi" },
        limits: { cpu: "4", memory: "16Gi" },
    },
    storage: {
        size: config.get("storageSize") ?? "100Gi",
        storageClass,
        reclaimPolicy: "Retain",
    },
    coordination: {
        keeper: { replicas: 3, storage: { size: "20Gi", storageClass } },
    },
    ingress: {
        type: "LoadBalancer",
        sourceRanges: ["203.0.113.0/24"],
    },
    logging: { level: "warning" },
    labels: { environment: "production" },
});

export const address = db.external.apply(external => external?.address);
export const url = db.external.apply(external => external?.endpoints?.http?.url);
export const hostname = db.internalHostname;
export const shardServices = db.shardServices;
export const keeper = db.keeper.apply(keeper => keeper?.endpoints);
export const jdbcUrl = db.connection.jdbcUrl;
