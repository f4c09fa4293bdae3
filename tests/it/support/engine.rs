//! An engine that remembers what it is told.

use std::net::Ipv4Addr;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use super::pb;
use super::pb::engine_server::{Engine, EngineServer};
use super::plugin::LONG;

/// An engine that runs until the test ends.
pub(crate) struct FakeEngine {
    /// Where it listens.
    pub(crate) address: String,
    entries: mpsc::UnboundedReceiver<pb::LogRequest>,
}

impl FakeEngine {
    pub(crate) async fn start() -> Self {
        let (sender, entries) = mpsc::unbounded_channel();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let server = Server::builder().add_service(EngineServer::new(Recorder(sender)));
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        Self { address, entries }
    }

    /// The first entry from now on that `wanted` takes.
    pub(crate) async fn heard(&mut self, wanted: impl Fn(&pb::LogRequest) -> bool) -> pb::LogRequest {
        let search = async {
            loop {
                let entry = self.entries.recv().await.expect("the engine runs");
                if wanted(&entry) {
                    return entry;
                }
            }
        };
        timeout(LONG, search).await.expect("the engine hears of it")
    }
}

struct Recorder(mpsc::UnboundedSender<pb::LogRequest>);

#[tonic::async_trait]
impl Engine for Recorder {
    async fn log(&self, request: Request<pb::LogRequest>) -> Result<Response<()>, Status> {
        // A test that is over listens no more.
        _ = self.0.send(request.into_inner());
        Ok(Response::new(()))
    }

    async fn get_root_resource(&self, _: Request<pb::GetRootResourceRequest>) -> Result<Response<pb::GetRootResourceResponse>, Status> {
        Err(Status::unimplemented("not for plugins"))
    }

    async fn set_root_resource(&self, _: Request<pb::SetRootResourceRequest>) -> Result<Response<pb::SetRootResourceResponse>, Status> {
        Err(Status::unimplemented("not for plugins"))
    }

    async fn start_debugging(&self, _: Request<pb::StartDebuggingRequest>) -> Result<Response<()>, Status> {
        Err(Status::unimplemented("not for plugins"))
    }

    async fn require_pulumi_version(
        &self,
        _: Request<pb::RequirePulumiVersionRequest>,
    ) -> Result<Response<pb::RequirePulumiVersionResponse>, Status> {
        Err(Status::unimplemented("not for plugins"))
    }
}
