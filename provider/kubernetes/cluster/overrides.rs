//! Inputs that an override undoes. Found by rendering, not by a list of inputs: with and without the
//! overrides, and with another value of the input. Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::aspects::{ClusterArgs, ConfigurationArgs, OverridesArgs};
use super::shape::{Shape, yes_or_no};
use super::{manifest, validate};
use crate::kubernetes::quantity;
use crate::property::path::{PropertyPath, Segment};
use crate::resource::{CheckFailure, Known};

/// Inputs that no override can undo: they name the cluster, stand in other objects than the two
/// installations, or say how things are done.
const APART: [&str; 11] = [
    "name",
    "namespace",
    "clusterName",
    "createNamespace",
    "labels",
    "annotations",
    "ingress",
    "chiOverrides",
    "chkOverrides",
    "allowDataLoss",
    "forceConflicts",
];

/// Other values for inputs that take only certain words.
const WORDS: [&str; 14] = [
    "Retain",
    "Delete",
    "Operator",
    "StatefulSet",
    "ReadWriteOnce",
    "ReadWriteMany",
    "Always",
    "Never",
    "Keeper",
    "External",
    "None",
    "debug",
    "trace",
    "LoadBalancer",
];

/// Where a value stands in a rendered object: keys, and the names of named things in lists.
type Place = Vec<Step>;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Key(String),
    Named(String),
}

/// The inputs that the program gives (`given`, before defaults are filled in) and that an override undoes,
/// each with the place of the override. `filled` are the same inputs with their defaults.
pub(super) fn conflicts(given: &Known<ClusterArgs>, filled: &ClusterArgs) -> Vec<CheckFailure> {
    let doubled = of_configuration(given, filled);
    if filled.overrides.chi_overrides.is_none() && filled.overrides.chk_overrides.is_none() {
        return doubled;
    }
    let plain = ClusterArgs { overrides: OverridesArgs::default(), ..filled.clone() };
    let (rendered, overridden) = (render(&plain, given), render(filled, given));
    let mut found: Vec<_> = doubled
        .into_iter()
        .chain(of_password(given, filled, &overridden))
        .chain(of_cluster_name(given, filled, &overridden))
        .chain(of_users(filled))
        .collect();
    let said = leaves(&rendered);
    let undone: Vec<_> = said
        .iter()
        .filter_map(|(place, value)| Some((place, value, now(&overridden, place)?)))
        .filter(|(_, said, now)| !same(said, now))
        .collect();
    if undone.is_empty() {
        return found;
    }
    let Ok(inputs) = serde_json::to_value(&plain) else { return found };
    for (path, value) in inputs_of(given) {
        let candidates: Vec<_> = undone
            .iter()
            .filter(|(_, said, now)| mentions(said, &value) && !still_says(said, now, &value))
            .collect();
        if candidates.is_empty() {
            continue;
        }
        let Some(otherwise) = with_another(&inputs, &path, &value, given, &rendered) else { continue };
        let follows =
            |place: &Place, said: &Value| otherwise.get(place) != Some(said) && mentions(said, &value);
        let undone: Vec<_> = candidates.into_iter().filter(|(place, said, _)| follows(place, said)).collect();
        let replaced = undone.iter().find(|(_, _, now)| !now.is_null());
        // What is removed in one place may still be said in another.
        let removed = undone
            .first()
            .filter(|_| said.iter().filter(|(place, said)| follows(place, said)).count() == undone.len());
        if let Some((place, _, now)) = replaced.or(removed) {
            let verb = if now.is_null() { "removes" } else { "replaces" };
            found.push(CheckFailure {
                reason: format!("`{}` {verb} what `{path}` says: remove one of them", told(place)),
                path,
            });
        }
    }
    found
}

/// Settings and files that other inputs say, too.
fn of_configuration(given: &Known<ClusterArgs>, filled: &ClusterArgs) -> Vec<CheckFailure> {
    if filled.configuration == ConfigurationArgs::default() {
        return Vec::new();
    }
    let others = ClusterArgs {
        configuration: ConfigurationArgs::default(),
        overrides: OverridesArgs::default(),
        ..filled.clone()
    };
    let rendered = render(&others, given);
    let doubled = filled.configuration.doubled(&rendered["chiOverrides"]["spec"]["configuration"]);
    let refused = |path: PropertyPath| {
        let is_level = path == PropertyPath::from("settings").key("logger/level");
        let input = if is_level { "`logging.level`" } else { "another input" };
        CheckFailure { reason: format!("{input} says it already: remove it here"), path }
    };
    doubled.into_iter().map(refused).collect()
}

/// The administrator's password, which is not rendered here: whatever the users have then is the overrides'.
fn of_password(given: &Known<ClusterArgs>, filled: &ClusterArgs, overridden: &Value) -> Option<CheckFailure> {
    let admin = filled.access.admin.as_ref()?;
    let username = admin.username.as_deref()?;
    let is_given = |path: &str, known: bool| {
        known || given.unknown.iter().any(|unknown| PropertyPath::from(path).contains(unknown))
    };
    let inputs = [
        ("admin.password", admin.password.is_some()),
        ("admin.existingSecret", admin.existing_secret.is_some()),
        ("admin.passwordVersion", admin.password_version.is_some()),
    ];
    let (path, _) = inputs.into_iter().find(|(path, known)| is_given(path, *known))?;
    let has_own = Shape::of(&overridden["chiOverrides"], None).users.contains(username);
    (has_own && !given.is_unknown(&PropertyPath::from("admin.username"))).then(|| {
        CheckFailure::new(
            path,
            format!(
                "`chiOverrides.configuration.users` gives `{username}` another password: remove one of them"
            ),
        )
    })
}

/// Users whose credentials overrides give, too.
fn of_users(filled: &ClusterArgs) -> Vec<CheckFailure> {
    let said = filled.overrides.chi_overrides.as_ref().and_then(|said| said.get("configuration"));
    let said = said.map(|said| json!({"spec": {"configuration": said}})).unwrap_or_default();
    let has_own = Shape::of(&said, None).users;
    let users = filled.users.iter().flat_map(BTreeMap::keys).filter(|user| has_own.contains(*user));
    let refused = |user: &String| CheckFailure {
        path: PropertyPath::from("users").key(user),
        reason: format!(
            "`chiOverrides.configuration.users` gives `{user}` another credential: remove one of them"
        ),
    };
    users.map(refused).collect()
}

/// A cluster that is not there any more.
fn of_cluster_name(
    given: &Known<ClusterArgs>,
    filled: &ClusterArgs,
    overridden: &Value,
) -> Option<CheckFailure> {
    let name = given
        .value
        .naming
        .cluster_name
        .as_ref()
        .filter(|name| filled.naming.cluster_name.as_ref() == Some(name))?;
    let clusters = overridden["chiOverrides"]["spec"]["configuration"]["clusters"].as_array()?;
    let is_there = clusters.iter().any(|cluster| cluster.get("name").is_none_or(|found| found == name));
    (!is_there).then(|| {
        CheckFailure::new(
            "clusterName",
            "`chiOverrides.configuration.clusters` removes the cluster that `clusterName` names: remove one \
                of them",
        )
    })
}

/// Both installations, under the names of their overrides.
fn render(args: &ClusterArgs, given: &Known<ClusterArgs>) -> Value {
    let (installation, keeper) = manifest::installations(&validate::anyway(&Known {
        value: args.clone(),
        unknown: given.unknown.clone(),
    }));
    json!({"chiOverrides": installation, "chkOverrides": keeper})
}

/// What is rendered when the input at `path` has another value than `value`; `None` when no other value makes
/// a difference.
fn with_another(
    inputs: &Value,
    path: &PropertyPath,
    value: &Value,
    given: &Known<ClusterArgs>,
    rendered: &Value,
) -> Option<BTreeMap<Place, Value>> {
    others(value).into_iter().find_map(|other| {
        let mut inputs = inputs.clone();
        *at(&mut inputs, path)? = other;
        let otherwise = render(&serde_json::from_value(inputs).ok()?, given);
        (otherwise != *rendered).then(|| leaves(&otherwise))
    })
}

/// Other values of the same kind.
fn others(value: &Value) -> Vec<Value> {
    match value {
        Value::Bool(value) => vec![json!(!value)],
        Value::Number(number) => {
            number.as_u64().into_iter().flat_map(|number| [number + 1, number + 2]).map(Value::from).collect()
        }
        Value::String(text) => {
            let words = WORDS.iter().filter(|word| *word != text).map(|word| (*word).to_owned());
            [format!("{text}x"), format!("x{text}")].into_iter().chain(words).map(Value::from).collect()
        }
        Value::Array(elements) => {
            let Some(first) = elements.first() else { return Vec::new() };
            let with = |other| {
                Value::Array(std::iter::once(other).chain(elements.iter().skip(1).cloned()).collect())
            };
            others(first).into_iter().map(with).collect()
        }
        Value::Object(fields) => {
            let Some((key, first)) = fields.iter().next() else { return Vec::new() };
            let with =
                |other| Value::Object(fields.clone().into_iter().chain([(key.clone(), other)]).collect());
            others(first).into_iter().map(with).collect()
        }
        Value::Null => Vec::new(),
    }
}

/// The inputs that the program gives, each with its value; a list is one.
fn inputs_of(given: &Known<ClusterArgs>) -> Vec<(PropertyPath, Value)> {
    fn collect(path: &PropertyPath, fields: &Map<String, Value>, found: &mut Vec<(PropertyPath, Value)>) {
        for (key, value) in fields {
            match value {
                Value::Object(fields) => collect(&path.key(key), fields, found),
                value => found.push((path.key(key), value.clone())),
            }
        }
    }
    let mut found = Vec::new();
    if let Ok(Value::Object(fields)) = serde_json::to_value(&given.value) {
        collect(&PropertyPath::root(), &fields, &mut found);
    }
    found.retain(|(path, _)| !path.top_level().is_some_and(|top| APART.contains(&top)));
    found
}

fn at<'a>(value: &'a mut Value, path: &PropertyPath) -> Option<&'a mut Value> {
    path.segments().iter().try_fold(value, |value, segment| match segment {
        Segment::Key(key) => value.get_mut(key),
        Segment::Index(index) => value.get_mut(index),
    })
}

/// Everything that is said in the specifications, by its place. A list whose elements have no names is one
/// thing.
fn leaves(rendered: &Value) -> BTreeMap<Place, Value> {
    fn collect(place: &Place, value: &Value, found: &mut BTreeMap<Place, Value>) {
        let below = |step| place.iter().cloned().chain([step]).collect::<Place>();
        match value {
            Value::Object(fields) if !fields.is_empty() => {
                for (key, value) in fields {
                    collect(&below(Step::Key(key.clone())), value, found);
                }
            }
            Value::Array(elements) => match merge_key(place, elements) {
                Some(key) => {
                    for element in elements {
                        let name = element[key].as_str().unwrap_or_default().to_owned();
                        collect(&below(Step::Named(name)), element, found);
                    }
                }
                None => _ = found.insert(place.clone(), value.clone()),
            },
            leaf => _ = found.insert(place.clone(), leaf.clone()),
        }
    }
    let mut found = BTreeMap::new();
    for overrides in ["chiOverrides", "chkOverrides"] {
        collect(&vec![Step::Key(overrides.to_owned())], &rendered[overrides]["spec"], &mut found);
    }
    found
}

fn merge_key(place: &Place, elements: &[Value]) -> Option<&'static str> {
    let Some(Step::Key(list)) = place.last() else { return None };
    manifest::merge_key(list, elements)
}

/// What stands at `place` now; null when it was removed. `None` when a named thing that it stood in is gone:
/// nothing is said in the place of what was said there.
fn now<'a>(overridden: &'a Value, place: &Place) -> Option<&'a Value> {
    let (overrides, steps) = place.split_first()?;
    let Step::Key(overrides) = overrides else { return None };
    let mut value = &overridden[overrides.as_str()]["spec"];
    let mut list = "";
    for step in steps {
        match step {
            Step::Key(key) => {
                list = key;
                value = value.get(key).unwrap_or(&Value::Null);
            }
            Step::Named(name) => {
                let elements = value.as_array()?;
                let key = manifest::merge_key(list, elements)?;
                value = elements.iter().find(|element| element[key] == *name.as_str())?;
            }
        }
    }
    Some(value)
}

/// Whether both say the same: words for yes and no, and quantities, have several spellings.
fn same(said: &Value, now: &Value) -> bool {
    let quantities = said.as_str().zip(now.as_str()).is_some_and(|(said, now)| quantity::same(said, now));
    let words = said.is_string() && yes_or_no(said).is_some_and(|said| yes_or_no(now) == Some(said));
    said == now || quantities || words
}

/// The texts, numbers and truth values in `value`.
fn scalars(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(elements) => elements.iter().flat_map(scalars).collect(),
        Value::Object(fields) => fields.values().flat_map(scalars).collect(),
        scalar => vec![scalar],
    }
}

/// Whether a part of what an input says is in what is rendered.
fn mentions(rendered: &Value, input: &Value) -> bool {
    scalars(input)
        .into_iter()
        .any(|input| scalars(rendered).into_iter().any(|rendered| says(rendered, input)))
}

/// Whether everything that an input says and that was rendered is there now, too, in the same way.
fn still_says(said: &Value, now: &Value, input: &Value) -> bool {
    let (said, now) = (scalars(said), scalars(now));
    scalars(input).into_iter().all(|input| {
        if said.contains(&input) { now.contains(&input) } else { now.iter().any(|now| says(now, input)) }
    })
}

fn says(rendered: &Value, input: &Value) -> bool {
    match (rendered, input) {
        (word, Value::Bool(input)) => yes_or_no(word) == Some(*input),
        // Rendered as a part of something, as a version is; or taken apart, as `host:port` is.
        (Value::String(rendered), Value::String(input)) => {
            !input.is_empty()
                && !rendered.is_empty()
                && (rendered.contains(input.as_str()) || input.contains(rendered.as_str()))
        }
        (rendered, input) => rendered == input,
    }
}

/// A place as it is written in a program, with the names of named things.
fn told(place: &Place) -> String {
    place.iter().fold(String::new(), |told, step| match step {
        Step::Named(name) => format!("{told}[{name}]"),
        Step::Key(key) if key.is_empty() || key.contains(['.', '[', ']', '"', '/']) => {
            format!("{told}[\"{key}\"]")
        }
        Step::Key(key) if told.is_empty() => key.clone(),
        Step::Key(key) => format!("{told}.{key}"),
    })
}
