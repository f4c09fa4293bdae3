//! From Rust types to the package's schema, and from the same types to what is wrong with a value.
//!
//! The types derive `JsonSchema`; [`convert`] turns that into the dialect that Pulumi's generators read,
//! [`document`] makes the whole document of it, [`shape`] holds a value against it, and [`fields`] marks a
//! value by it. All of them read it by [`node`].

pub mod convert;
pub mod document;
pub mod fields;
pub mod node;
pub mod shape;
pub mod spec;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

/// The JSON Schema of what `T` is read from: the contract of inputs.
pub fn of_input<T: JsonSchema>() -> Value {
    SchemaSettings::draft2020_12().for_deserialize().into_generator().into_root_schema_for::<T>().to_value()
}

/// The JSON Schema of what `T` is written as: the contract of outputs.
pub fn of_output<T: JsonSchema>() -> Value {
    SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<T>().to_value()
}
