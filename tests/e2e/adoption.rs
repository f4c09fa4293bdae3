//! What is there already: import, drift, and what an update must not lose.

use kube::api::{ListParams, Patch, PatchParams};
use serde_json::json;

use crate::support::{program, stack};

#[tokio::test]
async fn drift_is_reported_by_property_and_repaired() {
    let (namespace, stack) = stack(&json!({"name": "db"})).await;
    stack.up().await.unwrap().succeeded().unwrap();
    let drift = json!({"spec": {"stop": "yes", "configuration": {"settings": {"logger/level": "trace"}}}});
    namespace.installations().patch("db", &PatchParams::default(), &Patch::Merge(&drift)).await.unwrap();
    let services: kube::Api<k8s_openapi::api::core::v1::Service> = namespace.api();
    services.delete("db", &kube::api::DeleteParams::default()).await.unwrap();

    let refresh =
        stack.run(&["refresh", "--yes", "--skip-preview", "--diff"]).await.unwrap().succeeded().unwrap();
    for part in ["stopped", "level", "endpoints"] {
        assert!(refresh.text().contains(part), "{part} is not in:\n{}", refresh.text());
    }
    // The other's writes are conflicts, told in preview, until they are taken over by name.
    let conflict = stack.preview().await.unwrap().failed().unwrap();
    assert!(
        conflict.text().contains(".spec.stop") && conflict.text().contains("forceConflicts"),
        "{}",
        conflict.text()
    );
    stack.set_program(&program(namespace.name(), &json!({"name": "db", "forceConflicts": true}))).unwrap();
    let preview = stack.run(&["preview", "--diff"]).await.unwrap().succeeded().unwrap();
    assert!(preview.text().contains("stopped") && preview.text().contains("endpoints"), "{}", preview.text());
    stack.up().await.unwrap().succeeded().unwrap();
    let repaired = namespace.installations().get("db").await.unwrap();
    assert_eq!(
        (&repaired.data["spec"]["stop"], &repaired.data["spec"]["configuration"]["settings"]["logger/level"]),
        (&json!("no"), &json!("information"))
    );
    services.get("db").await.expect("the Service is back");
    stack
        .run(&["refresh", "--yes", "--skip-preview", "--expect-no-changes"])
        .await
        .unwrap()
        .succeeded()
        .unwrap();
    stack.destroy().await.unwrap().succeeded().unwrap();
}

#[tokio::test]
async fn an_imported_cluster_of_somebody_else_has_an_empty_preview_and_can_be_changed() {
    let (namespace, stack) = stack(&json!({"name": "unused"})).await;
    let legacy = json!({
        "apiVersion": "clickhouse.altinity.com/v1", "kind": "ClickHouseInstallation",
            "metadata": {"name": "legacy"},
        "spec": {
            "configuration": {
                "clusters": [{"name": "main", "layout": {"shardsCount": 2}}],
                "users": {"reader/password_sha256_hex": "ab", "reader/networks/ip": ["::/0"]},
                "settings": {"max_connections": 100},
            },
            "defaults": {"templates": {"podTemplate": "pod"}},
            "templates": {"podTemplates": [{"name": "pod", "spec": {"containers": [{"name": "clickhouse",
                "image": "altinity/clickhouse-server:24.8.14.10459.altinitystable"}]}}]},
        },
    });
    let api = namespace.installations();
    api.patch("legacy", &PatchParams::apply("kubectl"), &Patch::Apply(&legacy)).await.unwrap();
    stack.set_program("resources: {}\n").unwrap();
    let id = format!("{}/legacy", namespace.name());
    let imported =
        stack.import("clickhouse:kubernetes:Cluster", "legacy", &id).await.unwrap().succeeded().unwrap();
    // The definition that the import prints is the program from now on.
    let text = imported
        .stdout
        .split_once("resources:")
        .map(|(_, code)| code.to_owned())
        .expect("prints the program");
    let code = text.split("\n\n").next().unwrap_or_default();
    stack.set_program(&format!("resources:{code}\n")).unwrap();
    let again = stack.run(&["preview", "--diff", "--expect-no-changes"]).await.unwrap();
    assert!(again.success, "{}\n{}", imported.text(), again.text());
    stack.run(&["state", "unprotect", "--yes", "--all"]).await.unwrap().succeeded().unwrap();
    stack.destroy().await.unwrap().succeeded().unwrap();
    assert_eq!(api.list(&ListParams::default()).await.unwrap().items.len(), 0);
}

#[tokio::test]
async fn a_data_losing_change_fails_in_preview_and_names_what_would_be_lost() {
    let (namespace, stack) = stack(&json!({"name": "db", "shards": 2})).await;
    stack.up().await.unwrap().succeeded().unwrap();
    for (change, lost) in [
        (json!({"name": "db", "shards": 1}), "chi-db-cluster-1-0"),
        (json!({"name": "other", "shards": 2}), "its 2 volumes"),
        (json!({"name": "db", "shards": 2, "storage": {"size": "10Gi"}}), "can't shrink"),
        (json!({"name": "db", "shards": 2, "storage": {"reclaimPolicy": "Delete"}}), "its 2 volumes"),
    ] {
        stack.set_program(&program(namespace.name(), &change)).unwrap();
        let preview = stack.preview().await.unwrap().failed().unwrap();
        assert!(preview.text().contains(lost), "{change}: {}", preview.text());
    }
    stack
        .set_program(&program(namespace.name(), &json!({"name": "db", "shards": 1, "allowDataLoss": true})))
        .unwrap();
    stack.up().await.unwrap().succeeded().unwrap();
    stack.destroy().await.unwrap().succeeded().unwrap();
}
