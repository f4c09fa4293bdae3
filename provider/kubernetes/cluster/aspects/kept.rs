//! What somebody else's installation has that no property of Pulumi's can carry: it stays as it is until the
//! program says something else in its place.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::super::manifest::merge_key;
use super::credentials::says_credential;

/// From here on not every whole number has an `f64` of its own, which is what Pulumi carries numbers in.
const INEXACT: u64 = 1 << 53;

/// Values that were taken out of a `spec`, each with the keys that lead to it, and as JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(in super::super) struct Kept(Vec<(Vec<String>, String)>);

impl Kept {
    /// Takes out of `spec` what can't be carried, and the objects that are empty without it.
    pub(in super::super) fn take(spec: &mut Value) -> Self {
        let mut kept = Self::default();
        if let Value::Object(fields) = spec {
            kept.take_fields(fields, &mut Vec::new());
        }
        kept
    }

    /// Puts it back where `spec` has nothing in its place.
    pub(super) fn restore(&self, spec: &mut Value) {
        for (path, json) in &self.0 {
            if let Ok(value) = serde_json::from_str(json) {
                put(spec, "", path, value);
            }
        }
    }

    fn take_fields(&mut self, fields: &mut Map<String, Value>, path: &mut Vec<String>) {
        fields.retain(|key, value| {
            path.push(key.clone());
            // A secret among the overrides is marked as one; in quotes it means the same.
            if !can_be_carried(value) && value.is_number() && says_credential(&key.to_lowercase()) {
                *value = Value::String(value.to_string());
            }
            let is_carried = match value {
                value if !can_be_carried(value) => {
                    self.0.push((path.clone(), value.to_string()));
                    false
                }
                Value::Object(below) if !below.is_empty() => {
                    self.take_fields(below, path);
                    !below.is_empty()
                }
                Value::Array(elements) => {
                    self.take_elements(key, elements, path);
                    true
                }
                _ => true,
            };
            path.pop();
            is_carried
        });
    }

    fn take_elements(&mut self, list: &str, elements: &mut [Value], path: &mut Vec<String>) {
        let key = merge_key(list, elements);
        for (index, element) in elements.iter_mut().enumerate() {
            let name =
                key.and_then(|key| element[key].as_str()).map_or_else(|| index.to_string(), str::to_owned);
            if let Value::Object(fields) = element {
                path.push(name);
                self.take_fields(fields, path);
                path.pop();
            }
        }
    }
}

/// Whether a property can hold it: no null, and no whole number that would come out as another one.
fn can_be_carried(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Number(number) => {
            let magnitude = number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs));
            magnitude.is_none_or(|magnitude| magnitude < INEXACT)
        }
        Value::Array(items) => items.iter().all(|item| !item.is_number() || can_be_carried(item)),
        _ => true,
    }
}

/// Puts `value` at `path` below `target`, which stands under `key`.
fn put(target: &mut Value, key: &str, path: &[String], value: Value) {
    let Some((first, rest)) = path.split_first() else { return };
    match target {
        Value::Array(elements) => {
            let named = merge_key(key, elements);
            let is_it = |(index, element): (usize, &Value)| match named {
                Some(named) => element[named] == first.as_str(),
                None => index.to_string() == *first,
            };
            if let Some(index) = elements.iter().enumerate().position(is_it) {
                put(&mut elements[index], "", rest, value);
            }
        }
        Value::Object(fields) if rest.is_empty() => _ = fields.entry(first).or_insert(value),
        Value::Object(fields) => {
            put(fields.entry(first).or_insert_with(|| Value::Object(Map::new())), first, rest, value);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_taken_out_comes_back_in_its_place() {
        let spec = json!({
            "configuration": {"profiles": {"default/max": 9_007_199_254_740_993_u64}, "settings": {"a": 1,
                "b": [1, u64::MAX], "c": null}},
            "templates": {"podTemplates": [{"name": "one"}, {"name": "two",
                "spec": {"containers": [{"x": i64::MIN, "y": 1.5}]}}]},
        });
        let mut taken = spec.clone();
        let kept = Kept::take(&mut taken);
        let left = json!({
            "configuration": {"settings": {"a": 1}},
            "templates": {"podTemplates": [{"name": "one"}, {"name": "two",
                "spec": {"containers": [{"y": 1.5}]}}]},
        });
        assert_eq!(taken, left);
        let stored: Kept = serde_json::from_value(serde_json::to_value(&kept).unwrap()).unwrap();
        stored.restore(&mut taken);
        assert_eq!(taken, spec);
    }

    #[test]
    fn a_credential_is_not_kept_but_said_in_quotes() {
        let mut spec = json!({"users": {"a/password": u64::MAX, "a/quota": u64::MAX}});
        let kept = Kept::take(&mut spec);
        assert_eq!(spec, json!({"users": {"a/password": u64::MAX.to_string()}}));
        assert!(!serde_json::to_string(&kept).unwrap().contains("password"));
    }

    #[test]
    fn what_the_program_says_counts_and_what_it_drops_is_gone() {
        let mut spec = json!({"settings": {"big": u64::MAX}, "containers": [{"name": "a", "big": u64::MAX}]});
        let kept = Kept::take(&mut spec);
        let mut other = json!({"settings": {"big": 1}, "containers": [{"name": "b"}]});
        kept.restore(&mut other);
        assert_eq!(other, json!({"settings": {"big": 1}, "containers": [{"name": "b"}]}));
    }
}
