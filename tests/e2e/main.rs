//! Tests against a real control plane, with the real Pulumi engine where it matters.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::needless_pass_by_value,
    reason = "a helper that fails is a test that fails"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "tests play the user and the cluster's other writers: the provider's rule for its own writes \
        does not bind them"
)]

mod address;
mod adoption;
mod answers;
mod backups;
mod bad_input;
mod cluster;
mod configuration;
mod contexts;
mod deletion;
mod edits;
mod examples;
mod inputs;
mod install;
mod interruptions;
mod keepers;
mod kill_rounds;
mod migration;
mod neighbours;
mod newcomer;
mod no_operator;
mod outside;
mod packages;
mod races;
mod recovery;
mod releases;
mod replacements;
mod requests;
mod sdks;
mod secrets;
mod served;
mod support;
mod waits;
mod workflows;
