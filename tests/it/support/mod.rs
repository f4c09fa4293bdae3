//! What the tests of the plugin's process share: the process, its client, an engine to talk back to.

pub(crate) mod engine;
pub(crate) mod plugin;

use prost_types::value::Kind;
use prost_types::{Struct, Value};

/// A bag of texts.
#[expect(clippy::unnecessary_wraps, reason = "every bag in a request is optional")]
pub(crate) fn texts<const N: usize>(fields: [(&str, &str); N]) -> Option<Struct> {
    let value = |text: &str| Value { kind: Some(Kind::StringValue(text.to_owned())) };
    Some(Struct { fields: fields.into_iter().map(|(key, text)| (key.to_owned(), value(text))).collect() })
}

/// The protocol, from the same definitions as the plugin's.
pub(crate) mod pb {
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
