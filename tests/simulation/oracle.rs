//! What a provider promises, held against what is on the API server and in the engine's state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::ByteString;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::engine::Resource;
use super::world::World;
use crate::kubernetes::fake::{Fake, Kept, Objects};

/// The namespace of the story.
pub(super) const NAMESPACE: &str = "apps";

/// What somebody else has in the same namespace.
pub(super) fn foreign() -> Vec<Value> {
    let metadata = |name: &str| json!({"name": name, "namespace": NAMESPACE, "labels": {"team": "other"}});
    vec![
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata("other-credentials"),
            "data": {"password": "c2VjcmV0"}}),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata("other"),
            "spec": {"clusterIP": "10.96.0.9", "ports": [{"port": 80}]}}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("db-notes"),
            "data": {"a": "b"}}),
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": metadata("data-chi-other-cluster-0-0-0"),
            "spec": {"resources": {"requests": {"storage": "1Gi"}}}}),
    ]
}

/// Whether everything that the installations ask for is done and ready.
pub(super) fn is_served(objects: &Objects) -> bool {
    let mut is_any = false;
    let sets: Vec<_> = objects.values().filter(|object| object["kind"] == "StatefulSet").collect();
    let is_stopped = objects.values().any(|object| object["spec"]["stop"] == "yes");
    let is_done = objects.values().all(|object| match object["kind"].as_str().unwrap_or_default() {
        "ClickHouseInstallation" if !is_foreign(object) => {
            is_any = true;
            let task = &object["spec"]["taskID"];
            let status = &object["status"];
            hosts(object, &sets)
                && status["status"] == "Completed"
                && status["taskIDsCompleted"].as_array().is_some_and(|done| done.contains(task))
        }
        // A Keeper serves once its hosts do; when the operator says so it has waited some time longer.
        "ClickHouseKeeperInstallation" => hosts(object, &sets),
        "StatefulSet" => {
            let (wanted, status) = (&object["spec"]["replicas"], &object["status"]);
            status["observedGeneration"] == object["metadata"]["generation"]
                && [&status["replicas"], &status["readyReplicas"], &status["updatedReplicas"]]
                    .iter()
                    .all(|count| *count == wanted)
        }
        "PersistentVolumeClaim" if !is_foreign(object) => {
            // A volume that no pod has asked for yet is not waited for.
            let size = &object["status"]["capacity"]["storage"];
            size.is_null() || *size == object["spec"]["resources"]["requests"]["storage"]
        }
        // Nobody waits for the address of a cluster that is stopped.
        "Service" if object["spec"]["type"] == "LoadBalancer" && !is_stopped => {
            object["status"]["loadBalancer"]["ingress"].is_array()
        }
        _ => true,
    });
    is_any && is_done
}

/// Whether an installation has all hosts of its layout, and each the image of its template.
fn hosts(installation: &Value, sets: &[&Arc<Kept>]) -> bool {
    let layout = &installation["spec"]["configuration"]["clusters"][0]["layout"];
    let count = |field: &str| layout[field].as_u64().unwrap_or(1);
    let image = |template: &Value| template["spec"]["containers"][0]["image"].clone();
    let wanted = image(&installation["spec"]["templates"]["podTemplates"][0]);
    let uid = &installation["metadata"]["uid"];
    let of_it = sets.iter().filter(|set| set["metadata"]["ownerReferences"][0]["uid"] == *uid);
    let right = of_it.filter(|set| image(&set["spec"]["template"]) == wanted).count();
    right as u64 == count("shardsCount") * count("replicasCount")
}

pub(super) fn is_foreign(object: &Value) -> bool {
    object["metadata"]["labels"]["team"] == "other"
}

/// What is there but events, by path.
pub(super) fn there(api: &Fake) -> Objects {
    let is_told = |path: &str| !path.contains("/events/") && !path.contains("/namespaces/kube-system/");
    api.look(|objects| {
        let told = objects.iter().filter(|(path, _)| is_told(path));
        told.map(|(path, object)| (path.clone(), object.clone())).collect()
    })
}

/// Of an object: its spec, its labels and annotations.
fn parts(object: &Value) -> [&Value; 3] {
    let metadata = &object["metadata"];
    [&object["spec"], &metadata["labels"], &metadata["annotations"]]
}

/// Whether two values differ in nothing but what is random in them.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .zip(other)
                    .all(|((key, one), (name, other))| is_same_text(key, name) && is_same(one, other))
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_same(one, other))
        }
        (Value::String(one), Value::String(other)) => is_same_text(one, other),
        _ => one == other,
    }
}

fn is_same_text(one: &str, other: &str) -> bool {
    one == other || without_random(one) == without_random(other)
}

/// A text in which all that looks like a hash, an id or a made-up password is the same.
pub(super) fn without_random(text: &str) -> String {
    const LONG: usize = 16;
    let mut told = String::with_capacity(text.len());
    for part in text.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
        let word = part.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        if word.len() >= LONG && word.contains(|c: char| c.is_ascii_digit()) {
            told.push('#');
            told.push_str(&part[word.len()..]);
        } else {
            told.push_str(part);
        }
    }
    told
}

/// Whether the objects of two worlds differ in nothing but what is random, and what is counted.
pub(super) fn is_same_world(ours: &Objects, theirs: &Objects) -> bool {
    const COUNTED: [&str; 2] = ["resourceVersion", "generation"];
    let is_told = |path: &&String| !path.contains("/events/");
    let same = |one: &Value, other: &Value| {
        let (Some(one), Some(other)) = (one.as_object(), other.as_object()) else { return false };
        let metadata = |object: &Map<String, Value>| {
            let told = object["metadata"].as_object().into_iter().flatten();
            let told = told.filter(|(key, _)| !COUNTED.contains(&key.as_str()));
            told.map(|(key, value)| (key.clone(), value.clone())).collect::<Map<_, _>>()
        };
        let apart = |key: &String| key == "metadata" || key == "status";
        let keys = |object: &Map<String, Value>| object.keys().filter(|key| !apart(key)).count();
        keys(one) == keys(other)
            && one
                .iter()
                .all(|(key, value)| apart(key) || other.get(key).is_some_and(|other| is_same(value, other)))
            && is_same(&Value::Object(metadata(one)), &Value::Object(metadata(other)))
    };
    ours.keys().filter(is_told).eq(theirs.keys().filter(is_told))
        && ours.iter().filter(|(path, _)| is_told(path)).all(|(path, object)| same(object, &theirs[path]))
}

/// How what is there differs from what should be.
pub(super) fn differences(expected: &Objects, there: &Objects) -> Vec<String> {
    let mut found = Vec::new();
    for (path, object) in expected {
        match there.get(path) {
            None => found.push(format!("{path} is not there")),
            Some(other)
                if parts(object).iter().zip(parts(other)).any(|(one, other)| !is_same(one, other)) =>
            {
                let [object, other] =
                    [object, other].map(|object| without_random(&json!(parts(object)).to_string()));
                let same = object.bytes().zip(other.bytes()).take_while(|(one, other)| one == other).count();
                let around = |text: &str| {
                    let shown: String = text.chars().skip(same.saturating_sub(30)).take(90).collect();
                    shown
                };
                found.push(format!("{path} is `{}` instead of `{}`", around(&other), around(&object)));
            }
            Some(_) => {}
        }
    }
    found.extend(
        there.keys().filter(|path| !expected.contains_key(*path)).map(|path| format!("{path} is left over")),
    );
    found
}

/// Remembers what must not be lost.
#[derive(Clone)]
pub(super) struct Oracle {
    world: World,
    foreign: Objects,
    /// The volumes with data, by the unique ids of their claims, and their claims' paths.
    volumes: BTreeMap<String, String>,
    passwords: BTreeSet<String>,
    /// All that the provider has said.
    heard: Vec<String>,
}

impl Oracle {
    /// Looks at a world before the story.
    pub(super) fn new(world: &World) -> Self {
        for object in foreign() {
            world.api().put(&object);
        }
        Self {
            world: world.clone(),
            foreign: Objects::new(),
            volumes: BTreeMap::new(),
            passwords: BTreeSet::new(),
            heard: Vec::new(),
        }
    }

    /// The same with the same memories, in another world.
    pub(super) fn moved(&self, world: &World) -> Self {
        Self { world: world.clone(), heard: Vec::new(), ..self.clone() }
    }

    /// Whether it remembers what another one does.
    pub(super) fn stands_as(&self, other: &Self) -> bool {
        self.volumes == other.volumes && self.passwords.len() == other.passwords.len()
    }

    /// After which the foreign objects must stay as they are: the controllers have said what they say of
    /// them.
    pub(super) fn begin(&mut self) {
        self.foreign = self.foreign_now();
    }

    fn listen(&mut self) {
        self.heard.extend(self.world.heard());
    }

    /// Whether the provider has said this.
    pub(super) fn has_heard(&mut self, text: &str) -> bool {
        self.listen();
        self.heard.iter().any(|said| said.contains(text))
    }

    fn foreign_now(&self) -> Objects {
        self.world.api().look(|objects| {
            let foreign = objects.iter().filter(|(_, object)| is_foreign(object));
            foreign.map(|(path, object)| (path.clone(), object.clone())).collect()
        })
    }

    /// What is wrong after a command, at rest. `loses` says that the command may lose data.
    pub(super) fn judge(&mut self, resource: Option<&Resource>, loses: bool, told: &str) -> Vec<String> {
        let mut wrong = Vec::new();
        let now = self.foreign_now();
        let paths: BTreeSet<_> = self.foreign.keys().chain(now.keys()).collect();
        for path in paths.into_iter().filter(|path| now.get(*path) != self.foreign.get(*path)) {
            let there = now.get(path).map(|kept| Value::to_string(kept)).unwrap_or_default();
            wrong.push(format!("somebody else's object has changed: {path} {there}"));
        }
        self.volumes(loses, &mut wrong);
        if let Some(resource) = resource {
            self.credentials(resource, &mut wrong);
        }
        self.listen();
        let open = self.world.open_watches();
        if open > 0 {
            wrong.push(format!("{open} watches are open, though nothing is waited for"));
        }
        for password in &self.passwords {
            let tells = |text: &str| text.contains(password.as_str());
            if tells(told) || self.heard.iter().any(|said| tells(said)) {
                wrong.push("a message tells the password".to_owned());
            }
            let is_open = |object: &Value| object["kind"] != "Secret" && tells(&object.to_string());
            let is_shown = |objects: &Objects| objects.values().any(|object| is_open(object));
            if self.world.api().look(is_shown) {
                wrong.push("an object tells the password".to_owned());
            }
            if let Some(body) = self.world.told().iter().find(|body| body.contains(password.as_str())) {
                wrong.push(format!(
                    "the password is told outside of the Secret: {}",
                    &body[..200.min(body.len())]
                ));
            }
        }
        wrong
    }

    /// No volume of a cluster goes unless that was asked for.
    fn volumes(&mut self, loses: bool, wrong: &mut Vec<String>) {
        let now: BTreeMap<String, String> = self.world.api().look(|objects| {
            let claims = objects.iter().filter(|(_, object)| object["kind"] == "PersistentVolumeClaim");
            let is_full = |claim: &Value| {
                claim["status"]["phase"] == "Bound" && claim["metadata"].get("deletionTimestamp").is_none()
            };
            claims
                .filter(|(_, claim)| is_full(claim))
                .filter_map(|(path, claim)| {
                    Some((claim["metadata"]["uid"].as_str()?.to_owned(), path.clone()))
                })
                .collect()
        });
        if !loses {
            let lost = self.volumes.iter().filter(|(uid, _)| !now.contains_key(*uid));
            wrong.extend(lost.map(|(_, path)| format!("a volume is lost: {path}")));
        }
        self.volumes = now;
    }

    /// What the state says exists does, with the login that it says.
    fn credentials(&mut self, resource: &Resource, wrong: &mut Vec<String>) {
        let (namespace, name) = resource.id.split_once('/').unwrap_or((NAMESPACE, &resource.id));
        let api = self.world.api();
        let at = |path: &str| api.at(path);
        let secret = at(&format!("/api/v1/namespaces/{namespace}/secrets/{name}-credentials"));
        let chi = at(&format!(
            "/apis/clickhouse.altinity.com/v1/namespaces/{namespace}/clickhouseinstallations/{name}"
        ));
        let Some(password) = resource.text("password") else { return };
        self.passwords.insert(password.clone());
        let stored = secret.as_ref().and_then(password_of);
        match (&stored, resource.is_failed) {
            (Some(stored), _) if *stored != password => {
                wrong.push("the Secret has another password than the state".to_owned());
            }
            (None, false) => wrong.push("the state has a cluster whose Secret is not there".to_owned()),
            _ => {}
        }
        let Some(chi) = chi else {
            if !resource.is_failed {
                wrong.push("the state has a cluster that is not there".to_owned());
            }
            return;
        };
        let hash = &chi["spec"]["configuration"]["users"]["default/password_sha256_hex"];
        if !resource.is_failed && *hash != hash_of(&password) {
            wrong.push("the cluster has another password than the state".to_owned());
        }
    }
}

fn password_of(secret: &Value) -> Option<String> {
    let bytes: ByteString = serde_json::from_value(secret["data"]["password"].clone()).ok()?;
    String::from_utf8(bytes.0).ok()
}

fn hash_of(password: &str) -> String {
    let digest: [u8; 32] = Sha256::digest(password).into();
    let (high, low) = digest.split_at(16);
    let number = |half: &[u8]| u128::from_be_bytes(half.try_into().unwrap());
    format!("{:032x}{:032x}", number(high), number(low))
}
