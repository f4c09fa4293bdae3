//! What a cluster is when its program says nothing, each value in one place.

use serde::{Deserialize, Serialize};

use super::args::{
    Admin, ClusterArgs, Coordination, CoordinationType, Keeper, LogLevel, Provisioner, ReclaimPolicy, ResourceAmounts, Resources, Storage,
    Volume,
};
use super::{names, quantity};
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
    let mut made_with = old.map(of).unwrap_or_default();
    let recorded = old.is_some_and(|old| old.defaults.is_some());
    made_with.version_omitted = args.version.is_none() && !new.is_unknown(&PropertyPath::from("version"));
    if let Some(version) = args.version.clone().or_else(|| old_value(|old| &old.version).filter(|_| !recorded)) {
        made_with.version = version;
    }
    if let Some(namespace) = args.namespace.clone().or_else(|| old_value(|old| &old.namespace).filter(|_| !recorded)) {
        made_with.namespace = Some(namespace);
    }
    let namespace = made_with.namespace.get_or_insert_with(|| default_namespace.to_owned()).clone();
    args.namespace.get_or_insert(namespace);
    args.defaults = Some(made_with);
    let had_keeper = old.and_then(|old| old.coordination.as_ref()).and_then(|old| old.kind) == Some(CoordinationType::Keeper);
    let mut args = complete(args, had_keeper);
    if args.name.is_none() && !new.is_unknown(&PropertyPath::from("name")) {
        let cluster_name = args.cluster_name.as_deref().unwrap_or_default();
        args.name = Some(match old_value(|old| &old.name) {
            Some(name) => name,
            None => name(urn, autonaming, names::NAME_BUDGET.saturating_sub(cluster_name.len()))?,
        });
    }
    Ok(args)
}

/// `args` with the defaults that depend on nothing else; `had_keeper` says whether a Keeper is there already.
pub(super) fn complete(mut args: ClusterArgs, had_keeper: bool) -> ClusterArgs {
    args.cluster_name.get_or_insert_with(|| names::DEFAULT_CLUSTER_NAME.to_owned());
    let defaults = of(&args);
    args.version.get_or_insert_with(|| defaults.version.clone());
    args.cluster_domain.get_or_insert_with(|| CLUSTER_DOMAIN.to_owned());
    args.shards.get_or_insert(1);
    let replicas = *args.replicas.get_or_insert(1);
    args.resources = Some(fill_resources(args.resources.take(), &defaults.resources));
    let storage = fill_storage(args.storage.take().unwrap_or_default(), &defaults);
    let reclaim = storage.reclaim_policy.unwrap_or(ReclaimPolicy::Retain);
    args.storage = Some(storage);
    let coordination = args.coordination.take().unwrap_or_default();
    args.coordination = Some(fill_coordination(coordination, replicas > 1 || had_keeper, reclaim, &defaults));
    args.admin.get_or_insert_with(Admin::default).username.get_or_insert_with(|| USERNAME.to_owned());
    args
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

/// A given limit below the default request lowers the request, a given request above the default limit raises the limit.
fn fill_resources(given: Option<Resources>, [requests, limits]: &[[String; 2]; 2]) -> Resources {
    let Resources { requests: given_requests, limits: given_limits } = given.unwrap_or_default();
    let (request, limit) = (given_requests.unwrap_or_default(), given_limits.unwrap_or_default());
    let (cpu_request, cpu_limit) = fill_amount(request.cpu, limit.cpu, &requests[0], &limits[0]);
    let (memory_request, memory_limit) = fill_amount(request.memory, limit.memory, &requests[1], &limits[1]);
    Resources {
        requests: Some(ResourceAmounts { cpu: Some(cpu_request), memory: Some(memory_request) }),
        limits: Some(ResourceAmounts { cpu: Some(cpu_limit), memory: Some(memory_limit) }),
    }
}

fn fill_amount(request: Option<String>, limit: Option<String>, default_request: &str, default_limit: &str) -> (String, String) {
    match (request, limit) {
        (Some(request), Some(limit)) => (request, limit),
        (Some(request), None) if quantity::shrinks(&request, default_limit) => (request.clone(), request),
        (Some(request), None) => (request, default_limit.to_owned()),
        (None, Some(limit)) if quantity::shrinks(default_request, &limit) => (limit.clone(), limit),
        (None, Some(limit)) => (default_request.to_owned(), limit),
        (None, None) => (default_request.to_owned(), default_limit.to_owned()),
    }
}

fn fill_storage(mut storage: Storage, defaults: &Defaults) -> Storage {
    let reclaim = *storage.reclaim_policy.get_or_insert(ReclaimPolicy::Retain);
    storage.provisioner.get_or_insert(Provisioner::Operator);
    if storage.ephemeral != Some(true) {
        storage.size.get_or_insert_with(|| defaults.data_size.clone());
    }
    storage.logs = storage.logs.map(|logs| fill_volume(logs, &defaults.logs_size, reclaim));
    storage
}

fn fill_volume(mut volume: Volume, size: &str, reclaim: ReclaimPolicy) -> Volume {
    volume.size.get_or_insert_with(|| size.to_owned());
    volume.reclaim_policy.get_or_insert(reclaim);
    volume
}

fn fill_coordination(mut given: Coordination, needs_keeper: bool, reclaim: ReclaimPolicy, defaults: &Defaults) -> Coordination {
    let kind = match (&given.keeper, &given.external) {
        (_, Some(_)) => CoordinationType::External,
        (Some(_), None) => CoordinationType::Keeper,
        (None, None) if needs_keeper => CoordinationType::Keeper,
        (None, None) => CoordinationType::None,
    };
    let kind = *given.kind.get_or_insert(kind);
    if kind == CoordinationType::Keeper {
        let keeper = given.keeper.take().unwrap_or_default();
        given.keeper = Some(Keeper {
            replicas: Some(keeper.replicas.unwrap_or(defaults.keeper_replicas)),
            image: keeper.image,
            resources: Some(fill_resources(keeper.resources, &defaults.keeper_resources)),
            storage: Some(fill_volume(keeper.storage.unwrap_or_default(), &defaults.keeper_size, reclaim)),
        });
    }
    given
}
