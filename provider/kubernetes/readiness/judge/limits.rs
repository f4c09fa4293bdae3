//! How long states may last before something is done about them.

use std::time::Duration;

use tokio::time::Instant;

use crate::kubernetes::diagnosis::GracePeriods;

/// How long states may last.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Limits {
    /// States of pods and volumes that only an edit mends.
    pub(in super::super) grace_periods: GracePeriods,
    /// A new installation that nobody has touched.
    pub(in super::super) untouched: Duration,
    /// A change that the operator, known to have worked on it before, has not taken up.
    pub(in super::super) unanswered: Duration,
    /// `Aborted`, which newer operators leave by themselves.
    pub(in super::super) aborted: Duration,
    /// A host without a pod though the operator is done.
    pub(in super::super) left_out: Duration,
    /// `Aborted` for an outage of the API server, before the change is sent again.
    pub(in super::super) watch_trouble: Duration,
    /// A rollout that has made no host yet, before a coordination server is suspected.
    pub(in super::super) hostless: Duration,
    /// When reasons are looked for at the latest, so that they are known at the deadline.
    pub(in super::super) search_by: Option<Instant>,
}

impl Default for Limits {
    fn default() -> Self {
        let (untouched, unanswered) = (Duration::from_secs(15), Duration::from_secs(60));
        let (aborted, left_out) = (Duration::from_secs(120), Duration::from_secs(30));
        let (watch_trouble, hostless) = (Duration::from_secs(10), Duration::from_secs(30));
        Self {
            grace_periods: GracePeriods::default(),
            untouched,
            unanswered,
            aborted,
            left_out,
            watch_trouble,
            hostless,
            search_by: None,
        }
    }
}
