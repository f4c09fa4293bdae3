//! The waits against an API server that answers as a script says.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::installation::Served;
use super::*;
use crate::kubernetes::client::Session;
use crate::kubernetes::diagnose::Remedies;
use crate::kubernetes::meta::{Kind, ObjectRef};
use crate::kubernetes::scripted::{Display, Log, Reply, Seen, context, server};
use crate::resource::Context;

/// A namespace whose objects the test sets, and whose watches tell of each change.
#[derive(Clone, Default)]
struct Cluster(Arc<Mutex<State>>);

type Answer = fn() -> Reply;

#[derive(Default)]
struct State {
    revision: u64,
    objects: HashMap<String, HashMap<String, Value>>,
    /// Everything that happened, for watches that begin in the past.
    history: Vec<(String, u64, Value)>,
    watches: Vec<(String, mpsc::UnboundedSender<Value>)>,
    /// What the next requests are answered instead: part of the path with its query, and the answer.
    instead: Vec<(&'static str, Answer)>,
}

impl Cluster {
    fn answer(&self, seen: &Seen) -> Reply {
        let mut state = self.0.lock().unwrap();
        let target = format!("{}?{}", seen.path, seen.query);
        if let Some(index) = state.instead.iter().position(|(part, _)| target.contains(part)) {
            return state.instead.remove(index).1();
        }
        let plural = seen.path.rsplit('/').next().unwrap().to_owned();
        if seen.query.contains("watch=true") {
            let (sender, events) = mpsc::unbounded_channel();
            let since = seen.query.split('&').find_map(|part| part.strip_prefix("resourceVersion=")?.parse().ok()).unwrap_or(0);
            for (_, _, event) in state.history.iter().filter(|(kind, revision, _)| *kind == plural && *revision > since) {
                sender.send(event.clone()).unwrap();
            }
            state.watches.push((plural, sender));
            return Reply::Watch(events);
        }
        let items: Vec<_> = state.objects.get(&plural).into_iter().flat_map(|objects| objects.values().cloned()).collect();
        Reply::Json(
            200,
            json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": state.revision.to_string()}, "items": items}),
        )
    }

    fn put(&self, kind: Kind, name: &str, mut object: Value) {
        let mut state = self.0.lock().unwrap();
        state.revision += 1;
        object["metadata"]["name"] = json!(name);
        object["metadata"]["resourceVersion"] = json!(state.revision.to_string());
        let known = state.objects.entry(kind.plural().to_owned()).or_default().insert(name.to_owned(), object.clone()).is_some();
        tell(&mut state, kind, if known { "MODIFIED" } else { "ADDED" }, &object);
    }

    fn delete(&self, kind: Kind, name: &str) {
        let mut state = self.0.lock().unwrap();
        state.revision += 1;
        let mut object = state.objects.get_mut(kind.plural()).unwrap().remove(name).unwrap();
        object["metadata"]["resourceVersion"] = json!(state.revision.to_string());
        tell(&mut state, kind, "DELETED", &object);
    }

    /// Ends the watches, after a last line.
    fn drop_watches(&self, last: Option<&Value>) {
        for (_, watch) in self.0.lock().unwrap().watches.drain(..) {
            if let Some(last) = last {
                let _ = watch.send(last.clone());
            }
        }
    }

    fn instead(&self, part: &'static str, reply: Answer) {
        self.0.lock().unwrap().instead.push((part, reply));
    }

    fn installation(&self, status: Value) {
        self.put(Kind::Installation, "db", installation("t1", status));
    }

    /// A host's StatefulSet.
    fn host(&self, name: &str, ready: bool) {
        let ready = i32::from(ready);
        self.put(
            Kind::StatefulSet,
            name,
            json!({"metadata": {"uid": name, "generation": 1, "labels": {"clickhouse.altinity.com/chi": "db"}}, "spec": {"replicas": 1},
                "status": {"observedGeneration": 1, "replicas": 1, "readyReplicas": ready, "updatedReplicas": 1}}),
        );
    }
}

fn tell(state: &mut State, kind: Kind, event: &str, object: &Value) {
    let event = json!({"type": event, "object": object});
    for (_, watch) in state.watches.iter().filter(|(plural, _)| plural == kind.plural()) {
        let _ = watch.send(event.clone());
    }
    state.history.push((kind.plural().to_owned(), state.revision, event));
}

fn installation(task: &str, status: Value) -> Value {
    let mut object = json!({"metadata": {"uid": "u1", "generation": 1, "finalizers": ["finalizer.clickhouseinstallation.altinity.com"]},
        "spec": {"taskID": task}});
    if !status.is_null() {
        object["status"] = status;
    }
    object
}

fn in_progress() -> Value {
    json!({"status": "InProgress", "taskID": "t1", "taskIDsStarted": ["t1"], "hosts": 2, "chop-version": "0.25.6"})
}

fn completed(task: &str) -> Value {
    json!({"status": "Completed", "taskID": task, "taskIDsStarted": [task], "taskIDsCompleted": [task], "hosts": 2})
}

fn expect() -> Expect {
    Expect {
        namespace: "prod".into(),
        name: "db".into(),
        task_id: "t1".into(),
        written: Written { uid: Some("u1".into()), generation: Some(1), ..Written::default() },
        hosts: vec!["chi-db-cluster-0-0".into(), "chi-db-cluster-0-1".into()],
        remedies: Remedies { image: "image", ..Remedies::default() },
    }
}

struct Bench {
    cluster: Cluster,
    session: Session,
    log: Arc<Log>,
    ctx: Context,
    display: Arc<Display>,
}

impl Bench {
    fn new() -> Self {
        let cluster = Cluster::default();
        let script = cluster.clone();
        let (session, log) = server(move |seen| script.answer(seen));
        let (ctx, display) = context();
        Self { cluster, session, log, ctx, display }
    }

    /// Starts a wait with a deadline in `minutes`.
    fn wait(&self, expect: Expect, minutes: u64) -> tokio::task::JoinHandle<Result<Served, NotReady>> {
        let (session, ctx, cluster) = (self.session.clone(), self.ctx.clone(), self.cluster.clone());
        tokio::spawn(async move {
            let deadline = Instant::now() + Duration::from_secs(60 * minutes);
            let again = |_| async move {
                cluster.put(Kind::Installation, "db", installation("t2", completed("t2")));
                Ok(("t2".to_owned(), json!({"metadata": {"uid": "u1", "generation": 1}})))
            };
            await_installation(&session, &ctx, deadline, expect, again).await
        })
    }

    fn infos(&self) -> Vec<String> {
        self.display.infos.lock().unwrap().clone()
    }

    fn warnings(&self) -> Vec<String> {
        self.display.warnings.lock().unwrap().clone()
    }

    fn last_status(&self) -> String {
        self.display.statuses.lock().unwrap().last().cloned().unwrap_or_default()
    }
}

/// Lets everything that can run do so, without much time passing.
async fn settle() {
    sleep(Duration::from_millis(300)).await;
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_with_the_event_that_completes_it() {
    let bench = Bench::new();
    bench.cluster.installation(in_progress());
    bench.cluster.host("chi-db-cluster-0-0", true);
    bench.cluster.host("chi-db-cluster-0-1", false);
    let waiting = bench.wait(expect(), 20);
    settle().await;
    assert_eq!(bench.last_status(), "1/2 ready");
    bench.cluster.host("chi-db-cluster-0-1", true);
    bench.cluster.installation(completed("t1"));
    let done = Instant::now();
    assert!(matches!(waiting.await.unwrap(), Ok(Served::Ready)));
    assert!(done.elapsed() < Duration::from_millis(100), "{:?}", done.elapsed());
}

#[tokio::test(start_paused = true)]
async fn waits_share_one_watch_per_kind() {
    let bench = Bench::new();
    bench.cluster.installation(in_progress());
    let waits: Vec<_> = (0..50).map(|_| bench.wait(expect(), 20)).collect();
    settle().await;
    bench.cluster.host("chi-db-cluster-0-0", true);
    bench.cluster.host("chi-db-cluster-0-1", true);
    bench.cluster.installation(completed("t1"));
    for wait in waits {
        wait.await.unwrap().unwrap();
    }
    let seen: Vec<_> = bench.log.all().iter().map(|seen| (seen.path.clone(), seen.query.contains("watch=true"))).collect();
    assert_eq!(seen.len(), 4, "a list and a watch of two kinds: {seen:?}");
}

#[tokio::test(start_paused = true)]
async fn a_watch_ends_after_its_last_subscriber() {
    let bench = Bench::new();
    bench.cluster.installation(completed("t1"));
    bench.cluster.host("chi-db-cluster-0-0", true);
    bench.cluster.host("chi-db-cluster-0-1", true);
    bench.wait(expect(), 20).await.unwrap().unwrap();
    assert!(!bench.cluster.0.lock().unwrap().watches.iter().all(|(_, watch)| watch.is_closed()));
    sleep(Duration::from_secs(5)).await;
    assert!(bench.cluster.0.lock().unwrap().watches.iter().all(|(_, watch)| watch.is_closed()));
}

#[tokio::test(start_paused = true)]
async fn what_happened_while_a_watch_was_away_is_listed_again() {
    let gone = json!({"type": "ERROR", "object": {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "too old", "reason": "Expired", "code": 410}});
    for last in [None, Some(gone)] {
        let bench = Bench::new();
        bench.cluster.installation(in_progress());
        bench.cluster.host("chi-db-cluster-0-0", true);
        bench.cluster.host("chi-db-cluster-0-1", true);
        let waiting = bench.wait(expect(), 20);
        settle().await;
        if last.is_none() {
            // The position is too old by the time the watch comes back.
            for _ in 0..2 {
                bench.cluster.instead("watch=true", || Reply::status(410, "Expired", "too old"));
            }
        }
        bench.cluster.drop_watches(last.as_ref());
        bench.cluster.installation(completed("t1"));
        let served = waiting.await.unwrap();
        assert!(matches!(served, Ok(Served::Ready)), "{served:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_restarts_is_told_and_waited_for() {
    let bench = Bench::new();
    bench.cluster.installation(in_progress());
    let waiting = bench.wait(expect(), 20);
    settle().await;
    for _ in 0..12 {
        bench.cluster.instead("", || Reply::Refuse);
    }
    bench.cluster.drop_watches(None);
    sleep(Duration::from_millis(700)).await;
    assert!(bench.last_status().contains("does not answer") || bench.last_status().contains("failed to reach"), "{}", bench.last_status());
    sleep(Duration::from_secs(12)).await;
    assert_eq!(bench.last_status(), "0/2 ready", "it is back, though nothing has changed");
    bench.cluster.host("chi-db-cluster-0-0", true);
    bench.cluster.host("chi-db-cluster-0-1", true);
    bench.cluster.installation(completed("t1"));
    let back = Instant::now();
    assert!(matches!(waiting.await.unwrap(), Ok(Served::Ready)));
    assert!(back.elapsed() < Duration::from_secs(12), "{:?}", back.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_not_allowed_ends_the_wait_with_the_missing_right() {
    let bench = Bench::new();
    for _ in 0..3 {
        bench.cluster.instead("statefulsets", || Reply::status(403, "Forbidden", "User \"ci\" cannot list resource \"statefulsets\""));
    }
    bench.cluster.installation(in_progress());
    let failed = bench.wait(expect(), 20).await.unwrap().unwrap_err();
    assert_eq!(failed.kind, FailureKind::Forbidden);
    assert!(failed.reasons[0].contains("kubectl auth can-i list statefulsets.apps --namespace prod"), "{failed:?}");
}

#[tokio::test(start_paused = true)]
async fn cancelling_ends_the_wait_at_once() {
    let bench = Bench::new();
    bench.cluster.installation(in_progress());
    let waiting = bench.wait(expect(), 20);
    settle().await;
    bench.ctx.cancel.cancel();
    let stopped = Instant::now();
    let failed = waiting.await.unwrap().unwrap_err();
    assert_eq!(failed.kind, FailureKind::Cancelled);
    assert!(stopped.elapsed() < Duration::from_millis(10));
}

#[tokio::test(start_paused = true)]
async fn no_operator_is_warned_of_once_and_is_the_reason_at_the_deadline() {
    let bench = Bench::new();
    bench.cluster.put(Kind::Installation, "db", json!({"metadata": {"uid": "u1", "generation": 1}, "spec": {"taskID": "t1"}}));
    let started = Instant::now();
    let waiting = bench.wait(expect(), 5);
    sleep(Duration::from_millis(15_500)).await;
    assert_eq!(bench.warnings().len(), 1, "{:?}", bench.warnings());
    assert!(bench.warnings()[0].contains("no clickhouse-operator runs"), "{:?}", bench.warnings());
    let failed = waiting.await.unwrap().unwrap_err();
    assert_eq!(started.elapsed().as_secs(), 300);
    assert_eq!(failed.kind, FailureKind::Timeout);
    assert!(failed.reasons.iter().any(|reason| reason.contains("helm install")), "{failed:?}");
    assert_eq!(bench.warnings().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_operator_elsewhere_is_named_with_its_namespace() {
    let bench = Bench::new();
    bench.cluster.put(Kind::Installation, "db", json!({"metadata": {"uid": "u1", "generation": 1}, "spec": {"taskID": "t1"}}));
    bench.cluster.put(Kind::Deployment, "clickhouse-operator", json!({"metadata": {"namespace": "ops"}}));
    let _waiting = bench.wait(expect(), 5);
    sleep(Duration::from_millis(15_500)).await;
    assert!(
        bench.warnings()[0].contains("`ops`") && bench.warnings()[0].contains("does not watch namespace `prod`"),
        "{:?}",
        bench.warnings()
    );
}

#[tokio::test(start_paused = true)]
async fn a_change_recorded_as_done_without_being_done_is_sent_again() {
    let bench = Bench::new();
    bench.cluster.host("chi-db-cluster-0-0", true);
    bench.cluster.host("chi-db-cluster-0-1", true);
    bench.cluster.installation(json!({"status": "Completed", "taskID": "t1", "taskIDsStarted": ["t0"], "taskIDsCompleted": ["t1", "t0"]}));
    let served = bench.wait(expect(), 5).await.unwrap();
    assert!(matches!(served, Ok(Served::Ready)), "{served:?}");
    let sent = bench.cluster.0.lock().unwrap().objects["clickhouseinstallations"]["db"].clone();
    assert_eq!(sent["spec"]["taskID"], "t2");
}

#[tokio::test(start_paused = true)]
async fn an_installation_that_vanishes_ends_the_wait() {
    let bench = Bench::new();
    bench.cluster.installation(in_progress());
    let waiting = bench.wait(expect(), 20);
    settle().await;
    bench.cluster.delete(Kind::Installation, "db");
    let failed = waiting.await.unwrap().unwrap_err();
    assert_eq!(failed.reasons, ["ClickHouseInstallation prod/db was deleted by someone else meanwhile"]);
}

#[tokio::test(start_paused = true)]
async fn a_suspended_installation_is_not_waited_for() {
    let bench = Bench::new();
    let served = bench.wait(Expect { written: Written { suspended: true, ..expect().written }, ..expect() }, 20).await.unwrap();
    assert!(matches!(served, Ok(Served::Suspended)));
    assert!(bench.log.all().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_image_that_cannot_be_pulled_ends_the_wait_after_its_grace() {
    let bench = Bench::new();
    bench.cluster.installation(in_progress());
    bench.cluster.host("chi-db-cluster-0-0", true);
    bench.cluster.host("chi-db-cluster-0-1", false);
    let pod = |reason: &str| {
        json!({"metadata": {"uid": "p", "labels": {"clickhouse.altinity.com/chi": "db"}}, "spec": {"nodeName": "n1"},
            "status": {"phase": "Pending", "containerStatuses": [{"name": "clickhouse", "image": "clickhouse/server:typo",
                "state": {"waiting": {"reason": reason, "message": "not found"}}}]}})
    };
    bench.cluster.put(Kind::Pod, "chi-db-cluster-0-1-0", pod("ErrImagePull"));
    let started = Instant::now();
    let waiting = bench.wait(expect(), 20);
    sleep(Duration::from_secs(30)).await;
    bench.cluster.put(Kind::Pod, "chi-db-cluster-0-1-0", pod("ImagePullBackOff"));
    settle().await;
    assert!(
        bench.last_status().starts_with("1/2 ready: can't pull `clickhouse/server:typo`: not found (cluster-0-1)"),
        "{}",
        bench.last_status()
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
        json!({"metadata": {"uid": "p", "labels": {"clickhouse.altinity.com/chi": "db"}}, "spec": {"nodeName": "n1"},
            "status": {"phase": "Running", "containerStatuses": [{"name": "clickhouse", "restartCount": restarts,
                "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {"reason": "Error", "exitCode": 36}}}]}})
    };
    let pod = "chi-db-cluster-0-1-0";
    let ending = "exit code 36, started 2 times: Application: DB::Exception: no such disk";
    for (answer, expected) in [
        (
            (|| Reply::Text(200, "{} <Information> starting\n{} <Error> Application: DB::Exception: no such disk\n0. main\n")) as Answer,
            ending,
        ),
        (|| Reply::status(403, "Forbidden", "no"), "exit code 36, started 2 times"),
    ] {
        let bench = Bench::new();
        bench.cluster.installation(in_progress());
        bench.cluster.host("chi-db-cluster-0-0", true);
        bench.cluster.host("chi-db-cluster-0-1", false);
        bench.cluster.instead("/log?", answer);
        bench.cluster.put(Kind::Pod, pod, crashing(1));
        let _waiting = bench.wait(expect(), 20);
        sleep(Duration::from_secs(5)).await;
        assert_eq!(bench.last_status(), format!("1/2 ready: CrashLoopBackOff, {expected} (cluster-0-1)"));
        assert_eq!(bench.log.count("GET", "/pods/chi-db-cluster-0-1-0/log?container=clickhouse&tailLines=100"), 1, "once for each end");
        bench.cluster.put(Kind::Pod, pod, crashing(2));
        settle().await;
        assert_eq!(bench.log.count("GET", "/log?"), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_load_balancers_address_is_awaited() {
    let bench = Bench::new();
    let service = |status: Value| json!({"metadata": {"uid": "s"}, "spec": {"type": "LoadBalancer"}, "status": status});
    bench.cluster.put(Kind::Service, "db", service(json!({"loadBalancer": {}})));
    let (session, ctx) = (bench.session.clone(), bench.ctx.clone());
    let waiting =
        tokio::spawn(
            async move { await_load_balancer(&session, &ctx, Instant::now() + Duration::from_secs(600), "prod", "db", None).await },
        );
    settle().await;
    bench.cluster.put(Kind::Service, "db", service(json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}})));
    assert_eq!(waiting.await.unwrap().as_deref(), Ok("192.0.2.7"));
}

fn leaving() -> Leaving {
    Leaving { object: ObjectRef::new(Kind::Installation, "prod", "db"), uid: Some("u1".into()), revision: None }
}

#[tokio::test(start_paused = true)]
async fn a_deleted_object_is_waited_for_and_another_of_its_name_is_not() {
    let bench = Bench::new();
    bench.cluster.installation(completed("t1"));
    let (session, ctx) = (bench.session.clone(), bench.ctx.clone());
    let waiting = tokio::spawn(async move { await_gone(&session, &ctx, Instant::now() + Duration::from_secs(600), vec![leaving()]).await });
    settle().await;
    assert!(!waiting.is_finished());
    bench.cluster.delete(Kind::Installation, "db");
    bench.cluster.put(Kind::Installation, "db", json!({"metadata": {"uid": "u2"}}));
    assert_eq!(waiting.await.unwrap(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_hanging_finalizer_is_explained() {
    let bench = Bench::new();
    bench.cluster.installation(completed("t1"));
    let failed = await_gone(&bench.session, &bench.ctx, Instant::now() + Duration::from_secs(60), vec![leaving()]).await.unwrap_err();
    assert_eq!(failed.kind, FailureKind::Timeout);
    let told = failed.reasons.join("\n");
    assert!(told.contains("`finalizer.clickhouseinstallation.altinity.com`"), "{told}");
    assert!(told.contains("the clickhouse-operator that has worked here has not taken it up"), "{told}");
    assert!(told.contains("is never removed by this provider") && !told.contains("no clickhouse-operator runs"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn an_operator_that_takes_its_time_over_a_deletion_is_not_called_absent() {
    let bench = Bench::new();
    bench.cluster.installation(json!({"status": "Terminating"}));
    let failed = await_gone(&bench.session, &bench.ctx, Instant::now() + Duration::from_secs(60), vec![leaving()]).await.unwrap_err();
    assert_eq!(failed.reasons.len(), 1, "{failed:?}");
    assert!(
        failed.reasons[0].ends_with("`finalizer.clickhouseinstallation.altinity.com` · the clickhouse-operator is at work on it"),
        "{failed:?}"
    );
}

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
    json!({"metadata": {"generation": 1, "labels": {"clickhouse-keeper.altinity.com/chk": "db"},
            "ownerReferences": [{"kind": "ClickHouseKeeperInstallation", "uid": owner, "controller": true}]},
        "spec": {"replicas": 1}, "status": {"observedGeneration": 1, "replicas": 1, "readyReplicas": 1, "updatedReplicas": 1}})
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
        bench.cluster.put(Kind::KeeperInstallation, "db", keeper(generation, completed));
        bench.cluster.put(Kind::StatefulSet, MEMBER, member("k"));
        let started = Instant::now();
        await_keeper(&bench.session, &bench.ctx, started + Duration::from_secs(600), expect_keeper(generation)).await.unwrap();
        assert_eq!(started.elapsed().as_secs(), seconds, "generation {generation}, completed {completed}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_members_of_a_keeper_that_was_there_before_do_not_count() {
    let bench = Bench::new();
    bench.cluster.put(Kind::KeeperInstallation, "db", keeper(1, json!({"status": "InProgress"})));
    bench.cluster.put(Kind::StatefulSet, MEMBER, member("earlier"));
    bench.cluster.put(Kind::StatefulSet, "chk-db-other-0-0", member("earlier"));
    let (session, ctx) = (bench.session.clone(), bench.ctx.clone());
    let waiting =
        tokio::spawn(async move { await_keeper(&session, &ctx, Instant::now() + Duration::from_secs(600), expect_keeper(1)).await });
    settle().await;
    assert_eq!(bench.last_status(), "Keeper 0/1 ready: the operator starts its members");
    bench.cluster.put(Kind::StatefulSet, MEMBER, member("k"));
    assert_eq!(waiting.await.unwrap(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_keepers_change_that_nobody_took_up_is_not_done_though_its_members_serve() {
    let bench = Bench::new();
    let before = json!({"status": "Completed", "normalized": {"metadata": {"generation": 1}}, "normalizedCompleted": {"metadata": {"generation": 1}}});
    bench.cluster.put(Kind::KeeperInstallation, "db", keeper(2, before));
    bench.cluster.put(Kind::StatefulSet, MEMBER, member("k"));
    bench.cluster.put(Kind::StatefulSet, "chk-db-cluster-0-1", member("k"));
    let started = Instant::now();
    let (session, ctx) = (bench.session.clone(), bench.ctx.clone());
    let waiting = tokio::spawn(async move { await_keeper(&session, &ctx, started + Duration::from_secs(1200), expect_keeper(2)).await });
    sleep(Duration::from_secs(200)).await;
    assert_eq!(bench.last_status(), "Keeper 2/2 ready: waiting for the operator");
    assert_eq!(bench.warnings().len(), 1, "{:?}", bench.warnings());
    // Members that are to go take the operator three minutes.
    let taken_up = json!({"status": "InProgress", "pods": ["chk-db-cluster-0-0-0"], "normalized": {"metadata": {"generation": 2}}});
    bench.cluster.put(Kind::KeeperInstallation, "db", keeper(2, taken_up));
    waiting.await.unwrap().unwrap();
    assert_eq!(started.elapsed().as_secs(), 440);
}

#[tokio::test(start_paused = true)]
async fn a_keepers_change_that_the_operator_passes_over_is_gone_on_with_after_a_while_and_that_is_told() {
    let bench = Bench::new();
    bench.cluster.put(
        Kind::KeeperInstallation,
        "db",
        keeper(2, json!({"status": "Completed", "normalized": {"metadata": {"generation": 1}}})),
    );
    bench.cluster.put(Kind::StatefulSet, MEMBER, member("k"));
    let started = Instant::now();
    await_keeper(&bench.session, &bench.ctx, started + Duration::from_secs(1200), expect_keeper(2)).await.unwrap();
    assert_eq!(started.elapsed().as_secs(), 300);
    assert!(bench.warnings()[1].ends_with("for 5 minutes; going on, since all members serve"), "{:?}", bench.warnings());
}

#[tokio::test(start_paused = true)]
async fn a_keeper_is_deleted_only_when_the_operator_has_finished_with_it() {
    let idle = [Value::Null, json!({"status": "Completed"}), json!({"status": "Aborted"})];
    for status in idle {
        let (bench, started) = (Bench::new(), Instant::now());
        bench.cluster.put(Kind::KeeperInstallation, "db", keeper(1, status));
        await_keeper_idle(&bench.session, &bench.ctx, started + Duration::from_secs(600), "prod", "db").await.unwrap();
        assert!(started.elapsed() < Duration::from_secs(1));
    }
    let bench = Bench::new();
    bench.cluster.put(Kind::KeeperInstallation, "db", keeper(1, json!({"status": "InProgress"})));
    let (session, ctx) = (bench.session.clone(), bench.ctx.clone());
    let waiting =
        tokio::spawn(async move { await_keeper_idle(&session, &ctx, Instant::now() + Duration::from_secs(600), "prod", "db").await });
    sleep(Duration::from_secs(60)).await;
    assert_eq!(bench.last_status(), "Keeper db: waiting until the operator has finished with it before it is deleted");
    bench.cluster.put(Kind::KeeperInstallation, "db", keeper(1, json!({"status": "InProgress", "hostsCompleted": 1})));
    sleep(Duration::from_secs(60)).await;
    assert!(!waiting.is_finished(), "its status moves");
    bench.cluster.put(Kind::KeeperInstallation, "db", keeper(1, json!({"status": "Completed"})));
    assert_eq!(waiting.await.unwrap(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_keeper_that_nobody_works_on_is_given_up_waiting_for_with_a_word() {
    let (bench, started) = (Bench::new(), Instant::now());
    bench.cluster.put(Kind::KeeperInstallation, "db", keeper(1, json!({"status": "InProgress"})));
    await_keeper_idle(&bench.session, &bench.ctx, started + Duration::from_secs(600), "prod", "db").await.unwrap();
    assert_eq!(started.elapsed().as_secs(), 90);
    assert!(bench.infos()[0].ends_with("its status has not moved for 90 seconds"), "{:?}", bench.infos());
}

#[tokio::test(start_paused = true)]
async fn the_members_of_a_deleted_keeper_are_waited_for_a_minute_at_most() {
    let pod = json!({"metadata": {"uid": "p", "labels": {"clickhouse-keeper.altinity.com/chk": "db"}}});
    for stays in [false, true] {
        let (bench, started) = (Bench::new(), Instant::now());
        bench.cluster.put(Kind::StatefulSet, MEMBER, member("k"));
        bench.cluster.put(Kind::Pod, "chk-db-cluster-0-0-0", pod.clone());
        let (session, ctx) = (bench.session.clone(), bench.ctx.clone());
        let waiting = tokio::spawn(async move {
            await_keeper_left(&session, &ctx, Instant::now() + Duration::from_secs(600), "prod", "db", Some("k")).await
        });
        settle().await;
        bench.cluster.delete(Kind::StatefulSet, MEMBER);
        sleep(Duration::from_secs(5)).await;
        assert_eq!(bench.last_status(), "Keeper db: 1 members are going");
        if !stays {
            bench.cluster.delete(Kind::Pod, "chk-db-cluster-0-0-0");
        }
        assert_eq!(waiting.await.unwrap(), Ok(()));
        assert_eq!(started.elapsed().as_secs(), if stays { 60 } else { 5 });
    }
}

#[tokio::test(start_paused = true)]
async fn many_waits_look_for_the_operator_once() {
    let bench = Bench::new();
    bench.cluster.put(Kind::Installation, "db", json!({"metadata": {"uid": "u1", "generation": 1}, "spec": {"taskID": "t1"}}));
    let _waits: Vec<_> = (0..30).map(|_| bench.wait(expect(), 5)).collect();
    sleep(Duration::from_secs(16)).await;
    assert_eq!(bench.warnings().len(), 30);
    assert_eq!(bench.log.count("GET", "deployments"), 2, "one for each way to install it");
}

#[tokio::test(start_paused = true)]
async fn an_operator_that_has_worked_in_the_namespace_is_not_called_absent() {
    let bench = Bench::new();
    bench.cluster.put(Kind::Installation, "db", json!({"metadata": {"uid": "u1", "generation": 1}, "spec": {"taskID": "t1"}}));
    bench.cluster.put(Kind::Installation, "other", json!({"metadata": {"uid": "u2"}, "spec": {}, "status": completed("t0")}));
    let _waiting = bench.wait(expect(), 5);
    sleep(Duration::from_millis(15_500)).await;
    let told = &bench.warnings()[0];
    assert!(
        told.contains("the clickhouse-operator that has worked here has not taken it up") && !told.contains("no clickhouse-operator runs")
    );
}

#[tokio::test(start_paused = true)]
async fn of_secrets_only_the_one_that_leaves_is_watched() {
    let bench = Bench::new();
    bench.cluster.put(Kind::Secret, "db-credentials", json!({"metadata": {"uid": "s", "finalizers": ["example.com/keep"]}}));
    let object = ObjectRef::new(Kind::Secret, "prod", "db-credentials");
    let leaving = Leaving { object, uid: Some("s".into()), revision: None };
    let (session, ctx) = (bench.session.clone(), bench.ctx.clone());
    let waiting = tokio::spawn(async move { await_gone(&session, &ctx, Instant::now() + Duration::from_secs(60), vec![leaving]).await });
    settle().await;
    bench.cluster.delete(Kind::Secret, "db-credentials");
    assert_eq!(waiting.await.unwrap(), Ok(()));
    let (all, one) = (bench.log.count("GET", "/secrets"), bench.log.count("GET", "fieldSelector=metadata.name%3Ddb-credentials"));
    assert_eq!((all, one), (2, 2), "a list and a watch");
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_hangs_on_a_coordination_server_names_it() {
    for status in ["InProgress", "Terminating"] {
        let bench = Bench::new();
        let mut object = installation("t1", json!({"status": status}));
        object["spec"]["configuration"] = json!({"zookeeper": {"nodes": [{"host": "zoo.example", "port": 2181}]}});
        bench.cluster.put(Kind::Installation, "db", object);
        let failed = await_gone(&bench.session, &bench.ctx, Instant::now() + Duration::from_secs(60), vec![leaving()]).await.unwrap_err();
        let told = failed.reasons.join("\n");
        assert!(told.contains("the coordination server `zoo.example:2181` may be out of the operator's reach"), "{status}: {told}");
        assert!(!told.contains("install it with"), "{status}: {told}");
        assert!(bench.last_status().starts_with("deletion hangs: the coordination server"), "{}", bench.last_status());
    }
}

#[tokio::test(start_paused = true)]
async fn a_deletion_of_a_suspended_installation_tells_that_it_is() {
    let bench = Bench::new();
    let mut object = installation("t1", completed("t1"));
    object["spec"]["suspend"] = json!("yes");
    bench.cluster.put(Kind::Installation, "db", object);
    let failed = await_gone(&bench.session, &bench.ctx, Instant::now() + Duration::from_secs(60), vec![leaving()]).await.unwrap_err();
    assert!(failed.reasons.iter().any(|reason| reason.starts_with("it is suspended")), "{failed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_former_address_of_a_changed_load_balancer_is_taken_only_when_it_stays() {
    let service = |ip: &str| json!({"metadata": {"uid": "s"}, "spec": {"type": "LoadBalancer"}, "status": {"loadBalancer": {"ingress": [{"ip": ip}]}}});
    for (later, after, expected) in [(Some("192.0.2.8"), 10, "192.0.2.8"), (None, 60, "192.0.2.7")] {
        let (bench, started) = (Bench::new(), Instant::now());
        bench.cluster.put(Kind::Service, "db", service("192.0.2.7"));
        let (session, ctx) = (bench.session.clone(), bench.ctx.clone());
        let waiting = tokio::spawn(async move {
            await_load_balancer(&session, &ctx, Instant::now() + Duration::from_secs(600), "prod", "db", Some("192.0.2.7")).await
        });
        sleep(Duration::from_secs(10)).await;
        if let Some(later) = later {
            bench.cluster.put(Kind::Service, "db", service(later));
        }
        assert_eq!(waiting.await.unwrap().as_deref(), Ok(expected));
        assert_eq!(started.elapsed().as_secs(), after);
    }
}

#[tokio::test(start_paused = true)]
async fn growth_is_awaited_with_the_reason_why_it_takes_long() {
    let bench = Bench::new();
    let claim = |size: &str| {
        json!({"metadata": {"uid": "c", "labels": {"clickhouse.altinity.com/chi": "db"}}, "spec": {"resources": {"requests": {"storage": "100Gi"}}},
            "status": {"phase": "Bound", "capacity": {"storage": size}}})
    };
    let name = "data-chi-db-cluster-0-0-0";
    bench.cluster.put(Kind::PersistentVolumeClaim, name, claim("50Gi"));
    let event = |object: &str, message: &str| json!({"metadata": {"uid": "e"}, "involvedObject": {"kind": "PersistentVolumeClaim", "name": object}, "message": message});
    bench.cluster.put(Kind::Event, "e1", event(name, "the disk is busy"));
    bench.cluster.put(Kind::Event, "e2", event("another", "no"));
    let (session, ctx) = (bench.session.clone(), bench.ctx.clone());
    let waiting = tokio::spawn(async move {
        let owner = Owner::Installation("db".to_owned());
        let deadline = Instant::now() + Duration::from_secs(1200);
        await_growth(&session, &ctx, deadline, "prod", &owner, vec![(name.to_owned(), "100Gi".to_owned())]).await
    });
    sleep(Duration::from_secs(300)).await;
    assert_eq!(bench.last_status(), "0/1 volumes grown: the disk is busy");
    bench.cluster.put(Kind::PersistentVolumeClaim, name, claim("100Gi"));
    assert_eq!(waiting.await.unwrap(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn where_claims_may_not_be_read_growth_is_not_waited_for() {
    let bench = Bench::new();
    bench.cluster.instead("persistentvolumeclaims", || {
        Reply::status(403, "Forbidden", "User \"ci\" cannot list resource \"persistentvolumeclaims\"")
    });
    let wanted = vec![("data-a".to_owned(), "1Gi".to_owned())];
    let owner = Owner::Keeper("db".to_owned());
    await_growth(&bench.session, &bench.ctx, Instant::now() + Duration::from_secs(60), "prod", &owner, wanted).await.unwrap();
    assert!(bench.warnings()[0].contains("whether the volumes have grown is not known"), "{:?}", bench.warnings());
}

#[test]
fn credentials_that_fail_during_a_wait_do_not_end_it() {
    assert_eq!(hopeless(Some(&Error::Kubeconfig { message: "the plugin ended with exit status: 1".to_owned() })), None);
    assert_eq!(hopeless(Some(&Error::Unauthorized { message: "expired".to_owned() })), None);
}

#[test]
fn a_coordination_server_is_external_unless_it_is_a_member_of_the_own_keeper() {
    let servers = ["keeper-db:2181", "keeper-db.prod.svc:2181", "chk-db-cluster-0-1:2181", "chk-dbx-cluster-0-0:2181", "zoo.example:2181"]
        .map(str::to_owned);
    assert_eq!(external(&servers, "db"), ["chk-dbx-cluster-0-0:2181", "zoo.example:2181"]);
}
