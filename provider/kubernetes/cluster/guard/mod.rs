//! What an update would lose, found before anything is changed: from one shape of the cluster to another,
//! whichever input or override says so. Pure.

mod coordination;
mod hosts;
mod volumes;

use std::collections::{BTreeMap, BTreeSet};

use self::coordination::keepers;
use self::volumes::volumes_in_both;
pub(super) use self::volumes::{Growing, growing, stuck};
use super::aspects::{ClusterArgs, FreeForm, OverridesArgs};
use super::shape::{Claim, Existence, Host, Installation, MOST_HOSTS, Shape};
use super::validate;
use crate::property::path::PropertyPath;
use crate::resource::{CheckFailure, Known};

/// Where overrides can say the same as inputs.
const CLUSTERS: &str = "chiOverrides.configuration.clusters";
const KEEPER_CLUSTERS: &str = "chkOverrides.configuration.clusters";
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

/// Why the step from the inputs of the last run to the new ones, defaults filled in, is refused. What is
/// wrong with the new ones, or not known yet, is not judged.
pub(super) fn of_inputs(old: &ClusterArgs, new: &Known<ClusterArgs>) -> Vec<CheckFailure> {
    if *old == new.value {
        return Vec::new();
    }
    let mut new = new.clone();
    new.unknown.extend(validate::validate(&new).err().into_iter().flatten().map(|failure| failure.path));
    refusals(&Shape::last(old), &Shape::rendered(&validate::anyway(&new)), &new)
}

/// The overrides that make more hosts than are supported, of a cluster that is not there yet: what becomes of
/// one that is, the guard judges. `filled` has its defaults.
pub(super) fn overridden_hosts(old: Option<&ClusterArgs>, filled: &Known<ClusterArgs>) -> Vec<CheckFailure> {
    let places = [
        ("chiOverrides", &filled.value.overrides.chi_overrides),
        ("chkOverrides", &filled.value.overrides.chk_overrides),
    ];
    let lays_out = |overrides: &Option<FreeForm>| {
        overrides.as_ref().is_some_and(|overrides| overrides.contains_key("configuration"))
    };
    if old.is_some() || !places.iter().any(|(_, overrides)| lays_out(overrides)) {
        return Vec::new();
    }
    let Shape { clickhouse, keeper, .. } = Shape::rendered(&validate::anyway(filled));
    let installations = places.into_iter().zip([Some(clickhouse), keeper]);
    let failures = installations.filter_map(|((path, _), installation)| {
        let count = installation.filter(Installation::is_too_large)?.count;
        let reason = format!(
            "makes {count} hosts, at most {MOST_HOSTS} are supported: use fewer, or several clusters"
        );
        Some(CheckFailure::new(format!("{path}.configuration.clusters").as_str(), reason))
    });
    failures.filter(|failure| !filled.is_unknown(&failure.path)).collect()
}

/// Why the step to the inputs `new`, whose shape is `to`, is refused: changes that can't be made at all, and,
/// without `allowDataLoss`, those that lose data. Each says what would be lost, at the input or the override
/// that says it.
pub(super) fn refusals(from: &Shape, to: &Shape, new: &Known<ClusterArgs>) -> Vec<CheckFailure> {
    let mut refusals = at_their_paths(impossible, from, to, new);
    if new.value.operations.allow_data_loss != Some(true) {
        refusals.extend(at_their_paths(losses, from, to, new).into_iter().map(
            |CheckFailure { path, reason }| CheckFailure {
                path,
                reason: format!("{reason}; to do it anyway set `allowDataLoss: true`"),
            },
        ));
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
        let reason = "`allowDataLoss: true` is set, though this change loses nothing: remove it, or a later \
            change that loses data is not refused";
        return vec![reason.to_owned()];
    }
    lost.into_iter()
        .map(|CheckFailure { path, reason }| {
            format!("{path}: {reason}; `allowDataLoss` is set, so it is done")
        })
        .collect()
}

/// The findings, each at the input that says it, or at the override when only that explains it; without what
/// is not known yet.
fn at_their_paths(
    find: impl Fn(&Shape, &Shape) -> Vec<Finding>,
    from: &Shape,
    to: &Shape,
    new: &Known<ClusterArgs>,
) -> Vec<CheckFailure> {
    let mut found = find(from, to);
    if found.is_empty() {
        return Vec::new();
    }
    let of_shards: BTreeSet<String> = new.value.layout.own_claims().collect();
    let said = |finding: &Finding| match finding.input {
        Some("shards" | "replicas") if new.value.layout.layout.is_some() => Some("layout"),
        Some(_) if of_shards.contains(&finding.about) => Some("layout"),
        input => input,
    };
    for finding in &mut found {
        finding.input = said(finding);
    }
    let overrides = [
        ("chiOverrides", &new.value.overrides.chi_overrides),
        ("chkOverrides", &new.value.overrides.chk_overrides),
    ];
    let overrides: BTreeMap<_, _> =
        overrides.into_iter().filter_map(|(name, map)| Some((name, map.as_ref()?))).collect();
    let by_inputs = if overrides.is_empty() { None } else { Some(find(from, &without_overrides(new))) };
    let is_given = |path: &&str| {
        let mut keys = path.split('.');
        let first = keys
            .next()
            .and_then(|name| overrides.get(name))
            .zip(keys.next())
            .and_then(|(map, key)| map.get(key));
        first.is_some_and(|value| keys.try_fold(value, |value, key| value.get(key)).is_some())
    };
    let place = |finding: &Finding| {
        let same = |other: &Finding| (said(other), &other.about) == (finding.input, &finding.about);
        let said_by_input = by_inputs.as_ref().is_none_or(|found| found.iter().any(same));
        let by_override =
            || finding.overrides.iter().copied().find(is_given).or(finding.overrides.first().copied());
        finding.input.filter(|_| said_by_input).or_else(by_override).or(finding.input).unwrap_or_default()
    };
    found
        .iter()
        .filter(|finding| {
            !finding
                .input
                .iter()
                .chain(finding.overrides)
                .any(|path| new.is_unknown(&PropertyPath::from(*path)))
        })
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
    let mut refuse = |input, overrides, about: &str, reason| {
        found.push(Finding { input, overrides, about: about.to_owned(), reason });
    };
    for (installation, overrides) in
        [(Some(&to.clickhouse), &[CLUSTERS]), (to.keeper.as_ref(), &[KEEPER_CLUSTERS])]
    {
        if let Some(count) = installation
            .filter(|installation| installation.is_too_large())
            .map(|installation| installation.count)
        {
            refuse(None, overrides, "", format!("makes {count} hosts, at most {MOST_HOSTS} are supported"));
        }
    }
    if from.is_unmade() || replaces(from, to) {
        return found;
    }
    for group in volumes_in_both(from, to) {
        let (input, overrides) = group.place("size");
        if let Some((old, new)) = group.shrunk() {
            refuse(
                input,
                overrides,
                &group.template,
                format!("a volume can't shrink from `{old}` to `{new}`: keep at least `{old}`"),
            );
        }
        let (input, overrides) = group.place("storageClass");
        if let Some((old, new)) = group.of_another_class() {
            let name = |class: &Option<String>| {
                class.as_ref().map_or_else(|| "the default class".to_owned(), |class| format!("`{class}`"))
            };
            let reason = format!(
                "existing volumes keep their class, so it can't change from {} to {}: create a second \
                    cluster with the new class and move the data; if there is no data yet, destroy this one, \
                    delete its claims (`kubectl delete pvc`) and create it again",
                name(old),
                name(new)
            );
            refuse(input, overrides, &group.template, reason);
        }
    }
    if let Some((old, new)) = keepers(from, to) {
        let (old, new) = (old.hosts.len(), new.hosts.len());
        if new + 2 < old {
            let reason = format!(
                "{old} Keeper members can't become {new} at once: the majority would be lost; remove two at \
                    a time"
            );
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
    let identity = hosts::identity(from, to);
    if replaces(from, to) {
        return identity;
    }
    [
        hosts::losses(from, to),
        volumes::losses(from, to),
        volumes::policies(from, to),
        coordination::losses(from, to),
        coordination::keeper(from, to),
    ]
    .concat()
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

/// The claims that may hold something.
fn existing(installation: &Installation) -> impl Iterator<Item = (&str, &Claim)> {
    installation
        .claims
        .iter()
        .filter(|(_, claim)| claim.existence != Existence::Unmade)
        .map(|(name, claim)| (name.as_str(), claim))
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
