//! No password in clear text anywhere but the Secret and the engine's encrypted state.

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use kube::api::{ListParams, ObjectList};
use serde_json::{Value, json};
use testbed::{Namespace, Testbed};

use crate::support::{program, stack};

async fn stored_password(namespace: &Namespace) -> String {
    let secrets: Api<Secret> = namespace.api();
    let secret = secrets.get("db-credentials").await.unwrap();
    String::from_utf8(secret.data.unwrap()["password"].0.clone()).unwrap()
}

/// Everything readable in a namespace but its Secrets, as one text.
async fn everything(namespace: &Namespace) -> String {
    fn text<T: Clone + serde::Serialize>(list: &ObjectList<T>) -> String {
        serde_json::to_string(list).unwrap()
    }
    let all = ListParams::default();
    let config_maps: Api<ConfigMap> = namespace.api();
    let events: Api<k8s_openapi::api::core::v1::Event> = namespace.api();
    let pods: Api<k8s_openapi::api::core::v1::Pod> = namespace.api();
    let sets: Api<k8s_openapi::api::apps::v1::StatefulSet> = namespace.api();
    let services: Api<k8s_openapi::api::core::v1::Service> = namespace.api();
    [
        text(&namespace.installations().list(&all).await.unwrap()),
        text(&namespace.keepers().list(&all).await.unwrap()),
        text(&config_maps.list(&all).await.unwrap()),
        text(&events.list(&all).await.unwrap()),
        text(&pods.list(&all).await.unwrap()),
        text(&sets.list(&all).await.unwrap()),
        text(&services.list(&all).await.unwrap()),
    ]
    .concat()
}

#[tokio::test]
async fn the_password_is_in_the_secret_and_nowhere_else_in_clear_text() {
    let (namespace, stack) = stack(&json!({"name": "db", "replicas": 2})).await;
    let mut seen = stack.preview().await.unwrap().succeeded().unwrap().text();
    // With the plugin's own logs at their most; the engine's would show its own messages to the plugin,
    // secrets and all.
    seen += &stack
        .run(&["up", "--yes", "--skip-preview", "--logtostderr", "--logflow", "-v=3", "--debug"])
        .await
        .unwrap()
        .succeeded()
        .unwrap()
        .text();
    let first = stored_password(&namespace).await;
    assert_eq!(first.len(), 32);
    let rotate = json!({"name": "db", "replicas": 2, "admin": {"passwordVersion": "2"}});
    stack.set_program(&program(namespace.name(), &rotate)).unwrap();
    seen += &stack
        .run(&["up", "--yes", "--diff", "--debug", "--logtostderr", "--logflow", "-v=3"])
        .await
        .unwrap()
        .succeeded()
        .unwrap()
        .text();
    let second = stored_password(&namespace).await;
    assert_ne!(first, second);
    seen += &stack.refresh().await.unwrap().succeeded().unwrap().text();
    seen += &stack.export().unwrap().to_string();
    seen += &everything(&namespace).await;
    let shown: Value = stack.outputs().await.unwrap();
    seen += &stack.run(&["stack", "output", "--json"]).await.unwrap().succeeded().unwrap().text();
    for password in [&first, &second] {
        let at = seen.find(password.as_str());
        assert!(at.is_none(), "{}", &seen[at.unwrap_or_default().saturating_sub(300)..][..350]);
    }
    assert_eq!(shown["password"], json!(second), "the output holds it for whoever may see secrets");
    stack.destroy().await.unwrap().succeeded().unwrap();
}

#[tokio::test]
async fn a_password_of_the_program_stays_secret_too() {
    let testbed = Testbed::shared().await;
    let namespace = testbed.namespace().await.unwrap();
    let properties = json!({"name": "db", "admin": {"password": "${password}"}, "skipAwait": true});
    let text = format!(
        "config: {{\"password\": {{\"type\": \"string\", \"secret\": true}}}}\n{}",
        program(namespace.name(), &properties)
    );
    let stack = testbed.stack(&text).await.unwrap();
    stack.set_config("password", "hunter2-and-more", true).await.unwrap();
    let mut seen = stack
        .run(&["up", "--yes", "--diff", "--debug", "--logtostderr", "--logflow", "-v=3"])
        .await
        .unwrap()
        .succeeded()
        .unwrap()
        .text();
    seen += &stack.refresh().await.unwrap().succeeded().unwrap().text();
    seen += &stack.export().unwrap().to_string();
    seen += &everything(&namespace).await;
    let at = seen.find("hunter2-and-more");
    assert!(at.is_none(), "{}", &seen[at.unwrap_or_default().saturating_sub(300)..][..350]);
    assert_eq!(stored_password(&namespace).await, "hunter2-and-more");
    stack.destroy().await.unwrap().succeeded().unwrap();
}
