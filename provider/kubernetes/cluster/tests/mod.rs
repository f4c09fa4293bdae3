//! Tests of the pure steps, on small programs that run through the real ones.
#![allow(
    clippy::needless_pass_by_value,
    clippy::semicolon_if_nothing_returned,
    reason = "programs are written where they are used"
)]

mod adopt;
mod corpus;
mod costs;
mod defaults;
mod effects;
mod golden;
mod guard;
mod lifecycle;
mod manifest;
pub(super) mod objects;
mod overrides;
mod picture;
mod program;
mod releases;
mod rights;
mod roundtrip;
mod secrets;
mod shape;
mod troubleshooting;
mod unreachable;
mod validate;

use serde_json::{Value, json};

use super::adopt::inputs;
use super::aspects::{ClusterArgs, Live, ValidatedCluster};
use super::defaults::fill;
use super::manifest::{Login, build, installations};
use super::objects::Objects;
use super::overrides::conflicts;
use super::validate::{program as program_problems, validate as run_validate};
use crate::resource::{Autonaming, CheckFailure, Known, Paths, Urn};

pub(super) fn urn() -> Urn {
    Urn("urn:pulumi:dev::shop::clickhouse:kubernetes:Cluster::db".into())
}

pub(super) fn args(program: Value) -> ClusterArgs {
    serde_json::from_value(program).expect("the program's shape")
}

/// The program with its defaults, as `Check` stores it.
pub(super) fn checked(program: Value) -> ClusterArgs {
    fill(&urn(), &Autonaming::Default, "apps", None, &Known::all(args(program))).expect("defaults")
}

pub(super) fn cluster(program: Value) -> ValidatedCluster {
    run_validate(&Known::all(checked(program))).unwrap_or_else(|failures| panic!("{failures:?}"))
}

/// The problems of a program, as `path: reason`.
pub(super) fn problems(program: Value) -> Vec<String> {
    problems_of(&Known::all(checked(program)))
}

pub(super) fn problems_of(args: &Known<ClusterArgs>) -> Vec<String> {
    told(run_validate(args).err().unwrap_or_default())
}

pub(super) fn told(failures: Vec<CheckFailure>) -> Vec<String> {
    failures.into_iter().map(|failure| format!("{}: {}", failure.path, failure.reason)).collect()
}

pub(super) fn unknown(program: Value, paths: &[&str]) -> Known<ClusterArgs> {
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

pub(super) fn login() -> Login {
    Login {
        password: Some("correct horse".to_owned().into()),
        version: Some(String::new()),
        ..Login::default()
    }
}

/// What is wrong with a program of a cluster that had the inputs `old`.
pub(super) fn problems_of_program(old: Option<Value>, program: Value) -> Vec<String> {
    let old = old.map(checked);
    told(program_problems(&Known::all(checked(program)), old.as_ref()))
}

/// The task of what a program renders.
const TASK: &str = "pulumi-1";

/// The objects of a program.
pub(super) fn built(program: Value) -> Objects {
    build(&cluster(program), &urn(), &login(), TASK)
}

/// The inputs of an installation that somebody else has made with this `spec`.
pub(super) fn adopted(spec: Value) -> ClusterArgs {
    let installation = json!({"metadata": {"name": "legacy", "namespace": "apps"}, "spec": spec});
    let found = inputs(&Live::new(installation, None, None, None), &urn(), &Login::default());
    fill(&urn(), &Autonaming::Default, "apps", None, &Known::all(found)).expect("defaults")
}

/// The `spec` of an adopted installation once its program says `more` (null: does not say it any more), or
/// why it is refused.
pub(super) fn changed(old: &ClusterArgs, more: Value) -> Result<Value, Vec<String>> {
    fn lay(target: &mut Value, more: Value) {
        match more {
            Value::Object(more) => more.into_iter().for_each(|(key, value)| lay(&mut target[key], value)),
            more => *target = more,
        }
    }
    let mut program = serde_json::to_value(old).expect("inputs");
    lay(&mut program, more);
    let new = Known::all(args(program));
    let mut refused = told(program_problems(&new, Some(old)));
    refused.extend(told(conflicts(&new, &new.value)));
    if !refused.is_empty() {
        return Err(refused);
    }
    let mut spec = installations(&run_validate(&new).map_err(told)?).0["spec"].take();
    spec.as_object_mut().expect("a spec").remove("taskID");
    Ok(spec)
}
