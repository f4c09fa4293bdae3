//! Which problems of an installation a program is told of, and where. Pure.

use super::super::aspects::{self, ClusterArgs};
use super::super::{manifest, validate};
use super::stages::{Runs, stages};
use super::{Problem, problems};
use crate::property::path::PropertyPath;
use crate::resource::{CheckFailure, Known};

/// Why the step from the inputs of the last run to the new ones, defaults filled in, is refused. What the
/// cluster has already is not.
pub(in super::super) fn refusals(old: Option<&ClusterArgs>, new: &Known<ClusterArgs>) -> Vec<CheckFailure> {
    const RUNS: [&str; 2] = ["version", "image"];
    let is_taken_over = old.is_none() && new.value.adopted().is_some();
    // What the other inputs say is what ClickHouse takes.
    let says_nothing = new.value.overrides.chi_overrides.is_none() && !new.value.says_configuration();
    if is_taken_over || says_nothing || RUNS.iter().any(|input| new.is_unknown(&PropertyPath::from(*input))) {
        return Vec::new();
    }
    let rendered = manifest::installations(&validate::anyway(new)).0;
    let mut found = problems(&rendered);
    if let Some(old) = old {
        let last = manifest::installations(&validate::last_anyway(old)).0;
        if !found.is_empty() {
            let there = problems(&last);
            found.retain(|problem| {
                !there.iter().any(|other| (&other.place, &other.said) == (&problem.place, &problem.said))
            });
        }
        // Hosts of the old release would start with it before they have the new one.
        let stuck = stages(&last, &rendered, Runs::AsSaid).stuck;
        found.extend(stuck.into_iter().map(|problem| Problem {
            reason: format!(
                "{}; the hosts still run that release: change the version alone first, and wait for it",
                problem.reason
            ),
            ..problem
        }));
    }
    let failures = found
        .into_iter()
        .map(|problem| CheckFailure { path: path(&problem, &new.value), reason: problem.reason });
    failures.filter(|failure| !new.is_unknown(&failure.path)).collect()
}

/// Where the inputs say it: as much of its place as stands in the overrides, unless another input says it.
fn path(problem: &Problem, args: &ClusterArgs) -> PropertyPath {
    let (place, is_whole) = in_overrides(problem, args);
    if is_whole {
        return place;
    }
    let inputs = serde_json::to_value(args).unwrap_or_default();
    aspects::input_of(&problem.path, &inputs).unwrap_or(place)
}

/// As much of the problem's place as stands in the overrides, and whether that is all of it.
fn in_overrides(problem: &Problem, args: &ClusterArgs) -> (PropertyPath, bool) {
    let said = args
        .overrides
        .chi_overrides
        .as_ref()
        .and_then(|said| serde_json::to_value(said).ok())
        .unwrap_or_default();
    let (mut place, mut reached) = (PropertyPath::from("chiOverrides"), PropertyPath::root());
    for segment in problem.path.segments() {
        reached = reached.child(segment.clone());
        if reached.find_in(&said).is_none() {
            return (place, false);
        }
        place = place.child(segment.clone());
    }
    (place, true)
}
