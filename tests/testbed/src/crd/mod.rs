//! Definitions of the two kinds that clusters are made of, as far as the provider's manifests use them.
//!
//! They let the manifests be validated by a real API server without the operator's own definitions: every
//! field that the provider sets is known, and any other is refused. An installation takes the definitions
//! that come with the operator.

mod installation;
mod keeper;
mod schema;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceColumnDefinition, CustomResourceDefinition, CustomResourceDefinitionNames,
    CustomResourceDefinitionSpec, CustomResourceDefinitionVersion, CustomResourceSubresourceStatus,
    CustomResourceSubresources, CustomResourceValidation, JSONSchemaProps,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::operator::OPERATOR_VERSION;

/// What a custom resource is called on the API.
struct Names {
    group: &'static str,
    kind: &'static str,
    singular: &'static str,
    plural: &'static str,
    short: &'static str,
}

const INSTALLATION: Names = Names {
    group: "clickhouse.altinity.com",
    kind: "ClickHouseInstallation",
    singular: "clickhouseinstallation",
    plural: "clickhouseinstallations",
    short: "chi",
};

const KEEPER_INSTALLATION: Names = Names {
    group: "clickhouse-keeper.altinity.com",
    kind: "ClickHouseKeeperInstallation",
    singular: "clickhousekeeperinstallation",
    plural: "clickhousekeeperinstallations",
    short: "chk",
};

/// The definitions of `ClickHouseInstallation` and `ClickHouseKeeperInstallation`, labelled with the version
/// of the operator whose fields they follow, as the operator's own are.
pub(crate) fn definitions() -> Vec<CustomResourceDefinition> {
    vec![definition(&INSTALLATION, installation::spec()), definition(&KEEPER_INSTALLATION, keeper::spec())]
}

fn definition(names: &Names, spec: JSONSchemaProps) -> CustomResourceDefinition {
    let group = names.group;
    let name = format!("{}.{group}", names.plural);
    let names = CustomResourceDefinitionNames {
        kind: names.kind.to_owned(),
        plural: names.plural.to_owned(),
        singular: Some(names.singular.to_owned()),
        short_names: Some(vec![names.short.to_owned()]),
        ..CustomResourceDefinitionNames::default()
    };
    let version = CustomResourceDefinitionVersion {
        name: "v1".to_owned(),
        served: true,
        storage: true,
        schema: Some(CustomResourceValidation { open_api_v3_schema: Some(object_of(spec)) }),
        subresources: Some(CustomResourceSubresources {
            status: Some(CustomResourceSubresourceStatus(serde_json::json!({}))),
            scale: None,
        }),
        additional_printer_columns: Some(vec![
            column("status", ".status.status"),
            column("hosts", ".status.hosts"),
        ]),
        ..CustomResourceDefinitionVersion::default()
    };
    CustomResourceDefinition {
        metadata: ObjectMeta {
            name: Some(name),
            labels: Some([(format!("{group}/chop"), OPERATOR_VERSION.to_owned())].into()),
            ..ObjectMeta::default()
        },
        spec: CustomResourceDefinitionSpec {
            group: group.to_owned(),
            names,
            scope: "Namespaced".to_owned(),
            versions: vec![version],
            ..CustomResourceDefinitionSpec::default()
        },
        status: None,
    }
}

/// The whole object; the operator alone writes its status, and may write anything.
fn object_of(spec: JSONSchemaProps) -> JSONSchemaProps {
    let whole = schema::object([
        ("apiVersion", schema::text()),
        ("kind", schema::text()),
        ("metadata", schema::any_object()),
        ("spec", spec),
        ("status", schema::free()),
    ]);
    JSONSchemaProps { required: Some(vec!["spec".to_owned()]), ..whole }
}

fn column(name: &str, path: &str) -> CustomResourceColumnDefinition {
    let type_ = if name == "hosts" { "integer" } else { "string" };
    CustomResourceColumnDefinition {
        name: name.to_owned(),
        json_path: path.to_owned(),
        type_: type_.to_owned(),
        ..CustomResourceColumnDefinition::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// The schema at a path of property names; a list's element stands under its own name.
    fn at<'a>(schema: &'a Value, path: &str) -> Option<&'a Value> {
        path.split('.').try_fold(schema, |schema, name| {
            let schema = if schema["type"] == "array" { &schema["items"] } else { schema };
            schema["properties"].get(name)
        })
    }

    fn schema_of(names: &Names) -> Value {
        let definition =
            definitions().into_iter().find(|definition| definition.spec.names.kind == names.kind).unwrap();
        serde_json::to_value(&definition.spec.versions[0].schema.as_ref().unwrap().open_api_v3_schema)
            .unwrap()
    }

    #[test]
    fn a_definition_is_named_and_labelled_as_the_operators_own() {
        let definition = serde_json::to_value(&definitions()[0]).unwrap();
        assert_eq!(definition["metadata"]["name"], "clickhouseinstallations.clickhouse.altinity.com");
        assert_eq!(definition["metadata"]["labels"]["clickhouse.altinity.com/chop"], "0.25.6");
        assert_eq!(definition["spec"]["versions"][0]["subresources"]["status"], serde_json::json!({}));
    }

    #[test]
    fn fields_of_installations_are_known_and_others_are_not() {
        let schema = schema_of(&INSTALLATION);
        for path in [
            "spec.taskID",
            "spec.suspend",
            "spec.reconciling.cleanup.unknownObjects.pvc",
            "spec.defaults.storageManagement.reclaimPolicy",
            "spec.defaults.templates.shardServiceTemplate",
            "spec.configuration.zookeeper.nodes.host",
            "spec.configuration.clusters.secret.auto",
            "spec.configuration.clusters.layout.shards.replicas.name",
            "spec.configuration.clusters.pdbMaxUnavailable",
            "spec.templates.podTemplates.podDistribution.topologyKey",
            "spec.templates.volumeClaimTemplates.reclaimPolicy",
        ] {
            assert!(at(&schema, path).is_some(), "{path}");
        }
        for path in
            ["spec.failover", "spec.templates.volumeTemplates", "spec.configuration.clusters.layout.type"]
        {
            assert!(at(&schema, path).is_none(), "{path}");
        }
        for path in
            ["spec.configuration.users", "spec.configuration.settings", "spec.templates.podTemplates.spec"]
        {
            assert_eq!(at(&schema, path).unwrap()["x-kubernetes-preserve-unknown-fields"], true, "{path}");
        }
        assert_eq!(
            at(&schema, "spec.configuration.clusters.name").unwrap()["pattern"],
            "^[a-zA-Z0-9-]{0,15}$"
        );
        assert!(at(&schema, "spec.stop").unwrap()["enum"].as_array().unwrap().contains(&"yes".into()));
    }

    #[test]
    fn fields_of_keepers_are_known_and_others_are_not() {
        let schema = schema_of(&KEEPER_INSTALLATION);
        for path in [
            "spec.taskID",
            "spec.configuration.clusters.layout.replicasCount",
            "spec.templates.volumeClaimTemplates.spec",
        ] {
            assert!(at(&schema, path).is_some(), "{path}");
        }
        for path in ["spec.reconcile", "spec.replicas", "spec.configuration.users"] {
            assert!(at(&schema, path).is_none(), "{path}");
        }
    }
}
