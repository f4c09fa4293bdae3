//! The plugin as an engine starts it and talks to it.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use prost_types::Struct;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tonic::transport::{Channel, Endpoint};

use self::pb::resource_provider_client::ResourceProviderClient;
use super::machine::{self, Memory};

pub(super) mod pb {
    #![allow(
        clippy::all,
        clippy::pedantic,
        clippy::allow_attributes_without_reason,
        missing_docs,
        unreachable_pub,
        deprecated,
        dead_code,
        reason = "generated"
    )]
    tonic::include_proto!("pulumirpc");
}

pub(super) const TOKEN: &str = "clickhouse:kubernetes:Cluster";

pub(super) type Client = ResourceProviderClient<Channel>;

/// Which plugin is started, and for which cluster.
#[derive(Debug, Clone)]
pub(super) struct Binary {
    pub(super) path: PathBuf,
    pub(super) kubeconfig: PathBuf,
}

/// A plugin that runs. Dropped, it is killed.
pub(super) struct Plugin {
    child: Child,
    pub(super) port: u16,
    began: Instant,
    /// From its start to the line that says where it listens.
    pub(super) to_port: Duration,
}

impl Plugin {
    /// Starts it and waits for its port.
    pub(super) async fn start(binary: &Binary) -> Result<Self> {
        let began = Instant::now();
        let mut child = Command::new(&binary.path)
            .env("KUBECONFIG", &binary.kubeconfig)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("failed to start `{}`", binary.path.display()))?;
        let mut line = String::new();
        let stdout = child.stdout.take().context("the plugin has an output")?;
        BufReader::new(stdout).read_line(&mut line).await?;
        let to_port = began.elapsed();
        let port = line.trim().parse().with_context(|| format!("the plugin's first line is no port: {line:?}"))?;
        Ok(Self { child, port, began, to_port })
    }

    /// Connects, and shakes hands; also says how long after the start that was.
    pub(super) async fn handshake(&self) -> Result<(Client, Duration)> {
        let channel = Endpoint::from_shared(format!("http://127.0.0.1:{}", self.port))?.connect().await?;
        let mut client = Client::new(channel).max_decoding_message_size(400 << 20);
        client.handshake(pb::ProviderHandshakeRequest::default()).await?;
        Ok((client, self.began.elapsed()))
    }

    /// The memory that it holds.
    pub(super) fn memory(&self) -> Result<Memory> {
        machine::memory(self.id()?)
    }

    /// The CPU time that it used.
    pub(super) fn cpu_time(&self) -> Result<Duration> {
        machine::cpu_time(self.id()?)
    }

    fn id(&self) -> Result<u32> {
        self.child.id().context("the plugin ended")
    }
}

/// The inputs of a cluster, as the plugin checked and filled them.
pub(super) async fn checked(client: &mut Client, name: &str, inputs: Struct) -> Result<Struct> {
    let request = pb::CheckRequest { urn: urn(name), news: Some(inputs), ..pb::CheckRequest::default() };
    let answer = client.check(request).await?.into_inner();
    if !answer.failures.is_empty() {
        bail!("the inputs of `{name}` are refused: {:?}", answer.failures);
    }
    answer.inputs.context("the check's answer has no inputs")
}

/// Makes a cluster from checked inputs, and waits for it unless the inputs say otherwise.
pub(super) async fn create(client: &mut Client, name: &str, inputs: Struct) -> Result<()> {
    let request = pb::CreateRequest { urn: urn(name), properties: Some(inputs), ..pb::CreateRequest::default() };
    client.create(request).await?;
    Ok(())
}

fn urn(name: &str) -> String {
    format!("urn:pulumi:bench::bench::{TOKEN}::{name}")
}
