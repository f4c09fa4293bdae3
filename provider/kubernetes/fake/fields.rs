//! Fields of objects, and who owns them: what `metadata.managedFields` say.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use serde_json::{Map, Value, json};

/// Separates the keys of a field. It sorts before all that keys consist of, so that whatever lies in a field
/// follows it.
const IN: char = '\0';

/// Where a field stands: the keys that lead to it.
pub(super) type Field = Arc<str>;
/// A set of fields.
pub(super) type Fields = BTreeSet<Field>;
/// Who owns which fields of an object.
pub(super) type Owners = BTreeMap<Manager, Fields>;

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

/// The keys that lead to a field.
pub(super) fn keys(field: &str) -> impl Iterator<Item = &str> {
    field.split(IN)
}

/// Those in which a field lies, without itself.
fn around(field: &str) -> impl Iterator<Item = &str> {
    field.match_indices(IN).map(|(end, _)| &field[..end])
}

fn is_within(field: &str, around: &str) -> bool {
    field.strip_prefix(around).is_some_and(|rest| rest.is_empty() || rest.starts_with(IN))
}

/// Those of `fields` that lie in `field`, itself among them: they are next to each other.
fn within<'a>(fields: &'a Fields, field: &'a str) -> impl Iterator<Item = &'a Field> {
    let behind = (Bound::Included(field), Bound::Unbounded);
    fields.range::<str, _>(behind).take_while(move |other| is_within(other, field))
}

pub(super) fn has_within(fields: &Fields, field: &str) -> bool {
    within(fields, field).next().is_some()
}

/// Those of `fields` in which `field` lies, or which lie in it.
pub(super) fn overlapping<'a>(fields: &'a Fields, field: &'a str) -> impl Iterator<Item = &'a Field> {
    around(field).filter_map(|around| fields.get(around)).chain(within(fields, field))
}

/// Goes from a place to a key in it, and back.
fn at<T>(path: &mut String, key: &str, then: impl FnOnce(&mut String) -> T) -> T {
    let length = path.len();
    if length > 0 {
        path.push(IN);
    }
    path.push_str(key);
    let result = then(path);
    path.truncate(length);
    result
}

/// The fields of an object that can be owned.
pub(super) fn of(object: &Value) -> Fields {
    const OF_METADATA: [&str; 4] = ["annotations", "finalizers", "labels", "ownerReferences"];
    let (mut fields, mut path) = (Fields::new(), String::new());
    for (key, value) in object.as_object().into_iter().flatten() {
        match key.as_str() {
            "apiVersion" | "kind" | "status" => {}
            "metadata" => {
                for name in OF_METADATA {
                    if let Some(value) = value.get(name) {
                        at(&mut path, key, |path| at(path, name, |path| leaves(value, path, &mut fields)));
                    }
                }
            }
            _ => at(&mut path, key, |path| leaves(value, path, &mut fields)),
        }
    }
    fields
}

fn leaves(value: &Value, path: &mut String, fields: &mut Fields) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                at(path, key, |path| leaves(value, path, fields));
            }
        }
        _ => _ = fields.insert(path.as_str().into()),
    }
}

/// What `metadata.managedFields` of an object say.
pub(super) fn owners(object: &Value) -> Owners {
    let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    let named = entries.filter_map(|entry| {
        let mut fields = Fields::new();
        decode(&entry["fieldsV1"], &mut String::new(), &mut fields);
        Some((Manager::new(entry["manager"].as_str()?, entry["operation"] == "Apply"), fields))
    });
    named.collect()
}

/// Writes the owners into an object; those that own nothing are none.
pub(super) fn set_owners(object: &mut Value, owners: &mut Owners) {
    owners.retain(|_, fields| !fields.is_empty());
    let api_version = object["apiVersion"].clone();
    let entries: Vec<_> = owners
        .iter()
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
        for key in keys(field) {
            node = node.entry(format!("f:{key}")).or_insert_with(|| json!({})).as_object_mut().unwrap();
        }
        node.insert(".".to_owned(), json!({}));
    }
    Value::Object(root)
}

fn decode(node: &Value, path: &mut String, fields: &mut Fields) {
    let empty = Map::new();
    let node = node.as_object().unwrap_or(&empty);
    if !path.is_empty() && (node.is_empty() || node.contains_key(".")) {
        fields.insert(path.as_str().into());
    }
    for (key, below) in node {
        if let Some(key) = key.strip_prefix("f:") {
            at(path, key, |path| decode(below, path, fields));
        }
    }
}

/// What stands at a field.
pub(super) fn get<'a>(object: &'a Value, field: &str) -> Option<&'a Value> {
    keys(field).try_fold(object, |value, key| value.as_object()?.get(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_overlaps_with_those_around_it_and_in_it_and_with_no_other() {
        let object = json!({"spec": {"a": {"b": 1, "c": {"d": 1}}, "ab": 1, "a-b": 1}});
        let fields = of(&object);
        let overlapping = |field: &str| overlapping(&fields, field).cloned().collect::<Vec<_>>();
        assert_eq!(overlapping("spec\0a"), ["spec\0a\0b".into(), "spec\0a\0c\0d".into()]);
        assert_eq!(overlapping("spec\0ab\0c"), ["spec\0ab".into()]);
        assert_eq!(overlapping("spec\0a\0b"), ["spec\0a\0b".into()]);
        assert!(overlapping("spec\0a\0bb").is_empty());
    }

    #[test]
    fn owners_are_what_the_object_says_of_them() {
        let mut object = json!({"apiVersion": "v1", "metadata": {}, "spec": {"a": {"b": 1}, "c.d/e": []}});
        let fields = of(&object);
        let mut written = Owners::from([(Manager::new("kubectl", false), fields)]);
        set_owners(&mut object, &mut written);
        assert_eq!(owners(&object), written);
    }
}
