//! The CustomResourceDefinitions: the operator's, and those of others whose kinds the provider uses.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use futures::future::try_join_all;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Client, ResourceExt as _};

use crate::crd::definitions;
use crate::{engine, tools};

/// The environment variable that names a folder with the operator's own definitions.
pub const FOLDER: &str = "CLICKHOUSE_OPERATOR_CRDS";

/// Definitions that come in the Go module of who makes them.
struct Module {
    /// Its path and version.
    name: &'static str,
    sum: &'static str,
    files: &'static [&'static str],
}

/// cert-manager's, and the Prometheus operator's.
const OTHERS: [Module; 2] = [
    Module {
        name: "github.com/cert-manager/cert-manager@v1.21.2",
        sum: "h1:UWgoYM+KLNtRlqmoWOKjKBOBUPVHeepQ6/ac3ERJW68=",
        files: &["deploy/crds/cert-manager.io_certificates.yaml"],
    },
    Module {
        name: "github.com/prometheus-operator/prometheus-operator@v0.85.0",
        sum: "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
        files: &[
            "example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml",
            "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
            "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
        ],
    },
];

/// Installs the definitions in the folder that [`FOLDER`] names, or else the project's own, and the one by
/// which kwok forwards ports; waits until the API serves them.
pub async fn install(client: &Client) -> Result<()> {
    install_operators(client, folder().as_deref()).await
}

/// The same, and those of cert-manager and the Prometheus operator; the first call downloads them.
pub async fn install_all(client: &Client) -> Result<()> {
    install_all_of(client, folder().as_deref()).await
}

/// The same with the operator's definitions in a folder.
pub(crate) async fn install_all_of(client: &Client, operators: Option<&Path>) -> Result<()> {
    let others = tokio::task::spawn_blocking(|| -> Result<_> {
        let folders = OTHERS.iter().map(|module| tools::go_module(module.name, module.sum, module.files));
        Ok(folders.map(|folder| read(&folder?)).collect::<Result<Vec<_>>>()?.concat())
    });
    install_operators(client, operators).await?;
    put(client, others.await??).await
}

/// The folder with the definitions of another release, which lies beside that in force; `None` where there is
/// none.
pub(crate) fn of_release(release: &str) -> Option<PathBuf> {
    let folder = folder()?;
    let beside = folder.with_file_name(format!("{}-{release}", folder.file_name()?.to_str()?));
    beside.is_dir().then_some(beside)
}

fn folder() -> Option<PathBuf> {
    std::env::var_os(FOLDER).map(PathBuf::from)
}

async fn install_operators(client: &Client, folder: Option<&Path>) -> Result<()> {
    let operators = folder.map_or_else(|| Ok(definitions()), read);
    put(client, [operators?, vec![engine::forward::definition()?]].concat()).await
}

async fn put(client: &Client, definitions: Vec<CustomResourceDefinition>) -> Result<()> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let each = definitions.iter().map(async |definition| {
        let name = definition.name_any();
        api.patch(&name, &PatchParams::apply("testbed").force(), &Patch::Apply(definition)).await?;
        await_condition(api.clone(), &name, conditions::is_crd_established()).await?;
        anyhow::Ok(())
    });
    try_join_all(each).await.map(drop)
}

fn read(folder: &Path) -> Result<Vec<CustomResourceDefinition>> {
    let entries = std::fs::read_dir(folder)
        .with_context(|| format!("failed to read the folder `{}`", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    paths.retain(|path| path.extension().is_some_and(|kind| kind == "yaml"));
    paths.sort();
    paths
        .iter()
        .map(|path| {
            let text = std::fs::read_to_string(path)?;
            serde_saphyr::from_str(&text).with_context(|| format!("failed to read `{}`", path.display()))
        })
        .collect()
}
