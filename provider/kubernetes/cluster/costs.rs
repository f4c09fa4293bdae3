//! What each changed input costs by itself: told in a preview beside what the update does as a whole. Pure.

use std::collections::BTreeSet;

use serde_json::Value;

use super::aspects::{self, ClusterArgs};
use super::shape::{Installation, Shape};
use super::{diff, effects, validate};
use crate::kubernetes::quantity;
use crate::property::path::{PropertyPath, Segment};
use crate::resource::Known;

/// Of how many inputs the costs are told one by one: who changes more reads the update as a whole.
const MOST: usize = 20;

/// What a change of one input costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cost {
    /// Hosts take it over while they run.
    Live,
    /// Volumes grow while the hosts run.
    Growth,
    /// Hosts restart.
    Restart,
    /// Something else, which is told by itself: another number of hosts, a stop, another place.
    Other,
}

/// The changed inputs, each with what it costs by itself. What is not known yet is left out.
/// `from` is the shape of `old`.
pub(super) fn costs(from: &Shape, old: &ClusterArgs, new: &Known<ClusterArgs>) -> Vec<(PropertyPath, Cost)> {
    let old = aspects::with_defaults(old.clone(), false);
    let completed = aspects::with_defaults(new.value.clone(), false);
    let (Ok(before), Ok(after)) = (serde_json::to_value(&old), serde_json::to_value(&completed)) else {
        return Vec::new();
    };
    let changes = diff::diff(&old, None, new).changes.into_iter().filter(|change| change.of_inputs);
    let paths: BTreeSet<_> = changes
        .map(|change| group(&change.path))
        .filter(|path| !new.unknown.iter().any(|unknown| path.contains(unknown) || unknown.contains(path)))
        .collect();
    if paths.len() > MOST {
        return Vec::new();
    }
    let cost = |path: PropertyPath| {
        let one = with(before.clone(), path.segments(), path.find_in(&after));
        let one: ClusterArgs = serde_json::from_value(one).ok()?;
        let to = Shape::rendered(&validate::last_anyway(&one));
        let cost = of(from, &to, &Known::all(one));
        Some((path, cost))
    };
    paths.into_iter().filter_map(cost).collect()
}

/// What the step from one shape to another costs.
fn of(from: &Shape, to: &Shape, new: &Known<ClusterArgs>) -> Cost {
    let grows = |old: &Installation, new: &Installation| {
        let size = |claims: &Installation, name: &String| claims.claims.get(name)?.size.clone();
        old.claims.keys().any(|name| {
            size(old, name).zip(size(new, name)).is_some_and(|(old, new)| quantity::shrinks(&new, &old))
        })
    };
    let told = effects::effects(from, to, new);
    if told.iter().any(|effect| effect.starts_with("restarts ")) {
        return Cost::Restart;
    }
    let of_keeper = from.keeper.as_ref().zip(to.keeper.as_ref());
    if grows(&from.clickhouse, &to.clickhouse) || of_keeper.is_some_and(|(old, new)| grows(old, new)) {
        return Cost::Growth;
    }
    let same_hosts = from.clickhouse.names() == to.clickhouse.names()
        && from.keeper.as_ref().map(Installation::names) == to.keeper.as_ref().map(Installation::names);
    if told.is_empty() && same_hosts { Cost::Live } else { Cost::Other }
}

/// The input that a changed leaf is told as: two names deep, and never an element of a list.
fn group(path: &PropertyPath) -> PropertyPath {
    path.segments().iter().take(2).take_while(|segment| matches!(segment, Segment::Key(_))).cloned().collect()
}

/// `inputs` with `value` at `path`, or without anything there.
fn with(mut inputs: Value, path: &[Segment], value: Option<&Value>) -> Value {
    let [Segment::Key(key), rest @ ..] = path else { return value.cloned().unwrap_or_default() };
    if !inputs.is_object() {
        inputs = Value::Object(serde_json::Map::new());
    }
    if let Value::Object(fields) = &mut inputs {
        let below = fields.remove(key);
        if !rest.is_empty() || value.is_some() {
            fields.insert(key.clone(), with(below.unwrap_or_default(), rest, value));
        }
    }
    inputs
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kubernetes::cluster::tests::checked;

    fn told(mut old: Value, mut new: Value) -> Vec<(String, Cost)> {
        (old["name"], new["name"]) = (json!("db"), json!("db"));
        let old = checked(old);
        let found = costs(&Shape::last(&old), &old, &Known::all(checked(new)));
        found.into_iter().map(|(path, cost)| (path.to_string(), cost)).collect()
    }

    #[test]
    fn each_input_is_told_with_what_it_costs_by_itself() {
        for (new, path, cost) in [
            (json!({"logging": {"level": "debug"}}), "logging.level", Cost::Live),
            (json!({"admin": {"networks": ["10.0.0.0/8"]}}), "admin.networks", Cost::Live),
            (
                json!({"hooks": {"afterHost": [{"events": ["Any"], "sql": ["SELECT 1"]}]}}),
                "hooks.afterHost",
                Cost::Live,
            ),
            (json!({"storage": {"size": "100Gi"}}), "storage.size", Cost::Growth),
            (json!({"resources": {"limits": {"cpu": "4"}}}), "resources.limits", Cost::Restart),
            (json!({"troubleshoot": true}), "troubleshoot", Cost::Restart),
            (json!({"shards": 2}), "shards", Cost::Other),
            (json!({"stopped": true}), "stopped", Cost::Other),
        ] {
            assert_eq!(told(json!({}), new.clone()), [(path.to_owned(), cost)], "{new}");
            let both = told(json!({}), {
                let mut both = new;
                both["ingress"] = json!({"type": "NodePort"});
                both
            });
            assert!(both.contains(&(path.to_owned(), cost)), "{both:?}");
            assert!(both.contains(&("ingress.type".to_owned(), Cost::Live)), "{both:?}");
        }
    }

    #[test]
    fn what_is_not_known_or_changes_nothing_is_not_told() {
        assert_eq!(told(json!({}), json!({"skipAwait": true, "allowDataLoss": true})), []);
        let unknown = Known {
            value: checked(json!({"name": "db", "labels": {"a": "b"}})),
            unknown: ["labels.a".into()].into(),
        };
        let old = checked(json!({"name": "db"}));
        assert_eq!(costs(&Shape::last(&old), &old, &unknown), []);
    }
}
