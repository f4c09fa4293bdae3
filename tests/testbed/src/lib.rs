//! The testbed: a real Kubernetes control plane without nodes of its own, the real Pulumi engine, and
//! stand-ins for what a cluster has besides (a cloud's volumes and load balancers, the
//! clickhouse-operator), all on loopback and without privileges.
//!
//! End-to-end tests begin with [`Testbed::shared`]; `cargo quickstart` (in `tests/xtask`) offers the same to
//! people.
#![allow(
    clippy::disallowed_methods,
    reason = "the testbed plays the cluster's controllers: the provider's rule for its own writes does not \
        bind them"
)]

pub mod borrowed;
pub mod cargo;
pub mod cloud;
pub mod control_plane;
mod crd;
pub mod crds;
pub mod detached;
mod elsewhere;
pub mod engine;
mod nodes;
pub mod operator;
pub mod picture;
mod process;
pub mod programs;
pub mod pulumi;
pub mod release;
pub mod requests;
pub mod s3;
pub mod sdks;
pub mod settings;
mod shared;
pub mod tools;
pub mod watching;
pub mod zookeeper;

pub use elsewhere::Elsewhere;
pub use shared::{Counted, Namespace, Operator, Testbed};
