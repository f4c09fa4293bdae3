//! The installation as it was when its last task completed: what the operator compares a new spec with.
//! For a ClickHouseInstallation it is in a ConfigMap, for a ClickHouseKeeperInstallation in the status.

use anyhow::Result;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::ancestor_metadata;
use super::cluster::Cluster;
use super::installation::{Installation, Kind};

const KEY: &str = "status-normalizedCompleted";

/// The spec that was completed last.
pub(super) async fn load(
    cluster: &Cluster,
    installation: &Installation,
    object: &DynamicObject,
) -> Result<Option<Value>> {
    if installation.kind == Kind::Keeper {
        return Ok(object.data.pointer("/status/normalizedCompleted/spec").cloned());
    }
    let stored = cluster.api::<ConfigMap>().get_opt(&name(installation)).await?;
    let text = stored.and_then(|stored| stored.data?.remove(KEY));
    let whole: Option<Value> = text.and_then(|text| serde_json::from_str(&text).ok());
    Ok(whole.and_then(|mut whole| whole.get_mut("spec").map(Value::take)))
}

/// Records the installation as completed. A Keeper's goes with its status.
pub(super) async fn store(cluster: &Cluster, installation: &Installation) -> Result<()> {
    if installation.kind == Kind::Keeper {
        return Ok(());
    }
    let mut labels = installation.scope();
    labels.insert(installation.label("ConfigMap"), json!("ChiStorage"));
    let stored = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name(installation), "namespace": installation.namespace, "labels": labels,
            "ownerReferences": installation.owner()},
        "data": {KEY: ancestor_metadata(installation).to_string()},
    });
    cluster.apply(&stored).await.map(drop)
}

fn name(installation: &Installation) -> String {
    format!("chi-storage-{}", installation.name)
}
