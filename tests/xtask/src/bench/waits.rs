//! Waiting for clusters: what a thousand waits hold, and how soon a wait ends.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use fake_engine::{Client, Plugin, pb, strings};
use futures::StreamExt as _;
use kube::ResourceExt as _;
use kube::runtime::{WatchStreamExt as _, watcher};
use prost_types::Struct;
use testbed::{Counted, Namespace};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::machine;
use super::plugin::{self, Binary, shake_hands};

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(180);

/// The memory of a plugin, in KiB, when so many clusters are written and all are waited for. Nothing must
/// serve in `namespace`.
pub(super) async fn memory(
    binary: &Binary,
    counted: &mut Counted<'_>,
    namespace: &Namespace,
    clusters: usize,
) -> Result<u64> {
    let plugin = binary.start()?;
    let mut client = configured(&plugin).await?;
    counted.take()?;
    let mut waits = JoinSet::new();
    for index in 0..clusters {
        let name = format!("db{index}");
        let inputs = plugin::checked(&mut client, &name, inputs(namespace, &name)).await?;
        let mut client = client.clone();
        waits.spawn(async move { plugin::create(&mut client, &name, inputs).await });
    }
    let mut written = 0;
    let all_written = async {
        while written < clusters {
            sleep(Duration::from_millis(100)).await;
            if let Some(ended) = waits.try_join_next() {
                ended??;
                bail!("a cluster that nobody serves was not waited for");
            }
            written += counted.take()?.of("patch", "clickhouseinstallations");
        }
        Ok(())
    };
    timeout(PATIENCE, all_written).await.context("the clusters were not written in time")??;
    // The last answers and events are still on their way.
    sleep(Duration::from_secs(1)).await;
    let memory = machine::memory(plugin.id())?.peak;
    client.cancel(()).await?;
    Ok(memory)
}

/// How long after the operator said `Completed` each of so many creates, one after the other, was answered.
pub(super) async fn latencies(
    binary: &Binary,
    namespace: &Namespace,
    clusters: usize,
) -> Result<Vec<Duration>> {
    let plugin = binary.start()?;
    let mut client = configured(&plugin).await?;
    let mut completed = completions(namespace);
    let mut latencies = Vec::new();
    for index in 0..clusters {
        let name = format!("db{index}");
        let inputs = plugin::checked(&mut client, &name, inputs(namespace, &name)).await?;
        timeout(PATIENCE, plugin::create(&mut client, &name, inputs))
            .await
            .context("the cluster did not serve in time")??;
        let answered = Instant::now();
        let seen = timeout(PATIENCE, completed.wait_for(|seen| seen.contains_key(&name)))
            .await
            .context("no watch saw it completed")??;
        // Seen here later than there: then it took no time.
        latencies.push(answered.saturating_duration_since(seen[&name]));
    }
    Ok(latencies)
}

async fn configured(plugin: &Plugin) -> Result<Client> {
    let mut client = shake_hands(plugin).await?;
    client.configure(pb::ConfigureRequest::default()).await?;
    Ok(client)
}

fn inputs(namespace: &Namespace, name: &str) -> Struct {
    strings([("name", name), ("namespace", namespace.name())])
}

/// When each installation of a namespace was first seen completed.
fn completions(namespace: &Namespace) -> watch::Receiver<BTreeMap<String, Instant>> {
    let (sender, receiver) = watch::channel(BTreeMap::new());
    let installations = namespace.installations();
    tokio::spawn(async move {
        let mut objects = std::pin::pin!(
            watcher(installations, watcher::Config::default()).default_backoff().applied_objects()
        );
        while let Some(object) = objects.next().await {
            let Ok(object) = object else { continue };
            if object.data["status"]["status"] == "Completed" {
                sender.send_modify(|seen| _ = seen.entry(object.name_any()).or_insert_with(Instant::now));
            }
        }
    });
    receiver
}
