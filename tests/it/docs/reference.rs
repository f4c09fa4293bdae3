//! The tables of the pages are made from schema.json.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::{replace, root, schema, settle};

const CLUSTER: &str = "clickhouse:kubernetes:Cluster";
const GET: &str = "clickhouse:kubernetes:getCluster";

/// The token of the type that a reference names.
fn token(property: &Value) -> Option<&str> {
    property["$ref"].as_str()?.strip_prefix("#/types/")
}

fn name_of(token: &str) -> &str {
    token.rsplit(':').next().unwrap_or(token)
}

/// What a property is, in a table's words.
fn kind(property: &Value) -> String {
    // An enum that takes texts, too.
    let property = property["oneOf"].as_array().and_then(|types| types.last()).unwrap_or(property);
    if let Some(name) = token(property).map(name_of) {
        return format!("[{name}](#{})", name.to_lowercase());
    }
    match property["type"].as_str() {
        Some("array") => format!("list of {}", kind(&property["items"])),
        Some("object") if token(&property["additionalProperties"]).is_some() => {
            format!("map of {}", kind(&property["additionalProperties"]))
        }
        Some("object") => "map".to_owned(),
        Some(kind) => kind.to_owned(),
        None => "any".to_owned(),
    }
}

/// A description in one cell.
fn cell(text: &str) -> String {
    text.split("\n\n").map(str::trim).collect::<Vec<_>>().join("<br>").replace('\n', " ").replace('|', "\\|")
}

fn table(head: &str, properties: &Map<String, Value>, required: &Value) -> String {
    let mut table = format!("| {head} | type | what it is |\n| --- | --- | --- |\n");
    let required: BTreeSet<_> = required.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, property) in properties {
        let mut notes = String::new();
        if required.contains(name.as_str()) {
            notes += ", required";
        }
        if property["secret"] == true {
            notes += ", secret";
        }
        if property["willReplaceOnChanges"] == true {
            notes += ", a change replaces";
        }
        let description = cell(property["description"].as_str().unwrap_or_default());
        writeln!(table, "| `{name}` | {}{notes} | {description} |", kind(property)).unwrap();
    }
    table
}

/// The types that properties name, and those that these name.
fn types(schema: &Value, value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(token) = token(value)
                && found.insert(token.to_owned())
            {
                types(schema, &schema["types"][token], found);
            }
            fields.values().for_each(|field| types(schema, field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| types(schema, item, found)),
        _ => {}
    }
}

/// The sections of types: their fields, or the values of an enum.
fn sections(schema: &Value, tokens: &BTreeSet<String>) -> String {
    let mut text = String::new();
    for token in tokens {
        let definition = &schema["types"][token];
        let description = definition["description"].as_str().unwrap_or_default();
        writeln!(text, "### {}\n\n{description}\n", name_of(token)).unwrap();
        if let Some(values) = definition["enum"].as_array() {
            text += "| value | what it is |\n| --- | --- |\n";
            for value in values {
                let (name, description) =
                    (&value["value"], value["description"].as_str().unwrap_or_default());
                writeln!(text, "| `{}` | {} |", name.as_str().unwrap_or_default(), cell(description))
                    .unwrap();
            }
        } else if let Some(fields) = definition["properties"].as_object() {
            text += &table("field", fields, &definition["required"]);
        }
        text.push('\n');
    }
    text
}

fn of(value: &Value) -> &Map<String, Value> {
    value.as_object().unwrap()
}

#[test]
fn the_reference_is_that_of_the_schema() {
    let schema = schema();
    let (cluster, get) = (&schema["resources"][CLUSTER], &schema["functions"][GET]);
    let inputs = of(&cluster["inputProperties"]);
    let computed = of(&cluster["properties"]).iter();
    let outputs: Map<_, _> = computed
        .filter(|(name, _)| !inputs.contains_key(*name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let status: Map<_, _> = of(&get["outputs"]["properties"])
        .iter()
        .filter(|(name, _)| !outputs.contains_key(*name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let mut named = BTreeSet::new();
    for value in [cluster, &get["inputs"], &get["outputs"]] {
        types(&schema, value, &mut named);
    }
    let none = Value::Null;
    let tables = [
        ("inputs", table("input", inputs, &cluster["requiredInputs"])),
        ("outputs", table("output", &outputs, &none)),
        ("arguments", table("argument", of(&get["inputs"]["properties"]), &get["inputs"]["required"])),
        ("results", table("result", &status, &none)),
        ("types", sections(&schema, &named)),
    ];
    settle(&root().join("docs/reference.md"), |page| {
        tables.iter().fold(page.to_owned(), |page, (name, table)| replace(&page, name, table))
    });
}

#[test]
fn the_configuration_is_that_of_the_schema() {
    let schema = schema();
    let keys = table("key", of(&schema["config"]["variables"]), &Value::Null);
    let tables = [
        ("configuration", keys),
        ("packages", super::registry::packages(&schema)),
        ("plugin", super::registry::plugin(&schema)),
    ];
    settle(&root().join("docs/installation-configuration.md"), |page| {
        tables.iter().fold(page.to_owned(), |page, (name, table)| replace(&page, name, table))
    });
}
