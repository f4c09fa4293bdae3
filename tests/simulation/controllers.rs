//! What a Kubernetes cluster does with the objects on its API server: the controllers of StatefulSets,
//! garbage, namespaces and claims, kubelets, and a cloud that gives addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout_at};

use crate::kubernetes::fake::{Fake, Manager, Objects};

/// From a change to the controllers' answer.
const NOTICE: Duration = Duration::from_millis(5);
/// From a pod whose claims are bound to its readiness.
const START: Duration = Duration::from_millis(800);
/// From a claim to its volume, and from a larger request to a larger volume.
const VOLUME: Duration = Duration::from_millis(300);
/// From a Service to its load balancer's address.
const ADDRESS: Duration = Duration::from_secs(2);

const TIME: &str = "2024-05-01T00:00:00Z";
const REVISION: &str = "controller-revision-hash";
const PROTECTION: &str = "kubernetes.io/pvc-protection";

/// Plays them until dropped.
pub(super) async fn run(api: Fake, clocks: Arc<Mutex<Clocks>>) {
    let mut changes = api.changes();
    loop {
        while step(&api, &mut clocks.lock().unwrap()) {}
        changes.mark_unchanged();
        let due = clocks.lock().unwrap().next();
        match due {
            Some(due) => _ = timeout_at(due, changes.changed()).await,
            None => _ = changes.changed().await,
        }
        sleep(NOTICE).await;
    }
}

/// The time of a world, which goes on where another one's stood, and when what takes time is done, by what it is.
#[derive(Debug, Clone)]
pub(super) struct Clocks {
    started: Instant,
    /// How old the world was then.
    before: Duration,
    due: BTreeMap<String, Duration>,
}

impl Clocks {
    pub(super) fn new() -> Self {
        Self { started: Instant::now(), before: Duration::ZERO, due: BTreeMap::new() }
    }

    /// These, going on from now.
    pub(super) fn resumed(&self, at: Duration) -> Self {
        Self { started: Instant::now(), before: at, due: self.due.clone() }
    }

    /// How old the world is.
    pub(super) fn age(&self) -> Duration {
        self.before + self.started.elapsed()
    }

    /// Whether the time is over that it takes from when it was first asked about.
    fn is_over(&mut self, what: String, takes: Duration) -> bool {
        let now = self.age();
        *self.due.entry(what).or_insert(now + takes) <= now
    }

    fn next(&self) -> Option<Instant> {
        let now = self.age();
        let next =
            self.due.values().filter_map(|due| due.checked_sub(now)).filter(|left| !left.is_zero()).min()?;
        Some(Instant::now() + next)
    }
}

enum Action {
    Put(Value),
    Status(String, Value),
    Finalizers(String, Value),
    Delete(String),
}

/// One round over all objects; whether anything was done.
fn step(api: &Fake, clocks: &mut Clocks) -> bool {
    let actions = api.look(|objects| Look { objects, clocks }.actions());
    let manager = Manager::new("kube-controller-manager", false);
    let is_busy = !actions.is_empty();
    for action in actions {
        match action {
            Action::Put(object) => api.put_as(&object, &manager),
            Action::Status(path, status) => api.set(&path, |object| object["status"] = status),
            Action::Finalizers(path, finalizers) => {
                api.set(&path, |object| object["metadata"]["finalizers"] = finalizers);
            }
            Action::Delete(path) => delete(api, &path),
        }
    }
    is_busy
}

/// As a client's delete: what has finalizers stays until these are gone.
pub(super) fn delete(api: &Fake, path: &str) {
    let Some(object) = api.at(path) else { return };
    let is_held =
        object["metadata"]["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty());
    if is_held {
        api.set(path, |object| object["metadata"]["deletionTimestamp"] = json!(TIME));
    } else {
        api.remove(path);
    }
}

struct Look<'a> {
    objects: &'a Objects,
    clocks: &'a mut Clocks,
}

impl Look<'_> {
    fn actions(mut self) -> Vec<Action> {
        let mut actions = Vec::new();
        let uids: BTreeSet<&str> =
            self.objects.values().filter_map(|object| object["metadata"]["uid"].as_str()).collect();
        let pods = self.objects.values().filter(|object| object["kind"] == "Pod");
        let used: BTreeSet<(&str, &str)> =
            pods.flat_map(|pod| claims_of(pod).map(|claim| (text(pod, "namespace"), claim))).collect();
        for (path, object) in self.objects {
            if is_garbage(object, &uids) && !is_leaving(object) {
                actions.push(Action::Delete(path.clone()));
                continue;
            }
            match object["kind"].as_str().unwrap_or_default() {
                "Namespace" if is_leaving(object) => self.namespace(path, object, &mut actions),
                "StatefulSet" if !is_leaving(object) => {
                    stateful_set(self.objects, path, object, &mut actions);
                }
                "Pod" => self.pod(path, object, &mut actions),
                "PersistentVolumeClaim" => {
                    let is_used = used.contains(&(text(object, "namespace"), text(object, "name")));
                    self.claim(path, object, is_used, &mut actions);
                }
                "Service" if object["spec"]["type"] == "LoadBalancer" => {
                    let waits = object["status"]["loadBalancer"]["ingress"].is_null();
                    if waits && self.clocks.is_over(format!("address {}", text(object, "uid")), ADDRESS) {
                        let address = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}});
                        actions.push(Action::Status(path.clone(), address));
                    }
                }
                _ => {}
            }
        }
        actions
    }

    /// Empties a namespace that is to go, and takes it away once it is empty.
    fn namespace(&self, path: &str, namespace: &Value, actions: &mut Vec<Action>) {
        let name = text(namespace, "name");
        let mut inside =
            self.objects.iter().filter(|(_, object)| text(object, "namespace") == name).peekable();
        if inside.peek().is_none() {
            actions.push(Action::Delete(path.to_owned()));
        }
        actions.extend(
            inside.filter(|(_, object)| !is_leaving(object)).map(|(path, _)| Action::Delete(path.clone())),
        );
    }

    /// A pod gets ready once its volumes are there, unless its image is not to be had or somebody holds it.
    fn pod(&mut self, path: &str, pod: &Value, actions: &mut Vec<Action>) {
        let images = pod["spec"]["containers"].as_array().into_iter().flatten();
        let missing = images.filter_map(|one| one["image"].as_str()).find(|image| image.contains("no-such"));
        let status = if let Some(image) = missing {
            let waiting = json!({"reason": "ImagePullBackOff", "message": format!("can't pull {image}")});
            json!({"phase": "Pending", "conditions": [{"type": "Ready", "status": "False"}],
                "containerStatuses": [{"name": "clickhouse", "image": image, "ready": false,
                    "restartCount": 0, "state": {"waiting": waiting}}]})
        } else if pod["metadata"]["annotations"]["testbed/hold"].is_string()
            || !claims_of(pod).all(|claim| self.is_bound(pod, claim))
            || !self.clocks.is_over(format!("pod {}", text(pod, "uid")), START)
        {
            json!({"phase": "Pending", "conditions": [{"type": "Ready", "status": "False"}]})
        } else {
            json!({"phase": "Running", "podIP": "10.0.0.7",
                "conditions": [{"type": "Ready", "status": "True"}]})
        };
        if pod["status"] != status {
            actions.push(Action::Status(path.to_owned(), status));
        }
    }

    fn is_bound(&self, pod: &Value, claim: &str) -> bool {
        let path = claim_path(text(pod, "namespace"), claim);
        self.objects.get(&path).is_some_and(|claim| claim["status"]["phase"] == "Bound")
    }

    /// A claim gets its volume, and a larger one when it asks for it; it stays while a pod uses it.
    fn claim(&mut self, path: &str, claim: &Value, is_used: bool, actions: &mut Vec<Action>) {
        let is_protected = claim["metadata"]["finalizers"][0] == PROTECTION;
        if is_leaving(claim) {
            if !is_used {
                actions.push(Action::Finalizers(path.to_owned(), json!([])));
            }
            return;
        }
        if !is_protected {
            actions.push(Action::Finalizers(path.to_owned(), json!([PROTECTION])));
        }
        let asked = &claim["spec"]["resources"]["requests"]["storage"];
        let clock = format!("volume {} {asked}", text(claim, "uid"));
        if claim["status"]["capacity"]["storage"] != *asked && self.clocks.is_over(clock, VOLUME) {
            let bound = json!({"phase": "Bound", "capacity": {"storage": asked}});
            actions.push(Action::Status(path.to_owned(), bound));
        }
    }
}

/// Makes the pods of a StatefulSet, one after the other, replaces those of an older template that are ready,
/// and says what is there.
fn stateful_set(objects: &Objects, path: &str, set: &Value, actions: &mut Vec<Action>) {
    let (name, namespace) = (text(set, "name"), text(set, "namespace"));
    let wanted = set["spec"]["replicas"].as_u64().unwrap_or(1);
    let revision = revision_of(&set["spec"]["template"]);
    let pod_path = |ordinal: u64| format!("/api/v1/namespaces/{namespace}/pods/{name}-{ordinal}");
    let [mut there, mut ready, mut updated] = [0_u64; 3];
    let mut is_waiting = false;
    for ordinal in 0..wanted {
        let Some(pod) = objects.get(&pod_path(ordinal)) else {
            if !is_waiting {
                actions.extend(missing_claims(objects, set, ordinal).map(Action::Put));
                actions.push(Action::Put(pod(set, ordinal, &revision)));
                is_waiting = true;
            }
            continue;
        };
        there += 1;
        let is_new = pod["metadata"]["labels"][REVISION] == revision;
        let is_ready = pod["status"]["conditions"][0]["status"] == "True";
        ready += u64::from(is_ready);
        updated += u64::from(is_new);
        if is_ready && !is_new && !is_waiting {
            actions.push(Action::Delete(pod_path(ordinal)));
        }
        is_waiting |= !(is_ready && is_new);
    }
    let surplus = (wanted..wanted + 8).map(pod_path).filter(|path| objects.contains_key(path));
    actions.extend(surplus.map(Action::Delete));
    let status = json!({"observedGeneration": set["metadata"]["generation"], "replicas": there,
        "readyReplicas": ready, "updatedReplicas": updated, "updateRevision": revision,
        "currentRevision": if updated == there { json!(revision) } else { json!("older") }});
    if set["status"] != status {
        actions.push(Action::Status(path.to_owned(), status));
    }
}

fn missing_claims(objects: &Objects, set: &Value, ordinal: u64) -> impl Iterator<Item = Value> {
    let (name, namespace) = (text(set, "name"), text(set, "namespace"));
    let templates = set["spec"]["volumeClaimTemplates"].as_array().into_iter().flatten();
    templates.filter_map(move |template| {
        let claim = format!("{}-{name}-{ordinal}", text(template, "name"));
        let mut metadata = template["metadata"].clone();
        (metadata["name"], metadata["namespace"]) = (json!(claim), json!(namespace));
        let is_there = objects.contains_key(&claim_path(namespace, &claim));
        (!is_there).then(|| {
            json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata,
                "spec": template["spec"]})
        })
    })
}

fn pod(set: &Value, ordinal: u64, revision: &str) -> Value {
    let name = text(set, "name");
    let template = &set["spec"]["template"];
    let mut metadata = template["metadata"].clone();
    metadata["name"] = json!(format!("{name}-{ordinal}"));
    metadata["namespace"] = set["metadata"]["namespace"].clone();
    metadata["labels"][REVISION] = json!(revision);
    metadata["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": name,
        "uid": set["metadata"]["uid"], "controller": true}]);
    let mut spec = template["spec"].clone();
    let mut volumes = spec["volumes"].as_array().cloned().unwrap_or_default();
    for template in set["spec"]["volumeClaimTemplates"].as_array().into_iter().flatten() {
        let template = text(template, "name");
        volumes.push(json!({"name": template,
            "persistentVolumeClaim": {"claimName": format!("{template}-{name}-{ordinal}")}}));
    }
    spec["volumes"] = json!(volumes);
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
}

fn revision_of(template: &Value) -> String {
    let mut hasher = DefaultHasher::new();
    template.to_string().hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

fn claims_of(pod: &Value) -> impl Iterator<Item = &str> {
    let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    volumes.filter_map(|volume| volume["persistentVolumeClaim"]["claimName"].as_str())
}

fn claim_path(namespace: &str, name: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/persistentvolumeclaims/{name}")
}

fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object["metadata"][field].as_str().unwrap_or_default()
}

fn is_leaving(object: &Value) -> bool {
    object["metadata"].get("deletionTimestamp").is_some()
}

/// Whether all that own it are gone.
fn is_garbage(object: &Value, uids: &BTreeSet<&str>) -> bool {
    let owners = object["metadata"]["ownerReferences"].as_array();
    owners.is_some_and(|owners| {
        !owners.is_empty()
            && owners.iter().all(|owner| owner["uid"].as_str().is_none_or(|uid| !uids.contains(uid)))
    })
}
