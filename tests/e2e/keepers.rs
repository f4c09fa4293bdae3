//! The Services of a Keeper's members, of either kind that operators make: what the outputs name is there,
//! and an operator that is upgraded to the other kind loses nobody.

use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::ListParams;
use serde_json::{Value, json};
use testbed::operator::faults::KEEPER_SERVICES;
use testbed::pulumi::Stack;
use testbed::{Namespace, needs};

use crate::support::stack;

/// A cluster with a Keeper, and another one that uses it.
fn program(namespace: &Namespace, image: &str) -> String {
    let cluster = |properties: Value| {
        let mut properties = properties;
        properties["namespace"] = json!(namespace.name());
        json!({"type": "clickhouse:kubernetes:Cluster", "properties": properties})
    };
    let keeper = json!({"keeper": {"replicas": 1, "image": {"tag": image}}});
    let external = json!({"external": {"nodes": [{"host": "${db.keeper.endpoints[0]}"}], "root": "/guest"}});
    let resources = json!({"db": cluster(json!({"name": "db", "coordination": keeper})),
        "guest": cluster(json!({"name": "guest", "coordination": external}))});
    format!("resources: {resources}\noutputs: {}\n", json!({"endpoints": "${db.keeper.endpoints}"}))
}

/// The Service of the only endpoint; asserts that it leads to the only member.
async fn service(namespace: &Namespace, stack: &Stack) -> Service {
    let endpoints = stack.outputs().await.unwrap()["endpoints"].clone();
    let endpoint = endpoints[0].as_str().unwrap();
    let name = endpoint.strip_suffix(&format!(".{}.svc.cluster.local:2181", namespace.name())).unwrap();
    let service = namespace.api::<Service>().get(name).await.unwrap();
    let selector = service.spec.as_ref().unwrap().selector.as_ref().unwrap();
    let labels: Vec<_> = selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let pods = namespace.api::<Pod>().list(&ListParams::default().labels(&labels.join(","))).await.unwrap();
    let pods: Vec<_> = pods.items.into_iter().filter_map(|pod| pod.metadata.name).collect();
    assert_eq!(pods, ["chk-db-cluster-0-0-0"], "{endpoint}");
    service
}

async fn nothing_changes(stack: &Stack) {
    for command in ["refresh", "up"] {
        let again = stack.run(&[command, "--yes", "--skip-preview", "--expect-no-changes"]).await;
        again.unwrap().succeeded().unwrap();
    }
}

#[tokio::test]
async fn endpoints_of_a_keeper_are_those_of_the_operator_that_is_there() {
    needs!(Faults);
    let (namespace, stack) = stack(&json!({})).await;
    stack.set_program(&program(&namespace, "25.8")).unwrap();
    let preview = stack.preview().await.unwrap().succeeded().unwrap();
    assert!(!preview.text().contains("chk-db-cluster-0-0."), "not known yet: {}", preview.text());
    stack.up().await.unwrap().succeeded().unwrap();
    let early = |service: &Service| service.spec.as_ref().unwrap().publish_not_ready_addresses == Some(true);
    assert!(early(&service(&namespace, &stack).await), "the only one that there is");
    nothing_changes(&stack).await;

    // The operator is upgraded, and the Keeper changes.
    namespace.annotate(KEEPER_SERVICES, Some("paired")).await.unwrap();
    stack.set_program(&program(&namespace, "26.3")).unwrap();
    stack.up().await.unwrap().succeeded().unwrap();
    assert!(!early(&service(&namespace, &stack).await), "one that waits until the member is ready");
    // By the next run at the latest the other cluster has the new name, and lost nothing for it.
    stack.up().await.unwrap().succeeded().unwrap();
    let guest = namespace.installations().get("guest").await.unwrap().data["spec"].take();
    let host = &guest["configuration"]["zookeeper"]["nodes"][0]["host"];
    assert!(host.as_str().unwrap().starts_with("chk-db-cluster-0-0-client."), "{host}");
    nothing_changes(&stack).await;
    // The hosts of its own cluster go on as they were.
    let own = namespace.installations().get("db").await.unwrap().data["spec"].take();
    assert_eq!(own["configuration"]["zookeeper"]["nodes"][0]["host"], "chk-db-cluster-0-0");
    stack.destroy().await.unwrap().succeeded().unwrap();
    namespace.delete().await.unwrap();
}
