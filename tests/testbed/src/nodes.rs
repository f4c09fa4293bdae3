//! The simulated nodes.

use k8s_openapi::api::core::v1::Node;
use kube::runtime::wait::Condition;
use serde_json::json;

/// A node with room for everything.
pub fn node(name: &str, zone: &str) -> serde_json::Value {
    let room = json!({"cpu": "1000", "memory": "4Ti", "pods": "10000"});
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "topology.kubernetes.io/region": "testbed",
                "topology.kubernetes.io/zone": format!("zone-{zone}"),
            },
        },
        "status": {"allocatable": room, "capacity": room},
    })
}

/// Whether a node takes pods.
pub fn is_ready() -> impl Condition<Node> {
    |node: Option<&Node>| {
        let conditions =
            node.and_then(|node| node.status.as_ref()).and_then(|status| status.conditions.as_ref());
        conditions.is_some_and(|conditions| {
            conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
        })
    }
}
