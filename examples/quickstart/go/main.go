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
		shards = 1
	}

	db, err := kubernetes.NewCluster(ctx, "db", &kubernetes.ClusterArgs{
		Shards: pulumi.Int(shards),
	})
	if err != nil {
		return err
	}

	ctx.Export("hostname", db.InternalHostname)
	ctx.Export("url", db.Endpoints.Http().Url())
	ctx.Export("username", db.Username)
	ctx.Export("password", db.Password)
	ctx.Export("connect", db.PortForwardCommand)
	return nil
}
