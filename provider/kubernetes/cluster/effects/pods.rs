//! What differs between two templates of pods, and why. Pure.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::aspects::{BACKUP_CONTAINER, RESTART_ANNOTATION};
use super::super::shape::{Host, Installation, app};
use super::Reason;

/// A pod's template, whatever it is called.
pub(super) fn pod<'a>(installation: &'a Installation, host: &Host) -> [&'a Value; 4] {
    let template = installation.pod(host);
    ["metadata", "spec", "zone", "podDistribution"].map(|field| &template[field])
}

/// Why the pod of a host has to be another one.
pub(super) fn pod_changes(old: &Value, new: &Value) -> BTreeSet<Reason> {
    if old == new {
        return BTreeSet::new();
    }
    let (old, new) = (parts(old), parts(new));
    old.into_iter()
        .zip(new)
        .filter(|((_, old), (_, new))| old != new)
        .map(|((reason, _), _)| reason)
        .collect()
}

/// A pod's template by what is told of it.
fn parts(pod: &Value) -> [(Reason, Value); 7] {
    let mut rest = pod.clone();
    let backup = ["/spec/containers", "/spec/volumes"].map(|list| {
        let list = rest.pointer_mut(list)?.as_array_mut()?;
        let place = list.iter().position(|element| element["name"] == BACKUP_CONTAINER)?;
        Some(list.remove(place))
    });
    // A list that held nothing else was not there before.
    if let Some(spec) = rest.get_mut("spec").and_then(Value::as_object_mut) {
        spec.retain(|_, value| value.as_array().is_none_or(|list| !list.is_empty()));
    }
    let container = format!("/spec/containers/{}", app(&rest));
    let mut take = |parent: &str, key: &str| {
        rest.pointer_mut(parent)
            .and_then(Value::as_object_mut)
            .and_then(|parent| parent.remove(key))
            .unwrap_or_default()
    };
    for name in ["name", "generateName"] {
        take("", name);
    }
    [
        (
            Reason::Image,
            json!([
                take(&container, "image"),
                take(&container, "imagePullPolicy"),
                take("/spec", "imagePullSecrets")
            ]),
        ),
        (Reason::Resources, take(&container, "resources")),
        (Reason::RestartToken, take("/metadata/annotations", RESTART_ANNOTATION)),
        (Reason::AntiAffinity, take("/spec", "affinity")),
        (Reason::Volumes, json!([take("/spec", "volumes"), take(&container, "volumeMounts")])),
        (Reason::Backup, json!(backup)),
        (Reason::Pod, said(rest)),
    ]
}

/// `value` without objects that hold nothing.
fn said(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(key, value)| (key, said(value)));
            Value::Object(
                fields
                    .filter(|(_, value)| {
                        !value.is_null() && value.as_object().is_none_or(|fields| !fields.is_empty())
                    })
                    .collect(),
            )
        }
        other => other,
    }
}
