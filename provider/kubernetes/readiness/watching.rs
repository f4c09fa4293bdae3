//! What the waits for both kinds of installations look at: the object, its StatefulSets, and reasons once
//! somebody looks for them.

use tokio::time::Instant;

use super::evidence::{EvidenceSnapshot, EvidenceWatch};
use super::{permanent_error, watch_trouble};
use crate::kubernetes::observe::{StatefulSet, Watched};
use crate::kubernetes::wait::{Condition, Verdict};
use crate::kubernetes::watch::{Snapshot, Subscription};

/// Everything seen at one moment.
pub(super) struct Seen<K> {
    pub(super) object: Snapshot<K>,
    pub(super) sets: Snapshot<StatefulSet>,
    /// `None` while nobody looks for reasons.
    pub(super) evidence: Option<EvidenceSnapshot>,
}

/// Says of what is seen whether it serves. Pure; time comes in as an argument.
pub(super) trait Evaluate<K>: Send {
    /// What is to be done next.
    type Step: Send;

    /// Judges what a server that answers has said.
    fn judge(&mut self, seen: &Seen<K>, now: Instant) -> Verdict<Self::Step>;

    /// The same, also while the server does not answer: it is waited for, unless it never will.
    fn look(&mut self, seen: &Seen<K>, now: Instant) -> Verdict<Self::Step> {
        let trouble = seen.object.trouble.as_ref().or(seen.sets.trouble.as_ref());
        if let Some((kind, reasons)) = permanent_error(trouble) {
            return Verdict::Failed(kind, reasons);
        }
        let mut verdict = self.judge(seen, now);
        if let (Verdict::Pending(pending), Some(trouble)) = (&mut verdict, trouble) {
            pending.progress = watch_trouble(trouble);
        }
        verdict
    }
}

/// The watches of one wait, and what judges them.
pub(super) struct Watching<K, J> {
    pub(super) object: Subscription<K>,
    pub(super) sets: Subscription<StatefulSet>,
    pub(super) search: Option<EvidenceWatch>,
    pub(super) condition: J,
}

impl<K: Watched + Send + Sync, J: Evaluate<K>> Condition for Watching<K, J> {
    type Met = J::Step;

    fn evaluate(&mut self, now: Instant) -> Verdict<J::Step> {
        let (object, sets) = (self.object.snapshot(), self.sets.snapshot());
        let evidence = self.search.as_mut().map(|search| search.evidence(&sets.objects));
        self.condition.look(&Seen { object, sets, evidence }, now)
    }

    async fn changed(&mut self) {
        let search = async {
            match &mut self.search {
                Some(search) => search.changed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.object.changed() => {}
            () = self.sets.changed() => {}
            () = search => {}
        }
    }
}
