//! What a refresh and a delete make of an API server that does not say what they ask.

use super::*;
use crate::kubernetes::client::Settings;
use crate::kubernetes::cluster::Cluster;
use crate::kubernetes::cluster::state::ClusterState;
use crate::kubernetes::fake::{Fake, Reply, context};
use crate::resource::Resource;

/// Whether a refresh and a delete drop a cluster from the state whose API server answers so; with the
/// warnings of both.
async fn dropped(delete_unreachable: bool, reply: Reply) -> ([bool; 2], Vec<String>) {
    let settings = || Settings { delete_unreachable, ..Settings::default() };
    let (args, state) = (checked(serde_json::json!({"name": "db"})), ClusterState::default());
    let (ctx, display) = context();
    let fake = Fake::scripted(move |_| reply.clone());
    let refreshed =
        Cluster::new(fake.session_under(settings())).read(&ctx, "apps/db", Some(&args), Some(&state)).await;
    let deleted =
        Cluster::new(fake.session_under(settings())).delete(&ctx, "apps/db", Some(&args), Some(&state)).await;
    let warnings = display.warnings.lock().unwrap().clone();
    ([matches!(refreshed, Ok(None)), deleted.is_ok()], warnings)
}

#[tokio::test(start_paused = true)]
async fn a_server_that_refuses_connections_drops_the_cluster_where_that_is_wanted() {
    let (is_dropped, warnings) = dropped(true, Reply::Refuse).await;
    assert_eq!(is_dropped, [true, true]);
    assert_eq!(warnings.len(), 2);
    assert!(
        warnings
            .iter()
            .all(|warning| warning.contains("`deleteUnreachable` is set, so the cluster is dropped")),
        "{warnings:?}"
    );
    assert_eq!(dropped(false, Reply::Refuse).await.0, [false, false]);
}

#[tokio::test(start_paused = true)]
async fn whoever_answers_is_there_whatever_the_answer() {
    let answers = [
        Reply::status(401, "Unauthorized", "Unauthorized"),
        Reply::status(403, "Forbidden", "no: cannot"),
        Reply::Busy(1),
        Reply::status(500, "InternalError", "webhook"),
        Reply::status(503, "ServiceUnavailable", "etcd has no leader"),
        Reply::Text(502, "<html>the proxy's page</html>"),
        Reply::Text(418, "<html>the proxy's page</html>"),
        Reply::Hang,
    ];
    for (index, reply) in answers.into_iter().enumerate() {
        let (is_dropped, warnings) = dropped(true, reply).await;
        assert!(is_dropped == [false, false] && warnings.is_empty(), "{index}: {is_dropped:?} {warnings:?}");
    }
}
