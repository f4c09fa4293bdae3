//! From property maps to typed values, past whatever is unknown or of an older shape.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::property::json::{Stripped, strip_marks};
use crate::property::path::{PropertyPath, Segment};
use crate::property::{PropertyMap, PropertyValue};
use crate::resource::{CheckFailure, Known, Paths};
use crate::schema::fields::Fields;
use crate::schema::shape;

/// How many properties of an older shape are left out before it is given up.
const MAX_REPAIRS: usize = 64;

/// Reads inputs that were checked before.
pub(super) fn checked_inputs<T: DeserializeOwned>(
    fields: &Fields,
    map: &PropertyMap,
) -> Result<Known<T>, CheckFailure> {
    let mut map = map.clone();
    fields.drop_nulls(&mut map);
    fields.mark_secrets(&mut map);
    known(strip_marks(&map))
}

/// Reads inputs as the program wrote them. Collects everything that is wrong with their shape; with failures
/// there is still a value where one can be had without the parts that are wrong, which then count as unknown,
/// so that what is wrong with the others is reported with them.
pub(super) fn program_inputs<T: DeserializeOwned>(
    fields: &Fields,
    stripped: Stripped,
) -> (Option<Known<T>>, Vec<CheckFailure>) {
    let mut stripped = stripped;
    let mut failures: Vec<CheckFailure> = stripped
        .assets
        .iter()
        .map(|path| CheckFailure { path: path.clone(), reason: "takes no asset or archive".to_owned() })
        .collect();
    stripped.unknown.append(&mut stripped.assets);
    let mut json = Value::Object(stripped.json);
    failures.extend(shape::check(fields.schema(), &json, &stripped.unknown));
    for failure in &failures {
        let removed = remove(&mut json, &failure.path);
        stripped.unknown.insert(removed);
    }
    stripped.json = match json {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    match known(stripped) {
        Ok(known) => (Some(known), failures),
        Err(failure) if failures.is_empty() => (None, vec![failure]),
        // What could not be read follows from what is told already.
        Err(_) => (None, failures),
    }
}

/// Reads what an earlier run, perhaps of an earlier version, left in state: what does not fit is passed over.
/// `None` for an empty property map.
pub(super) fn stored<T: DeserializeOwned>(fields: &Fields, map: &PropertyMap) -> Option<T> {
    let mut map = map.clone();
    fields.drop_nulls(&mut map);
    let json = strip_marks(&map).json;
    if json.is_empty() {
        return None;
    }
    let mut json = Value::Object(json);
    for _ in 0..MAX_REPAIRS {
        match deserialize(&json) {
            Ok(value) => return Some(value),
            Err((path, _)) if path.is_root() => return None,
            Err((path, _)) => _ = remove(&mut json, &path),
        }
    }
    None
}

/// What an empty property map reads as; `None` when the type needs something.
pub(super) fn empty<T: DeserializeOwned>() -> Option<T> {
    deserialize(&Value::Object(Map::new())).ok()
}

/// Reads what is known. An object that can't be read because a part of it is unknown counts as unknown as a
/// whole.
fn known<T: DeserializeOwned>(stripped: Stripped) -> Result<Known<T>, CheckFailure> {
    let Stripped { json, mut unknown, secret, assets: _ } = stripped;
    let mut json = Value::Object(json);
    loop {
        match deserialize(&json) {
            Ok(value) => return Ok(Known { value, unknown }),
            Err((path, _))
                if !path.is_root() && unknown.iter().any(|part| *part != path && path.contains(part)) =>
            {
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
    serde_path_to_error::deserialize(json)
        .map_err(|error| (property_path(error.path()), error.inner().to_string()))
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
    strip_marks(map).secret.into_iter().filter(|path| !fields.is_secret(path)).collect()
}

/// Pulumi prints the value of a top-level property that a failure names, without asking whether a part of it
/// is secret: such a failure names its property in its reason instead.
pub(super) fn without_secrets(inputs: &PropertyMap, failures: Vec<CheckFailure>) -> Vec<CheckFailure> {
    let names_secret = |path: &PropertyPath| {
        path.segments().len() == 1
            && path.top_level().and_then(|name| inputs.get(name)).is_some_and(PropertyValue::has_secret)
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
