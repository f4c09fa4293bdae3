//! One task of the operator's: from the spec to what runs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Service};
use kube::ResourceExt as _;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;

use super::children::VERSION;
use super::cluster::Cluster;
use super::faults::{Fault, Switches};
use super::installation::{Host, Installation, Kind};
use super::status::Status;
use super::{OLD_VERSION, Settings, ancestor, event};
use crate::tools::hex;

/// How a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Completed,
    Aborted,
    /// A fault: it never ends.
    Stuck,
}

/// A task under way. Dropping its future cancels it, as a newer spec does.
pub(super) struct Task {
    pub(super) settings: Arc<Settings>,
    pub(super) cluster: Cluster,
    pub(super) api: Api<DynamicObject>,
    pub(super) installation: Installation,
    pub(super) switches: Switches,
    pub(super) status: Mutex<Status>,
    pub(super) id: String,
    /// Whether it has changed a host.
    pub(super) changed: AtomicBool,
    /// The spec that was completed last.
    pub(super) ancestor: Option<Value>,
}

impl Task {
    /// Does all of it.
    pub(super) async fn run(&self) -> Result<End> {
        let installation = &self.installation;
        self.write(|status| {
            status.start(installation, &self.id);
            if self.switches.fault == Some(Fault::OldVersion) {
                status.written_by(OLD_VERSION);
            }
        })
        .await?;
        event(&self.cluster, installation, "ReconcileStarted", "reconcile started").await?;
        if matches!(self.switches.fault, Some(Fault::Aborted | Fault::AbortedRecovers(_))) {
            tokio::time::sleep(self.settings.host_pause).await;
            return self.abort().await;
        }
        for config in installation.common_configs() {
            self.cluster.apply(&config).await?;
        }
        for cluster in 0..installation.clusters.len() {
            if let Some(budget) = installation.disruption_budget(cluster) {
                self.cluster.apply(&budget).await?;
            }
            self.auto_secret(cluster).await?;
        }
        if !self.all_hosts().await? {
            return self.abort().await;
        }
        self.service().await?;
        self.remove_others().await?;
        if installation.kind == Kind::Keeper && self.switches.fault == Some(Fault::KeeperStuck) {
            return Ok(End::Stuck);
        }
        if installation.kind == Kind::Keeper {
            tokio::time::sleep(self.settings.keeper_pause).await;
        }
        if self.switches.fault == Some(Fault::HostLeftOut) && self.changed.load(Ordering::Relaxed) {
            self.leave_out_the_last_host().await?;
        }
        self.complete().await?;
        Ok(End::Completed)
    }

    async fn leave_out_the_last_host(&self) -> Result<()> {
        if let Some(host) = self.installation.hosts.last() {
            let none = Patch::Merge(json!({"spec": {"replicas": 0}}));
            self.cluster.api::<StatefulSet>().patch(&self.installation.host_name(host), &PatchParams::default(), &none).await?;
            self.cluster.gone::<Pod>(&self.installation.pod_name(host)).await?;
        }
        Ok(())
    }

    /// Writes what `change` makes of the status, if anything.
    pub(super) async fn write(&self, change: impl FnOnce(&mut Status)) -> Result<()> {
        let mut status = self.status.lock().await;
        change(&mut status);
        if let Some(patch) = status.take_patch() {
            self.api.patch_status(&self.installation.name, &PatchParams::default(), &Patch::Merge(patch)).await?;
        }
        Ok(())
    }

    /// Records the spec as completed, then says so.
    pub(super) async fn complete(&self) -> Result<()> {
        ancestor::store(&self.cluster, &self.installation).await?;
        self.write(|status| status.complete(&self.installation, &self.id)).await?;
        event(&self.cluster, &self.installation, "ReconcileCompleted", "reconcile completed").await
    }

    async fn abort(&self) -> Result<End> {
        self.write(|status| status.abort(&self.installation, &self.id)).await?;
        event(&self.cluster, &self.installation, "ReconcileFailed", "reconcile failed: crud error - should abort").await?;
        Ok(End::Aborted)
    }

    /// The Secret is made once: a new value would need all hosts to restart.
    async fn auto_secret(&self, cluster: usize) -> Result<()> {
        let (Some(name), Some(secret)) = (self.installation.auto_secret_name(cluster), self.installation.auto_secret(cluster)) else {
            return Ok(());
        };
        let exists = self.cluster.api::<k8s_openapi::api::core::v1::Secret>().get_opt(&name).await?.is_some();
        if exists { Ok(()) } else { self.cluster.apply(&secret).await.map(drop) }
    }

    /// Brings each host in line, the shards beside each other, the hosts of a shard one after the other.
    /// `false` when one must not go on.
    async fn all_hosts(&self) -> Result<bool> {
        let shards = self.installation.shards().map(|first| {
            let of_shard = |host: &&Host| host.cluster == first.cluster && host.shard == first.shard;
            let hosts: Vec<&Host> = self.installation.hosts.iter().filter(of_shard).collect();
            async move {
                for host in hosts {
                    if !self.host(host).await? {
                        return Err(Unready.into());
                    }
                }
                anyhow::Ok(())
            }
        });
        // A Keeper's hosts vote: never two at a time.
        let at_once = if self.installation.kind == Kind::Keeper { 1 } else { self.settings.shards_at_once };
        let futures: Vec<_> = shards.collect();
        let done = stream::iter(futures).buffer_unordered(at_once).try_collect::<Vec<()>>().await;
        match done {
            Ok(_) => Ok(true),
            Err(error) if error.is::<Unready>() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Brings one host in line; `false` when its pod did not get ready and the task must end.
    async fn host(&self, host: &Host) -> Result<bool> {
        let (installation, cluster) = (&self.installation, &self.cluster);
        let name = installation.host_name(host);
        let hold = matches!(self.switches.fault, Some(Fault::CompletedNotReady(_)));
        cluster.apply(&installation.host_config(host)).await?;
        let grown = self.claims(host).await?;
        let mut wanted = installation.stateful_set(host, hold);
        let version = hex(&Sha256::digest(wanted.to_string())[..16]);
        wanted["metadata"]["labels"][installation.label(VERSION)] = json!(version);
        let existing = cluster.api::<StatefulSet>().get_opt(&name).await?;
        let current = existing.as_ref().and_then(|set| set.labels().get(&installation.label(VERSION)));
        if current != Some(&version) {
            self.changed.store(true, Ordering::Relaxed);
        }
        let scaled =
            existing.as_ref().and_then(|set| set.spec.as_ref()?.replicas).map(Value::from) != Some(wanted["spec"]["replicas"].clone());
        let changed = current != Some(&version) || scaled;
        let ready = match &existing {
            Some(_) if !changed && !grown => {
                let restart = self.needs_restart() && !installation.says_yes("stop");
                self.write(|status| status.count(if restart { "hostsUpdated" } else { "hostsUnchanged" })).await?;
                !restart || cluster.restart_pod(&installation.pod_name(host), self.switches.update_timeout).await?
            }
            Some(set) => {
                if grown || !same_claims(set, &wanted) {
                    cluster.delete::<StatefulSet>(&name).await?;
                    cluster.gone::<StatefulSet>(&name).await?;
                    cluster.gone::<Pod>(&installation.pod_name(host)).await?;
                }
                let generation = cluster.apply(&wanted).await?;
                let ready = hold || cluster.rolled_out(&name, generation, self.switches.update_timeout).await?;
                self.write(|status| status.count("hostsUpdated")).await?;
                ready
            }
            None => {
                let generation = cluster.apply(&wanted).await?;
                // A new host whose pod does not get ready is passed by.
                if !hold {
                    cluster.rolled_out(&name, generation, self.switches.create_timeout).await?;
                }
                self.write(|status| status.count("hostsAdded")).await?;
                true
            }
        };
        if !ready && installation.kind == Kind::ClickHouse {
            return Ok(false);
        }
        self.host_services(host).await?;
        tokio::time::sleep(self.settings.host_pause).await;
        // The real one counts a new host twice, unless it is alone.
        let twice = existing.is_none() && (installation.kind == Kind::Keeper || installation.hosts.len() > 1);
        self.write(|status| {
            if twice {
                status.count("hostsAdded");
            }
            status.count("hostsCompleted");
        })
        .await?;
        Ok(true)
    }

    async fn host_services(&self, host: &Host) -> Result<()> {
        for service in self.installation.host_services(host) {
            self.apply_service(&service).await?;
        }
        Ok(())
    }

    async fn service(&self) -> Result<()> {
        if self.installation.says_yes("stop") {
            return self.cluster.delete::<Service>(&self.installation.service_name()).await;
        }
        self.apply_service(&self.installation.service()).await
    }

    /// A Service whose type changes is made anew.
    async fn apply_service(&self, service: &Value) -> Result<()> {
        let name = service["metadata"]["name"].as_str().unwrap_or_default();
        let existing = self.cluster.api::<Service>().get_opt(name).await?;
        let current = existing.as_ref().and_then(|service| service.spec.as_ref()).and_then(|spec| spec.type_.as_deref());
        if current.is_some_and(|current| current != service["spec"]["type"].as_str().unwrap_or("ClusterIP")) {
            self.cluster.delete::<Service>(name).await?;
            self.cluster.gone::<Service>(name).await?;
        }
        self.cluster.apply(service).await?;
        if existing.is_none() {
            self.write(|status| status.service_made(&self.installation, name)).await?;
        }
        Ok(())
    }

    /// Makes and grows the claims that are the operator's to make. `true` when a claim of the StatefulSet's
    /// own has to grow, for which the StatefulSet is made anew.
    async fn claims(&self, host: &Host) -> Result<bool> {
        let mut remake = false;
        for template in self.installation.claim_templates(host) {
            let mut claim = self.installation.claim(host, template);
            let existing = self.cluster.api::<PersistentVolumeClaim>().get_opt(&self.installation.claim_name(host, template)).await?;
            let own = self.installation.operator_provisions(template);
            let Some(existing) = existing else {
                if own {
                    self.cluster.apply(&claim).await?;
                }
                continue;
            };
            let requested = existing.spec.and_then(|spec| spec.resources).and_then(|resources| resources.requests).unwrap_or_default();
            let current = requested.get("storage").map_or(0, |quantity| bytes(&quantity.0));
            let wanted = template.pointer("/spec/resources/requests/storage").and_then(Value::as_str).map_or(0, bytes);
            // Of the spec only the size can change, and it never shrinks.
            claim["spec"] = if wanted > current { json!({"resources": template["spec"]["resources"]}) } else { json!({}) };
            self.patch_claim(&claim).await?;
            remake |= wanted > current && !own;
        }
        Ok(remake)
    }

    async fn patch_claim(&self, claim: &Value) -> Result<()> {
        let name = claim["metadata"]["name"].as_str().unwrap_or_default();
        let patch = json!({"metadata": {"labels": claim["metadata"]["labels"]}, "spec": claim["spec"]});
        self.cluster.api::<PersistentVolumeClaim>().patch(name, &PatchParams::default(), &Patch::Merge(patch)).await?;
        Ok(())
    }

    /// Deletes what is there for hosts and Services that the spec has no more.
    async fn remove_others(&self) -> Result<()> {
        let installation = &self.installation;
        let wanted: BTreeSet<String> = installation.hosts.iter().map(|host| installation.host_name(host)).collect();
        let mut services: BTreeSet<String> = installation
            .hosts
            .iter()
            .flat_map(|host| installation.host_services(host))
            .chain([installation.service()])
            .filter_map(|service| service["metadata"]["name"].as_str().map(str::to_owned))
            .collect();
        services.extend([installation.service_name()]);
        for set in self.cluster.list::<StatefulSet>(&installation.scope()).await? {
            if !wanted.contains(&set.name_any()) {
                self.remove_host(&set).await?;
                self.write(|status| status.count("hostsDeleted")).await?;
            }
        }
        let configs: BTreeSet<String> = installation.hosts.iter().map(|host| installation.host_config_name(host)).collect();
        let mut host_configs = installation.scope();
        host_configs.insert(installation.label("ConfigMap"), json!("Host"));
        for config in self.cluster.list::<ConfigMap>(&host_configs).await? {
            if !configs.contains(&config.name_any()) {
                self.cluster.delete::<ConfigMap>(&config.name_any()).await?;
            }
        }
        for service in self.cluster.list::<Service>(&installation.scope()).await? {
            if !services.contains(&service.name_any()) {
                self.cluster.delete::<Service>(&service.name_any()).await?;
            }
        }
        self.remove_unused_claims().await
    }

    /// Removes a host's StatefulSet, and each of its claims that no template in force explains as retained: the label on the claim counts for
    /// nothing. A Keeper's claims stay.
    pub(super) async fn remove_host(&self, set: &StatefulSet) -> Result<()> {
        let (installation, cluster) = (&self.installation, &self.cluster);
        let name = set.name_any();
        cluster.delete::<StatefulSet>(&name).await?;
        cluster.gone::<StatefulSet>(&name).await?;
        cluster.gone::<Pod>(&format!("{name}-0")).await?;
        if installation.kind == Kind::Keeper {
            return Ok(());
        }
        let keys = ["app", "chi", "namespace", "cluster", "shard", "replica"].map(|key| installation.label(key));
        let scope = set.labels().iter().filter(|(key, _)| keys.contains(key)).map(|(key, value)| (key.clone(), json!(value))).collect();
        for claim in cluster.list::<PersistentVolumeClaim>(&scope).await? {
            if installation.policy_of(&claim.name_any(), &format!("{name}-0")) != Some("Retain") {
                cluster.delete::<PersistentVolumeClaim>(&claim.name_any()).await?;
            }
        }
        Ok(())
    }

    /// Deletes claims that no host uses any more, as far as their label doesn't say that they are retained.
    async fn remove_unused_claims(&self) -> Result<()> {
        let installation = &self.installation;
        if installation.kind == Kind::Keeper {
            return Ok(());
        }
        let used: BTreeSet<String> = installation
            .hosts
            .iter()
            .flat_map(|host| installation.claim_templates(host).into_iter().map(|template| installation.claim_name(host, template)))
            .collect();
        for claim in self.cluster.list::<PersistentVolumeClaim>(&installation.scope()).await? {
            let retained = claim.labels().get(&installation.label("reclaimPolicy")).is_some_and(|policy| policy == "Retain");
            if !retained && !used.contains(&claim.name_any()) {
                self.cluster.delete::<PersistentVolumeClaim>(&claim.name_any()).await?;
            }
        }
        Ok(())
    }

    /// Whether hosts whose StatefulSet is as it was must start again for their new configuration.
    fn needs_restart(&self) -> bool {
        if self.installation.spec["restart"] == "RollingUpdate" {
            return true;
        }
        let Some(old) = &self.ancestor else { return false };
        let spec = &self.installation.spec;
        let differs = |pointer: &str, restarts: fn(&str) -> bool| {
            let (old, new) = (old.pointer(pointer).unwrap_or(&Value::Null), spec.pointer(pointer).unwrap_or(&Value::Null));
            let keys: BTreeSet<&String> = [old, new].into_iter().filter_map(Value::as_object).flat_map(serde_json::Map::keys).collect();
            keys.into_iter().any(|key| old.get(key) != new.get(key) && restarts(key))
        };
        differs("/configuration/settings", setting_restarts)
            || differs("/configuration/files", file_restarts)
            || differs("/configuration/zookeeper", |_| true)
            || differs("/configuration/profiles", |key| key.starts_with("default/background_") && key.ends_with("_pool_size"))
    }
}

/// A host of a completed installation whose pod did not get ready in time.
#[derive(Debug)]
struct Unready;

impl std::fmt::Display for Unready {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a host did not get ready")
    }
}

impl std::error::Error for Unready {}

/// The operator's default list of settings that ClickHouse takes over by itself.
fn setting_restarts(key: &str) -> bool {
    const FREE: [&str; 10] = [
        "access_control_path",
        "dictionaries_config",
        "max_concurrent_queries",
        "models_config",
        "user_defined_executable_functions_config",
        "logger",
        "macros",
        "remote_servers",
        "user_directories",
        "display_secrets_in_show_and_select",
    ];
    let first = key.split('/').next().unwrap_or(key);
    let limit = first.starts_with("max_") && (first.starts_with("max_server_memory_") || first.ends_with("_to_drop"));
    !(FREE.contains(&first) || limit)
}

fn file_restarts(path: &str) -> bool {
    let users = path.starts_with("users.d/") || path.starts_with("{users}");
    !users
        && std::path::Path::new(path).extension().is_some_and(|kind| kind == "xml")
        && !path.contains("dict")
        && !path.contains("no_restart")
}

/// Whether a StatefulSet's claim templates are as wanted: they can't be changed in place.
fn same_claims(set: &StatefulSet, wanted: &Value) -> bool {
    let names = |value: &Value| -> Vec<String> {
        let claims = value.as_array().into_iter().flatten();
        claims.filter_map(|claim| claim.pointer("/metadata/name").and_then(Value::as_str).map(str::to_owned)).collect()
    };
    let current = serde_json::to_value(set.spec.as_ref().and_then(|spec| spec.volume_claim_templates.as_ref())).unwrap_or_default();
    names(&current) == names(&wanted["spec"]["volumeClaimTemplates"])
}

/// A quantity of storage in bytes; 0 when it is none.
fn bytes(quantity: &str) -> u128 {
    const UNITS: [(&str, u128); 10] = [
        ("Ki", 1 << 10),
        ("Mi", 1 << 20),
        ("Gi", 1 << 30),
        ("Ti", 1 << 40),
        ("Pi", 1 << 50),
        ("k", 1_000),
        ("M", 1_000_000),
        ("G", 1_000_000_000),
        ("T", 1_000_000_000_000),
        ("", 1),
    ];
    let (digits, unit) = quantity.split_at(quantity.find(|c: char| !c.is_ascii_digit()).unwrap_or(quantity.len()));
    let factor = UNITS.iter().find(|(name, _)| *name == unit).map_or(0, |(_, factor)| *factor);
    digits.parse::<u128>().unwrap_or_default() * factor
}

/// The operator's own deletion, in its order.
pub(super) async fn delete(task: &Task) -> Result<()> {
    let (installation, cluster) = (&task.installation, &task.cluster);
    task.write(|status| status.terminate(installation, &task.id)).await?;
    event(cluster, installation, "DeleteStarted", "delete started").await?;
    cluster.delete::<Service>(&installation.service_name()).await?;
    for index in 0..installation.clusters.len() {
        cluster.delete::<Service>(&format!("cluster-{}-{}", installation.name, installation.cluster_name(index))).await?;
        if let Some(secret) = installation.auto_secret_name(index) {
            cluster.delete::<k8s_openapi::api::core::v1::Secret>(&secret).await?;
        }
    }
    for shard in installation.shards() {
        cluster.delete::<Service>(&installation.shard_service_name(shard)).await?;
    }
    for host in &installation.hosts {
        let name = installation.host_name(host);
        if let Some(set) = cluster.api::<StatefulSet>().get_opt(&name).await? {
            task.remove_host(&set).await?;
        }
        cluster.delete::<ConfigMap>(&installation.host_config_name(host)).await?;
        cluster.delete::<Service>(&name).await?;
        tokio::time::sleep(task.settings.host_pause).await;
        task.write(|status| status.count("hostsDeleted")).await?;
    }
    for part in ["configd", "usersd"] {
        cluster.delete::<ConfigMap>(&installation.common_config_name(part)).await?;
    }
    Ok(())
}

/// How long a new task takes to be noticed, with the fault that makes it longer.
pub(super) fn notice(settings: &Settings, switches: &Switches) -> Duration {
    match switches.fault {
        Some(Fault::StaleCompleted(stale)) => settings.notice + stale,
        _ => settings.notice,
    }
}

/// A failure that a retry will not mend.
pub(super) fn is_gone(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref::<kube::Error>(), Some(kube::Error::Api(status)) if status.code == 404)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_compare_by_their_bytes() {
        assert!(bytes("50Gi") > bytes("50G"));
        assert_eq!(bytes("1Ti"), bytes("1024Gi"));
        assert_eq!(bytes("5"), 5);
    }

    #[test]
    fn only_what_clickhouse_cannot_reload_restarts_it() {
        assert!(setting_restarts("max_connections"));
        assert!(!setting_restarts("logger/level"));
        assert!(!setting_restarts("max_table_size_to_drop"));
        assert!(file_restarts("config.d/storage.xml"));
        assert!(!file_restarts("users.d/more.xml"));
        assert!(!file_restarts("config.d/my_dictionary.xml"));
    }
}
