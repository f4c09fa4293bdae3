//! Volumes that are claimed for each host.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::Checker;
use super::super::adopted::{ClaimStyle, named as template};
use super::super::draft::InstallationDraft;
use super::super::read::{named, text};

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

/// A volume that is claimed for each host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct ClaimTemplate {
    size: Option<String>,
    storage_class: Option<String>,
    access_modes: Vec<AccessMode>,
    pub(in super::super) reclaim_policy: ReclaimPolicy,
}

impl Volume {
    /// What a volume of an adopted cluster comes to.
    pub(super) fn adopted(spec: &Value, name: &str, style: &ClaimStyle) -> Option<Self> {
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
    pub(in super::super) fn complete(mut self, size: &str, reclaim: ReclaimPolicy) -> Self {
        self.size.get_or_insert_with(|| size.to_owned());
        self.reclaim_policy.get_or_insert(reclaim);
        self
    }

    /// The volume whose template `spec` uses for `purpose`, where it does.
    pub(in super::super) fn claimed(spec: &Value, purpose: &str) -> Option<Self> {
        let purpose = spec["defaults"]["templates"].get(purpose)?;
        Some(Self::of(named(&spec["templates"]["volumeClaimTemplates"], purpose), spec))
    }

    /// The volume that `template` stands for.
    pub(in super::super) fn of(template: &Value, spec: &Value) -> Self {
        let policy =
            template.get("reclaimPolicy").unwrap_or(&spec["defaults"]["storageManagement"]["reclaimPolicy"]);
        let modes = serde_json::from_value(template["spec"]["accessModes"].clone()).ok();
        Self {
            size: text(&template["spec"]["resources"]["requests"]["storage"]),
            storage_class: text(&template["spec"]["storageClassName"]),
            access_modes: modes.filter(|modes| *modes != vec![AccessMode::ReadWriteOnce]),
            reclaim_policy: serde_json::from_value(policy.clone()).ok(),
        }
    }
}

impl ClaimTemplate {
    /// Checks the volume whose inputs stand at `path`.
    pub(in super::super) fn check(path: &str, given: Volume, check: &mut Checker<'_>) -> Self {
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
    pub(in super::super) fn manage_storage(
        &mut self,
        provisioner: Provisioner,
        reclaim_policy: ReclaimPolicy,
    ) {
        self.storage_management.insert("provisioner".to_owned(), json!(provisioner));
        self.storage_management.insert("reclaimPolicy".to_owned(), json!(reclaim_policy));
    }

    /// Adds the template `name`, which is used for `purpose`.
    pub(in super::super) fn claim(
        &mut self,
        purpose: &str,
        name: &str,
        claim: &ClaimTemplate,
        provisioner: Provisioner,
    ) {
        self.references.insert(purpose.to_owned(), json!(name));
        self.claim_template(name, claim, provisioner);
    }

    /// Adds the template `name`.
    pub(in super::super) fn claim_template(
        &mut self,
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
        // The policy stands beside the claim's own spec: inside it the operator would not see it and delete
        // the volume.
        self.claims.push(
            json!({"name": name, "provisioner": provisioner, "reclaimPolicy": reclaim_policy, "spec": spec}),
        );
    }

    /// Says of a template that somebody else has written what inputs say; where there is none, adds `name`
    /// for `purpose`.
    pub(super) fn adopted_claim(
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
