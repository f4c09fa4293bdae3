//! What the types say about single fields, read from their JSON Schema along a value: which are secret, which
//! replace the resource, and where anything goes.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use schemars::JsonSchema;
use serde_json::Value;

use super::node::Node;
use super::{of_input, of_output};
use crate::property::path::{PropertyPath, Segment};
use crate::property::{PropertyMap, PropertyValue};

/// The fields of a typed property map.
#[derive(Debug, Clone)]
pub struct Fields {
    schema: Arc<Value>,
}

/// The schemas by their types and whether they are of inputs: each is made once.
static MADE: Mutex<BTreeMap<(TypeId, bool), Arc<Value>>> = Mutex::new(BTreeMap::new());

fn schema<T: 'static>(of_inputs: bool, make: impl FnOnce() -> Value) -> Arc<Value> {
    let mut known = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(known.entry((TypeId::of::<T>(), of_inputs)).or_insert_with(|| Arc::new(make())))
}

impl Fields {
    /// The fields of inputs.
    pub fn of_inputs<T: JsonSchema + 'static>() -> Self {
        Self { schema: schema::<T>(true, of_input::<T>) }
    }

    /// The fields of outputs.
    pub fn of_outputs<T: JsonSchema + 'static>() -> Self {
        Self { schema: schema::<T>(false, of_output::<T>) }
    }

    /// The JSON Schema itself.
    pub fn schema(&self) -> &Value {
        &self.schema
    }

    fn root(&self) -> Node<'_> {
        Node::root(&self.schema)
    }

    /// Drops what is null, which for Pulumi is the same as absent; where the type takes anything, null says
    /// something and stays.
    pub fn drop_nulls(&self, map: &mut PropertyMap) {
        drop_nulls_in(self.root(), map);
    }

    /// Makes secret what the types say is secret, at any depth, and nothing around it.
    pub fn mark_secrets(&self, map: &mut PropertyMap) {
        mark_members(self.root(), map);
    }

    /// Whether the types say that what stands at `path` is secret.
    pub fn is_secret(&self, path: &PropertyPath) -> bool {
        let mut node = self.root();
        for segment in path.segments() {
            let child = match segment {
                Segment::Key(key) => node.member(key),
                Segment::Index(_) => node.element(),
            };
            let Some(child) = child else { return false };
            if child.is_marked("secret") {
                return true;
            }
            node = child;
        }
        false
    }

    /// The top-level fields whose change replaces the resource: in an update they stay what they are.
    pub fn replacing(&self) -> Vec<String> {
        self.root()
            .properties()
            .filter(|(_, node)| node.is_marked("willReplaceOnChanges"))
            .map(|(name, _)| name.to_owned())
            .collect()
    }
}

fn drop_nulls_in(node: Node<'_>, map: &mut PropertyMap) {
    map.retain(|key, value| {
        *value.exposed() != PropertyValue::Null || !node.member(key).is_some_and(Node::is_typed)
    });
    for (key, value) in map {
        if let Some(child) = node.member(key) {
            drop_nulls_below(child, value);
        }
    }
}

fn drop_nulls_below(node: Node<'_>, value: &mut PropertyValue) {
    match value.exposed_mut() {
        PropertyValue::Map(map) => drop_nulls_in(node, map),
        PropertyValue::List(items) => {
            if let Some(element) = node.element() {
                for item in items {
                    drop_nulls_below(element, item);
                }
            }
        }
        _ => {}
    }
}

fn mark_members(node: Node<'_>, map: &mut PropertyMap) {
    for (key, value) in map {
        if let Some(child) = node.member(key) {
            mark(child, value);
        }
    }
}

fn mark(node: Node<'_>, value: &mut PropertyValue) {
    if node.is_marked("secret") {
        let plain = std::mem::replace(value, PropertyValue::Null);
        *value = plain.into_secret();
        return;
    }
    match value {
        PropertyValue::Map(map) => mark_members(node, map),
        PropertyValue::List(items) => {
            if let Some(element) = node.element() {
                for item in items {
                    mark(element, item);
                }
            }
        }
        // Inside a secret everything is secret.
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::property::map;

    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Sample {
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

    fn inner() -> PropertyMap {
        map([("token", "t".into()), ("plain", "p".into())])
    }

    #[test]
    fn secret_fields_are_marked_at_any_depth_and_only_they() {
        let mut properties = map([
            ("name", "n".into()),
            ("password", "x".into()),
            ("inner", inner().into()),
            ("list", vec![inner().into()].into()),
            ("whole", inner().into()),
        ]);
        Fields::of_inputs::<Sample>().mark_secrets(&mut properties);
        let marked = map([("token", PropertyValue::from("t").into_secret()), ("plain", "p".into())]);
        let expected = map([
            ("name", "n".into()),
            ("password", PropertyValue::from("x").into_secret()),
            ("inner", marked.clone().into()),
            ("list", vec![marked.into()].into()),
            ("whole", PropertyValue::Map(inner()).into_secret()),
        ]);
        assert!(properties == expected, "{properties:?}");
    }

    #[test]
    fn a_path_below_a_secret_field_is_secret() {
        let fields = Fields::of_outputs::<Sample>();
        assert!(fields.is_secret(&"whole.plain".into()));
        assert!(fields.is_secret(&PropertyPath::from("list").index(3).key("token")));
        assert!(!fields.is_secret(&PropertyPath::from("list").index(3).key("plain")));
        assert!(!fields.is_secret(&"nothing.there".into()));
    }

    #[test]
    fn nulls_are_dropped_where_the_type_is_known_and_kept_where_anything_goes() {
        let mut properties = map([
            ("name", PropertyValue::Null),
            ("unheard", PropertyValue::Null),
            ("inner", PropertyValue::Map(map([("token", PropertyValue::Null)])).into_secret()),
            ("anything", map([("removed", PropertyValue::Null)]).into()),
        ]);
        Fields::of_inputs::<Sample>().drop_nulls(&mut properties);
        let expected = map([
            ("unheard", PropertyValue::Null),
            ("inner", PropertyValue::Map(map([])).into_secret()),
            ("anything", map([("removed", PropertyValue::Null)]).into()),
        ]);
        assert!(properties == expected, "{properties:?}");
    }

    #[test]
    fn replacing_fields_are_found() {
        assert_eq!(Fields::of_inputs::<Sample>().replacing(), ["name"]);
    }
}
