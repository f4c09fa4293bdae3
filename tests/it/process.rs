//! The plugin's process: how it starts, and what ends it.

use std::net::TcpListener as StdListener;
use std::process::Command;
use std::time::Instant;

use tokio::net::TcpListener;
use tokio::time::timeout;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Endpoint;

use crate::support::pb;
use crate::support::plugin::{LONG, Plugin};

async fn shakes_hands(plugin: &Plugin) {
    plugin.client().await.handshake(pb::ProviderHandshakeRequest::default()).await.expect("it answers");
}

/// An address at which nobody listens.
fn vacant() -> String {
    StdListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr()).expect("a free port").to_string()
}

#[tokio::test]
async fn the_port_is_all_that_it_writes() {
    let plugin = Plugin::start(&[]);
    assert!(plugin.first_line.ends_with('\n') && plugin.first_line.trim().parse::<u16>().is_ok(), "{:?}", plugin.first_line);
    shakes_hands(&plugin).await;
    plugin.signal("INT");
    let (status, rest) = plugin.ended();
    assert_eq!((status.code(), rest.as_str()), (Some(0), ""));
}

#[tokio::test]
async fn flags_stand_before_the_engine_and_unknown_ones_are_passed_over() {
    let engine = vacant();
    let plugin = Plugin::start(&["--logtostderr", "-v=3", "--tracing", "http://127.0.0.1:9", "--not-invented-yet=1", &engine]);
    shakes_hands(&plugin).await;
}

#[test]
fn the_version_is_told_on_request() {
    let output = Command::new(env!("CARGO_BIN_EXE_pulumi-resource-clickhouse")).arg("--version").output().expect("it runs");
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), env!("CARGO_PKG_VERSION"));
}

#[tokio::test]
async fn a_termination_ends_it_at_once_even_with_a_call_under_way() {
    let plugin = Plugin::start(&[]);
    let address = format!("http://127.0.0.1:{}", plugin.first_line.trim());
    let channel = Endpoint::from_shared(address).expect("an address").connect().await.expect("it listens");
    // A call whose request never comes.
    let call = tokio::spawn(async move {
        let mut grpc = tonic::client::Grpc::new(channel);
        grpc.ready().await.expect("it is connected");
        let requests = futures::stream::pending::<pb::CreateRequest>();
        let path = PathAndQuery::from_static("/pulumirpc.ResourceProvider/Create");
        let codec = tonic_prost::ProstCodec::<pb::CreateRequest, pb::CreateResponse>::default();
        grpc.client_streaming(tonic::Request::new(requests), path, codec).await
    });
    shakes_hands(&plugin).await;
    let begin = Instant::now();
    plugin.signal("TERM");
    let (status, _) = plugin.ended();
    assert_eq!(status.code(), Some(0));
    assert!(begin.elapsed().as_secs() < 2, "{:?}", begin.elapsed());
    timeout(LONG, call).await.expect("the call ends with it").expect("no panic").expect_err("without an answer");
}

#[tokio::test]
async fn an_orphan_leaves_once_its_engine_is_gone_and_not_before() {
    let engine = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let address = engine.local_addr().expect("an address").to_string();
    let mut plugin = Plugin::start(&[&address]);
    plugin.end_input();
    // It looks whether the engine is there, more than once, and stays.
    for _ in 0..3 {
        timeout(LONG, engine.accept()).await.expect("it looks for the engine").expect("a connection");
    }
    shakes_hands(&plugin).await;
    drop(engine);
    let (status, _) = plugin.ended();
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn an_engine_that_does_not_answer_is_no_reason_to_leave_while_the_input_is_open() {
    let plugin = Plugin::start(&[&vacant()]);
    shakes_hands(&plugin).await;
}

#[tokio::test]
async fn without_an_engine_the_end_of_the_input_means_nothing() {
    let mut plugin = Plugin::start(&[]);
    plugin.end_input();
    shakes_hands(&plugin).await;
    plugin.signal("INT");
    assert_eq!(plugin.ended().0.code(), Some(0));
}
