//! How a cluster is operated: stopped, suspended, restarted, and how changes are made.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::draft::yes_no;
use super::read::{text, yes};
use super::{Aspect, Checker, ClusterArgs, Drafts, Live, NoDefaults, ValidatedCluster};

/// On a pod template: the `restartToken` that it was last written with.
pub(in super::super) const RESTART_ANNOTATION: &str = "pulumi-clickhouse/restart-token";

/// The inputs about operation.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct OperationsArgs {
    /// Stops the cluster: no host runs; volumes and settings are kept. Default: false.
    pub stopped: Option<bool>,

    /// Suspends the operator's reconciliation: changes are stored, and applied once this is false again.
    /// Default: false.
    pub suspended: Option<bool>,

    /// Starts the hosts' pods without ClickHouse: the container sleeps and its probes are off, so that a host
    /// that crashes at its start can be looked into by `kubectl exec`. No query is answered meanwhile.
    /// Default: false. A change restarts the hosts.
    pub troubleshoot: Option<bool>,

    /// An arbitrary string; changing it triggers one rolling restart.
    pub restart_token: Option<String>,

    /// Allows this update to lose data: fewer shards, replicas or Keeper members, another `name`, `namespace`
    /// or `clusterName` of a cluster with volumes, a volume that is no longer used, `Retain` changed to
    /// `Delete`, or another or no coordination, by an input or an override. Without it the preview refuses
    /// such a change; with it, it warns of what is lost. Default: false.
    pub allow_data_loss: Option<bool>,

    /// Whether to return once the API server has stored all objects, without waiting until the cluster is
    /// ready. Default: false.
    pub skip_await: Option<bool>,

    /// Whether to take over fields of the cluster's objects that another field manager owns. Without it such
    /// a conflict is an error that names the manager and the fields. Default: false.
    pub force_conflicts: Option<bool>,
}

/// The operation of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is an input of its own, and none excludes another")]
pub(in super::super) struct Operations {
    pub(in super::super) stopped: bool,
    pub(in super::super) suspended: bool,
    troubleshoot: bool,
    pub(in super::super) restart_token: Option<String>,
    pub(in super::super) skip_await: bool,
    pub(in super::super) force_conflicts: bool,
}

impl Aspect for Operations {
    type Args = OperationsArgs;
    type Defaults = NoDefaults;

    const NO_CHANGE: &'static [&'static str] = &["allowDataLoss", "skipAwait", "forceConflicts"];

    fn complete(_args: &mut ClusterArgs, _had_keeper: bool) {}

    fn check(check: &mut Checker<'_>) -> Self {
        // Whether data may be lost is the guard's question.
        let OperationsArgs {
            stopped,
            suspended,
            troubleshoot,
            restart_token,
            allow_data_loss: _,
            skip_await,
            force_conflicts,
        } = check.args().operations.clone();
        check.is_for_one_pod_template("restartToken", restart_token.is_some());
        Self {
            stopped: stopped.unwrap_or_default(),
            suspended: suspended.unwrap_or_default(),
            troubleshoot: troubleshoot.unwrap_or_default(),
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
        // Of a cluster that this provider made only what is not the default: so it was made before.
        let is_said = self.troubleshoot || cluster.adopted.is_some();
        if let Some(word) = word("troubleshoot", self.troubleshoot).filter(|_| is_said) {
            drafts.installation.fields.insert("troubleshoot".to_owned(), word);
        }
        if let Some(token) = &self.restart_token {
            // A changed pod template rolls every host once; the operator's own `restart` would do so at each
            // reconcile.
            drafts.installation.pod.annotations.insert(RESTART_ANNOTATION.to_owned(), json!(token));
        }
    }

    fn read(live: &Live) -> OperationsArgs {
        OperationsArgs {
            stopped: yes(&live.spec()["stop"]),
            suspended: yes(&live.spec()["suspend"]),
            troubleshoot: yes(&live.spec()["troubleshoot"]),
            restart_token: text(&live.pod()["metadata"]["annotations"][RESTART_ANNOTATION]),
            allow_data_loss: None,
            skip_await: None,
            force_conflicts: None,
        }
    }
}

impl ClusterArgs {
    /// Whether an update waits until its change is carried out.
    pub(in super::super) fn is_awaited(&self) -> bool {
        self.operations.skip_await != Some(true) && self.operations.suspended != Some(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::cluster::tests::{adopted, changed};

    #[test]
    fn a_word_stays_as_it_is_as_long_as_it_says_what_is_asked_for() {
        for (word, yes, no) in [
            (json!("0"), json!("yes"), json!("0")),
            (json!("Enabled"), json!("Enabled"), json!("no")),
            (json!(""), json!("yes"), json!("")),
            (json!(true), json!(true), json!(false)),
        ] {
            let args = adopted(json!({"stop": word}));
            for (stopped, expected) in [(true, yes), (false, no)] {
                assert_eq!(changed(&args, json!({"stopped": stopped})).unwrap()["stop"], expected, "{word}");
            }
        }
        assert_eq!(changed(&adopted(json!({})), json!({"stopped": false})).unwrap(), json!({}));
    }
}
