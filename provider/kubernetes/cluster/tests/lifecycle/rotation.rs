//! Passwords in Secrets of the user's own: another one there is noticed by the next run and by a refresh.

use super::*;

const OWN: &str = "/api/v1/namespaces/apps/secrets/own";

fn own(fake: &Fake, password: &str) {
    let data = k8s_openapi::ByteString(password.as_bytes().to_vec());
    fake.put_at(OWN, &json!({"data": {"pw": data}}));
}

fn of_app(fake: &Fake) -> Value {
    fake.at(CHI).unwrap()["spec"]["configuration"]["users"]["app/password_sha256_hex"].take()
}

async fn check(cluster: &Cluster, old: &ClusterArgs) -> ClusterArgs {
    let program = Known::all(old.clone());
    cluster.check(&context().0, &Autonaming::Default, Some(old), &program).await.unwrap()
}

fn changes(cluster: &Cluster, old: &ClusterArgs, state: &ClusterState, new: &ClusterArgs) -> Vec<String> {
    let diff = cluster.diff(old, Some(state), &Known::all(new.clone()));
    diff.changes.iter().map(|change| change.path.to_string()).collect()
}

#[tokio::test]
async fn another_password_in_the_users_own_secret_is_taken_over_by_the_next_run() {
    let reference = json!({"name": "own", "key": "pw"});
    for (more, input) in [
        (json!({"admin": {"existingSecret": reference}}), "admin.existingSecret"),
        (json!({"users": {"app": {"passwordSecret": reference}}}), "users.app.passwordSecret"),
    ] {
        let (cluster, fake) = api();
        own(&fake, "first");
        let args = program(more);
        let state = create(&cluster, &args).await.unwrap();
        let hash = || if input.starts_with("admin") { json!(stored_hash(&fake)) } else { of_app(&fake) };
        assert_eq!(hash(), json!(sha256_hex("first")));
        let again = check(&cluster, &args).await;
        assert_eq!(changes(&cluster, &args, &state, &again), Vec::<String>::new());

        own(&fake, "second");
        let new = check(&cluster, &args).await;
        assert_eq!(changes(&cluster, &args, &state, &new), [input]);
        let state = cluster.update(&context().0, "apps/db", &args, Some(&state), &new).await.unwrap();
        assert_eq!(hash(), json!(sha256_hex("second")));
        let again = check(&cluster, &new).await;
        assert_eq!(changes(&cluster, &new, &state, &again), Vec::<String>::new(), "once");

        fake.remove(OWN);
        let gone = check(&cluster, &new).await;
        assert_eq!(changes(&cluster, &new, &state, &gone), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_refresh_tells_another_password_in_the_users_own_secret() {
    let reference = json!({"name": "own", "key": "pw"});
    let (cluster, fake) = api();
    own(&fake, "first");
    let args = program(json!({"admin": {"existingSecret": reference},
        "users": {"app": {"passwordSecret": reference}}}));
    let state = create(&cluster, &args).await.unwrap();
    let found = cluster.read(&context().0, "apps/db", Some(&args), Some(&state)).await.unwrap().unwrap();
    assert_eq!((&found.inputs, &found.state), (&args, &state));

    own(&fake, "second");
    let found = cluster.read(&context().0, "apps/db", Some(&args), Some(&state)).await.unwrap().unwrap();
    let user = &found.inputs.users.as_ref().unwrap()["app"];
    assert_eq!((&user.password_sha256, &user.password_secret), (&Some(sha256_hex("first")), &None));
    assert_eq!(found.state.credentials_secret, None);
    let mended =
        cluster.update(&context().0, "apps/db", &found.inputs, Some(&found.state), &args).await.unwrap();
    assert_eq!((stored_hash(&fake), of_app(&fake)), (sha256_hex("second"), json!(sha256_hex("second"))));
    assert_eq!(mended.password.as_deref(), Some("second"));

    fake.remove(OWN);
    let found = cluster.read(&context().0, "apps/db", Some(&args), Some(&mended)).await.unwrap().unwrap();
    assert_eq!((&found.inputs, &found.state), (&args, &mended), "what can't be read is not told");
}

#[tokio::test]
async fn a_users_secret_that_is_not_there_is_told_before_anything_is_made() {
    let (cluster, fake) = api();
    let args = program(json!({"users": {"app": {"passwordSecret": {"name": "own", "key": "pw"}}}}));
    let failure = create(&cluster, &args).await.unwrap_err();
    assert_eq!(
        failure.reasons,
        ["Secret apps/own does not exist: create it, or correct `users.app.passwordSecret`"]
    );
    assert!(failure.partial.is_none() && fake.at(CHI).is_none());
    own(&fake, "first\n");
    let failure = create(&cluster, &args).await.unwrap_err();
    assert!(failure.reasons[0].contains("ends with a line break") && !failure.reasons[0].contains("first"));
    assert!(fake.at(CHI).is_none());
}
