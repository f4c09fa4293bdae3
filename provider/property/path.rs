//! Property paths: where in a property map a value stands, in Pulumi's own notation.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

/// A set of property paths.
pub type Paths = BTreeSet<PropertyPath>;

/// One step of a [`PropertyPath`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Segment {
    /// A property of an object.
    Key(String),
    /// An element of a list, from 0.
    Index(usize),
}

/// A place in a property map, printed as Pulumi reads it: `storage.size`, `users["a.b"]`, `nodes[0].host`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PropertyPath(Vec<Segment>);

impl PropertyPath {
    /// The whole property map.
    pub fn root() -> Self {
        Self::default()
    }

    /// The path below this one at `key`.
    #[must_use]
    pub fn key(&self, key: impl Into<String>) -> Self {
        self.child(Segment::Key(key.into()))
    }

    /// The path below this one at element `index`.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.child(Segment::Index(index))
    }

    /// The path below this one at `segment`.
    #[must_use]
    pub fn child(&self, segment: Segment) -> Self {
        let mut segments = self.0.clone();
        segments.push(segment);
        Self(segments)
    }

    /// The steps, outermost first.
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// Whether this is the whole property map.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The name of the top-level property that this path leads into.
    pub fn top_level(&self) -> Option<&str> {
        match self.0.first() {
            Some(Segment::Key(key)) => Some(key),
            _ => None,
        }
    }

    /// What stands at this path in `value`.
    pub fn find_in<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(value, |value, segment| match segment {
            Segment::Key(key) => value.get(key),
            Segment::Index(index) => value.get(index),
        })
    }

    /// Whether `other` is this path or stands below it.
    pub fn contains(&self, other: &PropertyPath) -> bool {
        other.0.starts_with(&self.0)
    }
}

impl FromIterator<Segment> for PropertyPath {
    fn from_iter<I: IntoIterator<Item = Segment>>(segments: I) -> Self {
        Self(segments.into_iter().collect())
    }
}

impl From<&str> for PropertyPath {
    /// A dotted path of plain names and places in lists, `storage.disks[0].size`; for names that are written
    /// in the code.
    fn from(dotted: &str) -> Self {
        let segments = |part: &str| {
            let place = part.strip_suffix(']').and_then(|part| part.split_once('['));
            match place.and_then(|(name, index)| Some((name, index.parse().ok()?))) {
                Some((name, index)) => vec![Segment::Key(name.to_owned()), Segment::Index(index)],
                None => vec![Segment::Key(part.to_owned())],
            }
        };
        dotted.split('.').filter(|part| !part.is_empty()).flat_map(segments).collect()
    }
}

impl fmt::Display for PropertyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Index(index) => write!(f, "[{index}]")?,
                // Pulumi reads `\"` as a quote and any other backslash as itself, so no quotes can hold a key
                // with one at its end: there the path ends above it.
                Segment::Key(key) if position > 0 && key.contains(['.', '[']) && key.ends_with('\\') => break,
                Segment::Key(key)
                    if (key.is_empty() || key.contains(['.', '[', ']', '"'])) && !key.ends_with('\\') =>
                {
                    write!(f, "[\"{}\"]", key.replace('"', "\\\""))?;
                }
                Segment::Key(key) if position == 0 => f.write_str(key)?,
                Segment::Key(key) => write!(f, ".{key}")?,
            }
        }
        Ok(())
    }
}
