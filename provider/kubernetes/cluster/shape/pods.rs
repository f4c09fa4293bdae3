//! What a pod's template runs. Pure.

use serde_json::Value;

/// The place of the container that runs ClickHouse, as the operator finds it.
pub(in super::super) fn app(pod: &Value) -> usize {
    let containers = pod["spec"]["containers"].as_array();
    containers
        .and_then(|all| {
            all.iter().position(|one| one["name"] == "clickhouse" || one["name"] == "clickhouse-keeper")
        })
        .unwrap_or(0)
}

/// The image of that container.
pub(in super::super) fn image(pod: &Value) -> &str {
    pod["spec"]["containers"][app(pod)]["image"].as_str().unwrap_or_default()
}
