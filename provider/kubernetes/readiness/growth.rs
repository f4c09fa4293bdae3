//! Waiting until volumes have grown. The operator only asks for it: that it was refused, or takes hours, it
//! does not tell.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::evidence::changed;
use super::watch_trouble;
use crate::kubernetes::client::Session;
use crate::kubernetes::error::Error;
use crate::kubernetes::meta::Kind;
use crate::kubernetes::observe::{Claim, ClaimStatus, Event};
use crate::kubernetes::quantity::shrinks;
use crate::kubernetes::wait::{Condition, NotReady, Pending, Verdict, wait};
use crate::kubernetes::watch::{Scope, SharedWatches, Snapshot, Subscription};
use crate::resource::{Context, FailureKind};

/// How long a state that won't mend itself may last: a claim that still asks for the old size though the
/// operator is done, growth that Kubernetes calls infeasible.
const STUCK: Duration = Duration::from_secs(60);

/// How long the file system of a volume that has grown may take. With an online file system the kubelet does
/// it at once; with others, and where no pod runs, when the pod starts the next time.
const FILE_SYSTEM: Duration = Duration::from_secs(60);

/// The volumes of what grow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// Of the `ClickHouseInstallation` of this name.
    Installation(String),
    /// Of the `ClickHouseKeeperInstallation` of this name.
    Keeper(String),
}

impl Owner {
    /// Its children among all objects of a kind.
    pub fn children(&self) -> Scope {
        match self {
            Self::Installation(name) => Scope::OfInstallation(name.clone()),
            Self::Keeper(name) => Scope::OfKeeper(name.clone()),
        }
    }

    /// The label that its volumes carry.
    pub fn label(&self) -> String {
        match self {
            Self::Installation(name) => format!("clickhouse.altinity.com/chi={name}"),
            Self::Keeper(name) => format!("clickhouse-keeper.altinity.com/chk={name}"),
        }
    }
}

/// Waits until each claim of `wanted` has at least the size beside it, a quantity. Call it when the operator
/// says that it is done.
///
/// A volume whose file system is all that has still to grow counts as grown after a minute, with a word; one
/// that was never bound has nothing to grow. Where claims may not be read that is warned of, and nothing is
/// waited for.
///
/// # Errors
///
/// When one can't grow: nobody asks for the new size a minute after the operator was done, or Kubernetes
/// calls it infeasible; at the deadline; when the user stops it.
pub async fn await_growth(
    session: &Session,
    ctx: &Context,
    deadline: Instant,
    namespace: &str,
    owner: &Owner,
    wanted: Vec<(String, String)>,
) -> Result<(), NotReady> {
    if wanted.is_empty() {
        return Ok(());
    }
    let mut watching = Watching {
        claims: SharedWatches::subscribe(
            session,
            Kind::PersistentVolumeClaim,
            Some(namespace),
            &owner.children(),
        ),
        events: None,
        condition: GrowthCondition { wanted, since: HashMap::new() },
    };
    loop {
        match wait(ctx, deadline, &mut watching).await? {
            Step::Grown(unfinished) => {
                for claim in unfinished {
                    ctx.report.info(&format!(
                        "volume {claim} was resized; its file system follows at the next start of its pod"
                    ));
                }
                return Ok(());
            }
            Step::Unseen(trouble) => {
                ctx.report.warn(&format!("whether the volumes were resized is not known: {trouble}"));
                return Ok(());
            }
            Step::Search => {
                watching.events =
                    Some(SharedWatches::subscribe(session, Kind::Event, Some(namespace), &Scope::Warnings));
            }
        }
    }
}

struct Watching {
    claims: Subscription<Claim>,
    /// Watched once something does not grow at once.
    events: Option<Subscription<Event>>,
    condition: GrowthCondition,
}

impl Condition for Watching {
    type Met = Step;

    fn evaluate(&mut self, now: Instant) -> Verdict<Step> {
        let names = self.condition.wanted.iter().map(|(claim, _)| claim.as_str());
        let events = self.events.as_mut().map(|events| events.about(names));
        let newest = events.map(|events| {
            let mut events: Vec<_> = events
                .into_iter()
                .filter(|event| event.involved_object.kind == "PersistentVolumeClaim")
                .collect();
            events.sort_by(|one, other| one.at().cmp(&other.at()));
            let told = events
                .iter()
                .filter_map(|event| Some((event.involved_object.name.clone(), event.message.clone()?)));
            told.collect::<HashMap<_, _>>()
        });
        self.condition.judge(&self.claims.snapshot(), newest.as_ref(), now)
    }

    async fn changed(&mut self) {
        tokio::select! {
            biased;
            () = self.claims.changed() => {}
            () = changed(self.events.as_mut()) => {}
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// All have grown; of these the file system follows.
    Grown(Vec<String>),
    /// Claims may not be read, and why.
    Unseen(String),
    /// Look at events too.
    Search,
}

struct GrowthCondition {
    wanted: Vec<(String, String)>,
    /// Since when each volume that has not grown is in its state.
    since: HashMap<String, (State, Instant)>,
}

/// How far the growth of one volume is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Grown,
    /// Nobody has asked for it.
    Unasked,
    /// The volume has grown, the file system not yet.
    FileSystem,
    /// Kubernetes says that it won't.
    Infeasible,
    Growing,
}

impl GrowthCondition {
    fn judge(
        &mut self,
        claims: &Snapshot<Claim>,
        events: Option<&HashMap<String, String>>,
        now: Instant,
    ) -> Verdict<Step> {
        match &claims.trouble {
            Some(trouble @ Error::Forbidden { .. }) => {
                return Verdict::Done(Step::Unseen(trouble.to_string()));
            }
            Some(trouble) => {
                return Verdict::Pending(Pending { progress: watch_trouble(trouble), ..Pending::default() });
            }
            None => {}
        }
        if claims.listed.is_none() {
            return Verdict::Pending(Pending {
                progress: "reading the volumes' status".to_owned(),
                ..Pending::default()
            });
        }
        let (mut reasons, mut rows, mut stuck, mut unfinished, mut again) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (name, wanted) in &self.wanted {
            let claim = claims.named(name);
            let state = claim.map_or(State::Growing, |claim| state(claim, wanted));
            let since = match self.since.get(name) {
                Some((known, since)) if *known == state => *since,
                _ => self.since.entry(name.clone()).insert_entry((state, now)).get().1,
            };
            let (limit, why) = match state {
                State::Grown => continue,
                State::FileSystem if now >= since + FILE_SYSTEM => {
                    unfinished.push(name.clone());
                    continue;
                }
                State::FileSystem => (FILE_SYSTEM, Some("its file system is being resized".to_owned())),
                State::Unasked => {
                    (STUCK, Some("the clickhouse-operator has not requested it; see its log".to_owned()))
                }
                State::Infeasible => (STUCK, Some("Kubernetes calls it infeasible".to_owned())),
                State::Growing => (Duration::ZERO, None),
            };
            let told = events
                .and_then(|events| events.get(name))
                .cloned()
                .or_else(|| claim.and_then(condition))
                .or(why);
            let size = claim.and_then(|claim| claim.status.as_ref()?.capacity.storage.as_deref());
            let size = size.map_or_else(|| "is not there".to_owned(), |size| format!("is {size}"));
            let reason = told.as_ref().map(|told| format!(": {told}")).unwrap_or_default();
            let text = format!("volume {name} {size}, wants {wanted}{reason}");
            rows.push(told.unwrap_or_else(|| format!("{size}, wants {wanted}")));
            if matches!(state, State::Unasked | State::Infeasible) && now >= since + limit {
                stuck.push(text.clone());
            }
            again.push(since + limit);
            reasons.push(text);
        }
        let Some(row) = rows.first() else { return Verdict::Done(Step::Grown(unfinished)) };
        if !stuck.is_empty() {
            return Verdict::Failed(FailureKind::Precondition, stuck);
        }
        if events.is_none() {
            return Verdict::Done(Step::Search);
        }
        let counted = format!("{}/{} volumes grown", self.wanted.len() - rows.len(), self.wanted.len());
        let progress = format!("{counted}: {row}");
        Verdict::Pending(Pending {
            progress,
            so_far: Some(counted),
            reasons,
            again: again.into_iter().filter(|at| *at > now).min(),
            warn: None,
        })
    }
}

fn state(claim: &Claim, wanted: &str) -> State {
    let nothing = ClaimStatus::default();
    let status = claim.status.as_ref().unwrap_or(&nothing);
    let Some(size) = status.capacity.storage.as_deref() else {
        return if status.phase == "Pending" { State::Grown } else { State::Growing };
    };
    if !shrinks(wanted, size) {
        return State::Grown;
    }
    let has = |condition: &str| {
        status.conditions.iter().any(|found| found.kind == condition && found.status == "True")
    };
    if claim.spec.resources.requests.storage.as_deref().is_none_or(|asked| shrinks(wanted, asked)) {
        State::Unasked
    } else if has("FileSystemResizePending") {
        State::FileSystem
    } else if status
        .allocated_resource_statuses
        .storage
        .as_deref()
        .is_some_and(|word| word.ends_with("Infeasible"))
    {
        State::Infeasible
    } else {
        State::Growing
    }
}

/// What a condition says is wrong with the growth.
fn condition(claim: &Claim) -> Option<String> {
    let conditions = &claim.status.as_ref()?.conditions;
    let failed = conditions
        .iter()
        .find(|condition| condition.kind.ends_with("ResizeError") && condition.status == "True")?;
    failed.message.clone()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;

    fn claims(claim: &Value) -> Snapshot<Claim> {
        let mut object = claim.clone();
        object["metadata"] = json!({"name": "data-a"});
        Snapshot {
            objects: vec![Arc::new(serde_json::from_value(object).unwrap())],
            listed: Some(Instant::now()),
            revision: 0,
            trouble: None,
        }
    }

    fn claim(asked: &str, size: &str, status: &Value) -> Snapshot<Claim> {
        let mut whole = json!({"spec": {"resources": {"requests": {"storage": asked}}}, "status": status});
        whole["status"]["phase"] = json!("Bound");
        whole["status"]["capacity"] = json!({"storage": size});
        claims(&whole)
    }

    fn judge() -> GrowthCondition {
        GrowthCondition { wanted: vec![("data-a".into(), "100Gi".into())], since: HashMap::new() }
    }

    fn after(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_volume_has_grown_when_its_capacity_says_so() {
        let (now, none) = (Instant::now(), HashMap::new());
        for size in ["100Gi", "102400Mi", "120Gi"] {
            let grown = judge().judge(&claim("100Gi", size, &json!({})), Some(&none), now);
            assert_eq!(grown, Verdict::Done(Step::Grown(Vec::new())), "{size}");
        }
        assert_eq!(
            judge().judge(&claim("100Gi", "50Gi", &json!({})), None, now),
            Verdict::Done(Step::Search)
        );
        let events = HashMap::from([("data-a".to_owned(), "the disk is in use".to_owned())]);
        let Verdict::Pending(pending) =
            judge().judge(&claim("100Gi", "50Gi", &json!({})), Some(&events), now)
        else {
            panic!("not pending")
        };
        assert_eq!(pending.progress, "0/1 volumes grown: the disk is in use");
        assert_eq!(pending.reasons, ["volume data-a is 50Gi, wants 100Gi: the disk is in use"]);
        let unbound = claims(&json!({"spec": {"resources": {"requests": {"storage": "100Gi"}}},
                "status": {"phase": "Pending"}}));
        assert_eq!(
            judge().judge(&unbound, Some(&none), now),
            Verdict::Done(Step::Grown(Vec::new())),
            "nothing is there to grow"
        );
    }

    #[test]
    fn what_nobody_asked_for_or_is_infeasible_ends_the_wait() {
        let none = HashMap::new();
        let infeasible = json!({"allocatedResourceStatuses": {"storage": "ControllerResizeInfeasible"}});
        for (seen, told) in [
            (claim("50Gi", "50Gi", &json!({})), "has not requested it"),
            (claim("100Gi", "50Gi", &infeasible), "Kubernetes calls it infeasible"),
        ] {
            let (started, mut judge) = (Instant::now(), judge());
            assert!(matches!(judge.judge(&seen, Some(&none), started),
                    Verdict::Pending(pending) if pending.again == Some(started + after(60))));
            let ended = judge.judge(&seen, Some(&none), started + after(60));
            assert!(matches!(&ended, Verdict::Failed(_, reasons) if reasons[0].contains(told)), "{ended:?}");
        }
    }

    #[test]
    fn a_file_system_that_waits_for_its_pod_is_not_waited_for() {
        let (started, mut judge, none) = (Instant::now(), judge(), HashMap::new());
        let pending = claim(
            "100Gi",
            "50Gi",
            &json!({"conditions": [{"type": "FileSystemResizePending", "status": "True"}]}),
        );
        assert!(matches!(judge.judge(&pending, Some(&none), started), Verdict::Pending(_)));
        let unfinished = Verdict::Done(Step::Grown(vec!["data-a".to_owned()]));
        assert_eq!(judge.judge(&pending, Some(&none), started + after(60)), unfinished);
    }
}
