//! What an update changes, and what it is refused for.

use super::*;

#[tokio::test]
async fn another_password_version_makes_another_password_once() {
    let (cluster, fake) = api();
    fake.script(|seen| {
        (seen.path == CHI && seen.body.to_string().contains("break")).then(|| Reply::forbidden("no"))
    });
    let (old, new) = (program(json!({})), program(json!({"admin": {"passwordVersion": "2"}})));
    let state = create(&cluster, &old).await.unwrap();
    let first = stored_password(&fake);
    let unchanged = cluster
        .update(&context().0, "apps/db", &old, Some(&state), &program(json!({"shards": 2})))
        .await
        .unwrap();
    assert_eq!(unchanged.password.as_deref(), Some(first.as_str()));

    // Interrupted between the Secret and the installation, the rotation is finished and not done again.
    let broken = program(json!({"admin": {"passwordVersion": "2"}, "labels": {"team": "break"}}));
    let failure = cluster.update(&context().0, "apps/db", &old, Some(&state), &broken).await.unwrap_err();
    let second = stored_password(&fake);
    assert_ne!(first, second);
    let left = failure.partial.expect("what exists is kept");
    assert_eq!(left.state.password.as_deref(), Some(second.as_str()));
    let rotated = cluster.update(&context().0, "apps/db", &old, Some(&left.state), &new).await.unwrap();
    assert_eq!(
        (rotated.password.as_deref(), stored_hash(&fake)),
        (Some(second.as_str()), sha256_hex(&second))
    );
}

#[tokio::test]
async fn an_update_never_makes_what_the_state_says_exists() {
    let (cluster, fake) = api();
    let args = program(json!({}));
    let state = create(&cluster, &args).await.unwrap();
    fake.remove(CHI);
    let new = program(json!({"logging": {"level": "debug"}}));
    let preview = cluster
        .preview_update(&context().0, "apps/db", &args, Some(&state), &Known::all(new.clone()))
        .await
        .unwrap_err();
    assert!(
        preview.reasons[0].contains("does not exist") && preview.reasons[0].contains("pulumi refresh"),
        "{:?}",
        preview.reasons
    );
    cluster.update(&context().0, "apps/db", &args, Some(&state), &new).await.unwrap_err();
    assert!(fake.at(CHI).is_none());
}

#[tokio::test]
async fn an_update_that_wrote_nothing_leaves_the_state_as_it_was() {
    let (cluster, fake) = api();
    let args = program(json!({}));
    let state = create(&cluster, &args).await.unwrap();
    fake.on(Method::PATCH, "", Reply::forbidden("no"));
    let rotated = program(json!({"admin": {"passwordVersion": "2"}}));
    let failure = cluster.update(&context().0, "apps/db", &args, Some(&state), &rotated).await.unwrap_err();
    assert!(failure.partial.is_none());
}

/// The remedies that a failed create names: another class, fewer shards.
#[tokio::test(start_paused = true)]
async fn what_was_never_made_is_not_guarded_and_what_was_is() {
    let (cluster, fake) = api();
    let old = checked(json!({"name": "db", "shards": 2, "storage": {"storageClass": "gp9"}}));
    let (ctx, _) = context();
    let new = Known::all(args(json!({"name": "db", "storage": {"storageClass": "gp3"}})));
    let check = || cluster.check(&ctx, &Autonaming::Default, Some(&old), &new);
    assert!(check().await.is_ok(), "there is nothing");
    fake.put_at(CLAIM, &claim("gp9", None));
    assert!(check().await.is_ok(), "no claim ever got a volume");
    fake.put_at(CLAIM, &claim("gp9", Some("pv-1")));
    let refused = told(check().await.unwrap_err());
    assert!(
        refused.iter().any(|reason| reason.starts_with("shards: ") && reason.contains("chi-db-cluster-1-0")),
        "{refused:?}"
    );
    fake.on(None, "", Reply::Refuse);
    let away = Cluster::new(fake.session()).check(&ctx, &Autonaming::Default, Some(&old), &new).await;
    assert!(away.is_err(), "who can't look refuses");
}

#[tokio::test]
async fn a_claim_that_never_got_a_volume_makes_room_for_one_of_the_right_class() {
    let (cluster, fake) = api();
    let old = program(json!({"shards": 2, "storage": {"storageClass": "gp9"}}));
    let state = create(&cluster, &old).await.unwrap();
    let new = program(json!({"shards": 2, "storage": {"storageClass": "gp3"}}));
    fake.put_at(CLAIM, &claim("gp9", Some("pv-1")));
    let refused = cluster.update(&context().0, "apps/db", &old, Some(&state), &new).await.unwrap_err();
    assert!(
        refused.partial.is_none() && refused.reasons[0].starts_with("storage.storageClass: "),
        "{:?}",
        refused.reasons
    );
    let mut pending = claim("gp9", None);
    pending["spec"].as_object_mut().unwrap().remove("volumeName");
    fake.put_at(CLAIM, &pending);
    cluster.update(&context().0, "apps/db", &old, Some(&state), &new).await.unwrap();
    assert!(fake.at(CLAIM).is_none());
}

#[tokio::test]
async fn an_update_is_guarded_against_what_is_live_and_not_only_what_was_typed() {
    let (cluster, fake) = api();
    let old = program(json!({}));
    let state = create(&cluster, &old).await.unwrap();
    // A change to two shards that was half made, or an edit by hand.
    fake.edit(CHI, |chi| chi["spec"]["configuration"]["clusters"][0]["layout"]["shardsCount"] = json!(2));
    fake.put_at(CLAIM, &claim("standard", Some("pv-1")));
    let new = program(json!({"logging": {"level": "debug"}}));
    let preview = cluster
        .preview_update(&context().0, "apps/db", &old, Some(&state), &Known::all(new.clone()))
        .await
        .unwrap_err();
    let update = cluster.update(&context().0, "apps/db", &old, Some(&state), &new).await.unwrap_err();
    for refused in [preview, update] {
        assert!(
            refused.partial.is_none() && refused.reasons[0].contains("chi-db-cluster-1-0"),
            "{:?}",
            refused.reasons
        );
    }
}

#[tokio::test]
async fn shards_that_were_added_by_hand_are_not_removed_without_a_word() {
    let (cluster, fake) = api();
    let old = program(json!({}));
    let state = create(&cluster, &old).await.unwrap();
    fake.edit(CHI, |chi| chi["spec"]["configuration"]["clusters"][0]["layout"]["shardsCount"] = json!(2));
    fake.put_at(CLAIM, &claim("standard", Some("pv-1")));
    let is_refused = |failed: Failure<ClusterState>| {
        let reason = &failed.reasons[0];
        assert!(reason.contains("chi-db-cluster-1-0") && reason.contains("allowDataLoss"), "{reason}");
    };
    // Before anybody has looked, and with leave to take fields over: that is no leave to lose data.
    let careless = program(json!({"forceConflicts": true, "annotations": {"example.com/any": "change"}}));
    is_refused(cluster.update(&context().0, "apps/db", &old, Some(&state), &careless).await.unwrap_err());

    let found = cluster.read(&context().0, "apps/db", Some(&old), Some(&state)).await.unwrap().unwrap();
    assert_eq!(found.inputs.layout.shards, Some(2));
    let (inputs, state) = (found.inputs, found.state);
    let refused = cluster
        .check(&context().0, &Autonaming::Default, Some(&inputs), &Known::all(args(json!({"name": "db"}))))
        .await;
    let refused = told(refused.unwrap_err());
    assert!(refused[0].contains("chi-db-cluster-1-0") && refused[0].contains("allowDataLoss"), "{refused:?}");
    is_refused(cluster.update(&context().0, "apps/db", &inputs, Some(&state), &old).await.unwrap_err());
    let both = program(json!({"shards": 2}));
    let kept = cluster.update(&context().0, "apps/db", &inputs, Some(&state), &both).await.unwrap();
    assert_eq!((kept.uids, fake.at(CLAIM).is_some()), (state.uids, true));
}

#[tokio::test]
async fn a_volume_that_can_not_grow_is_refused_before_anything_is_written() {
    let (cluster, fake) = api();
    fake.put(&storage_class("fixed", false));
    let sized = |size: &str| program(json!({"storage": {"size": size, "storageClass": "fixed"}}));
    let state = create(&cluster, &sized("50Gi")).await.unwrap();
    fake.put_at(VOLUME, &claim("fixed", Some("pv-1")));
    let before = fake.objects();
    let known = Known::all(sized("60Gi"));
    let preview = cluster
        .preview_update(&context().0, "apps/db", &sized("50Gi"), Some(&state), &known)
        .await
        .unwrap_err();
    let update = cluster
        .update(&context().0, "apps/db", &sized("50Gi"), Some(&state), &sized("60Gi"))
        .await
        .unwrap_err();
    for refused in [preview, update] {
        let reason = &refused.reasons[0];
        assert!(
            ["storage.size", "`fixed`", "allowVolumeExpansion"].iter().all(|part| reason.contains(part)),
            "{reason}"
        );
        assert!(refused.partial.is_none());
    }
    assert_eq!(fake.objects(), before);
    assert!(cluster.diff(&sized("50Gi"), Some(&state), &Known::all(sized("50Gi"))).changes.is_empty());
}

/// A create that may not write the installation is followed by a smaller program.
#[tokio::test]
async fn what_a_failed_create_never_made_may_be_taken_back() {
    let (cluster, fake) = api();
    fake.on(Method::PATCH, CHI, Reply::forbidden("User \"weak\" cannot patch resource"));
    let failure = create(&cluster, &program(json!({"shards": 3}))).await.unwrap_err();
    assert!(failure.reasons[0].contains("not allowed to "), "{:?}", failure.reasons);
    let left = failure.partial.expect("the Secret comes first, and is in the state").state;
    let password = stored_password(&fake);
    fake.heal();
    let (old, new) =
        (program(json!({"shards": 3})), args(json!({"name": "db", "skipAwait": true, "shards": 2})));
    let new = cluster.check(&context().0, &Autonaming::Default, Some(&old), &Known::all(new)).await.unwrap();
    cluster
        .preview_update(&context().0, "apps/db", &old, Some(&left), &Known::all(new.clone()))
        .await
        .unwrap();
    let state = cluster.update(&context().0, "apps/db", &old, Some(&left), &new).await.unwrap();
    assert_eq!(
        (state.password.as_deref(), stored_password(&fake).as_str()),
        (Some(password.as_str()), password.as_str())
    );
    cluster.delete(&context().0, "apps/db", Some(&new), Some(&state)).await.unwrap();
    assert_eq!(fake.paths(), Vec::<String>::new());
}
