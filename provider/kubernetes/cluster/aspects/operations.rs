//! How a cluster is operated: stopped, suspended, restarted, and how changes are made.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::draft::yes_no;
use super::read::{text, yes};
use super::{Aspect, Checker, ClusterArgs, Drafts, Live, ValidatedCluster};

/// On a pod template: the `restartToken` that it was last written with.
pub(in super::super) const RESTART_ANNOTATION: &str = "pulumi-clickhouse/restart-token";

/// The inputs about operation.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct OperationsArgs {
    /// Stops the cluster: no host runs, volumes and settings stay. Default: false.
    pub stopped: Option<bool>,

    /// Tells the operator to leave the cluster alone: changes are stored and carried out once this is false again.
    /// Default: false.
    pub suspended: Option<bool>,

    /// Any text; a change of it restarts the hosts once, one after the other.
    pub restart_token: Option<String>,

    /// Allows this update to lose data: fewer shards or replicas, another `name`, `namespace` or `clusterName` of a cluster
    /// with volumes, a volume that is not used any more, `Retain` turned into `Delete`, another or no coordination, fewer members of
    /// the Keeper, however that is said. Without it such a change is refused in preview; with it, what is lost is warned of. Default:
    /// false.
    pub allow_data_loss: Option<bool>,

    /// Whether to return as soon as everything is stored on the API server, without waiting until it serves. Default: false.
    pub skip_await: Option<bool>,

    /// Whether to take over fields that another program has written to the cluster's objects. Without it such a conflict is
    /// an error that names the program and the fields. Default: false.
    pub force_conflicts: Option<bool>,
}

/// How a cluster is operated.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is an input of its own, and none excludes another")]
pub(in super::super) struct Operations {
    pub(in super::super) stopped: bool,
    pub(in super::super) suspended: bool,
    pub(in super::super) restart_token: Option<String>,
    pub(in super::super) skip_await: bool,
    pub(in super::super) force_conflicts: bool,
}

impl Aspect for Operations {
    type Args = OperationsArgs;

    fn complete(_args: &mut ClusterArgs, _had_keeper: bool) {}

    fn check(check: &mut Checker<'_>) -> Self {
        // Whether data may be lost is the guard's question.
        let OperationsArgs { stopped, suspended, restart_token, allow_data_loss: _, skip_await, force_conflicts } =
            check.args().operations.clone();
        check.is_for_one_pod_template("restartToken", restart_token.is_some());
        Self {
            stopped: stopped.unwrap_or_default(),
            suspended: suspended.unwrap_or_default(),
            restart_token,
            skip_await: skip_await.unwrap_or_default(),
            force_conflicts: force_conflicts.unwrap_or_default(),
        }
    }

    fn render(&self, cluster: &ValidatedCluster, drafts: &mut Drafts) {
        // Said also when it is no: so a cluster that someone else stopped is noticed and started again.
        let word = |field, says_yes| match &cluster.adopted {
            None => Some(json!(yes_no(says_yes))),
            Some(adopted) => adopted.word(field, says_yes),
        };
        if let Some(word) = word("stop", self.stopped) {
            drafts.installation.fields.insert("stop".to_owned(), word);
        }
        if let Some(word) = word("suspend", self.suspended) {
            drafts.both().for_each(|draft| _ = draft.fields.insert("suspend".to_owned(), word.clone()));
        }
        if let Some(token) = &self.restart_token {
            // A changed pod template rolls every host once; the operator's own `restart` would do so at each reconcile.
            drafts.installation.pod.annotations.insert(RESTART_ANNOTATION.to_owned(), json!(token));
        }
    }

    fn read(live: &Live) -> OperationsArgs {
        OperationsArgs {
            stopped: yes(&live.spec()["stop"]),
            suspended: yes(&live.spec()["suspend"]),
            restart_token: text(&live.pod()["metadata"]["annotations"][RESTART_ANNOTATION]),
            allow_data_loss: None,
            skip_await: None,
            force_conflicts: None,
        }
    }
}
