//! What an API server keeps, and its own answer to each request: objects with unique ids, revisions,
//! generations and managed fields.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use http::Method;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;

use super::Seen;
use super::apply::{self, Conflict};
use super::faults::Reply;
use super::fields::{self, Manager, Owners, keys};
use super::kept::Kept;
use super::patch;
use super::place::{Place, Served, discovery};
use super::select::Selection;
use super::watch::{self as watches, Events};
use crate::kubernetes::identity::KUBE_SYSTEM;
use crate::kubernetes::meta::{Kind, ObjectRef, uid};

const SOME_TIME: &str = "2024-05-01T00:00:00Z";

/// What is wrong with an object, by the definition of its kind.
pub(super) type Validation = Arc<dyn Fn(&Value) -> Vec<String> + Send + Sync>;

/// Objects by their paths.
pub(crate) type Objects = BTreeMap<String, Arc<Kept>>;

/// What an API server keeps.
#[derive(Default)]
pub(super) struct Store {
    objects: Objects,
    pub(super) revision: u64,
    pub(super) writes: Vec<String>,
    pub(super) events: Events,
    pub(super) validation: Option<Validation>,
    /// Whether an operator is there that takes its finalizers off whatever is deleted.
    pub(super) has_operator: bool,
    /// How often there came to be an object at each path.
    made: BTreeMap<String, u32>,
    /// Told of every change.
    pub(super) changed: watch::Sender<()>,
    /// Whether controllers are there, which empty a namespace that is to go; else it goes at once.
    pub(super) has_controllers: bool,
}

impl Store {
    /// One with a few namespaces.
    pub(super) fn new() -> Self {
        let mut store = Self::default();
        for name in [KUBE_SYSTEM, "default", "apps", "prod"] {
            store.make_namespace(name);
        }
        store
    }

    /// Another one with the same objects, and no history.
    pub(super) fn fork(&self) -> Self {
        let mut fork = Self {
            objects: self.objects.clone(),
            revision: self.revision,
            validation: self.validation.clone(),
            has_operator: self.has_operator,
            made: self.made.clone(),
            has_controllers: self.has_controllers,
            ..Self::default()
        };
        fork.events.forget(self.revision);
        fork
    }

    fn make_namespace(&mut self, name: &str) {
        let uid = if name == KUBE_SYSTEM { "here".to_owned() } else { format!("uid of {name}") };
        let namespace = ObjectRef::global(Kind::Namespace, name);
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "uid": uid}});
        let place = || Arc::new(Place::of(&namespace.path()).unwrap());
        self.objects.entry(namespace.path()).or_insert_with(|| Kept::new(place(), object));
    }

    /// The objects that were made here, by their paths: not the namespaces that came with them.
    pub(super) fn objects(&self) -> BTreeMap<String, Value> {
        let made = self.objects.iter().filter(|(path, _)| self.made.contains_key(*path));
        made.map(|(path, object)| (path.clone(), Value::clone(object))).collect()
    }

    /// All, also the namespaces that were there from the beginning.
    pub(super) fn everything(&self) -> &Objects {
        &self.objects
    }

    pub(super) fn get(&self, path: &str) -> Option<&Value> {
        self.kept(path).map(Deref::deref)
    }

    fn kept(&self, path: &str) -> Option<&Kept> {
        self.objects.get(path).map(Arc::as_ref)
    }

    /// Puts an object there as `manager` made it; what it says of its generation counts.
    pub(super) fn put(&mut self, path: &str, object: &Value, manager: &Manager) {
        let place = Place::of(path).unwrap_or_else(|| panic!("{path}"));
        place.namespace.iter().for_each(|namespace| self.make_namespace(namespace));
        let object = place.filled(with_data(object));
        let (live, owners) = self.live(path);
        let (made, owners) = if manager.applies {
            apply::apply(live, owners, &object, manager, true).unwrap()
        } else {
            let owners = fields::owners(&object);
            apply::update(live, object, owners, manager)
        };
        let generation = made["metadata"]["generation"].clone();
        let mut kept = self.finished(path, made);
        if !generation.is_null() {
            kept["metadata"]["generation"] = generation;
        }
        self.keep(&Arc::new(place), path, kept, owners);
    }

    /// What is at a path, null where there is nothing, and who owns what of it.
    fn live(&self, path: &str) -> (&Value, Owners) {
        self.kept(path).map_or((&Value::Null, Owners::new()), |kept| (kept, kept.owners().clone()))
    }

    /// Gives an object another status or other finalizers: fields that nobody is asked about.
    pub(super) fn set(&mut self, path: &str, change: impl FnOnce(&mut Value)) {
        let Some(kept) = self.objects.get(path).cloned() else { return };
        let mut object = Value::clone(&kept);
        change(&mut object);
        object["metadata"]["resourceVersion"] = json!((self.revision + 1).to_string());
        self.keep(&kept.place, path, object, kept.owners().clone());
    }

    /// Takes an object away, whatever holds it.
    pub(super) fn remove(&mut self, path: &str) -> Option<Arc<Kept>> {
        let removed = self.objects.remove(path)?;
        self.revision += 1;
        self.events.record(self.revision, Some(removed.clone()), None);
        self.changed.send_replace(());
        Some(removed)
    }

    /// What the server makes of what is new of an object.
    fn finished(&self, path: &str, mut object: Value) -> Value {
        const OF_THE_SERVER: [&str; 4] = ["resourceVersion", "uid", "generation", "creationTimestamp"];
        let live = self.get(path);
        if object["kind"] == "Service" && object["spec"].get("clusterIP").is_none() {
            object["spec"]["clusterIP"] = json!("10.96.7.7");
        }
        let changed = live.is_none_or(|live| live["spec"] != object["spec"]);
        let given = |key: &str| live.unwrap_or(&object)["metadata"].get(key).cloned();
        let uid = given("uid").unwrap_or_else(|| json!(self.next_uid(path)));
        let time = given("creationTimestamp").unwrap_or_else(|| json!(SOME_TIME));
        let generation = live.and_then(|live| live["metadata"]["generation"].as_u64()).unwrap_or_default()
            + u64::from(changed);
        let values = [json!((self.revision + 1).to_string()), uid, json!(generation), time];
        for (key, value) in OF_THE_SERVER.into_iter().zip(values) {
            object["metadata"][key] = value;
        }
        match live {
            Some(live) if is_same(live, &object) => live.clone(),
            _ => object,
        }
    }

    /// Another one for each object that comes to be at a path.
    fn next_uid(&self, path: &str) -> String {
        match self.made.get(path) {
            None => format!("uid of {path}"),
            Some(times) => format!("uid {} of {path}", times + 1),
        }
    }

    fn keep(&mut self, place: &Arc<Place>, path: &str, object: Value, owners: Owners) -> Arc<Kept> {
        let live = self.objects.get(path).cloned();
        if let Some(live) = live.as_ref().filter(|live| ****live == object) {
            return live.clone();
        }
        if live.is_none() {
            *self.made.entry(path.to_owned()).or_default() += 1;
        }
        let is_free = object["metadata"].get("deletionTimestamp").is_some() && !is_held(&object);
        let kept = Kept::of(place.clone(), object, owners);
        if live.is_some() && is_free {
            self.remove(path);
            return kept;
        }
        self.revision += 1;
        self.objects.insert(path.to_owned(), kept.clone());
        self.events.record(self.revision, live, Some(kept.clone()));
        self.changed.send_replace(());
        kept
    }

    /// The server's answer to a request that is no watch.
    pub(super) fn answer(&mut self, seen: &Seen) -> Reply {
        if seen.path == "/api" || seen.path == "/apis" {
            return discovery(seen.path == "/api");
        }
        let Some(place) = Place::of(&seen.path) else { return Reply::Text(404, "404 page not found\n") };
        match seen.method {
            Method::GET if place.name.is_none() => self.list(&Selection::of(&place, seen)),
            Method::GET => self
                .kept(&seen.path)
                .map_or_else(|| place.missing(), |found| Reply::Written(200, found.text())),
            Method::DELETE => self.delete(&place, seen),
            Method::POST => self.create(&place, seen),
            Method::PATCH if place.is_status => self.patch_status(&place, seen),
            Method::PATCH => self.patch(&place, seen),
            _ => panic!("{seen:?}"),
        }
    }

    /// Opens a watch; the answer where there is none.
    pub(super) fn watch(&mut self, seen: &Seen) -> Result<(Place, UnboundedReceiver<String>), Reply> {
        let place = Place::of(&seen.path).ok_or(Reply::Text(404, "404 page not found\n"))?;
        let since =
            seen.parameter("resourceVersion").and_then(|since| since.parse().ok()).unwrap_or_default();
        let events = self.events.open(Selection::of(&place, seen), since);
        Ok((place, events))
    }

    pub(super) fn bookmark(&self, place: &Place) -> Value {
        watches::bookmark(place, self.revision)
    }

    fn list(&self, selection: &Selection) -> Reply {
        let metadata = json!({"resourceVersion": self.revision.to_string()});
        let mut text =
            format!(r#"{{"apiVersion":"v1","kind":"List","metadata":{metadata},"items":["#).into_bytes();
        let found = self.objects.values().filter(|object| selection.has(object));
        for (number, object) in found.enumerate() {
            if number > 0 {
                text.push(b',');
            }
            text.extend_from_slice(&object.text());
        }
        text.extend_from_slice(b"]}");
        Reply::Written(200, text.into())
    }

    fn delete(&mut self, place: &Place, seen: &Seen) -> Reply {
        let Some(live) = self.objects.get(&seen.path).cloned() else { return place.missing() };
        if seen.body["preconditions"]["uid"].as_str().is_some_and(|wanted| uid(&live) != Some(wanted)) {
            return Reply::status(409, "Conflict", "the UID in the precondition does not match");
        }
        self.writes.push(format!("DELETE {}", seen.path));
        let is_emptied = self.has_controllers && place.kind == Served::Ours(Kind::Namespace);
        if is_emptied || (is_held(&live) && !self.has_operator) {
            let mut leaving = Value::clone(&live);
            leaving["metadata"]["deletionTimestamp"] = json!(SOME_TIME);
            let leaving = self.finished(&seen.path, leaving);
            let kept = self.keep(&live.place, &seen.path, leaving, live.owners().clone());
            return Reply::Written(200, kept.text());
        }
        self.remove(&seen.path);
        if place.kind == Served::Ours(Kind::Namespace) {
            let inside = self.objects.iter().filter(|(_, object)| object.place.namespace == place.name);
            let inside: Vec<_> = inside.map(|(path, _)| path.clone()).collect();
            for path in inside {
                self.remove(&path);
            }
        }
        Reply::Json(200, json!({"kind": "Status", "status": "Success"}))
    }

    fn create(&mut self, place: &Place, seen: &Seen) -> Reply {
        let given = seen.body["metadata"]["name"].as_str().map(str::to_owned);
        let name = given.unwrap_or_else(|| {
            format!("{}{}", seen.body["metadata"]["generateName"].as_str().unwrap(), self.revision)
        });
        let path = format!("{}/{name}", seen.path);
        if self.objects.contains_key(&path) {
            return Reply::status(
                409,
                "AlreadyExists",
                &format!("{} \"{name}\" already exists", place.kind.plural()),
            );
        }
        let mut body = with_data(&seen.body);
        body["metadata"]["name"] = json!(name);
        let owners = fields::owners(&body);
        let made = apply::update(&Value::Null, body, owners, &seen.manager(false));
        let place = Place { name: Some(name), ..place.clone() };
        self.write(&place, seen, &path, made)
    }

    /// Changes nothing but the status.
    fn patch_status(&mut self, place: &Place, seen: &Seen) -> Reply {
        let path = seen.path.trim_end_matches("/status");
        let Some(live) = self.kept(path) else { return place.missing() };
        let (mut new, owners) = (Value::clone(live), live.owners().clone());
        patch::merge(&mut new, &json!({"status": seen.body["status"]}));
        self.write(&Place { is_status: false, ..place.clone() }, seen, path, (new, owners))
    }

    fn patch(&mut self, place: &Place, seen: &Seen) -> Reply {
        let (live, owners) = self.live(&seen.path);
        if seen.content_type == "application/apply-patch+yaml" {
            if let Some(refused) = refused(&seen.body, live) {
                return refused;
            }
            let is_forced = seen.parameter("force").as_deref() == Some("true");
            return match apply::apply(live, owners, &with_data(&seen.body), &seen.manager(true), is_forced) {
                Ok(applied) => self.write(place, seen, &seen.path, applied),
                Err(conflicts) => conflict(&conflicts),
            };
        }
        if live.is_null() {
            return place.missing();
        }
        let mut new = live.clone();
        match seen.content_type.as_str() {
            "application/merge-patch+json" => patch::merge(&mut new, &seen.body),
            "application/strategic-merge-patch+json" => patch::strategic(&mut new, &seen.body),
            other => panic!("a patch of type {other}"),
        }
        if let Some(refused) = refused(&new, live) {
            return refused;
        }
        let is_told = seen.body["metadata"].get("managedFields").is_some();
        let owners = if is_told { fields::owners(&new) } else { owners };
        let updated = apply::update(live, new, owners, &seen.manager(false));
        self.write(place, seen, &seen.path, updated)
    }

    fn is_terminating(&self, place: &Place) -> bool {
        let namespace = place.namespace.as_ref().map(|name| ObjectRef::global(Kind::Namespace, name));
        namespace
            .and_then(|namespace| self.get(&namespace.path()))
            .is_some_and(|namespace| namespace["metadata"].get("deletionTimestamp").is_some())
    }

    fn write(&mut self, place: &Place, seen: &Seen, path: &str, (object, owners): (Value, Owners)) -> Reply {
        if let Some(name) = place
            .namespace
            .as_ref()
            .filter(|name| self.get(&ObjectRef::global(Kind::Namespace, *name).path()).is_none())
        {
            return Reply::missing(Kind::Namespace.plural(), name);
        }
        if !self.objects.contains_key(path) && self.is_terminating(place) {
            return Reply::forbidden("unable to create new content: the namespace is being terminated");
        }
        let problems = self.validation.as_ref().map(|problems| problems(&object)).unwrap_or_default();
        if !problems.is_empty() {
            let text = problems.join(", ");
            let (code, reason) =
                if text.contains("unknown field") { (400, "BadRequest") } else { (422, "Invalid") };
            return Reply::status(code, reason, &text);
        }
        let code = if self.objects.contains_key(path) { 200 } else { 201 };
        let finished = self.finished(path, object);
        if seen.is_dry_run() {
            return Reply::Json(code, finished);
        }
        self.writes.push(format!("{} {path}", seen.method));
        Reply::Written(code, self.keep(&Arc::new(place.clone()), path, finished, owners).text())
    }
}

/// Whether two states of an object differ in nothing but their revision.
fn is_same(one: &Value, other: &Value) -> bool {
    fn same_but(one: &Map<String, Value>, other: &Map<String, Value>, apart: &str) -> bool {
        let mut keys = one.keys().filter(|key| *key != apart);
        one.len() == other.len() && keys.all(|key| one.get(key) == other.get(key))
    }
    let (Some(one), Some(other)) = (one.as_object(), other.as_object()) else { return false };
    let is_metadata_same = || match (one["metadata"].as_object(), other["metadata"].as_object()) {
        (Some(one), Some(other)) => same_but(one, other, "resourceVersion"),
        _ => false,
    };
    same_but(one, other, "metadata") && is_metadata_same()
}

fn is_held(object: &Value) -> bool {
    object["metadata"]["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty())
}

/// Why an object may not take the place of `live`: it is about another one, or about an earlier revision.
fn refused(given: &Value, live: &Value) -> Option<Reply> {
    match (uid(given), uid(live)) {
        (Some(_), None) => {
            return Some(Reply::status(409, "Conflict", "uid mismatch: no existing object was found"));
        }
        (Some(wanted), Some(there)) if wanted != there => {
            let cause = json!({"reason": "FieldValueInvalid", "message": "field is \
                immutable", "field": "metadata.uid"});
            return Some(Reply::failure(422, "Invalid", "invalid", &json!({"causes": [cause]})));
        }
        _ => {}
    }
    let (wanted, there) = (given["metadata"].get("resourceVersion"), live["metadata"].get("resourceVersion"));
    (wanted.is_some() && wanted != there)
        .then(|| Reply::status(409, "Conflict", "the object has been modified"))
}

fn conflict(conflicts: &[Conflict]) -> Reply {
    let cause = |Conflict { manager, field }: &Conflict| {
        let using = if manager.applies { "" } else { " using v1" };
        let message = format!("conflict with \"{}\"{using}", manager.name);
        json!({"reason": "FieldManagerConflict", "message": message, "field": format!(".{}",
            keys(field).collect::<Vec<_>>().join("."))})
    };
    let causes: Vec<_> = conflicts.iter().map(cause).collect();
    Reply::failure(409, "Conflict", "Apply failed with conflicts", &json!({"causes": causes}))
}

/// A Secret's texts as the server keeps them.
pub(crate) fn with_data(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(Value::Object(texts)) = object.as_object_mut().and_then(|object| object.remove("stringData"))
    {
        for (key, text) in texts {
            let bytes = k8s_openapi::ByteString(text.as_str().unwrap().as_bytes().to_vec());
            object["data"][key] = serde_json::to_value(bytes).unwrap();
        }
    }
    object
}
