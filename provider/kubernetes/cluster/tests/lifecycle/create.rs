//! What a create makes, of what it is refused, and what an interrupted one leaves.

use super::*;
use crate::kubernetes::meta::{FIELD_MANAGER, MANAGED_BY, URN_ANNOTATION};

#[tokio::test]
async fn a_create_reads_and_writes_each_object_once_and_the_secret_first() {
    let (cluster, fake) = api();
    let made = cluster.create(&context().0, Box::new(program(json!({"replicas": 2})))).await.unwrap();
    assert_eq!(made.id, "apps/db");
    let requests = requests(&fake);
    let (reads, writes): (Vec<_>, Vec<_>) = requests.iter().partition(|request| request.starts_with("GET"));
    // One read tells the Kubernetes cluster, once a process. The Secret is not read: the write that makes it
    // tells whether it is there.
    assert_eq!((reads.len(), writes.len()), (4, 5), "{requests:?}");
    assert_eq!(fake.count(&Method::GET, SECRET), 0);
    assert_eq!(writes[..2], ["POST apps", "PATCH secrets"]);
    assert_eq!(writes[4], "PATCH clickhouseinstallations");
    assert_eq!(fake.paths(), [SECRET, SERVICE, CHK, CHI]);
    assert_eq!(made.state.password.as_deref(), Some(stored_password(&fake).as_str()));
    assert_eq!(stored_hash(&fake), sha256_hex(&stored_password(&fake)));
    assert!(
        fake.requests()
            .iter()
            .filter(|seen| seen.path != SECRET)
            .all(|seen| !seen.body.to_string().contains(&stored_password(&fake)))
    );
}

#[tokio::test]
async fn what_somebody_else_made_is_refused_with_the_way_to_adopt_it() {
    let (cluster, fake) = api();
    fake.put_at(CHI, &json!({"metadata": {"name": "db"}}));
    let failure = create(&cluster, &program(json!({}))).await.unwrap_err();
    assert!(failure.kind == FailureKind::AlreadyExists && failure.partial.is_none());
    assert!(
        failure.reasons[0].contains("pulumi import clickhouse:kubernetes:Cluster db apps/db"),
        "{:?}",
        failure.reasons
    );
    fake.remove(CHI);
    fake.put_at(SERVICE, &json!({"metadata": {"name": "db"}}));
    let failure = create(&cluster, &program(json!({}))).await.unwrap_err();
    assert!(failure.reasons[0].starts_with("Service apps/db already exists"), "{:?}", failure.reasons);
    assert_eq!(fake.count(&Method::PATCH, ""), 0);
}

#[tokio::test]
async fn a_name_that_another_resource_has_taken_comes_with_the_way_to_adopt_it() {
    let (cluster, fake) = api();
    create(&cluster, &program(json!({}))).await.unwrap();
    let before = fake.objects();
    let ctx = Context { urn: Urn(urn().0.replace("::db", "::second")), ..context().0 };
    let preview = cluster.preview_create(&ctx, &Known::all(program(json!({})))).await.unwrap_err();
    let failure = cluster.create(&ctx, Box::new(program(json!({})))).await.unwrap_err();
    for reasons in [preview.reasons, failure.reasons] {
        assert!(
            reasons[0].contains("pulumi import clickhouse:kubernetes:Cluster second apps/db"),
            "{reasons:?}"
        );
    }
    assert_eq!(fake.objects(), before);
}

#[tokio::test]
async fn of_two_creates_at_once_the_second_is_told_whose_the_cluster_is() {
    let (cluster, fake) = api();
    // It comes between the look and the first write.
    let theirs = fake.clone();
    fake.script(move |seen| {
        if seen.method == Method::POST {
            let (labels, urn) = (
                json!({MANAGED_BY: FIELD_MANAGER}),
                "urn:pulumi:prod::shop::clickhouse:kubernetes:Cluster::db",
            );
            theirs.put_at(
                SECRET,
                &json!({"metadata": {"uid": "theirs", "labels": labels,
                "annotations": {URN_ANNOTATION: urn}}}),
            );
        }
        None
    });
    let failure = create(&cluster, &program(json!({}))).await.unwrap_err();
    assert!(failure.kind == FailureKind::AlreadyExists && failure.partial.is_none());
    assert!(failure.reasons[0].contains("urn:pulumi:prod::shop"), "{:?}", failure.reasons);
    assert_eq!((fake.paths(), fake.writes()), (vec![SECRET.to_owned()], Vec::new()));
}

#[tokio::test]
async fn a_secret_that_is_there_alone_is_found_by_the_write_that_would_make_it() {
    let (cluster, fake) = api();
    let args = program(json!({}));
    fake.on(Method::PATCH, SERVICE, Reply::forbidden("no"));
    create(&cluster, &args).await.unwrap_err();
    fake.heal();
    let (before, password) = (fake.objects(), stored_password(&fake));
    assert_eq!(fake.paths(), [SECRET]);
    let second = Context { urn: Urn(urn().0.replace("::db", "::second")), ..context().0 };
    let failure = cluster.create(&second, Box::new(args.clone())).await.unwrap_err();
    assert!(failure.kind == FailureKind::AlreadyExists && failure.partial.is_none());
    assert!(failure.reasons[0].contains(&urn().0), "{:?}", failure.reasons);
    assert_eq!(fake.objects(), before);
    let (ctx, display) = context();
    let made = cluster.create(&ctx, Box::new(args.clone())).await.unwrap();
    assert_eq!(made.state.password, Some(password));
    assert_eq!(display.infos(), ["resuming the interrupted create of apps/db"]);

    let (cluster, fake) = api();
    fake.put_at(SECRET, &json!({"metadata": {"name": "db-credentials"}, "data": {"password": "cHc="}}));
    let before = fake.objects();
    let failure = create(&cluster, &args).await.unwrap_err();
    assert!(failure.kind == FailureKind::AlreadyExists && failure.partial.is_none());
    assert!(
        failure.reasons[0].starts_with("Secret apps/db-credentials already exists and was not created"),
        "{:?}",
        failure.reasons
    );
    assert_eq!(fake.objects(), before);
}

#[tokio::test]
async fn an_interrupted_create_is_continued_with_the_same_password() {
    let (cluster, fake) = api();
    fake.remove("/api/v1/namespaces/apps");
    fake.on(Method::PATCH, CHI, Reply::forbidden("no"));
    let args = program(json!({"createNamespace": true}));
    let failure = create(&cluster, &args).await.unwrap_err();
    let left = failure.partial.expect("what was made is kept");
    assert_eq!((left.id.as_str(), left.state.uids.namespace.is_some()), ("apps/db", true));
    let first = stored_password(&fake);
    assert_eq!(left.state.password.as_deref(), Some(first.as_str()));
    fake.heal();
    let state = create(&cluster, &args).await.unwrap();
    assert_eq!((state.password, state.uids.namespace), (Some(first.clone()), left.state.uids.namespace));
    assert_eq!(stored_hash(&fake), sha256_hex(&first));
}

#[tokio::test]
async fn a_failure_before_anything_was_made_leaves_nothing_behind() {
    let (cluster, fake) = api();
    fake.on(Method::POST, "", Reply::forbidden("no"));
    let failure = create(&cluster, &program(json!({}))).await.unwrap_err();
    assert!(failure.partial.is_none() && fake.objects().is_empty());
}

/// A create that is stopped as soon as a request of `method` is on its way; none of those is ever answered.
async fn stopped_create(method: Method) -> Failure<ClusterState> {
    let (cluster, fake) = api();
    fake.on(method.clone(), "", Reply::Hang);
    let (ctx, _) = context();
    let stop = async {
        while fake.count(&method, "") == 0 {
            tokio::task::yield_now().await;
        }
        ctx.cancel.cancel();
    };
    let args = program(json!({}));
    futures::join!(cluster.create(&ctx, Box::new(args)), stop).0.unwrap_err()
}

#[tokio::test]
async fn a_write_whose_answer_never_came_is_kept_as_made() {
    let failure = stopped_create(Method::PATCH).await;
    assert_eq!(failure.kind, FailureKind::Cancelled);
    assert_eq!(
        failure.reasons,
        ["stopped while the API server was asked to apply Secret apps/db-credentials"]
    );
    let left = failure.partial.expect("the Secret may be there");
    assert!(left.id == "apps/db" && left.state.password.is_some());
    let failure = stopped_create(Method::GET).await;
    assert!(failure.kind == FailureKind::Cancelled && failure.partial.is_none());
}

#[tokio::test]
async fn a_password_of_the_users_own_secret_is_read_and_its_absence_told() {
    let (cluster, fake) = api();
    let args = program(json!({"admin": {"existingSecret": {"name": "own", "key": "pw"}}}));
    let failure = create(&cluster, &args).await.unwrap_err();
    assert!(
        failure.reasons[0].contains("Secret apps/own does not exist") && failure.partial.is_none(),
        "{:?}",
        failure.reasons
    );
    fake.put_at("/api/v1/namespaces/apps/secrets/own", &json!({"data": {"pw": "cHc="}}));
    assert_eq!(create(&cluster, &args).await.unwrap().password.as_deref(), Some("pw"));
    assert_eq!(stored_hash(&fake), sha256_hex("pw"));
}
