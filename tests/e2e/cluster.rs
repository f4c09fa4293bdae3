//! The cluster's whole life by `pulumi`, in the words of a user.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::Api;
use kube::api::ListParams;
use serde_json::json;

use crate::support::{program, stack};

#[tokio::test]
async fn a_cluster_is_made_found_unchanged_scaled_and_destroyed() {
    let (namespace, stack) = stack(&json!({"name": "db"})).await;
    stack.preview().await.unwrap().succeeded().unwrap();
    assert_eq!(namespace.installations().list(&ListParams::default()).await.unwrap().items.len(), 0);
    let up = stack.up().await.unwrap().succeeded().unwrap();
    assert!(up.text().contains("reading the cluster's status"), "{}", up.text());
    for unchanged in [
        ["up", "--yes", "--skip-preview", "--expect-no-changes"],
        ["refresh", "--yes", "--skip-preview", "--expect-no-changes"],
    ] {
        stack.run(&unchanged).await.unwrap().succeeded().unwrap();
    }
    stack
        .set_program(&program(namespace.name(), &json!({"name": "db", "shards": 2, "replicas": 2})))
        .unwrap();
    let preview = stack.preview().await.unwrap().succeeded().unwrap();
    assert!(preview.text().contains("ClickHouse does not move existing data"), "{}", preview.text());
    let scaled = stack.up().await.unwrap().succeeded().unwrap();
    // What was read at once has been said by something newer before it is shown.
    assert!(scaled.text().contains("Keeper") && scaled.text().contains("/4 ready"), "{}", scaled.text());
    let sets: Api<StatefulSet> = namespace.api();
    assert_eq!(sets.list(&ListParams::default()).await.unwrap().items.len(), 7, "4 hosts and 3 Keepers");
    stack.destroy().await.unwrap().succeeded().unwrap();
    assert_eq!(sets.list(&ListParams::default()).await.unwrap().items.len(), 0);
    let claims: Api<PersistentVolumeClaim> = namespace.api();
    assert_eq!(
        claims.list(&ListParams::default()).await.unwrap().items.len(),
        7,
        "`Retain` keeps every volume"
    );
}
