//! Whether ClickHouse starts with what it is told: settings, profiles, users and quotas of a rendered
//! installation, judged by what the engine of the release that will run says of its settings. Pure.
//!
//! What is judged is what is rendered, whichever input or override says it. A release that no engine was
//! asked of, and a version of somebody's own, are not judged; neither is what comes from Secrets, nor what
//! stands in files.

pub mod catalogue;
mod merge_tree;
mod profiles;
mod program;
mod said;
mod server;
pub(super) mod stages;
mod system_logs;
#[cfg(test)]
mod tests;
mod users;
mod value;

use std::collections::BTreeSet;

use serde_json::Value;

use self::catalogue::{Catalogue, Kind, Release, Standing};
pub(super) use self::program::refusals;
use self::said::Said;
use crate::property::path::PropertyPath;

/// Who would stumble over something that is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum By {
    /// ClickHouse's engine, which does not start.
    Engine,
    /// The program of the server, which looks for it before it starts the engine.
    Server,
    /// Nobody: it has no effect.
    Nobody,
}

/// Something with which ClickHouse does not start, or that it does not take notice of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where it stands below the installation's `spec`.
    pub place: String,
    /// What is wrong, and the remedy.
    pub reason: String,
    /// Who would stumble over it.
    pub by: By,
    path: PropertyPath,
    /// What is said there.
    said: String,
}

/// What a release is told, and what is wrong with it.
struct Judge<'a> {
    catalogue: &'a Catalogue<'a>,
    release: Release,
    /// Files can say anything; what they name is not missed.
    files: Vec<String>,
    found: Vec<Problem>,
}

/// What is wrong with a rendered ClickHouseInstallation; nothing where the version that it runs is not known.
pub fn problems(installation: &Value) -> Vec<Problem> {
    let spec = &installation["spec"];
    let releases = releases(spec);
    if releases.is_empty() {
        return Vec::new();
    }
    judged(&Catalogue::built_in(), spec, &releases)
}

/// What is wrong with an installation's `spec` for hosts of these releases.
fn judged(catalogue: &Catalogue<'_>, spec: &Value, releases: &BTreeSet<Release>) -> Vec<Problem> {
    let known = releases.iter().filter(|release| catalogue.knows(**release));
    let mut found: Vec<Problem> = known
        .flat_map(|release| {
            let mut judge =
                Judge { catalogue, release: *release, files: said::files(spec), found: Vec::new() };
            judge.configuration(spec);
            judge.found
        })
        .collect();
    found.sort();
    found.dedup_by(|one, other| one.place == other.place);
    found
}

/// The release lines that the hosts run; none where one of them is not told.
fn releases(spec: &Value) -> BTreeSet<Release> {
    let pods = spec["templates"]["podTemplates"].as_array().map(Vec::as_slice).unwrap_or_default();
    pods.iter().map(release_of).collect::<Option<_>>().unwrap_or_default()
}

/// The release line that a pod's template runs, where its image tells.
fn release_of(pod: &Value) -> Option<Release> {
    let containers = pod["spec"]["containers"].as_array()?;
    let server =
        containers.iter().find(|container| container["name"] == "clickhouse").or(containers.first())?;
    Release::of_image(server["image"].as_str()?)
}

impl Judge<'_> {
    fn configuration(&mut self, spec: &Value) {
        let part = |name| said::of_part(spec, name);
        let (users, profiles, quotas) = (part("users"), part("profiles"), part("quotas"));
        let levels = said::settings(spec);
        let whole = levels.first().cloned().unwrap_or_default();
        self.profiles(&profiles, &whole);
        self.users(&users, &profiles, &quotas, spec);
        self.quotas(&quotas);
        for level in &levels {
            // What stands deeper comes on top of what is said for all.
            let sum: Vec<_> = level
                .iter()
                .chain(whole.iter().filter(|said| level.iter().all(|other| other.path != said.path)))
                .collect();
            self.server(level, &profiles);
            self.merge_tree(level, &sum, &profiles);
            self.system_logs(level, &sum);
        }
    }

    fn refuse(&mut self, said: &Said, by: By, reason: String) {
        let problem = Problem {
            place: said.place.to_string(),
            reason,
            by,
            path: said.place.clone(),
            said: format!("{:?}", said.value),
        };
        self.found.push(problem);
    }

    /// Whether a file speaks of `name`.
    fn is_in_files(&self, name: &str) -> bool {
        self.files.iter().any(|text| text.contains(name))
    }

    /// Judges the setting `name`, whose value `said` is where that is told.
    fn setting(&mut self, kind: Kind, name: &str, said: &Said, value: Option<&str>) {
        let release = self.release;
        let what = match kind {
            Kind::Query => "setting",
            Kind::Server => "server setting",
            Kind::MergeTree => "MergeTree setting",
        };
        let reason = match self.catalogue.standing(release, kind, name) {
            Standing::Known(known) => {
                let Some(value) = value else { return };
                let refusals: Option<Vec<_>> = known
                    .iter()
                    .map(|(at, fact)| value::refused(kind, fact.value, value, self.catalogue, *at))
                    .collect();
                let Some(takes) = refusals.and_then(|refusals| refusals.into_iter().next()) else { return };
                format!("ClickHouse {release} does not start with `{value}`: `{name}` takes {takes}")
            }
            Standing::Open => return,
            Standing::Newer(first) => format!(
                "`{name}` is a {what} of ClickHouse {first} and newer, {release} does not start with it: \
                upgrade `version` first, or remove it"
            ),
            Standing::Older(last) => {
                format!(
                    "`{name}` was a {what} up to ClickHouse {last}, {release} does not start with it: remove \
                    it"
                )
            }
            Standing::Unknown(Some(near)) => {
                format!(
                    "`{name}` is not a {what}, ClickHouse {release} does not start with it: did you mean \
                    `{near}`?"
                )
            }
            Standing::Unknown(None) => {
                format!("`{name}` is not a {what}, ClickHouse {release} does not start with it: remove it")
            }
        };
        self.refuse(said, By::Engine, reason);
    }
}
