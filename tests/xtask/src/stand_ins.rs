//! The stand-ins as a process of their own, which serves a cluster until it is stopped.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use kube::config::{KubeConfigOptions, Kubeconfig};
use testbed::{cloud, operator};

/// Plays the cloud and the operator for the cluster of a kubeconfig, for ever.
pub(crate) async fn run(kubeconfig: &str) -> Result<ExitCode> {
    let kubeconfig = Kubeconfig::read_from(Path::new(kubeconfig))?;
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    let client = kube::Client::try_from(config)?;
    tokio::join!(cloud::run(client.clone()), operator::run(client, operator::Settings::default()));
    Ok(ExitCode::SUCCESS)
}
