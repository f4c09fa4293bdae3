//! The logging of ClickHouse.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::read::{number, text};
use super::{Aspect, Checker, ClusterArgs, Drafts, Live, ValidatedCluster};

/// The setting of the level.
const LEVEL: &str = "logger/level";
/// The settings of the rotation.
const SIZE: &str = "logger/size";
const COUNT: &str = "logger/count";
/// The log tables whose `engine` the operator's configuration says: there the retention stands inside.
const OF_OPERATOR: [&str; 3] = ["query_log", "part_log", "trace_log"];
/// The log tables that the image's configuration turns on without an `engine`. A section for another one
/// would turn it on.
const OF_IMAGE: [&str; 11] = [
    "asynchronous_insert_log",
    "asynchronous_metric_log",
    "backup_log",
    "blob_storage_log",
    "error_log",
    "metric_log",
    "processors_profile_log",
    "query_metric_log",
    "query_views_log",
    "s3queue_log",
    "text_log",
];
/// The log table whose `engine` the image's configuration says, since it has no `event_date`.
const SPANS: &str = "opentelemetry_span_log";

/// The logging of ClickHouse.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterLogging")]
pub struct LoggingArgs {
    /// The lowest log level. Default: `information`. A change takes effect without a restart.
    pub level: Option<LogLevel>,
    /// The rotation of the log files. Default: 3 files of `100M` each where they are in the container's own
    /// filesystem, which is a cluster without `storage.logs`; else what the operator says. A cluster that
    /// earlier releases made keeps the operator's. A change takes effect without a restart.
    pub rotation: Option<RotationArgs>,
    /// The system tables that ClickHouse keeps logs in.
    pub system_tables: Option<SystemTablesArgs>,
}

/// The rotation of the log files. There are two logs, of all messages and of errors, and each is rotated.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterLogRotation")]
pub struct RotationArgs {
    /// The size at which a new file is begun, in `K` or `M`, like `100M`. Default: `100M`.
    pub size: Option<String>,
    /// How many old files are kept. Default: 3.
    #[schemars(range(min = 1))]
    pub count: Option<u32>,
}

/// The system tables with logs, like `system.query_log`.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterSystemTables")]
pub struct SystemTablesArgs {
    /// After how many days their rows are deleted. Default: 30 for queries, parts and traces, by the
    /// operator; for the others as ClickHouse has it, mostly never. A change is a rolling restart; ClickHouse
    /// renames the tables that are there, like `system.query_log_0`, and they stay.
    #[schemars(range(min = 1))]
    pub retention_days: Option<u32>,
}

/// A log level of ClickHouse, from none to the most verbose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "ClusterLogLevel")]
pub enum LogLevel {
    /// No messages.
    None,
    /// Fatal errors.
    Fatal,
    /// Critical errors.
    Critical,
    /// Errors.
    Error,
    /// Warnings.
    Warning,
    /// Notices.
    Notice,
    /// Informational messages.
    Information,
    /// Debug messages.
    Debug,
    /// Trace messages.
    Trace,
    /// Test messages, the most verbose.
    Test,
}

/// The logging of ClickHouse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Logging {
    /// `None` where ClickHouse's own default is to hold.
    level: Option<LogLevel>,
    /// `None` where the operator's own is to hold.
    rotation: Option<Rotation>,
    /// In days; `None` where that of the operator and of ClickHouse is to hold.
    retention: Option<u32>,
}

/// How log files are rotated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Rotation {
    size: String,
    count: u32,
}

impl Default for Rotation {
    fn default() -> Self {
        Self { size: "100M".to_owned(), count: 3 }
    }
}

/// The log level, and the rotation of logs without a volume, that the cluster was made with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in super::super) struct LoggingDefaults {
    pub(in super::super) log_level: LogLevel,
    #[serde(skip_serializing_if = "Option::is_none")]
    log_rotation: Option<Rotation>,
}

impl Default for LoggingDefaults {
    fn default() -> Self {
        Self { log_level: LogLevel::Information, log_rotation: None }
    }
}

impl Aspect for Logging {
    type Args = Option<LoggingArgs>;
    type Defaults = LoggingDefaults;

    fn of_new(defaults: &mut LoggingDefaults) {
        defaults.log_rotation = Some(Rotation::default());
    }

    fn complete(_args: &mut ClusterArgs, _had_keeper: bool) {}

    fn check(check: &mut Checker<'_>) -> Self {
        let args = check.args();
        let LoggingArgs { level, rotation, system_tables } = args.logging.clone().unwrap_or_default();
        let made_with = || args.adopted().is_none().then(|| args.made_with().logging);
        let has_volume = args.storage.as_ref().is_some_and(|storage| storage.logs.is_some());
        let level = level.or_else(|| made_with().map(|defaults| defaults.log_level));
        let by_default = || made_with().filter(|_| !has_volume)?.log_rotation;
        let rotation = rotation.map(|given| Rotation::check(given, check)).or_else(by_default);
        let retention = system_tables.and_then(|tables| tables.retention_days);
        if retention == Some(0) {
            check.fail("logging.systemTables.retentionDays", "must be at least 1");
        }
        Self { level, rotation, retention }
    }

    fn render(&self, _cluster: &ValidatedCluster, drafts: &mut Drafts) {
        let Self { level, rotation, retention } = self;
        let settings = &mut drafts.installation.settings;
        if let Some(level) = level {
            settings.insert(LEVEL.to_owned(), json!(level));
        }
        if let Some(Rotation { size, count }) = rotation {
            settings.insert(SIZE.to_owned(), json!(size));
            settings.insert(COUNT.to_owned(), json!(count));
        }
        if let Some(days) = *retention {
            for log in OF_OPERATOR {
                settings.insert(format!("{log}/engine"), json!(engine(days)));
            }
            for log in OF_IMAGE {
                settings
                    .insert(format!("{log}/ttl"), json!(format!("event_date + INTERVAL {days} DAY DELETE")));
            }
            let spans = format!(
                "ENGINE = MergeTree PARTITION BY toYYYYMM(finish_date) \
                    ORDER BY (finish_date, finish_time_us, trace_id) TTL finish_date + INTERVAL {days} DAY"
            );
            settings.insert(format!("{SPANS}/engine"), json!(spans));
        }
    }

    fn read(live: &Live) -> Option<LoggingArgs> {
        let settings = &live.spec()["configuration"]["settings"];
        let level = settings.get(LEVEL).and_then(|level| serde_json::from_value(level.clone()).ok());
        // What somebody else says of the rest stays where it is.
        let is_ours = live.adopted.is_none();
        let rotation = RotationArgs { size: text(&settings[SIZE]), count: number(&settings[COUNT]) };
        let retention = settings[format!("{}/engine", OF_OPERATOR[0])].as_str().and_then(days);
        let read = LoggingArgs {
            level,
            rotation: Some(rotation).filter(|rotation| is_ours && *rotation != RotationArgs::default()),
            system_tables: retention
                .filter(|_| is_ours)
                .map(|days| SystemTablesArgs { retention_days: Some(days) }),
        };
        Some(read).filter(|read| *read != LoggingArgs::default())
    }
}

impl Rotation {
    fn check(given: RotationArgs, check: &mut Checker<'_>) -> Self {
        let RotationArgs { size, count } = given;
        let default = Self::default();
        if let Some(size) = &size {
            let digits = size.strip_suffix(['K', 'M']).unwrap_or(size);
            let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            if !is_number || digits.bytes().all(|byte| byte == b'0') {
                let reason = format!(
                    "`{size}` is not a size that ClickHouse's logger knows: write for example `100M`"
                );
                check.fail("logging.rotation.size", reason);
            }
        }
        if count == Some(0) {
            check.fail("logging.rotation.count", "must be at least 1");
        }
        Self { size: size.unwrap_or(default.size), count: count.unwrap_or(default.count) }
    }
}

/// The engine of a log table of the operator's that keeps rows for some days: as its own, but for these.
fn engine(days: u32) -> String {
    format!(
        "ENGINE = MergeTree PARTITION BY event_date ORDER BY event_time TTL event_date + INTERVAL {days} DAY"
    )
}

/// For how many days an engine keeps rows, where it is one of these.
fn days(said: &str) -> Option<u32> {
    let days = said.strip_suffix(" DAY")?.rsplit(' ').next()?.parse().ok()?;
    (engine(days) == said).then_some(days)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::kubernetes::cluster::aspects::Defaults;
    use crate::kubernetes::cluster::settings::problems as of_settings;
    use crate::kubernetes::cluster::tests::{adopted, built, changed, problems};

    fn settings(mut program: Value, is_new: bool) -> Value {
        if is_new {
            program["__defaults"] = json!(Defaults::of_new());
        }
        built(program).installation.unwrap()["spec"]["configuration"]["settings"].take()
    }

    #[test]
    fn logs_without_a_volume_of_a_new_cluster_stay_small() {
        let new = settings(json!({}), true);
        assert_eq!((&new["logger/size"], &new["logger/count"]), (&json!("100M"), &json!(3)));
        for (program, is_new) in [(json!({}), false), (json!({"storage": {"logs": {}}}), true)] {
            assert_eq!(settings(program, is_new), json!({"logger/level": "information"}));
        }
        let given = settings(json!({"logging": {"rotation": {"size": "2M"}}}), false);
        assert_eq!((&given["logger/size"], &given["logger/count"]), (&json!("2M"), &json!(3)));
        let spec = changed(&adopted(json!({})), json!({"logging": {"rotation": {"count": 5}}})).unwrap();
        let rotated = json!({"logger/size": "100M", "logger/count": 5});
        assert_eq!(spec["configuration"]["settings"], rotated);
    }

    #[test]
    fn the_retention_stands_where_clickhouse_takes_it() {
        let built = built(json!({"logging": {"systemTables": {"retentionDays": 7}}}));
        let installation = built.installation.unwrap();
        let settings = &installation["spec"]["configuration"]["settings"];
        let said = |key: &str| settings[key].as_str().unwrap_or_default();
        assert!(said("query_log/engine").ends_with("TTL event_date + INTERVAL 7 DAY"));
        assert_eq!(
            (said("metric_log/ttl"), said("query_log/ttl")),
            ("event_date + INTERVAL 7 DAY DELETE", "")
        );
        assert_eq!(of_settings(&installation), []);
    }

    #[test]
    fn what_the_logger_does_not_know_is_refused() {
        for (logging, problem) in [
            (json!({"rotation": {"size": "100MB"}}), "logging.rotation.size: `100MB` is not a size"),
            (json!({"rotation": {"size": "0M"}}), "logging.rotation.size: `0M` is not a size"),
            (json!({"rotation": {"count": 0}}), "logging.rotation.count: must be at least 1"),
            (json!({"systemTables": {"retentionDays": 0}}), "logging.systemTables.retentionDays: must be"),
        ] {
            let told = problems(json!({"logging": logging}));
            assert!(told.len() == 1 && told[0].starts_with(problem), "{told:?}");
        }
    }
}
