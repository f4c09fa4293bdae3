//! From a validated cluster to the objects that the API server gets. Pure: the same cluster, login and task
//! give the same manifests.

mod backup;
mod certificate;
mod monitoring;
mod policies;
mod secret;
mod service;

pub(super) use self::backup::{backup, restore};
pub(super) use self::certificate::certificate;
pub(super) use self::monitoring::{dashboard, metrics_service, pod_monitor, rules, service_monitor};
pub(super) use self::policies::{host_policy, keeper_policy};
pub(super) use self::secret::{USERNAME_KEY, secret};
pub(super) use self::service::service;

use std::collections::{BTreeMap, BTreeSet};

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::aspects::{self, Drafts, Hashes, InstallationDraft, ValidatedCluster};
use super::objects::{Objects, Row, TABLE, Uids};
use crate::kubernetes::meta::{self, Kind};
use crate::resource::Urn;

/// On the Secret: the `passwordVersion` that a generated password was made for.
pub(super) const PASSWORD_VERSION_ANNOTATION: &str = "pulumi-clickhouse/password-version";

/// The administrator's password and those of users, as far as they are known.
#[derive(Debug, Clone, Default)]
pub(super) struct Login {
    /// `None` for an adopted cluster whose password nobody told, and in a preview.
    pub(super) password: Option<SecretString>,
    /// Of a generated password: which `passwordVersion` it was made for.
    pub(super) version: Option<String>,
    /// What ClickHouse stores of the passwords that Secrets hold, by the users' names.
    pub(super) users: BTreeMap<String, String>,
}

impl Login {
    /// What ClickHouse stores: each password's SHA-256, in hex.
    fn hashes(&self) -> Hashes {
        let admin = self.password.as_ref().map(|password| sha256_hex(password.expose_secret()));
        Hashes { admin, users: self.users.clone() }
    }
}

/// The SHA-256 of `text`, in lower-case hex.
pub(super) fn sha256_hex(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

/// What an object is rendered from.
pub(super) struct Source<'a> {
    pub(super) cluster: &'a ValidatedCluster,
    pub(super) urn: &'a Urn,
    login: &'a Login,
    task: &'a str,
    /// Made for the first object that needs them.
    drafts: Option<Drafts>,
}

impl Source<'_> {
    fn drafts(&mut self) -> &mut Drafts {
        self.drafts.get_or_insert_with(|| aspects::render(self.cluster, self.login.hashes()))
    }
}

/// Builds all objects that the cluster is to have. `task` names this write: the operator reports it when it
/// is done with it.
pub(super) fn build(cluster: &ValidatedCluster, urn: &Urn, login: &Login, task: &str) -> Objects {
    build_those(cluster, urn, login, task, |_| true)
}

/// The same, of those objects alone that are `asked` for.
pub(super) fn build_those(
    cluster: &ValidatedCluster,
    urn: &Urn,
    login: &Login,
    task: &str,
    asked: impl Fn(&Row) -> bool,
) -> Objects {
    let mut source = Source { cluster, urn, login, task, drafts: None };
    let mut objects = Objects::default();
    for row in TABLE.iter().filter(|row| asked(row)) {
        objects[row.part] = row.manifest(&mut source);
    }
    objects
}

/// The same manifests for the very objects of `uids`, where they are known: no other object is changed, and
/// none is made in the place of one that is gone. The Secret carries the `incarnation`.
pub(super) fn identified(mut manifests: Objects, uids: &Uids, incarnation: Option<&str>) -> Objects {
    for Row { part, .. } in TABLE {
        if let (Some(manifest), Some(uid)) = (&mut manifests[*part], &uids[*part]) {
            manifest["metadata"]["uid"] = json!(uid);
        }
    }
    if let (Some(incarnation), Some(secret)) = (incarnation, &mut manifests.secret) {
        secret["metadata"]["annotations"][meta::INCARNATION_ANNOTATION] = json!(incarnation);
    }
    manifests
}

/// The ClickHouseInstallation and the Keeper, as far as they do not depend on the login.
pub(super) fn installations(cluster: &ValidatedCluster) -> (Value, Option<Value>) {
    let Drafts { installation, keeper, .. } = aspects::render(cluster, Hashes::default());
    (
        of_operator(cluster, Kind::Installation, installation, Some("")),
        keeper.map(|keeper| of_operator(cluster, Kind::KeeperInstallation, keeper, None)),
    )
}

pub(super) fn installation(source: &mut Source<'_>) -> Value {
    let draft = std::mem::take(&mut source.drafts().installation);
    of_operator(source.cluster, Kind::Installation, draft, Some(source.task))
}

/// Carries no task id: the operator records none for a Keeper, and a new one would have it roll an unchanged
/// Keeper at each change of the cluster.
pub(super) fn keeper(source: &mut Source<'_>) -> Value {
    let draft = source.drafts().keeper.take();
    draft.map(|draft| of_operator(source.cluster, Kind::KeeperInstallation, draft, None)).unwrap_or_default()
}

/// An object of one of the operator's kinds.
fn of_operator(
    cluster: &ValidatedCluster,
    kind: Kind,
    draft: InstallationDraft,
    task: Option<&str>,
) -> Value {
    let mut spec = draft.into_spec();
    let overrides = if kind == Kind::Installation { &cluster.overrides.chi } else { &cluster.overrides.chk };
    merge(&mut spec, overrides);
    if let Some(adopted) = cluster.adopted.as_ref().filter(|_| kind == Kind::Installation) {
        adopted.finish(&mut spec, overrides);
    }
    if let Some(task) = task {
        spec["taskID"] = json!(task);
    }
    object(kind, metadata(cluster, &cluster.naming.name, None), spec)
}

/// An object whose content is its `spec`.
fn object(kind: Kind, metadata: Map<String, Value>, spec: Value) -> Value {
    let mut object = json!({"apiVersion": kind.api_version(), "kind": kind.name()});
    object["metadata"] = Value::Object(metadata);
    object["spec"] = spec;
    object
}

/// The labels by which the hosts' pods are found.
fn of_hosts(cluster: &ValidatedCluster) -> Value {
    json!({"matchLabels": {
        "clickhouse.altinity.com/app": "chop",
        "clickhouse.altinity.com/chi": cluster.naming.name,
    }})
}

pub(super) fn namespace(source: &mut Source<'_>) -> Value {
    let mut metadata = metadata(source.cluster, &source.cluster.naming.namespace, Some(source.urn));
    metadata.remove("namespace");
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
}

/// The metadata that all objects have. The mark of the making stack goes only on objects whose annotations
/// stay their own: those of the operator's objects come back on every pod, which would restart when the mark
/// changes.
pub(super) fn metadata(cluster: &ValidatedCluster, name: &str, urn: Option<&Urn>) -> Map<String, Value> {
    let mut labels = cluster.naming.labels.clone();
    // The operator hands the labels of its objects on to the pods: those of somebody else's would restart for
    // the mark.
    if cluster.adopted.is_none() || urn.is_some() {
        labels.insert(meta::MANAGED_BY.into(), meta::FIELD_MANAGER.into());
    }
    let mut annotations = cluster.naming.annotations.clone();
    if let Some(urn) = urn {
        annotations.insert(meta::URN_ANNOTATION.into(), urn.0.clone());
    }
    let mut metadata = Map::new();
    metadata.insert("name".into(), json!(name));
    metadata.insert("namespace".into(), json!(cluster.naming.namespace));
    if !labels.is_empty() {
        metadata.insert("labels".into(), json!(labels));
    }
    if !annotations.is_empty() {
        metadata.insert("annotations".into(), json!(annotations));
    }
    metadata
}

/// In an object of an override: what becomes of the object that it is laid over. The word and its values are
/// those of Kubernetes' strategic merge patch.
const DIRECTIVE: &str = "$patch";
const REPLACE: &str = "replace";
const DELETE: &str = "delete";

/// By which field the elements of a list are told apart, where they are things with a name of their own.
fn key_of(list: &str) -> Option<&'static str> {
    match list {
        "clusters"
        | "shards"
        | "replicas"
        | "hostTemplates"
        | "podTemplates"
        | "serviceTemplates"
        | "volumeClaimTemplates"
        | "containers"
        | "initContainers"
        | "env"
        | "ports"
        | "volumes"
        | "imagePullSecrets" => Some("name"),
        "volumeMounts" => Some("mountPath"),
        _ => None,
    }
}

/// The field by which the elements of the list called `list` are merged; `None` when one of them lacks it or
/// two have the same.
pub(super) fn merge_key(list: &str, elements: &[Value]) -> Option<&'static str> {
    let key = key_of(list)?;
    let mut seen = BTreeSet::new();
    elements.iter().all(|element| element[key].as_str().is_some_and(|name| seen.insert(name))).then_some(key)
}

/// Whether it is a list of one cluster that nobody has named: it is merged with another such.
pub(super) fn is_sole(list: &str, elements: &[Value]) -> bool {
    list == "clusters"
        && matches!(elements, [only]
            if only.is_object() && only.get("name").is_none() && !has_directive(only))
}

/// Whether an object of an override says what becomes of the object that it is laid over.
pub(super) fn has_directive(element: &Value) -> bool {
    element.get(DIRECTIVE).is_some()
}

fn says(element: &Value, directive: &str) -> bool {
    element.get(DIRECTIVE).is_some_and(|said| said == directive)
}

/// Lays `patch` over `target`: objects key by key, lists of named things by their names, everything else
/// replaced; `null` removes. An object with `$patch: replace` takes the place of the one there, one with
/// `$patch: delete` removes it; an element that holds `$patch: replace` and no name replaces the list by the
/// other elements. An empty list empties the one there.
pub(super) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(entries) = patch else { return };
    if !target.is_object() || says(patch, REPLACE) {
        *target = json!({});
    }
    if let Value::Object(target) = target {
        for (key, value) in entries.iter().filter(|(key, _)| *key != DIRECTIVE) {
            match value {
                Value::Null => {
                    target.remove(key);
                }
                Value::Object(_) if says(value, DELETE) => {
                    target.remove(key);
                }
                Value::Object(_) => merge(target.entry(key).or_insert(Value::Null), value),
                Value::Array(elements) => merge_list(key, target.entry(key).or_insert(Value::Null), elements),
                _ => {
                    target.insert(key.clone(), value.clone());
                }
            }
        }
    }
}

/// Lays the elements of a list called `list` over `target`. Those that are there keep their places, new ones
/// come last; where all are named they come in the order in which they are.
fn merge_list(list: &str, target: &mut Value, elements: &[Value]) {
    if let (Value::Array(there), [element]) = (&mut *target, elements)
        && is_sole(list, there)
        && is_sole(list, elements)
    {
        return there.iter_mut().for_each(|there| merge(there, element));
    }
    let there = target.as_array().map(Vec::as_slice).unwrap_or_default();
    let key = merge_key(list, there).filter(|_| !elements.is_empty() && merge_key(list, elements).is_some());
    let mut merged: Vec<Option<Value>> = there.iter().filter(|_| key.is_some()).cloned().map(Some).collect();
    let places: BTreeMap<&str, usize> = key
        .into_iter()
        .flat_map(|key| {
            there.iter().enumerate().filter_map(move |(place, element)| Some((element[key].as_str()?, place)))
        })
        .collect();
    for element in elements {
        let place = key.and_then(|key| places.get(element[key].as_str()?));
        match place.and_then(|place| merged.get_mut(*place)) {
            Some(found) if says(element, DELETE) => *found = None,
            Some(found) => merge(found.get_or_insert(Value::Null), element),
            // Deletes what is not there, or only says that the whole list is replaced.
            None if says(element, DELETE)
                || element.as_object().is_some_and(|only| only.len() == 1) && says(element, REPLACE) => {}
            None => merged.push(Some(plain(element))),
        }
    }
    let mut merged: Vec<Value> = merged.into_iter().flatten().collect();
    // Whoever names all of them says their order, too.
    if let Some(key) = key {
        let place = |element: &Value| elements.iter().position(|named| named[key] == element[key]);
        if merged.iter().all(|element| place(element).is_some()) {
            merged.sort_by_key(place);
        }
    }
    *target = Value::Array(merged);
}

/// What `element` says of itself, laid over nothing.
fn plain(element: &Value) -> Value {
    if !element.is_object() {
        return element.clone();
    }
    let mut plain = Value::Null;
    merge(&mut plain, element);
    plain
}

/// The patch that [`merge`] turns `from` into `to` with; `None` when they are the same. It holds no `null`,
/// which not every language of Pulumi's hands through.
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
        let change = match (from.get(key), value) {
            (None, _) => Some(value.clone()),
            (Some(old), _) if old == value => None,
            (Some(Value::Array(old)), Value::Array(new)) => Some(Value::Array(list_patch(key, old, new))),
            (Some(old), _) => merge_patch(old, value),
        };
        if let Some(change) = change {
            patch.insert(key.clone(), change);
        }
    }
    Some(Value::Object(patch))
}

/// The elements that [`merge_list`] turns `from` into `to` with: those that differ; all of them where their
/// order does.
fn list_patch(list: &str, from: &[Value], to: &[Value]) -> Vec<Value> {
    if is_sole(list, from) && is_sole(list, to) {
        return vec![merge_patch(&from[0], &to[0]).unwrap_or_else(|| json!({}))];
    }
    let Some(key) = merge_key(list, from).filter(|_| merge_key(list, to).is_some()) else {
        return to.to_vec();
    };
    let with_name = |name: &Value, mut patch: Value| {
        patch[key] = name.clone();
        patch
    };
    let of = |elements: &[Value]| {
        elements
            .iter()
            .filter_map(|element| Some((element[key].as_str()?.to_owned(), element.clone())))
            .collect()
    };
    let (old, new): (BTreeMap<String, Value>, BTreeMap<String, Value>) = (of(from), of(to));
    let gone =
        from.iter().filter(|element| element[key].as_str().is_some_and(|name| !new.contains_key(name)));
    let mut patch: Vec<_> =
        gone.map(|element| with_name(&element[key], json!({DIRECTIVE: DELETE}))).collect();
    patch.extend(to.iter().filter_map(
        |element| match element[key].as_str().and_then(|name| old.get(name)) {
            Some(old) => Some(with_name(&element[key], merge_patch(old, element)?)),
            None => Some(element.clone()),
        },
    ));
    let gives = |patch: &[Value]| {
        let mut patched = Value::Array(from.to_vec());
        merge_list(list, &mut patched, patch);
        patched.as_array().is_some_and(|patched| patched == to)
    };
    if gives(&patch) {
        return patch;
    }
    let all = to.iter().map(|element| match element[key].as_str().and_then(|name| old.get(name)) {
        Some(old) => with_name(&element[key], merge_patch(old, element).unwrap_or_else(|| json!({}))),
        None => element.clone(),
    });
    let deletions = patch.into_iter().filter(|element| says(element, DELETE));
    let all: Vec<_> = deletions.chain(all).collect();
    if gives(&all) {
        return all;
    }
    std::iter::once(json!({DIRECTIVE: REPLACE})).chain(to.iter().cloned()).collect()
}
