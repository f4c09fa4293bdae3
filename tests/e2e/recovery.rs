//! What failed leaves a way on: the remedy that a message names is accepted.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::ListParams;
use serde_json::{Value, json};

use crate::support::{program_with, program_within, stack};

/// Fails with `wrong`, at the latest after the `time` for it, and goes on with `right`.
async fn is_corrected(wrong: Value, time: &str, right: Value, parts: &[&str]) {
    let (namespace, stack) = stack(&wrong).await;
    stack
        .set_program(&program_with(namespace.name(), &wrong, &json!({"customTimeouts": {"create": time}})))
        .unwrap();
    let failed = stack.up().await.unwrap().failed().unwrap();
    for part in parts {
        assert!(failed.text().contains(part), "`{part}` is not in:\n{}", failed.text());
    }
    stack.set_program(&program_within(namespace.name(), &right, 90)).unwrap();
    stack.preview().await.unwrap().succeeded().unwrap();
    stack.up().await.unwrap().succeeded().unwrap();
    stack.run(&["up", "--yes", "--skip-preview", "--expect-no-changes"]).await.unwrap().succeeded().unwrap();
    let claims = namespace.api::<PersistentVolumeClaim>().list(&ListParams::default()).await.unwrap();
    for claim in &claims.items {
        assert_eq!(
            claim.status.as_ref().and_then(|status| status.phase.as_deref()),
            Some("Bound"),
            "{:?}",
            claim.metadata.name
        );
    }
    stack.destroy().await.unwrap().succeeded().unwrap();
}

#[tokio::test]
async fn a_storage_class_that_does_not_exist_is_corrected() {
    let cluster = |class: &str| json!({"name": "db", "storage": {"size": "1Gi", "storageClass": class}});
    is_corrected(cluster("gp9"), "6s", cluster("standard"), &["gp9", "storage.storageClass"]).await;
}

#[tokio::test]
async fn a_version_that_does_not_exist_is_corrected_in_the_keeper_too() {
    let cluster = |version: &str| json!({"name": "db", "shards": 3, "replicas": 2, "version": version});
    let parts =
        ["`clickhouse/clickhouse-keeper:does-not-exist` can't be pulled", "correct `version`, or give"];
    is_corrected(cluster("does-not-exist"), "10m", cluster("26.3.33.24"), &parts).await;
}

#[tokio::test]
async fn a_keepers_storage_class_that_does_not_exist_is_corrected() {
    let cluster = |class: &str| {
        let keeper = json!({"replicas": 1, "storage": {"size": "1Gi", "storageClass": class}});
        json!({"name": "db", "replicas": 2, "coordination": {"type": "Keeper", "keeper": keeper}})
    };
    let parts = ["gp9", "coordination.keeper.storage.storageClass"];
    is_corrected(cluster("gp9"), "6s", cluster("standard"), &parts).await;
}
