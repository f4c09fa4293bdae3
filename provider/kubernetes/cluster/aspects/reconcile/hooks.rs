//! What the operator runs before and after its work.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::super::Checker;
use super::super::read::text;
use crate::property::path::PropertyPath;

/// The events of hosts that hooks can be run at, as operator 0.27.1 has them.
const HOST_EVENTS: [&str; 9] = [
    "Any",
    "HostCreate",
    "HostUpdate",
    "HostStart",
    "HostStop",
    "HostConfigRestart",
    "HostRollout",
    "HostShutdown",
    "HostDelete",
];
/// The same of clusters.
const CLUSTER_EVENTS: [&str; 4] = ["Any", "ClusterCreate", "ClusterReconcile", "ClusterDelete"];

/// What the operator runs before and after its work.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterHooks")]
pub struct HooksArgs {
    /// Before the work on a host, on that host.
    pub before_host: Option<Vec<HookArgs>>,
    /// After the work on a host, on that host.
    pub after_host: Option<Vec<HookArgs>>,
    /// Before the work on the cluster.
    pub before_cluster: Option<Vec<HookArgs>>,
    /// After the work on the cluster.
    pub after_cluster: Option<Vec<HookArgs>>,
}

/// Something that the operator runs at an event. Exactly one of `sql`, `shell` and `http` is given.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterHook")]
pub struct HookArgs {
    /// At which events: of hosts `HostCreate`, `HostUpdate`, `HostStart`, `HostStop`, `HostConfigRestart`,
    /// `HostRollout`, `HostShutdown`, `HostDelete`; of the cluster `ClusterCreate`, `ClusterReconcile`,
    /// `ClusterDelete`; `Any` for all of them.
    #[schemars(extend("alwaysPresent" = true))]
    pub events: Option<Vec<String>>,
    /// SQL statements, run one after the other.
    pub sql: Option<Vec<String>>,
    /// A command in a container of the host's pod. Operator 0.27.1 refuses it.
    pub shell: Option<ShellHookArgs>,
    /// An HTTP request by the operator. Operator 0.27.1 refuses it.
    pub http: Option<HttpHookArgs>,
    /// Where a hook of the cluster runs. Default: `FirstHost`.
    pub target: Option<HookTarget>,
    /// What happens when it fails. Default: `Fail`.
    pub failure_policy: Option<HookFailurePolicy>,
}

/// A command in a container of the host's pod.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterShellHook")]
pub struct ShellHookArgs {
    /// The command and its arguments.
    #[schemars(extend("alwaysPresent" = true))]
    pub command: Option<Vec<String>>,
    /// The container. Default: ClickHouse's.
    pub container: Option<String>,
}

/// An HTTP request.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterHttpHook")]
pub struct HttpHookArgs {
    /// The URL.
    #[schemars(extend("alwaysPresent" = true))]
    pub url: Option<String>,
    /// The method. Default: the operator's.
    pub method: Option<String>,
}

/// Where a hook of the cluster runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ClusterHookTarget")]
pub enum HookTarget {
    /// On the first host.
    FirstHost,
    /// On all hosts.
    AllHosts,
    /// On one host of each shard.
    AllShards,
}

/// What happens when a hook fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ClusterHookFailurePolicy")]
pub enum HookFailurePolicy {
    /// The change fails.
    Fail,
    /// The operator logs it and goes on.
    Ignore,
}

impl HooksArgs {
    pub(super) fn checked(self, check: &mut Checker<'_>) -> Map<String, Value> {
        let Self { before_host, after_host, before_cluster, after_cluster } = self;
        let mut rendered = json!({});
        for (field, given, place, events) in [
            ("beforeHost", before_host, ["host", "hooks", "pre"].as_slice(), HOST_EVENTS.as_slice()),
            ("afterHost", after_host, &["host", "hooks", "post"], &HOST_EVENTS),
            ("beforeCluster", before_cluster, &["hooks", "pre"], &CLUSTER_EVENTS),
            ("afterCluster", after_cluster, &["hooks", "post"], &CLUSTER_EVENTS),
        ] {
            let path = PropertyPath::from("hooks").key(field);
            let hooks: Vec<_> = given
                .into_iter()
                .flatten()
                .enumerate()
                .map(|(index, hook)| hook.checked(&path.index(index), events, check))
                .collect();
            if !hooks.is_empty() {
                *place.iter().fold(&mut rendered, |parent, key| &mut parent[*key]) = json!(hooks);
            }
        }
        rendered.as_object().cloned().unwrap_or_default()
    }

    pub(super) fn read(said: &Value) -> Option<Self> {
        let hooks = |said: &Value| {
            let all: Option<Vec<_>> = said.as_array()?.iter().map(HookArgs::read).collect();
            all.filter(|hooks| !hooks.is_empty())
        };
        let read = Self {
            before_host: hooks(&said["host"]["hooks"]["pre"]),
            after_host: hooks(&said["host"]["hooks"]["post"]),
            before_cluster: hooks(&said["hooks"]["pre"]),
            after_cluster: hooks(&said["hooks"]["post"]),
        };
        (read != Self::default()).then_some(read)
    }
}

impl HookArgs {
    /// The hook in the operator's words; `known` are the events that there are.
    fn checked(self, path: &PropertyPath, known: &[&str], check: &mut Checker<'_>) -> Value {
        let Self { events, sql, shell, http, target, failure_policy } = self;
        let events = events.unwrap_or_default();
        if events.is_empty() {
            let reason = format!("must name at least one of {}", known.join(", "));
            check.fail_at(path.key("events"), reason);
        }
        for (index, event) in events.iter().enumerate() {
            // What a later operator may know.
            let is_of_other = HOST_EVENTS.iter().chain(&CLUSTER_EVENTS).any(|other| other == event);
            let is_misspelt =
                known.iter().any(|known| known.eq_ignore_ascii_case(event)) && !known.contains(&&**event);
            if !known.contains(&&**event) && (is_of_other || is_misspelt) {
                let reason = format!("`{event}` is no event of this hook: use one of {}", known.join(", "));
                check.fail_at(path.key("events").index(index), reason);
            }
        }
        let actions =
            [sql.is_some(), shell.is_some(), http.is_some()].into_iter().filter(|given| *given).count();
        if actions != 1
            && !["sql", "shell", "http"].iter().any(|action| check.is_unknown_at(&path.key(*action)))
        {
            check.fail_at(path.clone(), "must have exactly one of `sql`, `shell` and `http`");
        }
        if sql.as_ref().is_some_and(|statements| statements.iter().all(|text| text.trim().is_empty())) {
            check.fail_at(path.key("sql"), "must hold at least one statement");
        }
        if target.is_some() && known == HOST_EVENTS {
            let reason = "is for hooks of the cluster: a host's hook runs on that host; remove it";
            check.fail_at(path.key("target"), reason);
        }
        let mut hook = json!({"events": events});
        if let Some(statements) = sql {
            hook["sql"] = json!({"queries": statements});
        }
        if let Some(shell) = shell {
            if shell.command.as_ref().is_none_or(Vec::is_empty) {
                check.fail_at(path.key("shell").key("command"), "must hold a command");
            }
            hook["shell"] = json!(shell);
        }
        if let Some(http) = http {
            let is_url = |url: &String| url.starts_with("http://") || url.starts_with("https://");
            if !http.url.as_ref().is_some_and(is_url) {
                let reason = "must be a URL that begins with `http://` or `https://`";
                check.fail_at(path.key("http").key("url"), reason);
            }
            hook["http"] = json!(http);
        }
        if let Some(target) = target {
            hook["target"] = json!(target);
        }
        if let Some(policy) = failure_policy {
            hook["failurePolicy"] = json!(policy);
        }
        hook
    }

    fn read(said: &Value) -> Option<Self> {
        let strings = |said: &Value| -> Option<Vec<String>> { said.as_array()?.iter().map(text).collect() };
        let given = |said: &Value| (!said.is_null()).then(|| said.clone());
        Some(Self {
            events: strings(&said["events"]),
            sql: strings(&said["sql"]["queries"]),
            shell: given(&said["shell"]).map(serde_json::from_value).transpose().ok()?,
            http: given(&said["http"]).map(serde_json::from_value).transpose().ok()?,
            target: given(&said["target"]).map(serde_json::from_value).transpose().ok()?,
            failure_policy: given(&said["failurePolicy"]).map(serde_json::from_value).transpose().ok()?,
        })
    }
}
