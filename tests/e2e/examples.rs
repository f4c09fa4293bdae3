//! Each example, in each language, from the first preview to the last trace, on the real engine.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret, Service};
use kube::api::{Api, DynamicObject, ListParams};
use serde_json::json;
use testbed::programs::{Language, Output, Program};
use testbed::{Namespace, Testbed, operator};

/// What an example makes.
struct Example {
    name: &'static str,
    shards: u32,
    replicas: u32,
    keepers: u32,
    /// Holds its outputs against the cluster's name and namespace.
    outputs: fn(&BTreeMap<String, Output>, name: &str, namespace: &str) -> Result<()>,
}

const QUICKSTART: Example =
    Example { name: "quickstart", shards: 1, replicas: 1, keepers: 0, outputs: quickstart_outputs };
const PRODUCTION: Example =
    Example { name: "production", shards: 3, replicas: 2, keepers: 3, outputs: production_outputs };

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
    assert_eq!(outputs["url"].value, format!("http://{address}:8123"));
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
        url.starts_with(&format!("jdbc:clickhouse://{hostname}:8123/?user=default&password=")),
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
    program.set_config("clickhouse:namespace", namespace.name()).await?;

    assert_eq!(program.preview().await?, json!({"create": 2}), "the stack and its cluster");
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

    let shards = example.shards + 1;
    program.set_config("shards", &shards.to_string()).await?;
    assert_eq!(program.preview().await?, json!({"same": 1, "update": 1}), "a shard more");
    program.up().await?;
    let layout = &installations.get(&name).await?.data["spec"]["configuration"]["clusters"][0]["layout"];
    assert_eq!(layout["shardsCount"], shards, "{layout}");
    assert_eq!(ready_hosts(&namespace, &name).await?, shards * example.replicas);

    program.destroy().await?;
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
        (shards * example.replicas + example.keepers) as usize,
        "each host's volume is kept, and nothing else"
    );
    namespace.delete().await
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
