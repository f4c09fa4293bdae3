use serde_json::json;

use super::*;
use crate::kubernetes::cluster::guard::refusals;

fn refused(old: Value, new: Value) -> Vec<String> {
    told(refusals(&checked(old), &Known::all(checked(new))))
}

#[test]
fn what_loses_data_is_refused_with_what_would_be_lost() {
    let base = json!({"name": "db", "shards": 2, "replicas": 2});
    for (change, path, lost) in [
        (json!({"shards": 1}), "shards", "`chi-db-cluster-1-0`, `chi-db-cluster-1-1`"),
        (json!({"replicas": 1, "coordination": {"keeper": {}}}), "replicas", "`chi-db-cluster-0-1`, `chi-db-cluster-1-1`"),
        (json!({"name": "other"}), "name", "its 4 volumes"),
        (json!({"namespace": "other"}), "namespace", "its 4 volumes"),
        (json!({"clusterName": "other"}), "clusterName", "its 4 volumes"),
        (json!({"storage": {"reclaimPolicy": "Delete"}}), "storage.reclaimPolicy", "its 4 volumes"),
        (json!({"storage": {"ephemeral": true}}), "storage.ephemeral", "its 4 volumes"),
        (json!({"coordination": {"external": {"nodes": ["zk:2181"]}}}), "coordination", "read-only"),
    ] {
        let mut new = base.clone();
        new.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let found = refused(base.clone(), new.clone());
        assert!(
            found.len() == 1
                && found[0].starts_with(&format!("{path}: "))
                && found[0].contains(lost)
                && found[0].contains("allowDataLoss: true"),
            "{change}: {found:?}"
        );
        new["allowDataLoss"] = json!(true);
        assert_eq!(refused(base.clone(), new), Vec::<String>::new(), "{change}");
    }
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
    assert_eq!(refused(json!({}), json!({"shards": 3, "replicas": 2, "storage": {"size": "100Gi"}})), Vec::<String>::new());
    let ephemeral = |name| json!({"name": name, "storage": {"ephemeral": true}});
    assert_eq!(refused(ephemeral("a"), ephemeral("b")), Vec::<String>::new());
}

#[test]
fn an_unknown_value_is_not_refused() {
    let new = unknown(json!({"name": "db"}), &["shards"]);
    assert!(refusals(&checked(json!({"name": "db", "shards": 3})), &new).is_empty());
}
