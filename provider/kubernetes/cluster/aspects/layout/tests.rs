use serde_json::{Value, json};

use crate::kubernetes::cluster::adopt::inputs;
use crate::kubernetes::cluster::aspects::{Live, OverridesArgs};
use crate::kubernetes::cluster::effects::effects;
use crate::kubernetes::cluster::guard::of_inputs;
use crate::kubernetes::cluster::shape::Shape;
use crate::kubernetes::cluster::tests::{
    adopted, built, changed, checked, cluster, login, problems_of_program, told, urn,
};
use crate::resource::Known;

fn layout(program: Value) -> Value {
    built(program).installation.unwrap()["spec"]["configuration"]["clusters"][0]["layout"].take()
}

#[test]
fn shards_are_written_out_as_they_are_said() {
    let shards = json!([
        {"name": "hot", "weight": 3, "internalReplication": true, "replicas": 2,
            "settings": {"max_connections": "9"}, "files": {"conf.d/a.xml": "<a/>"}},
        {"hosts": [{"name": "x", "settings": {"max_connections": "7"}}, {}]},
        {},
    ]);
    assert_eq!(
        layout(json!({"layout": {"shards": shards}})),
        json!({"shards": [
            {"name": "hot", "weight": 3, "internalReplication": "yes", "replicasCount": 2,
                "settings": {"max_connections": "9"}, "files": {"conf.d/a.xml": "<a/>"}},
            {"replicas": [{"name": "x", "settings": {"max_connections": "7"}}, {}]},
            {"replicasCount": 1},
        ]})
    );
    let built = built(json!({"layout": {"shards": shards}}));
    assert!(built.keeper.is_some(), "replicas bring a Keeper");
    let pod = &built.installation.unwrap()["spec"]["templates"]["podTemplates"][0];
    assert!(pod["spec"]["affinity"].is_object(), "replicas prefer different nodes");
}

#[test]
fn an_equal_layout_is_the_same_cluster() {
    for (counts, layout) in [
        (json!({"shards": 2, "replicas": 1}), json!([{}, {}])),
        (json!({"shards": 2, "replicas": 1}), json!([{"name": "0"}, {"name": "1", "replicas": 1}])),
        (json!({"shards": 2, "replicas": 2}), json!([{"replicas": 2}, {"hosts": [{}, {}]}])),
        (json!({}), json!([{}])),
    ] {
        let layout = json!({"layout": {"shards": layout}});
        let (counts, layout) = (checked(counts), checked(layout));
        let shape = |args| Shape::rendered(&cluster(serde_json::to_value(args).unwrap()));
        assert_eq!(shape(&counts), shape(&layout));
        for (old, new) in [(&counts, &layout), (&layout, &counts)] {
            assert_eq!(of_inputs(old, &Known::all(new.clone())), []);
            let told = effects(&shape(old), &shape(new), &Known::all(new.clone()));
            assert_eq!(told, Vec::<String>::new());
        }
    }
}

#[test]
fn a_shard_that_goes_or_gets_another_name_is_refused_at_the_layout() {
    let with = |shards: Value| checked(json!({"layout": {"shards": shards}, "coordination": {"keeper": {}}}));
    let there = with(json!([{"name": "a", "replicas": 2}, {"name": "b"}]));
    for (then, part) in [
        (json!([{"name": "a", "replicas": 2}]), "2 shards become 1"),
        (json!([{"name": "a", "replicas": 2}, {"name": "c"}]), "removed or renamed"),
        (json!([{"name": "a"}, {"name": "b"}]), "2 replicas become 1"),
        (json!([{"name": "a", "hosts": [{}, {"name": "x"}]}, {"name": "b"}]), "removed or renamed"),
    ] {
        let found = told(of_inputs(&there, &Known::all(with(then))));
        assert!(found.len() == 1 && found[0].starts_with("layout: ") && found[0].contains(part), "{found:?}");
    }
    let more = with(json!([{"name": "a", "replicas": 2, "weight": 2}, {"name": "b"}, {"name": "c"}]));
    assert_eq!(of_inputs(&there, &Known::all(more)), []);
}

#[test]
fn what_is_wrong_with_a_layout_is_told_at_its_place() {
    let shards = json!([
        {"name": "1"}, {"name": "a"}, {"name": "a"}, {"name": "B"}, {"name": "fourteen-chars"},
        {"name": "n", "replicas": 1, "hosts": [{"name": "7"}]}, {"name": "o", "replicas": 0},
        {"name": "p", "hosts": []}, {"name": "q", "hosts": [{"name": "a-0"}]},
        {"name": "r", "files": {"config.d/x.xml": ""}, "hosts": [{"files": {"users.d/y.xml": ""}}]},
    ]);
    let found = problems_of_program(None, json!({"shards": 2, "layout": {"shards": shards}}));
    for (path, part) in [
        ("shards", "beside `layout`"),
        ("layout.shards[0].name", "is a number"),
        ("layout.shards[2].name", "another shard"),
        ("layout.shards[3].name", "not a valid name"),
        ("layout.shards[4].name", "at most 15"),
        ("layout.shards[5].replicas", "beside `hosts`"),
        ("layout.shards[5].hosts[0].name", "is a number"),
        ("layout.shards[6].replicas", "at least 1"),
        ("layout.shards[7].hosts", "at least 1"),
        ("layout.shards[8].hosts[0].name", "another host"),
        ("layout.shards[9].files[\"config.d/x.xml\"]", "leaves"),
        ("layout.shards[9].hosts[0].files[\"users.d/y.xml\"]", "leaves"),
    ] {
        let told = |problem: &&String| problem.starts_with(&format!("{path}: ")) && problem.contains(part);
        assert_eq!(found.iter().filter(told).count(), 1, "{path}: {found:#?}");
    }
    assert_eq!(found.len(), 12, "{found:#?}");
    for (program, part) in [
        (json!({"layout": {"shards": []}}), "layout.shards: must have at least one shard"),
        (
            json!({"layout": {"shards": [{"replicas": 999}, {"replicas": 999}]}}),
            "layout.shards: comes to 1998 hosts",
        ),
        (
            json!({"layout": {"shards": [{"replicas": 2}]}, "coordination": {"type": "None"}}),
            "layout: 2 replicas can't agree",
        ),
        (
            json!({"name": "n".repeat(32), "layout": {"shards": [{"name": "thirteen-char"}]}}),
            "layout.shards[0].name: with the host `thirteen-char-0`",
        ),
    ] {
        let found = problems_of_program(None, program);
        assert!(found.iter().any(|problem| problem.starts_with(part)), "{part}: {found:?}");
    }
}

#[test]
fn the_hosts_of_somebody_elses_installation_stay_where_they_are_written() {
    let there = adopted(json!({"configuration": {"clusters": [{"name": "c"}]}}));
    let more = json!({"shards": null, "replicas": null, "layout": {"shards": [{"name": "a"}]}});
    let refused = changed(&there, more).unwrap_err();
    assert!(refused[0].starts_with("layout: ") && refused[0].contains("`chiOverrides."), "{refused:?}");
}

#[test]
fn what_a_shard_has_otherwise_is_read_back() {
    let shards = json!([
        {"name": "a", "replicas": 2, "pod": {"antiAffinity": "Preferred", "restricted": false}},
        {"name": "b", "replicas": 1, "resources": {"limits": {"cpu": "2", "memory": "4Gi"},
            "requests": {"cpu": "500m", "memory": "1Gi"}}},
    ]);
    let program = json!({"pod": {"antiAffinity": "Required", "restricted": true, "env": [{"name": "A",
        "value": "b"}]}, "storage": {"logs": {}}, "layout": {"shards": shards}});
    let made = built(program.clone());
    let there = Live::new(made.installation.unwrap(), made.keeper, made.service, None);
    let read = inputs(&there, &urn(), &login());
    assert_eq!(read.overrides, OverridesArgs::default());
    assert_eq!(serde_json::to_value(&read.layout.layout).unwrap(), json!({"shards": shards}));
    assert_eq!(serde_json::to_value(&read.pod).unwrap(), program["pod"]);
}

#[test]
fn a_shard_has_its_own_pods_and_volumes() {
    let program = json!({"name": "db", "storage": {"size": "5Gi", "storageClass": "fast"},
        "pod": {"nodeSelector": {"a": "b"}, "priorityClassName": "high"},
        "layout": {"shards": [{"name": "hot", "resources": {"limits": {"memory": "16Gi"}},
            "storage": {"size": "9Gi"}, "pod": {"nodeSelector": {"c": "d"}}}, {}]}});
    let spec = built(program.clone()).installation.unwrap()["spec"].take();
    assert_eq!(
        spec["configuration"]["clusters"][0]["layout"]["shards"],
        json!([{"name": "hot", "replicasCount": 1, "templates": {"podTemplate": "clickhouse-hot",
            "dataVolumeClaimTemplate": "data-hot"}}, {"replicasCount": 1}])
    );
    let [all, hot] = [0, 1].map(|index| &spec["templates"]["podTemplates"][index]);
    assert_eq!((&all["name"], &hot["name"]), (&json!("clickhouse"), &json!("clickhouse-hot")));
    assert_eq!(hot["spec"]["nodeSelector"], json!({"c": "d"}));
    assert_eq!(hot["spec"]["priorityClassName"], "high");
    let (of_all, of_hot) = (&all["spec"]["containers"][0], &hot["spec"]["containers"][0]);
    assert_eq!(of_hot["image"], of_all["image"]);
    assert_eq!(
        of_hot["resources"],
        json!({"requests": of_all["resources"]["requests"], "limits": {"cpu": "2", "memory": "16Gi"}})
    );
    let shape = Shape::rendered(&cluster(program));
    let sizes: Vec<_> = shape
        .clickhouse
        .claims
        .iter()
        .map(|(name, claim)| (name.as_str(), claim.size.as_deref(), claim.class.as_deref()))
        .collect();
    assert_eq!(
        sizes,
        [
            ("data-chi-db-cluster-1-0-0", Some("5Gi"), Some("fast")),
            ("data-hot-chi-db-cluster-hot-0-0", Some("9Gi"), Some("fast")),
        ]
    );
    let with = |storage: Value| checked(json!({"layout": {"shards": [{"name": "hot", "storage": storage}]}}));
    let found = told(of_inputs(&with(json!({"size": "9Gi"})), &Known::all(with(json!({"size": "8Gi"})))));
    assert!(found[0].starts_with("layout: a volume can't shrink"), "{found:?}");
    let wrong = json!({"storage": {"ephemeral": true}, "layout": {"shards": [{"storage": {"size": "1Gi"},
        "resources": {"limits": {"cpu": "x"}}, "pod": {"zones": [""]}}]}});
    let found = problems_of_program(None, wrong);
    for path in ["storage", "resources.limits.cpu", "pod.zones[0]"] {
        let path = format!("layout.shards[0].{path}: ");
        assert!(found.iter().any(|problem| problem.starts_with(&path)), "{path}: {found:?}");
    }
}

/// A cluster in which one host of three has everything of its own.
fn with_an_own_host(own: &Value) -> Value {
    json!({"name": "db", "storage": {"size": "5Gi", "storageClass": "fast"},
        "pod": {"nodeSelector": {"a": "b"}, "priorityClassName": "high", "antiAffinity": "Required"},
        "layout": {"shards": [{"name": "hot", "resources": {"limits": {"memory": "16Gi"}},
            "storage": {"size": "9Gi"}, "pod": {"priorityClassName": "mid"}, "hosts": [{}, own]}, {}]}})
}

#[test]
fn a_host_has_its_own_pod_and_volume() {
    let own = json!({"name": "big", "settings": {"max_connections": "7"},
        "resources": {"limits": {"cpu": "8"}}, "storage": {"size": "20Gi"},
        "pod": {"nodeSelector": {"c": "d"}, "antiAffinity": "None"}});
    let program = with_an_own_host(&own);
    let made = built(program.clone());
    let spec = &made.installation.as_ref().unwrap()["spec"];
    let shards = &spec["configuration"]["clusters"][0]["layout"]["shards"];
    assert_eq!(
        shards[0]["replicas"],
        json!([{}, {"name": "big", "settings": {"max_connections": "7"},
            "templates": {"podTemplate": "host-clickhouse-big", "dataVolumeClaimTemplate": "host-data-big"}}])
    );
    let templates = spec["templates"]["podTemplates"].as_array().unwrap();
    let pod = |name: &str| &templates.iter().find(|template| template["name"] == name).unwrap()["spec"];
    let (hot, big) = (pod("clickhouse-hot"), pod("host-clickhouse-big"));
    assert_eq!((&hot["nodeSelector"], &big["nodeSelector"]), (&json!({"a": "b"}), &json!({"c": "d"})));
    assert_eq!((&hot["priorityClassName"], &big["priorityClassName"]), (&json!("mid"), &json!("mid")));
    let resources =
        json!({"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"cpu": "8", "memory": "16Gi"}});
    assert_eq!(big["containers"][0]["resources"], resources);
    let claims = Shape::rendered(&cluster(program.clone())).clickhouse.claims;
    let sizes: Vec<_> = claims.iter().map(|(name, claim)| (name.as_str(), claim.size.as_deref())).collect();
    assert_eq!(
        sizes,
        [
            ("data-chi-db-cluster-1-0-0", Some("5Gi")),
            ("data-hot-chi-db-cluster-hot-0-0", Some("9Gi")),
            ("host-data-big-chi-db-cluster-big-0", Some("20Gi")),
        ]
    );
    assert!(claims.values().all(|claim| claim.class.as_deref() == Some("fast")));

    let there = Live::new(made.installation.unwrap(), made.keeper, made.service, None);
    let read = inputs(&there, &urn(), &login());
    assert_eq!(read.overrides, OverridesArgs::default());
    let read = serde_json::to_value(&read.layout.layout).unwrap();
    assert_eq!(read["shards"][0]["hosts"][0], json!({}));
    for field in ["name", "settings", "pod"] {
        assert_eq!(read["shards"][0]["hosts"][1][field], own[field], "{field}");
    }
    assert_eq!(read["shards"][0]["hosts"][1]["resources"], resources);
    assert_eq!(read["shards"][0]["hosts"][1]["storage"]["size"], "20Gi");
}

#[test]
fn a_change_of_one_host_is_judged_for_this_one() {
    let there = checked(with_an_own_host(&json!({"name": "big", "storage": {"size": "20Gi"}})));
    for (own, part) in [
        (json!({"name": "big", "storage": {"size": "10Gi"}}), "can't shrink"),
        (json!({"name": "big"}), "`host-data-big-chi-db-cluster-big-0`"),
    ] {
        let found = told(of_inputs(&there, &Known::all(checked(with_an_own_host(&own)))));
        assert!(found.len() == 1 && found[0].starts_with("layout: ") && found[0].contains(part), "{found:?}");
    }
    let plain = checked(with_an_own_host(&json!({"name": "big"})));
    let found = told(of_inputs(&plain, &Known::all(there.clone())));
    assert!(
        found[0].starts_with("layout: ") && found[0].contains("`data-hot-chi-db-cluster-big-0`"),
        "{found:?}"
    );
    let more =
        json!({"name": "big", "storage": {"size": "20Gi"}, "resources": {"limits": {"memory": "20Gi"}}});
    let more = checked(with_an_own_host(&more));
    assert_eq!(of_inputs(&there, &Known::all(more.clone())), []);
    let shape = |args| Shape::rendered(&cluster(serde_json::to_value(args).unwrap()));
    let told = effects(&shape(&there), &shape(&more), &Known::all(more.clone()));
    let restarts = "restarts 1 of 3 hosts one after the other, so each shard keeps serving (resources)";
    assert_eq!(told, [restarts]);
    let wrong = json!({"name": "big", "storage": {"size": "x"}, "resources": {"limits": {"cpu": "x"}},
        "pod": {"zones": [""]}});
    let found = problems_of_program(None, with_an_own_host(&wrong));
    for path in ["storage.size", "resources.limits.cpu", "pod.zones[0]"] {
        let path = format!("layout.shards[0].hosts[1].{path}: ");
        assert!(found.iter().any(|problem| problem.starts_with(&path)), "{path}: {found:?}");
    }
}

fn spec(layout: &Value) -> Value {
    json!({"configuration": {"clusters": [{"name": "c", "layout": layout}]}})
}

#[test]
fn counts_are_free_where_no_list_writes_the_hosts_out() {
    for (layout, more, then) in [
        (json!({"shardsCount": 2}), json!({"shards": 3}), json!({"shardsCount": 3})),
        (
            json!({"replicas": [{}, {}]}),
            json!({"shards": 3}),
            json!({"replicas": [{}, {}], "shardsCount": 3}),
        ),
        (
            json!({"shards": [{}, {}]}),
            json!({"replicas": 2}),
            json!({"shards": [{}, {}], "replicasCount": 2}),
        ),
        (
            json!({"shards": [{}], "shardsCount": 2}),
            json!({"shards": 3}),
            json!({"shards": [{}], "shardsCount": 3}),
        ),
    ] {
        assert_eq!(changed(&adopted(spec(&layout)), more).unwrap(), spec(&then));
    }
}

#[test]
fn what_is_written_out_is_changed_where_it_is_written() {
    for (layout, more, path) in [
        (json!({"shards": [{}, {}]}), json!({"shards": 3}), "shards"),
        (json!({"shards": [{}, {"replicasCount": 2}]}), json!({"replicas": 3}), "replicas"),
        (json!({"replicas": [{"shardsCount": 2}]}), json!({"shards": 3}), "shards"),
        (json!({"replicas": [{}, {}]}), json!({"replicas": 3}), "replicas"),
    ] {
        let refused = changed(&adopted(spec(&layout)), more).unwrap_err();
        assert!(
            refused.len() == 1
                && refused[0].starts_with(&format!("{path}: "))
                && refused[0].contains("`chiOverrides."),
            "{refused:?}"
        );
    }
}
