//! What the operator's status says, and what its errors mean. Pure.

use k8s_openapi::jiff::Timestamp;

use super::super::watching::Seen;
use super::super::{Expect, Hosts, Layout, is_scaled_to_zero};
use crate::kubernetes::error::Error;
use crate::kubernetes::observe::{Installation, InstallationStatus, is_outage};

/// Errors of the operator that only an edit mends: what its newest error then begins with.
const FINAL_ERRORS: [&str; 5] = [
    "[FIPSValidationFailed",
    "[RootCAConflict",
    "[RootCASecretUnresolved",
    "[FIPSImagePolicyViolation",
    "[RemovedSecretRefSyntax",
];

/// What goes on while every host is ready: of the change before, or of this one.
pub(super) fn rolling_out(status: &InstallationStatus) -> String {
    match status.hosts_completed {
        0 => "the operator is applying the change".to_owned(),
        done => format!("{done}/{} rolled out", status.hosts),
    }
}

pub(super) fn is_too_old(status: &InstallationStatus) -> bool {
    status.chop_version.as_deref().and_then(Error::for_operator).is_some()
}

/// Whether the operator gave up because the API server was away, and not for something that it had met before
/// this change.
pub(super) fn was_interrupted(installation: &Installation, status: &InstallationStatus) -> bool {
    /// By how much the clocks of the operator and the API server may differ, in seconds.
    const SKEW: i64 = 60;
    if status.error.as_deref().is_some_and(is_outage) {
        return true;
    }
    let at =
        status.errors.outage.as_deref().and_then(|error| error.split(' ').next()?.parse::<Timestamp>().ok());
    let written = installation.metadata.written.as_ref();
    at.is_some_and(|at| written.is_none_or(|written| at.as_second() + SKEW >= written.0.as_second()))
}

/// How many hosts are as they should be: ready, or stopped.
pub(super) fn hosts<'a>(
    expect: &'a Expect,
    seen: &'a Seen<Installation>,
    status: &'a InstallationStatus,
    stopped: bool,
) -> Hosts<'a> {
    let sets = &seen.sets.objects;
    let uid = expect.written.uid.as_deref();
    if !stopped {
        let planned = usize::try_from(status.hosts).unwrap_or_default();
        return Hosts::count(sets, Layout { uid, expected: &expect.hosts, pods: &status.pods, planned });
    }
    let of_this = sets.iter().filter(|set| set.metadata.is_controlled_by(uid));
    let unready: Vec<_> =
        of_this.clone().filter(|set| !is_scaled_to_zero(set)).map(|set| set.metadata.name()).collect();
    let wanted = of_this.count().max(1);
    // An installation that was stopped from birth may have no StatefulSet at all.
    Hosts { wanted, ready: wanted - unready.len(), unready }
}

pub(super) fn newest_error(status: &InstallationStatus) -> String {
    status
        .error
        .clone()
        .or_else(|| status.errors.newest.clone())
        .unwrap_or_else(|| "it names no reason; see its log".to_owned())
}

/// Whether an error names a reason that only an edit mends. The list of errors puts a time before each.
pub(super) fn is_final(error: &str) -> bool {
    let untimed = error.split_once(' ').map_or(error, |(_, rest)| rest);
    FINAL_ERRORS.iter().any(|start| error.starts_with(start) || untimed.starts_with(start))
}
