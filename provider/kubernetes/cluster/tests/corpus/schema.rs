//! The operator's own definitions, where `CLICKHOUSE_OPERATOR_CRDS` names their folder: what they let pass,
//! and what they know.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::kubernetes::meta::Kind;

/// The definitions of one release of the operator.
pub(in super::super) struct Definitions(Vec<Value>);

impl Definitions {
    /// Those that the environment names; `None` where it names none.
    pub(in super::super) fn in_force() -> Option<Self> {
        Some(Self::read(&folder()?))
    }

    /// Those of another release, which lie beside them; `None` where they don't.
    pub(in super::super) fn of_release(release: &str) -> Option<Self> {
        let folder = folder()?;
        let beside = folder.with_file_name(format!("{}-{release}", folder.file_name()?.to_str()?));
        beside.is_dir().then(|| Self::read(&beside))
    }

    fn read(folder: &Path) -> Self {
        let files = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let paths = files
            .map(|file| file.unwrap().path())
            .filter(|path| path.extension().is_some_and(|kind| kind == "yaml"));
        Self(
            paths
                .map(|path| serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap())
                .collect(),
        )
    }

    /// The schema of a kind's `spec`.
    pub(super) fn spec(&self, kind: Kind) -> &Value {
        let definition =
            self.0.iter().find(|definition| definition["spec"]["names"]["kind"] == kind.name()).unwrap();
        &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    }

    /// What is wrong with an object, as the API server's strict validation would tell it.
    pub(in super::super) fn problems(&self, object: &Value) -> Vec<String> {
        let mut problems = Vec::new();
        if let Some(kind) = Kind::of(object).filter(|kind| kind.is_custom()) {
            match object.get("spec") {
                Some(spec) => check(self.spec(kind), spec, "spec", &mut problems),
                None => problems.push("spec: Required value".to_owned()),
            }
        }
        problems
    }
}

fn folder() -> Option<PathBuf> {
    std::env::var_os("CLICKHOUSE_OPERATOR_CRDS").map(PathBuf::from)
}

fn check(schema: &Value, value: &Value, at: &str, problems: &mut Vec<String>) {
    let is_right = match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("boolean") => value.is_boolean(),
        _ => true,
    };
    if !is_right {
        problems.push(format!("{at}: {value} is not of type {}", schema["type"]));
        return;
    }
    if let (Some(number), limits) =
        (value.as_f64(), ["minimum", "maximum"].map(|limit| schema[limit].as_f64()))
    {
        let [least, most] = limits;
        if least.is_some_and(|least| number < least) || most.is_some_and(|most| number > most) {
            problems.push(format!("{at}: {value} is out of range"));
        }
    }
    if let Some(text) = value.as_str() {
        check_text(schema, text, at, problems);
    }
    for name in schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .filter(|name| value.get(name).is_none())
    {
        problems.push(format!("{at}.{name}: Required value"));
    }
    for (name, below) in value.as_object().into_iter().flatten() {
        match schema["properties"].get(name) {
            Some(schema) => check(schema, below, &format!("{at}.{name}"), problems),
            None if schema["x-kubernetes-preserve-unknown-fields"] == true => {}
            None => problems.push(format!("unknown field \"{at}.{name}\"")),
        }
    }
    if let (Some(elements), Some(schema)) = (value.as_array(), schema.get("items")) {
        for (index, element) in elements.iter().enumerate() {
            check(schema, element, &format!("{at}[{index}]"), problems);
        }
    }
}

/// The one pattern that the definitions have is that of names.
fn check_text(schema: &Value, text: &str, at: &str, problems: &mut Vec<String>) {
    let is_listed = schema["enum"].as_array().is_none_or(|words| words.iter().any(|word| word == text));
    let is_name = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let fits = schema["maxLength"].as_u64().is_none_or(|most| text.len() as u64 <= most)
        && schema["minLength"].as_u64().is_none_or(|least| text.len() as u64 >= least);
    assert!(schema["pattern"].as_str().is_none_or(|pattern| pattern == "^[a-zA-Z0-9-]{0,15}$"), "{schema}");
    if !is_listed || !fits || (schema.get("pattern").is_some() && !(is_name && text.len() <= 15)) {
        problems.push(format!("{at}: `{text}` is not accepted"));
    }
}

/// Every property below a schema; an element of a list stands under `[]`.
pub(super) fn properties(schema: &Value, at: &str, found: &mut BTreeSet<String>) {
    for (name, below) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{at}.{name}");
        properties(below, &path, found);
        found.insert(path);
    }
    if let Some(items) = schema.get("items") {
        properties(items, &format!("{at}[]"), found);
    }
}

/// Every property that a value uses, in the same form.
pub(super) fn used(value: &Value, at: &str, found: &mut BTreeSet<String>) {
    for (name, below) in value.as_object().into_iter().flatten() {
        let path = format!("{at}.{name}");
        used(below, &path, found);
        found.insert(path);
    }
    for element in value.as_array().into_iter().flatten() {
        used(element, &format!("{at}[]"), found);
    }
}
