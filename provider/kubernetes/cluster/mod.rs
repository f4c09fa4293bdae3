//! `clickhouse:kubernetes:Cluster`: a whole ClickHouse cluster as one resource.
//!
//! Inputs go straight down: [`args`] → [`validate`] → [`manifest`] → [`rollout`] (the only writer) →
//! [`outputs`]. What comes back from the API server goes up through [`adopt`] into inputs again.

mod address;
mod adopt;
pub mod aspects;
mod authority;
mod claim;
mod costs;
mod defaults;
mod delete;
mod diff;
mod dry_run;
mod effects;
mod existing;
pub mod get;
mod guard;
mod kube_context;
pub mod list;
mod live;
mod login;
mod manifest;
mod members;
mod names;
mod namespace;
mod objects;
mod outputs;
mod overrides;
mod read;
mod restarts;
mod restore;
mod rollout;
pub mod settings;
mod shape;
mod shared;
pub mod state;
mod survey;
mod task;
#[cfg(test)]
mod tests;
mod two_steps;
mod validate;

use std::time::Duration;

use self::aspects::{ClusterArgs, Defaults, Naming};
use self::existing::Reads;
use self::guard::Growing;
use self::live::Live;
use self::objects::{PerPart, Row, TABLE, is_marked_by};
use self::outputs::ServerFacts;
use self::read::LiveState;
use self::rollout::Rollout;
use self::settings::stages::HeldBack;
use self::shape::Shape;
use self::state::{ClusterState, Uids};
use crate::kubernetes::client::Session;
use crate::kubernetes::error::{Error, Reach};
use crate::kubernetes::meta;
use crate::property::path::PropertyPath;
use crate::resource::{
    Autonaming, CheckFailure, Context, Diff, Existing, Failure, FailureKind, Found, Known, Preview, Resource,
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
    const DOCS: &'static str = include_str!("docs.md");
    const IDENTITY: &'static [&'static str] = &["uids", "incarnation", "kubernetes", "credentialsSecret"];

    async fn check(
        &self,
        ctx: &Context,
        autonaming: &Autonaming,
        old: Option<&ClusterArgs>,
        new: &Known<ClusterArgs>,
    ) -> Result<ClusterArgs, Vec<CheckFailure>> {
        let mut new = new.clone();
        if old.is_none() {
            new.value.defaults.get_or_insert_with(|| Box::new(Defaults::of_new()));
        }
        let new = &new;
        let filled = defaults::fill(&ctx.urn, autonaming, &self.session.default_namespace(), old, new)
            .map_err(|failure| vec![failure])?;
        let known = Known { value: filled, unknown: new.unknown.clone() };
        let mut failures = validate::program(&known, old);
        let others = [
            guard::overridden_hosts(old, &known),
            overrides::conflicts(new, &known.value),
            settings::refusals(old, &known),
        ];
        // The first thing that is wrong with a property is told.
        for problem in others.into_iter().flatten() {
            if !failures.iter().any(|failure| failure.path == problem.path) {
                failures.push(problem);
            }
        }
        if let Some(old) = old {
            let refusals = guard::of_inputs(old, &known);
            failures.extend(live::reconsider(&self.session.api(ctx), old, &known, refusals).await);
        }
        if !failures.is_empty() {
            return Err(failures);
        }
        let rotated = match old {
            Some(_) => Box::pin(login::rotated(&self.session.api(ctx), &known)).await,
            None => Vec::new(),
        };
        Ok(known.value.with_rotated(rotated))
    }

    fn diff(&self, old: &ClusterArgs, old_state: Option<&ClusterState>, new: &Known<ClusterArgs>) -> Diff {
        diff::diff(old, old_state, new)
    }

    async fn preview_create(
        &self,
        ctx: &Context,
        new: &Known<ClusterArgs>,
    ) -> Result<Preview<ClusterState>, Failed> {
        let mut cluster = validate::validate(new)?;
        if new.unknown.is_empty() {
            let _turn = self.session.turn(ctx).await;
            cluster = Box::pin(dry_run::create(&self.session.api(ctx), ctx, new, cluster)).await?;
        }
        for risk in effects::risks(&Shape::rendered(&cluster)) {
            ctx.report.warn(&risk);
        }
        let mut unknown = aspects::unknown_outputs(new);
        unknown.extend(["uids", "kubernetes", "incarnation"].map(PropertyPath::from));
        unknown.extend(new.value.tls.as_ref().map(|_| "caCertificate".into()));
        Ok(outputs::preview(&cluster, &login::known(&cluster, None), &ServerFacts::default(), unknown))
    }

    async fn create(&self, ctx: &Context, new: Box<ClusterArgs>) -> Result<Existing<ClusterState>, Failed> {
        let deadline = ctx.deadline(ROLLOUT_TIMEOUT);
        let api = self.session.api(ctx).until(deadline);
        let failed = |error: Error| error.to_failure();
        let turn = api.session().turn(ctx).await;
        // A future of its own: none of it is needed for the wait, and a thousand clusters can wait at once.
        let prepared = async {
            let new = Known::all(*new);
            let (mut cluster, mut growing) = (validate::validate(&new)?, Growing::default());
            let there = existing::read(&api, &cluster, Reads::AllButFirst).await.map_err(failed)?;
            there.refuse_unowned(ctx, &cluster)?;
            if let Some((kept, grows)) = there.take_over(&api, ctx, &new).await? {
                (cluster, growing) = (validate::validate(&kept)?, grows);
            }
            let kubernetes =
                kube_context::verified(&api, &cluster.naming.namespace, None).await.map_err(failed)?;
            let before = login::Before {
                secret: there.secret().cloned(),
                overridden: login::is_overridden(&cluster),
                ..login::Before::default()
            };
            let login = login::resolve(&api, ctx, &cluster, before).await?;
            let mut rollout = Rollout {
                ctx,
                api: &api,
                login,
                deadline,
                facts: ServerFacts {
                    uids: there.uids(),
                    kubernetes,
                    incarnation: there.incarnation(),
                    restores: restore::is_due(ctx, &cluster, &there),
                    ..ServerFacts::default()
                },
                owns_namespace: there.owns_namespace(&ctx.urn, &cluster),
                cluster,
                exists: there.is_continued(),
                incarnation: Some(task::new_id()),
                growing,
                old: None,
                kept: PerPart::default(),
                held: HeldBack::default(),
                turn,
            };
            rollout.hold_back(there.objects()).await?;
            Ok::<_, Failed>(rollout)
        };
        let mut rollout = Box::pin(prepared).await?;
        let state = rollout.run().await?;
        Ok(Existing { id: rollout.cluster.naming.id(), state })
    }

    async fn preview_update(
        &self,
        ctx: &Context,
        _id: &str,
        old: &ClusterArgs,
        old_state: Option<&ClusterState>,
        new: &Known<ClusterArgs>,
    ) -> Result<Preview<ClusterState>, Failed> {
        let version = old_state.map(ClusterState::version_to_run);
        let old = &old.as_they_ran(old_state);
        let new = &Known { value: new.value.running(version), unknown: new.unknown.clone() };
        let cluster = validate::validate(new)?;
        let login = login::known(&cluster, old_state.filter(|_| new.value.has_password_of(old)));
        if ["name", "namespace", "clusterName"]
            .iter()
            .any(|path| new.unknown.contains(&PropertyPath::from(*path)))
        {
            ctx.report.info(
                "the name, namespace or clusterName is not known yet; if it changes, the update \
                is refused, since the data would be left behind",
            );
        }
        let (mut from, to) = (Shape::last(old), Shape::rendered(&cluster));
        let members = outputs::recorded_members(old_state, || from.clone());
        effects::tell(ctx, &from, &to, Some(old), new);
        restore::tell_unheard(ctx, old, old_state, &new.value);
        two_steps::tell(ctx, old, &cluster);
        if new.unknown.is_empty() {
            let api = self.session.api(ctx);
            let _turn = self.session.turn(ctx).await;
            let last = validate::last_anyway(old);
            let found = Box::pin(dry_run::update(&api, ctx, &last, &cluster, &login, old_state)).await?;
            if let Some(found) = found {
                match Box::pin(Live::among(&api, &last, &found)).await {
                    Ok(live) => {
                        shared::refuse_shared(old, &cluster, found.installation.as_ref())?;
                        CheckFailure::none(live.refusals(&to, new))?;
                        from = live.shape().clone();
                        survey::expandable(&api, &from, &to, new).await?;
                    }
                    Err(error) if error.is_premature() => {}
                    Err(error) => return Err(error.to_failure()),
                }
            }
        }
        let kept = ServerFacts { members, ..ServerFacts::recorded(old_state) };
        let former = validate::last_anyway(old).ingress;
        let lost = former.warning(&cluster.ingress, kept.address.as_deref());
        for warning in guard::warnings(&from, &to, new).into_iter().chain(lost) {
            ctx.report.warn(&warning);
        }
        let mut unknown = aspects::unknown_outputs(new);
        if new.value.tls.is_some() && new.value.tls != old.tls {
            unknown.insert("caCertificate".into());
        }
        let mut facts =
            ServerFacts { address: kept.address.filter(|_| old.ingress == new.value.ingress), ..kept };
        for row in TABLE.iter().filter(|row| row.is_own() && !row.is_wanted(&cluster)) {
            facts.uids[row.part] = None;
        }
        if facts.uids.lack_any_of(&cluster) {
            unknown.insert("uids".into());
        }
        Ok(outputs::preview(&cluster, &login, &facts, unknown))
    }

    async fn update(
        &self,
        ctx: &Context,
        _id: &str,
        old: &ClusterArgs,
        old_state: Option<&ClusterState>,
        new: &ClusterArgs,
    ) -> Result<ClusterState, Failed> {
        // Not in the future itself, which a thousand clusters wait in.
        let inputs =
            Box::new((old.as_they_ran(old_state), new.running(old_state.map(ClusterState::version_to_run))));
        let (old, new) = (&inputs.0, &inputs.1);
        let cluster = validate::validate(&Known::all(new.clone()))?;
        let deadline = ctx.deadline(ROLLOUT_TIMEOUT);
        let api = self.session.api(ctx).until(deadline);
        let mut facts = ServerFacts { address: None, ..ServerFacts::recorded(old_state) };
        // An error before the first write leaves the state as it was.
        let here =
            Box::pin(kube_context::verified(&api, &cluster.naming.namespace, facts.kubernetes.as_ref()))
                .await;
        facts.kubernetes = here.map_err(|error| error.to_failure())?.or(facts.kubernetes);
        let Naming { namespace, name, .. } = &cluster.naming.clone();
        let deletion =
            delete::Deletion { ctx, api: &api, deadline, namespace, name, args: Some(old), state: old_state };
        let turn = api.session().turn(ctx).await;
        // A future of its own: none of it is needed for the wait, and a thousand clusters can change at once.
        let prepared = async {
            // What is there may be more than the inputs of the last run tell: after a change that was half
            // made, or an edit by hand.
            let described = validate::last_anyway(old);
            facts.members = outputs::recorded_members(old_state, || Shape::rendered(&described));
            let asks = |row: &Row| row.is_wanted(&cluster) || row.is_own() && row.is_wanted(&described);
            let found = Box::pin(objects::read(&api, namespace, name, false, asks))
                .await
                .map_err(|error| error.to_failure())?;
            let live =
                Box::pin(Live::among(&api, &described, &found)).await.map_err(|error| error.to_failure())?;
            let (known, to) = (Known::all(new.clone()), Shape::rendered(&cluster));
            CheckFailure::none(live.refusals(&to, &known))?;
            Box::pin(survey::expandable(&api, live.shape(), &to, &known)).await?;
            let growing = guard::growing(live.shape(), &to);
            existing::refuse_foreign(ctx, &cluster, &facts.uids, &found)?;
            shared::refuse_shared(old, &cluster, found.installation.as_ref())?;
            let before = login::Before {
                password: old_state.and_then(ClusterState::secret_password),
                same_version: new.has_password_of(old),
                secret: found.secret.clone().filter(meta::is_marked),
                overridden: login::is_overridden(&cluster),
            };
            let login = Box::pin(login::resolve(&api, ctx, &cluster, before)).await?;
            if cluster.naming.create_namespace && facts.uids.create_interrupted() {
                facts.uids.namespace = found
                    .namespace
                    .as_ref()
                    .filter(|found| is_marked_by(found, &ctx.urn))
                    .and_then(meta::owned_uid);
            }
            let owns_namespace = cluster.naming.create_namespace && facts.uids.namespace.is_some();
            let stale = live.stale_claims(&to);
            // Nothing is awaited in a turn.
            let turn = turn.filter(|_| stale.is_empty());
            Box::pin(deletion.claims(&stale)).await?;
            let mut rollout = Rollout {
                ctx,
                api: &api,
                cluster,
                login,
                deadline,
                facts,
                owns_namespace,
                exists: false,
                incarnation: None,
                growing,
                old: Some(old),
                kept: PerPart::default(),
                held: HeldBack::default(),
                turn,
            };
            rollout.keep(&found);
            Box::pin(rollout.hold_back(&found)).await?;
            Ok::<_, Failed>(rollout)
        };
        let mut rollout = Box::pin(prepared).await?;
        let mut state = rollout.run().await?;
        // Hosts that have not been told yet still need it.
        if new.is_awaited() {
            let deletion = delete::Deletion { state: Some(&state), ..deletion };
            let left = Box::pin(deletion.unwanted(&rollout.cluster)).await;
            state.uids =
                left.map_err(|failure| failure.leaving(rollout.cluster.naming.id(), state.clone()))?;
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
        let (namespace, name) = names::place(id, || self.session.default_namespace())?;
        let api = self.session.api(ctx);
        let recorded = old_state.and_then(|state| state.kubernetes.as_ref());
        let looked = async {
            let here = kube_context::verified(&api, &namespace, recorded).await?;
            let there = read::live_state(&api, &namespace, &name, old, old_state).await?;
            match (&there, &here) {
                (LiveState::Absent, None) if old_state.is_some_and(|state| state.uids != Uids::default()) => {
                    Err(kube_context::undetermined(&api, &ctx.urn, &namespace, &name, recorded))
                }
                _ => Ok((there, here)),
            }
        };
        let (there, here) =
            Box::pin(looked).await.map_or_else(|error| (Err(error), None), |(there, here)| (Ok(there), here));
        match there {
            Ok(LiveState::Absent) => Ok(None),
            Ok(LiveState::WithoutInstallation(rest)) => Ok(rest.found(ctx, id, old, old_state)),
            Ok(LiveState::Present(seen)) if old_state.is_some_and(|state| !seen.matches(state)) => {
                ctx.report.warn(&format!(
                    "ClickHouseInstallation {namespace}/{name} was not created by this stack, so the cluster \
                        counts as deleted; to adopt it run \
                     `pulumi import {} {} {namespace}/{name}`",
                    Self::TOKEN,
                    ctx.urn.name()
                ));
                Ok(None)
            }
            Ok(LiveState::Present(seen)) => {
                let mut found = read::found(ctx, &seen, old, old_state)?;
                found.state.kubernetes = here.or(found.state.kubernetes);
                Ok(Some(found))
            }
            Err(error) if error.reach() == Reach::NoServer && self.session.is_given_up().await => {
                ctx.report.warn(&format!(
                    "{error}; `deleteUnreachable` is set, so the cluster is dropped from the state"
                ));
                Ok(None)
            }
            Err(error) => Err(error.to_failure()),
        }
    }

    async fn delete(
        &self,
        ctx: &Context,
        id: &str,
        old: Option<&ClusterArgs>,
        old_state: Option<&ClusterState>,
    ) -> Result<(), Failed> {
        let (namespace, name) = names::place(id, || self.session.default_namespace())?;
        let deadline = ctx.deadline(DELETE_TIMEOUT);
        let api = self.session.api(ctx).until(deadline);
        let deletion = delete::Deletion {
            ctx,
            api: &api,
            deadline,
            namespace: &namespace,
            name: &name,
            args: old,
            state: old_state,
        };
        match deletion.run().await {
            Err(failure) if failure.kind == FailureKind::NoServer && self.session.is_given_up().await => {
                ctx.report.warn(&format!(
                    "{}; `deleteUnreachable` is set, so the cluster is dropped from the state",
                    failure.reasons.join("; ")
                ));
                Ok(())
            }
            result => result,
        }
    }
}
