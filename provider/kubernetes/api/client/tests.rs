use serde_json::json;

use super::*;
use crate::kubernetes::error::Reach;

#[tokio::test]
async fn a_client_is_made_from_contents_without_asking_the_server() {
    let kubeconfig = "current-context: a\nclusters:\n- name: c\n  cluster: {server: 'http://127.0.0.1:1'}\n\
        contexts:\n- name: a\n  context: {cluster: c, user: u, namespace: team}\nusers:\n- name: u\n  user: \
        {token: t}\n";
    let session = Session::new(Settings { kubeconfig: Some(kubeconfig.into()), ..Settings::default() });
    assert!(session.client().await.is_ok());
    assert!(!session.was_reached());
    assert_eq!(session.default_namespace(), "team");
}

/// A session that gives up what it can't connect to, and what a call to `server` came to.
async fn asked(server: &str, more: &str) -> (Session, Error) {
    let kubeconfig = format!(
        "{{current-context: a, clusters: [{{name: c, cluster: {{server: '{server}'{more}}}}}], contexts: \
            [{{name: a, context: {{cluster: c}}}}]}}"
    );
    let settings =
        Settings { kubeconfig: Some(kubeconfig.into()), delete_unreachable: true, ..Settings::default() };
    let session = Session::new(settings);
    let request = http::Request::get("/api/v1/namespaces/default").body(kube::client::Body::empty()).unwrap();
    let error = session.client().await.unwrap().send(request).await.unwrap_err();
    (session, Error::from_transport(Some(server), &error))
}

#[tokio::test]
async fn a_server_is_given_up_only_where_no_connection_comes_about() {
    // A port that was just free has no listener; a name with an empty label is refused by every resolver.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for server in [format!("https://{free}"), format!("http://{free}"), "http://no..where:6443".to_owned()] {
        let (session, error) = asked(&server, "").await;
        assert_eq!(error.reach(), Reach::NoServer, "{error}");
        assert!(session.is_given_up().await, "{server}");
        session.note_reached();
        assert!(!session.is_given_up().await, "what answered in this run is not gone");
    }
    let (session, error) = asked("http://no..where:6443", &format!(", proxy-url: 'http://{free}'")).await;
    assert_eq!(error.reach(), Reach::Busy, "{error}");
    assert!(!session.is_given_up().await, "behind a proxy nothing can be said");
}

#[tokio::test]
async fn a_listener_that_is_no_api_server_is_not_given_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (closes, served) = (
        tokio::spawn(async move { while listener.accept().await.is_ok() {} }),
        asked(&format!("https://{address}"), "").await,
    );
    assert_eq!(served.1.reach(), Reach::Busy, "{}", served.1);
    assert!(!served.0.is_given_up().await);
    closes.abort();
}

#[tokio::test]
async fn a_kubeconfig_that_comes_later_is_used() {
    let path = std::env::temp_dir().join(format!("kubeconfig-{}", std::process::id()));
    let session = Session::new(Settings {
        kubeconfig: Some(path.to_string_lossy().into_owned().into()),
        ..Settings::default()
    });
    assert!(matches!(session.client().await, Err(Error::Kubeconfig { .. })));
    assert_eq!(session.default_namespace(), "default");
    let contents = "{current-context: a, clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}], \
        contexts: [{name: a, context: {cluster: c}}]}";
    std::fs::write(&path, contents).unwrap();
    let client = session.client().await;
    std::fs::remove_file(&path).unwrap();
    assert!(client.is_ok());
}

#[tokio::test]
async fn a_credentials_plugin_that_is_not_installed_is_named_as_such() {
    let kubeconfig = "current-context: a\nclusters:\n- name: c\n  cluster: {server: 'http://127.0.0.1:1'}\n\
        contexts:\n- name: a\n  context: {cluster: c, user: u}\nusers:\n- name: u\n  user:\n    exec: \
        {apiVersion: client.authentication.k8s.io/v1, command: no-such-plugin, interactiveMode: Never}\n";
    let session = Session::new(Settings { kubeconfig: Some(kubeconfig.into()), ..Settings::default() });
    let Err(error) = session.client().await else { panic!("a client without credentials") };
    assert!(error.to_string().contains("plugin can't be started (`no-such-plugin`"), "{error}");
}

/// A session whose user has a plugin: a shell that runs `script`.
fn with_plugin(script: &str) -> Session {
    let kubeconfig = json!({
        "current-context": "a", "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
        "contexts": [{"name": "a", "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": {"exec": {
            "apiVersion": "client.authentication.k8s.io/v1", "command": "/bin/sh", "args": ["-c", script],
                "interactiveMode": "Never",
            "env": [{"name": "GIVEN", "value": "hunter2"}]}}}],
    });
    Session::new(Settings { kubeconfig: Some(kubeconfig.to_string().into()), ..Settings::default() })
}

#[tokio::test]
async fn a_plugin_that_hangs_ends_with_the_deadline_and_is_named_also_by_those_that_wait_behind_it() {
    let (session, started) = (with_plugin("sleep 600"), Instant::now());
    let deadline = started + Duration::from_millis(300);
    let (first, second) = futures::join!(session.client_by(deadline), session.client_by(deadline));
    for told in [first, second] {
        let error = told.err().expect("no credentials");
        assert!(error.to_string().contains("`/bin/sh` of the kubeconfig"), "{error}");
        assert_eq!(error.reach(), Reach::NoCredentials);
    }
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_call_ends_with_its_deadline_while_a_plugin_hangs() {
    let session = with_plugin("sleep 600");
    let api =
        session.api(&crate::kubernetes::fake::context().0).until(Instant::now() + Duration::from_millis(300));
    let namespace =
        crate::kubernetes::meta::ObjectRef::global(crate::kubernetes::meta::Kind::Namespace, "default");
    let error = crate::kubernetes::objects::fetch(&api, &namespace).await.unwrap_err();
    assert!(error.to_string().contains("did not end within"), "{error}");
}

#[tokio::test]
async fn a_renewal_that_fails_is_tried_again_where_the_first_one_was_good() {
    let flag = std::env::temp_dir().join(format!("plugin-flag-{}", std::process::id()));
    let token = json!({"status": {"token": "t"}}).to_string();
    let script = format!("test -e {0} && echo '{token}' || {{ touch {0}; exit 1; }}", flag.display());
    for (was_reached, reach) in [(false, Reach::NoCredentials), (true, Reach::NoServer)] {
        let session = with_plugin(&script);
        if was_reached {
            session.note_reached();
        }
        let api =
            session.api(&crate::kubernetes::fake::context().0).until(Instant::now() + Duration::from_secs(2));
        let namespace =
            crate::kubernetes::meta::ObjectRef::global(crate::kubernetes::meta::Kind::Namespace, "default");
        let error = crate::kubernetes::objects::fetch(&api, &namespace).await.unwrap_err();
        assert_eq!(error.reach(), reach, "nobody listens there, but with credentials it is asked: {error}");
        std::fs::remove_file(&flag).unwrap();
    }
}

#[tokio::test]
async fn a_plugin_that_fails_is_named_and_nothing_that_it_printed_is_repeated() {
    for (script, part) in
        [("echo $GIVEN; exit 3", "ended with exit status: 3"), ("echo $GIVEN", "no ExecCredential")]
    {
        let error = with_plugin(script).client().await.err().expect("no credentials");
        let told = error.to_string();
        assert!(told.contains("`/bin/sh` of the kubeconfig") && told.contains(part), "{told}");
        assert!(!told.contains("hunter2") && !told.contains("KUBERNETES_EXEC_INFO"), "{told}");
    }
}

#[tokio::test]
async fn credentials_of_a_plugin_are_kept_until_they_are_about_to_end() {
    let counter = std::env::temp_dir().join(format!("plugin-runs-{}", std::process::id()));
    let credential =
        |status: serde_json::Value| json!({"kind": "ExecCredential", "status": status}).to_string();
    for (status, runs) in [
        (json!({"token": "t"}), 1),
        (json!({"token": "t", "expirationTimestamp": "2999-01-01T00:00:00Z"}), 1),
        (json!({"token": "t", "expirationTimestamp": "2001-01-01T00:00:00Z"}), 2),
    ] {
        std::fs::write(&counter, "").unwrap();
        let script = format!(
            "echo run >> {}; echo \"$KUBERNETES_EXEC_INFO\" | grep -q ExecCredential && echo '{}'",
            counter.display(),
            credential(status.clone())
        );
        let session = with_plugin(&script);
        for _ in 0..2 {
            session.client().await.unwrap();
        }
        assert_eq!(std::fs::read_to_string(&counter).unwrap().lines().count(), runs, "{status}");
    }
    std::fs::remove_file(&counter).unwrap();
}
