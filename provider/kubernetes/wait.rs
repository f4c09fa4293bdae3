//! The one way to wait: look, report, and come back when something changed, when a grace period ends, when
//! the user stops it, or when the deadline comes.

use std::future::Future;

use tokio::time::{Instant, sleep_until};

use crate::resource::{Context, Failure, FailureKind};

/// What a condition says about what it sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict<T> {
    /// There is nothing more to wait for.
    Done(T),
    /// Not yet.
    Pending(Pending),
    /// It won't come any more: why, the most useful first.
    Failed(FailureKind, Vec<String>),
}

/// Why it isn't done yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pending {
    /// The status line: how far it is, and what holds it up. Changes with the facts only.
    pub progress: String,
    /// What to tell when the deadline comes; the progress when empty.
    pub reasons: Vec<String>,
    /// How far it is, without a reason: what the deadline's message begins with where `reasons` say the rest;
    /// the progress when `None`.
    pub so_far: Option<String>,
    /// When to look again even if nothing changes.
    pub again: Option<Instant>,
    /// What to warn of, once.
    pub warn: Option<String>,
}

/// Something to wait for.
pub trait Condition: Send {
    /// What it gives when it is met.
    type Met: Send;

    /// Looks at everything as of now. Time comes in only here.
    fn evaluate(&mut self, now: Instant) -> Verdict<Self::Met>;

    /// Comes back when what is looked at may have changed since the last look.
    fn changed(&mut self) -> impl Future<Output = ()> + Send;
}

/// Why a wait ended without what it waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotReady {
    /// The class: [`FailureKind::Timeout`] at the deadline, [`FailureKind::Cancelled`] when the user stopped
    /// it.
    pub kind: FailureKind,
    /// What to tell the user, the most useful first. Never empty.
    pub reasons: Vec<String>,
}

impl NotReady {
    /// One reason.
    pub fn new(kind: FailureKind, reason: impl Into<String>) -> Self {
        Self { kind, reasons: vec![reason.into()] }
    }

    /// The same as a failed call of a resource; what exists is to be added.
    #[expect(
        clippy::wrong_self_convention,
        reason = "called as `Error::to_failure` is, beside which it stands"
    )]
    pub fn to_failure<S>(self) -> Failure<S> {
        Failure { kind: self.kind, reasons: self.reasons, partial: None }
    }
}

/// Waits until `condition` is met or fails, `deadline` comes, or the user stops it, whichever is first.
pub async fn wait<C: Condition>(
    ctx: &Context,
    deadline: Instant,
    condition: &mut C,
) -> Result<C::Met, NotReady> {
    let mut shown = String::new();
    loop {
        let now = Instant::now();
        let pending = match condition.evaluate(now) {
            Verdict::Done(met) => return Ok(met),
            Verdict::Failed(kind, reasons) => return Err(NotReady { kind, reasons }),
            Verdict::Pending(pending) => pending,
        };
        if let Some(warning) = &pending.warn {
            ctx.report.warn(warning);
        }
        if now >= deadline {
            return Err(too_late(ctx, now, pending));
        }
        // How often the display changes is up to the reporter, who sees the texts of the whole call.
        if shown != pending.progress {
            ctx.report.status(&pending.progress);
            shown.clone_from(&pending.progress);
        }
        let again = pending.again.filter(|at| *at > now).map_or(deadline, |at| at.min(deadline));
        tokio::select! {
            biased;
            () = ctx.cancel.cancelled() => {
                return Err(NotReady::new(FailureKind::Cancelled, format!("stopped while waiting: \
                    {}", pending.progress)));
            }
            () = condition.changed() => {}
            () = sleep_until(again) => {}
        }
    }
}

/// The time is that of the whole call, of which this wait may be one of several: it is what the user's
/// timeout is about.
fn too_late(ctx: &Context, now: Instant, pending: Pending) -> NotReady {
    let waited = now.duration_since(ctx.started).as_secs();
    let waited = if waited >= 120 { format!("{} minutes", waited / 60) } else { format!("{waited} seconds") };
    let so_far = pending.so_far.unwrap_or(pending.progress);
    let first = format!("gave up waiting after {waited}: {so_far}");
    let more: Vec<_> = pending.reasons.into_iter().filter(|reason| !first.contains(reason)).collect();
    let reasons = std::iter::once(first).chain(more).collect();
    NotReady { kind: FailureKind::Timeout, reasons }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::kubernetes::fake;

    struct Never;

    impl Condition for Never {
        type Met = ();

        fn evaluate(&mut self, _: Instant) -> Verdict<()> {
            let reasons = vec!["pod a: Pending".to_owned(), "pod b: Pending".to_owned()];
            Verdict::Pending(Pending {
                progress: "0/2 hosts ready · pod a: Pending".to_owned(),
                reasons,
                ..Pending::default()
            })
        }

        async fn changed(&mut self) {
            std::future::pending::<()>().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_deadline_tells_the_whole_calls_time_and_each_reason_once() {
        let (ctx, _display) = fake::context();
        tokio::time::advance(Duration::from_secs(40)).await;
        let late = wait(&ctx, ctx.started + Duration::from_secs(60), &mut Never).await.unwrap_err();
        assert_eq!(
            late.reasons,
            ["gave up waiting after 60 seconds: 0/2 hosts ready · pod a: Pending", "pod b: Pending"]
        );
    }
}
