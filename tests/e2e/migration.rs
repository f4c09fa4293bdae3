//! The example of a migration: a cluster that was made without Pulumi is taken over as it is, and changed.

use std::fs;
use std::path::Path;

use kube::api::{DynamicObject, PostParams};
use serde_json::json;
use testbed::Testbed;

/// The example's own place.
const PLACE: &str = "default/analytics";

fn example(file: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/migration");
    fs::read_to_string(folder.join(file)).unwrap()
}

#[tokio::test]
async fn a_cluster_that_was_made_without_pulumi_is_taken_over_as_it_is_and_changed() {
    let testbed = Testbed::shared().await;
    let namespace = testbed.namespace().await.unwrap();
    // As the other examples: where another plugin of the same name is installed, too.
    let pulumi = testbed.pulumi().await.unwrap().beside_another().unwrap();
    let stack = pulumi.stack("resources: {}", testbed.kubeconfig()).await.unwrap();
    let made: DynamicObject = serde_saphyr::from_str(&example("installation.yaml")).unwrap();
    let installations = namespace.installations();
    let kubectl =
        PostParams { field_manager: Some("kubectl-client-side-apply".to_owned()), ..PostParams::default() };
    installations.create(&kubectl, &made).await.unwrap();
    let before = installations.get("analytics").await.unwrap();

    let program = example("yaml/Pulumi.yaml")
        .replace(PLACE, &format!("{}/analytics", namespace.name()))
        .replace("namespace: default", &format!("namespace: {}", namespace.name()));
    fs::write(stack.directory().join("Pulumi.yaml"), program).unwrap();
    stack.run(&["stack", "init", "test"]).await.unwrap().succeeded().unwrap();
    let preview = stack.preview_json().await.unwrap();
    assert_eq!(preview["changeSummary"], json!({"create": 1, "import": 1}), "{preview}");
    stack.up().await.unwrap().succeeded().unwrap();
    stack
        .run(&["up", "--yes", "--skip-preview", "--non-interactive", "--expect-no-changes"])
        .await
        .unwrap()
        .succeeded()
        .unwrap();
    let after = installations.get("analytics").await.unwrap();
    assert_eq!(
        (after.metadata.generation, &after.data["spec"]),
        (before.metadata.generation, &before.data["spec"])
    );

    stack.set_config("shards", "3", false).await.unwrap();
    stack.up().await.unwrap().succeeded().unwrap();
    let mut grown = installations.get("analytics").await.unwrap().data["spec"].take();
    let layout = json!({"shardsCount": 3, "replicasCount": 1});
    assert_eq!(grown["configuration"]["clusters"][0]["layout"], layout, "{grown}");
    // Nothing else is another, but for the name of the change.
    grown["configuration"]["clusters"][0]["layout"]["shardsCount"] = json!(2);
    grown.as_object_mut().unwrap().remove("taskID");
    assert_eq!(grown, after.data["spec"]);
    stack.destroy().await.unwrap().succeeded().unwrap();
}
