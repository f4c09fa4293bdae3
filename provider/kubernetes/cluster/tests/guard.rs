use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::kubernetes::cluster::guard::{of_inputs, refusals, warnings};
use crate::kubernetes::cluster::shape::Shape;

fn refused(old: Value, new: Value) -> Vec<String> {
    told(of_inputs(&checked(old), &Known::all(checked(new))))
}

fn with(base: &Value, change: &Value) -> Value {
    let mut new = base.clone();
    new.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    new
}

/// Each change of `base` is refused once, at its path, with what would be lost; and with `allowDataLoss` it
/// is warned of.
fn each_is_refused(base: &Value, changes: Vec<(Value, &str, &str)>) {
    for (change, path, lost) in changes {
        let new = with(base, &change);
        let found = refused(base.clone(), new.clone());
        assert!(
            found.len() == 1
                && found[0].starts_with(&format!("{path}: "))
                && found[0].contains(lost)
                && found[0].contains("allowDataLoss: true"),
            "{change}: {found:#?}"
        );
        let allowed = with(&new, &json!({"allowDataLoss": true}));
        assert_eq!(refused(base.clone(), allowed.clone()), Vec::<String>::new(), "{change}");
        let warned = warned(base.clone(), allowed);
        assert!(
            warned.len() == 1 && warned[0].starts_with(&format!("{path}: ")) && warned[0].contains(lost),
            "{change}: {warned:#?}"
        );
    }
}

fn warned(old: Value, new: Value) -> Vec<String> {
    let shape = |program: &Value| Shape::rendered(&cluster(program.clone()));
    warnings(&shape(&old), &shape(&new), &Known::all(checked(new)))
}

#[test]
fn what_loses_data_is_refused_with_what_would_be_lost() {
    let base = json!({"name": "db", "shards": 2, "replicas": 2});
    let changes = vec![
        (json!({"shards": 1}), "shards", "`chi-db-cluster-1-0`, `chi-db-cluster-1-1`"),
        (
            json!({"replicas": 1, "coordination": {"keeper": {}}}),
            "replicas",
            "`chi-db-cluster-0-1`, `chi-db-cluster-1-1`",
        ),
        (json!({"name": "other"}), "name", "its 4 volumes"),
        (json!({"namespace": "other"}), "namespace", "its 4 volumes"),
        (json!({"clusterName": "other"}), "clusterName", "its 4 volumes"),
        (json!({"storage": {"reclaimPolicy": "Delete"}}), "storage.reclaimPolicy", "its 4 volumes"),
        (json!({"storage": {"ephemeral": true}}), "storage.ephemeral", "its 4 volumes"),
        (json!({"coordination": {"external": {"nodes": ["zk:2181"]}}}), "coordination", "read-only"),
    ];
    each_is_refused(&base, changes);
}

#[test]
fn what_no_volume_can_do_is_refused_even_when_data_may_be_lost() {
    for (old, new, path) in [
        (json!({"size": "2Gi"}), json!({"size": "1Gi"}), "storage.size"),
        (json!({"storageClass": "slow"}), json!({"storageClass": "fast"}), "storage.storageClass"),
        (json!({"logs": {"size": "2Gi"}}), json!({"logs": {"size": "1Gi"}}), "storage.logs.size"),
    ] {
        let found = refused(json!({"storage": old}), json!({"storage": new, "allowDataLoss": true}));
        assert!(found.len() == 1 && found[0].starts_with(&format!("{path}: ")), "{found:?}");
    }
}

#[test]
fn growth_and_an_ephemeral_clusters_rename_are_free() {
    assert_eq!(
        refused(json!({}), json!({"shards": 3, "replicas": 2, "storage": {"size": "100Gi"}})),
        Vec::<String>::new()
    );
    let ephemeral = |name| json!({"name": name, "storage": {"ephemeral": true}});
    assert_eq!(refused(ephemeral("a"), ephemeral("b")), Vec::<String>::new());
}

#[test]
fn an_unknown_value_is_not_refused() {
    let new = unknown(json!({"name": "db"}), &["shards"]);
    assert!(of_inputs(&checked(json!({"name": "db", "shards": 3})), &new).is_empty());
}

#[test]
fn every_volume_and_the_coordination_are_guarded() {
    // Lifecycle section 2, probes D4 and D7.
    let base = json!({"name": "db", "replicas": 2, "storage": {"logs": {}}});
    each_is_refused(
        &base,
        vec![
            (
                json!({"storage": {}}),
                "storage.logs",
                "deletes, with their host at the latest and though their policy is `Retain`, \
                    `logs-chi-db-cluster-0-0-0`",
            ),
            (
                json!({"storage": {"logs": {"reclaimPolicy": "Delete"}}}),
                "storage.logs.reclaimPolicy",
                "its 2 volumes",
            ),
            (
                json!({"coordination": {"keeper": {"storage": {"reclaimPolicy": "Delete"}}}}),
                "coordination.keeper.storage.reclaimPolicy",
                "the Keeper's 3 volumes",
            ),
            (
                json!({"storage": {"logs": {}, "reclaimPolicy": "Delete"}}),
                "storage.reclaimPolicy",
                "its 4 volumes and the Keeper's 3",
            ),
            (
                json!({"storage": {"logs": {}, "provisioner": "StatefulSet"}}),
                "storage.provisioner",
                "`data-chi-db-cluster-0-0-0`",
            ),
            (
                json!({"coordination": {"keeper": {"replicas": 1}}}),
                "coordination.keeper.replicas",
                "`chk-db-cluster-0-1`, `chk-db-cluster-0-2`",
            ),
        ],
    );
    let keeper = |replicas: u32| {
        json!({"name": "db", "replicas": 2,
        "coordination": {"keeper": {"replicas": replicas}}})
    };
    each_is_refused(
        &keeper(5),
        vec![(keeper(3), "coordination.keeper.replicas", "`chk-db-cluster-0-3`, `chk-db-cluster-0-4`")],
    );
    each_is_refused(&keeper(1), vec![(keeper(3), "coordination.keeper.replicas", "a majority of their own")]);
    assert_eq!(refused(keeper(3), keeper(5)), Vec::<String>::new());
    let at_once = refused(keeper(5), with(&keeper(1), &json!({"allowDataLoss": true})));
    assert!(at_once.len() == 1 && at_once[0].contains("at once"), "{at_once:?}");

    let external = |servers: &[&str], root: &str| json!({"external": {"nodes": servers, "root": root}});
    let base =
        json!({"name": "db", "replicas": 2, "coordination": external(&["a.zoo:2181", "b.zoo"], "/one")});
    each_is_refused(
        &base,
        vec![
            (json!({"coordination": {}}), "coordination", "`a.zoo`, `b.zoo` is no longer used"),
            (
                json!({"coordination": external(&["c.zoo"], "/one")}),
                "coordination",
                "`a.zoo`, `b.zoo` is no longer used",
            ),
            (
                json!({"coordination": external(&["a.zoo"], "/two")}),
                "coordination.external.root",
                "`/one` becomes `/two`",
            ),
        ],
    );
    let alone = with(&base, &json!({"replicas": 1}));
    each_is_refused(&alone, vec![(json!({"coordination": {"type": "None"}}), "coordination", "read-only")]);
    assert_eq!(
        refused(
            base.clone(),
            with(&base, &json!({"coordination": external(&["b.zoo.svc", "c.zoo"], "/one/")}))
        ),
        Vec::<String>::new()
    );
}

#[test]
fn what_an_override_loses_is_refused_at_the_override() {
    // Probes D3.
    let base = json!({"name": "db", "shards": 2, "replicas": 2});
    let chi = |overrides: Value| json!({"chiOverrides": overrides});
    let chk = |overrides: Value| json!({"chkOverrides": overrides});
    let clusters = |overrides: Value| chi(json!({"configuration": {"clusters": overrides}}));
    let pods = |overrides: Value| chi(json!({"templates": {"podTemplates": overrides}}));
    each_is_refused(
        &base,
        vec![
            (
                clusters(json!([{"name": "cluster", "layout": {"shardsCount": 1}}])),
                "chiOverrides.configuration.clusters",
                "2 shards become 1",
            ),
            (
                clusters(json!([{"name": "cluster", "layout": {"shards": [{"name": "a"}]}}])),
                "chiOverrides.configuration.clusters",
                "`chi-db-cluster-0-0`",
            ),
            (
                clusters(json!([{"name": "cluster", "layout": {"shards": [{"replicasCount": 1}]}}])),
                "chiOverrides.configuration.clusters",
                "removes `chi-db-cluster-0-1`",
            ),
            (
                clusters(json!([{"name": "cluster", "$patch": "delete"}, {"name": "other"}])),
                "chiOverrides.configuration.clusters",
                "`cluster` becomes `other`",
            ),
            (
                chi(json!({"defaults": {"templates": {"dataVolumeClaimTemplate": ""}}})),
                "chiOverrides.defaults.templates",
                "moves to another place",
            ),
            (
                chi(json!({"defaults": {"templates": {"dataVolumeClaimTemplate": "data2"}},
                        "templates": {"volumeClaimTemplates": [{"name": "data2"}]}})),
                "chiOverrides.templates.volumeClaimTemplates",
                "`data-chi-db-cluster-0-0-0`",
            ),
            (
                chi(json!({"templates": {"volumeClaimTemplates": [{"name": "data",
                        "reclaimPolicy": "Delete"}]}})),
                "chiOverrides.templates.volumeClaimTemplates",
                "its 4 volumes",
            ),
            (
                chi(json!({"templates": {"volumeClaimTemplates": [{"name": "data",
                        "provisioner": "StatefulSet"}]}})),
                "chiOverrides.templates.volumeClaimTemplates",
                "StatefulSet",
            ),
            (
                pods(json!([{"name": "clickhouse", "generateName": "{chi}-{host}"}])),
                "chiOverrides.templates.podTemplates",
                "`chi-db-cluster-0-0`",
            ),
            (
                pods(
                    json!([{"name": "clickhouse", "spec": {"volumes": [{"name": "data", "emptyDir": {}}]}}]),
                ),
                "chiOverrides.templates.podTemplates",
                "moves to another place",
            ),
            (
                chi(json!({"configuration": {"zookeeper": {"nodes": [{"host": "zk"}]}}})),
                "chiOverrides.configuration.zookeeper",
                "read-only",
            ),
            (
                chi(json!({"configuration": {"zookeeper": {"root": "/x"}}})),
                "chiOverrides.configuration.zookeeper",
                "`/` becomes `/x`",
            ),
            (
                chi(json!({"reconcile": {"cleanup": {"reconcileFailedObjects": {"pvc": "Delete"}}}})),
                "chiOverrides.reconcile",
                "failed to come up",
            ),
            (
                chk(json!({"configuration": {"clusters": [{"name": "cluster",
                        "layout": {"replicasCount": 1}}]}})),
                "chkOverrides.configuration.clusters",
                "3 Keeper members become 1",
            ),
            (
                chk(json!({"configuration": {"clusters": [{"name": "cluster", "$patch": "delete"},
                        {"name": "x"}]}})),
                "chkOverrides.configuration.clusters",
                "are replaced by empty ones",
            ),
            (
                chk(json!({"defaults": {"templates": {"dataVolumeClaimTemplate": ""}}})),
                "chkOverrides.defaults.templates",
                "`data-chk-db-cluster-0-0-0`",
            ),
            (
                chk(json!({"templates": {"volumeClaimTemplates": [{"name": "data",
                        "reclaimPolicy": "Delete"}]}})),
                "chkOverrides.templates.volumeClaimTemplates",
                "the Keeper's 3 volumes",
            ),
        ],
    );
    // An override that goes can lose as much.
    let third = with(&base, &clusters(json!([{"name": "cluster", "layout": {"shardsCount": 3}}])));
    each_is_refused(&third, vec![(chi(json!({})), "shards", "`chi-db-cluster-2-0`")]);
    let second = with(&base, &clusters(json!([{"name": "second"}])));
    each_is_refused(
        &second,
        vec![(chi(json!({})), "chiOverrides.configuration.clusters", "all data of `chi-db-second-0-0`")],
    );
}

#[test]
fn a_layout_that_is_only_written_otherwise_loses_nothing() {
    let base = json!({"name": "db", "shards": 2, "replicas": 2});
    for layout in [
        json!({"shards": [{}, {}]}),
        json!({"shards": [{"name": "0", "replicasCount": 2}, {"name": "1", "replicas": [{"name": "1-0"},
            {}]}]}),
        json!({"replicas": [{"name": "0"}, {"shardsCount": 2}]}),
    ] {
        let new = with(
            &base,
            &json!({"chiOverrides": {"configuration": {"clusters": [{"name": "cluster",
                "layout": layout}]}}}),
        );
        assert_eq!(refused(base.clone(), new.clone()), Vec::<String>::new(), "{layout}");
        assert_eq!(refused(new, base.clone()), Vec::<String>::new(), "{layout}");
    }
}

#[test]
fn more_hosts_than_are_supported_are_refused_at_the_override() {
    let new = json!({"name": "db", "chiOverrides": {"configuration": {"clusters": [{"name": "cluster",
        "layout": {"shardsCount": 999, "replicasCount": 999}}]}}});
    let found = refused(json!({"name": "db"}), new);
    assert_eq!(
        found,
        ["chiOverrides.configuration.clusters: makes 998001 hosts, at most 1000 are supported"]
    );
}

#[test]
fn what_was_never_made_is_nothing_to_lose() {
    // Languages D3.
    let old = json!({"name": "db", "shards": 3, "replicas": 2, "storage": {"storageClass": "gone"}});
    let new = json!({"name": "db", "shards": 2, "coordination": {"type": "None"}});
    let mut from = Shape::rendered(&cluster(old.clone()));
    let (to, args) = (Shape::rendered(&cluster(new.clone())), Known::all(checked(new)));
    assert!(!refusals(&from, &to, &args).is_empty());
    let claim = |name: &str, phase: &str, class: &str| {
        json!({"metadata": {"name": name},
        "spec": {"storageClassName": class}, "status": {"phase": phase}})
    };
    from.settle(&[claim("data-chi-db-cluster-0-0-0", "Pending", "gone")]);
    assert_eq!(refusals(&from, &to, &args), []);
    // One host that was made is guarded, and only that one; the class it has is the default's.
    let mut from = Shape::rendered(&cluster(json!({"name": "db", "shards": 3})));
    from.settle(&[
        claim("data-chi-db-cluster-2-0-0", "Bound", "standard"),
        claim("data-chi-db-cluster-0-0-0", "Bound", "standard"),
    ]);
    let shrunk = told(refusals(
        &from,
        &Shape::rendered(&cluster(json!({"name": "db"}))),
        &Known::all(checked(json!({"name": "db"}))),
    ));
    assert!(shrunk.len() == 1 && shrunk[0].contains("all data of `chi-db-cluster-2-0`;"), "{shrunk:?}");
    let of_class = |class: &str| {
        let new = json!({"name": "db", "shards": 3, "storage": {"storageClass": class}});
        refusals(&from, &Shape::rendered(&cluster(new.clone())), &Known::all(checked(new))).len()
    };
    assert_eq!((of_class("standard"), of_class("fast")), (0, 1));
}

#[test]
fn the_flag_that_allows_nothing_is_told() {
    let set = json!({"name": "db", "allowDataLoss": true});
    let told = warned(json!({"name": "db"}), set);
    assert!(told.len() == 1 && told[0].contains("remove it"), "{told:?}");
    assert_eq!(warned(json!({"name": "db", "shards": 2}), json!({"name": "db"})), Vec::<String>::new());
}

#[test]
fn what_an_unknown_override_may_still_say_is_not_refused() {
    let old =
        checked(json!({"name": "db", "chiOverrides": {"configuration": {"clusters": [{"name": "cluster",
            "layout": {"shardsCount": 3}}]}}}));
    assert!(!of_inputs(&old, &Known::all(checked(json!({"name": "db"})))).is_empty());
    assert_eq!(
        of_inputs(&old, &unknown(json!({"name": "db"}), &["chiOverrides.configuration.clusters"])),
        []
    );
}

#[test]
fn a_loss_beside_a_wrong_input_is_told_too_and_what_is_wrong_is_not_judged() {
    let old = checked(json!({"name": "db", "shards": 2, "storage": {"size": "2Gi"}}));
    let found = told(of_inputs(
        &old,
        &Known::all(checked(
            json!({"name": "db", "shards": 1, "storage": {"size": "1 GB"}, "version": "latest"}),
        )),
    ));
    assert!(found.len() == 1 && found[0].starts_with("shards: "), "{found:?}");
    assert_eq!(
        of_inputs(&old, &Known::all(checked(json!({"name": "db", "shards": 0, "storage": {"size": "2Gi"}})))),
        []
    );
}

fn programs() -> impl Strategy<Value = Value> {
    let storage = prop_oneof![
        Just(json!({})),
        Just(json!({"ephemeral": true})),
        Just(json!({"logs": {}, "reclaimPolicy": "Delete"})),
        Just(json!({"provisioner": "StatefulSet", "storageClass": "fast"})),
    ];
    let coordination = prop_oneof![
        Just(json!({})),
        Just(json!({"keeper": {"replicas": 1}})),
        Just(json!({"external": {"nodes": ["zk"], "root": "/x"}}))
    ];
    let overrides = prop_oneof![
        Just(json!({})),
        Just(json!({"configuration": {"clusters": [{"name": "second"}]}})),
        Just(json!({"templates": {"podTemplates": [{"name": "clickhouse", "generateName": "x-{host}"}]}})),
        Just(json!({"configuration": {"clusters": [{"name": "cluster",
                "layout": {"shards": [{"name": "a"}]}}]}})),
    ];
    (1..4u32, 1..3u32, storage, coordination, overrides).prop_map(
        |(shards, replicas, storage, coordination, overrides)| {
            json!({"name": "db", "shards": shards, "replicas": replicas, "storage": storage,
            "coordination": coordination, "chiOverrides": overrides})
        },
    )
}

proptest! {
    #[test]
    fn nothing_is_refused_when_nothing_changes(program in programs()) {
        let shape = Shape::rendered(&cluster(program.clone()));
        let args = Known::all(checked(program));
        prop_assert_eq!(refusals(&shape, &shape, &args), []);
        let mut settled = shape.clone();
        settled.settle(&[]);
        prop_assert_eq!(refusals(&settled, &shape, &args), []);
    }

    #[test]
    fn a_step_and_the_way_back_are_never_both_free_of_losses_when_hosts_go(one in 1..5u32, other in 1..5u32) {
        prop_assume!(one != other);
        let program = |shards: u32| json!({"name": "db", "shards": shards});
        prop_assert_eq!(refused(program(one), program(other)).is_empty(), other > one);
    }
}
