//! From live objects back to inputs: what `pulumi import` writes and what `pulumi refresh` reports. Pure.
//!
//! Whatever has an input of ours is read into it; what has none ends up in `chiOverrides` and `chkOverrides`, which are the
//! difference between what the inputs render and what is there. So any installation can be adopted, and its next preview is empty.

use serde_json::{Map, Value, json};

use super::aspects::{self, ClusterArgs, FreeForm, Live};
use super::manifest::{self, Login};
use super::objects::Objects;
use super::{defaults, validate};
use crate::kubernetes::observe::is_yes;
use crate::resource::{Autonaming, Known, Urn};

/// The inputs that render `live`.
pub(super) fn inputs(live: &Live, urn: &Urn, login: &Login) -> ClusterArgs {
    let mut args = aspects::read(live);
    if live.adopted.is_some() {
        sift(&mut args, live, urn, login);
    }
    let Some(rendered) = render(&args, urn, login) else { return args };
    let override_of = |rendered: Option<Value>, live: Option<&Value>| difference(&rendered?, live?);
    args.overrides.chi_overrides = override_of(rendered.installation, Some(&live.installation));
    args.overrides.chk_overrides = override_of(rendered.keeper, live.keeper.as_ref());
    args
}

/// Leaves out what inputs can't say in the very words of somebody else's installation, and what Check would refuse: it stays in the
/// overrides.
fn sift(args: &mut ClusterArgs, live: &Live, urn: &Urn, login: &Login) {
    /// What every cluster has.
    const KEPT: [&str; 4] = ["name", "namespace", "clusterName", "__defaults"];
    let Ok(Value::Object(mut inputs)) = serde_json::to_value(&*args) else { return };
    let parse = |inputs: &Map<String, Value>| serde_json::from_value::<ClusterArgs>(Value::Object(inputs.clone())).ok();
    // What is wrong, and how many fields would be written otherwise than they are.
    let faults = |inputs: &Map<String, Value>| -> Option<(usize, usize)> {
        let args = parse(inputs)?;
        let filled = defaults::fill(urn, &Autonaming::Default, "", None, &Known::all(args.clone())).ok()?;
        let refused = validate::program(&Known::all(filled), None).len();
        let rendered = render(&args, urn, login).and_then(|rendered| rendered.installation);
        let others = rendered.map_or(0, |rendered| others(&rendered["spec"], live.spec()));
        Some((refused, others))
    };
    let mut worst = faults(&inputs);
    while worst.is_none_or(|worst| worst != (0, 0)) {
        let candidates = inputs.keys().filter(|key| !KEPT.contains(&key.as_str())).cloned().collect::<Vec<_>>();
        let without = |key: &String| {
            let mut fewer = inputs.clone();
            fewer.remove(key);
            Some((faults(&fewer)?, key.clone()))
        };
        let Some((better, key)) = candidates.iter().filter_map(without).min() else { break };
        if worst.is_some_and(|worst| better >= worst) {
            break;
        }
        inputs.remove(&key);
        worst = Some(better);
    }
    if let Some(sifted) = parse(&inputs) {
        *args = sifted;
    }
}

/// How many fields of what is rendered are not there, or are others.
fn others(rendered: &Value, live: &Value) -> usize {
    match (rendered, live) {
        (Value::Object(rendered), Value::Object(live)) => rendered
            .iter()
            .filter(|(key, _)| *key != "taskID")
            .map(|(key, value)| match (value, live.get(key)) {
                (Value::Array(one), Some(Value::Array(other))) => elements(key, one, other),
                (value, other) => others(value, other.unwrap_or(&Value::Null)),
            })
            .sum(),
        (rendered, live) => usize::from(rendered != live),
    }
}

/// The same of a list: of named things by their names.
fn elements(list: &str, rendered: &[Value], live: &[Value]) -> usize {
    let Some(key) = manifest::merge_key(list, rendered).filter(|_| manifest::merge_key(list, live).is_some()) else {
        return usize::from(rendered != live);
    };
    let same = |element: &Value| live.iter().find(|other| other[key] == element[key]).cloned().unwrap_or_default();
    rendered.iter().map(|element| others(element, &same(element))).sum()
}

/// `old` with what has drifted on the API server since `old` was written there: nothing changes in it when nothing has.
pub(super) fn drifted(old: &ClusterArgs, live: &Live, urn: &Urn, login: &Login) -> ClusterArgs {
    let Some(Objects { installation: Some(installation), keeper, service, .. }) = render(old, urn, login) else { return old.clone() };
    let adopted = old.adopted().cloned();
    let written = Live { installation, keeper, service, adopted: adopted.clone() };
    let found = Live {
        adopted: adopted.clone(),
        installation: project(&written.installation, &live.installation),
        keeper: written.keeper.as_ref().zip(live.keeper.as_ref()).map(|(written, live)| project(written, live)),
        service: written.service.as_ref().zip(live.service.as_ref()).map(|(written, live)| project(written, live)),
    };
    let expected = Live {
        adopted,
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

/// The manifests that inputs come to, as far as they can be understood.
pub(super) fn render(args: &ClusterArgs, urn: &Urn, login: &Login) -> Option<Objects> {
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
        if let (Some(says_no), Value::Object(live)) = (rendered.get(field).filter(|value| !is_yes(value)), &mut live)
            && live.get(field).is_none_or(|value| !is_yes(value))
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
    let to_json = |args: &ClusterArgs| serde_json::to_value(args).ok();
    let (mut result, before, after) = (to_json(old)?, to_json(before)?, to_json(after)?);
    transfer(&mut result, &before, &after);
    serde_json::from_value(result).ok()
}

/// Changes `target` as `before` changes into `after`.
fn transfer(target: &mut Value, before: &Value, after: &Value) {
    // What is said of a whole object is not mixed with what was said of its parts.
    let (Value::Object(old), Value::Object(new), false) = (before, after, manifest::has_directive(after)) else {
        if before != after {
            target.clone_from(after);
        }
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let Value::Object(target) = target else { return };
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        target.remove(key);
    }
    for (key, value) in new.iter().filter(|(key, value)| old.get(*key) != Some(value)) {
        let was = old.get(key).unwrap_or(&Value::Null);
        match (target.entry(key.clone()).or_insert(Value::Null), was, value) {
            (Value::Array(target), Value::Array(was), Value::Array(now)) => transfer_elements(key, target, was, now),
            (target, was, value) => transfer(target, was, value),
        }
    }
}

/// The same of a list: of named things by their names.
fn transfer_elements(list: &str, target: &mut Vec<Value>, before: &[Value], after: &[Value]) {
    let key = [&*target, before, after].into_iter().map(|elements| manifest::merge_key(list, elements)).reduce(std::option::Option::and);
    let Some(key) = key.flatten() else {
        after.clone_into(target);
        return;
    };
    let of = |elements: &[Value], name: &Value| elements.iter().find(|element| element[key] == *name).cloned();
    target.retain(|element| of(before, &element[key]).is_none() || of(after, &element[key]).is_some());
    for element in after {
        let was = of(before, &element[key]);
        match target.iter_mut().find(|there| there[key] == element[key]) {
            Some(there) => transfer(there, &was.unwrap_or_default(), element),
            None if was.as_ref() == Some(element) => {}
            None => target.push(element.clone()),
        }
    }
}
