//! In which steps a change of version and configuration is made, so that no host starts with what it can't
//! read. Pure.
//!
//! The operator (0.25) writes the configuration of all hosts before it goes from host to host, and where a
//! setting needs a restart it restarts a host as it is before it gives it the new image. So a host of the old
//! release starts with the new configuration: in each roll that needs a restart, and whenever a pod is
//! started again in the meantime. What only the new release reads must come when all hosts run it.

use serde_json::Value;

use super::{Problem, problems, releases};
use crate::property::path::{PropertyPath, Segment};

/// The installations to apply one after another, each once the hosts serve as the one before says: `to`
/// alone, or before it what is `to` but for settings that the release of `from` does not start with, which
/// are still as in `from`.
///
/// Fails with what neither order can bring, where hosts would start with something that they can't read.
pub(in super::super) fn stages(from: &Value, to: &Value) -> Result<Vec<Value>, Vec<Problem>> {
    if releases(&from["spec"]) == releases(&to["spec"]) {
        return Ok(vec![to.clone()]);
    }
    let wrong = problems(to);
    let unread = |installation: &Value| {
        let found = problems(&with_images_of(from, installation)).into_iter();
        found.filter(|problem| !wrong.iter().any(|other| other.place == problem.place)).collect::<Vec<_>>()
    };
    let late = unread(to);
    if late.is_empty() {
        return Ok(vec![to.clone()]);
    }
    let mut first = to.clone();
    for problem in &late {
        put(&mut first["spec"], &problem.path, problem.path.find_in(&from["spec"]).cloned());
    }
    let mut left = unread(&first);
    left.extend(
        problems(&first)
            .into_iter()
            .filter(|problem| !wrong.iter().any(|other| other.place == problem.place)),
    );
    if left.is_empty() { Ok(vec![first, to.clone()]) } else { Err(late) }
}

/// The installation with the containers' images of another, as far as their pods have the same names.
fn with_images_of(other: &Value, installation: &Value) -> Value {
    let mut mixed = installation.clone();
    let named = |list: &Value, name: &Value| {
        list.as_array().into_iter().flatten().find(|element| element["name"] == *name).cloned()
    };
    for pod in mixed["spec"]["templates"]["podTemplates"].as_array_mut().into_iter().flatten() {
        let Some(old) = named(&other["spec"]["templates"]["podTemplates"], &pod["name"]) else { continue };
        for container in pod["spec"]["containers"].as_array_mut().into_iter().flatten() {
            if let Some(old) = named(&old["spec"]["containers"], &container["name"]) {
                container["image"] = old["image"].clone();
            }
        }
    }
    mixed
}

/// Puts a value to its place, or takes away what is there.
fn put(spec: &mut Value, path: &PropertyPath, value: Option<Value>) {
    let Some((Segment::Key(last), outer)) = path.segments().split_last() else { return };
    let parent = outer.iter().try_fold(spec, |place, segment| match segment {
        Segment::Key(key) => place.get_mut(key),
        Segment::Index(index) => place.get_mut(index),
    });
    let Some(Value::Object(fields)) = parent else { return };
    match value {
        Some(value) => _ = fields.insert(last.clone(), value),
        None => _ = fields.remove(last),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::catalogue::{Catalogue, Kind};
    use super::*;

    #[allow(clippy::needless_pass_by_value, reason = "profiles are written where they are used")]
    fn installation(version: &str, profiles: Value) -> Value {
        let pod = json!({"name": "p", "spec": {"containers": [{"name": "clickhouse",
            "image": format!("clickhouse/clickhouse-server:{version}.1.1")}]}});
        json!({"spec": {"configuration": {"profiles": profiles}, "templates": {"podTemplates": [pod]}}})
    }

    /// The oldest and the newest release, and a yes or no that only the newest has.
    fn releases() -> (String, String, String) {
        let all = &Catalogue::built_in().0;
        let ((old, before), (new, facts)) = (all.first_key_value().unwrap(), all.last_key_value().unwrap());
        let is_new = |key: &(Kind, String)| {
            key.0 == Kind::Query && facts.settings[key].value == "Bool" && !before.settings.contains_key(key)
        };
        let newer = facts.settings.keys().find(|key| is_new(key)).unwrap();
        (old.to_string(), new.to_string(), format!("web/{}", newer.1))
    }

    #[test]
    fn what_only_the_new_release_reads_comes_when_all_hosts_run_it() {
        let (old, new, key) = releases();
        let from = installation(&old, json!({"web/max_threads": "4"}));
        let to = installation(&new, json!({"web/max_threads": "8", key.as_str(): "1"}));
        assert_eq!(stages(&from, &to).unwrap(), [installation(&new, json!({"web/max_threads": "8"})), to]);
    }

    #[test]
    fn what_both_releases_read_comes_at_once() {
        let (old, new, key) = releases();
        let from = installation(&old, json!({"web/max_threads": "4"}));
        for to in [
            installation(&new, json!({"web/max_threads": "8"})),
            installation(&old, json!({"web/max_threads": "8"})),
        ] {
            assert_eq!(stages(&from, &to).unwrap(), [to]);
        }
        let (unknown, to) = (installation("20.1", json!({})), installation(&new, json!({key: "1"})));
        assert_eq!(stages(&unknown, &to).unwrap(), [to], "what the old release reads is not known");
    }

    #[test]
    fn a_downgrade_takes_the_new_settings_away_at_once() {
        let (old, new, key) = releases();
        let (from, to) = (installation(&new, json!({key: "1"})), installation(&old, json!({})));
        assert_eq!(stages(&from, &to).unwrap(), [to]);
    }
}
