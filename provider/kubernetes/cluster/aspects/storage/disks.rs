//! Further disks of the hosts, and the storage policies over them.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::super::Checker;
use super::super::check::name_problem;
use super::super::draft::InstallationDraft;
use super::super::read::text;
use super::super::s3::S3Credentials;
use super::policies::{self, POLICIES, StoragePolicy};
use super::{AccessMode, ClaimTemplate, DATA, DATA_PATH, LOGS, Provisioner, ReclaimPolicy, Volume};
use crate::property::path::PropertyPath;

/// The disk of the data volume.
pub(super) const DEFAULT: &str = "default";
/// Where the settings describe disks.
const DISKS: &str = "storage_configuration/disks";
/// What the name of a cache ends with: that of the disk stands before it.
const CACHE: &str = "_cache";
pub(super) const LONGEST: usize = 63;

/// A further disk of each host.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ClusterDisk")]
pub struct Disk {
    /// The name of the disk in ClickHouse, and of its volumes. It is mounted at
    /// `/var/lib/clickhouse-<name>`. Another name is another, empty disk.
    pub name: String,
    /// The size, for example `500Gi`. It can be increased, not reduced.
    pub size: String,
    /// The storage class. Default: the Kubernetes cluster's default class. It can't change, since existing
    /// volumes keep theirs.
    pub storage_class: Option<String>,
    /// The access modes. Default: `ReadWriteOnce`.
    pub access_modes: Option<Vec<AccessMode>>,
    /// The reclaim policy of the volume. Default: that of the data volume.
    pub reclaim_policy: Option<ReclaimPolicy>,
}

/// A bucket of S3, or of a store that speaks its protocol, as a disk of each host.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ClusterS3Disk")]
pub struct S3Disk {
    /// The name of the disk in ClickHouse. Tables that are on the disk need it.
    pub name: String,
    /// The bucket and a folder in it, for example `https://data.s3.eu-central-1.amazonaws.com/clickhouse/`.
    /// `{shard}` and `{replica}` stand for the host's. Another endpoint must lead to the same files.
    pub endpoint: String,
    /// The region. Default: that of the endpoint.
    pub region: Option<String>,
    /// The access key, from a Secret. Default: what the pod's environment has, as for the workload identity
    /// of `pod.serviceAccountName`.
    pub credentials: Option<S3Credentials>,
    /// How much of the bucket's data is cached on the data volume, for example `20Gi`. Default: nothing.
    pub cache_size: Option<String>,
}

/// The disks besides the data volume, as inputs say them.
pub(super) type DiskArgs = (Option<Vec<Disk>>, Option<Vec<S3Disk>>, Option<BTreeMap<String, StoragePolicy>>);

/// The disks besides the data volume.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Disks {
    local: Vec<(String, ClaimTemplate)>,
    remote: Vec<S3Disk>,
    policies: BTreeMap<String, StoragePolicy>,
}

impl Disk {
    fn volume(self) -> (String, Volume) {
        let Self { name, size, storage_class, access_modes, reclaim_policy } = self;
        (name, Volume { size: Some(size), storage_class, access_modes, reclaim_policy })
    }
}

impl Disks {
    pub(super) fn check((local, remote, policies): DiskArgs, check: &mut Checker<'_>) -> Self {
        let (local, remote) = (local.unwrap_or_default(), remote.unwrap_or_default());
        check.is_for_one_pod_template("storage.disks", !local.is_empty());
        let mut seen = BTreeSet::from([DEFAULT.to_owned(), DATA.to_owned(), LOGS.to_owned()]);
        seen.extend(check.args().layout.own_claims());
        let names = [
            ("storage.disks", local.iter().map(|disk| &disk.name).collect::<Vec<_>>()),
            ("storage.s3Disks", remote.iter().map(|disk| &disk.name).collect()),
        ];
        for (list, names) in names {
            for (index, name) in names.into_iter().enumerate() {
                let path = PropertyPath::from(list).index(index).key("name");
                if let Some(problem) = name_problem(name, LONGEST) {
                    check.fail_at(path, problem);
                } else if !seen.insert(name.clone()) {
                    let reason = format!("`{name}` is the name of another volume: choose another name");
                    check.fail_at(path, reason);
                }
            }
        }
        for (index, disk) in remote.iter().enumerate() {
            disk.check(&format!("storage.s3Disks[{index}]"), check);
        }
        let policies = match policies {
            Some(policies) => {
                policies::check(&policies, &seen, check);
                policies
            }
            None => policies::presets(local.iter().map(|disk| disk.name.as_str()), &remote),
        };
        let local = local.into_iter().map(Disk::volume).enumerate().map(|(index, (name, volume))| {
            (name, ClaimTemplate::check(&format!("storage.disks[{index}]"), volume, check))
        });
        Self { local: local.collect(), remote, policies }
    }

    pub(super) fn render(&self, provisioner: Provisioner, draft: &mut InstallationDraft) {
        let Self { local, remote, policies } = self;
        for (name, claim) in local {
            draft.pod.mounts.push(json!({"name": name, "mountPath": mount_path(name)}));
            draft.claim_template(name, claim, provisioner);
            draft.settings.insert(format!("{DISKS}/{name}/path"), json!(format!("{}/", mount_path(name))));
        }
        for disk in remote {
            disk.render(&mut draft.settings);
        }
        for (name, policy) in policies {
            policy.render(name, remote, &mut draft.settings);
        }
    }

    /// The inputs that a `spec` and the container in it stand for.
    pub(super) fn read(spec: &Value, container: &Value) -> DiskArgs {
        let no_settings = Map::new();
        let settings = spec["configuration"]["settings"].as_object().unwrap_or(&no_settings);
        let templates = spec["templates"]["volumeClaimTemplates"].as_array();
        let is_mounted = |name: &str| {
            let mounts = container["volumeMounts"].as_array();
            let mut mounts = mounts.into_iter().flatten();
            mounts.any(|mount| mount["name"] == name && mount["mountPath"] == mount_path(name))
        };
        let local = templates.into_iter().flatten().filter_map(|template| {
            let name = text(&template["name"])?;
            let path = text(settings.get(&format!("{DISKS}/{name}/path"))?)?;
            let is_ours = path == format!("{}/", mount_path(&name)) && is_mounted(&name);
            let Volume { size, storage_class, access_modes, reclaim_policy } = Volume::of(template, spec);
            let size = size.filter(|_| is_ours)?;
            Some(Disk { name, size, storage_class, access_modes, reclaim_policy })
        });
        let local: Vec<_> = local.collect();
        let remote: Vec<_> = below(settings, DISKS)
            .into_iter()
            .filter_map(|(name, fields)| S3Disk::read(name, &fields, settings))
            .collect();
        let policies: BTreeMap<_, _> = below(settings, POLICIES)
            .into_iter()
            .filter_map(|(name, fields)| Some((name.to_owned(), StoragePolicy::read(&fields, &remote)?)))
            .collect();
        let is_said = policies != policies::presets(local.iter().map(|disk| disk.name.as_str()), &remote);
        (
            (!local.is_empty()).then_some(local),
            (!remote.is_empty()).then_some(remote),
            is_said.then_some(policies),
        )
    }
}

impl S3Disk {
    /// The name of the disk that policies use of it.
    pub(super) fn in_use(&self) -> String {
        if self.cache_size.is_some() { format!("{}{CACHE}", self.name) } else { self.name.clone() }
    }

    fn check(&self, path: &str, check: &mut Checker<'_>) {
        let Self { name: _, endpoint, region: _, credentials, cache_size } = self;
        let is_url = endpoint.starts_with("https://") || endpoint.starts_with("http://");
        if !is_url || !endpoint.ends_with('/') || endpoint.contains(['<', '>', '&', ' ', '?']) {
            let reason = format!(
                "`{endpoint}` is not an endpoint: write the URL of the bucket and a folder, with `/` at its \
                    end, for example `https://data.s3.eu-central-1.amazonaws.com/clickhouse/`"
            );
            check.fail(&format!("{path}.endpoint"), reason);
        }
        if let Some(credentials) = credentials {
            credentials.check(&format!("{path}.credentials"), check);
        }
        check.bytes(&format!("{path}.cacheSize"), cache_size.as_ref());
    }

    fn render(&self, settings: &mut Map<String, Value>) {
        let Self { name, endpoint, region, credentials, cache_size } = self;
        let mut say = |disk: &str, field: &str, value: Value| {
            settings.insert(format!("{DISKS}/{disk}/{field}"), value);
        };
        say(name, "type", json!("s3"));
        say(name, "endpoint", json!(endpoint));
        if let Some(region) = region {
            say(name, "region", json!(region));
        }
        match credentials {
            Some(credentials) => {
                let fields = ["access_key_id", "secret_access_key"];
                for (field, (secret, key)) in fields.into_iter().zip(credentials.entries()) {
                    let source = json!({"name": secret, "key": key});
                    say(name, field, json!({"valueFrom": {"secretKeyRef": source}}));
                }
            }
            None => say(name, "use_environment_credentials", json!("1")),
        }
        if let Some(size) = cache_size {
            let cache = self.in_use();
            say(&cache, "type", json!("cache"));
            say(&cache, "disk", json!(name));
            say(&cache, "path", json!(format!("{DATA_PATH}/disks/{cache}/")));
            say(&cache, "max_size", json!(size));
        }
    }

    fn read(name: &str, fields: &Fields<'_>, settings: &Map<String, Value>) -> Option<Self> {
        let said = |field: &str| fields.get(field).copied();
        if said("type")? != "s3" {
            return None;
        }
        let secret =
            |field: &str| said(field).map_or(&Value::Null, |said| &said["valueFrom"]["secretKeyRef"]);
        let of_cache = |field: &str| settings.get(&format!("{DISKS}/{name}{CACHE}/{field}"));
        let is_cached = of_cache("disk").is_some_and(|disk| disk == name);
        Some(Self {
            name: name.to_owned(),
            endpoint: text(said("endpoint")?)?,
            region: said("region").and_then(text),
            credentials: S3Credentials::read(secret("access_key_id"), secret("secret_access_key")),
            cache_size: of_cache("max_size").filter(|_| is_cached).and_then(text),
        })
    }
}

/// What settings say of one thing, by the rest of their keys.
pub(super) type Fields<'a> = BTreeMap<&'a str, &'a Value>;

/// What settings say below `section`, by the names there.
fn below<'a>(settings: &'a Map<String, Value>, section: &str) -> BTreeMap<&'a str, Fields<'a>> {
    let mut found: BTreeMap<&str, Fields<'_>> = BTreeMap::new();
    for (key, value) in settings {
        let rest = key.strip_prefix(section).and_then(|rest| rest.strip_prefix('/'));
        if let Some((name, field)) = rest.and_then(|rest| rest.split_once('/')) {
            found.entry(name).or_default().insert(field, value);
        }
    }
    found
}

/// Where the volume of a disk is mounted.
fn mount_path(disk: &str) -> String {
    format!("{DATA_PATH}-{disk}")
}
