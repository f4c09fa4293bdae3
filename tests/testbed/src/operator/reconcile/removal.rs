//! Removes what the spec has no more, and all of it once it is deleted.

use std::collections::BTreeSet;

use anyhow::Result;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Service};
use kube::ResourceExt as _;
use serde_json::json;

use super::Task;
use crate::operator::event;
use crate::operator::installation::Kind;

impl Task {
    /// Deletes what is there for hosts and Services that the spec has no more.
    pub(super) async fn remove_others(&self) -> Result<()> {
        let installation = &self.installation;
        let wanted: BTreeSet<String> =
            installation.hosts.iter().map(|host| installation.host_name(host)).collect();
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
        let configs: BTreeSet<String> =
            installation.hosts.iter().map(|host| installation.host_config_name(host)).collect();
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

    /// Removes a host's StatefulSet, and each of its claims that no template in force explains as retained:
    /// the label on the claim counts for nothing. A Keeper's claims stay.
    async fn remove_host(&self, set: &StatefulSet) -> Result<()> {
        let (installation, cluster) = (&self.installation, &self.cluster);
        let name = set.name_any();
        cluster.delete::<StatefulSet>(&name).await?;
        cluster.gone::<StatefulSet>(&name).await?;
        cluster.gone::<Pod>(&format!("{name}-0")).await?;
        if installation.kind == Kind::Keeper {
            return Ok(());
        }
        let keys =
            ["app", "chi", "namespace", "cluster", "shard", "replica"].map(|key| installation.label(key));
        let scope = set
            .labels()
            .iter()
            .filter(|(key, _)| keys.contains(key))
            .map(|(key, value)| (key.clone(), json!(value)))
            .collect();
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
            .flat_map(|host| {
                installation
                    .claim_templates(host)
                    .into_iter()
                    .map(|template| installation.claim_name(host, template))
            })
            .collect();
        for claim in self.cluster.list::<PersistentVolumeClaim>(&installation.scope()).await? {
            let retained = claim
                .labels()
                .get(&installation.label("reclaimPolicy"))
                .is_some_and(|policy| policy == "Retain");
            if !retained && !used.contains(&claim.name_any()) {
                self.cluster.delete::<PersistentVolumeClaim>(&claim.name_any()).await?;
            }
        }
        Ok(())
    }
}

/// The operator's own deletion, in its order.
pub(in crate::operator) async fn delete(task: &Task) -> Result<()> {
    let (installation, cluster) = (&task.installation, &task.cluster);
    task.write(|status| status.terminate(installation, &task.id)).await?;
    event(cluster, installation, "DeleteStarted", "delete started").await?;
    cluster.delete::<Service>(&installation.service_name()).await?;
    for index in 0..installation.clusters.len() {
        cluster
            .delete::<Service>(&format!("cluster-{}-{}", installation.name, installation.cluster_name(index)))
            .await?;
        if let Some(secret) = installation.auto_secret_name(index) {
            cluster.delete::<Secret>(&secret).await?;
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
