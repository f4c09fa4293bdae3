//! The package as Pulumi sees it: its name, its version, what it says about itself, and what is in it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::config::ProviderArgs;
use crate::kubernetes::client::Session;
use crate::kubernetes::cluster::Cluster;
use crate::kubernetes::cluster::aspects::ClusterArgs;
use crate::kubernetes::cluster::get::{GetCluster, GetClusterArgs, GetClusterResult};
use crate::kubernetes::cluster::list::ListClustersArgs;
use crate::kubernetes::cluster::state::ClusterState;
use crate::resource::registry::Registry;
use crate::schema::convert::ConvertError;
use crate::schema::document::{self, FunctionTypes, Metadata, ResourceTypes};
use crate::schema::{of_input, of_output};

/// The package's name: the first part of each token, and the namespace of its configuration.
pub const NAME: &str = "clickhouse";

/// The version: of the plugin, of the schema and of the SDKs.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The type token of the one resource.
pub const CLUSTER_TOKEN: &str = "clickhouse:kubernetes:Cluster";

/// The token of the one function.
pub const GET_CLUSTER_TOKEN: &str = "clickhouse:kubernetes:getCluster";

const DESCRIPTION: &str = "ClickHouse clusters on Kubernetes: one resource is a whole cluster, run by the Altinity operator.";

/// What `GetSchema` answers with. Fails only when a type of ours can't be expressed in Pulumi's schema.
pub fn schema() -> Result<Value, ConvertError> {
    let spec = document::build(
        metadata(),
        &of_input::<ProviderArgs>(),
        vec![ResourceTypes {
            token: CLUSTER_TOKEN,
            description: include_str!("kubernetes/cluster/docs.md"),
            inputs: of_input::<ClusterArgs>(),
            state: of_output::<ClusterState>(),
            list: Some(of_input::<ListClustersArgs>()),
        }],
        vec![FunctionTypes {
            token: GET_CLUSTER_TOKEN,
            description: "Looks at a ClickHouse cluster that is there, whoever made it: the outputs that `Cluster` has, and how it fares at the moment. \
                          Connection data comes from the cluster's Secret. Programs in TypeScript and Python should call `getClusterOutput` \
                          (`get_cluster_output`): its result is secret, and that of the plain form, a password included, is not.",
            arguments: of_input::<GetClusterArgs>(),
            result: of_output::<GetClusterResult>(),
        }],
    )?;
    Ok(json!(spec))
}

fn metadata() -> Metadata {
    Metadata {
        name: NAME,
        module: "kubernetes",
        display_name: "ClickHouse on Kubernetes",
        version: VERSION,
        description: DESCRIPTION,
        keywords: &["pulumi", "clickhouse", "kubernetes", "category/database", "kind/native"],
        license: env!("CARGO_PKG_LICENSE"),
        language: languages(),
        provider_description: "The Kubernetes cluster in which ClickHouse clusters are made.",
    }
}

/// The SDKs have names of their own, since a package `clickhouse` for ClickHouse Cloud exists in all three registries.
fn languages() -> BTreeMap<String, Value> {
    let readme = "The Pulumi SDK of `pulumi-resource-clickhouse`: ClickHouse clusters on Kubernetes, run by the Altinity operator.";
    let nodejs = json!({
        "packageName": "pulumi-clickhouse-kubernetes",
        "packageDescription": DESCRIPTION,
        "typescriptVersion": "^5.0.0",
        "readme": readme,
        "respectSchemaVersion": true,
    });
    let python = json!({
        "packageName": "pulumi_clickhouse_kubernetes",
        "readme": readme,
        "pyproject": { "enabled": true },
        "respectSchemaVersion": true,
    });
    let go = json!({
        "importBasePath": "github.com/pulumi-clickhouse-kubernetes/pulumi-clickhouse-kubernetes/sdk/go/clickhouse",
        "modulePath": "github.com/pulumi-clickhouse-kubernetes/pulumi-clickhouse-kubernetes/sdk/go",
        "rootPackageName": "clickhouse",
        "generateResourceContainerTypes": true,
        "respectSchemaVersion": true,
    });
    [("nodejs", nodejs), ("python", python), ("go", go)].map(|(language, block)| (language.to_owned(), block)).into()
}

/// What can be called under this configuration. Does no I/O: the Kubernetes cluster is looked for by the first call that needs it.
pub fn registry(args: &ProviderArgs) -> Registry {
    let session = Session::new(args.settings());
    Registry::default().listed(Cluster::new(session.clone())).function(GetCluster::new(session))
}
