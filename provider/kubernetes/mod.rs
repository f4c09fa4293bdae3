//! The package's module `kubernetes`: its resources, and what they need of a Kubernetes cluster.

mod api;
pub mod cluster;
mod diagnosis;
pub mod error;
#[cfg(test)]
pub(crate) mod fake;
pub mod identity;
mod inventory;
pub mod meta;
pub mod observe;
pub(crate) mod quantity;
mod readiness;
pub mod wait;

pub use api::{client, objects, watch};
