//! EFFECT: deletes a cluster's objects in their order and waits until they are gone.

use serde_json::{Value, json};
use tokio::time::Instant;

use super::aspects::{ClusterArgs, ReclaimPolicy, ValidatedCluster};
use super::objects::{Await, Leaves, Part, Row, Uids, Whose, leaving};
use super::state::ClusterState;
use super::{Failed, existing, kube_context, namespace, survey, validate};
use crate::kubernetes::client::Api;
use crate::kubernetes::error::Error;
use crate::kubernetes::meta::{self, Kind, ObjectRef};
use crate::kubernetes::objects::{self, DeleteOutcome};
use crate::kubernetes::observe::is_yes;
use crate::kubernetes::readiness::{self, DeletedObject, Owner};
use crate::kubernetes::wait::NotReady;
use crate::resource::Context;

/// The deletion of one cluster.
pub(super) struct Deletion<'a> {
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

impl Deletion<'_> {
    /// One object after the other, in their order. Of those that the inputs don't have only what the state
    /// knows goes.
    pub(super) async fn run(&self) -> Result<(), Failed> {
        if !self.is_ours().await? {
            return Ok(());
        }
        let uids = self.uids();
        let described = self.args.map(validate::last_anyway);
        let may_be = |row: &Row| {
            let is_described = described.as_ref().map_or(!row.is_traced(), |cluster| row.is_wanted(cluster));
            uids[row.part].is_some() || is_described
        };
        for row in leaving().filter(|row| row.is_own() && may_be(row)) {
            if self.part(row).await? == Outcome::NotOurs && row.leaves == Leaves::Hosts {
                return Ok(());
            }
        }
        survey::after_delete(
            self.api.session(),
            self.ctx,
            self.namespace,
            self.name,
            may_be(Part::Keeper.row()),
        )
        .await;
        self.own_namespace(&uids).await
    }

    /// Deletes what `cluster` is not to have any more, and gives the unique ids of what is left.
    pub(super) async fn unwanted(&self, cluster: &ValidatedCluster) -> Result<Uids, Failed> {
        let mut uids = self.uids();
        let described = self.args.map(validate::last_anyway);
        let had = |row: &Row| {
            uids[row.part].is_some() || described.as_ref().is_some_and(|cluster| row.is_wanted(cluster))
        };
        let gone: Vec<_> =
            leaving().filter(|row| row.is_own() && !row.is_wanted(cluster) && had(row)).collect();
        for row in gone {
            self.part(row).await?;
            uids[row.part] = None;
        }
        Ok(uids)
    }

    /// Whether the cluster is still this resource's: in the Kubernetes cluster of the state, and not taken
    /// over by a later create.
    async fn is_ours(&self) -> Result<bool, Failed> {
        let Some(state) = self.state else { return Ok(true) };
        let failed = |error: Error| error.to_failure();
        let here = kube_context::verified(self.api, self.namespace, state.kubernetes.as_ref())
            .await
            .map_err(failed)?;
        let secret = objects::find(self.api, &Part::Secret.row().object(self.namespace, self.name))
            .await
            .map_err(failed)?;
        if here.is_none() && state.uids != Uids::default() {
            // One object of ours tells as much.
            let mut seen =
                secret.as_ref().and_then(meta::uid) == state.uids.secret.as_deref() && secret.is_some();
            if !seen {
                let installation =
                    objects::fetch(self.api, &Part::Installation.row().object(self.namespace, self.name))
                        .await;
                seen = installation.is_ok_and(|found| {
                    found.is_some_and(|found| meta::uid(&found) == state.uids.installation.as_deref())
                });
            }
            if !seen {
                let recorded = state.kubernetes.as_ref();
                return Err(failed(kube_context::undetermined(
                    self.api,
                    &self.ctx.urn,
                    self.namespace,
                    self.name,
                    recorded,
                )));
            }
        }
        let taken_over = secret.as_ref().is_some_and(|secret| {
            meta::is_marked(secret) && meta::incarnation(secret) != state.incarnation.as_deref()
        });
        if taken_over {
            self.ctx.report.warn(&format!(
                "{namespace}/{name} was taken over by a later create of this resource, so it stays \
                    untouched; if nothing manages it any longer, remove it with `kubectl delete chi {name} \
                    --namespace {namespace}`",
                namespace = self.namespace,
                name = self.name
            ));
        }
        Ok(!taken_over)
    }

    /// Deletes an object; a Keeper with its members, and with its volumes where they are to go: the operator
    /// keeps them always.
    async fn part(&self, row: &Row) -> Result<Outcome, Failed> {
        let (object, uid) = (row.object(self.namespace, self.name), self.uids()[row.part].take());
        if row.awaited != Await::Members {
            return self.remove(row, &object, uid.as_deref()).await;
        }
        let session = self.api.session();
        let idle =
            readiness::await_keeper_idle(session, self.ctx, self.deadline, self.namespace, self.name).await;
        idle.map_err(NotReady::to_failure)?;
        let outcome = self.remove(row, &object, uid.as_deref()).await?;
        if outcome == Outcome::NotOurs {
            return Ok(outcome);
        }
        let left = readiness::await_keeper_left(
            session,
            self.ctx,
            self.deadline,
            self.namespace,
            self.name,
            uid.as_deref(),
        )
        .await;
        left.map_err(NotReady::to_failure)?;
        let keeper = self
            .args
            .and_then(|args| args.coordination.as_ref())
            .and_then(|coordination| coordination.keeper.as_ref());
        let policy =
            keeper.and_then(|keeper| keeper.storage.as_ref()).and_then(|storage| storage.reclaim_policy);
        if policy == Some(ReclaimPolicy::Delete) {
            // Those of members that went earlier, too.
            let selector = Owner::Keeper(self.name.to_owned()).label();
            let claims =
                objects::list_names(self.api, Kind::PersistentVolumeClaim, Some(self.namespace), &selector)
                    .await;
            for claim in claims.map_err(|error| error.to_failure())? {
                self.delete(&claim, None).await?;
            }
        }
        Ok(outcome)
    }

    /// Deletes volume claims, and waits until they are gone: the operator makes none where one of the name is
    /// still there.
    pub(super) async fn claims(&self, claims: &[&Value]) -> Result<(), Failed> {
        for claim in claims {
            if let Some(name) = meta::field(claim, "/metadata/name") {
                let object = ObjectRef::new(Kind::PersistentVolumeClaim, self.namespace, name);
                self.delete(&object, meta::uid(claim)).await?;
            }
        }
        Ok(())
    }

    fn uids(&self) -> Uids {
        self.state.map(|state| state.uids.clone()).unwrap_or_default()
    }

    /// Deletes one of the cluster's objects: that of the unique id in the state, or else one that carries the
    /// provider's mark. Without any state the user has named the installation, and it goes with its Keeper
    /// whoever made them.
    async fn remove(&self, row: &Row, object: &ObjectRef, uid: Option<&str>) -> Result<Outcome, Failed> {
        let named = self.state.is_none() && row.whose == Whose::Labelled;
        let outcome = if uid.is_some() || named {
            self.delete(object, uid).await?
        } else {
            match objects::find(self.api, object).await.map_err(|error| error.to_failure())? {
                Some(found) if meta::is_managed(&found) => self.delete(object, meta::uid(&found)).await?,
                Some(_) => Outcome::NotOurs,
                None => Outcome::Gone,
            }
        };
        if outcome == Outcome::NotOurs {
            self.ctx.report.warn(&format!("{object} was not created by this stack; it stays untouched"));
        }
        Ok(outcome)
    }

    /// Deletes one object and waits until it is gone.
    async fn delete(&self, object: &ObjectRef, uid: Option<&str>) -> Result<Outcome, Failed> {
        match objects::delete(self.api, object, uid).await.map_err(|error| error.to_failure())? {
            DeleteOutcome::Gone => Ok(Outcome::Gone),
            DeleteOutcome::NotOurs => Ok(Outcome::NotOurs),
            DeleteOutcome::Deleting(left) => {
                let leaving = DeletedObject {
                    object: object.clone(),
                    uid: meta::uid(&left).map(str::to_owned),
                    revision: meta::revision(&left),
                };
                if object.kind == Kind::Installation {
                    self.wake(&left).await?;
                }
                // It is not needed for the wait, and a thousand clusters can go at once.
                drop(left);
                let gone =
                    readiness::await_deletion(self.api.session(), self.ctx, self.deadline, vec![leaving])
                        .await;
                gone.map(|()| Outcome::Gone).map_err(NotReady::to_failure)
            }
        }
    }

    /// A suspended installation is never finalized: the operator has to look at it again. Only once it is
    /// being deleted, so that no change that was stored meanwhile is carried out first.
    async fn wake(&self, leaving: &Value) -> Result<(), Failed> {
        if !is_yes(&leaving["spec"]["suspend"]) {
            return Ok(());
        }
        let patch = json!({"metadata": {"uid": meta::uid(leaving)}, "spec": {"suspend": "no"}});
        match objects::merge(self.api, &Part::Installation.row().object(self.namespace, self.name), &patch)
            .await
        {
            Err(error) if !error.is_absent() => Err(error.to_failure()),
            _ => Ok(()),
        }
    }

    /// Deletes the namespace if this cluster made it and nothing is left in it.
    async fn own_namespace(&self, uids: &Uids) -> Result<(), Failed> {
        let interrupted = self.state.is_some()
            && uids.create_interrupted()
            && self.args.is_some_and(|args| args.naming.create_namespace == Some(true));
        let uid = if interrupted {
            existing::own_namespace(self.api, &self.ctx.urn, self.namespace).await?
        } else {
            uids.namespace.clone()
        };
        let Some(uid) = uid else { return Ok(()) };
        if let Some(reason) = Box::pin(namespace::kept_by(self.api, self.namespace))
            .await
            .map_err(|error| error.to_failure())?
        {
            self.ctx.report.info(&format!("namespace `{}` is kept, because {reason}", self.namespace));
            return Ok(());
        }
        self.delete(&Part::Namespace.row().object(self.namespace, self.name), Some(&uid)).await.map(drop)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Gone,
    NotOurs,
}
