//! The package's module `kubernetes`: its resources, and what they need of a Kubernetes cluster.

mod api;
pub mod cluster;
mod diagnose;
pub mod error;
pub mod identity;
mod inventory;
pub mod meta;
pub mod observe;
mod quantity;
mod readiness;
#[cfg(test)]
mod scripted;
pub mod wait;

pub use api::{client, objects, watch};
