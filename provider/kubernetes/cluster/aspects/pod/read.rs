//! Reading pods back: what other aspects have added to them is theirs.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::super::adopted::named;
use super::super::read::{container, entries, pod};
use super::super::resources::Resources;
use super::super::{ClusterArgs, Live};
use super::placement::{Peers, Placement};
use super::restricted::{Apart, own};
use super::{FreeForm, PodArgs};

impl ClusterArgs {
    /// Reads what is said of the pods of a cluster of ours. `installation` and `keeper` are what the inputs
    /// that are read already render.
    pub(in super::super::super) fn read_pods(
        &mut self,
        live: &Live,
        installation: Option<&Value>,
        keeper: Option<&Value>,
    ) {
        let name = live.name().to_owned();
        let mut is_restricted = false;
        if let Some(installation) = installation {
            let peers = Peers::hosts(&name, self.layout.most_replicas());
            let found = Pods::of(&live.installation, installation, "clickhouse").read(&peers);
            is_restricted = found.restricted.unwrap_or_default();
            self.read_shards(live, installation, &peers, &found);
            self.pod = (found != PodArgs::default()).then(|| Box::new(found));
        }
        if let (Some(live), Some(rendered)) = (&live.keeper, keeper)
            && let Some(keeper) =
                self.coordination.as_mut().and_then(|coordination| coordination.keeper.as_mut())
        {
            let peers = Peers::keeper(&name, keeper.replicas.unwrap_or(1));
            let mut found = Pods::of(live, rendered, "clickhouse-keeper").read(&peers);
            let restricted = found.restricted.unwrap_or_default();
            found.restricted = (restricted != is_restricted).then_some(restricted);
            keeper.pod = (found != PodArgs::default()).then(|| Box::new(found));
        }
    }
}

impl ClusterArgs {
    /// Reads in what the pods of single shards and hosts differ from those `of_all`.
    fn read_shards(&mut self, live: &Live, rendered: &Value, peers: &Peers, of_all: &PodArgs) {
        let written = live.cluster()["layout"]["shards"].as_array();
        let shards = self.layout.shards_mut().zip(written.into_iter().flatten());
        let pods_of = |level: &Value| {
            let name = level["templates"]["podTemplate"].as_str()?;
            let template = named(&live.spec()["templates"]["podTemplates"], name)?;
            let container = container(template, "clickhouse");
            Some(Pods { live: template, container, ..Pods::of(&live.installation, rendered, "clickhouse") })
        };
        for (shard, written) in shards {
            let own = pods_of(written);
            if let Some(pods) = &own {
                (shard.pod, shard.resources) = pods.own(live.container(), of_all, peers);
            }
            let of_shard = of_all.with(shard.pod.as_deref());
            let container = own.map_or(live.container(), |pods| pods.container);
            let hosts = written["replicas"].as_array();
            for (host, written) in shard.hosts.iter_mut().flatten().zip(hosts.into_iter().flatten()) {
                if let Some(pods) = pods_of(written) {
                    (host.pod, host.resources) = pods.own(container, &of_shard, peers);
                }
            }
        }
    }
}

impl PodArgs {
    /// What is said here and not `of_all`.
    fn besides(mut self, of_all: &Self, peers: &Peers) -> Option<Self> {
        if of_all.anti_affinity.is_some() {
            let preset = peers.preset(self.affinity.as_ref());
            self.anti_affinity.get_or_insert(preset);
        }
        if of_all.restricted == Some(true) {
            self.restricted.get_or_insert(false);
        }
        let (Ok(Value::Object(mut own)), Ok(of_all)) =
            (serde_json::to_value(self), serde_json::to_value(of_all))
        else {
            return None;
        };
        own.retain(|field, value| of_all.get(field) != Some(value));
        (!own.is_empty()).then(|| typed(Value::Object(own))).flatten()
    }
}

/// A template of pods, and what the other aspects have said of it.
struct Pods<'a> {
    live: &'a Value,
    others: &'a Value,
    container: &'a Value,
    container_of_others: &'a Value,
}

impl<'a> Pods<'a> {
    fn of(live: &'a Value, others: &'a Value, name: &str) -> Self {
        let (live, others) = (pod(&live["spec"]), pod(&others["spec"]));
        Self { live, others, container: container(live, name), container_of_others: container(others, name) }
    }

    fn read(&self, peers: &Peers) -> PodArgs {
        let Placement { affinity, anti_affinity, zones, topology_spread } = peers.read(&self.live["spec"]);
        let Apart { is_restricted, pod, container } = Apart::of(&self.live["spec"], self.container);
        let beside = |list: &str| {
            let found = rest(&self.live["spec"][list], &self.others["spec"][list], "name");
            let own = found
                .into_iter()
                .filter_map(|container| if is_restricted { own(&container) } else { Some(container) });
            typed_list(own.collect())
        };
        let listed = |list: &str, key| rest(&self.container[list], &self.container_of_others[list], key);
        let metadata = |field: &str| {
            let mut found = entries(&self.live["metadata"][field])?;
            found.retain(|key, _| self.others["metadata"][field].get(key).is_none());
            (!found.is_empty()).then_some(found)
        };
        PodArgs {
            node_selector: self.field("nodeSelector"),
            tolerations: self.field("tolerations"),
            affinity,
            anti_affinity,
            zones,
            topology_spread,
            service_account_name: self.field("serviceAccountName"),
            priority_class_name: self.field("priorityClassName"),
            runtime_class_name: self.field("runtimeClassName"),
            termination_grace_period_seconds: self.field("terminationGracePeriodSeconds"),
            host_aliases: self.field("hostAliases"),
            security_context: typed(pod),
            container_security_context: typed(container),
            restricted: is_restricted.then_some(true),
            labels: metadata("labels"),
            annotations: metadata("annotations"),
            env: typed_list(listed("env", "name")),
            extra_containers: beside("containers"),
            init_containers: beside("initContainers"),
            volumes: typed_list(rest(&self.live["spec"]["volumes"], &self.others["spec"]["volumes"], "name")),
            volume_mounts: typed_list(listed("volumeMounts", "mountPath")),
            liveness_probe: self.probe("livenessProbe"),
            readiness_probe: self.probe("readinessProbe"),
            startup_probe: self.probe("startupProbe"),
        }
    }

    /// What differs from those `above`, and from the resources of their container.
    fn own(
        &self,
        container: &Value,
        above: &PodArgs,
        peers: &Peers,
    ) -> (Option<Box<PodArgs>>, Option<Resources>) {
        let pod = self.read(peers).besides(above, peers).map(Box::new);
        let is_own = self.container["resources"] != container["resources"];
        let resources = Resources::of(self.container).filter(|_| is_own || pod.is_none());
        (pod, resources)
    }

    /// A field of the pods' `spec`, unless others have said it.
    fn field<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let value = &self.live["spec"][name];
        (value != &self.others["spec"][name]).then(|| typed(value.clone())).flatten()
    }

    fn probe(&self, name: &str) -> Option<FreeForm> {
        let value = &self.container[name];
        (value != &self.container_of_others[name]).then(|| typed(value.clone())).flatten()
    }
}

fn typed<T: DeserializeOwned>(value: Value) -> Option<T> {
    serde_json::from_value(value).ok()
}

fn typed_list<T: DeserializeOwned>(list: Vec<Value>) -> Option<T> {
    if list.is_empty() { None } else { typed(Value::Array(list)) }
}

/// The elements of a list whose key none of the `others` has.
fn rest(live: &Value, others: &Value, key: &str) -> Vec<Value> {
    let others = others.as_array().map(Vec::as_slice).unwrap_or_default();
    let is_own = |element: &&Value| others.iter().all(|other| other[key] != element[key]);
    live.as_array().into_iter().flatten().filter(is_own).cloned().collect()
}
