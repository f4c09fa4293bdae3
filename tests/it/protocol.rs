//! Every call of the protocol, against the plugin's process.

use fake_engine::{Client, FakeEngine, LONG, Plugin, pb, strings};
use prost::Message;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Status};

use crate::support::start as start_plugin;

const TYPE: &str = "clickhouse:kubernetes:Unheard";
const URN: &str = "urn:pulumi:dev::proj::clickhouse:kubernetes:Unheard::thing";
const PROVIDER: &str = "urn:pulumi:dev::proj::pulumi:providers:clickhouse::default";

async fn start() -> (Plugin, Client) {
    let plugin = start_plugin(&[]);
    let client = plugin.client().await.unwrap();
    (plugin, client)
}

#[tokio::test]
async fn it_introduces_itself() {
    let (_plugin, mut client) = start().await;
    let shaken = client.handshake(pb::ProviderHandshakeRequest::default()).await.unwrap().into_inner();
    assert!(
        shaken.accept_secrets
            && shaken.accept_resources
            && shaken.accept_outputs
            && shaken.supports_autonaming_configuration
    );
    assert_eq!(client.get_plugin_info(()).await.unwrap().into_inner().version, env!("CARGO_PKG_VERSION"));
    let schema = client.get_schema(pb::GetSchemaRequest::default()).await.unwrap().into_inner().schema;
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    assert_eq!(
        (&schema["name"], &schema["version"]),
        (&"clickhouse".into(), &env!("CARGO_PKG_VERSION").into())
    );
}

#[tokio::test]
async fn a_configuration_is_checked_compared_and_taken_even_if_no_cluster_can_be_reached() {
    let (_plugin, mut client) = start().await;
    let news = Some(strings([
        ("kubeconfig", "/nowhere/kubeconfig"),
        ("deleteUnreachable", "true"),
        ("version", "0.1.0"),
    ]));
    let check = pb::CheckRequest { urn: PROVIDER.into(), news: news.clone(), ..pb::CheckRequest::default() };
    let checked = client.check_config(check).await.unwrap().into_inner();
    assert_eq!(checked.inputs, news);
    assert!(
        checked.failures.is_empty(),
        "a file that is not there may come in the same run: {:?}",
        checked.failures
    );
    let diff = pb::DiffRequest { old_inputs: news.clone(), news: news.clone(), ..pb::DiffRequest::default() };
    let diff = client.diff_config(diff).await.unwrap().into_inner();
    assert_eq!(diff.changes(), pb::diff_response::DiffChanges::DiffNone);
    let configured = client
        .configure(pb::ConfigureRequest { args: news, ..pb::ConfigureRequest::default() })
        .await
        .unwrap();
    assert!(configured.into_inner().accept_secrets);
}

#[tokio::test]
async fn a_misspelled_setting_is_told_to_the_engine_that_shook_hands() {
    let (_plugin, mut client) = start().await;
    let mut engine = FakeEngine::start().await.unwrap();
    let handshake =
        pb::ProviderHandshakeRequest { engine_address: engine.address.clone(), ..Default::default() };
    client.handshake(handshake).await.unwrap();
    let check = pb::CheckRequest {
        urn: PROVIDER.into(),
        news: Some(strings([("kubeConfig", "x")])),
        ..pb::CheckRequest::default()
    };
    client.check_config(check).await.unwrap();
    let entry = engine.heard(|entry| entry.severity() == pb::LogSeverity::Warning).await.unwrap();
    assert_eq!(entry.urn, PROVIDER);
    assert!(entry.message.contains("`kubeconfig`"), "{entry:?}");
}

#[tokio::test]
async fn the_engine_is_also_told_when_it_is_named_on_the_command_line_or_attaches() {
    let (mut named, mut attached) = (FakeEngine::start().await.unwrap(), FakeEngine::start().await.unwrap());
    let plugin = start_plugin(&[&named.address]);
    let mut client = plugin.client().await.unwrap();
    let check =
        |name: &str| pb::CheckRequest { news: Some(strings([(name, "x")])), ..pb::CheckRequest::default() };
    client.check_config(check("contexts")).await.unwrap();
    named.heard(|entry| entry.message.contains("`contexts`")).await.unwrap();
    client.attach(pb::PluginAttach { address: attached.address.clone() }).await.unwrap();
    client.check_config(check("Context")).await.unwrap();
    attached.heard(|entry| entry.message.contains("`Context`")).await.unwrap();
}

#[tokio::test]
async fn each_call_about_an_unheard_type_names_it() {
    let (_plugin, mut client) = start().await;
    let urn = || URN.to_owned();
    let refused = |status: Status| {
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        assert!(status.message().contains(&format!("`{TYPE}`")), "{status}");
    };
    refused(client.check(pb::CheckRequest { urn: urn(), ..Default::default() }).await.unwrap_err());
    refused(client.diff(pb::DiffRequest { urn: urn(), ..Default::default() }).await.unwrap_err());
    refused(client.create(pb::CreateRequest { urn: urn(), ..Default::default() }).await.unwrap_err());
    refused(client.read(pb::ReadRequest { urn: urn(), ..Default::default() }).await.unwrap_err());
    refused(client.update(pb::UpdateRequest { urn: urn(), ..Default::default() }).await.unwrap_err());
    refused(client.delete(pb::DeleteRequest { urn: urn(), ..Default::default() }).await.unwrap_err());
    refused(client.list(pb::ListRequest { token: TYPE.into(), ..Default::default() }).await.unwrap_err());
    refused(client.invoke(pb::InvokeRequest { tok: TYPE.into(), ..Default::default() }).await.unwrap_err());
}

/// A check request whose new inputs are bytes already: how deep they go is no matter to whoever sends them.
#[derive(Clone, PartialEq, Message)]
struct RawCheck {
    #[prost(string, tag = "1")]
    urn: String,
    #[prost(bytes = "vec", tag = "3")]
    news: Vec<u8>,
}

/// A field of a message: its number and length, and what it holds.
fn field(number: u32, holds: &[u8]) -> Vec<u8> {
    let mut field = Vec::with_capacity(holds.len() + 6);
    prost::encoding::encode_key(number, prost::encoding::WireType::LengthDelimited, &mut field);
    prost::encoding::encode_varint(holds.len() as u64, &mut field);
    field.extend_from_slice(holds);
    field
}

/// Inputs with an override: so many lists, or objects, in one another around a text.
fn nested(levels: usize, in_objects: bool, text: &str) -> Vec<u8> {
    let entry = |key: &str, value: &[u8]| field(1, &[field(1, key.as_bytes()), field(2, value)].concat());
    let value = (0..levels).fold(field(3, text.as_bytes()), |value, _| {
        if in_objects { field(5, &entry("a", &value)) } else { field(6, &field(1, &value)) }
    });
    entry("chiOverrides", &field(5, &entry("a", &value)))
}

async fn check_raw(plugin: &Plugin, news: Vec<u8>) -> Result<pb::CheckResponse, Status> {
    let mut grpc = tonic::client::Grpc::new(plugin.channel().await.unwrap());
    grpc.ready().await.expect("it is connected");
    let request = RawCheck { urn: "urn:pulumi:dev::proj::clickhouse:kubernetes:Cluster::db".into(), news };
    let path = PathAndQuery::from_static("/pulumirpc.ResourceProvider/Check");
    let codec = tonic_prost::ProstCodec::<RawCheck, pb::CheckResponse>::default();
    tokio::time::timeout(LONG, grpc.unary(tonic::Request::new(request), path, codec))
        .await
        .expect("it answers")
        .map(tonic::Response::into_inner)
}

#[tokio::test]
async fn inputs_that_are_nested_too_deeply_or_too_large_are_refused_in_plain_words() {
    let plugin = start_plugin(&[]);
    for in_objects in [true, false] {
        assert_eq!(
            check_raw(&plugin, nested(30, in_objects, "x")).await.unwrap().failures,
            [],
            "what an operator may know passes"
        );
        for levels in [35, 60, 1_000, 10_000] {
            let told = match check_raw(&plugin, nested(levels, in_objects, "x")).await {
                Ok(checked) => checked.failures.into_iter().map(|failure| failure.reason).collect(),
                Err(status) => format!("{:?}: {}", status.code(), status.message()),
            };
            let is_plain = told.starts_with("InvalidArgument: the properties are nested too deeply")
                || told.starts_with("`chiOverrides.a")
                    && told.ends_with("is nested too deeply: at most 32 levels are allowed");
            assert!(is_plain && told.len() < 500, "{levels}: {told}");
        }
    }
    let large = check_raw(&plugin, nested(1, true, &"x".repeat(1_000_000))).await.unwrap().failures;
    assert!(
        large.len() == 1
            && large[0].property == "chiOverrides"
            && large[0].reason.contains("at most 1000000 fit"),
        "{large:?}"
    );
    // It is still there.
    assert_eq!(check_raw(&plugin, nested(1, true, "x")).await.unwrap().failures, []);
}

#[tokio::test]
async fn a_cancel_is_acknowledged_any_number_of_times() {
    let (_plugin, mut client) = start().await;
    client.cancel(()).await.unwrap();
    client.cancel(()).await.unwrap();
    client.configure(pb::ConfigureRequest::default()).await.unwrap();
}

#[tokio::test]
async fn there_are_no_mappings_no_parameters_no_components_and_no_methods() {
    let (_plugin, mut client) = start().await;
    assert_eq!(
        client.get_mapping(pb::GetMappingRequest::default()).await.unwrap().into_inner(),
        pb::GetMappingResponse::default()
    );
    assert_eq!(
        client.get_mappings(pb::GetMappingsRequest::default()).await.unwrap().into_inner(),
        pb::GetMappingsResponse::default()
    );
    assert_eq!(
        client.parameterize(pb::ParameterizeRequest::default()).await.unwrap_err().code(),
        Code::Unimplemented
    );
    assert_eq!(
        client.construct(pb::ConstructRequest::default()).await.unwrap_err().code(),
        Code::Unimplemented
    );
    assert_eq!(client.call(pb::CallRequest::default()).await.unwrap_err().code(), Code::Unimplemented);
    let subpackage = pb::GetSchemaRequest { subpackage_name: "x".into(), ..pb::GetSchemaRequest::default() };
    assert_eq!(client.get_schema(subpackage).await.unwrap_err().code(), Code::InvalidArgument);
}
