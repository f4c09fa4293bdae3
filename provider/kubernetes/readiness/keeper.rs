//! Waiting for a `ClickHouseKeeperInstallation`. It has no finalizer, and its status neither names tasks nor
//! always ends.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use super::evidence::{About, EvidenceWatch};
use super::watching::{Evaluate, Seen, Watching};
use super::{Hosts, Layout, QUIET, Written, operator};
use crate::kubernetes::client::Session;
use crate::kubernetes::diagnosis::{FindingAges, GracePeriods, Remedies, Stage};
use crate::kubernetes::error::Error;
use crate::kubernetes::meta::Kind;
use crate::kubernetes::observe::{KeeperInstallation, KeeperStatus, Normalized};
use crate::kubernetes::wait::{NotReady, Pending, Verdict, wait};
use crate::kubernetes::watch::{Scope, SharedWatches};
use crate::resource::{Context, FailureKind};

/// How long all members must have been ready before a change that the operator has taken up counts as done
/// although the operator does not say so: it pauses up to two minutes while it rolls a change out.
const STUCK: Duration = Duration::from_secs(150);

/// The same where members go: it pauses for two minutes, and a minute more before it removes them.
const STUCK_SMALLER: Duration = Duration::from_secs(240);

/// How long a new Keeper may stay untouched before the operator's absence is told.
const UNTOUCHED: Duration = Duration::from_secs(15);

/// How long a change of a Keeper may not be taken up before that is told.
const UNANSWERED: Duration = Duration::from_secs(60);

/// How long it may not be taken up before a Keeper whose members all serve is gone on with: the operator
/// passes over, without a word, a change that changes nothing for it, as when a suspended Keeper is woken.
const PASSED_OVER: Duration = Duration::from_secs(300);

/// What a change of a Keeper is to lead to. Printed as its kind and name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExpectKeeper {
    /// The Keeper's namespace.
    pub namespace: String,
    /// The Keeper's name.
    pub name: String,
    /// What the API server answered to the change.
    pub written: Written,
    /// The StatefulSets that are to be ready, one a member: `chk-<name>-<cluster>-0-<replica>`.
    pub hosts: Vec<String>,
    /// The inputs to name where hosts don't come up.
    pub remedies: Remedies,
}

impl fmt::Display for ExpectKeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", Kind::KeeperInstallation.name(), self.namespace, self.name)
    }
}

/// Waits until every member is ready, of this change. Warns once when no operator takes it up. A change that
/// suspends the Keeper is not waited for.
pub async fn await_keeper(
    session: &Session,
    ctx: &Context,
    deadline: Instant,
    expect: ExpectKeeper,
) -> Result<(), NotReady> {
    if expect.written.suspended {
        ctx.report.info(&format!(
            "{expect} is suspended: the clickhouse-operator does not reconcile it, so nothing was awaited"
        ));
        return Ok(());
    }
    let api = session.api(ctx).until(deadline);
    let children = Scope::OfKeeper(expect.name.clone());
    // Taken before the watches start, so that their first list is newer.
    let started = Instant::now();
    let mut watching = Watching {
        object: SharedWatches::subscribe(
            session,
            Kind::KeeperInstallation,
            Some(&expect.namespace),
            &Scope::Name(expect.name.clone()),
        ),
        sets: SharedWatches::subscribe(session, Kind::StatefulSet, Some(&expect.namespace), &children),
        search: None,
        condition: KeeperCondition::new(expect.clone(), started),
    };
    loop {
        match wait(ctx, deadline, &mut watching).await? {
            Step::Ready => return Ok(()),
            Step::PassedOver => {
                ctx.report.warn(&format!(
                    "{}: the clickhouse-operator has not reconciled the change for {} minutes; continuing, \
                        since all members are ready",
                    watching.condition.expect,
                    PASSED_OVER.as_secs() / 60
                ));
                return Ok(());
            }
            Step::Search => {
                watching.search = Some(EvidenceWatch::start(api.clone(), &expect.namespace, &children));
            }
            Step::FindOperator => {
                let traces = watching.object.any(|keeper| keeper.status.is_some());
                watching.condition.operator = Some(operator::find(&api, traces).await);
            }
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Ready,
    /// All members serve, and nobody takes the change up.
    PassedOver,
    Search,
    FindOperator,
}

pub(super) struct KeeperCondition {
    expect: ExpectKeeper,
    started: Instant,
    seen_once: bool,
    /// How many are ready and whether the operator is applying the change, and since when that is so.
    moved: Option<((usize, bool), Instant)>,
    pub(super) operator: Option<operator::Presence>,
    warned: bool,
    ages: FindingAges,
}

impl Evaluate<KeeperInstallation> for KeeperCondition {
    type Step = Step;

    fn judge(&mut self, seen: &Seen<KeeperInstallation>, now: Instant) -> Verdict<Step> {
        let pending = |progress: &str| {
            Verdict::Pending(Pending { progress: progress.to_owned(), ..Pending::default() })
        };
        if seen.object.listed.is_none() || seen.sets.listed.is_none() {
            return pending("reading the Keeper's status");
        }
        let gone =
            |what: &str| Verdict::Failed(FailureKind::Precondition, vec![format!("{} {what}", self.expect)]);
        let Some(keeper) = seen.object.named(&self.expect.name) else {
            if self.seen_once || seen.object.is_newer_than(self.started, self.expect.written.revision) {
                return gone("was deleted by another client");
            }
            return pending("waiting for the API server to show the Keeper");
        };
        if self.expect.written.uid.as_deref().is_some_and(|uid| uid != keeper.metadata.uid()) {
            // A watch that lags shows the one that was there before.
            if !seen.object.is_newer_than(self.started, self.expect.written.revision) {
                return pending("waiting for the API server to show the Keeper");
            }
            return gone("was recreated by another client");
        }
        if keeper.metadata.is_deleting() {
            return gone("is being deleted by another client");
        }
        if self.expect.written.generation.is_some_and(|generation| keeper.metadata.generation() < generation)
        {
            return pending("waiting for the API server to show the Keeper");
        }
        self.seen_once = true;
        self.progress(keeper, seen, now)
    }
}

impl KeeperCondition {
    pub(super) fn new(expect: ExpectKeeper, started: Instant) -> Self {
        Self {
            expect,
            started,
            seen_once: false,
            moved: None,
            operator: None,
            warned: false,
            ages: FindingAges::default(),
        }
    }

    fn progress(
        &mut self,
        keeper: &KeeperInstallation,
        seen: &Seen<KeeperInstallation>,
        now: Instant,
    ) -> Verdict<Step> {
        let (sets, expected) = (&seen.sets.objects, &self.expect.hosts);
        let nothing = KeeperStatus::default();
        let status = keeper.status.as_ref().unwrap_or(&nothing);
        let layout = Layout {
            uid: Some(keeper.metadata.uid()),
            expected,
            pods: &status.pods,
            planned: expected.len(),
        };
        let hosts = Hosts::count(sets, layout);
        let generation = keeper.metadata.generation();
        let has = |change: &Option<Normalized>| {
            change.as_ref().is_some_and(|change| change.metadata.generation >= generation)
        };
        let caught_up = status.status == "Completed" && has(&status.normalized_completed);
        let unnamed = status.normalized.is_none() && status.status == "InProgress";
        let taken_up = caught_up || has(&status.normalized) || unnamed;
        let facts = (hosts.ready, taken_up);
        let since = match self.moved {
            Some((known, since)) if known == facts => since,
            _ => self.moved.insert((facts, now)).1,
        };
        let stuck = since + if sets.len() > expected.len() { STUCK_SMALLER } else { STUCK };
        // A first rollout has no older members that could be taken for the new ones.
        let rolled_out = caught_up || generation <= 1 || (taken_up && now >= stuck);
        if hosts.all_ready() && rolled_out {
            return Verdict::Done(Step::Ready);
        }
        if let Some(error) = status.chop_version.as_deref().and_then(Error::for_operator) {
            return Verdict::Failed(error.kind(), vec![error.to_string()]);
        }
        if keeper.spec.is_suspended() {
            let reason = format!(
                "{} was suspended by another client: the clickhouse-operator does not reconcile it until \
                    `spec.suspend` is `no` again",
                self.expect
            );
            return Verdict::Failed(FailureKind::Precondition, vec![reason]);
        }
        let counted = format!("Keeper {}/{} ready", hosts.ready, hosts.wanted);
        if keeper.status.is_none() && sets.is_empty() {
            return self.not_taken_up(&counted, self.started + UNTOUCHED, now);
        }
        if hosts.all_ready() && !taken_up {
            if now >= self.started + PASSED_OVER {
                return Verdict::Done(Step::PassedOver);
            }
            return self.not_taken_up(&counted, self.started + UNANSWERED, now);
        }
        if hosts.all_ready() {
            let progress = format!("{counted}: the operator is finishing the change");
            return Verdict::Pending(Pending { progress, again: Some(stuck), ..Pending::default() });
        }
        if !taken_up && generation > 1 && status.status == "InProgress" {
            let told = "the operator is still at work on an earlier change";
            let reason = format!(
                "{}: {told}, and waits up to 5 minutes for each member that does not start; this one comes \
                    after it",
                self.expect
            );
            let progress = format!("{counted}: {told}");
            return Verdict::Pending(Pending { progress, reasons: vec![reason], ..Pending::default() });
        }
        let at_work = || format!("{counted}: the operator is starting its members");
        let Some(evidence) = &seen.evidence else {
            if now >= since + QUIET {
                return Verdict::Done(Step::Search);
            }
            return Verdict::Pending(Pending {
                progress: at_work(),
                again: Some(since + QUIET),
                ..Pending::default()
            });
        };
        let stage = if caught_up { Stage::Done } else { Stage::Working };
        let ExpectKeeper { name, remedies, .. } = &self.expect;
        let written = keeper.metadata.written.as_ref();
        let findings =
            evidence.about(&About { name, hosts: &hosts.unready, sets, written, stage, remedies: *remedies });
        let ages = self.ages.judge(&findings, &GracePeriods::default(), now);
        if !ages.reasons.is_empty() {
            return Verdict::Failed(FailureKind::Precondition, ages.reasons);
        }
        let progress = findings.first().map_or_else(at_work, |finding| format!("{counted}: {}", finding.row));
        let reasons: Vec<String> = findings.into_iter().map(|finding| finding.text).collect();
        let so_far = (!reasons.is_empty()).then_some(counted);
        Verdict::Pending(Pending { progress, reasons, so_far, again: ages.again, warn: None })
    }

    /// Nobody has taken up the change yet; from `tell` on that is told.
    fn not_taken_up(&mut self, counted: &str, tell: Instant, now: Instant) -> Verdict<Step> {
        let pending =
            Pending { progress: format!("{counted}: waiting for the operator"), ..Pending::default() };
        let Some(operator) = &self.operator else {
            if now + QUIET >= tell {
                return Verdict::Done(Step::FindOperator);
            }
            return Verdict::Pending(Pending {
                again: Some(tell.checked_sub(QUIET).unwrap_or(tell)),
                ..pending
            });
        };
        if now < tell {
            return Verdict::Pending(Pending { again: Some(tell), ..pending });
        }
        let reason = format!("{} waits: {}", self.expect, operator.explain(&self.expect.namespace));
        let warn = (!std::mem::replace(&mut self.warned, true)).then(|| reason.clone());
        Verdict::Pending(Pending {
            reasons: vec![reason],
            warn,
            again: Some(self.started + PASSED_OVER),
            ..pending
        })
    }
}
