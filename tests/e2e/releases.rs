//! What a newer release of the operator defines: the API server takes by its definitions, under strict
//! validation, what the examples and random programs render.

use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::{Map, Value, json};
use testbed::pulumi::Run;
use testbed::tools::workspace_directory;
use testbed::{Testbed, needs};

use crate::configuration::{PROGRAMS, Said};
use crate::examples::HASH;
use crate::support::{newer, program};

/// Examples of clusters that are there already.
const OF_CLUSTERS: [&str; 2] = ["migration", "second-stack"];

/// Asserts that every manifest was tried.
fn taken(preview: Run) {
    let text = preview.succeeded().unwrap().text();
    assert!(text.contains("to create") && !text.contains("dry run skipped"), "{text}");
}

#[tokio::test]
async fn a_newer_operators_definitions_take_all_examples_and_random_programs() {
    needs!(ControlPlanes);
    let testbed = Testbed::shared().await;
    let Some(newer) = newer().await else { return };
    let namespace = newer.namespace("newer").await.unwrap();
    let secret =
        json!({"metadata": {"name": "app-credentials"}, "stringData": {"password": "correct horse"}});
    let secret = serde_json::from_value(secret).unwrap();
    namespace.api::<Secret>().create(&PostParams::default(), &secret).await.unwrap();
    let kubeconfig = std::fs::read_to_string(newer.kubeconfig()).unwrap();
    let pulumi = testbed.pulumi().await.unwrap();
    let stack = pulumi.stack("resources: {}", &newer.kubeconfig()).await.unwrap();
    for (key, value) in [
        ("clickhouse:namespace", namespace.name()),
        ("namespace", namespace.name()),
        ("dashboardsPassword", HASH),
        ("loaderPassword", HASH),
        ("kubeconfig", kubeconfig.as_str()),
    ] {
        stack.set_config(key, value, key == "kubeconfig").await.unwrap();
    }

    let mut tried = 0;
    for example in std::fs::read_dir(workspace_directory().join("examples")).unwrap() {
        let example = example.unwrap();
        let is_program = example.file_type().unwrap().is_dir();
        if !is_program || OF_CLUSTERS.iter().any(|name| example.file_name() == *name) {
            continue;
        }
        let program = std::fs::read_to_string(example.path().join("yaml/Pulumi.yaml")).unwrap();
        let rest = program.split_once("\nruntime: yaml\n").unwrap().1;
        stack.set_program(rest).unwrap();
        taken(stack.preview().await.unwrap());
        tried += 1;
    }
    assert!(tried >= 8, "{tried} examples");

    let mut random = StdRng::seed_from_u64(27);
    let clusters = (0..PROGRAMS).map(|number| {
        let said = Said::random(number, &mut random);
        let properties = said.properties(namespace.name());
        (said.name, json!({"type": "clickhouse:kubernetes:Cluster", "properties": properties}))
    });
    let clusters: Map<String, Value> = clusters.collect();
    stack.set_program(&format!("resources: {}\n", Value::Object(clusters))).unwrap();
    taken(stack.preview().await.unwrap());

    // What only this release has is taken, what none has is not.
    let hook = json!({"sql": ["SELECT 1"], "events": ["HostRollout"]});
    let hooks = json!({"name": "db", "hooks": {"beforeHost": [hook]}});
    stack.set_program(&program(namespace.name(), &hooks)).unwrap();
    taken(stack.preview().await.unwrap());
    let unknown = json!({"name": "db", "chiOverrides": {"unknownField": 1}});
    stack.set_program(&program(namespace.name(), &unknown)).unwrap();
    let refused = stack.preview().await.unwrap().failed().unwrap();
    assert!(refused.text().contains("unknownField"), "{}", refused.text());
}
