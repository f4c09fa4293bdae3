//! What changes between two sets of inputs, property by property. Pure; no network.

use serde_json::Value;

use super::aspects::{self, ClusterArgs};
use super::objects::{Row, TABLE};
use super::state::ClusterState;
use super::validate;
use crate::kubernetes::quantity;
use crate::property::path::PropertyPath;
use crate::resource::{Change, ChangeKind, Diff, Known, Paths};

/// Compares the inputs of the last run with the new ones, and what the last refresh found with what there
/// should be.
pub(super) fn diff(old: &ClusterArgs, old_state: Option<&ClusterState>, new: &Known<ClusterArgs>) -> Diff {
    let mut changes = Vec::new();
    // Inputs as an import or an earlier release of the provider left them: what they don't say is the default
    // there, too.
    let old = &aspects::with_defaults(old.clone(), false);
    let completed = aspects::with_defaults(new.value.clone(), false);
    let (old_json, new_json) = (to_json(old), to_json(&completed));
    compare(&PropertyPath::root(), &old_json, &new_json, new, &mut changes);
    for unknown in &new.unknown {
        // What is not known yet may well be another value.
        if !changes.iter().any(|change: &Change| change.path == *unknown) {
            let kind =
                if unknown.find_in(&old_json).is_some() { ChangeKind::Update } else { ChangeKind::Add };
            changes.push(Change::of_input(unknown.clone(), kind));
        }
    }
    let rotated = completed.made_with().rotated.into_iter().map(|input| PropertyPath::from(input.as_str()));
    changes.extend(rotated.map(|path| Change::of_input(path, ChangeKind::Update)));
    changes.retain(|change| !change.path.top_level().is_some_and(aspects::changes_nothing));
    changes.extend(missing(old, old_state, &completed));
    // What is not known yet can't be told from a rename that would lose the data. Only where that is allowed
    // is it one: else the guard refuses it once it is known, and Pulumi must not delete the cluster before.
    let may_rename = new.value.operations.allow_data_loss == Some(true) || is_ephemeral(old);
    let in_place = if may_rename { Paths::new() } else { new.unknown.clone() };
    let renamed = |pick: fn(&ClusterArgs) -> &Option<String>, path: &str| {
        pick(old) != pick(&new.value) || new.is_unknown(&path.into())
    };
    let same_place =
        !renamed(|args| &args.naming.name, "name") && !renamed(|args| &args.naming.namespace, "namespace");
    // Two clusters of one name in one namespace would be one. Where Pulumi replaces for reasons of its own
    // there is only one, too, and the create takes it over as it is: deleting it first would cost its hosts,
    // and its volumes where they are deleted with it.
    let other_hosts = renamed(|args| &args.naming.cluster_name, "clusterName")
        && (may_rename || !new.is_unknown(&"clusterName".into()));
    Diff { delete_before_replace: same_place && other_hosts, changes, in_place }
}

fn is_ephemeral(args: &ClusterArgs) -> bool {
    args.storage.as_ref().is_some_and(|storage| storage.ephemeral == Some(true))
}

/// Objects that a refresh did not find any more, and those whose deletion failed, or waits for an update that
/// is waited for.
fn missing(old: &ClusterArgs, old_state: Option<&ClusterState>, new: &ClusterArgs) -> Vec<Change> {
    let Some(state) = old_state else { return Vec::new() };
    let (before, after) =
        (validate::anyway(&Known::all(old.clone())), validate::anyway(&Known::all(new.clone())));
    let change = |row: &Row| match (row.is_wanted(&before), row.is_wanted(&after)) {
        (true, true) if row.is_missing(state) => {
            Some(Change::of_output(row.output().as_str(), ChangeKind::Add))
        }
        (_, false) if state.uids[row.part].is_some() && new.is_awaited() => {
            Some(Change::of_output(row.uid_path().as_str(), ChangeKind::Delete))
        }
        _ => None,
    };
    TABLE.iter().filter(|row| row.is_own()).filter_map(change).collect()
}

fn to_json(args: &ClusterArgs) -> Value {
    // A struct of strings, numbers and maps with string keys has a JSON form.
    serde_json::to_value(args).unwrap_or(Value::Null)
}

/// Collects the leaves in which `old` and `new` differ.
fn compare(
    path: &PropertyPath,
    old: &Value,
    new: &Value,
    known: &Known<ClusterArgs>,
    changes: &mut Vec<Change>,
) {
    if known.unknown.iter().any(|unknown| unknown.contains(path)) {
        return;
    }
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            for (key, value) in old {
                let below = path.key(key);
                match new.get(key) {
                    Some(new) => compare(&below, value, new, known, changes),
                    None if known.is_unknown(&below) => {}
                    None => leaves(&below, value, ChangeKind::Delete, changes),
                }
            }
            for (key, value) in new.iter().filter(|(key, _)| !old.contains_key(*key)) {
                leaves(&path.key(key), value, ChangeKind::Add, changes);
            }
        }
        (Value::Array(old), Value::Array(new)) => {
            for index in 0..old.len().max(new.len()) {
                let below = path.index(index);
                match (old.get(index), new.get(index)) {
                    (Some(old), Some(new)) => compare(&below, old, new, known, changes),
                    (Some(old), None) => leaves(&below, old, ChangeKind::Delete, changes),
                    (None, Some(new)) => leaves(&below, new, ChangeKind::Add, changes),
                    (None, None) => {}
                }
            }
        }
        (old, new) if same(path, old, new) => {}
        _ => changes.push(Change::of_input(path.clone(), ChangeKind::Update)),
    }
}

/// Every leaf of `value` as added or deleted; an empty object or list is a leaf.
fn leaves(path: &PropertyPath, value: &Value, kind: ChangeKind, changes: &mut Vec<Change>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                leaves(&path.key(key), value, kind, changes);
            }
        }
        Value::Array(list) if !list.is_empty() => {
            for (index, value) in list.iter().enumerate() {
                leaves(&path.index(index), value, kind, changes);
            }
        }
        _ => changes.push(Change::of_input(path.clone(), kind)),
    }
}

fn same(path: &PropertyPath, old: &Value, new: &Value) -> bool {
    old == new
        || matches!((old, new), (Value::String(old), Value::String(new))
            if aspects::is_quantity(&path.to_string()) && quantity::same(old, new))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kubernetes::cluster::state::Uids;
    use crate::schema::fields::Fields;

    fn args(json: Value) -> ClusterArgs {
        serde_json::from_value(json).expect("args")
    }

    fn paths(old: Value, new: Value) -> Vec<(String, ChangeKind, bool)> {
        let new = aspects::with_defaults(args(new), false);
        let diff =
            diff(&args(old), None, &Known::all(new)).mark_replacing(&Fields::of_inputs::<ClusterArgs>());
        diff.changes
            .into_iter()
            .map(|change| (change.path.to_string(), change.kind, change.replace))
            .collect()
    }

    #[test]
    fn the_same_inputs_do_not_differ_however_their_quantities_are_spelled() {
        let old = json!({"name": "db", "storage": {"size": "1Gi"}, "resources": {"limits": {"cpu": "2"}}});
        let new =
            json!({"name": "db", "storage": {"size": "1024Mi"}, "resources": {"limits": {"cpu": "2000m"}}});
        assert_eq!(paths(old.clone(), old.clone()), []);
        assert_eq!(paths(old, new), []);
    }

    #[test]
    fn a_change_is_told_at_its_leaf() {
        let old = json!({"shards": 1, "labels": {"a.b/c": "1"}, "admin": {"networks": ["10.0.0.0/8"]}});
        let new = json!({"shards": 2, "ingress": {"hostname": "db.example"},
            "admin": {"networks": ["10.0.0.0/8", "::1"]}});
        assert_eq!(
            paths(old, new),
            [
                ("admin.networks[1]".to_owned(), ChangeKind::Add, false),
                ("labels[\"a.b/c\"]".to_owned(), ChangeKind::Delete, false),
                ("shards".to_owned(), ChangeKind::Update, false),
                ("ingress.hostname".to_owned(), ChangeKind::Add, false),
            ]
        );
    }

    #[test]
    fn identity_replaces_and_instructions_change_nothing() {
        assert_eq!(
            paths(json!({"name": "a"}), json!({"name": "b", "allowDataLoss": true, "skipAwait": true})),
            [("name".to_owned(), ChangeKind::Update, true)]
        );
    }

    #[test]
    fn a_replacement_in_the_same_place_deletes_first() {
        let old = args(json!({"name": "a", "namespace": "n", "clusterName": "one"}));
        let other = |json| diff(&old, None, &Known::all(args(json))).delete_before_replace;
        assert!(other(json!({"name": "a", "namespace": "n", "clusterName": "two"})));
        assert!(!other(json!({"name": "b", "namespace": "n", "clusterName": "one"})));
    }

    #[test]
    fn a_replacement_of_pulumis_own_takes_the_cluster_over_instead_of_deleting_it_first() {
        let old = args(json!({"name": "a", "namespace": "n", "clusterName": "one"}));
        let new = args(json!({"name": "a", "namespace": "n", "clusterName": "one", "restartToken": "2"}));
        assert!(!diff(&old, None, &Known::all(new)).delete_before_replace);
    }

    #[test]
    fn an_unknown_name_replaces_only_where_data_may_be_lost() {
        let replaces = |old: Value, new: Value| {
            let known =
                Known { value: aspects::with_defaults(args(new), false), unknown: ["name".into()].into() };
            diff(&args(old), None, &known)
                .mark_replacing(&Fields::of_inputs::<ClusterArgs>())
                .changes
                .iter()
                .any(|change| change.replace)
        };
        assert!(!replaces(json!({"name": "a"}), json!({})));
        assert!(replaces(json!({"name": "a"}), json!({"allowDataLoss": true})));
        assert!(replaces(
            json!({"name": "a", "storage": {"ephemeral": true}}),
            json!({"storage": {"ephemeral": true}})
        ));
    }

    #[test]
    fn an_unknown_value_counts_as_changed() {
        let known = Known {
            value: aspects::with_defaults(args(json!({"shards": 1})), false),
            unknown: ["labels.team".into()].into(),
        };
        let diff = diff(&args(json!({"shards": 1, "labels": {"team": "x"}})), None, &known);
        assert_eq!(diff.changes, [Change::of_input("labels.team", ChangeKind::Update)]);
    }

    #[test]
    fn a_missing_service_or_secret_is_a_change_of_outputs() {
        let uids = Uids { installation: Some("u".into()), ..Uids::default() };
        let state = ClusterState { password: Some("x".into()), uids, ..ClusterState::default() };
        let found =
            diff(&args(json!({})), Some(&state), &Known::all(aspects::with_defaults(args(json!({})), false)))
                .changes;
        assert_eq!(
            found.iter().map(|change| change.path.to_string()).collect::<Vec<_>>(),
            ["credentialsSecret", "endpoints"]
        );
        assert!(found.iter().all(|change| !change.of_inputs && !change.replace));
    }
}
