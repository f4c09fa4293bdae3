//! The engine's verdict on a configuration beside the preview's.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::Result;
use clickhouse_provider::settings::{By, problems};
use serde_json::{Map, Value, json};

use super::catalogue;
use super::engines::{Running, Verdict};
use super::mutations::{self, Part, Seeded};
use crate::engine::wheels::Wheel;

/// The system logs that the operator itself describes for every host.
const LOGS: [&str; 2] = ["query_log", "part_log"];
/// The operator's own profile, which the engine does not start without.
const PROFILE: (&str, &str) = (
    "users.d/01-clickhouse-operator-profile.xml",
    "<clickhouse><profiles><clickhouse_operator><log_queries>0</log_queries>\
    </clickhouse_operator></profiles></clickhouse>",
);

/// What came of many configurations.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Both take it.
    pub both_take: usize,
    /// Both refuse it.
    pub both_refuse: usize,
    /// The preview refuses what only the program of the server looks for, which is not in the engine.
    pub by_server: usize,
    /// The preview refuses what the engine takes without notice.
    pub without_effect: usize,
    /// The preview refuses what the engine takes: there must be none.
    pub falsely_refused: Vec<String>,
    /// The preview takes what the engine refuses.
    pub missed: Vec<String>,
    /// The engine ended or hung.
    pub without_verdict: Vec<String>,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            both_take,
            both_refuse,
            by_server,
            without_effect,
            falsely_refused,
            missed,
            without_verdict,
        } = self;
        write!(
            f,
            "both take {both_take}, both refuse {both_refuse}, refused falsely {}, missed {}; not for the \
            engine to see: {by_server} of the server's own, {without_effect} without effect; no verdict {}",
            falsely_refused.len(),
            missed.len(),
            without_verdict.len()
        )
    }
}

/// Has `count` configurations judged by the engine and by the preview.
pub fn compare(engine: Wheel, seed: u64, count: usize) -> Result<Outcome> {
    let mut running = Running::start(engine)?;
    let (catalogue, mut seeded) = (catalogue::built_in(), Seeded::new(seed));
    let mut outcome = Outcome::default();
    for _ in 0..count {
        let part = mutations::next(&mut seeded, &catalogue, engine.release);
        let found = problems(&installation(engine, &part));
        let told = format!(
            "{} {}: {}",
            part.0,
            Value::Object(part.1.clone()),
            found.first().map_or("", |problem| problem.reason.as_str())
        );
        let Ok(Verdict { took, reason, .. }) = running.judge(&question(&part)) else {
            outcome.without_verdict.push(told);
            continue;
        };
        match (took, found.first().map(|problem| problem.by)) {
            (true, None) => outcome.both_take += 1,
            (false, Some(_)) => outcome.both_refuse += 1,
            (true, Some(By::Server)) => outcome.by_server += 1,
            (true, Some(By::Nobody)) => outcome.without_effect += 1,
            (true, Some(By::Engine)) => outcome.falsely_refused.push(told),
            (false, None) => outcome.missed.push(format!("{told}{reason}")),
        }
    }
    Ok(outcome)
}

/// An installation that says it, of the engine's release.
fn installation(engine: Wheel, part: &Part) -> Value {
    let image = format!("clickhouse/clickhouse-server:{}.1.1", engine.release);
    let pod = json!({"name": "p", "spec": {"containers": [{"name": "clickhouse", "image": image}]}});
    json!({"spec": {"configuration": {part.0: part.1.clone()}, "templates": {"podTemplates": [pod]}}})
}

/// The files that the operator makes of it, for the engine.
fn question((part, said): &Part) -> Value {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    let is_log = said.keys().any(|key| key.split_once('/').is_some_and(|(log, _)| log.ends_with("_log")));
    if is_log {
        files.extend(LOGS.map(|log| (format!("config.d/01-clickhouse-{log}.xml"), log_of_operator(log))));
    }
    files.insert(PROFILE.0.to_owned(), PROFILE.1.to_owned());
    let (name, prefix) = match *part {
        "settings" => ("config.d/chop-generated-settings.xml", ""),
        "users" => ("users.d/chop-generated-users.xml", "users/"),
        "profiles" => ("users.d/chop-generated-profiles.xml", "profiles/"),
        _ => ("users.d/chop-generated-quotas.xml", "quotas/"),
    };
    files.insert(name.to_owned(), xml(prefix, said));
    // The settings of tables are read with the first one.
    let is_table = said.keys().any(|key| key.starts_with("merge_tree/"));
    let replicated = said.keys().any(|key| key.starts_with("replicated_merge_tree/"));
    let ask = if is_table {
        vec!["CREATE TABLE default.t (x UInt8) ENGINE = MergeTree ORDER BY x"]
    } else if replicated {
        vec!["SELECT count() FROM system.replicated_merge_tree_settings"]
    } else {
        Vec::new()
    };
    json!({"files": files, "ask": ask})
}

/// What the operator says of a system log.
fn log_of_operator(log: &str) -> String {
    let engine =
        "Engine = MergeTree PARTITION BY event_date ORDER BY event_time TTL event_date + interval 30 day";
    let fields = format!("<database>system</database><table>{log}</table><engine>{engine}</engine>");
    format!("<clickhouse><{log} replace=\"1\">{fields}</{log}></clickhouse>")
}

/// Paths as nested elements; a list repeats its element.
fn xml(prefix: &str, said: &Map<String, Value>) -> String {
    let mut root = json!({});
    for (key, value) in said {
        let path = format!("/{prefix}{key}");
        root = nested(root, path.split('/').filter(|name| !name.is_empty()), value);
    }
    element("clickhouse", &root)
}

fn nested<'a>(place: Value, mut path: impl Iterator<Item = &'a str>, value: &Value) -> Value {
    let Some(name) = path.next() else { return value.clone() };
    let mut children = if let Value::Object(children) = place { children } else { Map::new() };
    let child = children.remove(name).unwrap_or_else(|| json!({}));
    children.insert(name.to_owned(), nested(child, path, value));
    Value::Object(children)
}

fn element(name: &str, value: &Value) -> String {
    match value {
        Value::Array(values) => values.iter().map(|value| element(name, value)).collect(),
        Value::Object(children) => {
            let inner: String = children.iter().map(|(name, child)| element(name, child)).collect();
            format!("<{name}>{inner}</{name}>")
        }
        value => format!("<{name}>{}</{name}>", scalar(value)),
    }
}

/// A scalar as the operator writes it.
fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => text.replace('&', "&amp;").replace('<', "&lt;"),
        Value::Number(number) if number.is_f64() => format!("{:.6}", number.as_f64().unwrap_or_default()),
        value => value.to_string(),
    }
}
