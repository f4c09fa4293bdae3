import pulumi
import pulumi_clickhouse_kubernetes as clickhouse

config = pulumi.Config()
storage_class = config.get("storageClass") or "standard"

db = clickhouse.kubernetes.Cluster(
    "db",
    version="26.3.33.24",
    shards=config.get_int("shards") or 3,
    replicas=2,
    # The zones of the Kubernetes cluster's nodes.
    pod={"zones": ["zone-a", "zone-b", "zone-c"], "restricted": True},
    # A Secret of type kubernetes.io/tls in the namespace.
    tls={"secret_name": config.get("certificate") or "clickhouse-tls", "insecure_ports": False},
    users={
        # The password is in a Secret of the namespace.
        "app": {
            "password_secret": {"name": "app-credentials", "key": "password"},
            "grants": ["GRANT SELECT, INSERT ON app.*"],
        },
    },
    backup={
        "schedule": "0 2 * * *",
        "retention": {"remote": 14},
        "s3": {
            "bucket": config.get("bucket") or "clickhouse-backups",
            "region": "eu-central-1",
            # A Secret in the namespace with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
            "credentials": {"secret_name": config.get("bucketCredentials") or "backup-credentials"},
        },
    },
    resources={
        "requests": {"cpu": "2", "memory": "8Gi"},
        "limits": {"cpu": "4", "memory": "16Gi"},
    },
    storage={
        "size": config.get("storageSize") or "100Gi",
        "storage_class": storage_class,
        "reclaim_policy": "Retain",
    },
    coordination={
        "keeper": {"replicas": 3, "storage": {"size": "20Gi", "storage_class": storage_class}},
    },
    ingress={
        "type": "LoadBalancer",
        "source_ranges": ["203.0.113.0/24"],
    },
    logging={"level": "warning"},
    labels={"environment": "production"},
    # Pulumi refuses to delete the cluster.
    opts=pulumi.ResourceOptions(protect=config.get_bool("protect") is not False),
)

pulumi.export("address", db.external.apply(lambda external: external.address if external else None))
pulumi.export(
    "url",
    db.external.apply(
        lambda external: external.endpoints.https.url if external and external.endpoints and external.endpoints.https else None
    ),
)
pulumi.export("hostname", db.internal_hostname)
pulumi.export("shardServices", db.shard_services)
pulumi.export("keeper", db.keeper.apply(lambda keeper: keeper.endpoints if keeper else None))
pulumi.export("jdbcUrl", db.connection.jdbc_url)
