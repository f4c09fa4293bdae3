//! Another Kubernetes cluster than the testbed's, with nobody in it who would do anything.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Namespace as NamespaceObject;
use kube::api::{Api, PostParams};
use kube::{Client, ResourceExt as _};
use serde_json::json;

use crate::control_plane::{ControlPlane, Lifetime};
use crate::shared::Namespace;
use crate::tools::{self, Tool};

/// Another Kubernetes cluster than the testbed's. It ends when this is dropped.
pub struct Elsewhere {
    config: kube::Config,
    plane: ControlPlane,
}

impl Elsewhere {
    /// Starts a store and an API server whose files are in `directory`, with what `prepare` installs.
    pub(crate) async fn start(
        directory: &Path,
        prepare: impl AsyncFnOnce(&Client) -> Result<()>,
    ) -> Result<Self> {
        let binary = tokio::task::spawn_blocking(|| tools::build(Tool::ControlPlane)).await??;
        let plane = ControlPlane::start_api(directory, &binary, Lifetime::Tethered, prepare).await?;
        Ok(Self { config: plane.config().await?, plane })
    }

    /// The path of its kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.plane.kubeconfig()
    }

    /// A new namespace of a given name in it.
    pub async fn namespace(&self, name: &str) -> Result<Namespace> {
        let client = Client::try_from(self.config.clone())?;
        let api: Api<NamespaceObject> = Api::all(client.clone());
        let namespace = serde_json::from_value(json!({"metadata": {"name": name}}))?;
        let made =
            api.create(&PostParams::default(), &namespace).await.context("failed to make a namespace")?;
        Ok(Namespace::new(client, made.name_any()))
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        self.plane.stop();
    }
}
