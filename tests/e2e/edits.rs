//! What others write to a cluster's objects: an edit by hand is drift that the next `up` repairs, another
//! applier's claim is a conflict.

use k8s_openapi::api::core::v1::Service;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};
use testbed::Namespace;

use crate::support::{program, stack};

const REFRESH: [&str; 5] = ["refresh", "--yes", "--skip-preview", "--non-interactive", "--diff"];

fn by_hand(manager: &str) -> PatchParams {
    PatchParams { field_manager: Some(manager.to_owned()), ..PatchParams::default() }
}

async fn edit(namespace: &Namespace, manager: &str, change: Value) {
    namespace.installations().patch("db", &by_hand(manager), &Patch::Merge(change)).await.unwrap();
}

fn image(installation: &DynamicObject) -> String {
    installation.data["spec"]["templates"]["podTemplates"][0]["spec"]["containers"][0]["image"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn what_was_edited_with_kubectl_is_told_by_a_refresh_and_repaired_by_the_next_up() {
    let properties = json!({"name": "db", "labels": {"team": "a"}});
    let (namespace, stack) = stack(&properties).await;
    stack.up().await.unwrap().succeeded().unwrap();
    let services: Api<Service> = namespace.api();
    let made = namespace.installations().get("db").await.unwrap();
    let service = services.get("db").await.unwrap();
    let mut ports = service.spec.clone().unwrap().ports.unwrap();
    ports[0].port += 1;

    // As `kubectl edit` does: the whole list of containers, with another image.
    let mut templates = made.data["spec"]["templates"].clone();
    templates["podTemplates"][0]["spec"]["containers"][0]["image"] =
        json!("clickhouse/clickhouse-server:25.3");
    edit(&namespace, "kubectl-edit", json!({"spec": {"templates": templates}})).await;
    edit(
        &namespace,
        "kubectl-edit",
        json!({"spec": {"configuration": {"settings": {"logger/level": "trace"}}}}),
    )
    .await;
    edit(&namespace, "kubectl-patch", json!({"spec": {"stop": "yes"}})).await;
    edit(&namespace, "kubectl-label", json!({"metadata": {"labels": {"team": "b"}}})).await;
    services
        .patch("db", &by_hand("kubectl-patch"), &Patch::Merge(json!({"spec": {"ports": ports}})))
        .await
        .unwrap();
    services
        .patch("db", &by_hand("kubectl-edit"), &Patch::Merge(json!({"spec": {"type": "NodePort"}})))
        .await
        .unwrap();
    edit(&namespace, "kubectl-patch", json!({"spec": {"suspend": "yes"}})).await;

    let refresh = stack.run(&REFRESH).await.unwrap().succeeded().unwrap();
    for part in ["=> \"25.3\"", "level", "stopped", "suspended", "labels", "ingress"] {
        assert!(refresh.text().contains(part), "`{part}` is not in:\n{}", refresh.text());
    }
    stack.preview().await.unwrap().succeeded().unwrap();
    stack.up().await.unwrap().succeeded().unwrap();
    let repaired = namespace.installations().get("db").await.unwrap();
    assert_eq!(image(&repaired), image(&made));
    assert_eq!(repaired.metadata.labels, made.metadata.labels);
    for path in ["/spec/configuration", "/spec/stop", "/spec/suspend"] {
        assert_eq!(repaired.data.pointer(path), made.data.pointer(path), "{path}");
    }
    let of_service = services.get("db").await.unwrap().spec.unwrap();
    let before = service.spec.unwrap();
    assert_eq!((of_service.type_, of_service.ports), (before.type_, before.ports));
    stack
        .run(&["refresh", "--yes", "--skip-preview", "--expect-no-changes"])
        .await
        .unwrap()
        .succeeded()
        .unwrap();
    stack.run(&["up", "--yes", "--skip-preview", "--expect-no-changes"]).await.unwrap().succeeded().unwrap();
    stack.destroy().await.unwrap().succeeded().unwrap();
}

#[tokio::test]
async fn what_another_applier_claims_is_a_conflict_with_its_name() {
    let (namespace, stack) = stack(&json!({"name": "db"})).await;
    stack.up().await.unwrap().succeeded().unwrap();
    let claim = json!({
        "apiVersion": "clickhouse.altinity.com/v1", "kind": "ClickHouseInstallation",
            "metadata": {"name": "db"},
        "spec": {"configuration": {"settings": {"logger/level": "trace"}}},
    });
    namespace
        .installations()
        .patch("db", &PatchParams::apply("argocd-controller").force(), &Patch::Apply(&claim))
        .await
        .unwrap();
    stack
        .set_program(&program(namespace.name(), &json!({"name": "db", "logging": {"level": "debug"}})))
        .unwrap();
    for command in [vec!["preview"], vec!["up", "--yes", "--skip-preview"]] {
        let conflict = stack.run(&command).await.unwrap().failed().unwrap();
        for part in ["argocd-controller", "logger/level", "forceConflicts"] {
            assert!(conflict.text().contains(part), "`{part}` is not in:\n{}", conflict.text());
        }
    }
    let level = |installation: &DynamicObject| {
        installation.data["spec"]["configuration"]["settings"]["logger/level"].clone()
    };
    assert_eq!(level(&namespace.installations().get("db").await.unwrap()), "trace");
    let forced = json!({"name": "db", "logging": {"level": "debug"}, "forceConflicts": true});
    stack.set_program(&program(namespace.name(), &forced)).unwrap();
    stack.up().await.unwrap().succeeded().unwrap();
    assert_eq!(level(&namespace.installations().get("db").await.unwrap()), "debug");
    stack.destroy().await.unwrap().succeeded().unwrap();
}
