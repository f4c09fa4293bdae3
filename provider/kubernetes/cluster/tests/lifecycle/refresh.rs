//! What a refresh, or an import, finds.

use super::*;
use crate::kubernetes::meta::owner_urn;

#[tokio::test]
async fn a_refresh_reads_each_object_once_and_finds_nothing_new() {
    let (cluster, fake) = api();
    for more in [json!({}), json!({"shards": 2, "replicas": 2}), json!({"ingress": {"type": "NodePort"}})] {
        let args = program(more);
        let state = create(&cluster, &args).await.unwrap();
        let before = fake.requests().len();
        let found = cluster
            .read(&context().0, "apps/db", Some(&args), Some(&state))
            .await
            .unwrap()
            .expect("is there");
        // A Keeper, and the Services of its members.
        let expected = if args.layout.replicas == Some(2) { 3 + 2 } else { 3 };
        assert_eq!(fake.requests().len() - before, expected);
        assert_eq!((found.inputs, found.state), (args.clone(), state.clone()));
        cluster.delete(&context().0, "apps/db", Some(&args), Some(&state)).await.unwrap();
    }
}

#[tokio::test]
async fn only_a_definite_absence_counts_as_gone() {
    let (cluster, _) = api();
    assert!(cluster.read(&context().0, "apps/db", None, None).await.unwrap().is_none());
    let (cluster, fake) = api();
    fake.on(None, "altinity", Reply::Text(404, "404 page not found\n"));
    assert!(cluster.read(&context().0, "apps/db", None, None).await.unwrap().is_none());
    let (cluster, fake) = api();
    fake.on(None, "", Reply::forbidden("no"));
    assert_eq!(
        cluster.read(&context().0, "apps/db", None, None).await.unwrap_err().kind,
        FailureKind::Forbidden
    );
}

#[tokio::test]
async fn a_secret_that_was_edited_is_reported_and_mended() {
    let (cluster, fake) = api();
    let args = program(json!({"labels": {"team": "a"}}));
    let state = create(&cluster, &args).await.unwrap();
    let edits: [(&str, Value); 4] = [
        ("/data/username", json!("ZXZl")),
        ("/data/http-url", Value::Null),
        ("/metadata/labels/team", json!("b")),
        ("/metadata/labels/team", Value::Null),
    ];
    for (path, value) in edits {
        let written = fake.at(SECRET).unwrap();
        let (parent, key) = path.rsplit_once('/').unwrap();
        let mut edited = written.clone();
        let fields = edited.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        if value.is_null() {
            fields.remove(key).unwrap()
        } else {
            fields.insert(key.into(), value).unwrap()
        };
        // What others add is theirs.
        edited["data"]["theirs"] = json!("eA==");
        fake.put_at(SECRET, &edited);
        let found = cluster.read(&context().0, "apps/db", Some(&args), Some(&state)).await.unwrap().unwrap();
        assert_eq!(found.state, ClusterState { credentials_secret: None, ..state.clone() }, "{path}");
        assert_eq!(
            cluster.update(&context().0, "apps/db", &args, Some(&found.state), &args).await.unwrap(),
            state,
            "{path}"
        );
        fake.put_at(SECRET, &written);
    }
}

#[tokio::test]
async fn a_lost_secret_or_service_is_reported_and_the_password_kept() {
    let (cluster, fake) = api();
    let args = program(json!({}));
    let state = create(&cluster, &args).await.unwrap();
    fake.remove(SECRET);
    fake.remove(SERVICE);
    let found = cluster.read(&context().0, "apps/db", Some(&args), Some(&state)).await.unwrap().unwrap();
    assert_eq!((found.state.credentials_secret.clone(), found.state.endpoints.clone()), (None, None));
    assert_eq!(found.state.password, state.password);
    let diff = cluster.diff(&found.inputs, Some(&found.state), &Known::all(args.clone()));
    assert_eq!(
        diff.changes.iter().map(|change| change.path.to_string()).collect::<Vec<_>>(),
        ["credentialsSecret", "endpoints"]
    );
    let mended = cluster.update(&context().0, "apps/db", &args, Some(&found.state), &args).await.unwrap();
    assert_ne!(mended.uids, state.uids, "they are new ones");
    assert_eq!(mended, ClusterState { uids: mended.uids.clone(), ..state });
}

#[tokio::test]
async fn a_cluster_without_its_installation_is_not_forgotten() {
    let (cluster, fake) = api();
    let args = program(json!({"replicas": 2}));
    let state = create(&cluster, &args).await.unwrap();
    fake.remove(CHI);
    let found = cluster
        .read(&context().0, "apps/db", Some(&args), Some(&state))
        .await
        .unwrap()
        .expect("its other objects are there");
    assert_eq!(
        (&found.inputs, &found.state.password, &found.state.uids.installation),
        (&args, &state.password, &None)
    );
    let diff = cluster.diff(&found.inputs, Some(&found.state), &Known::all(args.clone()));
    assert_eq!(
        diff.changes.iter().map(|change| change.path.to_string()).collect::<Vec<_>>(),
        ["uids.installation"]
    );
    let mended = cluster.update(&context().0, "apps/db", &args, Some(&found.state), &args).await.unwrap();
    assert_eq!(mended, ClusterState { uids: mended.uids.clone(), ..state });
    fake.remove(CHI);
    cluster.delete(&context().0, "apps/db", Some(&args), Some(&found.state)).await.unwrap();
    assert!(fake.objects().is_empty());
}

#[tokio::test]
async fn a_cluster_of_a_renamed_stack_is_not_forgotten_without_its_installation() {
    let (cluster, fake) = api();
    let args = program(json!({}));
    let state = create(&cluster, &args).await.unwrap();
    fake.remove(CHI);
    let renamed = || Context { urn: Urn(urn().0.replace("dev", "prod")), ..context().0 };
    let found = cluster
        .read(&renamed(), "apps/db", Some(&args), Some(&state))
        .await
        .unwrap()
        .expect("its Secret is the one of the state");
    let mended = cluster.update(&renamed(), "apps/db", &args, Some(&found.state), &args).await.unwrap();
    assert_eq!(mended, ClusterState { uids: mended.uids.clone(), ..state });
    assert_eq!(owner_urn(&fake.at(SECRET).unwrap()), Some(renamed().urn.0.as_str()));
}

#[tokio::test]
async fn a_refresh_takes_no_other_installation_for_the_own_one() {
    let (cluster, fake) = api();
    let args = program(json!({}));
    let state = create(&cluster, &args).await.unwrap();
    fake.recreate(CHI);
    let (ctx, display) = context();
    assert!(cluster.read(&ctx, "apps/db", Some(&args), Some(&state)).await.unwrap().is_none());
    assert!(display.warnings()[0].contains("pulumi import clickhouse:kubernetes:Cluster db apps/db"));
}

#[tokio::test]
async fn a_keeper_that_is_lost_before_the_hosts_know_it_is_made_again() {
    let (cluster, fake) = api();
    let (one, two) = (program(json!({})), program(json!({"replicas": 2})));
    let state = create(&cluster, &one).await.unwrap();
    fake.next(1, Method::PATCH, "clickhouseinstallations", Reply::forbidden("no"));
    let failed = cluster.update(&context().0, "apps/db", &one, Some(&state), &two).await.unwrap_err();
    let left = failed.partial.expect("the Keeper is made").state;
    fake.remove(CHK);
    let found = cluster.read(&context().0, "apps/db", Some(&two), Some(&left)).await.unwrap().unwrap();
    assert_eq!((found.inputs.has_keeper(), found.state.uids.keeper.as_ref()), (false, None));
    let made = cluster.update(&context().0, "apps/db", &found.inputs, Some(&found.state), &two).await;
    assert!(made.unwrap().uids.keeper.is_some() && fake.at(CHK).is_some());
}

#[tokio::test]
async fn an_update_that_was_killed_when_the_hosts_knew_the_keeper_can_be_refreshed() {
    let (cluster, fake) = api();
    let (one, two) = (program(json!({})), program(json!({"replicas": 2})));
    let state = create(&cluster, &one).await.unwrap();
    // The state is not written: the provider's process is killed.
    cluster.update(&context().0, "apps/db", &one, Some(&state), &two).await.unwrap();
    assert!(fake.at(CHK).is_some());
    let found = cluster.read(&context().0, "apps/db", Some(&one), Some(&state)).await.unwrap().unwrap();
    assert!(
        found.inputs.has_keeper() && found.state.uids.keeper.is_some(),
        "{:?}",
        found.inputs.coordination
    );
    cluster.update(&context().0, "apps/db", &found.inputs, Some(&found.state), &two).await.unwrap();
}

#[tokio::test]
async fn an_import_knows_the_password_when_the_secret_does() {
    let (cluster, _) = api();
    let args = program(json!({"shards": 2}));
    let state = create(&cluster, &args).await.unwrap();
    let found = cluster.read(&context().0, "apps/db", None, None).await.unwrap().unwrap();
    assert_eq!((found.id.as_str(), &found.state), ("apps/db", &state));
    assert!(
        cluster
            .diff(
                &found.inputs,
                Some(&found.state),
                &Known::all(checked(serde_json::to_value(&found.inputs).unwrap()))
            )
            .changes
            .is_empty()
    );
}

#[tokio::test]
async fn an_id_that_names_no_cluster_is_refused() {
    let (cluster, _) = api();
    for id in ["", "/", "a/", "a/b/c"] {
        assert_eq!(
            cluster.read(&context().0, id, None, None).await.unwrap_err().kind,
            FailureKind::Invalid,
            "{id}"
        );
    }
}
