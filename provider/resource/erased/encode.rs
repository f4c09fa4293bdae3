//! From typed values back to property maps, with their marks.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::property::json::{apply_marks, from_json};
use crate::property::path::PropertyPath;
use crate::property::value::get;
use crate::property::{PropertyMap, PropertyValue};
use crate::resource::Paths;
use crate::schema::fields::Fields;

/// The shortest secret that is looked for in other texts: a shorter one stands in many by chance.
pub(super) const MIN_SECRET_LEN: usize = 4;

/// A typed value as plain JSON. Types that are no object, which no property map is, give an empty one.
pub(super) fn to_json<T: Serialize>(value: &T) -> Map<String, Value> {
    match serde_json::to_value(value) {
        Ok(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

/// A typed value as a property map: without nulls, with what the types and `secret` say is secret.
pub(super) fn property_map<T: Serialize>(
    fields: &Fields,
    value: &T,
    unknown: &Paths,
    secret: &Paths,
) -> PropertyMap {
    let mut map = apply_marks(&to_json(value), unknown, secret);
    fields.drop_nulls(&mut map);
    fields.mark_secrets(&mut map);
    map
}

/// The texts that the program itself marked secret, each by itself: of a secret object nobody knows which
/// part was meant.
pub(super) fn secret_texts(map: &PropertyMap, secret: &Paths) -> Vec<String> {
    let texts = secret.iter().filter_map(|path| get(map, path)?.as_str());
    texts.filter(|text| text.len() >= MIN_SECRET_LEN).map(ToOwned::to_owned).collect()
}

/// Makes secret every text that has one of `texts` in it: an address that is made of a secret name tells the
/// name.
pub(super) fn hide(map: &mut PropertyMap, texts: &[String]) {
    if !texts.is_empty() {
        for value in map.values_mut() {
            hide_in(value, texts);
        }
    }
}

fn hide_in(value: &mut PropertyValue, texts: &[String]) {
    match value {
        PropertyValue::String(text) if texts.iter().any(|secret| text.contains(secret.as_str())) => {
            let plain = std::mem::replace(value, PropertyValue::Null);
            *value = plain.into_secret();
        }
        PropertyValue::List(items) => {
            for item in items {
                hide_in(item, texts);
            }
        }
        PropertyValue::Map(map) => hide(map, texts),
        _ => {}
    }
}

/// Adds to the user's inputs what the check filled in: only what is missing, and nothing in a place that is
/// unknown.
pub(super) fn add_defaults(inputs: &mut PropertyMap, checked: &Map<String, Value>, unknown: &Paths) {
    add_members(inputs, checked, unknown, &PropertyPath::root());
}

fn add_members(map: &mut PropertyMap, checked: &Map<String, Value>, unknown: &Paths, at: &PropertyPath) {
    for (key, value) in checked {
        let path = at.key(key);
        if unknown.iter().any(|unknown| unknown.contains(&path)) {
            continue;
        }
        match map.get_mut(key) {
            Some(existing) => add_below(existing, value, unknown, &path),
            None => _ = map.insert(key.clone(), from_json(value)),
        }
    }
}

fn add_below(existing: &mut PropertyValue, checked: &Value, unknown: &Paths, at: &PropertyPath) {
    match (existing.exposed_mut(), checked) {
        (PropertyValue::Map(map), Value::Object(checked)) => add_members(map, checked, unknown, at),
        (PropertyValue::List(items), Value::Array(checked)) if items.len() == checked.len() => {
            for (index, (item, checked)) in items.iter_mut().zip(checked).enumerate() {
                add_below(item, checked, unknown, &at.index(index));
            }
        }
        _ => {}
    }
}
