//! An engine that remembers what it is told.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use crate::pb::engine_server::{Engine, EngineServer};
use crate::{LONG, pb};

/// An engine that runs until the test ends.
pub struct FakeEngine {
    /// Where it listens.
    pub address: String,
    entries: mpsc::UnboundedReceiver<pb::LogRequest>,
}

impl FakeEngine {
    /// Starts it on a free port. It ends with the runtime that it is started on.
    pub async fn start() -> Result<Self> {
        let (sender, entries) = mpsc::unbounded_channel();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?.to_string();
        let server = Server::builder().add_service(EngineServer::new(Recorder(sender)));
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        Ok(Self { address, entries })
    }

    /// The next entry. Fails when none comes for [`LONG`].
    pub async fn next(&mut self) -> Result<pb::LogRequest> {
        timeout(LONG, self.entries.recv())
            .await
            .context("the engine heard nothing")?
            .context("the engine ended")
    }

    /// The next entry, if it is there already.
    pub fn next_at_once(&mut self) -> Option<pb::LogRequest> {
        self.entries.try_recv().ok()
    }

    /// The first entry from now on that `wanted` takes. Fails when none comes for [`LONG`].
    pub async fn heard(&mut self, wanted: impl Fn(&pb::LogRequest) -> bool) -> Result<pb::LogRequest> {
        loop {
            let entry = self.next().await?;
            if wanted(&entry) {
                return Ok(entry);
            }
        }
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

    async fn get_root_resource(
        &self,
        _: Request<pb::GetRootResourceRequest>,
    ) -> Result<Response<pb::GetRootResourceResponse>, Status> {
        Err(Status::unimplemented("not for plugins"))
    }

    async fn set_root_resource(
        &self,
        _: Request<pb::SetRootResourceRequest>,
    ) -> Result<Response<pb::SetRootResourceResponse>, Status> {
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
