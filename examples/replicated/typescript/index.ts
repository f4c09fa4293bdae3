import * as clickhouse from "pulumi-clickhouse-kubernetes";

const db = new clickhouse.kubernetes.Cluster("db", {
    shards: 3,
    replicas: 2,
});

export const url = db.endpoints.http.url;
