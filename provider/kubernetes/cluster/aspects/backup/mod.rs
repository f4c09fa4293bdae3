//! Backups of the cluster: a container of clickhouse-backup beside each ClickHouse, which knows the storage,
//! and a CronJob that has one of them in each shard make a backup.

mod job;
mod schedule;
mod target;
#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

pub(in super::super) use self::job::OF_CLUSTER;
use self::target::Target;
pub use self::target::{AzureArgs, GcsArgs, S3Args};
use super::super::address;
use super::adopted::Template;
use super::image::{ContainerImage, Image, PullPolicy, Reference, parts};
use super::read::{text, yes};
use super::resources::amounts;
use super::storage::{DATA, DATA_PATH};
use super::{Aspect, Checker, ClusterArgs, Drafts, Live, OperationsArgs, Resources, ValidatedCluster};

/// The container beside ClickHouse, and the volume with its configuration.
pub(in super::super) const CONTAINER: &str = "clickhouse-backup";
/// The key of that configuration in the Secret of the login.
pub(in super::super) const CONFIGURATION_KEY: &str = "backup-config";
/// On the CronJob: that the program suspends it, where it stands still because the cluster does.
const SUSPENDED_ANNOTATION: &str = "pulumi-clickhouse/suspended";

/// The image of clickhouse-backup.
const REPOSITORY: &str = "altinity/clickhouse-backup";
/// The release of clickhouse-backup that a new cluster gets.
const VERSION: &str = "2.8.0";
/// Each day at two in the night.
const SCHEDULE: &str = "0 2 * * *";
/// How many backups the storage keeps.
const KEPT: u32 = 7;
/// The user and the group of ClickHouse in the official images, whose files are to be read.
const CLICKHOUSE_USER: u32 = 101;

/// Backups of the cluster by clickhouse-backup.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterBackup")]
pub struct BackupArgs {
    /// When backups are made: a line of cron like `0 2 * * *`, or `@daily` and the like. Default: each day at
    /// 02:00. A change takes effect without a restart.
    pub schedule: Option<String>,
    /// The time zone of the schedule, for example `Europe/Berlin`. Default: that of Kubernetes, mostly UTC. A
    /// change takes effect without a restart.
    pub time_zone: Option<String>,
    /// How many backups are kept. A change is a rolling restart.
    pub retention: Option<RetentionArgs>,
    /// Keeps backups in an S3 bucket. One of `s3`, `gcs` and `azure` is to be given. A change is a rolling
    /// restart, and existing backups stay where they are.
    pub s3: Option<S3Args>,
    /// Keeps backups in a bucket of Google Cloud Storage. A change is a rolling restart, and existing backups
    /// stay where they are.
    pub gcs: Option<GcsArgs>,
    /// Keeps backups in a container of Azure Blob Storage. A change is a rolling restart, and existing
    /// backups stay where they are.
    pub azure: Option<AzureArgs>,
    /// The image of clickhouse-backup, pulled with the Secrets of `image.pullSecrets`. Default: the official
    /// one. A change is a rolling restart.
    pub image: Option<BackupImage>,
    /// CPU and memory of the backup container in each host's pod. Default: requests of 100m and 256Mi, limits
    /// of 1 CPU and 1Gi. A change is a rolling restart.
    pub resources: Option<Resources>,
    /// Whether no backups are made for the time being. Default: false; a stopped cluster makes none either. A
    /// change takes effect without a restart.
    pub suspended: Option<bool>,
    /// The name of a backup, for example `2026-11-26t02-00-00`, that a new cluster begins with; it has to be
    /// in the storage and path named here, from as many shards. It counts only when the cluster is created:
    /// `up` ends when it is restored (give it time with `customTimeouts`), and goes on with it if it was
    /// interrupted.
    pub restore_from: Option<String>,
}

/// How many backups are kept.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterBackupRetention")]
pub struct RetentionArgs {
    /// On each host's own volume, once they are stored. Default: 0. They take room as data is merged.
    pub local: Option<u32>,
    /// In the storage; older ones are deleted after each backup. 0 keeps all. Default: 7.
    pub remote: Option<u32>,
}

/// The image of clickhouse-backup.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterBackupImage")]
pub struct BackupImage {
    /// The repository. Default: `altinity/clickhouse-backup`.
    pub repository: Option<String>,
    /// The tag. Default: a pinned release for a new cluster; an existing one keeps its own.
    pub tag: Option<String>,
    /// The digest, `sha256:` and 64 hex digits; it takes precedence over the tag.
    pub digest: Option<String>,
    /// The image pull policy. Default: that of Kubernetes.
    pub pull_policy: Option<PullPolicy>,
}

/// Backups of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Backup {
    /// `None` where none are made.
    pub(in super::super) plan: Option<Plan>,
}

/// How backups are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Plan {
    schedule: String,
    time_zone: Option<String>,
    local: u32,
    remote: u32,
    target: Target,
    image: ContainerImage,
    resources: Resources,
    suspended: bool,
    pub(in super::super) restore_from: Option<String>,
}

/// What a cluster keeps of its backups, once it has had any.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(in super::super) struct BackupDefaults {
    #[serde(skip_serializing_if = "Option::is_none")]
    backup: Option<Release>,
}

/// A release of clickhouse-backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Release {
    version: String,
    /// Requests and limits of its container, each of CPU and of memory.
    resources: [[String; 2]; 2],
}

impl Default for Release {
    fn default() -> Self {
        Self { version: VERSION.to_owned(), resources: amounts([["100m", "256Mi"], ["1", "1Gi"]]) }
    }
}

impl Aspect for Backup {
    type Args = Option<Box<BackupArgs>>;
    type Defaults = BackupDefaults;

    const QUANTITIES: &'static [&'static str] = &[
        "backup.resources.requests.cpu",
        "backup.resources.requests.memory",
        "backup.resources.limits.cpu",
        "backup.resources.limits.memory",
    ];

    fn complete(args: &mut ClusterArgs, _had_keeper: bool) {
        if let (Some(_), Some(defaults)) = (&args.backup, &mut args.defaults) {
            defaults.backup.backup.get_or_insert_default();
        }
    }

    fn check(check: &mut Checker<'_>) -> Self {
        Self { plan: check.args().backup.as_ref().map(|given| Plan::check(given, check)) }
    }

    fn render(&self, cluster: &ValidatedCluster, drafts: &mut Drafts) {
        if let Some(plan) = &self.plan {
            let pod = &mut drafts.installation.pod;
            pod.sidecars.push(plan.container(cluster));
            // A host starts without it, too: backups are not to keep ClickHouse from serving.
            let secret = super::super::names::credentials_secret(&cluster.naming.name);
            pod.volumes.push(json!({"name": CONTAINER, "secret": {"secretName": secret, "optional": true,
                "items": [{"key": CONFIGURATION_KEY, "path": "config.yml"}]}}));
        }
    }

    /// Told by the CronJob, which is this provider's alone, and by the container in the hosts' pods.
    fn read(live: &Live) -> Option<Box<BackupArgs>> {
        let cron_job = live.backup.as_ref()?;
        let containers = live.pod()["spec"]["containers"].as_array()?;
        let container = containers.iter().find(|container| container["name"] == CONTAINER)?;
        let env = &container["env"];
        let count = |name: &str| {
            let entry = env.as_array()?.iter().find(|entry| entry["name"] == name)?;
            text(&entry["value"])
        };
        let (image, tag) = parts(container, &Value::Null, REPOSITORY);
        let Image { repository, digest, pull_policy, .. } = image.unwrap_or_default();
        let is_stopped = yes(&live.spec()["stop"]).is_some();
        let suspended = if is_stopped {
            cron_job["metadata"]["annotations"].get(SUSPENDED_ANNOTATION).is_some()
        } else {
            cron_job["spec"]["suspend"] == true
        };
        let mut args = BackupArgs {
            schedule: text(&cron_job["spec"]["schedule"]),
            time_zone: text(&cron_job["spec"]["timeZone"]),
            retention: Some(RetentionArgs {
                local: count("BACKUPS_TO_KEEP_LOCAL").map(|count| count.parse().unwrap_or_default()),
                remote: count("BACKUPS_TO_KEEP_REMOTE").and_then(|count| count.parse().ok()),
            }),
            image: Some(BackupImage { repository, tag, digest, pull_policy }),
            resources: Resources::of(container),
            suspended: suspended.then_some(true),
            ..BackupArgs::default()
        };
        target::read(env, &mut args);
        Some(Box::new(args))
    }
}

impl Plan {
    fn check(given: &BackupArgs, check: &mut Checker<'_>) -> Self {
        let BackupArgs {
            schedule,
            time_zone,
            retention,
            s3: _,
            gcs: _,
            azure: _,
            image,
            resources,
            suspended,
            restore_from,
        } = given;
        let release = check.args().made_with().backup.backup.unwrap_or_default();
        check.is_for_one_pod_template("backup", true);
        let admin = check.args().access.admin.clone().unwrap_or_default();
        let is_known =
            admin.password.is_some() || admin.existing_secret.is_some() || admin.password_version.is_some();
        if check.adopted().is_some() && !is_known && !check.is_unknown("admin") {
            let reason = "needs the administrator's login, whose password is not known: give it as \
                `admin.password` or `admin.existingSecret`";
            check.fail("backup", reason);
        }
        if let Some(adopted) = check.adopted() {
            check.is_for_one_claim_template("backup", &adopted.data.template, true);
            let has_volume =
                check.args().storage.as_ref().is_some_and(|storage| storage.ephemeral != Some(true));
            if adopted.data.template == Template::None && !has_volume {
                let reason = "the data of this installation is in no volume that a second container could \
                    read: add the backup container in `chiOverrides.templates.podTemplates`";
                check.fail("backup", reason);
            }
        }
        let schedule = schedule.clone().unwrap_or_else(|| SCHEDULE.to_owned());
        if let Some(problem) = schedule::problem(&schedule) {
            check.fail("backup.schedule", problem);
        }
        if let Some(zone) = time_zone
            && (zone.is_empty()
                || zone == "Local"
                || !zone.chars().all(|c| c.is_ascii_alphanumeric() || "_-+/".contains(c)))
        {
            let reason =
                format!("`{zone}` is not a time zone: write for example `Europe/Berlin` or `Etc/UTC`");
            check.fail("backup.timeZone", reason);
        }
        check_restore(restore_from.as_deref(), check);
        let BackupImage { repository, tag, digest, pull_policy } = image.clone().unwrap_or_default();
        let image = Image { repository, tag, digest, pull_policy, pull_secrets: None };
        let of_release = Reference { repository: REPOSITORY, version: Some(&release.version), written: None };
        let RetentionArgs { local, remote } = retention.clone().unwrap_or_default();
        let resources = Resources::complete(resources.clone(), &release.resources);
        Self {
            schedule,
            time_zone: time_zone.clone(),
            local: local.unwrap_or_default(),
            remote: remote.unwrap_or(KEPT),
            target: Target::check(given, check),
            image: ContainerImage::check("backup.image", Some(&image), &of_release, check),
            resources: Resources::check_at("backup.resources", Some(&resources), check),
            suspended: suspended.unwrap_or_default(),
            restore_from: restore_from.clone(),
        }
    }

    /// The container beside ClickHouse. It is told everything but the login by its environment; the login is
    /// in a file, which follows the Secret.
    fn container(&self, cluster: &ValidatedCluster) -> Value {
        let naming = &cluster.naming;
        // What is kept until the next backup is only deleted with a negative number.
        let local = if self.local == 0 { "-1".to_owned() } else { self.local.to_string() };
        let plain = cluster.tls.ports().native;
        let mut env = vec![
            // From its own address, as other pods, the administrator is let in by whatever networks are said.
            json!({"name": "CLICKHOUSE_HOST", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}),
            // Kubernetes would say something else where a Service is called `clickhouse`.
            variable("CLICKHOUSE_PORT", &plain.unwrap_or(address::NATIVE_SECURE_PORT).to_string()),
            variable("API_LISTEN", "127.0.0.1:7171"),
            variable("API_CREATE_INTEGRATION_TABLES", "true"),
            variable("ALLOW_EMPTY_BACKUPS", "true"),
            variable("BACKUPS_TO_KEEP_LOCAL", &local),
            variable("BACKUPS_TO_KEEP_REMOTE", &self.remote.to_string()),
        ];
        if plain.is_none() {
            // It stays within the pod, by whose name no certificate need be.
            env.extend([variable("CLICKHOUSE_SECURE", "true"), variable("CLICKHOUSE_SKIP_VERIFY", "true")]);
        }
        env.extend(self.target.environment(&format!("{}/{}", naming.namespace, naming.name)));
        let data = match &cluster.adopted {
            None => DATA,
            Some(adopted) => adopted.data.template.name().unwrap_or_else(|| adopted.new_name(DATA)),
        };
        let mut container = self.image();
        container.extend([
            ("name".to_owned(), json!(CONTAINER)),
            ("args".to_owned(), json!(["server"])),
            ("env".to_owned(), json!(env)),
            ("resources".to_owned(), json!(self.resources)),
            ("securityContext".to_owned(), confined()),
            (
                "volumeMounts".to_owned(),
                json!([{"name": CONTAINER, "mountPath": "/etc/clickhouse-backup", "readOnly": true},
                    {"name": data, "mountPath": DATA_PATH}]),
            ),
        ]);
        Value::Object(container)
    }

    /// The fields of a container that say what it runs.
    fn image(&self) -> Map<String, Value> {
        let ContainerImage { reference, pull_policy, .. } = &self.image;
        let mut fields = Map::new();
        fields.insert("image".to_owned(), json!(reference));
        if let Some(policy) = pull_policy {
            fields.insert("imagePullPolicy".to_owned(), json!(policy));
        }
        fields
    }
}

fn check_restore(name: Option<&str>, check: &mut Checker<'_>) {
    const PATH: &str = "backup.restoreFrom";
    let Some(name) = name else { return };
    let is_sound = name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    if !is_sound {
        let reason = format!("`{name}` is not the name of a backup: it is one like `2026-11-26t02-00-00`");
        check.fail(PATH, reason);
    }
    let OperationsArgs { skip_await, stopped, suspended, .. } = check.args().operations.clone();
    let in_the_way = [("skipAwait", skip_await), ("stopped", stopped), ("suspended", suspended)];
    for (input, _) in in_the_way.into_iter().filter(|(_, value)| *value == Some(true)) {
        let reason = format!("needs hosts that serve, for which `{input}: true` does not wait: remove it");
        check.fail_newly(PATH.into(), reason);
    }
}

/// Whether an installation has a container that makes backups.
pub(in super::super) fn has_backup_container(installation: &Value) -> bool {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    list(&installation["spec"]["templates"]["podTemplates"])
        .iter()
        .any(|pod| list(&pod["spec"]["containers"]).iter().any(|container| container["name"] == CONTAINER))
}

/// What a namespace asks for that only lets restricted pods in; the user owns ClickHouse's files.
fn confined() -> Value {
    json!({"runAsUser": CLICKHOUSE_USER, "runAsGroup": CLICKHOUSE_USER, "runAsNonRoot": true,
        "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"}})
}

fn variable(name: &str, value: &str) -> Value {
    json!({"name": name, "value": value})
}
