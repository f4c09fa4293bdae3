import * as pulumi from "@pulumi/pulumi";
import * as clickhouse from "pulumi-clickhouse-kubernetes";

const config = new pulumi.Config();

const db = clickhouse.kubernetes.getClusterOutput({
    name: config.require("cluster"),
    namespace: config.get("namespace") ?? "default",
});

export const url = db.connection.httpUrl;
export const phase = pulumi.unsecret(db.phase);
export const hostsReady = pulumi.unsecret(db.hostsReady);
