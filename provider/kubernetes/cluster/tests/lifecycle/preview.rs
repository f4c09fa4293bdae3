//! What a preview tries out and tells.

use super::*;
use crate::kubernetes::cluster::state::Uids;

#[tokio::test]
async fn a_preview_changes_nothing_and_foretells_the_outputs() {
    let (cluster, fake) = api();
    let args = program(json!({"ingress": {}}));
    let preview = cluster.preview_create(&context().0, &Known::all(args.clone())).await.unwrap();
    assert!(
        fake.objects().is_empty()
            && fake
                .requests()
                .iter()
                .filter(|seen| seen.method == "PATCH")
                .all(|seen| seen.query.contains("dryRun=All"))
    );
    let made = create(&cluster, &args).await.unwrap();
    let (foretold, real) =
        (serde_json::to_value(preview.state).unwrap(), serde_json::to_value(made).unwrap());
    for (key, value) in real.as_object().unwrap() {
        if !preview.unknown.iter().any(|unknown| unknown.top_level() == Some(key)) {
            assert_eq!(foretold.get(key), Some(value), "{key}");
        }
    }
    let unknown: Vec<_> = preview.unknown.iter().map(ToString::to_string).collect();
    assert_eq!(
        unknown,
        [
            "connection",
            "external.address",
            "external.endpoints",
            "incarnation",
            "kubernetes",
            "password",
            "uids"
        ]
    );
}

#[tokio::test]
async fn a_preview_warns_of_what_may_still_come_and_fails_for_what_will_not() {
    let (cluster, fake) = api();
    fake.on(None, "altinity", Reply::Text(404, "404 page not found\n"));
    let (ctx, display) = context();
    cluster
        .preview_create(&ctx, &Known::all(program(json!({}))))
        .await
        .expect("the operator may be installed in the same run");
    assert!(
        display.warnings().iter().any(|warning| warning.contains("helm install")),
        "{:?}",
        display.warnings()
    );

    let (cluster, fake) = api();
    let rule = "User \"dev\" cannot patch resource \"services\" in API group \"\" in the namespace \"apps\"";
    fake.on(Method::PATCH, SERVICE, Reply::forbidden(&format!("services \"db\" is forbidden: {rule}")));
    let failure = cluster.preview_create(&context().0, &Known::all(program(json!({})))).await.unwrap_err();
    assert!(
        failure.kind == FailureKind::Forbidden && failure.reasons[0].contains("services"),
        "{:?}",
        failure.reasons
    );
}

#[tokio::test(start_paused = true)]
async fn a_server_that_nobody_can_connect_to_is_a_warning_in_a_preview_and_an_error_in_a_create() {
    let (cluster, fake) = api();
    fake.on(None, "", Reply::Refuse);
    let (ctx, display) = context();
    cluster.preview_create(&ctx, &Known::all(program(json!({})))).await.expect("it may come in the same run");
    assert!(
        display.warnings()[0].contains("failed to reach the Kubernetes API server"),
        "{:?}",
        display.warnings()
    );
    let failure = create(&cluster, &program(json!({}))).await.unwrap_err();
    assert!(failure.kind == FailureKind::NoServer && failure.partial.is_none());
    assert!(
        failure.reasons[0].contains("failed to reach the Kubernetes API server"),
        "{:?}",
        failure.reasons
    );
}

#[tokio::test]
async fn a_preview_of_an_update_reads_each_object_once() {
    let (cluster, fake) = api();
    let args = program(json!({"replicas": 2}));
    let made = create(&cluster, &args).await.unwrap();
    let before = fake.requests().len();
    // What the state does not know is read, and what is guarded is, too: the installations are both.
    let state = ClusterState { uids: Uids::default(), ..made };
    let new = Known::all(program(json!({"replicas": 2, "logging": {"level": "debug"}})));
    cluster.preview_update(&context().0, "apps/db", &args, Some(&state), &new).await.unwrap();
    let mut reads: Vec<_> = fake.requests()[before..]
        .iter()
        .filter(|seen| seen.method == Method::GET && !seen.path.ends_with("claims"))
        .map(|seen| seen.path.clone())
        .collect();
    reads.sort_unstable();
    let mut expected = [SECRET, SERVICE, CHK, CHI].map(str::to_owned);
    expected.sort_unstable();
    assert_eq!(reads, expected);
}
