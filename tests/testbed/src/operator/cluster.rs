//! How the stand-in touches the cluster: apply, delete and wait.

use std::fmt::Debug;
use std::time::Duration;

use anyhow::{Context as _, Result};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PropagationPolicy};
use kube::runtime::wait::await_condition;
use kube::{Client, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::HELD;
use super::installation::Installation;

/// The operator's name as the owner of fields.
const MANAGER: &str = "clickhouse-operator";

/// One namespace, as the operator sees it.
#[derive(Clone)]
pub(super) struct Cluster {
    client: Client,
    namespace: String,
}

impl Cluster {
    pub(super) fn new(client: Client, namespace: &str) -> Self {
        Self { client, namespace: namespace.to_owned() }
    }

    pub(super) fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Applies a manifest of one of the kinds that the operator makes, and tells the object's generation then
    /// (0 where the kind has none).
    pub(super) async fn apply(&self, manifest: &Value) -> Result<i64> {
        match manifest["kind"].as_str().unwrap_or_default() {
            "ConfigMap" => self.apply_as::<ConfigMap>(manifest).await,
            "PersistentVolumeClaim" => self.apply_as::<PersistentVolumeClaim>(manifest).await,
            "PodDisruptionBudget" => self.apply_as::<PodDisruptionBudget>(manifest).await,
            "Secret" => self.apply_as::<Secret>(manifest).await,
            "Service" => self.apply_as::<Service>(manifest).await,
            "StatefulSet" => self.apply_as::<StatefulSet>(manifest).await,
            other => anyhow::bail!("the operator's stand-in makes no `{other}`"),
        }
    }

    async fn apply_as<K>(&self, manifest: &Value) -> Result<i64>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
            + Clone
            + DeserializeOwned
            + Debug,
    {
        let name = manifest["metadata"]["name"].as_str().unwrap_or_default();
        let applied =
            self.api::<K>().patch(name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(manifest)).await;
        let applied = applied
            .with_context(|| format!("failed to apply {} `{}/{name}`", K::kind(&()), self.namespace))?;
        Ok(applied.meta().generation.unwrap_or_default())
    }

    /// Deletes an object. It not being there is fine.
    pub(super) async fn delete<K>(&self, name: &str) -> Result<()>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
            + Clone
            + DeserializeOwned
            + Debug,
    {
        let parameters = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Background),
            ..DeleteParams::default()
        };
        match self.api::<K>().delete(name, &parameters).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(error)
                .with_context(|| format!("failed to delete {} `{}/{name}`", K::kind(&()), self.namespace)),
        }
    }

    /// Waits until an object is gone.
    pub(super) async fn gone<K>(&self, name: &str) -> Result<()>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
            + Clone
            + DeserializeOwned
            + Debug
            + Send
            + 'static,
    {
        await_condition(self.api::<K>(), name, |object: Option<&K>| object.is_none()).await?;
        Ok(())
    }

    pub(super) async fn list<K>(&self, labels: &serde_json::Map<String, Value>) -> Result<Vec<K>>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
            + Clone
            + DeserializeOwned
            + Debug,
    {
        let selector: Vec<String> = labels
            .iter()
            .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
            .collect();
        Ok(self.api::<K>().list(&ListParams::default().labels(&selector.join(","))).await?.items)
    }

    /// The addresses of an installation's pods, as far as they have any, in the order of its hosts.
    pub(super) async fn addresses(&self, installation: &Installation) -> Result<Vec<String>> {
        let pods: Vec<Pod> = self.list(&installation.scope()).await?;
        let address = |host| {
            let pod = pods.iter().find(|pod| pod.name_any() == installation.pod_name(host))?;
            pod.status.as_ref()?.pod_ip.clone()
        };
        Ok(installation.hosts.iter().filter_map(address).collect())
    }

    /// Whether the pods of this generation of a StatefulSet, or of a later one, are all there and ready
    /// within `timeout`.
    pub(super) async fn rolled_out(&self, name: &str, generation: i64, timeout: Duration) -> Result<bool> {
        // A watch may begin with an older state than what was just written.
        let done = |set: Option<&StatefulSet>| observed(set) >= generation && is_rolled_out(set);
        let rolled = await_condition(self.api::<StatefulSet>(), name, done);
        match tokio::time::timeout(timeout, rolled).await {
            Ok(result) => Ok(result.map(|_| true)?),
            Err(_elapsed) => Ok(false),
        }
    }

    /// Deletes a pod, and waits until another in its place is ready; `false` when that takes longer than
    /// `timeout`.
    pub(super) async fn restart_pod(&self, name: &str, timeout: Duration) -> Result<bool> {
        let Some(old) = self.api::<Pod>().get_opt(name).await? else { return Ok(true) };
        self.delete::<Pod>(name).await?;
        let renewed = |pod: Option<&Pod>| pod.is_some_and(|pod| pod.uid() != old.uid() && is_pod_ready(pod));
        match tokio::time::timeout(timeout, await_condition(self.api::<Pod>(), name, renewed)).await {
            Ok(result) => Ok(result.map(|_| true)?),
            Err(_elapsed) => Ok(false),
        }
    }

    /// Lets pods that were held back get ready.
    pub(super) async fn release(&self, pods: impl Iterator<Item = String>) -> Result<()> {
        for pod in pods {
            let released = json!({"metadata": {"annotations": {HELD: null}}});
            self.api::<Pod>().patch(&pod, &PatchParams::default(), &Patch::Merge(released)).await?;
        }
        Ok(())
    }
}

/// The generation that a StatefulSet's controller has seen.
fn observed(set: Option<&StatefulSet>) -> i64 {
    set.and_then(|set| set.status.as_ref()?.observed_generation).unwrap_or_default()
}

fn is_rolled_out(set: Option<&StatefulSet>) -> bool {
    let Some((spec, status)) = set.and_then(|set| Some((set.spec.as_ref()?, set.status.as_ref()?))) else {
        return false;
    };
    let wanted = spec.replicas.unwrap_or(1);
    status.replicas == wanted
        && status.ready_replicas.unwrap_or_default() == wanted
        && status.updated_replicas.unwrap_or_default() == wanted
}

fn is_pod_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|conditions| {
        conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
    })
}
