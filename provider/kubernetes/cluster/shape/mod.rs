//! What a ClickHouseInstallation and its Keeper come to once the operator has read them: hosts, volumes,
//! coordination, configuration. Pure.
//!
//! Taken from the rendered objects, overrides included, or from those on the API server, by the rules of the
//! operator's 0.25. The guard, the effects, the waits and the outputs judge by it, and so it does not matter
//! where in the inputs a thing was said.

mod layout;
mod pods;
mod users;
mod volumes;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

pub(super) use self::pods::{app, image};
use super::aspects::{COORDINATION_PORT, ClusterArgs, Provisioner, ReclaimPolicy, ValidatedCluster};
use super::{manifest, names, validate};
use crate::kubernetes::observe;

/// More hosts than these are counted, but not looked at one by one.
pub(super) const MOST_HOSTS: u64 = 1000;

/// A cluster as the operator sees it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shape {
    /// The ClickHouseInstallation's name.
    pub(super) name: String,
    /// Its namespace.
    pub(super) namespace: String,
    /// The ClickHouse hosts and what belongs to them.
    pub(super) clickhouse: Installation,
    /// The Keeper of the same name, where there is one.
    pub(super) keeper: Option<Installation>,
    /// How the replicas of each cluster agree, by the cluster's name.
    pub(super) coordination: BTreeMap<String, Coordination>,
    /// By which secret the hosts of each cluster trust each other, by the cluster's name.
    pub(super) secrets: BTreeMap<String, Value>,
    /// The users that have a password or another credential.
    pub(super) users: BTreeSet<String>,
    /// The Services of single shards.
    pub(super) shard_services: Vec<String>,
    /// Settings of users that operator 0.27.4 and newer refuse.
    pub(super) removed_syntax: BTreeSet<String>,
    /// What becomes of volume claims that the operator does not know, and of those of a host that failed to
    /// come up.
    pub(super) cleanup: [ReclaimPolicy; 2],
}

/// The hosts of a ClickHouseInstallation, or the members of a Keeper.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Installation {
    /// All of them, in the operator's order; none when there are too many of them.
    pub(super) hosts: Vec<Host>,
    /// The number of hosts.
    pub(super) count: u64,
    /// The volume claims of the hosts, by name.
    pub(super) claims: BTreeMap<String, Claim>,
    /// The templates of pods, by name.
    pod_templates: BTreeMap<String, Value>,
    /// Its settings, files, users and the like.
    pub(super) configuration: Configuration,
    /// The labels, which every pod gets too.
    pub(super) labels: Map<String, Value>,
    /// The annotations, which every pod gets too.
    pub(super) annotations: Map<String, Value>,
    /// Whether no host is to run.
    pub(super) stopped: bool,
    /// Whether the hosts' containers sleep instead of running ClickHouse.
    pub(super) sleeps: bool,
    /// Whether the operator is to leave it alone.
    pub(super) suspended: bool,
    /// The Service of the installation as a whole.
    pub(super) service: String,
    /// What stands behind a Service's name in its DNS name.
    domain: String,
}

/// A ClickHouse host, or a member of a Keeper.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Host {
    /// Its StatefulSet's name.
    pub(super) name: String,
    /// Its own Service's name.
    pub(super) service: String,
    /// The cluster it is in.
    pub(super) cluster: String,
    /// Its shard's number.
    pub(super) shard: u32,
    /// Its shard's name, which is the number where nothing else is said.
    pub(super) shard_name: String,
    /// Its number in the shard.
    pub(super) replica: u32,
    /// Its name in the cluster: that of the shard and that of the replica.
    pub(super) part: String,
    /// The name of its pod's template.
    pub(super) pod_template: String,
}

/// A volume of one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    /// The template that it is made from.
    pub(super) template: String,
    /// The StatefulSet of the host that it belongs to.
    pub(super) host: String,
    /// What it holds.
    pub(super) holds: Holds,
    /// How large it is.
    pub(super) size: Option<String>,
    /// Its storage class; `None` for the default one.
    pub(super) class: Option<String>,
    /// How it may be mounted.
    pub(super) access_modes: Vec<String>,
    /// What becomes of it when its host goes.
    pub(super) policy: ReclaimPolicy,
    /// Who makes it.
    pub(super) provisioner: Provisioner,
    /// Whether it exists.
    pub(super) existence: Existence,
}

/// What a volume holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Holds {
    /// The data, or the most of it.
    Data,
    /// Log files.
    Logs,
    /// Data too: a disk of `storage.disks`, mounted where these are.
    Disk,
    /// Something else, for instance a second disk that is mounted elsewhere.
    Other,
}

/// What is known of a claim's existence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Existence {
    /// Nobody has looked.
    Assumed,
    /// It is there and has a volume.
    Made,
    /// It is not there, or never got a volume.
    Unmade,
}

/// How the replicas of a cluster agree.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Coordination {
    /// Where their common knowledge lives.
    pub(super) ensemble: Ensemble,
    /// Below which path of it.
    pub(super) root: String,
    /// As it is written, the port said where it is implied.
    said: Value,
}

/// Where the common knowledge of replicas lives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Ensemble {
    /// Nowhere.
    #[default]
    None,
    /// In the Keeper of the same name.
    Keeper,
    /// On these servers.
    Servers(Vec<String>),
}

/// What ClickHouse is told: part (`settings`, `files` …), level (empty for the whole installation) and key,
/// and the value there.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Configuration(BTreeMap<(&'static str, String, String), Value>);

/// One thing that ClickHouse is told otherwise.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change<'a> {
    /// `settings`, `files` …
    pub(super) part: &'static str,
    /// Which of them.
    pub(super) key: &'a str,
    pub(super) old: Option<&'a Value>,
    pub(super) new: Option<&'a Value>,
}

impl Shape {
    /// The shape of a ClickHouseInstallation and of the Keeper of its name.
    pub(super) fn of(installation: &Value, keeper: Option<&Value>) -> Self {
        let spec = &installation["spec"];
        let name = text(&installation["metadata"]["name"]).to_owned();
        let namespace = text(&installation["metadata"]["namespace"]).to_owned();
        let (clickhouse, shard_services) = layout::installation(&layout::CLICKHOUSE, installation);
        let clusters = clusters(spec);
        let coordination = clusters.iter().map(|cluster| {
            let own = &cluster["zookeeper"];
            let zookeeper = if is_empty(own) { &spec["configuration"]["zookeeper"] } else { own };
            (cluster_name(cluster).to_owned(), Coordination::of(zookeeper, &name, &namespace))
        });
        Self {
            coordination: coordination.collect(),
            secrets: clusters
                .iter()
                .map(|cluster| (cluster_name(cluster).to_owned(), cluster["secret"].clone()))
                .collect(),
            users: users::credentialed(&spec["configuration"]["users"]),
            removed_syntax: users::removed_syntax(&spec["configuration"]["users"]),
            cleanup: cleanup(spec),
            keeper: keeper.map(|keeper| layout::installation(&layout::KEEPER, keeper).0),
            name,
            namespace,
            clickhouse,
            shard_services,
        }
    }

    /// The shape of what is rendered for `cluster`, the administrator's password left out.
    pub(super) fn rendered(cluster: &ValidatedCluster) -> Self {
        let (installation, keeper) = manifest::installations(cluster);
        Self::of(&installation, keeper.as_ref())
    }

    /// The shape that the inputs of the last run rendered, as far as they can still be understood.
    pub(super) fn last(old: &ClusterArgs) -> Self {
        Self::rendered(&validate::last_anyway(old))
    }

    /// Takes note of the volume claims that exist in the namespace: those that don't, or never got a volume,
    /// are nothing to lose; the others have the class and the size that they really have.
    pub(super) fn settle(&mut self, claims: &[Value]) {
        let found: BTreeMap<_, _> =
            claims.iter().map(|claim| (text(&claim["metadata"]["name"]), claim)).collect();
        let keepers = self.keeper.iter_mut().flat_map(|keeper| &mut keeper.claims);
        for (name, claim) in self.clickhouse.claims.iter_mut().chain(keepers) {
            claim.settle(found.get(name.as_str()).copied());
        }
    }

    /// Whether none of the cluster's volumes exists though it is to have some: it was never made.
    pub(super) fn is_unmade(&self) -> bool {
        let mut claims = self.clickhouse.claims.values().peekable();
        claims.peek().is_some() && claims.all(|claim| claim.existence == Existence::Unmade)
    }
}

impl Installation {
    /// The names of the hosts' StatefulSets.
    pub(super) fn names(&self) -> Vec<String> {
        self.hosts.iter().map(|host| host.name.clone()).collect()
    }

    /// The template of a host's pod; null where the operator takes its own.
    pub(super) fn pod(&self, host: &Host) -> &Value {
        self.pod_templates.get(&host.pod_template).unwrap_or(&Value::Null)
    }

    /// The names of the clusters, in their order.
    pub(super) fn clusters(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for host in &self.hosts {
            if names.last() != Some(&host.cluster.as_str()) {
                names.push(&host.cluster);
            }
        }
        names
    }

    /// A Service's DNS name.
    pub(super) fn fqdn(&self, service: &str) -> String {
        format!("{service}.{}", self.domain)
    }

    /// Whether it has more hosts than are looked at.
    pub(super) fn is_too_large(&self) -> bool {
        self.count > MOST_HOSTS
    }
}

impl Host {
    /// Its pod.
    pub(super) fn pod(&self) -> String {
        names::pod(&self.name)
    }
}

impl Claim {
    fn settle(&mut self, found: Option<&Value>) {
        let Some(found) = found.filter(|found| has_volume(found)) else {
            self.existence = Existence::Unmade;
            return;
        };
        let size = &found["status"]["capacity"]["storage"];
        let size = if size.is_string() { size } else { &found["spec"]["resources"]["requests"]["storage"] };
        self.existence = Existence::Made;
        self.class = found["spec"]["storageClassName"].as_str().map(str::to_owned);
        self.size = size.as_str().map(str::to_owned).or(self.size.take());
        self.access_modes = strings(&found["spec"]["accessModes"]);
    }
}

impl Coordination {
    fn of(zookeeper: &Value, name: &str, namespace: &str) -> Self {
        let nodes = zookeeper["nodes"].as_array().map(Vec::as_slice).unwrap_or_default();
        let reference = &zookeeper["keeper"];
        let is_own = |host: &str| {
            let mut labels = host.split('.');
            let first = labels.next().unwrap_or_default();
            (first == names::keeper_service(name) || first.starts_with(&format!("chk-{name}-")))
                && labels.next().is_none_or(|second| second == namespace)
        };
        let ensemble = if let Some(keeper) = reference["name"].as_str().filter(|_| nodes.is_empty()) {
            let place = reference["namespace"].as_str().unwrap_or(namespace);
            if (keeper, place) == (name, namespace) {
                Ensemble::Keeper
            } else {
                Ensemble::Servers(vec![format!("{}.{place}", names::keeper_service(keeper))])
            }
        } else if nodes.is_empty() {
            Ensemble::None
        } else if nodes.iter().all(|node| is_own(text(&node["host"]))) {
            Ensemble::Keeper
        } else {
            Ensemble::Servers(nodes.iter().map(|node| text(&node["host"]).to_owned()).collect())
        };
        let mut said = zookeeper.clone();
        for node in said.get_mut("nodes").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Value::Object(node) = node {
                node.entry("port").or_insert_with(|| COORDINATION_PORT.into());
            }
        }
        Self { ensemble, root: text(&zookeeper["root"]).trim_end_matches('/').to_owned(), said }
    }

    /// Whether ClickHouse is told anything else.
    pub(super) fn differs(&self, other: &Self) -> bool {
        self.said != other.said
    }
}

impl Ensemble {
    /// Whether both share their knowledge: the same Keeper, or a server in common.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let same_server = |one: &str, other: &str| {
            let begins = |long: &str, short: &str| {
                long.strip_prefix(short).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            };
            begins(one, other) || begins(other, one)
        };
        // A Keeper's member has a second name with operators since 0.27.2.
        let server = |host: &str| {
            let (service, domain) = host.split_at(host.find('.').unwrap_or(host.len()));
            let own = service.strip_suffix("-client").filter(|own| own.starts_with("chk-"));
            format!("{}{domain}", own.unwrap_or(service))
        };
        match (self, other) {
            (Self::Servers(one), Self::Servers(other)) => {
                one.iter().any(|one| other.iter().any(|other| same_server(&server(one), &server(other))))
            }
            (one, other) => one == other,
        }
    }
}

impl Configuration {
    /// Notes what one level says of one part.
    fn note(&mut self, part: &'static str, level: &str, values: &Value) {
        for (key, value) in values.as_object().into_iter().flatten() {
            self.0.insert((part, level.to_owned(), key.clone()), value.clone());
        }
    }

    /// All that differs.
    pub(super) fn changes<'a>(&'a self, new: &'a Self) -> impl Iterator<Item = Change<'a>> {
        let keys: BTreeSet<_> = self.0.keys().chain(new.0.keys()).collect();
        let changes = keys.into_iter().map(|at| Change {
            part: at.0,
            key: &at.2,
            old: self.0.get(at),
            new: new.0.get(at),
        });
        changes.filter(|change| change.old != change.new)
    }
}

/// Whether a volume claim ever got a volume.
pub(super) fn has_volume(claim: &Value) -> bool {
    claim["status"]["phase"] != "Pending" || claim["spec"]["volumeName"].is_string()
}

/// What a word of the operator's says; `None` when it is another word.
pub(super) fn yes_or_no(word: &Value) -> Option<bool> {
    word.as_bool().or_else(|| observe::yes_or_no(text(word)))
}

/// The clusters of an installation; one where it names none.
fn clusters(spec: &Value) -> Vec<&Value> {
    match spec["configuration"]["clusters"].as_array() {
        Some(clusters) if !clusters.is_empty() => clusters.iter().collect(),
        _ => vec![&Value::Null],
    }
}

fn cluster_name(cluster: &Value) -> &str {
    Some(text(&cluster["name"])).filter(|name| !name.is_empty()).unwrap_or(names::DEFAULT_CLUSTER_NAME)
}

/// The policies of `reconcile.cleanup`. Where the older `reconciling` says something, that holds.
fn cleanup(spec: &Value) -> [ReclaimPolicy; 2] {
    let policy = |objects: &str, default| {
        let said = ["reconciling", "reconcile"].map(|field| policy(&spec[field]["cleanup"][objects]["pvc"]));
        said.into_iter().flatten().next().unwrap_or(default)
    };
    [policy("unknownObjects", ReclaimPolicy::Delete), policy("reconcileFailedObjects", ReclaimPolicy::Retain)]
}

fn policy(word: &Value) -> Option<ReclaimPolicy> {
    serde_json::from_value(word.clone()).ok()
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_none_or(Map::is_empty)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn strings(value: &Value) -> Vec<String> {
    list(value).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The element of a list that has this name.
fn named<'a>(elements: &'a Value, name: &str) -> Option<&'a Value> {
    list(elements).iter().find(|element| !name.is_empty() && element["name"] == name)
}
