//! The ClickHouseInstallation.

use serde_json::{Map, Value, json};

use super::super::validate::{Coordination, Interserver, ValidatedCluster};
use super::super::{defaults, names};
use super::{Login, RESTART_ANNOTATION, claim_template, container, merge, metadata, pod_spec, spread, yes_no};

/// The names of the templates. Each is referenced from `defaults.templates`: the operator uses no other.
const POD_TEMPLATE: &str = "clickhouse";
const DATA_TEMPLATE: &str = "data";
const LOGS_TEMPLATE: &str = "logs";
const SHARD_SERVICE_TEMPLATE: &str = "shard";
/// With this name the operator takes the container for ClickHouse's, whatever else the pod holds.
const CONTAINER: &str = "clickhouse";
const DATA_PATH: &str = "/var/lib/clickhouse";

pub(super) fn build(cluster: &ValidatedCluster, login: &Login, task: &str) -> Value {
    let mut spec = spec(cluster, login);
    merge(&mut spec, &cluster.chi_overrides);
    spec["taskID"] = json!(task);
    json!({
        "apiVersion": "clickhouse.altinity.com/v1",
        "kind": "ClickHouseInstallation",
        "metadata": metadata(cluster, &cluster.name, None),
        "spec": spec,
    })
}

fn spec(cluster: &ValidatedCluster, login: &Login) -> Value {
    let mut spec = Map::new();
    // Said also when it is no: so a cluster that someone else stopped is noticed and started again.
    spec.insert("stop".into(), json!(yes_no(cluster.stopped)));
    spec.insert("suspend".into(), json!(yes_no(cluster.suspended)));
    if cluster.cluster_domain != defaults::CLUSTER_DOMAIN {
        spec.insert("namespaceDomainPattern".into(), json!(format!("%s.svc.{}", cluster.cluster_domain)));
    }
    spec.insert("defaults".into(), defaults(cluster));
    spec.insert("configuration".into(), configuration(cluster, login));
    spec.insert("templates".into(), templates(cluster));
    Value::Object(spec)
}

fn defaults(cluster: &ValidatedCluster) -> Value {
    let mut templates = Map::new();
    templates.insert("podTemplate".into(), json!(POD_TEMPLATE));
    if cluster.storage.data.is_some() {
        templates.insert("dataVolumeClaimTemplate".into(), json!(DATA_TEMPLATE));
    }
    if cluster.storage.logs.is_some() {
        templates.insert("logVolumeClaimTemplate".into(), json!(LOGS_TEMPLATE));
    }
    if cluster.per_shard_services {
        templates.insert("shardServiceTemplate".into(), json!(SHARD_SERVICE_TEMPLATE));
    }
    json!({
        "storageManagement": {"provisioner": cluster.storage.provisioner, "reclaimPolicy": cluster.storage.reclaim_policy},
        "templates": templates,
    })
}

fn configuration(cluster: &ValidatedCluster, login: &Login) -> Value {
    let mut this = Map::new();
    this.insert("name".into(), json!(cluster.cluster_name));
    this.insert("layout".into(), json!({"shardsCount": cluster.shards, "replicasCount": cluster.replicas}));
    match &cluster.interserver {
        Interserver::None => {}
        Interserver::Generated => {
            this.insert("secret".into(), json!({"auto": "true"}));
        }
        Interserver::Existing { secret, key } => {
            this.insert("secret".into(), json!({"valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}));
        }
    }
    let mut configuration = Map::new();
    configuration.insert("clusters".into(), json!([this]));
    configuration.insert("users".into(), users(cluster, login));
    configuration.insert("settings".into(), json!({"logger/level": cluster.log_level}));
    if let Some(zookeeper) = coordination(cluster) {
        configuration.insert("zookeeper".into(), zookeeper);
    }
    Value::Object(configuration)
}

/// The administrator; and where that is not ClickHouse's user `default`, that one too, with the same password: left out, the
/// operator would let it in without any.
fn users(cluster: &ValidatedCluster, login: &Login) -> Value {
    let admin = &cluster.admin;
    let mut users = Map::new();
    users.insert(format!("{}/networks/ip", admin.username), json!(admin.networks));
    users.insert(format!("{}/access_management", admin.username), json!("1"));
    if let Some(hash) = login.hash() {
        users.insert(format!("{}/password_sha256_hex", admin.username), json!(hash));
        if admin.username != defaults::USERNAME {
            users.insert(format!("{}/password_sha256_hex", defaults::USERNAME), json!(hash));
        }
    }
    Value::Object(users)
}

fn coordination(cluster: &ValidatedCluster) -> Option<Value> {
    match &cluster.coordination {
        Coordination::None => None,
        // One node a Keeper, not the one name of them all: ClickHouse then knows which of them it has lost.
        Coordination::Keeper(keeper) => {
            let nodes: Vec<_> = (0..keeper.replicas)
                .map(|replica| json!({"host": names::keeper_host(&cluster.name, &cluster.cluster_name, replica), "port": defaults::COORDINATION_PORT}))
                .collect();
            Some(json!({"nodes": nodes}))
        }
        Coordination::External(external) => {
            let nodes: Vec<_> = external
                .nodes
                .iter()
                .map(|node| {
                    let mut entry = json!({"host": node.host, "port": node.port});
                    if node.secure {
                        entry["secure"] = json!(yes_no(true));
                    }
                    if let Some(zone) = &node.availability_zone {
                        entry["availabilityZone"] = json!(zone);
                    }
                    entry
                })
                .collect();
            let mut zookeeper = json!({"nodes": nodes});
            for (key, value) in [
                ("root", external.root.as_ref().map(|root| json!(root))),
                ("identity", external.identity.as_ref().map(|identity| json!(identity))),
                ("session_timeout_ms", external.session_ms.map(|ms| json!(ms))),
                ("operation_timeout_ms", external.operation_ms.map(|ms| json!(ms))),
            ] {
                if let Some(value) = value {
                    zookeeper[key] = value;
                }
            }
            Some(zookeeper)
        }
    }
}

fn templates(cluster: &ValidatedCluster) -> Value {
    let claims: Vec<_> = [(DATA_TEMPLATE, &cluster.storage.data), (LOGS_TEMPLATE, &cluster.storage.logs)]
        .into_iter()
        .filter_map(|(name, claim)| Some(claim_template(name, claim.as_ref()?, cluster.storage.provisioner)))
        .collect();
    let mut templates = Map::new();
    templates.insert("podTemplates".into(), json!([pod_template(cluster)]));
    if !claims.is_empty() {
        templates.insert("volumeClaimTemplates".into(), json!(claims));
    }
    if cluster.per_shard_services {
        let ports = json!([{"name": "http", "port": 8123}, {"name": "tcp", "port": 9000}]);
        templates
            .insert("serviceTemplates".into(), json!([{"name": SHARD_SERVICE_TEMPLATE, "spec": {"type": "ClusterIP", "ports": ports}}]));
    }
    Value::Object(templates)
}

fn pod_template(cluster: &ValidatedCluster) -> Value {
    let mut container = container(CONTAINER, &cluster.image, &cluster.resources);
    let spread =
        (cluster.replicas > 1).then(|| spread(&json!({"clickhouse.altinity.com/chi": cluster.name}), &["clickhouse.altinity.com/shard"]));
    if cluster.storage.data.is_none() {
        container.insert("volumeMounts".into(), json!([{"name": DATA_TEMPLATE, "mountPath": DATA_PATH}]));
    }
    let mut spec = pod_spec(&container, &cluster.image, spread);
    if cluster.storage.data.is_none() {
        spec.insert("volumes".into(), json!([{"name": DATA_TEMPLATE, "emptyDir": {}}]));
    }
    let mut template = Map::new();
    template.insert("name".into(), json!(POD_TEMPLATE));
    if let Some(token) = &cluster.restart_token {
        // A changed pod template rolls every host once; the operator's own `restart` would do so at each reconcile.
        template.insert("metadata".into(), json!({"annotations": {RESTART_ANNOTATION: token}}));
    }
    template.insert("spec".into(), Value::Object(spec));
    Value::Object(template)
}
