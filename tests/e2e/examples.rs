//! Each example, in each language, from the first preview to the last trace, on the real engine.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret, Service};
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, PostParams};
use serde_json::json;
use testbed::borrowed::Power;
use testbed::programs::{Language, Output, Program};
use testbed::{Namespace, Testbed, operator};

/// What an example makes.
struct Example {
    name: &'static str,
    shards: u32,
    replicas: u32,
    keepers: u32,
    /// How many volumes each host has.
    volumes: u32,
    /// How many resources its stack has, the stack itself among them.
    resources: u32,
    /// Whether its number of shards is configured.
    scales: bool,
    /// What it has to be told.
    config: &'static [(&'static str, &'static str)],
    /// Holds its outputs against the cluster's name and namespace.
    outputs: fn(&BTreeMap<String, Output>, name: &str, namespace: &str) -> Result<()>,
}

const QUICKSTART: Example = Example {
    name: "quickstart",
    shards: 1,
    replicas: 1,
    keepers: 0,
    volumes: 1,
    resources: 2,
    scales: true,
    config: &[],
    outputs: quickstart_outputs,
};
const PRODUCTION: Example = Example {
    name: "production",
    shards: 3,
    replicas: 2,
    keepers: 3,
    outputs: production_outputs,
    ..QUICKSTART
};
const REPLICATED: Example = Example {
    name: "replicated",
    shards: 3,
    replicas: 2,
    keepers: 3,
    scales: false,
    outputs: plain_outputs,
    ..QUICKSTART
};
/// The SHA-256 of a password.
pub(crate) const HASH: &str = "65e84be33532fb784c48129675f9eff3a682b27168c0ea744b2cf58ee02337c5";
const ANALYTICS: Example = Example {
    name: "analytics",
    shards: 3,
    replicas: 2,
    keepers: 3,
    config: &[("dashboardsPassword", HASH), ("loaderPassword", HASH)],
    outputs: secure_outputs,
    ..QUICKSTART
};
const BACKUP: Example = Example { name: "backup", shards: 2, outputs: plain_outputs, ..QUICKSTART };
const EXTERNAL_ZOOKEEPER: Example =
    Example { name: "external-zookeeper", replicas: 2, outputs: plain_outputs, ..QUICKSTART };
const TIERED_STORAGE: Example =
    Example { name: "tiered-storage", volumes: 3, outputs: tiered_outputs, ..QUICKSTART };
const APPLICATION: Example =
    Example { name: "application", resources: 3, outputs: application_outputs, ..QUICKSTART };

fn plain_outputs(outputs: &BTreeMap<String, Output>, name: &str, namespace: &str) -> Result<()> {
    let url = &outputs.get("url").context("it has a URL")?.value;
    assert_eq!(*url, format!("http://{name}.{namespace}.svc.cluster.local:8123"));
    Ok(())
}

fn secure_outputs(outputs: &BTreeMap<String, Output>, name: &str, namespace: &str) -> Result<()> {
    let url = &outputs.get("url").context("it has a URL")?.value;
    assert_eq!(*url, format!("https://{name}.{namespace}.svc.cluster.local:8443"));
    assert_eq!(outputs["hosts"].value.as_array().map(Vec::len), Some(6), "{:?}", outputs["hosts"]);
    assert!(outputs["password"].secret);
    Ok(())
}

fn tiered_outputs(outputs: &BTreeMap<String, Output>, name: &str, namespace: &str) -> Result<()> {
    assert_eq!(outputs["storageSize"].value, "50Gi");
    plain_outputs(outputs, name, namespace)
}

fn application_outputs(outputs: &BTreeMap<String, Output>, name: &str, namespace: &str) -> Result<()> {
    assert_eq!(outputs["credentialsSecret"].value, format!("{name}-credentials"));
    plain_outputs(outputs, name, namespace)
}

fn quickstart_outputs(outputs: &BTreeMap<String, Output>, name: &str, namespace: &str) -> Result<()> {
    let hostname = format!("{name}.{namespace}.svc.cluster.local");
    assert_eq!(outputs["hostname"].value, hostname);
    assert_eq!(outputs["url"].value, format!("http://{hostname}:8123"));
    assert_eq!(outputs["username"].value, "default");
    let password = outputs["password"].value.as_str().context("the password is a text")?;
    assert!(
        password.len() == 32 && password.chars().all(|letter| letter.is_ascii_alphanumeric()),
        "{} characters",
        password.len()
    );
    let secrets: Vec<&String> =
        outputs.iter().filter(|(_, output)| output.secret).map(|(name, _)| name).collect();
    assert_eq!(secrets, ["password"]);
    let connect = outputs["connect"].value.as_str().context("the command is a text")?;
    assert!(
        connect.starts_with("kubectl") && connect.contains("port-forward") && connect.contains(name),
        "{connect}"
    );
    Ok(())
}

fn production_outputs(outputs: &BTreeMap<String, Output>, name: &str, namespace: &str) -> Result<()> {
    let hostname = format!("{name}.{namespace}.svc.cluster.local");
    assert_eq!(outputs["hostname"].value, hostname);
    let address = outputs["address"].value.as_str().context("the load balancer has an address")?;
    assert_eq!(outputs["url"].value, format!("https://{address}:8443"));
    assert_eq!(
        outputs["shardServices"].value.as_array().map(Vec::len),
        Some(3),
        "{:?}",
        outputs["shardServices"]
    );
    assert!(
        outputs["keeper"].value.as_array().is_some_and(|endpoints| !endpoints.is_empty()),
        "{:?}",
        outputs["keeper"]
    );
    let url = outputs["jdbcUrl"].value.as_str().context("the JDBC URL is a text")?;
    assert!(
        url.starts_with(&format!("jdbc:clickhouse://{hostname}:8443/?user=default&password=")),
        "the URL of another host"
    );
    let secrets: Vec<&String> =
        outputs.iter().filter(|(_, output)| output.secret).map(|(name, _)| name).collect();
    assert_eq!(secrets, ["jdbcUrl"]);
    Ok(())
}

/// preview → up → outputs → up and refresh without changes → one shard more → up → destroy → nothing left but
/// the volumes.
async fn live(example: &Example, language: Language) -> Result<()> {
    let testbed = Testbed::shared().await;
    let namespace = testbed.namespace().await?;
    let installations: Api<DynamicObject> =
        Api::namespaced_with(testbed.client()?, namespace.name(), &operator::installations());
    let mut program = Program::new(testbed, example.name, language).await?;
    prepare(testbed, &namespace, example, &mut program).await?;

    assert_eq!(program.preview().await?, json!({"create": example.resources}), "the stack and its resources");
    assert_eq!(installations.list(&ListParams::default()).await?.items, [], "a preview made something");

    program.up().await?;
    let installation = installations
        .list(&ListParams::default())
        .await?
        .items
        .pop()
        .context("`up` made no ClickHouseInstallation")?;
    let name = installation.metadata.name.context("it has a name")?;
    assert!(name.starts_with("db-"), "{name}");
    (example.outputs)(&program.outputs().await?, &name, namespace.name())?;
    assert_eq!(ready_hosts(&namespace, &name).await?, example.shards * example.replicas);

    program.up_without_changes().await?;
    program.refresh_without_changes().await?;

    let shards = example.shards + u32::from(example.scales);
    if example.scales {
        program.set_config("shards", &shards.to_string()).await?;
        let same = example.resources - 1;
        assert_eq!(program.preview().await?, json!({"same": same, "update": 1}), "a shard more");
        program.up().await?;
        let layout = &installations.get(&name).await?.data["spec"]["configuration"]["clusters"][0]["layout"];
        assert_eq!(layout["shardsCount"], shards, "{layout}");
        assert_eq!(ready_hosts(&namespace, &name).await?, shards * example.replicas);
    }

    if example.name == PRODUCTION.name {
        let refused = program.destroy().await.map_or_else(|error| format!("{error:#}"), |()| String::new());
        assert!(refused.contains("protect"), "{refused}");
        program.set_config("protect", "false").await?;
        program.up().await?;
    }
    program.destroy().await?;
    namespace.api::<Secret>().delete_collection(&DeleteParams::default(), &given()).await?;
    assert_eq!(
        installations.list(&ListParams::default()).await?.items,
        [],
        "the ClickHouseInstallation is left"
    );
    let keepers: Api<DynamicObject> =
        Api::namespaced_with(testbed.client()?, namespace.name(), &operator::keepers());
    assert_eq!(
        keepers.list(&ListParams::default()).await?.items,
        [],
        "the ClickHouseKeeperInstallation is left"
    );
    assert_eq!(namespace.api::<Secret>().list(&ListParams::default()).await?.items, [], "a Secret is left");
    assert_eq!(namespace.api::<Service>().list(&ListParams::default()).await?.items, [], "a Service is left");
    let volumes = namespace.api::<PersistentVolumeClaim>().list(&ListParams::default()).await?.items.len();
    assert_eq!(
        volumes,
        (shards * example.replicas * example.volumes + example.keepers) as usize,
        "each host's volume is kept, and nothing else"
    );
    namespace.delete().await
}

/// A second stack reads what the quickstart has made, and a destroy of it leaves that alone.
async fn second_stack(language: Language) -> Result<()> {
    let testbed = Testbed::shared().await;
    let namespace = testbed.namespace().await?;
    let mut first = Program::new(testbed, QUICKSTART.name, Language::Yaml).await?;
    first.set_config("clickhouse:namespace", namespace.name()).await?;
    first.up().await?;
    let made = first.outputs().await?;
    let host = made["hostname"].value.as_str().context("it has a name")?.to_owned();
    let cluster = host.split('.').next().unwrap_or_default();

    let mut second = Program::new(testbed, "second-stack", language).await?;
    second.set_config("cluster", cluster).await?;
    second.set_config("namespace", namespace.name()).await?;
    second.up().await?;
    let read = second.outputs().await?;
    let password = made["password"].value.as_str().context("it has a password")?;
    assert_eq!(read["url"].value, format!("http://default:{password}@{host}:8123/"));
    assert!(read["url"].secret);
    assert_eq!((&read["phase"].value, &read["hostsReady"].value), (&json!("Completed"), &json!(1)));
    second.destroy().await?;
    first.up_without_changes().await?;
    first.destroy().await?;
    namespace.delete().await
}

/// What tells the objects of the test from those of the example.
fn given() -> ListParams {
    ListParams::default().labels("given=yes")
}

/// Makes what the example takes for given, and tells it what it has to be told.
async fn prepare(
    testbed: &Testbed,
    namespace: &Namespace,
    example: &Example,
    program: &mut Program,
) -> Result<()> {
    program.set_config("clickhouse:namespace", namespace.name()).await?;
    for (key, value) in example.config {
        program.set_config(key, value).await?;
    }
    if example.name == PRODUCTION.name {
        let secret = serde_json::from_value(json!({"metadata": {"name": "app-credentials", "labels":
            {"given": "yes"}}, "stringData": {"password": "correct horse"}}))?;
        namespace.api::<Secret>().create(&PostParams::default(), &secret).await?;
    }
    if example.name == APPLICATION.name {
        let kubeconfig = std::fs::read_to_string(testbed.kubeconfig())?;
        program.set_secret("kubeconfig", &kubeconfig).await?;
        program.set_config("namespace", namespace.name()).await?;
    }
    Ok(())
}

/// How many of the cluster's StatefulSets have their pod ready.
async fn ready_hosts(namespace: &Namespace, name: &str) -> Result<u32> {
    let of_cluster = ListParams::default().labels(&format!("clickhouse.altinity.com/chi={name}"));
    let sets = namespace.api::<StatefulSet>().list(&of_cluster).await?;
    let ready = |set: &StatefulSet| set.status.as_ref().and_then(|status| status.ready_replicas) == Some(1);
    Ok(u32::try_from(sets.iter().filter(|set| ready(set)).count())?)
}

#[tokio::test]
async fn quickstart_in_yaml() -> Result<()> {
    live(&QUICKSTART, Language::Yaml).await
}

#[tokio::test]
async fn quickstart_in_typescript() -> Result<()> {
    live(&QUICKSTART, Language::TypeScript).await
}

#[tokio::test]
async fn quickstart_in_python() -> Result<()> {
    live(&QUICKSTART, Language::Python).await
}

#[tokio::test]
async fn quickstart_in_go() -> Result<()> {
    live(&QUICKSTART, Language::Go).await
}

#[tokio::test]
async fn production_in_yaml() -> Result<()> {
    live(&PRODUCTION, Language::Yaml).await
}

#[tokio::test]
async fn production_in_typescript() -> Result<()> {
    live(&PRODUCTION, Language::TypeScript).await
}

#[tokio::test]
async fn production_in_python() -> Result<()> {
    live(&PRODUCTION, Language::Python).await
}

#[tokio::test]
async fn production_in_go() -> Result<()> {
    live(&PRODUCTION, Language::Go).await
}

#[tokio::test]
async fn analytics_in_yaml() -> Result<()> {
    if Power::Definitions.is_missing() {
        return Ok(());
    }
    live(&ANALYTICS, Language::Yaml).await
}

#[tokio::test]
async fn analytics_in_typescript() -> Result<()> {
    if Power::Definitions.is_missing() {
        return Ok(());
    }
    live(&ANALYTICS, Language::TypeScript).await
}

#[tokio::test]
async fn backup_in_yaml() -> Result<()> {
    live(&BACKUP, Language::Yaml).await
}

#[tokio::test]
async fn backup_in_typescript() -> Result<()> {
    live(&BACKUP, Language::TypeScript).await
}

#[tokio::test]
async fn external_zookeeper_in_yaml() -> Result<()> {
    live(&EXTERNAL_ZOOKEEPER, Language::Yaml).await
}

#[tokio::test]
async fn external_zookeeper_in_typescript() -> Result<()> {
    live(&EXTERNAL_ZOOKEEPER, Language::TypeScript).await
}

#[tokio::test]
async fn tiered_storage_in_yaml() -> Result<()> {
    live(&TIERED_STORAGE, Language::Yaml).await
}

#[tokio::test]
async fn tiered_storage_in_typescript() -> Result<()> {
    live(&TIERED_STORAGE, Language::TypeScript).await
}

#[tokio::test]
async fn application_in_yaml() -> Result<()> {
    live(&APPLICATION, Language::Yaml).await
}

#[tokio::test]
async fn application_in_typescript() -> Result<()> {
    live(&APPLICATION, Language::TypeScript).await
}

#[tokio::test]
async fn replicated_in_yaml() -> Result<()> {
    live(&REPLICATED, Language::Yaml).await
}

#[tokio::test]
async fn replicated_in_typescript() -> Result<()> {
    live(&REPLICATED, Language::TypeScript).await
}

#[tokio::test]
async fn second_stack_in_yaml() -> Result<()> {
    second_stack(Language::Yaml).await
}

#[tokio::test]
async fn second_stack_in_typescript() -> Result<()> {
    second_stack(Language::TypeScript).await
}
