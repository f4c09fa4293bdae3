//! Pulumi's values on the wire: protobuf structs, in which objects with a signature and a few reserved texts
//! mean more than they say.

use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};
use tonic::Status;

use crate::property::path::PropertyPath;
use crate::property::{PropertyMap, PropertyValue};

/// The key that makes an object something else.
pub(super) const SIGNATURE: &str = "4dabf18193072939515e22adb298388d";
const SECRET: &str = "1b47061264138c4ac30d75fd1eb44270";
const RESOURCE: &str = "5cf8f73096256a8f31e491e813e4eb8e";
const OUTPUT: &str = "d0e6a833031e9bbcd3f4e8bde6ca49a4";
const ASSET: &str = "c44067f5952c0a294b673a41bacd8c17";
const ARCHIVE: &str = "0def7320c3a5731c473e5ecbe6d01bc7";

/// The unknown that we write; a string's.
const UNKNOWN: &str = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

/// The unknowns that we read, one for each type. Any can stand anywhere.
const UNKNOWNS: [&str; 7] = [
    "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
    "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
    UNKNOWN,
    "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
    "030794c1-ac77-496b-92df-f27374a8bd58",
    "e48ece36-62e2-4504-bad9-02848725956a",
    "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
];

/// Something on the wire that is not a value of Pulumi's.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("failed to read the property `{path}`: {problem}")]
pub(super) struct Malformed {
    path: PropertyPath,
    problem: String,
}

impl From<Malformed> for Status {
    fn from(malformed: Malformed) -> Self {
        Self::invalid_argument(malformed.to_string())
    }
}

/// A property map from the wire. Engines before 3.198 leave out what is empty.
pub(super) fn read(wire: Option<Struct>) -> Result<PropertyMap, Malformed> {
    wire.map_or_else(|| Ok(PropertyMap::new()), |wire| read_map(wire, &PropertyPath::root()))
}

fn read_map(wire: Struct, at: &PropertyPath) -> Result<PropertyMap, Malformed> {
    wire.fields
        .into_iter()
        .map(|(key, value)| {
            let value = read_value(value, &at.key(&key))?;
            Ok((key, value))
        })
        .collect()
}

fn read_value(wire: Value, at: &PropertyPath) -> Result<PropertyValue, Malformed> {
    Ok(match wire.kind {
        None | Some(Kind::NullValue(_)) => PropertyValue::Null,
        Some(Kind::BoolValue(value)) => PropertyValue::Bool(value),
        Some(Kind::NumberValue(value)) if value.is_finite() => PropertyValue::Number(value),
        Some(Kind::NumberValue(_)) => return Err(malformed(at, "the number is not finite")),
        Some(Kind::StringValue(text)) if UNKNOWNS.contains(&text.as_str()) => PropertyValue::Unknown,
        Some(Kind::StringValue(text)) => PropertyValue::String(text),
        Some(Kind::ListValue(list)) => {
            let items =
                list.values.into_iter().enumerate().map(|(index, item)| read_value(item, &at.index(index)));
            PropertyValue::List(items.collect::<Result<_, _>>()?)
        }
        Some(Kind::StructValue(object)) => match object.fields.get(SIGNATURE) {
            None => PropertyValue::Map(read_map(object, at)?),
            Some(Value { kind: Some(Kind::StringValue(signature)) }) => {
                read_signed(&signature.clone(), object, at)?
            }
            Some(_) => return Err(malformed(at, "the object's signature is not a string")),
        },
    })
}

/// An object that means something else.
fn read_signed(signature: &str, mut object: Struct, at: &PropertyPath) -> Result<PropertyValue, Malformed> {
    let mut field = |name: &str| object.fields.remove(name).map(|value| read_value(value, at)).transpose();
    match signature {
        SECRET => {
            let value = field("value")?.ok_or_else(|| malformed(at, "the secret has no value"))?;
            Ok(value.into_secret())
        }
        OUTPUT => {
            let value = field("value")?.unwrap_or(PropertyValue::Unknown);
            let secret = field("secret")? == Some(PropertyValue::Bool(true));
            Ok(if secret { value.into_secret() } else { value })
        }
        // A resource stands for its id; a component, which has none, for its URN.
        RESOURCE => match (field("id")?, field("urn")?) {
            (Some(PropertyValue::String(id)), _) if id.is_empty() => Ok(PropertyValue::Unknown),
            (Some(id), _) if id != PropertyValue::Null => Ok(id),
            (_, Some(urn)) => Ok(urn),
            _ => Err(malformed(at, "the resource reference has no URN")),
        },
        ASSET | ARCHIVE => Ok(PropertyValue::Asset(read_map(object, at)?)),
        _ => Err(malformed(
            at,
            "the object has a signature that this provider does not know; it may come from a newer Pulumi",
        )),
    }
}

fn malformed(at: &PropertyPath, problem: &str) -> Malformed {
    Malformed { path: at.clone(), problem: problem.to_owned() }
}

/// A property map for the wire.
pub(super) fn write(map: PropertyMap) -> Struct {
    Struct { fields: map.into_iter().map(|(key, value)| (key, write_value(value))).collect() }
}

/// Every value that this gives has a kind: one without makes the engine panic.
fn write_value(value: PropertyValue) -> Value {
    let kind = match value {
        PropertyValue::Bool(value) => Kind::BoolValue(value),
        PropertyValue::Number(value) if value.is_finite() => Kind::NumberValue(value),
        // JSON, where all of our numbers come from, has none that are not finite.
        PropertyValue::Null | PropertyValue::Number(_) => Kind::NullValue(0),
        PropertyValue::String(text) => Kind::StringValue(text),
        PropertyValue::List(items) => {
            Kind::ListValue(ListValue { values: items.into_iter().map(write_value).collect() })
        }
        PropertyValue::Map(map) | PropertyValue::Asset(map) => Kind::StructValue(write(map)),
        PropertyValue::Unknown => Kind::StringValue(UNKNOWN.to_owned()),
        PropertyValue::Secret(inner) => Kind::StructValue(write(PropertyMap::from([
            (SIGNATURE.to_owned(), SECRET.into()),
            ("value".to_owned(), *inner),
        ]))),
    };
    Value { kind: Some(kind) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(text: &str) -> Value {
        Value { kind: Some(Kind::StringValue(text.to_owned())) }
    }

    fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
        let fields = fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        Value { kind: Some(Kind::StructValue(Struct { fields })) }
    }

    fn read_one(value: Value) -> Result<PropertyValue, Malformed> {
        read_value(value, &"here".into())
    }

    #[test]
    fn each_types_unknown_is_unknown() {
        for unknown in UNKNOWNS {
            assert_eq!(read_one(text(unknown)), Ok(PropertyValue::Unknown), "{unknown}");
        }
    }

    #[test]
    fn an_output_is_its_value_and_unknown_without_one() {
        let signature = ("4dabf18193072939515e22adb298388d", text(OUTPUT));
        let truth = Value { kind: Some(Kind::BoolValue(true)) };
        assert_eq!(read_one(object([signature.clone()])), Ok(PropertyValue::Unknown));
        assert_eq!(read_one(object([signature.clone(), ("value", text("x"))])), Ok("x".into()));
        assert!(
            read_one(object([signature, ("value", text("x")), ("secret", truth)]))
                == Ok(PropertyValue::from("x").into_secret())
        );
    }

    #[test]
    fn a_resource_reference_is_its_id_else_its_urn() {
        let reference = |fields: &[(&str, &str)]| {
            let mut all = vec![(SIGNATURE.to_owned(), text(RESOURCE))];
            all.extend(fields.iter().map(|(key, value)| ((*key).to_owned(), text(value))));
            read_one(Value { kind: Some(Kind::StructValue(Struct { fields: all.into_iter().collect() })) })
        };
        assert_eq!(reference(&[("urn", "u"), ("id", "i")]), Ok("i".into()));
        assert_eq!(reference(&[("urn", "u")]), Ok("u".into()));
        assert_eq!(reference(&[("urn", "u"), ("id", "")]), Ok(PropertyValue::Unknown));
        assert_eq!(reference(&[("urn", "u"), ("id", UNKNOWN)]), Ok(PropertyValue::Unknown));
        assert!(reference(&[]).is_err());
    }

    #[test]
    fn assets_survive_as_they_are() {
        let inner = object([(SIGNATURE, text(ASSET)), ("text", text("x")), ("hash", text("h"))]);
        let archive = object([(SIGNATURE, text(ARCHIVE)), ("assets", object([("a", inner)]))]);
        let read = read_one(archive.clone()).unwrap();
        assert!(matches!(read, PropertyValue::Asset(_)));
        assert_eq!(write_value(read), archive);
    }

    #[test]
    fn foreign_and_broken_signatures_are_errors_that_name_the_place() {
        let foreign = read_one(object([(SIGNATURE, text("0000"))])).unwrap_err();
        assert!(foreign.to_string().starts_with("failed to read the property `here`"), "{foreign}");
        assert!(read_one(object([(SIGNATURE, Value { kind: Some(Kind::NumberValue(1.0)) })])).is_err());
        assert!(read_one(object([(SIGNATURE, text(SECRET))])).is_err());
    }

    #[test]
    fn numbers_that_json_lacks_are_refused() {
        assert!(read_one(Value { kind: Some(Kind::NumberValue(f64::NAN)) }).is_err());
        assert_eq!(
            write_value(PropertyValue::Number(f64::INFINITY)),
            Value { kind: Some(Kind::NullValue(0)) }
        );
    }

    #[test]
    fn a_value_without_a_kind_is_null_and_nothing_is_an_empty_map() {
        assert_eq!(read_one(Value { kind: None }), Ok(PropertyValue::Null));
        assert_eq!(read(None), Ok(PropertyMap::new()));
    }

    fn value() -> impl Strategy<Value = PropertyValue> {
        let leaf = prop_oneof![
            Just(PropertyValue::Null),
            Just(PropertyValue::Unknown),
            any::<bool>().prop_map(PropertyValue::Bool),
            (-1e300..1e300f64).prop_map(PropertyValue::Number),
            ".{0,8}".prop_map(PropertyValue::String),
            "[a-z]{0,4}".prop_map(|body| PropertyValue::Asset(PropertyMap::from([
                (SIGNATURE.to_owned(), ASSET.into()),
                ("text".to_owned(), body.into()),
            ]))),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(PropertyValue::List),
                prop::collection::btree_map(".{0,4}", inner.clone(), 0..4).prop_map(PropertyValue::Map),
                inner.prop_map(PropertyValue::into_secret),
            ]
        })
    }

    fn has_kinds(value: &Value) -> bool {
        match &value.kind {
            None => false,
            Some(Kind::ListValue(list)) => list.values.iter().all(has_kinds),
            Some(Kind::StructValue(object)) => object.fields.values().all(has_kinds),
            Some(_) => true,
        }
    }

    proptest! {
        #[test]
        fn every_value_survives_the_way_there_and_back(value in value()) {
            let wire = write_value(value.clone());
            prop_assert!(has_kinds(&wire));
            prop_assert!(read_one(wire).unwrap() == value);
        }
    }
}
