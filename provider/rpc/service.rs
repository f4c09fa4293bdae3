//! The service: unwraps each request, calls, wraps the answer. Decides nothing.

use std::any::Any;
use std::future::Future;
use std::io;
use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use tower::util::MapResponseLayer;
use tracing::Instrument;

use super::pb::resource_provider_server::{ResourceProvider, ResourceProviderServer};
use super::server::Server;
use super::{configuration, function, pb, resource};

/// The largest message either way; as Pulumi's own servers have it, because a stack's state can be in one.
const MAX_MESSAGE_BYTES: usize = 400 * 1024 * 1024;

/// How the decoder ends its words about a message that it does not go to the bottom of.
const TOO_DEEP: &str = "recursion limit reached";

impl Server {
    /// Serves until the listener fails.
    pub async fn serve(self, listener: TcpListener) -> io::Result<()> {
        let service = ResourceProviderServer::new(self)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let mut server = tonic::transport::Server::builder().layer(MapResponseLayer::new(in_plain_words));
        server.add_service(service).serve_with_incoming(incoming).await.map_err(io::Error::other)
    }
}

/// What is nested too deeply to be decoded is reported as such: the decoder names level after level, and no
/// property.
fn in_plain_words(response: http::Response<Body>) -> http::Response<Body> {
    match Status::from_header_map(response.headers()) {
        Some(status) if status.message().ends_with(TOO_DEEP) => Status::invalid_argument(
            "the properties are nested too deeply: Pulumi's protocol carries about 30 objects or lists in \
                one another, and in `chiOverrides` and `chkOverrides` \
             the operator knows fewer; look for a value that contains itself, or for a wrong indentation",
        )
        .into_http(),
        _ => response,
    }
}

/// Runs a call in the span of its resource. A panic fails the call, not the process.
async fn call<T>(
    method: &'static str,
    urn: &str,
    work: impl Future<Output = Result<T, Status>>,
) -> Result<Response<T>, Status> {
    let span = tracing::debug_span!("call", method, urn);
    match AssertUnwindSafe(work.instrument(span)).catch_unwind().await {
        Ok(answer) => answer.map(Response::new),
        Err(panic) => {
            let message = panic_message(panic.as_ref());
            Err(Status::internal(format!(
                "the provider failed in {method}, which is a defect of the provider: {message}"
            )))
        }
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("it panicked")
}

fn unimplemented<T>(method: &str) -> Result<Response<T>, Status> {
    Err(Status::unimplemented(format!("this provider does not implement {method}")))
}

#[tonic::async_trait]
impl ResourceProvider for Server {
    async fn handshake(
        &self,
        request: Request<pb::ProviderHandshakeRequest>,
    ) -> Result<Response<pb::ProviderHandshakeResponse>, Status> {
        call("Handshake", "", async { Ok(configuration::handshake(self, &request.into_inner())) }).await
    }

    async fn attach(&self, request: Request<pb::PluginAttach>) -> Result<Response<()>, Status> {
        self.log.connect(&request.into_inner().address);
        Ok(Response::new(()))
    }

    async fn get_plugin_info(&self, _: Request<()>) -> Result<Response<pb::PluginInfo>, Status> {
        Ok(Response::new(pb::PluginInfo { version: self.package.version.to_owned() }))
    }

    async fn get_schema(
        &self,
        request: Request<pb::GetSchemaRequest>,
    ) -> Result<Response<pb::GetSchemaResponse>, Status> {
        call("GetSchema", "", async { configuration::get_schema(self, &request.into_inner()) }).await
    }

    async fn check_config(
        &self,
        request: Request<pb::CheckRequest>,
    ) -> Result<Response<pb::CheckResponse>, Status> {
        let request = request.into_inner();
        let urn = request.urn.clone();
        call("CheckConfig", &urn, async { configuration::check(self, request) }).await
    }

    async fn diff_config(
        &self,
        request: Request<pb::DiffRequest>,
    ) -> Result<Response<pb::DiffResponse>, Status> {
        let request = request.into_inner();
        let urn = request.urn.clone();
        call("DiffConfig", &urn, async { configuration::diff(request) }).await
    }

    async fn configure(
        &self,
        request: Request<pb::ConfigureRequest>,
    ) -> Result<Response<pb::ConfigureResponse>, Status> {
        let request = request.into_inner();
        let urn = request.urn.clone().unwrap_or_default();
        call("Configure", &urn, async { configuration::configure(self, request) }).await
    }

    async fn check(&self, request: Request<pb::CheckRequest>) -> Result<Response<pb::CheckResponse>, Status> {
        let request = request.into_inner();
        let urn = request.urn.clone();
        call("Check", &urn, resource::check(self, request)).await
    }

    async fn diff(&self, request: Request<pb::DiffRequest>) -> Result<Response<pb::DiffResponse>, Status> {
        let request = request.into_inner();
        let urn = request.urn.clone();
        call("Diff", &urn, async { resource::diff(self, request) }).await
    }

    async fn create(
        &self,
        request: Request<pb::CreateRequest>,
    ) -> Result<Response<pb::CreateResponse>, Status> {
        let request = request.into_inner();
        let urn = request.urn.clone();
        call("Create", &urn, resource::create(self, request)).await
    }

    async fn read(&self, request: Request<pb::ReadRequest>) -> Result<Response<pb::ReadResponse>, Status> {
        let request = request.into_inner();
        let urn = request.urn.clone();
        call("Read", &urn, resource::read(self, request)).await
    }

    async fn update(
        &self,
        request: Request<pb::UpdateRequest>,
    ) -> Result<Response<pb::UpdateResponse>, Status> {
        let request = request.into_inner();
        let urn = request.urn.clone();
        call("Update", &urn, resource::update(self, request)).await
    }

    async fn delete(&self, request: Request<pb::DeleteRequest>) -> Result<Response<()>, Status> {
        let request = request.into_inner();
        let urn = request.urn.clone();
        call("Delete", &urn, resource::delete(self, request)).await
    }

    type ListStream = function::Listing;

    async fn list(&self, request: Request<pb::ListRequest>) -> Result<Response<Self::ListStream>, Status> {
        call("List", "", function::list(self, request.into_inner())).await
    }

    async fn invoke(
        &self,
        request: Request<pb::InvokeRequest>,
    ) -> Result<Response<pb::InvokeResponse>, Status> {
        call("Invoke", "", function::invoke(self, request.into_inner())).await
    }

    async fn cancel(&self, _: Request<()>) -> Result<Response<()>, Status> {
        self.cancel_all();
        // The engine may end the process as soon as this is answered.
        self.log.flush().await;
        Ok(Response::new(()))
    }

    async fn get_mapping(
        &self,
        _: Request<pb::GetMappingRequest>,
    ) -> Result<Response<pb::GetMappingResponse>, Status> {
        Ok(Response::new(pb::GetMappingResponse::default()))
    }

    async fn get_mappings(
        &self,
        _: Request<pb::GetMappingsRequest>,
    ) -> Result<Response<pb::GetMappingsResponse>, Status> {
        Ok(Response::new(pb::GetMappingsResponse::default()))
    }

    async fn parameterize(
        &self,
        _: Request<pb::ParameterizeRequest>,
    ) -> Result<Response<pb::ParameterizeResponse>, Status> {
        unimplemented("Parameterize")
    }

    async fn call(&self, _: Request<pb::CallRequest>) -> Result<Response<pb::CallResponse>, Status> {
        unimplemented("Call")
    }

    async fn construct(
        &self,
        _: Request<pb::ConstructRequest>,
    ) -> Result<Response<pb::ConstructResponse>, Status> {
        unimplemented("Construct")
    }
}
