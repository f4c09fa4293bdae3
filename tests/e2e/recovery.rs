//! What failed leaves a way on: the remedy that a message names is accepted.

use std::time::Instant;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret};
use kube::api::ListParams;
use serde_json::{Value, json};
use testbed::Testbed;
use testbed::cloud::{FIXED_SIZE, GROWS_SLOWLY, SLOW_GROWTH};

use crate::support::{acting_as, grant, in_state, objects, program, program_with, program_within, readme_role, stack};

/// Fails with `wrong` and goes on with `right`.
async fn is_corrected(wrong: Value, right: Value, parts: &[&str]) {
    let (namespace, stack) = stack(&wrong).await;
    stack.set_program(&program_with(namespace.name(), &wrong, &json!({"customTimeouts": {"create": "6s"}}))).unwrap();
    let failed = stack.up().await.unwrap().failed().unwrap();
    for part in parts {
        assert!(failed.text().contains(part), "`{part}` is not in:\n{}", failed.text());
    }
    stack.set_program(&program_within(namespace.name(), &right, 60)).unwrap();
    stack.preview().await.unwrap().succeeded().unwrap();
    stack.up().await.unwrap().succeeded().unwrap();
    stack.run(&["up", "--yes", "--skip-preview", "--expect-no-changes"]).await.unwrap().succeeded().unwrap();
    let claims = namespace.api::<PersistentVolumeClaim>().list(&ListParams::default()).await.unwrap();
    for claim in &claims.items {
        assert_eq!(claim.status.as_ref().and_then(|status| status.phase.as_deref()), Some("Bound"), "{:?}", claim.metadata.name);
    }
    stack.destroy().await.unwrap().succeeded().unwrap();
}

#[tokio::test]
async fn a_storage_class_that_does_not_exist_is_corrected() {
    let cluster = |class: &str| json!({"name": "db", "storage": {"size": "1Gi", "storageClass": class}});
    is_corrected(cluster("gp9"), cluster("standard"), &["gp9", "storage.storageClass"]).await;
}

#[tokio::test]
async fn a_keepers_storage_class_that_does_not_exist_is_corrected() {
    let cluster = |class: &str| {
        let keeper = json!({"replicas": 1, "storage": {"size": "1Gi", "storageClass": class}});
        json!({"name": "db", "replicas": 2, "coordination": {"type": "Keeper", "keeper": keeper}})
    };
    is_corrected(cluster("gp9"), cluster("standard"), &["gp9", "coordination.keeper.storage.storageClass"]).await;
}

#[tokio::test]
async fn what_was_never_made_is_not_guarded() {
    let testbed = Testbed::shared().await;
    let namespace = testbed.namespace().await.unwrap();
    let mut role = readme_role();
    for rule in role.rules.iter_mut().flatten() {
        if rule.resources.as_ref().is_some_and(|resources| resources.iter().any(|resource| resource == "clickhouseinstallations")) {
            rule.verbs = ["get", "list", "watch"].map(str::to_owned).to_vec();
        }
    }
    grant(&namespace, role, "weak").await;
    let cluster = |shards: u32| program(namespace.name(), &json!({"name": "db", "shards": shards}));
    let mut stack = testbed.stack(&cluster(3)).await.unwrap();
    let weak = stack.directory().join("weak");
    std::fs::write(&weak, acting_as(testbed.kubeconfig(), "weak")).unwrap();
    stack.set_environment("KUBECONFIG", &weak.display().to_string());
    let failed = stack.up().await.unwrap().failed().unwrap();
    assert!(failed.text().contains("not allowed to "), "{}", failed.text());
    assert!(namespace.installations().get_opt("db").await.unwrap().is_none());
    let secret = namespace.api::<Secret>().get("db-credentials").await.expect("the Secret comes first");
    assert!(in_state(&stack).await.is_some(), "what was written is in the state");

    stack.set_environment("KUBECONFIG", &testbed.kubeconfig().display().to_string());
    stack.set_program(&cluster(2)).unwrap();
    stack.preview().await.unwrap().succeeded().unwrap();
    stack.up().await.unwrap().succeeded().unwrap();
    assert_eq!(namespace.api::<Secret>().get("db-credentials").await.unwrap().data, secret.data, "the password is the same");
    stack.destroy().await.unwrap().succeeded().unwrap();
}

fn capacity(claim: &PersistentVolumeClaim) -> String {
    claim.status.as_ref().unwrap().capacity.as_ref().unwrap()["storage"].0.clone()
}

#[tokio::test]
async fn a_volume_that_can_not_grow_is_refused_before_anything_is_written() {
    let cluster = |size: &str| json!({"name": "db", "storage": {"size": size, "storageClass": FIXED_SIZE}});
    let (namespace, stack) = stack(&cluster("1Gi")).await;
    stack.up().await.unwrap().succeeded().unwrap();
    let made = objects(&namespace).await;
    stack.set_program(&program(namespace.name(), &cluster("2Gi"))).unwrap();
    for command in [vec!["preview"], vec!["up", "--yes", "--skip-preview"]] {
        let refused = stack.run(&command).await.unwrap().failed().unwrap();
        for part in ["storage.size", FIXED_SIZE, "allowVolumeExpansion"] {
            assert!(refused.text().contains(part), "`{part}` is not in:\n{}", refused.text());
        }
        assert_eq!(objects(&namespace).await, made, "something was written");
    }
    stack.set_program(&program(namespace.name(), &cluster("1Gi"))).unwrap();
    stack.run(&["up", "--yes", "--skip-preview", "--expect-no-changes"]).await.unwrap().succeeded().unwrap();
    stack.destroy().await.unwrap().succeeded().unwrap();
}

#[tokio::test]
async fn an_update_is_done_when_the_volumes_have_grown() {
    let cluster = |size: &str| json!({"name": "db", "storage": {"size": size, "storageClass": GROWS_SLOWLY}});
    let (namespace, stack) = stack(&cluster("1Gi")).await;
    stack.up().await.unwrap().succeeded().unwrap();
    stack.set_program(&program(namespace.name(), &cluster("2Gi"))).unwrap();
    let began = Instant::now();
    stack.up().await.unwrap().succeeded().unwrap();
    assert!(began.elapsed() > SLOW_GROWTH);
    assert_eq!(capacity(&namespace.api::<PersistentVolumeClaim>().get("data-chi-db-cluster-0-0-0").await.unwrap()), "2Gi");
    stack.destroy().await.unwrap().succeeded().unwrap();
}
