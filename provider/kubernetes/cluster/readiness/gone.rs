//! Waiting until deleted objects are gone.

use tokio::time::Instant;

use super::operator::{self, Presence};
use super::{hopeless, interrupted};
use crate::kubernetes::client::Session;
use crate::kubernetes::meta::{Kind, ObjectRef};
use crate::kubernetes::observe::Parting;
use crate::kubernetes::wait::{Condition, NotReady, Pending, Verdict, wait};
use crate::kubernetes::watch::{Hub, Scope, Snapshot, Subscription};
use crate::resource::Context;

/// After how long a finalizer that does not go has the operator looked for.
const HANGING: std::time::Duration = std::time::Duration::from_secs(15);

/// The finalizer of the operator.
const OPERATORS_FINALIZER: &str = "finalizer.clickhouseinstallation.altinity.com";

/// An object that was deleted and may still be held back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaving {
    /// Which one.
    pub object: ObjectRef,
    /// Its unique id; another object of the same name is not waited for.
    pub uid: Option<String>,
    /// Its revision after the delete, as the API server answered it.
    pub revision: Option<u64>,
}

/// Waits until none of `leaving` exists. A finalizer that hangs is named in the status line, and as the reason at the deadline,
/// together with who has to act on it. It is never removed.
pub async fn await_gone(session: &Session, ctx: &Context, deadline: Instant, leaving: Vec<Leaving>) -> Result<(), NotReady> {
    let started = Instant::now();
    let each = leaving.into_iter().map(|leaving| {
        let scope = Scope::Name(leaving.object.name.clone());
        let subscription = Hub::subscribe(session, leaving.object.kind, leaving.object.namespace.as_deref(), &scope);
        (leaving, subscription, false)
    });
    let mut watching = Watching { each: each.collect(), started, operator: None };
    loop {
        match wait(ctx, deadline, &mut watching).await? {
            Step::Gone => return Ok(()),
            Step::FindOperator => watching.operator = Some(operator::find(&session.api(ctx).until(deadline)).await),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Gone,
    FindOperator,
}

struct Watching {
    /// With whether it was seen while it left.
    each: Vec<(Leaving, Subscription<Parting>, bool)>,
    started: Instant,
    operator: Option<Presence>,
}

impl Condition for Watching {
    type Met = Step;

    fn look(&mut self, now: Instant) -> Verdict<Step> {
        let mut left = Vec::new();
        let mut unattended = false;
        for (leaving, subscription, seen) in &mut self.each {
            let snapshot = subscription.snapshot();
            if let Some((kind, reasons)) = hopeless(snapshot.trouble.as_ref()).filter(|_| !is_kind_missing(&snapshot)) {
                return Verdict::Failed(kind, reasons);
            }
            match standing(leaving, &snapshot, *seen, self.started) {
                Standing::Gone => {}
                Standing::Unknown => {
                    let trouble = snapshot.trouble.as_ref().map(interrupted);
                    left.push(trouble.unwrap_or_else(|| format!("waiting for {} to go", leaving.object)));
                }
                Standing::There { finalizers, taken_up } => {
                    *seen = true;
                    unattended |= !taken_up && finalizers.iter().any(|finalizer| finalizer == OPERATORS_FINALIZER);
                    left.push(still_there(&leaving.object, &finalizers, taken_up));
                }
            }
        }
        if left.is_empty() {
            return Verdict::Done(Step::Gone);
        }
        let mut pending = Pending { progress: left[0].clone(), again: Some(self.started + HANGING), ..Pending::default() };
        pending.reasons = left;
        if unattended && now >= self.started + HANGING {
            let Some(operator) = &self.operator else { return Verdict::Done(Step::FindOperator) };
            let namespace = self.each.iter().find_map(|(leaving, ..)| leaving.object.namespace.as_deref()).unwrap_or_default();
            let who = format!(
                "the finalizer is the clickhouse-operator's, and is never removed by this provider: {}; the deletion goes on when the operator runs",
                operator.explain(namespace)
            );
            pending.progress = format!("{} · {who}", pending.progress);
            pending.reasons.push(who);
        }
        Verdict::Pending(pending)
    }

    async fn changed(&mut self) {
        let each = self.each.iter_mut().map(|(_, subscription, _)| Box::pin(subscription.changed()));
        futures::future::select_all(each).await;
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Gone,
    There {
        finalizers: Vec<String>,
        /// Whether the operator says that it sees the object off.
        taken_up: bool,
    },
    Unknown,
}

/// Whether an object is still there, as far as a watch can tell.
pub(super) fn standing(leaving: &Leaving, snapshot: &Snapshot<Parting>, seen: bool, started: Instant) -> Standing {
    if is_kind_missing(snapshot) {
        return Standing::Gone;
    }
    let found = snapshot.named(&leaving.object.name);
    match found.filter(|object| leaving.uid.as_deref().is_none_or(|uid| uid == object.metadata.uid())) {
        Some(object) => Standing::There {
            finalizers: object.metadata.finalizers().to_vec(),
            taken_up: object.status.as_ref().is_some_and(|status| status.status == "Terminating"),
        },
        // Another one of the name means that ours is gone.
        None if found.is_some() || seen || snapshot.is_newer_than(started, leaving.revision) => Standing::Gone,
        None => Standing::Unknown,
    }
}

/// Whether even the kind is gone, and all its objects with it.
fn is_kind_missing(snapshot: &Snapshot<Parting>) -> bool {
    matches!(snapshot.trouble, Some(crate::kubernetes::error::Error::CrdMissing { .. }))
}

fn still_there(object: &ObjectRef, finalizers: &[String], taken_up: bool) -> String {
    let held = finalizers.iter().map(|finalizer| format!("`{finalizer}`")).collect::<Vec<_>>().join(", ");
    match (object.kind, finalizers.is_empty()) {
        (Kind::Namespace, true) => format!("{object} is being emptied"),
        (_, true) => format!("{object} is being deleted"),
        (_, false) if taken_up => {
            format!("{object} is being deleted, held by the finalizer {held} · the clickhouse-operator is at work on it")
        }
        (_, false) => format!("{object} is being deleted, held by the finalizer {held}"),
    }
}
