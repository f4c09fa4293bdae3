//! What a rendered installation says to ClickHouse: every setting with its place. Pure.

use serde_json::Value;

use crate::property::path::PropertyPath;

/// The words by which the operator takes an element out of the configuration.
const REMOVED: [&str; 2] = ["_removed_", "_remove_"];

/// A setting of an installation.
#[derive(Debug, Clone)]
pub(super) struct Said {
    /// Where it stands below `spec`.
    pub(super) place: PropertyPath,
    /// The names of the elements that it becomes, outermost first.
    pub(super) path: Vec<String>,
    pub(super) value: Told,
}

/// What a setting is told to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Told {
    /// These values, one element each.
    Values(Vec<String>),
    /// It is taken out.
    Removed,
    /// Nothing that can be seen here: it comes from a Secret.
    Elsewhere,
}

impl Said {
    fn of(place: &PropertyPath, key: &str, value: &Value) -> Option<Self> {
        let path: Vec<_> = key.split('/').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        let value = match value {
            Value::Null => return None,
            Value::Object(_) => Told::Elsewhere,
            Value::Array(items) => Told::Values(items.iter().filter_map(text).collect()),
            scalar => Told::Values(text(scalar).into_iter().collect()),
        };
        let value = match value {
            Told::Values(values) if values.iter().any(|value| REMOVED.contains(&value.as_str())) => {
                Told::Removed
            }
            value => value,
        };
        (!path.is_empty() && value != Told::Values(Vec::new())).then(|| Self {
            place: place.key(key),
            path,
            value,
        })
    }

    /// The names of the elements.
    pub(super) fn names(&self) -> Vec<&str> {
        self.path.iter().map(String::as_str).collect()
    }

    /// Its only value, where one can be seen that is no piece of XML.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Told::Values(values) => values
                .first()
                .map(String::as_str)
                .filter(|value| values.len() == 1 && !value.contains(['&', '<'])),
            Told::Removed | Told::Elsewhere => None,
        }
    }

    /// Whether it is several elements of one name.
    pub(super) fn repeats(&self) -> bool {
        matches!(&self.value, Told::Values(values) if values.len() > 1)
    }

    pub(super) fn is_removed(&self) -> bool {
        self.value == Told::Removed
    }
}

/// A scalar as the operator writes it. It reads each number of JSON as one with a fraction, and cuts that off
/// where it is negative.
fn text(scalar: &Value) -> Option<String> {
    /// What the operator takes for a whole number.
    const WHOLE: f64 = 0.001;
    match scalar {
        Value::String(text) => Some(text.clone()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(number) if number.is_f64() => {
            let number = number.as_f64()?;
            Some(if number.fract() > WHOLE {
                format!("{number:.6}")
            } else {
                format!("{:.0}", number.trunc())
            })
        }
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// What a part of the configuration (`profiles`, `users` …) says for the whole installation.
pub(super) fn of_part(spec: &Value, part: &str) -> Vec<Said> {
    entries(&spec["configuration"][part], &PropertyPath::from("configuration").key(part))
}

/// What `settings` say, level by level: the whole installation first, then clusters, shards, replicas and
/// hosts.
pub(super) fn settings(spec: &Value) -> Vec<Vec<Said>> {
    let mut levels = Vec::new();
    collect(spec, "settings", &mut |map, place| levels.push(entries(map, place)));
    levels
}

/// The texts of all files.
pub(super) fn files(spec: &Value) -> Vec<String> {
    let mut texts = Vec::new();
    collect(spec, "files", &mut |map, _| {
        texts.extend(map.as_object().into_iter().flat_map(|map| map.values()).filter_map(text));
    });
    texts
}

fn entries(map: &Value, place: &PropertyPath) -> Vec<Said> {
    map.as_object().into_iter().flatten().filter_map(|(key, value)| Said::of(place, key, value)).collect()
}

/// Calls `found` with every `part` of the levels that have one.
fn collect(spec: &Value, part: &str, found: &mut dyn FnMut(&Value, &PropertyPath)) {
    /// Where the levels below the installation stand.
    const LEVELS: [&str; 6] = ["clusters", "layout", "shards", "replicas", "hostTemplates", "spec"];
    fn below(value: &Value, place: &PropertyPath, part: &str, found: &mut dyn FnMut(&Value, &PropertyPath)) {
        match value {
            Value::Object(fields) => {
                if let Some(map) = fields.get(part) {
                    found(map, &place.key(part));
                }
                for (key, value) in fields.iter().filter(|(key, _)| LEVELS.contains(&key.as_str())) {
                    below(value, &place.key(key), part, found);
                }
            }
            Value::Array(items) => items
                .iter()
                .enumerate()
                .for_each(|(index, item)| below(item, &place.index(index), part, found)),
            _ => {}
        }
    }
    below(&spec["configuration"], &PropertyPath::from("configuration"), part, found);
    below(&spec["templates"], &PropertyPath::from("templates"), part, found);
}
