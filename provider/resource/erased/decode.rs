//! From bags of properties to typed values, past whatever is unknown or of an older shape.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::property::json::{Apart, take_apart};
use crate::property::path::{PropertyPath, Segment};
use crate::property::{PropertyMap, PropertyValue};
use crate::resource::{CheckFailure, Known, Paths};
use crate::schema::fields::Fields;
use crate::schema::shape;

/// How often an older shape is mended before it is given up.
const MENDS: usize = 64;

/// Reads inputs that were checked before.
pub(super) fn checked<T: DeserializeOwned>(fields: &Fields, map: &PropertyMap) -> Result<Known<T>, CheckFailure> {
    let mut map = map.clone();
    fields.drop_nulls(&mut map);
    fields.mark_secrets(&mut map);
    known(take_apart(&map))
}

/// Reads inputs as the program wrote them. Collects everything that is wrong with their shape; with failures there is
/// still a value where one can be had without the parts that are wrong, which then count as unknown, so that
/// what is wrong with the others can be told in the same breath.
pub(super) fn written<T: DeserializeOwned>(fields: &Fields, apart: Apart) -> (Option<Known<T>>, Vec<CheckFailure>) {
    let mut apart = apart;
    let mut failures: Vec<CheckFailure> =
        apart.assets.iter().map(|path| CheckFailure { path: path.clone(), reason: "takes no asset or archive".to_owned() }).collect();
    apart.unknown.append(&mut apart.assets);
    let mut json = Value::Object(apart.json);
    failures.extend(shape::check(fields.schema(), &json, &apart.unknown));
    for failure in &failures {
        let removed = remove(&mut json, &failure.path);
        apart.unknown.insert(removed);
    }
    apart.json = match json {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    match known(apart) {
        Ok(known) => (Some(known), failures),
        Err(failure) if failures.is_empty() => (None, vec![failure]),
        // What could not be read follows from what is told already.
        Err(_) => (None, failures),
    }
}

/// Reads what an earlier run, perhaps of an earlier version, left in state: what does not fit is passed over.
/// `None` for an empty bag.
pub(super) fn remembered<T: DeserializeOwned>(fields: &Fields, map: &PropertyMap) -> Option<T> {
    let mut map = map.clone();
    fields.drop_nulls(&mut map);
    let json = take_apart(&map).json;
    if json.is_empty() {
        return None;
    }
    let mut json = Value::Object(json);
    for _ in 0..MENDS {
        match deserialize(&json) {
            Ok(value) => return Some(value),
            Err((path, _)) if path.is_root() => return None,
            Err((path, _)) => _ = remove(&mut json, &path),
        }
    }
    None
}

/// What an empty bag reads as; `None` when the type needs something.
pub(super) fn nothing<T: DeserializeOwned>() -> Option<T> {
    deserialize(&Value::Object(Map::new())).ok()
}

/// Reads what is known. An object that can't be read because a part of it is unknown counts as unknown as a whole.
fn known<T: DeserializeOwned>(apart: Apart) -> Result<Known<T>, CheckFailure> {
    let Apart { json, mut unknown, secret, assets: _ } = apart;
    let mut json = Value::Object(json);
    loop {
        match deserialize(&json) {
            Ok(value) => return Ok(Known { value, unknown }),
            Err((path, _)) if !path.is_root() && unknown.iter().any(|part| *part != path && path.contains(part)) => {
                unknown.retain(|part| !path.contains(part));
                unknown.insert(remove(&mut json, &path));
            }
            Err((path, message)) => {
                // The message quotes the value.
                let is_secret = secret.iter().any(|secret| secret.contains(&path) || path.contains(secret));
                let reason = if is_secret { "is not of the right type".to_owned() } else { message };
                return Err(CheckFailure { path, reason });
            }
        }
    }
}

fn deserialize<T: DeserializeOwned>(json: &Value) -> Result<T, (PropertyPath, String)> {
    serde_path_to_error::deserialize(json).map_err(|error| (property_path(error.path()), error.inner().to_string()))
}

fn property_path(path: &serde_path_to_error::Path) -> PropertyPath {
    use serde_path_to_error::Segment as At;
    path.iter()
        .filter_map(|segment| match segment {
            At::Seq { index } => Some(Segment::Index(*index)),
            At::Map { key } => Some(Segment::Key(key.clone())),
            At::Enum { .. } | At::Unknown => None,
        })
        .collect()
}

/// Takes out what stands at `path`, and says what really went: for an element of a list, all of that.
fn remove(json: &mut Value, path: &PropertyPath) -> PropertyPath {
    let mut segments = path.segments();
    while let Some((Segment::Index(_), list)) = segments.split_last() {
        segments = list;
    }
    if let Some((Segment::Key(last), parents)) = segments.split_last() {
        let parent = parents.iter().try_fold(json, |value, segment| match segment {
            Segment::Key(key) => value.get_mut(key),
            Segment::Index(index) => value.get_mut(index),
        });
        if let Some(Value::Object(map)) = parent {
            map.remove(last);
        }
    }
    segments.iter().cloned().collect()
}

/// The paths that the program marked secret by its own choice: those that the types mark anyway left out.
pub(super) fn own_secrets(fields: &Fields, map: &PropertyMap) -> Paths {
    take_apart(map).secret.into_iter().filter(|path| !fields.is_secret(path)).collect()
}

/// Pulumi prints the value of a top-level property that a failure names, without asking whether a part of it is secret:
/// such a failure names its property in its reason instead.
pub(super) fn without_secrets(inputs: &PropertyMap, failures: Vec<CheckFailure>) -> Vec<CheckFailure> {
    let names_secret = |path: &PropertyPath| {
        path.segments().len() == 1 && path.top_level().and_then(|name| inputs.get(name)).is_some_and(PropertyValue::has_secret)
    };
    failures
        .into_iter()
        .map(|failure| match failure {
            CheckFailure { path, reason } if names_secret(&path) => {
                CheckFailure { path: PropertyPath::root(), reason: format!("`{path}`: {reason}") }
            }
            plain => plain,
        })
        .collect()
}
