//! The simulation of tests/simulation, in a build that is optimised for it.

use std::process::ExitCode;

use anyhow::{Result, bail};
use testbed::cargo::cargo;

/// What each run of all tests has of it: every fault at every request of every story, and so many random
/// rounds, the same each time.
const ROUNDS: &str = "300";

/// Random rounds from a seed on, for so many minutes.
///
/// Fails when an argument is unknown or no number.
pub(crate) fn run(arguments: &[&str]) -> Result<ExitCode> {
    let (mut seed, mut minutes) = ("1", "1");
    for pair in arguments.chunks(2) {
        match pair {
            ["--seed", value] if value.parse::<u64>().is_ok() => seed = value,
            ["--minutes", value] if value.parse::<f64>().is_ok() => minutes = value,
            _ => bail!("`{}` is unknown: `cargo simulate [--seed N] [--minutes M]`", pair.join(" ")),
        }
    }
    let passed = tests("runs::random_rounds", &[("SEED", seed), ("MINUTES", minutes)])?;
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Every fault at every request of every story, and some random rounds.
pub(crate) fn all() -> Result<bool> {
    let names = ["runs::every_request", "users", "fuzz", "runs::random_rounds"];
    let passed = names.map(|name| tests(name, &[("SEED", "1"), ("MINUTES", "10"), ("ROUNDS", ROUNDS)]));
    passed.into_iter().try_fold(true, |all, passed| Ok(all && passed?))
}

/// The simulated API server beside a real one.
pub(crate) fn beside_a_real_server() -> Result<bool> {
    let name = "simulation::honesty";
    let mut suite = cargo(&["test", "--lib", "--quiet", "--", name]);
    Ok(suite.args(["--ignored", "--nocapture"]).status()?.success())
}

fn tests(name: &str, variables: &[(&str, &str)]) -> Result<bool> {
    let name = format!("simulation::{name}");
    let mut suite = cargo(&["test", "--lib", "--profile", "simulation", "--quiet", "--", &name]);
    suite.args(["--ignored", "--nocapture"]).envs(variables.iter().copied());
    Ok(suite.status()?.success())
}
