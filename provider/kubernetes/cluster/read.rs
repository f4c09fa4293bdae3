//! EFFECT: reads a cluster's objects, one request each, and turns them into inputs and outputs.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::adopt;
use super::aspects::{self, Aspect as _, ClusterArgs, Live, PASSWORD_KEY, Source, Tls};
use super::manifest::{Login, sha256_hex};
use super::members::{self, Members};
use super::objects::{self, Objects, Part, Row, TABLE, Uids, Whose, is_marked_by};
use super::outputs::{ServerFacts, outputs, recorded_members};
use super::shape::Shape;
use super::state::ClusterState;
use super::{Failed, authority, defaults, login, validate};
use crate::kubernetes::client::Api;
use crate::kubernetes::error::Error;
use crate::kubernetes::meta::{self, Kind, ObjectRef, incarnation, is_marked};
use crate::kubernetes::objects::fetch;
use crate::resource::{Autonaming, Context, Failure, FailureKind, Found, Known, Paths};

/// What is there of a cluster.
#[derive(Debug, Clone)]
pub(super) enum LiveState {
    /// Nothing of it exists.
    Absent,
    /// Its installation does not exist, but other objects of this provider's do: it was not made yet, or was
    /// deleted by hand.
    WithoutInstallation(Box<Remnants>),
    /// The cluster.
    Present(Box<LiveCluster>),
}

/// The objects of a cluster without its installation.
#[derive(Debug, Clone)]
pub(super) struct Remnants(Objects);

/// A cluster as it is there.
#[derive(Debug, Clone)]
pub(super) struct LiveCluster {
    live: Live,
    /// The objects that no input is read from.
    others: Objects,
    /// The authority that has signed the hosts' certificate, where it is told.
    ca_certificate: Option<String>,
    /// The Services of the Keeper's members, where they can be read.
    members: Option<Members>,
    /// The administrator's password of a cluster that somebody else made, where that can be read.
    password: Option<SecretString>,
    /// The passwords in Secrets that inputs name.
    referred: login::Found,
}

/// Reads a cluster's objects; one with its mark that this provider did not make is not one of them. What
/// inputs and outputs don't have is not looked for, unless nothing is known.
pub(super) async fn live_state(
    api: &Api,
    namespace: &str,
    name: &str,
    old: Option<&ClusterArgs>,
    old_state: Option<&ClusterState>,
) -> Result<LiveState, Error> {
    let described = old.map(validate::last_anyway);
    let is_known = |row: &Row| old_state.is_some_and(|state| state.uids[row.part].is_some());
    let may_be = |row: &Row| {
        let is_wanted = described.as_ref().map_or(!row.is_traced(), |cluster| row.is_wanted(cluster));
        row.is_own() && (is_known(row) || is_wanted)
    };
    let mut found = objects::read(api, namespace, name, false, may_be).await?;
    // Without inputs, or after an update that ended before the state was written, the installation tells what
    // else may be there.
    if let Some(installation) = found.installation.clone() {
        let is_coordinated = installation.pointer("/spec/configuration/zookeeper").is_some();
        let rest = |row: &Row| {
            let is_told = row.is_traced() && row.may_be_of(&installation);
            !may_be(row) && (is_told || row.part == Part::Keeper && is_coordinated)
        };
        let mut rest = Box::pin(objects::read(api, namespace, name, false, rest)).await?;
        for Row { part, .. } in TABLE {
            found[*part] = found[*part].take().or(rest[*part].take());
        }
    }
    for row in TABLE.iter().filter(|row| row.whose == Whose::Marked) {
        found[row.part].take_if(|found| !is_marked(found));
    }
    let Some(installation) = found.installation.take() else {
        return Ok(if found.secret.is_some() {
            LiveState::WithoutInstallation(Box::new(Remnants(found)))
        } else {
            LiveState::Absent
        });
    };
    let adopted = old.and_then(ClusterArgs::adopted).cloned();
    let live = Live {
        backup: found.backup.take(),
        ..Live::new(installation, found.keeper.take(), found.service.take(), adopted)
    };
    let password = if live.adopted.is_some() {
        Box::pin(foreign_password(api, namespace, live.spec())).await
    } else {
        None
    };
    let secret = match &described {
        Some(cluster) => cluster.tls.secret().map(str::to_owned),
        None => Tls::read(&live).and_then(|tls| tls.secret_name),
    };
    let ca_certificate = match secret {
        Some(secret) => {
            let last = old_state.and_then(|state| state.ca_certificate.clone());
            Box::pin(authority::read(api, namespace, &secret, last)).await
        }
        None => None,
    };
    let members = match live.keeper.as_ref().and_then(meta::uid) {
        Some(uid) => Box::pin(members::read(api, namespace, name, uid)).await,
        None => None,
    };
    let referred = match &described {
        Some(described) => Box::pin(login::found(api, described)).await,
        None => login::Found::default(),
    };
    Ok(LiveState::Present(Box::new(LiveCluster {
        live,
        others: found,
        ca_certificate,
        members,
        password,
        referred,
    })))
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

impl Remnants {
    /// What is left of a cluster of this stack's; `None` when these objects are another one's. Its next
    /// update makes what is missing.
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

impl LiveCluster {
    /// One of its objects.
    fn object(&self, part: Part) -> Option<&Value> {
        match part {
            Part::Installation => Some(&self.live.installation),
            Part::Keeper => self.live.keeper.as_ref(),
            Part::Service => self.live.service.as_ref(),
            Part::Backup => self.live.backup.as_ref(),
            other => self.others[other].as_ref(),
        }
    }

    /// The ClickHouseInstallation.
    pub(super) fn installation(&self) -> &Value {
        &self.live.installation
    }

    /// The CronJob of its backups, where it has one.
    pub(super) fn backup(&self) -> Option<&Value> {
        self.live.backup.as_ref()
    }

    /// Whether the installation is the one that `state` tells of.
    pub(super) fn matches(&self, state: &ClusterState) -> bool {
        state.uids.installation.is_none()
            || state.uids.installation == meta::owned_uid(&self.live.installation)
    }
}

/// The inputs and outputs that `seen` corresponds to. A cluster that nothing is known of is described as it
/// is; one from the state keeps its inputs except where it drifted.
pub(super) fn found(
    ctx: &Context,
    seen: &LiveCluster,
    old: Option<&ClusterArgs>,
    old_state: Option<&ClusterState>,
) -> Result<Found<ClusterArgs, ClusterState>, Failed> {
    let (live, secret) = (&seen.live, seen.others.secret.as_ref());
    let written_version = old.and_then(|old| old.image.version.clone());
    let old = old.map(|old| old.running(old_state.map(ClusterState::version_to_run)));
    let old = old.as_ref();
    let known = old_state.and_then(ClusterState::secret_password);
    let stored = secret.and_then(|secret| login::decode(secret, PASSWORD_KEY)).map(SecretString::from);
    let (mut login, mut secret_is_sound) = match &live.adopted {
        // Its own Secret, once it has one, holds what was given or made since.
        Some(_) if stored.is_none() => (login::of_password(seen.password.clone().or(known)), true),
        _ => settle(live, known, stored),
    };
    login.users = users_hashes(live, old, &seen.referred);
    // The Secret has to be written anew with what the one has now that the inputs name.
    if let (Some(referred), Some(password)) = (&seen.referred.admin, &login.password) {
        secret_is_sound &= referred.expose_secret() == password.expose_secret();
    }
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
    let mut described = inputs.clone();
    if let Some(version) = &found_version {
        described.image.version = Some(version.clone());
    }
    let filled = defaults::fill(&ctx.urn, &Autonaming::Default, namespace, None, &Known::all(described));
    let cluster = filled
        .map_err(|failure| vec![failure])
        .and_then(|args| validate::validate(&Known::all(args)))
        .map_err(|failures| Failure {
            kind: FailureKind::Invalid,
            reasons: failures
                .iter()
                .map(|failure| {
                    format!(
                        "the cluster can't be expressed in this provider's inputs: {}: {}",
                        failure.path, failure.reason
                    )
                })
                .collect(),
            partial: None,
        })?;
    let last = |part| old_state.and_then(|state: &ClusterState| state.uids[part].clone());
    let mut facts = ServerFacts {
        uids: Uids::default(),
        address: None,
        ca_certificate: seen.ca_certificate.clone(),
        members: seen.members.clone().unwrap_or_else(|| {
            old.map(|old| recorded_members(old_state, || Shape::last(old))).unwrap_or_default()
        }),
        kubernetes: old_state.and_then(|state| state.kubernetes.clone()),
        incarnation: match old_state {
            Some(state) => state.incarnation.clone(),
            None => secret.and_then(incarnation).map(str::to_owned),
        },
        restores: old_state.is_some_and(|state| state.restores),
    };
    for Row { part, .. } in TABLE.iter().filter(|row| !row.is_own()) {
        facts.uids[*part] = last(*part);
    }
    // One that is not this cluster's is left alone, one that was to be deleted is still known.
    let is_of_this = |row: &Row, found: &Value| {
        row.is_wanted(&cluster) || last(row.part).is_some_and(|last| meta::uid(found) == Some(last.as_str()))
    };
    for row in TABLE {
        if let Some(found) = seen.object(row.part).filter(|found| is_of_this(row, found)) {
            facts.note(row.part, found);
        }
    }
    let mut state = outputs(&cluster, &login, &facts);
    let written = old.and_then(|old| adopt::render(old, &ctx.urn, &login)).unwrap_or_default();
    let is_damaged = |row: &Row, found: &Value| {
        written[row.part].as_ref().is_some_and(|written| row.is_damaged(written, found))
    };
    for row in TABLE.iter().filter(|row| row.is_own() && row.is_wanted(&cluster)) {
        let is_whole = seen.object(row.part).is_some_and(|found| !is_damaged(row, found));
        if !is_whole || row.part == Part::Secret && !secret_is_sound {
            // A refresh tells it, so that the next update mends it.
            row.report_missing(&mut state);
        }
    }
    // Of an adopted cluster that names no version it is known that it is to run what it ran.
    if let Some(known) = old_state.filter(|state| !state.version.is_empty() || live.adopted.is_some()) {
        let wanted = known.version_to_run().to_owned();
        state.version = found_version.unwrap_or_else(|| wanted.clone());
        state.wanted_version = Some(wanted).filter(|wanted| *wanted != state.version);
    }
    let secrets = aspects::credentials(&inputs);
    Ok(Found { id: cluster.naming.id(), inputs, state, secrets })
}

/// What ClickHouse is to store of the users' passwords that Secrets hold; where such a Secret can't be read,
/// what it stores.
fn users_hashes(live: &Live, old: Option<&ClusterArgs>, referred: &login::Found) -> BTreeMap<String, String> {
    let Some(old) = old.map(validate::last_anyway) else { return BTreeMap::new() };
    let stored = |user: &str| {
        let field = format!("{user}/password_sha256_hex");
        live.spec()["configuration"]["users"][field].as_str().map(str::to_owned)
    };
    let each = old.users.of_secrets().filter_map(|(user, ..)| {
        let hash = referred.users.get(user).cloned().or_else(|| stored(user))?;
        Some((user.to_owned(), hash))
    });
    each.collect()
}

/// The password, and whether the Secret agrees with it. Where state and Secret differ, the installation
/// decides.
fn settle(live: &Live, known: Option<SecretString>, stored: Option<SecretString>) -> (Login, bool) {
    let users = &live.installation["spec"]["configuration"]["users"];
    let is_in_force = |password: &SecretString| {
        let hash = sha256_hex(password.expose_secret());
        users.as_object().is_some_and(|users| {
            users
                .iter()
                .any(|(key, value)| key.ends_with("/password_sha256_hex") && value.as_str() == Some(&hash))
        })
    };
    let same = |one: &SecretString, other: &SecretString| one.expose_secret() == other.expose_secret();
    let (password, sound) = match (known, stored) {
        (Some(known), Some(stored)) if same(&known, &stored) => (Some(known), true),
        (_, Some(stored)) if is_in_force(&stored) => (Some(stored), true),
        (known, _) => (known, false),
    };
    (login::of_password(password), sound)
}
