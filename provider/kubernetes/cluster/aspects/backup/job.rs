//! The CronJob that makes backups, the Job that restores one, and what they run.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::super::super::manifest::USERNAME_KEY;
use super::super::super::shape::Shape;
use super::super::super::{address, names};
use super::super::{PASSWORD_KEY, ValidatedCluster};
use super::{CONTAINER, Plan, SUSPENDED_ANNOTATION, confined, variable};
use crate::kubernetes::meta;

/// On the pods that make backups: the name of the cluster.
pub(in super::super::super) const OF_CLUSTER: &str = "pulumi-clickhouse/backup-of";
/// Under which key a Secret with a certificate holds the authority that signed it, and where the Job finds
/// it.
const AUTHORITY: &str = "ca.crt";
const AUTHORITIES: &str = "/etc/clickhouse-authority";

/// Has the containers beside ClickHouse make a backup. It is given the hosts and the login by its
/// environment.
pub(super) const BACK_UP: &str = concat!(include_str!("hosts.sh"), "\n", include_str!("backup.sh"));
/// Has them restore one.
pub(super) const RESTORE: &str = concat!(include_str!("hosts.sh"), "\n", include_str!("restore.sh"));

impl Plan {
    /// Annotations of the CronJob, besides those of all objects.
    pub(in super::super::super) fn annotations(&self) -> Map<String, Value> {
        let entry = self.suspended.then(|| (SUSPENDED_ANNOTATION.to_owned(), json!("true")));
        entry.into_iter().collect()
    }

    /// The CronJob's `spec`.
    pub(in super::super::super) fn cron_job(&self, cluster: &ValidatedCluster) -> Value {
        let mut spec = json!({
            "schedule": self.schedule,
            "suspend": self.suspended || cluster.operations.stopped,
            "concurrencyPolicy": "Forbid",
            // One that is suspended no longer does not make up for what it has missed.
            "startingDeadlineSeconds": 3600,
            "successfulJobsHistoryLimit": 1,
            "failedJobsHistoryLimit": 3,
            "jobTemplate": {"spec": {
                "backoffLimit": 2,
                "ttlSecondsAfterFinished": 7 * 24 * 3600,
                "template": self.pod(cluster, BACK_UP, Vec::new()),
            }},
        });
        if let Some(zone) = &self.time_zone {
            spec["timeZone"] = json!(zone);
        }
        spec
    }

    /// The `spec` of the Job that restores the backup that the cluster is made from.
    pub(in super::super::super) fn restore(&self, cluster: &ValidatedCluster) -> Option<Value> {
        let backup = self.restore_from.as_ref()?;
        let [_, others] = hosts(cluster);
        let env = vec![variable("BACKUP", backup), variable("OTHERS", &others.join(" "))];
        // What a run that failed has left would be in the way of another.
        Some(json!({"backoffLimit": 0,
            "template": self.pod(cluster, RESTORE, env)}))
    }

    /// The template of a pod that has the hosts do what `script` says.
    fn pod(&self, cluster: &ValidatedCluster, script: &str, more: Vec<Value>) -> Value {
        let [first, _] = hosts(cluster);
        let plain = cluster.tls.ports().http;
        let port = plain.unwrap_or(address::HTTPS_PORT).to_string();
        let mut env = vec![variable("HOSTS", &first.join(" ")), variable("PORT", &port)];
        let authority = cluster.tls.secret().filter(|_| plain.is_none());
        if authority.is_some() {
            env.push(variable("SCHEME", "https"));
            env.push(variable("AUTHORITY", &format!("{AUTHORITIES}/{AUTHORITY}")));
        }
        let name = &cluster.naming.name;
        let secret = |key: &str| {
            let reference = json!({"name": names::credentials_secret(name), "key": key});
            json!({"secretKeyRef": reference})
        };
        env.push(json!({"name": "USERNAME", "valueFrom": secret(USERNAME_KEY)}));
        env.push(json!({"name": "PASSWORD", "valueFrom": secret(PASSWORD_KEY)}));
        env.extend(more);
        let mut container = self.image();
        container.extend([
            ("name".to_owned(), json!(CONTAINER)),
            ("command".to_owned(), json!(["/bin/sh", "-c", script])),
            ("env".to_owned(), json!(env)),
            (
                "resources".to_owned(),
                json!({"requests": {"cpu": "10m", "memory": "32Mi"},
                    "limits": {"cpu": "500m", "memory": "128Mi"}}),
            ),
            ("securityContext".to_owned(), confined()),
            // So the Job's pod tells why it failed.
            ("terminationMessagePolicy".to_owned(), json!("FallbackToLogsOnError")),
        ]);
        if authority.is_some() {
            let mount = json!([{"name": "authority", "mountPath": AUTHORITIES, "readOnly": true}]);
            container.insert("volumeMounts".to_owned(), mount);
        }
        let mut labels = cluster.naming.labels.clone();
        labels.insert(meta::MANAGED_BY.to_owned(), meta::FIELD_MANAGER.to_owned());
        labels.insert(OF_CLUSTER.to_owned(), name.clone());
        let mut spec = json!({
            "restartPolicy": "Never",
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "containers": [container],
        });
        if let Some(secret) = authority {
            let items = json!([{"key": AUTHORITY, "path": AUTHORITY}]);
            let source = json!({"secretName": secret, "items": items, "optional": true});
            spec["volumes"] = json!([{"name": "authority", "secret": source}]);
        }
        let pull_secrets = &cluster.image.image.pull_secrets;
        if !pull_secrets.is_empty() {
            spec["imagePullSecrets"] = pull_secrets.iter().map(|name| json!({"name": name})).collect();
        }
        json!({"metadata": {"labels": labels}, "spec": spec})
    }
}

/// The DNS names of the first host of each shard, and those of the others.
fn hosts(cluster: &ValidatedCluster) -> [Vec<String>; 2] {
    let Shape { clickhouse, .. } = Shape::rendered(cluster);
    let mut shards = BTreeSet::new();
    let hosts = clickhouse.hosts.iter().filter(|host| host.cluster == cluster.naming.cluster_name);
    let (first, others): (Vec<_>, Vec<_>) = hosts.partition(|host| shards.insert(&host.shard_name));
    [first, others].map(|hosts| hosts.into_iter().map(|host| clickhouse.fqdn(&host.service)).collect())
}
