//! Who owns which field of an object, as the API server keeps it in `metadata.managedFields`: server-side
//! apply, its conflicts, and what becomes of fields that nobody applies any more. A list counts as one field,
//! as it does in the operator's definitions.

use serde_json::{Value, json};

use super::fields::{Field, Fields, Manager, Owners, get, has_within, keys, of, overlapping, set_owners};

/// A field that is to get another value than the one its manager gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Conflict {
    pub(crate) manager: Manager,
    pub(crate) field: Field,
}

fn set(object: &mut Value, field: &str, value: Value) {
    let mut at = object;
    for key in keys(field) {
        if !at.is_object() {
            *at = json!({});
        }
        let map = at.as_object_mut().unwrap();
        if !map.contains_key(key) {
            map.insert(key.to_owned(), Value::Null);
        }
        at = map.get_mut(key).unwrap();
    }
    *at = value;
}

/// Takes out what stands where keys lead, and the objects that are empty without it; whether this one is to go.
fn remove<'a>(object: &mut Value, mut keys: impl Iterator<Item = &'a str>) -> bool {
    let Some(map) = object.as_object_mut() else { return false };
    let Some(key) = keys.next() else { return true };
    let is_gone = map.get_mut(key).is_some_and(|below| match below {
        Value::Object(_) => remove(below, keys),
        _ => keys.next().is_none(),
    });
    if is_gone {
        map.remove(key);
    }
    map.is_empty()
}

/// `live` (null where there is nothing) of `owners` after `manager` has applied `manifest`.
pub(super) fn apply(
    live: &Value,
    mut owners: Owners,
    manifest: &Value,
    manager: &Manager,
    force: bool,
) -> Result<(Value, Owners), Vec<Conflict>> {
    let mut result = live.clone();
    let given = of(manifest);
    let before = owners.remove(manager).unwrap_or_default();
    let mut conflicts = Vec::new();
    for field in &given {
        let value = get(manifest, field);
        for (other, fields) in &mut owners {
            // Who owns an object owns none of what is in it, and an empty one leaves in it what others have.
            let is_apart = |theirs: &str| {
                is_map(live, theirs) || (theirs.len() > field.len() && value == Some(&json!({})))
            };
            let differs = |theirs: &&Field| !is_apart(theirs) && get(live, theirs) != get(manifest, theirs);
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
            remove(&mut result, keys(field));
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
    set_owners(&mut result, &mut owners);
    Ok((result, owners))
}

/// `new` of `owners`, which `manager` has put in the place of `live`: it owns what it has changed.
pub(super) fn update(live: &Value, mut new: Value, mut owners: Owners, manager: &Manager) -> (Value, Owners) {
    let fields = of(&new);
    let changed: Fields = fields.into_iter().filter(|field| get(live, field) != get(&new, field)).collect();
    for (other, theirs) in &mut owners {
        if other != manager {
            theirs.retain(|field| !changed.contains(field));
        }
    }
    owners.entry(manager.clone()).or_default().extend(changed);
    keep_what_is_there(&new, &mut owners);
    set_owners(&mut new, &mut owners);
    (new, owners)
}

fn keep_what_is_there(object: &Value, owners: &mut Owners) {
    for fields in owners.values_mut() {
        fields.retain(|field| get(object, field).is_some());
    }
}

fn is_map(object: &Value, field: &str) -> bool {
    get(object, field).is_some_and(Value::is_object)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::fake::fields::owners;

    #[expect(clippy::needless_pass_by_value, reason = "specs are written where they are used")]
    fn object(spec: Value) -> Value {
        json!({"apiVersion": "v1", "kind": "Thing", "metadata": {"name": "x"}, "spec": spec})
    }

    fn made_by(name: &str, spec: Value) -> Value {
        update(&Value::Null, object(spec), Owners::new(), &Manager::new(name, false)).0
    }

    fn applied(live: &Value, spec: Value, force: bool) -> Result<Value, Vec<Conflict>> {
        apply(live, owners(live), &object(spec), &ours(), force).map(|(applied, _)| applied)
    }

    fn ours() -> Manager {
        Manager::new("ours", true)
    }

    #[test]
    fn the_same_value_is_shared_and_another_one_a_conflict() {
        let live = made_by("kubectl", json!({"a": 1, "list": [1, 2], "map": {"b": 1}}));
        let shared = applied(&live, json!({"a": 1}), false).unwrap();
        assert_eq!(owners(&shared).len(), 2);
        let conflict = applied(&live, json!({"list": [1]}), false).unwrap_err();
        assert_eq!(
            conflict,
            [Conflict { manager: Manager::new("kubectl", false), field: "spec\0list".into() }]
        );
        let forced = applied(&live, json!({"list": [1]}), true).unwrap();
        assert_eq!(forced["spec"], json!({"a": 1, "list": [1], "map": {"b": 1}}));
        let beside = applied(&live, json!({"map": {"c": 2}}), false).unwrap();
        assert_eq!(beside["spec"]["map"], json!({"b": 1, "c": 2}));
    }

    #[test]
    fn what_is_given_up_goes_unless_somebody_else_owns_it() {
        let live = made_by("helm", json!({"a": 1}));
        let both = applied(&live, json!({"a": 1, "map": {"b": 2}}), false).unwrap();
        let fewer = applied(&both, json!({}), false).unwrap();
        assert_eq!(fewer["spec"], json!({"a": 1}));
    }

    #[test]
    fn who_changes_a_field_takes_it_from_its_owner() {
        let live = applied(&Value::Null, json!({"a": 1, "b": 1}), false).unwrap();
        let mut edited = live.clone();
        edited["spec"]["a"] = json!(2);
        let (live, owners) = update(&live, edited, owners(&live), &Manager::new("kubectl-edit", false));
        assert_eq!(owners[&ours()].len(), 1);
        assert!(applied(&live, json!({"a": 1, "b": 1}), false).is_err());
    }
}
