//! The drafts of a cluster's objects, to which every aspect adds.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::ValidatedCluster;

/// What the aspects say of a cluster's objects.
#[derive(Debug, Clone)]
pub(in super::super) struct Drafts {
    /// What ClickHouse stores of the administrator's password, where that is known.
    pub(super) password_hash: Option<String>,
    /// The ClickHouseInstallation.
    pub(in super::super) installation: InstallationDraft,
    /// The ClickHouseKeeperInstallation, where one comes with the cluster.
    pub(in super::super) keeper: Option<InstallationDraft>,
    /// The Service that is the cluster's address.
    pub(in super::super) service: ServiceDraft,
}

/// A ClickHouseInstallation or a ClickHouseKeeperInstallation.
#[derive(Debug, Clone)]
pub(in super::super) struct InstallationDraft {
    /// Fields of `spec` that stand alone.
    pub(super) fields: Map<String, Value>,
    /// `spec.defaults.storageManagement`.
    pub(super) storage_management: Map<String, Value>,
    /// `spec.defaults.templates`: which templates are used.
    pub(super) references: Map<String, Value>,
    /// The cluster in `spec.configuration.clusters`.
    pub(super) cluster: Map<String, Value>,
    /// `spec.configuration.users`.
    pub(super) users: Map<String, Value>,
    /// `spec.configuration.settings`.
    pub(super) settings: Map<String, Value>,
    /// `spec.configuration.zookeeper`.
    pub(super) zookeeper: Option<Value>,
    /// The template of the hosts' pods.
    pub(super) pod: PodDraft,
    /// `spec.templates.volumeClaimTemplates`.
    pub(super) claims: Vec<Value>,
    /// `spec.templates.serviceTemplates`.
    pub(super) services: Vec<Value>,
}

/// A pod template around one container.
#[derive(Debug, Clone)]
pub(super) struct PodDraft {
    /// The template's name, which `references` gets too.
    name: &'static str,
    /// Annotations of the pods.
    pub(super) annotations: Map<String, Value>,
    /// The container. With this name the operator takes it for the server's, whatever else the pod holds.
    pub(super) container: Map<String, Value>,
    /// Fields of the pod's own `spec`.
    pub(super) fields: Map<String, Value>,
}

/// The Service.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct ServiceDraft {
    /// Annotations besides those of all objects.
    pub(in super::super) annotations: BTreeMap<String, String>,
    /// Labels besides those of all objects.
    pub(in super::super) labels: BTreeMap<String, String>,
    /// Fields of `spec`.
    pub(in super::super) spec: Map<String, Value>,
}

impl Drafts {
    /// Drafts of which nothing is said yet.
    pub(super) fn new(cluster: &ValidatedCluster, password_hash: Option<String>) -> Self {
        Self {
            password_hash,
            installation: InstallationDraft::new("clickhouse", "clickhouse"),
            keeper: cluster.keeper().map(|_| InstallationDraft::new("keeper", "clickhouse-keeper")),
            service: ServiceDraft::default(),
        }
    }

    /// The installation, and the Keeper where there is one.
    pub(super) fn both(&mut self) -> impl Iterator<Item = &mut InstallationDraft> {
        std::iter::once(&mut self.installation).chain(&mut self.keeper)
    }
}

impl InstallationDraft {
    /// A draft whose pod template is called `template`, and its container `container`.
    pub(super) fn new(template: &'static str, container: &'static str) -> Self {
        let container = Map::from_iter([("name".to_owned(), json!(container))]);
        Self {
            fields: Map::new(),
            storage_management: Map::new(),
            references: Map::new(),
            cluster: Map::new(),
            users: Map::new(),
            settings: Map::new(),
            zookeeper: None,
            pod: PodDraft { name: template, annotations: Map::new(), container, fields: Map::new() },
            claims: Vec::new(),
            services: Vec::new(),
        }
    }

    /// The object's `spec`.
    pub(in super::super) fn into_spec(self) -> Value {
        let Self {
            fields: mut spec,
            storage_management,
            mut references,
            cluster,
            users,
            settings,
            zookeeper,
            pod: PodDraft { name, annotations, container, fields: mut pod },
            claims,
            services,
        } = self;
        references.insert("podTemplate".to_owned(), json!(name));
        pod.insert("containers".to_owned(), json!([container]));
        let mut template = json!({"name": name, "spec": pod});
        if !annotations.is_empty() {
            template["metadata"] = json!({"annotations": annotations});
        }
        let mut configuration = json!({"clusters": [cluster]});
        for (part, values) in [("users", users), ("settings", settings)] {
            if !values.is_empty() {
                configuration[part] = Value::Object(values);
            }
        }
        if let Some(zookeeper) = zookeeper {
            configuration["zookeeper"] = zookeeper;
        }
        let mut templates = json!({"podTemplates": [template]});
        for (kind, elements) in [("volumeClaimTemplates", claims), ("serviceTemplates", services)] {
            if !elements.is_empty() {
                templates[kind] = Value::Array(elements);
            }
        }
        spec.insert("defaults".to_owned(), json!({"storageManagement": storage_management, "templates": references}));
        spec.insert("configuration".to_owned(), configuration);
        spec.insert("templates".to_owned(), templates);
        Value::Object(spec)
    }
}

impl PodDraft {
    /// Prefers different nodes for the pods that `selector` finds and that have the same value of each label in `keys`.
    pub(super) fn spread(&mut self, selector: &Value, keys: &[&str]) {
        let mut term = json!({"labelSelector": {"matchLabels": selector}, "topologyKey": "kubernetes.io/hostname"});
        if !keys.is_empty() {
            term["matchLabelKeys"] = json!(keys);
        }
        let preferred = json!([{"weight": 100, "podAffinityTerm": term}]);
        let affinity = json!({"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}});
        self.fields.insert("affinity".to_owned(), affinity);
    }
}

/// The operator's own spelling of a yes or no: it refuses JSON booleans.
pub(super) fn yes_no(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}
