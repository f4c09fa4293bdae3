//! What an update would lose, found before anything is changed. Pure.

use super::args::{ClusterArgs, CoordinationType, ReclaimPolicy, Storage, Volume};
use super::{names, quantity};
use crate::property::path::PropertyPath;
use crate::resource::{CheckFailure, Known};

/// Why the step from `old` to `new` is refused, both with their defaults filled in: changes that can't be made at all, and,
/// without `allowDataLoss`, those that lose data. Each says what would be lost.
pub(super) fn refusals(old: &ClusterArgs, new: &Known<ClusterArgs>) -> Vec<CheckFailure> {
    let mut refusals = impossible(old, &new.value);
    if new.value.allow_data_loss != Some(true) {
        let losses = losses(old, &new.value);
        refusals.extend(losses.into_iter().map(|CheckFailure { path, reason }| CheckFailure {
            path,
            reason: format!("{reason}; to do it all the same set `allowDataLoss: true`"),
        }));
    }
    refusals.retain(|refusal| !new.is_unknown(&refusal.path));
    refusals
}

/// Changes that Kubernetes or the operator can't make to volumes that exist.
fn impossible(old: &ClusterArgs, new: &ClusterArgs) -> Vec<CheckFailure> {
    let mut found = Vec::new();
    let (old_storage, new_storage) = (storage(old), storage(new));
    if replaces(old, new) {
        return found;
    }
    if !is_ephemeral(&old_storage) && !is_ephemeral(&new_storage) {
        let volume =
            |storage: &Storage| Volume { size: storage.size.clone(), storage_class: storage.storage_class.clone(), ..Volume::default() };
        volume_change("storage", &volume(&old_storage), &volume(&new_storage), &mut found);
    }
    if let (Some(old), Some(new)) = (&old_storage.logs, &new_storage.logs) {
        volume_change("storage.logs", old, new, &mut found);
    }
    let keeper_volume = |args: &ClusterArgs| args.coordination.as_ref()?.keeper.as_ref()?.storage.clone();
    if let (Some(old), Some(new)) = (keeper_volume(old), keeper_volume(new)) {
        volume_change("coordination.keeper.storage", &old, &new, &mut found);
    }
    found
}

fn volume_change(path: &str, old: &Volume, new: &Volume, found: &mut Vec<CheckFailure>) {
    if let (Some(old), Some(new)) = (&old.size, &new.size)
        && quantity::shrinks(old, new)
    {
        let reason = format!("a volume can't shrink from `{old}` to `{new}`: keep at least `{old}`");
        found.push(CheckFailure::new(PropertyPath::from(path).key("size"), reason));
    }
    if old.storage_class != new.storage_class {
        let name = |class: &Option<String>| class.as_ref().map_or_else(|| "the default class".to_owned(), |class| format!("`{class}`"));
        let reason = format!(
            "volumes that exist keep their class, so it can't change from {} to {}: make a second cluster of the new class and move the data; where there is none \
             yet, destroy this one, delete its claims (`kubectl delete pvc`) and make it again",
            name(&old.storage_class),
            name(&new.storage_class)
        );
        found.push(CheckFailure::new(PropertyPath::from(path).key("storageClass"), reason));
    }
}

/// Changes that lose data.
fn losses(old: &ClusterArgs, new: &ClusterArgs) -> Vec<CheckFailure> {
    let mut found = Vec::new();
    let (old_storage, new_storage) = (storage(old), storage(new));
    let mut lose = |path: &str, reason: String| found.push(CheckFailure::new(path, reason));
    if !is_ephemeral(&old_storage) {
        for (path, was, is) in [
            ("name", &old.name, &new.name),
            ("namespace", &old.namespace, &new.namespace),
            ("clusterName", &old.cluster_name, &new.cluster_name),
        ] {
            if let (Some(was), Some(is)) = (was, is)
                && was != is
            {
                lose(
                    path,
                    format!(
                        "`{was}` becomes `{is}`, which replaces the cluster by an empty one and leaves the data of {} behind",
                        volumes(old)
                    ),
                );
            }
        }
    }
    if !replaces(old, new) {
        let (old_shards, shards) = (old.shards.unwrap_or(1), new.shards.unwrap_or(1));
        let (old_replicas, replicas) = (old.replicas.unwrap_or(1), new.replicas.unwrap_or(1));
        if shards < old_shards {
            lose(
                "shards",
                format!("{old_shards} shards become {shards}, which loses all data of {}", hosts(old, shards..old_shards, 0..old_replicas)),
            );
        }
        if replicas < old_replicas {
            lose(
                "replicas",
                format!(
                    "{old_replicas} replicas become {replicas}, which removes {} and what was not replicated yet",
                    hosts(old, 0..old_shards, replicas..old_replicas)
                ),
            );
        }
        if is_ephemeral(&old_storage) != is_ephemeral(&new_storage) {
            lose("storage.ephemeral", format!("the data moves to another place, which loses what is on {}", volumes(old)));
        }
        let kind = |args: &ClusterArgs| args.coordination.as_ref().and_then(|coordination| coordination.kind);
        if kind(old) == Some(CoordinationType::Keeper) && kind(new) != Some(CoordinationType::Keeper) {
            lose("coordination", "the Keeper goes, and with it what it knows of replicated tables: they become read-only".to_owned());
        }
    }
    let policy = |storage: &Storage| storage.reclaim_policy.unwrap_or(ReclaimPolicy::Retain);
    if !is_ephemeral(&old_storage) && (policy(&old_storage), policy(&new_storage)) == (ReclaimPolicy::Retain, ReclaimPolicy::Delete) {
        lose("storage.reclaimPolicy", format!("`Retain` becomes `Delete`: from then on deleting the cluster deletes {}", volumes(old)));
    }
    found
}

/// Whether the step makes another cluster.
pub(super) fn replaces(old: &ClusterArgs, new: &ClusterArgs) -> bool {
    let differ = |one: &Option<String>, other: &Option<String>| matches!((one, other), (Some(one), Some(other)) if one != other);
    differ(&old.name, &new.name) || differ(&old.namespace, &new.namespace) || differ(&old.cluster_name, &new.cluster_name)
}

fn storage(args: &ClusterArgs) -> Storage {
    args.storage.clone().unwrap_or_default()
}

fn is_ephemeral(storage: &Storage) -> bool {
    storage.ephemeral == Some(true)
}

fn volumes(args: &ClusterArgs) -> String {
    let count = args.shards.unwrap_or(1) * args.replicas.unwrap_or(1);
    if count == 1 { "its volume".to_owned() } else { format!("its {count} volumes") }
}

/// The hosts of `shards` and `replicas`, by name; a long list is cut.
fn hosts(args: &ClusterArgs, shards: std::ops::Range<u32>, replicas: std::ops::Range<u32>) -> String {
    const SHOWN: usize = 6;
    let (name, cluster) = (args.name.as_deref().unwrap_or_default(), args.cluster_name.as_deref().unwrap_or_default());
    let all: Vec<_> = shards.flat_map(|shard| replicas.clone().map(move |replica| names::host(name, cluster, shard, replica))).collect();
    let rest = all.len().saturating_sub(SHOWN);
    let shown = all.iter().take(SHOWN).map(|host| format!("`{host}`")).collect::<Vec<_>>().join(", ");
    if rest == 0 { shown } else { format!("{shown} and {rest} more") }
}
