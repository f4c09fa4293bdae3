//! The life cycle against an API server that keeps what it is given. Nothing is awaited here.

mod awaited;
mod backups;
mod create;
mod delete;
mod elsewhere;
mod preview;
mod refresh;
mod rotation;
mod takeover;
mod two_steps;
mod update;

use http::Method;
use serde_json::json;

use super::*;
use crate::kubernetes::cluster::Cluster;
use crate::kubernetes::cluster::manifest::{merge, sha256_hex};
use crate::kubernetes::cluster::state::ClusterState;
use crate::kubernetes::fake::{Fake, Reply, context};
use crate::resource::{Context, Failure, FailureKind, Resource as _};

fn api() -> (Cluster, Fake) {
    let fake = Fake::new();
    (Cluster::new(fake.session()), fake)
}

const KUBE_SYSTEM: &str = "/api/v1/namespaces/kube-system";
const SECRET: &str = "/api/v1/namespaces/apps/secrets/db-credentials";
const SERVICE: &str = "/api/v1/namespaces/apps/services/db";
const CHI: &str = "/apis/clickhouse.altinity.com/v1/namespaces/apps/clickhouseinstallations/db";
const CHK: &str = "/apis/clickhouse-keeper.altinity.com/v1/namespaces/apps/clickhousekeeperinstallations/db";
/// The claim of the first host.
const VOLUME: &str = "/api/v1/namespaces/apps/persistentvolumeclaims/data-chi-db-cluster-0-0-0";
/// The claim of the second shard's host.
const CLAIM: &str = "/api/v1/namespaces/apps/persistentvolumeclaims/data-chi-db-cluster-1-0-0";

fn program(more: Value) -> ClusterArgs {
    let mut program = json!({"name": "db", "skipAwait": true});
    merge(&mut program, &more);
    checked(program)
}

fn stored_password(fake: &Fake) -> String {
    crate::kubernetes::cluster::login::decode(&fake.at(SECRET).unwrap(), "password").expect("a password")
}

fn stored_hash(fake: &Fake) -> String {
    fake.at(CHI).unwrap()["spec"]["configuration"]["users"]["default/password_sha256_hex"]
        .as_str()
        .expect("a hash")
        .to_owned()
}

pub(super) fn requests(fake: &Fake) -> Vec<String> {
    fake.requests()
        .iter()
        .map(|seen| format!("{} {}", seen.method, seen.path.rsplit('/').nth(1).unwrap()))
        .collect()
}

pub(super) async fn create(
    cluster: &Cluster,
    args: &ClusterArgs,
) -> Result<ClusterState, Failure<ClusterState>> {
    cluster.create(&context().0, Box::new(args.clone())).await.map(|made| made.state)
}

fn claim(class: &str, volume: Option<&str>) -> Value {
    let phase = if volume.is_some() { "Bound" } else { "Pending" };
    let labels = json!({"clickhouse.altinity.com/chi": "db"});
    let resources = json!({"requests": {"storage": "50Gi"}});
    json!({
        "metadata": {"name": "data-chi-db-cluster-1-0-0", "uid": "a claim", "labels": labels},
        "status": {"phase": phase, "capacity": {"storage": "50Gi"}},
        "spec": {"volumeName": volume, "storageClassName": class, "resources": resources},
    })
}

fn storage_class(name: &str, expands: bool) -> Value {
    json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name},
        "allowVolumeExpansion": expands})
}
