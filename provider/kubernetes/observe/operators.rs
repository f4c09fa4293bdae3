//! The operator's own kinds.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::Object;

/// A `ClickHouseInstallation`.
pub type Installation = Object<InstallationSpec, InstallationStatus>;

/// What its spec says about the work on it; a Keeper's has no task.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct InstallationSpec {
    /// The id of the change that is wanted.
    #[serde(rename = "taskID")]
    pub task_id: Option<String>,
    /// Whether the operator leaves it alone, as the operator's yes or no.
    pub suspend: Option<String>,
    /// Whether no host is to run, likewise.
    pub stop: Option<String>,
    /// The coordination servers that its clusters name, as `host:port`.
    #[serde(rename = "configuration", deserialize_with = "coordination")]
    pub coordination: Vec<String>,
}

impl InstallationSpec {
    /// Whether the operator leaves it alone.
    pub fn is_suspended(&self) -> bool {
        self.suspend.as_deref().and_then(yes_or_no) == Some(true)
    }

    /// Whether no host is to run.
    pub fn is_stopped(&self) -> bool {
        self.stop.as_deref().and_then(yes_or_no) == Some(true)
    }
}

/// What a word says to the operator, which has many spellings for yes and no; `None` when it is another word.
pub fn yes_or_no(word: &str) -> Option<bool> {
    match word.to_ascii_lowercase().as_str() {
        "yes" | "true" | "1" | "on" | "enable" | "enabled" => Some(true),
        "no" | "false" | "0" | "off" | "disable" | "disabled" => Some(false),
        _ => None,
    }
}

/// Whether the operator takes a value for a yes; newer ones take true, too.
pub fn is_yes(value: &Value) -> bool {
    value.as_bool().or_else(|| yes_or_no(value.as_str()?)) == Some(true)
}

#[derive(Deserialize)]
struct Configuration {
    zookeeper: Option<Coordination>,
    clusters: Option<Vec<OneCluster>>,
}

#[derive(Deserialize)]
struct OneCluster {
    zookeeper: Option<Coordination>,
}

#[derive(Deserialize)]
struct Coordination {
    nodes: Option<Vec<Node>>,
}

#[derive(Deserialize)]
struct Node {
    host: Option<String>,
    port: Option<u32>,
}

fn coordination<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let Some(configuration) = Option::<Configuration>::deserialize(deserializer)? else {
        return Ok(Vec::new());
    };
    let clusters = configuration.clusters.into_iter().flatten().filter_map(|cluster| cluster.zookeeper);
    let nodes = configuration
        .zookeeper
        .into_iter()
        .chain(clusters)
        .flat_map(|coordination| coordination.nodes.unwrap_or_default());
    let mut servers: Vec<_> = nodes
        .filter_map(|node| Some(format!("{}:{}", node.host?, node.port.unwrap_or(DEFAULT_PORT))))
        .collect();
    servers.sort_unstable();
    servers.dedup();
    Ok(servers)
}

/// The port of a coordination server that names none.
const DEFAULT_PORT: u32 = 2181;

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
    /// What it keeps of all errors so far.
    #[serde(deserialize_with = "errors")]
    pub errors: Errors,
    /// How many hosts it is to have.
    pub hosts: u32,
    /// The pods of these hosts, whether they exist or not.
    pub pods: Vec<String>,
    /// How many of them this change is done with. Absent after the change.
    pub hosts_completed: u32,
    /// The operator's version.
    #[serde(rename = "chop-version")]
    pub chop_version: Option<String>,
}

/// What is kept of an installation's errors, each with its time before it: of many of them nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Errors {
    /// The newest.
    pub newest: Option<String>,
    /// The newest that says that the API server was out of the operator's reach.
    pub outage: Option<String>,
}

fn errors<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Errors, D::Error> {
    let all = Option::<Vec<String>>::deserialize(deserializer)?.unwrap_or_default();
    Ok(Errors { outage: all.iter().find(|error| is_outage(error)).cloned(), newest: all.into_iter().next() })
}

/// Whether an error of the operator says that it could not reach the API server: a request there failed on
/// its way, or was answered that nobody is at home. Requests to the hosts themselves fail in similar words.
pub fn is_outage(error: &str) -> bool {
    const AWAY: [&str; 3] =
        ["the server is currently unable to handle the request", "apiserver not ready", "etcdserver: "];
    const LOST: [&str; 7] = [
        "connection refused",
        "connection reset",
        "connection lost",
        "i/o timeout",
        "TLS handshake timeout",
        "no route to host",
        ": EOF",
    ];
    let to_the_api = error.contains("\"https://") && (error.contains("/api/") || error.contains("/apis/"));
    AWAY.iter().any(|words| error.contains(words))
        || (to_the_api && LOST.iter().any(|words| error.contains(words)))
}

/// A `ClickHouseKeeperInstallation`.
pub type KeeperInstallation = Object<InstallationSpec, KeeperStatus>;

/// What the operator says about it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KeeperStatus {
    /// As of an installation.
    pub status: String,
    /// The pods of its members, whether they exist or not.
    pub pods: Vec<String>,
    /// The object as it was when its last change was taken up.
    pub normalized: Option<Normalized>,
    /// The object as it was when its last change was completed.
    pub normalized_completed: Option<Normalized>,
    /// The operator's version.
    #[serde(rename = "chop-version")]
    pub chop_version: Option<String>,
}

/// The generation of a change.
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
