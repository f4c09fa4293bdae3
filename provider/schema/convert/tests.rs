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
            "someText": {"type": "string", "description": "A text that goes on.\n\nA second \
                paragraph.", "secret": true, "willReplaceOnChanges": true},
            "whole": {"type": "integer"},
            "names": {"type": "array", "items": {"type": "string"}},
            "free": {"type": "object", "additionalProperties": {"$ref": "pulumi.json#/Any"}},
            "kind": {"oneOf": [{"type": "string"}, {"type": "string", "$ref": "#/types/p:m:Kind"}]},
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
    assert_eq!(
        types["p:m:Part"]["properties"]["old"],
        json!({"type": "integer", "deprecationMessage": "use `size`"})
    );
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
    let error = |result: Result<(ObjectSpec, BTreeMap<String, ComplexTypeSpec>), ConvertError>| {
        result.unwrap_err().to_string()
    };
    assert_eq!(
        error(converted::<HasTuple>()),
        "failed to express `HasTuple.pair` in Pulumi's schema: a tuple"
    );
    assert_eq!(
        error(converted::<HasUnion>()),
        "failed to express `Choice` in Pulumi's schema: a named type must be a struct with named fields \
            or an enum of strings"
    );
    assert_eq!(
        error(converted::<HasTaggedUnion>()),
        "failed to express `Tagged` in Pulumi's schema: an enum whose values have fields"
    );
    assert_eq!(
        error(converted::<HasFlatMap>()),
        "failed to express `HasFlatMap` in Pulumi's schema: a struct can't hold a map in its place (a \
            flattened map)"
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
