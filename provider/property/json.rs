//! Bags of properties as plain JSON, for serde, with Pulumi's marks kept aside.

use serde_json::{Map, Number, Value};

use super::marks::{set_secret, set_unknown};
use super::path::{Paths, PropertyPath};
use super::value::{PropertyMap, PropertyValue};

/// The largest magnitude below which every integer has a number of its own in an `f64`.
const MAX_EXACT_INT: f64 = 9_007_199_254_740_992.0;

/// A property map without its marks, and where they were.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stripped {
    /// What is known, without any mark. Numbers without a fraction are integers.
    pub json: Map<String, Value>,
    /// Where something unknown was left out. A list with an unknown anywhere inside is left out as a whole,
    /// because an element that is missing would move the ones behind it.
    pub unknown: Paths,
    /// What was secret.
    pub secret: Paths,
    /// Where an asset or archive was left out: JSON has no such thing.
    pub assets: Paths,
}

/// Splits a property map into plain JSON and marks.
pub fn strip_marks(map: &PropertyMap) -> Stripped {
    let mut stripped = Stripped::default();
    let mut json = Map::new();
    for (key, value) in map {
        if let Some(value) = stripped.take(PropertyPath::root().key(key), value) {
            json.insert(key.clone(), value);
        }
    }
    stripped.json = json;
    stripped
}

impl Stripped {
    fn take(&mut self, path: PropertyPath, value: &PropertyValue) -> Option<Value> {
        match value {
            PropertyValue::Null => Some(Value::Null),
            PropertyValue::Bool(value) => Some(Value::Bool(*value)),
            PropertyValue::Number(value) => Some(number(*value)),
            PropertyValue::String(value) => Some(Value::String(value.clone())),
            PropertyValue::List(items) => {
                // Secrets are noted first: a list that is left out can still be a secret one.
                let mut taken = Vec::with_capacity(items.len());
                let mut unknown = false;
                for (index, item) in items.iter().enumerate() {
                    unknown |= item.has_unknown();
                    taken.extend(self.take(path.index(index), item));
                }
                if unknown {
                    self.unknown.retain(|inner| !path.contains(inner));
                    self.unknown.insert(path);
                    return None;
                }
                Some(Value::Array(taken))
            }
            PropertyValue::Map(map) => {
                let mut object = Map::new();
                for (key, value) in map {
                    if let Some(value) = self.take(path.key(key), value) {
                        object.insert(key.clone(), value);
                    }
                }
                Some(Value::Object(object))
            }
            PropertyValue::Unknown => {
                self.unknown.insert(path);
                None
            }
            PropertyValue::Secret(inner) => {
                self.secret.insert(path.clone());
                self.take(path, inner)
            }
            PropertyValue::Asset(_) => {
                self.assets.insert(path);
                None
            }
        }
    }
}

/// Numbers without a fraction as integers, so that integer fields take them.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < MAX_EXACT_INT {
        Value::from(value as i64)
    } else {
        Number::from_f64(value).map_or(Value::Null, Value::Number)
    }
}

/// Makes a property map of plain JSON and marks: what stands at an unknown path becomes unknown, whatever
/// it was; what stands at a secret path becomes secret.
pub fn apply_marks(json: &Map<String, Value>, unknown: &Paths, secret: &Paths) -> PropertyMap {
    let mut map = plain(json);
    for path in unknown {
        set_unknown(&mut map, path);
    }
    for path in secret {
        set_secret(&mut map, path);
    }
    map
}

fn plain(json: &Map<String, Value>) -> PropertyMap {
    json.iter().map(|(key, value)| (key.clone(), from_json(value))).collect()
}

/// A value of plain JSON.
pub fn from_json(json: &Value) -> PropertyValue {
    match json {
        Value::Null => PropertyValue::Null,
        Value::Bool(value) => PropertyValue::Bool(*value),
        Value::Number(number) => number.as_f64().map_or(PropertyValue::Null, PropertyValue::Number),
        Value::String(text) => PropertyValue::String(text.clone()),
        Value::Array(items) => PropertyValue::List(items.iter().map(from_json).collect()),
        Value::Object(object) => PropertyValue::Map(plain(object)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(map) => map,
            other => panic!("{other} is not an object"),
        }
    }

    fn paths<const N: usize>(paths: [PropertyPath; N]) -> Paths {
        paths.into_iter().collect()
    }

    #[test]
    fn marks_are_taken_out_and_remembered() {
        let properties = PropertyMap::from([
            ("shards".to_owned(), 3.0.into()),
            ("password".to_owned(), PropertyValue::from("hunter2").into_secret()),
            ("name".to_owned(), PropertyValue::Unknown),
            ("token".to_owned(), PropertyValue::Unknown.into_secret()),
            (
                "nested".to_owned(),
                PropertyMap::from([("a".to_owned(), PropertyValue::Unknown), ("b".to_owned(), 0.5.into())])
                    .into(),
            ),
            ("asset".to_owned(), PropertyValue::Asset(PropertyMap::new())),
        ]);
        let stripped = strip_marks(&properties);
        assert_eq!(
            Value::Object(stripped.json),
            json!({"shards": 3, "password": "hunter2", "nested": {"b": 0.5}})
        );
        assert_eq!(stripped.unknown, paths(["name".into(), "token".into(), "nested.a".into()]));
        assert_eq!(stripped.secret, paths(["password".into(), "token".into()]));
        assert_eq!(stripped.assets, paths(["asset".into()]));
    }

    #[test]
    fn a_list_with_an_unknown_inside_is_left_out_whole_and_keeps_its_secrets() {
        let element =
            PropertyMap::from([("host".to_owned(), PropertyValue::Unknown), ("port".to_owned(), 1.0.into())]);
        let properties = PropertyMap::from([(
            "nodes".to_owned(),
            vec![PropertyValue::from("x").into_secret(), element.into()].into(),
        )]);
        let stripped = strip_marks(&properties);
        assert!(stripped.json.is_empty());
        assert_eq!(stripped.unknown, paths(["nodes".into()]));
        assert_eq!(stripped.secret, paths([PropertyPath::from("nodes").index(0)]));
    }

    #[test]
    fn an_unknown_path_overrides_what_stands_there() {
        let map = apply_marks(
            &object(json!({"a": {"b": 1}, "c": "x"})),
            &paths(["a.b".into()]),
            &paths(["c".into()]),
        );
        let expected = PropertyMap::from([
            ("a".to_owned(), PropertyMap::from([("b".to_owned(), PropertyValue::Unknown)]).into()),
            ("c".to_owned(), PropertyValue::from("x").into_secret()),
        ]);
        assert_eq!(map, expected);
    }

    #[test]
    fn large_numbers_stay_numbers() {
        let stripped = strip_marks(&PropertyMap::from([
            ("big".to_owned(), 1e300.into()),
            ("minus".to_owned(), (-2.0).into()),
        ]));
        assert_eq!(Value::Object(stripped.json), json!({"big": 1e300, "minus": -2}));
    }

    fn plain_value() -> impl Strategy<Value = PropertyValue> {
        let leaf = prop_oneof![
            Just(PropertyValue::Null),
            any::<bool>().prop_map(PropertyValue::Bool),
            (-1e9..1e9f64).prop_map(PropertyValue::Number),
            any::<i32>().prop_map(|number| PropertyValue::Number(f64::from(number))),
            ".{0,8}".prop_map(PropertyValue::String),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(PropertyValue::List),
                prop::collection::btree_map("[a-z.]{1,4}", inner, 0..4).prop_map(PropertyValue::Map),
            ]
        })
    }

    proptest! {
        #[test]
        fn plain_maps_survive_the_way_to_json_and_back(
            properties in prop::collection::btree_map("[a-z]{1,4}", plain_value(), 0..5),
        ) {
            let stripped = strip_marks(&properties);
            prop_assert_eq!(apply_marks(&stripped.json, &stripped.unknown, &stripped.secret), properties);
        }
    }
}
