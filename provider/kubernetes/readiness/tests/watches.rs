//! What waits ask the API server, and what they make of one that goes away.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::kubernetes::fake::Seen;
use crate::kubernetes::observe::Claim;
use crate::kubernetes::watch::{Scope, SharedWatches};

#[tokio::test(start_paused = true)]
async fn waits_share_one_watch_per_kind() {
    let bench = Bench::new();
    bench.installation(in_progress());
    let waits: Vec<_> = (0..50).map(|_| bench.wait(expect(), 20)).collect();
    settle().await;
    bench.host("chi-db-cluster-0-0", true);
    bench.host("chi-db-cluster-0-1", true);
    bench.installation(completed("t1"));
    for wait in waits {
        wait.await.unwrap().unwrap();
    }
    let seen: Vec<_> = bench
        .fake
        .requests()
        .iter()
        .map(|seen| (seen.path.clone(), seen.query.contains("watch=true")))
        .collect();
    assert_eq!(seen.len(), 4, "a list and a watch of two kinds: {seen:?}");
}

#[tokio::test(start_paused = true)]
async fn a_watch_ends_after_its_last_subscriber() {
    let bench = Bench::new();
    bench.installation(completed("t1"));
    bench.host("chi-db-cluster-0-0", true);
    bench.host("chi-db-cluster-0-1", true);
    bench.wait(expect(), 20).await.unwrap().unwrap();
    assert!(bench.fake.open_watches() > 0);
    sleep(Duration::from_secs(5)).await;
    assert_eq!(bench.fake.open_watches(), 0);
}

/// How a watch ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Plain,
    Refused,
    Expired,
    Forgotten,
}

#[tokio::test(start_paused = true)]
async fn what_happened_while_a_watch_was_away_is_not_missed() {
    for end in [End::Plain, End::Refused, End::Expired, End::Forgotten] {
        let bench = Bench::new();
        bench.installation(in_progress());
        bench.host("chi-db-cluster-0-0", true);
        bench.host("chi-db-cluster-0-1", true);
        let waiting = bench.wait(expect(), 20);
        settle().await;
        if end == End::Refused {
            bench.fake.next(2, Method::GET, "watch=true", Reply::status(410, "Expired", "too old"));
        }
        if end == End::Expired {
            bench.fake.expire_watches();
        }
        bench.fake.end_watches();
        bench.installation(completed("t1"));
        if end == End::Forgotten {
            bench.fake.forget_history();
        }
        let served = waiting.await.unwrap();
        assert!(matches!(served, Ok(Served::Ready)), "{end:?}: {served:?}");
        let lists = bench.fake.requests().iter().filter(|seen| !seen.query.contains("watch=true")).count();
        // The wait may be over before both kinds are listed again.
        assert!(if end == End::Plain { lists == 2 } else { (3..=4).contains(&lists) }, "{end:?}: {lists}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_always_refused_its_position_lists_again_with_pauses() {
    let bench = Bench::new();
    bench.installation(in_progress());
    bench.host("chi-db-cluster-0-0", true);
    bench.host("chi-db-cluster-0-1", true);
    let asked = AtomicUsize::new(0);
    bench.fake.script(move |seen| {
        // Who asks without a pause never lets time pass.
        let is_endless = || asked.fetch_add(1, Ordering::Relaxed) >= 1000;
        seen.query
            .contains("watch=true")
            .then(|| if is_endless() { Reply::Hang } else { Reply::status(410, "Expired", "too old") })
    });
    let waiting = bench.wait(expect(), 20);
    sleep(Duration::from_secs(20)).await;
    let of = |watch: bool| {
        let requests = bench.fake.requests();
        let is_such = |seen: &&Seen| {
            seen.path.ends_with("clickhouseinstallations") && seen.query.contains("watch=true") == watch
        };
        requests.iter().filter(is_such).count()
    };
    let (lists, watches) = (of(false), of(true));
    assert!(lists == watches && (5..20).contains(&lists), "{lists} lists, {watches} watches");
    bench.installation(completed("t1"));
    assert!(matches!(waiting.await.unwrap(), Ok(Served::Ready)), "its lists tell it");
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_joined_again_and_again_goes_on() {
    let bench = Bench::new();
    for _ in 0..20 {
        let scope = Scope::OfInstallation("db".to_owned());
        let kind = Kind::PersistentVolumeClaim;
        drop(SharedWatches::subscribe::<Claim>(&bench.session, kind, Some("prod"), &scope));
        sleep(Duration::from_millis(900)).await;
    }
    assert_eq!(bench.fake.count(&Method::GET, "persistentvolumeclaims"), 2, "a list and a watch");
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_restarts_is_told_and_waited_for() {
    let bench = Bench::new();
    bench.installation(in_progress());
    let waiting = bench.wait(expect(), 20);
    settle().await;
    bench.fake.next(12, None, "", Reply::Refuse);
    bench.fake.end_watches();
    sleep(Duration::from_millis(700)).await;
    let told = bench.display.last_status();
    assert!(told.contains("does not answer") || told.contains("failed to reach"), "{told}");
    sleep(Duration::from_secs(12)).await;
    assert_eq!(bench.display.last_status(), "0/2 ready", "it is back, though nothing has changed");
    bench.host("chi-db-cluster-0-0", true);
    bench.host("chi-db-cluster-0-1", true);
    bench.installation(completed("t1"));
    let back = Instant::now();
    assert!(matches!(waiting.await.unwrap(), Ok(Served::Ready)));
    assert!(back.elapsed() < Duration::from_secs(12), "{:?}", back.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_not_allowed_ends_the_wait_with_the_missing_right() {
    let bench = Bench::new();
    bench.fake.on(
        None,
        "statefulsets",
        Reply::forbidden("User \"ci\" cannot list resource \"statefulsets\""),
    );
    bench.installation(in_progress());
    let failed = bench.wait(expect(), 20).await.unwrap().unwrap_err();
    assert_eq!(failed.kind, FailureKind::Forbidden);
    assert!(
        failed.reasons[0].contains("kubectl auth can-i list statefulsets.apps --namespace prod"),
        "{failed:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn of_secrets_only_the_one_that_leaves_is_watched() {
    let bench = Bench::new();
    bench.put(
        Kind::Secret,
        "db-credentials",
        json!({"metadata": {"uid": "s", "finalizers": ["example.com/keep"]}}),
    );
    let object = ObjectRef::new(Kind::Secret, "prod", "db-credentials");
    let leaving = DeletedObject { object, uid: Some("s".into()), revision: None };
    let (session, ctx) = (bench.session.clone(), bench.ctx.clone());
    let waiting = tokio::spawn(async move {
        await_deletion(&session, &ctx, Instant::now() + Duration::from_secs(60), vec![leaving]).await
    });
    settle().await;
    bench.delete(Kind::Secret, "db-credentials");
    assert_eq!(waiting.await.unwrap(), Ok(()));
    let (all, one) = (
        bench.fake.count(&Method::GET, "/secrets"),
        bench.fake.count(&Method::GET, "fieldSelector=metadata.name%3Ddb-credentials"),
    );
    assert_eq!((all, one), (2, 2), "a list and a watch");
}
