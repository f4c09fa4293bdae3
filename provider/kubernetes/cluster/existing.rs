//! EFFECT: reads what already exists under a cluster's names, and refuses what this stack did not create.

use serde_json::Value;

use super::adopt;
use super::aspects::{ClusterArgs, Live, Naming, ValidatedCluster};
use super::guard::Growing;
use super::manifest::Login;
use super::objects::{self, Objects, Part, Row, Stage, TABLE, Uids, Whose, is_marked_by};
use super::shape::Shape;
use super::{Failed, effects, guard, live, survey, validate};
use crate::kubernetes::client::Api;
use crate::kubernetes::error::Error;
use crate::kubernetes::meta::{self, Kind, ObjectRef, incarnation, is_managed, owner_urn};
use crate::kubernetes::objects::fetch;
use crate::resource::{CheckFailure, Context, Failure, FailureKind, Known, Urn};

/// The objects that exist before a cluster is created.
#[derive(Debug, Clone, Default)]
pub(super) struct ExistingObjects {
    found: Objects,
    /// What the installation and the Keeper come to, with the volumes that they have.
    shape: Option<Shape>,
}

/// Which objects are read before a cluster is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reads {
    /// All that the cluster is to have.
    All,
    /// The same, the one that is written first only where another one is there: else that write tells whether
    /// it is, since it makes what is not there and nothing else.
    AllButFirst,
}

/// Reads what a create could collide with; where its installation is there, also what the cluster is to have
/// no more.
pub(super) async fn read(
    api: &Api,
    cluster: &ValidatedCluster,
    reads: Reads,
) -> Result<ExistingObjects, Error> {
    let Naming { namespace, name, .. } = &cluster.naming;
    let wanted = |row: &Row| row.is_wanted(cluster);
    let waits = |row: &Row| reads == Reads::AllButFirst && row.stage == Stage::Claim;
    let mut found = objects::read(api, namespace, name, true, |row| wanted(row) && !waits(row)).await?;
    if TABLE.iter().any(|row| found[row.part].is_some()) {
        let mut rest =
            Box::pin(objects::read(api, namespace, name, true, |row| wanted(row) && waits(row))).await?;
        for row in TABLE.iter().filter(|row| waits(row)) {
            found[row.part] = rest[row.part].take();
        }
    }
    let Some(installation) = &found.installation else { return Ok(ExistingObjects { found, shape: None }) };
    let mut others = Box::pin(objects::read(api, namespace, name, false, |row| {
        row.is_own() && !wanted(row) && row.may_be_of(installation)
    }))
    .await?;
    let shape = Shape::of(installation, found.keeper.as_ref().or(others.keeper.as_ref()));
    let shape = Some(Box::pin(live::settled(api, namespace, name, shape)).await?.0);
    for row in TABLE.iter().filter(|row| !wanted(row)) {
        found[row.part] = others[row.part].take();
    }
    Ok(ExistingObjects { found, shape })
}

impl ExistingObjects {
    /// Whether a run of this stack has made the cluster, or was interrupted while it did.
    pub(super) fn is_continued(&self) -> bool {
        self.found.secret.is_some()
    }

    /// Says what taking the cluster over does to its hosts.
    pub(super) fn tell_effects(&self, ctx: &Context, new: &Known<ClusterArgs>, cluster: &ValidatedCluster) {
        if let Some(shape) = &self.shape {
            effects::tell(ctx, shape, &Shape::rendered(cluster), None, new);
        }
    }

    /// The unique ids of what is there. Whether the namespace is the cluster's, only the write tells.
    pub(super) fn uids(&self) -> Uids {
        Uids { namespace: None, ..Uids::of(&self.found) }
    }

    /// The Secret that is there.
    pub(super) fn secret(&self) -> Option<&Value> {
        self.found.secret.as_ref()
    }

    /// All of them.
    pub(super) fn objects(&self) -> &Objects {
        &self.found
    }

    /// The incarnation that is there.
    pub(super) fn incarnation(&self) -> Option<String> {
        self.secret().and_then(incarnation).map(str::to_owned)
    }

    /// What a create has to do with the cluster that is there already, of this stack's making: it keeps its
    /// version where the program names none, and it is guarded as in an update. Gives the inputs with that
    /// version, and the volumes that are to grow; `None` where there is none.
    pub(super) async fn take_over(
        &self,
        api: &Api,
        ctx: &Context,
        new: &Known<ClusterArgs>,
    ) -> Result<Option<(Known<ClusterArgs>, Growing)>, Failed> {
        let Some(shape) = &self.shape else { return Ok(None) };
        let Objects { installation: Some(installation), keeper, service, backup, .. } = self.found.clone()
        else {
            return Ok(None);
        };
        let live = Live { backup, ..Live::new(installation, keeper, service, None) };
        let there = adopt::inputs(&live, &ctx.urn, &Login::default());
        let kept =
            Known { value: new.value.running(there.image.version.as_deref()), unknown: new.unknown.clone() };
        let to = Shape::rendered(&validate::validate(&kept)?);
        CheckFailure::none(guard::refusals(shape, &to, &kept))?;
        Box::pin(survey::expandable(api, shape, &to, &kept)).await?;
        Ok(Some((kept, guard::growing(shape, &to))))
    }

    /// Whether the namespace is this cluster's to make, or was made by it in a run that was interrupted.
    pub(super) fn owns_namespace(&self, urn: &Urn, cluster: &ValidatedCluster) -> bool {
        cluster.naming.create_namespace
            && self.found.namespace.as_ref().is_none_or(|namespace| is_marked_by(namespace, urn))
    }

    /// Fails when something of the cluster's name is there that this stack did not make.
    ///
    /// The Secret is written before all else and carries the stack's mark: a cluster without it is somebody
    /// else's.
    pub(super) fn refuse_unowned(&self, ctx: &Context, cluster: &ValidatedCluster) -> Result<(), Failed> {
        let marked = self.secret().is_some_and(|secret| is_marked_by(secret, &ctx.urn));
        let (namespace, name) = (&cluster.naming.namespace, &cluster.naming.name);
        if self.found.installation.as_ref().is_some_and(|found| !(marked && is_managed(found))) {
            let existing = Part::Installation.row().object(namespace, name);
            let import =
                format!("pulumi import clickhouse:kubernetes:Cluster {} {namespace}/{name}", ctx.urn.name());
            let reason = format!(
                "{existing} already exists and was not created by this stack; to adopt it run `{import}`, \
                    else choose another `name`"
            );
            return Err(Failure::new(FailureKind::AlreadyExists, reason));
        }
        let is_ours = |row: &Row, found: &Value| match row.whose {
            Whose::Anybodys => true,
            Whose::Marked => is_marked_by(found, &ctx.urn),
            Whose::Labelled => marked,
        };
        let others = TABLE
            .iter()
            .filter(|row| self.found[row.part].as_ref().is_some_and(|found| !is_ours(row, found)));
        let taken: Vec<_> = others.map(|row| is_taken(&row.object(namespace, name))).collect();
        if !taken.is_empty() {
            return Err(Failure { kind: FailureKind::AlreadyExists, reasons: taken, partial: None });
        }
        if self.found.installation.is_some() {
            ctx.report.info(&format!(
                "{namespace}/{name} of this stack already exists: it is taken over as it is, with its \
                    password and volumes"
            ));
        } else if self.is_continued() {
            tell_resumed(ctx, cluster);
        }
        Ok(())
    }
}

/// Why a create does not go on where an object of its name is somebody else's.
pub(super) fn is_taken(object: &ObjectRef) -> String {
    format!("{object} already exists and was not created by this stack; choose another `name`, or delete it")
}

/// Says that a create goes on where an interrupted one ended.
pub(super) fn tell_resumed(ctx: &Context, cluster: &ValidatedCluster) {
    let Naming { namespace, name, .. } = &cluster.naming;
    ctx.report.info(&format!("resuming the interrupted create of {namespace}/{name}"));
}

/// Refuses to write over what somebody else has made under the name of one of the cluster's objects: after an
/// adoption, or when one was lost. What has a unique id in the state is not judged.
pub(super) fn refuse_foreign(
    ctx: &Context,
    cluster: &ValidatedCluster,
    uids: &Uids,
    found: &Objects,
) -> Result<(), Failed> {
    let Naming { namespace, name, .. } = &cluster.naming;
    let is_ours =
        |found: &Value| owner_urn(found).map_or_else(|| is_managed(found), |owner| owner == ctx.urn.0);
    let is_foreign = |row: &&Row| {
        let unknown = row.is_own() && row.is_wanted(cluster) && uids[row.part].is_none();
        unknown && found[row.part].as_ref().is_some_and(|found| !is_ours(found))
    };
    let reasons: Vec<_> = TABLE
        .iter()
        .filter(is_foreign)
        .map(|row| row.object(namespace, name))
        .map(|object| {
            format!(
                "{object} already exists and was not created by this stack; it stays \
            untouched: rename or delete it"
            )
        })
        .collect();
    if reasons.is_empty() {
        Ok(())
    } else {
        Err(Failure { kind: FailureKind::AlreadyExists, reasons, partial: None })
    }
}

/// The unique id of a namespace that this stack made for its cluster; `None` when there is none, or somebody
/// else made it.
pub(super) async fn own_namespace(api: &Api, urn: &Urn, namespace: &str) -> Result<Option<String>, Failed> {
    let found = fetch(api, &ObjectRef::global(Kind::Namespace, namespace))
        .await
        .map_err(|error| error.to_failure())?;
    Ok(found.filter(|found| is_marked_by(found, urn)).as_ref().and_then(meta::owned_uid))
}
