//! The operator's own kinds.

use serde::{Deserialize, Deserializer};

use super::{Nothing, Object};

/// A `ClickHouseInstallation`.
pub type Installation = Object<InstallationSpec, InstallationStatus>;

/// What its spec says about the work on it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct InstallationSpec {
    /// The id of the change that is wanted.
    #[serde(rename = "taskID")]
    pub task_id: Option<String>,
    /// Whether the operator leaves it alone.
    pub suspend: Option<String>,
}

impl InstallationSpec {
    /// Whether the operator leaves it alone.
    pub fn is_suspended(&self) -> bool {
        self.suspend
            .as_deref()
            .is_some_and(|word| matches!(word.to_ascii_lowercase().as_str(), "yes" | "true" | "1" | "on" | "enable" | "enabled"))
    }
}

/// What the operator says about it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct InstallationStatus {
    /// `InProgress`, `Completed`, `Aborted` or `Terminating`.
    pub status: String,
    /// The change that was taken up last.
    #[serde(rename = "taskID")]
    pub task_id: Option<String>,
    /// The changes begun, the newest first.
    #[serde(rename = "taskIDsStarted")]
    pub task_ids_started: Vec<String>,
    /// The changes ended, well or not, the newest first.
    #[serde(rename = "taskIDsCompleted")]
    pub task_ids_completed: Vec<String>,
    /// The newest error; also of steps that were tried again and went well.
    pub error: Option<String>,
    /// The newest of all errors so far, with its time.
    #[serde(deserialize_with = "newest")]
    pub errors: Option<String>,
    /// How many hosts it is to have.
    pub hosts: u32,
    /// How many of them this change is done with. Absent after the change.
    pub hosts_completed: u32,
    /// The operator's version.
    #[serde(rename = "chop-version")]
    pub chop_version: Option<String>,
}

fn newest<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<Vec<String>>::deserialize(deserializer)?.and_then(|errors| errors.into_iter().next()))
}

/// A `ClickHouseKeeperInstallation`.
pub type KeeperInstallation = Object<Nothing, KeeperStatus>;

/// What the operator says about it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KeeperStatus {
    /// As of an installation.
    pub status: String,
    /// The object as it was when its last change was completed.
    pub normalized_completed: Option<Normalized>,
    /// The operator's version.
    #[serde(rename = "chop-version")]
    pub chop_version: Option<String>,
}

/// The generation of a completed change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Normalized {
    /// Its metadata.
    pub metadata: NormalizedMeta,
}

/// See [`Normalized`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct NormalizedMeta {
    /// The generation.
    pub generation: i64,
}
