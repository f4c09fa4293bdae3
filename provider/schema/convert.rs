//! JSON Schema, as the types derive it, into Pulumi's dialect.
//!
//! Pulumi's is smaller: an object has a name or is a map, an enum has a name, nothing is a union. What it can't say
//! is an error that names the place, so that a test meets it and no user.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::spec::{ComplexTypeSpec, EnumSpec, EnumValueSpec, ObjectSpec, PropertySpec, TypeSpec};

/// The reference that means "any value".
const ANY: &str = "pulumi.json#/Any";

/// The extension on an output that is there in every ordinary state, although its type allows for the moments when it is not:
/// programs get it without having to ask first.
pub const ALWAYS_PRESENT: &str = "alwaysPresent";

/// What a schema may say about a property or a type besides its shape; all else is an error, lest it be dropped unseen.
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
    super::shape::TEXT_FORM,
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

    /// Converts the schema of a struct that programs write, and the types under it. Fails on what Pulumi can't express,
    /// and on a type whose name another one has already.
    pub fn input(&mut self, root: &Value) -> Result<ObjectSpec, ConvertError> {
        self.object(root)
    }

    /// Converts the schema of a struct that programs read; otherwise like [`Self::input`]. What serde fills in is of no
    /// meaning to them, so there are no defaults.
    pub fn output(&mut self, root: &Value) -> Result<ObjectSpec, ConvertError> {
        let mut root = root.clone();
        drop_defaults(&mut root);
        self.object(&root)
    }

    fn object(&mut self, root: &Value) -> Result<ObjectSpec, ConvertError> {
        let name = root["title"].as_str().unwrap_or("the root type").to_owned();
        for (name, definition) in root["$defs"].as_object().into_iter().flatten() {
            let converted = self.definition(name, definition)?;
            let token = format!("{}:{name}", self.module);
            if *self.types.entry(token).or_insert_with(|| converted.clone()) != converted {
                return Err(ConvertError::new(
                    name,
                    "two different types have this name, or one is both an input and an output with different required properties",
                ));
            }
        }
        self.struct_type(&name, as_object(&name, root)?)
    }

    fn definition(&self, name: &str, schema: &Value) -> Result<ComplexTypeSpec, ConvertError> {
        let schema = as_object(name, schema)?;
        if schema.contains_key("oneOf") || schema.contains_key("enum") {
            enum_type(name, schema).map(ComplexTypeSpec::Enum)
        } else {
            self.struct_type(name, schema).map(ComplexTypeSpec::Object)
        }
    }

    fn struct_type(&self, name: &str, schema: &Map<String, Value>) -> Result<ObjectSpec, ConvertError> {
        known_keywords(name, schema)?;
        if schema.get("type").and_then(Value::as_str) != Some("object") {
            return Err(ConvertError::new(name, "a named type must be a struct with named fields or an enum of texts"));
        }
        // `false` is what `deny_unknown_fields` says; Pulumi's objects are closed anyway.
        if schema.get("additionalProperties").is_some_and(|additional| *additional != Value::Bool(false)) {
            return Err(ConvertError::new(name, "a struct can't hold a map in its place (a flattened map)"));
        }
        let mut properties = BTreeMap::new();
        for (key, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            properties.insert(key.clone(), self.property(&format!("{name}.{key}"), property)?);
        }
        let required: Vec<_> = schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let declared = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
        let present = declared.filter(|(key, property)| required.contains(&key.as_str()) || property[ALWAYS_PRESENT] == true);
        Ok(ObjectSpec {
            description: description(schema),
            required: present.map(|(key, _)| key.clone()).collect(),
            properties,
            ..ObjectSpec::default()
        })
    }

    fn property(&self, place: &str, schema: &Value) -> Result<PropertySpec, ConvertError> {
        let value = self.value_type(place, schema)?;
        let Value::Object(schema) = schema else { return Ok(PropertySpec { value, ..PropertySpec::default() }) };
        let flag = |keyword: &str| schema.get(keyword) == Some(&Value::Bool(true));
        // Defaults of lists and objects are only that serde fills them in; the SDKs know none.
        let default = schema.get("default").filter(|default| default.is_boolean() || default.is_number() || default.is_string());
        let deprecation_message = match schema.get("deprecationMessage").and_then(Value::as_str) {
            Some(message) => Some(message.to_owned()),
            None if flag("deprecated") => return Err(ConvertError::new(place, "a deprecated property needs a `deprecationMessage`")),
            None => None,
        };
        Ok(PropertySpec {
            value,
            description: description(schema),
            default: default.cloned(),
            deprecation_message,
            secret: flag("secret"),
            will_replace_on_changes: flag("willReplaceOnChanges"),
        })
    }

    fn value_type(&self, place: &str, schema: &Value) -> Result<TypeSpec, ConvertError> {
        let schema = match schema {
            Value::Bool(true) => return Ok(reference(ANY)),
            other => as_object(place, other)?,
        };
        if schema.contains_key("prefixItems") {
            return Err(ConvertError::new(place, "a tuple"));
        }
        known_keywords(place, schema)?;
        if let Some(choices) = schema.get("anyOf").and_then(Value::as_array) {
            return match choices.iter().filter(|choice| choice["type"] != "null").collect::<Vec<_>>()[..] {
                [only] => self.value_type(place, only),
                _ => Err(ConvertError::new(place, "a value of several types")),
            };
        }
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            let name = target.strip_prefix("#/$defs/").ok_or_else(|| ConvertError::new(place, format!("the reference `{target}`")))?;
            return Ok(reference(&format!("#/types/{}:{name}", self.module)));
        }
        let Some(kind) = single_type(place, schema)? else { return Ok(reference(ANY)) };
        let kind = match kind {
            "string" => "string",
            "boolean" => "boolean",
            "integer" => "integer",
            "number" => "number",
            "array" => {
                let items = schema.get("items").unwrap_or(&Value::Bool(true));
                let items = Some(Box::new(self.value_type(&format!("{place}[]"), items)?));
                return Ok(TypeSpec { kind: Some("array"), items, ..TypeSpec::default() });
            }
            "object" if !schema.contains_key("properties") => {
                let values = schema.get("additionalProperties").unwrap_or(&Value::Bool(true));
                let values = Some(Box::new(self.value_type(&format!("{place}{{}}"), values)?));
                return Ok(TypeSpec { kind: Some("object"), additional_properties: values, ..TypeSpec::default() });
            }
            "object" => return Err(ConvertError::new(place, "an object without a name: give it a struct of its own")),
            other => return Err(ConvertError::new(place, format!("the type `{other}`"))),
        };
        Ok(TypeSpec { kind: Some(kind), ..TypeSpec::default() })
    }
}

/// Takes the defaults from the struct's fields and from those of the types under it.
fn drop_defaults(root: &mut Value) {
    let definitions = root.get_mut("$defs").and_then(Value::as_object_mut).map(std::mem::take).unwrap_or_default();
    let mut definitions = definitions;
    for schema in definitions.values_mut().chain([&mut *root]) {
        for property in schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut) {
            property.as_object_mut().map(|property| property.remove("default"));
        }
    }
    root["$defs"] = Value::Object(definitions);
}

fn as_object<'a>(place: &str, schema: &'a Value) -> Result<&'a Map<String, Value>, ConvertError> {
    schema.as_object().ok_or_else(|| ConvertError::new(place, "a type without values"))
}

fn known_keywords(place: &str, schema: &Map<String, Value>) -> Result<(), ConvertError> {
    match schema.keys().find(|keyword| !KNOWN_KEYWORDS.contains(&keyword.as_str())) {
        Some(keyword) => Err(ConvertError::new(place, format!("the keyword `{keyword}`"))),
        None => Ok(()),
    }
}

/// The one type that the schema allows besides `null`; `None` if it allows everything.
fn single_type<'a>(place: &str, schema: &'a Map<String, Value>) -> Result<Option<&'a str>, ConvertError> {
    let types: Vec<&str> = match schema.get("type") {
        None => return Ok(None),
        Some(Value::Array(types)) => types.iter().filter_map(Value::as_str).collect(),
        Some(one) => one.as_str().into_iter().collect(),
    };
    match types.into_iter().filter(|kind| *kind != "null").collect::<Vec<_>>()[..] {
        [only] => Ok(Some(only)),
        _ => Err(ConvertError::new(place, "a value of several types")),
    }
}

/// An enum without fields: `oneOf` constants where its values have doc comments, else `enum`.
fn enum_type(name: &str, schema: &Map<String, Value>) -> Result<EnumSpec, ConvertError> {
    let mut values = Vec::new();
    let groups = schema
        .get("oneOf")
        .and_then(Value::as_array)
        .map_or_else(|| vec![schema.clone()], |groups| groups.iter().filter_map(Value::as_object).cloned().collect());
    for group in groups {
        let constants = match (group.get("const"), group.get("enum").and_then(Value::as_array)) {
            (Some(constant), _) => vec![(constant.clone(), description(&group))],
            (None, Some(constants)) => constants.iter().map(|constant| (constant.clone(), None)).collect(),
            (None, None) => return Err(ConvertError::new(name, "an enum whose values have fields")),
        };
        for (constant, description) in constants {
            let Value::String(value) = constant else { return Err(ConvertError::new(name, "an enum of other values than texts")) };
            values.push(EnumValueSpec { name: pascal_case(&value), value, description });
        }
    }
    Ok(EnumSpec { description: description(schema), kind: "string", values })
}

fn pascal_case(value: &str) -> String {
    let mut letters = value.chars();
    letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
}

fn reference(target: &str) -> TypeSpec {
    TypeSpec { reference: Some(target.to_owned()), ..TypeSpec::default() }
}

/// The doc comment with each paragraph on one line: where the source breaks its lines is of no meaning to readers.
fn description(schema: &Map<String, Value>) -> Option<String> {
    let text = schema.get("description")?.as_str()?;
    let paragraphs: Vec<String> =
        text.split("\n\n").map(|paragraph| paragraph.lines().map(str::trim).collect::<Vec<_>>().join(" ")).collect();
    Some(paragraphs.join("\n\n"))
}

#[cfg(test)]
mod tests {
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};
    use serde_json::json;

    use super::*;
    use crate::schema::{of_input, of_output};

    fn converted<T: JsonSchema>() -> Result<(ObjectSpec, BTreeMap<String, ComplexTypeSpec>), ConvertError> {
        let mut converter = Converter::new("p:m");
        let object = converter.input(&of_input::<T>())?;
        Ok((object, converter.into_types()))
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "camelCase")]
    struct Everything {
        /// A text that
        /// goes on.
        ///
        /// A second paragraph.
        #[schemars(extend("secret" = true, "willReplaceOnChanges" = true))]
        some_text: String,
        whole: Option<u16>,
        names: Option<Vec<String>>,
        free: BTreeMap<String, Value>,
        kind: Option<Kind>,
        part: Part,
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        /// The first.
        First,
        /// The second.
        Second,
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Part {
        #[serde(default = "seven")]
        size: u8,
        #[schemars(extend("deprecationMessage" = "use `size`"))]
        old: Option<u8>,
    }

    fn seven() -> u8 {
        7
    }

    #[test]
    fn a_struct_becomes_an_object_with_its_docs_flags_and_named_types() {
        let (object, types) = converted::<Everything>().unwrap();
        let object = serde_json::to_value(object).unwrap();
        assert_eq!(
            object["properties"],
            json!({
                "someText": {"type": "string", "description": "A text that goes on.\n\nA second paragraph.", "secret": true, "willReplaceOnChanges": true},
                "whole": {"type": "integer"},
                "names": {"type": "array", "items": {"type": "string"}},
                "free": {"type": "object", "additionalProperties": {"$ref": "pulumi.json#/Any"}},
                "kind": {"$ref": "#/types/p:m:Kind"},
                "part": {"$ref": "#/types/p:m:Part"},
            })
        );
        assert_eq!(object["required"], json!(["free", "part", "someText"]));
        let types = serde_json::to_value(types).unwrap();
        assert_eq!(
            types["p:m:Kind"],
            json!({"type": "string", "enum": [
                {"name": "First", "value": "first", "description": "The first."},
                {"name": "Second", "value": "second", "description": "The second."},
            ]})
        );
        assert_eq!(types["p:m:Part"]["properties"]["size"], json!({"type": "integer", "default": 7}));
        assert_eq!(types["p:m:Part"]["properties"]["old"], json!({"type": "integer", "deprecationMessage": "use `size`"}));
    }

    #[derive(Deserialize, JsonSchema)]
    struct HasTuple {
        #[allow(dead_code, reason = "only its type matters")]
        pair: (u8, String),
    }

    #[derive(Deserialize, JsonSchema)]
    struct HasUnion {
        #[allow(dead_code, reason = "only its type matters")]
        choice: Choice,
    }

    #[derive(Deserialize, JsonSchema)]
    #[serde(untagged)]
    enum Choice {
        #[allow(dead_code, reason = "only its type matters")]
        Text(String),
        #[allow(dead_code, reason = "only its type matters")]
        Number(u8),
    }

    #[derive(Deserialize, JsonSchema)]
    struct HasTaggedUnion {
        #[allow(dead_code, reason = "only its type matters")]
        choice: Tagged,
    }

    #[derive(Deserialize, JsonSchema)]
    enum Tagged {
        #[allow(dead_code, reason = "only its type matters")]
        Number(u8),
    }

    #[derive(Deserialize, JsonSchema)]
    struct HasFlatMap {
        #[allow(dead_code, reason = "only its type matters")]
        #[serde(flatten)]
        rest: BTreeMap<String, String>,
    }

    #[test]
    fn what_pulumi_cannot_express_is_an_error_that_names_the_place() {
        let error = |result: Result<(ObjectSpec, BTreeMap<String, ComplexTypeSpec>), ConvertError>| result.unwrap_err().to_string();
        assert_eq!(error(converted::<HasTuple>()), "failed to express `HasTuple.pair` in Pulumi's schema: a tuple");
        assert_eq!(
            error(converted::<HasUnion>()),
            "failed to express `Choice` in Pulumi's schema: a named type must be a struct with named fields or an enum of texts"
        );
        assert_eq!(error(converted::<HasTaggedUnion>()), "failed to express `Tagged` in Pulumi's schema: an enum whose values have fields");
        assert_eq!(
            error(converted::<HasFlatMap>()),
            "failed to express `HasFlatMap` in Pulumi's schema: a struct can't hold a map in its place (a flattened map)"
        );
    }

    #[test]
    fn one_name_for_two_types_is_an_error() {
        let mut converter = Converter::new("p:m");
        converter.input(&of_input::<Everything>()).unwrap();
        // `Part` requires nothing when it is read, and `size` when it is written.
        let error = converter.output(&of_output::<Everything>()).unwrap_err();
        assert_eq!(error.place, "Part");
    }
}
