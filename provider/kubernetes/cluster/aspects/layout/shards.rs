//! A layout that is written out shard by shard.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::super::check::label_problem;
use super::super::draft::{POD, yes_no};
use super::super::read::{number, text};
use super::super::resources::Resources;
use super::super::storage::{ClaimTemplate, DATA, StorageArgs, Volume};
use super::super::{Checker, FreeForm, PodArgs};
use super::MOST;
use super::hosts::{OF_HOST, Own, OwnPods, ShardHost, complete_volume, own_volume};
use crate::kubernetes::cluster::shape::{MOST_HOSTS, yes_or_no};
use crate::property::path::PropertyPath;

/// The operator cuts a longer name of a shard or host.
const LONGEST: usize = 15;
/// At most as long are the names of the cluster, of its installation and of a host together.
const TOGETHER: usize = 46;
/// Which folder files of single shards and hosts go to.
const FOLDER: &str = "conf.d";

/// The layout of the cluster, shard by shard.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterLayout")]
pub struct WrittenLayout {
    /// The shards in their order. One that goes, or gets another name, loses its data, which needs
    /// `allowDataLoss`.
    pub shards: Vec<Shard>,
}

/// A shard.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterShard")]
pub struct Shard {
    /// The name, which is part of the names of its hosts. Default: its number, from 0.
    pub name: Option<String>,
    /// The number of replicas. Default: 1.
    #[schemars(range(min = 1))]
    pub replicas: Option<u32>,
    /// The replicas one by one, where they differ, also in size, volume or nodes; instead of `replicas`.
    pub hosts: Option<Vec<ShardHost>>,
    /// How much of what is written to a Distributed table the shard gets, beside the weights of the others.
    /// Default: 1. A change takes effect without a restart.
    pub weight: Option<u32>,
    /// Whether a Distributed table writes to one replica only, and leaves it to this one to pass it on.
    /// Default: true with more than one replica. A change takes effect without a restart.
    pub internal_replication: Option<bool>,
    /// Settings of the shard's hosts, by their paths in ClickHouse's configuration. Most changes restart
    /// these hosts.
    pub settings: Option<FreeForm>,
    /// Configuration files of the shard's hosts, by their names. A change restarts these hosts.
    pub files: Option<BTreeMap<String, String>>,
    /// CPU and memory of the ClickHouse containers of the shard. Default: those of all hosts. A change
    /// restarts the shard's hosts.
    pub resources: Option<Resources>,
    /// The data volume of each host of the shard. Default, also of each field: as that of all hosts. It is
    /// for new shards: the volumes have other names, so a shard that is there already would begin empty.
    pub storage: Option<Volume>,
    /// The pods of the shard's hosts. Each field stands instead of the same field of the cluster's `pod`. A
    /// change restarts the shard's hosts.
    pub pod: Option<Box<PodArgs>>,
}

impl WrittenLayout {
    /// Fills in what is left out.
    pub(super) fn complete(&mut self) {
        for shard in self.shards.iter_mut().filter(|shard| shard.hosts.is_none()) {
            shard.replicas.get_or_insert(1);
        }
    }

    /// Fills in what single shards and hosts leave to what is above them.
    pub(super) fn complete_own(&mut self, resources: Option<&Resources>, storage: Option<&StorageArgs>) {
        let volume = storage.map(|storage| {
            let StorageArgs { size, storage_class, access_modes, reclaim_policy, .. } = storage.clone();
            Volume { size, storage_class, access_modes, reclaim_policy }
        });
        let complete = |own: &mut Option<Resources>, above: Option<&Resources>| {
            if let (Some(given), Some(amounts)) = (own.as_ref(), above.and_then(Resources::amounts)) {
                *own = Some(Resources::complete(Some(given.clone()), &amounts));
            }
        };
        for shard in &mut self.shards {
            complete(&mut shard.resources, resources);
            if let (Some(own), Some(all)) = (&mut shard.storage, &volume) {
                complete_volume(own, all);
            }
            for host in shard.hosts.iter_mut().flatten() {
                complete(&mut host.resources, shard.resources.as_ref().or(resources));
                if let (Some(own), Some(above)) =
                    (&mut host.storage, shard.storage.as_ref().or(volume.as_ref()))
                {
                    complete_volume(own, above);
                }
            }
        }
    }

    /// The volumes of single shards and hosts: the name of each one's template, and where it is said.
    pub(super) fn own_claims(&self) -> impl Iterator<Item = (String, String, &Volume)> {
        self.shards.iter().enumerate().flat_map(|(index, shard)| {
            let path = format!("layout.shards[{index}]");
            let of_hosts = shard.hosts.iter().flatten().enumerate().filter_map({
                let path = path.clone();
                move |(number, host)| {
                    let name = shard.host_template(DATA, index, number);
                    Some((name, format!("{path}.hosts[{number}].storage"), host.storage.as_ref()?))
                }
            });
            let own = shard.storage.as_ref();
            own.map(|own| (shard.template(DATA, index), format!("{path}.storage"), own))
                .into_iter()
                .chain(of_hosts)
        })
    }

    /// The pods of single shards and hosts.
    pub(super) fn own_pods(&self) -> impl Iterator<Item = OwnPods<'_>> {
        self.shards.iter().enumerate().flat_map(|(index, shard)| {
            let Own { resources, pod, .. } = shard.own();
            let of_hosts = shard.hosts.iter().flatten().enumerate().filter_map(move |(number, host)| {
                let own = host.own();
                own.has_pods().then(|| OwnPods {
                    name: shard.host_template(POD, index, number),
                    resources: own.resources.or(resources),
                    pods: pod.into_iter().chain(own.pod).collect(),
                })
            });
            let of_shard = shard.own().has_pods().then(|| OwnPods {
                name: shard.template(POD, index),
                resources,
                pods: pod.into_iter().collect(),
            });
            of_shard.into_iter().chain(of_hosts)
        })
    }

    /// The most replicas that a shard has.
    pub(super) fn most_replicas(&self) -> u32 {
        self.shards.iter().map(Shard::count).max().unwrap_or(1)
    }

    /// How many replicas each shard has, where nothing else is said of any.
    pub(super) fn plain(&self) -> Option<u32> {
        let count = self.shards.first().map_or(1, Shard::count);
        let is_plain = |(index, shard): (usize, &Shard)| {
            let Shard { name, replicas: _, hosts, weight, internal_replication, settings, files, .. } = shard;
            shard.count() == count
                && name.as_ref().is_none_or(|name| *name == index.to_string())
                && hosts.iter().flatten().all(|host| *host == ShardHost::default())
                && weight.is_none()
                && !shard.own().has_pods()
                && shard.storage.is_none()
                && internal_replication.is_none()
                && settings.as_ref().is_none_or(BTreeMap::is_empty)
                && files.as_ref().is_none_or(BTreeMap::is_empty)
        };
        self.shards.iter().enumerate().all(is_plain).then_some(count)
    }

    /// Checks the layout of the cluster whose names have `taken` characters.
    pub(super) fn check(&self, taken: usize, check: &mut Checker<'_>) {
        let path = PropertyPath::from("layout.shards");
        if self.shards.is_empty() {
            let reason = "must have at least one shard; to run no host and keep the data set `stopped: true`";
            check.fail_at(path, reason);
            return;
        }
        let hosts: u64 = self.shards.iter().map(|shard| u64::from(shard.count())).sum();
        if hosts > MOST_HOSTS {
            let reason = format!(
                "comes to {hosts} hosts, at most {MOST_HOSTS} are supported: use fewer, or several clusters"
            );
            check.fail_at(path, reason);
            return;
        }
        let (mut shards, mut parts) = (BTreeSet::new(), BTreeSet::new());
        for (index, shard) in self.shards.iter().enumerate() {
            let path = path.index(index);
            let name = shard.name(index);
            if let Some(problem) = name_problem(&name, index) {
                check.fail_at(path.key("name"), problem);
            } else if !shards.insert(name.clone()) {
                let reason = format!("`{name}` is the name of another shard: choose another name");
                check.fail_at(path.key("name"), reason);
            } else {
                shard.check_hosts(&path, &name, taken, &mut parts, check);
            }
            if shard.replicas.is_some() && shard.hosts.is_some() {
                let reason =
                    "has no effect beside `hosts`, which says how many there are: remove one of them";
                check.fail_at(path.key("replicas"), reason);
            } else if shard.replicas == Some(0) || shard.hosts.as_ref().is_some_and(Vec::is_empty) {
                let field = if shard.hosts.is_some() { "hosts" } else { "replicas" };
                check.fail_at(path.key(field), "must be at least 1: a shard without hosts is no shard");
            } else if shard.replicas.is_some_and(|count| count > MOST) {
                check.fail_at(path.key("replicas"), format!("at most {MOST} are supported"));
            }
            let own = format!("layout.shards[{index}]");
            shard.own().check(&own, check);
            check_files(&path, shard.files.as_ref(), check);
            for (number, host) in shard.hosts.iter().flatten().enumerate() {
                host.own().check(&format!("{own}.hosts[{number}]"), check);
                check_files(&path.key("hosts").index(number), host.files.as_ref(), check);
            }
        }
    }

    /// The operator's list of the shards.
    pub(super) fn render(&self) -> Value {
        self.shards.iter().enumerate().map(|(index, shard)| shard.render(index)).collect()
    }

    /// The claims of the shards and hosts with volumes of their own.
    pub(super) fn claims(&self, check: &mut Checker<'_>) -> Vec<(String, ClaimTemplate)> {
        let claim = |(name, path, volume): (_, String, &Volume)| {
            (name, ClaimTemplate::check(&path, volume.clone(), check))
        };
        self.own_claims().map(claim).collect()
    }

    /// The layout that the operator's list of shards stands for, besides the shards' own pods.
    pub(super) fn read(shards: &[Value], spec: &Value) -> Self {
        Self { shards: shards.iter().map(|shard| Shard::read(shard, spec)).collect() }
    }
}

impl Shard {
    fn own(&self) -> Own<'_> {
        let Self { resources, storage, pod, .. } = self;
        Own { resources: resources.as_ref(), storage: storage.as_ref(), pod: pod.as_deref() }
    }

    /// The name of a template of its own, beside the one that all hosts have.
    fn template(&self, base: &str, index: usize) -> String {
        format!("{base}-{}", self.name(index))
    }

    /// The same of one of its hosts: none that a shard's can have.
    fn host_template(&self, base: &str, index: usize, number: usize) -> String {
        let given = self.hosts.as_ref().and_then(|hosts| hosts.get(number)?.name.clone());
        format!("{OF_HOST}{base}-{}", given.unwrap_or_else(|| format!("{}-{number}", self.name(index))))
    }

    fn count(&self) -> u32 {
        let listed = self.hosts.as_ref().map(|hosts| u32::try_from(hosts.len()).unwrap_or(u32::MAX));
        listed.or(self.replicas).unwrap_or(1).max(1)
    }

    fn name(&self, index: usize) -> String {
        self.name.clone().unwrap_or_else(|| index.to_string())
    }

    /// Checks the names that the operator makes of those of the shard and of its hosts.
    fn check_hosts(
        &self,
        path: &PropertyPath,
        shard: &str,
        taken: usize,
        parts: &mut BTreeSet<String>,
        check: &mut Checker<'_>,
    ) {
        for replica in 0..self.count() {
            let index = usize::try_from(replica).unwrap_or_default();
            let given = self.hosts.as_ref().and_then(|hosts| hosts.get(index)?.name.clone());
            let (part, path) = match given {
                Some(name) => (name, path.key("hosts").index(index).key("name")),
                None => (format!("{shard}-{replica}"), path.key("name")),
            };
            let is_number = part.bytes().all(|c| c.is_ascii_digit());
            let problem = if is_number {
                Some(format!("`{part}` is a number, as the operator's own names are: choose another name"))
            } else if part.len() > LONGEST {
                let reason = "at most 15 characters are allowed: shorten the name";
                Some(format!("the host is called `{part}`, {reason}"))
            } else if part.len() + taken > TOGETHER {
                let most = TOGETHER - part.len().min(TOGETHER);
                Some(format!(
                    "with the host `{part}`, `name` and `clusterName` may have {most} characters together, \
                        and have {taken}: shorten one of them"
                ))
            } else {
                label_problem(&part)
            };
            if let Some(problem) = problem {
                check.fail_at(path, problem);
                break;
            }
            if !parts.insert(part.clone()) {
                check.fail_at(path, format!("`{part}` is the name of another host: choose another name"));
                break;
            }
        }
    }

    fn render(&self, index: usize) -> Value {
        let Self { name, replicas: _, hosts, weight, internal_replication, settings, files, .. } = self;
        let mut shard = Map::new();
        let mut put = |field: &str, value: Value| {
            if !value.is_null() {
                shard.insert(field.to_owned(), value);
            }
        };
        put("name", json!(name));
        put("weight", json!(weight));
        put("internalReplication", json!(internal_replication.map(yes_no)));
        match hosts {
            Some(hosts) => {
                let host = |(number, host): (_, &ShardHost)| {
                    host.render(|base| self.host_template(base, index, number))
                };
                put("replicas", hosts.iter().enumerate().map(host).collect());
            }
            None => put("replicasCount", json!(self.count())),
        }
        put("settings", json!(settings));
        put("files", json!(files));
        self.own().refer(|base| self.template(base, index), &mut shard);
        Value::Object(shard)
    }

    fn read(shard: &Value, spec: &Value) -> Self {
        let hosts: Option<Vec<_>> = shard["replicas"]
            .as_array()
            .map(|hosts| hosts.iter().map(|host| ShardHost::read(host, spec)).collect());
        Self {
            name: text(&shard["name"]),
            replicas: number(&shard["replicasCount"]).filter(|_| hosts.is_none()),
            hosts,
            weight: number(&shard["weight"]),
            internal_replication: yes_or_no(&shard["internalReplication"]),
            settings: serde_json::from_value(shard["settings"].clone()).ok(),
            files: serde_json::from_value(shard["files"].clone()).ok(),
            storage: own_volume(shard, spec),
            resources: None,
            pod: None,
        }
    }
}

/// Why a shard at this place can't have the name, or `None`.
fn name_problem(name: &str, index: usize) -> Option<String> {
    if name.bytes().all(|c| c.is_ascii_digit()) && name != index.to_string() {
        let reason = "as the names of shards that have none: choose another name, or leave it out";
        return Some(format!("`{name}` is a number, {reason}"));
    }
    label_problem(name)
}

/// Refuses files that the operator would leave out without a word.
fn check_files(path: &PropertyPath, files: Option<&BTreeMap<String, String>>, check: &mut Checker<'_>) {
    for name in files.into_iter().flat_map(BTreeMap::keys) {
        let is_known = match name.rsplit_once('/') {
            Some((folder, file)) => folder == FOLDER && !file.is_empty(),
            None => !name.is_empty(),
        };
        if !is_known {
            let reason = format!(
                "the operator leaves `{name}` out: files of single shards and hosts stand in `{FOLDER}`, \
                    write for example `{FOLDER}/more.xml`"
            );
            check.fail_at(path.key("files").key(name), reason);
        }
    }
}
