//! How the operator carries changes out.

mod hooks;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use self::hooks::HooksArgs;
use super::read::number;
use super::{Aspect, Checker, ClusterArgs, Drafts, Live, NoDefaults, ValidatedCluster};

/// The longest that the operator waits for a ConfigMap to reach the pods, in seconds.
const LONGEST_PROPAGATION: u32 = 3600;
/// The inputs about how changes are carried out.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ReconcilingArgs {
    /// How the operator carries a change out: how careful it is with each host, and how many at once. A
    /// change takes effect with the next change, without a restart.
    pub reconcile: Option<ReconcileArgs>,

    /// Which tables the operator creates on hosts that are added. A change takes effect when hosts are added.
    pub schema_policy: Option<SchemaPolicyArgs>,

    /// SQL, commands and HTTP requests that the operator runs before and after its work on a host or on the
    /// whole cluster. Needs operator 0.27.1 or newer. A change takes effect with the next event, without a
    /// restart.
    pub hooks: Option<HooksArgs>,
}

/// How the operator carries a change out.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterReconcile")]
pub struct ReconcileArgs {
    /// Whether a host is taken out of rotation and finishes its queries before the operator works on it, and
    /// is back before the next one's turn. Default: as the operator is configured, which is to wait.
    pub policy: Option<ReconcilePolicy>,
    /// How many shards are worked on at once. Default: as the operator is configured, which is 1.
    #[schemars(range(min = 1, max = 65535))]
    pub shards_at_once: Option<u32>,
    /// How many percent of the shards are worked on at once at most. Default: as the operator is configured,
    /// which is 50.
    #[schemars(range(min = 0, max = 100))]
    pub shards_at_once_percent: Option<u32>,
    /// How long the operator waits for a changed ConfigMap to reach the pods, in seconds, at most 3600.
    /// Default: 10.
    #[schemars(range(min = 0, max = 3600))]
    pub config_map_propagation_seconds: Option<u32>,
}

/// Whether the operator waits for a host's queries and for its return.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ClusterReconcilePolicy")]
pub enum ReconcilePolicy {
    /// Out of rotation first, then the queries, then the work, then back.
    Wait,
    /// At once: queries that run are lost.
    NoWait,
}

/// Which tables are created on hosts that are added.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterSchemaPolicy")]
pub struct SchemaPolicyArgs {
    /// What a new replica gets from the other replicas of its shard. Default: `All`.
    pub replica: Option<ReplicaSchema>,
    /// What a new shard gets from the other shards. Default: `All`.
    pub shard: Option<ShardSchema>,
}

/// Which tables a new replica gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ClusterReplicaSchema")]
pub enum ReplicaSchema {
    /// All tables.
    All,
    /// None.
    None,
}

/// Which tables a new shard gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ClusterShardSchema")]
pub enum ShardSchema {
    /// All tables.
    All,
    /// None.
    None,
    /// The distributed tables, and those that they read from.
    DistributedTablesOnly,
}

/// How changes are carried out, in the operator's words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in super::super) struct Reconciling {
    /// `spec.reconciling`, the name that every operator has for it.
    reconcile: Map<String, Value>,
    /// The cluster's `schemaPolicy`.
    schema_policy: Map<String, Value>,
    /// The cluster's `reconcile`, which holds the hooks.
    hooks: Map<String, Value>,
}

impl Aspect for Reconciling {
    type Args = ReconcilingArgs;
    type Defaults = NoDefaults;

    fn complete(_args: &mut ClusterArgs, _had_keeper: bool) {}

    fn check(check: &mut Checker<'_>) -> Self {
        let ReconcilingArgs { reconcile, schema_policy, hooks } = check.args().reconciling.clone();
        Self {
            reconcile: reconcile.unwrap_or_default().checked(check),
            schema_policy: schema_policy.map(SchemaPolicyArgs::rendered).unwrap_or_default(),
            hooks: hooks.unwrap_or_default().checked(check),
        }
    }

    fn render(&self, _cluster: &ValidatedCluster, drafts: &mut Drafts) {
        let draft = &mut drafts.installation;
        let say = |place: &mut Map<String, Value>, field: &str, said: &Map<String, Value>| {
            if !said.is_empty() {
                place.insert(field.to_owned(), Value::Object(said.clone()));
            }
        };
        say(&mut draft.fields, "reconciling", &self.reconcile);
        say(&mut draft.cluster, "schemaPolicy", &self.schema_policy);
        say(&mut draft.cluster, "reconcile", &self.hooks);
    }

    fn read(live: &Live) -> ReconcilingArgs {
        // Of somebody else's it stays in the operator's words.
        if live.adopted.is_some() {
            return ReconcilingArgs::default();
        }
        ReconcilingArgs {
            reconcile: ReconcileArgs::read(&live.spec()["reconciling"]),
            schema_policy: serde_json::from_value(live.cluster()["schemaPolicy"].clone())
                .ok()
                .filter(|policy| *policy != SchemaPolicyArgs::default()),
            hooks: HooksArgs::read(&live.cluster()["reconcile"]),
        }
    }
}

impl ReconcileArgs {
    fn checked(self, check: &mut Checker<'_>) -> Map<String, Value> {
        let Self { policy, shards_at_once, shards_at_once_percent, config_map_propagation_seconds } = self;
        for (field, given, least, most) in [
            ("shardsAtOnce", shards_at_once, 1, u32::from(u16::MAX)),
            ("shardsAtOncePercent", shards_at_once_percent, 0, 100),
            ("configMapPropagationSeconds", config_map_propagation_seconds, 0, LONGEST_PROPAGATION),
        ] {
            if let Some(given) = given.filter(|given| !(least..=most).contains(given)) {
                let reason = format!("is {given}, but must be between {least} and {most}");
                check.fail(&format!("reconcile.{field}"), reason);
            }
        }
        let mut rendered = Map::new();
        if let Some(policy) = policy {
            let word = if policy == ReconcilePolicy::Wait { "wait" } else { "nowait" };
            rendered.insert("policy".to_owned(), json!(word));
        }
        if let Some(seconds) = config_map_propagation_seconds {
            rendered.insert("configMapPropagationTimeout".to_owned(), json!(seconds));
        }
        let runtime: Map<_, _> = [
            ("reconcileShardsThreadsNumber", shards_at_once),
            ("reconcileShardsMaxConcurrencyPercent", shards_at_once_percent),
        ]
        .into_iter()
        .filter_map(|(field, given)| Some((field.to_owned(), json!(given?))))
        .collect();
        if !runtime.is_empty() {
            rendered.insert("runtime".to_owned(), Value::Object(runtime));
        }
        rendered
    }

    fn read(said: &Value) -> Option<Self> {
        let read = Self {
            policy: match said["policy"].as_str() {
                Some("wait") => Some(ReconcilePolicy::Wait),
                Some("nowait") => Some(ReconcilePolicy::NoWait),
                _ => None,
            },
            shards_at_once: number(&said["runtime"]["reconcileShardsThreadsNumber"]),
            shards_at_once_percent: number(&said["runtime"]["reconcileShardsMaxConcurrencyPercent"]),
            config_map_propagation_seconds: number(&said["configMapPropagationTimeout"]),
        };
        (read != Self::default()).then_some(read)
    }
}

impl SchemaPolicyArgs {
    fn rendered(self) -> Map<String, Value> {
        let Self { replica, shard } = self;
        let said = [("replica", replica.map(|said| json!(said))), ("shard", shard.map(|said| json!(said)))];
        said.into_iter().filter_map(|(field, said)| Some((field.to_owned(), said?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::cluster::tests::{built, problems_of_program};

    #[test]
    fn what_is_asked_of_the_operator_stands_where_it_reads_it() {
        let program = json!({"reconcile": {"policy": "NoWait", "shardsAtOnce": 4, "shardsAtOncePercent": 25,
                "configMapPropagationSeconds": 60},
            "schemaPolicy": {"replica": "None", "shard": "DistributedTablesOnly"},
            "hooks": {"beforeHost": [{"events": ["HostShutdown"], "sql": ["SYSTEM FLUSH LOGS"]}],
                "afterCluster": [{"events": ["ClusterCreate"], "sql": ["CREATE DATABASE a"],
                    "target": "AllHosts", "failurePolicy": "Ignore"}]}});
        let spec = built(program).installation.unwrap()["spec"].take();
        assert_eq!(
            spec["reconciling"],
            json!({"policy": "nowait", "configMapPropagationTimeout": 60,
                "runtime": {"reconcileShardsThreadsNumber": 4, "reconcileShardsMaxConcurrencyPercent": 25}})
        );
        let cluster = &spec["configuration"]["clusters"][0];
        assert_eq!(cluster["schemaPolicy"], json!({"replica": "None", "shard": "DistributedTablesOnly"}));
        assert_eq!(
            cluster["reconcile"],
            json!({"host": {"hooks": {"pre": [{"events": ["HostShutdown"],
                "sql": {"queries": ["SYSTEM FLUSH LOGS"]}}]}},
                "hooks": {"post": [{"events": ["ClusterCreate"], "sql": {"queries": ["CREATE DATABASE a"]},
                    "target": "AllHosts", "failurePolicy": "Ignore"}]}})
        );
    }

    #[test]
    fn what_the_operator_would_not_take_is_refused() {
        let hook = |hook: Value| json!({"hooks": {"beforeHost": [hook]}});
        for (path, program) in [
            ("reconcile.shardsAtOnce", json!({"reconcile": {"shardsAtOnce": 0}})),
            ("reconcile.shardsAtOncePercent", json!({"reconcile": {"shardsAtOncePercent": 101}})),
            ("hooks.beforeHost[0].events", hook(json!({"sql": ["SELECT 1"]}))),
            (
                "hooks.beforeHost[0].events[0]",
                hook(json!({"events": ["ClusterCreate"], "sql": ["SELECT 1"]})),
            ),
            ("hooks.beforeHost[0].events[0]", hook(json!({"events": ["hostcreate"], "sql": ["SELECT 1"]}))),
            ("hooks.beforeHost[0]", hook(json!({"events": ["Any"]}))),
            (
                "hooks.beforeHost[0]",
                hook(json!({"events": ["Any"], "sql": ["SELECT 1"], "shell": {"command": ["a"]}})),
            ),
            ("hooks.beforeHost[0].sql", hook(json!({"events": ["Any"], "sql": []}))),
            ("hooks.beforeHost[0].shell.command", hook(json!({"events": ["Any"], "shell": {}}))),
            ("hooks.beforeHost[0].http.url", hook(json!({"events": ["Any"], "http": {"url": "x"}}))),
            (
                "hooks.beforeHost[0].target",
                hook(json!({"events": ["Any"], "sql": ["SELECT 1"], "target": "AllHosts"})),
            ),
        ] {
            let found = problems_of_program(None, program);
            assert!(found.len() == 1 && found[0].starts_with(&format!("{path}: ")), "{path}: {found:?}");
        }
    }
}
