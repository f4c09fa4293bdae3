//! The wait for an installation's hosts.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_wait_ends_with_the_event_that_completes_it() {
    let bench = Bench::new();
    bench.installation(in_progress());
    bench.host("chi-db-cluster-0-0", true);
    bench.host("chi-db-cluster-0-1", false);
    let waiting = bench.wait(expect(), 20);
    settle().await;
    assert_eq!(bench.display.last_status(), "1/2 ready");
    bench.host("chi-db-cluster-0-1", true);
    bench.installation(completed("t1"));
    let done = Instant::now();
    assert!(matches!(waiting.await.unwrap(), Ok(Served::Ready)));
    assert!(done.elapsed() < Duration::from_millis(100), "{:?}", done.elapsed());
}

#[tokio::test(start_paused = true)]
async fn cancelling_ends_the_wait_at_once() {
    let bench = Bench::new();
    bench.installation(in_progress());
    let waiting = bench.wait(expect(), 20);
    settle().await;
    bench.ctx.cancel.cancel();
    let stopped = Instant::now();
    let failed = waiting.await.unwrap().unwrap_err();
    assert_eq!(failed.kind, FailureKind::Cancelled);
    assert!(stopped.elapsed() < Duration::from_millis(10));
}

#[tokio::test(start_paused = true)]
async fn a_change_recorded_as_done_without_being_done_is_sent_again() {
    let bench = Bench::new();
    bench.host("chi-db-cluster-0-0", true);
    bench.host("chi-db-cluster-0-1", true);
    bench.installation(json!({"status": "Completed", "taskID": "t1", "taskIDsStarted": ["t0"],
        "taskIDsCompleted": ["t1", "t0"]}));
    let served = bench.wait(expect(), 5).await.unwrap();
    assert!(matches!(served, Ok(Served::Ready)), "{served:?}");
    let sent = bench.fake.object(Kind::Installation, "prod", "db").unwrap();
    assert_eq!(sent["spec"]["taskID"], "t2");
}

#[tokio::test(start_paused = true)]
async fn an_installation_that_vanishes_ends_the_wait() {
    let bench = Bench::new();
    bench.installation(in_progress());
    let waiting = bench.wait(expect(), 20);
    settle().await;
    bench.delete(Kind::Installation, "db");
    let failed = waiting.await.unwrap().unwrap_err();
    assert_eq!(failed.reasons, ["ClickHouseInstallation prod/db was deleted by another client"]);
}

#[tokio::test(start_paused = true)]
async fn a_suspended_installation_is_not_waited_for() {
    let bench = Bench::new();
    let served = bench
        .wait(Expect { written: Written { suspended: true, ..expect().written }, ..expect() }, 20)
        .await
        .unwrap();
    assert!(matches!(served, Ok(Served::Suspended)));
    assert!(bench.fake.requests().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_image_that_cannot_be_pulled_ends_the_wait_after_its_grace() {
    let bench = Bench::new();
    bench.installation(in_progress());
    bench.host("chi-db-cluster-0-0", true);
    bench.host("chi-db-cluster-0-1", false);
    let pod = |reason: &str| {
        json!({"metadata": {"uid": "p", "labels": of_installation()}, "spec": {"nodeName": "n1"},
            "status": {"phase": "Pending", "containerStatuses": [{"name": "clickhouse",
                "image": "clickhouse/server:typo",
                "state": {"waiting": {"reason": reason, "message": "not found"}}}]}})
    };
    bench.put(Kind::Pod, "chi-db-cluster-0-1-0", pod("ErrImagePull"));
    let started = Instant::now();
    let waiting = bench.wait(expect(), 20);
    sleep(Duration::from_secs(30)).await;
    bench.put(Kind::Pod, "chi-db-cluster-0-1-0", pod("ImagePullBackOff"));
    settle().await;
    assert!(
        bench
            .display
            .last_status()
            .starts_with("1/2 ready: can't pull `clickhouse/server:typo`: not found (cluster-0-1)"),
        "{}",
        bench.display.last_status()
    );
    let failed = waiting.await.unwrap().unwrap_err();
    assert_eq!(failed.kind, FailureKind::Precondition);
    assert!(failed.reasons[0].contains("`clickhouse/server:typo` can't be pulled"), "{failed:?}");
    let took = started.elapsed().as_secs();
    assert!((60..=70).contains(&took), "{took}");
}

#[tokio::test(start_paused = true)]
async fn a_crash_is_told_with_the_error_of_its_log_where_that_may_be_read() {
    let crashing = |restarts: u32| {
        json!({"metadata": {"uid": "p", "labels": of_installation()}, "spec": {"nodeName": "n1"},
            "status": {"phase": "Running", "containerStatuses": [{"name": "clickhouse",
                "restartCount": restarts,
                "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                    "lastState": {"terminated": {"reason": "Error", "exitCode": 36}}}]}})
    };
    let pod = "chi-db-cluster-0-1-0";
    let ending = "exit code 36, started 2 times: Application: DB::Exception: no such disk";
    for (answer, expected) in [
        (
            Reply::Text(
                200,
                "{} <Information> starting\n{} <Error> Application: DB::Exception: no such disk\n0. main\n",
            ),
            ending,
        ),
        (Reply::forbidden("no"), "exit code 36, started 2 times"),
    ] {
        let bench = Bench::new();
        bench.installation(in_progress());
        bench.host("chi-db-cluster-0-0", true);
        bench.host("chi-db-cluster-0-1", false);
        bench.fake.next(1, Method::GET, "/log?", answer);
        bench.put(Kind::Pod, pod, crashing(1));
        let _waiting = bench.wait(expect(), 20);
        sleep(Duration::from_secs(5)).await;
        assert_eq!(
            bench.display.last_status(),
            format!("1/2 ready: CrashLoopBackOff, {expected} (cluster-0-1)")
        );
        assert_eq!(
            bench
                .fake
                .count(&Method::GET, "/pods/chi-db-cluster-0-1-0/log?container=clickhouse&tailLines=100"),
            1,
            "once for each end"
        );
        bench.put(Kind::Pod, pod, crashing(2));
        settle().await;
        assert_eq!(bench.fake.count(&Method::GET, "/log?"), 2);
    }
}

#[test]
fn credentials_that_fail_during_a_wait_do_not_end_it() {
    assert_eq!(
        permanent_error(Some(&Error::Kubeconfig {
            message: "the plugin ended with exit status: 1".to_owned()
        })),
        None
    );
    assert_eq!(permanent_error(Some(&Error::Unauthorized { message: "expired".to_owned() })), None);
}
