//! EFFECT: what is live of a cluster, for the guard: inputs tell what was asked for, and after a change that was only half made, or an
//! edit by hand, that is not what there is to lose.

use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;

use super::aspects::{ClusterArgs, Naming};
use super::shape::{self, Shape};
use super::{guard, validate};
use crate::kubernetes::client::Api;
use crate::kubernetes::error::Error;
use crate::kubernetes::meta::{Kind, ObjectRef};
use crate::kubernetes::objects::{self, find};
use crate::resource::{CheckFailure, Known};

/// How long Check looks before it judges by the inputs alone.
const GLANCE: Duration = Duration::from_secs(5);

/// What is live of a cluster.
#[derive(Debug, Clone)]
pub(super) struct Live {
    /// Its hosts and volumes.
    shape: Shape,
    /// The volume claims of its namespace.
    claims: Vec<Value>,
}

impl Live {
    /// Looks at the cluster that `old` describes. Where its installation is gone, or never was, its volumes alone are what is live.
    pub(super) async fn look(api: &Api, old: &ClusterArgs) -> Result<Self, Error> {
        let rendered = validate::last_anyway(old);
        let Naming { namespace, name, .. } = &rendered.naming;
        let object = |kind| ObjectRef::new(kind, namespace, name);
        let (installation, keeper) = futures::join!(async { find(api, &object(Kind::Installation)).await }, async {
            if rendered.keeper().is_some() { find(api, &object(Kind::KeeperInstallation)).await } else { Ok(None) }
        });
        let shape = match (installation?, keeper?) {
            (Some(installation), keeper) => Shape::of(&installation, keeper.as_ref()),
            (None, _) => Shape::rendered(&rendered),
        };
        let (shape, claims) = settled(api, namespace, shape).await?;
        Ok(Self { shape, claims })
    }

    /// Its hosts and volumes.
    pub(super) fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Why the step to the inputs `new`, whose shape is `to`, is refused.
    pub(super) fn refusals(&self, to: &Shape, new: &Known<ClusterArgs>) -> Vec<CheckFailure> {
        guard::refusals(&self.shape, to, new)
    }

    /// The claims that never got a volume and ask for another class than in `to`: nothing is in them, and the operator makes them
    /// again only when they are gone.
    pub(super) fn stale_claims(&self, to: &Shape) -> Vec<&Value> {
        let wanted = |name: &str| to.clickhouse.claims.get(name).or_else(|| to.keeper.as_ref()?.claims.get(name));
        let is_stale = |claim: &&Value| {
            let wanted = claim["metadata"]["name"].as_str().and_then(wanted);
            !shape::has_volume(claim)
                && wanted
                    .is_some_and(|wanted| wanted.class.is_some() && wanted.class.as_deref() != claim["spec"]["storageClassName"].as_str())
        };
        self.claims.iter().filter(is_stale).collect()
    }
}

/// What Check refuses, judged by what is live; as it is when nobody answers soon.
pub(super) async fn reconsider(api: &Api, old: &ClusterArgs, new: &Known<ClusterArgs>, refusals: Vec<CheckFailure>) -> Vec<CheckFailure> {
    if refusals.is_empty() {
        return refusals;
    }
    match timeout(GLANCE, Live::look(api, old)).await {
        Ok(Ok(live)) => live.refusals(&Shape::rendered(&validate::anyway(new)), new),
        _ => refusals,
    }
}

/// The shape with the volumes that it really has, and the volume claims of its namespace. Where these may not be read, the volumes are
/// taken to be as the shape says.
pub(super) async fn settled(api: &Api, namespace: &str, mut shape: Shape) -> Result<(Shape, Vec<Value>), Error> {
    match objects::list(api, Kind::PersistentVolumeClaim, Some(namespace), |claim| Some(claim.clone())).await {
        Err(Error::Forbidden { .. }) => Ok((shape, Vec::new())),
        claims => {
            let claims = claims?;
            shape.settle(&claims);
            Ok((shape, claims))
        }
    }
}
