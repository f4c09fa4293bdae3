//! What a delete takes, and what it leaves.

use super::*;

#[tokio::test]
async fn a_destroy_deletes_each_object_once_in_its_order() {
    let (cluster, fake) = api();
    let args = program(json!({"replicas": 2}));
    let state = create(&cluster, &args).await.unwrap();
    let before = fake.requests().len();
    cluster.delete(&context().0, "apps/db", Some(&args), Some(&state)).await.unwrap();
    let deletes = [
        "DELETE services",
        "DELETE clickhouseinstallations",
        "DELETE clickhousekeeperinstallations",
        "DELETE secrets",
    ];
    assert_eq!(requests(&fake)[before], "GET secrets", "whose it is");
    let done: Vec<_> =
        requests(&fake).split_off(before).into_iter().filter(|request| !request.starts_with("GET")).collect();
    assert_eq!(done, deletes);
    assert!(fake.objects().is_empty());
    cluster
        .delete(&context().0, "apps/db", Some(&args), Some(&state))
        .await
        .expect("what is gone already is no error");
}

#[tokio::test]
async fn a_delete_from_the_id_alone_takes_only_what_is_marked() {
    let (cluster, fake) = api();
    create(&cluster, &program(json!({}))).await.unwrap();
    fake.edit(SERVICE, |service| service["metadata"]["labels"] = json!({}));
    cluster.delete(&context().0, "apps/db", None, None).await.unwrap();
    assert_eq!(fake.paths(), [SERVICE]);
}

#[tokio::test]
async fn another_installation_of_the_same_name_is_never_deleted() {
    let (cluster, fake) = api();
    let args = program(json!({}));
    let state = create(&cluster, &args).await.unwrap();
    fake.recreate(CHI);
    let (ctx, display) = context();
    cluster.delete(&ctx, "apps/db", Some(&args), Some(&state)).await.unwrap();
    assert!(fake.at(CHI).is_some() && fake.at(SECRET).is_some());
    assert!(display.warnings()[0].contains("stays untouched"));
}

#[tokio::test]
async fn no_object_is_deleted_in_place_of_ours() {
    let (cluster, fake) = api();
    let args = program(json!({"replicas": 2}));
    let state = create(&cluster, &args).await.unwrap();
    for path in [SECRET, SERVICE, CHK] {
        fake.recreate(path);
    }
    let (ctx, display) = context();
    cluster.delete(&ctx, "apps/db", Some(&args), Some(&state)).await.unwrap();
    assert_eq!(fake.paths(), [SECRET, SERVICE, CHK]);
    assert_eq!(display.warnings().len(), 3);
}

#[tokio::test]
async fn a_suspended_installation_is_woken_only_once_it_is_being_deleted_and_only_that_one() {
    let (cluster, fake) = api();
    let args = program(json!({}));
    let state = create(&cluster, &args).await.unwrap();
    fake.edit(CHI, |installation| {
        installation["metadata"]["finalizers"] = json!(["f"]);
        installation["spec"]["suspend"] = json!("Yes");
    });
    let before = fake.requests().len();
    let operator = async {
        while fake.count(&Method::PATCH, CHI) < 2 {
            tokio::task::yield_now().await;
        }
        fake.edit(CHI, |installation| installation["metadata"]["finalizers"] = json!([]));
    };
    let (ctx, _) = context();
    futures::join!(cluster.delete(&ctx, "apps/db", Some(&args), Some(&state)), operator).0.unwrap();
    let sent: Vec<_> = fake
        .requests()
        .split_off(before)
        .into_iter()
        .filter(|seen| seen.path == CHI && seen.method != Method::GET)
        .collect();
    assert_eq!(sent.iter().map(|seen| seen.method.as_str()).collect::<Vec<_>>(), ["DELETE", "PATCH"]);
    assert_eq!(
        sent[1].body,
        json!({"metadata": {"uid": format!("uid of {CHI}")}, "spec": {"suspend": "no"}})
    );
}

#[tokio::test]
async fn a_keeper_that_hosts_may_still_need_stays_until_an_update_is_waited_for() {
    let (cluster, fake) = api();
    let (old, new) = (
        program(json!({"replicas": 2})),
        program(json!({"coordination": {"type": "None"}, "allowDataLoss": true})),
    );
    let state = create(&cluster, &old).await.unwrap();
    let left = cluster.update(&context().0, "apps/db", &old, Some(&state), &new).await.unwrap();
    assert!(left.uids.keeper == state.uids.keeper && fake.at(CHK).is_some(), "nothing was waited for");
    let found = cluster.read(&context().0, "apps/db", Some(&new), Some(&left)).await.unwrap().unwrap().state;
    assert_eq!(found.uids.keeper, state.uids.keeper);
    let paths = |args: &ClusterArgs| {
        cluster
            .diff(&new, Some(&found), &Known::all(args.clone()))
            .changes
            .iter()
            .map(|change| change.path.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(paths(&new), Vec::<String>::new());
    let mut awaited = new.clone();
    awaited.operations.skip_await = None;
    assert_eq!(paths(&awaited), ["uids.keeper"]);
    cluster.delete(&context().0, "apps/db", Some(&new), Some(&found)).await.unwrap();
    assert!(fake.objects().is_empty());
}
