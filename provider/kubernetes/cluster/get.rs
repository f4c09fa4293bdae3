//! `clickhouse:kubernetes:getCluster`: what a cluster that another program owns is like, and how it fares.

use k8s_openapi::jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::read::{self, LiveState};
use super::state::ClusterState;
use crate::kubernetes::client::Session;
use crate::kubernetes::meta::Kind;
use crate::kubernetes::objects;
use crate::resource::{Context, Failure, FailureKind, Function};

/// Which cluster to look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "GetClusterArgs")]
pub struct GetClusterArgs {
    /// The cluster's name: that of its `ClickHouseInstallation`.
    pub name: String,
    /// The Kubernetes namespace. Default: the provider's `namespace`, else the kubeconfig context's, else
    /// `default`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// An existing cluster: the outputs of the resource, and its current status as the operator reports it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "GetClusterResult")]
pub struct GetClusterResult {
    /// The outputs of the resource.
    #[serde(flatten)]
    pub state: ClusterState,
    /// The operator's status of the cluster: `InProgress`, `Completed`, `Aborted`, `Terminating`, or empty
    /// before it has reconciled it.
    pub phase: String,
    /// The number of hosts that are ready and not being reconciled.
    pub hosts_ready: u32,
    /// The number of hosts of the cluster.
    pub hosts_total: u32,
    /// The version of the operator that last reconciled the cluster. Absent before that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator_version: Option<String>,
    /// The operator's latest error messages. Healthy clusters may have some too: errors that a retry resolved
    /// are listed as well.
    pub errors: Vec<String>,
    /// The last task that the operator completed. Absent before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_task: Option<String>,
    /// How the backups fare; only with a `backup`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupStatus>,
}

/// How the backups of a cluster fare, by Kubernetes' own record of its CronJob.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterBackupStatus")]
pub struct BackupStatus {
    /// When the newest backup was stored, as `2026-11-26T02:00:41Z`. Absent before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_success: Option<String>,
    /// How many seconds ago that was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_seconds: Option<u64>,
    /// When the last run began, if it has failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<String>,
}

impl BackupStatus {
    /// What the CronJob says `now`. It has no word for a failure: that is a run that is over, after which no
    /// success came.
    fn of(cron_job: &Value, now: Timestamp) -> Self {
        let status = &cron_job["status"];
        let time = |field: &str| status[field].as_str()?.parse::<Timestamp>().ok();
        let (success, begun) = (time("lastSuccessfulTime"), time("lastScheduleTime"));
        let is_running = status["active"].as_array().is_some_and(|jobs| !jobs.is_empty());
        let failed = begun.filter(|begun| !is_running && success.is_none_or(|success| success < *begun));
        Self {
            last_success: success.map(|time| time.to_string()),
            age_seconds: success.and_then(|time| u64::try_from(now.duration_since(time).as_secs()).ok()),
            last_failure: failed.map(|time| time.to_string()),
        }
    }
}

/// The function.
pub struct GetCluster {
    session: Session,
}

impl GetCluster {
    /// Looks at clusters in the Kubernetes cluster that `session` leads to.
    pub fn new(session: Session) -> Self {
        Self { session }
    }
}

impl Function for GetCluster {
    type Args = GetClusterArgs;
    type Result = GetClusterResult;

    const TOKEN: &'static str = "clickhouse:kubernetes:getCluster";
    const DOCS: &'static str = "Looks at a ClickHouse cluster that is there, whoever made it: the outputs \
        that `Cluster` has, and how it fares at the moment. \
                                Connection data comes from the cluster's Secret. Programs in TypeScript and \
                                Python should call `getClusterOutput` \
                                (`get_cluster_output`): its result is secret, and that of the plain form, a \
                                password included, is not.";

    async fn invoke(&self, ctx: &Context, args: &GetClusterArgs) -> Result<GetClusterResult, Failure<()>> {
        let namespace = args.namespace.clone().unwrap_or_else(|| self.session.default_namespace());
        if !objects::is_plain(&args.name) {
            return Err(Failure::new(
                FailureKind::Invalid,
                format!("`{}` is not a valid name of a cluster", args.name),
            ));
        }
        let api = self.session.api(ctx);
        let selector = format!("clickhouse.altinity.com/chi={},clickhouse.altinity.com/ready=yes", args.name);
        let (seen, serving) = futures::join!(
            Box::pin(read::live_state(&api, &namespace, &args.name, None, None)),
            objects::list_names(&api, Kind::Pod, Some(&namespace), &selector),
        );
        let seen = seen.map_err(|error| error.to_failure())?;
        let missing = || {
            Failure::new(
                FailureKind::Invalid,
                format!("there is no cluster `{}` in namespace `{namespace}`", args.name),
            )
        };
        let LiveState::Present(seen) = seen else { return Err(missing()) };
        let serving = serving.map_err(|error| error.to_failure())?;
        let status = seen.installation()["status"].clone();
        let found = read::found(ctx, &seen, None, None).map_err(|failure| Failure {
            kind: failure.kind,
            reasons: failure.reasons,
            partial: None,
        })?;
        let texts = |field: &str| {
            status[field]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        Ok(GetClusterResult {
            phase: status["status"].as_str().unwrap_or_default().to_owned(),
            hosts_ready: u32::try_from(serving.len()).unwrap_or(u32::MAX),
            hosts_total: u32::try_from(found.state.hosts.len()).unwrap_or(u32::MAX),
            operator_version: status["chop-version"].as_str().map(str::to_owned),
            errors: texts("errors"),
            last_task: texts("taskIDsCompleted").into_iter().next(),
            backup: seen.backup().map(|cron_job| BackupStatus::of(cron_job, Timestamp::now())),
            state: found.state,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kubernetes::cluster::Cluster;
    use crate::kubernetes::cluster::tests::checked;
    use crate::kubernetes::fake::{Fake, Reply, context};
    use crate::resource::Resource as _;

    #[test]
    fn a_backup_has_failed_where_no_success_came_after_its_run() {
        let (early, late) = ("2026-11-25T02:00:00Z", "2026-11-26T02:00:00Z");
        let now = "2026-11-26T03:00:00Z".parse().unwrap();
        for (status, expected) in [
            (json!({}), json!({})),
            (json!({"lastScheduleTime": late, "active": [{"name": "db-backup-1"}]}), json!({})),
            (json!({"lastScheduleTime": late}), json!({"lastFailure": late})),
            (
                json!({"lastScheduleTime": early, "lastSuccessfulTime": late}),
                json!({"lastSuccess": late, "ageSeconds": 3600}),
            ),
            (
                json!({"lastScheduleTime": late, "lastSuccessfulTime": early}),
                json!({"lastSuccess": early, "ageSeconds": 90_000, "lastFailure": late}),
            ),
        ] {
            assert_eq!(json!(BackupStatus::of(&json!({"status": status}), now)), expected, "{status}");
        }
    }

    #[tokio::test]
    async fn the_backups_of_a_cluster_are_looked_for_where_it_has_their_container() {
        for (backup, expected) in [(json!(null), 0), (json!({"s3": {"bucket": "b"}}), 1)] {
            let fake = Fake::new();
            let program = checked(json!({"name": "db", "skipAwait": true, "backup": backup}));
            Cluster::new(fake.session()).create(&context().0, Box::new(program)).await.unwrap();
            let before = fake.requests().len();
            let args = GetClusterArgs { name: "db".into(), namespace: Some("apps".into()) };
            let found = GetCluster::new(fake.session()).invoke(&context().0, &args).await.unwrap();
            let asked = fake.requests().split_off(before);
            assert_eq!(asked.iter().filter(|seen| seen.path.contains("cronjobs")).count(), expected);
            assert_eq!(found.backup.is_some(), expected == 1);
        }
    }

    #[tokio::test]
    async fn a_name_never_leads_to_other_objects() {
        let fake = Fake::scripted(|_| Reply::Hang);
        let function = GetCluster::new(fake.session());
        for (name, namespace) in [("db,app!=x", None), ("", None), ("db", Some("a/b"))] {
            let args = GetClusterArgs { name: name.to_owned(), namespace: namespace.map(str::to_owned) };
            assert_eq!(
                function.invoke(&context().0, &args).await.unwrap_err().kind,
                FailureKind::Invalid,
                "{name}"
            );
        }
        assert!(fake.requests().is_empty());
    }
}
