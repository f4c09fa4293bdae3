//! The plugin as the benchmark starts it and talks to it.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use fake_engine::{Client, Plugin, pb};
use prost_types::Struct;

pub(super) const TOKEN: &str = "clickhouse:kubernetes:Cluster";

/// Which plugin is started, and for which cluster.
#[derive(Debug, Clone)]
pub(super) struct Binary {
    pub(super) path: PathBuf,
    pub(super) kubeconfig: PathBuf,
}

impl Binary {
    /// Starts it and waits for its port.
    pub(super) fn start(&self) -> Result<Plugin> {
        Plugin::start(Command::new(&self.path).env("KUBECONFIG", &self.kubeconfig))
    }
}

/// Connects to a plugin and shakes hands with it.
pub(super) async fn shake_hands(plugin: &Plugin) -> Result<Client> {
    let mut client = plugin.client().await?;
    client.handshake(pb::ProviderHandshakeRequest::default()).await?;
    Ok(client)
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
    let request =
        pb::CreateRequest { urn: urn(name), properties: Some(inputs), ..pb::CreateRequest::default() };
    client.create(request).await?;
    Ok(())
}

fn urn(name: &str) -> String {
    format!("urn:pulumi:bench::bench::{TOKEN}::{name}")
}
