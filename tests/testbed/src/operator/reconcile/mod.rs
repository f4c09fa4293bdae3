//! One task of the operator's: from the spec to what runs.

mod hosts;
mod removal;
mod restarts;

pub(super) use removal::delete;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::core::v1::{Secret, Service};
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use serde_json::Value;
use tokio::sync::Mutex;

use super::cluster::Cluster;
use super::faults::{Fault, Switches};
use super::installation::{Installation, Kind};
use super::status::Status;
use super::{Settings, ancestor, event};

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
    /// The spec that was completed last.
    pub(super) ancestor: Option<Value>,
}

impl Task {
    /// Does all of it.
    pub(super) async fn run(&self) -> Result<End> {
        let installation = &self.installation;
        self.write(|status| status.start(installation, &self.id)).await?;
        event(&self.cluster, installation, "ReconcileStarted", "reconcile started").await?;
        if matches!(self.switches.fault, Some(Fault::Aborted | Fault::AbortedRecovers(_))) {
            tokio::time::sleep(self.settings.host_pause).await;
            return self.abort().await;
        }
        for config in installation.common_configs(&self.cluster.addresses(installation).await?) {
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
        self.complete().await?;
        Ok(End::Completed)
    }

    /// Writes what `change` makes of the status, if anything.
    pub(super) async fn write(&self, change: impl FnOnce(&mut Status)) -> Result<()> {
        let mut status = self.status.lock().await;
        change(&mut status);
        if let Some(patch) = status.take_patch() {
            self.api
                .patch_status(&self.installation.name, &PatchParams::default(), &Patch::Merge(patch))
                .await?;
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
        event(
            &self.cluster,
            &self.installation,
            "ReconcileFailed",
            "reconcile failed: crud error - should abort",
        )
        .await?;
        Ok(End::Aborted)
    }

    /// The Secret is made once: a new value would need all hosts to restart.
    async fn auto_secret(&self, cluster: usize) -> Result<()> {
        let (Some(name), Some(secret)) =
            (self.installation.auto_secret_name(cluster), self.installation.auto_secret(cluster))
        else {
            return Ok(());
        };
        let exists = self.cluster.api::<Secret>().get_opt(&name).await?.is_some();
        if exists { Ok(()) } else { self.cluster.apply(&secret).await.map(drop) }
    }

    async fn service(&self) -> Result<()> {
        if self.installation.says_yes("stop") {
            return self.cluster.delete::<Service>(&self.installation.service_name()).await;
        }
        self.apply_service(&self.installation.service()).await
    }

    /// A Service whose type changes is recreated.
    async fn apply_service(&self, service: &Value) -> Result<()> {
        let name = service["metadata"]["name"].as_str().unwrap_or_default();
        let existing = self.cluster.api::<Service>().get_opt(name).await?;
        let current = existing
            .as_ref()
            .and_then(|service| service.spec.as_ref())
            .and_then(|spec| spec.type_.as_deref());
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
}

/// How long a new task takes to be noticed, with the fault that makes it longer.
pub(super) fn notice(settings: &Settings, switches: &Switches) -> Duration {
    match switches.fault {
        Some(Fault::StaleCompleted(stale)) => settings.notice + stale,
        _ => settings.notice,
    }
}

/// A failure that a retry will not mend.
pub(crate) fn is_gone(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref::<kube::Error>(), Some(kube::Error::Api(status)) if status.code == 404)
}
