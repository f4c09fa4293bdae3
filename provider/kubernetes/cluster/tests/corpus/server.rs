//! An API server that keeps objects as a real one does: managed fields, uids, revisions, dry runs, strict validation.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::fields::{self, Conflict, Manager};
use super::schema::Definitions;
use crate::kubernetes::meta::{Kind, ObjectRef, uid};
use crate::kubernetes::scripted::{Reply, Seen};

/// What an API server keeps.
#[derive(Default)]
pub(super) struct Store {
    objects: BTreeMap<String, Value>,
    revision: u64,
    writes: Vec<String>,
    definitions: Option<Arc<Definitions>>,
}

/// A server's store, in the hands of the server and of a test.
pub(super) type Shared = Arc<Mutex<Store>>;

impl Store {
    /// An empty one that validates by these definitions.
    pub(super) fn new(definitions: Option<Arc<Definitions>>) -> Self {
        Self { definitions, ..Self::default() }
    }

    /// The objects by their paths.
    pub(super) fn objects(&self) -> &BTreeMap<String, Value> {
        &self.objects
    }

    /// One object.
    pub(super) fn get(&self, object: &ObjectRef) -> Option<&Value> {
        self.objects.get(&object.path())
    }

    /// What was written or deleted so far by requests, one line each.
    pub(super) fn writes(&self) -> &[String] {
        &self.writes
    }

    /// Puts an object there as `manager` made it.
    pub(super) fn put(&mut self, object: &Value, manager: &Manager) {
        let path = ObjectRef::of(object).unwrap_or_else(|| panic!("{object}")).path();
        let live = self.objects.get(&path).cloned().unwrap_or_default();
        let made = if manager.applies {
            fields::apply(&live, object, manager, true).unwrap()
        } else {
            fields::update(&live, object.clone(), manager)
        };
        self.keep(&path, made);
    }

    /// Stores what is new of an object, with what the server itself says of it.
    fn keep(&mut self, path: &str, object: Value) -> Value {
        let finished = finished(path, self.objects.get(path), object, self.revision + 1);
        if self.objects.get(path) != Some(&finished) {
            self.revision += 1;
            self.objects.insert(path.to_owned(), finished.clone());
        }
        finished
    }

    /// The server's answer to a request.
    pub(super) fn answer(&mut self, seen: &Seen) -> Reply {
        let manager = |applies| Manager::new(query(seen, "fieldManager").unwrap_or("unknown"), applies);
        match (seen.method.as_str(), seen.content_type.as_str()) {
            ("GET", _) => self.read(seen),
            ("DELETE", _) => self.delete(seen),
            ("POST", _) => {
                let path = format!("{}/{}", seen.path, seen.body["metadata"]["name"].as_str().unwrap());
                if self.objects.contains_key(&path) {
                    return Reply::status(409, "AlreadyExists", "it already exists");
                }
                self.write(seen, &path, fields::update(&Value::Null, with_data(&seen.body), &manager(false)))
            }
            ("PATCH", "application/apply-patch+yaml") => {
                let live = self.objects.get(&seen.path).cloned().unwrap_or_default();
                if let Some(refused) = refused_for_uid(&seen.body, &live) {
                    return refused;
                }
                match fields::apply(&live, &with_data(&seen.body), &manager(true), query(seen, "force") == Some("true")) {
                    Ok(applied) => self.write(seen, &seen.path, applied),
                    Err(conflicts) => conflict(&conflicts),
                }
            }
            ("PATCH", form) => {
                let Some(live) = self.objects.get(&seen.path).cloned() else { return missing(seen) };
                let mut new = live.clone();
                match form {
                    "application/json-patch+json" => json_patch(&mut new, &seen.body),
                    _ => merge_patch(&mut new, &seen.body),
                }
                if let Some(refused) = refused_for_uid(&new, &live) {
                    return refused;
                }
                self.write(seen, &seen.path, fields::update(&live, new, &manager(false)))
            }
            (method, _) => panic!("{method} {}", seen.path),
        }
    }

    fn read(&self, seen: &Seen) -> Reply {
        if seen.query.contains("watch=true") {
            return Reply::Hang;
        }
        if let Some(found) = self.objects.get(&seen.path) {
            return Reply::Json(200, found.clone());
        }
        let last = seen.path.rsplit('/').next().unwrap_or_default();
        if Kind::ALL.iter().any(|kind| kind.plural() == last) {
            let items: Vec<_> = self.objects.iter().filter(|(path, _)| path.starts_with(&format!("{}/", seen.path))).collect();
            let items: Vec<_> = items.into_iter().map(|(_, object)| object).collect();
            return Reply::Json(200, json!({"metadata": {"resourceVersion": self.revision.to_string()}, "items": items}));
        }
        match seen.path.strip_prefix("/api/v1/namespaces/") {
            Some(name) if !name.contains('/') => Reply::Json(200, json!({"metadata": {"name": name, "uid": format!("uid of {name}")}})),
            _ => missing(seen),
        }
    }

    fn delete(&mut self, seen: &Seen) -> Reply {
        let Some(live) = self.objects.get(&seen.path) else { return missing(seen) };
        if seen.body["preconditions"]["uid"].as_str().is_some_and(|wanted| uid(live) != Some(wanted)) {
            return Reply::status(409, "Conflict", "the UID in the precondition does not match");
        }
        self.objects.remove(&seen.path);
        self.writes.push(format!("DELETE {}", seen.path));
        Reply::Json(200, json!({"kind": "Status", "status": "Success"}))
    }

    fn write(&mut self, seen: &Seen, path: &str, object: Value) -> Reply {
        let problems = self.definitions.as_ref().map(|definitions| definitions.problems(&object)).unwrap_or_default();
        if !problems.is_empty() {
            let text = problems.join(", ");
            let (code, reason) = if text.contains("unknown field") { (400, "BadRequest") } else { (422, "Invalid") };
            return Reply::status(code, reason, &text);
        }
        if seen.query.contains("dryRun=All") {
            return Reply::Json(200, finished(path, self.objects.get(path), object, self.revision));
        }
        let code = if self.objects.contains_key(path) { 200 } else { 201 };
        self.writes.push(format!("{} {path}", seen.method));
        Reply::Json(code, self.keep(path, object))
    }
}

/// What the server itself adds to an object.
fn finished(path: &str, live: Option<&Value>, mut object: Value, revision: u64) -> Value {
    let same = |object: &Value, live: &Value| {
        let strip = |object: &Value| {
            let mut object = object.clone();
            if let Some(metadata) = object["metadata"].as_object_mut() {
                metadata.retain(|key, _| !["resourceVersion", "uid", "generation", "creationTimestamp"].contains(&key.as_str()));
            }
            object
        };
        strip(object) == strip(live)
    };
    if let Some(live) = live.filter(|live| same(&object, live)) {
        return live.clone();
    }
    if object["kind"] == "Service" && object["spec"].get("clusterIP").is_none() {
        object["spec"]["clusterIP"] = json!("10.96.7.7");
    }
    let generation = live.and_then(|live| live["metadata"]["generation"].as_u64()).unwrap_or_default();
    let changed = live.is_none_or(|live| live["spec"] != object["spec"]);
    let metadata = &mut object["metadata"];
    metadata["uid"] = live.map_or_else(|| json!(format!("uid of {path}")), |live| live["metadata"]["uid"].clone());
    metadata["creationTimestamp"] = json!("2024-05-01T00:00:00Z");
    metadata["resourceVersion"] = json!(revision.to_string());
    metadata["generation"] = json!(generation + u64::from(changed));
    object
}

fn missing(seen: &Seen) -> Reply {
    let mut parts = seen.path.rsplit('/');
    let details = json!({"name": parts.next(), "kind": parts.next()});
    let status =
        json!({"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404, "message": "not found", "details": details});
    Reply::Json(404, status)
}

fn refused_for_uid(given: &Value, live: &Value) -> Option<Reply> {
    match (uid(given), uid(live)) {
        (Some(_), None) => Some(Reply::status(409, "Conflict", "uid mismatch: no existing object was found")),
        (Some(wanted), Some(there)) if wanted != there => {
            let cause = json!({"reason": "FieldValueInvalid", "message": "field is immutable", "field": "metadata.uid"});
            let status = json!({"kind": "Status", "status": "Failure", "reason": "Invalid", "code": 422, "message": "invalid", "details": {"causes": [cause]}});
            Some(Reply::Json(422, status))
        }
        _ => None,
    }
}

fn conflict(conflicts: &[Conflict]) -> Reply {
    let cause = |Conflict { manager, field }: &Conflict| {
        let using = if manager.applies { "" } else { " using v1" };
        json!({"reason": "FieldManagerConflict", "message": format!("conflict with \"{}\"{using}", manager.name), "field": format!(".{}", field.join("."))})
    };
    let causes: Vec<_> = conflicts.iter().map(cause).collect();
    let status = json!({"kind": "Status", "status": "Failure", "reason": "Conflict", "code": 409, "message": "Apply failed with conflicts",
        "details": {"causes": causes}});
    Reply::Json(409, status)
}

fn query<'a>(seen: &'a Seen, name: &str) -> Option<&'a str> {
    seen.query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

/// A Secret's texts as the server keeps them.
pub(super) fn with_data(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(Value::Object(texts)) = object.as_object_mut().and_then(|object| object.remove("stringData")) {
        for (key, text) in texts {
            let bytes = k8s_openapi::ByteString(text.as_str().unwrap().as_bytes().to_vec());
            object["data"][key] = serde_json::to_value(bytes).unwrap();
        }
    }
    object
}

fn merge_patch(target: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else { return target.clone_from(patch) };
    if !target.is_object() {
        *target = json!({});
    }
    let target = target.as_object_mut().unwrap();
    for (key, value) in patch {
        if value.is_null() {
            target.remove(key);
        } else {
            merge_patch(target.entry(key).or_insert(Value::Null), value);
        }
    }
}

/// The operations that there is a use for; a pointer leads through objects, and through lists by index.
fn json_patch(target: &mut Value, operations: &Value) {
    for operation in operations.as_array().unwrap() {
        let path = operation["path"].as_str().unwrap();
        let (parent, key) = path.rsplit_once('/').unwrap();
        let key = key.replace("~1", "/").replace("~0", "~");
        let parent = target.pointer_mut(parent).unwrap_or_else(|| panic!("{path} leads nowhere"));
        match (parent, operation["op"].as_str().unwrap()) {
            (Value::Object(map), "remove") => _ = map.remove(&key),
            (Value::Object(map), "add" | "replace") => _ = map.insert(key, operation["value"].clone()),
            (Value::Array(list), "remove") => _ = list.remove(key.parse().unwrap()),
            (Value::Array(list), "replace") => list[key.parse::<usize>().unwrap()] = operation["value"].clone(),
            (Value::Array(list), "add") if key == "-" => list.push(operation["value"].clone()),
            (Value::Array(list), "add") => list.insert(key.parse().unwrap(), operation["value"].clone()),
            (there, "test") => assert_eq!(there.pointer(&format!("/{key}")).unwrap_or(&Value::Null), &operation["value"]),
            (_, other) => panic!("`{other}` of a JSON patch"),
        }
    }
}
