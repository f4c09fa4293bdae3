//! The patches that are no server-side apply.

use serde_json::{Value, json};

/// A JSON merge patch.
pub(super) fn merge(target: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else { return target.clone_from(patch) };
    if !target.is_object() {
        *target = json!({});
    }
    let target = target.as_object_mut().unwrap();
    for (key, value) in patch {
        if value.is_null() {
            target.remove(key);
        } else {
            merge(target.entry(key).or_insert(Value::Null), value);
        }
    }
}

/// A strategic merge patch, as far as there is a use for it: takes ports away, and merges the rest.
pub(super) fn strategic(target: &mut Value, patch: &Value) {
    let mut rest = patch.clone();
    if let Some(Value::Array(ports)) = rest["spec"].as_object_mut().and_then(|spec| spec.remove("ports")) {
        assert!(ports.iter().all(|port| port["$patch"] == "delete"), "{patch}");
        let is_gone = |port: &Value| {
            ports.iter().any(|gone| ["port", "protocol"].iter().all(|key| gone[key] == port[key]))
        };
        target["spec"]["ports"].as_array_mut().unwrap().retain(|port| !is_gone(port));
    }
    merge(target, &rest);
}
