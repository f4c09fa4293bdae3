//! What a namespace with the Pod Security level `restricted` asks of a pod.

use serde_json::{Map, Value, json};

use super::super::draft::PodDraft;
use super::PodArgs;

/// The field of pods and of containers.
const CONTEXT: &str = "securityContext";
/// What the operator adds to pods with a volume for logs, without a security context.
const LOG_CONTAINER: &str = "clickhouse-log";

/// The security context of a pod. 101 is the user of the official images.
fn of_pod() -> Value {
    json!({
        "runAsNonRoot": true,
        "runAsUser": 101,
        "runAsGroup": 101,
        "fsGroup": 101,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    })
}

/// The security context of each container.
fn of_container() -> Value {
    json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}})
}

/// The operator's container for logs, which it adds only where there is none.
fn operators_log_container() -> Value {
    json!({
        "name": LOG_CONTAINER,
        "image": "registry.access.redhat.com/ubi8/ubi-minimal:latest",
        "command": ["/bin/sh", "-c", "--"],
        "args": ["while true; do sleep 30; done;"],
    })
}

/// Says what the operator's container for logs is, so that it gets a security context too.
pub(super) fn log_container(to: &mut PodDraft, said: &PodArgs) {
    let has_own = said
        .extra_containers
        .iter()
        .flatten()
        .any(|container| container.get("name").is_some_and(|name| name == LOG_CONTAINER));
    if !has_own {
        to.sidecars.push(operators_log_container());
    }
}

/// Says what is asked for where nothing else is said.
pub(super) fn apply(to: &mut PodDraft) {
    lay_under(&mut to.fields, of_pod());
    lay_under(&mut to.container, of_container());
    for container in to.sidecars.iter_mut().chain(&mut to.init_containers) {
        if let Value::Object(container) = container {
            lay_under(container, of_container());
        }
    }
}

fn lay_under(fields: &mut Map<String, Value>, asked: Value) {
    let context = fields.entry(CONTEXT).or_insert_with(|| json!({}));
    if let (Value::Object(context), Value::Object(asked)) = (context, asked) {
        for (field, value) in asked {
            context.entry(field).or_insert(value);
        }
    }
}

/// The security context of a pod, or of a container, without what is asked of it.
pub(super) struct Apart {
    pub(super) is_restricted: bool,
    pub(super) pod: Value,
    pub(super) container: Value,
}

impl Apart {
    /// Takes apart what a pod and its container say.
    pub(super) fn of(pod: &Value, container: &Value) -> Self {
        let (pod, container) = (&pod[CONTEXT], &container[CONTEXT]);
        let says_all = |context: &Value, asked: &Value| {
            asked.as_object().is_some_and(|asked| asked.keys().all(|field| context.get(field).is_some()))
        };
        let (of_pod, of_container) = (of_pod(), of_container());
        if says_all(pod, &of_pod) && says_all(container, &of_container) {
            Self { is_restricted: true, pod: rest(pod, &of_pod), container: rest(container, &of_container) }
        } else {
            Self { is_restricted: false, pod: pod.clone(), container: container.clone() }
        }
    }
}

/// A container beside the main one, without what was laid under it; `None` for the operator's.
pub(super) fn own(container: &Value) -> Option<Value> {
    let mut own = container.clone();
    if let Value::Object(fields) = &mut own
        && let Some(context) = fields.get(CONTEXT)
    {
        match rest(context, &of_container()) {
            Value::Null => _ = fields.remove(CONTEXT),
            rest => _ = fields.insert(CONTEXT.to_owned(), rest),
        }
    }
    (own != operators_log_container()).then_some(own)
}

/// What `context` says besides what is `asked`; null for nothing.
fn rest(context: &Value, asked: &Value) -> Value {
    let rest: Map<_, _> = context
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(field, value)| asked.get(*field) != Some(*value))
        .map(|(field, value)| (field.clone(), value.clone()))
        .collect();
    if rest.is_empty() { Value::Null } else { Value::Object(rest) }
}
