//! What Prometheus and Grafana are given: a PodMonitor or a ServiceMonitor, alerts and a dashboard.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::super::aspects::{Monitor, PORT_NAME};
use super::super::names;
use super::{Source, metadata, object, of_hosts};
use crate::kubernetes::meta::Kind;

/// The alerts: name, severity, for how long it has to hold, the condition with `{}` for the cluster's hosts,
/// and what it means.
const ALERTS: [(&str, &str, &str, &str, &str); 6] = [
    ("ClickHouseHostDown", "critical", "5m", "up{} == 0", "A ClickHouse host can't be reached."),
    (
        "ClickHouseReadonlyReplica",
        "critical",
        "5m",
        "ClickHouseMetrics_ReadonlyReplica{} > 0",
        "Replicated tables are read-only: their replicas have lost the Keeper.",
    ),
    (
        "ClickHouseReplicationLate",
        "warning",
        "10m",
        "ClickHouseAsyncMetrics_ReplicasMaxAbsoluteDelay{} > 300",
        "A replica is more than five minutes behind.",
    ),
    (
        "ClickHouseTooManyParts",
        "warning",
        "15m",
        "ClickHouseAsyncMetrics_MaxPartCountForPartition{} > 1000",
        "A partition has so many parts that inserts will be slowed down: insert larger batches.",
    ),
    (
        "ClickHouseDiskNearlyFull",
        "warning",
        "15m",
        "ClickHouseAsyncMetrics_DiskAvailable_default{} / ClickHouseAsyncMetrics_DiskTotal_default{} < 0.1",
        "Less than a tenth of the data volume is free.",
    ),
    (
        "ClickHouseKeeperUnreachable",
        "warning",
        "10m",
        "increase(ClickHouseProfileEvents_ZooKeeperHardwareExceptions{}[5m]) > 0",
        "Connections to the Keeper break.",
    ),
];

/// The panels: title, unit, and what is drawn, with `{}` for the cluster's hosts.
const PANELS: [(&str, &str, &str); 8] = [
    ("Queries", "reqps", "rate(ClickHouseProfileEvents_Query{}[5m])"),
    ("Failed queries", "reqps", "rate(ClickHouseProfileEvents_FailedQuery{}[5m])"),
    ("Inserted rows", "rowsps", "rate(ClickHouseProfileEvents_InsertedRows{}[5m])"),
    ("Running queries", "short", "ClickHouseMetrics_Query{}"),
    ("Memory", "bytes", "ClickHouseMetrics_MemoryTracking{}"),
    ("Most parts of a partition", "short", "ClickHouseAsyncMetrics_MaxPartCountForPartition{}"),
    ("Replication delay", "s", "ClickHouseAsyncMetrics_ReplicasMaxAbsoluteDelay{}"),
    ("Free disk space", "bytes", "ClickHouseAsyncMetrics_DiskAvailable_default{}"),
];

pub(in crate::kubernetes::cluster) fn pod_monitor(source: &mut Source<'_>) -> Value {
    let Some(monitor) = &source.cluster.monitoring.pod_monitor else { return Value::Null };
    let spec = json!({
        "selector": of_hosts(source.cluster),
        "podTargetLabels": target_labels(),
        "podMetricsEndpoints": [endpoint(source, monitor)],
    });
    object(Kind::PodMonitor, labelled(source, &source.cluster.naming.name, &monitor.labels), spec)
}

pub(in crate::kubernetes::cluster) fn service_monitor(source: &mut Source<'_>) -> Value {
    let Some(monitor) = &source.cluster.monitoring.service_monitor else { return Value::Null };
    let name = &source.cluster.naming.name;
    let spec = json!({
        "selector": {"matchLabels": of_metrics(name)},
        "podTargetLabels": target_labels(),
        "endpoints": [endpoint(source, monitor)],
    });
    object(Kind::ServiceMonitor, labelled(source, name, &monitor.labels), spec)
}

/// The Service by which a ServiceMonitor finds the hosts, also those that are not ready. It is not the
/// cluster's address: that may be reached from outside.
pub(in crate::kubernetes::cluster) fn metrics_service(source: &mut Source<'_>) -> Value {
    let name = &source.cluster.naming.name;
    let port = source.cluster.monitoring.metrics.as_ref().map(|metrics| metrics.port);
    let spec = json!({
        "clusterIP": "None",
        "publishNotReadyAddresses": true,
        "selector": of_hosts(source.cluster)["matchLabels"],
        "ports": [{"name": PORT_NAME, "port": port, "protocol": "TCP", "targetPort": PORT_NAME}],
    });
    object(Kind::Service, labelled(source, &names::metrics(name), &of_metrics(name)), spec)
}

/// The labels by which the Service of a cluster's metrics is found.
fn of_metrics(name: &str) -> BTreeMap<String, String> {
    let labels = [("app.kubernetes.io/component", "metrics"), ("app.kubernetes.io/instance", name)];
    labels.map(|(label, value)| (label.to_owned(), value.to_owned())).into()
}

/// The labels of pods that their metrics get.
fn target_labels() -> [String; 2] {
    ["shard", "replica"].map(|label| format!("clickhouse.altinity.com/{label}"))
}

/// Where a host's metrics are read, and how often.
fn endpoint(source: &Source<'_>, monitor: &Monitor) -> Value {
    let path = source.cluster.monitoring.metrics.as_ref().map(|metrics| &metrics.path);
    let mut endpoint = json!({"port": PORT_NAME, "path": path});
    if let Some(interval) = &monitor.interval {
        endpoint["interval"] = json!(interval);
    }
    endpoint
}

pub(in crate::kubernetes::cluster) fn rules(source: &mut Source<'_>) -> Value {
    let Some(labels) = &source.cluster.monitoring.rules else { return Value::Null };
    let rules: Vec<_> = ALERTS
        .iter()
        .map(|(alert, severity, time, condition, summary)| {
            json!({"alert": alert, "expr": about_hosts(source, condition), "for": time,
                "labels": {"severity": severity},
                "annotations": {"summary": summary, "description": "{{ $labels.pod }}: {{ $value }}"}})
        })
        .collect();
    let name = &source.cluster.naming.name;
    let spec = json!({"groups": [{"name": format!("clickhouse-{name}"), "rules": rules}]});
    object(Kind::PrometheusRule, labelled(source, name, labels), spec)
}

pub(in crate::kubernetes::cluster) fn dashboard(source: &mut Source<'_>) -> Value {
    const DATASOURCE: &str = "${datasource}";
    let Some(labels) = &source.cluster.monitoring.dashboard else { return Value::Null };
    let (name, namespace) = (&source.cluster.naming.name, &source.cluster.naming.namespace);
    let panels: Vec<_> = (0u32..)
        .zip(PANELS)
        .map(|(index, (title, unit, drawn))| {
            json!({
                "id": index + 1,
                "title": title,
                "type": "timeseries",
                "gridPos": {"h": 8, "w": 12, "x": index % 2 * 12, "y": index / 2 * 8},
                "datasource": {"type": "prometheus", "uid": DATASOURCE},
                "fieldConfig": {"defaults": {"unit": unit}, "overrides": []},
                "targets": [{"refId": "A", "expr": about_hosts(source, drawn), "legendFormat": "{{pod}}"}],
            })
        })
        .collect();
    let board = json!({
        "uid": format!("clickhouse-{name}").chars().take(40).collect::<String>(),
        "title": format!("ClickHouse {namespace}/{name}"),
        "tags": ["clickhouse"],
        "schemaVersion": 39,
        "time": {"from": "now-6h", "to": "now"},
        "refresh": "30s",
        "templating": {"list": [{"name": "datasource", "type": "datasource", "query": "prometheus"}]},
        "panels": panels,
    });
    let mut found = BTreeMap::from([("grafana_dashboard".to_owned(), "1".to_owned())]);
    found.extend(labels.clone());
    let metadata = labelled(source, &names::dashboard(name), &found);
    let data = json!({format!("{name}.json"): board.to_string()});
    json!({"apiVersion": Kind::ConfigMap.api_version(), "kind": Kind::ConfigMap.name(), "metadata": metadata,
        "data": data})
}

/// A condition for the hosts of this cluster alone.
fn about_hosts(source: &Source<'_>, condition: &str) -> String {
    let naming = &source.cluster.naming;
    let hosts = format!(r#"{{namespace="{}",pod=~"chi-{}-.*"}}"#, naming.namespace, naming.name);
    condition.replace("{}", &hosts)
}

/// The metadata of an object with labels by which it is found.
fn labelled(source: &Source<'_>, name: &str, labels: &BTreeMap<String, String>) -> Map<String, Value> {
    let mut metadata = metadata(source.cluster, name, Some(source.urn));
    if let Some(Value::Object(all)) = metadata.get_mut("labels") {
        all.extend(labels.iter().map(|(key, value)| (key.clone(), json!(value))));
    }
    metadata
}
