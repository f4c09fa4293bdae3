//! The plugin's process: how it starts, and what ends it.

use std::fs::{self, File};
use std::io::{Read, Seek};
use std::net::TcpListener as StdListener;
use std::process::Command;
use std::time::Instant;

use fake_engine::{LONG, Plugin, pb, strings};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::support::{start, start_under};

async fn shakes_hands(plugin: &Plugin) {
    plugin
        .client()
        .await
        .unwrap()
        .handshake(pb::ProviderHandshakeRequest::default())
        .await
        .expect("it answers");
}

/// An address at which nobody listens.
fn vacant() -> String {
    StdListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .expect("a free port")
        .to_string()
}

#[tokio::test]
async fn the_port_is_all_that_it_writes() {
    let plugin = start(&[]);
    assert!(
        plugin.first_line.ends_with('\n') && plugin.first_line.trim().parse::<u16>().is_ok(),
        "{:?}",
        plugin.first_line
    );
    shakes_hands(&plugin).await;
    plugin.signal("INT").unwrap();
    let (status, rest) = plugin.ended().unwrap();
    assert_eq!((status.code(), rest.as_str()), (Some(0), ""));
}

#[tokio::test]
async fn flags_stand_before_the_engine_and_unknown_ones_are_passed_over() {
    let engine = vacant();
    let plugin =
        start(&["--logtostderr", "-v=3", "--tracing", "http://127.0.0.1:9", "--not-invented-yet=1", &engine]);
    shakes_hands(&plugin).await;
}

#[test]
fn the_version_is_told_on_request() {
    let output = Command::new(env!("CARGO_BIN_EXE_pulumi-resource-clickhouse"))
        .arg("--version")
        .output()
        .expect("it runs");
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), env!("CARGO_PKG_VERSION"));
}

#[tokio::test]
async fn a_termination_ends_it_at_once_even_with_a_call_under_way() {
    let plugin = start(&[]);
    let mut client = plugin.client().await.unwrap();
    // An API server that takes a request and never answers it.
    let server = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let address = server.local_addr().expect("an address");
    let kubeconfig = format!(
        "{{current-context: a, clusters: [{{name: c, cluster: {{server: 'http://{address}'}}}}], contexts: \
            [{{name: a, context: {{cluster: c}}}}]}}"
    );
    client
        .configure(pb::ConfigureRequest {
            args: Some(strings([("kubeconfig", &kubeconfig)])),
            ..Default::default()
        })
        .await
        .expect("it answers");
    let request = pb::CreateRequest {
        urn: "urn:pulumi:dev::proj::clickhouse:kubernetes:Cluster::db".into(),
        properties: Some(strings([("name", "db"), ("namespace", "apps"), ("clusterName", "cluster")])),
        ..Default::default()
    };
    let call = tokio::spawn(async move { client.create(request).await });
    let (mut connection, _) =
        timeout(LONG, server.accept()).await.expect("the call needs the API server").expect("a connection");
    timeout(LONG, connection.read_u8()).await.expect("a request").expect("a byte of it");
    let begin = Instant::now();
    plugin.signal("TERM").unwrap();
    let (status, _) = plugin.ended().unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(begin.elapsed().as_secs() < 2, "{:?}", begin.elapsed());
    timeout(LONG, call)
        .await
        .expect("the call ends with it")
        .expect("no panic")
        .expect_err("without an answer");
}

#[tokio::test]
async fn what_it_traces_is_told_by_a_variable_of_its_own() {
    for (variable, traces) in [("RUST_LOG", false), ("PULUMI_CLICKHOUSE_LOG", true)] {
        let mut errors = tempfile();
        let plugin =
            start_under(&[], &[(variable, "trace")], errors.try_clone().expect("a second handle").into());
        shakes_hands(&plugin).await;
        plugin.signal("INT").unwrap();
        plugin.ended().unwrap();
        let mut traced = String::new();
        errors.rewind().and_then(|()| errors.read_to_string(&mut traced)).expect("it can be read");
        assert_eq!(traced.contains("TRACE"), traces, "{variable}: {traced}");
    }
}

/// A file that nobody else finds.
fn tempfile() -> File {
    let path = std::env::temp_dir().join(format!("traced-{}", std::process::id()));
    let file =
        File::options().create(true).truncate(true).read(true).write(true).open(&path).expect("a file");
    fs::remove_file(path).expect("it is there");
    file
}

#[tokio::test]
async fn an_orphan_leaves_once_its_engine_is_gone_and_not_before() {
    let engine = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let address = engine.local_addr().expect("an address").to_string();
    let mut plugin = start(&[&address]);
    plugin.end_input();
    // It looks whether the engine is there, more than once, and stays.
    for _ in 0..3 {
        timeout(LONG, engine.accept()).await.expect("it looks for the engine").expect("a connection");
    }
    shakes_hands(&plugin).await;
    drop(engine);
    let (status, _) = plugin.ended().unwrap();
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn an_engine_that_does_not_answer_is_no_reason_to_leave_while_the_input_is_open() {
    let plugin = start(&[&vacant()]);
    shakes_hands(&plugin).await;
}

#[tokio::test]
async fn without_an_engine_the_end_of_the_input_means_nothing() {
    let mut plugin = start(&[]);
    plugin.end_input();
    shakes_hands(&plugin).await;
    plugin.signal("INT").unwrap();
    assert_eq!(plugin.ended().unwrap().0.code(), Some(0));
}
