//! Creates of what is there already: `--replace`, and what is left of a run.

use super::*;

/// What `--replace` does: a second create, then the delete of what the first one made.
#[tokio::test]
async fn a_replacement_takes_the_cluster_over_and_its_old_incarnation_deletes_nothing() {
    let (cluster, fake) = api();
    let args = program(json!({"replicas": 2}));
    let first = create(&cluster, &args).await.unwrap();
    let second = create(&cluster, &args).await.unwrap();
    assert_eq!((&second.uids, &second.password), (&first.uids, &first.password));
    assert!(second.incarnation.is_some() && second.incarnation != first.incarnation);
    let (ctx, display) = context();
    cluster.delete(&ctx, "apps/db", Some(&args), Some(&first)).await.unwrap();
    assert_eq!(fake.objects().len(), 4);
    assert!(display.warnings()[0].contains("taken over by a later create"), "{:?}", display.warnings);
    let before = ClusterState { incarnation: None, ..first };
    cluster.delete(&context().0, "apps/db", Some(&args), Some(&before)).await.unwrap();
    assert_eq!(fake.objects().len(), 4, "a state of a release without incarnations is older, too");
    cluster.delete(&context().0, "apps/db", Some(&args), Some(&second)).await.unwrap();
    assert!(fake.objects().is_empty());
}

#[tokio::test]
async fn a_create_that_fails_to_take_over_leaves_the_cluster_to_its_old_incarnation() {
    let (cluster, fake) = api();
    let args = program(json!({}));
    let first = create(&cluster, &args).await.unwrap();
    fake.on(Method::PATCH, "", Reply::forbidden("no"));
    assert!(create(&cluster, &args).await.unwrap_err().partial.is_none());
    fake.heal();
    cluster.delete(&context().0, "apps/db", Some(&args), Some(&first)).await.unwrap();
    assert!(fake.objects().is_empty());
}

#[tokio::test]
async fn taking_a_cluster_over_is_guarded_and_keeps_its_version() {
    let (cluster, fake) = api();
    let made = create(&cluster, &program(json!({"shards": 2, "version": "24.8.1.1"}))).await.unwrap();
    fake.put_at(CLAIM, &claim("standard", Some("pv-1")));
    let fewer = create(&cluster, &program(json!({}))).await.unwrap_err();
    assert!(
        fewer.kind == FailureKind::Invalid && fewer.reasons[0].contains("`chi-db-cluster-1-0`"),
        "{:?}",
        fewer.reasons
    );
    let preview = cluster.preview_create(&context().0, &Known::all(program(json!({})))).await.unwrap_err();
    assert_eq!(preview.reasons, fewer.reasons);
    let same = program(json!({"shards": 2}));
    let kept = create(&cluster, &same).await.unwrap();
    assert_eq!((kept.version.as_str(), &kept.password), ("24.8.1.1", &made.password));
    let image = |fake: &Fake| {
        fake.at(CHI).unwrap()["spec"]["templates"]["podTemplates"][0]["spec"]["containers"][0]["image"]
            .clone()
    };
    assert_eq!(image(&fake), "clickhouse/clickhouse-server:24.8.1.1");
    cluster.update(&context().0, "apps/db", &same, Some(&kept), &same).await.unwrap();
    assert_eq!(image(&fake), "clickhouse/clickhouse-server:24.8.1.1");
    let found = cluster.read(&context().0, "apps/db", Some(&same), Some(&kept)).await.unwrap().unwrap();
    assert_eq!((found.inputs, found.state), (same, kept));
}
