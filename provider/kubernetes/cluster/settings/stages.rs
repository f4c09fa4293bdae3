//! In which steps a change of version and configuration is made, so that no host starts with what it can't
//! read. Pure.
//!
//! The operator (0.25) writes the configuration of all hosts before it goes from host to host, and where a
//! setting needs a restart it restarts a host as it is before it gives it the new image. So a host of the old
//! release starts with the new configuration: in each roll that needs a restart, and whenever a pod is
//! started again in the meantime. What only the new release reads must come when all hosts run it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::catalogue::Catalogue;
use super::{By, Problem, judged, release_of, releases};
use crate::kubernetes::observe::is_yes;
use crate::property::path::{PropertyPath, Segment};

/// What hosts run before a change.
#[derive(Debug, Clone, Copy)]
pub(in super::super) enum Runs<'a> {
    /// The image that their installation says.
    AsSaid,
    /// That or, as the operator is not done with it, what these templates of pods say.
    Also(&'a [Value]),
    /// Any.
    Anything,
}

/// How a change is made.
#[derive(Default)]
pub(in super::super) struct Stages {
    /// What comes in a second step.
    pub(in super::super) held: HeldBack,
    /// What can be brought in no order.
    pub(super) stuck: Vec<Problem>,
}

/// The settings that come when all hosts run the new image, each with what is said in its place until then.
#[derive(Default)]
pub(in super::super) struct HeldBack(Vec<(PropertyPath, Option<Value>)>);

impl HeldBack {
    /// Whether the change is made at once.
    pub(in super::super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Makes of an installation the one of the first step.
    pub(in super::super) fn apply(&self, installation: &mut Value) {
        for (path, value) in &self.0 {
            put(&mut installation["spec"], path, value.clone());
        }
    }

    /// That there are two steps, for a preview; `None` where there is one.
    pub(in super::super) fn told(&self) -> Option<String> {
        let places: Vec<_> = self.0.iter().map(|(path, _)| format!("`{path}`")).collect();
        (!places.is_empty()).then(|| {
            format!(
                "takes two steps: the image first, and once all hosts run it the settings that the one \
                before does not start with ({})",
                places.join(", ")
            )
        })
    }
}

/// The steps from one installation to another: at once, or with what the hosts as they are do not start with
/// held back until all of them run the image of `to`.
pub(in super::super) fn stages(from: &Value, to: &Value, runs: Runs<'_>) -> Stages {
    let (from, spec) = (&from["spec"], &to["spec"]);
    let (mut may_run, now) = (releases(from), releases(spec));
    if let Runs::Also(pods) = runs {
        may_run.extend(pods.iter().filter_map(release_of));
    }
    let is_any = matches!(runs, Runs::Anything);
    // Where none runs, none starts before it has the image.
    if !is_any && may_run == now || is_yes(&spec["stop"]) {
        return Stages::default();
    }
    let catalogue = Catalogue::built_in();
    may_run.extend(catalogue.releases().filter(|_| is_any));
    let is_new = |problem: &Problem| problem.path.find_in(from) != problem.path.find_in(spec);
    let wrong = judged(&catalogue, spec, &now);
    let unread = |spec: &Value, releases: &BTreeSet<_>| {
        let found = judged(&catalogue, spec, releases).into_iter();
        let found = found.filter(|problem| problem.by != By::Nobody && is_new(problem));
        found.filter(|problem| wrong.iter().all(|other| other.place != problem.place)).collect::<Vec<_>>()
    };
    let late = unread(spec, &may_run);
    if late.is_empty() {
        return Stages::default();
    }
    if is_yes(&spec["suspend"]) {
        return Stages { stuck: late, ..Stages::default() };
    }
    let mut held = HeldBack(
        late.into_iter().map(|problem| (problem.path.clone(), problem.path.find_in(from).cloned())).collect(),
    );
    let first = |held: &HeldBack| {
        let mut first = to.clone();
        held.apply(&mut first);
        first
    };
    // What the new release does not read any more is not said until then.
    let old = judged(&catalogue, &first(&held)["spec"], &now);
    for (path, value) in &mut held.0 {
        value.take_if(|_| old.iter().any(|problem| problem.path == *path));
    }
    let stuck = unread(&first(&held)["spec"], &may_run.into_iter().chain(now.iter().copied()).collect());
    Stages { held, stuck }
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
pub(in super::super) mod tests {
    use std::slice;

    use serde_json::json;

    use super::super::catalogue::{Fact, Kind, Release};
    use super::*;

    #[allow(clippy::needless_pass_by_value, reason = "profiles are written where they are used")]
    fn installation(version: &str, profiles: Value) -> Value {
        let image = format!("clickhouse/clickhouse-server:{version}.1.1");
        let pod = json!({"name": "p", "spec": {"containers": [{"name": "clickhouse", "image": image}]}});
        json!({"spec": {"configuration": {"profiles": profiles}, "templates": {"podTemplates": [pod]}}})
    }

    /// The oldest and the newest release, and for a profile a yes or no that only the newest has.
    pub(in super::super::super) fn releases() -> (String, String, String) {
        let catalogue = Catalogue::built_in();
        let all: Vec<Release> = catalogue.releases().collect();
        let (old, new) = (all[0], all[all.len() - 1]);
        let known: Vec<_> = catalogue.settings(old).map(|(kind, name, _)| (kind, name)).collect();
        let is_new = |(kind, name, fact): &(Kind, &str, Fact<'_>)| {
            *kind == Kind::Query && fact.value == "Bool" && !known.contains(&(*kind, *name))
        };
        let key = format!("web/{}", catalogue.settings(new).find(is_new).unwrap().1);
        (old.to_string(), new.to_string(), key)
    }

    /// The installations that are applied, one after another.
    fn applied(from: &Value, to: &Value, runs: Runs<'_>) -> Vec<Value> {
        let stages = stages(from, to, runs);
        assert_eq!(stages.stuck, []);
        let mut first = to.clone();
        stages.held.apply(&mut first);
        if stages.held.is_empty() { vec![first] } else { vec![first, to.clone()] }
    }

    #[test]
    fn what_only_the_new_release_reads_comes_when_all_hosts_run_it() {
        let (old, new, key) = releases();
        let from = installation(&old, json!({"web/max_threads": "4"}));
        let to = installation(&new, json!({"web/max_threads": "8", key.as_str(): "1"}));
        let first = installation(&new, json!({"web/max_threads": "8"}));
        assert_eq!(applied(&from, &to, Runs::AsSaid), [first.clone(), to.clone()]);
        assert!(stages(&from, &to, Runs::AsSaid).held.told().unwrap().contains(&key));
        assert_eq!(applied(&first, &to, Runs::AsSaid), slice::from_ref(&to), "the first step is done");
        let pods = from["spec"]["templates"]["podTemplates"].as_array().unwrap();
        for runs in [Runs::Also(pods), Runs::Anything] {
            assert_eq!(applied(&first, &to, runs), [first.clone(), to.clone()], "it was interrupted");
        }
        let pods = to["spec"]["templates"]["podTemplates"].as_array().unwrap();
        assert_eq!(applied(&first, &to, Runs::Also(pods)), [to], "no host waits for the image");
    }

    #[test]
    fn what_both_releases_read_comes_at_once() {
        let (old, new, key) = releases();
        let from = installation(&old, json!({"web/max_threads": "4"}));
        for version in [&new, &old] {
            let to = installation(version, json!({"web/max_threads": "8"}));
            assert_eq!(applied(&from, &to, Runs::AsSaid), slice::from_ref(&to));
            assert_eq!(applied(&from, &to, Runs::Anything), [to]);
        }
        let (unknown, to) = (installation("20.1", json!({})), installation(&new, json!({key: "1"})));
        assert_eq!(
            applied(&unknown, &to, Runs::AsSaid),
            slice::from_ref(&to),
            "what the old release reads is not known"
        );
        let mut stopped = to;
        stopped["spec"]["stop"] = json!("yes");
        assert_eq!(applied(&from, &stopped, Runs::AsSaid), [stopped], "no host starts");
    }

    #[test]
    fn a_downgrade_takes_the_new_settings_away_before_the_first_host_has_the_old_image() {
        let (old, new, key) = releases();
        let from = installation(&new, json!({key: "1"}));
        let to = installation(&old, json!({}));
        // The operator writes the configuration of all hosts before it replaces the first.
        assert_eq!(applied(&from, &to, Runs::AsSaid), [to]);
    }

    #[test]
    fn a_suspended_cluster_is_not_told_what_its_hosts_cannot_read() {
        let (old, new, key) = releases();
        let from = installation(&old, json!({}));
        let mut to = installation(&new, json!({key: "1"}));
        to["spec"]["suspend"] = json!("yes");
        let stages = stages(&from, &to, Runs::AsSaid);
        assert!(stages.held.is_empty() && stages.stuck.len() == 1);
    }
}
