//! From live objects back to inputs: what `pulumi import` writes and what `pulumi refresh` reports. Pure.
//!
//! Whatever has an input of ours is read into it; what has none ends up in `chiOverrides` and `chkOverrides`,
//! which are the difference between what the inputs render and what is there. So any installation can be
//! adopted, and its next preview is empty.

use serde_json::{Value, json};

use super::aspects::{self, ClusterArgs, ConfigurationArgs, FreeForm, Kept, Live, OverridesArgs};
use super::manifest::{self, Login};
use super::objects::Objects;
use super::{defaults, validate};
use crate::kubernetes::meta;
use crate::kubernetes::observe::is_yes;
use crate::resource::{Autonaming, Known, Urn};

/// The inputs that render `live`.
pub(super) fn inputs(live: &Live, urn: &Urn, login: &Login) -> ClusterArgs {
    let mut args = aspects::read(live);
    leave_to_others(&mut args, urn, login);
    if live.adopted.is_some() {
        sift(&mut args, live, urn, login);
    } else if let Some(rendered) = pruned(&args, urn, login) {
        args.read_pods(live, rendered.installation.as_ref(), rendered.keeper.as_ref());
    }
    let Some(rendered) = pruned(&args, urn, login) else { return args };
    let override_of = |rendered: Option<Value>, live: Option<&Value>| difference(&rendered?, live?);
    args.overrides.chi_overrides = override_of(rendered.installation, Some(&live.installation));
    args.overrides.chk_overrides = override_of(rendered.keeper, live.keeper.as_ref());
    args
}

/// Leaves settings and files to those inputs that render them, too.
fn leave_to_others(args: &mut ClusterArgs, urn: &Urn, login: &Login) {
    if args.configuration == ConfigurationArgs::default() {
        return;
    }
    let others = ClusterArgs { configuration: ConfigurationArgs::default(), ..args.clone() };
    if let Some(rendered) = pruned(&others, urn, login).and_then(|rendered| rendered.installation) {
        args.configuration.leave_to(&rendered["spec"]["configuration"]);
    }
}

/// Leaves out what inputs can't say in the very words of somebody else's installation, and what Check would
/// refuse: it stays in the overrides.
fn sift(args: &mut ClusterArgs, live: &Live, urn: &Urn, login: &Login) {
    let parse = |inputs: &Value| serde_json::from_value::<ClusterArgs>(inputs.clone()).ok();
    // What is wrong, and how many fields would be written otherwise than they are.
    let faults = |inputs: &Value| -> Option<(usize, usize)> {
        let args = parse(inputs)?;
        let filled = defaults::fill(urn, &Autonaming::Default, "", None, &Known::all(args.clone())).ok()?;
        let refused = validate::program(&Known::all(filled), None).len();
        let rendered = pruned(&args, urn, login).and_then(|rendered| rendered.installation);
        let others = rendered.map_or(0, |rendered| others(&rendered["spec"], live.spec()));
        Some((refused, others))
    };
    let Ok(mut inputs) = serde_json::to_value(&*args) else { return };
    let mut worst = faults(&inputs);
    while worst.is_none_or(|worst| worst != (0, 0)) {
        let without = |path: Vec<String>| {
            let mut fewer = inputs.clone();
            let lost = remove(&mut fewer, &path);
            Some((faults(&fewer)?, lost, path, fewer))
        };
        let is_better = |found: &(usize, usize)| worst.is_none_or(|worst| *found < worst);
        let best = |paths: Vec<Vec<String>>| {
            let tried = paths.into_iter().filter_map(without).filter(|(found, ..)| is_better(found));
            tried.min_by(|one, other| (one.0, one.1, &one.2).cmp(&(other.0, other.1, &other.2)))
        };
        // A group only goes where none of its parts helps.
        let [single, groups] = removable(&inputs);
        let Some((found, _, _, fewer)) = best(single).or_else(|| best(groups)) else { break };
        (inputs, worst) = (fewer, Some(found));
    }
    if let Some(sifted) = parse(&inputs) {
        *args = sifted;
    }
}

/// Every input that a cluster can do without, and every group of inputs.
fn removable(inputs: &Value) -> [Vec<Vec<String>>; 2] {
    /// What every cluster has.
    const KEPT: [&str; 4] = ["name", "namespace", "clusterName", "__defaults"];
    fn collect(inputs: &Value, path: &mut Vec<String>, found: &mut [Vec<Vec<String>>; 2]) {
        for (key, value) in inputs.as_object().into_iter().flatten() {
            if path.is_empty() && KEPT.contains(&key.as_str()) {
                continue;
            }
            path.push(key.clone());
            found[usize::from(value.is_object())].push(path.clone());
            collect(value, path, found);
            path.pop();
        }
    }
    let mut found = [Vec::new(), Vec::new()];
    collect(inputs, &mut Vec::new(), &mut found);
    found
}

/// Takes out what stands at `path`, and gives how many inputs that are.
fn remove(inputs: &mut Value, path: &[String]) -> usize {
    fn count(value: &Value) -> usize {
        value.as_object().map_or(1, |fields| fields.values().map(count).sum())
    }
    let Some((last, above)) = path.split_last() else { return 0 };
    let parent = above.iter().try_fold(inputs, |value, key| value.get_mut(key));
    parent.and_then(|parent| parent.as_object_mut()?.remove(last)).map_or(0, |removed| count(&removed))
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
    if manifest::is_sole(list, rendered) && manifest::is_sole(list, live) {
        return others(&rendered[0], &live[0]);
    }
    let Some(key) = manifest::merge_key(list, rendered).filter(|_| manifest::merge_key(list, live).is_some())
    else {
        return usize::from(rendered != live);
    };
    let same =
        |element: &Value| live.iter().find(|other| other[key] == element[key]).cloned().unwrap_or_default();
    rendered.iter().map(|element| others(element, &same(element))).sum()
}

/// `old` with what has drifted on the API server since `old` was written there: nothing changes in it when
/// nothing has. Of a cluster that this provider made, what others have added is theirs; of an adopted one its
/// program says all.
pub(super) fn drifted(old: &ClusterArgs, live: &Live, urn: &Urn, login: &Login) -> ClusterArgs {
    let Some(Objects { installation: Some(installation), keeper, service, backup, .. }) =
        pruned(old, urn, login)
    else {
        return old.clone();
    };
    let adopted = old.adopted().cloned();
    let overrides = old.overrides.chi_overrides.clone();
    let written = Live {
        installation,
        keeper,
        service,
        backup,
        adopted: adopted.clone(),
        overrides: overrides.clone(),
    };
    let projected = |written: &Option<Value>, live: &Option<Value>| {
        written.as_ref().zip(live.as_ref()).map(|(written, live)| project(written, live))
    };
    let mut found = Live {
        adopted,
        overrides,
        installation: project(&written.installation, &live.installation),
        keeper: projected(&written.keeper, &live.keeper),
        service: projected(&written.service, &live.service),
        backup: projected(&written.backup, &live.backup),
    };
    if found.adopted.is_some() {
        found.installation["spec"] = live.spec().clone();
    }
    // An update that ended before the state was written may have added coordination. Nobody else does.
    let [before, now] =
        [&written, live].map(|live| live.installation.pointer("/spec/configuration/zookeeper"));
    if let (None, Some(added)) = (before, now) {
        found.installation["spec"]["configuration"]["zookeeper"] = added.clone();
        found.keeper = live.keeper.clone().filter(meta::is_managed);
    }
    let expected = Live {
        keeper: found.keeper.as_ref().and(written.keeper.clone()),
        service: found.service.as_ref().and(written.service.clone()),
        backup: found.backup.as_ref().and(written.backup.clone()),
        ..written
    };
    if same_but_task(&expected.installation, &found.installation)
        && match (&expected.keeper, &found.keeper) {
            (Some(expected), Some(found)) => same_but_task(expected, found),
            (None, None) => true,
            _ => false,
        }
        && expected.service == found.service
        && expected.backup == found.backup
    {
        return old.clone();
    }
    let (before, after) = (inputs(&expected, urn, login), inputs(&found, urn, login));
    let mut result = overlay_difference(old, &before, &after).unwrap_or_else(|| old.clone());
    result.settle_passwords();
    result.settle_coordination();
    let has_overrides = old.overrides != OverridesArgs::default();
    if found.adopted.is_none() && !has_overrides || gives(&result, &found, urn, login) {
        return result;
    }
    if found.adopted.is_some() {
        return described_anew(old, after);
    }
    // What an override says is not said elsewhere.
    let overridden = told_by_overrides(old, &found, urn, login);
    overridden.filter(|overridden| gives(overridden, &found, urn, login)).unwrap_or(result)
}

/// Whether inputs are sound and render what is there.
fn gives(args: &ClusterArgs, found: &Live, urn: &Urn, login: &Login) -> bool {
    let same = |rendered: Option<&Value>, found: Option<&Value>| {
        rendered.zip(found).is_none_or(|(rendered, found)| difference(rendered, found).is_none())
    };
    pruned(args, urn, login).is_some_and(|rendered| {
        let keeper = found.keeper.as_ref().filter(|_| found.adopted.is_none());
        same(rendered.installation.as_ref(), Some(&found.installation))
            && same(rendered.keeper.as_ref(), keeper)
    })
}

/// The inputs `old`, with all that is there and that they don't say in the overrides.
fn told_by_overrides(old: &ClusterArgs, found: &Live, urn: &Urn, login: &Login) -> Option<ClusterArgs> {
    let mut plain = old.clone();
    (plain.overrides.chi_overrides, plain.overrides.chk_overrides) = (None, None);
    let rendered = pruned(&plain, urn, login)?;
    let override_of = |rendered: Option<Value>, found: Option<&Value>| difference(&rendered?, found?);
    plain.overrides.chi_overrides = override_of(rendered.installation, Some(&found.installation));
    plain.overrides.chk_overrides = override_of(rendered.keeper, found.keeper.as_ref());
    Some(plain)
}

/// The inputs `found`, with what the objects don't tell as in `old`: said in another place, it would be in
/// the way of what has drifted.
fn described_anew(old: &ClusterArgs, mut found: ClusterArgs) -> ClusterArgs {
    let (was, is) = (&old.operations, &mut found.operations);
    is.allow_data_loss = was.allow_data_loss;
    is.skip_await = was.skip_await;
    is.force_conflicts = was.force_conflicts;
    found.naming.create_namespace = old.naming.create_namespace;
    found.defaults.clone_from(&old.defaults);
    if let (Some(was), Some(is)) = (&old.backup, &mut found.backup) {
        is.restore_from.clone_from(&was.restore_from);
    }
    if let Some(was) = &old.access.admin {
        let is = found.access.admin.get_or_insert_default();
        is.password.clone_from(&was.password);
        is.existing_secret.clone_from(&was.existing_secret);
        is.password_version.clone_from(&was.password_version);
    }
    found
}

/// The same without what properties can't carry.
fn pruned(args: &ClusterArgs, urn: &Urn, login: &Login) -> Option<Objects> {
    let mut rendered = render(args, urn, login)?;
    if let Some(installation) = rendered.installation.as_mut().filter(|_| args.adopted().is_some()) {
        Kept::take(&mut installation["spec"]);
    }
    Some(rendered)
}

/// The manifests that inputs come to, as far as they can be understood.
pub(super) fn render(args: &ClusterArgs, urn: &Urn, login: &Login) -> Option<Objects> {
    let namespace = args.naming.namespace.clone().unwrap_or_default();
    let filled =
        defaults::fill(urn, &Autonaming::Default, &namespace, None, &Known::all(args.clone())).ok()?;
    let cluster = validate::validate(&Known::all(filled)).ok()?;
    Some(manifest::build(&cluster, urn, login, ""))
}

/// `live` reduced to the fields that `written` has: others belong to others.
fn project(written: &Value, live: &Value) -> Value {
    match (written, live) {
        (Value::Object(written), Value::Object(live)) => Value::Object(
            written
                .iter()
                .filter_map(|(key, value)| Some((key.clone(), project(value, live.get(key)?))))
                .collect(),
        ),
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

/// What has to be laid over the rendered `spec` to get the live one. A live one that does not say whether it
/// is stopped or suspended is neither.
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
        if let (Some(says_no), Value::Object(live)) =
            (rendered.get(field).filter(|value| !is_yes(value)), &mut live)
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
    let (Value::Object(old), Value::Object(new), false) = (before, after, manifest::has_directive(after))
    else {
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
            (Value::Array(target), Value::Array(was), Value::Array(now)) => {
                transfer_elements(key, target, was, now);
            }
            (target, was, value) => transfer(target, was, value),
        }
    }
}

/// The same of a list: of named things by their names.
fn transfer_elements(list: &str, target: &mut Vec<Value>, before: &[Value], after: &[Value]) {
    if let ([there], [before], [after]) = (&mut **target, before, after)
        && [&*there, before, after]
            .into_iter()
            .all(|only| manifest::is_sole(list, std::slice::from_ref(only)))
    {
        return transfer(there, before, after);
    }
    let key = [&*target, before, after]
        .into_iter()
        .map(|elements| manifest::merge_key(list, elements))
        .reduce(Option::and);
    let Some(key) = key.flatten() else {
        after.clone_into(target);
        return;
    };
    let of =
        |elements: &[Value], name: &Value| elements.iter().find(|element| element[key] == *name).cloned();
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
