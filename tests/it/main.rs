//! What can be shown without a Kubernetes cluster.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails is a test that fails")]
#![expect(clippy::disallowed_types, reason = "these tests speak the wire's own language")]

mod contract;
mod docs;
mod process;
mod protocol;
mod schema;
mod support;
