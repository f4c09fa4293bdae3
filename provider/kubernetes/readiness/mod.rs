//! When a cluster serves, and why it doesn't: the conditions that creates, updates and deletes wait for.
//!
//! What is observed goes into pure judgements; watches and time are outside of them.

mod deletion;
mod evidence;
mod growth;
mod idle;
mod installation;
mod job;
mod judge;
mod keeper;
mod load_balancer;
pub mod operator;
mod watching;

pub use deletion::{DeletedObject, await_deletion};
pub use growth::{Owner, await_growth};
pub use idle::{await_keeper_idle, await_keeper_left};
pub use installation::{Expect, await_installation};
pub use job::{JobEnd, await_job};
pub use judge::Incomplete;
pub use keeper::{ExpectKeeper, await_keeper};
pub use load_balancer::await_load_balancer;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::kubernetes::error::Error;
use crate::kubernetes::meta;
use crate::kubernetes::observe::{StatefulSet, is_yes};
use crate::kubernetes::wait::NotReady;
use crate::resource::FailureKind;

/// After how long without any progress pods, volumes and events are looked at too.
const QUIET: Duration = Duration::from_secs(3);

/// An object as the API server had it after our write, to tell later news from older ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// Its unique id.
    pub uid: Option<String>,
    /// The count of its spec's changes.
    pub generation: Option<i64>,
    /// Its revision.
    pub revision: Option<u64>,
    /// Whether it tells the operator to leave the installation alone: then there is nothing to wait for.
    pub suspended: bool,
    /// Whether it tells the operator that no host is to run.
    pub stopped: bool,
}

impl Written {
    /// From the answer to a write.
    pub fn of(object: &Value) -> Self {
        Self {
            uid: meta::uid(object).map(str::to_owned),
            generation: object.pointer("/metadata/generation").and_then(Value::as_i64),
            revision: meta::revision(object),
            suspended: is_yes(&object["spec"]["suspend"]),
            stopped: is_yes(&object["spec"]["stop"]),
        }
    }
}

impl From<Error> for NotReady {
    fn from(error: Error) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}

/// A watch that is not allowed will never say anything. Other trouble passes: also that with credentials,
/// since each wait follows a call that was answered.
fn permanent_error(trouble: Option<&Error>) -> Option<(FailureKind, Vec<String>)> {
    trouble
        .filter(|error| matches!(error, Error::Forbidden { .. } | Error::CrdMissing { .. }))
        .map(|error| (error.kind(), vec![error.to_string()]))
}

/// The coordination servers among `servers` that are not members of the Keeper of this name, which comes with
/// the cluster.
fn external<'a>(servers: &'a [String], name: &str) -> Vec<&'a str> {
    let service = format!("keeper-{name}");
    let is_own = |server: &str| {
        let host = server.split([':', '.']).next().unwrap_or(server);
        host == service
            || host
                .strip_prefix("chk-")
                .and_then(|rest| rest.strip_prefix(name))
                .is_some_and(|rest| rest.starts_with('-'))
    };
    servers.iter().map(String::as_str).filter(|server| !is_own(server)).collect()
}

/// What to say of coordination servers from which the operator waits for an answer.
fn unreached(servers: &[&str]) -> String {
    let servers = servers.iter().map(|server| format!("`{server}`")).collect::<Vec<_>>().join(", ");
    format!("the coordination server {servers} may be out of the operator's reach")
}

/// What to show while a watch gets no news.
fn watch_trouble(trouble: &Error) -> String {
    format!("waiting for the API server: {trouble}")
}

/// What a change makes of an installation, as far as it is known: where its hosts come from.
#[derive(Debug, Clone, Copy)]
struct Layout<'a> {
    /// The installation's unique id. StatefulSets of an earlier one of the same name don't count.
    uid: Option<&'a str>,
    /// The StatefulSets that this provider expects.
    expected: &'a [String],
    /// The pods that the operator says there are to be.
    pods: &'a [String],
    /// How many hosts the operator says there are to be.
    planned: usize,
}

/// How many of the hosts are ready.
#[derive(Debug, PartialEq, Eq)]
struct Hosts<'a> {
    wanted: usize,
    ready: usize,
    /// Those that are not, as far as their names are known.
    unready: Vec<&'a str>,
}

impl<'a> Hosts<'a> {
    /// Counts the expected hosts and those that the operator names beyond them: of another cluster in the
    /// list, of an override's layout. Where it names none, all StatefulSets of the installation count. When
    /// nothing bears an expected name the operator names its hosts otherwise, and these are counted.
    fn count(sets: &'a [Arc<StatefulSet>], layout: Layout<'a>) -> Self {
        let of_this = |set: &&Arc<StatefulSet>| {
            !set.metadata.is_deleting() && set.metadata.is_controlled_by(layout.uid)
        };
        let live: HashMap<&str, &StatefulSet> =
            sets.iter().filter(of_this).map(|set| (set.metadata.name(), set.as_ref())).collect();
        let named: Vec<&str> = layout.pods.iter().filter_map(|pod| pod.strip_suffix("-0")).collect();
        let mut others: Vec<&str> = if named.is_empty() { live.keys().copied().collect() } else { named };
        others.sort_unstable();
        let is_there =
            |host: &&String| live.contains_key(host.as_str()) || others.binary_search(&host.as_str()).is_ok();
        let mut hosts: Vec<&str> = Vec::new();
        if others.is_empty() || layout.expected.iter().any(|host| is_there(&host)) {
            hosts.extend(layout.expected.iter().map(String::as_str));
        }
        let expected: HashSet<&str> = hosts.iter().copied().collect();
        hosts.extend(others.into_iter().filter(|host| !expected.contains(host)));
        let wanted = layout.planned.max(hosts.len());
        let is_ready = |host: &str| live.get(host).is_some_and(|set| is_ready(set));
        let unready: Vec<&str> = hosts.iter().copied().filter(|host| !is_ready(host)).collect();
        Self { wanted, ready: hosts.len() - unready.len(), unready }
    }

    /// Whether one of them is to have no pod at all.
    fn leave_out(&self, sets: &[Arc<StatefulSet>]) -> bool {
        let is_empty = |host: &&str| {
            sets.iter()
                .find(|set| set.metadata.name() == *host)
                .is_none_or(|set| set.spec.replicas == Some(0))
        };
        self.wanted > self.ready + self.unready.len() || self.unready.iter().any(is_empty)
    }

    fn all_ready(&self) -> bool {
        self.wanted > 0 && self.ready == self.wanted
    }
}

/// Whether a StatefulSet's pod is there, of the newest revision, and ready.
fn is_ready(set: &StatefulSet) -> bool {
    let wanted = set.spec.replicas.unwrap_or(1);
    set.status.as_ref().is_some_and(|status| {
        let newest = status.updated_replicas == wanted
            || status.update_revision.is_none()
            || status.current_revision == status.update_revision;
        wanted > 0
            && status.observed_generation >= set.metadata.generation()
            && status.replicas == wanted
            && status.ready_replicas == wanted
            && newest
    })
}

/// Whether a StatefulSet has no pod and is to have none.
fn is_scaled_to_zero(set: &StatefulSet) -> bool {
    set.spec.replicas == Some(0)
        && set.status.as_ref().is_none_or(|status| {
            status.observed_generation >= set.metadata.generation() && status.replicas == 0
        })
}

#[cfg(test)]
mod tests;
