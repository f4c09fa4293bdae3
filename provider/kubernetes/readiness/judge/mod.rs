//! Whether an installation serves: the judgement over what is seen. Pure; time comes in as an argument.

mod limits;
mod status;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

pub(super) use self::limits::Limits;
use self::status::{hosts, is_final, is_too_old, newest_error, rolling_out, was_interrupted};
use super::evidence::About;
use super::operator::Presence;
use super::watching::{Evaluate, Seen};
use super::{Expect, Hosts, QUIET, Written, external, unreached};
use crate::kubernetes::diagnosis::{FindingAges, Stage};
use crate::kubernetes::error::Error;
use crate::kubernetes::observe::{Installation, InstallationStatus};
use crate::kubernetes::wait::{Pending, Verdict};
use crate::kubernetes::watch::Snapshot;
use crate::resource::FailureKind;

/// How many reasons are told.
const REASONS: usize = 6;

/// How long before its absence is told the operator is looked for.
const LOOK_AHEAD: Duration = Duration::from_secs(3);

/// What is to be done next.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// It serves.
    Ready,
    /// Send another task: the operator says that it is done with ours, but it is not.
    Resubmit(Incomplete),
    /// Look at pods, volumes and events too.
    Search,
    /// Find out whether an operator runs.
    FindOperator,
}

/// What the operator has not done of a task that it says is completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Incomplete {
    /// Anything: the task never started, and the change counts as made.
    Everything,
    /// A host was left without a pod.
    OneHost,
    /// What was left when it gave up because it could not reach the API server.
    Interrupted,
}

/// What a judgement remembers from look to look.
pub(super) struct InstallationCondition {
    expect: Arc<Expect>,
    limits: Limits,
    started: Instant,
    /// The facts that count as progress, and since when they have been as they are.
    moved: Option<(Facts, Instant)>,
    seen_once: bool,
    aborted_since: Option<Instant>,
    /// Whether this is a second task already.
    resubmitted: bool,
    told: Told,
    pub(super) operator: Option<Presence>,
    ages: FindingAges,
}

/// Why it isn't done yet.
struct Why {
    /// The most telling reason, for the row.
    row: Option<String>,
    reasons: Vec<String>,
    /// When to look again.
    again: Vec<Option<Instant>>,
}

impl Why {
    /// Suspects coordination servers that the operator asks before it makes a host, from the moment `tell`
    /// on.
    fn servers(&mut self, servers: &[&str], now: Instant, tell: Instant) {
        if servers.is_empty() {
            return;
        }
        self.again.push(Some(tell));
        if now >= tell {
            let unreached = unreached(servers);
            self.reasons.push(format!(
                "{unreached}, which it needs to create a host; check that it is reachable from there"
            ));
            self.row.get_or_insert(unreached);
        }
    }
}

/// What was warned of already.
#[derive(Default)]
struct Told {
    untouched: bool,
    superseded: bool,
    stopped: bool,
}

type Facts = (String, Option<String>, u32, usize, usize);

impl Evaluate<Installation> for InstallationCondition {
    type Step = Step;

    fn judge(&mut self, seen: &Seen<Installation>, now: Instant) -> Verdict<Step> {
        if seen.object.listed.is_none() || seen.sets.listed.is_none() {
            return waiting("reading the cluster's status");
        }
        let found = seen.object.objects.iter().find(|object| object.metadata.name() == self.expect.name);
        let Some(installation) = found else { return self.absent(&seen.object) };
        if let Some(gone) = self.not_ours(installation, &seen.object) {
            return gone;
        }
        if self
            .expect
            .written
            .generation
            .is_some_and(|generation| installation.metadata.generation() < generation)
        {
            return waiting("waiting for the API server to show the change");
        }
        self.seen_once = true;
        self.progress(installation, seen, now)
    }
}

impl InstallationCondition {
    pub(super) fn new(expect: Expect, limits: Limits, started: Instant) -> Self {
        Self {
            expect: Arc::new(expect),
            limits,
            started,
            moved: None,
            seen_once: false,
            aborted_since: None,
            resubmitted: false,
            told: Told::default(),
            operator: None,
            ages: FindingAges::default(),
        }
    }

    /// Goes on with another task in the place of the first.
    pub(super) fn resubmit(&mut self, task_id: String, written: Written, now: Instant) {
        self.expect = Arc::new(Expect { task_id, written, ..Expect::clone(&self.expect) });
        self.started = now;
        (self.moved, self.aborted_since) = (None, None);
        self.resubmitted = true;
    }

    /// The installation is not in the watch: deleted, or not there yet.
    fn absent(&self, snapshot: &Snapshot<Installation>) -> Verdict<Step> {
        if self.seen_once || snapshot.is_newer_than(self.started, self.expect.written.revision) {
            return failed(format!("{} was deleted by another client", self.expect));
        }
        waiting("waiting for the API server to show the change")
    }

    fn not_ours(
        &self,
        installation: &Installation,
        snapshot: &Snapshot<Installation>,
    ) -> Option<Verdict<Step>> {
        let uid = self.expect.written.uid.as_deref();
        if uid.is_some_and(|uid| uid != installation.metadata.uid()) {
            // A watch that lags shows the one that was there before.
            if !snapshot.is_newer_than(self.started, self.expect.written.revision) {
                return Some(waiting("waiting for the API server to show the change"));
            }
            return Some(failed(format!("{} was recreated by another client", self.expect)));
        }
        installation
            .metadata
            .is_deleting()
            .then(|| failed(format!("{} is being deleted by another client", self.expect)))
    }

    fn progress(
        &mut self,
        installation: &Installation,
        seen: &Seen<Installation>,
        now: Instant,
    ) -> Verdict<Step> {
        let nothing = InstallationStatus::default();
        let status = installation.status.as_ref().unwrap_or(&nothing);
        let task = installation.spec.task_id.clone().unwrap_or_else(|| self.expect.task_id.clone());
        let begun = status.task_ids_started.contains(&task);
        let ended = status.task_ids_completed.contains(&task);
        let stopped = installation.spec.is_stopped();
        let expect = Arc::clone(&self.expect);
        let hosts = hosts(&expect, seen, status, stopped);
        let completed = status.status == "Completed";
        if completed && begun && ended && hosts.all_ready() && !is_too_old(status) {
            return Verdict::Done(Step::Ready);
        }
        if installation.spec.is_suspended() {
            return failed(format!(
                "{expect} was suspended by another client: the clickhouse-operator does not reconcile it \
                    until `spec.suspend` is `no` again; run `pulumi up` to resume it"
            ));
        }
        if !begun && status.task_id.as_ref() != Some(&task) {
            return self.not_taken_up(installation, now);
        }
        if let Some(error) = status.chop_version.as_deref().and_then(Error::for_operator) {
            return Verdict::Failed(error.kind(), vec![error.to_string()]);
        }
        let lost = completed && ended && !begun;
        if lost && !self.resubmitted {
            return Verdict::Done(Step::Resubmit(Incomplete::Everything));
        }

        let quiet_since = self.note_facts(status, &hosts, now);
        let aborted = (status.status == "Aborted").then(|| newest_error(status));
        let search_at = self.limits.search_by.map_or(quiet_since + QUIET, |by| by.min(quiet_since + QUIET));
        if seen.evidence.is_none()
            && !stopped
            && !hosts.all_ready()
            && (aborted.is_some() || now >= search_at)
        {
            return Verdict::Done(Step::Search);
        }

        let left_out =
            (completed && ended && !stopped && !self.resubmitted && hosts.leave_out(&seen.sets.objects))
                .then_some(quiet_since + self.limits.left_out);
        if left_out.is_some_and(|until| now >= until) {
            return Verdict::Done(Step::Resubmit(Incomplete::OneHost));
        }
        let stage = match (ended, &aborted) {
            (true, None) if completed => Stage::Done,
            (true, Some(_)) => Stage::GaveUp,
            _ => Stage::Working,
        };
        let written = installation.metadata.written.as_ref();
        let about = About {
            name: &expect.name,
            hosts: &hosts.unready,
            sets: &seen.sets.objects,
            written,
            stage,
            remedies: expect.remedies,
        };
        let findings = seen.evidence.as_ref().map(|evidence| evidence.about(&about)).unwrap_or_default();
        let ages = self.ages.judge(&findings, &self.limits.grace_periods, now);
        if !ages.reasons.is_empty() {
            return Verdict::Failed(FailureKind::Precondition, ages.reasons);
        }
        let again = vec![ages.again, left_out, seen.evidence.is_none().then_some(search_at)];
        let mut why =
            Why { row: findings.first().map(|finding| finding.row.clone()), reasons: Vec::new(), again };
        why.reasons.extend(findings.into_iter().map(|finding| finding.text).take(REASONS));
        if status.status == "InProgress" && seen.sets.objects.is_empty() {
            why.servers(
                &external(&installation.spec.coordination, &expect.name),
                now,
                quiet_since + self.limits.hostless,
            );
        }
        if lost {
            why.reasons.push(
                "the clickhouse-operator recorded the change as completed without having \
                started it; run again"
                    .to_owned(),
            );
        }
        match aborted {
            Some(error) => {
                let may_resend = !self.resubmitted && seen.object.trouble.is_none();
                if let Some(verdict) =
                    self.gave_up(&error, was_interrupted(installation, status), may_resend, now, &mut why)
                {
                    return verdict;
                }
            }
            None => self.aborted_since = None,
        }
        let Why { row, reasons, again } = why;

        let verb = if stopped { "stopped" } else { "ready" };
        let counted = format!("{}/{} {verb}", hosts.ready, hosts.wanted);
        let progress = match row.or_else(|| reasons.first().cloned()) {
            Some(reason) => format!("{counted}: {reason}"),
            None if hosts.all_ready() => format!("{counted}, {}", rolling_out(status)),
            None => counted.clone(),
        };
        let so_far = (!reasons.is_empty()).then_some(counted);
        let warn = self.superseded(&task).or_else(|| self.stopped(stopped));
        Verdict::Pending(Pending {
            progress,
            reasons,
            so_far,
            again: again.into_iter().flatten().min(),
            warn,
        })
    }

    /// What to do about an operator that gave up with `error`; `None` to wait on. An outage of the API server
    /// is no reason to end: the change is sent again once that is over.
    fn gave_up(
        &mut self,
        error: &str,
        outage: bool,
        may_resend: bool,
        now: Instant,
        why: &mut Why,
    ) -> Option<Verdict<Step>> {
        let since = *self.aborted_since.get_or_insert(now);
        if outage && !self.resubmitted {
            let resend = since + self.limits.watch_trouble;
            if now >= resend && may_resend {
                return Some(Verdict::Done(Step::Resubmit(Incomplete::Interrupted)));
            }
            why.again.push(Some(resend));
        }
        let gave_up = format!("the clickhouse-operator gave up: {error}; correct the cause and run again");
        if now >= since + self.limits.aborted || is_final(error) {
            let reasons = std::iter::once(gave_up).chain(std::mem::take(&mut why.reasons)).collect();
            return Some(Verdict::Failed(FailureKind::Precondition, reasons));
        }
        why.row.get_or_insert_with(|| format!("the operator gave up: {error}"));
        why.reasons.push(gave_up);
        why.again.push(Some(since + self.limits.aborted));
        None
    }

    /// Remembers since when nothing has moved.
    fn note_facts(&mut self, status: &InstallationStatus, hosts: &Hosts<'_>, now: Instant) -> Instant {
        let facts = (
            status.status.clone(),
            status.task_id.clone(),
            status.hosts_completed,
            hosts.ready,
            hosts.wanted,
        );
        match &self.moved {
            Some((known, since)) if *known == facts => *since,
            _ => {
                self.moved = Some((facts, now));
                now
            }
        }
    }

    fn not_taken_up(&mut self, installation: &Installation, now: Instant) -> Verdict<Step> {
        let untouched = installation.metadata.finalizers().is_empty() && installation.status.is_none();
        let limit = if untouched { self.limits.untouched } else { self.limits.unanswered };
        let (look, tell) = (self.started + limit.saturating_sub(LOOK_AHEAD), self.started + limit);
        let pending = Pending {
            progress: "waiting for the operator to start the change".to_owned(),
            ..Pending::default()
        };
        if now < look {
            return Verdict::Pending(Pending { again: Some(look), ..pending });
        }
        let Some(operator) = &self.operator else { return Verdict::Done(Step::FindOperator) };
        if now < tell {
            return Verdict::Pending(Pending { again: Some(tell), ..pending });
        }
        let reason = format!("{} waits: {}", self.expect, operator.explain(&self.expect.namespace));
        let warn = (!std::mem::replace(&mut self.told.untouched, true)).then(|| reason.clone());
        Verdict::Pending(Pending { reasons: vec![reason], warn, ..pending })
    }

    /// A change that stops the cluster is not what is warned of.
    fn stopped(&mut self, stopped: bool) -> Option<String> {
        if !stopped || self.expect.written.stopped || std::mem::replace(&mut self.told.stopped, true) {
            return None;
        }
        Some(format!("{} was stopped by another client; waiting until its hosts are down", self.expect))
    }

    fn superseded(&mut self, task: &str) -> Option<String> {
        if task == self.expect.task_id || std::mem::replace(&mut self.told.superseded, true) {
            return None;
        }
        Some(format!(
            "{} was changed by another client (task `{task}`); waiting for that change, which includes this \
                one",
            self.expect
        ))
    }
}

fn waiting<T>(progress: &str) -> Verdict<T> {
    Verdict::Pending(Pending { progress: progress.to_owned(), ..Pending::default() })
}

fn failed<T>(reason: String) -> Verdict<T> {
    Verdict::Failed(FailureKind::Precondition, vec![reason])
}

#[cfg(test)]
mod tests;
