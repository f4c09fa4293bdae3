//! From a validated cluster, and the few facts that only the API server knows, to the outputs.

use secrecy::ExposeSecret;
use serde_json::Value;

use super::aspects::{COORDINATION_PORT, IngressType, Naming, PASSWORD_KEY, ValidatedCluster};
use super::manifest::{Login, USERNAME_KEY};
use super::members::Members;
use super::objects::{Part, Uids};
use super::shape::{self, Holds, Installation, Shape};
use super::state::{
    ClusterState, CredentialsSecret, Endpoints, External, Host, KeeperState, KubernetesCluster,
};
use super::{address, names};
use crate::kubernetes::meta;
use crate::property::path::PropertyPath;
use crate::resource::{Paths, Preview};

/// What only the API server can tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ServerFacts {
    /// The unique ids of the objects that are there. A namespace has one only where this cluster made it.
    pub(super) uids: Uids,
    /// The load balancer's host name or address.
    pub(super) address: Option<String>,
    /// The authority that has signed the hosts' certificate, where it is told.
    pub(super) ca_certificate: Option<String>,
    /// The Services by which clients reach the Keeper's members; where none is told, each one's own.
    pub(super) members: Members,
    /// The Kubernetes cluster, where it may be told.
    pub(super) kubernetes: Option<KubernetesCluster>,
    /// The incarnation that the Secret carries.
    pub(super) incarnation: Option<String>,
    /// Whether the cluster is still to be restored from a backup.
    pub(super) restores: bool,
}

impl ServerFacts {
    /// What the state remembers of the API server, besides the Keeper's members, for which it takes
    /// [`recorded_members`].
    pub(super) fn recorded(state: Option<&ClusterState>) -> Self {
        let state = state.cloned().unwrap_or_default();
        Self {
            members: Members::new(),
            uids: state.uids,
            address: state.external.and_then(|external| external.address),
            ca_certificate: state.ca_certificate,
            kubernetes: state.kubernetes,
            incarnation: state.incarnation,
            restores: state.restores,
        }
    }

    /// Takes note of an object as the API server has it.
    pub(super) fn note(&mut self, part: Part, object: &Value) {
        self.uids[part] = meta::owned_uid(object);
        if part == Part::Service {
            let entry = &object["status"]["loadBalancer"]["ingress"][0];
            self.address = entry["hostname"].as_str().or(entry["ip"].as_str()).map(str::to_owned);
        }
    }
}

/// By which Services the members of the Keeper were reached, as far as the state remembers; `shape` gives that
/// of the inputs of the last run.
pub(super) fn recorded_members(state: Option<&ClusterState>, shape: impl FnOnce() -> Shape) -> Members {
    let Some(keeper) = state.and_then(|state| state.keeper.as_ref()) else { return Members::new() };
    let hosts = shape().keeper.map(|keeper| keeper.hosts);
    let service = |endpoint: &String| endpoint.split('.').next().unwrap_or_default().to_owned();
    let recorded = keeper.endpoints.iter().map(service);
    hosts.into_iter().flatten().map(|member| member.part).zip(recorded).collect()
}

/// The outputs of `cluster`.
pub(super) fn outputs(cluster: &ValidatedCluster, login: &Login, facts: &ServerFacts) -> ClusterState {
    described(cluster, Shape::rendered(cluster), login, facts)
}

/// The same, of the shape that it renders.
fn described(cluster: &ValidatedCluster, shape: Shape, login: &Login, facts: &ServerFacts) -> ClusterState {
    let Naming { name, namespace, cluster_name, cluster_domain, .. } = &cluster.naming;
    let username = &cluster.access.username;
    let Shape { clickhouse, keeper, shard_services, .. } = shape;
    // An adopted cluster is reached by the operator's own Service, as long as it is not to be reached from
    // outside.
    let service = if cluster.has_service() { name } else { &clickhouse.service };
    let hostname = names::fqdn(service, namespace, cluster_domain);
    let ports = cluster.tls.ports();
    let endpoints = address::endpoints(&hostname, ports);
    let connection = login
        .password
        .as_ref()
        .map(|password| address::connection(&endpoints, username, password.expose_secret()));
    ClusterState {
        wanted_version: None,
        name: name.clone(),
        namespace: namespace.clone(),
        cluster_name: cluster_name.clone(),
        username: username.clone(),
        password: login.password.as_ref().map(|password| password.expose_secret().to_owned()),
        credentials_secret: cluster.has_secret().then(|| CredentialsSecret {
            name: names::credentials_secret(name),
            username_key: USERNAME_KEY.to_owned(),
            password_key: PASSWORD_KEY.to_owned(),
        }),
        endpoints: Some(or_secure(endpoints)),
        connection,
        external: external(cluster, facts),
        hosts: clickhouse.hosts.iter().map(|host| self::host(&clickhouse, host)).collect(),
        shard_services,
        keeper: keeper.map(|keeper| KeeperState {
            name: name.clone(),
            endpoints: keeper
                .hosts
                .iter()
                .map(|member| facts.members.get(&member.part).unwrap_or(&member.service))
                .map(|service| format!("{}:{}", keeper.fqdn(service), COORDINATION_PORT))
                .collect(),
            service: keeper.service,
        }),
        port_forward_command: ports.each().fold(
            format!("kubectl port-forward --namespace {namespace} service/{service}"),
            |command, (_, port)| format!("{command} {port}:{port}"),
        ),
        ca_certificate: cluster.tls.secret().and(facts.ca_certificate.clone()),
        internal_hostname: hostname,
        image: clickhouse
            .hosts
            .first()
            .map(|host| shape::image(clickhouse.pod(host)).to_owned())
            .unwrap_or_default(),
        shards: number_of(&clickhouse, |host| host.shard),
        replicas: number_of(&clickhouse, |host| host.replica),
        storage_size: clickhouse
            .claims
            .values()
            .find(|claim| claim.holds == Holds::Data)
            .and_then(|claim| claim.size.clone()),
        version: cluster.image.version.clone(),
        kubernetes: facts.kubernetes.clone(),
        incarnation: facts.incarnation.clone(),
        restores: facts.restores,
        uids: facts.uids.clone(),
    }
}

/// The addresses, each protocol by that over TLS where it is not to be had without.
fn or_secure(mut endpoints: Endpoints) -> Endpoints {
    endpoints.http = endpoints.http.or_else(|| endpoints.https.clone());
    endpoints.native = endpoints.native.or_else(|| endpoints.native_secure.clone());
    endpoints
}

/// How many there are of what is counted from 0.
fn number_of(installation: &Installation, index: fn(&shape::Host) -> u32) -> u32 {
    installation.hosts.iter().map(|host| index(host) + 1).max().unwrap_or_default()
}

fn external(cluster: &ValidatedCluster, facts: &ServerFacts) -> Option<External> {
    let ingress = cluster.ingress.ingress.as_ref()?;
    let address = facts.address.clone().filter(|_| ingress.kind == IngressType::LoadBalancer);
    // A node port's number and the nodes' addresses are the cluster's business: nothing here would stay true.
    let reachable_as = ingress.hostname.clone().or_else(|| address.clone());
    Some(External {
        hostname: ingress.hostname.clone(),
        address,
        endpoints: reachable_as.map(|host| address::endpoints(&host, ingress.outside(cluster.tls.ports()))),
    })
}

fn host(installation: &Installation, host: &shape::Host) -> Host {
    Host {
        name: host.name.clone(),
        shard: host.shard,
        replica: host.replica,
        fqdn: installation.fqdn(&host.service),
        pod: host.pod(),
    }
}

/// The outputs of a preview: a password that is not there yet, an address that nobody has given yet, and the
/// Services of a Keeper's members that are not there yet, are unknown.
pub(super) fn preview(
    cluster: &ValidatedCluster,
    login: &Login,
    facts: &ServerFacts,
    mut unknown: Paths,
) -> Preview<ClusterState> {
    if login.password.is_none() {
        unknown.extend(["password", "connection"].map(PropertyPath::from));
    }
    let shape = Shape::rendered(cluster);
    let mut members = shape.keeper.iter().flat_map(|keeper| &keeper.hosts);
    if members.any(|member| !facts.members.contains_key(&member.part)) {
        unknown.insert("keeper.endpoints".into());
    }
    let waits_for_address =
        cluster.ingress.ingress.as_ref().is_some_and(|ingress| ingress.kind == IngressType::LoadBalancer);
    if waits_for_address && facts.address.is_none() {
        unknown.insert("external.address".into());
        if cluster.ingress.ingress.as_ref().is_some_and(|ingress| ingress.hostname.is_none()) {
            unknown.insert("external.endpoints".into());
        }
    }
    Preview { state: described(cluster, shape, login, facts), unknown }
}
