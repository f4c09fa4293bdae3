use serde_json::json;

use super::*;
use crate::kubernetes::cluster::overrides::conflicts;
use crate::property::path::PropertyPath;

fn conflicts_of(program: Value) -> Vec<String> {
    told(conflicts(&Known::all(args(program.clone())), &checked(program)))
}

fn pod(overrides: Value) -> Value {
    json!({"templates": {"podTemplates": [{"name": "clickhouse", "spec": {"containers": [overrides]}}]}})
}

fn data(overrides: Value) -> Value {
    json!({"templates": {"volumeClaimTemplates": [overrides]}})
}

/// Each override is allowed alone, and refused beside inputs: at the input, with its own place.
fn each_is_refused(cases: Vec<(Value, Value, &str, &str)>) {
    for (inputs, chi, input, place) in cases {
        let mut program = inputs.clone();
        program["chiOverrides"] = chi.clone();
        let found = conflicts_of(program);
        assert!(
            found.len() == 1
                && found[0].starts_with(&format!("{input}: `"))
                && found[0].contains(place)
                && found[0].contains("remove one of them"),
            "{inputs} {chi}: {found:#?}"
        );
        assert_eq!(conflicts_of(json!({"chiOverrides": chi})), [""; 0], "{inputs}");
    }
}

#[test]
fn an_input_of_pods_or_volumes_that_an_override_undoes_is_refused_with_both_places() {
    // Lifecycle H1.
    let other_image = pod(json!({"name": "clickhouse", "image": "x:1"}));
    each_is_refused(vec![
        (
            json!({"version": "25.8.30.16"}),
            other_image.clone(),
            "version",
            "chiOverrides.templates.podTemplates[clickhouse].spec.containers[clickhouse].image",
        ),
        (
            json!({"image": {"repository": "mine/ch"}}),
            other_image.clone(),
            "image.repository",
            "chiOverrides.templates.podTemplates[clickhouse].spec.containers[clickhouse].image",
        ),
        (
            json!({"image": {"pullPolicy": "Always"}}),
            pod(json!({"name": "clickhouse", "imagePullPolicy": "Never"})),
            "image.pullPolicy",
            "chiOverrides.templates.podTemplates[clickhouse].spec.containers[clickhouse].imagePullPolicy",
        ),
        (
            json!({"resources": {"limits": {"cpu": "2"}}}),
            pod(json!({"name": "clickhouse", "resources": {"limits": {"cpu": "12"}}})),
            "resources.limits.cpu",
            "chiOverrides.templates.podTemplates[clickhouse].spec.containers[clickhouse].resources.limits.cpu",
        ),
        (
            json!({"shards": 1}),
            json!({"configuration": {"clusters": [{"name": "cluster", "layout": {"shardsCount": 2}}]}}),
            "shards",
            "chiOverrides.configuration.clusters[cluster].layout.shardsCount",
        ),
        (
            json!({"replicas": 2}),
            json!({"configuration": {"clusters": [{"name": "cluster", "layout": {"replicasCount": 3}}]}}),
            "replicas",
            "chiOverrides.configuration.clusters[cluster].layout.replicasCount",
        ),
        (
            json!({"storage": {"size": "50Gi"}}),
            data(json!({"name": "data", "spec": {"resources": {"requests": {"storage": "60Gi"}}}})),
            "storage.size",
            "chiOverrides.templates.volumeClaimTemplates[data].spec.resources.requests.storage",
        ),
        (
            json!({"storage": {"storageClass": "a"}}),
            data(json!({"name": "data", "spec": {"storageClassName": "b"}})),
            "storage.storageClass",
            "chiOverrides.templates.volumeClaimTemplates[data].spec.storageClassName",
        ),
        (
            json!({"storage": {"reclaimPolicy": "Retain"}}),
            data(json!({"name": "data", "reclaimPolicy": "Delete"})),
            "storage.reclaimPolicy",
            "chiOverrides.templates.volumeClaimTemplates[data].reclaimPolicy",
        ),
    ]);
}

#[test]
fn an_input_of_the_configuration_that_an_override_undoes_is_refused_with_both_places() {
    each_is_refused(vec![
        (
            json!({"logging": {"level": "debug"}}),
            json!({"configuration": {"settings": {"logger/level": "trace"}}}),
            "logging.level",
            "chiOverrides.configuration.settings[\"logger/level\"]",
        ),
        (
            json!({"admin": {"networks": ["10.0.0.0/8"]}}),
            json!({"configuration": {"users": {"default/networks/ip": ["::/0"]}}}),
            "admin.networks",
            "chiOverrides.configuration.users[\"default/networks/ip\"]",
        ),
        (
            json!({"coordination": {"external": {"nodes": ["zk:2181"]}}}),
            json!({"configuration": {"zookeeper": {"nodes": [{"host": "other"}]}}}),
            "coordination.external.nodes",
            "chiOverrides.configuration.zookeeper.nodes",
        ),
        (
            json!({"coordination": {"external": {"nodes": ["zk"], "root": "/a"}}}),
            json!({"configuration": {"zookeeper": {"root": "/b"}}}),
            "coordination.external.root",
            "chiOverrides.configuration.zookeeper.root",
        ),
        (
            json!({"restartToken": "1"}),
            json!({"templates": {"podTemplates": [{"name": "clickhouse",
                "metadata": {"annotations": {"pulumi-clickhouse/restart-token": "2"}}}]}}),
            "restartToken",
            "pulumi-clickhouse/restart-token",
        ),
        (json!({"stopped": true}), json!({"stop": "no"}), "stopped", "chiOverrides.stop"),
        (json!({"suspended": false}), json!({"suspend": "1"}), "suspended", "chiOverrides.suspend"),
        (
            json!({"clusterName": "cluster"}),
            json!({"configuration": {"clusters": [{"$patch": "replace"}, {"name": "other"}]}}),
            "clusterName",
            "chiOverrides.configuration.clusters",
        ),
        (
            json!({"clusterDomain": "k8s.example"}),
            json!({"namespaceDomainPattern": "%s.x"}),
            "clusterDomain",
            "chiOverrides.namespaceDomainPattern",
        ),
    ]);
    let keepers = "chkOverrides.templates.podTemplates[keeper].spec.containers[clickhouse-keeper]";
    let keeper = json!({"templates": {"podTemplates": [{"name": "keeper",
        "spec": {"containers": [{"name": "clickhouse-keeper", "image": "x:1"}]}}]}});
    let found =
        conflicts_of(json!({"coordination": {"keeper": {"image": {"tag": "25.3"}}}, "chkOverrides": keeper}));
    assert!(
        found.len() == 1
            && found[0].starts_with("coordination.keeper.image.tag: ")
            && found[0].contains(&format!("{keepers}.image")),
        "{found:?}"
    );
    let removed = conflicts_of(json!({"logging": {"level": "debug"},
            "chiOverrides": {"configuration": {"settings": {"$patch": "replace"}}}}));
    assert!(removed.len() == 1 && removed[0].contains("removes what `logging.level` says"), "{removed:?}");
}

#[test]
fn an_override_without_a_conflict_is_allowed() {
    for program in [
        json!({"version": "25.8.30.16", "resources": {"limits": {"cpu": "2"}},
            "chiOverrides": pod(json!({"name": "clickhouse", "env": [{"name": "A", "value": "b"}]}))}),
        json!({"version": "25.8.30.16", "chiOverrides": pod(json!({"name": "sidecar", "image": "x:1"}))}),
        json!({"version": "25.8.30.16", "chiOverrides": pod(json!({"name": "clickhouse",
            "image": "mine/clickhouse:25.8.30.16"}))}),
        json!({"replicas": 2, "shards": 2,
            "chiOverrides": {"templates": {"podTemplates": [{"name": "clickhouse",
                "spec": {"affinity": {"$patch": "delete"}}}]}}}),
        json!({"name": "db", "clusterName": "cluster", "replicas": 2,
            "chiOverrides": {"configuration": {"zookeeper": {"session_timeout_ms": 1,
                "nodes": [{"host": "x"}]}}}}),
        json!({"storage": {"size": "1Gi", "logs": {"size": "2Gi"}},
            "chiOverrides": data(json!({"name": "data",
                "spec": {"resources": {"requests": {"storage": "1024Mi"}}}}))}),
        json!({"stopped": true, "chiOverrides": {"stop": "1"}}),
        // The volume's own template still says so.
        json!({"storage": {"reclaimPolicy": "Retain"},
            "chiOverrides": {"defaults": {"storageManagement": {"$patch": "delete"}}}}),
        json!({"labels": {"a": "b"}, "skipAwait": true,
            "chiOverrides": {"configuration": {"settings": {"max_connections": 1}}}}),
        json!({"version": "25.8.30.16",
            "chiOverrides": {"templates": {"podTemplates": [{"name": "clickhouse",
                "spec": {"containers": [{"name": "clickhouse", "$patch": "delete"}, {"name": "mine",
                    "image": "x:1"}]}}]}}}),
    ] {
        assert_eq!(conflicts_of(program.clone()), [""; 0], "{program}");
    }
}

#[test]
fn a_password_beside_one_in_the_overrides_is_refused() {
    // Lifecycle H7.
    let overrides =
        |user: &str| json!({"configuration": {"users": {format!("{user}/password_sha256_hex"): "00"}}});
    for (admin, input) in [
        (json!({"password": "x"}), "admin.password"),
        (json!({"existingSecret": {"name": "s"}}), "admin.existingSecret"),
        (json!({"passwordVersion": "2"}), "admin.passwordVersion"),
        (json!({"username": "boss", "passwordVersion": "2"}), "admin.passwordVersion"),
    ] {
        let user = admin["username"].as_str().unwrap_or("default").to_owned();
        let found = conflicts_of(json!({"admin": admin, "chiOverrides": overrides(&user)}));
        assert!(
            found.len() == 1
                && found[0].starts_with(&format!("{input}: "))
                && found[0].contains("chiOverrides.configuration.users"),
            "{found:?}"
        );
        assert_eq!(conflicts_of(json!({"admin": admin, "chiOverrides": overrides("reader")})), [""; 0]);
    }
    assert_eq!(conflicts_of(json!({"chiOverrides": overrides("default")})), [""; 0]);
    let program = json!({"chiOverrides": overrides("default")});
    let given =
        Known { value: args(program.clone()), unknown: [PropertyPath::from("admin.password")].into() };
    assert_eq!(conflicts(&given, &checked(program)).len(), 1);
}

#[test]
fn what_a_refresh_or_an_import_writes_conflicts_with_nothing() {
    for program in super::adopt::programs() {
        let live = super::adopt::live(program.clone());
        let inputs = crate::kubernetes::cluster::adopt::inputs(&live, &urn(), &login());
        let given = Known::all(inputs);
        let filled = fill(&urn(), &Autonaming::Default, "apps", None, &given).unwrap();
        assert_eq!(conflicts(&given, &filled), [], "{program}");
    }
}

#[test]
fn a_setting_or_a_file_that_another_input_says_is_refused() {
    for (program, problem) in [
        (
            json!({"logging": {"level": "debug"}, "settings": {"logger/level": "trace", "logger/count": 3}}),
            "settings.logger/level: `logging.level` says it already",
        ),
        (
            json!({"settings": {"logger/level": "trace"}}),
            "settings.logger/level: `logging.level` says it already",
        ),
        (
            json!({"roles": {"r": {"grants": ["GRANT SELECT ON a.*"]}},
                "files": {"users.d/pulumi-roles.xml": "<clickhouse/>"}}),
            "files[\"users.d/pulumi-roles.xml\"]: another input says it already",
        ),
    ] {
        let found = conflicts_of(program.clone());
        assert!(found.len() == 1 && found[0].starts_with(problem), "{program}: {found:?}");
    }
    let others =
        json!({"settings": {"logger/count": 3}, "files": {"users.d/pulumi-roles.xml": "<clickhouse/>"}});
    assert_eq!(conflicts_of(others), Vec::<String>::new());
    let of_user = json!({"users": {"app": {"password": "x"}, "web": {"password": "y"}},
        "chiOverrides": {"configuration": {"users": {"app/password_sha256_hex": "00", "web/profile": "p"}}}});
    let found = conflicts_of(of_user);
    assert!(
        found.len() == 1 && found[0].starts_with("users.app: ") && found[0].contains("another credential"),
        "{found:?}"
    );
    let by_override = json!({"settings": {"max_connections": 5},
        "chiOverrides": {"configuration": {"settings": {"max_connections": 7}}}});
    let found = conflicts_of(by_override);
    assert!(found.len() == 1 && found[0].contains("chiOverrides.configuration.settings"), "{found:?}");
}
