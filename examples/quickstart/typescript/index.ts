import * as pulumi from "@pulumi/pulumi";
import * as clickhouse from "pulumi-clickhouse-kubernetes";

const config = new pulumi.Config();

const db = new clickhouse.kubernetes.Cluster("db", {
    shards: config.getNumber("shards") ?? 1,
});

export const hostname = db.internalHostname;
export const url = db.endpoints.http.url;
export const username = db.username;
export const password = db.password;
export const connect = db.portForwardCommand;
