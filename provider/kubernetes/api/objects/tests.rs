use std::time::Duration;

use tokio::time::Instant;

use super::*;
use crate::kubernetes::fake::{Fake, Manager, Reply, context};

fn secret() -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db", "namespace": "prod"},
        "stringData": {"password": "hunter2"}})
}

fn object() -> ObjectRef {
    ObjectRef::new(Kind::Secret, "prod", "db")
}

/// A server with that Secret, the next answers of which are these.
fn answering(replies: impl IntoIterator<Item = Reply>) -> Fake {
    let fake = Fake::with([secret()]);
    replies.into_iter().for_each(|reply| fake.next(1, None, "", reply));
    fake
}

#[tokio::test]
async fn an_apply_is_one_strict_server_side_patch() {
    let fake = Fake::scripted(|seen| Reply::Json(200, seen.body.clone()));
    let api = fake.session().api(&context().0);
    let written = apply(&api, &secret(), Write { dry_run: true, ..Write::default() }).await.unwrap();
    assert_eq!(written, secret());
    let seen = fake.requests();
    assert_eq!(seen.len(), 1);
    assert_eq!(
        (seen[0].method.as_str(), seen[0].path.as_str()),
        ("PATCH", "/api/v1/namespaces/prod/secrets/db")
    );
    for part in ["fieldManager=pulumi-clickhouse", "fieldValidation=Strict", "force=false", "dryRun=All"] {
        assert!(seen[0].query.contains(part), "{}", seen[0].query);
    }
    apply(&api, &secret(), Write { force: true, ..Write::default() }).await.unwrap();
    assert!(fake.requests()[1].query.contains("force=true") && !fake.requests()[1].query.contains("dryRun"));
}

#[tokio::test]
async fn what_is_not_there_reads_as_none_but_a_missing_kind_is_an_error() {
    let fake = Fake::new();
    let api = fake.session().api(&context().0);
    assert_eq!(fetch(&api, &object()).await, Ok(None));
    fake.on(None, Kind::Installation.plural(), Reply::Text(404, "404 page not found\n"));
    let installation = ObjectRef::new(Kind::Installation, "prod", "db");
    assert_eq!(fetch(&api, &installation).await, Err(Error::CrdMissing { kind: Kind::Installation }));
}

#[tokio::test]
async fn a_name_never_leads_to_another_path() {
    let fake = Fake::new();
    let api = fake.session().api(&context().0);
    for name in ["..", "a/b", "a?b", "", "a b"] {
        assert!(
            matches!(
                fetch(&api, &ObjectRef::new(Kind::Secret, "prod", name)).await,
                Err(Error::Invalid { .. })
            ),
            "{name}"
        );
        assert!(
            matches!(list_names(&api, Kind::Secret, Some(name), "").await, Err(Error::Invalid { .. })),
            "{name}"
        );
    }
    assert!(fake.requests().is_empty());
}

#[tokio::test]
async fn a_delete_names_its_object_by_uid_and_tells_what_came_of_it() {
    let held = || {
        json!({"kind": "Secret", "metadata": {"uid": "u1", "finalizers": ["x/y"],
        "deletionTimestamp": "2026-01-01T00:00:00Z"}})
    };
    let cases: Vec<(Reply, DeleteOutcome)> = vec![
        (Reply::Json(200, json!({"kind": "Status", "status": "Success"})), DeleteOutcome::Gone),
        (Reply::Json(200, held()), DeleteOutcome::Deleting(held())),
        (Reply::status(404, "NotFound", "secrets \"db\" not found"), DeleteOutcome::Gone),
        (
            Reply::status(
                409,
                "Conflict",
                "Precondition failed: UID in precondition: u1, UID in object meta: u2",
            ),
            DeleteOutcome::NotOurs,
        ),
    ];
    for (reply, expected) in cases {
        let fake = Fake::scripted(move |_| reply.clone());
        assert_eq!(delete(&fake.session().api(&context().0), &object(), Some("u1")).await, Ok(expected));
        assert_eq!(fake.requests()[0].body["preconditions"]["uid"], "u1");
    }
}

#[tokio::test]
async fn a_namespace_that_is_being_emptied_is_still_the_one() {
    let found = |uid: &str| {
        json!({"kind": "Namespace", "metadata": {"uid": uid,
        "deletionTimestamp": "2026-01-01T00:00:00Z"}})
    };
    let object = ObjectRef::global(Kind::Namespace, "prod");
    for (uid, expected) in [("u1", DeleteOutcome::Deleting(found("u1"))), ("u2", DeleteOutcome::NotOurs)] {
        let fake = Fake::scripted(move |seen| match seen.method.as_str() {
            "GET" => Reply::Json(200, found(uid)),
            _ => Reply::status(
                409,
                "Conflict",
                "The system is ensuring all content is removed from this namespace.",
            ),
        });
        assert_eq!(delete(&fake.session().api(&context().0), &object, Some("u1")).await, Ok(expected));
    }
}

#[tokio::test(start_paused = true)]
async fn a_busy_server_is_tried_again_when_it_said() {
    let fake = answering([Reply::Busy(7), Reply::status(503, "ServiceUnavailable", "starting")]);
    let (ctx, display) = context();
    let started = Instant::now();
    fetch(&fake.session().api(&ctx), &object()).await.unwrap();
    assert!(started.elapsed() >= Duration::from_secs(7), "{:?}", started.elapsed());
    assert!(started.elapsed() < Duration::from_secs(9), "{:?}", started.elapsed());
    assert_eq!(fake.requests().len(), 3);
    let statuses = display.statuses.lock().unwrap().clone();
    assert!(statuses[0].contains("trying again"), "{statuses:?}");
    assert_eq!(statuses.last().map(String::as_str), Some(""));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_restarts_is_waited_for() {
    let started = Instant::now();
    let fake = Fake::new();
    fake.script(move |_| (started.elapsed() < Duration::from_secs(30)).then_some(Reply::Refuse));
    let session = fake.session();
    session.note_reached();
    fetch(&session.api(&context().0), &object()).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(36), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answered_is_told_within_ten_seconds() {
    let fake = Fake::scripted(|_| Reply::Refuse);
    let started = Instant::now();
    let error = fetch(&fake.session().api(&context().0), &object()).await.unwrap_err();
    assert!(matches!(&error, Error::Unreachable { cause, .. } if cause.contains("refused")), "{error:?}");
    assert!(started.elapsed() <= Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn tries_end_with_the_operations_deadline() {
    let fake = Fake::scripted(|_| Reply::status(503, "ServiceUnavailable", "etcd has no leader"));
    let started = Instant::now();
    let api = fake.session().api(&context().0).until(started + Duration::from_secs(300));
    let error = fetch(&api, &object()).await.unwrap_err();
    assert!(matches!(&error, Error::Timeout { message, .. } if message.contains("no leader")), "{error:?}");
    let took = started.elapsed();
    assert!(took > Duration::from_secs(290) && took <= Duration::from_secs(300), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_call_returns_at_once() {
    let fake = Fake::scripted(|_| Reply::Hang);
    let (ctx, _) = context();
    let api = fake.session().api(&ctx);
    let started = Instant::now();
    let call = tokio::spawn(async move { fetch(&api, &object()).await });
    tokio::task::yield_now().await;
    ctx.cancel.cancel();
    assert!(matches!(call.await.unwrap(), Err(Error::Cancelled { verb: Verb::Get, .. })));
    assert!(started.elapsed() < Duration::from_millis(1));
}

#[tokio::test]
async fn credentials_that_ran_out_are_renewed_once() {
    let unauthorized = || Reply::status(401, "Unauthorized", "Unauthorized");
    let fake = answering([unauthorized()]);
    assert!(fetch(&fake.session().api(&context().0), &object()).await.is_ok());
    let fake = answering([unauthorized(), unauthorized()]);
    assert!(matches!(
        fetch(&fake.session().api(&context().0), &object()).await,
        Err(Error::Unauthorized { .. })
    ));
    assert_eq!(fake.requests().len(), 2);
}

#[tokio::test]
async fn refusals_are_not_tried_again() {
    for code in [400, 403, 422] {
        let fake = Fake::scripted(move |_| Reply::status(code, "", "no: cannot"));
        fetch(&fake.session().api(&context().0), &object()).await.unwrap_err();
        assert_eq!(fake.requests().len(), 1, "{code}");
    }
}

#[tokio::test]
async fn an_answer_that_is_no_object_is_an_error() {
    for answer in ["", "null", "[]", "7", "<html>gateway</html>"] {
        let fake = answering([Reply::Text(200, answer)]);
        let read = fetch(&fake.session().api(&context().0), &object()).await;
        assert!(matches!(read, Err(Error::Other { code: 200, .. })), "{answer}: {read:?}");
    }
}

#[tokio::test]
async fn an_unknown_field_is_told_with_the_installed_version() {
    let fake = Fake::scripted(|seen| match seen.method.as_str() {
        "PATCH" => Reply::status(400, "BadRequest", "strict decoding error: unknown field \"spec.suspend\""),
        _ => Reply::Json(200, json!({"metadata": {"labels": {"clickhouse.altinity.com/chop": "0.23.7"}}})),
    });
    let manifest = json!({"apiVersion": "clickhouse.altinity.com/v1", "kind": "ClickHouseInstallation",
        "metadata": {"name": "db", "namespace": "prod"}});
    let error = apply(&fake.session().api(&context().0), &manifest, Write::default()).await.unwrap_err();
    assert!(
        matches!(&error, Error::UnknownFields { installed: Some(version), .. } if version == "0.23.7"),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_merge_patch_of_ours_or_an_edit_by_kubectl_is_no_conflict_and_another_applier_is() {
    let edited = |manager: &Manager| {
        let fake = Fake::new();
        let mut there = secret();
        there["stringData"]["password"] = json!("another");
        fake.put_as(&there, manager);
        fake
    };
    for (manager, applies, taken_over) in [
        ("pulumi-clickhouse", false, true),
        ("kubectl-edit", false, true),
        ("kubectl-patch", false, true),
        ("kubectl", true, false),
        ("kubectl-client-side-apply", false, false),
        ("argocd-controller", true, false),
        ("helm", false, false),
    ] {
        let fake = edited(&Manager::new(manager, applies));
        assert_eq!(
            apply(&fake.session().api(&context().0), &secret(), Write::default()).await.is_ok(),
            taken_over,
            "{manager}"
        );
    }
    let cause = json!({"reason": "FieldManagerConflict", "field": ".spec.replicas",
        "message": "conflict with \"kubectl\" with subresource \"scale\" using v1"});
    let fake = answering([Reply::failure(409, "Conflict", "Apply failed", &json!({"causes": [cause]}))]);
    apply(&fake.session().api(&context().0), &secret(), Write::default()).await.unwrap();
}

#[tokio::test]
async fn an_apply_with_a_uid_makes_nothing_and_changes_no_other_object() {
    for (fake, replaced) in [(Fake::new(), false), (Fake::with([secret()]), true)] {
        let before = fake.objects();
        let mut manifest = secret();
        manifest["metadata"]["uid"] = json!("u1");
        let error = apply(&fake.session().api(&context().0), &manifest, Write::default()).await.unwrap_err();
        assert_eq!(error, Error::NotTheOne { object: "Secret prod/db".into(), replaced });
        assert!(error.to_string().contains("pulumi refresh") && fake.objects() == before, "{error}");
    }
}

#[tokio::test]
async fn names_are_listed_page_by_page() {
    let fake = Fake::scripted(|seen| {
        let (name, next) = if seen.query.ends_with("continue=") { ("a", "t/1") } else { ("b", "") };
        Reply::Json(
            200,
            json!({"items": [{"metadata": {"name": name, "namespace": "prod"}}],
                "metadata": {"continue": next}}),
        )
    });
    let names = list_names(
        &fake.session().api(&context().0),
        Kind::PersistentVolumeClaim,
        Some("prod"),
        "app=chop,chi in (db)",
    )
    .await
    .unwrap();
    assert_eq!(names.iter().map(|object| object.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert!(
        fake.requests()[0].query.contains("labelSelector=app%3Dchop%2Cchi%20in%20%28db%29"),
        "{}",
        fake.requests()[0].query
    );
    assert!(fake.requests()[1].query.contains("continue=t%2F1"), "{}", fake.requests()[1].query);
}
