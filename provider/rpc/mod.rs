//! The wire: Pulumi's provider protocol over gRPC, and nothing of what it is used for.
//!
//! [`service`] unwraps a request, calls, and wraps the answer; [`server`] has what holds from one call to the
//! next; [`convert`] knows how Pulumi writes values, [`status`] how it writes failures, [`log`] how it is
//! told something in between.
#![expect(clippy::disallowed_types, reason = "this is where the wire's types stay")]

mod configuration;
mod convert;
mod function;
pub mod log;
mod resource;
mod server;
mod service;
mod status;

pub use server::{Package, Server};

mod pb {
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

mod google {
    #![allow(
        clippy::all,
        clippy::pedantic,
        clippy::allow_attributes_without_reason,
        missing_docs,
        unreachable_pub,
        reason = "generated"
    )]
    tonic::include_proto!("google.rpc");
}

#[cfg(test)]
pub(crate) mod in_process;
#[cfg(test)]
mod tests;
