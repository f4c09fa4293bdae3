//! How many hosts may be away at once when nodes are drained.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::draft::yes_no;
use super::read::number;
use super::{Aspect, Checker, ClusterArgs, Drafts, Live, NoDefaults, ValidatedCluster};
use crate::kubernetes::observe::yes_or_no;

/// The fields of the cluster.
const MANAGED: &str = "pdbManaged";
const MOST: &str = "pdbMaxUnavailable";

/// The PodDisruptionBudget of the hosts, which the operator makes.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterPodDisruptionBudget")]
pub struct DisruptionArgs {
    /// Whether the operator makes and updates it. Default: true. With false one that is there stays as it is.
    /// Needs operator 0.25.3.
    pub managed: Option<bool>,
    /// How many hosts may be evicted at once; 0 forbids it. Default: 1.
    pub max_unavailable: Option<u16>,
}

/// The PodDisruptionBudget of the hosts, as far as it is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Disruption {
    managed: Option<bool>,
    max_unavailable: Option<u16>,
}

impl Aspect for Disruption {
    type Args = Option<DisruptionArgs>;
    type Defaults = NoDefaults;

    fn complete(_args: &mut ClusterArgs, _had_keeper: bool) {}

    fn check(check: &mut Checker<'_>) -> Self {
        let given = check.args().pod_disruption_budget.clone().unwrap_or_default();
        let DisruptionArgs { managed, max_unavailable } = given;
        if managed == Some(false) && max_unavailable.is_some() {
            let reason = "is for the operator's budget, but `managed` is false: remove one of them";
            check.fail("podDisruptionBudget.maxUnavailable", reason);
        }
        Self { managed, max_unavailable }
    }

    fn render(&self, _cluster: &ValidatedCluster, drafts: &mut Drafts) {
        let cluster = &mut drafts.installation.cluster;
        if let Some(managed) = self.managed {
            cluster.insert(MANAGED.to_owned(), json!(yes_no(managed)));
        }
        if let Some(most) = self.max_unavailable {
            cluster.insert(MOST.to_owned(), json!(most));
        }
    }

    fn read(live: &Live) -> Option<DisruptionArgs> {
        let cluster = live.cluster();
        let read = DisruptionArgs {
            managed: cluster[MANAGED].as_str().and_then(yes_or_no),
            max_unavailable: number(&cluster[MOST]),
        };
        Some(read).filter(|read| live.adopted.is_none() && *read != DisruptionArgs::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::cluster::tests::{built, problems};

    #[test]
    fn the_budget_is_the_operators_as_it_is_said() {
        let program = json!({"podDisruptionBudget": {"managed": true, "maxUnavailable": 0}});
        let spec = built(program).installation.unwrap()["spec"].take();
        let cluster = &spec["configuration"]["clusters"][0];
        assert_eq!((&cluster[MANAGED], &cluster[MOST]), (&json!("yes"), &json!(0)));
        let told = problems(json!({"podDisruptionBudget": {"managed": false, "maxUnavailable": 1}}));
        assert!(told.len() == 1 && told[0].starts_with("podDisruptionBudget.maxUnavailable: "), "{told:?}");
    }
}
