//! `clickhouse:kubernetes:Cluster`: a whole ClickHouse cluster as one resource.
//!
//! Inputs go straight down: [`args`] → [`validate`] → [`manifest`] → [`rollout`] (the only writer) → [`outputs`].
//! What comes back from the API server goes up through [`adopt`] into inputs again.

mod address;
mod adopt;
pub mod args;
mod defaults;
pub mod diagnose;
mod diff;
mod effects;
pub mod get;
mod guard;
pub mod list;
mod login;
mod look;
mod manifest;
mod names;
mod outputs;
mod quantity;
pub mod readiness;
mod removal;
mod restarts;
mod rollout;
mod shape;
pub mod state;
mod task;
#[cfg(test)]
mod tests;
mod tryout;
mod validate;

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use self::args::{ClusterArgs, CoordinationType};
use self::look::There;
use self::manifest::Login;
use self::outputs::Observed;
use self::rollout::{Rollout, id, known_password};
use self::shape::Shape;
use self::state::{ClusterState, Uids};
use self::validate::{Credential, ValidatedCluster};
use crate::kubernetes::client::Session;
use crate::kubernetes::meta;
use crate::property::path::PropertyPath;
use crate::resource::{
    Autonaming, CheckFailure, Context, Diff, Existing, Failure, FailureKind, Found, Known, Paths, Preview, Resource, Urn,
};

/// How long a create or an update takes at most, when `customTimeouts` say nothing.
const ROLLOUT_TIMEOUT: Duration = Duration::from_secs(20 * 60);
/// How long a delete takes at most, when `customTimeouts` say nothing.
const DELETE_TIMEOUT: Duration = Duration::from_secs(10 * 60);

type Failed = Failure<ClusterState>;

/// The resource.
pub struct Cluster {
    session: Session,
}

impl Cluster {
    /// Clusters in the Kubernetes cluster that `session` leads to.
    pub fn new(session: Session) -> Self {
        Self { session }
    }
}

impl Resource for Cluster {
    type Args = ClusterArgs;
    type State = ClusterState;

    const TOKEN: &'static str = "clickhouse:kubernetes:Cluster";

    fn check(
        &self,
        urn: &Urn,
        autonaming: &Autonaming,
        old: Option<&ClusterArgs>,
        new: &Known<ClusterArgs>,
    ) -> Result<ClusterArgs, Vec<CheckFailure>> {
        let filled = defaults::fill(urn, autonaming, &self.session.default_namespace(), old, new).map_err(|failure| vec![failure])?;
        let known = Known { value: filled, unknown: new.unknown.clone() };
        let mut failures = validate::validate(&known).err().unwrap_or_default();
        failures.extend(old.map(|old| guard::of_inputs(old, &known)).unwrap_or_default());
        if failures.is_empty() { Ok(known.value) } else { Err(failures) }
    }

    fn diff(&self, old: &ClusterArgs, old_state: Option<&ClusterState>, new: &Known<ClusterArgs>) -> Diff {
        diff::diff(old, old_state, new)
    }

    async fn preview_create(&self, ctx: &Context, new: &Known<ClusterArgs>) -> Result<Preview<ClusterState>, Failed> {
        let cluster = validated(new)?;
        if new.unknown.is_empty() {
            tryout::create(&self.session.api(ctx), ctx, &cluster).await?;
        }
        let mut unknown = outputs::unknown_outputs(new);
        unknown.insert("uids".into());
        Ok(foretell(&cluster, &known_login(&cluster, None), &Observed::default(), unknown))
    }

    async fn create(&self, ctx: &Context, new: &ClusterArgs) -> Result<Existing<ClusterState>, Failed> {
        let cluster = validated(&Known::all(new.clone()))?;
        let deadline = deadline(ctx, ROLLOUT_TIMEOUT);
        let api = self.session.api(ctx).until(deadline);
        // Boxed, so that it takes no room while a thousand clusters wait: several calls at once are large.
        let there = Box::pin(look::before_create(&api, &cluster)).await.map_err(|error| error.to_failure())?;
        there.refuse_what_is_not_ours(ctx, &cluster)?;
        let before = login::Before { secret: there.secret.clone(), overridden: login::is_overridden(&cluster), ..login::Before::default() };
        let login = login::resolve(&api, &cluster, before).await?;
        let rollout = Rollout {
            ctx,
            api: &api,
            cluster: &cluster,
            login: &login,
            deadline,
            observed: Observed::default(),
            owns_namespace: there.owns_namespace(&ctx.urn, &cluster),
            exists: there.is_continued(),
            old: None,
        };
        let state = rollout.run().await?;
        Ok(Existing { id: id(&cluster), state })
    }

    async fn preview_update(
        &self,
        ctx: &Context,
        _id: &str,
        old: &ClusterArgs,
        old_state: Option<&ClusterState>,
        new: &Known<ClusterArgs>,
    ) -> Result<Preview<ClusterState>, Failed> {
        let cluster = validated(new)?;
        let login = known_login(&cluster, old_state.filter(|_| same_password(old, &new.value)));
        effects::tell(ctx, &Shape::last(old), &Shape::rendered(&cluster), new);
        if new.unknown.is_empty() {
            tryout::update(&self.session.api(ctx), ctx, &cluster, &login).await?;
        }
        let kept = observed(old_state);
        let mut unknown = outputs::unknown_outputs(new);
        let mut observed = Observed { address: kept.address.filter(|_| old.ingress == new.value.ingress), ..kept };
        if cluster.keeper().is_none() {
            observed.uids.keeper = None;
        }
        if made_anew(&cluster, &observed.uids) {
            unknown.insert("uids".into());
        }
        Ok(foretell(&cluster, &login, &observed, unknown))
    }

    async fn update(
        &self,
        ctx: &Context,
        _id: &str,
        old: &ClusterArgs,
        old_state: Option<&ClusterState>,
        new: &ClusterArgs,
    ) -> Result<ClusterState, Failed> {
        let cluster = validated(&Known::all(new.clone()))?;
        let deadline = deadline(ctx, ROLLOUT_TIMEOUT);
        let api = self.session.api(ctx).until(deadline);
        let mut observed = Observed { address: None, ..observed(old_state) };
        let kept = Login { password: known_password(old_state), version: None };
        let leaving = |failure: Failed| failure.leaving(id(&cluster), outputs::outputs(&cluster, &kept, &observed));
        let same_version = same_password(old, new);
        let secret =
            if same_version && kept.password.is_some() { None } else { look::credentials(&api, &cluster).await.map_err(leaving)? };
        let before = login::Before { password: kept.password.clone(), same_version, secret, overridden: login::is_overridden(&cluster) };
        let login = login::resolve(&api, &cluster, before).await.map_err(leaving)?;
        if cluster.create_namespace && began_only(&observed.uids) {
            observed.uids.namespace = look::own_namespace(&api, &ctx.urn, &cluster.namespace).await.map_err(leaving)?;
        }
        let owns_namespace = cluster.create_namespace && observed.uids.namespace.is_some();
        let rollout =
            Rollout { ctx, api: &api, cluster: &cluster, login: &login, deadline, observed, owns_namespace, exists: true, old: Some(old) };
        let mut state = rollout.run().await?;
        if cluster.keeper().is_none() && (has_keeper(old) || state.uids.keeper.is_some()) {
            let (namespace, name) = (cluster.namespace.as_str(), cluster.name.as_str());
            let removal = removal::Removal { ctx, api: &api, deadline, namespace, name, args: Some(old), state: Some(&state) };
            removal.keeper().await.map_err(|failure| failure.leaving(id(&cluster), state.clone()))?;
            state.uids.keeper = None;
        }
        Ok(state)
    }

    async fn read(
        &self,
        ctx: &Context,
        id: &str,
        old: Option<&ClusterArgs>,
        old_state: Option<&ClusterState>,
    ) -> Result<Option<Found<ClusterArgs, ClusterState>>, Failed> {
        let (namespace, name) = self.place(id)?;
        let api = self.session.api(ctx);
        match look::around(&api, &namespace, &name, old, old_state).await {
            Ok(There::Nothing) => Ok(None),
            Ok(There::Rest(rest)) => Ok(rest.found(ctx, id, old, old_state)),
            Ok(There::Cluster(seen)) if old_state.is_some_and(|state| !seen.is_of(state)) => {
                ctx.report.warn(&format!(
                    "ClickHouseInstallation {namespace}/{name} is another one than this stack made, so the cluster counts as gone; to adopt that one run \
                     `pulumi import {} {} {namespace}/{name}`",
                    Self::TOKEN,
                    ctx.urn.name()
                ));
                Ok(None)
            }
            Ok(There::Cluster(seen)) => look::found(ctx, *seen, old, old_state).map(Some),
            Err(error) if error.is_unreachable() && self.session.settings().delete_unreachable => {
                ctx.report.warn(&format!("{error}; `deleteUnreachable` is set, so the cluster is dropped from the state"));
                Ok(None)
            }
            Err(error) => Err(error.to_failure()),
        }
    }

    async fn delete(&self, ctx: &Context, id: &str, old: Option<&ClusterArgs>, old_state: Option<&ClusterState>) -> Result<(), Failed> {
        let (namespace, name) = self.place(id)?;
        let deadline = deadline(ctx, DELETE_TIMEOUT);
        let api = self.session.api(ctx).until(deadline);
        let removal = removal::Removal { ctx, api: &api, deadline, namespace: &namespace, name: &name, args: old, state: old_state };
        match removal.run().await {
            Err(failure) if failure.kind == FailureKind::Unavailable && self.session.settings().delete_unreachable => {
                ctx.report
                    .warn(&format!("{}; `deleteUnreachable` is set, so the cluster is dropped from the state", failure.reasons.join("; ")));
                Ok(())
            }
            result => result,
        }
    }
}

impl Cluster {
    /// Namespace and name of an id: `namespace/name`, or `name` in the default namespace.
    fn place(&self, id: &str) -> Result<(String, String), Failed> {
        let (namespace, name) = match id.split_once('/') {
            Some((namespace, name)) => (namespace.to_owned(), name),
            None => (self.session.default_namespace(), id),
        };
        if namespace.is_empty() || name.is_empty() || name.contains('/') {
            return Err(Failure::new(
                FailureKind::Invalid,
                format!("`{id}` is no id of a cluster: write `namespace/name`, or `name` for the default namespace"),
            ));
        }
        Ok((namespace, name.to_owned()))
    }
}

/// The cluster that checked inputs describe.
fn validated(args: &Known<ClusterArgs>) -> Result<ValidatedCluster, Failed> {
    validate::validate(args).map_err(|failures| Failure {
        kind: FailureKind::Invalid,
        reasons: failures.iter().map(|failure| format!("{}: {}", failure.path, failure.reason)).collect(),
        partial: None,
    })
}

/// The cluster of the last run, as far as its inputs can still be understood.
fn complete(old: &ClusterArgs) -> Option<ValidatedCluster> {
    validate::validate(&Known::all(defaults::complete(old.clone(), false))).ok()
}

fn deadline(ctx: &Context, default: Duration) -> Instant {
    ctx.started + ctx.timeout.unwrap_or(default)
}

fn has_keeper(args: &ClusterArgs) -> bool {
    args.coordination.as_ref().is_some_and(|coordination| coordination.kind == Some(CoordinationType::Keeper))
}

/// Whether both inputs ask for the same password: a generated one of the same version.
fn same_password(old: &ClusterArgs, new: &ClusterArgs) -> bool {
    let generated = |args: &ClusterArgs| match &args.admin {
        Some(admin) if admin.password.is_some() || admin.existing_secret.is_some() => None,
        Some(admin) => Some(admin.password_version.clone().unwrap_or_default()),
        None => Some(String::new()),
    };
    matches!((generated(old), generated(new)), (Some(old), Some(new)) if old == new)
}

/// The login as far as it is known without asking anybody.
fn known_login(cluster: &ValidatedCluster, old_state: Option<&ClusterState>) -> Login {
    match &cluster.admin.credential {
        Credential::Given(password) => Login { password: Some(password.clone()), version: None },
        Credential::Existing { .. } => Login { password: None, version: None },
        Credential::Generated { version } => Login { password: known_password(old_state), version: Some(version.clone()) },
    }
}

/// Whether an update makes an object that is not there yet, or not any more.
fn made_anew(cluster: &ValidatedCluster, uids: &Uids) -> bool {
    uids.installation.is_none() || uids.service.is_none() || uids.secret.is_none() || (cluster.keeper().is_some() && uids.keeper.is_none())
}

/// Whether a create was interrupted before the installation was made: what else there is may not be known of.
fn began_only(uids: &Uids) -> bool {
    uids.installation.is_none() && uids.namespace.is_none()
}

/// What the state remembers of the API server.
fn observed(state: Option<&ClusterState>) -> Observed {
    let state = state.cloned().unwrap_or_default();
    Observed { uids: state.uids, address: state.external.and_then(|external| external.address) }
}

/// The outputs of a preview: a password that is not there yet, and an address that nobody has given yet, are unknown.
fn foretell(cluster: &ValidatedCluster, login: &Login, observed: &Observed, mut unknown: Paths) -> Preview<ClusterState> {
    if login.password.is_none() {
        unknown.extend(["password", "connection"].map(PropertyPath::from));
    }
    let state = outputs::outputs(cluster, login, observed);
    let waits_for_address = cluster.ingress.as_ref().is_some_and(|ingress| ingress.kind == args::IngressType::LoadBalancer);
    if waits_for_address && observed.address.is_none() {
        unknown.insert("external.address".into());
        if cluster.ingress.as_ref().is_some_and(|ingress| ingress.hostname.is_none()) {
            unknown.insert("external.endpoints".into());
        }
    }
    Preview { state, unknown }
}

/// The unique id that Kubernetes gave to an object.
fn uid(object: &Value) -> Option<String> {
    meta::uid(object).map(str::to_owned)
}

/// A text field of an object.
fn field<'a>(object: &'a Value, pointer: &str) -> Option<&'a str> {
    object.pointer(pointer)?.as_str()
}
