//! The package as Pulumi sees it: its name, its version, what it says about itself, and what is in it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::config::ProviderArgs;
use crate::kubernetes::client::Session;
use crate::kubernetes::cluster::Cluster;
use crate::kubernetes::cluster::get::GetCluster;
use crate::origin::Origin;
use crate::resource::registry::Registry;
use crate::schema::convert::ConvertError;
use crate::schema::document::{self, Metadata};
use crate::schema::of_input;

/// The package's name: the first part of each token, and the namespace of its configuration.
pub const NAME: &str = "clickhouse";

/// The version: of the plugin, of the schema and of the SDKs.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The address of the repository, from which the package's other addresses follow.
pub const REPOSITORY: &str = env!("CARGO_PKG_REPOSITORY");

const DESCRIPTION: &str =
    "ClickHouse clusters on Kubernetes: one resource is a whole cluster, run by the Altinity operator.";

/// What `GetSchema` answers with. Fails only when a type of ours can't be expressed in Pulumi's schema.
pub fn schema() -> Result<Value, ConvertError> {
    document(&registry(&ProviderArgs::default()))
}

fn document(registry: &Registry) -> Result<Value, ConvertError> {
    let config = of_input::<ProviderArgs>();
    Ok(json!(document::build(metadata(), &config, registry.resource_types(), registry.function_types())?))
}

fn metadata() -> Metadata {
    let origin = Origin::new(REPOSITORY);
    Metadata {
        name: NAME,
        module: "kubernetes",
        display_name: "ClickHouse on Kubernetes",
        version: VERSION,
        description: DESCRIPTION,
        keywords: &["pulumi", "clickhouse", "kubernetes", "category/database", "kind/native"],
        license: env!("CARGO_PKG_LICENSE"),
        publisher: origin.publisher(),
        repository: origin.repository(),
        logo_url: origin.file_url("docs/logo.svg"),
        plugin_download_url: origin.download_url(),
        language: languages(origin),
        provider_description: "The Kubernetes cluster in which ClickHouse clusters are made.",
    }
}

/// The SDKs have names of their own, since a package `clickhouse` for ClickHouse Cloud exists in all three
/// registries.
fn languages(origin: Origin<'_>) -> BTreeMap<String, Value> {
    let readme = "The Pulumi SDK of `pulumi-resource-clickhouse`: ClickHouse clusters on Kubernetes, run by \
        the Altinity operator.";
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
    let go_module = origin.go_module();
    let go = json!({
        "importBasePath": format!("{go_module}/clickhouse"),
        "modulePath": go_module,
        "rootPackageName": "clickhouse",
        "generateResourceContainerTypes": true,
        "respectSchemaVersion": true,
    });
    // Users of these make their SDK by `pulumi package add`: under names that are not Pulumi's own.
    let csharp = json!({
        "rootNamespace": "PulumiClickHouseKubernetes",
        "namespaces": { "clickhouse": "ClickHouse", "kubernetes": "Kubernetes" },
        "respectSchemaVersion": true,
    });
    let java = json!({ "basePackage": origin.java_package() });
    [("nodejs", nodejs), ("python", python), ("go", go), ("csharp", csharp), ("java", java)]
        .map(|(language, block)| (language.to_owned(), block))
        .into()
}

/// What can be called under this configuration. Does no I/O: the Kubernetes cluster is looked for by the
/// first call that needs it.
pub fn registry(args: &ProviderArgs) -> Registry {
    registry_of(Session::new(args.settings()))
}

/// The same in this session.
pub(crate) fn registry_of(session: Session) -> Registry {
    Registry::default().resource(Cluster::new(session.clone())).function(GetCluster::new(session))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Resource;
    use crate::resource::sample::Thing;

    #[test]
    fn what_identifies_a_cluster_is_an_output_of_it() {
        let outputs = &schema().unwrap()["resources"]["clickhouse:kubernetes:Cluster"]["properties"];
        assert!(Cluster::IDENTITY.contains(&"uids"));
        assert!(Cluster::IDENTITY.iter().all(|name| outputs.get(*name).is_some()), "{:?}", Cluster::IDENTITY);
    }

    #[test]
    fn a_second_resource_is_one_line() {
        let registry = registry(&ProviderArgs::default()).resource(Thing);
        assert!(
            registry.find_resource("test:index:Thing").is_some()
                && registry.find_list("test:index:Thing").is_some()
        );
        let document = document(&registry).unwrap();
        let thing = &document["resources"]["test:index:Thing"];
        assert_eq!(thing["description"], "A thing.");
        assert_eq!(thing["inputProperties"]["password"], json!({"type": "string", "secret": true}));
        assert_eq!(thing["properties"]["endpoints"]["items"], json!({"type": "string"}));
        assert_eq!(thing["listInputs"]["properties"]["prefix"], json!({"type": "string"}));
        assert!(document["types"]["clickhouse:kubernetes:Node"].is_object());
        assert!(
            document["resources"]["clickhouse:kubernetes:Cluster"].is_object(),
            "and it is nobody else's"
        );
    }
}
