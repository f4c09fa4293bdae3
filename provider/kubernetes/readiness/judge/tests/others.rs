//! What other clients did to the installation during the wait.

use serde_json::{Value, json};

use super::*;

#[test]
fn what_others_did_meanwhile_ends_the_wait() {
    let cases: [(&str, &str, Value); 2] = [
        ("/metadata/uid", "recreated by", json!("u2")),
        ("/metadata/deletionTimestamp", "being deleted", json!("2026-01-01T00:00:00Z")),
    ];
    for (pointer, told, value) in cases {
        let mut scene = Scene::new(done());
        scene.installation["metadata"][pointer.trim_start_matches("/metadata/")] = value;
        let verdict = first_look(&scene);
        assert!(matches!(&verdict, Verdict::Failed(_, reasons) if reasons[0].contains(told)), "{verdict:?}");
    }
}

#[test]
fn news_from_before_the_write_is_no_news() {
    let mut scene = Scene::new(done());
    scene.installation["metadata"]["generation"] = json!(1);
    assert_eq!(progress(&first_look(&scene)), "waiting for the API server to show the change");
    let mut seen = Scene::new(done()).seen();
    seen.object.objects.clear();
    let listed_before = Instant::now();
    seen.object.listed = Some(listed_before);
    let started = listed_before + after(1);
    assert!(matches!(judge(started).look(&seen, started), Verdict::Pending(_)));
    seen.object.listed = Some(started);
    assert!(matches!(judge(started).look(&seen, started), Verdict::Failed(..)));
}

#[test]
fn another_writers_change_is_waited_for_and_told_once() {
    let now = Instant::now();
    let mut scene = Scene::new(
        json!({"status": "InProgress", "taskID": "other", "taskIDsStarted": ["other"], "hosts": 2}),
    );
    scene.installation["spec"]["taskID"] = json!("other");
    let mut judge = judge(now);
    let Verdict::Pending(pending) = judge.look(&scene.seen(), now) else { panic!("not pending") };
    assert!(pending.warn.unwrap().contains("task `other`"));
    let Verdict::Pending(pending) = judge.look(&scene.seen(), now) else { panic!("not pending") };
    assert_eq!(pending.warn, None);
    scene.installation["status"] = json!({"status": "Completed", "taskID": "other",
        "taskIDsStarted": ["other"], "taskIDsCompleted": ["other"], "hosts": 2});
    assert!(matches!(judge.look(&scene.seen(), now), Verdict::Done(Step::Ready)));
}

#[test]
fn a_watch_that_lags_shows_an_earlier_object_of_the_name() {
    let mut seen = Scene::new(done()).seen();
    let started = seen.object.listed.unwrap() + after(1);
    let mut other = Installation::clone(&seen.object.objects[0]);
    other.metadata = serde_json::from_value::<Installation>(
        json!({"metadata": {"name": "db", "uid": "u0", "deletionTimestamp": "2026-01-01T00:00:00Z"}}),
    )
    .unwrap()
    .metadata;
    seen.object.objects = vec![Arc::new(other)];
    assert_eq!(
        progress(&judge(started).look(&seen, started)),
        "waiting for the API server to show the change"
    );
    seen.object.listed = Some(started);
    assert!(matches!(judge(started).look(&seen, started), Verdict::Failed(..)));
}

#[test]
fn an_installation_that_somebody_suspends_is_not_waited_for() {
    let mut scene = Scene::new(status("InProgress", &["t0"], &["t0"]));
    scene.installation["spec"]["suspend"] = json!("yes");
    let verdict = first_look(&scene);
    assert!(
        matches!(&verdict, Verdict::Failed(_, reasons) if reasons[0].contains("was suspended by another \
            client")),
        "{verdict:?}"
    );
    let mut served = Scene::new(done());
    served.installation["spec"]["suspend"] = json!("yes");
    assert!(matches!(first_look(&served), Verdict::Done(Step::Ready)), "it was done before");
}

#[test]
fn an_installation_that_somebody_stops_is_ready_when_it_is_down_and_that_is_told_once() {
    let now = Instant::now();
    let mut scene = Scene::new(done());
    scene.installation["spec"]["stop"] = json!("yes");
    let warned = |judge: &mut InstallationCondition| match judge.look(&scene.seen(), now) {
        Verdict::Pending(pending) => {
            pending.warn.is_some_and(|warning| warning.contains("was stopped by another client"))
        }
        other => panic!("{other:?}"),
    };
    let mut by_other = judge(now);
    assert!(warned(&mut by_other) && !warned(&mut by_other));
    let written = Written { stopped: true, ..expect().written };
    assert!(!warned(&mut InstallationCondition::new(Expect { written, ..expect() }, Limits::default(), now)));
    scene.hosts = vec![("h0", set(0, 0)), ("h1", set(0, 0))];
    assert!(matches!(by_other.look(&scene.seen(), now), Verdict::Done(Step::Ready)));
}
