//! JSON Schema, as the types derive it, into Pulumi's dialect.
//!
//! Pulumi's is smaller: an object has a name or is a map, an enum has a name, nothing is a union but an enum
//! that takes its values' texts, too. What it can't say is an error that names the place, so that a test
//! meets it and no user.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::node::{JsonType, Node};
use super::spec::{ComplexTypeSpec, EnumSpec, EnumValueSpec, ObjectSpec, PropertySpec, TypeSpec};

/// The reference that means "any value".
const ANY: &str = "pulumi.json#/Any";

/// The extension on an output that is there in every ordinary state, although its type allows for the moments
/// when it is not: programs get it without having to ask first. On an input of a type it says that a program
/// has to give it; that it does, its check tells.
pub const ALWAYS_PRESENT: &str = "alwaysPresent";

/// What a schema may say about a property or a type besides its shape; all else is an error, lest it be
/// dropped unseen.
const KNOWN_KEYWORDS: [&str; 21] = [
    "$defs",
    "$ref",
    "$schema",
    "additionalProperties",
    "anyOf",
    "default",
    "deprecated",
    "deprecationMessage",
    "description",
    "format",
    "items",
    "maximum",
    "minimum",
    "properties",
    "required",
    "secret",
    "title",
    "type",
    ALWAYS_PRESENT,
    super::shape::STRING_FORM,
    "willReplaceOnChanges",
];

/// A type that Pulumi's schema can't express.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to express `{place}` in Pulumi's schema: {problem}")]
pub struct ConvertError {
    /// The type, or the type and its property.
    pub place: String,
    /// What can't be said.
    pub problem: String,
}

impl ConvertError {
    fn new(place: &str, problem: impl Into<String>) -> Self {
        Self { place: place.to_owned(), problem: problem.into() }
    }
}

/// Converts the schemas of one module and gathers the types that they refer to.
#[derive(Debug, Default)]
pub struct Converter {
    /// What stands before a type's name in its token, `package:module`.
    module: String,
    /// The named types met so far, by token.
    types: BTreeMap<String, ComplexTypeSpec>,
}

impl Converter {
    /// A converter whose types get tokens `<module>:<Name>`.
    pub fn new(module: impl Into<String>) -> Self {
        Self { module: module.into(), types: BTreeMap::new() }
    }

    /// The types that the converted schemas refer to, by token.
    pub fn into_types(self) -> BTreeMap<String, ComplexTypeSpec> {
        self.types
    }

    /// Converts the schema of a struct that programs write, and the types under it. Fails on what Pulumi
    /// can't express, and on a type whose name another one has already.
    pub fn input(&mut self, root: &Value) -> Result<ObjectSpec, ConvertError> {
        self.object(root)
    }

    /// Converts the schema of a struct that programs read; otherwise like [`Self::input`]. What serde fills
    /// in is of no meaning to them, so there are no defaults.
    pub fn output(&mut self, root: &Value) -> Result<ObjectSpec, ConvertError> {
        let mut root = root.clone();
        drop_defaults(&mut root);
        self.object(&root)
    }

    fn object(&mut self, root: &Value) -> Result<ObjectSpec, ConvertError> {
        let root = Node::root(root);
        for (name, definition) in root.definitions() {
            let converted = self.definition(name, definition)?;
            let token = format!("{}:{name}", self.module);
            if *self.types.entry(token).or_insert_with(|| converted.clone()) != converted {
                return Err(ConvertError::new(
                    name,
                    "two different types have this name, or one is both an input and an output with \
                        different required properties",
                ));
            }
        }
        self.struct_type(root.text("title").unwrap_or("the root type"), root)
    }

    fn definition(&self, name: &str, node: Node<'_>) -> Result<ComplexTypeSpec, ConvertError> {
        if is_enum(node) {
            enum_type(name, node).map(ComplexTypeSpec::Enum)
        } else {
            self.struct_type(name, node).map(ComplexTypeSpec::Object)
        }
    }

    fn struct_type(&self, name: &str, node: Node<'_>) -> Result<ObjectSpec, ConvertError> {
        known_keywords(name, node)?;
        if node.json_type() != JsonType::One("object") {
            return Err(ConvertError::new(
                name,
                "a named type must be a struct with named fields or an enum of strings",
            ));
        }
        // `false` is what `deny_unknown_fields` says; Pulumi's objects are closed anyway.
        if node.keyword("additionalProperties").is_some_and(|additional| *additional != Value::Bool(false)) {
            return Err(ConvertError::new(name, "a struct can't hold a map in its place (a flattened map)"));
        }
        let mut properties = BTreeMap::new();
        for (key, property) in node.properties() {
            properties.insert(key.to_owned(), self.property(&format!("{name}.{key}"), property)?);
        }
        let required: Vec<_> = node.required().collect();
        let present = node
            .properties()
            .filter(|(key, property)| required.contains(key) || says(*property, ALWAYS_PRESENT));
        Ok(ObjectSpec {
            description: description(node),
            required: present.map(|(key, _)| key.to_owned()).collect(),
            properties,
            ..ObjectSpec::default()
        })
    }

    fn property(&self, place: &str, node: Node<'_>) -> Result<PropertySpec, ConvertError> {
        // Defaults of lists and objects are only that serde fills them in; the SDKs know none.
        let default = node
            .keyword("default")
            .filter(|default| default.is_boolean() || default.is_number() || default.is_string());
        let deprecation_message = match node.text("deprecationMessage") {
            Some(message) => Some(message.to_owned()),
            None if says(node, "deprecated") => {
                return Err(ConvertError::new(place, "a deprecated property needs a `deprecationMessage`"));
            }
            None => None,
        };
        Ok(PropertySpec {
            value: self.value_type(place, node)?,
            description: description(node),
            default: default.cloned(),
            deprecation_message,
            secret: says(node, "secret"),
            will_replace_on_changes: says(node, "willReplaceOnChanges"),
        })
    }

    fn value_type(&self, place: &str, node: Node<'_>) -> Result<TypeSpec, ConvertError> {
        if node.keyword("prefixItems").is_some() {
            return Err(ConvertError::new(place, "a tuple"));
        }
        known_keywords(place, node)?;
        if node.keyword("anyOf").is_some() {
            return match node.choices()[..] {
                [only] => self.value_type(place, only),
                _ => Err(ConvertError::new(place, "a value of several types")),
            };
        }
        if let Some(target) = node.text("$ref") {
            let name = node
                .reference()
                .ok_or_else(|| ConvertError::new(place, format!("the reference `{target}`")))?;
            let reference = reference(&format!("#/types/{}:{name}", self.module));
            return Ok(if is_enum(node.resolved()) { or_text(reference) } else { reference });
        }
        let kind = match node.json_type() {
            JsonType::Any => return Ok(reference(ANY)),
            JsonType::Several => return Err(ConvertError::new(place, "a value of several types")),
            JsonType::One("string") => "string",
            JsonType::One("boolean") => "boolean",
            JsonType::One("integer") => "integer",
            JsonType::One("number") => "number",
            JsonType::One("array") => {
                let items = node
                    .element()
                    .map_or(Ok(reference(ANY)), |element| self.value_type(&format!("{place}[]"), element))?;
                return Ok(TypeSpec {
                    kind: Some("array"),
                    items: Some(Box::new(items)),
                    ..TypeSpec::default()
                });
            }
            JsonType::One("object") if node.keyword("properties").is_none() => {
                let values = node
                    .values()
                    .map_or(Ok(reference(ANY)), |values| self.value_type(&format!("{place}{{}}"), values))?;
                return Ok(TypeSpec {
                    kind: Some("object"),
                    additional_properties: Some(Box::new(values)),
                    ..TypeSpec::default()
                });
            }
            JsonType::One("object") => {
                return Err(ConvertError::new(
                    place,
                    "an object without a name: give it a struct of its own",
                ));
            }
            JsonType::One(other) => return Err(ConvertError::new(place, format!("the type `{other}`"))),
        };
        Ok(TypeSpec { kind: Some(kind), ..TypeSpec::default() })
    }
}

/// Takes the defaults from the struct's fields and from those of the types under it.
fn drop_defaults(root: &mut Value) {
    let definitions =
        root.get_mut("$defs").and_then(Value::as_object_mut).map(std::mem::take).unwrap_or_default();
    let mut definitions = definitions;
    for schema in definitions.values_mut().chain([&mut *root]) {
        for property in
            schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut)
        {
            property.as_object_mut().map(|property| property.remove("default"));
        }
    }
    root["$defs"] = Value::Object(definitions);
}

/// Whether the place itself says yes to `mark`; a type's own marks are said where the type is.
fn says(node: Node<'_>, mark: &str) -> bool {
    node.keyword(mark) == Some(&Value::Bool(true))
}

fn known_keywords(place: &str, node: Node<'_>) -> Result<(), ConvertError> {
    if node.allows_nothing() {
        return Err(ConvertError::new(place, "a type without values"));
    }
    match node.keywords().find(|keyword| !KNOWN_KEYWORDS.contains(keyword)) {
        Some(keyword) => Err(ConvertError::new(place, format!("the keyword `{keyword}`"))),
        None => Ok(()),
    }
}

/// An enum without fields.
fn enum_type(name: &str, node: Node<'_>) -> Result<EnumSpec, ConvertError> {
    if node.groups().any(|group| group.constants().is_empty()) {
        return Err(ConvertError::new(name, "an enum whose values have fields"));
    }
    let mut values = Vec::new();
    for constant in node.constants() {
        let Some(value) = constant.value.as_str() else {
            return Err(ConvertError::new(name, "an enum of other values than strings"));
        };
        let description = constant.place.and_then(description);
        values.push(EnumValueSpec { name: pascal_case(value), value: value.to_owned(), description });
    }
    Ok(EnumSpec { description: description(node), kind: "string", values })
}

fn pascal_case(value: &str) -> String {
    let mut letters = value.chars();
    letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
}

fn is_enum(node: Node<'_>) -> bool {
    node.keyword("oneOf").is_some() || node.keyword("enum").is_some()
}

/// An enum whose values may be written as texts, too: a program that reads them from somewhere type-checks,
/// and a value that only a later release names can be said.
fn or_text(reference: TypeSpec) -> TypeSpec {
    let text = TypeSpec { kind: Some("string"), ..TypeSpec::default() };
    let reference = TypeSpec { kind: Some("string"), ..reference };
    TypeSpec { one_of: vec![text, reference], ..TypeSpec::default() }
}

fn reference(target: &str) -> TypeSpec {
    TypeSpec { reference: Some(target.to_owned()), ..TypeSpec::default() }
}

/// The doc comment with each paragraph on one line: where the source breaks its lines is of no meaning to
/// readers.
fn description(node: Node<'_>) -> Option<String> {
    let text = node.text("description")?;
    let paragraphs: Vec<String> = text
        .split("\n\n")
        .map(|paragraph| paragraph.lines().map(str::trim).collect::<Vec<_>>().join(" "))
        .collect();
    Some(paragraphs.join("\n\n"))
}

#[cfg(test)]
mod tests;
