//! The logging of ClickHouse.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Aspect, Checker, ClusterArgs, Drafts, Live, ValidatedCluster};

/// The setting of the level.
const LEVEL: &str = "logger/level";

/// The logging of ClickHouse.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterLogging")]
pub struct LoggingArgs {
    /// The lowest log level. Default: `information`. A change takes effect without a restart.
    pub level: Option<LogLevel>,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Logging {
    /// `None` where ClickHouse's own default is to hold.
    level: Option<LogLevel>,
}

/// The log level that the cluster was made with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in super::super) struct LoggingDefaults {
    pub(in super::super) log_level: LogLevel,
}

impl Default for LoggingDefaults {
    fn default() -> Self {
        Self { log_level: LogLevel::Information }
    }
}

impl Aspect for Logging {
    type Args = Option<LoggingArgs>;
    type Defaults = LoggingDefaults;

    fn complete(_args: &mut ClusterArgs, _had_keeper: bool) {}

    fn check(check: &mut Checker<'_>) -> Self {
        let LoggingArgs { level } = check.args().logging.clone().unwrap_or_default();
        let default = || check.adopted().is_none().then(|| check.args().made_with().logging.log_level);
        Self { level: level.or_else(default) }
    }

    fn render(&self, _cluster: &ValidatedCluster, drafts: &mut Drafts) {
        if let Some(level) = self.level {
            drafts.installation.settings.insert(LEVEL.to_owned(), json!(level));
        }
    }

    fn read(live: &Live) -> Option<LoggingArgs> {
        let level = live.spec()["configuration"]["settings"].get(LEVEL)?;
        Some(LoggingArgs { level: Some(serde_json::from_value(level.clone()).ok()?) })
    }
}
