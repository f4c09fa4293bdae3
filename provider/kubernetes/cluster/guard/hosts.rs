//! Hosts that an update would lose, one by one or with their whole cluster. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::super::aspects::ReclaimPolicy;
use super::super::shape::{Host, Installation, Shape};
use super::{CLUSTERS, Finding, existing, listed, never_made, renamed_cluster, volumes_of};

/// Another cluster takes the place of this one.
pub(super) fn identity(from: &Shape, to: &Shape) -> Vec<Finding> {
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
pub(super) fn losses(from: &Shape, to: &Shape) -> Vec<Finding> {
    let (old, new) = (&from.clickhouse, &to.clickhouse);
    if old.is_too_large() || new.is_too_large() {
        return Vec::new();
    }
    let never_made = never_made(old);
    let lasting: BTreeMap<(&str, &str), &Host> =
        new.hosts.iter().map(|host| ((host.cluster.as_str(), host.part.as_str()), host)).collect();
    let mut found = Vec::new();
    for cluster in old.clusters() {
        let of = |installation: &'_ Installation| {
            installation.hosts.iter().filter(|host| host.cluster == cluster).cloned().collect::<Vec<_>>()
        };
        let (before, after) = (of(old), of(new));
        let shards =
            |hosts: &[Host]| hosts.iter().map(|host| host.shard_name.clone()).collect::<BTreeSet<_>>();
        let (old_shards, new_shards) = (shards(&before), shards(&after));
        let replicas = |hosts: &[Host]| hosts.iter().map(|host| host.replica + 1).max().unwrap_or_default();
        let mut lose = |input, overrides, reason| {
            found.push(Finding { input, overrides, about: cluster.to_owned(), reason });
        };
        let (kept, gone): (Vec<&Host>, Vec<&Host>) = before
            .iter()
            .filter(|host| !never_made.contains(host.name.as_str()))
            .partition(|host| lasting.contains_key(&(cluster, host.part.as_str())));
        if after.is_empty() {
            if !gone.is_empty() {
                lose(
                    None,
                    &[CLUSTERS],
                    format!("the cluster `{cluster}` is removed, and with it all data of {}", listed(&gone)),
                );
            }
            continue;
        }
        let (of_shards, of_replicas): (Vec<&Host>, Vec<&Host>) =
            gone.into_iter().partition(|host| !new_shards.contains(&host.shard_name));
        if !of_shards.is_empty() {
            let what = match (old_shards.len(), new_shards.len()) {
                (old, new) if new < old => format!("{old} shards become {new}"),
                _ => "shards are removed or renamed".to_owned(),
            };
            lose(
                Some("shards"),
                &[CLUSTERS],
                format!("{what}, which loses all data of {}", listed(&of_shards)),
            );
        }
        if !of_replicas.is_empty() {
            let what = match (replicas(&before), replicas(&after)) {
                (old, new) if new < old => format!("{old} replicas become {new}"),
                _ => "replicas are removed or renamed".to_owned(),
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
        let renamed: Vec<&Host> = kept
            .into_iter()
            .filter(|host| {
                lasting.get(&(cluster, host.part.as_str())).is_some_and(|new| new.name != host.name)
            })
            .collect();
        if !renamed.is_empty() {
            let reason = format!(
                "another `generateName` gives other names and empty volumes to {}, and leaves the data of \
                    these behind",
                listed(&renamed)
            );
            lose(
                None,
                &["chiOverrides.templates.podTemplates", "chiOverrides.defaults.templates", CLUSTERS],
                reason,
            );
        }
    }
    found
}
