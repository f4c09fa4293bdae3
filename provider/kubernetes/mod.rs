//! The package's module `kubernetes`: its resources, and what they need of a Kubernetes cluster.

mod api;
pub mod cluster;
pub mod error;
pub mod identity;
mod inventory;
pub mod meta;
pub mod observe;
#[cfg(test)]
mod scripted;
pub mod wait;

pub use api::{client, objects, watch};
