//! Waiting for the end of a Job.

use tokio::time::Instant;

use super::{Written, permanent_error, watch_trouble};
use crate::kubernetes::client::Session;
use crate::kubernetes::meta::Kind;
use crate::kubernetes::observe::Job;
use crate::kubernetes::wait::{Condition, NotReady, Pending, Verdict, wait};
use crate::kubernetes::watch::{Scope, SharedWatches, Snapshot, Subscription};
use crate::resource::{Context, FailureKind};

/// How a Job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobEnd {
    /// It has done its work.
    Complete,
    /// It has given up.
    Failed,
}

/// Waits until a Job that this provider made, and wrote last as `written` says, is over.
pub async fn await_job(
    session: &Session,
    ctx: &Context,
    deadline: Instant,
    namespace: &str,
    name: &str,
    written: Written,
) -> Result<JobEnd, NotReady> {
    let jobs = SharedWatches::subscribe(session, Kind::Job, Some(namespace), &Scope::Ours(name.to_owned()));
    let watching = Watching { jobs, name: name.to_owned(), written, started: Instant::now() };
    wait(ctx, deadline, &mut { watching }).await
}

struct Watching {
    jobs: Subscription<Job>,
    name: String,
    written: Written,
    started: Instant,
}

impl Condition for Watching {
    type Met = JobEnd;

    fn evaluate(&mut self, _: Instant) -> Verdict<JobEnd> {
        judge(&self.name, &self.written, &self.jobs.snapshot(), self.started)
    }

    async fn changed(&mut self) {
        self.jobs.changed().await;
    }
}

fn judge(name: &str, written: &Written, jobs: &Snapshot<Job>, started: Instant) -> Verdict<JobEnd> {
    if let Some((kind, reasons)) = permanent_error(jobs.trouble.as_ref()) {
        return Verdict::Failed(kind, reasons);
    }
    let job =
        jobs.named(name).filter(|job| written.uid.as_deref().is_none_or(|uid| uid == job.metadata.uid()));
    match job {
        Some(job) => {
            let is = |kind| job.status.as_ref().is_some_and(|status| status.is(kind));
            if is("Complete") {
                return Verdict::Done(JobEnd::Complete);
            }
            if is("Failed") {
                return Verdict::Done(JobEnd::Failed);
            }
        }
        None if jobs.is_newer_than(started, written.revision) => {
            let reason = format!("Job {name} was deleted by another client before it was done");
            return Verdict::Failed(FailureKind::Precondition, vec![reason]);
        }
        None => {}
    }
    let waiting = format!("restoring the backup: waiting for Job {name}");
    let progress = jobs.trouble.as_ref().map_or(waiting, watch_trouble);
    Verdict::Pending(Pending { progress, ..Pending::default() })
}
