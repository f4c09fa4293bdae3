module clickhouse-production

go 1.25.11

require (
	example.com/pulumi-clickhouse/sdk/go v0.1.0
	github.com/pulumi/pulumi/sdk/v3 v3.255.0
)
