//! Property maps in little room.

use super::{PropertyMap, PropertyValue};

/// A property map that is only kept, for as long as a call waits: a map that can be changed takes room for
/// eleven entries where it has one.
pub struct Packed(Box<[(Box<str>, Part)]>);

enum Part {
    Leaf(PropertyValue),
    List(Box<[Part]>),
    Map(Packed),
    Secret(Box<Part>),
    Asset(Packed),
}

impl From<PropertyMap> for Packed {
    fn from(map: PropertyMap) -> Self {
        Self(map.into_iter().map(|(key, value)| (key.into_boxed_str(), value.into())).collect())
    }
}

impl From<Packed> for PropertyMap {
    fn from(Packed(entries): Packed) -> Self {
        entries.into_iter().map(|(key, part)| (key.into_string(), part.into())).collect()
    }
}

impl From<PropertyValue> for Part {
    fn from(value: PropertyValue) -> Self {
        match value {
            PropertyValue::List(items) => Self::List(items.into_iter().map(Self::from).collect()),
            PropertyValue::Map(map) => Self::Map(map.into()),
            PropertyValue::Secret(inner) => Self::Secret(Box::new(Self::from(*inner))),
            PropertyValue::Asset(map) => Self::Asset(map.into()),
            leaf => Self::Leaf(leaf),
        }
    }
}

impl From<Part> for PropertyValue {
    fn from(part: Part) -> Self {
        match part {
            Part::Leaf(leaf) => leaf,
            Part::List(items) => Self::List(items.into_iter().map(Self::from).collect()),
            Part::Map(map) => Self::Map(map.into()),
            Part::Secret(inner) => Self::Secret(Box::new(Self::from(*inner))),
            Part::Asset(map) => Self::Asset(map.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::map;
    use super::*;

    #[test]
    fn whatever_is_packed_comes_out_as_it_was() {
        let asset = PropertyValue::Asset(map([("text", "x".into())]));
        let properties = map([
            ("null", PropertyValue::Null),
            ("unknown", PropertyValue::Unknown.into_secret()),
            ("list", vec![1.0.into(), map([("a", true.into()), ("b", asset)]).into()].into()),
            ("secret", PropertyValue::Map(map([("c", "d".into())])).into_secret()),
            ("empty", map([]).into()),
        ]);
        assert!(PropertyMap::from(Packed::from(properties.clone())) == properties);
    }
}
