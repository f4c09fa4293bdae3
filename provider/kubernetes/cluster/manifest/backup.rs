//! The CronJob that makes backups.

use serde_json::{Value, json};

use super::super::names;
use super::{Source, metadata};
use crate::kubernetes::meta::Kind;

pub(in crate::kubernetes::cluster) fn backup(source: &mut Source<'_>) -> Value {
    let Source { cluster, urn, .. } = *source;
    let Some(plan) = &cluster.backup.plan else { return Value::Null };
    let mut metadata = metadata(cluster, &names::backup(&cluster.naming.name), Some(urn));
    if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.extend(plan.annotations());
    }
    json!({"apiVersion": Kind::CronJob.api_version(), "kind": Kind::CronJob.name(), "metadata": metadata,
        "spec": plan.cron_job(cluster)})
}
