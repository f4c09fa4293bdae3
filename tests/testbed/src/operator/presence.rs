//! The operator's Deployment, by which others find it and its version. Its pod is played like any other.

use anyhow::Result;
use k8s_openapi::api::apps::v1::Deployment;
use kube::Client;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::json;

use super::OPERATOR_VERSION;

const NAME: &str = "clickhouse-operator";
const NAMESPACE: &str = "kube-system";

/// Makes the Deployment, in `kube-system`, where an operator watches all namespaces.
pub async fn install(client: &Client) -> Result<()> {
    let labels = json!({"app": NAME});
    let deployment = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": NAME,
            "namespace": NAMESPACE,
            "labels": {"app": NAME, "clickhouse.altinity.com/chop": OPERATOR_VERSION},
            "annotations": {"testbed/stand-in": "this pod is empty: the testbed plays the operator"},
        },
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": NAME,
                    "image": format!("altinity/clickhouse-operator:{OPERATOR_VERSION}")}]},
            },
        },
    });
    Api::<Deployment>::namespaced(client.clone(), NAMESPACE)
        .patch(NAME, &PatchParams::apply("testbed"), &Patch::Apply(&deployment))
        .await?;
    Ok(())
}

/// Removes it.
pub async fn uninstall(client: &Client) -> Result<()> {
    Api::<Deployment>::namespaced(client.clone(), NAMESPACE).delete(NAME, &DeleteParams::default()).await?;
    Ok(())
}
