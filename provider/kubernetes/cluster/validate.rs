//! From the inputs, defaults filled in, to a cluster that can be built: everything that is wrong is found at once.

use std::collections::BTreeMap;
use std::net::IpAddr;

use secrecy::SecretString;
use serde_json::Value;

use super::args::{
    AccessMode, ClusterArgs, CoordinationType, ExternalCoordination, ExternalNode, ExternalTrafficPolicy, Image, IngressType,
    InterserverSecret, Keeper, LogLevel, Provisioner, PullPolicy, ReclaimPolicy, Resources, SecretKey, Storage, Volume,
};
use super::shape::MOST_HOSTS;
use super::{defaults, names, quantity};
use crate::property::path::PropertyPath;
use crate::resource::{CheckFailure, Known};

/// A cluster whose every value is known and sound: what the manifests are built from.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is an input of its own, and none excludes another")]
pub(super) struct ValidatedCluster {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) create_namespace: bool,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) cluster_name: String,
    /// The input `version`, or its default.
    pub(super) version: String,
    pub(super) image: ContainerImage,
    pub(super) shards: u32,
    pub(super) replicas: u32,
    pub(super) resources: Resources,
    pub(super) storage: ClusterStorage,
    pub(super) coordination: Coordination,
    pub(super) admin: Admin,
    pub(super) ingress: Option<Ingress>,
    pub(super) per_shard_services: bool,
    pub(super) interserver: Interserver,
    pub(super) log_level: LogLevel,
    pub(super) stopped: bool,
    pub(super) suspended: bool,
    pub(super) restart_token: Option<String>,
    pub(super) chi_overrides: Value,
    pub(super) chk_overrides: Value,
    pub(super) cluster_domain: String,
    pub(super) skip_await: bool,
    pub(super) force_conflicts: bool,
}

/// An image as a container names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ContainerImage {
    /// `repository:tag` or `repository@digest`.
    pub(super) reference: String,
    pub(super) pull_policy: Option<PullPolicy>,
    pub(super) pull_secrets: Vec<String>,
}

/// Where the data lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ClusterStorage {
    /// `None` when it lives in the pod.
    pub(super) data: Option<ClaimTemplate>,
    pub(super) logs: Option<ClaimTemplate>,
    pub(super) reclaim_policy: ReclaimPolicy,
    pub(super) provisioner: Provisioner,
}

/// A volume that is claimed for each host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ClaimTemplate {
    pub(super) size: String,
    pub(super) storage_class: Option<String>,
    pub(super) access_modes: Vec<AccessMode>,
    pub(super) reclaim_policy: ReclaimPolicy,
}

/// How replicas agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Coordination {
    None,
    Keeper(ManagedKeeper),
    External(External),
}

/// The Keeper that comes with the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ManagedKeeper {
    pub(super) replicas: u32,
    pub(super) image: ContainerImage,
    pub(super) resources: Resources,
    pub(super) volume: ClaimTemplate,
}

/// A Keeper or ZooKeeper that is there already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct External {
    pub(super) nodes: Vec<CoordinationNode>,
    pub(super) root: Option<String>,
    pub(super) identity: Option<String>,
    pub(super) session_ms: Option<u32>,
    pub(super) operation_ms: Option<u32>,
}

/// One server of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CoordinationNode {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) secure: bool,
    pub(super) availability_zone: Option<String>,
}

/// The administrator.
#[derive(Debug, Clone)]
pub(super) struct Admin {
    pub(super) username: String,
    pub(super) credential: Credential,
    pub(super) networks: Vec<String>,
}

/// Where the administrator's password comes from.
#[derive(Debug, Clone)]
pub(super) enum Credential {
    /// The program gives it.
    Given(SecretString),
    /// A Secret holds it.
    Existing { secret: String, key: String },
    /// The provider makes it; another version is another password.
    Generated { version: String },
}

/// How clients get in from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ingress {
    pub(super) kind: IngressType,
    pub(super) hostname: Option<String>,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) source_ranges: Vec<String>,
    pub(super) load_balancer_class: Option<String>,
    pub(super) external_traffic_policy: Option<ExternalTrafficPolicy>,
    pub(super) internal: bool,
}

/// The secret by which hosts trust each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Interserver {
    None,
    Generated,
    Existing { secret: String, key: String },
}

impl ValidatedCluster {
    /// The Keeper that comes with the cluster, if one does.
    pub(super) fn keeper(&self) -> Option<&ManagedKeeper> {
        match &self.coordination {
            Coordination::Keeper(keeper) => Some(keeper),
            Coordination::None | Coordination::External(_) => None,
        }
    }
}

/// Checks `args`, whose defaults are filled in, and turns them into a cluster. What is unknown is neither checked nor
/// guessed at: its default stands in, so the result of unknown inputs must not be built.
pub(super) fn validate(args: &Known<ClusterArgs>) -> Result<ValidatedCluster, Vec<CheckFailure>> {
    let mut check = Checker { args, failures: Vec::new() };
    let cluster = check.cluster();
    if check.failures.is_empty() { Ok(cluster) } else { Err(check.failures) }
}

/// The cluster that `args` describe, whether they are sound or not: for what is wrong a default may stand in, so it must not be built.
pub(super) fn anyway(args: &Known<ClusterArgs>) -> ValidatedCluster {
    Checker { args, failures: Vec::new() }.cluster()
}

struct Checker<'a> {
    args: &'a Known<ClusterArgs>,
    failures: Vec<CheckFailure>,
}

impl Checker<'_> {
    fn fail(&mut self, path: &str, reason: impl Into<String>) {
        self.fail_at(PropertyPath::from(path), reason);
    }

    fn fail_at(&mut self, path: PropertyPath, reason: impl Into<String>) {
        if !self.args.is_unknown(&path) {
            self.failures.push(CheckFailure { path, reason: reason.into() });
        }
    }

    fn unknown(&self, path: &str) -> bool {
        self.args.is_unknown(&PropertyPath::from(path))
    }

    fn cluster(&mut self) -> ValidatedCluster {
        let args = &self.args.value;
        let (name, cluster_name) = self.names();
        let namespace = args.namespace.clone().unwrap_or_default();
        if let Some(problem) = label_problem(&namespace, 63) {
            self.fail("namespace", problem);
        }
        self.labels("labels", args.labels.as_ref());
        self.annotations("annotations", args.annotations.as_ref());
        let version = args.version.clone().unwrap_or_else(|| defaults::VERSION.to_owned());
        self.tag("version", &version);
        let image = self.image("image", args.image.as_ref(), defaults::SERVER_REPOSITORY, &version);
        let (mut shards, replicas) = (self.count("shards", args.shards), self.count("replicas", args.replicas));
        let hosts = u64::from(shards) * u64::from(replicas);
        if hosts > MOST_HOSTS {
            self.fail(
                "shards",
                format!("{shards} shards of {replicas} replicas are {hosts} hosts, at most {MOST_HOSTS} are supported: ask for fewer, or make several clusters"),
            );
            // Whoever goes on all the same has little to go through.
            shards = 1;
        }
        let resources = self.resources("resources", args.resources.as_ref());
        let storage = self.storage(args.storage.clone().unwrap_or_default());
        let coordination = self.coordination(replicas, &version);
        let ingress = self.ingress();
        let admin = self.admin(ingress.as_ref());
        let interserver = self.interserver(args.interserver_secret.as_ref());
        let cluster_domain = args.cluster_domain.clone().unwrap_or_else(|| defaults::CLUSTER_DOMAIN.to_owned());
        if let Some(problem) = dns_problem(&cluster_domain) {
            self.fail("clusterDomain", problem);
        }
        let free_form =
            |given: &Option<super::args::FreeForm>| given.clone().map_or(Value::Null, |map| Value::Object(map.into_iter().collect()));
        ValidatedCluster {
            name,
            namespace,
            create_namespace: args.create_namespace.unwrap_or_default(),
            labels: args.labels.clone().unwrap_or_default(),
            annotations: args.annotations.clone().unwrap_or_default(),
            cluster_name,
            version,
            image,
            shards,
            replicas,
            resources,
            storage,
            coordination,
            admin,
            ingress,
            per_shard_services: args.per_shard_services.unwrap_or(shards > 1),
            interserver,
            log_level: args.logging.as_ref().and_then(|logging| logging.level).unwrap_or(defaults::of(args).log_level),
            stopped: args.stopped.unwrap_or_default(),
            suspended: args.suspended.unwrap_or_default(),
            restart_token: args.restart_token.clone(),
            chi_overrides: free_form(&args.chi_overrides),
            chk_overrides: free_form(&args.chk_overrides),
            cluster_domain,
            skip_await: args.skip_await.unwrap_or_default(),
            force_conflicts: args.force_conflicts.unwrap_or_default(),
        }
    }

    fn names(&mut self) -> (String, String) {
        let args = &self.args.value;
        let (name, cluster_name) = (args.name.clone().unwrap_or_default(), args.cluster_name.clone().unwrap_or_default());
        if let Some(problem) = name_problem(&name, names::NAME_BUDGET) {
            self.fail("name", problem);
        }
        if let Some(problem) = name_problem(&cluster_name, names::CLUSTER_NAME_LENGTH) {
            self.fail("clusterName", problem);
        }
        let together = name.len() + cluster_name.len();
        if together > names::NAME_BUDGET && name.len() <= names::NAME_BUDGET && !self.unknown("name") && !self.unknown("clusterName") {
            self.fail(
                "name",
                format!(
                    "`{name}` and the clusterName `{cluster_name}` have {together} characters together, at most {} fit into the names that the operator derives from them: shorten one of them",
                    names::NAME_BUDGET
                ),
            );
        }
        (name, cluster_name)
    }

    fn count(&mut self, path: &str, given: Option<u32>) -> u32 {
        match given {
            Some(0) => {
                self.fail(path, "must be at least 1; to run no host and keep the data set `stopped: true`");
                1
            }
            Some(count) if count > 999 => {
                self.fail(path, format!("is {count}, at most 999 are supported"));
                1
            }
            given => given.unwrap_or(1),
        }
    }

    fn tag(&mut self, path: &str, tag: &str) {
        let well_formed = tag.len() <= 128
            && tag.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && tag.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
        if tag == "latest" || tag == "head" {
            self.fail(
                path,
                format!("`{tag}` is another release each time a node pulls it: name a release, for example `{}`", defaults::VERSION),
            );
        } else if !well_formed {
            self.fail(path, format!("`{tag}` is no image tag: name a release, for example `{}`", defaults::VERSION));
        }
    }

    fn image(&mut self, path: &str, given: Option<&Image>, repository: &str, version: &str) -> ContainerImage {
        let given = given.cloned().unwrap_or_default();
        let repository = given.repository.unwrap_or_else(|| repository.to_owned());
        let malformed = repository.is_empty() || repository.contains(|c: char| c.is_whitespace() || c == '@' || c.is_ascii_uppercase());
        if malformed || repository.rsplit('/').next().is_some_and(|last| last.contains(':')) {
            self.fail(
                &format!("{path}.repository"),
                format!("`{repository}` is no repository: write it in lower case and without a tag, which goes into `tag`, or a digest, which goes into `digest`"),
            );
        }
        if let Some(tag) = &given.tag {
            self.tag(&format!("{path}.tag"), tag);
        }
        let reference = match &given.digest {
            Some(digest) => {
                if !digest.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64 && hex.chars().all(|c| c.is_ascii_hexdigit())) {
                    self.fail(&format!("{path}.digest"), format!("`{digest}` is no digest: it is `sha256:` and 64 hex digits"));
                }
                format!("{repository}@{digest}")
            }
            None => format!("{repository}:{}", given.tag.as_deref().unwrap_or(version)),
        };
        let pull_secrets = given.pull_secrets.unwrap_or_default();
        for (index, secret) in pull_secrets.iter().enumerate() {
            if let Some(problem) = dns_problem(secret) {
                self.fail_at(PropertyPath::from(path).key("pullSecrets").index(index), problem);
            }
        }
        ContainerImage { reference, pull_policy: given.pull_policy, pull_secrets }
    }

    fn quantity(&mut self, path: &str, text: Option<&String>) {
        let Some(text) = text else { return };
        match quantity::nanos(text) {
            None => {
                self.fail(path, format!("`{text}` is no quantity: write for example `500m`, `2`, `4Gi`; Kubernetes knows less than `8Ei`"));
            }
            Some(value) if value <= 0 => self.fail(path, format!("`{text}` must be more than 0")),
            Some(_) => {}
        }
    }

    fn resources(&mut self, path: &str, given: Option<&Resources>) -> Resources {
        let given = given.cloned().unwrap_or_default();
        let (requests, limits) = (given.requests.clone().unwrap_or_default(), given.limits.clone().unwrap_or_default());
        for (part, request, limit) in [("cpu", &requests.cpu, &limits.cpu), ("memory", &requests.memory, &limits.memory)] {
            self.quantity(&format!("{path}.requests.{part}"), request.as_ref());
            self.quantity(&format!("{path}.limits.{part}"), limit.as_ref());
            if let (Some(request), Some(limit)) = (request, limit)
                && quantity::shrinks(request, limit)
            {
                self.fail(
                    &format!("{path}.requests.{part}"),
                    format!("`{request}` is more than the limit `{limit}`: raise the limit or lower the request"),
                );
            }
        }
        given
    }

    fn storage(&mut self, given: Storage) -> ClusterStorage {
        let reclaim_policy = given.reclaim_policy.unwrap_or(ReclaimPolicy::Retain);
        let ephemeral = given.ephemeral.unwrap_or_default();
        if ephemeral {
            for (field, is_given) in [
                ("size", given.size.is_some()),
                ("storageClass", given.storage_class.is_some()),
                ("accessModes", given.access_modes.is_some()),
            ] {
                if is_given {
                    self.fail(
                        &format!("storage.{field}"),
                        "has no meaning with `ephemeral: true`, where there is no volume: remove one of them",
                    );
                }
            }
        }
        let Storage { size, storage_class, access_modes, provisioner, logs, .. } = given;
        let data = Volume { size, storage_class, access_modes, reclaim_policy: Some(reclaim_policy) };
        ClusterStorage {
            data: (!ephemeral).then(|| self.volume("storage", data)),
            logs: logs.map(|logs| self.volume("storage.logs", logs)),
            reclaim_policy,
            provisioner: provisioner.unwrap_or(Provisioner::Operator),
        }
    }

    fn volume(&mut self, path: &str, given: Volume) -> ClaimTemplate {
        self.quantity(&format!("{path}.size"), given.size.as_ref());
        if let Some(problem) = given.storage_class.as_deref().and_then(dns_problem) {
            self.fail(&format!("{path}.storageClass"), problem);
        }
        if given.access_modes.as_ref().is_some_and(Vec::is_empty) {
            self.fail(&format!("{path}.accessModes"), "must name at least one mode: leave it out for `ReadWriteOnce`");
        }
        ClaimTemplate {
            size: given.size.unwrap_or_default(),
            storage_class: given.storage_class,
            access_modes: given.access_modes.unwrap_or_else(|| vec![AccessMode::ReadWriteOnce]),
            reclaim_policy: given.reclaim_policy.unwrap_or(ReclaimPolicy::Retain),
        }
    }

    fn coordination(&mut self, replicas: u32, version: &str) -> Coordination {
        let given = self.args.value.coordination.clone().unwrap_or_default();
        let kind = given.kind.unwrap_or(CoordinationType::None);
        if given.keeper.is_some() && given.external.is_some() {
            // Both are there, whatever is not known of their parts.
            let reason = "has both a `keeper` of its own and an `external` one: remove one of them";
            self.failures.push(CheckFailure::new("coordination", reason));
        } else if given.external.is_some() && kind != CoordinationType::External {
            self.fail("coordination.external", format!("is given, but `coordination.type` is `{kind:?}`: remove one of them"));
        } else if given.keeper.is_some() && kind != CoordinationType::Keeper {
            self.fail("coordination.keeper", format!("is given, but `coordination.type` is `{kind:?}`: remove one of them"));
        }
        let keeper = given.keeper.map(|keeper| self.keeper(keeper, version));
        let external = given.external.map(|external| self.external(external));
        match kind {
            CoordinationType::None => {
                if replicas > 1 && !self.unknown("replicas") && !self.unknown("coordination") {
                    self.fail("replicas", format!("{replicas} replicas can't agree without coordination: remove `coordination.type: None`, or name an `external` Keeper or ZooKeeper"));
                }
                Coordination::None
            }
            CoordinationType::Keeper => Coordination::Keeper(keeper.unwrap_or_else(|| self.keeper(Keeper::default(), version))),
            CoordinationType::External => {
                Coordination::External(external.unwrap_or_else(|| self.external(ExternalCoordination::default())))
            }
        }
    }

    fn keeper(&mut self, given: Keeper, version: &str) -> ManagedKeeper {
        let replicas = given.replicas.unwrap_or(3);
        if ![1, 3, 5].contains(&replicas) {
            self.fail("coordination.keeper.replicas", format!("is {replicas}, but a Keeper needs a majority: it has 1, 3 or 5 replicas"));
        }
        ManagedKeeper {
            replicas,
            image: self.image("coordination.keeper.image", given.image.as_ref(), defaults::KEEPER_REPOSITORY, version),
            resources: self.resources("coordination.keeper.resources", given.resources.as_ref()),
            volume: self.volume("coordination.keeper.storage", given.storage.unwrap_or_default()),
        }
    }

    fn external(&mut self, given: ExternalCoordination) -> External {
        let given_nodes = given.nodes.unwrap_or_default();
        if given_nodes.is_empty() {
            self.fail(
                "coordination.external.nodes",
                "must name at least one server, for example `{host: zookeeper.example.svc, port: 2181}`",
            );
        }
        let nodes = given_nodes.into_iter().enumerate().map(|(index, node)| self.node(index, node)).collect();
        if given.root.as_ref().is_some_and(|root| !root.starts_with('/')) {
            self.fail("coordination.external.root", "must begin with `/`");
        }
        if given.identity.as_ref().is_some_and(|identity| !identity.contains(':')) {
            self.fail("coordination.external.identity", "must have the form `user:password`");
        }
        let timeouts = given.timeouts.unwrap_or_default();
        External { nodes, root: given.root, identity: given.identity, session_ms: timeouts.session_ms, operation_ms: timeouts.operation_ms }
    }

    fn node(&mut self, index: usize, node: ExternalNode) -> CoordinationNode {
        let path = PropertyPath::from("coordination.external.nodes").index(index);
        let written = node.host.unwrap_or_default();
        let (host, port) = match written.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') => {
                let parsed = port.parse().ok();
                if parsed.is_none() {
                    self.fail_at(path.key("host"), format!("`{written}`: `{port}` is no port"));
                }
                (host.to_owned(), parsed)
            }
            _ => (written.clone(), None),
        };
        if let (Some(written), Some(given)) = (port, node.port)
            && written != given
        {
            self.fail_at(path.key("port"), format!("is {given}, but `host` says {written}: remove one of them"));
        }
        if host.parse::<IpAddr>().is_err()
            && let Some(problem) = dns_problem(&host)
        {
            self.fail_at(path.key("host"), problem);
        }
        let port = port.or(node.port).unwrap_or(defaults::COORDINATION_PORT);
        if port == 0 {
            self.fail_at(path.key("port"), "must be between 1 and 65535");
        }
        CoordinationNode { host, port, secure: node.secure.unwrap_or_default(), availability_zone: node.availability_zone }
    }

    fn admin(&mut self, ingress: Option<&Ingress>) -> Admin {
        let given = self.args.value.admin.clone().unwrap_or_default();
        let username = given.username.unwrap_or_else(|| defaults::USERNAME.to_owned());
        if username == "clickhouse_operator" {
            self.fail("admin.username", "`clickhouse_operator` is the operator's own user: choose another name");
        } else if !(username.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && username.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c)))
        {
            self.fail(
                "admin.username",
                format!("`{username}` is no user name: use letters, digits, `_`, `-` and `.`, beginning with a letter or `_`"),
            );
        }
        let credential = match (given.password, given.existing_secret) {
            (Some(_), Some(_)) => {
                self.fail("admin.existingSecret", "is given together with `admin.password`: remove one of them");
                Credential::Generated { version: String::new() }
            }
            (Some(password), None) => {
                if password.is_empty() {
                    self.fail("admin.password", "must not be empty; leave it out to have one made");
                }
                if given.password_version.is_some() {
                    self.fail("admin.passwordVersion", "makes a new password, but `admin.password` is given: remove one of them");
                }
                Credential::Given(password.into())
            }
            (None, Some(secret)) => {
                if given.password_version.is_some() {
                    self.fail("admin.passwordVersion", "makes a new password, but `admin.existingSecret` holds it: remove one of them");
                }
                let (secret, key) = self.secret_key("admin.existingSecret", secret);
                Credential::Existing { secret, key }
            }
            (None, None) => Credential::Generated { version: given.password_version.unwrap_or_default() },
        };
        let networks = match given.networks {
            Some(networks) => {
                self.ranges("admin.networks", &networks);
                networks
            }
            None => ingress
                .map(|ingress| ingress.source_ranges.as_slice())
                .unwrap_or_default()
                .iter()
                .cloned()
                .chain(defaults::of(&self.args.value).networks)
                .collect(),
        };
        Admin { username, credential, networks }
    }

    fn secret_key(&mut self, path: &str, given: SecretKey) -> (String, String) {
        let name = given.name.unwrap_or_default();
        if let Some(problem) = dns_problem(&name) {
            self.fail(&format!("{path}.name"), problem);
        }
        let key = given.key.unwrap_or_else(|| defaults::PASSWORD_KEY.to_owned());
        if key.is_empty() || !key.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
            self.fail(&format!("{path}.key"), format!("`{key}` is no key of a Secret: use letters, digits, `-`, `_` and `.`"));
        }
        (name, key)
    }

    fn ranges(&mut self, path: &str, ranges: &[String]) {
        for (index, range) in ranges.iter().enumerate() {
            if !is_range(range) {
                self.fail_at(
                    PropertyPath::from(path).index(index),
                    format!("`{range}` is no address range: write for example `10.0.0.0/8`"),
                );
            }
        }
    }

    fn ingress(&mut self) -> Option<Ingress> {
        let given = self.args.value.ingress.clone()?;
        let kind = given.kind.unwrap_or(IngressType::LoadBalancer);
        if let Some(problem) = given.hostname.as_deref().and_then(dns_problem) {
            self.fail("ingress.hostname", problem);
        }
        self.labels("ingress.labels", given.labels.as_ref());
        self.annotations("ingress.annotations", given.annotations.as_ref());
        let source_ranges = given.source_ranges.unwrap_or_default();
        self.ranges("ingress.sourceRanges", &source_ranges);
        if kind == IngressType::NodePort {
            for (field, is_given) in [
                ("sourceRanges", !source_ranges.is_empty()),
                ("loadBalancerClass", given.load_balancer_class.is_some()),
                ("internal", given.internal == Some(true)),
            ] {
                if is_given {
                    self.fail(&format!("ingress.{field}"), "is a load balancer's, but `ingress.type` is `NodePort`: remove one of them");
                }
            }
        }
        Some(Ingress {
            kind,
            hostname: given.hostname,
            annotations: given.annotations.unwrap_or_default(),
            labels: given.labels.unwrap_or_default(),
            source_ranges,
            load_balancer_class: given.load_balancer_class,
            external_traffic_policy: given.external_traffic_policy,
            internal: given.internal.unwrap_or_default(),
        })
    }

    fn interserver(&mut self, given: Option<&InterserverSecret>) -> Interserver {
        let InterserverSecret { enabled, existing_secret } = given.cloned().unwrap_or_default();
        match (enabled.unwrap_or(true), existing_secret) {
            (false, Some(_)) => {
                self.fail("interserverSecret.existingSecret", "is given, but `interserverSecret.enabled` is false: remove one of them");
                Interserver::None
            }
            (false, None) => Interserver::None,
            (true, None) => Interserver::Generated,
            (true, Some(secret)) => {
                let (secret, key) = self.secret_key("interserverSecret.existingSecret", secret);
                Interserver::Existing { secret, key }
            }
        }
    }

    fn labels(&mut self, path: &str, labels: Option<&BTreeMap<String, String>>) {
        for (key, value) in labels.into_iter().flatten() {
            self.reserved_key(path, key);
            let sound = value.len() <= 63 && (value.is_empty() || is_qualified_part(value));
            if !sound {
                self.fail_at(PropertyPath::from(path).key(key), format!("`{value}` is no label value: at most 63 letters, digits, `-`, `_` and `.`, beginning and ending with a letter or digit"));
            }
        }
    }

    fn annotations(&mut self, path: &str, annotations: Option<&BTreeMap<String, String>>) {
        for key in annotations.into_iter().flatten().map(|(key, _)| key) {
            self.reserved_key(path, key);
        }
    }

    fn reserved_key(&mut self, path: &str, key: &str) {
        let (prefix, part) = key.rsplit_once('/').map_or((None, key), |(prefix, part)| (Some(prefix), part));
        let sound = part.len() <= 63 && is_qualified_part(part) && prefix.is_none_or(|prefix| dns_problem(prefix).is_none());
        let path = PropertyPath::from(path).key(key);
        if !sound {
            self.fail_at(path, format!("`{key}` is no key: letters, digits, `-`, `_` and `.`, after a DNS name and `/` where wanted"));
        } else if prefix
            .is_some_and(|prefix| prefix.ends_with("clickhouse.altinity.com") || prefix.ends_with("clickhouse-keeper.altinity.com"))
        {
            self.fail_at(path, format!("`{key}` is the operator's own: it would take the object for one of its making and delete it"));
        }
    }
}

/// Why `name` is no name for the operator, or `None`.
fn name_problem(name: &str, longest: usize) -> Option<String> {
    if name.len() > longest {
        return Some(format!("`{name}` has {} characters, at most {longest} fit: shorten it", name.len()));
    }
    let sound = name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    (!sound).then(|| {
        let fit = names::fit(name);
        let remedy = if fit.is_empty() { String::new() } else { format!(", for example `{fit}`") };
        format!(
            "`{name}` is no name: use lower-case letters, digits and `-`, beginning with a letter and ending with a letter or digit{remedy}"
        )
    })
}

/// Why `label` is no DNS label, or `None`.
fn label_problem(label: &str, longest: usize) -> Option<String> {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let sound = label.len() <= longest
        && edge(label.chars().next())
        && edge(label.chars().last())
        && label.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    (!sound).then(|| format!("`{label}` is no name of Kubernetes: at most {longest} lower-case letters, digits and `-`, beginning and ending with a letter or digit"))
}

/// Why `name` is no DNS name, or `None`.
fn dns_problem(name: &str) -> Option<String> {
    let sound = name.len() <= 253 && name.split('.').all(|label| label_problem(label, 63).is_none());
    (!sound).then(|| format!("`{name}` is no DNS name: use lower-case letters, digits, `-` and `.`"))
}

/// Whether `part` is the name part of a label key, or a label value.
fn is_qualified_part(part: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    edge(part.chars().next()) && edge(part.chars().last()) && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

/// Whether `text` is an address, or an address and a prefix length.
fn is_range(text: &str) -> bool {
    let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let longest = if address.is_ipv4() { 32 } else { 128 };
    prefix.is_none_or(|prefix| prefix.parse::<u8>().is_ok_and(|prefix| prefix <= longest))
}
