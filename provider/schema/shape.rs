//! The shape check: holds a value against the JSON Schema of its type and finds everything that does not fit.
//!
//! Decoding stops at the first mistake; this finds them all, and knows the nearest name of an unknown one. No reason
//! that it gives contains a value, so a secret can't show, wherever it stands.

use serde_json::{Map, Value};

use crate::property::path::PropertyPath;
use crate::resource::{CheckFailure, Paths};

/// The schema keyword of a struct that may also be written as one text.
pub const TEXT_FORM: &str = "textForm";

/// Everything about `value` that does not fit `schema`, in the order of the properties' names.
///
/// `null` counts as absent. Nothing is said about what stands at or below an `unknown` path, nor about top-level properties
/// that begin with `__`, which the engine keeps there for itself.
pub fn check(schema: &Value, value: &Value, unknown: &Paths) -> Vec<CheckFailure> {
    let mut check = Check { root: schema, unknown, failures: Vec::new() };
    check.visit(schema, value, &PropertyPath::root());
    check.failures
}

struct Check<'a> {
    root: &'a Value,
    unknown: &'a Paths,
    failures: Vec<CheckFailure>,
}

impl<'a> Check<'a> {
    fn fail(&mut self, path: &PropertyPath, reason: impl Into<String>) {
        self.failures.push(CheckFailure::new(path.clone(), reason));
    }

    fn is_unknown(&self, path: &PropertyPath) -> bool {
        self.unknown.iter().any(|unknown| unknown.contains(path))
    }

    fn visit(&mut self, schema: &'a Value, value: &Value, path: &PropertyPath) {
        if value.is_null() || self.is_unknown(path) {
            return;
        }
        // `true`, or an untyped schema: anything goes.
        let Some(schema) = self.resolve(schema).as_object() else { return };
        let constants = constants(schema);
        if !constants.is_empty() {
            if !constants.contains(&value) {
                let names: Vec<String> =
                    constants.iter().filter_map(|constant| constant.as_str()).map(|name| format!("`{name}`")).collect();
                self.fail(path, format!("must be one of {}", names.join(", ")));
            }
            return;
        }
        let Some(expected) = expected_type(schema) else { return };
        match (expected, value) {
            ("object", Value::Object(entries)) => self.visit_object(schema, entries, path),
            ("array", Value::Array(elements)) => {
                if let Some(items) = schema.get("items") {
                    for (index, element) in elements.iter().enumerate() {
                        let path = path.index(index);
                        if element.is_null() && !self.is_unknown(&path) {
                            self.fail(&path, "must not be empty");
                        }
                        self.visit(items, element, &path);
                    }
                }
            }
            ("string", Value::String(_)) | ("boolean", Value::Bool(_)) | ("number", Value::Number(_)) => {}
            ("object", Value::String(_)) if schema.get(TEXT_FORM) == Some(&Value::Bool(true)) => {}
            ("integer", Value::Number(number)) => match number.as_i64().map(i128::from).or(number.as_u64().map(i128::from)) {
                Some(number) => self.visit_integer(schema, number, path),
                None => self.fail(path, "must be a whole number"),
            },
            _ => {
                let remedy = if expected == "string" && (value.is_number() || value.is_boolean()) { ": write it in quotes" } else { "" };
                self.fail(path, format!("must be {}, not {}{remedy}", describe_expected(expected), describe_found(value)));
            }
        }
    }

    fn visit_integer(&mut self, schema: &Map<String, Value>, number: i128, path: &PropertyPath) {
        let written = |keyword| schema.get(keyword).and_then(Value::as_i64).map(i128::from);
        let (least, greatest) = match schema.get("format").and_then(Value::as_str) {
            Some("uint8") => (Some(0), Some(i128::from(u8::MAX))),
            Some("uint16") => (Some(0), Some(i128::from(u16::MAX))),
            Some("uint32") => (Some(0), Some(i128::from(u32::MAX))),
            Some("uint64") => (Some(0), Some(i128::from(u64::MAX))),
            Some("int32") => (Some(i128::from(i32::MIN)), Some(i128::from(i32::MAX))),
            _ => (None, None),
        };
        // A number that the type can hold is left to whoever knows the remedy.
        let least = least.map_or(written("minimum"), |least| written("minimum").filter(|_| number < least).or(Some(least)));
        let greatest = written("maximum").or(greatest);
        match (least, greatest) {
            (Some(least), _) if number < least => self.fail(path, format!("must be at least {least}")),
            (_, Some(greatest)) if number > greatest => self.fail(path, format!("must be at most {greatest}")),
            _ => {}
        }
    }

    fn visit_object(&mut self, schema: &'a Map<String, Value>, entries: &Map<String, Value>, path: &PropertyPath) {
        let properties = schema.get("properties").and_then(Value::as_object);
        for (key, value) in entries {
            if path.is_root() && key.starts_with("__") {
                continue;
            }
            let below = path.key(key);
            match (properties.and_then(|properties| properties.get(key)), schema.get("additionalProperties")) {
                (Some(property), _) => self.visit(property, value, &below),
                (None, Some(Value::Bool(false))) => self.unknown_property(properties, key, &below),
                (None, Some(values)) => self.visit(values, value, &below),
                // A struct's schema says nothing about further properties; serde would drop them unseen.
                (None, None) if properties.is_some() => self.unknown_property(properties, key, &below),
                (None, None) => {}
            }
        }
        for required in schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
            let below = path.key(required);
            if entries.get(required).is_none_or(Value::is_null) && !self.is_unknown(&below) {
                self.fail(&below, "required, but missing");
            }
        }
    }

    fn unknown_property(&mut self, properties: Option<&Map<String, Value>>, key: &str, path: &PropertyPath) {
        if self.is_unknown(path) {
            return;
        }
        let names = properties.into_iter().flat_map(Map::keys).map(String::as_str);
        let reason = if let Some(name) = nearest(key, names.clone()) {
            format!("unknown property; did you mean `{name}`?")
        } else {
            let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
            format!("unknown property; there are {}", names.join(", "))
        };
        self.fail(path, reason);
    }

    /// Follows references and takes the one choice besides `null`.
    fn resolve(&self, mut schema: &'a Value) -> &'a Value {
        loop {
            if let Some(name) = schema.get("$ref").and_then(Value::as_str).and_then(|target| target.strip_prefix("#/$defs/")) {
                schema = &self.root["$defs"][name];
            } else if let Some(choices) = schema.get("anyOf").and_then(Value::as_array)
                && let [only] = choices.iter().filter(|choice| choice["type"] != "null").collect::<Vec<_>>()[..]
            {
                schema = only;
            } else {
                return schema;
            }
        }
    }
}

/// The values of an enum: `oneOf` constants, or `enum`. Empty for everything else.
fn constants(schema: &Map<String, Value>) -> Vec<&Value> {
    let list = |schema: &'_ Map<String, Value>| schema.get("enum").and_then(Value::as_array).is_some();
    let mut values = Vec::new();
    let groups = schema.get("oneOf").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object);
    for group in groups.chain(list(schema).then_some(schema)) {
        values.extend(group.get("const"));
        values.extend(group.get("enum").and_then(Value::as_array).into_iter().flatten().filter(|value| !value.is_null()));
    }
    values
}

/// The type besides `null`; `None` where several or all are allowed.
fn expected_type(schema: &Map<String, Value>) -> Option<&str> {
    match schema.get("type")? {
        Value::Array(types) => match types.iter().filter_map(Value::as_str).filter(|kind| *kind != "null").collect::<Vec<_>>()[..] {
            [only] => Some(only),
            _ => None,
        },
        one => one.as_str(),
    }
}

/// The name that the writer most likely meant.
fn nearest<'n>(written: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let plain = |name: &str| name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    let written = plain(written);
    names
        .map(|name| (strsim::damerau_levenshtein(&written, &plain(name)), name))
        .filter(|(distance, name)| *distance <= 1 + name.len().min(written.len()) / 4)
        .min()
        .map(|(_, name)| name)
}

fn describe_expected(kind: &str) -> &str {
    match kind {
        "string" => "a text",
        "boolean" => "true or false",
        "integer" => "a whole number",
        "number" => "a number",
        "array" => "a list",
        "object" => "an object",
        other => other,
    }
}

fn describe_found(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kubernetes::cluster::aspects::ClusterArgs;
    use crate::schema::of_input;

    fn failures(value: &Value, unknown: &[&str]) -> Vec<String> {
        let unknown = unknown.iter().map(|path| PropertyPath::from(*path)).collect();
        check(&of_input::<ClusterArgs>(), value, &unknown).iter().map(|failure| format!("{}: {}", failure.path, failure.reason)).collect()
    }

    #[test]
    fn a_value_that_fits_has_no_failure() {
        let value = json!({
            "__defaults": [], "shards": 3, "labels": {"a": "b"}, "storage": {"size": "5Gi", "reclaimPolicy": "Delete", "accessModes": ["ReadWriteOnce"]},
            "logging": {"level": "trace"}, "image": null, "chiOverrides": {"anything": [1, {"goes": null}]},
            "coordination": {"external": {"nodes": ["zk:2181", {"host": "zk", "port": 2181}]}},
        });
        assert_eq!(failures(&value, &[]), Vec::<String>::new());
    }

    #[test]
    fn every_mistake_is_found_with_its_path() {
        let value = json!({
            "shards": "3", "replicas": 1.5, "replcas": 2, "labels": {"a": 1}, "stopped": "yes",
            "storage": {"storage_class": "fast", "accessModes": ["Once"], "logs": []},
            "admin": {"networks": "10.0.0.0/8", "wholly": "other"},
            "coordination": {"keeper": {"replicas": -1}, "external": {"nodes": [{"host": "zk", "port": 70000}]}},
        });
        assert_eq!(
            failures(&value, &[]),
            [
                "admin.networks: must be a list, not a text",
                "admin.wholly: unknown property; there are `existingSecret`, `networks`, `password`, `passwordVersion`, `username`",
                "coordination.external.nodes[0].port: must be at most 65535",
                "coordination.keeper.replicas: must be at least 1",
                "labels.a: must be a text, not a number: write it in quotes",
                "replcas: unknown property; did you mean `replicas`?",
                "replicas: must be a whole number",
                "shards: must be a whole number, not a text",
                "stopped: must be true or false, not a text",
                "storage.accessModes[0]: must be one of `ReadWriteOnce`, `ReadWriteOncePod`, `ReadWriteMany`",
                "storage.logs: must be an object, not a list",
                "storage.storage_class: unknown property; did you mean `storageClass`?",
            ]
        );
    }

    #[test]
    fn no_reason_contains_a_value() {
        let value = json!({"admin": {"password": {"s3cret": 1}}, "storage": {"reclaimPolicy": "s3cret"}, "shards": "s3cret"});
        let failures = failures(&value, &[]);
        assert_eq!(failures.len(), 3, "{failures:?}");
        assert!(failures.iter().all(|failure| !failure.contains("s3cret")), "{failures:?}");
    }

    #[test]
    fn what_is_unknown_is_not_missing_and_not_wrong() {
        let schema = json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}, "required": ["a", "b"]});
        let unknown = Paths::from([PropertyPath::from("a")]);
        let failures = check(&schema, &json!({}), &unknown);
        assert_eq!(failures, [CheckFailure::new("b", "required, but missing")]);
    }
}
