//! What an update is to take out of an adopted installation, and what somebody else's manifest would keep in
//! it.

use serde_json::Value;

use super::aspects::{ClusterArgs, Naming, ValidatedCluster};
use super::manifest::installations;
use super::{Failed, validate};
use crate::kubernetes::meta::{FIELD_MANAGER, Kind, ObjectRef};
use crate::resource::{Failure, FailureKind};

/// Refuses to take out a field that others apply, too: it would stay. With `forceConflicts` it is taken from
/// them.
pub(super) fn refuse_shared(
    old: &ClusterArgs,
    new: &ValidatedCluster,
    live: Option<&Value>,
) -> Result<(), Failed> {
    let Some(live) = live.filter(|_| new.adopted.is_some() && !new.operations.force_conflicts) else {
        return Ok(());
    };
    let given_up = validate::last(old)
        .map(|old| given_up(&installations(&old).0, &installations(new).0))
        .unwrap_or_default();
    let kept = still_applied(live, &given_up);
    if kept.is_empty() {
        return Ok(());
    }
    let Naming { namespace, name, .. } = &new.naming;
    let object = ObjectRef::new(Kind::Installation, namespace, name);
    let reasons = kept.into_iter().map(|(manager, field)| {
        format!(
            "{object}: `{manager}` applies `{field}`, too, so that it would stay; take it out there, or set \
                `forceConflicts: true` to take it over"
        )
    });
    Err(Failure { kind: FailureKind::Precondition, reasons: reasons.collect(), partial: None })
}

/// The fields of the installation `old` that `new` does not have; a list is one.
fn given_up(old: &Value, new: &Value) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for path in [["spec"].as_slice(), &["metadata", "labels"], &["metadata", "annotations"]] {
        let at = |object: &Value| path.iter().fold(object.clone(), |value, key| value[key].clone());
        let mut path: Vec<_> = path.iter().map(|key| (*key).to_owned()).collect();
        collect(&at(old), Some(&at(new)), &mut path, &mut found);
    }
    found
}

fn collect(old: &Value, new: Option<&Value>, path: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    match old {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                path.push(key.clone());
                collect(value, new.and_then(|new| new.get(key)), path, found);
                path.pop();
            }
        }
        Value::Null => {}
        _ if new.is_none() => found.push(path.clone()),
        _ => {}
    }
}

/// Which of `fields` others apply, each with who does.
fn still_applied(live: &Value, fields: &[Vec<String>]) -> Vec<(String, String)> {
    let entries = live["metadata"]["managedFields"].as_array().into_iter().flatten();
    let others = entries.filter(|entry| entry["operation"] == "Apply" && entry["manager"] != FIELD_MANAGER);
    let mut found = Vec::new();
    for entry in others {
        let has = |field: &&Vec<String>| {
            field.iter().try_fold(&entry["fieldsV1"], |node, key| node.get(format!("f:{key}"))).is_some()
        };
        let manager = entry["manager"].as_str().unwrap_or_default();
        found.extend(fields.iter().filter(has).map(|field| (manager.to_owned(), field.join("."))));
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_given_up_is_told_with_who_keeps_it() {
        let old = json!({"metadata": {"labels": {"a": "1"}}, "spec": {"profiles": {"x/y": 1, "z": 2},
            "list": [1], "stop": "no"}});
        let given_up = given_up(&old, &json!({"spec": {"profiles": {"z": 3}, "stop": "no"}}));
        let told: Vec<_> = given_up.iter().map(|path| path.join(".")).collect();
        assert_eq!(told, ["spec.list", "spec.profiles.x/y", "metadata.labels.a"]);
        let entry = |manager: &str, operation: &str| {
            json!({"manager": manager, "operation": operation,
            "fieldsV1": {"f:spec": {"f:profiles": {"f:x/y": {}}}}})
        };
        let live = json!({"metadata": {"managedFields": [entry("argo", "Apply"), entry(FIELD_MANAGER,
            "Apply"), entry("kubectl", "Update")]}});
        assert_eq!(still_applied(&live, &given_up), [("argo".to_owned(), "spec.profiles.x/y".to_owned())]);
    }
}
