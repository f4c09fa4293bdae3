//! What replicas know together, and an update would take from them. Pure.

use std::collections::BTreeSet;

use super::super::shape::{Ensemble, Installation, Shape};
use super::volumes::KEEPER_VOLUMES;
use super::{CLUSTERS, Finding, KEEPER_CLUSTERS, cut, existing};

/// Where an override can say the coordination.
const ZOOKEEPER: &str = "chiOverrides.configuration.zookeeper";

/// What replicas know together and lose sight of.
pub(super) fn losses(from: &Shape, to: &Shape) -> Vec<Finding> {
    const READ_ONLY: &str = "the metadata of replicated tables: they become read-only";
    let mut found = Vec::new();
    for (cluster, old) in &from.coordination {
        let Some(new) = to.coordination.get(cluster) else { continue };
        let mut lose = |input, reason| {
            found.push(Finding {
                input: Some(input),
                overrides: &[ZOOKEEPER, CLUSTERS],
                about: cluster.clone(),
                reason,
            });
        };
        let keeper_goes = from.keeper.is_some() && to.keeper.is_none();
        match &old.ensemble {
            Ensemble::Keeper if !old.ensemble.is_same(&new.ensemble) || keeper_goes => {
                lose("coordination", format!("the Keeper is removed, and with it {READ_ONLY}"));
            }
            Ensemble::Servers(servers) if !old.ensemble.is_same(&new.ensemble) => {
                lose(
                    "coordination",
                    format!(
                        "{} is no longer used, and with it {READ_ONLY}",
                        cut(servers.iter().map(String::as_str))
                    ),
                );
            }
            Ensemble::Keeper | Ensemble::Servers(_) if old.root != new.root => {
                let name = |root: &str| if root.is_empty() { "/".to_owned() } else { root.to_owned() };
                lose(
                    "coordination.external.root",
                    format!(
                        "the root `{}` becomes `{}`, away from {READ_ONLY}",
                        name(&old.root),
                        name(&new.root)
                    ),
                );
            }
            Ensemble::None | Ensemble::Keeper | Ensemble::Servers(_) => {}
        }
    }
    found
}

/// Members and volumes of a Keeper that stays.
pub(super) fn keeper(from: &Shape, to: &Shape) -> Vec<Finding> {
    let Some((old, new)) = keepers(from, to) else { return Vec::new() };
    let mut found = Vec::new();
    let mut lose = |input, overrides, reason| {
        found.push(Finding { input, overrides, about: "Keeper".to_owned(), reason });
    };
    let names =
        |keeper: &Installation| keeper.hosts.iter().map(|host| host.name.clone()).collect::<BTreeSet<_>>();
    let (before, after) = (names(old), names(new));
    let (count, new_count) = (before.len(), after.len());
    let gone = cut(before.difference(&after).map(String::as_str));
    if before.is_disjoint(&after) {
        lose(
            None,
            &[KEEPER_CLUSTERS, "chkOverrides.templates.podTemplates"],
            format!(
                "the Keeper's members {gone} are replaced by empty ones: replicated tables become read-only"
            ),
        );
        return found;
    }
    if new_count < count {
        let reason = format!(
            "{count} Keeper members become {new_count}, which removes {gone}: a member that fails meanwhile \
                takes the majority with it, and replicated tables become read-only"
        );
        lose(Some("coordination.keeper.replicas"), &[KEEPER_CLUSTERS], reason);
    } else if (new_count - count) * 2 > new_count {
        let reason = format!(
            "{count} Keeper {} {new_count} at once: the new ones are a majority of their own, which begins \
                with nothing when it elects a leader without {}",
            if count == 1 { "member becomes" } else { "members become" },
            cut(before.iter().map(String::as_str))
        );
        lose(Some("coordination.keeper.replicas"), &[KEEPER_CLUSTERS], reason);
    }
    let dropped = existing(old)
        .filter(|(name, claim)| after.contains(&claim.host) && !new.claims.contains_key(*name))
        .map(|(name, _)| name);
    let dropped: Vec<_> = dropped.collect();
    if !dropped.is_empty() {
        let reason = format!(
            "the Keeper no longer uses {}, and loses its metadata of replicated tables: they become \
                read-only",
            cut(dropped)
        );
        lose(None, &KEEPER_VOLUMES, reason);
    }
    found
}

/// The Keeper before and after, where there is one both times and it ever came up.
pub(super) fn keepers<'a>(from: &'a Shape, to: &'a Shape) -> Option<(&'a Installation, &'a Installation)> {
    let (old, new) = from.keeper.as_ref().zip(to.keeper.as_ref())?;
    let was_made = old.claims.is_empty() || existing(old).next().is_some();
    (was_made && !new.is_too_large() && !old.is_too_large()).then_some((old, new))
}
