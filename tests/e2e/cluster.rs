//! The cluster's whole life by `pulumi`, in the words of a user.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
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

#[tokio::test]
async fn a_host_that_differs_has_its_own_volume_and_pod_and_changes_alone() {
    let layout = |memory: &str| {
        let own = json!({"name": "big", "storage": {"size": "2Gi"}, "pod": {"labels": {"size": "big"}},
            "resources": {"limits": {"memory": memory}}});
        json!({"name": "db", "storage": {"size": "1Gi"}, "layout": {"shards": [{"hosts": [{}, own]}]}})
    };
    let (namespace, stack) = stack(&layout("6Gi")).await;
    stack.up().await.unwrap().succeeded().unwrap();
    for unchanged in [
        ["up", "--yes", "--skip-preview", "--expect-no-changes"],
        ["refresh", "--yes", "--skip-preview", "--expect-no-changes"],
    ] {
        stack.run(&unchanged).await.unwrap().succeeded().unwrap();
    }
    let claims: Api<PersistentVolumeClaim> = namespace.api();
    for (name, size) in [("data-chi-db-cluster-0-0-0", "1Gi"), ("host-data-big-chi-db-cluster-big-0", "2Gi")]
    {
        let claim = serde_json::to_value(claims.get(name).await.unwrap()).unwrap();
        assert_eq!(claim["spec"]["resources"]["requests"]["storage"], size, "{name}");
    }
    let pods: Api<Pod> = namespace.api();
    let uids = async || {
        let (plain, own) = (pods.get("chi-db-cluster-0-0-0").await, pods.get("chi-db-cluster-big-0").await);
        [plain.unwrap().uid(), own.unwrap().uid()]
    };
    assert_eq!(pods.get("chi-db-cluster-big-0").await.unwrap().labels()["size"], "big");
    let before = uids().await;
    stack.set_program(&program(namespace.name(), &layout("7Gi"))).unwrap();
    let preview = stack.preview().await.unwrap().succeeded().unwrap();
    assert!(preview.text().contains("restarts 1 of 2 hosts"), "{}", preview.text());
    stack.up().await.unwrap().succeeded().unwrap();
    let after = uids().await;
    assert!(before[0] == after[0] && before[1] != after[1], "{before:?} {after:?}");
    let plain = json!({"name": "db", "storage": {"size": "1Gi"}, "layout": {"shards": [{"hosts": [{},
        {"name": "big"}]}]}});
    stack.set_program(&program(namespace.name(), &plain)).unwrap();
    let refused = stack.preview().await.unwrap().failed().unwrap();
    assert!(refused.text().contains("`host-data-big-chi-db-cluster-big-0`"), "{}", refused.text());
}
