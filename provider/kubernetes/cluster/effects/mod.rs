//! What an update does to what runs, told in its preview: from one shape of the cluster to another. Pure.

mod pods;

use std::collections::{BTreeMap, BTreeSet};

use self::pods::{pod, pod_changes};
use super::aspects::{ClusterArgs, Provisioner, ReclaimPolicy};
use super::costs::{self, Cost};
use super::restarts;
use super::shape::{Ensemble, Holds, Host, Installation, Shape, image};
use crate::kubernetes::quantity;
use crate::property::path::PropertyPath;
use crate::resource::{Context, Known};

/// Why hosts restart, in the order in which it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    Image,
    Resources,
    Coordination,
    Labels,
    Annotations,
    RestartToken,
    Troubleshoot,
    InterserverSecret,
    AntiAffinity,
    Pod,
    Volumes,
    Provisioner,
    Settings,
    Files,
    Profiles,
    Backup,
    Overrides,
}

/// Those that an input may have which is not known yet; hardly anything in a profile is one.
const REASONS: [Reason; 16] = [
    Reason::Image,
    Reason::Resources,
    Reason::Coordination,
    Reason::Labels,
    Reason::Annotations,
    Reason::RestartToken,
    Reason::Troubleshoot,
    Reason::InterserverSecret,
    Reason::AntiAffinity,
    Reason::Pod,
    Reason::Volumes,
    Reason::Provisioner,
    Reason::Settings,
    Reason::Files,
    Reason::Backup,
    Reason::Overrides,
];

impl Reason {
    /// Whether many inputs can be the reason.
    const fn is_general(self) -> bool {
        matches!(self, Self::Pod | Self::Overrides)
    }

    /// How it is told, and the inputs that it follows from.
    fn told(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Image => ("image", &["version", "image"]),
            Self::Resources => ("resources", &["resources"]),
            Self::Coordination => ("coordination", &["coordination", "replicas", "layout"]),
            Self::Labels => ("labels", &["labels"]),
            Self::Annotations => ("annotations", &["annotations"]),
            Self::RestartToken => ("restartToken", &["restartToken"]),
            Self::Troubleshoot => ("troubleshoot", &["troubleshoot"]),
            Self::InterserverSecret => ("interserverSecret", &["interserverSecret"]),
            Self::AntiAffinity => ("affinity", &["replicas", "layout", "pod"]),
            Self::Pod => ("pod", &["pod", "chiOverrides"]),
            Self::Volumes => ("volumes", &["storage"]),
            Self::Provisioner => ("storage.provisioner", &["storage.provisioner"]),
            Self::Settings => ("settings", &["settings"]),
            Self::Files => ("files", &["files"]),
            Self::Profiles => ("profiles", &["profiles"]),
            Self::Backup => ("backup", &["backup"]),
            Self::Overrides => ("chiOverrides", &["chiOverrides"]),
        }
    }
}

/// Tells in a preview what the step from one shape to another does, and what each input costs that hosts take
/// over while they run. `old` and `new` are the inputs of the two, as far as there are any.
pub(super) fn tell(
    ctx: &Context,
    from: &Shape,
    to: &Shape,
    old: Option<&ClusterArgs>,
    new: &Known<ClusterArgs>,
) {
    let costs = old.map(|old| costs::costs(from, old, new)).unwrap_or_default();
    let of = |cost| costs.iter().filter(move |(_, other)| *other == cost).map(|(path, _)| path.clone());
    let restarting: Vec<_> = of(Cost::Restart).collect();
    for effect in effects_for(from, to, new, &restarting) {
        ctx.report.info(&effect);
    }
    for (cost, effect) in [
        (Cost::Growth, "grows the volumes while the hosts run"),
        (Cost::Live, "takes effect without a restart"),
    ] {
        let paths: Vec<_> = of(cost).map(|path| format!("`{path}`")).collect();
        if !paths.is_empty() {
            ctx.report.info(&format!("{effect}: {}", paths.join(", ")));
        }
    }
    for warning in warnings(from, to, new) {
        ctx.report.warn(&warning);
    }
}

/// What a user should know before saying yes, a sentence each; nothing when no host notices. `new` are the
/// inputs of the shape `to`: what is not known yet may have an effect.
///
/// The rules are the operator's (0.25): a changed pod template or coordination rolls host by host; users, log
/// level and networks are reloaded; volumes of the provisioner `Operator` grow in place.
pub(super) fn effects<T>(from: &Shape, to: &Shape, new: &Known<T>) -> Vec<String> {
    effects_for(from, to, new, &[])
}

/// The same; `restarting` names the inputs that hosts restart for, where that is known of each.
fn effects_for<T>(from: &Shape, to: &Shape, new: &Known<T>, restarting: &[PropertyPath]) -> Vec<String> {
    let is_unknown = |inputs: &[&str]| inputs.iter().any(|input| new.is_unknown(&PropertyPath::from(*input)));
    if is_unknown(&["name", "namespace", "clusterName"]) {
        return Vec::new();
    }
    let (old, now) = (&from.clickhouse, &to.clickhouse);
    let mut told = Vec::new();
    match (old.stopped, now.stopped) {
        (false, true) => told.push("stops all hosts; volumes and settings are kept".to_owned()),
        (true, false) => told.push("starts all hosts".to_owned()),
        (true, true) => {}
        (false, false) => told.extend(restart(from, to, restarting, is_unknown)),
    }
    if let (Some(old), Some(now)) = (&from.keeper, &to.keeper)
        && !is_unknown(&["coordination", "version"])
        && (kept(old, now).any(|(before, after)| pod(old, before) != pod(now, after))
            || old.labels != now.labels
            || old.annotations != now.annotations
            || restarts::of_keeper(old, now))
    {
        told.push("restarts the Keeper's members, one after the other".to_owned());
    }
    if !is_unknown(&["shards", "layout"]) {
        told.extend(growth(old, now));
    }
    if !is_unknown(&["shards", "replicas", "layout"]) {
        told.extend(left_behind(from, to));
    }
    told.extend(access_modes(old, now));
    if old.fqdn("*") != now.fqdn("*") && !is_unknown(&["clusterDomain"]) {
        told.push(format!(
            "gives the hosts other DNS names (`{}`); clients have to use these",
            now.fqdn("*")
        ));
    }
    told
}

/// What may go wrong with the update though no data is given up for it, a sentence each, with the input.
pub(super) fn warnings<T>(from: &Shape, to: &Shape, new: &Known<T>) -> Vec<String> {
    let is_known = |input: &str| !new.is_unknown(&PropertyPath::from(input));
    let mut told = if risks(from).is_empty() { risks(to) } else { Vec::new() };
    let keepers =
        from.keeper.as_ref().zip(to.keeper.as_ref()).map(|pair| ("coordination.keeper.image", pair));
    for (input, (old, now)) in std::iter::once(("version", (&from.clickhouse, &to.clickhouse))).chain(keepers)
    {
        let downgrade = kept(old, now)
            .find_map(|(before, after)| downgrade(image(old.pod(before)), image(now.pod(after))));
        if let Some((older, newer)) =
            downgrade.filter(|_| is_known("version") && is_known("image") && is_known(input))
        {
            told.push(format!(
                "{input}: `{newer}` is older than `{older}`, and may not be able to read its data"
            ));
        }
    }
    let with_logs = |installation: &Installation| -> BTreeSet<String> {
        installation
            .claims
            .values()
            .filter(|claim| claim.holds == Holds::Logs)
            .map(|claim| claim.host.clone())
            .collect()
    };
    let (had, have) = (with_logs(&from.clickhouse), with_logs(&to.clickhouse));
    if is_known("storage")
        && kept(&from.clickhouse, &to.clickhouse)
            .any(|(host, _)| !had.contains(&host.name) && have.contains(&host.name))
    {
        told.push(
            "storage.logs: the operator can mistake a new volume of a host with tables for a lost one and \
                recreate the StatefulSet and the tables; back up what is not replicated"
                .to_owned(),
        );
    }
    told
}

/// What a cluster of this shape will come to one day, a sentence each, with the input.
pub(super) fn risks(shape: &Shape) -> Vec<String> {
    let has = |installation: &Installation, policy| {
        installation.claims.values().any(|claim| claim.policy == policy)
    };
    let outlived = shape.keeper.as_ref().is_some_and(|keeper| {
        has(keeper, ReclaimPolicy::Delete) && has(&shape.clickhouse, ReclaimPolicy::Retain)
    });
    let reason = "coordination.keeper.storage.reclaimPolicy: `Delete` while the data is retained: when the \
        cluster is deleted, the Keeper's metadata of replicated tables is deleted, and on the retained \
        volumes these are read-only";
    let sleeps = "troubleshoot: ClickHouse does not run as long as it is true; no query is answered";
    let removed = shape.removed_syntax.iter().map(|setting| {
        format!(
            "configuration.users.{setting}: operator 0.27.4 and newer refuse an installation with it; before \
                the operator is upgraded write the setting without `k8s_secret_` and its value as \
                `valueFrom.secretKeyRef`"
        )
    });
    [outlived.then_some(reason), shape.clickhouse.sleeps.then_some(sleeps)]
        .into_iter()
        .flatten()
        .map(str::to_owned)
        .chain(removed)
        .collect()
}

/// The hosts' restart, and why.
fn restart(
    from: &Shape,
    to: &Shape,
    restarting: &[PropertyPath],
    is_unknown: impl Fn(&[&str]) -> bool,
) -> Option<String> {
    let (old, new) = (&from.clickhouse, &to.clickhouse);
    let hosts: Vec<_> = kept(old, new).collect();
    let (mut all, mut some) = (BTreeSet::new(), BTreeMap::new());
    let of_clusters = |differ: &dyn Fn(&str) -> bool| hosts.iter().any(|(host, _)| differ(&host.cluster));
    let by_part = |part| restarts::by_part(from, to, part);
    for (reason, differs) in [
        (Reason::Coordination, restarts::by_coordination(from, to)),
        (Reason::Labels, old.labels != new.labels),
        (Reason::Annotations, old.annotations != new.annotations),
        (Reason::Troubleshoot, old.sleeps != new.sleeps),
        (
            Reason::InterserverSecret,
            of_clusters(&|cluster| from.secrets.get(cluster) != to.secrets.get(cluster)),
        ),
        (Reason::Settings, by_part("settings")),
        (Reason::Files, by_part("files")),
        (Reason::Profiles, by_part("profiles")),
        (Reason::Overrides, by_part("users")),
    ] {
        if differs {
            all.insert(reason);
        }
    }
    let (old_volumes, new_volumes) = (volumes(old), volumes(new));
    for (before, after) in &hosts {
        let mut reasons = pod_changes(old.pod(before), new.pod(after));
        let (had, has) = (old_volumes.get(before.name.as_str()), new_volumes.get(after.name.as_str()));
        let both =
            || had.into_iter().flatten().filter_map(|name| old.claims.get(*name).zip(new.claims.get(*name)));
        let grows = both().any(|(old, new)| {
            new.provisioner == Provisioner::StatefulSet
                && old
                    .size
                    .as_ref()
                    .zip(new.size.as_ref())
                    .is_some_and(|(old, new)| quantity::shrinks(new, old))
        });
        if had != has || grows {
            reasons.insert(Reason::Volumes);
        }
        if both().any(|(old, new)| old.provisioner != new.provisioner) {
            reasons.insert(Reason::Provisioner);
        }
        if !reasons.is_empty() {
            some.insert(before.name.as_str(), reasons);
        }
    }
    let unknown = |reason: &Reason| is_unknown(reason.told().1);
    // An override may say these, too.
    let shared = [Reason::Settings, Reason::Files, Reason::Profiles];
    let is_open = |reason: &Reason| shared.contains(reason) && is_unknown(&["chiOverrides"]);
    all.retain(|reason| !(unknown(reason) || is_open(reason)));
    for reasons in some.values_mut() {
        reasons.retain(|reason| !unknown(reason));
    }
    some.retain(|_, reasons| !reasons.is_empty());
    let certain: BTreeSet<_> = all.iter().chain(some.values().flatten()).copied().collect();
    let affected =
        |host: &Host| !all.is_empty() || some.contains_key(host.name.as_str()) || certain.is_empty();
    let affected: Vec<&Host> = hosts.iter().map(|(host, _)| *host).filter(|host| affected(host)).collect();
    let alone = |host: &&Host| {
        old.hosts
            .iter()
            .filter(|other| (&other.cluster, &other.shard_name) == (&host.cluster, &host.shard_name))
            .count()
            == 1
    };
    let order = if affected.iter().any(alone) {
        "one after the other; a shard with one replica is unavailable during its restart"
    } else {
        "one after the other, so each shard keeps serving"
    };
    let which = if affected.len() == old.hosts.len() {
        "the hosts".to_owned()
    } else {
        format!("{} of {} hosts", affected.len(), old.hosts.len())
    };
    if !certain.is_empty() {
        // What no reason of its own is told for is told as the inputs that hosts restart for.
        let has_reason = |path: &PropertyPath| {
            let inputs =
                certain.iter().filter(|reason| !reason.is_general()).flat_map(|reason| reason.told().1);
            inputs.into_iter().any(|input| PropertyPath::from(*input).contains(path))
        };
        let others: Vec<_> =
            restarting.iter().filter(|path| !has_reason(path)).map(|path| format!("`{path}`")).collect();
        let told = |reason: &Reason| match reason {
            reason if reason.is_general() && !others.is_empty() => others.join(", "),
            reason => name(*reason, &hosts, old, new),
        };
        let mut reasons: Vec<_> = certain.iter().map(told).collect();
        reasons.dedup();
        return Some(format!("restarts {which} {order} ({})", reasons.join(", ")));
    }
    let possible: Vec<_> = REASONS.into_iter().filter(unknown).map(|reason| reason.told().0).collect();
    (!possible.is_empty())
        .then(|| format!("may restart the hosts {order} ({}: not known yet)", possible.join(", ")))
}

fn name(reason: Reason, hosts: &[(&Host, &Host)], old: &Installation, new: &Installation) -> String {
    let name = reason.told().0;
    if reason == Reason::Image
        && let Some((before, after)) = hosts
            .iter()
            .map(|(before, after)| (image(old.pod(before)), image(new.pod(after))))
            .find(|(old, new)| old != new)
    {
        return format!("{name} `{before}` → `{after}`");
    }
    name.to_owned()
}

/// The hosts that stay, before and after.
fn kept<'a>(old: &'a Installation, new: &'a Installation) -> impl Iterator<Item = (&'a Host, &'a Host)> {
    let after: BTreeMap<&str, &Host> = new.hosts.iter().map(|host| (host.name.as_str(), host)).collect();
    old.hosts.iter().filter_map(move |host| Some((host, *after.get(host.name.as_str())?)))
}

/// The names of each host's claims.
fn volumes(installation: &Installation) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut volumes: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, claim) in &installation.claims {
        volumes.entry(&claim.host).or_default().insert(name);
    }
    volumes
}

/// The tags of two images where the second is of an older release than the first.
fn downgrade<'a>(old: &'a str, new: &'a str) -> Option<(&'a str, &'a str)> {
    let tag =
        |image: &'a str| Some(image.split('@').next()?.rsplit_once(':')?.1).filter(|tag| !tag.contains('/'));
    let release = |tag: &str| tag.split('.').map_while(|part| part.parse::<u64>().ok()).collect::<Vec<_>>();
    let (old, new) = (tag(old)?, tag(new)?);
    let older = release(old)
        .iter()
        .zip(&release(new))
        .map(|(old, new)| new.cmp(old))
        .find(|order| order.is_ne())?
        .is_lt();
    older.then_some((old, new))
}

fn shards(installation: &Installation, cluster: &str) -> usize {
    installation
        .hosts
        .iter()
        .filter(|host| host.cluster == cluster)
        .map(|host| &host.shard_name)
        .collect::<BTreeSet<_>>()
        .len()
}

fn growth(old: &Installation, new: &Installation) -> Option<String> {
    let clusters = old.clusters();
    let added: usize =
        clusters.iter().map(|cluster| shards(new, cluster).saturating_sub(shards(old, cluster))).sum();
    match added {
        0 => None,
        1 => Some("adds 1 shard; ClickHouse does not move existing data to it".to_owned()),
        added => Some(format!("adds {added} shards; ClickHouse does not move existing data to them")),
    }
}

/// What stays of hosts that go.
fn left_behind(from: &Shape, to: &Shape) -> Option<String> {
    let (old, new) = (&from.clickhouse, &to.clickhouse);
    let lasting: BTreeSet<&str> = new.hosts.iter().map(|host| host.name.as_str()).collect();
    let retained: BTreeSet<&str> = old
        .claims
        .values()
        .filter(|claim| claim.policy == ReclaimPolicy::Retain)
        .map(|claim| claim.host.as_str())
        .collect();
    let gone = |host: &&Host| !lasting.contains(host.name.as_str()) && retained.contains(host.name.as_str());
    let mut gone = old.hosts.iter().filter(gone).peekable();
    let first = gone.peek()?;
    let example = format!(
        "keeps the volumes of the removed hosts: a later host of the same name (`{}`) starts with their rows",
        first.name
    );
    let replicated = gone.any(|host| {
        from.coordination
            .get(&host.cluster)
            .is_some_and(|coordination| coordination.ensemble != Ensemble::None)
    });
    let registered = if replicated {
        "; their replicas stay registered with the Keeper until `SYSTEM DROP REPLICA` removes them"
    } else {
        ""
    };
    Some(example + registered)
}

fn access_modes(old: &Installation, new: &Installation) -> Option<String> {
    let differs = |(name, new): (&String, &super::shape::Claim)| {
        let old = &old.claims.get(name)?.access_modes;
        (!new.access_modes.is_empty() && *old != new.access_modes).then(|| new.access_modes.join(", "))
    };
    let modes = new.claims.iter().find_map(differs)?;
    Some(format!("existing volumes keep their access modes; only new ones get `{modes}`"))
}
