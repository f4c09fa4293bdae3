//! The life cycle against a scripted API server that keeps what it is given. Nothing is awaited here.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::json;

use super::*;
use crate::kubernetes::client::Session;
use crate::kubernetes::cluster::Cluster;
use crate::kubernetes::cluster::manifest::{merge, sha256_hex};
use crate::kubernetes::cluster::state::ClusterState;
use crate::kubernetes::meta::owner_urn;
use crate::kubernetes::scripted::{Log, Reply, Seen, context, server};
use crate::resource::{Context, Failure, FailureKind, Resource};

pub(super) type Objects = Arc<Mutex<BTreeMap<String, Value>>>;
pub(super) type Interfere = fn(&Seen) -> Option<Reply>;

/// An API server with objects, and a hook that may answer first.
fn api(interfere: Interfere) -> (Cluster, Arc<Log>, Objects) {
    let objects = Objects::default();
    let (session, log) = serve(objects.clone(), interfere);
    (Cluster::new(session), log, objects)
}

pub(super) fn serve(objects: Objects, interfere: Interfere) -> (Session, Arc<Log>) {
    server(move |seen| interfere(seen).unwrap_or_else(|| answer(&objects, seen)))
}

/// The server's own answer.
fn answer(objects: &Objects, seen: &Seen) -> Reply {
    let mut objects = objects.lock().unwrap();
    let missing = || {
        let mut parts = seen.path.rsplit('/');
        let details = json!({"name": parts.next(), "kind": parts.next()});
        Reply::Json(
            404,
            json!({"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404, "message": "not found", "details": details}),
        )
    };
    match seen.method.as_str() {
        "GET" if seen.query.contains("watch=true") => Reply::Hang,
        "GET" if seen.path.ends_with("/persistentvolumeclaims") => {
            let items: Vec<_> = objects.iter().filter(|(path, _)| path.starts_with(&seen.path)).map(|(_, claim)| claim).collect();
            Reply::Json(200, json!({"metadata": {"resourceVersion": "1"}, "items": items}))
        }
        "GET" if seen.query.contains("limit=") => Reply::Json(200, json!({"metadata": {"resourceVersion": "1"}, "items": []})),
        "GET" if seen.path == KUBE_SYSTEM => Reply::Json(200, json!({"metadata": {"name": "kube-system", "uid": "here"}})),
        "GET" => objects.get(&seen.path).map_or_else(missing, |object| Reply::Json(200, object.clone())),
        "DELETE" => match objects.remove(&seen.path) {
            Some(object) if seen.body["preconditions"].get("uid").is_some_and(|uid| *uid != object["metadata"]["uid"]) => {
                objects.insert(seen.path.clone(), object);
                Reply::status(409, "Conflict", "the UID in the precondition does not match")
            }
            Some(_) => Reply::Json(200, json!({"kind": "Status", "status": "Success"})),
            None => missing(),
        },
        "POST" => {
            let path = format!("{}/{}", seen.path, seen.body["metadata"]["name"].as_str().unwrap());
            if objects.contains_key(&path) {
                return Reply::status(409, "AlreadyExists", "secrets \"db-credentials\" already exists");
            }
            let mut object = seen.body.clone();
            object["metadata"]["uid"] = json!(format!("uid of {path}"));
            objects.insert(path, object.clone());
            Reply::Json(201, object)
        }
        _ => {
            let there = objects.get(&seen.path);
            match (seen.body["metadata"].get("uid"), there) {
                (Some(_), None) => return Reply::status(409, "Conflict", "uid mismatch: no existing object was found"),
                (Some(wanted), Some(there)) if *wanted != there["metadata"]["uid"] => return Reply::Json(422, immutable_uid()),
                _ => {}
            }
            let mut object = there.cloned().unwrap_or_else(|| json!({}));
            let uid = object["metadata"].get("uid").cloned().unwrap_or_else(|| json!(format!("uid of {}", seen.path)));
            merge(&mut object, &seen.body);
            object["metadata"]["uid"] = uid;
            if !seen.query.contains("dryRun") {
                objects.insert(seen.path.clone(), object.clone());
            }
            Reply::Json(200, object)
        }
    }
}

fn immutable_uid() -> Value {
    let cause = json!({"reason": "FieldValueInvalid", "message": "field is immutable", "field": "metadata.uid"});
    json!({"kind": "Status", "status": "Failure", "reason": "Invalid", "code": 422, "message": "invalid", "details": {"causes": [cause]}})
}

const KUBE_SYSTEM: &str = "/api/v1/namespaces/kube-system";
const SECRET: &str = "/api/v1/namespaces/apps/secrets/db-credentials";
const SERVICE: &str = "/api/v1/namespaces/apps/services/db";
const CHI: &str = "/apis/clickhouse.altinity.com/v1/namespaces/apps/clickhouseinstallations/db";
const CHK: &str = "/apis/clickhouse-keeper.altinity.com/v1/namespaces/apps/clickhousekeeperinstallations/db";

fn program(more: Value) -> ClusterArgs {
    let mut program = json!({"name": "db", "skipAwait": true});
    merge(&mut program, &more);
    checked(program)
}

fn stored_password(objects: &Objects) -> String {
    crate::kubernetes::cluster::login::decode(&objects.lock().unwrap()[SECRET], "password").expect("a password")
}

fn stored_hash(objects: &Objects) -> String {
    objects.lock().unwrap()[CHI]["spec"]["configuration"]["users"]["default/password_sha256_hex"].as_str().expect("a hash").to_owned()
}

pub(super) fn requests(log: &Log) -> Vec<String> {
    log.all().iter().map(|seen| format!("{} {}", seen.method, seen.path.rsplit('/').nth(1).unwrap())).collect()
}

pub(super) async fn create(cluster: &Cluster, args: &ClusterArgs) -> Result<ClusterState, Failure<ClusterState>> {
    cluster.create(&context().0, args).await.map(|made| made.state)
}

#[tokio::test]
async fn a_create_reads_and_writes_each_object_once_and_the_secret_first() {
    let (cluster, log, objects) = api(|_| None);
    let made = cluster.create(&context().0, &program(json!({"replicas": 2}))).await.unwrap();
    assert_eq!(made.id, "apps/db");
    let requests = requests(&log);
    let (reads, writes): (Vec<_>, Vec<_>) = requests.iter().partition(|request| request.starts_with("GET"));
    // One read more tells the Kubernetes cluster, once a process; one write more makes sure that the Secret is made here.
    assert_eq!((reads.len(), writes.len()), (5, 5), "{requests:?}");
    assert_eq!(writes[..2], ["POST apps", "PATCH secrets"]);
    assert_eq!(writes[4], "PATCH clickhouseinstallations");
    assert_eq!(objects.lock().unwrap().keys().cloned().collect::<Vec<_>>(), [SECRET, SERVICE, CHK, CHI]);
    assert_eq!(made.state.password.as_deref(), Some(stored_password(&objects).as_str()));
    assert_eq!(stored_hash(&objects), sha256_hex(&stored_password(&objects)));
    assert!(log.all().iter().filter(|seen| seen.path != SECRET).all(|seen| !seen.body.to_string().contains(&stored_password(&objects))));
}

#[tokio::test]
async fn a_refresh_reads_each_object_once_and_finds_nothing_new() {
    let (cluster, log, _) = api(|_| None);
    for more in [json!({}), json!({"shards": 2, "replicas": 2}), json!({"ingress": {"type": "NodePort"}})] {
        let args = program(more);
        let state = create(&cluster, &args).await.unwrap();
        let before = log.all().len();
        let found = cluster.read(&context().0, "apps/db", Some(&args), Some(&state)).await.unwrap().expect("is there");
        let expected = if args.layout.replicas == Some(2) { 4 } else { 3 };
        assert_eq!(log.all().len() - before, expected);
        assert_eq!((found.inputs, found.state), (args.clone(), state.clone()));
        cluster.delete(&context().0, "apps/db", Some(&args), Some(&state)).await.unwrap();
    }
}

#[tokio::test]
async fn a_destroy_deletes_each_object_once_in_its_order() {
    let (cluster, log, objects) = api(|_| None);
    let args = program(json!({"replicas": 2}));
    let state = create(&cluster, &args).await.unwrap();
    let before = log.all().len();
    cluster.delete(&context().0, "apps/db", Some(&args), Some(&state)).await.unwrap();
    let deletes = ["DELETE services", "DELETE clickhouseinstallations", "DELETE clickhousekeeperinstallations", "DELETE secrets"];
    assert_eq!(requests(&log)[before], "GET secrets", "whose it is");
    let done: Vec<_> = requests(&log).split_off(before).into_iter().filter(|request| !request.starts_with("GET")).collect();
    assert_eq!(done, deletes);
    assert!(objects.lock().unwrap().is_empty());
    cluster.delete(&context().0, "apps/db", Some(&args), Some(&state)).await.expect("what is gone already is no error");
}

#[tokio::test]
async fn a_delete_from_the_id_alone_takes_only_what_is_marked() {
    let (cluster, _, objects) = api(|_| None);
    create(&cluster, &program(json!({}))).await.unwrap();
    objects.lock().unwrap().get_mut(SERVICE).unwrap()["metadata"]["labels"] = json!({});
    cluster.delete(&context().0, "apps/db", None, None).await.unwrap();
    assert_eq!(objects.lock().unwrap().keys().cloned().collect::<Vec<_>>(), [SERVICE]);
}

#[tokio::test]
async fn another_installation_of_the_same_name_is_never_deleted() {
    let (cluster, _, objects) = api(|_| None);
    let args = program(json!({}));
    let state = create(&cluster, &args).await.unwrap();
    objects.lock().unwrap().get_mut(CHI).unwrap()["metadata"]["uid"] = json!("another");
    let (ctx, display) = context();
    cluster.delete(&ctx, "apps/db", Some(&args), Some(&state)).await.unwrap();
    assert!(objects.lock().unwrap().contains_key(CHI) && objects.lock().unwrap().contains_key(SECRET));
    assert!(display.warnings.lock().unwrap()[0].contains("left alone"));
}

#[tokio::test]
async fn no_object_is_deleted_in_place_of_ours() {
    let (cluster, _, objects) = api(|_| None);
    let args = program(json!({"replicas": 2}));
    let state = create(&cluster, &args).await.unwrap();
    for path in [SECRET, SERVICE, CHK] {
        objects.lock().unwrap().get_mut(path).unwrap()["metadata"]["uid"] = json!("another");
    }
    let (ctx, display) = context();
    cluster.delete(&ctx, "apps/db", Some(&args), Some(&state)).await.unwrap();
    assert_eq!(objects.lock().unwrap().keys().cloned().collect::<Vec<_>>(), [SECRET, SERVICE, CHK]);
    assert_eq!(display.warnings.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn what_somebody_else_made_is_refused_with_the_way_to_adopt_it() {
    let (cluster, log, objects) = api(|_| None);
    objects.lock().unwrap().insert(CHI.into(), json!({"metadata": {"name": "db"}}));
    let failure = create(&cluster, &program(json!({}))).await.unwrap_err();
    assert!(failure.kind == FailureKind::AlreadyExists && failure.partial.is_none());
    assert!(failure.reasons[0].contains("pulumi import clickhouse:kubernetes:Cluster db apps/db"), "{:?}", failure.reasons);
    objects.lock().unwrap().clear();
    objects.lock().unwrap().insert(SERVICE.into(), json!({"metadata": {"name": "db"}}));
    let failure = create(&cluster, &program(json!({}))).await.unwrap_err();
    assert!(failure.reasons[0].starts_with("Service apps/db exists already"), "{:?}", failure.reasons);
    assert_eq!(log.count("PATCH", ""), 0);
}

#[tokio::test]
async fn an_interrupted_create_is_continued_with_the_same_password() {
    let (cluster, _, objects) = api(|seen| (seen.path == CHI && seen.method == "PATCH").then(|| Reply::status(403, "Forbidden", "no")));
    let args = program(json!({"createNamespace": true}));
    let failure = create(&cluster, &args).await.unwrap_err();
    let left = failure.partial.expect("what was made is kept");
    assert_eq!((left.id.as_str(), left.state.uids.namespace.is_some()), ("apps/db", true));
    let first = stored_password(&objects);
    assert_eq!(left.state.password.as_deref(), Some(first.as_str()));
    let (session, _) = serve(objects.clone(), |_| None);
    let state = create(&Cluster::new(session), &args).await.unwrap();
    assert_eq!((state.password, state.uids.namespace), (Some(first.clone()), left.state.uids.namespace));
    assert_eq!(stored_hash(&objects), sha256_hex(&first));
}

#[tokio::test]
async fn a_failure_before_anything_was_made_leaves_nothing_behind() {
    let (cluster, _, objects) = api(|seen| (seen.method == "POST").then(|| Reply::status(403, "Forbidden", "no")));
    let failure = create(&cluster, &program(json!({}))).await.unwrap_err();
    assert!(failure.partial.is_none() && objects.lock().unwrap().is_empty());
}

/// A create that is stopped as soon as a request of `method` is on its way; none of those is ever answered.
async fn stopped_create(hang: Interfere, method: &str) -> Failure<ClusterState> {
    let (cluster, log, _) = api(hang);
    let (ctx, _) = context();
    let stop = async {
        while log.count(method, "") == 0 {
            tokio::task::yield_now().await;
        }
        ctx.cancel.cancel();
    };
    let args = program(json!({}));
    futures::join!(cluster.create(&ctx, &args), stop).0.unwrap_err()
}

#[tokio::test]
async fn a_write_whose_answer_never_came_is_kept_as_made() {
    let failure = stopped_create(|seen| (seen.method == "PATCH").then_some(Reply::Hang), "PATCH").await;
    assert_eq!(failure.kind, FailureKind::Cancelled);
    assert_eq!(failure.reasons, ["stopped while the API server was asked to apply Secret apps/db-credentials"]);
    let left = failure.partial.expect("the Secret may be there");
    assert!(left.id == "apps/db" && left.state.password.is_some());
    let failure = stopped_create(|seen| (seen.method == "GET").then_some(Reply::Hang), "GET").await;
    assert!(failure.kind == FailureKind::Cancelled && failure.partial.is_none());
}

#[tokio::test]
async fn another_password_version_makes_another_password_once() {
    let (cluster, _, objects) =
        api(|seen| (seen.path == CHI && seen.body.to_string().contains("break")).then(|| Reply::status(403, "Forbidden", "no")));
    let (old, new) = (program(json!({})), program(json!({"admin": {"passwordVersion": "2"}})));
    let state = create(&cluster, &old).await.unwrap();
    let first = stored_password(&objects);
    let unchanged = cluster.update(&context().0, "apps/db", &old, Some(&state), &program(json!({"shards": 2}))).await.unwrap();
    assert_eq!(unchanged.password.as_deref(), Some(first.as_str()));

    // Interrupted between the Secret and the installation, the rotation is finished and not done again.
    let broken = program(json!({"admin": {"passwordVersion": "2"}, "labels": {"team": "break"}}));
    let failure = cluster.update(&context().0, "apps/db", &old, Some(&state), &broken).await.unwrap_err();
    let second = stored_password(&objects);
    assert_ne!(first, second);
    let left = failure.partial.expect("what exists is kept");
    assert_eq!(left.state.password.as_deref(), Some(second.as_str()));
    let rotated = cluster.update(&context().0, "apps/db", &old, Some(&left.state), &new).await.unwrap();
    assert_eq!((rotated.password.as_deref(), stored_hash(&objects)), (Some(second.as_str()), sha256_hex(&second)));
}

#[tokio::test]
async fn a_password_of_the_users_own_secret_is_read_and_its_absence_told() {
    let (cluster, _, objects) = api(|_| None);
    let args = program(json!({"admin": {"existingSecret": {"name": "own", "key": "pw"}}}));
    let failure = create(&cluster, &args).await.unwrap_err();
    assert!(failure.reasons[0].contains("Secret apps/own does not exist") && failure.partial.is_none(), "{:?}", failure.reasons);
    objects.lock().unwrap().insert("/api/v1/namespaces/apps/secrets/own".into(), json!({"data": {"pw": "cHc="}}));
    assert_eq!(create(&cluster, &args).await.unwrap().password.as_deref(), Some("pw"));
    assert_eq!(stored_hash(&objects), sha256_hex("pw"));
}

#[tokio::test]
async fn a_preview_changes_nothing_and_foretells_the_outputs() {
    let (cluster, log, objects) = api(|_| None);
    let args = program(json!({"ingress": {}}));
    let preview = cluster.preview_create(&context().0, &Known::all(args.clone())).await.unwrap();
    assert!(
        objects.lock().unwrap().is_empty()
            && log.all().iter().filter(|seen| seen.method == "PATCH").all(|seen| seen.query.contains("dryRun=All"))
    );
    let made = create(&cluster, &args).await.unwrap();
    let (foretold, real) = (serde_json::to_value(preview.state).unwrap(), serde_json::to_value(made).unwrap());
    for (key, value) in real.as_object().unwrap() {
        if !preview.unknown.iter().any(|unknown| unknown.top_level() == Some(key)) {
            assert_eq!(foretold.get(key), Some(value), "{key}");
        }
    }
    let unknown: Vec<_> = preview.unknown.iter().map(ToString::to_string).collect();
    assert_eq!(unknown, ["connection", "external.address", "external.endpoints", "incarnation", "kubernetes", "password", "uids"]);
}

#[tokio::test]
async fn a_preview_warns_of_what_may_still_come_and_fails_for_what_will_not() {
    let (cluster, _, _) = api(|seen| (seen.path.contains("altinity")).then_some(Reply::Text(404, "404 page not found\n")));
    let (ctx, display) = context();
    cluster.preview_create(&ctx, &Known::all(program(json!({})))).await.expect("the operator may be installed in the same run");
    assert!(display.warnings.lock().unwrap().iter().any(|warning| warning.contains("helm install")), "{:?}", display.warnings);

    let (cluster, _, _) = api(|seen| {
        (seen.path == SERVICE && seen.method == "PATCH").then(|| {
            Reply::status(
                403,
                "Forbidden",
                "services \"db\" is forbidden: User \"dev\" cannot patch resource \"services\" in API group \"\" in the namespace \"apps\"",
            )
        })
    });
    let failure = cluster.preview_create(&context().0, &Known::all(program(json!({})))).await.unwrap_err();
    assert!(failure.kind == FailureKind::Forbidden && failure.reasons[0].contains("services"), "{:?}", failure.reasons);
}

#[tokio::test]
async fn a_suspended_installation_is_woken_only_once_it_is_being_deleted_and_only_that_one() {
    let (cluster, log, _) = api(|seen| {
        let held = || json!({"metadata": {"uid": format!("uid of {CHI}"), "resourceVersion": "1", "finalizers": ["f"]}, "spec": {"suspend": "Yes"}});
        (seen.path == CHI && seen.method == "DELETE").then(|| Reply::Json(200, held()))
    });
    let args = program(json!({}));
    let state = create(&cluster, &args).await.unwrap();
    let before = log.all().len();
    cluster.delete(&context().0, "apps/db", Some(&args), Some(&state)).await.unwrap();
    let sent: Vec<_> = log.all().split_off(before).into_iter().filter(|seen| seen.path == CHI).collect();
    assert_eq!(sent.iter().map(|seen| seen.method.as_str()).collect::<Vec<_>>(), ["DELETE", "PATCH"]);
    assert_eq!(sent[1].body, json!({"metadata": {"uid": format!("uid of {CHI}")}, "spec": {"suspend": "no"}}));
}

#[tokio::test]
async fn only_a_definite_absence_counts_as_gone() {
    let (cluster, _, _) = api(|_| None);
    assert!(cluster.read(&context().0, "apps/db", None, None).await.unwrap().is_none());
    let (cluster, _, _) = api(|seen| seen.path.contains("altinity").then_some(Reply::Text(404, "404 page not found\n")));
    assert!(cluster.read(&context().0, "apps/db", None, None).await.unwrap().is_none());
    let (cluster, _, _) = api(|_| Some(Reply::status(403, "Forbidden", "no")));
    assert_eq!(cluster.read(&context().0, "apps/db", None, None).await.unwrap_err().kind, FailureKind::Forbidden);
}

#[tokio::test]
async fn a_secret_that_was_edited_is_reported_and_mended() {
    let (cluster, _, objects) = api(|_| None);
    let args = program(json!({"labels": {"team": "a"}}));
    let state = create(&cluster, &args).await.unwrap();
    let edits: [(&str, Value); 4] = [
        ("/data/username", json!("ZXZl")),
        ("/data/http-url", Value::Null),
        ("/metadata/labels/team", json!("b")),
        ("/metadata/labels/team", Value::Null),
    ];
    for (path, value) in edits {
        let written = objects.lock().unwrap()[SECRET].clone();
        let (parent, key) = path.rsplit_once('/').unwrap();
        let mut edited = written.clone();
        let fields = edited.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        if value.is_null() {
            fields.remove(key).unwrap()
        } else {
            fields.insert(key.into(), value).unwrap()
        };
        // What others add is theirs.
        edited["data"]["theirs"] = json!("eA==");
        objects.lock().unwrap().insert(SECRET.into(), edited);
        let found = cluster.read(&context().0, "apps/db", Some(&args), Some(&state)).await.unwrap().unwrap();
        assert_eq!(found.state, ClusterState { credentials_secret: None, ..state.clone() }, "{path}");
        assert_eq!(cluster.update(&context().0, "apps/db", &args, Some(&found.state), &args).await.unwrap(), state, "{path}");
        objects.lock().unwrap().insert(SECRET.into(), written);
    }
}

#[tokio::test]
async fn a_lost_secret_or_service_is_reported_and_the_password_kept() {
    let (cluster, _, objects) = api(|_| None);
    let args = program(json!({}));
    let state = create(&cluster, &args).await.unwrap();
    objects.lock().unwrap().remove(SECRET);
    objects.lock().unwrap().remove(SERVICE);
    let found = cluster.read(&context().0, "apps/db", Some(&args), Some(&state)).await.unwrap().unwrap();
    assert_eq!((found.state.credentials_secret.clone(), found.state.endpoints.clone()), (None, None));
    assert_eq!(found.state.password, state.password);
    let diff = cluster.diff(&found.inputs, Some(&found.state), &Known::all(args.clone()));
    assert_eq!(diff.changes.iter().map(|change| change.path.to_string()).collect::<Vec<_>>(), ["credentialsSecret", "endpoints"]);
    let mended = cluster.update(&context().0, "apps/db", &args, Some(&found.state), &args).await.unwrap();
    assert_eq!(mended, state);
}

#[tokio::test]
async fn a_cluster_without_its_installation_is_not_forgotten() {
    let (cluster, _, objects) = api(|_| None);
    let args = program(json!({"replicas": 2}));
    let state = create(&cluster, &args).await.unwrap();
    objects.lock().unwrap().remove(CHI);
    let found = cluster.read(&context().0, "apps/db", Some(&args), Some(&state)).await.unwrap().expect("its other objects are there");
    assert_eq!((&found.inputs, &found.state.password, &found.state.uids.installation), (&args, &state.password, &None));
    let diff = cluster.diff(&found.inputs, Some(&found.state), &Known::all(args.clone()));
    assert_eq!(diff.changes.iter().map(|change| change.path.to_string()).collect::<Vec<_>>(), ["uids.installation"]);
    assert_eq!(cluster.update(&context().0, "apps/db", &args, Some(&found.state), &args).await.unwrap(), state);
    objects.lock().unwrap().remove(CHI);
    cluster.delete(&context().0, "apps/db", Some(&args), Some(&found.state)).await.unwrap();
    assert!(objects.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_cluster_of_a_renamed_stack_is_not_forgotten_without_its_installation() {
    let (cluster, _, objects) = api(|_| None);
    let args = program(json!({}));
    let state = create(&cluster, &args).await.unwrap();
    objects.lock().unwrap().remove(CHI);
    let renamed = || Context { urn: Urn(urn().0.replace("dev", "prod")), ..context().0 };
    let found = cluster.read(&renamed(), "apps/db", Some(&args), Some(&state)).await.unwrap().expect("its Secret is the one of the state");
    assert_eq!(cluster.update(&renamed(), "apps/db", &args, Some(&found.state), &args).await.unwrap(), state);
    assert_eq!(owner_urn(&objects.lock().unwrap()[SECRET]), Some(renamed().urn.0.as_str()));
}

#[tokio::test]
async fn a_refresh_takes_no_other_installation_for_the_own_one() {
    let (cluster, _, objects) = api(|_| None);
    let args = program(json!({}));
    let state = create(&cluster, &args).await.unwrap();
    objects.lock().unwrap().get_mut(CHI).unwrap()["metadata"]["uid"] = json!("another");
    let (ctx, display) = context();
    assert!(cluster.read(&ctx, "apps/db", Some(&args), Some(&state)).await.unwrap().is_none());
    assert!(display.warnings.lock().unwrap()[0].contains("pulumi import clickhouse:kubernetes:Cluster db apps/db"));
}

#[tokio::test]
async fn a_keeper_that_hosts_may_still_need_stays_until_an_update_is_waited_for() {
    let (cluster, _, objects) = api(|_| None);
    let (old, new) = (program(json!({"replicas": 2})), program(json!({"coordination": {"type": "None"}, "allowDataLoss": true})));
    let state = create(&cluster, &old).await.unwrap();
    let left = cluster.update(&context().0, "apps/db", &old, Some(&state), &new).await.unwrap();
    assert!(left.uids.keeper == state.uids.keeper && objects.lock().unwrap().contains_key(CHK), "nothing was waited for");
    let found = cluster.read(&context().0, "apps/db", Some(&new), Some(&left)).await.unwrap().unwrap().state;
    assert_eq!(found.uids.keeper, state.uids.keeper);
    let paths = |args: &ClusterArgs| {
        cluster.diff(&new, Some(&found), &Known::all(args.clone())).changes.iter().map(|change| change.path.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(paths(&new), Vec::<String>::new());
    let mut awaited = new.clone();
    awaited.operations.skip_await = None;
    assert_eq!(paths(&awaited), ["uids.keeper"]);
    cluster.delete(&context().0, "apps/db", Some(&new), Some(&found)).await.unwrap();
    assert!(objects.lock().unwrap().is_empty());
}

/// What `--replace` does: a second create, then the delete of what the first one made.
#[tokio::test]
async fn a_replacement_takes_the_cluster_over_and_its_old_incarnation_deletes_nothing() {
    let (cluster, _, objects) = api(|_| None);
    let args = program(json!({"replicas": 2}));
    let first = create(&cluster, &args).await.unwrap();
    let second = create(&cluster, &args).await.unwrap();
    assert_eq!((&second.uids, &second.password), (&first.uids, &first.password));
    assert!(second.incarnation.is_some() && second.incarnation != first.incarnation);
    let (ctx, display) = context();
    cluster.delete(&ctx, "apps/db", Some(&args), Some(&first)).await.unwrap();
    assert_eq!(objects.lock().unwrap().len(), 4);
    assert!(display.warnings.lock().unwrap()[0].contains("taken over by a later create"), "{:?}", display.warnings);
    let before = ClusterState { incarnation: None, ..first };
    cluster.delete(&context().0, "apps/db", Some(&args), Some(&before)).await.unwrap();
    assert_eq!(objects.lock().unwrap().len(), 4, "a state of a release without incarnations is older, too");
    cluster.delete(&context().0, "apps/db", Some(&args), Some(&second)).await.unwrap();
    assert!(objects.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_create_that_fails_to_take_over_leaves_the_cluster_to_its_old_incarnation() {
    let (cluster, _, objects) = api(|_| None);
    let args = program(json!({}));
    let first = create(&cluster, &args).await.unwrap();
    let (session, _) = serve(objects.clone(), |seen| (seen.method == "PATCH").then(|| Reply::status(403, "Forbidden", "no")));
    assert!(create(&Cluster::new(session), &args).await.unwrap_err().partial.is_none());
    cluster.delete(&context().0, "apps/db", Some(&args), Some(&first)).await.unwrap();
    assert!(objects.lock().unwrap().is_empty());
}

#[tokio::test]
async fn taking_a_cluster_over_is_guarded_and_keeps_its_version() {
    let (cluster, _, objects) = api(|_| None);
    let made = create(&cluster, &program(json!({"shards": 2, "version": "24.8.1.1"}))).await.unwrap();
    objects.lock().unwrap().insert(CLAIM.into(), claim("standard", Some("pv-1")));
    let fewer = create(&cluster, &program(json!({}))).await.unwrap_err();
    assert!(fewer.kind == FailureKind::Invalid && fewer.reasons[0].contains("`chi-db-cluster-1-0`"), "{:?}", fewer.reasons);
    let preview = cluster.preview_create(&context().0, &Known::all(program(json!({})))).await.unwrap_err();
    assert_eq!(preview.reasons, fewer.reasons);
    let same = program(json!({"shards": 2}));
    let kept = create(&cluster, &same).await.unwrap();
    assert_eq!((kept.version.as_str(), &kept.password), ("24.8.1.1", &made.password));
    let image =
        |objects: &Objects| objects.lock().unwrap()[CHI]["spec"]["templates"]["podTemplates"][0]["spec"]["containers"][0]["image"].clone();
    assert_eq!(image(&objects), "clickhouse/clickhouse-server:24.8.1.1");
    cluster.update(&context().0, "apps/db", &same, Some(&kept), &same).await.unwrap();
    assert_eq!(image(&objects), "clickhouse/clickhouse-server:24.8.1.1");
    let found = cluster.read(&context().0, "apps/db", Some(&same), Some(&kept)).await.unwrap().unwrap();
    assert_eq!((found.inputs, found.state), (same, kept));
}

#[tokio::test]
async fn of_two_creates_at_once_the_second_is_told_whose_the_cluster_is() {
    let (cluster, _, objects) = api(|_| None);
    let other = json!({"metadata": {"uid": "theirs", "labels": {"app.kubernetes.io/managed-by": "pulumi-clickhouse"},
        "annotations": {"pulumi-clickhouse/urn": "urn:pulumi:prod::shop::clickhouse:kubernetes:Cluster::db"}}});
    // It comes between the look and the first write.
    let theirs = objects.clone();
    let (session, _) = {
        let other = other.clone();
        server_between(objects.clone(), move || _ = theirs.lock().unwrap().insert(SECRET.into(), other.clone()))
    };
    drop(cluster);
    let failure = create(&Cluster::new(session), &program(json!({}))).await.unwrap_err();
    assert!(failure.kind == FailureKind::AlreadyExists && failure.partial.is_none());
    assert!(failure.reasons[0].contains("urn:pulumi:prod::shop"), "{:?}", failure.reasons);
    assert_eq!(objects.lock().unwrap().clone(), BTreeMap::from([(SECRET.to_owned(), other)]));
}

/// A server on which something happens right before the first POST.
fn server_between(objects: Objects, happens: impl Fn() + Send + Sync + 'static) -> (Session, Arc<Log>) {
    server(move |seen| {
        if seen.method == "POST" {
            happens();
        }
        answer(&objects, seen)
    })
}

#[tokio::test]
async fn another_kubernetes_cluster_is_told_with_both_and_nothing_changes() {
    let (cluster, _, objects) = api(|_| None);
    let args = program(json!({}));
    let state = create(&cluster, &args).await.unwrap();
    assert_eq!(state.kubernetes.as_ref().map(|kubernetes| kubernetes.uid.as_str()), Some("here"));
    let there: Interfere = |seen| (seen.path == KUBE_SYSTEM).then(|| Reply::Json(200, json!({"metadata": {"uid": "there"}})));
    for objects in [Objects::default(), objects.clone()] {
        let before = objects.lock().unwrap().clone();
        let (session, log) = serve(objects.clone(), there);
        let elsewhere = Cluster::new(session);
        let new = program(json!({"logging": {"level": "debug"}}));
        let failures = [
            elsewhere.update(&context().0, "apps/db", &args, Some(&state), &new).await.unwrap_err(),
            elsewhere.preview_update(&context().0, "apps/db", &args, Some(&state), &Known::all(new)).await.unwrap_err(),
            elsewhere.read(&context().0, "apps/db", Some(&args), Some(&state)).await.unwrap_err(),
            elsewhere.delete(&context().0, "apps/db", Some(&args), Some(&state)).await.unwrap_err(),
        ];
        for failure in failures {
            assert!(failure.reasons[0].contains("unique id there") && failure.reasons[0].contains("it has here;"), "{:?}", failure.reasons);
            assert!(failure.partial.is_none());
        }
        assert_eq!((log.count("PATCH", "") + log.count("DELETE", ""), objects.lock().unwrap().clone()), (0, before));
    }
}

#[tokio::test]
async fn where_the_kubernetes_cluster_can_not_be_told_an_empty_one_is_no_proof_of_a_deletion() {
    let (cluster, _, objects) = api(|_| None);
    let args = program(json!({}));
    let state = create(&cluster, &args).await.unwrap();
    let hidden: Interfere = |seen| (seen.path == KUBE_SYSTEM).then(|| Reply::status(403, "Forbidden", "User \"a\" cannot get resource"));
    let (session, _) = serve(Objects::default(), hidden);
    let empty = Cluster::new(session);
    for failure in [
        empty.read(&context().0, "apps/db", Some(&args), Some(&state)).await.unwrap_err(),
        empty.delete(&context().0, "apps/db", Some(&args), Some(&state)).await.unwrap_err(),
    ] {
        assert!(
            failure.reasons[0].contains("can't be told") && failure.reasons[0].contains("pulumi state delete"),
            "{:?}",
            failure.reasons
        );
    }
    let (session, _) = serve(objects.clone(), hidden);
    let same = Cluster::new(session);
    assert!(same.read(&context().0, "apps/db", Some(&args), Some(&state)).await.unwrap().is_some());
    same.delete(&context().0, "apps/db", Some(&args), Some(&state)).await.unwrap();
    assert!(objects.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_update_never_makes_what_the_state_says_exists() {
    let (cluster, _, objects) = api(|_| None);
    let args = program(json!({}));
    let state = create(&cluster, &args).await.unwrap();
    objects.lock().unwrap().remove(CHI);
    let new = program(json!({"logging": {"level": "debug"}}));
    let preview = cluster.preview_update(&context().0, "apps/db", &args, Some(&state), &Known::all(new.clone())).await.unwrap_err();
    assert!(preview.reasons[0].contains("does not exist") && preview.reasons[0].contains("pulumi refresh"), "{:?}", preview.reasons);
    cluster.update(&context().0, "apps/db", &args, Some(&state), &new).await.unwrap_err();
    assert!(!objects.lock().unwrap().contains_key(CHI));
}

#[tokio::test]
async fn an_update_that_wrote_nothing_leaves_the_state_as_it_was() {
    let (cluster, _, objects) = api(|_| None);
    let args = program(json!({}));
    let state = create(&cluster, &args).await.unwrap();
    let (session, _) = serve(objects.clone(), |seen| (seen.method == "PATCH").then(|| Reply::status(403, "Forbidden", "no")));
    let rotated = program(json!({"admin": {"passwordVersion": "2"}}));
    let failure = Cluster::new(session).update(&context().0, "apps/db", &args, Some(&state), &rotated).await.unwrap_err();
    assert!(failure.partial.is_none());
}

const CLAIM: &str = "/api/v1/namespaces/apps/persistentvolumeclaims/data-chi-db-cluster-1-0-0";

fn claim(class: &str, volume: Option<&str>) -> Value {
    let phase = if volume.is_some() { "Bound" } else { "Pending" };
    json!({"metadata": {"name": "data-chi-db-cluster-1-0-0", "uid": "a claim"}, "status": {"phase": phase, "capacity": {"storage": "50Gi"}},
        "spec": {"volumeName": volume, "storageClassName": class, "resources": {"requests": {"storage": "50Gi"}}}})
}

/// The remedies that a failed create names: another class, fewer shards.
#[tokio::test]
async fn what_was_never_made_is_not_guarded_and_what_was_is() {
    let (cluster, _, objects) = api(|_| None);
    let old = checked(json!({"name": "db", "shards": 2, "storage": {"storageClass": "gp9"}}));
    let (ctx, _) = context();
    let new = Known::all(args(json!({"name": "db", "storage": {"storageClass": "gp3"}})));
    let check = || cluster.check(&ctx, &Autonaming::Default, Some(&old), &new);
    assert!(check().await.is_ok(), "there is nothing");
    objects.lock().unwrap().insert(CLAIM.into(), claim("gp9", None));
    assert!(check().await.is_ok(), "no claim ever got a volume");
    objects.lock().unwrap().insert(CLAIM.into(), claim("gp9", Some("pv-1")));
    let refused = told(check().await.unwrap_err());
    assert!(refused.iter().any(|reason| reason.starts_with("shards: ") && reason.contains("chi-db-cluster-1-0")), "{refused:?}");
    let (session, _) = serve(objects.clone(), |_| Some(Reply::Refuse));
    let away = Cluster::new(session).check(&ctx, &Autonaming::Default, Some(&old), &new).await;
    assert!(away.is_err(), "who can't look refuses");
}

#[tokio::test]
async fn a_claim_that_never_got_a_volume_makes_room_for_one_of_the_right_class() {
    let (cluster, _, objects) = api(|_| None);
    let old = program(json!({"shards": 2, "storage": {"storageClass": "gp9"}}));
    let state = create(&cluster, &old).await.unwrap();
    let new = program(json!({"shards": 2, "storage": {"storageClass": "gp3"}}));
    objects.lock().unwrap().insert(CLAIM.into(), claim("gp9", Some("pv-1")));
    let refused = cluster.update(&context().0, "apps/db", &old, Some(&state), &new).await.unwrap_err();
    assert!(refused.partial.is_none() && refused.reasons[0].starts_with("storage.storageClass: "), "{:?}", refused.reasons);
    let mut pending = claim("gp9", None);
    pending["spec"].as_object_mut().unwrap().remove("volumeName");
    objects.lock().unwrap().insert(CLAIM.into(), pending);
    cluster.update(&context().0, "apps/db", &old, Some(&state), &new).await.unwrap();
    assert!(!objects.lock().unwrap().contains_key(CLAIM));
}

#[tokio::test]
async fn an_update_is_guarded_against_what_is_live_and_not_only_what_was_typed() {
    let (cluster, _, objects) = api(|_| None);
    let old = program(json!({}));
    let state = create(&cluster, &old).await.unwrap();
    // A change to two shards that was half made, or an edit by hand.
    objects.lock().unwrap().get_mut(CHI).unwrap()["spec"]["configuration"]["clusters"][0]["layout"]["shardsCount"] = json!(2);
    objects.lock().unwrap().insert(CLAIM.into(), claim("standard", Some("pv-1")));
    let new = program(json!({"logging": {"level": "debug"}}));
    let preview = cluster.preview_update(&context().0, "apps/db", &old, Some(&state), &Known::all(new.clone())).await.unwrap_err();
    let update = cluster.update(&context().0, "apps/db", &old, Some(&state), &new).await.unwrap_err();
    for refused in [preview, update] {
        assert!(refused.partial.is_none() && refused.reasons[0].contains("chi-db-cluster-1-0"), "{:?}", refused.reasons);
    }
}

#[tokio::test]
async fn an_import_knows_the_password_when_the_secret_does() {
    let (cluster, _, _) = api(|_| None);
    let args = program(json!({"shards": 2}));
    let state = create(&cluster, &args).await.unwrap();
    let found = cluster.read(&context().0, "apps/db", None, None).await.unwrap().unwrap();
    assert_eq!((found.id.as_str(), &found.state), ("apps/db", &state));
    assert!(
        cluster
            .diff(&found.inputs, Some(&found.state), &Known::all(checked(serde_json::to_value(&found.inputs).unwrap())))
            .changes
            .is_empty()
    );
}

#[tokio::test]
async fn an_id_that_names_no_cluster_is_refused() {
    let (cluster, _, _) = api(|_| None);
    for id in ["", "/", "a/", "a/b/c"] {
        assert_eq!(cluster.read(&context().0, id, None, None).await.unwrap_err().kind, FailureKind::Invalid, "{id}");
    }
}
