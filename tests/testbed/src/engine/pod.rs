//! What a pod's container is given, read from the API server as a kubelet reads it.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::{ConfigMap, Container, EnvVar, PersistentVolumeClaim, Pod, Secret, Volume};
use kube::api::Api;
use kube::{Client, ResourceExt as _};

use super::config::{DATA, inside};

/// Text files by their paths in the container.
pub(super) type Files = BTreeMap<String, String>;

/// What the container of a pod that runs ClickHouse is given.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Mounted {
    /// The files of configuration and Secrets.
    pub(super) files: Files,
    /// The mounted claims by their paths: the name of the volume of each.
    pub(super) volumes: BTreeMap<String, String>,
    pub(super) environment: Vec<(String, String)>,
}

impl Mounted {
    /// Reads what `pod` mounts. Fails while something of it is not there yet.
    pub(super) async fn of(client: &Client, pod: &Pod) -> Result<Self> {
        let reader = Reader { client, namespace: pod.namespace().unwrap_or_default() };
        let Some(container) = container(pod) else { return Ok(Self::default()) };
        let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_ref());
        let mut mounted = Self::default();
        for mount in container.volume_mounts.iter().flatten() {
            let Some(volume) = volumes.into_iter().flatten().find(|volume| volume.name == mount.name) else {
                continue;
            };
            let path = mount.mount_path.trim_end_matches('/');
            if let Some(claim) = &volume.persistent_volume_claim {
                mounted.volumes.insert(path.to_owned(), reader.volume(&claim.claim_name).await?);
            }
            for (file, text) in reader.files(volume).await? {
                match &mount.sub_path {
                    Some(only) if *only == file => mounted.files.insert(path.to_owned(), text),
                    Some(_) => None,
                    None => mounted.files.insert(format!("{path}/{file}"), text),
                };
            }
        }
        for variable in container.env.iter().flatten() {
            if let Some(value) = reader.value(variable).await? {
                mounted.environment.push((variable.name.clone(), value));
            }
        }
        Ok(mounted)
    }

    /// Makes the folder of an engine's files: `home`, where claims are links into `volumes`.
    pub(super) fn lay_out(&self, files: &Files, home: &Path, volumes: &Path) -> Result<()> {
        let inside = |path: &str| inside(home, path);
        remove(&inside("/etc"))?;
        for (path, volume) in &self.volumes {
            let (link, target) = (inside(path), volumes.join(volume));
            fs::create_dir_all(&target)?;
            make_parent(&link)?;
            if link.read_link().is_ok_and(|old| old == target) {
                continue;
            }
            std::os::unix::fs::symlink(&target, &link)
                .with_context(|| format!("failed to make `{}`", link.display()))?;
        }
        fs::create_dir_all(inside(DATA))?;
        for (path, text) in files {
            let path = inside(path);
            make_parent(&path)?;
            fs::write(&path, text).with_context(|| format!("failed to write `{}`", path.display()))?;
        }
        Ok(())
    }
}

/// The container that runs ClickHouse.
pub(super) fn container(pod: &Pod) -> Option<&Container> {
    pod.spec.as_ref()?.containers.iter().find(|container| container.name == "clickhouse")
}

/// Removes a file or a folder with what is in it, if it is there. Links are not followed.
pub(super) fn remove(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("failed to remove `{}`", path.display()))
        }
        _ => Ok(()),
    }
}

fn make_parent(path: &Path) -> Result<()> {
    path.parent()
        .map_or(Ok(()), fs::create_dir_all)
        .with_context(|| format!("failed to make the folder of `{}`", path.display()))
}

struct Reader<'a> {
    client: &'a Client,
    namespace: String,
}

impl Reader<'_> {
    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The files of a volume that is made of a ConfigMap or a Secret.
    async fn files(&self, volume: &Volume) -> Result<Files> {
        if let Some(source) = &volume.config_map {
            return Ok(self.api::<ConfigMap>().get(&source.name).await?.data.unwrap_or_default());
        }
        match volume.secret.as_ref().and_then(|source| source.secret_name.as_deref()) {
            Some(name) => self.secret(name).await,
            None => Ok(Files::new()),
        }
    }

    async fn secret(&self, name: &str) -> Result<Files> {
        let data = self.api::<Secret>().get(name).await?.data.unwrap_or_default();
        Ok(data
            .into_iter()
            .map(|(key, value)| (key, String::from_utf8_lossy(&value.0).into_owned()))
            .collect())
    }

    /// The name of the volume of a claim.
    async fn volume(&self, claim: &str) -> Result<String> {
        let claim = self.api::<PersistentVolumeClaim>().get(claim).await?;
        let volume = claim.spec.and_then(|spec| spec.volume_name);
        volume.with_context(|| {
            format!("the claim `{}` has no volume yet", claim.metadata.name.unwrap_or_default())
        })
    }

    async fn value(&self, variable: &EnvVar) -> Result<Option<String>> {
        let Some(source) = &variable.value_from else { return Ok(variable.value.clone()) };
        if let Some(source) = &source.secret_key_ref {
            return Ok(self.secret(&source.name).await?.remove(&source.key));
        }
        if let Some(source) = &source.config_map_key_ref {
            return Ok(self
                .api::<ConfigMap>()
                .get(&source.name)
                .await?
                .data
                .and_then(|mut data| data.remove(&source.key)));
        }
        Ok(None)
    }
}
