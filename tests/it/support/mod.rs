//! What the tests of the plugin's process share: the process, its client, an engine to talk back to.

pub(crate) mod engine;
pub(crate) mod plugin;

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
