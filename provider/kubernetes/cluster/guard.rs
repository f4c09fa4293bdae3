//! What an update would lose, found before anything is changed: from one shape of the cluster to another, whichever input or override
//! says so. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::aspects::{ClusterArgs, FreeForm, OverridesArgs, Provisioner, ReclaimPolicy};
use super::shape::{Claim, Ensemble, Existence, Holds, Host, Installation, MOST_HOSTS, Shape};
use super::validate;
use crate::kubernetes::quantity;
use crate::property::path::PropertyPath;
use crate::resource::{CheckFailure, Known};

/// Where overrides can say the same as inputs.
const CLUSTERS: &str = "chiOverrides.configuration.clusters";
const ZOOKEEPER: &str = "chiOverrides.configuration.zookeeper";
const VOLUMES: [&str; 5] = [
    "chiOverrides.templates.volumeClaimTemplates",
    "chiOverrides.defaults.storageManagement",
    "chiOverrides.defaults.templates",
    "chiOverrides.templates.podTemplates",
    CLUSTERS,
];
const KEEPER_CLUSTERS: &str = "chkOverrides.configuration.clusters";
const KEEPER_VOLUMES: [&str; 5] = [
    "chkOverrides.templates.volumeClaimTemplates",
    "chkOverrides.defaults.storageManagement",
    "chkOverrides.defaults.templates",
    "chkOverrides.templates.podTemplates",
    KEEPER_CLUSTERS,
];

/// One thing that is wrong with a step from one shape to another.
#[derive(Debug, Clone, PartialEq)]
struct Finding {
    /// The input that says it; `None` where only an override can.
    input: Option<&'static str>,
    /// The overrides that can say it.
    overrides: &'static [&'static str],
    /// What it is about, to tell findings of the same input apart.
    about: String,
    /// What would be lost, or can't be.
    reason: String,
}

/// Why the step from the inputs of the last run to the new ones, defaults filled in, is refused. What is wrong with the new ones, or
/// not known yet, is not judged.
pub(super) fn of_inputs(old: &ClusterArgs, new: &Known<ClusterArgs>) -> Vec<CheckFailure> {
    if *old == new.value {
        return Vec::new();
    }
    let mut new = new.clone();
    new.unknown.extend(validate::validate(&new).err().into_iter().flatten().map(|failure| failure.path));
    refusals(&Shape::last(old), &Shape::rendered(&validate::anyway(&new)), &new)
}

/// The overrides that make more hosts than are supported, of a cluster that is not there yet: what becomes of one that is, the guard judges.
/// `filled` has its defaults.
pub(super) fn overridden_hosts(old: Option<&ClusterArgs>, filled: &Known<ClusterArgs>) -> Vec<CheckFailure> {
    let places = [("chiOverrides", &filled.value.overrides.chi_overrides), ("chkOverrides", &filled.value.overrides.chk_overrides)];
    let lays_out = |overrides: &Option<FreeForm>| overrides.as_ref().is_some_and(|overrides| overrides.contains_key("configuration"));
    if old.is_some() || !places.iter().any(|(_, overrides)| lays_out(overrides)) {
        return Vec::new();
    }
    let Shape { clickhouse, keeper, .. } = Shape::rendered(&validate::anyway(filled));
    let installations = places.into_iter().zip([Some(clickhouse), keeper]);
    let failures = installations.filter_map(|((path, _), installation)| {
        let count = installation.filter(Installation::is_too_large)?.count;
        let reason = format!("makes {count} hosts, at most {MOST_HOSTS} are supported: ask for fewer, or make several clusters");
        Some(CheckFailure::new(format!("{path}.configuration.clusters").as_str(), reason))
    });
    failures.filter(|failure| !filled.is_unknown(&failure.path)).collect()
}

/// Why the step to the inputs `new`, whose shape is `to`, is refused: changes that can't be made at all, and, without
/// `allowDataLoss`, those that lose data. Each says what would be lost, at the input or the override that says it.
pub(super) fn refusals(from: &Shape, to: &Shape, new: &Known<ClusterArgs>) -> Vec<CheckFailure> {
    let mut refusals = at_their_paths(impossible, from, to, new);
    if new.value.operations.allow_data_loss != Some(true) {
        refusals.extend(at_their_paths(losses, from, to, new).into_iter().map(|CheckFailure { path, reason }| CheckFailure {
            path,
            reason: format!("{reason}; to do it all the same set `allowDataLoss: true`"),
        }));
    }
    refusals
}

/// With `allowDataLoss`: what is lost for it, or that it is set for nothing.
pub(super) fn warnings(from: &Shape, to: &Shape, new: &Known<ClusterArgs>) -> Vec<String> {
    if new.value.operations.allow_data_loss != Some(true) {
        return Vec::new();
    }
    let lost = at_their_paths(losses, from, to, new);
    if lost.is_empty() && new.unknown.is_empty() {
        let reason =
            "`allowDataLoss: true` is set, though this change loses nothing: remove it, or a later change that does is not refused";
        return vec![reason.to_owned()];
    }
    lost.into_iter().map(|CheckFailure { path, reason }| format!("{path}: {reason}; `allowDataLoss` is set, so it is done")).collect()
}

/// Volumes that are to be larger, each by its claim's name with the size that it is to have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Growing {
    /// Those of the hosts.
    pub(super) hosts: Vec<(String, String)>,
    /// Those of the Keeper.
    pub(super) keeper: Vec<(String, String)>,
}

/// The volumes that are to be larger.
pub(super) fn growing(from: &Shape, to: &Shape) -> Growing {
    let mut growing = Growing::default();
    for group in volumes_in_both(from, to) {
        let growing = if group.keeper { &mut growing.keeper } else { &mut growing.hosts };
        growing.extend(group.grown().map(|(claim, _, size)| (claim.to_owned(), size.clone())));
    }
    growing
}

/// Why volumes can't be larger, at the input or the override that asks for it. `rigid` says why those of a storage class can't grow.
pub(super) fn stuck(from: &Shape, to: &Shape, new: &Known<ClusterArgs>, rigid: impl Fn(&str) -> Option<String>) -> Vec<CheckFailure> {
    let find = |from: &Shape, to: &Shape| {
        let each = volumes_in_both(from, to).into_iter().filter_map(|group| {
            let reason = group.grown().filter_map(|(_, old, _)| old.class.as_deref()).find_map(&rigid)?;
            let (input, overrides) = group.place("size");
            Some(Finding { input, overrides, about: group.template, reason })
        });
        each.collect()
    };
    at_their_paths(find, from, to, new)
}

/// The findings, each at the input that says it, or at the override when only that explains it; without what is not known yet.
fn at_their_paths(find: impl Fn(&Shape, &Shape) -> Vec<Finding>, from: &Shape, to: &Shape, new: &Known<ClusterArgs>) -> Vec<CheckFailure> {
    let found = find(from, to);
    if found.is_empty() {
        return Vec::new();
    }
    let overrides = [("chiOverrides", &new.value.overrides.chi_overrides), ("chkOverrides", &new.value.overrides.chk_overrides)];
    let overrides: BTreeMap<_, _> = overrides.into_iter().filter_map(|(name, map)| Some((name, map.as_ref()?))).collect();
    let by_inputs = if overrides.is_empty() { None } else { Some(find(from, &without_overrides(new))) };
    let is_given = |path: &&str| {
        let mut keys = path.split('.');
        let first = keys.next().and_then(|name| overrides.get(name)).zip(keys.next()).and_then(|(map, key)| map.get(key));
        first.is_some_and(|value| keys.try_fold(value, |value, key| value.get(key)).is_some())
    };
    let place = |finding: &Finding| {
        let same = |other: &Finding| (other.input, &other.about) == (finding.input, &finding.about);
        let said_by_input = by_inputs.as_ref().is_none_or(|found| found.iter().any(same));
        let by_override = || finding.overrides.iter().copied().find(is_given).or(finding.overrides.first().copied());
        finding.input.filter(|_| said_by_input).or_else(by_override).or(finding.input).unwrap_or_default()
    };
    found
        .iter()
        .filter(|finding| !finding.input.iter().chain(finding.overrides).any(|path| new.is_unknown(&PropertyPath::from(*path))))
        .map(|finding| CheckFailure::new(place(finding), finding.reason.clone()))
        .collect()
}

/// The shape that the inputs have without their overrides.
fn without_overrides(new: &Known<ClusterArgs>) -> Shape {
    let value = ClusterArgs { overrides: OverridesArgs::default(), ..new.value.clone() };
    Shape::rendered(&validate::anyway(&Known { value, unknown: new.unknown.clone() }))
}

/// Changes that Kubernetes or the operator can't make to what exists.
fn impossible(from: &Shape, to: &Shape) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut refuse = |input, overrides, about: &str, reason| found.push(Finding { input, overrides, about: about.to_owned(), reason });
    for (installation, overrides) in [(Some(&to.clickhouse), &[CLUSTERS]), (to.keeper.as_ref(), &[KEEPER_CLUSTERS])] {
        if let Some(count) = installation.filter(|installation| installation.is_too_large()).map(|installation| installation.count) {
            refuse(None, overrides, "", format!("makes {count} hosts, at most {MOST_HOSTS} are supported"));
        }
    }
    if from.is_unmade() || replaces(from, to) {
        return found;
    }
    for group in volumes_in_both(from, to) {
        let (input, overrides) = group.place("size");
        if let Some((old, new)) = group.shrunk() {
            refuse(input, overrides, &group.template, format!("a volume can't shrink from `{old}` to `{new}`: keep at least `{old}`"));
        }
        let (input, overrides) = group.place("storageClass");
        if let Some((old, new)) = group.of_another_class() {
            let name = |class: &Option<String>| class.as_ref().map_or_else(|| "the default class".to_owned(), |class| format!("`{class}`"));
            let reason = format!(
                "volumes that exist keep their class, so it can't change from {} to {}: make a second cluster of the new class and move the data; where there \
                 is none yet, destroy this one, delete its claims (`kubectl delete pvc`) and make it again",
                name(old),
                name(new)
            );
            refuse(input, overrides, &group.template, reason);
        }
    }
    if let Some((old, new)) = keepers(from, to) {
        let (old, new) = (old.hosts.len(), new.hosts.len());
        if new + 2 < old {
            let reason = format!("{old} Keeper members can't become {new} at once: the majority would be lost; remove two at a time");
            refuse(Some("coordination.keeper.replicas"), &[KEEPER_CLUSTERS], "", reason);
        }
    }
    found
}

/// Changes that lose data.
fn losses(from: &Shape, to: &Shape) -> Vec<Finding> {
    if from.is_unmade() {
        return Vec::new();
    }
    let identity = identity(from, to);
    if replaces(from, to) {
        return identity;
    }
    [hosts(from, to), volumes(from, to), policies(from, to), coordination(from, to), keeper(from, to)].concat()
}

/// Whether the step makes another cluster.
fn replaces(from: &Shape, to: &Shape) -> bool {
    from.name != to.name || from.namespace != to.namespace || renamed_cluster(from, to).is_some()
}

/// The old and the new name of an installation's only cluster, where they differ.
fn renamed_cluster<'a>(from: &'a Shape, to: &'a Shape) -> Option<(&'a str, &'a str)> {
    match (from.clickhouse.clusters().as_slice(), to.clickhouse.clusters().as_slice()) {
        ([old], [new]) if old != new => Some((old, new)),
        _ => None,
    }
}

/// Another cluster takes the place of this one.
fn identity(from: &Shape, to: &Shape) -> Vec<Finding> {
    let claims: Vec<_> = existing(&from.clickhouse).map(|(_, claim)| claim).collect();
    if claims.is_empty() {
        return Vec::new();
    }
    let all = volumes_of(claims.len());
    let deleted = claims.iter().filter(|claim| claim.policy == ReclaimPolicy::Delete).count();
    let fate = match deleted {
        0 => format!("leaves the data of {all} behind"),
        deleted if deleted == claims.len() => format!("deletes {all}"),
        deleted => format!("deletes {deleted} of {all} and leaves the others behind"),
    };
    let renamed = renamed_cluster(from, to).unwrap_or_default();
    let changes: [(&'static str, &'static [&'static str], &str, &str); 3] = [
        ("name", &[], &from.name, &to.name),
        ("namespace", &[], &from.namespace, &to.namespace),
        ("clusterName", &[CLUSTERS], renamed.0, renamed.1),
    ];
    changes
        .into_iter()
        .filter(|(_, _, old, new)| old != new)
        .map(|(input, overrides, old, new)| Finding {
            input: Some(input),
            overrides,
            about: String::new(),
            reason: format!("`{old}` becomes `{new}`, which replaces the cluster by an empty one and {fate}"),
        })
        .collect()
}

/// Hosts that go, or come up under another name.
fn hosts(from: &Shape, to: &Shape) -> Vec<Finding> {
    let (old, new) = (&from.clickhouse, &to.clickhouse);
    if old.is_too_large() || new.is_too_large() {
        return Vec::new();
    }
    let never_made = never_made(old);
    let lasting: BTreeMap<(&str, &str), &Host> = new.hosts.iter().map(|host| ((host.cluster.as_str(), host.part.as_str()), host)).collect();
    let mut found = Vec::new();
    for cluster in old.clusters() {
        let of =
            |installation: &'_ Installation| installation.hosts.iter().filter(|host| host.cluster == cluster).cloned().collect::<Vec<_>>();
        let (before, after) = (of(old), of(new));
        let shards = |hosts: &[Host]| hosts.iter().map(|host| host.shard_name.clone()).collect::<BTreeSet<_>>();
        let (old_shards, new_shards) = (shards(&before), shards(&after));
        let replicas = |hosts: &[Host]| hosts.iter().map(|host| host.replica + 1).max().unwrap_or_default();
        let mut lose = |input, overrides, reason| found.push(Finding { input, overrides, about: cluster.to_owned(), reason });
        let (kept, gone): (Vec<&Host>, Vec<&Host>) = before
            .iter()
            .filter(|host| !never_made.contains(host.name.as_str()))
            .partition(|host| lasting.contains_key(&(cluster, host.part.as_str())));
        if after.is_empty() {
            if !gone.is_empty() {
                lose(None, &[CLUSTERS], format!("the cluster `{cluster}` goes, and with it all data of {}", listed(&gone)));
            }
            continue;
        }
        let (of_shards, of_replicas): (Vec<&Host>, Vec<&Host>) = gone.into_iter().partition(|host| !new_shards.contains(&host.shard_name));
        if !of_shards.is_empty() {
            let what = match (old_shards.len(), new_shards.len()) {
                (old, new) if new < old => format!("{old} shards become {new}"),
                _ => "shards go or are renamed".to_owned(),
            };
            lose(Some("shards"), &[CLUSTERS], format!("{what}, which loses all data of {}", listed(&of_shards)));
        }
        if !of_replicas.is_empty() {
            let what = match (replicas(&before), replicas(&after)) {
                (old, new) if new < old => format!("{old} replicas become {new}"),
                _ => "replicas go or are renamed".to_owned(),
            };
            // Where nobody of a shard stays, nobody has its data.
            let stays = |host: &&Host| kept.iter().any(|kept| kept.shard_name == host.shard_name);
            let reason = if of_replicas.iter().all(stays) {
                format!("{what}, which removes {} and what was not replicated yet", listed(&of_replicas))
            } else {
                format!("{what}, which loses all data of {}", listed(&of_replicas))
            };
            lose(Some("replicas"), &[CLUSTERS], reason);
        }
        let renamed: Vec<&Host> =
            kept.into_iter().filter(|host| lasting.get(&(cluster, host.part.as_str())).is_some_and(|new| new.name != host.name)).collect();
        if !renamed.is_empty() {
            let reason = format!(
                "another `generateName` gives other names and empty volumes to {}, and leaves the data of these behind",
                listed(&renamed)
            );
            lose(None, &["chiOverrides.templates.podTemplates", "chiOverrides.defaults.templates", CLUSTERS], reason);
        }
    }
    found
}

/// Volumes that hosts don't use any more.
fn volumes(from: &Shape, to: &Shape) -> Vec<Finding> {
    let (old, new) = (&from.clickhouse, &to.clickhouse);
    let never_made = never_made(old);
    let lasting: BTreeSet<&str> = new.hosts.iter().map(|host| host.name.as_str()).collect();
    let with_data = |installation: &Installation| -> BTreeSet<String> {
        let data = installation.claims.values().filter(|claim| claim.holds == Holds::Data);
        data.map(|claim| claim.host.clone()).collect()
    };
    let (kept_before, keeps_data) = (with_data(old), with_data(new));
    let mut found = Vec::new();
    let mut dropped: BTreeMap<(Holds, &str), Vec<(&str, &Claim)>> = BTreeMap::new();
    for (name, claim) in existing(old).filter(|(name, claim)| lasting.contains(claim.host.as_str()) && !new.claims.contains_key(*name)) {
        dropped.entry((claim.holds, claim.template.as_str())).or_default().push((name, claim));
    }
    for ((holds, template), claims) in dropped {
        let names = cut(claims.iter().map(|(name, _)| *name));
        let fate = if claims.iter().all(|(_, claim)| claim.policy == ReclaimPolicy::Delete) {
            "the operator deletes"
        } else {
            "the operator deletes, with their host at the latest and though their policy is `Retain`,"
        };
        let moves = claims.iter().all(|(_, claim)| keeps_data.contains(&claim.host));
        let (input, reason) = match holds {
            Holds::Data if moves => (
                None,
                format!(
                    "the data of the volume template `{template}` is not used any more: hosts begin with empty volumes, and {fate} {names}"
                ),
            ),
            Holds::Data => {
                let all = volumes_of(claims.len());
                (Some("storage.ephemeral"), format!("the data moves to another place, which loses what is on {all}: {fate} {names}"))
            }
            Holds::Logs => (Some("storage.logs"), format!("the volumes of the logs are not used any more, and {fate} {names}")),
            Holds::Other => (None, format!("the volumes of the template `{template}` are not used any more, and {fate} {names}")),
        };
        found.push(Finding { input, overrides: &VOLUMES, about: template.to_owned(), reason });
    }
    let moved: Vec<&Host> = old
        .hosts
        .iter()
        .filter(|host| lasting.contains(host.name.as_str()) && !never_made.contains(host.name.as_str()))
        .filter(|host| !kept_before.contains(&host.name) && keeps_data.contains(&host.name))
        .collect();
    if !moved.is_empty() {
        let reason = format!("the data moves to another place, which loses what is in the pods of {}", listed(&moved));
        found.push(Finding { input: Some("storage.ephemeral"), overrides: &VOLUMES, about: String::new(), reason });
    }
    found
}

/// Volumes that lose their protection.
fn policies(from: &Shape, to: &Shape) -> Vec<Finding> {
    let mut found = Vec::new();
    let groups = volumes_in_both(from, to);
    let weakened: Vec<&Group> =
        groups.iter().filter(|group| group.has(|claim| claim.policy, &ReclaimPolicy::Retain, &ReclaimPolicy::Delete)).collect();
    let told = |groups: &[&Group]| {
        let count = |keeper| groups.iter().filter(|group| group.keeper == keeper).map(|group| group.claims.len()).sum::<usize>();
        let volumes = match (count(false), count(true)) {
            (own, 0) => volumes_of(own),
            (0, 1) => "the Keeper's volume".to_owned(),
            (0, keepers) => format!("the Keeper's {keepers} volumes"),
            (own, keepers) => format!("{} and the Keeper's {keepers}", volumes_of(own)),
        };
        let harm = if count(true) > 0 && count(false) == 0 { ", and replicated tables are read-only without them" } else { "" };
        format!("`Retain` becomes `Delete`: from then on deleting the cluster deletes {volumes}{harm}")
    };
    // The policy of the data is the default of the others.
    let together = weakened.iter().any(|group| !group.keeper && group.holds == Holds::Data);
    let parts: Vec<Vec<&Group>> = if together { vec![weakened] } else { weakened.into_iter().map(|group| vec![group]).collect() };
    for part in &parts {
        let Some(first) = part.iter().min_by_key(|group| (group.keeper, group.holds)) else { continue };
        let (input, overrides) = first.place("reclaimPolicy");
        found.push(Finding { input, overrides, about: first.template.clone(), reason: told(part) });
    }
    for group in groups.iter().filter(|group| group.has(|claim| claim.provisioner, &Provisioner::Operator, &Provisioner::StatefulSet)) {
        let (_, overrides) = group.place("");
        found.push(Finding {
            input: (!group.keeper).then_some("storage.provisioner"),
            overrides,
            about: group.template.clone(),
            reason: format!(
                "`Operator` becomes `StatefulSet`, a way back that the operator does not promise to keep the data on: {}",
                cut(group.claims.iter().map(|(name, ..)| *name))
            ),
        });
    }
    // All volumes of one kind of hosts change their provisioner together.
    found.dedup_by(|one, other| one.input == other.input && one.input == Some("storage.provisioner"));
    let cleanup = ["that it does not know", "of a host that failed to come up"];
    for ((old, new), which) in from.cleanup.iter().zip(&to.cleanup).zip(cleanup) {
        if (old, new) == (&ReclaimPolicy::Retain, &ReclaimPolicy::Delete) {
            found.push(Finding {
                input: None,
                overrides: &["chiOverrides.reconcile", "chiOverrides.reconciling"],
                about: which.to_owned(),
                reason: format!("`Retain` becomes `Delete` for volume claims: the operator deletes those {which}"),
            });
        }
    }
    found
}

/// What replicas know together and lose sight of.
fn coordination(from: &Shape, to: &Shape) -> Vec<Finding> {
    const READ_ONLY: &str = "what it knows of replicated tables: they become read-only";
    let mut found = Vec::new();
    for (cluster, old) in &from.coordination {
        let Some(new) = to.coordination.get(cluster) else { continue };
        let mut lose =
            |input, reason| found.push(Finding { input: Some(input), overrides: &[ZOOKEEPER, CLUSTERS], about: cluster.clone(), reason });
        let keeper_goes = from.keeper.is_some() && to.keeper.is_none();
        match &old.ensemble {
            Ensemble::Keeper if !old.ensemble.is_same(&new.ensemble) || keeper_goes => {
                lose("coordination", format!("the Keeper goes, and with it {READ_ONLY}"));
            }
            Ensemble::Servers(servers) if !old.ensemble.is_same(&new.ensemble) => {
                lose("coordination", format!("{} is left, and with it {READ_ONLY}", cut(servers.iter().map(String::as_str))));
            }
            Ensemble::Keeper | Ensemble::Servers(_) if old.root != new.root => {
                let name = |root: &str| if root.is_empty() { "/".to_owned() } else { root.to_owned() };
                lose(
                    "coordination.external.root",
                    format!("the root `{}` becomes `{}`, away from {READ_ONLY}", name(&old.root), name(&new.root)),
                );
            }
            Ensemble::None | Ensemble::Keeper | Ensemble::Servers(_) => {}
        }
    }
    found
}

/// Members and volumes of a Keeper that stays.
fn keeper(from: &Shape, to: &Shape) -> Vec<Finding> {
    let Some((old, new)) = keepers(from, to) else { return Vec::new() };
    let mut found = Vec::new();
    let mut lose = |input, overrides, reason| found.push(Finding { input, overrides, about: "Keeper".to_owned(), reason });
    let names = |keeper: &Installation| keeper.hosts.iter().map(|host| host.name.clone()).collect::<BTreeSet<_>>();
    let (before, after) = (names(old), names(new));
    let (count, new_count) = (before.len(), after.len());
    let gone = cut(before.difference(&after).map(String::as_str));
    if before.is_disjoint(&after) {
        lose(
            None,
            &[KEEPER_CLUSTERS, "chkOverrides.templates.podTemplates"],
            format!("the Keeper's members {gone} go and empty ones come: replicated tables become read-only"),
        );
        return found;
    }
    if new_count < count {
        let reason = format!(
            "{count} Keeper members become {new_count}, which removes {gone}: a member that fails meanwhile takes the majority with it, and replicated tables become read-only"
        );
        lose(Some("coordination.keeper.replicas"), &[KEEPER_CLUSTERS], reason);
    } else if (new_count - count) * 2 > new_count {
        let reason = format!(
            "{count} Keeper {} {new_count} at once: the new ones are a majority of their own, which begins with nothing when it elects a leader without {}",
            if count == 1 { "member becomes" } else { "members become" },
            cut(before.iter().map(String::as_str))
        );
        lose(Some("coordination.keeper.replicas"), &[KEEPER_CLUSTERS], reason);
    }
    let dropped =
        existing(old).filter(|(name, claim)| after.contains(&claim.host) && !new.claims.contains_key(*name)).map(|(name, _)| name);
    let dropped: Vec<_> = dropped.collect();
    if !dropped.is_empty() {
        let reason = format!(
            "the Keeper does not use {} any more, and with it what it knows of replicated tables: they become read-only",
            cut(dropped)
        );
        lose(None, &KEEPER_VOLUMES, reason);
    }
    found
}

/// The Keeper before and after, where there is one both times and it ever came up.
fn keepers<'a>(from: &'a Shape, to: &'a Shape) -> Option<(&'a Installation, &'a Installation)> {
    let (old, new) = from.keeper.as_ref().zip(to.keeper.as_ref())?;
    let was_made = old.claims.is_empty() || existing(old).next().is_some();
    (was_made && !new.is_too_large() && !old.is_too_large()).then_some((old, new))
}

/// The volumes of one template that are there before and after.
struct Group<'a> {
    keeper: bool,
    holds: Holds,
    template: String,
    claims: Vec<(&'a str, &'a Claim, &'a Claim)>,
}

fn volumes_in_both<'a>(from: &'a Shape, to: &'a Shape) -> Vec<Group<'a>> {
    let pairs = [(false, Some((&from.clickhouse, &to.clickhouse))), (true, keepers(from, to))];
    let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (keeper, old, new) in pairs.into_iter().filter_map(|(keeper, pair)| pair.map(|(old, new)| (keeper, old, new))) {
        for (name, claim) in existing(old) {
            if let Some(new) = new.claims.get(name) {
                groups.entry((keeper, claim.holds, claim.template.as_str())).or_default().push((name, claim, new));
            }
        }
    }
    let group = |((keeper, holds, template), claims): ((_, _, &str), _)| Group { keeper, holds, template: template.to_owned(), claims };
    groups.into_iter().map(group).collect()
}

impl Group<'_> {
    /// The input that says `what` of these volumes, and the overrides that can.
    fn place(&self, what: &str) -> (Option<&'static str>, &'static [&'static str]) {
        let input = match (self.keeper, self.holds, what) {
            (true, _, "size") => Some("coordination.keeper.storage.size"),
            (true, _, "storageClass") => Some("coordination.keeper.storage.storageClass"),
            (true, _, "reclaimPolicy") => Some("coordination.keeper.storage.reclaimPolicy"),
            (false, Holds::Data, "size") => Some("storage.size"),
            (false, Holds::Data, "storageClass") => Some("storage.storageClass"),
            (false, Holds::Data, "reclaimPolicy") => Some("storage.reclaimPolicy"),
            (false, Holds::Logs, "size") => Some("storage.logs.size"),
            (false, Holds::Logs, "storageClass") => Some("storage.logs.storageClass"),
            (false, Holds::Logs, "reclaimPolicy") => Some("storage.logs.reclaimPolicy"),
            _ => None,
        };
        (input, if self.keeper { &KEEPER_VOLUMES } else { &VOLUMES })
    }

    /// Whether a volume goes from `old` to `new`.
    fn has<T: PartialEq>(&self, pick: fn(&Claim) -> T, old: &T, new: &T) -> bool {
        self.claims.iter().any(|(_, before, after)| pick(before) == *old && pick(after) == *new)
    }

    /// The size of the largest volume that is to be smaller, and what it is to be.
    fn shrunk(&self) -> Option<(&String, &String)> {
        let sizes = self.claims.iter().filter_map(|(_, old, new)| old.size.as_ref().zip(new.size.as_ref()));
        sizes
            .filter(|(old, new)| quantity::shrinks(old, new))
            .reduce(|one, other| if quantity::shrinks(other.0, one.0) { other } else { one })
    }

    /// The volumes that are to be larger, with the size that each is to have.
    fn grown(&self) -> impl Iterator<Item = (&str, &Claim, &String)> {
        let size = |old: &Claim, new: &'_ Claim| quantity::shrinks(new.size.as_ref()?, old.size.as_ref()?).then_some(());
        self.claims.iter().filter_map(move |(name, old, new)| size(old, new).and(new.size.as_ref()).map(|size| (*name, *old, size)))
    }

    /// The class of a volume, and the other one that it is to have. A volume that is there has the class that was the default.
    fn of_another_class(&self) -> Option<(&Option<String>, &Option<String>)> {
        let differs = |old: &Claim, new: &Claim| old.class != new.class && !(old.existence == Existence::Made && new.class.is_none());
        self.claims.iter().find(|(_, old, new)| differs(old, new)).map(|(_, old, new)| (&old.class, &new.class))
    }
}

/// The claims that may hold something.
fn existing(installation: &Installation) -> impl Iterator<Item = (&str, &Claim)> {
    installation.claims.iter().filter(|(_, claim)| claim.existence != Existence::Unmade).map(|(name, claim)| (name.as_str(), claim))
}

/// The hosts that were to have volumes and never got one.
fn never_made(installation: &Installation) -> BTreeSet<&str> {
    let mut hosts: BTreeSet<&str> = installation.claims.values().map(|claim| claim.host.as_str()).collect();
    for (_, claim) in existing(installation) {
        hosts.remove(claim.host.as_str());
    }
    hosts
}

fn volumes_of(count: usize) -> String {
    if count == 1 { "its volume".to_owned() } else { format!("its {count} volumes") }
}

fn listed(hosts: &[&Host]) -> String {
    cut(hosts.iter().map(|host| host.name.as_str()))
}

/// The names; a long list is cut.
fn cut<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 6;
    let names: Vec<_> = names.into_iter().collect();
    let rest = names.len().saturating_sub(SHOWN);
    let shown = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if rest == 0 { shown } else { format!("{shown} and {rest} more") }
}
