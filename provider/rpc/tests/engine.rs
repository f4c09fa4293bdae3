//! What an engine hears, and how it ends a run.

use super::*;

#[tokio::test]
async fn a_cancel_ends_what_is_under_way_and_lasts_until_the_next_run() {
    let (address, mut entries) = start_engine().await;
    let mut client = client().await;
    client.attach(pb::PluginAttach { address }).await.unwrap();
    let mut other = client.clone();
    let waiting = tokio::spawn(async move { other.create(create("wait")).await.unwrap_err() });
    assert_eq!(heard(&mut entries).await.message, "waiting for the end");
    client.cancel(()).await.unwrap();
    let status = timeout(LONG, waiting).await.expect("the wait ends").unwrap();
    assert_eq!(init_failed(&status).id, "ns/wait");

    client.cancel(()).await.unwrap();
    assert_eq!(
        init_failed(&client.create(create("wait")).await.unwrap_err()).id,
        "ns/wait",
        "the run is over"
    );

    client.handshake(pb::ProviderHandshakeRequest::default()).await.unwrap();
    let mut other = client.clone();
    let mut waiting = tokio::spawn(async move { other.create(create("wait")).await });
    while heard(&mut entries).await.message != "waiting for the end" {}
    assert!(timeout(Duration::from_millis(50), &mut waiting).await.is_err(), "a new run is not cancelled");
    client.cancel(()).await.unwrap();
    waiting.await.unwrap().unwrap_err();
}

#[tokio::test]
async fn a_cancel_gets_through_a_thousand_waits() {
    let (address, mut entries) = start_engine().await;
    let mut client = client().await;
    client.attach(pb::PluginAttach { address }).await.unwrap();
    let waits: Vec<_> = (0..1000)
        .map(|number| {
            let mut client = client.clone();
            let urn = format!("{URN}-{number}");
            tokio::spawn(async move {
                client.create(pb::CreateRequest { urn, ..create("wait") }).await.unwrap_err()
            })
        })
        .collect();
    let mut waiting = 0;
    while waiting < 300 {
        waiting += usize::from(heard(&mut entries).await.message == "waiting for the end");
    }
    timeout(LONG, client.cancel(())).await.expect("the cancel is heard").unwrap();
    for wait in waits {
        init_failed(&timeout(LONG, wait).await.expect("the wait ends").unwrap());
    }
}

#[tokio::test]
async fn the_status_of_a_call_ends_with_it() {
    let (address, mut entries) = start_engine().await;
    let log = EngineLog::default();
    log.connect(&address);
    let row = log.row(&crate::resource::Urn(URN.into()));
    row.status("working\non it");
    assert_eq!(heard(&mut entries).await.message, "working on it");
    drop(row);
    let entry = heard(&mut entries).await;
    assert_eq!((entry.message.as_str(), entry.ephemeral), ("", true));
}

static INTERESTED: std::sync::Once = std::sync::Once::new();

#[tokio::test]
async fn the_engine_hears_status_warnings_and_trace_with_the_urn() {
    let (address, mut entries) = start_engine().await;
    let log = EngineLog::default();
    // Without any subscriber a test beside this one would have the events it passes by switched off for the
    // whole process.
    INTERESTED.call_once(|| {
        tracing::subscriber::set_global_default(Subscribers::default()).expect("no other test sets one");
    });
    let _trace = tracing::subscriber::set_default(
        Subscribers::default().with(log.clone().with_filter(filter_fn(forwards))),
    );
    let mut client = client_of(log).await;
    client
        .handshake(pb::ProviderHandshakeRequest { engine_address: address, ..Default::default() })
        .await
        .unwrap();
    let mut other = client.clone();
    let waiting = tokio::spawn(async move { other.create(create("wait")).await });

    let entry = |severity: pb::LogSeverity, message: &str, ephemeral| fake_engine::pb::LogRequest {
        severity: severity.into(),
        message: message.into(),
        urn: URN.into(),
        stream_id: 0,
        ephemeral,
    };
    assert_eq!(heard(&mut entries).await, entry(pb::LogSeverity::Info, "waiting for the end", true));
    assert_eq!(heard(&mut entries).await, entry(pb::LogSeverity::Warning, "this may take long", false));
    // The second warning says the same, so the next is the trace.
    assert_eq!(heard(&mut entries).await, entry(pb::LogSeverity::Debug, "waiting times=2", false));
    client.cancel(()).await.unwrap();
    assert_eq!(heard(&mut entries).await, entry(pb::LogSeverity::Info, "", true));
    waiting.await.unwrap().unwrap_err();
}

#[tokio::test]
async fn a_cancel_is_answered_once_the_engine_has_what_was_said_before() {
    let (address, mut entries) = start_engine().await;
    let log = EngineLog::default();
    let mut client = client_of(log.clone()).await;
    client.attach(pb::PluginAttach { address }).await.unwrap();
    let row = log.row(&crate::resource::Urn(URN.into()));
    (0..20).for_each(|number| row.warn(&format!("warning {number}")));
    client.cancel(()).await.unwrap();
    for number in 0..20 {
        assert_eq!(
            entries.next_at_once().expect("it was sent before the answer").message,
            format!("warning {number}")
        );
    }
}

#[tokio::test]
async fn a_dead_engine_disturbs_nothing() {
    let vacant = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap();
    let mut client = client().await;
    client.attach(pb::PluginAttach { address: vacant.to_string() }).await.unwrap();
    client.attach(pb::PluginAttach { address: "no address".into() }).await.unwrap();
    client.cancel(()).await.unwrap();
    // It reports and returns at once, cancelled.
    init_failed(&client.create(create("wait")).await.unwrap_err());
}
