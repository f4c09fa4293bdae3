//! The package's module `kubernetes`: its resources, and what they need of a Kubernetes cluster.

pub mod apply;
mod backoff;
mod call;
pub mod client;
pub mod cluster;
pub mod error;
pub mod identity;
mod inventory;
pub mod meta;
pub mod observe;
#[cfg(test)]
mod scripted;
pub mod wait;
pub mod watch;
