//! A property's value, with Pulumi's markers for what is not known yet and what is secret.

use std::collections::BTreeMap;
use std::fmt;

use super::path::{PropertyPath, Segment};

/// A property map: the inputs or outputs of a resource, or an object among them.
pub type PropertyMap = BTreeMap<String, PropertyValue>;

/// A property's value.
#[derive(Clone, PartialEq)]
pub enum PropertyValue {
    /// Null: as an input the same as absent, except where the schema takes anything.
    Null,
    /// True or false.
    Bool(bool),
    /// A number. Pulumi knows no integers.
    Number(f64),
    /// A text.
    String(String),
    /// A list.
    List(Vec<PropertyValue>),
    /// An object.
    Map(PropertyMap),
    /// A value that only the real run will tell.
    Unknown,
    /// A value that is encrypted in state and hidden on the display.
    Secret(Box<PropertyValue>),
    /// An asset or an archive, kept as it came: its fields, the signature among them.
    Asset(PropertyMap),
}

impl PropertyValue {
    /// The same value as a secret; one that is secret already stays as it is.
    #[must_use]
    pub fn into_secret(self) -> Self {
        match self {
            Self::Secret(_) => self,
            plain => Self::Secret(Box::new(plain)),
        }
    }

    /// The value without the secret around it.
    pub fn exposed(&self) -> &Self {
        match self {
            Self::Secret(inner) => inner.exposed(),
            plain => plain,
        }
    }

    /// The value without the secret around it, to be changed in place.
    pub fn exposed_mut(&mut self) -> &mut Self {
        match self {
            Self::Secret(inner) => inner.exposed_mut(),
            plain => plain,
        }
    }

    /// Whether it, or a part of it, is secret.
    pub fn has_secret(&self) -> bool {
        match self {
            Self::Secret(_) => true,
            Self::List(items) => items.iter().any(Self::has_secret),
            Self::Map(map) | Self::Asset(map) => map.values().any(Self::has_secret),
            _ => false,
        }
    }

    /// Whether it, or a part of it, is unknown.
    pub fn has_unknown(&self) -> bool {
        match self {
            Self::Unknown => true,
            Self::Secret(inner) => inner.has_unknown(),
            Self::List(items) => items.iter().any(Self::has_unknown),
            Self::Map(map) | Self::Asset(map) => map.values().any(Self::has_unknown),
            _ => false,
        }
    }

    /// The text, if it is one, secret or not.
    pub fn as_str(&self) -> Option<&str> {
        match self.exposed() {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    fn step(&self, segment: &Segment) -> Option<&Self> {
        match (self.exposed(), segment) {
            (Self::Map(map), Segment::Key(key)) => map.get(key),
            (Self::List(items), Segment::Index(index)) => items.get(*index),
            _ => None,
        }
    }
}

/// A map of these entries.
#[cfg(test)]
pub(crate) fn map<const N: usize>(entries: [(&str, PropertyValue); N]) -> PropertyMap {
    entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// The value at `path`, looked for through secrets. `None` when nothing stands there, and for the root.
pub fn get<'a>(map: &'a PropertyMap, path: &PropertyPath) -> Option<&'a PropertyValue> {
    let (first, rest) = path.segments().split_first()?;
    let Segment::Key(key) = first else { return None };
    rest.iter().try_fold(map.get(key)?, |value, segment| value.step(segment))
}

impl fmt::Debug for PropertyValue {
    /// Secrets are not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => value.fmt(f),
            Self::Number(value) => value.fmt(f),
            Self::String(value) => value.fmt(f),
            Self::List(items) => f.debug_list().entries(items).finish(),
            Self::Map(map) => f.debug_map().entries(map).finish(),
            Self::Unknown => f.write_str("[unknown]"),
            Self::Secret(_) => f.write_str("[secret]"),
            Self::Asset(_) => f.write_str("[asset]"),
        }
    }
}

impl From<&str> for PropertyValue {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for PropertyValue {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<f64> for PropertyValue {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for PropertyValue {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<PropertyMap> for PropertyValue {
    fn from(map: PropertyMap) -> Self {
        Self::Map(map)
    }
}

impl From<Vec<PropertyValue>> for PropertyValue {
    fn from(items: Vec<PropertyValue>) -> Self {
        Self::List(items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_hides_a_secret_and_an_asset() {
        let value = PropertyValue::List(vec![
            PropertyValue::from("hunter2").into_secret(),
            PropertyValue::Asset(PropertyMap::from([("text".to_owned(), "hunter2".into())])),
            PropertyValue::Unknown,
        ]);
        assert_eq!(format!("{value:?}"), "[[secret], [asset], [unknown]]");
    }

    #[test]
    fn get_looks_through_secrets() {
        let inner = PropertyMap::from([(
            "list".to_owned(),
            PropertyValue::List(vec![1.0.into(), 2.0.into()]).into_secret(),
        )]);
        let map = PropertyMap::from([("outer".to_owned(), PropertyValue::Map(inner).into_secret())]);
        assert_eq!(get(&map, &PropertyPath::from("outer.list").index(1)), Some(&2.0.into()));
        assert_eq!(get(&map, &PropertyPath::from("outer.none")), None);
    }

    #[test]
    fn a_secret_is_wrapped_once() {
        let once = PropertyValue::from("x").into_secret();
        assert_eq!(once.clone().into_secret(), once);
    }
}
