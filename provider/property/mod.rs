//! Values as Pulumi sees them: pure data, no I/O, no protobuf, no Kubernetes.

pub mod failure;
pub mod json;
pub mod marks;
pub mod packed;
pub mod path;
pub mod pattern;
pub mod value;

pub use failure::CheckFailure;
pub use path::Paths;
#[cfg(test)]
pub(crate) use value::map;
pub use value::{PropertyMap, PropertyValue};
