//! The storage of the data.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::adopted::{ClaimStyle, Template, named as template};
use super::draft::InstallationDraft;
use super::read::{named, text};
use super::{Adopted, Aspect, Checker, ClusterArgs, Drafts, Live, ValidatedCluster};
use crate::kubernetes::diagnosis::Remedies;

/// The templates of the volume claims.
pub(super) const DATA: &str = "data";
pub(super) const LOGS: &str = "logs";
pub(super) const DATA_PATH: &str = "/var/lib/clickhouse";

/// The inputs to name where hosts don't come up.
pub(in super::super) const HOST_REMEDIES: Remedies = Remedies {
    image: "image",
    storage_classes: &[(DATA, "storage.storageClass"), (LOGS, "storage.logs.storageClass")],
    other_storage_class: "chiOverrides.templates.volumeClaimTemplates",
};

/// The data volume of each host.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
}

/// A volume.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterVolume")]
pub struct Volume {
    /// The size, for example `10Gi`. Default: `10Gi`. It can be increased, not reduced.
    pub size: Option<String>,
    /// The storage class. Default: the Kubernetes cluster's default class.
    pub storage_class: Option<String>,
    /// The access modes. Default: `ReadWriteOnce`.
    pub access_modes: Option<Vec<AccessMode>>,
    /// The reclaim policy of the volume. Default: that of the data volume.
    pub reclaim_policy: Option<ReclaimPolicy>,
}

/// How nodes may mount a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ClusterAccessMode")]
pub enum AccessMode {
    /// Read and write by one node.
    ReadWriteOnce,
    /// Read and write by one pod.
    ReadWriteOncePod,
    /// Read and write by many nodes.
    ReadWriteMany,
}

/// The reclaim policy of a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ClusterReclaimPolicy")]
pub enum ReclaimPolicy {
    /// Keep the volume; a later cluster of the same names finds its data.
    Retain,
    /// Delete the volume with all data.
    Delete,
}

/// The provisioner of the volume claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ClusterProvisioner")]
pub enum Provisioner {
    /// The operator: volumes can be resized without a restart.
    Operator,
    /// Kubernetes, from the StatefulSet's template: resizing a volume restarts its host.
    StatefulSet,
}

/// The storage of the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Storage {
    /// `None` when it lives in the pod, or as somebody else has said.
    data: Option<ClaimTemplate>,
    logs: Option<ClaimTemplate>,
    reclaim_policy: ReclaimPolicy,
    provisioner: Provisioner,
}

/// A volume that is claimed for each host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ClaimTemplate {
    size: Option<String>,
    storage_class: Option<String>,
    access_modes: Vec<AccessMode>,
    pub(super) reclaim_policy: ReclaimPolicy,
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

    const QUANTITIES: &'static [&'static str] = &["storage.size", "storage.logs.size"];

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
        storage.logs = storage.logs.take().map(|logs| logs.complete(&defaults.logs_size, reclaim));
    }

    fn check(check: &mut Checker<'_>) -> Self {
        let given = check.args().storage.clone().unwrap_or_default();
        let StorageArgs { size, storage_class, access_modes, reclaim_policy, provisioner, ephemeral, logs } =
            given;
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
            reclaim_policy,
            provisioner: provisioner.unwrap_or(default_provisioner),
        }
    }

    fn render(&self, cluster: &ValidatedCluster, drafts: &mut Drafts) {
        let Self { data, logs, reclaim_policy, provisioner } = self;
        let draft = &mut drafts.installation;
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
        Some(match Volume::claimed(spec, "dataVolumeClaimTemplate") {
            Some(Volume { size, storage_class, access_modes, reclaim_policy }) => StorageArgs {
                size,
                storage_class,
                access_modes,
                reclaim_policy,
                provisioner,
                ephemeral: None,
                logs,
            },
            None => StorageArgs {
                ephemeral: Some(true),
                reclaim_policy: serde_json::from_value(management["reclaimPolicy"].clone()).ok(),
                provisioner,
                logs,
                ..StorageArgs::default()
            },
        })
    }
}

impl Storage {
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
                    ephemeral: None,
                    logs,
                })
            }
            Template::Several => None,
        }
    }
}

impl Volume {
    /// What a volume of an adopted cluster comes to.
    fn adopted(spec: &Value, name: &str, style: &ClaimStyle) -> Option<Self> {
        let template = template(&spec["templates"]["volumeClaimTemplates"], name)?;
        let policy = serde_json::from_value(template["reclaimPolicy"].clone());
        let modes: Option<Vec<AccessMode>> =
            serde_json::from_value(template["spec"]["accessModes"].clone()).ok();
        Some(Self {
            size: text(&template["spec"]["resources"]["requests"]["storage"]),
            storage_class: text(&template["spec"]["storageClassName"]).filter(|class| !class.is_empty()),
            access_modes: modes.filter(|modes| *modes != [AccessMode::ReadWriteOnce]),
            reclaim_policy: Some(policy.unwrap_or(style.policy)),
        })
    }

    /// What is left out filled in.
    pub(super) fn complete(mut self, size: &str, reclaim: ReclaimPolicy) -> Self {
        self.size.get_or_insert_with(|| size.to_owned());
        self.reclaim_policy.get_or_insert(reclaim);
        self
    }

    /// The volume whose template `spec` uses for `purpose`, where it does.
    pub(super) fn claimed(spec: &Value, purpose: &str) -> Option<Self> {
        let template =
            named(&spec["templates"]["volumeClaimTemplates"], spec["defaults"]["templates"].get(purpose)?);
        let policy =
            template.get("reclaimPolicy").unwrap_or(&spec["defaults"]["storageManagement"]["reclaimPolicy"]);
        let modes = serde_json::from_value(template["spec"]["accessModes"].clone()).ok();
        Some(Self {
            size: text(&template["spec"]["resources"]["requests"]["storage"]),
            storage_class: text(&template["spec"]["storageClassName"]),
            access_modes: modes.filter(|modes| *modes != vec![AccessMode::ReadWriteOnce]),
            reclaim_policy: serde_json::from_value(policy.clone()).ok(),
        })
    }
}

impl ClaimTemplate {
    /// Checks the volume whose inputs stand at `path`.
    pub(super) fn check(path: &str, given: Volume, check: &mut Checker<'_>) -> Self {
        let Volume { size, storage_class, access_modes, reclaim_policy } = given;
        check.bytes(&format!("{path}.size"), size.as_ref());
        check.dns_name(&format!("{path}.storageClass"), storage_class.as_deref());
        if access_modes.as_ref().is_some_and(Vec::is_empty) {
            check.fail(
                &format!("{path}.accessModes"),
                "must name at least one mode: leave it out for `ReadWriteOnce`",
            );
        }
        Self {
            size,
            storage_class,
            access_modes: access_modes.unwrap_or_else(|| vec![AccessMode::ReadWriteOnce]),
            reclaim_policy: reclaim_policy.unwrap_or(ReclaimPolicy::Retain),
        }
    }
}

impl InstallationDraft {
    /// Who makes the volume claims, and what becomes of them, where their templates say nothing.
    pub(super) fn manage_storage(&mut self, provisioner: Provisioner, reclaim_policy: ReclaimPolicy) {
        self.storage_management.insert("provisioner".to_owned(), json!(provisioner));
        self.storage_management.insert("reclaimPolicy".to_owned(), json!(reclaim_policy));
    }

    /// Adds the template `name`, which is used for `purpose`.
    pub(super) fn claim(
        &mut self,
        purpose: &str,
        name: &str,
        claim: &ClaimTemplate,
        provisioner: Provisioner,
    ) {
        let ClaimTemplate { size, storage_class, access_modes, reclaim_policy } = claim;
        let mut spec = json!({"accessModes": access_modes,
            "resources": {"requests": {"storage": size.as_deref().unwrap_or_default()}}});
        if let Some(class) = storage_class {
            spec["storageClassName"] = json!(class);
        }
        self.references.insert(purpose.to_owned(), json!(name));
        // The policy stands beside the claim's own spec: inside it the operator would not see it and delete
        // the volume.
        self.claims.push(
            json!({"name": name, "provisioner": provisioner, "reclaimPolicy": reclaim_policy, "spec": spec}),
        );
    }

    /// Says of a template that somebody else has written what inputs say; where there is none, adds `name`
    /// for `purpose`.
    fn adopted_claim(
        &mut self,
        purpose: &str,
        name: &str,
        claim: &ClaimTemplate,
        provisioner: Provisioner,
        style: &ClaimStyle,
    ) {
        let ClaimTemplate { size, storage_class, access_modes, reclaim_policy } = claim;
        let Some(name) = style.template.name() else { return self.claim(purpose, name, claim, provisioner) };
        let mut template = json!({"name": name});
        if let Some(size) = size {
            template["spec"]["resources"]["requests"]["storage"] = json!(size);
        }
        if let Some(class) = storage_class {
            template["spec"]["storageClassName"] = json!(class);
        }
        let states = |field: &str| style.stated.contains(field);
        if *access_modes != [AccessMode::ReadWriteOnce] || states("accessModes") {
            template["spec"]["accessModes"] = json!(access_modes);
        }
        if *reclaim_policy != style.policy || states("reclaimPolicy") {
            template["reclaimPolicy"] = json!(reclaim_policy);
        }
        if provisioner != style.provisioner || states("provisioner") {
            template["provisioner"] = json!(provisioner);
        }
        self.claims.push(template);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::cluster::tests::built;

    #[test]
    fn an_ephemeral_cluster_claims_no_volume() {
        let spec = built(json!({"storage": {"ephemeral": true}})).installation.unwrap()["spec"].clone();
        assert!(
            spec["templates"].get("volumeClaimTemplates").is_none()
                && spec["defaults"]["templates"].get("dataVolumeClaimTemplate").is_none()
        );
        assert_eq!(
            spec["templates"]["podTemplates"][0]["spec"]["volumes"],
            json!([{"name": "data", "emptyDir": {}}])
        );
    }
}
