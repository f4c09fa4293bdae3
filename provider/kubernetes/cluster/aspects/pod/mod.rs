//! The pods of the hosts, and of the Keeper: where they run, as whom, and what else is in them.

mod check;
mod placement;
mod read;
mod restricted;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use self::placement::Peers;
use super::draft::{InstallationDraft, PodDraft};
use super::layout::OwnPods;
use super::{Aspect, Checker, ClusterArgs, Drafts, FreeForm, Live, NoDefaults, ValidatedCluster};

/// Pods of the cluster. What is not an object of Kubernetes as it is says so.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterPod")]
pub struct PodArgs {
    /// The labels that a node must have.
    pub node_selector: Option<BTreeMap<String, String>>,
    /// The taints of nodes that the pods tolerate.
    pub tolerations: Option<Vec<Toleration>>,
    /// The affinity: Kubernetes' `Affinity`. `antiAffinity` and `zones` add to it.
    pub affinity: Option<FreeForm>,
    /// Whether the replicas of a shard, or the members of the Keeper, run on different nodes. Default:
    /// `Preferred` with more than one replica, unless `affinity` has a `podAntiAffinity`; else `None`.
    pub anti_affinity: Option<AntiAffinity>,
    /// The zones in which the pods run (`topology.kubernetes.io/zone` of their nodes). Those that belong
    /// together are spread evenly over them where that is possible. A host whose volume is in a zone that is
    /// taken away does not start any more.
    pub zones: Option<Vec<String>>,
    /// Further rules how the pods are spread: Kubernetes' `TopologySpreadConstraint`.
    pub topology_spread: Option<Vec<FreeForm>>,
    /// The service account. It must exist. Default: that of the namespace.
    pub service_account_name: Option<String>,
    /// The priority class. It must exist.
    pub priority_class_name: Option<String>,
    /// The runtime class. It must exist.
    pub runtime_class_name: Option<String>,
    /// How many seconds ClickHouse has to stop. Default: 30.
    pub termination_grace_period_seconds: Option<u32>,
    /// Names for addresses, in addition to those of the DNS.
    pub host_aliases: Option<Vec<HostAlias>>,
    /// The security context of the pod: Kubernetes' `PodSecurityContext`.
    pub security_context: Option<FreeForm>,
    /// The security context of the ClickHouse or Keeper container: Kubernetes' `SecurityContext`.
    pub container_security_context: Option<FreeForm>,
    /// Whether the pods fit into a namespace with the Pod Security level `restricted`: user and group 101, no
    /// privileges, the runtime's seccomp profile, for every container. What the security contexts and the
    /// containers say themselves holds. Default: false; of the Keeper: as the hosts' pods.
    pub restricted: Option<bool>,
    /// Labels of the pods.
    pub labels: Option<BTreeMap<String, String>>,
    /// Annotations of the pods.
    pub annotations: Option<BTreeMap<String, String>>,
    /// Environment variables of the ClickHouse or Keeper container.
    pub env: Option<Vec<EnvVar>>,
    /// Containers beside it: Kubernetes' `Container`.
    pub extra_containers: Option<Vec<FreeForm>>,
    /// Containers that run before it: Kubernetes' `Container`.
    pub init_containers: Option<Vec<FreeForm>>,
    /// Volumes of the pod, for example of a ConfigMap: Kubernetes' `Volume`. For disks of ClickHouse's there
    /// is `storage.disks`.
    pub volumes: Option<Vec<FreeForm>>,
    /// Where the ClickHouse or Keeper container mounts `volumes`: Kubernetes' `VolumeMount`.
    pub volume_mounts: Option<Vec<FreeForm>>,
    /// When the container is restarted: Kubernetes' `Probe`. Default: the operator's.
    pub liveness_probe: Option<FreeForm>,
    /// When the container is taken for ready: Kubernetes' `Probe`. Default: the operator's.
    pub readiness_probe: Option<FreeForm>,
    /// When the container is taken for started: Kubernetes' `Probe`. Default: none.
    pub startup_probe: Option<FreeForm>,
}

/// Whether pods that belong together run on different nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ClusterAntiAffinity")]
pub enum AntiAffinity {
    /// Wherever there is room.
    None,
    /// On different nodes if there are enough.
    Preferred,
    /// On different nodes only: a pod without a node of its own stays pending.
    Required,
}

/// A taint of nodes that pods tolerate.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterToleration")]
pub struct Toleration {
    /// The key of the taint. Default: any.
    pub key: Option<String>,
    /// Whether the taint must have the value `value`. Default: `Equal`.
    pub operator: Option<TolerationOperator>,
    /// The value of the taint.
    pub value: Option<String>,
    /// The effect of the taint. Default: any.
    pub effect: Option<TaintEffect>,
    /// How long a taint `NoExecute` is tolerated. Default: forever.
    pub toleration_seconds: Option<u32>,
}

/// How a toleration compares the value of a taint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ClusterTolerationOperator")]
pub enum TolerationOperator {
    /// The taint has this value.
    Equal,
    /// The taint has any value.
    Exists,
}

/// What a taint does to pods that do not tolerate it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ClusterTaintEffect")]
pub enum TaintEffect {
    /// They don't start there.
    NoSchedule,
    /// They rather start elsewhere.
    PreferNoSchedule,
    /// They are evicted.
    NoExecute,
}

/// An environment variable.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ClusterEnvVar")]
pub struct EnvVar {
    /// The name.
    pub name: String,
    /// The value. It stands in clear text in the pod: take `valueFrom` for a secret.
    pub value: Option<String>,
    /// Where the value comes from: Kubernetes' `EnvVarSource`, for example
    /// `{secretKeyRef: {name: bucket, key: token}}`.
    pub value_from: Option<FreeForm>,
}

/// Names of an address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ClusterHostAlias")]
pub struct HostAlias {
    /// The address.
    pub ip: String,
    /// Its names.
    pub hostnames: Vec<String>,
}

/// The pods of the hosts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in super::super) struct Pod(Box<PodArgs>);

impl Aspect for Pod {
    type Args = Option<Box<PodArgs>>;
    type Defaults = NoDefaults;

    fn complete(args: &mut ClusterArgs, _had_keeper: bool) {
        args.layout.complete_own(args.resources.as_ref(), args.storage.as_ref());
    }

    fn check(check: &mut Checker<'_>) -> Self {
        check.is_for_one_pod_template("pod", check.args().pod.is_some());
        let given = check.args().pod.clone().unwrap_or_default();
        Self(given.check("pod", check))
    }

    /// Finishes what the other aspects have said of the pods.
    fn render(&self, cluster: &ValidatedCluster, drafts: &mut Drafts) {
        let (name, is_adopted) = (&cluster.naming.name, cluster.adopted.is_some());
        let is_restricted = self.0.restricted.unwrap_or_default();
        let peers = Peers::hosts(name, if is_adopted { 1 } else { cluster.layout.replicas });
        let render = |args: &PodArgs, pod: &mut PodDraft| {
            let is_restricted = args.restricted.unwrap_or_default();
            if is_restricted && cluster.storage.has_log_volume() {
                restricted::log_container(pod, args);
            }
            args.render(&peers, is_restricted, pod);
        };
        let InstallationDraft { pod, other_pods, .. } = &mut drafts.installation;
        for OwnPods { name, resources, pods } in cluster.layout.own_pods() {
            let mut own = pod.called(&name);
            if let Some(resources) = resources {
                own.container.insert("resources".to_owned(), json!(resources));
            }
            let args = pods.into_iter().fold((*self.0).clone(), |args, own| args.with(Some(own)));
            render(&args, &mut own);
            other_pods.push(own);
        }
        render(&self.0, pod);
        if let (Some(keeper), Some(draft)) = (cluster.keeper(), &mut drafts.keeper) {
            let is_restricted = keeper.pod.restricted.unwrap_or(is_restricted);
            keeper.pod.render(&Peers::keeper(name, keeper.replicas), is_restricted, &mut draft.pod);
        }
    }

    /// What other aspects have added to the pods is theirs, so these are read once all others are
    /// ([`ClusterArgs::read_pods`]).
    fn read(_live: &Live) -> Option<Box<PodArgs>> {
        None
    }
}

impl PodArgs {
    /// The same with what single pods have otherwise.
    fn with(&self, own: Option<&Self>) -> Self {
        let (all, own) = (serde_json::to_value(self), serde_json::to_value(own));
        match (all, own) {
            (Ok(Value::Object(mut all)), Ok(Value::Object(own))) => {
                all.extend(own);
                serde_json::from_value(Value::Object(all)).unwrap_or_default()
            }
            _ => self.clone(),
        }
    }

    fn render(&self, peers: &Peers, is_restricted: bool, to: &mut PodDraft) {
        let Self {
            node_selector,
            tolerations,
            affinity,
            anti_affinity,
            zones,
            topology_spread,
            service_account_name,
            priority_class_name,
            runtime_class_name,
            termination_grace_period_seconds,
            host_aliases,
            security_context,
            container_security_context,
            restricted: _,
            labels,
            annotations,
            env,
            extra_containers,
            init_containers,
            volumes,
            volume_mounts,
            liveness_probe,
            readiness_probe,
            startup_probe,
        } = self;
        let zones = zones.as_deref().unwrap_or_default();
        let anti_affinity = anti_affinity.unwrap_or_else(|| peers.preset(affinity.as_ref()));
        let mut spread: Vec<_> = topology_spread.iter().flatten().map(|rule| json!(rule)).collect();
        spread.extend(peers.over_zones(zones));
        for (field, value) in [
            ("nodeSelector", json!(node_selector)),
            ("tolerations", json!(tolerations)),
            ("affinity", peers.affinity(affinity.as_ref(), anti_affinity, zones)),
            ("topologySpreadConstraints", json!(spread)),
            ("serviceAccountName", json!(service_account_name)),
            ("priorityClassName", json!(priority_class_name)),
            ("runtimeClassName", json!(runtime_class_name)),
            ("terminationGracePeriodSeconds", json!(termination_grace_period_seconds)),
            ("hostAliases", json!(host_aliases)),
            ("securityContext", json!(security_context)),
        ] {
            put(&mut to.fields, field, value);
        }
        for (field, value) in [
            ("securityContext", json!(container_security_context)),
            ("livenessProbe", json!(liveness_probe)),
            ("readinessProbe", json!(readiness_probe)),
            ("startupProbe", json!(startup_probe)),
        ] {
            put(&mut to.container, field, value);
        }
        to.env.extend(env.iter().flatten().map(|variable| json!(variable)));
        for (list, given) in [
            (&mut to.sidecars, extra_containers),
            (&mut to.init_containers, init_containers),
            (&mut to.volumes, volumes),
            (&mut to.mounts, volume_mounts),
        ] {
            list.extend(given.iter().flatten().map(|object| json!(object)));
        }
        for (entries, given) in [(&mut to.labels, labels), (&mut to.annotations, annotations)] {
            entries.extend(given.iter().flatten().map(|(key, value)| (key.clone(), json!(value))));
        }
        if is_restricted {
            restricted::apply(to);
        }
    }
}

/// Says `value` unless it is nothing.
fn put(fields: &mut Map<String, Value>, field: &str, value: Value) {
    let is_empty = value.is_null()
        || value.as_object().is_some_and(Map::is_empty)
        || value.as_array().is_some_and(Vec::is_empty);
    if !is_empty {
        fields.insert(field.to_owned(), value);
    }
}
