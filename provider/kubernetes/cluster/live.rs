//! EFFECT: what is live of a cluster, for the guard: inputs tell what was asked for, and after a change that
//! was only half made, or an edit by hand, that is not what there is to lose.

use std::time::Duration;

use futures::future::try_join_all;
use serde_json::Value;
use tokio::time::timeout;

use super::aspects::{ClusterArgs, Naming, ValidatedCluster};
use super::objects::{self, Objects, Row, Whose};
use super::shape::{self, Shape};
use super::{guard, validate};
use crate::kubernetes::client::Api;
use crate::kubernetes::error::Error;
use crate::kubernetes::meta::Kind;
use crate::kubernetes::objects::list;
use crate::kubernetes::readiness::Owner;
use crate::resource::{CheckFailure, Known};

/// How long Check looks before it judges by the inputs alone.
const GLANCE: Duration = Duration::from_secs(5);

/// What is live of a cluster.
#[derive(Debug, Clone)]
pub(super) struct Live {
    /// Its hosts and volumes.
    shape: Shape,
    /// Its volume claims.
    claims: Vec<Value>,
}

impl Live {
    /// Looks at the cluster that `old` describes. Where its installation is gone, or never was, its volumes
    /// alone are what is live.
    async fn look(api: &Api, old: &ClusterArgs) -> Result<Self, Error> {
        let rendered = validate::last_anyway(old);
        let Naming { namespace, name, .. } = &rendered.naming;
        let found = objects::read(api, namespace, name, false, |row| Self::shows(row, &rendered)).await?;
        Self::among(api, &rendered, &found).await
    }

    /// Whether an object shows what is live of the cluster that `rendered` was.
    pub(super) fn shows(row: &Row, rendered: &ValidatedCluster) -> bool {
        row.whose == Whose::Labelled && row.is_wanted(rendered)
    }

    /// The same, of the cluster that `rendered` was, whose objects have been read.
    pub(super) async fn among(
        api: &Api,
        rendered: &ValidatedCluster,
        found: &Objects,
    ) -> Result<Self, Error> {
        let Naming { namespace, name, .. } = &rendered.naming;
        let shape = match &found.installation {
            Some(installation) => {
                Shape::of(installation, found.keeper.as_ref().filter(|_| rendered.keeper().is_some()))
            }
            None => Shape::rendered(rendered),
        };
        let (shape, claims) = settled(api, namespace, name, shape).await?;
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

    /// The claims that never got a volume and ask for another class than in `to`: nothing is in them, and the
    /// operator makes them again only when they are gone.
    pub(super) fn stale_claims(&self, to: &Shape) -> Vec<&Value> {
        let wanted =
            |name: &str| to.clickhouse.claims.get(name).or_else(|| to.keeper.as_ref()?.claims.get(name));
        let is_stale = |claim: &&Value| {
            let wanted = claim["metadata"]["name"].as_str().and_then(wanted);
            !shape::has_volume(claim)
                && wanted.is_some_and(|wanted| {
                    wanted.class.is_some()
                        && wanted.class.as_deref() != claim["spec"]["storageClassName"].as_str()
                })
        };
        self.claims.iter().filter(is_stale).collect()
    }
}

/// What Check refuses, judged by what is live; as it is when nobody answers soon.
pub(super) async fn reconsider(
    api: &Api,
    old: &ClusterArgs,
    new: &Known<ClusterArgs>,
    refusals: Vec<CheckFailure>,
) -> Vec<CheckFailure> {
    if refusals.is_empty() {
        return refusals;
    }
    match timeout(GLANCE, Live::look(api, old)).await {
        Ok(Ok(live)) => live.refusals(&Shape::rendered(&validate::anyway(new)), new),
        _ => refusals,
    }
}

/// The shape with the volumes that it really has, and the volume claims of this cluster. Where these may not
/// be read, the volumes are taken to be as the shape says.
pub(super) async fn settled(
    api: &Api,
    namespace: &str,
    name: &str,
    mut shape: Shape,
) -> Result<(Shape, Vec<Value>), Error> {
    let owners = [
        Some(Owner::Installation(name.to_owned())),
        shape.keeper.as_ref().map(|_| Owner::Keeper(name.to_owned())),
    ];
    let each = owners.into_iter().flatten().map(|owner| async move {
        let selector = owner.label();
        list(api, Kind::PersistentVolumeClaim, Some(namespace), &selector, |claim| Some(claim.clone())).await
    });
    match try_join_all(each).await {
        Err(Error::Forbidden { .. }) => Ok((shape, Vec::new())),
        claims => {
            let claims = claims?.concat();
            shape.settle(&claims);
            Ok((shape, claims))
        }
    }
}
