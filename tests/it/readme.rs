//! The tables of README.md are made from schema.json.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value};

const CLUSTER: &str = "clickhouse:kubernetes:Cluster";

/// `text` with what stands between the two marks of `name` replaced.
fn replace(text: &str, name: &str, table: &str) -> String {
    let (begin, end) =
        (format!("<!-- {name}: made from schema.json -->\n"), format!("<!-- end of {name} -->"));
    let (before, rest) = text.split_once(&begin).unwrap_or_else(|| panic!("README.md has no mark {begin}"));
    let (_, after) = rest.split_once(&end).unwrap_or_else(|| panic!("README.md has no mark {end}"));
    format!("{before}{begin}\n{table}\n{end}{after}")
}

/// What a property is, in a table's words.
fn kind(schema: &Value, property: &Value) -> String {
    // An enum that takes texts, too.
    let property = property["oneOf"].as_array().and_then(|types| types.last()).unwrap_or(property);
    match (property["$ref"].as_str(), property["type"].as_str()) {
        (Some(reference), _) => {
            let Some(definition) = reference.strip_prefix("#/types/").map(|token| &schema["types"][token])
            else {
                return "any".to_owned();
            };
            match definition["enum"].as_array() {
                Some(values) => values
                    .iter()
                    .map(|value| format!("`{}`", value["value"].as_str().unwrap_or_default()))
                    .collect::<Vec<_>>()
                    .join(", "),
                None => fields(&definition["properties"]),
            }
        }
        (None, Some("array")) => format!("list of {}", kind(schema, &property["items"])),
        (None, Some("object")) => "map".to_owned(),
        (None, Some(kind)) => kind.to_owned(),
        (None, None) => "any".to_owned(),
    }
}

fn fields(properties: &Value) -> String {
    let names: Vec<_> =
        properties.as_object().map(Map::keys).into_iter().flatten().map(|name| format!("`{name}`")).collect();
    format!("{{{}}}", names.join(", "))
}

/// The first sentence, and the one that tells the default.
fn summary(description: &str) -> String {
    let sentences: Vec<_> = description.split_inclusive(". ").map(str::trim).collect();
    let first = sentences.first().copied().unwrap_or_default();
    let default = sentences.iter().skip(1).find(|sentence| sentence.starts_with("Default"));
    [Some(first), default.copied()].into_iter().flatten().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

fn table(schema: &Value, head: &str, properties: &Map<String, Value>) -> String {
    let mut table = format!("| {head} | type | what it is |\n| --- | --- | --- |\n");
    for (name, property) in properties {
        let secret = if property["secret"] == true { ", secret" } else { "" };
        let description = summary(property["description"].as_str().unwrap_or_default());
        writeln!(table, "| `{name}` | {}{secret} | {description} |", kind(schema, property)).unwrap();
    }
    table
}

#[test]
fn the_tables_are_those_of_the_schema() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let schema: Value = serde_json::from_str(&fs::read_to_string(root.join("schema.json")).unwrap()).unwrap();
    let cluster = &schema["resources"][CLUSTER];
    let inputs = cluster["inputProperties"].as_object().unwrap();
    let computed = cluster["properties"].as_object().unwrap().iter();
    let outputs: Map<_, _> = computed
        .filter(|(name, _)| !inputs.contains_key(*name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let file = root.join("README.md");
    let committed = fs::read_to_string(&file).unwrap();
    let mut made = replace(&committed, "inputs", &table(&schema, "input", inputs));
    made = replace(&made, "outputs", &table(&schema, "output", &outputs));
    made = replace(
        &made,
        "configuration",
        &table(&schema, "key", schema["config"]["variables"].as_object().unwrap()),
    );
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&file, &made).unwrap();
    } else {
        assert!(
            made == committed,
            "the tables of README.md are stale; generate them with `UPDATE=1 cargo test --test it readme`"
        );
    }
}
