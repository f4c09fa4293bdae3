//! Waiting before and after a Keeper is deleted: until the operator has finished with it, and until its
//! members are gone.

use std::time::Duration;

use tokio::time::Instant;

use super::{permanent_error, watch_trouble};
use crate::kubernetes::client::Session;
use crate::kubernetes::error::Error;
use crate::kubernetes::meta::Kind;
use crate::kubernetes::observe::{KeeperInstallation, Pod, StatefulSet};
use crate::kubernetes::wait::{Condition, NotReady, Pending, Verdict, wait};
use crate::kubernetes::watch::{Scope, SharedWatches, Subscription};
use crate::resource::{Context, FailureKind};

/// How long a Keeper's status may stay `InProgress` without any move before the operator counts as away.
const AWAY: Duration = Duration::from_secs(90);

/// How long the members of a deleted Keeper are waited for.
const LEAVING: Duration = Duration::from_secs(60);

/// Waits until the operator has nothing more to do with a Keeper that is to be deleted, or it is not there:
/// operator 0.25 ends as a whole when one is deleted whose members it still asks for. Gives up with a word
/// when its status does not move for 90 seconds.
pub async fn await_keeper_idle(
    session: &Session,
    ctx: &Context,
    deadline: Instant,
    namespace: &str,
    name: &str,
) -> Result<(), NotReady> {
    let mut watching = Idle {
        keeper: SharedWatches::subscribe(
            session,
            Kind::KeeperInstallation,
            Some(namespace),
            &Scope::Name(name.to_owned()),
        ),
        name: name.to_owned(),
        moved: None,
    };
    if wait(ctx, deadline, &mut watching).await? == Step::Away {
        ctx.report.info(&format!(
            "{} {namespace}/{name} is deleted although the clickhouse-operator has not finished with it: its \
                status has not moved for {} seconds",
            Kind::KeeperInstallation.name(),
            AWAY.as_secs()
        ));
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Idle,
    /// It looks as if nobody were at work.
    Away,
}

struct Idle {
    keeper: Subscription<KeeperInstallation>,
    name: String,
    /// The Keeper's revision, and since when it is that.
    moved: Option<(u64, Instant)>,
}

impl Condition for Idle {
    type Met = Step;

    fn evaluate(&mut self, now: Instant) -> Verdict<Step> {
        let snapshot = self.keeper.snapshot();
        match &snapshot.trouble {
            Some(trouble) if trouble.is_absent() => return Verdict::Done(Step::Idle),
            Some(trouble) => return no_news(trouble),
            None => {}
        }
        let progress = format!(
            "Keeper {}: waiting until the operator has finished with it before it is deleted",
            self.name
        );
        if snapshot.listed.is_none() {
            return Verdict::Pending(Pending { progress, ..Pending::default() });
        }
        let working = |keeper: &&KeeperInstallation| {
            keeper.status.as_ref().is_some_and(|status| status.status == "InProgress")
        };
        let Some(keeper) = snapshot.named(&self.name).filter(working) else {
            return Verdict::Done(Step::Idle);
        };
        let revision = keeper.metadata.revision();
        let since = match self.moved {
            Some((known, since)) if known == revision => since,
            _ => self.moved.insert((revision, now)).1,
        };
        if now >= since + AWAY {
            return Verdict::Done(Step::Away);
        }
        Verdict::Pending(Pending { progress, again: Some(since + AWAY), ..Pending::default() })
    }

    async fn changed(&mut self) {
        self.keeper.changed().await;
    }
}

fn no_news<T>(trouble: &Error) -> Verdict<T> {
    match permanent_error(Some(trouble)) {
        Some((kind, reasons)) => Verdict::Failed(kind, reasons),
        None => Verdict::Pending(Pending { progress: watch_trouble(trouble), ..Pending::default() }),
    }
}

/// Waits until the members of a deleted Keeper, of this unique id where that is known, are gone too: nobody
/// but Kubernetes' garbage collection removes them, some time after the Keeper. After a minute, or where they
/// may not be read, they are left to it.
///
/// # Errors
///
/// Only when the user stops it.
pub async fn await_keeper_left(
    session: &Session,
    ctx: &Context,
    deadline: Instant,
    namespace: &str,
    name: &str,
    uid: Option<&str>,
) -> Result<(), NotReady> {
    let scope = Scope::OfKeeper(name.to_owned());
    let mut watching = Left {
        sets: SharedWatches::subscribe(session, Kind::StatefulSet, Some(namespace), &scope),
        pods: SharedWatches::subscribe(session, Kind::Pod, Some(namespace), &scope),
        name: name.to_owned(),
        uid: uid.map(str::to_owned),
    };
    match wait(ctx, deadline.min(Instant::now() + LEAVING), &mut watching).await {
        Err(stopped) if stopped.kind == FailureKind::Cancelled => Err(stopped),
        _ => Ok(()),
    }
}

struct Left {
    sets: Subscription<StatefulSet>,
    pods: Subscription<Pod>,
    name: String,
    uid: Option<String>,
}

impl Condition for Left {
    type Met = ();

    fn evaluate(&mut self, _: Instant) -> Verdict<()> {
        let (sets, pods) = (self.sets.snapshot(), self.pods.snapshot());
        match sets.trouble.as_ref().or(pods.trouble.as_ref()) {
            Some(trouble) if trouble.is_absent() => return Verdict::Done(()),
            Some(trouble) => return no_news(trouble),
            None => {}
        }
        let sets_left =
            sets.objects.iter().filter(|set| set.metadata.is_controlled_by(self.uid.as_deref())).count();
        let left = sets_left.max(pods.objects.len());
        if sets.listed.is_some() && pods.listed.is_some() && left == 0 {
            return Verdict::Done(());
        }
        let progress = format!("Keeper {}: {left} members are terminating", self.name);
        Verdict::Pending(Pending { progress, ..Pending::default() })
    }

    async fn changed(&mut self) {
        tokio::select! {
            biased;
            () = self.sets.changed() => {}
            () = self.pods.changed() => {}
        }
    }
}
