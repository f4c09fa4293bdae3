//! What a cloud does for a cluster, played by the testbed: volumes for claims, addresses for load
//! balancers. The classes are `standard` (the default: bound at once, can grow) and `never-binds`.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use anyhow::Result;
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod, Service};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};

/// The default StorageClass.
pub const STANDARD: &str = "standard";
/// A StorageClass whose claims stay Pending.
pub const NEVER_BINDS: &str = "never-binds";
/// An annotation (any value) that keeps a Service of type LoadBalancer without an address.
pub const NO_ADDRESS: &str = "testbed/no-address";
/// An annotation (any value) that gives a Service of type LoadBalancer a host name for an address.
pub const HOST_NAME: &str = "testbed/host-name";

const PROVISIONER: &str = "volumes.testbed";
/// How long a load balancer takes. A real one takes minutes; what matters is that it isn't there at once.
const BALANCER_DELAY: Duration = Duration::from_millis(300);
/// How long a pod may be on a node without anybody having touched it.
const MISSED: Duration = Duration::from_secs(3);

/// Makes the StorageClasses.
pub async fn install(client: &Client) -> Result<()> {
    let classes: Api<StorageClass> = Api::all(client.clone());
    for (name, provisioner) in [(STANDARD, PROVISIONER), (NEVER_BINDS, "nobody.testbed")] {
        let default = (name == STANDARD).to_string();
        let class = json!({
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {
                "name": name, "annotations": {"storageclass.kubernetes.io/is-default-class": default}},
            "provisioner": provisioner,
            "volumeBindingMode": "Immediate",
            "reclaimPolicy": "Delete",
            "allowVolumeExpansion": true,
        });
        classes.patch(name, &PatchParams::apply("testbed"), &Patch::Apply(&class)).await?;
    }
    Ok(())
}

/// Plays the cloud until dropped. A lost connection is made anew.
pub async fn run(client: Client) {
    tokio::join!(
        claims(client.clone()),
        volumes(client.clone()),
        balancers(client.clone()),
        missed_pods(client)
    );
}

/// What plays the nodes can miss a pod that is made while the API server or its store restarts, where a
/// kubelet lists all of its own. Such a pod is changed, so that it is seen.
async fn missed_pods(client: Client) {
    let pods: Api<Pod> = Api::all(client.clone());
    let pending = ListParams::default().fields("status.phase=Pending");
    let is_untouched = |pod: &Pod| {
        let on_a_node = pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
        on_a_node
            && pod.metadata.deletion_timestamp.is_none()
            && pod.status.as_ref().is_none_or(|status| status.container_statuses.is_none())
    };
    let mut before = BTreeSet::new();
    loop {
        tokio::time::sleep(MISSED).await;
        let Ok(listed) = pods.list(&pending).await else { continue };
        let untouched: Vec<Pod> = listed.items.into_iter().filter(is_untouched).collect();
        for pod in untouched.iter().filter(|pod| before.contains(&pod.uid())) {
            let reminder = json!({"metadata": {"annotations": {"testbed/reminder": pod.resource_version()}}});
            let pods: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
            // One that has gone meanwhile needs none.
            _ = pods.patch_metadata(&pod.name_any(), &PatchParams::default(), &Patch::Merge(reminder)).await;
        }
        before = untouched.iter().map(kube::ResourceExt::uid).collect();
    }
}

async fn claims(client: Client) {
    each(Api::<PersistentVolumeClaim>::all(client.clone()), |claim| serve_claim(client.clone(), claim)).await;
}

async fn volumes(client: Client) {
    each(Api::<PersistentVolume>::all(client.clone()), |volume| serve_volume(client.clone(), volume)).await;
}

async fn balancers(client: Client) {
    each(Api::<Service>::all(client.clone()), |service| serve_balancer(client.clone(), service)).await;
}

/// How often what could not be done is tried again, and after which pause: longer than a restart of the API
/// server takes.
const TRIES: u32 = 60;
const PAUSE: Duration = Duration::from_millis(250);

/// Calls `serve` for each object and for each of its changes. What fails is tried again: while the API server
/// restarts an object may change for the last time, and is not seen again.
async fn each<K, F>(api: Api<K>, serve: impl Fn(K) -> F)
where
    K: kube::Resource + Clone + serde::de::DeserializeOwned + std::fmt::Debug + Send + 'static,
    F: Future<Output = Result<()>>,
{
    let objects = watcher(api, watcher::Config::default()).default_backoff().applied_objects();
    let serve = &serve;
    objects
        .into_stream()
        .for_each_concurrent(64, |object| async move {
            let Ok(object) = object else { return };
            for _ in 0..TRIES {
                let Err(problem) = serve(object.clone()).await else { return };
                crate::operator::note(&format!("the cloud's stand-in: {problem}"));
                tokio::time::sleep(PAUSE).await;
            }
        })
        .await;
}

/// Makes a volume for a new claim, and shows a grown request as capacity.
async fn serve_claim(client: Client, claim: PersistentVolumeClaim) -> Result<()> {
    let (Some(namespace), Some(uid), Some(spec)) = (claim.namespace(), claim.uid(), claim.spec.as_ref())
    else {
        return Ok(());
    };
    let class = spec.storage_class_name.as_deref().unwrap_or_default();
    if class != STANDARD || claim.metadata.deletion_timestamp.is_some() {
        return Ok(());
    }
    let requested = spec
        .resources
        .as_ref()
        .and_then(|resources| resources.requests.as_ref())
        .and_then(|requests| requests.get("storage"));
    let status = claim.status.clone().unwrap_or_default();
    let volumes: Api<PersistentVolume> = Api::all(client.clone());
    let name = format!("pvc-{uid}");
    match status.phase.as_deref() {
        Some("Bound")
            if status.capacity.as_ref().and_then(|capacity| capacity.get("storage")) != requested =>
        {
            let grown = json!({"spec": {"capacity": {"storage": requested}}});
            volumes.patch(&name, &PatchParams::default(), &Patch::Merge(grown)).await?;
            let shown = json!({"status": {"capacity": {"storage": requested}}});
            let claims: Api<PersistentVolumeClaim> = Api::namespaced(client, &namespace);
            claims.patch_status(&claim.name_any(), &PatchParams::default(), &Patch::Merge(shown)).await?;
        }
        // A claim that names its volume is waiting for that one.
        Some("Pending") | None if spec.volume_name.is_none() => {
            let volume = json!({
                "apiVersion": "v1",
                "kind": "PersistentVolume",
                "metadata": {"name": name, "annotations": {"pv.kubernetes.io/provisioned-by": PROVISIONER}},
                "spec": {
                    "capacity": {"storage": requested},
                    "accessModes": spec.access_modes,
                    "storageClassName": class,
                    "persistentVolumeReclaimPolicy": "Delete",
                    "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": namespace,
                        "name": claim.name_any(), "uid": uid},
                    "csi": {"driver": PROVISIONER, "volumeHandle": name},
                },
            });
            volumes.patch(&name, &PatchParams::apply("testbed"), &Patch::Apply(&volume)).await?;
        }
        _ => {}
    }
    Ok(())
}

/// Deletes a volume whose claim is gone.
async fn serve_volume(client: Client, volume: PersistentVolume) -> Result<()> {
    let status = volume.status.as_ref().and_then(|status| status.phase.as_deref());
    let policy = volume.spec.as_ref().and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref());
    if status == Some("Released") && policy == Some("Delete") && volume.metadata.deletion_timestamp.is_none()
    {
        Api::<PersistentVolume>::all(client).delete(&volume.name_any(), &DeleteParams::default()).await?;
    }
    Ok(())
}

/// Gives a load balancer an address, and takes it back from a Service that is one no more.
async fn serve_balancer(client: Client, service: Service) -> Result<()> {
    let (Some(namespace), Some(spec)) = (service.namespace(), service.spec.as_ref()) else { return Ok(()) };
    if service.metadata.deletion_timestamp.is_some() || service.annotations().contains_key(NO_ADDRESS) {
        return Ok(());
    }
    let balanced = spec.type_.as_deref() == Some("LoadBalancer");
    let current = service
        .status
        .as_ref()
        .and_then(|status| status.load_balancer.as_ref())
        .and_then(|balancer| balancer.ingress.as_ref());
    let wanted: Value = match (balanced, current.is_some_and(|ingress| !ingress.is_empty())) {
        (true, false) => json!([ingress(&service)]),
        (false, true) => json!([]),
        _ => return Ok(()),
    };
    if balanced {
        tokio::time::sleep(BALANCER_DELAY).await;
    }
    let services: Api<Service> = Api::namespaced(client, &namespace);
    // The version makes the write fail when the Service has changed meanwhile: it is served again then.
    let status = json!({"metadata": {"resourceVersion": service.resource_version()},
        "status": {"loadBalancer": {"ingress": wanted}}});
    services.patch_status(&service.name_any(), &PatchParams::default(), &Patch::Merge(status)).await?;
    Ok(())
}

/// An address out of the range that is reserved for documentation, the same for the same Service.
fn ingress(service: &Service) -> Value {
    if service.annotations().contains_key(HOST_NAME) {
        return json!({"hostname": format!("{}.balancer.example.com", service.name_any())});
    }
    let mut hasher = DefaultHasher::new();
    service.uid().hash(&mut hasher);
    json!({"ip": format!("203.0.113.{}", hasher.finish() % 254 + 1), "ipMode": "VIP"})
}
