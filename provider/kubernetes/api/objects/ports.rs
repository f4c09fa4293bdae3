//! Ports of a Service that were edited by hand: for Kubernetes another number is another port, and one of
//! ours can't be written as long as the edited one has its name.

use serde_json::{Value, json};

use crate::kubernetes::meta::{FIELD_MANAGER, uid};

/// A strategic merge patch that takes away the ports of `live` which have the name, but not the number, of a
/// port in `manifest`. `None` when there are none, or when another applier claims one of them.
pub(super) fn without_edited(manifest: &Value, live: &Value) -> Option<Value> {
    let ports = |service: &'_ Value| service["spec"]["ports"].as_array().cloned().unwrap_or_default();
    let same = |one: &Value, other: &Value, field: &str| one[field] == other[field];
    let is_edited = |found: &Value| {
        let wanted = ports(manifest);
        let named = wanted.iter().any(|port| same(port, found, "name"));
        named && !wanted.iter().any(|port| same(port, found, "port") && same(port, found, "protocol"))
    };
    let edited: Vec<_> = ports(live).into_iter().filter(is_edited).collect();
    if edited.is_empty() || edited.iter().any(|port| is_applied(live, port)) {
        return None;
    }
    let removals: Vec<_> = edited
        .iter()
        .map(|port| json!({"$patch": "delete", "port": port["port"], "protocol": port["protocol"]}))
        .collect();
    Some(json!({"metadata": {"uid": uid(live)}, "spec": {"ports": removals}}))
}

/// Whether somebody else's manifest has the port.
fn is_applied(live: &Value, port: &Value) -> bool {
    let key = format!("k:{}", json!({"port": port["port"], "protocol": port["protocol"]}));
    let managers = live["metadata"]["managedFields"].as_array().into_iter().flatten();
    managers
        .filter(|entry| entry["operation"] == "Apply" && entry["manager"] != FIELD_MANAGER)
        .any(|entry| !entry["fieldsV1"]["f:spec"]["f:ports"][&key].is_null())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(ports: &[(&str, u16)], managers: &Value) -> Value {
        let ports: Vec<_> =
            ports.iter().map(|(name, port)| json!({"name": name, "port": port, "protocol": "TCP"})).collect();
        json!({"metadata": {"uid": "u", "managedFields": managers}, "spec": {"ports": ports}})
    }

    #[test]
    fn an_edited_port_is_taken_away_and_those_of_others_stay() {
        let ours = service(&[("http", 8123), ("tcp", 9000)], &json!([]));
        let live = service(
            &[("http", 8124), ("tcp", 9000), ("theirs", 9363)],
            &json!([{"manager": "kubectl-patch", "operation": "Update"}]),
        );
        let removal = json!([{"$patch": "delete", "port": 8124, "protocol": "TCP"}]);
        assert_eq!(
            without_edited(&ours, &live),
            Some(json!({"metadata": {"uid": "u"}, "spec": {"ports": removal}}))
        );
        assert_eq!(without_edited(&ours, &ours), None);
    }

    #[test]
    fn a_port_of_another_applier_is_left_to_it() {
        let ours = service(&[("http", 8123)], &json!([]));
        let fields =
            json!({"f:spec": {"f:ports": {"k:{\"port\":8124,\"protocol\":\"TCP\"}": {"f:name": {}}}}});
        let by = |manager: &str| {
            service(
                &[("http", 8124)],
                &json!([{"manager": manager, "operation": "Apply", "fieldsV1": fields}]),
            )
        };
        assert_eq!(without_edited(&ours, &by("argocd-controller")), None);
        assert!(without_edited(&ours, &by(FIELD_MANAGER)).is_some());
    }
}
