// ClickHouse clusters on Kubernetes: one resource is a whole cluster, run by the Altinity operator.
package clickhouse
