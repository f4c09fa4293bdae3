//! EFFECT: writes a cluster's objects in their order and waits until they serve. Create and update are the same from here on.

use secrecy::SecretString;
use serde_json::Value;
use tokio::time::Instant;

use super::args::IngressType;
use super::manifest::{self, Login, Manifests};
use super::outputs::{Observed, outputs};
use super::readiness::{self, Expect, ExpectKeeper, Written};
use super::state::ClusterState;
use super::validate::ValidatedCluster;
use super::{names, task};
use crate::kubernetes::apply::{self, Write};
use crate::kubernetes::client::Api;
use crate::kubernetes::error::Error;
use crate::kubernetes::meta;
use crate::kubernetes::wait::NotReady;
use crate::resource::{Context, Failure};

/// One rollout of one cluster.
pub(super) struct Rollout<'a> {
    pub(super) ctx: &'a Context,
    pub(super) api: &'a Api,
    pub(super) cluster: &'a ValidatedCluster,
    pub(super) login: &'a Login,
    /// When the waiting ends.
    pub(super) deadline: Instant,
    /// What is known before the first write; filled as the objects come.
    pub(super) observed: Observed,
    /// Whether the namespace is this cluster's to write.
    pub(super) owns_namespace: bool,
    /// Whether anything of the cluster is on the API server already.
    pub(super) exists: bool,
}

impl Rollout<'_> {
    /// Writes everything and, unless told not to, waits until the cluster serves. A failure carries what exists by then.
    pub(super) async fn run(mut self) -> Result<ClusterState, Failure<ClusterState>> {
        match self.steps().await {
            Ok(()) => Ok(self.state()),
            Err(failure) if self.exists => Err(failure.leaving(id(self.cluster), self.state())),
            Err(failure) => Err(failure),
        }
    }

    fn state(&self) -> ClusterState {
        outputs(self.cluster, self.login, &self.observed)
    }

    /// Between the steps nothing of the manifests and the answers is held: a thousand clusters can wait at once.
    async fn steps(&mut self) -> Result<(), Failure<ClusterState>> {
        let task = task::fresh();
        let keeper = self.write_before_hosts(&task).await?;
        if let Some(keeper) = keeper.filter(|_| !self.cluster.skip_await && !self.cluster.suspended) {
            self.await_keeper(keeper).await?;
        }
        let written = self.write_installation(&task).await?;
        if self.cluster.skip_await {
            return Ok(());
        }
        self.await_hosts(task, written).await?;
        self.await_address().await
    }

    /// Writes all but the installation; the Keeper's answer, where there is one.
    async fn write_before_hosts(&mut self, task: &str) -> Result<Option<Written>, Failure<ClusterState>> {
        let Manifests { namespace, secret, service, keeper, .. } = self.manifests(task);
        if let Some(namespace) = namespace.filter(|_| self.owns_namespace) {
            self.write(&namespace).await?;
            self.observed.namespace_created = true;
        }
        // The Secret before all else: from then on an interrupted run finds the password again.
        self.write(&secret).await?;
        // A load balancer takes minutes and a Keeper must serve before the hosts start: both begin at once.
        let (service, keeper) = futures::join!(self.put(&service), self.put_all(keeper.as_ref()));
        self.note_service(&service?);
        Ok(keeper?.as_ref().map(Written::of))
    }

    async fn write_installation(&mut self, task: &str) -> Result<Written, Failure<ClusterState>> {
        let written = self.write(&self.manifests(task).installation).await?;
        self.observed.uid = meta::uid(&written).map(str::to_owned);
        Ok(Written::of(&written))
    }

    fn manifests(&self, task: &str) -> Manifests {
        manifest::build(self.cluster, &self.ctx.urn, self.login, task)
    }

    async fn put(&self, manifest: &Value) -> Result<Value, Failure<ClusterState>> {
        if self.ctx.cancel.is_cancelled() {
            return Err(Error::Cancelled.to_failure());
        }
        apply::apply(self.api, manifest, self.mode()).await.map_err(|error| error.to_failure())
    }

    fn mode(&self) -> Write {
        Write { dry_run: false, force: self.cluster.force_conflicts }
    }

    async fn put_all(&self, manifest: Option<&Value>) -> Result<Option<Value>, Failure<ClusterState>> {
        match manifest {
            Some(manifest) => self.put(manifest).await.map(Some),
            None => Ok(None),
        }
    }

    async fn write(&mut self, manifest: &Value) -> Result<Value, Failure<ClusterState>> {
        let written = self.put(manifest).await?;
        self.exists = true;
        Ok(written)
    }

    fn note_service(&mut self, service: &Value) {
        let entry = &service["status"]["loadBalancer"]["ingress"][0];
        self.observed.address = entry["hostname"].as_str().or(entry["ip"].as_str()).map(str::to_owned);
    }

    async fn await_keeper(&self, written: Written) -> Result<(), Failure<ClusterState>> {
        let ValidatedCluster { namespace, name, cluster_name, .. } = self.cluster;
        let replicas = self.cluster.keeper().map(|keeper| keeper.replicas).unwrap_or_default();
        let hosts = (0..replicas).map(|replica| names::keeper_host(name, cluster_name, replica)).collect();
        let expect = ExpectKeeper { namespace: namespace.clone(), name: name.clone(), written, hosts };
        readiness::await_keeper(self.api.session(), self.ctx, self.deadline, expect).await.map_err(NotReady::to_failure)
    }

    /// Waits for the hosts. When the operator recorded the task as done without having started it, which can happen between
    /// two quick changes, the change was never rolled out: it is sent again under a fresh task, once.
    async fn await_hosts(&self, task_id: String, written: Written) -> Result<(), Failure<ClusterState>> {
        let ValidatedCluster { namespace, name, cluster_name, stopped, suspended, .. } = self.cluster;
        let hosts = self.cluster.hosts().map(|(shard, replica)| names::host(name, cluster_name, shard, replica)).collect();
        let (namespace, name) = (namespace.clone(), name.clone());
        let expect = Expect { namespace, name, task_id, written, hosts, stopped: *stopped, suspended: *suspended };
        let again = || async move {
            let task = task::fresh();
            let answer = apply::apply(self.api, &self.manifests(&task).installation, self.mode()).await?;
            Ok((task, answer))
        };
        let served = readiness::await_installation(self.api.session(), self.ctx, self.deadline, expect, again).await;
        served.map(drop).map_err(NotReady::to_failure)
    }

    async fn await_address(&mut self) -> Result<(), Failure<ClusterState>> {
        let ValidatedCluster { namespace, name, ingress, stopped, .. } = self.cluster;
        let wanted = ingress.as_ref().is_some_and(|ingress| ingress.kind == IngressType::LoadBalancer) && !stopped;
        if wanted && self.observed.address.is_none() {
            let address = readiness::await_load_balancer(self.api.session(), self.ctx, self.deadline, namespace, name).await;
            self.observed.address = Some(address.map_err(NotReady::to_failure)?);
        }
        Ok(())
    }
}

/// Pulumi's id of a cluster.
pub(super) fn id(cluster: &ValidatedCluster) -> String {
    format!("{}/{}", cluster.namespace, cluster.name)
}

/// A password of which the state says that it exists.
pub(super) fn known_password(state: Option<&ClusterState>) -> Option<SecretString> {
    state.and_then(|state| state.password.clone()).map(SecretString::from)
}
