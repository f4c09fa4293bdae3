//! The shape check: holds a value against the JSON Schema of its type and finds everything that does not fit.
//!
//! Decoding stops at the first mistake; this finds them all, and knows the nearest name of an unknown one. No
//! reason that it gives contains a value, so a secret can't show, wherever it stands.

use serde_json::{Map, Value};

use super::node::{JsonType, Node};
use crate::property::path::PropertyPath;
use crate::property::{CheckFailure, Paths};

/// The schema keyword of a struct that may also be written as one string.
pub const STRING_FORM: &str = "textForm";

/// Everything about `value` that does not fit `schema`, in the order of the properties' names.
///
/// `null` counts as absent. Nothing is said about what stands at or below an `unknown` path, nor about
/// top-level properties that begin with `__`, which the engine keeps there for itself.
pub fn check(schema: &Value, value: &Value, unknown: &Paths) -> Vec<CheckFailure> {
    let mut check = Check { unknown, failures: Vec::new() };
    check.visit(Node::root(schema), value, &PropertyPath::root());
    check.failures
}

struct Check<'a> {
    unknown: &'a Paths,
    failures: Vec<CheckFailure>,
}

impl Check<'_> {
    fn fail(&mut self, path: &PropertyPath, reason: impl Into<String>) {
        self.failures.push(CheckFailure::new(path.clone(), reason));
    }

    fn is_unknown(&self, path: &PropertyPath) -> bool {
        self.unknown.iter().any(|unknown| unknown.contains(path))
    }

    fn visit(&mut self, node: Node<'_>, value: &Value, path: &PropertyPath) {
        if value.is_null() || self.is_unknown(path) {
            return;
        }
        let node = node.resolved();
        let constants = node.constants();
        if !constants.is_empty() {
            if !constants.iter().any(|constant| constant.value == value) {
                let names: Vec<String> = constants
                    .iter()
                    .filter_map(|constant| constant.value.as_str())
                    .map(|name| format!("`{name}`"))
                    .collect();
                self.fail(path, format!("must be one of {}", names.join(", ")));
            }
            return;
        }
        let JsonType::One(expected) = node.json_type() else { return };
        match (expected, value) {
            ("object", Value::Object(entries)) => self.visit_object(node, entries, path),
            ("array", Value::Array(elements)) => {
                if let Some(element) = node.element() {
                    for (index, value) in elements.iter().enumerate() {
                        let path = path.index(index);
                        if value.is_null() && !self.is_unknown(&path) {
                            self.fail(&path, "must not be empty");
                        }
                        self.visit(element, value, &path);
                    }
                }
            }
            ("string", Value::String(_)) | ("boolean", Value::Bool(_)) | ("number", Value::Number(_)) => {}
            ("object", Value::String(_)) if node.is_marked(STRING_FORM) => {}
            ("integer", Value::Number(number)) => {
                match number.as_i64().map(i128::from).or(number.as_u64().map(i128::from)) {
                    Some(number) => self.visit_integer(node, number, path),
                    None => self.fail(path, "must be an integer"),
                }
            }
            _ => {
                let remedy = if expected == "string" && (value.is_number() || value.is_boolean()) {
                    ": write it in quotes"
                } else {
                    ""
                };
                self.fail(
                    path,
                    format!("must be {}, not {}{remedy}", describe_expected(expected), describe_found(value)),
                );
            }
        }
    }

    fn visit_integer(&mut self, node: Node<'_>, number: i128, path: &PropertyPath) {
        let written = |keyword| node.keyword(keyword).and_then(Value::as_i64).map(i128::from);
        let (least, greatest) = match node.text("format") {
            Some("uint8") => (Some(0), Some(i128::from(u8::MAX))),
            Some("uint16") => (Some(0), Some(i128::from(u16::MAX))),
            Some("uint32") => (Some(0), Some(i128::from(u32::MAX))),
            Some("uint64") => (Some(0), Some(i128::from(u64::MAX))),
            Some("int32") => (Some(i128::from(i32::MIN)), Some(i128::from(i32::MAX))),
            _ => (None, None),
        };
        // A number that the type can hold is left to whoever knows the remedy.
        let least = least.map_or(written("minimum"), |least| {
            written("minimum").filter(|_| number < least).or(Some(least))
        });
        let greatest = written("maximum").or(greatest);
        match (least, greatest) {
            (Some(least), _) if number < least => self.fail(path, format!("must be at least {least}")),
            (_, Some(greatest)) if number > greatest => {
                self.fail(path, format!("must be at most {greatest}"));
            }
            _ => {}
        }
    }

    fn visit_object(&mut self, node: Node<'_>, entries: &Map<String, Value>, path: &PropertyPath) {
        for (key, value) in entries {
            if path.is_root() && key.starts_with("__") {
                continue;
            }
            let below = path.key(key);
            match node.member(key) {
                Some(member) => self.visit(member, value, &below),
                // A struct's schema says nothing about further properties; serde would drop them unseen.
                None if node.keyword("properties").is_some()
                    || node.keyword("additionalProperties").is_some() =>
                {
                    self.unknown_property(node, key, &below);
                }
                None => {}
            }
        }
        for required in node.required() {
            let below = path.key(required);
            if entries.get(required).is_none_or(Value::is_null) && !self.is_unknown(&below) {
                self.fail(&below, "required, but missing");
            }
        }
    }

    fn unknown_property(&mut self, node: Node<'_>, key: &str, path: &PropertyPath) {
        if self.is_unknown(path) {
            return;
        }
        let names = node.properties().map(|(name, _)| name);
        let reason = if let Some(name) = nearest(key, names) {
            format!("unknown property; did you mean `{name}`?")
        } else {
            let names: Vec<String> =
                node.properties().map(|(name, _)| name).map(|name| format!("`{name}`")).collect();
            format!("unknown property; there are {}", names.join(", "))
        };
        self.fail(path, reason);
    }
}

/// The name that the writer most likely meant.
pub fn nearest<'n>(written: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let plain = |name: &str| {
        name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
    };
    let written = plain(written);
    names
        .map(|name| (strsim::damerau_levenshtein(&written, &plain(name)), name))
        .filter(|(distance, name)| *distance <= 1 + name.len().min(written.len()) / 4)
        .min()
        .map(|(_, name)| name)
}

fn describe_expected(kind: &str) -> &str {
    match kind {
        "string" => "a string",
        "boolean" => "true or false",
        "integer" => "an integer",
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
        Value::String(_) => "a string",
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
        check(&of_input::<ClusterArgs>(), value, &unknown)
            .iter()
            .map(|failure| format!("{}: {}", failure.path, failure.reason))
            .collect()
    }

    #[test]
    fn a_value_that_fits_has_no_failure() {
        let value = json!({
            "__defaults": [], "shards": 3, "labels": {"a": "b"}, "storage": {"size": "5Gi",
                "reclaimPolicy": "Delete", "accessModes": ["ReadWriteOnce"]},
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
            "coordination": {"keeper": {"replicas": -1}, "external": {"nodes": [{"host": "zk",
                "port": 70000}]}},
        });
        assert_eq!(
            failures(&value, &[]),
            [
                "admin.networks: must be a list, not a string",
                "admin.wholly: unknown property; there are `existingSecret`, `networks`, `password`, \
                    `passwordVersion`, `username`",
                "coordination.external.nodes[0].port: must be at most 65535",
                "coordination.keeper.replicas: must be at least 1",
                "labels.a: must be a string, not a number: write it in quotes",
                "replcas: unknown property; did you mean `replicas`?",
                "replicas: must be an integer",
                "shards: must be an integer, not a string",
                "stopped: must be true or false, not a string",
                "storage.accessModes[0]: must be one of `ReadWriteOnce`, `ReadWriteOncePod`, `ReadWriteMany`",
                "storage.logs: must be an object, not a list",
                "storage.storage_class: unknown property; did you mean `storageClass`?",
            ]
        );
    }

    #[test]
    fn no_reason_contains_a_value() {
        let value = json!({"admin": {"password": {"s3cret": 1}}, "storage": {"reclaimPolicy": "s3cret"},
            "shards": "s3cret"});
        let failures = failures(&value, &[]);
        assert_eq!(failures.len(), 3, "{failures:?}");
        assert!(failures.iter().all(|failure| !failure.contains("s3cret")), "{failures:?}");
    }

    #[test]
    fn what_is_unknown_is_not_missing_and_not_wrong() {
        let schema = json!({"type": "object", "properties": {"a": {"type": "string"},
            "b": {"type": "string"}}, "required": ["a", "b"]});
        let unknown = Paths::from([PropertyPath::from("a")]);
        let failures = check(&schema, &json!({}), &unknown);
        assert_eq!(failures, [CheckFailure::new("b", "required, but missing")]);
    }
}
