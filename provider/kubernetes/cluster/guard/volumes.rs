//! Volumes that an update would lose, leave without protection, or change in a way that volumes can't. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::super::aspects::{ClusterArgs, Provisioner, ReclaimPolicy, is_claim_of_layout};
use super::super::shape::{Claim, Existence, Holds, Host, Installation, Shape};
use super::coordination::keepers;
use super::{
    CLUSTERS, Finding, KEEPER_CLUSTERS, at_their_paths, cut, existing, listed, never_made, volumes_of,
};
use crate::kubernetes::quantity;
use crate::resource::{CheckFailure, Known};

const VOLUMES: [&str; 5] = [
    "chiOverrides.templates.volumeClaimTemplates",
    "chiOverrides.defaults.storageManagement",
    "chiOverrides.defaults.templates",
    "chiOverrides.templates.podTemplates",
    CLUSTERS,
];
pub(super) const KEEPER_VOLUMES: [&str; 5] = [
    "chkOverrides.templates.volumeClaimTemplates",
    "chkOverrides.defaults.storageManagement",
    "chkOverrides.defaults.templates",
    "chkOverrides.templates.podTemplates",
    KEEPER_CLUSTERS,
];

/// Volumes that are to be larger, each by its claim's name with the size that it is to have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in super::super) struct Growing {
    /// Those of the hosts.
    pub(in super::super) hosts: Vec<(String, String)>,
    /// Those of the Keeper.
    pub(in super::super) keeper: Vec<(String, String)>,
}

/// The volumes that are to be larger.
pub(in super::super) fn growing(from: &Shape, to: &Shape) -> Growing {
    let mut growing = Growing::default();
    for group in volumes_in_both(from, to) {
        let growing = if group.keeper { &mut growing.keeper } else { &mut growing.hosts };
        growing.extend(group.grown().map(|(claim, _, size)| (claim.to_owned(), size.clone())));
    }
    growing
}

/// Why volumes can't be larger, at the input or the override that asks for it. `rigid` says why those of a
/// storage class can't grow.
pub(in super::super) fn stuck(
    from: &Shape,
    to: &Shape,
    new: &Known<ClusterArgs>,
    rigid: impl Fn(&str) -> Option<String>,
) -> Vec<CheckFailure> {
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

/// Volumes that hosts don't use any more.
pub(super) fn losses(from: &Shape, to: &Shape) -> Vec<Finding> {
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
    for (name, claim) in existing(old)
        .filter(|(name, claim)| lasting.contains(claim.host.as_str()) && !new.claims.contains_key(*name))
    {
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
        let hosts: BTreeSet<&str> = claims.iter().map(|(_, claim)| claim.host.as_str()).collect();
        let is_now = |claim: &&Claim| claim.holds == Holds::Data && hosts.contains(claim.host.as_str());
        let of_layout = is_claim_of_layout(template)
            || new.claims.values().filter(is_now).any(|claim| is_claim_of_layout(&claim.template));
        let (input, reason) = match holds {
            Holds::Data if moves => (
                of_layout.then_some("layout"),
                format!(
                    "the data of the volume template `{template}` is no longer used: hosts begin with empty \
                        volumes, and {fate} {names}"
                ),
            ),
            Holds::Data => {
                let all = volumes_of(claims.len());
                (
                    Some("storage.ephemeral"),
                    format!("the data moves to another place, which loses what is on {all}: {fate} {names}"),
                )
            }
            Holds::Logs => (
                Some("storage.logs"),
                format!("the volumes of the logs are no longer used, and {fate} {names}"),
            ),
            Holds::Disk => {
                let all = volumes_of(claims.len());
                (
                    Some("storage.disks"),
                    format!("the disk `{template}` goes, which loses what is on {all}: {fate} {names}"),
                )
            }
            Holds::Other => (
                None,
                format!("the volumes of the template `{template}` are no longer used, and {fate} {names}"),
            ),
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
        let reason =
            format!("the data moves to another place, which loses what is in the pods of {}", listed(&moved));
        found.push(Finding {
            input: Some("storage.ephemeral"),
            overrides: &VOLUMES,
            about: String::new(),
            reason,
        });
    }
    found
}

/// Volumes that lose their protection.
pub(super) fn policies(from: &Shape, to: &Shape) -> Vec<Finding> {
    let mut found = Vec::new();
    let groups = volumes_in_both(from, to);
    let weakened: Vec<&Group> = groups
        .iter()
        .filter(|group| group.has(|claim| claim.policy, &ReclaimPolicy::Retain, &ReclaimPolicy::Delete))
        .collect();
    let told = |groups: &[&Group]| {
        let count = |keeper| {
            groups
                .iter()
                .filter(|group| group.keeper == keeper)
                .map(|group| group.claims.len())
                .sum::<usize>()
        };
        let volumes = match (count(false), count(true)) {
            (own, 0) => volumes_of(own),
            (0, 1) => "the Keeper's volume".to_owned(),
            (0, keepers) => format!("the Keeper's {keepers} volumes"),
            (own, keepers) => format!("{} and the Keeper's {keepers}", volumes_of(own)),
        };
        let harm = if count(true) > 0 && count(false) == 0 {
            ", and replicated tables are read-only without them"
        } else {
            ""
        };
        format!("`Retain` becomes `Delete`: from then on deleting the cluster deletes {volumes}{harm}")
    };
    // The policy of the data is the default of the others.
    let together = weakened.iter().any(|group| !group.keeper && group.holds == Holds::Data);
    let parts: Vec<Vec<&Group>> =
        if together { vec![weakened] } else { weakened.into_iter().map(|group| vec![group]).collect() };
    for part in &parts {
        let Some(first) = part.iter().min_by_key(|group| (group.keeper, group.holds)) else { continue };
        let (input, overrides) = first.place("reclaimPolicy");
        found.push(Finding { input, overrides, about: first.template.clone(), reason: told(part) });
    }
    for group in groups.iter().filter(|group| {
        group.has(|claim| claim.provisioner, &Provisioner::Operator, &Provisioner::StatefulSet)
    }) {
        let (_, overrides) = group.place("");
        found.push(Finding {
            input: (!group.keeper).then_some("storage.provisioner"),
            overrides,
            about: group.template.clone(),
            reason: format!(
                "`Operator` becomes `StatefulSet`, which the operator does not promise to do without data \
                    loss: {}",
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
                reason: format!(
                    "`Retain` becomes `Delete` for volume claims: the operator deletes those {which}"
                ),
            });
        }
    }
    found
}

/// The volumes of one template that are there before and after.
pub(super) struct Group<'a> {
    keeper: bool,
    holds: Holds,
    pub(super) template: String,
    claims: Vec<(&'a str, &'a Claim, &'a Claim)>,
}

pub(super) fn volumes_in_both<'a>(from: &'a Shape, to: &'a Shape) -> Vec<Group<'a>> {
    let pairs = [(false, Some((&from.clickhouse, &to.clickhouse))), (true, keepers(from, to))];
    let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (keeper, old, new) in
        pairs.into_iter().filter_map(|(keeper, pair)| pair.map(|(old, new)| (keeper, old, new)))
    {
        for (name, claim) in existing(old) {
            if let Some(new) = new.claims.get(name) {
                groups
                    .entry((keeper, claim.holds, claim.template.as_str()))
                    .or_default()
                    .push((name, claim, new));
            }
        }
    }
    let group = |((keeper, holds, template), claims): ((_, _, &str), _)| Group {
        keeper,
        holds,
        template: template.to_owned(),
        claims,
    };
    groups.into_iter().map(group).collect()
}

impl Group<'_> {
    /// The input that says `what` of these volumes, and the overrides that can.
    pub(super) fn place(&self, what: &str) -> (Option<&'static str>, &'static [&'static str]) {
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
            (false, Holds::Disk, "size" | "storageClass" | "reclaimPolicy") => Some("storage.disks"),
            _ => None,
        };
        (input, if self.keeper { &KEEPER_VOLUMES } else { &VOLUMES })
    }

    /// Whether a volume goes from `old` to `new`.
    fn has<T: PartialEq>(&self, pick: fn(&Claim) -> T, old: &T, new: &T) -> bool {
        self.claims.iter().any(|(_, before, after)| pick(before) == *old && pick(after) == *new)
    }

    /// The size of the largest volume that is to be smaller, and what it is to be.
    pub(super) fn shrunk(&self) -> Option<(&String, &String)> {
        let sizes = self.claims.iter().filter_map(|(_, old, new)| old.size.as_ref().zip(new.size.as_ref()));
        sizes
            .filter(|(old, new)| quantity::shrinks(old, new))
            .reduce(|one, other| if quantity::shrinks(other.0, one.0) { other } else { one })
    }

    /// The volumes that are to be larger, with the size that each is to have.
    fn grown(&self) -> impl Iterator<Item = (&str, &Claim, &String)> {
        let size = |old: &Claim, new: &'_ Claim| {
            quantity::shrinks(new.size.as_ref()?, old.size.as_ref()?).then_some(())
        };
        self.claims.iter().filter_map(move |(name, old, new)| {
            size(old, new).and(new.size.as_ref()).map(|size| (*name, *old, size))
        })
    }

    /// The class of a volume, and the other one that it is to have. A volume that is there has the class that
    /// was the default.
    pub(super) fn of_another_class(&self) -> Option<(&Option<String>, &Option<String>)> {
        let differs = |old: &Claim, new: &Claim| {
            old.class != new.class && !(old.existence == Existence::Made && new.class.is_none())
        };
        self.claims
            .iter()
            .find(|(_, old, new)| differs(old, new))
            .map(|(_, old, new)| (&old.class, &new.class))
    }
}
