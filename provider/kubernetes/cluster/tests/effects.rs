use serde_json::json;

use super::super::effects::effects;
use super::*;

fn told_of(old: Value, new: Value) -> Vec<String> {
    let named = |mut program: Value| {
        program["name"] = json!("db");
        cluster(program)
    };
    effects(&named(old), &named(new))
}

#[test]
fn what_hosts_do_not_notice_is_not_told() {
    for new in [
        json!({}),
        json!({"logging": {"level": "debug"}}),
        json!({"admin": {"networks": ["10.0.0.0/8"]}}),
        json!({"storage": {"size": "100Gi"}}),
        json!({"ingress": {"type": "NodePort"}}),
        json!({"chiOverrides": {"configuration": {"settings": {"max_table_size_to_drop": "0"}}}}),
    ] {
        assert_eq!(told_of(json!({}), new.clone()), [""; 0], "{new}");
    }
}

#[test]
fn restarts_are_told_with_their_reasons() {
    let alone = "one after the other; with one replica its shard is away meanwhile";
    for (new, reasons) in [
        (
            json!({"version": "25.9.1.1", "restartToken": "2"}),
            "image `clickhouse/clickhouse-server:25.8.30.16` → `clickhouse/clickhouse-server:25.9.1.1`, restartToken",
        ),
        (json!({"labels": {"team": "x"}, "annotations": {"owner": "y"}}), "labels, annotations"),
        (json!({"resources": {"limits": {"cpu": "4"}}}), "resources"),
        (json!({"coordination": {"external": {"nodes": [{"host": "zookeeper"}]}}}), "coordination"),
        (json!({"storage": {"size": "100Gi", "provisioner": "StatefulSet"}}), "volumes, storage.provisioner"),
        (json!({"chiOverrides": {"configuration": {"settings": {"max_connections": "500"}}}}), "chiOverrides"),
        (
            json!({"chiOverrides": {"templates": {"podTemplates": [{"name": "clickhouse", "spec": {"nodeSelector": {"a": "b"}}}]}}}),
            "chiOverrides",
        ),
    ] {
        assert_eq!(told_of(json!({}), new.clone()), [format!("restarts the hosts {alone} ({reasons})")], "{new}");
    }
    let replicated = told_of(json!({"replicas": 2}), json!({"replicas": 2, "restartToken": "1"}));
    assert_eq!(replicated, ["restarts the hosts one after the other, so each shard keeps serving (restartToken)"]);
}

#[test]
fn the_keepers_restart_is_told_and_is_none_of_the_hosts() {
    let larger = json!({"replicas": 2, "coordination": {"keeper": {"resources": {"limits": {"memory": "2Gi"}}}}});
    assert_eq!(told_of(json!({"replicas": 2}), larger), ["restarts the Keeper's members, one after the other"]);
}

#[test]
fn stopping_and_growing_are_told() {
    assert_eq!(told_of(json!({}), json!({"stopped": true})), ["stops all hosts; volumes and settings stay"]);
    let grown = told_of(json!({}), json!({"shards": 3}));
    assert_eq!(grown, ["adds 2 shards; ClickHouse does not spread existing data over them"]);
}
