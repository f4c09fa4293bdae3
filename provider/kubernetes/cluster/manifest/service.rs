//! The Service that is the cluster's address: its own, not the operator's, so that it outlives whatever the operator does.

use serde_json::{Map, Value, json};

use super::super::args::IngressType;
use super::super::validate::ValidatedCluster;
use super::metadata;
use crate::resource::Urn;

const EXTERNAL_DNS: &str = "external-dns.alpha.kubernetes.io/hostname";
/// What each cloud reads as "inside the private network only".
const INTERNAL: [(&str, &str); 4] = [
    ("networking.gke.io/load-balancer-type", "Internal"),
    ("service.beta.kubernetes.io/aws-load-balancer-internal", "true"),
    ("service.beta.kubernetes.io/aws-load-balancer-scheme", "internal"),
    ("service.beta.kubernetes.io/azure-load-balancer-internal", "true"),
];

pub(super) fn build(cluster: &ValidatedCluster, urn: &Urn) -> Value {
    let mut metadata = metadata(cluster, &cluster.name, Some(urn));
    let mut spec = Map::new();
    spec.insert("type".into(), json!("ClusterIP"));
    // Only hosts in rotation: the operator takes the label off while it works on a host.
    spec.insert(
        "selector".into(),
        json!({
            "clickhouse.altinity.com/app": "chop",
            "clickhouse.altinity.com/chi": cluster.name,
            "clickhouse.altinity.com/namespace": cluster.namespace,
            "clickhouse.altinity.com/ready": "yes",
        }),
    );
    spec.insert("ports".into(), json!([port("http", 8123), port("tcp", 9000)]));
    if let Some(ingress) = &cluster.ingress {
        let mut annotations = ingress.annotations.clone();
        if let Some(hostname) = &ingress.hostname {
            annotations.entry(EXTERNAL_DNS.into()).or_insert_with(|| hostname.clone());
        }
        if ingress.internal {
            for (key, value) in INTERNAL {
                annotations.entry(key.into()).or_insert_with(|| value.into());
            }
        }
        extend(&mut metadata, "annotations", &annotations);
        extend(&mut metadata, "labels", &ingress.labels);
        match ingress.kind {
            IngressType::LoadBalancer => {
                spec.insert("type".into(), json!("LoadBalancer"));
                if !ingress.source_ranges.is_empty() {
                    spec.insert("loadBalancerSourceRanges".into(), json!(ingress.source_ranges));
                }
                if let Some(class) = &ingress.load_balancer_class {
                    spec.insert("loadBalancerClass".into(), json!(class));
                }
            }
            IngressType::NodePort => {
                spec.insert("type".into(), json!("NodePort"));
            }
        }
        if let Some(policy) = ingress.external_traffic_policy {
            spec.insert("externalTrafficPolicy".into(), json!(policy));
        }
    }
    json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
}

/// A port that leads to the container's port of the same name.
fn port(name: &str, port: u16) -> Value {
    json!({"name": name, "port": port, "targetPort": name, "protocol": "TCP"})
}

fn extend(metadata: &mut Map<String, Value>, field: &str, entries: &std::collections::BTreeMap<String, String>) {
    if let Value::Object(map) = metadata.entry(field).or_insert_with(|| json!({})) {
        map.extend(entries.iter().map(|(key, value)| (key.clone(), json!(value))));
    }
    if metadata.get(field).and_then(Value::as_object).is_some_and(Map::is_empty) {
        metadata.remove(field);
    }
}
