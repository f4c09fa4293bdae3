//! The stand-ins as a process of their own, which serves a cluster until it is stopped.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use kube::config::{KubeConfigOptions, Kubeconfig};
use testbed::engine::{self, Choice};
use testbed::{cloud, operator};

/// Plays the cloud and the operator for the cluster of a kubeconfig, for ever; with a folder for them,
/// engines too.
pub(crate) async fn run(kubeconfig: &str, engines: Option<&str>) -> Result<ExitCode> {
    let kubeconfig = Kubeconfig::read_from(Path::new(kubeconfig))?;
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    let client = kube::Client::try_from(config)?;
    let settings =
        operator::Settings { engines: engines.map(|_| Choice::Newest), ..operator::Settings::default() };
    let (cloud, operator) = (cloud::run(client.clone()), operator::run(client.clone(), settings));
    match engines {
        Some(directory) => {
            let installed = engine::install()?;
            tokio::join!(cloud, operator, engine::run(client, installed, directory.into()));
        }
        None => {
            tokio::join!(cloud, operator);
        }
    }
    Ok(ExitCode::SUCCESS)
}
