//! Whether writing an object would change it. Pure: judged by what the API server keeps of it.

use serde_json::{Map, Value};

use crate::kubernetes::meta::{self, FIELD_MANAGER};
use crate::kubernetes::observe::is_yes;

/// Whether `live` is what this provider would make it by applying `manifest`: each field of it is there with
/// the same value, was applied by this provider, and so was no other. Where in doubt it is not.
pub(in super::super) fn is_applied(manifest: &Value, live: &Value) -> bool {
    let Value::Object(mut written) = manifest.clone() else { return false };
    let uid = manifest["metadata"].get("uid").and_then(Value::as_str);
    let is_the_one =
        uid.is_none_or(|uid| meta::uid(live) == Some(uid)) && live["metadata"]["deletionTimestamp"].is_null();
    // What names an object nobody owns.
    for field in ["apiVersion", "kind"] {
        written.remove(field);
    }
    if let Some(Value::Object(metadata)) = written.get_mut("metadata") {
        metadata.retain(|field, _| !["name", "namespace", "uid"].contains(&field.as_str()));
    }
    written.retain(|field, value| {
        field != "metadata" || value.as_object().is_some_and(|metadata| !metadata.is_empty())
    });
    let of_ours = |entry: &&Value| {
        entry["manager"] == FIELD_MANAGER
            && entry["operation"] == "Apply"
            && entry["subresource"].as_str().is_none_or(str::is_empty)
    };
    let mut entries = live["metadata"]["managedFields"].as_array().into_iter().flatten().filter(of_ours);
    is_the_one
        && entries.next().is_some_and(|ours| same(&Value::Object(written), live, &ours["fieldsV1"]))
        && entries.next().is_none()
}

/// Whether a value that is to be written is there, and `owned` names just its fields.
fn same(written: &Value, live: &Value, owned: &Value) -> bool {
    let Value::Object(owned) = owned else { return false };
    let below: Vec<(&str, &Value)> =
        owned.iter().filter(|(key, _)| *key != ".").map(|(key, owned)| (key.as_str(), owned)).collect();
    match (written, live) {
        // An empty object claims nothing of what is in it.
        (Value::Object(written), Value::Object(_)) if written.is_empty() => below.is_empty(),
        // A value of its own, or a map or list that is owned as one.
        _ if below.is_empty() => written == live,
        (Value::Object(written), Value::Object(live)) => {
            let field = |(key, owned): &(&str, &Value)| {
                let name = key.strip_prefix("f:")?;
                Some(same(written.get(name)?, live.get(name)?, owned))
            };
            below.len() == written.len() && below.iter().all(|entry| field(entry) == Some(true))
        }
        (Value::Array(written), Value::Array(live)) => {
            let element = |(key, owned): &(&str, &Value)| {
                let names = |list: &[Value]| list.iter().find(|element| is_named(element, key)).cloned();
                Some(same(&names(written)?, &names(live)?, owned))
            };
            below.len() == written.len() && below.iter().all(|entry| element(entry) == Some(true))
        }
        _ => false,
    }
}

/// Whether `managedFields` mean an element of a list by `key`: by some of its fields, or by its value.
fn is_named(element: &Value, key: &str) -> bool {
    let Some((by, json)) = key.split_once(':') else { return false };
    let Ok(named) = serde_json::from_str::<Value>(json) else { return false };
    match (by, named) {
        ("k", Value::Object(fields)) => fields.iter().all(|(field, value)| element.get(field) == Some(value)),
        ("v", value) => *element == value,
        _ => false,
    }
}

/// Whether the operator says that it has done all that a live installation asks for, or is to do nothing
/// about it. Its hosts may not serve.
pub(in super::super) fn is_settled(installation: &Value) -> bool {
    let (spec, nothing) = (&installation["spec"], Map::new());
    let status = installation["status"].as_object().unwrap_or(&nothing);
    let has = |list: &str| {
        let tasks = status.get(list).and_then(Value::as_array);
        tasks.is_some_and(|tasks| tasks.contains(&spec["taskID"]))
    };
    let is_done = status.get("status").is_some_and(|word| word == "Completed")
        && has("taskIDsStarted")
        && has("taskIDsCompleted");
    is_yes(&spec["suspend"]) || is_done
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn service() -> Value {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "db", "namespace": "apps",
            "labels": {"team": "a"}},
            "spec": {"type": "ClusterIP", "selector": {"app": "chop"}, "ports": [
                {"name": "http", "port": 8123, "protocol": "TCP", "targetPort": "http"},
                {"name": "tcp", "port": 9000, "protocol": "TCP", "targetPort": "tcp"}]}})
    }

    /// As the API server keeps it: with defaults, somebody else's label and port, and the managed fields of
    /// Kubernetes 1.33.
    fn live() -> Value {
        let port = |port: u16| {
            let owned = json!({".": {}, "f:name": {}, "f:port": {}, "f:protocol": {}, "f:targetPort": {}});
            (format!("k:{{\"port\":{port},\"protocol\":\"TCP\"}}"), owned)
        };
        let ports: Map<_, _> = [port(8123), port(9000)].into_iter().collect();
        let mut live = service();
        live["metadata"]["uid"] = json!("u");
        live["metadata"]["labels"]["theirs"] = json!("x");
        live["spec"]["clusterIP"] = json!("10.0.0.1");
        live["spec"]["ports"]
            .as_array_mut()
            .unwrap()
            .insert(0, json!({"name": "theirs", "port": 9363, "protocol": "TCP"}));
        live["metadata"]["managedFields"] = json!([
            {"manager": "kubectl-label", "operation": "Update",
                "fieldsV1": {"f:metadata": {"f:labels": {"f:theirs": {}}}}},
            {"manager": FIELD_MANAGER, "operation": "Apply", "fieldsV1": {
                "f:metadata": {"f:labels": {"f:team": {}}}, "f:spec": {"f:ports": ports, "f:selector": {},
                    "f:type": {}}}},
        ]);
        live
    }

    fn is_changed(change: fn(&mut Value, &mut Value)) -> bool {
        let (mut manifest, mut live) = (service(), live());
        change(&mut manifest, &mut live);
        !is_applied(&manifest, &live)
    }

    #[test]
    fn what_others_and_the_server_add_is_no_difference() {
        assert!(!is_changed(|_, _| {}));
        assert!(!is_changed(|manifest, _| manifest["metadata"]["uid"] = json!("u")));
        // The order of a list of named things is nobody's.
        assert!(!is_changed(|_, live| live["spec"]["ports"].as_array_mut().unwrap().reverse()));
    }

    #[test]
    fn whatever_an_apply_would_change_is_one() {
        let changes: [fn(&mut Value, &mut Value); 12] = [
            |manifest, _| manifest["metadata"]["labels"]["team"] = json!("b"),
            |manifest, _| manifest["metadata"]["labels"]["new"] = json!("b"),
            |manifest, _| _ = manifest["metadata"].as_object_mut().unwrap().remove("labels"),
            |manifest, _| manifest["metadata"]["annotations"] = json!({"a": "b"}),
            |manifest, _| manifest["metadata"]["uid"] = json!("another"),
            |manifest, _| manifest["spec"]["selector"]["app"] = json!("x"),
            |manifest, _| manifest["spec"]["ports"][1]["targetPort"] = json!("x"),
            |manifest, _| _ = manifest["spec"]["ports"].as_array_mut().unwrap().remove(1),
            |manifest, _| {
                manifest["spec"]["ports"]
                    .as_array_mut()
                    .unwrap()
                    .push(json!({"name": "theirs", "port": 9363, "protocol": "TCP"}));
            },
            |_, live| live["spec"]["type"] = json!("NodePort"),
            |_, live| live["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z"),
            |_, live| live["metadata"]["managedFields"][1]["operation"] = json!("Update"),
        ];
        for (index, change) in changes.into_iter().enumerate() {
            assert!(is_changed(change), "change {index}");
        }
    }

    #[test]
    fn an_installation_is_settled_when_the_operator_began_and_completed_its_task() {
        let status = |word: &str, started: &str, completed: &str| {
            json!({"status": word,
            "taskIDsStarted": [started], "taskIDsCompleted": [completed]})
        };
        let of = |status: Value| is_settled(&json!({"spec": {"taskID": "t"}, "status": status}));
        assert!(of(status("Completed", "t", "t")));
        for other in [
            status("InProgress", "t", "t"),
            status("Aborted", "t", "t"),
            status("Completed", "s", "t"),
            status("Completed", "t", "s"),
        ] {
            assert!(!of(other.clone()), "{other}");
        }
        assert!(
            !is_settled(&json!({"spec": {"taskID": "t"}}))
                && is_settled(&json!({"spec": {"suspend": "yes"}}))
        );
    }
}
