//! EFFECT: restores a new cluster from a backup: a Job, once the hosts serve, which is waited for.
//!
//! That it is still to be done is noted on the Secret and in the state, so that a run which was interrupted
//! is continued, and no cluster that has been in use is ever restored into.

use serde_json::{Value, json};

use super::aspects::{ClusterArgs, ValidatedCluster};
use super::claim::is_claim;
use super::existing::ExistingObjects;
use super::manifest;
use super::rollout::Rollout;
use super::state::ClusterState;
use crate::kubernetes::error::Error;
use crate::kubernetes::meta::{self, Kind, ObjectRef, RESTORE_ANNOTATION};
use crate::kubernetes::objects::{self, DeleteOutcome};
use crate::kubernetes::readiness::{self, DeletedObject, JobEnd, Written};
use crate::kubernetes::wait::NotReady;
use crate::resource::{Context, Failure, FailureKind};

/// Why nothing becomes of `restoreFrom`.
const UNHEARD: &str = "backup.restoreFrom: only a new cluster is restored from a backup; this one has its \
    data, and keeps it";

/// How much of what the Job's pod said last is told.
const END: usize = 600;

/// Whether a create is to restore a backup: of a new cluster, or of one whose create was interrupted before
/// that was done.
pub(super) fn is_due(ctx: &Context, cluster: &ValidatedCluster, there: &ExistingObjects) -> bool {
    let is_asked_for = cluster.backup.plan.as_ref().is_some_and(|plan| plan.restore_from.is_some());
    let is_new = there.objects().installation.is_none();
    let is_noted = there.secret().is_some_and(is_noted);
    if is_asked_for && !is_new && !is_noted {
        ctx.report.warn(UNHEARD);
    }
    is_asked_for && (is_new || is_noted)
}

fn is_noted(secret: &Value) -> bool {
    secret["metadata"]["annotations"].get(RESTORE_ANNOTATION).is_some()
}

/// Says that another `restoreFrom` changes nothing on a cluster that is there.
pub(super) fn tell_unheard(
    ctx: &Context,
    old: &ClusterArgs,
    old_state: Option<&ClusterState>,
    new: &ClusterArgs,
) {
    let of = |args: &ClusterArgs| args.backup.as_ref().and_then(|backup| backup.restore_from.clone());
    let is_due = old_state.is_some_and(|state| state.restores);
    if of(new).is_some() && of(new) != of(old) && !is_due {
        ctx.report.warn(UNHEARD);
    }
}

impl Rollout<'_> {
    /// Has the backup restored, unless a run before this one has done so already, and notes that it is done.
    pub(super) async fn restore(&mut self) -> Result<(), Failure<ClusterState>> {
        let failed = |error: Error| error.to_failure();
        let mut done = None;
        let cron_job = self.facts.uids.backup.clone();
        if let Some(job) = manifest::restore(&self.cluster, &self.ctx.urn, cron_job.as_deref()) {
            let object =
                ObjectRef::of(&job).ok_or_else(|| failed(Error::malformed("a Job without a name")))?;
            self.clear_away(&object, cron_job.as_deref()).await?;
            let written = Written::of(&Box::pin(self.put(&job)).await.map_err(failed)?);
            let (session, namespace) = (self.api.session(), &self.cluster.naming.namespace);
            let end =
                readiness::await_job(session, self.ctx, self.deadline, namespace, &object.name, written)
                    .await;
            if end.map_err(NotReady::to_failure)? == JobEnd::Failed {
                return Err(self.told_by_its_pod(&object).await);
            }
            done = Some(object);
        }
        self.facts.restores = false;
        if let Some(secret) = self.manifests("", is_claim).secret {
            Box::pin(self.put(&secret)).await.map_err(failed)?;
        }
        // It has told what it is there for.
        match done {
            Some(job) => objects::delete(self.api, &job, None).await.map(drop).map_err(failed),
            None => Ok(()),
        }
    }

    /// Deletes a Job that has failed, or is of an earlier cluster of the same name.
    async fn clear_away(
        &self,
        object: &ObjectRef,
        cron_job: Option<&str>,
    ) -> Result<(), Failure<ClusterState>> {
        let failed = |error: Error| error.to_failure();
        let Some(found) = objects::fetch(self.api, object).await.map_err(failed)? else { return Ok(()) };
        let conditions = found["status"]["conditions"].as_array();
        let has_failed = conditions
            .into_iter()
            .flatten()
            .any(|condition| condition["type"] == "Failed" && condition["status"] == "True");
        if !has_failed && found["metadata"]["ownerReferences"][0]["uid"] == json!(cron_job) {
            return Ok(());
        }
        let outcome = objects::delete(self.api, object, meta::uid(&found)).await.map_err(failed)?;
        let DeleteOutcome::Deleting(left) = outcome else { return Ok(()) };
        let leaving = DeletedObject {
            object: object.clone(),
            uid: meta::owned_uid(&left),
            revision: meta::revision(&left),
        };
        let gone =
            readiness::await_deletion(self.api.session(), self.ctx, self.deadline, vec![leaving]).await;
        gone.map_err(NotReady::to_failure)
    }

    /// Why the Job has failed, as its pod says.
    async fn told_by_its_pod(&self, job: &ObjectRef) -> Failure<ClusterState> {
        let message = |pod: &Value| {
            let state = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
            let text = state["message"].as_str()?.trim();
            let start = text.len().saturating_sub(END);
            text.char_indices().find(|(at, _)| *at >= start).map(|(at, _)| text[at..].to_owned())
        };
        let selector = format!("batch.kubernetes.io/job-name={}", job.name);
        let found = objects::list(self.api, Kind::Pod, job.namespace.as_deref(), &selector, message).await;
        let told = found.ok().and_then(|messages| messages.into_iter().next());
        let told = told.unwrap_or_else(|| "its pod says nothing".to_owned());
        let reason = format!(
            "{job} could not restore the backup: {told}; the next `up` tries it again, for which no table of \
                the backup may be there"
        );
        Failure::new(FailureKind::Precondition, reason)
    }
}
