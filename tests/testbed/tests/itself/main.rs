//! The testbed keeps its promises: what the tests in `tests/e2e` stand on.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails is a test that fails")]
#![allow(
    clippy::disallowed_methods,
    reason = "these tests play the user of a cluster: the provider's rule for its own writes does not bind \
        them"
)]

mod engines;
mod faults;
mod promises;

use anyhow::Result;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use testbed::Namespace;
use testbed::watching::wait_for_status;

/// A ClickHouseInstallation as the provider means it.
fn installation(shards: u32, replicas: u32, task: &str) -> Value {
    json!({
        "taskID": task,
        "defaults": {
            "storageManagement": {"provisioner": "Operator", "reclaimPolicy": "Retain"},
            "templates": {"podTemplate": "pod", "dataVolumeClaimTemplate": "data",
                "shardServiceTemplate": "shard"},
        },
        "configuration": {
            "users": {"default/password_sha256_hex": "ab".repeat(32), "default/networks/ip": ["10.0.0.0/8"]},
            "clusters": [{"name": "c", "layout": {"shardsCount": shards, "replicasCount": replicas},
                "secret": {"auto": "true"}}],
        },
        "templates": {
            "podTemplates": [{"name": "pod", "spec": {"containers": [{"name": "clickhouse",
                "image": "clickhouse/clickhouse-server:25.8"}]}}],
            "volumeClaimTemplates": [{
                "name": "data",
                "reclaimPolicy": "Retain",
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "5Gi"}}},
            }],
            "serviceTemplates": [{"name": "shard", "spec": {"ports": [{"name": "http", "port": 8123}],
                "type": "ClusterIP"}}],
        },
    })
}

async fn create(
    api: &Api<DynamicObject>,
    kind: (&str, &str),
    name: &str,
    spec: Value,
) -> Result<DynamicObject> {
    let manifest = json!({"apiVersion": kind.0, "kind": kind.1, "metadata": {"name": name}, "spec": spec});
    let object = serde_json::from_value(manifest)?;
    Ok(api
        .create(&PostParams { field_manager: Some("test".to_owned()), ..PostParams::default() }, &object)
        .await?)
}

const INSTALLATION: (&str, &str) = ("clickhouse.altinity.com/v1", "ClickHouseInstallation");
const KEEPER: (&str, &str) = ("clickhouse-keeper.altinity.com/v1", "ClickHouseKeeperInstallation");

async fn change(api: &Api<DynamicObject>, name: &str, spec: Value) -> Result<()> {
    api.patch(name, &PatchParams::default(), &Patch::Merge(json!({"spec": spec}))).await?;
    Ok(())
}

/// Waits until the task is completed in the way that the real operator shows it.
async fn completed(namespace: &Namespace, name: &str, task: &str) -> Result<Value> {
    let done = |status: &Value| {
        status["status"] == "Completed" && status["taskID"] == task && status["taskIDsCompleted"][0] == task
    };
    wait_for_status(&namespace.installations(), name, &format!("Completed with the task `{task}`"), done)
        .await
}

/// Whether a pod is there and ready.
fn is_ready(pod: Option<&Pod>) -> bool {
    let conditions = pod.and_then(|pod| pod.status.as_ref()).and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|conditions| {
        conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
    })
}
