//! The wait for what is being deleted.

use super::*;

fn leaving() -> DeletedObject {
    DeletedObject {
        object: ObjectRef::new(Kind::Installation, "prod", "db"),
        uid: Some("u1".into()),
        revision: None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_deleted_object_is_waited_for_and_another_of_its_name_is_not() {
    let bench = Bench::new();
    bench.installation(completed("t1"));
    let (session, ctx) = (bench.session.clone(), bench.ctx.clone());
    let waiting = tokio::spawn(async move {
        await_deletion(&session, &ctx, Instant::now() + Duration::from_secs(600), vec![leaving()]).await
    });
    settle().await;
    assert!(!waiting.is_finished());
    bench.delete(Kind::Installation, "db");
    bench.put(Kind::Installation, "db", json!({"metadata": {"uid": "u2"}}));
    assert_eq!(waiting.await.unwrap(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_hanging_finalizer_is_explained() {
    let bench = Bench::new();
    bench.installation(completed("t1"));
    let failed =
        await_deletion(&bench.session, &bench.ctx, Instant::now() + Duration::from_secs(60), vec![leaving()])
            .await
            .unwrap_err();
    assert_eq!(failed.kind, FailureKind::Timeout);
    let told = failed.reasons.join("\n");
    assert!(told.contains("`finalizer.clickhouseinstallation.altinity.com`"), "{told}");
    assert!(told.contains("the clickhouse-operator that has worked here has not reconciled it"), "{told}");
    assert!(
        told.contains("is never removed by this provider") && !told.contains("no clickhouse-operator runs"),
        "{told}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_operator_that_takes_its_time_over_a_deletion_is_not_called_absent() {
    let bench = Bench::new();
    bench.installation(json!({"status": "Terminating"}));
    let failed =
        await_deletion(&bench.session, &bench.ctx, Instant::now() + Duration::from_secs(60), vec![leaving()])
            .await
            .unwrap_err();
    assert_eq!(failed.reasons.len(), 1, "{failed:?}");
    assert!(
        failed.reasons[0].ends_with(
            "`finalizer.clickhouseinstallation.altinity.com` · the clickhouse-operator is at work on it"
        ),
        "{failed:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_hangs_on_a_coordination_server_names_it() {
    for status in ["InProgress", "Terminating"] {
        let bench = Bench::new();
        let mut object = installation("t1", json!({"status": status}));
        object["spec"]["configuration"] =
            json!({"zookeeper": {"nodes": [{"host": "zoo.example", "port": 2181}]}});
        bench.put(Kind::Installation, "db", object);
        let failed = await_deletion(
            &bench.session,
            &bench.ctx,
            Instant::now() + Duration::from_secs(60),
            vec![leaving()],
        )
        .await
        .unwrap_err();
        let told = failed.reasons.join("\n");
        assert!(
            told.contains("the coordination server `zoo.example:2181` may be out of the operator's reach"),
            "{status}: {told}"
        );
        assert!(!told.contains("install it with"), "{status}: {told}");
        assert!(
            bench.display.last_status().starts_with("deletion hangs: the coordination server"),
            "{}",
            bench.display.last_status()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_deletion_of_a_suspended_installation_tells_that_it_is() {
    let bench = Bench::new();
    let mut object = installation("t1", completed("t1"));
    object["spec"]["suspend"] = json!("yes");
    bench.put(Kind::Installation, "db", object);
    let failed =
        await_deletion(&bench.session, &bench.ctx, Instant::now() + Duration::from_secs(60), vec![leaving()])
            .await
            .unwrap_err();
    assert!(failed.reasons.iter().any(|reason| reason.starts_with("it is suspended")), "{failed:?}");
}

#[test]
fn a_coordination_server_is_external_unless_it_is_a_member_of_the_own_keeper() {
    let servers = [
        "keeper-db:2181",
        "keeper-db.prod.svc:2181",
        "chk-db-cluster-0-1:2181",
        "chk-dbx-cluster-0-0:2181",
        "zoo.example:2181",
    ]
    .map(str::to_owned);
    assert_eq!(external(&servers, "db"), ["chk-dbx-cluster-0-0:2181", "zoo.example:2181"]);
}
