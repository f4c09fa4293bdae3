//! EFFECT: reads a cluster's objects, one request each, and says what they mean.

use secrecy::SecretString;
use serde_json::Value;

use super::adopt;
use super::aspects::{self, ClusterArgs, Live, Naming, PASSWORD_KEY, Source, ValidatedCluster};
use super::guard::Growing;
use super::manifest::{Login, sha256_hex};
use super::objects::{self, Objects, Part, Row, TABLE, Uids, Whose, is_marked_by};
use super::outputs::{Observed, outputs};
use super::shape::Shape;
use super::state::{ClusterState, KubernetesCluster};
use super::{Failed, defaults, effects, guard, live, login, survey, validate};
use crate::kubernetes::client::Api;
use crate::kubernetes::error::Error;
use crate::kubernetes::identity::{Identity, identify, namespace_uid};
use crate::kubernetes::meta::{self, Kind, ObjectRef, incarnation, is_managed, is_marked, owner_urn};
use crate::kubernetes::objects::fetch;
use crate::resource::{CheckFailure, Context, Failure, FailureKind, Found, Known, Paths, Urn};

/// What is there before a cluster is made.
#[derive(Debug, Clone, Default)]
pub(super) struct Before {
    found: Objects,
    /// What the installation and the Keeper come to, with the volumes that they have.
    shape: Option<Shape>,
}

/// Reads what a create could collide with; where its installation is there, also what the cluster is to have no more.
pub(super) async fn before_create(api: &Api, cluster: &ValidatedCluster) -> Result<Before, Error> {
    let Naming { namespace, name, .. } = &cluster.naming;
    let wanted = |row: &Row| row.is_wanted(cluster);
    let mut found = objects::read(api, namespace, name, true, wanted).await?;
    let Some(installation) = &found.installation else { return Ok(Before { found, shape: None }) };
    let mut others = Box::pin(objects::read(api, namespace, name, false, |row| row.is_own() && !wanted(row))).await?;
    let shape = Shape::of(installation, found.keeper.as_ref().or(others.keeper.as_ref()));
    let shape = Some(Box::pin(live::settled(api, namespace, name, shape)).await?.0);
    for row in TABLE.iter().filter(|row| !wanted(row)) {
        found[row.part] = others[row.part].take();
    }
    Ok(Before { found, shape })
}

/// The Kubernetes cluster that `api` leads to, when it is the one of the state: the recorded one, or that of today where none is
/// recorded. Fails with both when it is known to be another one; `None` when it can't be told.
pub(super) async fn kubernetes(
    api: &Api,
    namespace: &str,
    recorded: Option<&KubernetesCluster>,
) -> Result<Option<KubernetesCluster>, Error> {
    let server = api.session().server();
    let Some(recorded) = recorded else {
        let found = identify(api, namespace).await?;
        return Ok(found.map(|Identity { uid, namespace }| KubernetesCluster { uid, namespace, server }));
    };
    match namespace_uid(api, &recorded.namespace).await? {
        Some(uid) if uid == recorded.uid => Ok(Some(recorded.clone())),
        Some(uid) => Err(Error::Elsewhere {
            message: format!(
                "the kubeconfig{context} leads to another Kubernetes cluster than this stack's state: to {here}, where namespace `{namespace}` has the \
                 unique id {uid}, and the state tells of {there}, where it has {recorded}; nothing was changed; choose the kubeconfig or context of the state's",
                context = api.session().context().map(|context| format!("'s context `{context}`")).unwrap_or_default(),
                here = server.as_deref().unwrap_or("an unknown address"),
                there = recorded.server.as_deref().unwrap_or("an unknown address"),
                namespace = recorded.namespace,
                recorded = recorded.uid,
            ),
        }),
        None => Ok(None),
    }
}

/// The error for a cluster of which nothing is there, in a Kubernetes cluster that can't be told from the one of the state.
pub(super) fn whereabouts_unknown(api: &Api, urn: &Urn, namespace: &str, name: &str, recorded: Option<&KubernetesCluster>) -> Error {
    let server = recorded.and_then(|recorded| recorded.server.as_deref()).unwrap_or("an unknown address");
    let read = recorded.map_or(namespace, |recorded| &recorded.namespace);
    Error::Elsewhere {
        message: format!(
            "nothing of {namespace}/{name} is there, and whether this is the Kubernetes cluster that it was made in ({server}) can't be told, since namespace `{read}` can't be read in the one that the \
             kubeconfig leads to ({here}); choose the right kubeconfig or context, or ask for `get` on that namespace; when the cluster is gone for good run `pulumi state delete '{urn}'`",
            here = api.session().server().as_deref().unwrap_or("an unknown address"),
        ),
    }
}

impl Before {
    /// Whether a run of this stack has made the cluster, or was interrupted while it did.
    pub(super) fn is_continued(&self) -> bool {
        self.found.secret.is_some()
    }

    /// Says what taking the cluster over does to its hosts.
    pub(super) fn tell_effects(&self, ctx: &Context, new: &Known<ClusterArgs>, cluster: &ValidatedCluster) {
        if let Some(shape) = &self.shape {
            effects::tell(ctx, shape, &Shape::rendered(cluster), new);
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

    /// The incarnation that is there.
    pub(super) fn incarnation(&self) -> Option<String> {
        self.secret().and_then(incarnation).map(str::to_owned)
    }

    /// What a create has to do with the cluster that is there already, of this stack's making: it keeps its version where the program
    /// names none, and it is guarded as in an update. Gives the inputs with that version, and the volumes that are to grow.
    pub(super) async fn take_over(
        &self,
        api: &Api,
        ctx: &Context,
        new: &Known<ClusterArgs>,
    ) -> Result<(Known<ClusterArgs>, Growing), Failed> {
        let (Objects { installation: Some(installation), keeper, service, .. }, Some(shape)) = (self.found.clone(), &self.shape) else {
            return Ok((new.clone(), Growing::default()));
        };
        let live = Live::new(installation, keeper, service, None);
        let there = adopt::inputs(&live, &ctx.urn, &Login { password: None, version: None });
        let kept = Known { value: new.value.running(there.image.version.as_deref()), unknown: new.unknown.clone() };
        let to = Shape::rendered(&validate::validate(&kept)?);
        CheckFailure::none(guard::refusals(shape, &to, &kept))?;
        Box::pin(survey::expandable(api, shape, &to, &kept)).await?;
        Ok((kept, guard::growing(shape, &to)))
    }

    /// Whether the namespace is this cluster's to make, or was made by it in a run that was interrupted.
    pub(super) fn owns_namespace(&self, urn: &Urn, cluster: &ValidatedCluster) -> bool {
        cluster.naming.create_namespace && self.found.namespace.as_ref().is_none_or(|namespace| is_marked_by(namespace, urn))
    }

    /// Fails when something of the cluster's name is there that this stack did not make.
    ///
    /// The Secret is written before all else and carries the stack's mark: a cluster without it is somebody else's.
    pub(super) fn refuse_what_is_not_ours(&self, ctx: &Context, cluster: &ValidatedCluster) -> Result<(), Failed> {
        let marked = self.secret().is_some_and(|secret| is_marked_by(secret, &ctx.urn));
        let (namespace, name) = (&cluster.naming.namespace, &cluster.naming.name);
        if self.found.installation.as_ref().is_some_and(|found| !(marked && is_managed(found))) {
            let existing = Part::Installation.row().object(namespace, name);
            let import = format!("pulumi import clickhouse:kubernetes:Cluster {} {namespace}/{name}", ctx.urn.name());
            let reason =
                format!("{existing} exists already and was not made by this stack; to adopt it run `{import}`, else choose another `name`");
            return Err(Failure::new(FailureKind::AlreadyExists, reason));
        }
        let is_ours = |row: &Row, found: &Value| match row.whose {
            Whose::Anybodys => true,
            Whose::Marked => is_marked_by(found, &ctx.urn),
            Whose::Labelled => marked,
        };
        let others = TABLE.iter().filter(|row| self.found[row.part].as_ref().is_some_and(|found| !is_ours(row, found)));
        let taken: Vec<_> = others
            .map(|row| row.object(namespace, name))
            .map(|object| format!("{object} exists already and was not made by this stack; choose another `name`, or delete it"))
            .collect();
        if !taken.is_empty() {
            return Err(Failure { kind: FailureKind::AlreadyExists, reasons: taken, partial: None });
        }
        if self.found.installation.is_some() {
            ctx.report.info(&format!(
                "{namespace}/{name} of this stack is there already: it is taken over as it is, with its password and volumes"
            ));
        } else if self.is_continued() {
            ctx.report.info(&format!("continuing {namespace}/{name}, which an interrupted run of this stack began"));
        }
        Ok(())
    }
}

/// Refuses to write over what somebody else has made under the name of one of the cluster's objects: after an adoption, or when one was lost.
/// What has a unique id in the state is not judged.
pub(super) fn refuse_foreign(ctx: &Context, cluster: &ValidatedCluster, uids: &Uids, found: &Objects) -> Result<(), Failed> {
    let Naming { namespace, name, .. } = &cluster.naming;
    let is_ours = |found: &Value| owner_urn(found).map_or_else(|| is_managed(found), |owner| owner == ctx.urn.0);
    let is_foreign = |row: &&Row| {
        let unknown = row.is_own() && row.is_wanted(cluster) && uids[row.part].is_none();
        unknown && found[row.part].as_ref().is_some_and(|found| !is_ours(found))
    };
    let reasons: Vec<_> = TABLE
        .iter()
        .filter(is_foreign)
        .map(|row| row.object(namespace, name))
        .map(|object| format!("{object} exists already and was not made by this stack; it is left alone: rename or delete it"))
        .collect();
    if reasons.is_empty() { Ok(()) } else { Err(Failure { kind: FailureKind::AlreadyExists, reasons, partial: None }) }
}

/// What is there of a cluster.
#[derive(Debug, Clone)]
pub(super) enum There {
    /// No messages.
    Nothing,
    /// Its installation does not exist, but other objects of this provider's do: it was not made yet, or was deleted by hand.
    Rest(Rest),
    /// The cluster.
    Cluster(Box<Seen>),
}

/// The objects of a cluster without its installation.
#[derive(Debug, Clone)]
pub(super) struct Rest(Objects);

/// A cluster as it is there.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    live: Live,
    /// The objects that no input is read from.
    others: Objects,
    /// The administrator's password of a cluster that somebody else made, where that can be read.
    password: Option<SecretString>,
}

/// Reads a cluster's objects; one with its mark that this provider did not make is not one of them. What inputs and outputs don't have is
/// not looked for, unless nothing is known.
pub(super) async fn around(
    api: &Api,
    namespace: &str,
    name: &str,
    old: Option<&ClusterArgs>,
    old_state: Option<&ClusterState>,
) -> Result<There, Error> {
    let described = old.map(validate::last_anyway);
    let may_be = |row: &Row| {
        let is_known = old_state.is_some_and(|state| state.uids[row.part].is_some());
        row.is_own() && (is_known || described.as_ref().is_none_or(|cluster| row.is_wanted(cluster)))
    };
    let mut found = objects::read(api, namespace, name, false, may_be).await?;
    for row in TABLE.iter().filter(|row| row.whose == Whose::Marked) {
        found[row.part].take_if(|found| !is_marked(found));
    }
    let Some(installation) = found.installation.take() else {
        return Ok(if found.secret.is_some() { There::Rest(Rest(found)) } else { There::Nothing });
    };
    let adopted = old.and_then(ClusterArgs::adopted).cloned();
    let live = Live::new(installation, found.keeper.take(), found.service.take(), adopted);
    let password = if live.adopted.is_some() { Box::pin(foreign_password(api, namespace, live.spec())).await } else { None };
    Ok(There::Cluster(Box::new(Seen { live, others: found, password })))
}

/// The administrator's password, from where an installation of somebody else's has it.
async fn foreign_password(api: &Api, namespace: &str, spec: &Value) -> Option<SecretString> {
    match Source::of(spec)? {
        Source::Text(password) => Some(password),
        Source::Secret(place, name, key) => {
            let object = ObjectRef::new(Kind::Secret, place.as_deref().unwrap_or(namespace), &name);
            let secret = fetch(api, &object).await.ok()??;
            login::decode(&secret, &key).map(SecretString::from)
        }
    }
}

impl Rest {
    /// What is left of a cluster of this stack's; `None` when these objects are another one's. Its next update makes what is missing.
    pub(super) fn found(
        &self,
        ctx: &Context,
        id: &str,
        old: Option<&ClusterArgs>,
        old_state: Option<&ClusterState>,
    ) -> Option<Found<ClusterArgs, ClusterState>> {
        let (inputs, mut state) = (old?.clone(), old_state?.clone());
        // By its unique id: the mark still names the stack as it was called before.
        let (found, secret) = (Uids::of(&self.0), self.0.secret.as_ref()?);
        let is_known = state.uids.secret.is_some() && state.uids.secret == found.secret;
        if !is_known && !is_marked_by(secret, &ctx.urn) {
            return None;
        }
        state.uids = Uids { namespace: state.uids.namespace, ..found };
        Some(Found { id: id.to_owned(), inputs, state, secrets: Paths::new() })
    }
}

/// The unique id of a namespace that this stack made for its cluster; `None` when there is none, or somebody else made it.
pub(super) async fn own_namespace(api: &Api, urn: &Urn, namespace: &str) -> Result<Option<String>, Failed> {
    let found = fetch(api, &ObjectRef::global(Kind::Namespace, namespace)).await.map_err(|error| error.to_failure())?;
    Ok(found.filter(|found| is_marked_by(found, urn)).as_ref().and_then(meta::owned_uid))
}

impl Seen {
    /// One of its objects.
    fn object(&self, part: Part) -> Option<&Value> {
        match part {
            Part::Installation => Some(&self.live.installation),
            Part::Keeper => self.live.keeper.as_ref(),
            Part::Service => self.live.service.as_ref(),
            other => self.others[other].as_ref(),
        }
    }

    /// The ClickHouseInstallation.
    pub(super) fn installation(&self) -> &Value {
        &self.live.installation
    }

    /// Whether the installation is the one that `state` tells of.
    pub(super) fn is_of(&self, state: &ClusterState) -> bool {
        state.uids.installation.is_none() || state.uids.installation == meta::owned_uid(&self.live.installation)
    }
}

/// The inputs and outputs that `seen` corresponds to. A cluster that nothing is known of is described as it is; one from
/// the state keeps its inputs except where it drifted.
pub(super) fn found(
    ctx: &Context,
    seen: &Seen,
    old: Option<&ClusterArgs>,
    old_state: Option<&ClusterState>,
) -> Result<Found<ClusterArgs, ClusterState>, Failed> {
    let (live, secret) = (&seen.live, seen.others.secret.as_ref());
    let written_version = old.and_then(|old| old.image.version.clone());
    let old = old.map(|old| old.running(old_state.map(ClusterState::version_to_run)));
    let old = old.as_ref();
    let known = old_state.and_then(ClusterState::secret_password);
    let stored = secret.and_then(|secret| login::decode(secret, PASSWORD_KEY)).map(SecretString::from);
    let (login, secret_is_sound) = match &live.adopted {
        // Its own Secret, once it has one, holds what was given or made since.
        Some(_) if stored.is_none() => (Login { password: seen.password.clone().or(known), version: None }, true),
        _ => settle(live, known, stored),
    };
    let mut found_version = None;
    let inputs = match old {
        Some(old) => {
            let mut inputs = adopt::drifted(old, live, &ctx.urn, &login);
            found_version.clone_from(&inputs.image.version);
            if inputs.image.version == old.image.version {
                inputs.image.version.clone_from(&written_version);
            }
            inputs
        }
        None => adopt::inputs(live, &ctx.urn, &login),
    };
    let namespace = meta::field(&live.installation, "/metadata/namespace").unwrap_or_default();
    let filled = defaults::fill(&ctx.urn, &crate::resource::Autonaming::Default, namespace, None, &Known::all(inputs.clone()));
    let cluster =
        filled.map_err(|failure| vec![failure]).and_then(|args| validate::validate(&Known::all(args))).map_err(|failures| Failure {
            kind: FailureKind::Invalid,
            reasons: failures
                .iter()
                .map(|failure| format!("the cluster can't be expressed in this provider's inputs: {}: {}", failure.path, failure.reason))
                .collect(),
            partial: None,
        })?;
    let last = |part| old_state.and_then(|state: &ClusterState| state.uids[part].clone());
    let mut observed = Observed {
        uids: Uids::default(),
        address: None,
        kubernetes: old_state.and_then(|state| state.kubernetes.clone()),
        incarnation: match old_state {
            Some(state) => state.incarnation.clone(),
            None => secret.and_then(incarnation).map(str::to_owned),
        },
    };
    for Row { part, .. } in TABLE.iter().filter(|row| !row.is_own()) {
        observed.uids[*part] = last(*part);
    }
    // One that is not this cluster's is left alone, one that was to be deleted is still known.
    let is_of_this =
        |row: &Row, found: &Value| row.is_wanted(&cluster) || last(row.part).is_some_and(|last| meta::uid(found) == Some(last.as_str()));
    for row in TABLE {
        if let Some(found) = seen.object(row.part).filter(|found| is_of_this(row, found)) {
            observed.note(row.part, found);
        }
    }
    let mut state = outputs(&cluster, &login, &observed);
    let written = old.and_then(|old| adopt::render(old, &ctx.urn, &login)).unwrap_or_default();
    let is_damaged = |row: &Row, found: &Value| written[row.part].as_ref().is_some_and(|written| row.is_damaged(written, found));
    for row in TABLE.iter().filter(|row| row.is_own() && row.is_wanted(&cluster)) {
        let is_whole = seen.object(row.part).is_some_and(|found| !is_damaged(row, found));
        if !is_whole || row.part == Part::Secret && !secret_is_sound {
            // A refresh tells it, so that the next update mends it.
            row.report_missing(&mut state);
        }
    }
    if let Some(known) = old_state.filter(|state| !state.version.is_empty()) {
        let wanted = known.version_to_run().to_owned();
        state.version = found_version.unwrap_or_else(|| wanted.clone());
        state.wanted_version = Some(wanted).filter(|wanted| *wanted != state.version);
    }
    let secrets = aspects::credentials(&inputs);
    Ok(Found { id: cluster.naming.id(), inputs, state, secrets })
}

/// The password, and whether the Secret agrees with it. Where state and Secret differ, the installation decides.
fn settle(live: &Live, known: Option<SecretString>, stored: Option<SecretString>) -> (Login, bool) {
    use secrecy::ExposeSecret;
    let users = &live.installation["spec"]["configuration"]["users"];
    let is_in_force = |password: &SecretString| {
        let hash = sha256_hex(password.expose_secret());
        users
            .as_object()
            .is_some_and(|users| users.iter().any(|(key, value)| key.ends_with("/password_sha256_hex") && value.as_str() == Some(&hash)))
    };
    let same = |one: &SecretString, other: &SecretString| one.expose_secret() == other.expose_secret();
    let (password, sound) = match (known, stored) {
        (Some(known), Some(stored)) if same(&known, &stored) => (Some(known), true),
        (_, Some(stored)) if is_in_force(&stored) => (Some(stored), true),
        (known, _) => (known, false),
    };
    (Login { password, version: None }, sound)
}
