//! Looking for reasons: pods, volumes, warnings, and the logs of what crashed, watched only once something
//! does not come up.

use std::collections::HashSet;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tokio::task::JoinSet;

use crate::kubernetes::client::Api;
use crate::kubernetes::diagnosis::{
    ContainerExit, CrashLogs, Evidence, Finding, Remedies, Stage, ended, findings, lacks_claim, relevant_line,
};
use crate::kubernetes::meta::{Kind, ObjectRef};
use crate::kubernetes::objects;
use crate::kubernetes::observe::{Claim, Event, Pod, Quota, StatefulSet, Watched};
use crate::kubernetes::watch::{Scope, SharedWatches, Subscription};

/// Pods and volumes of one installation, and the namespace's warnings. What may not be read stays empty: the
/// wait goes on without.
pub(super) struct EvidenceWatch {
    pods: Subscription<Pod>,
    claims: Subscription<Claim>,
    events: Subscription<Event>,
    /// Watched only once a volume is missing.
    quotas: Option<Subscription<Quota>>,
    logs: Logs,
}

impl EvidenceWatch {
    pub(super) fn start(api: Api, namespace: &str, children: &Scope) -> Self {
        let session = api.session();
        Self {
            pods: SharedWatches::subscribe(session, Kind::Pod, Some(namespace), children),
            claims: SharedWatches::subscribe(session, Kind::PersistentVolumeClaim, Some(namespace), children),
            events: SharedWatches::subscribe(session, Kind::Event, Some(namespace), &Scope::Warnings),
            quotas: None,
            logs: Logs {
                api,
                namespace: namespace.to_owned(),
                asked: HashSet::new(),
                reading: JoinSet::new(),
                words: CrashLogs::new(),
            },
        }
    }

    pub(super) fn evidence(&mut self, sets: &[Arc<StatefulSet>]) -> EvidenceSnapshot {
        let (pods, claims) = (self.pods.snapshot().objects, self.claims.snapshot().objects);
        self.logs.ask(&pods);
        if self.quotas.is_none() && pods.iter().any(|pod| lacks_claim(pod)) {
            self.quotas = Some(SharedWatches::subscribe(
                self.logs.api.session(),
                Kind::ResourceQuota,
                Some(&self.logs.namespace),
                &Scope::All,
            ));
        }
        let quotas = self.quotas.as_mut().map(|quotas| quotas.snapshot().objects).unwrap_or_default();
        let names = sets.iter().map(|set| set.metadata.name());
        let names = names
            .chain(pods.iter().map(|pod| pod.metadata.name()))
            .chain(claims.iter().map(|claim| claim.metadata.name()));
        let events = self.events.about(names);
        EvidenceSnapshot { pods, claims, events, quotas, words: self.logs.words.clone() }
    }

    pub(super) async fn changed(&mut self) {
        tokio::select! {
            biased;
            () = self.pods.changed() => {}
            () = self.claims.changed() => {}
            () = self.events.changed() => {}
            () = changed(self.quotas.as_mut()) => {}
            () = self.logs.changed() => {}
        }
    }
}

/// Comes back when a watch that there may be has news.
pub(super) async fn changed<K: Watched>(watch: Option<&mut Subscription<K>>) {
    match watch {
        Some(watch) => watch.changed().await,
        None => std::future::pending().await,
    }
}

/// The logs of containers that ended, each read once, beside the wait.
struct Logs {
    api: Api,
    namespace: String,
    asked: HashSet<ContainerExit>,
    reading: JoinSet<Option<(ContainerExit, String)>>,
    words: CrashLogs,
}

impl Logs {
    fn ask(&mut self, pods: &[Arc<Pod>]) {
        for end in pods.iter().flat_map(|pod| ended(pod)) {
            if self.asked.insert(end.clone()) {
                let (api, pod) = (self.api.clone(), ObjectRef::new(Kind::Pod, &self.namespace, &end.pod));
                self.reading.spawn(async move {
                    let log = objects::end_of_log(&api, &pod, &end.container).await?;
                    Some((end, relevant_line(&log)?))
                });
            }
        }
    }

    /// Comes back when there is more to say.
    async fn changed(&mut self) {
        while let Some(read) = self.reading.join_next().await {
            if let Ok(Some((end, words))) = read {
                self.words.insert(end, words);
                return;
            }
        }
        std::future::pending::<()>().await;
    }
}

/// What a search has found so far.
#[derive(Debug, Clone, Default)]
pub(super) struct EvidenceSnapshot {
    pub(super) pods: Vec<Arc<Pod>>,
    pub(super) claims: Vec<Arc<Claim>>,
    pub(super) events: Vec<Arc<Event>>,
    pub(super) quotas: Vec<Arc<Quota>>,
    pub(super) words: CrashLogs,
}

/// Which hosts to find reasons for.
pub(super) struct About<'a> {
    /// The installation's name.
    pub(super) name: &'a str,
    pub(super) hosts: &'a [&'a str],
    pub(super) sets: &'a [Arc<StatefulSet>],
    /// When the change was written.
    pub(super) written: Option<&'a Time>,
    pub(super) stage: Stage,
    pub(super) remedies: Remedies,
}

impl EvidenceSnapshot {
    /// What is wrong with the hosts.
    pub(super) fn about(&self, about: &About<'_>) -> Vec<Finding> {
        let Self { pods, claims, events, quotas, words } = self;
        let About { name, hosts, sets, written, stage, remedies } = *about;
        findings(&Evidence {
            name,
            hosts,
            sets,
            pods,
            claims,
            events,
            quotas,
            words,
            written,
            stage,
            remedies,
        })
    }
}
