//! What a cluster is when its program says nothing, each value in one place.

use serde::{Deserialize, Serialize};

use super::aspects::{self, Adopted, ClusterArgs, CoordinationType, LogLevel};
use super::names;
use crate::property::path::PropertyPath;
use crate::resource::{Autonaming, CheckFailure, Known, Urn};

/// The release that a new cluster gets: ClickHouse's long-term-support line 25.8.
pub(super) const VERSION: &str = "25.8.30.16";
/// The official server image.
pub(super) const SERVER_REPOSITORY: &str = "clickhouse/clickhouse-server";
/// The official Keeper image.
pub(super) const KEEPER_REPOSITORY: &str = "clickhouse/clickhouse-keeper";
/// The administrator's name.
pub(super) const USERNAME: &str = "default";
/// The key of the password in a Secret.
pub(super) const PASSWORD_KEY: &str = "password";
/// The Kubernetes DNS domain.
pub(super) const CLUSTER_DOMAIN: &str = "cluster.local";
/// The port of a Keeper or ZooKeeper.
pub(super) const COORDINATION_PORT: u16 = 2181;
/// From where the administrator may log in: the private ranges (RFC 1918, 6598 and 4193) and the host itself.
pub(super) const PRIVATE_NETWORKS: [&str; 7] =
    ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7", "127.0.0.1", "::1"];

/// The defaults that a later release may change. A cluster keeps those that it was made with: they are recorded with its inputs, where
/// neither a refresh nor another release changes them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Defaults {
    /// The version that a program which names none gets: that of the last run.
    pub(super) version: String,
    /// Whether the program names none, so that the cluster keeps what it has.
    pub(super) version_omitted: bool,
    /// The namespace of the last run.
    pub(super) namespace: Option<String>,
    /// CPU and memory of a host: requests and limits.
    pub(super) resources: [[String; 2]; 2],
    pub(super) keeper_resources: [[String; 2]; 2],
    pub(super) data_size: String,
    pub(super) logs_size: String,
    pub(super) keeper_size: String,
    pub(super) keeper_replicas: u32,
    pub(super) networks: Vec<String>,
    pub(super) log_level: LogLevel,
    /// How the cluster's objects are written, where somebody else made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) adopted: Option<Adopted>,
}

impl Default for Defaults {
    /// Those of this release.
    fn default() -> Self {
        let pairs = |pairs: [[&str; 2]; 2]| pairs.map(|pair| pair.map(str::to_owned));
        Self {
            version: VERSION.to_owned(),
            version_omitted: false,
            namespace: None,
            resources: pairs([["500m", "1Gi"], ["2", "4Gi"]]),
            keeper_resources: pairs([["100m", "256Mi"], ["500m", "1Gi"]]),
            data_size: "50Gi".to_owned(),
            logs_size: "10Gi".to_owned(),
            keeper_size: "10Gi".to_owned(),
            keeper_replicas: 3,
            networks: PRIVATE_NETWORKS.map(str::to_owned).to_vec(),
            log_level: LogLevel::Information,
            adopted: None,
        }
    }
}

/// The defaults of the cluster that `args` describe.
pub(super) fn of(args: &ClusterArgs) -> Defaults {
    args.defaults.clone().unwrap_or_default()
}

/// `new` with the defaults filled in, as it is stored in Pulumi's state and shown in its preview.
///
/// What `old`, the inputs of the last run, had by default stays: name, namespace, version and what [`Defaults`] holds. A Keeper that came
/// because of `replicas` stays when there is one replica left, since the tables' replication lives in it.
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
    let mut made_with = old.map(of).or_else(|| args.defaults.clone()).unwrap_or_default();
    let recorded = old.is_some_and(|old| old.defaults.is_some());
    made_with.version_omitted = args.image.version.is_none() && !new.is_unknown(&PropertyPath::from("version"));
    if let Some(version) = args.image.version.clone().or_else(|| old_value(|old| &old.image.version).filter(|_| !recorded)) {
        made_with.version = version;
    }
    if let Some(namespace) = args.naming.namespace.clone().or_else(|| old_value(|old| &old.naming.namespace).filter(|_| !recorded)) {
        made_with.namespace = Some(namespace);
    }
    let namespace = made_with.namespace.get_or_insert_with(|| default_namespace.to_owned()).clone();
    args.naming.namespace.get_or_insert(namespace);
    args.defaults = Some(made_with);
    let had_keeper = old.and_then(|old| old.coordination.as_ref()).and_then(|old| old.kind) == Some(CoordinationType::Keeper);
    let mut args = aspects::complete(args, had_keeper);
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
        Autonaming::Disabled => {
            Err(CheckFailure::new("name", "must be given, because autonaming is disabled in this stack's configuration"))
        }
    }
}
