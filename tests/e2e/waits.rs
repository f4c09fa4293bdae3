//! When `pulumi up` says that a cluster serves, what it shows until then, and why it gives up: by the faults
//! of the operator's stand-in and of the pods.
//!
//! What a wait makes of each state is tested beside its code. Here is what that can't show: that the terminal
//! and the state say the same, that the next run goes on, and what the real engine, scheduler and API server
//! have to do with it.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::ListParams;
use serde_json::{Value, json};
use testbed::pulumi::Stack;
use testbed::{Namespace, Testbed, needs};

use crate::support::{failed_in_state, faulty_stack, identity, in_state, program, stack, stack_within};

const POD: &str = "chi-db-cluster-0-0-0";

/// A stack with a cluster that serves, and after that the fault.
async fn serving(fault: &str) -> (Namespace, Stack) {
    let (namespace, stack) = stack(&json!({"name": "db"})).await;
    stack.up().await.unwrap().succeeded().unwrap();
    namespace.set_fault(fault).await.unwrap();
    (namespace, stack)
}

async fn pods(namespace: &Namespace) -> Vec<Pod> {
    namespace.api::<Pod>().list(&ListParams::default()).await.unwrap().items
}

fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in:\n{text}");
    }
}

/// Runs `up` to its failure; what it printed is the same as what the state says, and the next `up`, of
/// `next`, makes the cluster serve: the same one, with the same password.
async fn fails_and_goes_on(namespace: &Namespace, stack: &Stack, parts: &[&str], next: &Value) {
    let failed = stack.up().await.unwrap().failed().unwrap();
    assert_says(&failed.text(), parts);
    let reasons = failed_in_state(namespace, stack);
    assert!(parts.iter().any(|part| reasons.contains(part)), "{reasons}");
    let made = identity(namespace).await;
    if !Testbed::shared().await.is_borrowed() {
        namespace.clear_fault().await.unwrap();
    }
    stack.set_program(&program(namespace.name(), next)).unwrap();
    let healed = stack.up().await.unwrap().succeeded().unwrap();
    assert!(!healed.text().contains("replaced"), "{}", healed.text());
    assert_eq!(identity(namespace).await, made);
    assert!(in_state(stack).unwrap().get("initErrors").is_none());
    let unchanged = stack.run(&["up", "--yes", "--skip-preview", "--expect-no-changes"]).await.unwrap();
    unchanged.succeeded().unwrap();
}

#[tokio::test]
async fn a_lost_change_for_which_hosts_restart_restarts_them_once() {
    needs!(Faults);
    let (namespace, stack) = serving("finalize-race").await;
    let before = pods(&namespace).await[0].uid();
    let settings = json!({"configuration": {"settings": {"max_connections": "500"}}});
    stack.set_program(&program(namespace.name(), &json!({"name": "db", "chiOverrides": settings}))).unwrap();
    assert_says(
        &stack.preview().await.unwrap().succeeded().unwrap().text(),
        &["restarts the hosts", "(settings)"],
    );
    stack.up().await.unwrap().succeeded().unwrap();
    let after = pods(&namespace).await[0].uid();
    assert_ne!(after, before, "the operator would not have restarted it");
    assert!(namespace.installations().get("db").await.unwrap().data["spec"].get("restart").is_none());
    stack
        .set_program(&program(
            namespace.name(),
            &json!({"name": "db", "chiOverrides": settings, "logging": {"level": "debug"}}),
        ))
        .unwrap();
    stack.up().await.unwrap().succeeded().unwrap();
    assert_eq!(pods(&namespace).await[0].uid(), after, "no order to restart was left behind");
}

#[tokio::test]
async fn pods_that_never_get_ready_are_the_reason_at_the_deadline_and_the_next_up_goes_on() {
    needs!(Faults);
    let (namespace, stack) = faulty_stack("completed-not-ready", &json!({"name": "db"}), 15).await;
    let parts = ["gave up waiting after 15 seconds", "0/1 ready", POD];
    fails_and_goes_on(&namespace, &stack, &parts, &json!({"name": "db"})).await;
}

#[tokio::test]
async fn stopped_means_no_pod_and_a_restart_token_restarts_once() {
    let (namespace, stack) = stack(&json!({"name": "db"})).await;
    stack.up().await.unwrap().succeeded().unwrap();
    let up = async |properties: Value| {
        stack.set_program(&program(namespace.name(), &properties)).unwrap();
        stack.up().await.unwrap().succeeded().unwrap()
    };
    let uid = async || pods(&namespace).await.first().and_then(Pod::uid);
    let first = uid().await;
    up(json!({"name": "db", "restartToken": "1"})).await;
    let second = uid().await;
    assert_ne!(first, second, "a new token restarts");
    up(json!({"name": "db", "restartToken": "1", "logging": {"level": "debug"}})).await;
    assert_eq!(uid().await, second, "the same token restarts nothing");

    let stopped = up(json!({"name": "db", "restartToken": "1", "stopped": true})).await;
    assert_eq!(pods(&namespace).await.len(), 0, "{}", stopped.text());
    up(json!({"name": "db", "restartToken": "1"})).await;
    assert_eq!(pods(&namespace).await.len(), 1);
}

#[tokio::test]
async fn a_pod_that_no_node_takes_is_shown_in_the_schedulers_words() {
    let large = json!({"requests": {"memory": "100Ti"}, "limits": {"memory": "100Ti"}});
    let (namespace, stack) = stack_within(&json!({"name": "db", "resources": large}), 8).await;
    let parts = [POD, "Pending, 0/", "nodes are available: ", "Insufficient memory"];
    fails_and_goes_on(&namespace, &stack, &parts, &json!({"name": "db"})).await;
}

#[tokio::test]
async fn one_of_ten_clusters_with_a_missing_image_fails_early_and_hides_none_of_the_others() {
    let (namespace, stack) = stack(&json!({"name": "db"})).await;
    let resources: serde_json::Map<String, Value> = (0..10)
        .map(|n| {
            let mut properties = json!({"name": format!("db-{n}"), "namespace": namespace.name()});
            if n == 4 {
                properties["image"] = json!({"repository": "example/does-not-exist", "tag": "1"});
            }
            (format!("db-{n}"), json!({"type": "clickhouse:kubernetes:Cluster", "properties": properties}))
        })
        .collect();
    stack.set_program(&format!("resources: {}\n", Value::Object(resources))).unwrap();
    let failed = stack.up().await.unwrap().failed().unwrap();
    assert_says(
        &failed.text(),
        &["chi-db-4-cluster-0-0-0: ImagePullBackOff", "`example/does-not-exist:1` can't be pulled"],
    );
    assert!(
        failed.elapsed < Duration::from_secs(150),
        "ended by the grace, not by a deadline: {:?}",
        failed.elapsed
    );
    let state = stack.export().unwrap();
    let clusters: Vec<&Value> = state["deployment"]["resources"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|resource| resource["type"] == "clickhouse:kubernetes:Cluster")
        .collect();
    assert_eq!(clusters.len(), 10);
    let broken: Vec<_> = clusters
        .iter()
        .filter(|cluster| cluster.get("initErrors").is_some())
        .map(|cluster| &cluster["id"])
        .collect();
    assert_eq!(broken, [&json!(format!("{}/db-4", namespace.name()))]);
}
