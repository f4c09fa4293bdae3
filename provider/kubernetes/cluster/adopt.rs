//! From live objects back to inputs: what `pulumi import` writes and what `pulumi refresh` reports. Pure.
//!
//! Whatever has an input of ours is read into it; what has none ends up in `chiOverrides` and `chkOverrides`, which are the
//! difference between what the inputs render and what is there. So any installation can be adopted, and its next preview is empty.

use serde_json::Value;

use super::aspects::{self, ClusterArgs, FreeForm, Live, ValidatedCluster};
use super::manifest::{self, Login};
use super::{defaults, shape, validate};
use crate::resource::{Autonaming, Known, Urn};

/// The inputs that render `live`.
pub(super) fn inputs(live: &Live, urn: &Urn, login: &Login) -> ClusterArgs {
    let mut args = aspects::read(live);
    let Some(rendered) = render(&args, urn, login) else { return args };
    args.overrides.chi_overrides = difference(&rendered.installation, &live.installation);
    args.overrides.chk_overrides =
        rendered.keeper.as_ref().zip(live.keeper.as_ref()).and_then(|(rendered, live)| difference(rendered, live));
    args
}

/// `old` with what has drifted on the API server since `old` was written there: nothing changes in it when nothing has.
pub(super) fn drifted(old: &ClusterArgs, live: &Live, urn: &Urn, login: &Login) -> ClusterArgs {
    let Some(written) = render(old, urn, login) else { return old.clone() };
    let written = Live { installation: written.installation, keeper: written.keeper, service: Some(written.service) };
    let found = Live {
        installation: project(&written.installation, &live.installation),
        keeper: written.keeper.as_ref().zip(live.keeper.as_ref()).map(|(written, live)| project(written, live)),
        service: written.service.as_ref().zip(live.service.as_ref()).map(|(written, live)| project(written, live)),
    };
    let expected = Live {
        keeper: found.keeper.as_ref().and(written.keeper.clone()),
        service: found.service.as_ref().and(written.service.clone()),
        installation: written.installation,
    };
    if same_but_task(&expected.installation, &found.installation)
        && match (&expected.keeper, &found.keeper) {
            (Some(expected), Some(found)) => same_but_task(expected, found),
            (None, None) => true,
            _ => false,
        }
        && expected.service == found.service
    {
        return old.clone();
    }
    let (before, after) = (inputs(&expected, urn, login), inputs(&found, urn, login));
    overlay_difference(old, &before, &after).unwrap_or_else(|| old.clone())
}

/// Whether the Service lost what no input speaks of: its selector or its ports.
pub(super) fn service_is_damaged(cluster: &ValidatedCluster, urn: &Urn, login: &Login, service: &Value) -> bool {
    let written = manifest::build(cluster, urn, login, "").service;
    let ports = |service: &'_ Value| service["spec"]["ports"].as_array().cloned().unwrap_or_default();
    let there = ports(service);
    // Ports that others have added are theirs.
    let has = |port: &Value| there.iter().any(|found| project(port, found) == *port);
    written["spec"]["selector"] != project(&written, service)["spec"]["selector"] || !ports(&written).iter().all(has)
}

/// Whether the Secret lost, or has otherwise, a key or label of those that the inputs `old` give it.
pub(super) fn secret_is_damaged(old: &ClusterArgs, urn: &Urn, login: &Login, secret: &Value) -> bool {
    let Some(manifest::Manifests { secret: written, .. }) = render(old, urn, login) else { return false };
    let found = project(&written, secret);
    written["data"] != found["data"] || written["metadata"]["labels"] != found["metadata"]["labels"]
}

fn render(args: &ClusterArgs, urn: &Urn, login: &Login) -> Option<manifest::Manifests> {
    let namespace = args.naming.namespace.clone().unwrap_or_default();
    let filled = defaults::fill(urn, &Autonaming::Default, &namespace, None, &Known::all(args.clone())).ok()?;
    let cluster = validate::validate(&Known::all(filled)).ok()?;
    Some(manifest::build(&cluster, urn, login, ""))
}

/// `live` reduced to the fields that `written` has: others belong to others.
fn project(written: &Value, live: &Value) -> Value {
    match (written, live) {
        (Value::Object(written), Value::Object(live)) => {
            Value::Object(written.iter().filter_map(|(key, value)| Some((key.clone(), project(value, live.get(key)?)))).collect())
        }
        (Value::Array(written), Value::Array(live)) if written.len() == live.len() => {
            Value::Array(written.iter().zip(live).map(|(written, live)| project(written, live)).collect())
        }
        _ => live.clone(),
    }
}

fn same_but_task(one: &Value, other: &Value) -> bool {
    let without_task = |object: &Value| {
        let mut object = object.clone();
        if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
            spec.remove("taskID");
        }
        object
    };
    without_task(one) == without_task(other)
}

/// What has to be laid over the rendered `spec` to get the live one. A live one that does not say whether it is stopped or
/// suspended is neither.
fn difference(rendered: &Value, live: &Value) -> Option<FreeForm> {
    let spec = |object: &Value| {
        let mut spec = object["spec"].clone();
        if let Value::Object(spec) = &mut spec {
            spec.remove("taskID");
        }
        spec
    };
    let (rendered, mut live) = (spec(rendered), spec(live));
    for field in ["stop", "suspend"] {
        if let (Some(says_no), Value::Object(live)) = (rendered.get(field).filter(|value| !shape::is_yes(value)), &mut live)
            && live.get(field).is_none_or(|value| !shape::is_yes(value))
        {
            live.insert(field.to_owned(), says_no.clone());
        }
    }
    match manifest::merge_patch(&rendered, &live) {
        Some(Value::Object(patch)) if !patch.is_empty() => Some(patch.into_iter().collect()),
        _ => None,
    }
}

/// `old`, changed where `after` differs from `before`.
fn overlay_difference(old: &ClusterArgs, before: &ClusterArgs, after: &ClusterArgs) -> Option<ClusterArgs> {
    const OVERRIDES: [&str; 2] = ["chiOverrides", "chkOverrides"];
    let to_json = |args: &ClusterArgs| serde_json::to_value(args).ok();
    let (mut result, before, after) = (to_json(old)?, to_json(before)?, to_json(after)?);
    if let Some(Value::Object(mut change)) = manifest::merge_patch(&before, &after) {
        // Overrides are patches themselves: theirs come on top of those that were there, and are not applied to them.
        for field in OVERRIDES {
            if change.remove(field).is_some() {
                put_on_top(&mut result[field], &after[field]);
            }
        }
        manifest::merge(&mut result, &Value::Object(change));
    }
    serde_json::from_value(result).ok()
}

fn put_on_top(target: &mut Value, entries: &Value) {
    match (target, entries) {
        (Value::Object(target), Value::Object(entries)) => {
            for (key, value) in entries {
                match (target.entry(key).or_insert(Value::Null), value) {
                    (Value::Array(target), Value::Array(elements)) => put_elements_on_top(key, target, elements),
                    (target, value) => put_on_top(target, value),
                }
            }
        }
        (target, entries) => target.clone_from(entries),
    }
}

/// As overrides are merged: named things by their names.
fn put_elements_on_top(list: &str, target: &mut Vec<Value>, elements: &[Value]) {
    let Some(key) = manifest::merge_key(list, target).filter(|_| manifest::merge_key(list, elements).is_some()) else {
        elements.clone_into(target);
        return;
    };
    for element in elements {
        match target.iter_mut().find(|there| there[key] == element[key]) {
            Some(there) if !manifest::has_directive(element) => put_on_top(there, element),
            Some(there) => there.clone_from(element),
            None => target.push(element.clone()),
        }
    }
}
