import pulumi
import pulumi_clickhouse_kubernetes as clickhouse

config = pulumi.Config()
storage_class = config.get("storageClass") or "standard"

db = clickhouse.kubernetes.Cluster(
    "db",
    shards=config.get_int("shards") or 3,
    replicas=2,
    resources={
        "requests": {"cpu": "2", "memory": "8Gi"},
        "limits": {"cpu": "4", "memory": "16Gi"},
    },
    storage={
        "size": config.get("storageSize") or "100Gi",
        "storage_class": storage_class,
        "reclaim_policy": clickhouse.kubernetes.ClusterReclaimPolicy.RETAIN,
    },
    coordination={
        "keeper": {"replicas": 3, "storage": {"size": "20Gi", "storage_class": storage_class}},
    },
    ingress={
        "type": clickhouse.kubernetes.ClusterIngressType.LOAD_BALANCER,
        "source_ranges": ["203.0.113.0/24"],
    },
    logging={"level": clickhouse.kubernetes.ClusterLogLevel.WARNING},
    labels={"environment": "production"},
)

pulumi.export("address", db.external.apply(lambda external: external.address if external else None))
pulumi.export(
    "url",
    db.external.apply(
        lambda external: external.endpoints.http.url if external and external.endpoints and external.endpoints.http else None
    ),
)
pulumi.export("hostname", db.internal_hostname)
pulumi.export("shardServices", db.shard_services)
pulumi.export("keeper", db.keeper.apply(lambda keeper: keeper.endpoints if keeper else None))
pulumi.export("jdbcUrl", db.connection.jdbc_url)
