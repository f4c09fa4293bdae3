//! How the operator reads an installation, as far as changes need it: its hosts, and which templates they
//! use. Written from what is documented of the operator, and from nothing of the provider's.

use std::collections::BTreeSet;

use serde_json::Value;

/// What hosts a cluster of an installation has.
pub(super) struct Layout<'a> {
    pub(super) shards: usize,
    /// Replicas of each shard.
    pub(super) replicas: Vec<usize>,
    /// The templates that each host may take, the nearest first.
    hosts: Vec<Vec<&'a Value>>,
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn count(value: &Value, name: &str) -> usize {
    value[name].as_u64().and_then(|count| usize::try_from(count).ok()).unwrap_or_default()
}

/// The clusters of an installation; where it names none the operator makes one.
pub(super) fn clusters(spec: &Value) -> Vec<&Value> {
    let named = list(&spec["configuration"], "clusters");
    if named.is_empty() { vec![&Value::Null] } else { named.iter().collect() }
}

impl<'a> Layout<'a> {
    /// The layout of `cluster` of `spec`: of counts and lists the larger number counts.
    pub(super) fn of(spec: &'a Value, cluster: &'a Value) -> Self {
        let layout = &cluster["layout"];
        let (by_shard, by_replica) = (list(layout, "shards"), list(layout, "replicas"));
        let most = |list: &[Value], counted: &str, listed: &str| {
            list.iter()
                .map(|each| count(each, counted).max(self::list(each, listed).len()))
                .max()
                .unwrap_or_default()
        };
        let shards = count(layout, "shardsCount")
            .max(by_shard.len())
            .max(most(by_replica, "shardsCount", "shards"))
            .max(1);
        let common = count(layout, "replicasCount").max(by_replica.len()).max(1);
        let of_shard = |shard: usize| match by_shard.get(shard) {
            Some(shard) => Some(count(shard, "replicasCount").max(list(shard, "replicas").len()))
                .filter(|own| *own > 0)
                .unwrap_or(common),
            None => common,
        };
        let replicas: Vec<_> = (0..shards).map(of_shard).collect();
        let mut hosts = Vec::new();
        for (shard, replicas) in replicas.iter().enumerate() {
            for replica in 0..*replicas {
                let of = |value: Option<&'a Value>| value.map_or(&Value::Null, |value| &value["templates"]);
                let (row, column) = (by_shard.get(shard), by_replica.get(replica));
                let host = row.and_then(|row| list(row, "replicas").get(replica));
                let host = host.or_else(|| column.and_then(|column| list(column, "shards").get(shard)));
                hosts.push(vec![
                    of(host),
                    of(row),
                    of(column),
                    &cluster["templates"],
                    &spec["defaults"]["templates"],
                ]);
            }
        }
        Self { shards, replicas, hosts }
    }

    /// What its hosts take for `field`, each name once; `None` is among them where a host takes nothing.
    fn templates(&self, spec: &'a Value, field: &str) -> BTreeSet<Option<&'a str>> {
        let first = |levels: &[&'a Value], field: &str| levels.iter().find_map(|level| level[field].as_str());
        let of_host = |levels: &Vec<&'a Value>| {
            let template = first(levels, "hostTemplate").and_then(|name| named(spec, "hostTemplates", name));
            first(levels, field)
                .or_else(|| template.and_then(|(_, template)| template["spec"]["templates"][field].as_str()))
        };
        self.hosts.iter().map(of_host).collect()
    }

    /// The pod templates that its hosts use.
    pub(super) fn pods(&self, spec: &'a Value) -> BTreeSet<Option<&'a str>> {
        self.templates(spec, "podTemplate")
    }

    /// The volume claim templates that hold its hosts' data.
    pub(super) fn volumes(&self, spec: &'a Value) -> BTreeSet<&'a str> {
        let mounts = self.pods(spec).into_iter().flatten().filter_map(|pod| {
            let (_, template) = named(spec, "podTemplates", pod)?;
            let (_, container) = container(template)?;
            list(container, "volumeMounts")
                .iter()
                .find(|mount| mount["mountPath"] == "/var/lib/clickhouse")?["name"]
                .as_str()
        });
        let mounts: BTreeSet<_> = mounts.collect();
        // What a pod mounts itself counts, whatever else is named.
        if !mounts.is_empty() {
            return mounts
                .into_iter()
                .filter(|name| named(spec, "volumeClaimTemplates", name).is_some())
                .collect();
        }
        let mut found: BTreeSet<_> =
            self.templates(spec, "dataVolumeClaimTemplate").into_iter().flatten().collect();
        if found.is_empty() {
            found = self.templates(spec, "volumeClaimTemplate").into_iter().flatten().collect();
        }
        found
    }
}

/// A template of `spec`, with its place in the list.
pub(super) fn named<'a>(spec: &'a Value, kind: &str, name: &str) -> Option<(usize, &'a Value)> {
    list(&spec["templates"], kind).iter().enumerate().find(|(_, template)| template["name"] == name)
}

/// The container that runs ClickHouse, with its place in the list: the one of that name, else the first.
pub(super) fn container(pod: &Value) -> Option<(usize, &Value)> {
    let all = list(&pod["spec"], "containers");
    all.iter()
        .enumerate()
        .find(|(_, container)| container["name"] == "clickhouse")
        .or_else(|| all.iter().enumerate().next())
}

/// Whether a word of the operator's means yes.
pub(super) fn is_yes(value: &Value) -> bool {
    match value {
        Value::Bool(value) => *value,
        Value::String(word) => {
            ["1", "true", "yes", "on", "enable", "enabled"].contains(&word.to_lowercase().as_str())
        }
        Value::Number(number) => number.as_u64() == Some(1),
        _ => false,
    }
}

/// Whether a cluster's replicas have something to agree by.
pub(super) fn is_coordinated(spec: &Value, cluster: &Value) -> bool {
    let says = |zookeeper: &Value| !list(zookeeper, "nodes").is_empty() || zookeeper["keeper"].is_object();
    says(&spec["configuration"]["zookeeper"]) || says(&cluster["zookeeper"])
}

/// The image with another tag, as `version` asks for it; a digest, which would win over the tag, is gone.
pub(super) fn with_version(image: Option<&str>, version: &str) -> String {
    let image = image.unwrap_or("clickhouse/clickhouse-server");
    let name = image.split('@').next().unwrap_or_default();
    let repository = name
        .rsplit_once(':')
        .filter(|(_, tag)| !tag.contains('/'))
        .map_or(name, |(repository, _)| repository);
    format!("{repository}:{version}")
}
