//! The sections of an installation's configuration (`users`, `profiles` …), in which the operator takes the
//! names of XML elements with slashes between them. What their aspects share.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::overrides::check_values;
use super::read::Live;
use super::{Checker, ClusterArgs, ConfigurationArgs, FreeForm};
use crate::property::path::{PropertyPath, Segment};

/// The longest name of a user, a profile and the like.
const LONGEST: usize = 64;

/// The profiles that every cluster has: those of the image and of the operator.
pub(in super::super) const PROFILES: [&str; 3] = ["default", "readonly", "clickhouse_operator"];
/// The quota that every cluster has.
pub(in super::super) const QUOTA: &str = "default";

impl Checker<'_> {
    /// Refuses a name that ClickHouse would not read as one element of its configuration.
    pub(super) fn element(&mut self, path: &PropertyPath, name: &str) {
        if !is_element(name) {
            let reason = format!(
                "`{name}` is not a valid name: use at most {LONGEST} letters, digits, `_` and `-`, \
                beginning with a letter or `_`"
            );
            self.fail_certainly(path.clone(), reason);
        }
    }

    /// Refuses the value of a setting that is not a single one, or that Pulumi or the operator would change.
    pub(super) fn scalar(&mut self, path: &PropertyPath, value: &Value) {
        match value {
            Value::Array(_) | Value::Object(_) | Value::Null => {
                self.fail_at(path.clone(), "must be a string, a number or a boolean");
            }
            Value::String(text) => self.plain(path, text),
            number => check_values(number, path, 1, self),
        }
    }

    /// Refuses text that some releases of the operator write into XML as it is.
    pub(super) fn plain(&mut self, path: &PropertyPath, text: &str) {
        if text.contains(['&', '<', '>']) {
            let reason = "must not contain `&`, `<` or `>`, which operators before 0.27.2 write into XML as \
                they are: say it in a file of `files`";
            self.fail_at(path.clone(), reason);
        }
    }

    /// Refuses the name of a `what` that is not there; `known` are the names of those that are.
    pub(super) fn is_there(&mut self, path: &PropertyPath, what: &str, name: &str, known: &BTreeSet<String>) {
        let inputs = format!("{what}s");
        let may_be = [&inputs, "files", "chiOverrides"].into_iter().any(|input| self.is_unknown(input));
        if !known.contains(name) && !may_be && !is_in_files(self.args(), name) {
            self.fail_newly(path.clone(), missing(name, what, known.iter().map(String::as_str)));
        }
    }
}

/// That something of a name is not there, and what is like it.
pub(in super::super) fn missing<'a>(name: &str, what: &str, known: impl Iterator<Item = &'a str>) -> String {
    let near = known
        .map(|other| (strsim::osa_distance(name, other), other))
        .filter(|(distance, _)| *distance <= 2)
        .min();
    let remedy = near.map_or_else(
        || format!("say it in `{what}s`, or in a file of `files`"),
        |(_, near)| format!("did you mean `{near}`?"),
    );
    format!("there is no {what} `{name}`: {remedy}")
}

impl ClusterArgs {
    /// Whether the program says something of ClickHouse's configuration in inputs of its own.
    pub(in super::super) fn says_configuration(&self) -> bool {
        let ConfigurationArgs { settings, files } = &self.configuration;
        settings.is_some()
            || files.is_some()
            || self.profiles.is_some()
            || self.quotas.is_some()
            || self.users.is_some()
    }
}

/// The input that says what stands at `place` in an installation's `spec`: as much of it as `inputs` have;
/// `None` where none of these sections' does.
pub(in super::super) fn input_of(place: &PropertyPath, inputs: &Value) -> Option<PropertyPath> {
    let mut names = place.segments().iter().map(|segment| match segment {
        Segment::Key(key) => key.as_str(),
        Segment::Index(_) => "",
    });
    let (Some("configuration"), Some(section), Some(key)) = (names.next(), names.next(), names.next()) else {
        return None;
    };
    let root = PropertyPath::from(section);
    let (first, rest) = key.split_once('/').unwrap_or((key, ""));
    let user = first.strip_prefix("user-").unwrap_or(first);
    let found = match (section, rest.split('/').next().unwrap_or(rest)) {
        ("settings" | "files", _) => vec![root.key(key)],
        ("profiles", "profile") => vec![root.key(first).key("inherits")],
        ("profiles", "constraints") => {
            let setting = rest.split('/').nth(1).unwrap_or_default();
            vec![root.key(first).key("constraints").key(setting)]
        }
        ("profiles", setting) => {
            let of_user = PropertyPath::from("users").key(user);
            vec![root.key(first).key("settings").key(setting), of_user.key("settings").key(setting)]
        }
        ("users", "allow_databases") => vec![root.key(first).key("databases")],
        ("users", field) => vec![root.key(first).key(field), root.key(first)],
        ("quotas", _) => vec![root.key(first)],
        _ => Vec::new(),
    };
    found.into_iter().find(|path| path.find_in(inputs).is_some())
}

/// Whether ClickHouse reads it as the name of one element.
pub(super) fn is_element(name: &str) -> bool {
    name.len() <= LONGEST
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
}

/// The names in a section: those of the inputs, and those that overrides add.
pub(super) fn names<T>(
    args: &ClusterArgs,
    section: &str,
    given: Option<&BTreeMap<String, T>>,
) -> BTreeSet<String> {
    let overridden = overridden(args.overrides.chi_overrides.as_ref(), section);
    let added = overridden.keys().filter_map(|key| key.split('/').next()).map(str::to_owned);
    given.into_iter().flat_map(BTreeMap::keys).cloned().chain(added).collect()
}

/// Whether a file speaks of `name`: it may be there, then.
fn is_in_files(args: &ClusterArgs, name: &str) -> bool {
    let overridden = overridden(args.overrides.chi_overrides.as_ref(), "files");
    let given = args.configuration.files.iter().flat_map(BTreeMap::values);
    let says = |value: &Value| value.as_str().is_none_or(|text| text.contains(name));
    given.chain(overridden.values()).any(says)
}

/// What overrides say in a section.
fn overridden(overrides: Option<&FreeForm>, section: &str) -> Map<String, Value> {
    let said = overrides.and_then(|overrides| overrides.get("configuration")?.get(section)?.as_object());
    said.cloned().unwrap_or_default()
}

/// A setting's value as it is written for the operator, which rounds fractions.
pub(super) fn written(value: &Value) -> Value {
    match value {
        Value::Number(number) if number.is_f64() => json!(number.to_string()),
        other => other.clone(),
    }
}

/// Whether a value that is there can be that of a setting in the inputs.
pub(super) fn is_scalar(value: &Value) -> bool {
    match value {
        Value::String(text) => !text.contains(['&', '<', '>']),
        Value::Number(number) => number.as_i64().is_some_and(|number| number.unsigned_abs() < 1 << 53),
        Value::Bool(_) => true,
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

/// The strings in a list.
pub(super) fn strings(value: &Value) -> Option<Vec<String>> {
    let items = value.as_array().filter(|items| !items.is_empty())?;
    items.iter().map(|item| item.as_str().map(str::to_owned)).collect()
}

impl Live {
    /// A section of the configuration of a cluster that this provider made, without what overrides say there:
    /// somebody else's stays in the overrides as a whole.
    pub(super) fn section(&self, name: &str) -> Map<String, Value> {
        if self.adopted.is_some() {
            return Map::new();
        }
        let mut found = self.spec()["configuration"][name].as_object().cloned().unwrap_or_default();
        let said = overridden(self.overrides.as_ref(), name);
        found.retain(|key, _| !said.contains_key(key));
        found
    }

    /// The same by the first names of the keys, each with what stands below it; only such names as inputs
    /// can have.
    pub(super) fn elements(&self, name: &str) -> BTreeMap<String, BTreeMap<String, Value>> {
        let mut found = BTreeMap::<String, BTreeMap<_, _>>::new();
        for (key, value) in self.section(name) {
            if let Some((first, rest)) = key.split_once('/').filter(|(first, _)| is_element(first)) {
                found.entry(first.to_owned()).or_default().insert(rest.to_owned(), value);
            }
        }
        found
    }
}
