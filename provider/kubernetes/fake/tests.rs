//! What the fake does as a real API server: what the other tests build on.

use serde_json::json;

use super::*;
use crate::kubernetes::error::Error;
use crate::kubernetes::objects::{self, DeleteOutcome, Write, apply, create, delete, fetch, merge};

const SERVICE: &str = "/api/v1/namespaces/apps/services/db";

fn service(ports: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "db", "namespace": "apps"},
        "spec": {"ports": ports}})
}

fn reference() -> ObjectRef {
    ObjectRef::new(Kind::Service, "apps", "db")
}

#[tokio::test]
async fn an_object_gets_what_the_server_says_of_it() {
    let fake = Fake::new();
    let api = fake.session().api(&context().0);
    let manifest = service(&json!([1]));
    let tried = apply(&api, &manifest, Write { dry_run: true, ..Write::default() }).await.unwrap();
    assert!(tried["metadata"]["uid"].is_string() && fake.objects().is_empty() && fake.writes().is_empty());
    let made = apply(&api, &manifest, Write::default()).await.unwrap();
    assert_eq!((&made["metadata"]["generation"], made["spec"]["clusterIP"].is_string()), (&json!(1), true));
    assert_eq!(
        apply(&api, &manifest, Write::default()).await.unwrap(),
        made,
        "what changes nothing is no revision"
    );
    let changed = apply(&api, &service(&json!([2])), Write::default()).await.unwrap();
    assert_eq!(
        (&changed["metadata"]["generation"], &changed["metadata"]["uid"]),
        (&json!(2), &made["metadata"]["uid"])
    );
    assert!(changed["metadata"]["resourceVersion"] != made["metadata"]["resourceVersion"]);
    assert_eq!(create(&api, &manifest).await, Err(Error::AlreadyExists { object: "Service apps/db".into() }));
    fake.recreate(SERVICE);
    assert_ne!(fake.at(SERVICE).unwrap()["metadata"]["uid"], made["metadata"]["uid"]);
    assert_eq!(fake.writes().len(), 3);
    let mut elsewhere = manifest;
    elsewhere["metadata"]["namespace"] = json!("nowhere");
    assert!(matches!(apply(&api, &elsewhere, Write::default()).await, Err(Error::NamespaceMissing { .. })));
}

#[tokio::test]
async fn who_applies_keeps_what_is_his() {
    let fake = Fake::with([service(&json!([1]))]);
    let api = fake.session().api(&context().0);
    let taken_back = apply(&api, &service(&json!([2])), Write::default()).await;
    assert!(taken_back.is_ok(), "an edit by kubectl is taken back");
    fake.put_as(&service(&json!([3])), &Manager::new("argocd-controller", true));
    let conflict = apply(&api, &service(&json!([2])), Write::default()).await.unwrap_err();
    assert!(
        matches!(&conflict, Error::Conflict { conflicts, .. } if conflicts[0].manager == "argocd-controller"),
        "{conflict:?}"
    );
    apply(&api, &service(&json!([2])), Write { force: true, ..Write::default() }).await.unwrap();
    assert_eq!(fake.at(SERVICE).unwrap()["spec"]["ports"], json!([2]));
}

#[tokio::test]
async fn a_finalizer_holds_what_is_deleted_until_it_is_taken_off() {
    let fake = Fake::with([service(&json!([1]))]);
    let api = fake.session().api(&context().0);
    fake.edit(SERVICE, |service| service["metadata"]["finalizers"] = json!(["x/y"]));
    assert_eq!(delete(&api, &reference(), Some("another")).await, Ok(DeleteOutcome::NotOurs));
    assert!(matches!(delete(&api, &reference(), None).await, Ok(DeleteOutcome::Deleting(_))));
    merge(&api, &reference(), &json!({"metadata": {"finalizers": []}})).await.unwrap();
    assert_eq!(fetch(&api, &reference()).await, Ok(None));
    let fake = Fake::with([service(&json!([1]))]).with_operator();
    fake.edit(SERVICE, |service| service["metadata"]["finalizers"] = json!(["x/y"]));
    assert_eq!(delete(&fake.session().api(&context().0), &reference(), None).await, Ok(DeleteOutcome::Gone));
}

#[tokio::test]
async fn a_namespace_goes_with_all_that_is_in_it() {
    let fake = Fake::with([service(&json!([1]))]);
    let api = fake.session().api(&context().0);
    let names = objects::list_names(&api, Kind::Service, None, "").await.unwrap();
    assert_eq!(names, [reference()]);
    delete(&api, &ObjectRef::global(Kind::Namespace, "apps"), None).await.unwrap();
    assert_eq!(objects::list_names(&api, Kind::Service, Some("apps"), "").await, Ok(Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn a_fault_ends_and_a_late_answer_comes() {
    let fake = Fake::with([service(&json!([1]))]);
    let api = fake.session().api(&context().0);
    fake.next(1, Method::GET, SERVICE, Reply::forbidden("no"));
    fake.next(1, None, SERVICE, Reply::Late(Duration::from_secs(9)));
    assert!(matches!(fetch(&api, &reference()).await, Err(Error::Refused { .. })));
    let asked = Instant::now();
    assert!(fetch(&api, &reference()).await.unwrap().is_some());
    assert_eq!(asked.elapsed().as_secs(), 9);
}

/// The lines of a watch, as far as there are any now.
async fn lines(fake: &Fake, since: u64, more: &str) -> Vec<String> {
    let query = format!("watch=true&timeoutSeconds=60&resourceVersion={since}{more}");
    let collection = Kind::Service.collection_path(Some("apps"));
    let seen =
        Seen { method: Method::GET, path: collection, query, content_type: String::new(), body: Value::Null };
    let lines = fake.watch(&seen).map_err(|reply| format!("{reply:?}")).unwrap();
    let told = |line: Result<http_body::Frame<Bytes>, _>| {
        let line: Value = serde_json::from_slice(&line.unwrap().into_data().unwrap()).unwrap();
        format!(
            "{} {}",
            line["type"].as_str().unwrap(),
            line["object"]["metadata"]["name"].as_str().unwrap_or_default()
        )
    };
    lines.map(told).collect().await
}

#[tokio::test(start_paused = true)]
async fn a_watch_tells_what_happened_since_and_ends_with_a_bookmark() {
    let fake = Fake::with([service(&json!([1]))]);
    fake.edit(SERVICE, |service| service["metadata"]["labels"] = json!({"app": "chop"}));
    fake.edit(SERVICE, |service| service["spec"]["ports"] = json!([2]));
    fake.edit(SERVICE, |service| service["metadata"]["labels"] = json!({}));
    fake.remove(SERVICE);
    assert_eq!(
        lines(&fake, 0, "").await,
        ["ADDED db", "MODIFIED db", "MODIFIED db", "MODIFIED db", "DELETED db", "BOOKMARK "]
    );
    assert_eq!(
        lines(&fake, 0, "&labelSelector=app%3Dchop").await,
        ["ADDED db", "MODIFIED db", "DELETED db", "BOOKMARK "]
    );
    assert_eq!(lines(&fake, 4, "&fieldSelector=metadata.name%3Dother").await, ["BOOKMARK "]);
    fake.forget_history();
    assert_eq!(lines(&fake, 4, "").await, ["ERROR "]);
    assert_eq!(lines(&fake, 5, "").await, ["BOOKMARK "]);
    assert_eq!(fake.open_watches(), 0);
}
