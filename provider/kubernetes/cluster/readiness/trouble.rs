//! Looking for the reason: the watches that are only started when something does not come up.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::kubernetes::client::Session;
use crate::kubernetes::cluster::diagnose::{Evidence, Finding, findings};
use crate::kubernetes::meta::Kind;
use crate::kubernetes::observe::{Claim, Event, Pod};
use crate::kubernetes::watch::{Hub, Scope, Subscription};

/// Pods and volumes of one installation, and the namespace's warnings. What may not be read stays empty: the wait goes on without.
pub(super) struct Search {
    pods: Subscription<Pod>,
    claims: Subscription<Claim>,
    events: Subscription<Event>,
}

impl Search {
    pub(super) fn start(session: &Session, namespace: &str, children: &Scope) -> Self {
        Self {
            pods: Hub::subscribe(session, Kind::Pod, Some(namespace), children),
            claims: Hub::subscribe(session, Kind::PersistentVolumeClaim, Some(namespace), children),
            events: Hub::subscribe(session, Kind::Event, Some(namespace), &Scope::Warnings),
        }
    }

    pub(super) fn clues(&mut self) -> Clues {
        Clues { pods: self.pods.snapshot().objects, claims: self.claims.snapshot().objects, events: self.events.snapshot().objects }
    }

    pub(super) async fn changed(&mut self) {
        tokio::select! {
            () = self.pods.changed() => {}
            () = self.claims.changed() => {}
            () = self.events.changed() => {}
        }
    }
}

/// What a search has found so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Clues {
    pub(super) pods: Vec<Arc<Pod>>,
    pub(super) claims: Vec<Arc<Claim>>,
    pub(super) events: Vec<Arc<Event>>,
}

impl Clues {
    /// What is wrong with `hosts`, after a change written at `written`, that the operator is done with when `settled`.
    pub(super) fn about(&self, hosts: &[&str], written: Option<&Time>, settled: bool) -> Vec<Finding> {
        findings(&Evidence { hosts, pods: &self.pods, claims: &self.claims, events: &self.events, written, settled })
    }
}
