//! The inputs of a cluster: the single source of the input schema. Doc comments are what users read in three SDKs.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use super::defaults::Defaults;

/// Free-form YAML or JSON, in the operator's own words.
pub type FreeForm = BTreeMap<String, Value>;

/// The inputs of a ClickHouse cluster. All are optional.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterArgs")]
pub struct ClusterArgs {
    /// The cluster's name: of the ClickHouseInstallation, and of the Service that is the cluster's address.
    /// Lower-case letters, digits and `-`, beginning with a letter; together with `clusterName` at most 40 characters.
    /// Default: the resource's name in the program, `-` and 7 hex digits. A change replaces the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("willReplaceOnChanges" = true))]
    pub name: Option<String>,

    /// The Kubernetes namespace. Default: the provider's `namespace`, else the kubeconfig context's, else `default`.
    /// A change replaces the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("willReplaceOnChanges" = true))]
    pub namespace: Option<String>,

    /// Whether to make the namespace if it does not exist. A namespace that exists is used as it is; only one that
    /// this cluster made, and that is empty by then, is deleted with it. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub create_namespace: Option<bool>,

    /// Labels for every object that the provider makes; the operator hands them on to its own. A change restarts the hosts, one
    /// after the other, since their pods have them too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,

    /// Annotations for every object that the provider makes; the operator hands them on to its own. A change restarts the hosts,
    /// as one of `labels` does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,

    /// The name of the cluster inside ClickHouse: in `remote_servers` and `ON CLUSTER`. At most 15 lower-case letters,
    /// digits and `-`. Default: `cluster`. A change replaces the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("willReplaceOnChanges" = true))]
    pub cluster_name: Option<String>,

    /// The ClickHouse version: the tag of the server image, for example `25.8.30.16`. Never `latest`. Default: a pinned
    /// long-term-support release for a new cluster; one that is there keeps its version. A change upgrades host by host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,

    /// The server image, where it is not the official one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<Image>,

    /// How many shards the data is spread over. Default: 1. Fewer shards than before lose the data of those that go,
    /// which needs `allowDataLoss`. ClickHouse does not spread existing data over new shards.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub shards: Option<u32>,

    /// How many copies each shard has. Default: 1. More than one needs coordination, which is a Keeper of three unless
    /// `coordination` says otherwise. Fewer replicas than before need `allowDataLoss`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub replicas: Option<u32>,

    /// CPU and memory of each ClickHouse container. Default: requests of 500m and 1Gi, limits of 2 CPUs and 4Gi.
    /// A change restarts host by host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,

    /// The data volume of each host, and where wanted a volume for its logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,

    /// How replicas agree: a Keeper that comes with the cluster, one (or a ZooKeeper) that is there already, or none.
    /// Default: a Keeper of three as soon as `replicas` is more than 1, else none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coordination: Option<Coordination>,

    /// The administrator's login.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin: Option<Admin>,

    /// Lets clients in from outside Kubernetes: turns the cluster's Service into a load balancer or node ports.
    /// Default: none, only reachable inside. A login from outside also needs `admin.networks`, which `sourceRanges` fill.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Ingress>,

    /// Whether each shard gets a Service of its own, `shard-<name>-<clusterName>-<n>`. Default: true with more than one shard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_shard_services: Option<bool>,

    /// The secret by which hosts trust each other in distributed queries. Default: generated by the operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interserver_secret: Option<InterserverSecret>,

    /// What ClickHouse logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logging: Option<Logging>,

    /// Stops the cluster: no host runs, volumes and settings stay. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<bool>,

    /// Tells the operator to leave the cluster alone: changes are stored and carried out once this is false again.
    /// Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspended: Option<bool>,

    /// Any text; a change of it restarts the hosts once, one after the other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart_token: Option<String>,

    /// Allows this update to lose data: fewer shards or replicas, another `name`, `namespace` or `clusterName` of a cluster
    /// with volumes, a volume that is not used any more, `Retain` turned into `Delete`, another or no coordination, fewer members of
    /// the Keeper, however that is said. Without it such a change is refused in preview; with it, what is lost is warned of. Default:
    /// false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_data_loss: Option<bool>,

    /// Fields of the ClickHouseInstallation's `spec`, merged last over what the provider renders: whatever the operator
    /// knows can be said. Objects are merged key by key, lists of named things (pod templates, containers, volumes, clusters …) by
    /// their names, everything else is replaced; `$patch: replace` in an object puts it in the place of the rendered one,
    /// `$patch: delete` removes that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chi_overrides: Option<FreeForm>,

    /// Fields of the ClickHouseKeeperInstallation's `spec`, merged last over what the provider renders, as `chiOverrides` are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chk_overrides: Option<FreeForm>,

    /// The DNS domain of the Kubernetes cluster. Default: `cluster.local`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_domain: Option<String>,

    /// Whether to return as soon as everything is stored on the API server, without waiting until it serves. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skip_await: Option<bool>,

    /// Whether to take over fields that another program has written to the cluster's objects. Without it such a conflict is
    /// an error that names the program and the fields. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub force_conflicts: Option<bool>,

    /// No input: the defaults that the cluster was made with, which stay its own whatever a later release has.
    #[serde(rename = "__defaults", skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub defaults: Option<Defaults>,
}

/// A container image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterImage")]
pub struct Image {
    /// The repository, for example `registry.example.com/clickhouse/clickhouse-server`. Default: the official image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The tag. Default: the cluster's `version`; for the Keeper likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// The digest, `sha256:` and 64 hex digits; it wins over the tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// When the node pulls the image. Default: Kubernetes' own rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull_policy: Option<PullPolicy>,
    /// Names of the Secrets with which to pull it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull_secrets: Option<Vec<String>>,
}

/// When a node pulls an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ClusterImagePullPolicy")]
pub enum PullPolicy {
    /// At each start of a container.
    Always,
    /// When it is not on the node yet.
    IfNotPresent,
    /// Never: it must be on the node.
    Never,
}

/// CPU and memory of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterResources")]
pub struct Resources {
    /// What the scheduler sets aside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<ResourceAmounts>,
    /// What the container can't exceed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<ResourceAmounts>,
}

/// An amount of CPU and of memory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterResourceAmounts")]
pub struct ResourceAmounts {
    /// CPUs, for example `2` or `500m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<String>,
    /// Memory, for example `4Gi`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
}

/// The data volume of each host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterStorage")]
pub struct Storage {
    /// The size, for example `50Gi`. Default: `50Gi`. It can grow, which needs no restart under the provisioner `Operator`;
    /// it can't shrink.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// The storage class. Default: the Kubernetes cluster's default class. Volumes that exist keep theirs, so it can't change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<String>,
    /// The access modes. Default: `ReadWriteOnce`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_modes: Option<Vec<AccessMode>>,
    /// What becomes of the volumes when the cluster, or a host of it, is deleted. Default: `Retain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reclaim_policy: Option<ReclaimPolicy>,
    /// Who makes the volume claims. Default: `Operator`, which grows them without a restart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provisioner: Option<Provisioner>,
    /// Keeps the data in the pod (an emptyDir) and makes no volume: all data is lost with the pod. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ephemeral: Option<bool>,
    /// A volume of its own for ClickHouse's log files. Default: none, logs go to the container's output and the data volume. With it
    /// the operator adds a container to each pod whose image is `registry.access.redhat.com/ubi8/ubi-minimal:latest`; nodes without
    /// access to the Internet must have that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logs: Option<Volume>,
}

/// A volume.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterVolume")]
pub struct Volume {
    /// The size, for example `10Gi`. Default: `10Gi`. It can grow, not shrink.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// The storage class. Default: the Kubernetes cluster's default class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<String>,
    /// The access modes. Default: `ReadWriteOnce`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_modes: Option<Vec<AccessMode>>,
    /// What becomes of the volume when the cluster is deleted. Default: that of the data volume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reclaim_policy: Option<ReclaimPolicy>,
}

/// How nodes may mount a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ClusterAccessMode")]
pub enum AccessMode {
    /// By one node, for reading and writing.
    ReadWriteOnce,
    /// By one pod, for reading and writing.
    ReadWriteOncePod,
    /// By many nodes, for reading and writing.
    ReadWriteMany,
}

/// What becomes of a volume when its cluster is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ClusterReclaimPolicy")]
pub enum ReclaimPolicy {
    /// It stays; a later cluster with the same names finds its data.
    Retain,
    /// It is deleted, with all data.
    Delete,
}

/// Who makes the volume claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ClusterProvisioner")]
pub enum Provisioner {
    /// The operator: volumes grow without a restart.
    Operator,
    /// Kubernetes, from the StatefulSet's template: a host restarts when its volume grows.
    StatefulSet,
}

/// How replicas agree.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterCoordination")]
pub struct Coordination {
    /// Which kind. Default: `Keeper` when `keeper` is given or `replicas` is more than 1, `External` when `external` is given,
    /// else `None`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<CoordinationType>,
    /// The Keeper that comes with the cluster, made before it and deleted after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keeper: Option<Keeper>,
    /// A Keeper or ZooKeeper that is there already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalCoordination>,
}

/// The kinds of coordination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ClusterCoordinationType")]
pub enum CoordinationType {
    /// A Keeper that comes with the cluster.
    Keeper,
    /// A Keeper or ZooKeeper that is there already.
    External,
    /// None: no replicas, no `ON CLUSTER`.
    None,
}

/// The Keeper that comes with the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterKeeper")]
pub struct Keeper {
    /// How many Keeper replicas: 1, 3 or 5. Default: 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub replicas: Option<u32>,
    /// The Keeper image. Default: the official one, of the cluster's version; with a server image of one's own it must be given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<Image>,
    /// CPU and memory of each Keeper. Default: requests of 100m and 256Mi, limits of 500m and 1Gi.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// The volume of each Keeper. Default: 10Gi of the default class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage: Option<Volume>,
}

/// A Keeper or ZooKeeper that is there already.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterExternalCoordination")]
pub struct ExternalCoordination {
    /// Its nodes. A text `host:port` in the place of a node, or in its `host`, is taken apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes: Option<Vec<ExternalNode>>,
    /// The path below which this cluster keeps its entries, beginning with `/`. Default: `/`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// `user:password` for a server that asks for it. It is stored readable in the ClickHouseInstallation.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("secret" = true))]
    pub identity: Option<String>,
    /// How long to wait for the servers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<ExternalTimeouts>,
}

/// A node of an external Keeper or ZooKeeper.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterExternalNode", extend("textForm" = true))]
pub struct ExternalNode {
    /// The host's name or address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The port. Default: 2181.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Whether to speak TLS. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secure: Option<bool>,
    /// The availability zone it stands in, for hosts that prefer a near one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub availability_zone: Option<String>,
}

impl<'de> Deserialize<'de> for ExternalNode {
    /// Takes the object, or the text `host:port`.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Fields {
            host: Option<String>,
            port: Option<u16>,
            secure: Option<bool>,
            availability_zone: Option<String>,
        }
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Text(String),
            Fields(Fields),
        }
        Ok(match Written::deserialize(deserializer)? {
            Written::Text(text) => Self { host: Some(text), ..Self::default() },
            Written::Fields(Fields { host, port, secure, availability_zone }) => Self { host, port, secure, availability_zone },
        })
    }
}

/// How long ClickHouse waits for the coordination servers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterExternalTimeouts")]
pub struct ExternalTimeouts {
    /// Of a session, in milliseconds. Default: ClickHouse's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_ms: Option<u32>,
    /// Of one operation, in milliseconds. Default: ClickHouse's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation_ms: Option<u32>,
}

/// The administrator's login.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterAdmin")]
pub struct Admin {
    /// The user's name. Default: `default`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The password. Default: 32 letters and digits, made once when the cluster is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("secret" = true))]
    pub password: Option<String>,
    /// A Secret that holds the password already, in the cluster's namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub existing_secret: Option<SecretKey>,
    /// Any text; a change of it makes a new password. Without a password of one's own only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_version: Option<String>,
    /// From where the administrator may log in: addresses or ranges like `10.0.0.0/8`. Default: the ingress's `sourceRanges`,
    /// the private ranges and localhost, so every pod of the Kubernetes cluster can and the Internet can't.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub networks: Option<Vec<String>>,
}

/// A key of a Secret in the cluster's namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterSecretKey")]
pub struct SecretKey {
    /// The Secret's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The key in it. Default: `password`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// How clients get in from outside Kubernetes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterIngress")]
pub struct Ingress {
    /// A load balancer or node ports. Default: `LoadBalancer`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<IngressType>,
    /// The DNS name that external-dns shall give to the load balancer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Annotations for the Service, as the cloud's load balancer reads them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
    /// Labels for the Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// The ranges that the load balancer lets in, like `203.0.113.0/24`. They may log in too, unless `admin.networks` is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_ranges: Option<Vec<String>>,
    /// The load balancer's class, where the Kubernetes cluster has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_balancer_class: Option<String>,
    /// Whether traffic may go over a second node (`Cluster`) or the client's address is kept (`Local`). Default: `Cluster`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_traffic_policy: Option<ExternalTrafficPolicy>,
    /// Asks the cloud (AWS, Azure, Google) for a load balancer inside its private network. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub internal: Option<bool>,
}

/// How the Service is reached from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ClusterIngressType")]
pub enum IngressType {
    /// By a load balancer of the cloud.
    LoadBalancer,
    /// By a port of every node.
    NodePort,
}

/// Over which nodes traffic from outside may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ClusterExternalTrafficPolicy")]
pub enum ExternalTrafficPolicy {
    /// Over any node.
    Cluster,
    /// Only over a node that runs a host: the client's address is kept.
    Local,
}

/// The secret by which hosts trust each other.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterInterserverSecret")]
pub struct InterserverSecret {
    /// Whether there is one. Default: true. Without it distributed queries fail as soon as the administrator has a password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// A Secret that holds it already, in the cluster's namespace. Default: the operator generates one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub existing_secret: Option<SecretKey>,
}

/// What ClickHouse logs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterLogging")]
pub struct Logging {
    /// The lowest level that is logged. Default: `information`. A change takes effect without a restart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<LogLevel>,
}

/// The log levels that ClickHouse knows, from nothing to everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "ClusterLogLevel")]
pub enum LogLevel {
    /// Nothing.
    None,
    /// The server can't go on.
    Fatal,
    /// Something critical.
    Critical,
    /// Errors.
    Error,
    /// Warnings.
    Warning,
    /// Things worth noticing.
    Notice,
    /// What happens.
    Information,
    /// For finding faults.
    Debug,
    /// Every step.
    Trace,
    /// More than every step.
    Test,
}
