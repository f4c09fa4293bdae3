//! EFFECT: deletes a cluster's objects in their order and waits until they are gone.

use tokio::time::Instant;

use super::args::{ClusterArgs, ReclaimPolicy};
use super::readiness::{self, Leaving};
use super::state::ClusterState;
use super::{Failed, login, names};
use crate::kubernetes::apply::{self, DeleteOutcome};
use crate::kubernetes::client::Api;
use crate::kubernetes::error::Error;
use crate::kubernetes::meta::{self, Kind, ObjectRef};
use crate::kubernetes::wait::NotReady;
use crate::resource::Context;

/// The removal of one cluster.
pub(super) struct Removal<'a> {
    pub(super) ctx: &'a Context,
    pub(super) api: &'a Api,
    pub(super) deadline: Instant,
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
    /// The inputs of the last run; `None` when only the id is known.
    pub(super) args: Option<&'a ClusterArgs>,
    /// The outputs of the last run.
    pub(super) state: Option<&'a ClusterState>,
}

/// The kinds whose objects keep a namespace: it is deleted only when there is none of them left.
const KEEP_NAMESPACE: [Kind; 8] = [
    Kind::Pod,
    Kind::PersistentVolumeClaim,
    Kind::Service,
    Kind::Secret,
    Kind::StatefulSet,
    Kind::Deployment,
    Kind::Installation,
    Kind::KeeperInstallation,
];

impl Removal<'_> {
    /// Service first, so that no client meets a dying host; the installation while its Keeper can still be told; the Secret last,
    /// since as long as it is there an interrupted removal is known for ours.
    pub(super) async fn run(&self) -> Result<(), Failed> {
        let own_service = |state: &ClusterState| state.internal_hostname.starts_with(&format!("{}.", self.name));
        self.delete_ours(ObjectRef::new(Kind::Service, self.namespace, self.name), self.state.is_some_and(own_service)).await?;
        if self.args.is_some_and(|args| args.suspended == Some(true)) {
            self.wake().await?;
        }
        let uid = self.state.and_then(|state| state.uid.as_deref());
        if self.delete(Kind::Installation, self.name, uid).await? == Outcome::NotOurs {
            let object = ObjectRef::new(Kind::Installation, self.namespace, self.name);
            self.ctx.report.warn(&format!("{object} is another one than this stack made; it is left alone"));
            return Ok(());
        }
        if self.args.is_none_or(super::has_keeper) {
            keeper(self.api, self.ctx, self.deadline, self.namespace, self.name, self.args).await?;
        }
        let own_secret = self.state.is_some_and(|state| state.credentials_secret.is_some());
        self.delete_ours(login::secret_of(self.namespace, self.name), own_secret).await?;
        if self.state.is_some_and(|state| state.namespace_created == Some(true)) {
            self.namespace().await?;
        }
        Ok(())
    }

    async fn delete(&self, kind: Kind, name: &str, uid: Option<&str>) -> Result<Outcome, Failed> {
        delete(self.api, self.ctx, self.deadline, &ObjectRef::new(kind, self.namespace, name), uid).await
    }

    /// Deletes an object that the state says is ours, or else one that carries the provider's mark: an adopted cluster may
    /// stand beside another's object of the same name.
    async fn delete_ours(&self, object: ObjectRef, known: bool) -> Result<(), Failed> {
        let is_ours = known
            || apply::fetch(self.api, &object).await.map_err(|error| error.to_failure())?.is_some_and(|found| meta::is_marked(&found));
        if is_ours {
            delete(self.api, self.ctx, self.deadline, &object, None).await?;
        }
        Ok(())
    }

    /// A suspended installation is never finalized: the operator has to look at it again first.
    async fn wake(&self) -> Result<(), Failed> {
        let object = ObjectRef::new(Kind::Installation, self.namespace, self.name);
        match apply::merge(self.api, &object, &serde_json::json!({"spec": {"suspend": "no"}})).await {
            Err(error) if !error.is_absent() => Err(error.to_failure()),
            _ => Ok(()),
        }
    }

    async fn namespace(&self) -> Result<(), Failed> {
        for kind in KEEP_NAMESPACE {
            let left = match apply::list_names(self.api, kind, Some(self.namespace), "").await {
                Err(error) if error.is_absent() => Vec::new(),
                result => result.map_err(|error| error.to_failure())?,
            };
            if let Some(object) = left.first() {
                self.ctx.report.info(&format!("namespace `{}` stays, because {object} is in it", self.namespace));
                return Ok(());
            }
        }
        delete(self.api, self.ctx, self.deadline, &ObjectRef::global(Kind::Namespace, self.namespace), None).await.map(drop)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Gone,
    NotOurs,
}

/// Deletes one object and waits until it is gone.
async fn delete(api: &Api, ctx: &Context, deadline: Instant, object: &ObjectRef, uid: Option<&str>) -> Result<Outcome, Failed> {
    if ctx.cancel.is_cancelled() {
        return Err(Error::Cancelled.to_failure());
    }
    match apply::delete(api, object, uid).await.map_err(|error| error.to_failure())? {
        DeleteOutcome::Gone => Ok(Outcome::Gone),
        DeleteOutcome::NotOurs => Ok(Outcome::NotOurs),
        DeleteOutcome::Deleting(left) => {
            let leaving = Leaving { object: object.clone(), uid: meta::uid(&left).map(str::to_owned), revision: meta::revision(&left) };
            // It is not needed for the wait, and a thousand clusters can go at once.
            drop(left);
            readiness::await_gone(api.session(), ctx, deadline, vec![leaving]).await.map_err(NotReady::to_failure)?;
            Ok(Outcome::Gone)
        }
    }
}

/// Deletes the Keeper of a cluster, and its volumes where they are to go: the operator keeps them always.
pub(super) async fn keeper(
    api: &Api,
    ctx: &Context,
    deadline: Instant,
    namespace: &str,
    name: &str,
    args: Option<&ClusterArgs>,
) -> Result<(), Failed> {
    delete(api, ctx, deadline, &ObjectRef::new(Kind::KeeperInstallation, namespace, name), None).await?;
    let keeper = args.and_then(|args| args.coordination.as_ref()).and_then(|coordination| coordination.keeper.as_ref());
    let policy = keeper.and_then(|keeper| keeper.storage.as_ref()).and_then(|storage| storage.reclaim_policy);
    if policy == Some(ReclaimPolicy::Delete) {
        let cluster = args.and_then(|args| args.cluster_name.as_deref()).unwrap_or(names::DEFAULT_CLUSTER_NAME);
        for replica in 0..keeper.and_then(|keeper| keeper.replicas).unwrap_or_default() {
            let claim = format!("data-{}", names::pod(&names::keeper_host(name, cluster, replica)));
            delete(api, ctx, deadline, &ObjectRef::new(Kind::PersistentVolumeClaim, namespace, claim), None).await?;
        }
    }
    Ok(())
}
