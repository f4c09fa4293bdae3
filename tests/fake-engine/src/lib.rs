//! The engine's side of Pulumi's plugin protocol: it starts a plugin, talks to it, and hears what the plugin
//! logs.
//!
//! For the tests of the plugin's process and for the benchmark. It knows nothing of the provider but the
//! protocol.
#![expect(clippy::disallowed_types, reason = "it speaks the wire's own language")]

mod engine;
mod plugin;

use std::time::Duration;

use prost_types::value::Kind;
use prost_types::{Struct, Value};

pub use self::engine::FakeEngine;
pub use self::plugin::{Client, Plugin};

/// Nothing that a plugin does here takes this long.
pub const LONG: Duration = Duration::from_secs(20);

/// The protocol, generated from the same definitions as the plugin's.
pub mod pb {
    #![allow(
        clippy::all,
        clippy::pedantic,
        clippy::allow_attributes_without_reason,
        missing_docs,
        unreachable_pub,
        deprecated,
        dead_code,
        reason = "generated"
    )]
    tonic::include_proto!("pulumirpc");
}

/// Properties that are all strings.
pub fn strings<const N: usize>(fields: [(&str, &str); N]) -> Struct {
    let value = |text: &str| Value { kind: Some(Kind::StringValue(text.to_owned())) };
    Struct { fields: fields.into_iter().map(|(key, text)| (key.to_owned(), value(text))).collect() }
}

/// The properties that an object of JSON is; none of another value.
pub fn properties(object: &serde_json::Value) -> Struct {
    match property(object).kind {
        Some(Kind::StructValue(properties)) => properties,
        _ => Struct::default(),
    }
}

fn property(value: &serde_json::Value) -> Value {
    let kind = match value {
        serde_json::Value::Null => Kind::NullValue(0),
        serde_json::Value::Bool(value) => Kind::BoolValue(*value),
        serde_json::Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or_default()),
        serde_json::Value::String(text) => Kind::StringValue(text.clone()),
        serde_json::Value::Array(list) => {
            Kind::ListValue(prost_types::ListValue { values: list.iter().map(property).collect() })
        }
        serde_json::Value::Object(fields) => Kind::StructValue(Struct {
            fields: fields.iter().map(|(key, value)| (key.clone(), property(value))).collect(),
        }),
    };
    Value { kind: Some(kind) }
}
