//! Why a host has no volume: from its claim and the namespace's quotas to words.

use super::{Evidence, Found, GracePeriod, shorten};
use crate::kubernetes::observe::{Claim, Quota};

/// What a quota says about volumes: `small: 0 of requests.storage=1Gi is used`.
pub(super) fn of_storage(quota: &Quota) -> Option<String> {
    let status = quota.status.as_ref()?;
    let about_volumes = |resource: &str| {
        ["requests.storage", "persistentvolumeclaims"]
            .iter()
            .any(|of| resource == *of || resource.ends_with(&format!(".storageclass.storage.k8s.io/{of}")))
    };
    let limits: Vec<_> = status
        .hard
        .iter()
        .filter(|(resource, _)| about_volumes(resource))
        .map(|(resource, hard)| {
            let used = status.used.get(resource).map_or("0", String::as_str);
            format!("{used} of {resource}={hard} is used")
        })
        .collect();
    (!limits.is_empty()).then(|| format!("{}: {}", quota.metadata.name(), limits.join(", ")))
}

/// The claim template that a claim was made from.
pub(super) fn template_of<'c>(claim: &'c Claim, suffix: &str) -> &'c str {
    claim.metadata.name().strip_suffix(suffix).unwrap_or_default()
}

/// Why a claim has no volume.
pub(super) fn unbound(evidence: &Evidence<'_>, claim: &Claim, template: &str) -> Option<Found> {
    let name = claim.metadata.name();
    let phase = claim.status.as_ref().map_or("Pending", |status| status.phase.as_str());
    if phase == "Bound" {
        return None;
    }
    let property = evidence.remedies.storage_class(template);
    let class = claim.spec.storage_class_name.as_deref();
    let event = evidence.warning("PersistentVolumeClaim", name).and_then(|event| event.message.as_deref());
    let found = match (class, event) {
        (None, _) => {
            let text = format!(
                "volume {name} is {phase}: the cluster has no default storage class; set `{property}`"
            );
            Found::new("No class", text).row("no default storage class").ends(GracePeriod::Other)
        }
        (Some(class), Some(message)) if message.contains("storageclass") && message.contains("not found") => {
            let text = format!(
                "volume {name} is {phase}: the storage class `{class}` does not exist; correct `{property}`, \
                    or create it"
            );
            Found::new("No class", text)
                .row(format!("the storage class `{class}` does not exist"))
                .ends(GracePeriod::Other)
        }
        (Some(_), Some(message)) => {
            let message = shorten(message);
            Found::new("Unbound", format!("volume {name} is {phase}: {message}"))
                .row(format!("volume is {phase}: {message}"))
        }
        (Some(class), None) => {
            Found::new("Unbound", format!("volume {name} is {phase}, of storage class `{class}`"))
                .row(format!("volume is {phase}, of storage class `{class}`"))
        }
    };
    Some(found)
}
