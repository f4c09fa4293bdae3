//! Waiting for a `ClickHouseKeeperInstallation`. It has no finalizer, and its status neither names tasks nor always ends.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use super::trouble::Search;
use super::watching::{Judgement, Seen, Watching};
use super::{Hosts, QUIET, Written, operator};
use crate::kubernetes::client::Session;
use crate::kubernetes::cluster::diagnose::{Graces, Lasting};
use crate::kubernetes::error::Error;
use crate::kubernetes::meta::Kind;
use crate::kubernetes::observe::KeeperInstallation;
use crate::kubernetes::wait::{NotReady, Pending, Verdict, wait};
use crate::kubernetes::watch::{Hub, Scope};
use crate::resource::{Context, FailureKind};

/// How long all members must have been ready before a change of a running Keeper counts as done although the operator does not say
/// so: it pauses up to two minutes a member while it rolls a change out.
const STUCK: Duration = Duration::from_secs(150);

/// How long a new Keeper may stay untouched before the operator's absence is told.
const UNTOUCHED: Duration = Duration::from_secs(15);

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
}

impl fmt::Display for ExpectKeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", Kind::KeeperInstallation.name(), self.namespace, self.name)
    }
}

/// Waits until every member is ready, of this change. Warns once when no operator takes it up.
pub async fn await_keeper(session: &Session, ctx: &Context, deadline: Instant, expect: ExpectKeeper) -> Result<(), NotReady> {
    let api = session.api(ctx).until(deadline);
    let children = Scope::OfKeeper(expect.name.clone());
    // Taken before the watches start, so that their first list is newer.
    let started = Instant::now();
    let mut watching = Watching {
        object: Hub::subscribe(session, Kind::KeeperInstallation, Some(&expect.namespace), &Scope::Name(expect.name.clone())),
        sets: Hub::subscribe(session, Kind::StatefulSet, Some(&expect.namespace), &children),
        search: None,
        judge: Judge::new(expect.clone(), started),
    };
    loop {
        match wait(ctx, deadline, &mut watching).await? {
            Step::Ready => return Ok(()),
            Step::Search => watching.search = Some(Search::start(api.clone(), &expect.namespace, &children)),
            Step::FindOperator => watching.judge.operator = Some(operator::find(&api).await),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Ready,
    Search,
    FindOperator,
}

pub(super) struct Judge {
    expect: ExpectKeeper,
    started: Instant,
    seen_once: bool,
    /// How many are ready, and since when.
    moved: Option<(usize, Instant)>,
    pub(super) operator: Option<operator::Presence>,
    warned: bool,
    lasting: Lasting,
}

impl Judgement<KeeperInstallation> for Judge {
    type Step = Step;

    fn judge(&mut self, seen: &Seen<KeeperInstallation>, now: Instant) -> Verdict<Step> {
        let pending = |progress: &str| Verdict::Pending(Pending { progress: progress.to_owned(), ..Pending::default() });
        if seen.object.listed.is_none() || seen.sets.listed.is_none() {
            return pending("asking the API server how the Keeper is");
        }
        let gone = |what: &str| Verdict::Failed(FailureKind::Precondition, vec![format!("{} {what}", self.expect)]);
        let Some(keeper) = seen.object.named(&self.expect.name) else {
            if self.seen_once || seen.object.is_newer_than(self.started, self.expect.written.revision) {
                return gone("was deleted by someone else meanwhile");
            }
            return pending("waiting for the API server to show the Keeper");
        };
        if self.expect.written.uid.as_deref().is_some_and(|uid| uid != keeper.metadata.uid()) {
            return gone("was deleted and made anew by someone else meanwhile");
        }
        if keeper.metadata.is_deleting() {
            return gone("is being deleted by someone else");
        }
        if self.expect.written.generation.is_some_and(|generation| keeper.metadata.generation() < generation) {
            return pending("waiting for the API server to show the Keeper");
        }
        self.seen_once = true;
        self.progress(keeper, seen, now)
    }
}

impl Judge {
    pub(super) fn new(expect: ExpectKeeper, started: Instant) -> Self {
        Self { expect, started, seen_once: false, moved: None, operator: None, warned: false, lasting: Lasting::default() }
    }

    fn progress(&mut self, keeper: &KeeperInstallation, seen: &Seen<KeeperInstallation>, now: Instant) -> Verdict<Step> {
        let hosts = Hosts::count(&seen.sets.objects, &self.expect.hosts, self.expect.hosts.len());
        let generation = keeper.metadata.generation();
        let status = keeper.status.as_ref();
        let caught_up = status.is_some_and(|status| {
            status.status == "Completed"
                && status.normalized_completed.as_ref().is_some_and(|completed| completed.metadata.generation >= generation)
        });
        let since = match self.moved {
            Some((ready, since)) if ready == hosts.ready => since,
            _ => self.moved.insert((hosts.ready, now)).1,
        };
        // A first rollout has no older members that could be taken for the new ones.
        let rolled_out = caught_up || generation <= 1 || now >= since + STUCK;
        if hosts.all_ready() && rolled_out {
            return Verdict::Done(Step::Ready);
        }
        if let Some(error) = status.and_then(|status| status.chop_version.as_deref()).and_then(Error::for_operator) {
            return Verdict::Failed(error.kind(), vec![error.to_string()]);
        }
        let counted = format!("Keeper: {}/{} members ready", hosts.ready, hosts.wanted);
        if hosts.all_ready() {
            let progress = format!("{counted} · the operator finishes the change");
            return Verdict::Pending(Pending { progress, again: Some(since + STUCK), ..Pending::default() });
        }
        if status.is_none() && seen.sets.objects.is_empty() {
            return self.untouched(counted, now);
        }
        let Some(clues) = &seen.clues else {
            if now >= since + QUIET {
                return Verdict::Done(Step::Search);
            }
            return Verdict::Pending(Pending { progress: counted, again: Some(since + QUIET), ..Pending::default() });
        };
        let findings = clues.about(&hosts.unready, &seen.sets.objects, keeper.metadata.written.as_ref(), caught_up);
        let lasting = self.lasting.judge(&findings, &Graces::default(), now);
        if !lasting.final_reasons.is_empty() {
            return Verdict::Failed(FailureKind::Precondition, lasting.final_reasons);
        }
        let reasons: Vec<String> = findings.into_iter().map(|finding| finding.text).collect();
        let progress = reasons.first().map_or_else(|| counted.clone(), |reason| format!("{counted} · {reason}"));
        Verdict::Pending(Pending { progress, reasons, again: lasting.again, warn: None })
    }

    /// Nobody has made anything of it yet.
    fn untouched(&mut self, counted: String, now: Instant) -> Verdict<Step> {
        let tell = self.started + UNTOUCHED;
        let Some(operator) = &self.operator else {
            if now + QUIET >= tell {
                return Verdict::Done(Step::FindOperator);
            }
            return Verdict::Pending(Pending {
                progress: counted,
                again: Some(tell.checked_sub(QUIET).unwrap_or(tell)),
                ..Pending::default()
            });
        };
        if now < tell {
            return Verdict::Pending(Pending { progress: counted, again: Some(tell), ..Pending::default() });
        }
        let reason = format!("{} waits: {}", self.expect, operator.explain(&self.expect.namespace));
        let warn = (!std::mem::replace(&mut self.warned, true)).then(|| reason.clone());
        Verdict::Pending(Pending { progress: counted, reasons: vec![reason], again: None, warn })
    }
}
