//! Tests of the pure steps, on small programs that run through the real ones.
#![allow(
    clippy::needless_pass_by_value,
    clippy::semicolon_if_nothing_returned,
    reason = "programs are written where they are used"
)]

mod adopt;
mod corpus;
mod defaults;
mod effects;
mod guard;
mod lifecycle;
mod manifest;
pub(super) mod objects;
mod overrides;
mod program;
mod releases;
mod rights;
mod roundtrip;
mod secrets;
mod shape;
mod troubleshooting;
mod unreachable;
mod validate;

use serde_json::Value;

use super::aspects::{ClusterArgs, ValidatedCluster};
use super::defaults::fill;
use super::manifest::Login;
use super::validate::validate as run_validate;
use crate::resource::{Autonaming, CheckFailure, Known, Paths, Urn};

fn urn() -> Urn {
    Urn("urn:pulumi:dev::shop::clickhouse:kubernetes:Cluster::db".into())
}

fn args(program: Value) -> ClusterArgs {
    serde_json::from_value(program).expect("the program's shape")
}

/// The program with its defaults, as `Check` stores it.
fn checked(program: Value) -> ClusterArgs {
    fill(&urn(), &Autonaming::Default, "apps", None, &Known::all(args(program))).expect("defaults")
}

pub(super) fn cluster(program: Value) -> ValidatedCluster {
    run_validate(&Known::all(checked(program))).unwrap_or_else(|failures| panic!("{failures:?}"))
}

/// The problems of a program, as `path: reason`.
fn problems(program: Value) -> Vec<String> {
    problems_of(&Known::all(checked(program)))
}

fn problems_of(args: &Known<ClusterArgs>) -> Vec<String> {
    told(run_validate(args).err().unwrap_or_default())
}

fn told(failures: Vec<CheckFailure>) -> Vec<String> {
    failures.into_iter().map(|failure| format!("{}: {}", failure.path, failure.reason)).collect()
}

fn unknown(program: Value, paths: &[&str]) -> Known<ClusterArgs> {
    let unknown: Paths = paths.iter().map(|path| (*path).into()).collect();
    let filled = fill(
        &urn(),
        &Autonaming::Default,
        "apps",
        None,
        &Known { value: args(program), unknown: unknown.clone() },
    );
    Known { value: filled.expect("defaults"), unknown }
}

fn login() -> Login {
    Login { password: Some("correct horse".to_owned().into()), version: Some(String::new()) }
}
