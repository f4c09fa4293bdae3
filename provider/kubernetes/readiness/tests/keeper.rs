//! The waits for a Keeper.

use super::*;

const MEMBER: &str = "chk-db-cluster-0-0";

fn keeper(generation: i64, status: Value) -> Value {
    let mut keeper = json!({"metadata": {"uid": "k", "generation": generation}, "spec": {}});
    if !status.is_null() {
        keeper["status"] = status;
    }
    keeper
}

/// A StatefulSet that serves, controlled by the Keeper of this unique id.
fn member(owner: &str) -> Value {
    json!({"metadata": {"generation": 1, "labels": of_keeper(),
            "ownerReferences": [{"kind": "ClickHouseKeeperInstallation", "uid": owner, "controller": true}]},
        "spec": {"replicas": 1}, "status": {"observedGeneration": 1, "replicas": 1, "readyReplicas": 1,
            "updatedReplicas": 1}})
}

fn expect_keeper(generation: i64) -> ExpectKeeper {
    ExpectKeeper {
        namespace: "prod".into(),
        name: "db".into(),
        written: Written { uid: Some("k".into()), generation: Some(generation), ..Written::default() },
        hosts: vec![MEMBER.into()],
        ..ExpectKeeper::default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_keeper_serves_when_its_members_do_and_a_changed_one_when_its_change_is_through() {
    let keeper = |generation: i64, completed: i64| {
        let status = if completed == generation { "Completed" } else { "InProgress" };
        keeper(
            generation,
            json!({"status": status, "normalized": {"metadata": {"generation": generation}},
            "normalizedCompleted": {"metadata": {"generation": completed}}}),
        )
    };
    // Stuck in progress, but new: its members are of this change.
    let cases = [(1, 0, 0), (2, 2, 0), (2, 1, 150)];
    for (generation, completed, seconds) in cases {
        let bench = Bench::new();
        bench.put(Kind::KeeperInstallation, "db", keeper(generation, completed));
        bench.put(Kind::StatefulSet, MEMBER, member("k"));
        let started = Instant::now();
        await_keeper(
            &bench.session,
            &bench.ctx,
            started + Duration::from_secs(600),
            expect_keeper(generation),
        )
        .await
        .unwrap();
        assert_eq!(started.elapsed().as_secs(), seconds, "generation {generation}, completed {completed}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_members_of_a_keeper_that_was_there_before_do_not_count() {
    let bench = Bench::new();
    bench.put(Kind::KeeperInstallation, "db", keeper(1, json!({"status": "InProgress"})));
    bench.put(Kind::StatefulSet, MEMBER, member("earlier"));
    bench.put(Kind::StatefulSet, "chk-db-other-0-0", member("earlier"));
    let (session, ctx) = (bench.session.clone(), bench.ctx.clone());
    let waiting = tokio::spawn(async move {
        await_keeper(&session, &ctx, Instant::now() + Duration::from_secs(600), expect_keeper(1)).await
    });
    settle().await;
    assert_eq!(bench.display.last_status(), "Keeper 0/1 ready: the operator is starting its members");
    bench.put(Kind::StatefulSet, MEMBER, member("k"));
    assert_eq!(waiting.await.unwrap(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_keepers_change_that_nobody_took_up_is_not_done_though_its_members_serve() {
    let bench = Bench::new();
    let before = json!({"status": "Completed", "normalized": {"metadata": {"generation": 1}},
        "normalizedCompleted": {"metadata": {"generation": 1}}});
    bench.put(Kind::KeeperInstallation, "db", keeper(2, before));
    bench.put(Kind::StatefulSet, MEMBER, member("k"));
    bench.put(Kind::StatefulSet, "chk-db-cluster-0-1", member("k"));
    let started = Instant::now();
    let (session, ctx) = (bench.session.clone(), bench.ctx.clone());
    let waiting = tokio::spawn(async move {
        await_keeper(&session, &ctx, started + Duration::from_secs(1200), expect_keeper(2)).await
    });
    sleep(Duration::from_secs(200)).await;
    assert_eq!(bench.display.last_status(), "Keeper 2/2 ready: waiting for the operator");
    assert_eq!(bench.display.warnings().len(), 1, "{:?}", bench.display.warnings());
    // Members that are to go take the operator three minutes.
    let taken_up = json!({"status": "InProgress", "pods": ["chk-db-cluster-0-0-0"],
        "normalized": {"metadata": {"generation": 2}}});
    bench.put(Kind::KeeperInstallation, "db", keeper(2, taken_up));
    waiting.await.unwrap().unwrap();
    assert_eq!(started.elapsed().as_secs(), 440);
}

#[tokio::test(start_paused = true)]
async fn a_member_that_an_earlier_change_broke_is_not_told_as_this_ones() {
    let bench = Bench::new();
    let earlier = json!({"status": "InProgress", "normalized": {"metadata": {"generation": 1}}});
    bench.put(Kind::KeeperInstallation, "db", keeper(2, earlier));
    let mut broken = member("k");
    broken["status"]["readyReplicas"] = json!(0);
    bench.put(Kind::StatefulSet, MEMBER, broken);
    let waited =
        await_keeper(&bench.session, &bench.ctx, Instant::now() + Duration::from_secs(60), expect_keeper(2))
            .await;
    let told = "the operator is still at work on an earlier change";
    assert_eq!(bench.display.last_status(), format!("Keeper 0/1 ready: {told}"));
    let failed = waited.unwrap_err();
    assert!(failed.reasons.iter().any(|reason| reason.contains(told)), "{failed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_keepers_change_that_the_operator_passes_over_is_gone_on_with_after_a_while_and_that_is_told() {
    let bench = Bench::new();
    bench.put(
        Kind::KeeperInstallation,
        "db",
        keeper(2, json!({"status": "Completed", "normalized": {"metadata": {"generation": 1}}})),
    );
    bench.put(Kind::StatefulSet, MEMBER, member("k"));
    let started = Instant::now();
    await_keeper(&bench.session, &bench.ctx, started + Duration::from_secs(1200), expect_keeper(2))
        .await
        .unwrap();
    assert_eq!(started.elapsed().as_secs(), 300);
    assert!(
        bench.display.warnings()[1].ends_with("for 5 minutes; continuing, since all members are ready"),
        "{:?}",
        bench.display.warnings()
    );
}

#[tokio::test(start_paused = true)]
async fn a_keeper_is_deleted_only_when_the_operator_has_finished_with_it() {
    let idle = [Value::Null, json!({"status": "Completed"}), json!({"status": "Aborted"})];
    for status in idle {
        let (bench, started) = (Bench::new(), Instant::now());
        bench.put(Kind::KeeperInstallation, "db", keeper(1, status));
        await_keeper_idle(&bench.session, &bench.ctx, started + Duration::from_secs(600), "prod", "db")
            .await
            .unwrap();
        assert!(started.elapsed() < Duration::from_secs(1));
    }
    let bench = Bench::new();
    bench.put(Kind::KeeperInstallation, "db", keeper(1, json!({"status": "InProgress"})));
    let (session, ctx) = (bench.session.clone(), bench.ctx.clone());
    let waiting = tokio::spawn(async move {
        await_keeper_idle(&session, &ctx, Instant::now() + Duration::from_secs(600), "prod", "db").await
    });
    sleep(Duration::from_secs(60)).await;
    assert_eq!(
        bench.display.last_status(),
        "Keeper db: waiting until the operator has finished with it before it is deleted"
    );
    bench.put(
        Kind::KeeperInstallation,
        "db",
        keeper(1, json!({"status": "InProgress", "hostsCompleted": 1})),
    );
    sleep(Duration::from_secs(60)).await;
    assert!(!waiting.is_finished(), "its status moves");
    bench.put(Kind::KeeperInstallation, "db", keeper(1, json!({"status": "Completed"})));
    assert_eq!(waiting.await.unwrap(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_keeper_that_nobody_works_on_is_given_up_waiting_for_with_a_word() {
    let (bench, started) = (Bench::new(), Instant::now());
    bench.put(Kind::KeeperInstallation, "db", keeper(1, json!({"status": "InProgress"})));
    await_keeper_idle(&bench.session, &bench.ctx, started + Duration::from_secs(600), "prod", "db")
        .await
        .unwrap();
    assert_eq!(started.elapsed().as_secs(), 90);
    assert!(
        bench.display.infos()[0].ends_with("its status has not moved for 90 seconds"),
        "{:?}",
        bench.display.infos()
    );
}

#[tokio::test(start_paused = true)]
async fn the_members_of_a_deleted_keeper_are_waited_for_a_minute_at_most() {
    let pod = json!({"metadata": {"uid": "p", "labels": of_keeper()}});
    for stays in [false, true] {
        let (bench, started) = (Bench::new(), Instant::now());
        bench.put(Kind::StatefulSet, MEMBER, member("k"));
        bench.put(Kind::Pod, "chk-db-cluster-0-0-0", pod.clone());
        let (session, ctx) = (bench.session.clone(), bench.ctx.clone());
        let waiting = tokio::spawn(async move {
            await_keeper_left(
                &session,
                &ctx,
                Instant::now() + Duration::from_secs(600),
                "prod",
                "db",
                Some("k"),
            )
            .await
        });
        settle().await;
        bench.delete(Kind::StatefulSet, MEMBER);
        sleep(Duration::from_secs(5)).await;
        assert_eq!(bench.display.last_status(), "Keeper db: 1 members are terminating");
        if !stays {
            bench.delete(Kind::Pod, "chk-db-cluster-0-0-0");
        }
        assert_eq!(waiting.await.unwrap(), Ok(()));
        assert_eq!(started.elapsed().as_secs(), if stays { 60 } else { 5 });
    }
}
