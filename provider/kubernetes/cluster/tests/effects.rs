use serde_json::json;

use super::super::effects::{effects, risks, warnings};
use super::super::shape::Shape;
use super::*;

fn named(mut program: Value) -> Value {
    program["name"] = json!("db");
    program
}

fn shape(program: Value) -> Shape {
    Shape::rendered(&cluster(named(program)))
}

fn told_of(old: Value, new: Value) -> Vec<String> {
    effects(&shape(old), &shape(new.clone()), &Known::all(checked(named(new))))
}

#[test]
fn what_hosts_do_not_notice_is_not_told() {
    for new in [
        json!({}),
        json!({"logging": {"level": "debug"}}),
        json!({"admin": {"networks": ["10.0.0.0/8"]}}),
        json!({"users": {"app": {"password": "x", "settings": {"max_threads": 1}}},
            "quotas": {"q": {"intervals": [{"seconds": 60}]}},
            "roles": {"r": {"grants": ["GRANT SELECT ON a.*"]}},
            "settings": {"max_concurrent_queries": 9}, "files": {"users.d/a.xml": "<clickhouse/>"}}),
        json!({"storage": {"size": "100Gi"}}),
        json!({"ingress": {"type": "NodePort"}}),
        json!({"chiOverrides": {"configuration": {"settings": {"max_table_size_to_drop": "0"}}}}),
    ] {
        assert_eq!(told_of(json!({}), new.clone()), [""; 0], "{new}");
    }
}

#[test]
fn restarts_are_told_with_their_reasons() {
    let alone = "one after the other; a shard with one replica is unavailable during its restart";
    for (new, reasons) in [
        (
            json!({"version": "26.9.1.1", "restartToken": "2"}),
            "image `clickhouse/clickhouse-server:26.3.33.24` → `clickhouse/clickhouse-server:26.9.1.1`, \
                restartToken",
        ),
        (json!({"labels": {"team": "x"}, "annotations": {"owner": "y"}}), "labels, annotations"),
        (json!({"resources": {"limits": {"cpu": "4"}}}), "resources"),
        (json!({"coordination": {"external": {"nodes": [{"host": "zookeeper"}]}}}), "coordination"),
        (json!({"storage": {"size": "100Gi", "provisioner": "StatefulSet"}}), "volumes, storage.provisioner"),
        (json!({"chiOverrides": {"configuration": {"settings": {"max_connections": "500"}}}}), "settings"),
        (
            json!({"settings": {"max_connections": 500}, "files": {"a.xml": "<clickhouse/>"}, "profiles":
                {"default": {"settings": {"background_pool_size": 9}}}}),
            "settings, files, profiles",
        ),
        (
            json!({"settings": {"kafka/x": {"secret": {"name": "s"}}}, "files":
                {"a": {"secret": {"name": "s"}}}}),
            "settings, files",
        ),
        (
            json!({"chiOverrides": {"configuration": {"users": {"a/password": {"valueFrom": {"secretKeyRef":
                {"name": "s", "key": "k"}}}}}}}),
            "chiOverrides",
        ),
        (
            json!({"chiOverrides": {"templates": {"podTemplates": [{"name": "clickhouse",
                "spec": {"nodeSelector": {"a": "b"}}}]}}}),
            "pod",
        ),
        (json!({"pod": {"env": [{"name": "A", "value": "b"}]}}), "pod"),
        (json!({"pod": {"zones": ["a", "b"], "antiAffinity": "Required"}}), "affinity, pod"),
    ] {
        assert_eq!(
            told_of(json!({}), new.clone()),
            [format!("restarts the hosts {alone} ({reasons})")],
            "{new}"
        );
    }
    let replicated = told_of(json!({"replicas": 2}), json!({"replicas": 2, "restartToken": "1"}));
    assert_eq!(
        replicated,
        ["restarts the hosts one after the other, so each shard keeps serving (restartToken)"]
    );
}

#[test]
fn the_keepers_restart_is_told_and_is_none_of_the_hosts() {
    let larger =
        json!({"replicas": 2, "coordination": {"keeper": {"resources": {"limits": {"memory": "2Gi"}}}}});
    assert_eq!(
        told_of(json!({"replicas": 2}), larger),
        ["restarts the Keeper's members, one after the other"]
    );
}

#[test]
fn stopping_and_growing_are_told() {
    assert_eq!(
        told_of(json!({}), json!({"stopped": true})),
        ["stops all hosts; volumes and settings are kept"]
    );
    let grown = told_of(json!({}), json!({"shards": 3}));
    assert_eq!(grown, ["adds 2 shards; ClickHouse does not move existing data to them"]);
    assert_eq!(
        told_of(json!({}), json!({"shards": 2})),
        ["adds 1 shard; ClickHouse does not move existing data to it"]
    );
    assert_eq!(told_of(json!({"stopped": true}), json!({"version": "26.9.1.1"})), ["starts all hosts"]);
    assert_eq!(told_of(json!({"stopped": true}), json!({"stopped": true, "version": "26.9.1.1"})), [""; 0]);
    let by_override = json!({"chiOverrides": {"configuration": {"clusters": [{"name": "cluster",
        "layout": {"shards": [{}, {}]}}]}}});
    assert_eq!(
        told_of(json!({}), by_override),
        ["adds 1 shard; ClickHouse does not move existing data to it"]
    );
}

#[test]
fn an_override_that_is_for_some_hosts_restarts_these() {
    let small = json!({"configuration": {"clusters": [{"name": "cluster", "layout": {"shards": [{},
        {"templates": {"podTemplate": "small"}}]}}]},
        "templates": {"podTemplates": [{"name": "small", "spec": {"containers": [{"name": "clickhouse",
            "image": "clickhouse/clickhouse-server:26.9.1.1"}]}}]}});
    let told = told_of(json!({"shards": 2}), json!({"shards": 2, "chiOverrides": small}));
    assert!(
        told.len() == 1
            && told[0].starts_with("restarts 1 of 2 hosts one after the other; a shard with one replica"),
        "{told:?}"
    );
    assert!(
        told[0].ends_with(
            "(image `clickhouse/clickhouse-server:26.3.33.24` → \
            `clickhouse/clickhouse-server:26.9.1.1`, resources)"
        ),
        "{told:?}"
    );
    // Another name for the same template is nothing to the pods.
    let renamed = json!({"defaults": {"templates": {"podTemplate": "mine"}},
        "templates": {"podTemplates": [{"name": "mine", "spec": {"containers": [
        {"name": "clickhouse", "image": "clickhouse/clickhouse-server:26.3.33.24",
            "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"cpu": "2",
                "memory": "4Gi"}}}]}}]}});
    assert_eq!(told_of(json!({}), json!({"chiOverrides": renamed})), [""; 0]);
    // Nothing that an override may say can upset the preview.
    for odd in [
        json!("x"),
        json!({"containers": "x"}),
        json!({"containers": [1]}),
        json!({"containers": [{"name": "clickhouse", "volumeMounts": 3}]}),
    ] {
        let odd = json!({"chiOverrides": {"templates": {"podTemplates": [{"name": "clickhouse",
            "metadata": 7, "spec": odd}]}}});
        assert_eq!(told_of(json!({}), odd.clone()).len(), 1, "{odd}");
        assert_eq!(told_of(odd, json!({"restartToken": "1"})).len(), 1);
    }
}

#[test]
fn what_is_not_known_yet_may_restart_the_hosts_and_no_more_is_said() {
    // Lifecycle L18.
    let alone = "one after the other; a shard with one replica is unavailable during its restart";
    let told = |program: Value, paths: &[&str]| {
        let new = unknown(named(program), paths);
        effects(
            &shape(json!({"labels": {"a": "b"}, "restartToken": "1", "replicas": 1})),
            &Shape::rendered(&run_validate(&new).unwrap()),
            &new,
        )
    };
    let same = json!({"labels": {"a": "b"}, "restartToken": "1"});
    assert_eq!(
        told(same.clone(), &["resources.limits.cpu"]),
        [format!("may restart the hosts {alone} (resources: not known yet)")]
    );
    assert_eq!(
        told(json!({"restartToken": "1"}), &["labels.a"]),
        [format!("may restart the hosts {alone} (labels: not known yet)")]
    );
    assert_eq!(told(json!({"labels": {"a": "b"}, "version": "26.9.1.1"}), &["restartToken"]).len(), 1);
    assert!(
        told(json!({"labels": {"a": "b"}, "version": "26.9.1.1"}), &["restartToken"])[0]
            .ends_with("26.9.1.1`)")
    );
    assert_eq!(told(same.clone(), &["shards"]), [""; 0]);
    assert_eq!(told(same, &["clusterName"]), [""; 0]);
}

#[test]
fn what_stays_of_hosts_that_go_is_told() {
    // Lifecycle M12.
    let told = told_of(json!({"replicas": 2, "shards": 2}), json!({"replicas": 2}));
    assert!(
        told.len() == 1
            && told[0].contains("`chi-db-cluster-1-0`")
            && told[0].contains("SYSTEM DROP REPLICA"),
        "{told:?}"
    );
    let alone = told_of(json!({"shards": 2}), json!({}));
    assert!(
        alone.len() == 1 && alone[0].contains("starts with their rows") && !alone[0].contains("SYSTEM"),
        "{alone:?}"
    );
    let deleted = json!({"reclaimPolicy": "Delete"});
    assert_eq!(told_of(json!({"shards": 2, "storage": deleted}), json!({"storage": deleted})), [""; 0]);
}

#[test]
fn what_existing_volumes_and_clients_do_not_take_over_is_told() {
    let told = told_of(json!({}), json!({"storage": {"accessModes": ["ReadWriteOncePod"]}}));
    assert_eq!(told, ["existing volumes keep their access modes; only new ones get `ReadWriteOncePod`"]);
    let told = told_of(json!({}), json!({"clusterDomain": "k8s.example"}));
    assert_eq!(
        told,
        ["gives the hosts other DNS names (`*.apps.svc.k8s.example`); clients have to use these"]
    );
}

#[test]
fn a_downgrade_and_new_volumes_for_logs_are_warned_of() {
    // Lifecycle L15 and M15.
    let warned =
        |old: Value, new: Value| warnings(&shape(old), &shape(new.clone()), &Known::all(checked(named(new))));
    let version = |version: &str| json!({"version": version});
    let told = warned(version("25.8.30.16"), version("24.8.1.1.altinitystable"));
    assert_eq!(
        told,
        ["version: `24.8.1.1.altinitystable` is older than `25.8.30.16`, and may not be able to read its \
                data"]
    );
    let keeper = |tag: &str| json!({"replicas": 2, "coordination": {"keeper": {"image": {"tag": tag}}}});
    assert!(warned(keeper("25.8.1"), keeper("25.3"))[0].starts_with("coordination.keeper.image: "));
    for (old, new) in [("25.8", "25.8.30.16"), ("25.8.9", "25.8.10"), ("25.8", "mine")] {
        assert_eq!(warned(version(old), version(new)), [""; 0], "{old} {new}");
    }
    let logs = warned(json!({}), json!({"storage": {"logs": {}}}));
    assert!(logs.len() == 1 && logs[0].starts_with("storage.logs: "), "{logs:?}");
    assert_eq!(
        warned(json!({"storage": {"logs": {}}}), json!({"shards": 2, "storage": {"logs": {}}})),
        [""; 0]
    );
}

#[test]
fn data_that_would_outlive_its_keeper_is_warned_of() {
    // Lifecycle section 2: a destroy with data `Retain` and Keeper `Delete`.
    let with = |data: &str, keeper: &str| {
        json!({"replicas": 2, "storage": {"reclaimPolicy": data},
        "coordination": {"keeper": {"storage": {"reclaimPolicy": keeper}}}})
    };
    let told = risks(&shape(with("Retain", "Delete")));
    assert!(
        told.len() == 1 && told[0].starts_with("coordination.keeper.storage.reclaimPolicy: "),
        "{told:?}"
    );
    for (data, keeper) in [("Retain", "Retain"), ("Delete", "Delete"), ("Delete", "Retain")] {
        assert_eq!(risks(&shape(with(data, keeper))), [""; 0], "{data} {keeper}");
    }
    // Once, when it becomes so.
    let warned = |old: &Value, new: &Value| {
        warnings(&shape(old.clone()), &shape(new.clone()), &Known::all(checked(named(new.clone()))))
    };
    let (before, after) = (with("Delete", "Delete"), with("Retain", "Delete"));
    assert_eq!((warned(&before, &after).len(), warned(&after, &after).len()), (1, 0));
}

#[test]
fn what_newer_operators_refuse_is_told_before_they_do() {
    let users = json!({"a/k8s_secret_password": "db/secret/key", "a/profile": "default"});
    let told = risks(&shape(json!({"chiOverrides": {"configuration": {"users": users}}})));
    assert!(
        told.len() == 1
            && told[0].starts_with("configuration.users.a/k8s_secret_password: operator 0.27.4")
            && told[0].contains("valueFrom.secretKeyRef"),
        "{told:?}"
    );
}
