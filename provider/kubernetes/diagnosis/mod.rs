//! Why a host does not come up: from its pod, its volumes and the events about them, to words. Pure.

mod ages;
mod crash_logs;
mod volumes;

pub(crate) use ages::FindingAges;
pub use ages::GracePeriods;
pub(crate) use crash_logs::{ContainerExit, CrashLogs, ended, relevant_line};

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use self::crash_logs::is_quoted;
use self::volumes::{of_storage, template_of, unbound};
use crate::kubernetes::observe::{Claim, Condition, Container, Event, Pod, Quota, StatefulSet};

/// The inputs that mend what keeps hosts from coming up, as the resource that waits for them calls these.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Remedies {
    /// What says the image, in quotes: one input, or either of two.
    pub image: &'static str,
    /// The image's pull secrets.
    pub pull_secrets: &'static str,
    /// The storage classes, by the claim template that they are of.
    pub storage_classes: &'static [(&'static str, &'static str)],
    /// The storage class of every other claim template.
    pub other_storage_class: &'static str,
}

impl Remedies {
    /// The property that says the storage class of a template's claims.
    pub fn storage_class(&self, template: &str) -> &'static str {
        let known = self.storage_classes.iter().find(|(of, _)| *of == template);
        known.map_or(self.other_storage_class, |(_, property)| property)
    }
}

/// Everything that says why hosts are not ready.
pub(crate) struct Evidence<'a> {
    /// The installation's name, which the row need not repeat.
    pub(crate) name: &'a str,
    /// The hosts that are not ready, by the names of their StatefulSets.
    pub(crate) hosts: &'a [&'a str],
    pub(crate) sets: &'a [Arc<StatefulSet>],
    pub(crate) pods: &'a [Arc<Pod>],
    pub(crate) claims: &'a [Arc<Claim>],
    pub(crate) events: &'a [Arc<Event>],
    pub(crate) quotas: &'a [Arc<Quota>],
    pub(crate) words: &'a CrashLogs,
    /// When the change that is waited for was written, by the API server's clock. What is older may be what
    /// the change mends.
    pub(crate) written: Option<&'a Time>,
    pub(crate) stage: Stage,
    pub(crate) remedies: Remedies,
}

/// How far the operator is with a change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It works on it, or will.
    #[default]
    Working,
    /// It says that it is done.
    Done,
    /// It says that it gave up.
    GaveUp,
}

/// One reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The same as long as the reason is the same, also when its words change.
    key: String,
    /// `chi-db-cluster-1-0-0: Pending, 0/3 nodes are available: 3 Insufficient memory`.
    pub(crate) text: String,
    /// The same for a row of few characters, the most telling first: `0/3 nodes are available: 3 Insufficient
    /// memory (cluster-1-0)`.
    pub(crate) row: String,
    /// Whether it lasts until someone edits something, and how long it is given nevertheless.
    ends: Option<GracePeriod>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum GracePeriod {
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
    let (subject, found) = match pod {
        None => (host, not_made(evidence, host)?),
        Some(pod) => (name.as_str(), of_pod(evidence, pod)?),
    };
    let row = format!("{} ({})", found.row.as_ref().unwrap_or(&found.text), evidence.short(host));
    Some(Finding {
        key: format!("{subject}/{}", found.reason),
        text: format!("{subject}: {}", found.text),
        row,
        ends: found.ends,
    })
}

fn of_pod(evidence: &Evidence<'_>, pod: &Pod) -> Option<Found> {
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
    Some(Found { ends: found.ends.filter(|_| fresh), ..found })
}

/// What is wrong with a host.
struct Found {
    /// In one word that stays.
    reason: String,
    /// In words.
    text: String,
    /// In fewer words, where these are too many for a row.
    row: Option<String>,
    ends: Option<GracePeriod>,
}

impl Found {
    fn new(reason: impl Into<String>, text: impl Into<String>) -> Self {
        Self { reason: reason.into(), text: text.into(), row: None, ends: None }
    }

    fn row(self, row: impl Into<String>) -> Self {
        Self { row: Some(row.into()), ..self }
    }

    fn ends(self, grace: GracePeriod) -> Self {
        Self { ends: Some(grace), ..self }
    }
}

impl Evidence<'_> {
    fn is_current(&self, at: Option<&Time>) -> bool {
        self.stage != Stage::Working || self.written.is_none() || at >= self.written
    }

    /// A host's name as far as it is not the installation's.
    fn short<'h>(&self, host: &'h str) -> &'h str {
        let rest = host
            .strip_prefix("chi-")
            .or_else(|| host.strip_prefix(KEEPERS))
            .and_then(|rest| rest.strip_prefix(self.name));
        rest.and_then(|rest| rest.strip_prefix('-')).unwrap_or(host)
    }

    /// The newest warning about an object.
    fn warning(&self, kind: &str, name: &str) -> Option<&Event> {
        let about = self
            .events
            .iter()
            .filter(|event| event.involved_object.kind == kind && event.involved_object.name == name);
        about.max_by_key(|event| event.at()).map(AsRef::as_ref)
    }

    /// How a container ended: its exit code, and its last words where they are known.
    fn ending(&self, pod: &Pod, container: &Container) -> String {
        let Some(ended) = container.last_state.terminated.as_ref().or(container.state.terminated.as_ref())
        else {
            return format!(", started {} times", container.restart_count + 1);
        };
        let reason = ended
            .reason
            .as_deref()
            .filter(|reason| *reason != "Error")
            .map(|reason| format!(" ({reason})"))
            .unwrap_or_default();
        let end = ContainerExit {
            pod: pod.metadata.name().to_owned(),
            container: container.name.clone(),
            restarts: container.restart_count,
        };
        let message = ended.message.as_deref().filter(|_| is_quoted(container));
        let words = message.map(shorten).or_else(|| self.words.get(&end).cloned());
        let words = words.map(|words| format!(": {words}")).unwrap_or_default();
        format!(
            ", exit code {}{reason}, started {} times{words}",
            ended.exit_code,
            container.restart_count + 1
        )
    }
}

/// What the names of a Keeper's hosts begin with.
const KEEPERS: &str = "chk-";

/// Without a pod, its StatefulSet's events say why none was made, or else it is the operator's doing.
fn not_made(evidence: &Evidence<'_>, host: &str) -> Option<Found> {
    let Some(event) = evidence.warning("StatefulSet", host) else { return left_out(evidence, host) };
    let message = event.message.as_deref().unwrap_or_default();
    let Some((_, quota)) = message.split_once("exceeded quota: ") else {
        return Some(Found::new("no pod", format!("no pod, {}", shorten(message))));
    };
    let quota = shorten(quota);
    let found = Found::new("no pod", format!("no pod, the namespace's quota is exceeded: {quota}"))
        .row(format!("quota exceeded: {quota}"));
    Some(if evidence.is_current(event.at()) { found.ends(GracePeriod::Other) } else { found })
}

/// A host for which the operator runs no pod, though it says that it is done.
fn left_out(evidence: &Evidence<'_>, host: &str) -> Option<Found> {
    if evidence.stage != Stage::Done {
        return None;
    }
    let set = evidence.sets.iter().find(|set| set.metadata.name() == host);
    let what = match set {
        None => "no StatefulSet",
        Some(set) if set.spec.replicas == Some(0) => "no pod, its StatefulSet is scaled to 0",
        Some(_) => return None,
    };
    Some(
        Found::new(
            "left out",
            format!("{what}, though the clickhouse-operator reports completion; see its log"),
        )
        .row(what),
    )
}

fn unscheduled(evidence: &Evidence<'_>, pod: &Pod) -> Option<Found> {
    let message = unscheduled_message(pod)?;
    let suffix = format!("-{}", pod.metadata.name());
    let mut claims = evidence.claims.iter().filter(|claim| claim.metadata.name().ends_with(&suffix));
    if let Some(found) = claims.find_map(|claim| unbound(evidence, claim, template_of(claim, &suffix))) {
        return Some(found);
    }
    // The scheduler goes on with what evicting others would not help.
    let message =
        shorten(message.split(" preemption:").next().unwrap_or(message).trim_end_matches(['.', ',', ' ']));
    let quotas: Vec<_> = if lacks_claim(pod) {
        evidence.quotas.iter().filter_map(|quota| of_storage(quota)).collect()
    } else {
        Vec::new()
    };
    if quotas.is_empty() {
        return Some(Found::new("Unscheduled", format!("Pending, {message}")).row(message));
    }
    let quotas = quotas.join("; ");
    let text = format!(
        "Pending, {message}: the namespace's storage quota may not allow it ({quotas}); raise it, or ask for \
            less"
    );
    let found = Found::new("Storage quota", text).row(format!("storage quota: {quotas}"));
    Some(if evidence.stage == Stage::Working { found } else { found.ends(GracePeriod::Other) })
}

/// Why no node takes a pod, in the scheduler's words.
fn unscheduled_message(pod: &Pod) -> Option<&str> {
    let conditions = &pod.status.as_ref()?.conditions;
    let condition = conditions
        .iter()
        .find(|condition| condition.kind == "PodScheduled" && condition.status == "False")?;
    Some(condition.message.as_deref().unwrap_or("no node takes it"))
}

/// Whether a pod waits for a claim that nobody has made.
pub(crate) fn lacks_claim(pod: &Pod) -> bool {
    unscheduled_message(pod)
        .is_some_and(|message| message.contains("persistentvolumeclaim") && message.contains("not found"))
}

fn of_container(evidence: &Evidence<'_>, pod: &Pod, container: &Container) -> Option<Found> {
    let waiting = container.state.waiting.as_ref()?;
    let reason = waiting.reason.as_deref()?;
    let message =
        waiting.message.as_deref().map(|message| format!(": {}", shorten(message))).unwrap_or_default();
    let (name, image, input) = (&container.name, &container.image, evidence.remedies.image);
    match reason {
        "ErrImagePull" | "ImagePullBackOff" => {
            let text = format!(
                "{reason}, the image `{image}` can't be pulled{message}; correct {input}, or give \
                    `{secrets}`",
                secrets = evidence.remedies.pull_secrets
            );
            Some(
                Found::new("Image", text)
                    .row(format!("can't pull `{image}`{message}"))
                    .ends(GracePeriod::Image),
            )
        }
        "InvalidImageName" => {
            let invalid = format!("`{image}` is not a valid image name");
            Some(
                Found::new(reason, format!("{reason}, {invalid}{message}; correct {input}"))
                    .row(invalid)
                    .ends(GracePeriod::Other),
            )
        }
        "CreateContainerConfigError" => {
            let text = format!(
                "{reason} of container `{name}`{message}; create what it refers to, or correct the reference"
            );
            Some(Found::new(reason, text).row(format!("{reason}{message}")).ends(GracePeriod::Other))
        }
        "CrashLoopBackOff" => {
            let ending = evidence.ending(pod, container);
            Some(
                Found::new(reason, format!("{reason} of container `{name}`{ending}"))
                    .row(format!("{reason}{ending}")),
            )
        }
        "ContainerCreating" | "PodInitializing" => None,
        other => Some(
            Found::new(other, format!("{other} of container `{name}`{message}"))
                .row(format!("{other}{message}")),
        ),
    }
}

fn evicted(pod: &Pod) -> Option<Found> {
    let status = pod.status.as_ref()?;
    let reason = status.reason.as_deref()?;
    let message =
        status.message.as_deref().map(|message| format!(": {}", shorten(message))).unwrap_or_default();
    Some(Found::new(reason, format!("{} ({reason}){message}", status.phase)))
}

/// While containers are being made, only an event tells of a volume that can't be attached.
fn creating(evidence: &Evidence<'_>, pod: &Pod) -> Option<Found> {
    let status = pod.status.as_ref()?;
    if status.phase != "Pending" {
        return None;
    }
    let node = pod.spec.node_name.as_deref().map(|node| format!(" on node {node}")).unwrap_or_default();
    let Some(event) = evidence.warning("Pod", pod.metadata.name()) else {
        return Some(Found::new("Starting", format!("starting{node}")));
    };
    let what = format!(
        "{}: {}",
        event.reason.as_deref().unwrap_or("warning"),
        shorten(event.message.as_deref().unwrap_or_default())
    );
    Some(Found::new("Starting", format!("starting{node}, {what}")).row(what))
}

fn unready(evidence: &Evidence<'_>, pod: &Pod) -> Option<Found> {
    let status = pod.status.as_ref()?;
    if let Some(container) =
        status.container_statuses.iter().find(|container| container.state.terminated.is_some())
    {
        let ending = evidence.ending(pod, container);
        return Some(
            Found::new("ContainerExit", format!("container `{}` ended{ending}", container.name))
                .row(format!("ended{ending}")),
        );
    }
    let Some(container) = status.container_statuses.iter().find(|container| !container.ready) else {
        return cut_off(evidence, pod);
    };
    let runs = format!("container `{}` runs but is not ready", container.name);
    Some(match evidence.warning("Pod", pod.metadata.name()) {
        Some(event) => {
            let message = shorten(event.message.as_deref().unwrap_or_default());
            Found::new("Unready", format!("{runs}, {message}")).row(message)
        }
        None => Found::new("Unready", format!("{runs} yet")).row("runs but is not ready yet"),
    })
}

/// A pod whose containers are ready, but which itself is not, or which does not go: its node is silent, or a
/// readiness gate is closed.
fn cut_off(evidence: &Evidence<'_>, pod: &Pod) -> Option<Found> {
    let status = pod.status.as_ref()?;
    let is_unready = |condition: &Condition| condition.kind == "Ready" && condition.status != "True";
    let what = if pod.metadata.is_deleting() {
        "Terminating"
    } else if status.conditions.iter().any(is_unready) {
        "not ready though its containers are"
    } else {
        return None;
    };
    let node = pod.spec.node_name.as_deref().map(|node| format!(" on node {node}")).unwrap_or_default();
    let event = evidence.warning("Pod", pod.metadata.name()).and_then(|event| event.message.as_deref());
    let event = event.map(|message| format!(", {}", shorten(message))).unwrap_or_default();
    Some(Found::new("Cut off", format!("{what}{node}{event}")))
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

#[cfg(test)]
mod tests;
