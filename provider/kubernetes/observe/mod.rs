//! Objects as the waits see them: only the fields that a decision needs, read straight from the API's
//! answers. A thousand waits hold a thousand of these, so what isn't used isn't kept.

mod jobs;
mod operators;
mod services;
mod workloads;

pub use jobs::*;
pub use operators::*;
pub use services::*;
pub use workloads::*;

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::core::DynamicResourceScope;
use serde::{Deserialize, Deserializer};

use crate::kubernetes::meta::{FIELD_MANAGER, Kind};

/// The labels by which children name their owner, kept of all labels.
const OWNER_LABELS: [&str; 2] = ["clickhouse.altinity.com/chi", "clickhouse-keeper.altinity.com/chk"];

/// An object with the fields `S` of its spec and `T` of its status.
#[derive(Debug, Clone, Deserialize)]
pub struct Object<S, T> {
    /// What it is called, and what happens to it. Without managed fields, annotations and most labels.
    #[serde(deserialize_with = "slim")]
    pub metadata: TrimmedMeta,
    /// Its spec.
    #[serde(default)]
    pub spec: S,
    /// Its status.
    #[serde(default = "none")]
    pub status: Option<T>,
}

fn none<T>() -> Option<T> {
    None
}

/// The part of an object's metadata that is kept.
#[derive(Debug, Clone, Default)]
pub struct TrimmedMeta {
    meta: ObjectMeta,
    /// When this provider last wrote it, by the API server's clock.
    pub written: Option<Time>,
    /// The unique id of the object that controls it.
    controller: Option<String>,
}

impl TrimmedMeta {
    /// Its name.
    pub fn name(&self) -> &str {
        self.meta.name.as_deref().unwrap_or_default()
    }

    /// Its unique id.
    pub fn uid(&self) -> &str {
        self.meta.uid.as_deref().unwrap_or_default()
    }

    /// The count of its spec's changes.
    pub fn generation(&self) -> i64 {
        self.meta.generation.unwrap_or_default()
    }

    /// When it was made, by the API server's clock.
    pub fn created(&self) -> Option<&Time> {
        self.meta.creation_timestamp.as_ref()
    }

    /// Whether it is being deleted.
    pub fn is_deleting(&self) -> bool {
        self.meta.deletion_timestamp.is_some()
    }

    /// What has to be done before it can go.
    pub fn finalizers(&self) -> &[String] {
        self.meta.finalizers.as_deref().unwrap_or_default()
    }

    /// Its revision; comparable within its kind.
    pub fn revision(&self) -> u64 {
        self.meta.resource_version.as_deref().and_then(|revision| revision.parse().ok()).unwrap_or_default()
    }

    /// Whether it belongs to the object of this unique id, as far as both are known: one of the same name may
    /// have had another.
    pub fn is_controlled_by(&self, uid: Option<&str>) -> bool {
        uid.zip(self.controller.as_deref()).is_none_or(|(uid, controller)| uid == controller)
    }

    /// The operator's object that it belongs to.
    pub fn owner(&self) -> Option<&str> {
        self.meta.labels.as_ref()?.values().next().map(String::as_str)
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RawMeta {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    generation: Option<i64>,
    creation_timestamp: Option<Time>,
    deletion_timestamp: Option<Time>,
    finalizers: Option<Vec<String>>,
    labels: BTreeMap<String, String>,
    managed_fields: Vec<Manager>,
    owner_references: Vec<OwnerReference>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct OwnerReference {
    uid: String,
    controller: bool,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Manager {
    manager: String,
    time: Option<Time>,
}

fn slim<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TrimmedMeta, D::Error> {
    let mut raw = RawMeta::deserialize(deserializer)?;
    raw.labels.retain(|key, _| OWNER_LABELS.contains(&key.as_str()));
    let ours = raw.managed_fields.into_iter().filter(|entry| entry.manager == FIELD_MANAGER);
    let meta = ObjectMeta {
        name: raw.name,
        namespace: raw.namespace,
        uid: raw.uid,
        resource_version: raw.resource_version,
        generation: raw.generation,
        creation_timestamp: raw.creation_timestamp,
        deletion_timestamp: raw.deletion_timestamp,
        finalizers: raw.finalizers.filter(|list| !list.is_empty()),
        labels: (!raw.labels.is_empty()).then_some(raw.labels),
        ..ObjectMeta::default()
    };
    let controller = raw.owner_references.into_iter().find(|owner| owner.controller).map(|owner| owner.uid);
    Ok(TrimmedMeta { meta, written: ours.filter_map(|entry| entry.time).max(), controller })
}

/// An object on its way out: of its status only what an operator says of it, and of its spec only what keeps
/// the operator.
pub type TerminatingObject = Object<InstallationSpec, Phase>;

/// The operator's word for what it does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Phase {
    /// `InProgress` while it works on a change, `Terminating` once it has taken up the deletion.
    pub status: String,
}

/// Fields that nobody asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Ignored {}

/// What can be watched: the client library asks for metadata and, for each kind, for its path.
pub(crate) trait Watched: kube::Resource<DynamicType = Kind, Scope = DynamicResourceScope> {
    /// The kept metadata.
    fn slim(&self) -> &TrimmedMeta;

    /// The name of the object that it tells something about.
    fn about(&self) -> &str {
        self.slim().name()
    }
}

macro_rules! observed {
    (<$($parameter:ident),*> $type:ty) => {
        impl<$($parameter),*> kube::Resource for $type {
            type DynamicType = Kind;
            type Scope = DynamicResourceScope;

            fn kind(kind: &Kind) -> Cow<'_, str> {
                kind.name().into()
            }

            fn group(kind: &Kind) -> Cow<'_, str> {
                kind.group().into()
            }

            fn version(kind: &Kind) -> Cow<'_, str> {
                kind.version().into()
            }

            fn plural(kind: &Kind) -> Cow<'_, str> {
                kind.plural().into()
            }

            fn meta(&self) -> &ObjectMeta {
                &self.metadata.meta
            }

            fn meta_mut(&mut self) -> &mut ObjectMeta {
                &mut self.metadata.meta
            }
        }
    };
}

observed!(<S, T> Object<S, T>);
observed!(<> Event);

impl<S, T> Watched for Object<S, T> {
    fn slim(&self) -> &TrimmedMeta {
        &self.metadata
    }
}

impl Watched for Event {
    fn slim(&self) -> &TrimmedMeta {
        &self.metadata
    }

    fn about(&self) -> &str {
        &self.involved_object.name
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_decides_is_kept_of_an_object() {
        let installation: Installation = serde_json::from_value(json!({
            "apiVersion": "clickhouse.altinity.com/v1", "kind": "ClickHouseInstallation",
            "metadata": {"name": "db", "uid": "u", "resourceVersion": "17", "generation": 3,
                "annotations": {"a": "b"},
                "labels": {"team": "x", "clickhouse.altinity.com/chi": "db"}, "finalizers": [],
                "managedFields": [{"manager": "pulumi-clickhouse", "time": "2026-01-02T03:04:05Z",
                    "fieldsV1": {"f:spec": {}}},
                    {"manager": "operator", "time": "2026-02-02T03:04:05Z"}]},
            "spec": {"taskID": "t1", "suspend": "Yes", "configuration": {"clusters": []}},
            "status": {"status": "InProgress", "taskIDsStarted": ["t1"], "errors": ["newest", "older"],
                "hosts": 4, "chop-version": "0.25.6"}
        }))
        .unwrap();
        assert_eq!(installation.metadata.revision(), 17);
        assert_eq!(installation.metadata.owner(), Some("db"));
        assert!(installation.metadata.finalizers().is_empty());
        assert_eq!(installation.metadata.written.as_ref().unwrap().0.to_string(), "2026-01-02T03:04:05Z");
        assert!(installation.spec.is_suspended());
        let status = installation.status.unwrap();
        assert_eq!(
            (status.hosts, status.errors.newest.as_deref(), status.hosts_completed),
            (4, Some("newest"), 0)
        );
    }

    #[test]
    fn a_keepers_completed_change_is_told_by_its_generation() {
        let keeper: KeeperInstallation = serde_json::from_value(json!({
            "metadata": {"name": "db", "generation": 2}, "spec": {"taskID": "x"},
            "status": {"status": "Completed", "normalizedCompleted": {"metadata": {"generation": 2},
                "spec": {"big": true}}}
        }))
        .unwrap();
        assert_eq!(keeper.status.unwrap().normalized_completed.unwrap().metadata.generation, 2);
    }
}
