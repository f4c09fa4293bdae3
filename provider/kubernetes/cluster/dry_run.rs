//! EFFECT: sends a preview's manifests to the API server as a dry run, so that missing rights, refused values
//! and conflicts show before anything is changed.

use futures::future::join_all;

use super::aspects::{ClusterArgs, Naming, ValidatedCluster};
use super::existing::Reads;
use super::live::Live;
use super::manifest::{self, Login};
use super::objects::{Objects, Row, TABLE, read};
use super::state::ClusterState;
use super::{Failed, existing, kube_context, survey, task, validate};
use crate::kubernetes::client::Api;
use crate::kubernetes::error::{Error, Reach};
use crate::kubernetes::objects::{self, Write};
use crate::resource::{Context, Failure, Known};

/// Tries a creation out, and gives the cluster that it would make: one of this stack's that is there already
/// is taken over. What does not exist yet (the namespace, the operator's definitions, the API server itself)
/// is a warning: it may come in the same run.
pub(super) async fn create(
    api: &Api,
    ctx: &Context,
    new: &Known<ClusterArgs>,
    mut cluster: ValidatedCluster,
) -> Result<ValidatedCluster, Failed> {
    let mut incarnation = None;
    match Box::pin(existing::read(api, &cluster, Reads::All)).await {
        Ok(there) => {
            there.refuse_unowned(ctx, &cluster)?;
            if let Some((kept, _)) = there.take_over(api, ctx, new).await? {
                cluster = validate::validate(&kept)?;
                there.tell_effects(ctx, &kept, &cluster);
            }
            survey::before_create(api, ctx, &cluster, there.is_continued()).await;
            incarnation = there.incarnation();
        }
        // A plugin that hangs is not waited for twice.
        Err(error) if matches!(error, Error::Cancelled { .. }) || error.reach() == Reach::NoCredentials => {
            return Err(error.to_failure());
        }
        Err(error) if error.is_unreachable() => {
            warn(ctx, &error.to_string());
            return Ok(cluster);
        }
        // The dry run meets the same obstacle, and tells it together with others.
        Err(_) => {}
    }
    let state = ClusterState { incarnation, ..ClusterState::default() };
    dry_run(api, ctx, &cluster, &Login::default(), Some(&state)).await?;
    Ok(cluster)
}

/// Tries an update out, on the very objects that `state` tells of. Gives those that show what is live of the
/// cluster that `last` was; `None` where nobody answers.
pub(super) async fn update(
    api: &Api,
    ctx: &Context,
    last: &ValidatedCluster,
    cluster: &ValidatedCluster,
    login: &Login,
    state: Option<&ClusterState>,
) -> Result<Option<Objects>, Failed> {
    let recorded = state.and_then(|state| state.kubernetes.as_ref());
    match kube_context::verified(api, &cluster.naming.namespace, recorded).await {
        Err(error) if error.is_unreachable() => {
            warn(ctx, &error.to_string());
            return Ok(None);
        }
        Err(error @ (Error::Elsewhere { .. } | Error::Cancelled { .. })) => return Err(error.to_failure()),
        _ => {}
    }
    let uids = state.map(|state| state.uids.clone()).unwrap_or_default();
    let Naming { namespace, name, .. } = &cluster.naming;
    let unknown = |row: &Row| row.is_own() && row.is_wanted(cluster) && uids[row.part].is_none();
    let asks = |row: &Row| unknown(row) || Live::shows(row, last);
    let found = match Box::pin(read(api, namespace, name, false, asks)).await {
        // The dry run tells it.
        Err(error) if error.is_premature() => None,
        found => Some(found.map_err(|error| error.to_failure())?),
    };
    if let Some(found) = &found {
        existing::refuse_foreign(ctx, cluster, &uids, found)?;
    }
    dry_run(api, ctx, cluster, login, state).await?;
    Ok(found)
}

async fn dry_run(
    api: &Api,
    ctx: &Context,
    cluster: &ValidatedCluster,
    login: &Login,
    state: Option<&ClusterState>,
) -> Result<(), Failed> {
    let nothing = ClusterState::default();
    let state = state.unwrap_or(&nothing);
    let mut manifests = manifest::build(cluster, &ctx.urn, login, &task::new_id());
    manifests = manifest::identified(manifests, &state.uids, state.incarnation.as_deref());
    let write =
        Write { dry_run: true, force: cluster.operations.force_conflicts, adopt: cluster.adopted.is_some() };
    let each = TABLE.iter().filter_map(|row| manifests[row.part].as_ref());
    let results = join_all(each.map(|manifest| objects::apply(api, manifest, write))).await;
    let mut told: Vec<String> = Vec::new();
    let mut reasons: Vec<Error> = Vec::new();
    for error in results.into_iter().filter_map(Result::err) {
        match error {
            Error::NamespaceMissing { .. } if manifests.namespace.is_some() => {}
            error if error.is_premature() => {
                let text = error.to_string();
                if !told.contains(&text) {
                    warn(ctx, &text);
                    told.push(text);
                }
            }
            error => reasons.push(error),
        }
    }
    let Some(first) = reasons.first() else { return Ok(()) };
    let kind = first.kind();
    let mut reasons: Vec<_> = reasons.iter().map(ToString::to_string).collect();
    reasons.dedup();
    Err(Failure { kind, reasons, partial: None })
}

fn warn(ctx: &Context, text: &str) {
    ctx.report.warn(&format!("server-side dry run skipped: {text}"));
}
