//! The storage of the data.

mod disks;
mod policies;
#[cfg(test)]
mod tests;
mod volume;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::disks::{Disk, Disks, S3Disk};
use self::policies::StoragePolicy;
pub(super) use self::volume::ClaimTemplate;
pub use self::volume::{AccessMode, Provisioner, ReclaimPolicy, Volume};
use super::adopted::{Template, named as template};
use super::{Adopted, Aspect, Checker, ClusterArgs, Drafts, Live, ValidatedCluster};
use crate::kubernetes::diagnosis::Remedies;

/// The templates of the volume claims.
pub(super) const DATA: &str = "data";
pub(super) const LOGS: &str = "logs";
pub(super) const DATA_PATH: &str = "/var/lib/clickhouse";

/// The inputs to name where hosts don't come up.
pub(in super::super) const HOST_REMEDIES: Remedies = Remedies {
    image: "`version`",
    pull_secrets: "image.pullSecrets",
    storage_classes: &[(DATA, "storage.storageClass"), (LOGS, "storage.logs.storageClass")],
    other_storage_class: "chiOverrides.templates.volumeClaimTemplates",
};

/// The data volume of each host.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterStorage")]
pub struct StorageArgs {
    /// The size, for example `50Gi`. Default: `50Gi`. It can be increased, without a restart under the
    /// provisioner `Operator`, but not reduced.
    pub size: Option<String>,
    /// The storage class. Default: the Kubernetes cluster's default class. It can't change, since existing
    /// volumes keep theirs.
    pub storage_class: Option<String>,
    /// The access modes. Default: `ReadWriteOnce`.
    pub access_modes: Option<Vec<AccessMode>>,
    /// The reclaim policy of the volumes of a deleted cluster or host. Default: `Retain`.
    pub reclaim_policy: Option<ReclaimPolicy>,
    /// The provisioner of the volume claims. Default: `Operator`, which resizes volumes without a restart.
    pub provisioner: Option<Provisioner>,
    /// Keeps the data in the pod (an emptyDir) instead of a volume: all data is lost with the pod. Default:
    /// false.
    pub ephemeral: Option<bool>,
    /// A separate volume for ClickHouse's log files. Default: none, logs go to the container's output and to
    /// its own filesystem, see `logging.rotation`. With it the operator adds a container with the image
    /// `registry.access.redhat.com/ubi8/ubi-minimal:latest` to each pod; nodes without Internet access must
    /// have that image.
    pub logs: Option<Volume>,
    /// Further disks of each host. A new one is a rolling restart, and begins to be used by the tables whose
    /// policy has it; one that goes loses the data on it, which needs `allowDataLoss`.
    pub disks: Option<Vec<Disk>>,
    /// Buckets of S3, or of stores that speak its protocol, as disks of each host. A change is a rolling
    /// restart.
    pub s3_disks: Option<Vec<S3Disk>>,
    /// The storage policies, by their names: a table gets one by `SETTINGS storage_policy = '<name>'`, and
    /// else the one called `default`. Default: with `disks` the policy `jbod`, which takes all volumes of a
    /// host by turns; with `s3Disks` the policy `tiered`, which moves parts from the volumes to the buckets
    /// when these are nearly full.
    pub policies: Option<BTreeMap<String, StoragePolicy>>,
}

/// The storage of the data.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Storage {
    /// `None` when it lives in the pod, or as somebody else has said.
    data: Option<ClaimTemplate>,
    logs: Option<ClaimTemplate>,
    disks: Disks,
    reclaim_policy: ReclaimPolicy,
    provisioner: Provisioner,
}

/// The sizes of volumes that the cluster was made with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in super::super) struct StorageDefaults {
    pub(in super::super) data_size: String,
    pub(in super::super) logs_size: String,
}

impl Default for StorageDefaults {
    fn default() -> Self {
        Self { data_size: "50Gi".to_owned(), logs_size: "10Gi".to_owned() }
    }
}

impl Aspect for Storage {
    type Args = Option<StorageArgs>;
    type Defaults = StorageDefaults;

    const QUANTITIES: &'static [&'static str] =
        &["storage.size", "storage.logs.size", "storage.disks[].size", "storage.s3Disks[].cacheSize"];

    const FOLLOW: &'static [(&'static str, &'static [&'static str])] = &[("storage", &["storageSize"])];

    fn complete(args: &mut ClusterArgs, _had_keeper: bool) {
        if args.adopted().is_some() {
            return;
        }
        let defaults = args.made_with().storage;
        let storage = args.storage.get_or_insert_default();
        let reclaim = *storage.reclaim_policy.get_or_insert(ReclaimPolicy::Retain);
        storage.provisioner.get_or_insert(Provisioner::Operator);
        if storage.ephemeral != Some(true) {
            storage.size.get_or_insert(defaults.data_size);
        }
        for disk in storage.disks.iter_mut().flatten() {
            disk.reclaim_policy.get_or_insert(reclaim);
        }
        storage.logs = storage.logs.take().map(|logs| logs.complete(&defaults.logs_size, reclaim));
    }

    fn check(check: &mut Checker<'_>) -> Self {
        let given = check.args().storage.clone().unwrap_or_default();
        let StorageArgs {
            size,
            storage_class,
            access_modes,
            reclaim_policy,
            provisioner,
            ephemeral,
            logs,
            disks,
            s3_disks,
            policies,
        } = given;
        let (default_policy, default_provisioner) = match check.adopted() {
            None => (ReclaimPolicy::Retain, Provisioner::Operator),
            Some(adopted) => (adopted.data.policy, adopted.data.provisioner),
        };
        let reclaim_policy = reclaim_policy.unwrap_or(default_policy);
        let ephemeral = ephemeral.unwrap_or_default();
        let of_volumes = [
            ("size", size.is_some()),
            ("storageClass", storage_class.is_some()),
            ("accessModes", access_modes.is_some()),
        ];
        for (field, _) in of_volumes.into_iter().filter(|(_, is_given)| ephemeral && *is_given) {
            let reason = "has no effect with `ephemeral: true`, where there is no volume: remove one of them";
            check.fail(&format!("storage.{field}"), reason);
        }
        let says_something = size.is_some() || storage_class.is_some() || access_modes.is_some();
        let data = Volume { size, storage_class, access_modes, reclaim_policy: Some(reclaim_policy) };
        let is_written = match check.adopted().map(|adopted| (&adopted.data.template, &adopted.logs.template))
        {
            None => !ephemeral,
            Some((data, of_logs)) => {
                check.is_for_one_claim_template("storage", data, says_something);
                check.is_for_one_claim_template("storage.logs", of_logs, logs.is_some());
                says_something && *data != Template::Several
            }
        };
        Self {
            data: is_written.then(|| ClaimTemplate::check("storage", data, check)),
            logs: logs.map(|logs| ClaimTemplate::check("storage.logs", logs, check)),
            disks: Disks::check((disks, s3_disks, policies), check),
            reclaim_policy,
            provisioner: provisioner.unwrap_or(default_provisioner),
        }
    }

    fn render(&self, cluster: &ValidatedCluster, drafts: &mut Drafts) {
        let Self { data, logs, disks, reclaim_policy, provisioner } = self;
        let draft = &mut drafts.installation;
        disks.render(*provisioner, draft);
        if let Some(adopted) = &cluster.adopted {
            for (purpose, name, claim, style) in [
                ("dataVolumeClaimTemplate", DATA, data, &adopted.data),
                ("logVolumeClaimTemplate", LOGS, logs, &adopted.logs),
            ] {
                if let Some(claim) = claim.as_ref().filter(|_| style.template != Template::Several) {
                    draft.adopted_claim(purpose, adopted.new_name(name), claim, *provisioner, style);
                }
            }
            return;
        }
        draft.manage_storage(*provisioner, *reclaim_policy);
        if let Some(data) = data {
            draft.claim("dataVolumeClaimTemplate", DATA, data, *provisioner);
        } else {
            draft.pod.mounts.push(json!({"name": DATA, "mountPath": DATA_PATH}));
            draft.pod.volumes.push(json!({"name": DATA, "emptyDir": {}}));
        }
        if let Some(logs) = logs {
            draft.claim("logVolumeClaimTemplate", LOGS, logs, *provisioner);
        }
    }

    fn read(live: &Live) -> Option<StorageArgs> {
        let spec = live.spec();
        if let Some(adopted) = &live.adopted {
            return StorageArgs::adopted(spec, adopted);
        }
        let management = &spec["defaults"]["storageManagement"];
        let provisioner = serde_json::from_value(management["provisioner"].clone()).ok();
        let logs = Volume::claimed(spec, "logVolumeClaimTemplate");
        let (disks, s3_disks, policies) = Disks::read(spec, live.container());
        Some(match Volume::claimed(spec, "dataVolumeClaimTemplate") {
            Some(Volume { size, storage_class, access_modes, reclaim_policy }) => StorageArgs {
                size,
                storage_class,
                access_modes,
                reclaim_policy,
                provisioner,
                ephemeral: None,
                logs,
                disks,
                s3_disks,
                policies,
            },
            None => StorageArgs {
                ephemeral: Some(true),
                reclaim_policy: serde_json::from_value(management["reclaimPolicy"].clone()).ok(),
                provisioner,
                logs,
                disks,
                s3_disks,
                policies,
                ..StorageArgs::default()
            },
        })
    }
}

impl Storage {
    /// Who makes the volume claims.
    pub(super) fn provisioner(&self) -> Provisioner {
        self.provisioner
    }

    /// Whether the logs have a volume of their own.
    pub(super) fn has_log_volume(&self) -> bool {
        self.logs.is_some()
    }
}

impl StorageArgs {
    /// What the volumes of an adopted cluster come to; `None` where they are not the same for all hosts.
    fn adopted(spec: &Value, adopted: &Adopted) -> Option<Self> {
        let Adopted { data, logs, .. } = adopted;
        let logs = logs.template.name().and_then(|name| Volume::adopted(spec, name, logs));
        match &data.template {
            Template::None => Some(Self { ephemeral: Some(true), logs, ..Self::default() }),
            Template::One(name) => {
                let Volume { size, storage_class, access_modes, reclaim_policy } =
                    Volume::adopted(spec, name, data)?;
                let template = template(&spec["templates"]["volumeClaimTemplates"], name)?;
                let said = serde_json::from_value(template["provisioner"].clone());
                let provisioner = Some(said.unwrap_or(data.provisioner));
                Some(Self {
                    size,
                    storage_class,
                    access_modes,
                    reclaim_policy,
                    provisioner,
                    logs,
                    ..Self::default()
                })
            }
            Template::Several => None,
        }
    }
}
