//! The CronJob that makes backups, and the Job that restores one.

use serde_json::{Value, json};

use super::super::aspects::ValidatedCluster;
use super::super::names;
use super::{Source, metadata, object};
use crate::kubernetes::meta::Kind;
use crate::resource::Urn;

pub(in crate::kubernetes::cluster) fn backup(source: &mut Source<'_>) -> Value {
    let Source { cluster, urn, .. } = *source;
    let Some(plan) = &cluster.backup.plan else { return Value::Null };
    let mut metadata = metadata(cluster, &names::backup(&cluster.naming.name), Some(urn));
    if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.extend(plan.annotations());
    }
    object(Kind::CronJob, metadata, plan.cron_job(cluster))
}

/// The Job that restores the backup that the cluster is made from, where it is from one. It goes with the
/// CronJob of this unique id.
pub(in crate::kubernetes::cluster) fn restore(
    cluster: &ValidatedCluster,
    urn: &Urn,
    cron_job: Option<&str>,
) -> Option<Value> {
    let spec = cluster.backup.plan.as_ref()?.restore(cluster)?;
    let name = &cluster.naming.name;
    let mut metadata = metadata(cluster, &names::restore(name), Some(urn));
    if let Some(uid) = cron_job {
        let owner = json!({"apiVersion": Kind::CronJob.api_version(), "kind": Kind::CronJob.name(),
            "name": names::backup(name), "uid": uid});
        metadata.insert("ownerReferences".into(), json!([owner]));
    }
    Some(object(Kind::Job, metadata, spec))
}
