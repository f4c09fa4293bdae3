import * as pulumi from "@pulumi/pulumi";
import * as clickhouse from "pulumi-clickhouse-kubernetes";

const config = new pulumi.Config();

const db = new clickhouse.kubernetes.Cluster("db", {
    shards: config.getNumber("shards") ?? 2,
    backup: {
        schedule: "0 2 * * *",
        timeZone: "Europe/Berlin",
        retention: { local: 1, remote: 14 },
        s3: {
            bucket: config.get("bucket") ?? "clickhouse-backups",
            path: "analytics",
            region: "eu-central-1",
            // A Secret in the namespace with the keys AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. Without it the
            // pods' identity is used: pod: { serviceAccountName: … }
            credentials: { secretName: config.get("credentials") ?? "backup-credentials" },
        },
    },
});

export const url = db.endpoints.http.url;
