//! Who owns which field of an object, as the API server keeps it in `metadata.managedFields`: server-side
//! apply, its conflicts, and what becomes of fields that nobody applies any more. A list counts as one field,
//! as it does in the operator's definitions.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use serde_json::{Map, Value, json};

/// Where a field stands: the keys that lead to it.
pub(crate) type Path = Vec<String>;
/// A set of fields.
pub(crate) type Fields = BTreeSet<Path>;

/// Who wrote: the name, and whether by server-side apply.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Manager {
    pub(crate) name: String,
    pub(crate) applies: bool,
}

impl Manager {
    pub(crate) fn new(name: &str, applies: bool) -> Self {
        Self { name: name.to_owned(), applies }
    }
}

/// A field that is to get another value than the one its manager gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Conflict {
    pub(crate) manager: Manager,
    pub(crate) field: Path,
}

/// The fields of an object that can be owned.
pub(crate) fn of(object: &Value) -> Fields {
    const OF_METADATA: [&str; 4] = ["annotations", "finalizers", "labels", "ownerReferences"];
    let mut fields = Fields::new();
    for (key, value) in object.as_object().into_iter().flatten() {
        match key.as_str() {
            "apiVersion" | "kind" | "status" => {}
            "metadata" => {
                for name in OF_METADATA {
                    if let Some(value) = value.get(name) {
                        leaves(value, &mut vec![key.clone(), name.to_owned()], &mut fields);
                    }
                }
            }
            _ => leaves(value, &mut vec![key.clone()], &mut fields),
        }
    }
    fields
}

fn leaves(value: &Value, path: &mut Path, fields: &mut Fields) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                path.push(key.clone());
                leaves(value, path, fields);
                path.pop();
            }
        }
        _ => _ = fields.insert(path.clone()),
    }
}

/// What `metadata.managedFields` of an object say.
pub(crate) fn managers(object: &Value) -> BTreeMap<Manager, Fields> {
    let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    let named = entries.filter_map(|entry| {
        let mut fields = Fields::new();
        decode(&entry["fieldsV1"], &mut Vec::new(), &mut fields);
        Some((Manager::new(entry["manager"].as_str()?, entry["operation"] == "Apply"), fields))
    });
    named.collect()
}

fn set_managers(object: &mut Value, managers: &BTreeMap<Manager, Fields>) {
    let api_version = object["apiVersion"].clone();
    let entries: Vec<_> = managers
        .iter()
        .filter(|(_, fields)| !fields.is_empty())
        .map(|(manager, fields)| {
            let operation = if manager.applies { "Apply" } else { "Update" };
            json!({"manager": manager.name, "operation": operation, "apiVersion": api_version,
                "fieldsType": "FieldsV1",
                "time": "2024-05-01T00:00:00Z", "fieldsV1": encode(fields)})
        })
        .collect();
    object["metadata"]["managedFields"] = Value::Array(entries);
}

fn encode(fields: &Fields) -> Value {
    let mut root = Map::new();
    for field in fields {
        let mut node = &mut root;
        for segment in field {
            node = node.entry(format!("f:{segment}")).or_insert_with(|| json!({})).as_object_mut().unwrap();
        }
        node.insert(".".to_owned(), json!({}));
    }
    Value::Object(root)
}

fn decode(node: &Value, path: &mut Path, fields: &mut Fields) {
    let empty = Map::new();
    let node = node.as_object().unwrap_or(&empty);
    if !path.is_empty() && (node.is_empty() || node.contains_key(".")) {
        fields.insert(path.clone());
    }
    for (key, below) in node {
        if let Some(segment) = key.strip_prefix("f:") {
            path.push(segment.to_owned());
            decode(below, path, fields);
            path.pop();
        }
    }
}

/// What stands at a path.
pub(crate) fn get<'a>(object: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(object, |value, key| value.as_object()?.get(key))
}

fn set(object: &mut Value, path: &[String], value: Value) {
    match path.split_first() {
        None => *object = value,
        Some((first, rest)) => {
            if !object.is_object() {
                *object = json!({});
            }
            set(object.as_object_mut().unwrap().entry(first).or_insert(Value::Null), rest, value);
        }
    }
}

/// Takes out what stands at a path, and the objects that are empty without it.
fn remove(object: &mut Value, path: &[String]) {
    let Some((first, rest)) = path.split_first() else { return };
    let Some(map) = object.as_object_mut() else { return };
    if rest.is_empty() {
        map.remove(first);
    } else if let Some(below) = map.get_mut(first) {
        remove(below, rest);
        if below.as_object().is_some_and(Map::is_empty) {
            map.remove(first);
        }
    }
}

/// Those of `fields` that lie in `field`, itself among them: they are next to each other.
fn within<'a>(fields: &'a Fields, field: &'a [String]) -> impl Iterator<Item = &'a Path> {
    let behind = (Bound::Included(field), Bound::Unbounded);
    fields.range::<[String], _>(behind).take_while(move |other| other.starts_with(field))
}

fn has_within(fields: &Fields, field: &[String]) -> bool {
    within(fields, field).next().is_some()
}

/// Those of `fields` in which `field` lies, or which lie in it.
fn overlapping<'a>(fields: &'a Fields, field: &'a [String]) -> impl Iterator<Item = &'a Path> {
    let around = (0..field.len()).filter_map(|length| fields.get(&field[..length]));
    around.chain(within(fields, field))
}

/// `live` (null where there is nothing) after `manager` has applied `manifest`.
pub(crate) fn apply(
    live: &Value,
    manifest: &Value,
    manager: &Manager,
    force: bool,
) -> Result<Value, Vec<Conflict>> {
    let (mut result, mut owners) = (live.clone(), managers(live));
    let given = of(manifest);
    let before = owners.remove(manager).unwrap_or_default();
    let mut conflicts = Vec::new();
    for field in &given {
        let value = get(manifest, field);
        for (other, fields) in &mut owners {
            // Who owns an object owns none of what is in it, and an empty one leaves in it what others have.
            let is_apart = |theirs: &Path| {
                is_map(live, theirs) || (theirs.len() > field.len() && value == Some(&json!({})))
            };
            let differs = |theirs: &&Path| !is_apart(theirs) && get(live, theirs) != get(manifest, theirs);
            let disputed: Vec<_> = overlapping(fields, field).filter(differs).cloned().collect();
            for theirs in disputed {
                if force {
                    fields.remove(&theirs);
                } else {
                    conflicts.push(Conflict { manager: other.clone(), field: theirs });
                }
            }
        }
    }
    if !conflicts.is_empty() {
        return Err(conflicts);
    }
    if !result.is_object() {
        result = json!({"apiVersion": manifest["apiVersion"], "kind": manifest["kind"], "metadata": {}});
        for key in ["name", "namespace"] {
            if let Some(value) = manifest["metadata"].get(key) {
                result["metadata"][key] = value.clone();
            }
        }
    }
    for field in before.iter().filter(|field| !has_within(&given, field)) {
        if !owners.values().any(|other| has_within(other, field)) {
            remove(&mut result, field);
        }
    }
    for field in &given {
        let value = get(manifest, field).cloned().unwrap_or_default();
        if !(value == json!({}) && is_map(&result, field)) {
            set(&mut result, field, value);
        }
    }
    owners.insert(manager.clone(), given);
    keep_what_is_there(&result, &mut owners);
    set_managers(&mut result, &owners);
    Ok(result)
}

/// `new`, which `manager` has put in the place of `live`: it owns what it has changed.
pub(crate) fn update(live: &Value, mut new: Value, manager: &Manager) -> Value {
    let mut owners = managers(&new);
    let fields = of(&new);
    let changed: Fields = fields.into_iter().filter(|field| get(live, field) != get(&new, field)).collect();
    for (other, theirs) in &mut owners {
        if other != manager {
            theirs.retain(|field| !changed.contains(field));
        }
    }
    owners.entry(manager.clone()).or_default().extend(changed);
    keep_what_is_there(&new, &mut owners);
    set_managers(&mut new, &owners);
    new
}

fn keep_what_is_there(object: &Value, owners: &mut BTreeMap<Manager, Fields>) {
    for fields in owners.values_mut() {
        fields.retain(|field| get(object, field).is_some());
    }
}

fn is_map(object: &Value, path: &[String]) -> bool {
    get(object, path).is_some_and(Value::is_object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "specs are written where they are used")]
    fn object(spec: Value) -> Value {
        json!({"apiVersion": "v1", "kind": "Thing", "metadata": {"name": "x"}, "spec": spec})
    }

    fn made_by(name: &str, spec: Value) -> Value {
        update(&Value::Null, object(spec), &Manager::new(name, false))
    }

    fn ours() -> Manager {
        Manager::new("ours", true)
    }

    #[test]
    fn the_same_value_is_shared_and_another_one_a_conflict() {
        let live = made_by("kubectl", json!({"a": 1, "list": [1, 2], "map": {"b": 1}}));
        let shared = apply(&live, &object(json!({"a": 1})), &ours(), false).unwrap();
        assert_eq!(managers(&shared).len(), 2);
        let conflict = apply(&live, &object(json!({"list": [1]})), &ours(), false).unwrap_err();
        assert_eq!(
            conflict,
            [Conflict { manager: Manager::new("kubectl", false), field: vec!["spec".into(), "list".into()] }]
        );
        let forced = apply(&live, &object(json!({"list": [1]})), &ours(), true).unwrap();
        assert_eq!(forced["spec"], json!({"a": 1, "list": [1], "map": {"b": 1}}));
        let beside = apply(&live, &object(json!({"map": {"c": 2}})), &ours(), false).unwrap();
        assert_eq!(beside["spec"]["map"], json!({"b": 1, "c": 2}));
    }

    #[test]
    fn what_is_given_up_goes_unless_somebody_else_owns_it() {
        let live = made_by("helm", json!({"a": 1}));
        let both = apply(&live, &object(json!({"a": 1, "map": {"b": 2}})), &ours(), false).unwrap();
        let fewer = apply(&both, &object(json!({})), &ours(), false).unwrap();
        assert_eq!(fewer["spec"], json!({"a": 1}));
    }

    #[test]
    fn who_changes_a_field_takes_it_from_its_owner() {
        let live = apply(&Value::Null, &object(json!({"a": 1, "b": 1})), &ours(), false).unwrap();
        let mut edited = live.clone();
        edited["spec"]["a"] = json!(2);
        let live = update(&live, edited, &Manager::new("kubectl-edit", false));
        assert_eq!(managers(&live)[&ours()].len(), 1);
        assert!(apply(&live, &object(json!({"a": 1, "b": 1})), &ours(), false).is_err());
    }
}
