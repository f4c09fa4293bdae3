mod others;

use serde_json::{Value, json};

use super::*;
use crate::kubernetes::observe::is_outage;
use crate::kubernetes::readiness::evidence::EvidenceSnapshot;

/// An installation as the operator leaves it, with its hosts.
struct Scene {
    installation: Value,
    hosts: Vec<(&'static str, Value)>,
    evidence: Option<EvidenceSnapshot>,
}

impl Scene {
    fn new(status: Value) -> Self {
        let mut installation = json!({"metadata": {"name": "db", "uid": "u1", "generation": 2,
            "finalizers": ["f"]}, "spec": {"taskID": "t1"}});
        installation["status"] = status;
        Self { installation, hosts: vec![("h0", set(1, 1)), ("h1", set(1, 1))], evidence: None }
    }

    fn seen(&self) -> Seen<Installation> {
        let hosts = self.hosts.iter().map(|(name, set)| {
            let mut set = set.clone();
            set["metadata"]["name"] = json!(name);
            set
        });
        Seen {
            object: listed([self.installation.clone()]),
            sets: listed(hosts),
            evidence: self.evidence.clone(),
        }
    }
}

fn listed<K: serde::de::DeserializeOwned>(objects: impl IntoIterator<Item = Value>) -> Snapshot<K> {
    let objects =
        objects.into_iter().map(|object| Arc::new(serde_json::from_value(object).unwrap())).collect();
    Snapshot { objects, listed: Some(Instant::now()), revision: 0, trouble: None }
}

fn set(wanted: i32, ready: i32) -> Value {
    json!({"metadata": {"generation": 1}, "spec": {"replicas": wanted},
        "status": {"observedGeneration": 1, "replicas": wanted, "readyReplicas": ready,
            "updatedReplicas": wanted}})
}

fn status(word: &str, started: &[&str], completed: &[&str]) -> Value {
    json!({"status": word, "taskID": "t1", "taskIDsStarted": started, "taskIDsCompleted": completed,
        "hosts": 2})
}

fn done() -> Value {
    status("Completed", &["t1"], &["t1"])
}

fn expect() -> Expect {
    Expect {
        namespace: "prod".into(),
        name: "db".into(),
        task_id: "t1".into(),
        written: Written {
            uid: Some("u1".into()),
            generation: Some(2),
            revision: None,
            ..Written::default()
        },
        hosts: vec!["h0".into(), "h1".into()],
        ..Expect::default()
    }
}

fn judge(now: Instant) -> InstallationCondition {
    InstallationCondition::new(expect(), Limits::default(), now)
}

fn first_look(scene: &Scene) -> Verdict<Step> {
    let now = Instant::now();
    judge(now).look(&scene.seen(), now)
}

fn after(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn progress(verdict: &Verdict<Step>) -> String {
    match verdict {
        Verdict::Pending(pending) => pending.progress.clone(),
        other => format!("{other:?}"),
    }
}

#[test]
fn only_this_changes_task_begun_and_ended_with_every_host_ready_is_ready() {
    assert!(matches!(first_look(&Scene::new(done())), Verdict::Done(Step::Ready)));
    let waiting = [
        (
            "the change before is done",
            json!({"status": "Completed", "taskID": "t0", "taskIDsStarted": ["t0"],
                "taskIDsCompleted": ["t0"]}),
        ),
        ("begun", status("InProgress", &["t1"], &[])),
        ("ended, but another is under way", status("InProgress", &["t1"], &["t1"])),
        ("no status", Value::Null),
    ];
    for (what, status) in waiting {
        let verdict = first_look(&Scene::new(status));
        assert!(matches!(verdict, Verdict::Pending(_)), "{what}: {verdict:?}");
    }
}

#[test]
fn a_completed_change_waits_for_hosts_that_are_not_ready() {
    let old_generation = json!({"metadata": {"generation": 2}, "spec": {"replicas": 1},
        "status": {"observedGeneration": 1, "replicas": 1, "readyReplicas": 1, "updatedReplicas": 1}});
    let old_revision = json!({"metadata": {"generation": 1}, "spec": {"replicas": 1},
        "status": {"observedGeneration": 1, "replicas": 1, "readyReplicas": 1, "updatedReplicas": 0,
            "currentRevision": "a", "updateRevision": "b"}});
    for bad in [set(1, 0), set(0, 0), old_generation, old_revision] {
        let mut scene = Scene::new(done());
        scene.hosts[1].1 = bad.clone();
        assert!(progress(&first_look(&scene)).starts_with("1/2 ready"), "{bad}");
    }
    let mut scene = Scene::new(done());
    scene.hosts.pop();
    assert!(progress(&first_look(&scene)).starts_with("1/2 ready"));
}

#[test]
fn hosts_under_other_names_are_counted_by_the_operators_number() {
    let mut scene = Scene::new(done());
    scene.hosts = vec![("custom-a", set(1, 1))];
    assert!(progress(&first_look(&scene)).starts_with("1/2 ready"));
    scene.hosts.push(("custom-b", set(1, 1)));
    assert!(matches!(first_look(&scene), Verdict::Done(Step::Ready)));
}

#[test]
fn a_stopped_cluster_is_ready_without_pods() {
    let now = Instant::now();
    let mut scene = Scene::new(done());
    scene.installation["spec"]["stop"] = json!("yes");
    let look = |scene: &Scene| judge(now).look(&scene.seen(), now);
    assert_eq!(progress(&look(&scene)), "0/2 stopped");
    let leaving = json!({"metadata": {"generation": 1}, "spec": {"replicas": 0},
        "status": {"observedGeneration": 1, "replicas": 1}});
    scene.hosts = vec![("h0", set(0, 0)), ("h1", leaving)];
    assert_eq!(progress(&look(&scene)), "1/2 stopped");
    scene.hosts[1].1 = set(0, 0);
    assert!(matches!(look(&scene), Verdict::Done(Step::Ready)));
}

#[test]
fn a_task_that_ended_without_beginning_is_sent_again_once() {
    let now = Instant::now();
    let mut judge = judge(now);
    let raced = Scene::new(status("Completed", &["t0"], &["t1", "t0"]));
    assert!(matches!(judge.look(&raced.seen(), now), Verdict::Done(Step::Resubmit(Incomplete::Everything))));
    judge.resubmit("t1".into(), expect().written, now);
    let told = progress(&judge.look(&raced.seen(), now));
    assert!(told.contains("recorded the change as completed without having started it; run again"), "{told}");
}

#[test]
fn a_host_that_the_operator_left_without_a_pod_gets_another_task_once() {
    for left in [Some(set(0, 0)), None] {
        let started = Instant::now();
        let mut judge = judge(started);
        let mut scene = Scene::new(done());
        scene.evidence = Some(EvidenceSnapshot::default());
        scene.hosts.pop();
        scene.hosts.extend(left.clone().map(|set| ("h1", set)));
        let what = if left.is_some() { "no pod, its StatefulSet is scaled to 0" } else { "no StatefulSet" };
        let told = progress(&judge.look(&scene.seen(), started));
        assert_eq!(told, format!("1/2 ready: {what} (h1)"));
        assert!(matches!(judge.look(&scene.seen(), started + after(29)), Verdict::Pending(_)));
        assert!(matches!(
            judge.look(&scene.seen(), started + after(30)),
            Verdict::Done(Step::Resubmit(Incomplete::OneHost))
        ));
        judge.resubmit("t1".into(), expect().written, started + after(30));
        assert!(matches!(judge.look(&scene.seen(), started + after(90)), Verdict::Pending(_)));
    }
}

#[test]
fn giving_up_is_final_when_it_lasts_and_not_when_it_passes() {
    let started = Instant::now();
    let mut judge = judge(started);
    let mut aborted = Scene::new(status("Aborted", &["t1"], &["t1"]));
    aborted.installation["status"]["error"] = json!("update of StatefulSet h1 failed");
    aborted.hosts[1].1 = set(1, 0);
    assert!(matches!(judge.look(&aborted.seen(), started), Verdict::Done(Step::Search)));
    aborted.evidence = Some(EvidenceSnapshot::default());
    for seconds in [0, 60, 119] {
        let verdict = judge.look(&aborted.seen(), started + after(seconds));
        assert!(
            progress(&verdict).contains("the operator gave up: update of StatefulSet h1 failed"),
            "{seconds}: {verdict:?}"
        );
    }
    let verdict = judge.look(&aborted.seen(), started + after(120));
    assert!(
        matches!(&verdict, Verdict::Failed(FailureKind::Precondition, reasons) if reasons[0].contains("h1 \
            failed")),
        "{verdict:?}"
    );

    // Healed in between: the time starts anew.
    let mut judge = InstallationCondition::new(expect(), Limits::default(), started);
    judge.look(&aborted.seen(), started);
    let mut healing = Scene::new(status("InProgress", &["t1"], &["t1"]));
    healing.evidence = Some(EvidenceSnapshot::default());
    judge.look(&healing.seen(), started + after(100));
    assert!(matches!(judge.look(&aborted.seen(), started + after(130)), Verdict::Pending(_)));
}

#[test]
fn an_error_that_only_an_edit_mends_is_final_at_once() {
    let mut scene = Scene::new(status("Aborted", &["t1"], &["t1"]));
    scene.evidence = Some(EvidenceSnapshot::default());
    scene.installation["status"]["errors"] =
        json!(["2026-01-01T00:00:00Z [RemovedSecretRefSyntax] use valueFrom", "older"]);
    assert!(matches!(first_look(&scene), Verdict::Failed(..)));
}

#[test]
fn errors_of_a_healthy_run_are_not_shown() {
    let mut scene = Scene::new(status("InProgress", &["t1"], &[]));
    scene.installation["status"]["error"] = json!("Update Service failed: just recreate the service");
    assert_eq!(progress(&first_look(&scene)), "2/2 ready, the operator is applying the change");
}

#[test]
fn an_operator_that_is_too_old_ends_the_wait() {
    let mut scene = Scene::new(done());
    scene.installation["status"]["chop-version"] = json!("0.23.7");
    let verdict = first_look(&scene);
    assert!(
        matches!(&verdict, Verdict::Failed(FailureKind::Precondition,
            reasons) if reasons[0].contains("0.23.7")),
        "{verdict:?}"
    );
}

#[test]
fn reasons_are_only_looked_for_when_nothing_moves() {
    let started = Instant::now();
    let mut judge = judge(started);
    let mut scene = Scene::new(status("InProgress", &["t1"], &[]));
    scene.hosts = vec![("h0", set(1, 0)), ("h1", set(1, 0))];
    let Verdict::Pending(pending) = judge.look(&scene.seen(), started) else { panic!("not pending") };
    assert_eq!(pending.again, Some(started + QUIET));
    scene.hosts[0].1 = set(1, 1);
    assert!(matches!(judge.look(&scene.seen(), started + after(2)), Verdict::Pending(_)));
    assert!(matches!(judge.look(&scene.seen(), started + after(4)), Verdict::Pending(_)));
    assert!(matches!(judge.look(&scene.seen(), started + after(5)), Verdict::Done(Step::Search)));
}

#[test]
fn reasons_are_known_at_the_deadline_though_something_moved_just_before() {
    let started = Instant::now();
    let mut judge = InstallationCondition::new(
        expect(),
        Limits { search_by: Some(started + after(1)), ..Limits::default() },
        started,
    );
    let mut scene = Scene::new(status("InProgress", &["t1"], &[]));
    scene.hosts = vec![("h0", set(1, 0))];
    let Verdict::Pending(pending) = judge.look(&scene.seen(), started) else { panic!("not pending") };
    assert_eq!(pending.again, Some(started + after(1)));
    assert!(matches!(judge.look(&scene.seen(), started + after(1)), Verdict::Done(Step::Search)));
}

#[test]
fn a_change_that_a_known_operator_does_not_take_up_is_told_later_than_a_new_cluster() {
    let started = Instant::now();
    let mut judge = judge(started);
    judge.operator = Some(Presence::Unknown);
    let scene = Scene::new(
        json!({"status": "Completed", "taskID": "t0", "taskIDsStarted": ["t0"], "taskIDsCompleted": ["t0"]}),
    );
    let warned = |judge: &mut InstallationCondition, seconds| match judge
        .look(&scene.seen(), started + after(seconds))
    {
        Verdict::Pending(pending) => pending.warn.is_some(),
        _ => false,
    };
    assert!(!warned(&mut judge, 16));
    assert!(warned(&mut judge, 60));
    assert!(!warned(&mut judge, 61));
}

#[test]
fn hosts_beyond_the_expected_ones_must_serve_too() {
    // Of another cluster in the list, or of an override's layout: named by the operator, or else by what is
    // there.
    let named = |pods: &[&str]| {
        let mut done = done();
        done["pods"] = json!(pods);
        done["hosts"] = json!(3);
        done
    };
    for status in [named(&["h0-0", "h1-0", "h2-0"]), named(&[]), done()] {
        let mut scene = Scene::new(status);
        scene.hosts.push(("h2", set(1, 0)));
        assert!(progress(&first_look(&scene)).starts_with("2/3 ready"), "{:?}", first_look(&scene));
        scene.hosts[2].1 = set(1, 1);
        assert!(matches!(first_look(&scene), Verdict::Done(Step::Ready)));
    }
    for status in [named(&["h0-0", "h1-0", "h2-0"]), named(&[])] {
        assert!(
            progress(&first_look(&Scene::new(status))).starts_with("2/3 ready"),
            "a host that is not there yet"
        );
    }
}

#[test]
fn hosts_that_are_to_go_do_not_count() {
    let mut status = done();
    status["pods"] = json!(["h0-0", "h1-0"]);
    let mut scene = Scene::new(status);
    scene.hosts.push(("h2", set(1, 0)));
    assert!(
        matches!(first_look(&scene), Verdict::Done(Step::Ready)),
        "the operator does not name it any more"
    );

    let mut going = set(1, 0);
    going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    let mut earlier = set(1, 0);
    earlier["metadata"]["ownerReferences"] = json!([{"uid": "u0", "controller": true}]);
    for set in [going, earlier] {
        let mut scene = Scene::new(done());
        scene.hosts.push(("h2", set));
        assert!(matches!(first_look(&scene), Verdict::Done(Step::Ready)));
    }
}

#[test]
fn a_change_that_an_outage_of_the_api_server_ended_is_sent_again_once() {
    const OUTAGE: &str = "FAILED to reconcile CR prod/db, err: Get \
        \"https://10.96.0.1:443/apis/apps/v1/namespaces/prod/statefulsets/h1\": \
        dial tcp 10.96.0.1:443: connect: connection refused";
    let started = Instant::now();
    let mut judge = judge(started);
    let mut aborted = Scene::new(status("Aborted", &["t1"], &["t1"]));
    aborted.hosts.pop();
    aborted.evidence = Some(EvidenceSnapshot::default());
    let look = |judge: &mut InstallationCondition, scene: &Scene, seconds| {
        judge.look(&scene.seen(), started + after(seconds))
    };

    aborted.installation["status"]["error"] =
        json!("FAILED to reconcile CR prod/db, err: crud error - should abort");
    let Verdict::Pending(pending) = look(&mut judge, &aborted, 0) else { panic!("not pending") };
    assert!(!pending.reasons.iter().any(|reason| reason.contains("says that it is done")), "{pending:?}");
    assert!(matches!(look(&mut judge, &aborted, 15), Verdict::Pending(_)), "no outage");

    aborted.installation["status"]["errors"] =
        json!(["2026-01-01T12:00:01Z crud error", format!("2026-01-01T12:00:00Z {OUTAGE}")]);
    aborted.installation["metadata"]["managedFields"] =
        json!([{"manager": "pulumi-clickhouse", "time": "2026-01-01T13:00:00Z"}]);
    assert!(matches!(look(&mut judge, &aborted, 15), Verdict::Pending(_)), "that was before the change");
    aborted.installation["metadata"]["managedFields"] =
        json!([{"manager": "pulumi-clickhouse", "time": "2026-01-01T11:59:59Z"}]);
    assert!(matches!(look(&mut judge, &aborted, 15), Verdict::Done(Step::Resubmit(Incomplete::Interrupted))));

    judge.resubmit("t1".into(), expect().written, started + after(15));
    aborted.installation["status"]["error"] = json!(OUTAGE);
    assert!(matches!(look(&mut judge, &aborted, 16), Verdict::Pending(_)));
    assert!(matches!(look(&mut judge, &aborted, 140), Verdict::Failed(..)), "once");
}

#[test]
fn what_the_hosts_did_not_answer_is_no_outage_of_the_api_server() {
    assert!(!is_outage(
        "failed to query http://chi-db-cluster-0-0:8123: dial tcp: connect: connection refused"
    ));
    assert!(is_outage("the server is currently unable to handle the request"));
}

#[test]
fn a_coordination_server_that_may_be_out_of_reach_is_the_reason_when_no_host_comes() {
    let started = Instant::now();
    let mut scene = Scene::new(status("InProgress", &["t1"], &[]));
    scene.hosts.clear();
    scene.evidence = Some(EvidenceSnapshot::default());
    let told = |scene: &Scene| {
        let mut judge = judge(started);
        judge.look(&scene.seen(), started);
        progress(&judge.look(&scene.seen(), started + after(30)))
    };
    assert_eq!(told(&scene), "0/2 ready");
    scene.installation["spec"]["configuration"] =
        json!({"zookeeper": {"nodes": [{"host": "chk-db-cluster-0-0"}]}});
    assert_eq!(told(&scene), "0/2 ready", "its own Keeper");
    scene.installation["spec"]["configuration"] =
        json!({"clusters": [{"zookeeper": {"nodes": [{"host": "zoo", "port": 2281}]}}]});
    assert_eq!(
        told(&scene),
        "0/2 ready: the coordination server `zoo:2281` may be out of the operator's reach"
    );
}

#[test]
fn a_row_says_how_far_the_change_has_come() {
    let mut scene = Scene::new(status("InProgress", &["t1"], &[]));
    scene.installation["status"]["hostsCompleted"] = json!(1);
    assert_eq!(progress(&first_look(&scene)), "2/2 ready, 1/2 rolled out");
}
