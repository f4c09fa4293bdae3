use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::kubernetes::cluster::manifest::{merge, merge_patch, sha256_hex};

#[test]
fn the_installation_holds_the_passwords_hash_and_never_the_password() {
    for program in [
        json!({}),
        json!({"admin": {"username": "boss"}}),
        json!({"replicas": 2, "ingress": {"hostname": "db.example"}}),
    ] {
        let built = built(program);
        let users = &built.installation.as_ref().unwrap()["spec"]["configuration"]["users"];
        // Also where the administrator is another user: `default` would have no password at all.
        assert_eq!(users["default/password_sha256_hex"], json!(sha256_hex("correct horse")));
        for manifest in
            [built.installation, built.service, built.keeper, built.namespace].into_iter().flatten()
        {
            assert!(!manifest.to_string().contains("correct horse"));
        }
    }
}

#[test]
fn a_clustered_program_renders_layout_keeper_nodes_and_references_to_every_template() {
    let built = built(
        json!({"name": "db", "shards": 3, "replicas": 2, "storage": {"logs": {}, "storageClass": "fast"}}),
    );
    let spec = &built.installation.as_ref().unwrap()["spec"];
    assert_eq!(
        spec["configuration"]["clusters"],
        json!([{"name": "cluster", "layout": {"shardsCount": 3, "replicasCount": 2},
            "secret": {"auto": "true"}}])
    );
    let hosts: Vec<_> = spec["configuration"]["zookeeper"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| node["host"].as_str().unwrap())
        .collect();
    assert_eq!(hosts, ["chk-db-cluster-0-0", "chk-db-cluster-0-1", "chk-db-cluster-0-2"]);
    for (field, list) in [
        ("podTemplate", "podTemplates"),
        ("dataVolumeClaimTemplate", "volumeClaimTemplates"),
        ("logVolumeClaimTemplate", "volumeClaimTemplates"),
        ("shardServiceTemplate", "serviceTemplates"),
    ] {
        let name = &spec["defaults"]["templates"][field];
        assert!(
            spec["templates"][list]
                .as_array()
                .unwrap()
                .iter()
                .any(|template| &template["name"] == name && name.is_string()),
            "{field}"
        );
    }
    assert_eq!(spec["templates"]["volumeClaimTemplates"][0]["reclaimPolicy"], "Retain");
    assert_eq!(spec["templates"]["volumeClaimTemplates"][0]["spec"]["storageClassName"], "fast");
    let keeper = built.keeper.expect("a Keeper");
    assert_eq!(keeper["spec"]["configuration"]["clusters"][0]["layout"]["replicasCount"], 3);
    assert_eq!((keeper["spec"].get("taskID"), &spec["taskID"]), (None, &json!(TASK)));
}

#[test]
fn no_label_of_the_operators_is_on_our_own_objects() {
    let built = built(json!({"ingress": {}, "createNamespace": true}));
    for manifest in
        [built.secret.as_ref(), built.service.as_ref(), built.namespace.as_ref()].into_iter().flatten()
    {
        assert!(!manifest["metadata"].to_string().contains("altinity"), "{manifest}");
    }
    assert_eq!(built.service.unwrap()["spec"]["selector"]["clickhouse.altinity.com/ready"], "yes");
}

#[test]
fn overrides_are_laid_over_last_but_never_over_the_task() {
    let overrides = json!({"taskID": "mine", "reconcile": {"policy": "wait"},
        "configuration": {"settings": {"logger/level": null, "max_connections": 9}}});
    let spec = built(json!({"chiOverrides": overrides})).installation.unwrap()["spec"].clone();
    assert_eq!((&spec["taskID"], &spec["reconcile"]["policy"]), (&json!(TASK), &json!("wait")));
    assert_eq!(spec["configuration"]["settings"], json!({"max_connections": 9}));
}

#[test]
fn the_secret_alone_is_enough_to_connect() {
    let secret = built(json!({"name": "db"})).secret.unwrap();
    let read = |key: &str| crate::kubernetes::cluster::login::decode(&secret, key).unwrap();
    assert_eq!(
        (read("username"), read("password"), read("host")),
        ("default".into(), "correct horse".into(), "db.apps.svc.cluster.local".into())
    );
    assert_eq!((read("http-port"), read("native-port")), ("8123".into(), "9000".into()));
    assert_eq!(read("http-url"), "http://default:correct%20horse@db.apps.svc.cluster.local:8123/");
    assert!(
        read("native-url").starts_with("clickhouse://") && read("jdbc-url").starts_with("jdbc:clickhouse://")
    );
}

#[test]
fn a_merge_patch_leads_from_one_value_to_the_other() {
    for (from, to) in [
        (json!({"a": 1, "b": {"c": [1, 2], "d": 3}}), json!({"b": {"c": [2], "e": {"f": 1}}, "g": "h"})),
        (json!({"a": {"b": 1}, "c": {"d": 1, "e": 2}}), json!({"c": {"d": 2}})),
    ] {
        let patch = merge_patch(&from, &to).unwrap();
        let mut patched = from.clone();
        merge(&mut patched, &patch);
        assert_eq!(patched, to);
        assert!(!patch.to_string().contains("null"), "{patch}");
        assert_eq!(merge_patch(&to, &to), None);
    }
}

#[test]
fn named_things_in_lists_are_merged_by_their_names() {
    let pods = |overrides: Value| {
        let spec = built(json!({"chiOverrides": {"templates": {"podTemplates": overrides}}}))
            .installation
            .unwrap()["spec"]
            .clone();
        spec["templates"]["podTemplates"].clone()
    };
    let rendered = pods(json!([{"name": "clickhouse"}]));
    assert_eq!(rendered, built(json!({})).installation.unwrap()["spec"]["templates"]["podTemplates"]);
    // What is said is added to what the inputs render, the rest stays (lifecycle H1).
    let placed = pods(json!([
        {"name": "clickhouse", "spec": {"nodeSelector": {"a": "b"}, "containers": [{"name": "clickhouse",
            "env": [{"name": "X", "value": "1"}]}, {"name": "sidecar"}]}},
        {"name": "other"}
    ]));
    let mut expected = rendered[0].clone();
    expected["spec"]["nodeSelector"] = json!({"a": "b"});
    expected["spec"]["containers"][0]["env"] = json!([{"name": "X", "value": "1"}]);
    expected["spec"]["containers"].as_array_mut().unwrap().push(json!({"name": "sidecar"}));
    assert_eq!(placed, json!([expected, {"name": "other"}]));
    // `$patch` as Kubernetes knows it.
    for (overrides, expected) in [
        (json!([{"name": "clickhouse", "$patch": "delete"}, {"name": "mine"}]), json!([{"name": "mine"}])),
        (
            json!([{"name": "clickhouse", "$patch": "replace", "spec": {}}]),
            json!([{"name": "clickhouse", "spec": {}}]),
        ),
        (json!([{"$patch": "replace"}, {"name": "mine"}]), json!([{"name": "mine"}])),
        (json!([]), json!([])),
        (json!([{"spec": {}}]), json!([{"spec": {}}])),
        (json!([{"name": "none", "$patch": "delete"}]), rendered.clone()),
    ] {
        assert_eq!(pods(overrides.clone()), expected, "{overrides}");
    }
}

#[test]
fn mounts_are_merged_by_their_paths_and_coordination_servers_not_at_all() {
    let mut spec =
        json!({"volumeMounts": [{"name": "a", "mountPath": "/a"}], "nodes": [{"host": "a", "name": "a"}]});
    merge(
        &mut spec,
        &json!({"volumeMounts": [{"name": "b", "mountPath": "/a"}], "nodes": [{"host": "b", "name": "b"}]}),
    );
    assert_eq!(
        spec,
        json!({"volumeMounts": [{"name": "b", "mountPath": "/a"}], "nodes": [{"host": "b", "name": "b"}]})
    );
}

fn overridable() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        (0..4u8).prop_map(Value::from),
        "[ab]{0,2}".prop_map(Value::from)
    ];
    leaf.prop_recursive(4, 40, 4, |inner| {
        let field = prop_oneof![
            Just("containers"),
            Just("env"),
            Just("nodes"),
            Just("name"),
            Just("spec"),
            Just("volumeMounts")
        ];
        let object = prop::collection::btree_map(field, inner.clone(), 0..4).prop_map(|map| json!(map));
        let named =
            (prop_oneof![Just("a"), Just("b"), Just("c")], object.clone()).prop_map(|(name, mut object)| {
                object["name"] = json!(name);
                object
            });
        prop_oneof![
            object,
            prop::collection::vec(named, 0..4).prop_map(Value::from),
            prop::collection::vec(inner, 0..3).prop_map(Value::from)
        ]
    })
}

proptest! {
    #[test]
    fn a_merge_patch_leads_from_any_value_to_any_other(from in overridable(), to in overridable()) {
        let (from, to) = (json!({"spec": from}), json!({"spec": to}));
        let patch = merge_patch(&from, &to).unwrap_or_else(|| json!({}));
        let mut patched = from.clone();
        merge(&mut patched, &patch);
        prop_assert_eq!(patched, to);
    }
}
