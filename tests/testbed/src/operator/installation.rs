//! What a ClickHouseInstallation or ClickHouseKeeperInstallation asks for: its clusters and hosts, and
//! what everything that is made for it is called.

use std::collections::BTreeMap;

use kube::ResourceExt as _;
use kube::api::DynamicObject;
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Map, Value, json};

/// Which of the two kinds that the operator serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    ClickHouse,
    Keeper,
}

impl Kind {
    pub(super) fn resource(self) -> ApiResource {
        let (group, kind) = match self {
            Self::ClickHouse => ("clickhouse.altinity.com", "ClickHouseInstallation"),
            Self::Keeper => ("clickhouse-keeper.altinity.com", "ClickHouseKeeperInstallation"),
        };
        ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind))
    }

    /// The group, which is also the prefix of the labels.
    pub(super) fn group(self) -> &'static str {
        match self {
            Self::ClickHouse => "clickhouse.altinity.com",
            Self::Keeper => "clickhouse-keeper.altinity.com",
        }
    }

    /// The short name, which begins most names and is the label's key.
    pub(super) fn short(self) -> &'static str {
        match self {
            Self::ClickHouse => "chi",
            Self::Keeper => "chk",
        }
    }
}

/// One server.
#[derive(Debug, Clone)]
pub(super) struct Host {
    pub(super) cluster: usize,
    pub(super) shard: usize,
    pub(super) shard_name: String,
    pub(super) replica_name: String,
    /// The name that the spec gives to this very host, in the place of shard and replica.
    pub(super) own_name: Option<String>,
    /// Whether it serves without TLS, and with.
    pub(super) is_insecure: bool,
    pub(super) is_secure: bool,
    /// The parts of the spec that are of its cluster, its replica, its shard and itself alone.
    of_cluster: Value,
    of_replica: Value,
    pub(super) of_shard: Value,
    own: Value,
    /// The names of the templates in force, nearest level first.
    pub(super) templates: Map<String, Value>,
}

impl Host {
    /// The parts of the spec that hold for it, the farthest first.
    pub(super) fn levels(&self) -> [&Value; 4] {
        [&self.of_cluster, &self.of_replica, &self.of_shard, &self.own]
    }

    /// A port by its field of the spec.
    pub(super) fn port(&self, field: &str, usual: u64) -> u64 {
        self.own[field].as_u64().unwrap_or(usual)
    }
}

/// One object of the operator's, read as the operator reads it.
#[derive(Debug, Clone)]
pub(super) struct Installation {
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) uid: String,
    pub(super) generation: i64,
    pub(super) spec: Value,
    /// Labels and annotations pass on to all children.
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
    /// Each cluster's own part of the spec, with its name filled in.
    pub(super) clusters: Vec<Value>,
    pub(super) hosts: Vec<Host>,
    /// Whether the members of a Keeper have two Services each.
    pub(super) paired: bool,
}

impl Installation {
    pub(super) fn of(kind: Kind, object: &DynamicObject) -> Self {
        let spec = object.data.get("spec").cloned().unwrap_or_else(|| json!({}));
        let mut clusters =
            spec.pointer("/configuration/clusters").and_then(Value::as_array).cloned().unwrap_or_default();
        if clusters.is_empty() {
            clusters.push(json!({}));
        }
        for cluster in &mut clusters {
            if cluster["name"].as_str().unwrap_or_default().is_empty() {
                cluster["name"] = json!("cluster");
            }
        }
        let defaults = &spec["defaults"]["templates"];
        let hosts = clusters
            .iter()
            .enumerate()
            .flat_map(|(index, cluster)| hosts(index, cluster, defaults))
            .collect();
        let mut annotations = object.annotations().clone();
        annotations
            .retain(|key, _| !key.starts_with("kubectl.kubernetes.io/") && !key.starts_with("stand-in/"));
        Self {
            kind,
            name: object.name_any(),
            namespace: object.namespace().unwrap_or_default(),
            uid: object.uid().unwrap_or_default(),
            generation: object.metadata.generation.unwrap_or_default(),
            labels: object.labels().clone(),
            annotations,
            spec,
            clusters,
            hosts,
            paired: false,
        }
    }

    /// Whether a field that is a boolean in words says yes.
    pub(super) fn says_yes(&self, field: &str) -> bool {
        yes(&self.spec[field])
    }

    pub(super) fn task(&self) -> Option<&str> {
        self.spec["taskID"].as_str().filter(|task| !task.is_empty())
    }

    pub(super) fn cluster_name(&self, index: usize) -> &str {
        self.clusters[index]["name"].as_str().unwrap_or_default()
    }

    pub(super) fn label(&self, key: &str) -> String {
        format!("{}/{key}", self.kind.group())
    }

    /// A child's owner: this object, as its controller.
    pub(super) fn owner(&self) -> Value {
        let resource = self.kind.resource();
        json!([{"apiVersion": resource.api_version, "kind": resource.kind, "name": self.name,
            "uid": self.uid, "controller": true, "blockOwnerDeletion": true}])
    }

    /// The labels of all children.
    pub(super) fn scope(&self) -> Map<String, Value> {
        [("app", "chop"), (self.kind.short(), self.name.as_str()), ("namespace", self.namespace.as_str())]
            .into_iter()
            .map(|(key, value)| (self.label(key), json!(value)))
            .collect()
    }

    pub(super) fn cluster_scope(&self, cluster: usize) -> Map<String, Value> {
        let mut scope = self.scope();
        scope.insert(self.label("cluster"), json!(self.cluster_name(cluster)));
        scope
    }

    pub(super) fn shard_scope(&self, host: &Host) -> Map<String, Value> {
        let mut scope = self.cluster_scope(host.cluster);
        scope.insert(self.label("shard"), json!(host.shard_name));
        scope
    }

    pub(super) fn host_scope(&self, host: &Host) -> Map<String, Value> {
        let mut scope = self.shard_scope(host);
        scope.insert(self.label("replica"), json!(host.replica_name));
        scope
    }

    /// The Service of all hosts.
    pub(super) fn service_name(&self) -> String {
        match self.kind {
            Kind::ClickHouse => format!("clickhouse-{}", self.name),
            Kind::Keeper => format!("keeper-{}", self.name),
        }
    }

    /// The StatefulSet of a host and its Service.
    pub(super) fn host_name(&self, host: &Host) -> String {
        format!(
            "{}-{}-{}-{}",
            self.kind.short(),
            self.name,
            self.cluster_name(host.cluster),
            Self::short_name(host)
        )
    }

    fn short_name(host: &Host) -> String {
        host.own_name.clone().unwrap_or_else(|| format!("{}-{}", host.shard_name, host.replica_name))
    }

    pub(super) fn pod_name(&self, host: &Host) -> String {
        format!("{}-0", self.host_name(host))
    }

    pub(super) fn fqdn(&self, host: &Host) -> String {
        self.domain(&self.host_name(host))
    }

    /// The name of a Service in the cluster's DNS.
    pub(super) fn domain(&self, service: &str) -> String {
        let pattern = self.spec["namespaceDomainPattern"].as_str().filter(|pattern| !pattern.is_empty());
        let suffix = pattern.unwrap_or("%s.svc.cluster.local").replacen("%s", &self.namespace, 1);
        format!("{service}.{suffix}")
    }

    pub(super) fn cluster_object_name(&self, cluster: usize) -> String {
        format!("{}-{}-{}", self.kind.short(), self.name, self.cluster_name(cluster))
    }

    pub(super) fn shard_service_name(&self, host: &Host) -> String {
        format!("shard-{}-{}-{}", self.name, self.cluster_name(host.cluster), host.shard_name)
    }

    pub(super) fn common_config_name(&self, part: &str) -> String {
        format!("{}-{}-common-{part}", self.kind.short(), self.name)
    }

    pub(super) fn host_config_name(&self, host: &Host) -> String {
        format!(
            "{}-{}-deploy-confd-{}-{}",
            self.kind.short(),
            self.name,
            self.cluster_name(host.cluster),
            Self::short_name(host)
        )
    }

    /// A template of the given list by its name.
    pub(super) fn template(&self, list: &str, name: &str) -> Option<&Value> {
        self.spec["templates"][list].as_array()?.iter().find(|template| template["name"] == name)
    }

    /// The shards, each by one of its hosts.
    pub(super) fn shards(&self) -> impl Iterator<Item = &Host> {
        self.hosts.iter().filter(|host| {
            let first =
                self.hosts.iter().find(|other| other.cluster == host.cluster && other.shard == host.shard);
            first.is_some_and(|first| first.replica_name == host.replica_name)
        })
    }
}

/// Whether one of the operator's many words for true.
pub(super) fn yes(value: &Value) -> bool {
    value.as_str().is_some_and(|word| {
        matches!(word.to_lowercase().as_str(), "1" | "true" | "yes" | "on" | "enable" | "enabled")
    })
}

/// Whether one of the operator's many words for false.
pub(super) fn no(value: &Value) -> bool {
    value.as_str().is_some_and(|word| {
        matches!(word.to_lowercase().as_str(), "0" | "false" | "no" | "off" | "disable" | "disabled")
    })
}

/// The hosts of one cluster: of the counts and the explicit lists the larger wins, and there is one at least.
fn hosts(index: usize, cluster: &Value, defaults: &Value) -> Vec<Host> {
    let layout = &cluster["layout"];
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let shards = list(&layout["shards"]);
    let replicas = list(&layout["replicas"]);
    let count =
        |value: &Value| value.as_u64().and_then(|count| usize::try_from(count).ok()).unwrap_or_default();
    let shard_count = count(&layout["shardsCount"]).max(shards.len()).max(1);
    let mut hosts = Vec::new();
    for shard in 0..shard_count {
        let explicit = shards.get(shard).cloned().unwrap_or_default();
        let own = list(&explicit["replicas"]);
        let own_count = count(&explicit["replicasCount"]).max(own.len());
        let replica_count =
            if own_count > 0 { own_count } else { count(&layout["replicasCount"]).max(replicas.len()) };
        for replica in 0..replica_count.max(1) {
            let host = own.get(replica).cloned().unwrap_or_default();
            let across = replicas.get(replica).cloned().unwrap_or_default();
            let name = |value: &Value, index: usize| {
                value["name"].as_str().map_or_else(|| index.to_string(), str::to_owned)
            };
            let mut templates = Map::new();
            for level in [
                defaults,
                &cluster["templates"],
                &across["templates"],
                &explicit["templates"],
                &host["templates"],
            ] {
                templates.extend(level.as_object().cloned().unwrap_or_default());
            }
            // Clear text where nothing else is said, TLS where the cluster or the host says so.
            let said = |field: &str| if host[field].is_string() { &host[field] } else { &cluster[field] };
            hosts.push(Host {
                cluster: index,
                shard,
                shard_name: name(&explicit, shard),
                replica_name: name(&across, replica),
                own_name: host["name"].as_str().filter(|name| !name.is_empty()).map(str::to_owned),
                is_insecure: !no(said("insecure")),
                is_secure: yes(said("secure")),
                of_cluster: cluster.clone(),
                of_replica: across.clone(),
                of_shard: explicit.clone(),
                own: host.clone(),
                templates,
            });
        }
    }
    hosts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installation(spec: &Value) -> Installation {
        let mut object = DynamicObject::new("db", &Kind::ClickHouse.resource()).within("prod");
        object.data = json!({"spec": spec});
        Installation::of(Kind::ClickHouse, &object)
    }

    fn names(installation: &Installation) -> Vec<String> {
        installation.hosts.iter().map(|host| installation.host_name(host)).collect()
    }

    #[test]
    fn an_empty_spec_is_one_host_of_a_cluster_called_cluster() {
        assert_eq!(names(&installation(&json!({}))), ["chi-db-cluster-0-0"]);
    }

    #[test]
    fn counts_and_explicit_shards_are_merged_and_the_larger_wins() {
        let clusters = json!([{"name": "c", "layout": {"shardsCount": 1, "replicasCount": 2,
            "shards": [{"name": "a", "replicasCount": 1}, {}]}}]);
        let installation = installation(&json!({"configuration": {"clusters": clusters}}));
        assert_eq!(names(&installation), ["chi-db-c-a-0", "chi-db-c-1-0", "chi-db-c-1-1"]);
        assert_eq!(installation.shards().count(), 2);
    }

    #[test]
    fn the_nearest_level_chooses_the_template() {
        let shards = json!([{"templates": {"podTemplate": "near"}}, {}]);
        let installation = installation(&json!({
            "defaults": {"templates": {"podTemplate": "far", "dataVolumeClaimTemplate": "data"}},
            "configuration": {"clusters": [{"layout": {"shards": shards}}]},
        }));
        assert_eq!(installation.hosts[0].templates["podTemplate"], "near");
        assert_eq!(installation.hosts[1].templates["podTemplate"], "far");
        assert_eq!(installation.hosts[0].templates["dataVolumeClaimTemplate"], "data");
    }

    #[test]
    fn names_follow_the_domain_pattern() {
        let installation = installation(&json!({"namespaceDomainPattern": "%s.svc.example.org"}));
        assert_eq!(installation.domain(&installation.service_name()), "clickhouse-db.prod.svc.example.org");
    }
}
