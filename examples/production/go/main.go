package main

import (
	"example.com/pulumi-clickhouse/sdk/go/clickhouse/kubernetes"
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

	certificate := config.Get(ctx, "certificate")
	if certificate == "" {
		certificate = "clickhouse-tls"
	}
	bucket := config.Get(ctx, "bucket")
	if bucket == "" {
		bucket = "clickhouse-backups"
	}
	credentials := config.Get(ctx, "bucketCredentials")
	if credentials == "" {
		credentials = "backup-credentials"
	}

	db, err := kubernetes.NewCluster(ctx, "db", &kubernetes.ClusterArgs{
		Version:  pulumi.String("26.3.33.24"),
		Shards:   pulumi.Int(shards),
		Replicas: pulumi.Int(2),
		Pod: &kubernetes.ClusterPodArgs{
			// The zones of the Kubernetes cluster's nodes.
			Zones:      pulumi.ToStringArray([]string{"zone-a", "zone-b", "zone-c"}),
			Restricted: pulumi.Bool(true),
		},
		Tls: &kubernetes.ClusterTlsArgs{
			// A Secret of type kubernetes.io/tls in the namespace.
			SecretName:    pulumi.String(certificate),
			InsecurePorts: pulumi.Bool(false),
		},
		Users: kubernetes.ClusterUserMap{
			// The password is in a Secret of the namespace.
			"app": &kubernetes.ClusterUserArgs{
				PasswordSecret: &kubernetes.ClusterSecretKeyArgs{
					Name: pulumi.String("app-credentials"),
					Key:  pulumi.String("password"),
				},
				Grants: pulumi.ToStringArray([]string{"GRANT SELECT, INSERT ON app.*"}),
			},
		},
		Backup: &kubernetes.ClusterBackupArgs{
			Schedule:  pulumi.String("0 2 * * *"),
			Retention: &kubernetes.ClusterBackupRetentionArgs{Remote: pulumi.Int(14)},
			S3: &kubernetes.ClusterBackupS3Args{
				Bucket: pulumi.String(bucket),
				Region: pulumi.String("eu-central-1"),
				// A Secret in the namespace with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
				Credentials: &kubernetes.ClusterS3CredentialsArgs{SecretName: pulumi.String(credentials)},
			},
		},
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
		// Pulumi refuses to delete the cluster.
	}, pulumi.Protect(config.Get(ctx, "protect") != "false"))
	if err != nil {
		return err
	}

	ctx.Export("address", db.External.Address())
	ctx.Export("url", db.External.Endpoints().Https().Url())
	ctx.Export("hostname", db.InternalHostname)
	ctx.Export("shardServices", db.ShardServices)
	ctx.Export("keeper", db.Keeper.Endpoints())
	ctx.Export("jdbcUrl", db.Connection.JdbcUrl())
	return nil
}
