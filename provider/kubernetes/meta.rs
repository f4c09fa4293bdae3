//! What the provider knows of Kubernetes objects at compile time: their kinds and paths, and how its own are
//! marked.

use std::fmt;

use serde_json::Value;

/// Who writes: the field manager of every server-side apply, and the value of the label [`MANAGED_BY`].
pub const FIELD_MANAGER: &str = "pulumi-clickhouse";

/// The label on every object that the provider makes; its value is [`FIELD_MANAGER`].
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// The annotation that holds the URN of the resource which an object belongs to.
pub const URN_ANNOTATION: &str = "pulumi-clickhouse/urn";

/// The annotation that holds the incarnation which an object belongs to: a random string, another one for
/// each create of its resource.
pub const INCARNATION_ANNOTATION: &str = "pulumi-clickhouse/incarnation";

/// The annotation on the Secret of a cluster that is still to be restored from a backup.
pub const RESTORE_ANNOTATION: &str = "pulumi-clickhouse/restore";

/// The kinds of objects that the provider reads or writes. Their paths are known, so that the API is never
/// discovered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A namespace.
    Namespace,
    /// A Secret.
    Secret,
    /// A Service.
    Service,
    /// A `ClickHouseInstallation` of the operator.
    Installation,
    /// A `ClickHouseKeeperInstallation` of the operator.
    KeeperInstallation,
    /// A StatefulSet.
    StatefulSet,
    /// A pod.
    Pod,
    /// A `PersistentVolumeClaim`.
    PersistentVolumeClaim,
    /// An event of the core group.
    Event,
    /// A Deployment.
    Deployment,
    /// A `ResourceQuota`.
    ResourceQuota,
    /// A `CronJob`.
    CronJob,
    /// A `Job`.
    Job,
    /// A `StorageClass`.
    StorageClass,
    /// A `CustomResourceDefinition`.
    CustomResourceDefinition,
    /// A `Certificate` of cert-manager.
    Certificate,
    /// A `NetworkPolicy`.
    NetworkPolicy,
    /// A `ConfigMap`.
    ConfigMap,
    /// A `PodMonitor` of the Prometheus operator.
    PodMonitor,
    /// A `ServiceMonitor` of the Prometheus operator.
    ServiceMonitor,
    /// A `PrometheusRule` of the Prometheus operator.
    PrometheusRule,
}

/// What identifies a kind on the API.
struct ApiResource {
    group: &'static str,
    version: &'static str,
    name: &'static str,
    plural: &'static str,
    namespaced: bool,
}

const fn resource(
    group: &'static str,
    version: &'static str,
    name: &'static str,
    plural: &'static str,
    namespaced: bool,
) -> ApiResource {
    ApiResource { group, version, name, plural, namespaced }
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 21] = [
        Self::Namespace,
        Self::Secret,
        Self::Service,
        Self::Installation,
        Self::KeeperInstallation,
        Self::StatefulSet,
        Self::Pod,
        Self::PersistentVolumeClaim,
        Self::Event,
        Self::Deployment,
        Self::ResourceQuota,
        Self::CronJob,
        Self::Job,
        Self::StorageClass,
        Self::CustomResourceDefinition,
        Self::Certificate,
        Self::NetworkPolicy,
        Self::ConfigMap,
        Self::PodMonitor,
        Self::ServiceMonitor,
        Self::PrometheusRule,
    ];

    const fn resource(self) -> ApiResource {
        match self {
            Self::Namespace => resource("", "v1", "Namespace", "namespaces", false),
            Self::Secret => resource("", "v1", "Secret", "secrets", true),
            Self::Service => resource("", "v1", "Service", "services", true),
            Self::Installation => resource(
                "clickhouse.altinity.com",
                "v1",
                "ClickHouseInstallation",
                "clickhouseinstallations",
                true,
            ),
            Self::KeeperInstallation => resource(
                "clickhouse-keeper.altinity.com",
                "v1",
                "ClickHouseKeeperInstallation",
                "clickhousekeeperinstallations",
                true,
            ),
            Self::StatefulSet => resource("apps", "v1", "StatefulSet", "statefulsets", true),
            Self::Pod => resource("", "v1", "Pod", "pods", true),
            Self::PersistentVolumeClaim => {
                resource("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", true)
            }
            Self::Event => resource("", "v1", "Event", "events", true),
            Self::Deployment => resource("apps", "v1", "Deployment", "deployments", true),
            Self::ResourceQuota => resource("", "v1", "ResourceQuota", "resourcequotas", true),
            Self::CronJob => resource("batch", "v1", "CronJob", "cronjobs", true),
            Self::Job => resource("batch", "v1", "Job", "jobs", true),
            Self::StorageClass => resource("storage.k8s.io", "v1", "StorageClass", "storageclasses", false),
            Self::CustomResourceDefinition => resource(
                "apiextensions.k8s.io",
                "v1",
                "CustomResourceDefinition",
                "customresourcedefinitions",
                false,
            ),
            Self::Certificate => resource("cert-manager.io", "v1", "Certificate", "certificates", true),
            Self::NetworkPolicy => {
                resource("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", true)
            }
            Self::ConfigMap => resource("", "v1", "ConfigMap", "configmaps", true),
            Self::PodMonitor => resource("monitoring.coreos.com", "v1", "PodMonitor", "podmonitors", true),
            Self::ServiceMonitor => {
                resource("monitoring.coreos.com", "v1", "ServiceMonitor", "servicemonitors", true)
            }
            Self::PrometheusRule => {
                resource("monitoring.coreos.com", "v1", "PrometheusRule", "prometheusrules", true)
            }
        }
    }

    /// The kind as manifests write it, `ClickHouseInstallation`.
    pub const fn name(self) -> &'static str {
        self.resource().name
    }

    /// The API group; empty for the core group.
    pub const fn group(self) -> &'static str {
        self.resource().group
    }

    /// The version within the group.
    pub const fn version(self) -> &'static str {
        self.resource().version
    }

    /// The name in paths, `clickhouseinstallations`.
    pub const fn plural(self) -> &'static str {
        self.resource().plural
    }

    /// Whether its objects live in a namespace.
    pub const fn namespaced(self) -> bool {
        self.resource().namespaced
    }

    /// Whether its definition has to be installed before it can be used.
    pub const fn is_custom(self) -> bool {
        matches!(
            self,
            Self::Installation
                | Self::KeeperInstallation
                | Self::Certificate
                | Self::PodMonitor
                | Self::ServiceMonitor
                | Self::PrometheusRule
        )
    }

    /// The `apiVersion` as manifests write it, `clickhouse.altinity.com/v1`.
    pub fn api_version(self) -> String {
        if self.group().is_empty() {
            self.version().to_owned()
        } else {
            format!("{}/{}", self.group(), self.version())
        }
    }

    /// The plural with its group, as `kubectl` takes it: `clickhouseinstallations.clickhouse.altinity.com`.
    pub fn qualified(self) -> String {
        if self.group().is_empty() {
            self.plural().to_owned()
        } else {
            format!("{}.{}", self.plural(), self.group())
        }
    }

    /// The kind of a manifest; `None` for one that the provider does not know.
    pub fn of(manifest: &Value) -> Option<Self> {
        let name = manifest.get("kind")?.as_str()?;
        let api_version = manifest.get("apiVersion")?.as_str()?;
        Self::ALL.into_iter().find(|kind| kind.name() == name && kind.api_version() == api_version)
    }

    /// The path of its objects; of all namespaces when `namespace` is `None`.
    pub fn collection_path(self, namespace: Option<&str>) -> String {
        let root = if self.group().is_empty() { "/api" } else { "/apis" };
        let scope = namespace
            .filter(|_| self.namespaced())
            .map(|namespace| format!("/namespaces/{namespace}"))
            .unwrap_or_default();
        format!("{root}/{}{scope}/{}", self.api_version(), self.plural())
    }
}

/// Names one object. Printed as `ClickHouseInstallation default/db`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectRef {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace; `None` for kinds without one.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl ObjectRef {
    /// An object in a namespace.
    pub fn new(kind: Kind, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { kind, namespace: kind.namespaced().then(|| namespace.into()), name: name.into() }
    }

    /// An object that lives in no namespace.
    pub fn global(kind: Kind, name: impl Into<String>) -> Self {
        Self { kind, namespace: None, name: name.into() }
    }

    /// The object that a manifest describes; `None` when its kind is not known or it has no name.
    pub fn of(manifest: &Value) -> Option<Self> {
        let kind = Kind::of(manifest)?;
        let name = text(manifest, "/metadata/name")?;
        let namespace = text(manifest, "/metadata/namespace").filter(|_| kind.namespaced());
        Some(Self { kind, namespace: namespace.map(str::to_owned), name: name.to_owned() })
    }

    /// Its path on the API server.
    pub fn path(&self) -> String {
        format!("{}/{}", self.kind.collection_path(self.namespace.as_deref()), self.name)
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind.name(), self.name),
            None => write!(f, "{} {}", self.kind.name(), self.name),
        }
    }
}

/// The URN of the resource that an object is marked to belong to; `None` for an object that this provider did
/// not make.
pub fn owner_urn(object: &Value) -> Option<&str> {
    object.get("metadata")?.get("annotations")?.get(URN_ANNOTATION)?.as_str().filter(|_| is_managed(object))
}

/// Whether this provider wrote an object.
pub fn is_managed(object: &Value) -> bool {
    object["metadata"]["labels"][MANAGED_BY] == FIELD_MANAGER
}

/// Whether this provider made an object, for whichever resource.
pub fn is_marked(object: &Value) -> bool {
    owner_urn(object).is_some()
}

/// The incarnation that an object belongs to; `None` for one that was made before there were any.
pub fn incarnation(object: &Value) -> Option<&str> {
    object.pointer("/metadata/annotations")?.get(INCARNATION_ANNOTATION)?.as_str()
}

/// The unique id that Kubernetes gave to an object, to keep.
pub fn owned_uid(object: &Value) -> Option<String> {
    uid(object).map(str::to_owned)
}

/// A string field of an object.
pub fn field<'a>(object: &'a Value, pointer: &str) -> Option<&'a str> {
    object.pointer(pointer)?.as_str()
}

/// The unique id that Kubernetes gave to an object.
pub fn uid(object: &Value) -> Option<&str> {
    text(object, "/metadata/uid")
}

/// The revision of an object as the API server counts them. Revisions of one kind can be compared.
pub fn revision(object: &Value) -> Option<u64> {
    text(object, "/metadata/resourceVersion")?.parse().ok()
}

fn text<'a>(object: &'a Value, pointer: &str) -> Option<&'a str> {
    object.pointer(pointer)?.as_str()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_are_those_of_the_api() {
        let cases = [
            (ObjectRef::new(Kind::Secret, "prod", "db"), "/api/v1/namespaces/prod/secrets/db"),
            (
                ObjectRef::new(Kind::Installation, "prod", "db"),
                "/apis/clickhouse.altinity.com/v1/namespaces/prod/clickhouseinstallations/db",
            ),
            (ObjectRef::global(Kind::Namespace, "prod"), "/api/v1/namespaces/prod"),
            (ObjectRef::global(Kind::StorageClass, "fast"), "/apis/storage.k8s.io/v1/storageclasses/fast"),
        ];
        for (object, path) in cases {
            assert_eq!(object.path(), path);
        }
        assert_eq!(Kind::Pod.collection_path(None), "/api/v1/pods");
    }

    #[test]
    fn a_manifest_names_its_object() {
        let manifest = json!({"apiVersion": "clickhouse.altinity.com/v1", "kind": "ClickHouseInstallation",
            "metadata": {"name": "db", "namespace": "prod"}});
        let object = ObjectRef::of(&manifest).unwrap();
        assert_eq!(object.to_string(), "ClickHouseInstallation prod/db");
        assert_eq!(
            ObjectRef::of(&json!({"apiVersion": "v2", "kind": "Secret", "metadata": {"name": "x"}})),
            None
        );
    }

    #[test]
    fn every_kind_is_found_by_its_manifest() {
        for kind in Kind::ALL {
            assert_eq!(Kind::of(&json!({"apiVersion": kind.api_version(), "kind": kind.name()})), Some(kind));
        }
    }

    #[test]
    fn an_object_is_ours_only_with_both_marks() {
        let marked = json!({"metadata": {"labels": {MANAGED_BY: FIELD_MANAGER},
            "annotations": {URN_ANNOTATION: "urn:a"}}});
        assert_eq!(owner_urn(&marked), Some("urn:a"));
        let other =
            json!({"metadata": {"labels": {MANAGED_BY: "Helm"}, "annotations": {URN_ANNOTATION: "urn:a"}}});
        assert!(!is_marked(&other));
        assert!(!is_marked(&json!({"metadata": {"labels": {MANAGED_BY: FIELD_MANAGER}}})));
    }
}
