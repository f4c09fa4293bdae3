//! The CronJob, and what it runs.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::super::super::manifest::USERNAME_KEY;
use super::super::super::shape::Shape;
use super::super::super::{address, names};
use super::super::{PASSWORD_KEY, ValidatedCluster};
use super::{CONTAINER, Plan, SUSPENDED_ANNOTATION, confined, variable};
use crate::kubernetes::meta;

/// On the pods that make backups: the name of the cluster.
const OF_CLUSTER: &str = "pulumi-clickhouse/backup-of";

/// Has the containers beside ClickHouse carry out a command. It is given the hosts and the login by its
/// environment.
pub(super) const SCRIPT: &str = include_str!("run.sh");

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
                "template": self.pod(cluster),
            }},
        });
        if let Some(zone) = &self.time_zone {
            spec["timeZone"] = json!(zone);
        }
        spec
    }

    /// The template of the pod that has the hosts make a backup.
    fn pod(&self, cluster: &ValidatedCluster) -> Value {
        let name = &cluster.naming.name;
        let secret = |key: &str| {
            let reference = json!({"name": names::credentials_secret(name), "key": key});
            json!({"secretKeyRef": reference})
        };
        let mut container = self.image();
        container.extend([
            ("name".to_owned(), json!(CONTAINER)),
            ("command".to_owned(), json!(["/bin/sh", "-c", SCRIPT])),
            (
                "env".to_owned(),
                json!([
                    variable("HOSTS", &first_hosts(cluster).join(" ")),
                    variable("PORT", &address::HTTP_PORT.to_string()),
                    {"name": "USERNAME", "valueFrom": secret(USERNAME_KEY)},
                    {"name": "PASSWORD", "valueFrom": secret(PASSWORD_KEY)},
                ]),
            ),
            (
                "resources".to_owned(),
                json!({"requests": {"cpu": "10m", "memory": "32Mi"},
                    "limits": {"cpu": "500m", "memory": "128Mi"}}),
            ),
            ("securityContext".to_owned(), confined()),
            // So the Job's pod tells why it failed.
            ("terminationMessagePolicy".to_owned(), json!("FallbackToLogsOnError")),
        ]);
        let mut labels = cluster.naming.labels.clone();
        labels.insert(meta::MANAGED_BY.to_owned(), meta::FIELD_MANAGER.to_owned());
        labels.insert(OF_CLUSTER.to_owned(), name.clone());
        let mut spec = json!({
            "restartPolicy": "Never",
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "containers": [container],
        });
        let pull_secrets = &cluster.image.image.pull_secrets;
        if !pull_secrets.is_empty() {
            spec["imagePullSecrets"] = pull_secrets.iter().map(|name| json!({"name": name})).collect();
        }
        json!({"metadata": {"labels": labels}, "spec": spec})
    }
}

/// The DNS names of the first host of each shard.
fn first_hosts(cluster: &ValidatedCluster) -> Vec<String> {
    let Shape { clickhouse, .. } = Shape::rendered(cluster);
    let mut shards = BTreeSet::new();
    let hosts = clickhouse.hosts.iter().filter(|host| host.cluster == cluster.naming.cluster_name);
    hosts.filter(|host| shards.insert(&host.shard_name)).map(|host| clickhouse.fqdn(&host.service)).collect()
}
