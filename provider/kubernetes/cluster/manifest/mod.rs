//! From a validated cluster to the objects that the API server gets. Pure: the same cluster, login and task give the same
//! manifests.

mod installation;
mod keeper;
mod secret;
mod service;

pub(super) use self::secret::USERNAME_KEY;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::validate::{ClaimTemplate, ContainerImage, ValidatedCluster};
use crate::kubernetes::meta;
use crate::resource::Urn;

/// On a pod template: the `restartToken` that it was last written with.
pub(super) const RESTART_ANNOTATION: &str = "pulumi-clickhouse/restart-token";
/// On the Secret: the `passwordVersion` that a generated password was made for.
pub(super) const PASSWORD_VERSION_ANNOTATION: &str = "pulumi-clickhouse/password-version";

/// The objects of a cluster. Destructured without `..` where they are applied, so that a new one can't be forgotten there.
#[derive(Debug, Clone)]
pub(super) struct Manifests {
    /// The namespace, where the cluster is to make it.
    pub(super) namespace: Option<Value>,
    /// The login and the addresses.
    pub(super) secret: Value,
    /// The cluster's address.
    pub(super) service: Value,
    /// The Keeper, where one comes with the cluster.
    pub(super) keeper: Option<Value>,
    /// The ClickHouseInstallation.
    pub(super) installation: Value,
}

/// The administrator's password, as far as it is known.
#[derive(Debug, Clone)]
pub(super) struct Login {
    /// `None` for an adopted cluster whose password nobody told, and in a preview.
    pub(super) password: Option<SecretString>,
    /// Of a generated password: which `passwordVersion` it was made for.
    pub(super) version: Option<String>,
}

impl Login {
    /// What ClickHouse stores: the password's SHA-256, in hex.
    pub(super) fn hash(&self) -> Option<String> {
        self.password.as_ref().map(|password| sha256_hex(password.expose_secret()))
    }
}

/// The SHA-256 of `text`, in lower-case hex.
pub(super) fn sha256_hex(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

/// Builds all objects. `task` names this write: the operator reports it when it is done with it.
pub(super) fn build(cluster: &ValidatedCluster, urn: &Urn, login: &Login, task: &str) -> Manifests {
    Manifests {
        namespace: cluster.create_namespace.then(|| namespace(cluster, urn)),
        secret: secret::build(cluster, urn, login),
        service: service::build(cluster, urn),
        keeper: cluster.keeper().map(|keeper| keeper::build(cluster, keeper)),
        installation: installation::build(cluster, login, task),
    }
}

/// The installation's spec as far as it does not depend on the login.
pub(super) fn spec(cluster: &ValidatedCluster) -> Value {
    installations(cluster).0["spec"].take()
}

/// The ClickHouseInstallation and the Keeper, as far as they do not depend on the login.
pub(super) fn installations(cluster: &ValidatedCluster) -> (Value, Option<Value>) {
    let installation = installation::build(cluster, &Login { password: None, version: None }, "");
    (installation, cluster.keeper().map(|keeper| keeper::build(cluster, keeper)))
}

fn namespace(cluster: &ValidatedCluster, urn: &Urn) -> Value {
    let mut metadata = metadata(cluster, &cluster.namespace, Some(urn));
    metadata.remove("namespace");
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
}

/// The metadata that all objects have. The mark of the making stack goes only on objects whose annotations stay their own:
/// those of the operator's objects come back on every pod, which would restart when the mark changes.
fn metadata(cluster: &ValidatedCluster, name: &str, urn: Option<&Urn>) -> Map<String, Value> {
    let mut labels = cluster.labels.clone();
    labels.insert(meta::MANAGED_BY.into(), meta::FIELD_MANAGER.into());
    let mut annotations = cluster.annotations.clone();
    if let Some(urn) = urn {
        annotations.insert(meta::URN_ANNOTATION.into(), urn.0.clone());
    }
    let mut metadata = Map::new();
    metadata.insert("name".into(), json!(name));
    metadata.insert("namespace".into(), json!(cluster.namespace));
    metadata.insert("labels".into(), json!(labels));
    if !annotations.is_empty() {
        metadata.insert("annotations".into(), json!(annotations));
    }
    metadata
}

/// A container that runs `image`.
fn container(name: &str, image: &ContainerImage, resources: &super::args::Resources) -> Map<String, Value> {
    let mut container = Map::new();
    container.insert("name".into(), json!(name));
    container.insert("image".into(), json!(image.reference));
    if let Some(policy) = image.pull_policy {
        container.insert("imagePullPolicy".into(), json!(policy));
    }
    container.insert("resources".into(), json!(resources));
    container
}

/// A pod's specification around one container.
fn pod_spec(container: &Map<String, Value>, image: &ContainerImage, spread: Option<Value>) -> Map<String, Value> {
    let mut spec = Map::new();
    spec.insert("containers".into(), json!([container]));
    if !image.pull_secrets.is_empty() {
        let secrets: Vec<_> = image.pull_secrets.iter().map(|name| json!({"name": name})).collect();
        spec.insert("imagePullSecrets".into(), json!(secrets));
    }
    if let Some(affinity) = spread {
        spec.insert("affinity".into(), affinity);
    }
    spec
}

/// Prefers different nodes for the pods that `selector` finds and that have the same value of each label in `keys`.
fn spread(selector: &Value, keys: &[&str]) -> Value {
    let mut term = json!({"labelSelector": {"matchLabels": selector}, "topologyKey": "kubernetes.io/hostname"});
    if !keys.is_empty() {
        term["matchLabelKeys"] = json!(keys);
    }
    json!({"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "podAffinityTerm": term}]}})
}

/// A volume claim template of the operator's.
fn claim_template(name: &str, claim: &ClaimTemplate, provisioner: super::args::Provisioner) -> Value {
    let mut spec = json!({"accessModes": claim.access_modes, "resources": {"requests": {"storage": claim.size}}});
    if let Some(class) = &claim.storage_class {
        spec["storageClassName"] = json!(class);
    }
    // The policy stands beside the claim's own spec: inside it the operator would not see it and delete the volume.
    json!({"name": name, "provisioner": provisioner, "reclaimPolicy": claim.reclaim_policy, "spec": spec})
}

/// The operator's own spelling of a yes or no: it refuses JSON booleans.
fn yes_no(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

/// In an object of an override: what becomes of the object that it is laid over. The word and its values are those of
/// Kubernetes' strategic merge patch.
const DIRECTIVE: &str = "$patch";
const REPLACE: &str = "replace";
const DELETE: &str = "delete";

/// Lays `patch` over `target`: objects key by key, everything else replaced, `null` removes. An object with `$patch: replace`
/// takes the place of the one there, one with `$patch: delete` removes it.
pub(super) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(entries) = patch else { return };
    if !target.is_object() || entries.get(DIRECTIVE).is_some_and(|directive| directive == REPLACE) {
        *target = json!({});
    }
    if let Value::Object(target) = target {
        for (key, value) in entries.iter().filter(|(key, _)| *key != DIRECTIVE) {
            match value {
                Value::Null => {
                    target.remove(key);
                }
                Value::Object(object) if object.get(DIRECTIVE).is_some_and(|directive| directive == DELETE) => {
                    target.remove(key);
                }
                Value::Object(_) => merge(target.entry(key).or_insert(Value::Null), value),
                _ => {
                    target.insert(key.clone(), value.clone());
                }
            }
        }
    }
}

/// The patch that [`merge`] turns `from` into `to` with; `None` when they are the same. It holds no `null`, which not every
/// language of Pulumi's hands through.
pub(super) fn merge_patch(from: &Value, to: &Value) -> Option<Value> {
    if from == to {
        return None;
    }
    let (Value::Object(from), Value::Object(to)) = (from, to) else { return Some(to.clone()) };
    let mut patch = Map::new();
    for (key, value) in from.iter().filter(|(key, _)| !to.contains_key(*key)) {
        if !value.is_object() {
            let mut whole = to.clone();
            whole.insert(DIRECTIVE.into(), json!(REPLACE));
            return Some(Value::Object(whole));
        }
        patch.insert(key.clone(), json!({DIRECTIVE: DELETE}));
    }
    for (key, value) in to {
        match from.get(key) {
            None => {
                patch.insert(key.clone(), value.clone());
            }
            Some(old) => {
                if let Some(change) = merge_patch(old, value) {
                    patch.insert(key.clone(), change);
                }
            }
        }
    }
    Some(Value::Object(patch))
}
