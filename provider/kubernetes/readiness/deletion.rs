//! Waiting until deleted objects are gone.

use tokio::time::Instant;

use super::operator::{self, Presence};
use super::{external, permanent_error, unreached, watch_trouble};
use crate::kubernetes::client::Session;
use crate::kubernetes::meta::{Kind, ObjectRef};
use crate::kubernetes::observe::TerminatingObject;
use crate::kubernetes::wait::{Condition, NotReady, Pending, Verdict, wait};
use crate::kubernetes::watch::{Scope, SharedWatches, Snapshot, Subscription};
use crate::resource::Context;

/// After how long a finalizer that does not go has the operator looked for.
const HANGING: std::time::Duration = std::time::Duration::from_secs(15);

/// After how long without a move of its status the operator's work on a deletion counts as held up.
const UNMOVED: std::time::Duration = std::time::Duration::from_secs(30);

/// The finalizer of the operator.
const OPERATORS_FINALIZER: &str = "finalizer.clickhouseinstallation.altinity.com";

/// An object that was deleted and may still be held back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletedObject {
    /// Which one.
    pub object: ObjectRef,
    /// Its unique id; another object of the same name is not waited for.
    pub uid: Option<String>,
    /// Its revision after the delete, as the API server answered it.
    pub revision: Option<u64>,
}

/// Waits until none of `leaving` exists. A finalizer that hangs is named in the status line, and as the
/// reason at the deadline, together with who has to act on it. It is never removed.
pub async fn await_deletion(
    session: &Session,
    ctx: &Context,
    deadline: Instant,
    leaving: Vec<DeletedObject>,
) -> Result<(), NotReady> {
    let started = Instant::now();
    let each = leaving.into_iter().map(|leaving| {
        // Of Secrets and namespaces the others are nobody's business.
        let of_kind = if matches!(leaving.object.kind, Kind::Secret | Kind::Namespace) {
            Scope::Only
        } else {
            Scope::Name
        };
        let scope = of_kind(leaving.object.name.clone());
        let subscription = SharedWatches::subscribe(
            session,
            leaving.object.kind,
            leaving.object.namespace.as_deref(),
            &scope,
        );
        Each { leaving, subscription, moved: None }
    });
    let mut watching = Watching { each: each.collect(), started, operator: None };
    loop {
        match wait(ctx, deadline, &mut watching).await? {
            Step::Gone => return Ok(()),
            // Its finalizer was set by one.
            Step::FindOperator => {
                watching.operator = Some(operator::find(&session.api(ctx).until(deadline), true).await);
            }
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Gone,
    FindOperator,
}

struct Each {
    leaving: DeletedObject,
    subscription: Subscription<TerminatingObject>,
    /// Once it was seen while it leaves: its revision, and since when it is that.
    moved: Option<(u64, Instant)>,
}

struct Watching {
    each: Vec<Each>,
    started: Instant,
    operator: Option<Presence>,
}

impl Condition for Watching {
    type Met = Step;

    fn evaluate(&mut self, now: Instant) -> Verdict<Step> {
        let mut left = Vec::new();
        let (mut row, mut held) = (None, None);
        for Each { leaving, subscription, moved } in &mut self.each {
            let snapshot = subscription.snapshot();
            if let Some((kind, reasons)) =
                permanent_error(snapshot.trouble.as_ref()).filter(|_| !is_kind_missing(&snapshot))
            {
                return Verdict::Failed(kind, reasons);
            }
            match standing(leaving, &snapshot, moved.is_some(), self.started) {
                DeletionState::Gone => {}
                DeletionState::Unknown => {
                    let trouble = snapshot.trouble.as_ref().map(watch_trouble);
                    left.push(
                        trouble.unwrap_or_else(|| format!("waiting for {} to be deleted", leaving.object)),
                    );
                }
                DeletionState::There { revision, finalizers, work, suspended, servers } => {
                    let since = match *moved {
                        Some((known, since)) if known == revision => since,
                        _ => moved.insert((revision, now)).1,
                    };
                    left.push(still_there(&leaving.object, &finalizers, work));
                    if !finalizers.iter().any(|finalizer| finalizer == OPERATORS_FINALIZER) {
                        continue;
                    }
                    held = held.or(match work {
                        Work::Terminating | Work::Changing
                            if !servers.is_empty() && now >= since + UNMOVED =>
                        {
                            Some(Held::ByServers(servers))
                        }
                        Work::Terminating => None,
                        _ if suspended => Some(Held::Suspended),
                        _ => Some(Held::Unattended),
                    });
                    row.get_or_insert_with(|| row_of(&leaving.object, work));
                }
            }
        }
        let Some(first) = left.first().cloned() else { return Verdict::Done(Step::Gone) };
        let row = row.unwrap_or_else(|| first.clone());
        let tell = self.started + HANGING;
        let again = if now < tell { tell } else { now + UNMOVED };
        let pending =
            Pending { progress: row, so_far: Some(first), reasons: left, again: Some(again), warn: None };
        let Some(held) = held.filter(|_| now >= tell) else { return Verdict::Pending(pending) };
        let why = match held {
            Held::ByServers(servers) => {
                let servers: Vec<_> = servers.iter().map(String::as_str).collect();
                format!(
                    "{}, which it needs to remove a host; check that it is reachable from \
                    there",
                    unreached(&servers)
                )
            }
            Held::Suspended => {
                "it is suspended, so the clickhouse-operator does not reconcile it; set its `spec.suspend` \
                    to `no`"
                    .to_owned()
            }
            Held::Unattended => {
                let Some(operator) = &self.operator else { return Verdict::Done(Step::FindOperator) };
                let namespace = self
                    .each
                    .iter()
                    .find_map(|each| each.leaving.object.namespace.as_deref())
                    .unwrap_or_default();
                format!(
                    "the finalizer is the clickhouse-operator's, and is never removed by this provider: {}; \
                        the deletion continues when the operator runs",
                    operator.explain(namespace)
                )
            }
        };
        let reasons = pending.reasons.into_iter().chain([why.clone()]).collect();
        Verdict::Pending(Pending { progress: format!("deletion hangs: {why}"), reasons, ..pending })
    }

    async fn changed(&mut self) {
        let each = self.each.iter_mut().map(|each| Box::pin(each.subscription.changed()));
        futures::future::select_all(each).await;
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum DeletionState {
    Gone,
    There {
        revision: u64,
        finalizers: Vec<String>,
        /// What the operator says that it does.
        work: Work,
        /// Whether the operator leaves it alone.
        suspended: bool,
        /// The coordination servers that did not come with the cluster.
        servers: Vec<String>,
    },
    Unknown,
}

/// What the operator says that it does with an object that is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// It sees it off.
    Terminating,
    /// It is still at an earlier change.
    Changing,
    /// Nothing.
    None,
}

/// Why the operator does not let an object go.
enum Held {
    /// It waits for an answer of one of these.
    ByServers(Vec<String>),
    Suspended,
    Unattended,
}

/// Whether an object is still there, as far as a watch can tell.
pub(super) fn standing(
    leaving: &DeletedObject,
    snapshot: &Snapshot<TerminatingObject>,
    seen: bool,
    started: Instant,
) -> DeletionState {
    if is_kind_missing(snapshot) {
        return DeletionState::Gone;
    }
    let found = snapshot.named(&leaving.object.name);
    match found.filter(|object| leaving.uid.as_deref().is_none_or(|uid| uid == object.metadata.uid())) {
        Some(object) => DeletionState::There {
            revision: object.metadata.revision(),
            finalizers: object.metadata.finalizers().to_vec(),
            work: match object.status.as_ref().map(|status| status.status.as_str()) {
                Some("Terminating") => Work::Terminating,
                Some("InProgress") => Work::Changing,
                _ => Work::None,
            },
            suspended: object.spec.is_suspended(),
            servers: external(&object.spec.coordination, &leaving.object.name)
                .into_iter()
                .map(str::to_owned)
                .collect(),
        },
        // Another one of the name means that ours is gone.
        None if found.is_some() || seen || snapshot.is_newer_than(started, leaving.revision) => {
            DeletionState::Gone
        }
        None => DeletionState::Unknown,
    }
}

/// Whether even the kind is gone, and all its objects with it.
fn is_kind_missing(snapshot: &Snapshot<TerminatingObject>) -> bool {
    matches!(snapshot.trouble, Some(crate::kubernetes::error::Error::CrdMissing { .. }))
}

/// A row's few characters.
fn row_of(object: &ObjectRef, work: Work) -> String {
    match work {
        Work::Terminating => format!("the operator removes the hosts of {}", object.name),
        Work::Changing | Work::None => format!("waiting for the operator to remove {}", object.name),
    }
}

fn still_there(object: &ObjectRef, finalizers: &[String], work: Work) -> String {
    let held = finalizers.iter().map(|finalizer| format!("`{finalizer}`")).collect::<Vec<_>>().join(", ");
    match (object.kind, finalizers.is_empty()) {
        (Kind::Namespace, true) => format!("{object} is being emptied"),
        (_, true) => format!("{object} is being deleted"),
        (_, false) if work == Work::Terminating => {
            format!(
                "{object} is being deleted, held by the finalizer {held} · the clickhouse-operator is at \
                    work on it"
            )
        }
        (_, false) => format!("{object} is being deleted, held by the finalizer {held}"),
    }
}
