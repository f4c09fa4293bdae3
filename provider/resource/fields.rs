//! What the types say about single fields, read from their JSON Schema along a value: which are secret, which replace
//! the resource, and where anything goes.

use schemars::JsonSchema;
use serde_json::Value;

use crate::property::path::{PropertyPath, Segment};
use crate::property::{PropertyMap, PropertyValue};
use crate::schema::{of_input, of_output};

/// How deep references may lead before they are taken for a circle.
const DEPTH: usize = 16;

/// The fields of a typed bag of properties.
#[derive(Debug, Clone)]
pub struct Fields {
    schema: Value,
}

impl Fields {
    /// The fields of inputs.
    pub fn of_inputs<T: JsonSchema>() -> Self {
        Self { schema: of_input::<T>() }
    }

    /// The fields of outputs.
    pub fn of_outputs<T: JsonSchema>() -> Self {
        Self { schema: of_output::<T>() }
    }

    /// The JSON Schema itself.
    pub fn schema(&self) -> &Value {
        &self.schema
    }

    /// Drops what is null, which for Pulumi is the same as absent; where the type takes anything, null says something and stays.
    pub fn drop_nulls(&self, map: &mut PropertyMap) {
        self.drop_nulls_in(&self.schema, map);
    }

    fn drop_nulls_in(&self, node: &Value, map: &mut PropertyMap) {
        map.retain(|key, value| {
            *value.exposed() != PropertyValue::Null || !self.member(node, key).is_some_and(|child| self.is_typed(child))
        });
        for (key, value) in map {
            if let Some(child) = self.member(node, key) {
                self.drop_nulls_below(child, value);
            }
        }
    }

    fn drop_nulls_below(&self, node: &Value, value: &mut PropertyValue) {
        match value.exposed_mut() {
            PropertyValue::Map(map) => self.drop_nulls_in(node, map),
            PropertyValue::List(items) => {
                if let Some(element) = self.element(node) {
                    for item in items {
                        self.drop_nulls_below(element, item);
                    }
                }
            }
            _ => {}
        }
    }

    /// Makes secret what the types say is secret, at any depth, and nothing around it.
    pub fn mark_secrets(&self, map: &mut PropertyMap) {
        self.mark_members(&self.schema, map);
    }

    fn mark_members(&self, node: &Value, map: &mut PropertyMap) {
        for (key, value) in map {
            if let Some(child) = self.member(node, key) {
                self.mark(child, value);
            }
        }
    }

    fn mark(&self, node: &Value, value: &mut PropertyValue) {
        if self.is_marked(node, "secret") {
            let plain = std::mem::replace(value, PropertyValue::Null);
            *value = plain.into_secret();
            return;
        }
        match value {
            PropertyValue::Map(map) => self.mark_members(node, map),
            PropertyValue::List(items) => {
                if let Some(element) = self.element(node) {
                    for item in items {
                        self.mark(element, item);
                    }
                }
            }
            // Inside a secret everything is secret.
            _ => {}
        }
    }

    /// Whether the types say that what stands at `path` is secret.
    pub fn is_secret(&self, path: &PropertyPath) -> bool {
        let mut node = &self.schema;
        for segment in path.segments() {
            let child = match segment {
                Segment::Key(key) => self.member(node, key),
                Segment::Index(_) => self.element(node),
            };
            let Some(child) = child else { return false };
            if self.is_marked(child, "secret") {
                return true;
            }
            node = child;
        }
        false
    }

    /// The top-level fields whose change replaces the resource: in an update they stay what they are.
    pub fn replacing(&self) -> Vec<String> {
        let Some(properties) = self.schema.get("properties").and_then(Value::as_object) else { return Vec::new() };
        properties
            .iter()
            .filter(|(_, node)| ["replaceOnChanges", "willReplaceOnChanges"].iter().any(|mark| self.is_marked(node, mark)))
            .map(|(name, _)| name.clone())
            .collect()
    }

    fn is_marked(&self, node: &Value, mark: &str) -> bool {
        let marked = |node: &Value| node.get(mark).and_then(Value::as_bool).unwrap_or(false);
        marked(node) || marked(self.resolved(node))
    }

    /// Follows references, and choices between one type and null.
    fn resolved<'a>(&'a self, node: &'a Value) -> &'a Value {
        let mut node = node;
        for _ in 0..DEPTH {
            let next = if let Some(reference) = node.get("$ref").and_then(Value::as_str) {
                reference.strip_prefix('#').and_then(|pointer| self.schema.pointer(pointer))
            } else {
                ["anyOf", "oneOf"].iter().find_map(|choice| only_type(node.get(choice)?))
            };
            match next {
                Some(next) => node = next,
                None => break,
            }
        }
        node
    }

    fn member<'a>(&'a self, node: &'a Value, key: &str) -> Option<&'a Value> {
        let node = self.resolved(node);
        node.get("properties").and_then(|properties| properties.get(key)).or_else(|| match node.get("additionalProperties") {
            Some(Value::Bool(false)) => None,
            other => other,
        })
    }

    fn element<'a>(&'a self, node: &'a Value) -> Option<&'a Value> {
        self.resolved(node).get("items")
    }

    /// Whether the node says anything about its values.
    fn is_typed(&self, node: &Value) -> bool {
        let node = self.resolved(node);
        ["type", "enum", "const", "anyOf", "oneOf", "allOf", "properties"].iter().any(|keyword| node.get(keyword).is_some())
    }
}

/// The one member of a choice that is not null.
fn only_type(choice: &Value) -> Option<&Value> {
    let mut types = choice.as_array()?.iter().filter(|member| member.get("type").and_then(Value::as_str) != Some("null"));
    let first = types.next()?;
    types.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Bag {
        #[schemars(extend("willReplaceOnChanges" = true))]
        name: Option<String>,
        #[schemars(extend("secret" = true))]
        password: Option<String>,
        inner: Option<Inner>,
        list: Option<Vec<Inner>>,
        #[schemars(extend("secret" = true))]
        whole: Option<Inner>,
        anything: Option<BTreeMap<String, Value>>,
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Inner {
        #[schemars(extend("secret" = true))]
        token: Option<String>,
        plain: Option<String>,
    }

    fn map<const N: usize>(entries: [(&str, PropertyValue); N]) -> PropertyMap {
        entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    fn inner() -> PropertyMap {
        map([("token", "t".into()), ("plain", "p".into())])
    }

    #[test]
    fn secret_fields_are_marked_at_any_depth_and_only_they() {
        let mut bag = map([
            ("name", "n".into()),
            ("password", "x".into()),
            ("inner", inner().into()),
            ("list", vec![inner().into()].into()),
            ("whole", inner().into()),
        ]);
        Fields::of_inputs::<Bag>().mark_secrets(&mut bag);
        let marked = map([("token", PropertyValue::from("t").into_secret()), ("plain", "p".into())]);
        let expected = map([
            ("name", "n".into()),
            ("password", PropertyValue::from("x").into_secret()),
            ("inner", marked.clone().into()),
            ("list", vec![marked.into()].into()),
            ("whole", PropertyValue::Map(inner()).into_secret()),
        ]);
        assert!(bag == expected, "{bag:?}");
    }

    #[test]
    fn a_path_below_a_secret_field_is_secret() {
        let fields = Fields::of_outputs::<Bag>();
        assert!(fields.is_secret(&"whole.plain".into()));
        assert!(fields.is_secret(&PropertyPath::from("list").index(3).key("token")));
        assert!(!fields.is_secret(&PropertyPath::from("list").index(3).key("plain")));
        assert!(!fields.is_secret(&"nothing.there".into()));
    }

    #[test]
    fn nulls_are_dropped_where_the_type_is_known_and_kept_where_anything_goes() {
        let mut bag = map([
            ("name", PropertyValue::Null),
            ("unheard", PropertyValue::Null),
            ("inner", PropertyValue::Map(map([("token", PropertyValue::Null)])).into_secret()),
            ("anything", map([("removed", PropertyValue::Null)]).into()),
        ]);
        Fields::of_inputs::<Bag>().drop_nulls(&mut bag);
        let expected = map([
            ("unheard", PropertyValue::Null),
            ("inner", PropertyValue::Map(map([])).into_secret()),
            ("anything", map([("removed", PropertyValue::Null)]).into()),
        ]);
        assert!(bag == expected, "{bag:?}");
    }

    #[test]
    fn replacing_fields_are_found() {
        assert_eq!(Fields::of_inputs::<Bag>().replacing(), ["name"]);
    }
}
