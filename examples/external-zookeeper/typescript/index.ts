import * as pulumi from "@pulumi/pulumi";
import * as clickhouse from "pulumi-clickhouse-kubernetes";

const config = new pulumi.Config();

const db = new clickhouse.kubernetes.Cluster("db", {
    shards: config.getNumber("shards") ?? 1,
    replicas: 2,
    coordination: {
        external: {
            nodes: [0, 1, 2].map(member => ({ host: `zookeeper-${member}.zookeeper.zoo`, port: 2181 })),
            // Each cluster needs a path of its own.
            root: "/clickhouse/db",
            timeouts: { sessionMs: 30000, operationMs: 10000 },
        },
    },
});

export const url = db.endpoints.http.url;
export const hosts = db.hosts;
