import * as pulumi from "@pulumi/pulumi";
import * as clickhouse from "pulumi-clickhouse-kubernetes";

const config = new pulumi.Config();
const storageClass = config.get("storageClass") ?? "standard";

const db = new clickhouse.kubernetes.Cluster("db", {
    shards: config.getNumber("shards") ?? 1,
    storage: {
        size: "50Gi",
        storageClass,
        disks: [
            { name: "fast1", size: "200Gi", storageClass },
            { name: "fast2", size: "200Gi", storageClass },
        ],
        s3Disks: [{
            name: "cold",
            // {shard} and {replica} keep the hosts' files apart.
            endpoint: config.get("bucket") ?? "https://analytics.s3.eu-central-1.amazonaws.com/db/{shard}-{replica}/",
            // A Secret in the namespace with the keys AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
            credentials: { secretName: config.get("credentials") ?? "bucket-credentials" },
            cacheSize: "20Gi",
        }],
        policies: {
            // CREATE TABLE … TTL day + INTERVAL 30 DAY TO VOLUME 'cold' SETTINGS storage_policy = 'tiered'
            tiered: {
                volumes: [
                    { name: "fast", disks: ["fast1", "fast2"] },
                    { name: "cold", disks: ["cold"], preferNotToMerge: true },
                ],
                moveFactor: 0.2,
            },
        },
    },
});

export const url = db.endpoints.http.url;
export const storageSize = db.storageSize;
