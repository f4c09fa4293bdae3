//! The service over a real connection, with the resource for tests behind it.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use fake_engine::FakeEngine;
use prost::Message;
use prost_types::Struct;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry as Subscribers};

use super::log::{EngineLog, forwards};
use super::pb::diff_response::DiffChanges;
use super::pb::list_response::Response as Listed;
use super::pb::property_diff::Kind;
use super::pb::resource_provider_client::ResourceProviderClient;
use super::{Package, Server, convert, google, pb};
use crate::config::ProviderArgs;
use crate::property::{PropertyMap, PropertyValue, map};
use crate::resource::Resource;
use crate::resource::registry::Registry;
use crate::resource::sample::{GetThing, Thing};

mod configuration;
mod engine;
mod lifecycle;

const URN: &str = "urn:pulumi:dev::proj::test:index:Parent$test:index:Thing::thing";

/// Nothing here takes this long.
const LONG: Duration = Duration::from_secs(20);

type Client = ResourceProviderClient<Channel>;

/// The sample, unless the configuration's context is `empty`.
fn registry(args: &ProviderArgs) -> Registry {
    if args.context.as_deref() == Some("empty") {
        Registry::default()
    } else {
        Registry::default().resource(Thing).function(GetThing)
    }
}

async fn client_of(log: EngineLog) -> Client {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let package = Package { version: "1.2.3", schema: || Ok(serde_json::json!({"name": "test"})), registry };
    tokio::spawn(Server::new(package, log).serve(listener));
    let endpoint =
        Endpoint::from_shared(format!("http://{address}")).unwrap().http2_max_header_list_size(1 << 20);
    Client::new(endpoint.connect().await.unwrap())
}

async fn client() -> Client {
    client_of(EngineLog::default()).await
}

async fn start_engine() -> (String, FakeEngine) {
    let engine = FakeEngine::start().await.unwrap();
    (engine.address.clone(), engine)
}

async fn heard(engine: &mut FakeEngine) -> fake_engine::pb::LogRequest {
    engine.next().await.unwrap()
}

#[expect(clippy::unnecessary_wraps, reason = "every property map in a request is optional")]
fn wire<const N: usize>(entries: [(&str, PropertyValue); N]) -> Option<Struct> {
    Some(convert::write(map(entries)))
}

fn create(name: &str) -> pb::CreateRequest {
    pb::CreateRequest {
        urn: URN.into(),
        r#type: Thing::TOKEN.into(),
        properties: wire([("name", name.into())]),
        ..pb::CreateRequest::default()
    }
}

/// What a status says exists.
fn init_failed(status: &Status) -> pb::ErrorResourceInitFailed {
    let details = google::Status::decode(status.details()).unwrap();
    assert_eq!((details.code, status.code()), (Code::Unknown as i32, Code::Unknown));
    pb::ErrorResourceInitFailed::decode(details.details[0].value.as_slice()).unwrap()
}
