//! When a cluster serves, and why it doesn't: the conditions that creates, updates and deletes wait for.
//!
//! What is observed goes into pure judgements; watches and time are outside of them.

mod balancer;
mod gone;
mod idle;
mod installation;
mod judge;
mod keeper;
mod operator;
mod trouble;
mod watching;

pub use balancer::await_load_balancer;
pub use gone::{Leaving, await_gone};
pub use idle::await_keeper_idle;
pub use installation::{Expect, Served, await_installation};
pub use judge::NotDone;
pub use keeper::{ExpectKeeper, await_keeper};

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::kubernetes::error::Error;
use crate::kubernetes::meta;
use crate::kubernetes::observe::StatefulSet;
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
}

impl Written {
    /// From the answer to a write.
    pub fn of(object: &Value) -> Self {
        Self {
            uid: meta::uid(object).map(str::to_owned),
            generation: object.pointer("/metadata/generation").and_then(Value::as_i64),
            revision: meta::revision(object),
        }
    }
}

impl From<Error> for NotReady {
    fn from(error: Error) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}

/// A watch that is not allowed will never say anything; other trouble passes.
fn hopeless(trouble: Option<&Error>) -> Option<(FailureKind, Vec<String>)> {
    trouble
        .filter(|error| matches!(error, Error::Forbidden { .. } | Error::CrdMissing { .. } | Error::Kubeconfig { .. }))
        .map(|error| (error.kind(), vec![error.to_string()]))
}

/// What to show while a watch gets no news.
fn interrupted(trouble: &Error) -> String {
    format!("waiting for the API server: {trouble}")
}

/// How many of the hosts are ready.
#[derive(Debug, PartialEq, Eq)]
struct Hosts<'a> {
    wanted: usize,
    ready: usize,
    unready: Vec<&'a str>,
}

impl<'a> Hosts<'a> {
    /// Counts the StatefulSets named by `expected`. When none of them exists under these names, or none is named, all of the
    /// installation's are counted, and `planned` says how many there are to be.
    fn count(sets: &'a [Arc<StatefulSet>], expected: &'a [String], planned: usize) -> Self {
        let named = expected.iter().any(|host| sets.iter().any(|set| set.metadata.name() == host));
        if named || planned == 0 {
            let is_ready = |host: &str| sets.iter().any(|set| set.metadata.name() == host && serves(set));
            let unready: Vec<_> = expected.iter().map(String::as_str).filter(|host| !is_ready(host)).collect();
            return Self { wanted: expected.len(), ready: expected.len() - unready.len(), unready };
        }
        let unready: Vec<_> = sets.iter().filter(|set| !serves(set)).map(|set| set.metadata.name()).collect();
        Self { wanted: planned.max(sets.len()), ready: sets.len() - unready.len(), unready }
    }

    /// Whether one of them is to have no pod at all.
    fn leave_out(&self, sets: &[Arc<StatefulSet>]) -> bool {
        let is_empty = |host: &&str| sets.iter().find(|set| set.metadata.name() == *host).is_none_or(|set| set.spec.replicas == Some(0));
        self.unready.iter().any(is_empty)
    }

    fn all_ready(&self) -> bool {
        self.wanted > 0 && self.ready == self.wanted
    }
}

/// Whether a StatefulSet's pod is there, of the newest revision, and ready.
fn serves(set: &StatefulSet) -> bool {
    let wanted = set.spec.replicas.unwrap_or(1);
    set.status.as_ref().is_some_and(|status| {
        let newest =
            status.updated_replicas == wanted || status.update_revision.is_none() || status.current_revision == status.update_revision;
        wanted > 0
            && status.observed_generation >= set.metadata.generation()
            && status.replicas == wanted
            && status.ready_replicas == wanted
            && newest
    })
}

/// Whether a StatefulSet has no pod and is to have none.
fn stands(set: &StatefulSet) -> bool {
    set.spec.replicas == Some(0)
        && set.status.as_ref().is_none_or(|status| status.observed_generation >= set.metadata.generation() && status.replicas == 0)
}

#[cfg(test)]
mod tests;
