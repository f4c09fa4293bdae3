//! The computed outputs of a cluster: the single source of the output schema.

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

pub use super::objects::Uids;

/// What a cluster gives back, besides its inputs. Every field is determined by the declared state or stays
/// what it is: a pod that restarts changes none of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterState")]
pub struct ClusterState {
    /// The cluster's name: of the ClickHouseInstallation and of its Service.
    pub name: String,
    /// The Kubernetes namespace.
    pub namespace: String,
    /// The name of the cluster inside ClickHouse, for `ON CLUSTER` and `Distributed`.
    pub cluster_name: String,
    /// The administrator's name.
    pub username: String,
    /// The administrator's password. Absent for an adopted cluster whose password is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("secret" = true, "alwaysPresent" = true))]
    pub password: Option<String>,
    /// The Secret with the login and the addresses. Absent as long as it does not exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("alwaysPresent" = true))]
    pub credentials_secret: Option<CredentialsSecret>,
    /// The addresses inside Kubernetes, without the password. Absent while the Service does not exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("alwaysPresent" = true))]
    pub endpoints: Option<Endpoints>,
    /// The addresses inside Kubernetes, with the password.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("secret" = true, "alwaysPresent" = true))]
    pub connection: Option<Connection>,
    /// The certificate of the authority that has signed the hosts' own, in PEM: `ca.crt` of the Secret of
    /// `tls`. Absent without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_certificate: Option<String>,
    /// How the cluster is reached from outside; only with an `ingress`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external: Option<External>,
    /// The ClickHouse hosts, by shard and replica.
    pub hosts: Vec<Host>,
    /// The names of the per-shard Services, if there are any.
    pub shard_services: Vec<String>,
    /// The cluster's own Keeper.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keeper: Option<KeeperState>,
    /// A command that forwards the cluster's ports to your machine.
    pub port_forward_command: String,
    /// The cluster's DNS name inside Kubernetes.
    pub internal_hostname: String,
    /// The image that the hosts run.
    pub image: String,
    /// The number of shards.
    pub shards: u32,
    /// The number of replicas of a shard; where shards have different numbers, the largest.
    pub replicas: u32,
    /// The size of each host's data volume. Absent without volumes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_size: Option<String>,
    /// The ClickHouse version: the input, or else the version that the cluster was created with.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// The version that it is to run, where a refresh has found another one.
    #[serde(rename = "__version", skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub wanted_version: Option<String>,
    /// The Kubernetes cluster that this cluster runs in. An update, refresh or delete against another one
    /// fails and changes nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<KubernetesCluster>,
    /// A random string, a new one for each creation of the resource. A delete leaves a cluster alone that a
    /// later create has taken over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<String>,
    /// Whether it is still to be restored from a backup.
    #[serde(rename = "__restores", skip_serializing_if = "std::ops::Not::not")]
    #[schemars(skip)]
    pub restores: bool,
    /// The uids of the cluster's Kubernetes objects. Other objects of the same names are never deleted.
    pub uids: Uids,
}

impl ClusterState {
    /// The version that the cluster is to run where its program names none.
    pub fn version_to_run(&self) -> &str {
        self.wanted_version.as_ref().unwrap_or(&self.version)
    }

    /// The administrator's password, as far as it is known.
    pub(super) fn secret_password(&self) -> Option<SecretString> {
        self.password.clone().map(SecretString::from)
    }
}

/// A Kubernetes cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterKubernetes")]
pub struct KubernetesCluster {
    /// The uid of one of its namespaces, which identifies it.
    pub uid: String,
    /// That namespace: `kube-system`, or the cluster's own if `kube-system` may not be read.
    pub namespace: String,
    /// The URL of its API server when the cluster was created. It may change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
}

/// The Secret with the login and the addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterCredentialsSecret")]
pub struct CredentialsSecret {
    /// Its name, in the cluster's namespace.
    pub name: String,
    /// The key of the administrator's name.
    pub username_key: String,
    /// The key of the password.
    pub password_key: String,
}

/// The addresses of a cluster, by protocol.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterEndpoints")]
pub struct Endpoints {
    /// The HTTP interface; over TLS where it is not to be had without.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("alwaysPresent" = true))]
    pub http: Option<Endpoint>,
    /// The native protocol, for clickhouse-client and most drivers; over TLS where it is not to be had
    /// without.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("alwaysPresent" = true))]
    pub native: Option<Endpoint>,
    /// The HTTP interface over TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub https: Option<Endpoint>,
    /// The native protocol over TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub native_secure: Option<Endpoint>,
}

/// One address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterEndpoint")]
pub struct Endpoint {
    /// The host's name or address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The URL, without a login.
    pub url: String,
}

/// Connection strings with the login.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterConnection")]
pub struct Connection {
    /// For HTTP clients: `http://user:password@host:8123/`; with `tls` `https://user:password@host:8443/`.
    pub http_url: String,
    /// For native clients: `clickhouse://user:password@host:9000/`; with `tls` the port 9440, and
    /// `?secure=true`.
    pub native_url: String,
    /// For JDBC: `jdbc:clickhouse://host:8123/?user=…&password=…`; with `tls` the port 8443, and `&ssl=true`.
    pub jdbc_url: String,
}

/// How a cluster is reached from outside Kubernetes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterExternal")]
pub struct External {
    /// The requested DNS name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// The address of the load balancer. Absent for node ports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The addresses by protocol, at the host name or else the load balancer's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Endpoints>,
}

/// A ClickHouse host: one replica of one shard.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterHost")]
pub struct Host {
    /// Its name: that of its StatefulSet and its Service.
    pub name: String,
    /// The shard's number, from 0.
    pub shard: u32,
    /// The replica's number in its shard, from 0.
    pub replica: u32,
    /// Its DNS name inside Kubernetes.
    pub fqdn: String,
    /// Its pod.
    pub pod: String,
}

/// The cluster's own Keeper.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterKeeperState")]
pub struct KeeperState {
    /// The ClickHouseKeeperInstallation's name.
    pub name: String,
    /// The Service's name.
    pub service: String,
    /// The addresses of the Keeper members, as `host:port`. With an operator since 0.27.2 each leads to its
    /// member only while that is ready.
    pub endpoints: Vec<String>,
}
