//! Waiting for a `ClickHouseInstallation`.

use std::fmt;
use std::future::Future;

use serde_json::Value;
use tokio::time::Instant;

use super::evidence::EvidenceWatch;
use super::judge::{Incomplete, InstallationCondition, Limits, Step};
use super::watching::Watching;
use super::{QUIET, Written, operator};
use crate::kubernetes::client::Session;
use crate::kubernetes::diagnosis::Remedies;
use crate::kubernetes::error::Error;
use crate::kubernetes::meta::Kind;
use crate::kubernetes::wait::{NotReady, wait};
use crate::kubernetes::watch::{Scope, SharedWatches};
use crate::resource::Context;

/// What a change is to lead to. Printed as the installation's kind and name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expect {
    /// The installation's namespace.
    pub namespace: String,
    /// The installation's name.
    pub name: String,
    /// The `spec.taskID` that was sent with the change.
    pub task_id: String,
    /// What the API server answered to the change.
    pub written: Written,
    /// The StatefulSets that are to be ready, one a host: `chi-<name>-<cluster>-<shard>-<replica>`. Besides
    /// them all that the operator names are waited for, and only these when it names its hosts otherwise.
    pub hosts: Vec<String>,
    /// The inputs to name where hosts don't come up.
    pub remedies: Remedies,
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", Kind::Installation.name(), self.namespace, self.name)
    }
}

/// How a change ended well.
#[derive(Debug, Clone)]
pub enum Served {
    /// Done by the operator, every host ready (or none running, where it is stopped).
    Ready,
    /// Written; the operator does nothing about it as long as it is suspended.
    Suspended,
}

/// Waits until this change's task is started and completed and every host is ready (or, where the
/// installation is stopped, without a pod). A change that suspends the installation is not waited for.
///
/// Warns once when no operator takes the change up. Calls `fresh_task` at most once, when the operator
/// recorded the change as done without doing it, or all of it: it is to send the same change with another
/// `taskID` and to give that and the API server's answer.
pub async fn await_installation<F, Fut>(
    session: &Session,
    ctx: &Context,
    deadline: Instant,
    expect: Expect,
    fresh_task: F,
) -> Result<Served, NotReady>
where
    F: FnOnce(Incomplete) -> Fut + Send,
    Fut: Future<Output = Result<(String, Value), Error>> + Send,
{
    if expect.written.suspended {
        ctx.report.info(&format!(
            "{expect} is suspended: the clickhouse-operator does not reconcile it, so nothing was awaited"
        ));
        return Ok(Served::Suspended);
    }
    let api = session.api(ctx).until(deadline);
    let mut fresh_task = Some(fresh_task);
    let children = Scope::OfInstallation(expect.name.clone());
    // Taken before the watches start, so that their first list is newer.
    let started = Instant::now();
    let mut watching = Watching {
        object: SharedWatches::subscribe(
            session,
            Kind::Installation,
            Some(&expect.namespace),
            &Scope::Name(expect.name.clone()),
        ),
        sets: SharedWatches::subscribe(session, Kind::StatefulSet, Some(&expect.namespace), &children),
        search: None,
        condition: InstallationCondition::new(
            expect.clone(),
            Limits { search_by: deadline.checked_sub(QUIET * 2), ..Limits::default() },
            started,
        ),
    };
    loop {
        match wait(ctx, deadline, &mut watching).await? {
            Step::Ready => return Ok(Served::Ready),
            Step::Search => {
                watching.search = Some(EvidenceWatch::start(api.clone(), &expect.namespace, &children));
            }
            Step::FindOperator => {
                let traces = watching
                    .object
                    .any(|found| found.status.is_some() || !found.metadata.finalizers().is_empty());
                watching.condition.operator = Some(operator::find(&api, traces).await);
            }
            Step::Resubmit(incomplete) => {
                let Some(send) = fresh_task.take() else { continue };
                if incomplete == Incomplete::Interrupted {
                    ctx.report.info(&format!(
                        "{expect}: the clickhouse-operator gave up because it could not reach the API \
                            server; the change is sent again"
                    ));
                }
                let (task_id, answer) = send(incomplete).await?;
                watching.condition.resubmit(task_id, Written::of(&answer), Instant::now());
            }
        }
    }
}
