//! A Kubernetes cluster where no clickhouse-operator runs, or not even its definitions are.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{DeleteParams, ListParams};
use serde_json::json;
use testbed::watching::{PATIENCE, wait_for};
use testbed::{Operator, Testbed, needs};

use crate::support::{failed_in_state, program_within};

#[tokio::test]
async fn an_absent_operator_is_told_and_missing_definitions_stop_before_the_first_write() {
    needs!(ControlPlanes);
    let testbed = Testbed::alone(Operator::Absent).await.unwrap();
    let namespace = testbed.namespace().await.unwrap();
    let stack = testbed.stack(&program_within(namespace.name(), &json!({"name": "db"}), 17)).await.unwrap();
    let failed = stack.up().await.unwrap().failed().unwrap();
    for part in [
        "warning: ",
        "no clickhouse-operator runs in this Kubernetes cluster; install it with `helm install ",
        "gave up waiting after 17",
    ] {
        assert!(failed.text().contains(part), "`{part}` is not in:\n{}", failed.text());
    }
    assert!(failed_in_state(&namespace, &stack).contains("no clickhouse-operator runs"));
    // Nobody put a finalizer on it: what no operator took up goes without one.
    stack.destroy().await.unwrap().succeeded().unwrap();

    let definitions: Api<CustomResourceDefinition> = Api::all(testbed.client().unwrap());
    for definition in [
        "clickhouseinstallations.clickhouse.altinity.com",
        "clickhousekeeperinstallations.clickhouse-keeper.altinity.com",
    ] {
        definitions.delete(definition, &DeleteParams::default()).await.unwrap();
        wait_for(&definitions, definition, "gone", |definition| definition.is_none()).await.unwrap();
        no_longer_served(&testbed, definition).await;
    }
    let preview = stack.preview().await.unwrap().succeeded().unwrap();
    assert!(preview.text().contains("its definitions are not installed"), "{}", preview.text());
    let refused = stack.up().await.unwrap().failed().unwrap();
    for part in [
        "the Kubernetes cluster does not have the kind ClickHouseInstallation",
        "install them with `helm install ",
    ] {
        assert!(refused.text().contains(part), "`{part}` is not in:\n{}", refused.text());
    }
    let secrets = namespace.api::<Secret>().list(&ListParams::default()).await.unwrap();
    assert_eq!(secrets.items.len(), 0, "nothing was written");
    assert!(crate::support::in_state(&stack).is_none());
}

/// The API server goes on to serve a deleted definition for a moment: waits until neither its discovery nor a
/// request finds the kind.
async fn no_longer_served(testbed: &Testbed, definition: &str) {
    let client = testbed.client().unwrap();
    let (kind, group) = definition.split_once('.').unwrap();
    let found =
        async |path: &str| client.request_text(http::Request::get(path).body(Vec::new()).unwrap()).await;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let discovered = found(&format!("/apis/{group}/v1"))
            .await
            .is_ok_and(|resources| resources.contains(&format!("\"{kind}\"")));
        if !discovered && found(&format!("/apis/{group}/v1/{kind}")).await.is_err() {
            return;
        }
        assert!(Instant::now() < deadline, "{definition} is still served");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
