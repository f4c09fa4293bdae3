//! The operator's CustomResourceDefinitions.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Client, ResourceExt as _};

use crate::crd::definitions;
use crate::engine;

/// The environment variable that names a folder with the operator's own definitions.
pub const FOLDER: &str = "CLICKHOUSE_OPERATOR_CRDS";

/// Installs the definitions in the folder that [`FOLDER`] names, or else the project's own, and the one by
/// which kwok forwards ports; waits until the API serves them.
pub async fn install(client: &Client) -> Result<()> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for definition in definitions_in_force()?.into_iter().chain([engine::forward::definition()?]) {
        let name = definition.name_any();
        api.patch(&name, &PatchParams::apply("testbed").force(), &Patch::Apply(&definition)).await?;
        await_condition(api.clone(), &name, conditions::is_crd_established()).await?;
    }
    Ok(())
}

fn definitions_in_force() -> Result<Vec<CustomResourceDefinition>> {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return Ok(definitions()) };
    let entries = std::fs::read_dir(&folder)
        .with_context(|| format!("failed to read the folder `{}` of {FOLDER}", folder.display()))?;
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
