//! One place in a type's JSON Schema, and what it says about the value that stands there: the one reading of
//! schemas.

use std::iter;

use serde_json::{Map, Value};

/// How many references and choices in a row are followed before they are taken for a circle.
const MAX_REF_DEPTH: usize = 16;

/// A place in a type's JSON Schema.
#[derive(Debug, Clone, Copy)]
pub struct Node<'a> {
    root: &'a Value,
    at: &'a Value,
}

/// One value of an enum.
#[derive(Debug, Clone, Copy)]
pub struct Constant<'a> {
    /// The value.
    pub value: &'a Value,
    /// Where it is described; `None` for one without a doc comment.
    pub place: Option<Node<'a>>,
}

/// The JSON types that a place allows besides `null`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonType<'a> {
    /// Every type.
    Any,
    /// This one.
    One(&'a str),
    /// Several, or none.
    Several,
}

impl<'a> Node<'a> {
    /// The type itself.
    pub fn root(schema: &'a Value) -> Self {
        Self { root: schema, at: schema }
    }

    fn to(self, at: &'a Value) -> Self {
        Self { at, ..self }
    }

    /// What the schema writes under `keyword` in this place; references are not followed.
    pub fn keyword(self, keyword: &str) -> Option<&'a Value> {
        self.at.get(keyword)
    }

    /// The text that the schema writes under `keyword` in this place.
    pub fn text(self, keyword: &str) -> Option<&'a str> {
        self.keyword(keyword)?.as_str()
    }

    /// The keywords that are written in this place.
    pub fn keywords(self) -> impl Iterator<Item = &'a str> {
        self.at.as_object().into_iter().flat_map(Map::keys).map(String::as_str)
    }

    /// Whether no value may stand here.
    pub fn allows_nothing(self) -> bool {
        *self.at == Value::Bool(false)
    }

    /// Whether this place says yes to `mark`, itself or by the type that it refers to.
    pub fn is_marked(self, mark: &str) -> bool {
        [self, self.resolved()].iter().any(|node| node.keyword(mark) == Some(&Value::Bool(true)))
    }

    /// The name of the type that this place refers to.
    pub fn reference(self) -> Option<&'a str> {
        self.text("$ref")?.strip_prefix("#/$defs/")
    }

    /// The named types that the schema brings along.
    pub fn definitions(self) -> impl Iterator<Item = (&'a str, Self)> {
        entries(self.root, "$defs").map(move |(name, schema)| (name, self.to(schema)))
    }

    /// What may stand here besides `null`, where there is a choice; empty where there is none.
    pub fn choices(self) -> Vec<Self> {
        self.list("anyOf").filter(|choice| choice.text("type") != Some("null")).collect()
    }

    /// The place that says what stands here: references followed, the one choice besides `null` taken.
    pub fn resolved(self) -> Self {
        let next = |node: &Self| match node.reference() {
            Some(name) => node.root["$defs"].get(name).map(|schema| node.to(schema)),
            None => match node.choices()[..] {
                [only] => Some(only),
                _ => None,
            },
        };
        iter::successors(Some(self), next).take(MAX_REF_DEPTH).last().unwrap_or(self)
    }

    /// The types that the place itself allows besides `null`.
    pub fn json_type(self) -> JsonType<'a> {
        let types: Vec<&str> = match self.keyword("type") {
            None => return JsonType::Any,
            Some(Value::Array(types)) => {
                types.iter().filter_map(Value::as_str).filter(|kind| *kind != "null").collect()
            }
            Some(one) => one.as_str().into_iter().collect(),
        };
        match types[..] {
            [only] => JsonType::One(only),
            _ => JsonType::Several,
        }
    }

    /// Whether the place says anything about its value.
    pub fn is_typed(self) -> bool {
        ["type", "enum", "const", "anyOf", "oneOf", "allOf", "properties"]
            .iter()
            .any(|keyword| self.resolved().keyword(keyword).is_some())
    }

    /// The properties of a struct, with their names.
    pub fn properties(self) -> impl Iterator<Item = (&'a str, Self)> {
        entries(self.at, "properties").map(move |(name, schema)| (name, self.to(schema)))
    }

    /// The names of the properties that a struct must have.
    pub fn required(self) -> impl Iterator<Item = &'a str> {
        self.list("required").filter_map(|name| name.at.as_str())
    }

    /// What stands at `key` of the struct or map that this place comes to; `None` where there can't be such a
    /// key, or nothing is known of it.
    pub fn member(self, key: &str) -> Option<Self> {
        let node = self.resolved();
        let property = node.keyword("properties").and_then(|properties| properties.get(key));
        property.map(|schema| self.to(schema)).or_else(|| node.values())
    }

    /// What stands in the map that this place comes to, under whichever key.
    pub fn values(self) -> Option<Self> {
        self.resolved()
            .keyword("additionalProperties")
            .map(|schema| self.to(schema))
            .filter(|values| !values.allows_nothing())
    }

    /// What stands in the list that this place comes to.
    pub fn element(self) -> Option<Self> {
        self.resolved().keyword("items").map(|schema| self.to(schema))
    }

    /// The values of an enum: `oneOf` groups where they have doc comments, else one list. Empty for
    /// everything else.
    pub fn constants(self) -> Vec<Constant<'a>> {
        let of = |node: Self| {
            let listed = node
                .list("enum")
                .filter(|value| !value.at.is_null())
                .map(|value| Constant { value: value.at, place: None });
            node.keyword("const").map(|value| Constant { value, place: Some(node) }).into_iter().chain(listed)
        };
        iter::once(self).chain(self.list("oneOf")).flat_map(of).collect()
    }

    /// The groups of an enum: values, or structs that hold one.
    pub fn groups(self) -> impl Iterator<Item = Self> {
        self.list("oneOf")
    }

    fn list(self, keyword: &str) -> impl Iterator<Item = Self> + use<'a> {
        self.keyword(keyword)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .map(move |schema| self.to(schema))
    }
}

fn entries<'a>(schema: &'a Value, keyword: &str) -> impl Iterator<Item = (&'a str, &'a Value)> + use<'a> {
    schema
        .get(keyword)
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(name, schema)| (name.as_str(), schema))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_and_the_choice_besides_null_are_followed_and_circles_end() {
        let schema = json!({
            "properties": {"part": {"anyOf": [{"$ref": "#/$defs/Part"}, {"type": "null"}], "secret": true},
                "ring": {"$ref": "#/$defs/Ring"}},
            "$defs": {
                "Part": {"properties": {"sizes": {"type": ["array", "null"], "items": {"type": "integer"}}},
                    "additionalProperties": false},
                "Ring": {"$ref": "#/$defs/Ring"},
            },
        });
        let root = Node::root(&schema);
        let part = root.member("part").unwrap();
        assert!(part.is_marked("secret") && !part.resolved().is_marked("secret"));
        let sizes = part.member("sizes").unwrap();
        assert_eq!(sizes.json_type(), JsonType::One("array"));
        assert_eq!(sizes.element().unwrap().json_type(), JsonType::One("integer"));
        assert!(part.member("other").is_none());
        assert!(!root.member("ring").unwrap().is_typed());
    }

    #[test]
    fn constants_are_found_in_both_ways_of_writing_them() {
        let schema = json!({"oneOf": [{"const": "a", "description": "A."}, {"enum": ["b", null]}]});
        let constants = Node::root(&schema).constants();
        assert_eq!(constants.iter().map(|constant| constant.value).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(constants[0].place.unwrap().text("description"), Some("A."));
        assert!(constants[1].place.is_none());
    }
}
