//! The ClickHouseKeeperInstallation.

use serde_json::{Value, json};

use super::super::validate::{ManagedKeeper, ValidatedCluster};
use super::super::{args::Provisioner, defaults};
use super::{claim_template, container, merge, metadata, pod_spec, spread, yes_no};

const POD_TEMPLATE: &str = "keeper";
const DATA_TEMPLATE: &str = "data";
/// With this name the operator takes the container for the Keeper's.
const CONTAINER: &str = "clickhouse-keeper";

/// Carries no task id: the operator records none for a Keeper, and a new one would have it roll an unchanged Keeper at each
/// change of the cluster.
pub(super) fn build(cluster: &ValidatedCluster, keeper: &ManagedKeeper) -> Value {
    let spread = (keeper.replicas > 1).then(|| spread(&json!({"clickhouse-keeper.altinity.com/chk": cluster.name}), &[]));
    let mut spec = json!({
        "defaults": {
            "storageManagement": {"provisioner": Provisioner::Operator, "reclaimPolicy": keeper.volume.reclaim_policy},
            "templates": {"podTemplate": POD_TEMPLATE, "dataVolumeClaimTemplate": DATA_TEMPLATE},
        },
        "configuration": {"clusters": [{"name": cluster.cluster_name, "layout": {"replicasCount": keeper.replicas}}]},
        "templates": {
            "podTemplates": [{"name": POD_TEMPLATE, "spec": pod_spec(&container(CONTAINER, &keeper.image, &keeper.resources), &keeper.image, spread)}],
            "volumeClaimTemplates": [claim_template(DATA_TEMPLATE, &keeper.volume, Provisioner::Operator)],
        },
    });
    spec["suspend"] = json!(yes_no(cluster.suspended));
    if cluster.cluster_domain != defaults::CLUSTER_DOMAIN {
        spec["namespaceDomainPattern"] = json!(format!("%s.svc.{}", cluster.cluster_domain));
    }
    merge(&mut spec, &cluster.chk_overrides);
    json!({
        "apiVersion": "clickhouse-keeper.altinity.com/v1",
        "kind": "ClickHouseKeeperInstallation",
        "metadata": metadata(cluster, &cluster.name, None),
        "spec": spec,
    })
}
