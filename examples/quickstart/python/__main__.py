import pulumi
import pulumi_clickhouse_kubernetes as clickhouse

config = pulumi.Config()

db = clickhouse.kubernetes.Cluster(
    "db",
    shards=config.get_int("shards") or 1,
)

pulumi.export("hostname", db.internal_hostname)
pulumi.export("url", db.endpoints.http.url)
pulumi.export("username", db.username)
pulumi.export("password", db.password)
pulumi.export("connect", db.port_forward_command)
