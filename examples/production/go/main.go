package main

import (
	"github.com/pulumi-clickhouse-kubernetes/pulumi-clickhouse-kubernetes/sdk/go/clickhouse/kubernetes"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/config"
)

func main() {
	pulumi.Run(program)
}

func program(ctx *pulumi.Context) error {
	shards := config.GetInt(ctx, "shards")
	if shards == 0 {
		shards = 3
	}
	storageSize := config.Get(ctx, "storageSize")
	if storageSize == "" {
		storageSize = "100Gi"
	}
	storageClass := config.Get(ctx, "storageClass")
	if storageClass == "" {
		storageClass = "standard"
	}

	db, err := kubernetes.NewCluster(ctx, "db", &kubernetes.ClusterArgs{
		Shards:   pulumi.Int(shards),
		Replicas: pulumi.Int(2),
		Resources: &kubernetes.ClusterResourcesArgs{
			Requests: &kubernetes.ClusterResourceAmountsArgs{Cpu: pulumi.String("2"), Memory: pulumi.String("8Gi")},
			Limits:   &kubernetes.ClusterResourceAmountsArgs{Cpu: pulumi.String("4"), Memory: pulumi.String("16Gi")},
		},
		Storage: &kubernetes.ClusterStorageArgs{
			Size:          pulumi.String(storageSize),
			StorageClass:  pulumi.String(storageClass),
			ReclaimPolicy: kubernetes.ClusterReclaimPolicyRetain,
		},
		Coordination: &kubernetes.ClusterCoordinationArgs{
			Keeper: &kubernetes.ClusterKeeperArgs{
				Replicas: pulumi.Int(3),
				Storage: &kubernetes.ClusterVolumeArgs{
					Size:         pulumi.String("20Gi"),
					StorageClass: pulumi.String(storageClass),
				},
			},
		},
		Ingress: &kubernetes.ClusterIngressArgs{
			Type:         kubernetes.ClusterIngressTypeLoadBalancer,
			SourceRanges: pulumi.ToStringArray([]string{"203.0.113.0/24"}),
		},
		Logging: &kubernetes.ClusterLoggingArgs{Level: kubernetes.ClusterLogLevelWarning},
		Labels:  pulumi.ToStringMap(map[string]string{"environment": "production"}),
	})
	if err != nil {
		return err
	}

	ctx.Export("address", db.External.Address())
	ctx.Export("url", db.External.Endpoints().Http().Url())
	ctx.Export("hostname", db.InternalHostname)
	ctx.Export("shardServices", db.ShardServices)
	ctx.Export("keeper", db.Keeper.Endpoints())
	ctx.Export("jdbcUrl", db.Connection.JdbcUrl())
	return nil
}
