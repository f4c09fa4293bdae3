//! The schema that the types give is the one that is committed.

use std::fs;
use std::path::Path;

use serde_json::Value;

fn generated() -> Value {
    clickhouse_provider::schema().expect("every type can be expressed in Pulumi's schema")
}

#[test]
fn schema_json_is_what_the_types_give() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema.json");
    let generated = serde_json::to_string_pretty(&generated()).expect("a JSON value can be written") + "\n";
    let committed = fs::read_to_string(&file).unwrap_or_default();
    let difference =
        committed.lines().zip(generated.lines()).position(|(committed, generated)| committed != generated);
    let line = difference.unwrap_or_else(|| committed.lines().count().min(generated.lines().count())) + 1;
    assert!(
        committed == generated,
        "schema.json differs from the types at line {line}; generate it with `cargo sdks`"
    );
}

#[test]
fn the_schema_is_small() {
    let text = generated().to_string();
    assert!(text.len() <= 300 * 1024, "{} bytes", text.len());
}

#[test]
fn a_bare_cluster_needs_no_input_and_names_its_certain_outputs() {
    let schema = generated();
    let cluster = &schema["resources"]["clickhouse:kubernetes:Cluster"];
    assert_eq!(cluster.get("requiredInputs"), None);
    let required: Vec<&str> =
        cluster["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    assert_eq!(
        required,
        [
            "clusterName",
            "connection",
            "credentialsSecret",
            "endpoints",
            "hosts",
            "image",
            "internalHostname",
            "name",
            "namespace",
            "password",
            "portForwardCommand",
            "replicas",
            "shardServices",
            "shards",
            "uids",
            "username"
        ]
    );
}

#[test]
fn secrets_and_replacing_inputs_are_marked() {
    let schema = generated();
    let cluster = &schema["resources"]["clickhouse:kubernetes:Cluster"];
    for (place, name) in [("properties", "password"), ("properties", "connection")] {
        assert_eq!(cluster[place][name]["secret"], true, "{place}.{name}");
    }
    assert_eq!(
        schema["types"]["clickhouse:kubernetes:ClusterAdmin"]["properties"]["password"]["secret"],
        true
    );
    assert_eq!(schema["config"]["variables"]["kubeconfig"]["secret"], true);
    for name in ["name", "namespace", "clusterName"] {
        assert_eq!(cluster["inputProperties"][name]["willReplaceOnChanges"], true, "{name}");
        assert_eq!(cluster["properties"][name]["willReplaceOnChanges"], true, "{name}");
    }
}
