//! Filling in what a program leaves out: this release's defaults, or those that the cluster was made with.

use super::aspects::{self, ClusterArgs};
use super::names;
use crate::property::path::PropertyPath;
use crate::resource::{Autonaming, CheckFailure, Known, Urn};

/// `new` with the defaults filled in, as it is stored in Pulumi's state and shown in its preview.
///
/// What `old`, the inputs of the last run, had by default stays: name, namespace, version and what
/// [`aspects::Defaults`] holds. A Keeper that came because of `replicas` stays when there is one replica
/// left, since the tables' replication lives in it.
pub(super) fn fill(
    urn: &Urn,
    autonaming: &Autonaming,
    default_namespace: &str,
    old: Option<&ClusterArgs>,
    new: &Known<ClusterArgs>,
) -> Result<ClusterArgs, CheckFailure> {
    let mut args = new.value.clone();
    let old_value = |pick: fn(&ClusterArgs) -> &Option<String>| old.and_then(|old| pick(old).clone());
    // States of releases that recorded none have today's.
    let mut made_with = old.map(ClusterArgs::made_with).or_else(|| args.defaults.clone()).unwrap_or_default();
    let recorded = old.is_some_and(|old| old.defaults.is_some());
    made_with.rotated.clear();
    made_with.image.version_omitted =
        args.image.version.is_none() && !new.is_unknown(&PropertyPath::from("version"));
    if let Some(version) =
        args.image.version.clone().or_else(|| old_value(|old| &old.image.version).filter(|_| !recorded))
    {
        made_with.image.version = version;
    }
    if let Some(namespace) =
        args.naming.namespace.clone().or_else(|| old_value(|old| &old.naming.namespace).filter(|_| !recorded))
    {
        made_with.naming.namespace = Some(namespace);
    }
    let namespace = made_with.naming.namespace.get_or_insert_with(|| default_namespace.to_owned()).clone();
    args.naming.namespace.get_or_insert(namespace);
    args.defaults = Some(made_with);
    let had_keeper = old.is_some_and(ClusterArgs::has_keeper);
    let mut args = aspects::with_defaults(args, had_keeper);
    if args.naming.name.is_none() && !new.is_unknown(&PropertyPath::from("name")) {
        let cluster_name = args.naming.cluster_name.as_deref().unwrap_or_default();
        args.naming.name = Some(match old_value(|old| &old.naming.name) {
            Some(name) => name,
            None => name(urn, autonaming, names::NAME_BUDGET.saturating_sub(cluster_name.len()))?,
        });
    }
    Ok(args)
}

fn name(urn: &Urn, autonaming: &Autonaming, budget: usize) -> Result<String, CheckFailure> {
    match autonaming {
        Autonaming::Default => Ok(names::autoname(urn, budget)),
        Autonaming::Propose(proposal) => Ok(names::cut(&names::fit(proposal), budget)),
        Autonaming::Enforce(name) => Ok(name.clone()),
        Autonaming::Disabled => Err(CheckFailure::new(
            "name",
            "must be given, because autonaming is disabled in this stack's configuration",
        )),
    }
}
