//! The coordination service (ClickHouse Keeper or ZooKeeper) of the replicas.

mod external;
mod keeper;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(in super::super) use self::external::External;
pub use self::external::ExternalArgs;
pub use self::keeper::KeeperArgs;
use self::keeper::KeeperDefaults;
pub(in super::super) use self::keeper::{KEEPER_REMEDIES, Keeper};
use super::super::names;
use super::storage::ReclaimPolicy;
use super::{Aspect, Checker, ClusterArgs, Drafts, Live, ValidatedCluster};

/// The port of a Keeper or ZooKeeper.
pub(in super::super) const COORDINATION_PORT: u16 = 2181;

/// The port of a Keeper for TLS.
pub(in super::super) const SECURE_PORT: u16 = 2281;

/// The coordination service (ClickHouse Keeper or ZooKeeper) of the replicas.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterCoordination")]
pub struct CoordinationArgs {
    /// The kind. Default: `Keeper` if `keeper` is given or `replicas` is more than 1, `External` if
    /// `external` is given, else `None`.
    #[serde(rename = "type")]
    pub kind: Option<CoordinationType>,
    /// The cluster's own Keeper, created before it and deleted after it.
    pub keeper: Option<KeeperArgs>,
    /// An existing Keeper or ZooKeeper.
    pub external: Option<ExternalArgs>,
}

/// The kinds of coordination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ClusterCoordinationType")]
pub enum CoordinationType {
    /// A Keeper of the cluster's own.
    Keeper,
    /// An existing Keeper or ZooKeeper.
    External,
    /// No coordination: no replicas, no `ON CLUSTER`.
    None,
}

/// The coordination service (ClickHouse Keeper or ZooKeeper) of the replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Coordination {
    None,
    Keeper(Keeper),
    External(External),
}

impl Aspect for Coordination {
    type Args = Option<CoordinationArgs>;
    type Defaults = KeeperDefaults;

    const QUANTITIES: &'static [&'static str] = &[
        "coordination.keeper.resources.requests.cpu",
        "coordination.keeper.resources.requests.memory",
        "coordination.keeper.resources.limits.cpu",
        "coordination.keeper.resources.limits.memory",
        "coordination.keeper.storage.size",
    ];

    const FOLLOW: &'static [(&'static str, &'static [&'static str])] = &[("coordination", &["keeper"])];

    fn complete(args: &mut ClusterArgs, had_keeper: bool) {
        // What somebody else has made agrees as it does.
        if args.adopted().is_some() && args.coordination.is_none() {
            return;
        }
        let defaults = args.made_with().coordination;
        let reclaim =
            args.storage.as_ref().and_then(|storage| storage.reclaim_policy).unwrap_or(ReclaimPolicy::Retain);
        let needs_keeper = args.adopted().is_none() && (args.layout.most_replicas() > 1 || had_keeper);
        let given = args.coordination.get_or_insert_default();
        let kind = match (&given.keeper, &given.external) {
            (_, Some(_)) => CoordinationType::External,
            (Some(_), None) => CoordinationType::Keeper,
            (None, None) if needs_keeper => CoordinationType::Keeper,
            (None, None) => CoordinationType::None,
        };
        if *given.kind.get_or_insert(kind) == CoordinationType::Keeper {
            given.keeper = Some(given.keeper.take().unwrap_or_default().complete(&defaults, reclaim));
        }
    }

    fn check(check: &mut Checker<'_>) -> Self {
        let CoordinationArgs { kind, keeper, external } =
            check.args().coordination.clone().unwrap_or_default();
        let kind = kind.unwrap_or(CoordinationType::None);
        if keeper.is_some() && external.is_some() {
            let reason = "has both a `keeper` of its own and an `external` one: remove one of them";
            check.fail_certainly("coordination", reason);
        } else if external.is_some() && kind != CoordinationType::External {
            let reason = format!("is given, but `coordination.type` is `{kind:?}`: remove one of them");
            check.fail("coordination.external", reason);
        } else if keeper.is_some() && kind != CoordinationType::Keeper {
            let reason = format!("is given, but `coordination.type` is `{kind:?}`: remove one of them");
            check.fail("coordination.keeper", reason);
        }
        // Both are checked where both are given.
        let keeper = keeper.map(|keeper| Keeper::check(keeper, check));
        let external = external.map(|external| External::check(external, check));
        match kind {
            CoordinationType::None => {
                let (replicas, said_by) =
                    (check.args().layout.most_replicas(), check.args().layout.of_replicas());
                if replicas > 1
                    && check.adopted().is_none()
                    && !check.is_unknown(said_by)
                    && !check.is_unknown("coordination")
                {
                    let reason = format!(
                        "{replicas} replicas can't agree without coordination: remove `coordination.type: \
                            None`, or name an `external` Keeper or ZooKeeper"
                    );
                    check.fail(said_by, reason);
                }
                Self::None
            }
            CoordinationType::Keeper => {
                Self::Keeper(keeper.unwrap_or_else(|| Keeper::check(KeeperArgs::default(), check)))
            }
            CoordinationType::External => {
                Self::External(external.unwrap_or_else(|| External::check(ExternalArgs::default(), check)))
            }
        }
    }

    fn render(&self, cluster: &ValidatedCluster, drafts: &mut Drafts) {
        match self {
            Self::None => {}
            Self::Keeper(keeper) => keeper.render(cluster, drafts),
            Self::External(external) => {
                drafts.installation.zookeeper = Some(external.render(cluster.adopted.is_some()));
            }
        }
    }

    fn read(live: &Live) -> Option<CoordinationArgs> {
        let zookeeper = &live.spec()["configuration"]["zookeeper"];
        let (name, cluster_name) = (live.name(), live.cluster_name());
        let is_own = |host: &str| {
            host.starts_with(&format!("chk-{name}-{cluster_name}-"))
                || host.split('.').next() == Some(&names::keeper_service(name))
        };
        if live.adopted.is_some() {
            // A Keeper of somebody else's stays that, whatever its name.
            let external = Some(ExternalArgs::read(zookeeper, zookeeper["nodes"].as_array()?));
            return Some(CoordinationArgs { kind: Some(CoordinationType::External), keeper: None, external });
        }
        Some(match (zookeeper["nodes"].as_array(), &live.keeper) {
            (None, _) => {
                CoordinationArgs { kind: Some(CoordinationType::None), keeper: None, external: None }
            }
            (Some(nodes), Some(keeper))
                if nodes.iter().all(|node| node["host"].as_str().is_some_and(is_own)) =>
            {
                CoordinationArgs {
                    kind: Some(CoordinationType::Keeper),
                    keeper: Some(KeeperArgs::read(keeper)),
                    external: None,
                }
            }
            (Some(nodes), _) => {
                let external = Some(ExternalArgs::read(zookeeper, nodes));
                CoordinationArgs { kind: Some(CoordinationType::External), keeper: None, external }
            }
        })
    }
}

impl ClusterArgs {
    /// Takes out what is said of the kinds of coordination that the cluster is not found to have: a Keeper
    /// that is gone, and of which the hosts know nothing, is none.
    pub(in super::super) fn settle_coordination(&mut self) {
        let Some(coordination) = &mut self.coordination else { return };
        let kind = coordination.kind;
        coordination.keeper.take_if(|_| kind.is_some_and(|kind| kind != CoordinationType::Keeper));
        coordination.external.take_if(|_| kind.is_some_and(|kind| kind != CoordinationType::External));
    }

    /// Whether a Keeper comes with the cluster.
    pub(in super::super) fn has_keeper(&self) -> bool {
        self.coordination
            .as_ref()
            .is_some_and(|coordination| coordination.kind == Some(CoordinationType::Keeper))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kubernetes::cluster::defaults::fill;
    use crate::kubernetes::cluster::tests::{args, checked, problems_of, unknown, urn};
    use crate::resource::{Autonaming, Known};

    #[test]
    fn replicas_bring_a_keeper_of_three() {
        let coordination = checked(json!({"replicas": 2})).coordination.expect("coordination");
        assert_eq!(coordination.kind, Some(CoordinationType::Keeper));
        assert_eq!(coordination.keeper.and_then(|keeper| keeper.replicas), Some(3));
    }

    #[test]
    fn a_keeper_stays_when_one_replica_is_left() {
        let old = checked(json!({"replicas": 2}));
        let new =
            fill(&urn(), &Autonaming::Default, "apps", Some(&old), &Known::all(args(json!({"replicas": 1}))))
                .unwrap();
        assert_eq!(
            new.coordination.and_then(|coordination| coordination.kind),
            Some(CoordinationType::Keeper)
        );
    }

    #[test]
    fn what_is_not_known_in_one_way_of_coordination_hides_nothing_of_the_other() {
        let external = json!({"nodes": [{"host": "zk"}], "root": "no slash"});
        let known = unknown(
            json!({"coordination": {"keeper": {"replicas": 2}, "external": external}}),
            &["coordination.external.nodes"],
        );
        let found = problems_of(&known);
        for (path, part) in [
            ("coordination: ", "both"),
            ("coordination.keeper.replicas: ", "is 2"),
            ("coordination.external.root: ", "begin"),
        ] {
            assert!(
                found.iter().any(|problem| problem.starts_with(path) && problem.contains(part)),
                "{path}: {found:?}"
            );
        }
        assert_eq!(found.len(), 3, "{found:?}");
    }
}
