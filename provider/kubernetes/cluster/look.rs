//! EFFECT: reads a cluster's objects, one request each, and says what they mean.

use secrecy::SecretString;
use serde_json::Value;

use super::adopt;
use super::aspects::{self, ClusterArgs, Live, Naming, PASSWORD_KEY, Source, ValidatedCluster};
use super::guard::Growing;
use super::manifest::{Login, sha256_hex};
use super::outputs::{Observed, outputs};
use super::shape::Shape;
use super::state::{ClusterState, KubernetesCluster, Uids};
use super::{Failed, defaults, effects, guard, live, login, survey, validate};
use crate::kubernetes::client::Api;
use crate::kubernetes::error::Error;
use crate::kubernetes::identity::{Identity, identify, namespace_uid};
use crate::kubernetes::meta::{self, Kind, ObjectRef, incarnation, is_managed, is_marked, owner_urn};
use crate::kubernetes::objects::{fetch, find};
use crate::resource::{CheckFailure, Context, Failure, FailureKind, Found, Known, Paths, Urn};

/// What is there before a cluster is made.
#[derive(Debug, Clone, Default)]
pub(super) struct Before {
    namespace: Option<Value>,
    pub(super) secret: Option<Value>,
    service: Option<Value>,
    installation: Option<Value>,
    keeper: Option<Value>,
    /// What the installation and the Keeper come to, with the volumes that they have.
    shape: Option<Shape>,
}

/// Reads what a create could collide with. The Keeper also where the cluster is to have none: the one that is there may lose it.
pub(super) async fn before_create(api: &Api, cluster: &ValidatedCluster) -> Result<Before, Error> {
    let object = |kind| ObjectRef::new(kind, &cluster.naming.namespace, &cluster.naming.name);
    let (installation, service, secret, keeper, namespace) = futures::join!(
        fetch_owned(api, object(Kind::Installation)),
        fetch_owned(api, object(Kind::Service)),
        fetch_owned(api, login::secret_of(&cluster.naming.namespace, &cluster.naming.name)),
        async { if cluster.keeper().is_some() { fetch_owned(api, object(Kind::KeeperInstallation)).await } else { Ok(None) } },
        async {
            if cluster.naming.create_namespace {
                fetch_owned(api, ObjectRef::global(Kind::Namespace, &cluster.naming.namespace)).await
            } else {
                Ok(None)
            }
        },
    );
    let (installation, mut keeper) = (installation?, keeper?);
    if installation.is_some() && keeper.is_none() && cluster.keeper().is_none() {
        keeper = match fetch(api, &object(Kind::KeeperInstallation)).await {
            Err(Error::CrdMissing { .. }) => None,
            found => found?,
        };
    }
    let shape = match &installation {
        Some(installation) => {
            Some(Box::pin(live::settled(api, &cluster.naming.namespace, Shape::of(installation, keeper.as_ref()))).await?.0)
        }
        None => None,
    };
    Ok(Before { namespace: namespace?, secret: secret?, service: service?, installation, keeper, shape })
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

async fn fetch_owned(api: &Api, object: ObjectRef) -> Result<Option<Value>, Error> {
    fetch(api, &object).await
}

impl Before {
    /// Whether a run of this stack has made the cluster, or was interrupted while it did.
    pub(super) fn is_continued(&self) -> bool {
        self.secret.is_some()
    }

    /// Says what taking the cluster over does to its hosts.
    pub(super) fn tell_effects(&self, ctx: &Context, new: &Known<ClusterArgs>, cluster: &ValidatedCluster) {
        if let Some(shape) = &self.shape {
            effects::tell(ctx, shape, &Shape::rendered(cluster), new);
        }
    }

    /// The unique ids of what is there.
    pub(super) fn uids(&self) -> Uids {
        let of = |object: &Option<Value>| object.as_ref().and_then(meta::owned_uid);
        Uids {
            installation: of(&self.installation),
            keeper: of(&self.keeper),
            service: of(&self.service),
            secret: of(&self.secret),
            namespace: None,
        }
    }

    /// The incarnation that is there.
    pub(super) fn incarnation(&self) -> Option<String> {
        self.secret.as_ref().and_then(incarnation).map(str::to_owned)
    }

    /// What a create has to do with the cluster that is there already, of this stack's making: it keeps its version where the program
    /// names none, and it is guarded as in an update. Gives the inputs with that version, and the volumes that are to grow.
    pub(super) async fn take_over(
        &self,
        api: &Api,
        ctx: &Context,
        new: &Known<ClusterArgs>,
    ) -> Result<(Known<ClusterArgs>, Growing), Failed> {
        let (Some(installation), Some(shape)) = (self.installation.clone(), &self.shape) else {
            return Ok((new.clone(), Growing::default()));
        };
        let live = Live::new(installation, self.keeper.clone(), self.service.clone(), None);
        let there = adopt::inputs(&live, &ctx.urn, &Login { password: None, version: None });
        let kept = Known { value: new.value.running(there.image.version.as_deref()), unknown: new.unknown.clone() };
        let to = Shape::rendered(&validate::validate(&kept)?);
        CheckFailure::none(guard::refusals(shape, &to, &kept))?;
        Box::pin(survey::expandable(api, shape, &to, &kept)).await?;
        Ok((kept, guard::growing(shape, &to)))
    }

    /// Whether the namespace is this cluster's to make, or was made by it in a run that was interrupted.
    pub(super) fn owns_namespace(&self, urn: &Urn, cluster: &ValidatedCluster) -> bool {
        cluster.naming.create_namespace && self.namespace.as_ref().is_none_or(|namespace| owner_urn(namespace) == Some(&urn.0))
    }

    /// Fails when something of the cluster's name is there that this stack did not make.
    ///
    /// The Secret is written before all else and carries the stack's mark: a cluster without it is somebody else's.
    pub(super) fn refuse_what_is_not_ours(&self, ctx: &Context, cluster: &ValidatedCluster) -> Result<(), Failed> {
        let is_ours = |object: &Option<Value>| object.as_ref().is_none_or(|object| owner_urn(object) == Some(&ctx.urn.0));
        let marked = self.secret.is_some() && is_ours(&self.secret);
        let (namespace, name) = (&cluster.naming.namespace, &cluster.naming.name);
        let existing = ObjectRef::new(Kind::Installation, namespace, name);
        if self.installation.as_ref().is_some_and(|found| !(marked && is_managed(found))) {
            let import = format!("pulumi import clickhouse:kubernetes:Cluster {} {namespace}/{name}", ctx.urn.name());
            let reason =
                format!("{existing} exists already and was not made by this stack; to adopt it run `{import}`, else choose another `name`");
            return Err(Failure::new(FailureKind::AlreadyExists, reason));
        }
        let keeper_is_ours = self.keeper.is_none() || marked;
        let others = [
            (is_ours(&self.secret), login::secret_of(namespace, name)),
            (is_ours(&self.service), ObjectRef::new(Kind::Service, namespace, name)),
            (keeper_is_ours, ObjectRef::new(Kind::KeeperInstallation, namespace, name)),
        ];
        let taken: Vec<_> = others
            .into_iter()
            .filter(|(ours, _)| !ours)
            .map(|(_, object)| format!("{object} exists already and was not made by this stack; choose another `name`, or delete it"))
            .collect();
        if !taken.is_empty() {
            return Err(Failure { kind: FailureKind::AlreadyExists, reasons: taken, partial: None });
        }
        if self.installation.is_some() {
            ctx.report.info(&format!(
                "{namespace}/{name} of this stack is there already: it is taken over as it is, with its password and volumes"
            ));
        } else if self.is_continued() {
            ctx.report.info(&format!("continuing {namespace}/{name}, which an interrupted run of this stack began"));
        }
        Ok(())
    }
}

/// Refuses to write over what somebody else has made under the name of one of the cluster's objects. Only objects that the state does not
/// know are looked for: after an adoption, or when one was lost.
pub(super) async fn refuse_foreign(api: &Api, ctx: &Context, cluster: &ValidatedCluster, uids: &Uids) -> Result<(), Failed> {
    let Naming { namespace, name, .. } = &cluster.naming;
    let object = |kind| ObjectRef::new(kind, namespace, name);
    let wanted = [
        (cluster.has_secret() && uids.secret.is_none(), login::secret_of(namespace, name)),
        (cluster.has_service() && uids.service.is_none(), object(Kind::Service)),
        (cluster.keeper().is_some() && uids.keeper.is_none(), object(Kind::KeeperInstallation)),
    ];
    let mut reasons = Vec::new();
    for (_, object) in wanted.into_iter().filter(|(is_wanted, _)| *is_wanted) {
        let found = match fetch(api, &object).await {
            // The write tells it.
            Err(error) if error.is_premature() => None,
            found => found.map_err(|error| error.to_failure())?,
        };
        let is_ours = |found: &Value| owner_urn(found).map_or_else(|| is_managed(found), |owner| owner == ctx.urn.0);
        if found.is_some_and(|found| !is_ours(&found)) {
            reasons.push(format!("{object} exists already and was not made by this stack; it is left alone: rename or delete it"));
        }
    }
    if reasons.is_empty() { Ok(()) } else { Err(Failure { kind: FailureKind::AlreadyExists, reasons, partial: None }) }
}

/// The Secret with the login, when it is one of this provider's.
pub(super) async fn credentials(api: &Api, cluster: &ValidatedCluster) -> Result<Option<Value>, Failed> {
    let secret =
        fetch(api, &login::secret_of(&cluster.naming.namespace, &cluster.naming.name)).await.map_err(|error| error.to_failure())?;
    Ok(secret.filter(is_marked))
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
pub(super) struct Rest {
    secret: Value,
    service: Option<Value>,
    keeper: Option<Value>,
}

/// A cluster as it is there.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    live: Live,
    secret: Option<Value>,
    /// The administrator's password of a cluster that somebody else made, where that can be read.
    password: Option<SecretString>,
}

/// Reads a cluster's objects; a Service or Secret of the same name that this provider did not make is not one of them. The Keeper is
/// read where inputs or outputs have one, or where nothing is known.
pub(super) async fn around(
    api: &Api,
    namespace: &str,
    name: &str,
    old: Option<&ClusterArgs>,
    old_state: Option<&ClusterState>,
) -> Result<There, Error> {
    let may_have_keeper = old.is_none_or(ClusterArgs::has_keeper) || old_state.is_some_and(|state| state.uids.keeper.is_some());
    let object = |kind| ObjectRef::new(kind, namespace, name);
    let (installation, service, secret, keeper) = futures::join!(
        async { find(api, &object(Kind::Installation)).await },
        fetch_owned(api, object(Kind::Service)),
        fetch_owned(api, login::secret_of(namespace, name)),
        async { if may_have_keeper { fetch_owned(api, object(Kind::KeeperInstallation)).await } else { Ok(None) } },
    );
    let installation = installation?;
    let keeper = match keeper {
        Err(Error::CrdMissing { .. }) => None,
        result => result?,
    };
    let (service, secret) = (service?.filter(is_marked), secret?.filter(is_marked));
    Ok(match (installation, secret) {
        (Some(installation), secret) => {
            let adopted = old.and_then(ClusterArgs::adopted).cloned();
            let live = Live::new(installation, keeper, service, adopted);
            let password = if live.adopted.is_some() { Box::pin(foreign_password(api, namespace, live.spec())).await } else { None };
            There::Cluster(Box::new(Seen { live, secret, password }))
        }
        (None, Some(secret)) => There::Rest(Rest { secret, service, keeper }),
        (None, None) => There::Nothing,
    })
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
        let is_known = state.uids.secret.is_some() && state.uids.secret == meta::owned_uid(&self.secret);
        if !is_known && owner_urn(&self.secret) != Some(&ctx.urn.0) {
            return None;
        }
        state.uids = Uids {
            installation: None,
            keeper: self.keeper.as_ref().and_then(meta::owned_uid),
            service: self.service.as_ref().and_then(meta::owned_uid),
            secret: meta::owned_uid(&self.secret),
            namespace: state.uids.namespace,
        };
        Some(Found { id: id.to_owned(), inputs, state, secrets: Paths::new() })
    }
}

/// The unique id of a namespace that this stack made for its cluster; `None` when there is none, or somebody else made it.
pub(super) async fn own_namespace(api: &Api, urn: &Urn, namespace: &str) -> Result<Option<String>, Failed> {
    let found = fetch(api, &ObjectRef::global(Kind::Namespace, namespace)).await.map_err(|error| error.to_failure())?;
    Ok(found.filter(|found| owner_urn(found) == Some(&urn.0)).as_ref().and_then(meta::owned_uid))
}

impl Seen {
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
    seen: Seen,
    old: Option<&ClusterArgs>,
    old_state: Option<&ClusterState>,
) -> Result<Found<ClusterArgs, ClusterState>, Failed> {
    let Seen { live, secret, password } = seen;
    let written_version = old.and_then(|old| old.image.version.clone());
    let old = old.map(|old| old.running(old_state.map(ClusterState::version_to_run)));
    let old = old.as_ref();
    let known = old_state.and_then(ClusterState::secret_password);
    let stored = secret.as_ref().and_then(|secret| login::decode(secret, PASSWORD_KEY)).map(SecretString::from);
    let (login, secret_is_sound) = match &live.adopted {
        // Its own Secret, once it has one, holds what was given or made since.
        Some(_) if stored.is_none() => (Login { password: password.or(known), version: None }, true),
        _ => settle(&live, known, stored),
    };
    let mut found_version = None;
    let inputs = match old {
        Some(old) => {
            let mut inputs = adopt::drifted(old, &live, &ctx.urn, &login);
            found_version.clone_from(&inputs.image.version);
            if inputs.image.version == old.image.version {
                inputs.image.version.clone_from(&written_version);
            }
            inputs
        }
        None => adopt::inputs(&live, &ctx.urn, &login),
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
    let observed = Observed {
        uids: Uids {
            installation: meta::owned_uid(&live.installation),
            // One that is not this cluster's is left alone, one that was to be deleted is still known.
            keeper: live
                .keeper
                .as_ref()
                .and_then(meta::owned_uid)
                .filter(|uid| cluster.keeper().is_some() || old_state.and_then(|state| state.uids.keeper.as_ref()) == Some(uid)),
            service: live.service.as_ref().and_then(meta::owned_uid),
            secret: secret.as_ref().and_then(meta::owned_uid),
            namespace: old_state.and_then(|state| state.uids.namespace.clone()),
        },
        address: live
            .service
            .as_ref()
            .and_then(|service| {
                meta::field(service, "/status/loadBalancer/ingress/0/hostname")
                    .or_else(|| meta::field(service, "/status/loadBalancer/ingress/0/ip"))
            })
            .map(str::to_owned),
        kubernetes: old_state.and_then(|state| state.kubernetes.clone()),
        incarnation: match old_state {
            Some(state) => state.incarnation.clone(),
            None => secret.as_ref().and_then(incarnation).map(str::to_owned),
        },
    };
    let mut state = outputs(&cluster, &login, &observed);
    let damaged = |secret: &Value| old.is_some_and(|old| adopt::secret_is_damaged(old, &ctx.urn, &login, secret));
    if cluster.has_secret() && (!secret_is_sound || secret.as_ref().is_none_or(damaged)) {
        // A refresh reports it as missing, so that the next update mends it.
        state.credentials_secret = None;
    }
    if live.keeper.is_none() {
        state.keeper = None;
    }
    // Of an adopted cluster that names no version it is known that it is to run what it ran.
    if let Some(known) = old_state.filter(|state| !state.version.is_empty() || live.adopted.is_some()) {
        let wanted = known.version_to_run().to_owned();
        state.version = found_version.unwrap_or_else(|| wanted.clone());
        state.wanted_version = Some(wanted).filter(|wanted| *wanted != state.version);
    }
    let damaged = |service: &Value| old.is_some() && adopt::service_is_damaged(&cluster, &ctx.urn, &login, service);
    if cluster.has_service() && live.service.as_ref().is_none_or(damaged) {
        // A refresh reports the address as missing, so that the next update mends it.
        (state.endpoints, state.connection, state.external) = (None, None, None);
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
