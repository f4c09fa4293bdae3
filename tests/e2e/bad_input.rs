//! What bad input gets, in preview, in the user's terminal.

use std::fmt::Write as _;

use serde_json::{Value, json};
use testbed::pulumi::{Run, Stack};
use testbed::{Testbed, needs};

use crate::support::{acting_as, documented_role, grant, program, stack};

fn assert_told(run: &Run, parts: &[&str]) {
    let text = run.text();
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in:\n{text}");
    }
    assert!(!text.contains("panic") && !text.contains("exited prematurely"), "{text}");
}

async fn preview(properties: &Value) -> Run {
    let (_namespace, stack) = stack(properties).await;
    stack.preview().await.unwrap().failed().unwrap()
}

#[tokio::test]
async fn all_problems_are_told_at_once_with_path_and_remedy() {
    let run = preview(&json!({
        "name": "My_DB",
        "clusterName": "far-too-long-a-name",
        "version": "latest",
        "storage": {"size": "fifty"},
        "resources": {"limits": {"memory": "4 GB"}},
        "replicas": 2,
        "coordination": {"keeper": {"replicas": 2}},
        "admin": {"networks": ["10.0.0.0/40"]},
    }))
    .await;
    assert_told(
        &run,
        &[
            "name",
            "for example `my-db`",
            "clusterName",
            "at most 15",
            "version",
            "storage.size",
            "resources.limits.memory",
            "coordination.keeper.replicas",
            "1, 3 or 5",
            "admin.networks[0]",
        ],
    );
}

#[tokio::test]
async fn a_field_that_only_newer_operators_know_is_refused_by_name() {
    needs!(Faults);
    let tls = json!({"secretName": "cert", "keeper": true});
    let run = preview(&json!({"name": "db", "replicas": 2, "tls": tls})).await;
    assert_told(&run, &["`spec.configuration.clusters[0].secure` (operator 0.27.1 and newer do)"]);
}

/// A stack whose cluster comes from an explicit provider with `configuration`.
async fn with_provider(configuration: &Value) -> Stack {
    let testbed = Testbed::shared().await;
    let mut text = String::from("resources:\n");
    writeln!(
        text,
        "  provider: {}",
        json!({"type": "pulumi:providers:clickhouse", "properties": configuration})
    )
    .unwrap();
    let db = json!({"type": "clickhouse:kubernetes:Cluster", "properties": {"name": "db"},
        "options": {"provider": "${provider}"}});
    writeln!(text, "  db: {db}").unwrap();
    testbed.stack(&text).await.unwrap()
}

#[tokio::test]
async fn a_wrong_kubeconfig_or_context_is_told_by_name() {
    let testbed = Testbed::shared().await;
    let path = testbed.kubeconfig().display().to_string();
    for (configuration, parts) in [
        (json!({"kubeconfig": "/does/not/exist"}), vec!["/does/not/exist"]),
        (json!({"kubeconfig": "clusters: [never closed"}), vec!["kubeconfig"]),
        (json!({"kubeconfig": path, "context": "tetsbed"}), vec!["tetsbed", &testbed.context()]),
    ] {
        let run = with_provider(&configuration).await.preview().await.unwrap().failed().unwrap();
        assert_told(&run, &parts);
    }
}

#[tokio::test]
async fn a_user_without_rights_is_told_which_are_missing_before_anything_is_changed() {
    let testbed = Testbed::shared().await;
    let stack = with_provider(&json!({"kubeconfig": acting_as(testbed.kubeconfig(), "nobody")})).await;
    let preview = stack.preview().await.unwrap().failed().unwrap();
    assert_told(&preview, &["not allowed to patch", "clickhouseinstallations", "kubectl auth can-i"]);
}

#[tokio::test]
async fn the_documented_rights_are_enough() {
    let testbed = Testbed::shared().await;
    let namespace = testbed.namespace().await.unwrap();
    grant(&namespace, documented_role(), "deployer").await;

    let kubeconfig = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&kubeconfig, acting_as(testbed.kubeconfig(), "deployer")).unwrap();
    let cluster = |shards: u32| {
        let keeper =
            json!({"type": "Keeper", "keeper": {"replicas": 1, "storage": {"reclaimPolicy": "Delete"}}});
        program(
            namespace.name(),
            &json!({"name": "db", "shards": shards, "coordination": keeper,
                "ingress": {"type": "LoadBalancer", "sourceRanges": ["203.0.113.0/24"]}}),
        )
    };
    let stack = testbed.pulumi().await.unwrap().stack(&cluster(1), kubeconfig.path()).await.unwrap();
    stack.preview().await.unwrap().succeeded().unwrap();
    stack.up().await.unwrap().succeeded().unwrap();
    stack.set_program(&cluster(2)).unwrap();
    stack.up().await.unwrap().succeeded().unwrap();
    stack.refresh().await.unwrap().succeeded().unwrap();
    stack.destroy().await.unwrap().succeeded().unwrap();
}
