//! The drafts of a cluster's objects, to which every aspect adds.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Adopted, ValidatedCluster};

/// The usual name of the template of hosts' pods, and of the container in it.
pub(super) const POD: &str = "clickhouse";
/// What the operator runs where nobody says what.
const OPERATORS_IMAGE: &str = "clickhouse/clickhouse-server:latest";

/// What ClickHouse stores of passwords, as far as these are known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in super::super) struct Hashes {
    /// Of the administrator's.
    pub(in super::super) admin: Option<String>,
    /// Of those that Secrets hold, by the users' names.
    pub(in super::super) users: BTreeMap<String, String>,
}

/// What the aspects say of a cluster's objects.
#[derive(Debug, Clone)]
pub(in super::super) struct Drafts {
    /// What ClickHouse stores of passwords.
    pub(super) hashes: Hashes,
    /// The ClickHouseInstallation.
    pub(in super::super) installation: InstallationDraft,
    /// The ClickHouseKeeperInstallation, where one comes with the cluster.
    pub(in super::super) keeper: Option<InstallationDraft>,
    /// The Service that is the cluster's address.
    pub(in super::super) service: ServiceDraft,
}

/// A ClickHouseInstallation or a ClickHouseKeeperInstallation.
#[derive(Debug, Clone, Default)]
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
    /// `spec.configuration.profiles`.
    pub(super) profiles: Map<String, Value>,
    /// `spec.configuration.quotas`.
    pub(super) quotas: Map<String, Value>,
    /// `spec.configuration.settings`.
    pub(super) settings: Map<String, Value>,
    /// `spec.configuration.files`.
    pub(super) files: Map<String, Value>,
    /// `spec.configuration.zookeeper`.
    pub(super) zookeeper: Option<Value>,
    /// The template of the hosts' pods.
    pub(super) pod: PodDraft,
    /// The templates of the pods of single shards.
    pub(super) other_pods: Vec<PodDraft>,
    /// `spec.templates.volumeClaimTemplates`.
    pub(super) claims: Vec<Value>,
    /// `spec.templates.serviceTemplates`.
    pub(super) services: Vec<Value>,
    /// Whether only what was said is written, as into an object that somebody else made.
    is_adopted: bool,
}

/// A pod template around one container.
#[derive(Debug, Clone, Default)]
pub(super) struct PodDraft {
    /// The template's name.
    name: String,
    /// Whether `references` has to name it: else it is used already.
    is_new: bool,
    /// Whether somebody else's template has no container, so that the operator adds its own.
    lacks_container: bool,
    /// Labels of the pods.
    pub(super) labels: Map<String, Value>,
    /// Annotations of the pods.
    pub(super) annotations: Map<String, Value>,
    /// The container. With this name the operator takes it for the server's, whatever else the pod holds.
    pub(super) container: Map<String, Value>,
    /// The container's environment.
    pub(super) env: Vec<Value>,
    /// The container's ports, besides those that the operator adds.
    pub(super) ports: Vec<Value>,
    /// Where the container mounts volumes, besides those of claims.
    pub(super) mounts: Vec<Value>,
    /// Containers beside it.
    pub(super) sidecars: Vec<Value>,
    /// Containers that run before it.
    pub(super) init_containers: Vec<Value>,
    /// Volumes of the pod, besides those of claims.
    pub(super) volumes: Vec<Value>,
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
    pub(super) fn new(cluster: &ValidatedCluster, hashes: Hashes) -> Self {
        let mut installation = InstallationDraft::new(POD, POD);
        if let Some(adopted) = &cluster.adopted {
            let Adopted { pod, container, .. } = adopted;
            installation.is_adopted = true;
            installation.pod.is_new = pod.name().is_none();
            installation.pod.lacks_container = container.is_none();
            pod.name().unwrap_or_else(|| adopted.new_name(POD)).clone_into(&mut installation.pod.name);
            if let Some(name) = container {
                installation.pod.container.insert("name".to_owned(), json!(name));
            }
        }
        Self {
            hashes,
            installation,
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
    pub(super) fn new(template: &str, container: &str) -> Self {
        let container = Map::from_iter([("name".to_owned(), json!(container))]);
        let pod = PodDraft { name: template.to_owned(), is_new: true, container, ..PodDraft::default() };
        Self { pod, ..Self::default() }
    }

    /// The object's `spec`.
    pub(in super::super) fn into_spec(self) -> Value {
        let Self {
            fields,
            storage_management,
            mut references,
            cluster,
            users,
            profiles,
            quotas,
            settings,
            files,
            zookeeper,
            pod,
            other_pods,
            claims,
            services,
            is_adopted,
        } = self;
        let pods = (!is_adopted || pod.says_something()).then(|| {
            if pod.is_new {
                references.insert("podTemplate".to_owned(), json!(pod.name));
            }
            pod.into_template()
        });
        let says_something = cluster.keys().any(|key| key != "name");
        let clusters = (!is_adopted || says_something).then_some(Value::Object(cluster));
        let mut spec = Value::Object(fields);
        let mut put = |path: &[&str], value: Value| {
            let is_empty =
                value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty);
            if !is_empty {
                *path.iter().fold(&mut spec, |parent, key| &mut parent[*key]) = value;
            }
        };
        put(&["defaults", "storageManagement"], Value::Object(storage_management));
        put(&["defaults", "templates"], Value::Object(references));
        put(&["configuration", "clusters"], clusters.into_iter().collect());
        put(&["configuration", "users"], Value::Object(users));
        put(&["configuration", "profiles"], Value::Object(profiles));
        put(&["configuration", "quotas"], Value::Object(quotas));
        put(&["configuration", "settings"], Value::Object(settings));
        put(&["configuration", "files"], Value::Object(files));
        put(&["configuration", "zookeeper"], zookeeper.unwrap_or_else(|| json!({})));
        let other_pods = other_pods.into_iter().map(PodDraft::into_template);
        put(&["templates", "podTemplates"], pods.into_iter().chain(other_pods).collect());
        put(&["templates", "volumeClaimTemplates"], Value::Array(claims));
        put(&["templates", "serviceTemplates"], Value::Array(services));
        spec
    }
}

impl PodDraft {
    /// The same under another name.
    pub(super) fn called(&self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self.clone() }
    }

    fn says_something(&self) -> bool {
        let lists =
            [&self.env, &self.ports, &self.mounts, &self.sidecars, &self.init_containers, &self.volumes];
        let maps = [&self.labels, &self.annotations, &self.fields];
        self.container.len() > 1
            || lists.into_iter().any(|list| !list.is_empty())
            || maps.into_iter().any(|map| !map.is_empty())
    }

    fn into_template(self) -> Value {
        let Self {
            name,
            is_new: _,
            lacks_container,
            labels,
            annotations,
            mut container,
            env,
            ports,
            mounts,
            sidecars,
            init_containers,
            volumes,
            mut fields,
        } = self;
        for (field, list) in [("env", env), ("ports", ports), ("volumeMounts", mounts)] {
            if !list.is_empty() {
                container.insert(field.to_owned(), Value::Array(list));
            }
        }
        if lacks_container && (container.len() > 1 || !sidecars.is_empty()) {
            container.entry("image").or_insert_with(|| json!(OPERATORS_IMAGE));
        }
        let lists = [("initContainers", init_containers), ("volumes", volumes)];
        fields.extend(
            lists
                .into_iter()
                .filter(|(_, list)| !list.is_empty())
                .map(|(field, list)| (field.to_owned(), Value::Array(list))),
        );
        let is_sole = fields.is_empty() && labels.is_empty() && annotations.is_empty();
        if container.len() > 1 || !sidecars.is_empty() || is_sole {
            let containers: Vec<_> = std::iter::once(Value::Object(container)).chain(sidecars).collect();
            fields.insert("containers".to_owned(), Value::Array(containers));
        }
        let mut template = json!({"name": name});
        if !fields.is_empty() {
            template["spec"] = Value::Object(fields);
        }
        for (field, entries) in [("labels", labels), ("annotations", annotations)] {
            if !entries.is_empty() {
                template["metadata"][field] = Value::Object(entries);
            }
        }
        template
    }
}

/// The operator's own spelling of a yes or no: it refuses JSON booleans.
pub(super) fn yes_no(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}
