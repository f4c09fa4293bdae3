import * as pulumi from "@pulumi/pulumi";
import * as clickhouse from "pulumi-clickhouse-kubernetes";

const config = new pulumi.Config();
const storageClass = config.get("storageClass") ?? "standard";

const db = new clickhouse.kubernetes.Cluster("db", {
    version: "26.3.33.24",
    shards: config.getNumber("shards") ?? 3,
    replicas: 2,
    // The zones of the Kubernetes cluster's nodes.
    pod: { zones: ["zone-a", "zone-b", "zone-c"], restricted: true },
    // A Secret of type kubernetes.io/tls in the namespace.
    tls: { secretName: config.get("certificate") ?? "clickhouse-tls", insecurePorts: false },
    users: {
        // The password is in a Secret of the namespace.
        app: {
            passwordSecret: { name: "app-credentials", key: "password" },
            grants: ["GRANT SELECT, INSERT ON app.*"],
        },
    },
    backup: {
        schedule: "0 2 * * *",
        retention: { remote: 14 },
        s3: {
            bucket: config.get("bucket") ?? "clickhouse-backups",
            region: "eu-central-1",
            // A Secret in the namespace with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
            credentials: { secretName: config.get("bucketCredentials") ?? "backup-credentials" },
        },
    },
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
}, {
    // Pulumi refuses to delete the cluster.
    protect: config.getBoolean("protect") ?? true,
});

export const address = db.external.apply(external => external?.address);
export const url = db.external.apply(external => external?.endpoints?.https?.url);
export const hostname = db.internalHostname;
export const shardServices = db.shardServices;
export const keeper = db.keeper.apply(keeper => keeper?.endpoints);
export const jdbcUrl = db.connection.jdbcUrl;
