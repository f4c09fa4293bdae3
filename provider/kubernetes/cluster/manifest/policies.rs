//! The NetworkPolicies of the hosts and of the Keeper's members: what is not let in by them stays outside.

use serde_json::{Value, json};

use super::super::aspects::{BACKUP_OF, COORDINATION_PORT, SECURE_PORT};
use super::super::names;
use super::{Source, metadata, object, of_hosts};
use crate::kubernetes::meta::Kind;

/// By which labels the operator's pods are known: of its manifests, and of its chart.
const OPERATORS: [(&str, &str); 2] =
    [("app", "clickhouse-operator"), ("app.kubernetes.io/name", "altinity-clickhouse-operator")];

pub(in crate::kubernetes::cluster) fn host_policy(source: &mut Source<'_>) -> Value {
    let cluster = source.cluster;
    let clients = ports(cluster.tls.ports().each().map(|(_, port)| port));
    let own = of_hosts(cluster);
    let mut ingress = vec![
        json!({"from": cluster.network_policy.peers(), "ports": clients}),
        json!({"from": [{"podSelector": own}]}),
        json!({"from": operators(), "ports": clients}),
    ];
    // Prometheus may be anywhere in the Kubernetes cluster.
    let metrics = cluster.monitoring.metrics.as_ref().map(|metrics| ports([metrics.port]));
    ingress.extend(metrics.map(|ports| json!({"from": [{"namespaceSelector": {}}], "ports": ports})));
    if cluster.backup.plan.is_some() {
        let jobs = json!({"matchLabels": {(BACKUP_OF): cluster.naming.name}});
        ingress.push(json!({"from": [{"podSelector": jobs}], "ports": clients}));
    }
    policy(source, &cluster.naming.name, &own, &ingress)
}

pub(in crate::kubernetes::cluster) fn keeper_policy(source: &mut Source<'_>) -> Value {
    let name = &source.cluster.naming.name;
    let own = json!({"matchLabels": {
        "clickhouse-keeper.altinity.com/app": "chop",
        "clickhouse-keeper.altinity.com/chk": name,
    }});
    // While hosts go from the one port to the other, both are used.
    let secure = source.cluster.tls.is_to_keeper().then_some(SECURE_PORT);
    let clients = ports(std::iter::once(COORDINATION_PORT).chain(secure));
    let ingress = [
        json!({"from": [{"podSelector": of_hosts(source.cluster)}], "ports": clients}),
        json!({"from": [{"podSelector": own}]}),
        json!({"from": operators(), "ports": clients}),
    ];
    policy(source, &names::keeper_policy(name), &own, &ingress)
}

fn policy(source: &Source<'_>, name: &str, pods: &Value, ingress: &[Value]) -> Value {
    let spec = json!({"podSelector": pods, "policyTypes": ["Ingress"], "ingress": ingress});
    object(Kind::NetworkPolicy, metadata(source.cluster, name, Some(source.urn)), spec)
}

/// The operator's pods, wherever they are.
fn operators() -> Value {
    let each = OPERATORS.iter().map(
        |(label, value)| json!({"namespaceSelector": {}, "podSelector": {"matchLabels": {*label: value}}}),
    );
    each.collect()
}

fn ports(numbers: impl IntoIterator<Item = u16>) -> Value {
    numbers.into_iter().map(|port| json!({"protocol": "TCP", "port": port})).collect()
}
