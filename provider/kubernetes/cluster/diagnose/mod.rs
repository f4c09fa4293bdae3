//! Why a host does not come up: from its pod, its volumes and the events about them, to words. Pure.

mod words;

pub(crate) use words::{Ended, Words, ended, telling};

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tokio::time::Instant;

use crate::kubernetes::observe::{Claim, Container, Event, Pod, StatefulSet};

/// How long a state that won't mend itself may last before the wait ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Graces {
    /// For an image that can't be pulled: registries have bad moments, and the kubelet tries several times within this.
    pub image: Duration,
    /// For everything else that only an edit mends.
    pub other: Duration,
}

impl Default for Graces {
    fn default() -> Self {
        Self { image: Duration::from_secs(60), other: Duration::from_secs(30) }
    }
}

/// Everything that says why hosts are not ready.
pub(crate) struct Evidence<'a> {
    /// The hosts that are not ready, by the names of their StatefulSets.
    pub(crate) hosts: &'a [&'a str],
    pub(crate) sets: &'a [Arc<StatefulSet>],
    pub(crate) pods: &'a [Arc<Pod>],
    pub(crate) claims: &'a [Arc<Claim>],
    pub(crate) events: &'a [Arc<Event>],
    pub(crate) words: &'a Words,
    /// When the change that is waited for was written, by the API server's clock. What is older may be what the change mends.
    pub(crate) written: Option<&'a Time>,
    /// Whether the operator has no more to do for the change: what is wrong now stays so.
    pub(crate) settled: bool,
}

/// One reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The same as long as the reason is the same, also when its words change.
    key: String,
    /// `chi-db-cluster-1-0-0: Pending, 0/3 nodes are available: 3 Insufficient memory`.
    pub(crate) text: String,
    /// Whether it lasts until someone edits something, and how long it is given nevertheless.
    ends: Option<Grace>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grace {
    Image,
    Other,
}

/// What is wrong with each host, in the order of the hosts; one finding a host.
pub(crate) fn findings(evidence: &Evidence<'_>) -> Vec<Finding> {
    evidence.hosts.iter().filter_map(|host| of_host(evidence, host)).collect()
}

fn of_host(evidence: &Evidence<'_>, host: &str) -> Option<Finding> {
    let name = format!("{host}-0");
    let pod = evidence.pods.iter().find(|pod| pod.metadata.name() == name);
    let Some(pod) = pod else { return not_made(evidence, host) };
    let status = pod.status.as_ref()?;
    let fresh = evidence.is_current(pod.metadata.created());
    let found = unscheduled(evidence, pod)
        .or_else(|| {
            status
                .init_container_statuses
                .iter()
                .chain(&status.container_statuses)
                .find_map(|container| of_container(evidence, pod, container))
        })
        .or_else(|| evicted(pod))
        .or_else(|| creating(evidence, pod))
        .or_else(|| unready(evidence, pod))?;
    let (reason, text, ends) = found;
    Some(Finding { key: format!("{name}/{reason}"), text: format!("{name}: {text}"), ends: ends.filter(|_| fresh) })
}

/// Reason (stable), words, and whether it ends the wait.
type Found = (String, String, Option<Grace>);

impl Evidence<'_> {
    fn is_current(&self, at: Option<&Time>) -> bool {
        self.settled || self.written.is_none() || at >= self.written
    }

    /// The newest warning about an object.
    fn warning(&self, kind: &str, name: &str) -> Option<&Event> {
        let about = self.events.iter().filter(|event| event.involved_object.kind == kind && event.involved_object.name == name);
        about.max_by_key(|event| event.at()).map(AsRef::as_ref)
    }

    /// How a container ended: its exit code, and its last words where they are known.
    fn ending(&self, pod: &Pod, container: &Container) -> String {
        let Some(ended) = container.last_state.terminated.as_ref().or(container.state.terminated.as_ref()) else {
            return format!(", started {} times", container.restart_count + 1);
        };
        let reason = ended.reason.as_deref().filter(|reason| *reason != "Error").map(|reason| format!(" ({reason})")).unwrap_or_default();
        let end = Ended { pod: pod.metadata.name().to_owned(), container: container.name.clone(), restarts: container.restart_count };
        let words = ended.message.as_deref().map(shorten).or_else(|| self.words.get(&end).cloned());
        let words = words.map(|words| format!(": {words}")).unwrap_or_default();
        format!(", exit code {}{reason}, started {} times{words}", ended.exit_code, container.restart_count + 1)
    }
}

/// Without a pod, its StatefulSet's events say why none was made, or else it is the operator's doing.
fn not_made(evidence: &Evidence<'_>, host: &str) -> Option<Finding> {
    let Some(event) = evidence.warning("StatefulSet", host) else { return left_out(evidence, host) };
    let message = event.message.as_deref().unwrap_or_default();
    let quota = message.contains("exceeded quota") && evidence.is_current(event.at());
    let text = match message.split_once("exceeded quota: ") {
        Some((_, quota)) => format!("{host}: no pod, the namespace's quota is exceeded: {}", shorten(quota)),
        None => format!("{host}: no pod, {}", shorten(message)),
    };
    Some(Finding { key: format!("{host}/no pod"), text, ends: quota.then_some(Grace::Other) })
}

/// A host for which the operator runs no pod, though it says that it is done.
fn left_out(evidence: &Evidence<'_>, host: &str) -> Option<Finding> {
    let set = evidence.sets.iter().find(|set| set.metadata.name() == host);
    let what = match set {
        None => "no StatefulSet",
        Some(set) if set.spec.replicas == Some(0) => "no pod, its StatefulSet is scaled to 0",
        Some(_) => return None,
    };
    let text = format!("{host}: {what}, though the clickhouse-operator says that it is done; see its log");
    evidence.settled.then(|| Finding { key: format!("{host}/left out"), text, ends: None })
}

fn unscheduled(evidence: &Evidence<'_>, pod: &Pod) -> Option<Found> {
    let status = pod.status.as_ref()?;
    let condition = status.conditions.iter().find(|condition| condition.kind == "PodScheduled" && condition.status == "False")?;
    let suffix = format!("-{}", pod.metadata.name());
    let mut claims = evidence.claims.iter().filter(|claim| claim.metadata.name().ends_with(&suffix));
    if let Some(found) = claims.find_map(|claim| unbound(evidence, claim)) {
        return Some(found);
    }
    let message = condition.message.as_deref().unwrap_or("no node takes it");
    // The scheduler goes on with what evicting others would not help.
    let message = message.split(" preemption:").next().unwrap_or(message).trim_end_matches(['.', ' ']);
    Some(("Unscheduled".to_owned(), format!("Pending, {}", shorten(message)), None))
}

fn unbound(evidence: &Evidence<'_>, claim: &Claim) -> Option<Found> {
    let name = claim.metadata.name();
    let phase = claim.status.as_ref().map_or("Pending", |status| status.phase.as_str());
    if phase == "Bound" {
        return None;
    }
    let class = claim.spec.storage_class_name.as_deref();
    let event = evidence.warning("PersistentVolumeClaim", name).and_then(|event| event.message.as_deref());
    let found = match (class, event) {
        (None, _) => {
            let text = format!("volume {name} is {phase}: the cluster has no default storage class; set `storage.storageClass`");
            ("No class".to_owned(), text, Some(Grace::Other))
        }
        (Some(class), Some(message)) if message.contains("storageclass") && message.contains("not found") => {
            let text = format!(
                "volume {name} is {phase}: the storage class `{class}` does not exist; correct `storage.storageClass`, or create it"
            );
            ("No class".to_owned(), text, Some(Grace::Other))
        }
        (Some(_), Some(message)) => ("Unbound".to_owned(), format!("volume {name} is {phase}: {}", shorten(message)), None),
        (Some(class), None) => ("Unbound".to_owned(), format!("volume {name} is {phase}, of storage class `{class}`"), None),
    };
    Some(found)
}

fn of_container(evidence: &Evidence<'_>, pod: &Pod, container: &Container) -> Option<Found> {
    let waiting = container.state.waiting.as_ref()?;
    let reason = waiting.reason.as_deref()?;
    let message = waiting.message.as_deref().map(|message| format!(": {}", shorten(message))).unwrap_or_default();
    let name = &container.name;
    match reason {
        "ErrImagePull" | "ImagePullBackOff" => {
            let text =
                format!("{reason}, the image `{}` can't be pulled{message}; correct `image`, or give `image.pullSecrets`", container.image);
            Some(("Image".to_owned(), text, Some(Grace::Image)))
        }
        "InvalidImageName" => {
            Some((reason.to_owned(), format!("{reason}, `{}` is no image{message}; correct `image`", container.image), Some(Grace::Other)))
        }
        "CreateContainerConfigError" => {
            let text = format!("{reason} of container `{name}`{message}; create what it refers to, or correct the reference");
            Some((reason.to_owned(), text, Some(Grace::Other)))
        }
        "CrashLoopBackOff" => Some((reason.to_owned(), format!("{reason} of container `{name}`{}", evidence.ending(pod, container)), None)),
        "ContainerCreating" | "PodInitializing" => None,
        other => Some((other.to_owned(), format!("{other} of container `{name}`{message}"), None)),
    }
}

fn evicted(pod: &Pod) -> Option<Found> {
    let status = pod.status.as_ref()?;
    let reason = status.reason.as_deref()?;
    let message = status.message.as_deref().map(|message| format!(": {}", shorten(message))).unwrap_or_default();
    Some((reason.to_owned(), format!("{} ({reason}){message}", status.phase), None))
}

/// While containers are being made, only an event tells of a volume that can't be attached.
fn creating(evidence: &Evidence<'_>, pod: &Pod) -> Option<Found> {
    let status = pod.status.as_ref()?;
    if status.phase != "Pending" {
        return None;
    }
    let node = pod.spec.node_name.as_deref().map(|node| format!(" on node {node}")).unwrap_or_default();
    let text = match evidence.warning("Pod", pod.metadata.name()) {
        Some(event) => format!(
            "starting{node}, {}: {}",
            event.reason.as_deref().unwrap_or("warning"),
            shorten(event.message.as_deref().unwrap_or_default())
        ),
        None => format!("starting{node}"),
    };
    Some(("Starting".to_owned(), text, None))
}

fn unready(evidence: &Evidence<'_>, pod: &Pod) -> Option<Found> {
    let status = pod.status.as_ref()?;
    if let Some(container) = status.container_statuses.iter().find(|container| container.state.terminated.is_some()) {
        return Some(("Ended".to_owned(), format!("container `{}` ended{}", container.name, evidence.ending(pod, container)), None));
    }
    let container = status.container_statuses.iter().find(|container| !container.ready)?;
    let text = match evidence.warning("Pod", pod.metadata.name()) {
        Some(event) => {
            format!("container `{}` runs but is not ready, {}", container.name, shorten(event.message.as_deref().unwrap_or_default()))
        }
        None => format!("container `{}` runs but is not ready yet", container.name),
    };
    Some(("Unready".to_owned(), text, None))
}

/// One line of at most 240 characters.
fn shorten(text: &str) -> String {
    const LONGEST: usize = 240;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= LONGEST {
        return line;
    }
    line.chars().take(LONGEST).chain(['…']).collect()
}

/// Since when each finding has been there.
#[derive(Debug, Default)]
pub(crate) struct Lasting(HashMap<String, Instant>);

/// What findings come to at one moment.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Judged {
    /// Those that have lasted longer than their grace.
    pub(crate) final_reasons: Vec<String>,
    /// When the next one will have.
    pub(crate) again: Option<Instant>,
}

impl Lasting {
    /// Takes note of the findings as of `now`; what isn't found any more is forgotten.
    pub(crate) fn judge(&mut self, findings: &[Finding], graces: &Graces, now: Instant) -> Judged {
        self.0.retain(|key, _| findings.iter().any(|finding| finding.key == *key && finding.ends.is_some()));
        let mut judged = Judged::default();
        for finding in findings {
            let Some(ends) = finding.ends else { continue };
            let since = *self.0.entry(finding.key.clone()).or_insert(now);
            let until = since + if ends == Grace::Image { graces.image } else { graces.other };
            if now >= until {
                judged.final_reasons.push(finding.text.clone());
            } else {
                judged.again = Some(judged.again.map_or(until, |again| again.min(until)));
            }
        }
        judged
    }
}

#[cfg(test)]
mod tests;
