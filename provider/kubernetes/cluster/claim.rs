//! EFFECT: says on the Secret whose a cluster is, before all else is written and once it is taken over.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::aspects::Naming;
use super::objects::{Part, Row, Stage, is_marked_by};
use super::rollout::Rollout;
use super::state::ClusterState;
use super::{existing, login};
use crate::kubernetes::client::Api;
use crate::kubernetes::error::Error;
use crate::kubernetes::{meta, objects};
use crate::resource::{Failure, FailureKind};

/// How long the last write of a run that was stopped may take.
const LAST_WRITE: Duration = Duration::from_secs(5);

/// Whether it is the object that says whose a cluster is.
pub(super) fn is_claim(row: &Row) -> bool {
    row.stage == Stage::Claim
}

impl Rollout<'_> {
    /// A create that has taken over what an earlier one made says so at its end, and before anything comes
    /// into the state: until then an interrupted run leaves the cluster to the earlier one.
    pub(super) async fn renew(&mut self) -> Result<(), Failure<ClusterState>> {
        let Some(incarnation) = self.incarnation.take_if(|_| self.exists) else { return Ok(()) };
        if self.facts.incarnation.as_ref() == Some(&incarnation) {
            return Ok(());
        }
        self.facts.incarnation = Some(incarnation);
        let Some(secret) = self.manifests("", is_claim).secret else { return Ok(()) };
        // A run that the user stops has still to say whose the cluster is.
        let api =
            Api { cancel: CancellationToken::new(), ..self.api.clone() }.until(Instant::now() + LAST_WRITE);
        objects::apply(&api, &secret, self.mode()).await.map(drop).map_err(|error| error.to_failure())
    }

    /// Makes the Secret with nothing but the marks of this stack and create, to be written over at once: what
    /// this write makes its own belongs to no apply and would stay. It also tells whether there is one. Of two
    /// programs that make a cluster of one name at the same time, the other is told whose it is.
    pub(super) async fn claim(&mut self) -> Result<(), Failure<ClusterState>> {
        self.facts.incarnation.clone_from(&self.incarnation);
        let Some(mut empty) = self.manifests("", is_claim).secret else { return Ok(()) };
        if let Some(secret) = empty.as_object_mut() {
            secret.remove("data");
        }
        // What is only a note for some time.
        if let Some(annotations) = empty["metadata"]["annotations"].as_object_mut() {
            annotations.remove(meta::RESTORE_ANNOTATION);
        }
        let stopped = self.ctx.cancel.is_cancelled();
        match objects::create(self.api, &empty).await {
            Ok(made) => {
                self.exists = true;
                self.facts.note(Part::Secret, &made);
                Ok(())
            }
            Err(Error::AlreadyExists { .. }) => self.join().await,
            Err(error) => {
                self.exists |= !stopped && error.leaves_open();
                Err(error.to_failure())
            }
        }
    }

    /// The Secret is there: goes on when this stack made it, in a run that was interrupted or in this very
    /// create, whose answer was lost.
    async fn join(&mut self) -> Result<(), Failure<ClusterState>> {
        let Naming { namespace, name, .. } = &self.cluster.naming;
        let object = Part::Secret.row().object(namespace, name);
        let found = objects::fetch(self.api, &object).await.map_err(|error| error.to_failure())?;
        let Some(found) = found.as_ref().filter(|found| is_marked_by(found, &self.ctx.urn)) else {
            let reason = match found.as_ref().and_then(meta::owner_urn) {
                Some(urn) => format!("{object} was created by the resource {urn}; choose another `name`"),
                None => existing::is_taken(&object),
            };
            return Err(Failure::new(FailureKind::AlreadyExists, reason));
        };
        self.exists = true;
        self.facts.incarnation = meta::incarnation(found).map(str::to_owned);
        self.facts.note(Part::Secret, found);
        if self.facts.incarnation != self.incarnation {
            existing::tell_resumed(self.ctx, &self.cluster);
        }
        let before = login::Before {
            secret: Some(found.clone()),
            overridden: login::is_overridden(&self.cluster),
            ..login::Before::default()
        };
        self.login = login::resolve(self.api, self.ctx, &self.cluster, before).await?;
        Ok(())
    }
}
