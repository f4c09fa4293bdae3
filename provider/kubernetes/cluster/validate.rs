//! From the inputs, defaults filled in, to a cluster that can be built: everything that is wrong is found at
//! once.

use super::aspects::{self, Checker, ClusterArgs, ValidatedCluster};
use crate::resource::{CheckFailure, Known};

/// Checks `args`, whose defaults are filled in, and turns them into a cluster. What is unknown is neither
/// checked nor guessed at: its default stands in, so the result of unknown inputs must not be built.
pub(super) fn validate(args: &Known<ClusterArgs>) -> Result<ValidatedCluster, Vec<CheckFailure>> {
    let mut check = Checker::new(args);
    let cluster = aspects::check(&mut check);
    let failures = check.into_failures();
    if failures.is_empty() { Ok(cluster) } else { Err(failures) }
}

/// What is wrong with a program whose defaults are filled in. More is asked of what is new than of what the
/// cluster has already: none that is there becomes an error.
pub(super) fn program(args: &Known<ClusterArgs>, old: Option<&ClusterArgs>) -> Vec<CheckFailure> {
    let mut check = Checker::of_program(args, old);
    aspects::check(&mut check);
    check.into_failures()
}

/// The cluster that `args` describe, whether they are sound or not: for what is wrong a default may stand in,
/// so it must not be built.
pub(super) fn anyway(args: &Known<ClusterArgs>) -> ValidatedCluster {
    aspects::check(&mut Checker::new(args))
}

/// The cluster of the last run, as far as its inputs can still be understood.
pub(super) fn last(old: &ClusterArgs) -> Option<ValidatedCluster> {
    validate(&Known::all(aspects::with_defaults(old.clone(), false))).ok()
}

/// The same, whether they can or not: it must not be built.
pub(super) fn last_anyway(old: &ClusterArgs) -> ValidatedCluster {
    anyway(&Known::all(aspects::with_defaults(old.clone(), false)))
}
