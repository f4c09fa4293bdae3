//! Values compared field by field, and programs changed in one.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::property::json::from_json;
use crate::property::{PropertyMap, PropertyValue};

/// Where a field stands: the keys that lead to it.
pub(super) type Path = Vec<String>;

/// A field that differs, with its value before and after.
pub(super) type Difference = (Path, Option<Value>, Option<Value>);

/// Every field that differs, with its values.
pub(super) fn differences(before: &Value, after: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    compare(&mut Vec::new(), Some(before), Some(after), &mut found);
    found
}

/// What stands at a path.
pub(super) fn get<'a>(object: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(object, |value, key| value.as_object()?.get(key))
}

fn compare(at: &mut Path, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<Difference>) {
    let entries = |value: Option<&Value>| -> Option<BTreeMap<String, Value>> {
        match value? {
            Value::Object(map) => Some(map.iter().map(|(key, value)| (key.clone(), value.clone())).collect()),
            Value::Array(list) => Some(
                list.iter().enumerate().map(|(index, value)| (index.to_string(), value.clone())).collect(),
            ),
            _ => None,
        }
    };
    if before == after {
        return;
    }
    match (entries(before), entries(after)) {
        (was, is)
            if [&was, &is].into_iter().flatten().any(|any| !any.is_empty())
                && (was.is_some() || before.is_none())
                && (is.is_some() || after.is_none()) =>
        {
            let (was, is) = (was.unwrap_or_default(), is.unwrap_or_default());
            for key in was.keys().chain(is.keys().filter(|key| !was.contains_key(*key))) {
                at.push(key.clone());
                compare(at, was.get(key), is.get(key), found);
                at.pop();
            }
        }
        _ => found.push((at.clone(), before.cloned(), after.cloned())),
    }
}

/// Writes into a program, or takes out of it; secrets stay around what they are around.
pub(super) fn write(program: &mut PropertyMap, path: &[String], value: Option<&Value>) {
    let Some((first, rest)) = path.split_first() else { return };
    match (rest.is_empty(), value) {
        (true, Some(value)) => _ = program.insert(first.clone(), from_json(value)),
        (true, None) => _ = program.remove(first),
        (false, None) => {
            if let Some(PropertyValue::Map(below)) = program.get_mut(first).map(PropertyValue::exposed_mut) {
                write(below, rest, value);
            }
        }
        (false, Some(_)) => {
            let below =
                program.entry(first.clone()).or_insert_with(|| PropertyMap::new().into()).exposed_mut();
            if !matches!(below, PropertyValue::Map(_)) {
                *below = PropertyMap::new().into();
            }
            if let PropertyValue::Map(below) = below {
                write(below, rest, value);
            }
        }
    }
}

#[test]
fn differences_are_told_field_by_field() {
    use serde_json::json;
    let (before, after) = (json!({"a": [1, {"b": 2}], "c": {}}), json!({"a": [1, {"b": 3}, 4]}));
    let paths: Vec<_> = differences(&before, &after).into_iter().map(|(path, _, _)| path.join(".")).collect();
    assert_eq!(paths, ["a.1.b", "a.2", "c"]);
}
