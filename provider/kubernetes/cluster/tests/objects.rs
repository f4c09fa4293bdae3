//! The table of objects: what a row alone is enough for, shown by one that only these tests have, and that an
//! update writes and waits for no more than what differs.

use std::time::Duration;

use http::Method;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::*;
use crate::kubernetes::cluster::Cluster;
use crate::kubernetes::cluster::manifest::{Source, merge, metadata};
use crate::kubernetes::cluster::state::ClusterState;
use crate::kubernetes::fake::{Fake, context};
use crate::kubernetes::meta::Kind;
use crate::property::path::PropertyPath;
use crate::resource::{Context, Failure, FailureKind, Resource as _};

/// The annotation of programs that want the object of the test's row: how many pods it allows.
pub(in crate::kubernetes::cluster) const PODS: &str = "example.com/pods";

/// Its renderer.
pub(in crate::kubernetes::cluster) fn quota(source: &mut Source<'_>) -> Value {
    let naming = &source.cluster.naming;
    let metadata = metadata(source.cluster, &format!("{}-quota", naming.name), Some(source.urn));
    json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata,
        "spec": {"hard": {"pods": naming.annotations[PODS]}}})
}

const CHI: &str = "/apis/clickhouse.altinity.com/v1/namespaces/apps/clickhouseinstallations/db";
const CHK: &str = "/apis/clickhouse-keeper.altinity.com/v1/namespaces/apps/clickhousekeeperinstallations/db";
const QUOTA: &str = "/api/v1/namespaces/apps/resourcequotas/db-quota";
const SERVICE: &str = "/api/v1/namespaces/apps/services/db";

/// A cluster's life on a server, one program after the other.
struct Life {
    fake: Fake,
    cluster: Cluster,
    args: ClusterArgs,
    state: ClusterState,
}

impl Life {
    async fn begin(program: Value) -> Self {
        let fake = Fake::new();
        let cluster = Cluster::new(fake.session());
        let args = checked(program);
        let operator = operate(&fake, Duration::ZERO);
        let state = cluster.create(&context().0, Box::new(args.clone())).await.unwrap().state;
        operator.abort();
        Self { fake, cluster, args, state }
    }

    /// Another program: gives what it wrote, and how long it took.
    async fn update(&mut self, program: Value) -> Result<(Vec<String>, Duration), Failure<ClusterState>> {
        let (before, started, new) = (self.fake.writes().len(), Instant::now(), checked(program));
        let ctx = Context { timeout: Some(Duration::from_secs(600)), ..context().0 };
        let update = self.cluster.update(&ctx, "apps/db", &self.args, Some(&self.state), &new);
        let updated = Box::pin(update).await?;
        (self.args, self.state) = (new, updated);
        let kinds = self
            .fake
            .writes()
            .split_off(before)
            .into_iter()
            .map(|write| write.rsplit('/').nth(1).unwrap().to_owned());
        Ok((kinds.collect(), started.elapsed()))
    }

    async fn refresh(&mut self) {
        let found = self
            .cluster
            .read(&context().0, "apps/db", Some(&self.args), Some(&self.state))
            .await
            .unwrap()
            .unwrap();
        (self.args, self.state) = (found.inputs, found.state);
    }

    fn changes(&self, program: Value) -> Vec<String> {
        let diff = self.cluster.diff(&self.args, Some(&self.state), &Known::all(checked(program)));
        diff.changes.iter().map(|change| change.path.to_string()).collect()
    }

    fn task(&self) -> String {
        self.fake.at(CHI).unwrap()["spec"]["taskID"].as_str().unwrap().to_owned()
    }
}

/// When what is there was looked at.
const LATER: Duration = Duration::from_secs(5);

/// An operator, and the controllers of Kubernetes, that after some time have done all that is asked for each
/// second.
pub(super) fn operate(fake: &Fake, after: Duration) -> tokio::task::JoinHandle<()> {
    let fake = fake.clone();
    tokio::spawn(async move {
        sleep(after).await;
        loop {
            for (kind, labels, host) in [
                (Kind::Installation, "clickhouse.altinity.com", "chi-db-cluster-0-0"),
                (Kind::KeeperInstallation, "clickhouse-keeper.altinity.com", "chk-db-cluster-0-0"),
            ] {
                let Some(found) = fake.object(kind, "apps", "db") else { continue };
                let short = if kind == Kind::Installation { "chi" } else { "chk" };
                let pod = format!("{host}-0");
                let mut set = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "spec": {"replicas": 1},
                    "metadata": {"name": host, "namespace": "apps", "labels": {}},
                    "status": {"observedGeneration": 99, "replicas": 1, "readyReplicas": 1,
                        "updatedReplicas": 1}});
                set["metadata"]["labels"] =
                    json!({format!("{labels}/app"): "chop", format!("{labels}/{short}"): "db"});
                if fake.object(Kind::StatefulSet, "apps", host).is_none() {
                    fake.put(&set);
                }
                let (task, generation) = (&found["spec"]["taskID"], &found["metadata"]["generation"]);
                let status = json!({"status": "Completed", "taskID": task, "taskIDsStarted": [task],
                    "taskIDsCompleted": [task], "hosts": 1,
                    "pods": [pod], "normalizedCompleted": {"metadata": {"generation": generation}}});
                if found["status"] != status {
                    fake.set_status(kind, "apps", "db", status);
                }
            }
            sleep(Duration::from_secs(1)).await;
        }
    })
}

fn program(more: Value) -> Value {
    let mut program = json!({"name": "db", "ingress": {"type": "NodePort"}});
    merge(&mut program, &more);
    program
}

#[tokio::test(start_paused = true)]
async fn an_annotation_of_the_service_is_no_task_for_the_operator() {
    let mut life = Life::begin(program(json!({}))).await;
    let (task, before) = (life.task(), life.fake.requests().len());
    // No operator is at work any more.
    let (writes, took) = life.update(program(json!({"ingress": {"annotations": {"a": "b"}}}))).await.unwrap();
    assert_eq!((writes, life.task()), (vec!["services".to_owned()], task));
    assert!(took < Duration::from_secs(2), "{took:?}");
    let asked = life.fake.requests().split_off(before);
    let reads = asked.iter().filter(|seen| seen.method == Method::GET && seen.query.is_empty()).count();
    assert_eq!(reads, 3, "each object once: {asked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_change_of_the_installation_writes_nothing_else_and_is_waited_for() {
    let mut life = Life::begin(program(json!({}))).await;
    let (task, before) = (life.task(), life.fake.writes().len());
    let debug = || program(json!({"logging": {"level": "debug"}}));
    let failed = life.update(debug()).await.unwrap_err();
    assert_eq!(life.fake.writes().split_off(before), [format!("PATCH {CHI}")]);
    assert!(life.task() != task && failed.reasons[1].contains("clickhouse-operator"), "{:?}", failed.reasons);
    (life.args, life.state) = (checked(debug()), failed.partial.unwrap().state);

    // It is written, but the operator has not done it: the next run has to see to that.
    let (task, _operator) = (life.task(), operate(&life.fake, LATER));
    let (writes, _) = life.update(debug()).await.unwrap();
    assert!(writes == ["clickhouseinstallations"] && life.task() != task, "{writes:?}");
    assert_eq!(life.update(debug()).await.unwrap().0, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_run_left_undone_is_sent_again_under_a_fresh_task() {
    for word in ["InProgress", "Aborted"] {
        let mut life = Life::begin(program(json!({}))).await;
        let task = life.task();
        life.fake.edit(CHI, |chi| chi["status"]["status"] = json!(word));
        let _operator = operate(&life.fake, LATER);
        let (writes, _) =
            life.update(program(json!({"ingress": {"annotations": {"a": "b"}}}))).await.unwrap();
        assert_eq!(writes, ["services", "clickhouseinstallations"], "{word}");
        assert_ne!(life.task(), task, "{word}");
    }
}

#[tokio::test(start_paused = true)]
async fn hosts_that_do_not_serve_are_looked_at_again_and_waited_for() {
    let mut life = Life::begin(program(json!({}))).await;
    let task = life.task();
    let set = "/apis/apps/v1/namespaces/apps/statefulsets/chi-db-cluster-0-0";
    life.fake.edit(set, |set| set["status"]["readyReplicas"] = json!(0));
    let fake = life.fake.clone();
    tokio::spawn(async move {
        sleep(Duration::from_secs(60)).await;
        fake.edit(set, |set| set["status"]["readyReplicas"] = json!(1));
        operate(&fake, Duration::ZERO).await.unwrap();
    });
    let (writes, took) = life.update(program(json!({"ingress": {"annotations": {"a": "b"}}}))).await.unwrap();
    assert_eq!(writes, ["services", "clickhouseinstallations"]);
    assert!(took >= Duration::from_secs(59) && life.task() != task, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_new_password_and_a_keeper_are_written_where_they_stand() {
    let keeper = json!({"coordination": {"type": "Keeper", "keeper": {"replicas": 1}}});
    let mut life = Life::begin(program(keeper.clone())).await;
    let _operator = operate(&life.fake, Duration::ZERO);
    let mut rotated = keeper;
    rotated["admin"] = json!({"passwordVersion": "2"});
    assert_eq!(
        life.update(program(rotated.clone())).await.unwrap().0,
        ["secrets", "clickhouseinstallations"]
    );
    rotated["coordination"]["keeper"]["resources"] = json!({"limits": {"cpu": "1"}});
    assert_eq!(life.update(program(rotated)).await.unwrap().0, ["clickhousekeeperinstallations"]);
}

#[tokio::test(start_paused = true)]
async fn a_row_is_all_that_an_object_takes() {
    let with = |pods: &str| program(json!({"annotations": {PODS: pods}}));
    let fake = Fake::new();
    let cluster = Cluster::new(fake.session());
    let preview = cluster.preview_create(&context().0, &Known::all(checked(with("7")))).await.unwrap();
    assert!(preview.unknown.iter().any(|path| path.to_string() == "uids"));
    assert!(
        fake.requests().iter().any(|seen| seen.path == QUOTA && seen.is_dry_run())
            && fake.at(QUOTA).is_none()
    );

    let mut life = Life::begin(with("7")).await;
    let _operator = operate(&life.fake, Duration::ZERO);
    assert!(life.state.uids.quota.is_some());
    assert_eq!(life.changes(with("7")), [""; 0]);

    // Lost, or edited: told by a refresh, made whole by the next update.
    for edit in [true, false] {
        if edit {
            life.fake.edit(QUOTA, |quota| quota["spec"]["hard"]["pods"] = json!("9"));
        } else {
            life.fake.remove(QUOTA);
        }
        life.refresh().await;
        assert_eq!(life.changes(with("7")), ["uids.quota"]);
        assert_eq!(life.update(with("7")).await.unwrap().0, ["resourcequotas"]);
        assert_eq!(life.fake.at(QUOTA).unwrap()["spec"]["hard"]["pods"], "7");
        life.refresh().await;
        assert_eq!(life.changes(with("7")), [""; 0]);
    }

    // Not wanted any more.
    life.update(program(json!({}))).await.unwrap();
    assert_eq!((life.fake.at(QUOTA), &life.state.uids.quota), (None, &None));
    life.update(with("7")).await.unwrap();
    life.cluster.delete(&context().0, "apps/db", Some(&life.args), Some(&life.state)).await.unwrap();
    assert!([QUOTA, SERVICE, CHI, CHK].iter().all(|path| life.fake.at(path).is_none()));
}

#[tokio::test(start_paused = true)]
async fn a_certificate_comes_and_goes_with_its_input_and_its_authority_is_told() {
    const CERTIFICATE: &str = "/apis/cert-manager.io/v1/namespaces/apps/certificates/db-tls";
    let tls = || program(json!({"tls": {"issuerRef": {"name": "ca"}}}));
    let mut life = Life::begin(tls()).await;
    let _operator = operate(&life.fake, Duration::ZERO);
    assert!(life.fake.at(CERTIFICATE).is_some() && life.state.ca_certificate.is_none());
    // As cert-manager fills it.
    life.fake.put(&json!({"apiVersion": "v1", "kind": "Secret", "data": {"ca.crt": "UEVN"},
        "metadata": {"name": "db-tls", "namespace": "apps"}}));
    life.refresh().await;
    assert_eq!(life.state.ca_certificate.as_deref(), Some("PEM"));
    assert_eq!(life.changes(tls()), [""; 0]);
    life.fake.edit(CERTIFICATE, |found| found["spec"]["dnsNames"] = json!(["other.example"]));
    life.refresh().await;
    assert_eq!(life.changes(tls()), ["uids.certificate"]);
    assert_eq!(life.update(tls()).await.unwrap().0, ["certificates"]);
    life.update(program(json!({}))).await.unwrap();
    assert_eq!((life.fake.at(CERTIFICATE), &life.state.ca_certificate), (None, &None));
}

#[tokio::test(start_paused = true)]
async fn a_keepers_members_are_told_by_the_services_that_are_for_clients() {
    let keeper = || program(json!({"coordination": {"type": "Keeper", "keeper": {"replicas": 1}}}));
    let endpoint = |service: &str| [format!("{service}.apps.svc.cluster.local:2181")];
    let mut life = Life::begin(keeper()).await;
    let _operator = operate(&life.fake, Duration::ZERO);
    assert_eq!(life.state.keeper.as_ref().unwrap().endpoints, endpoint("chk-db-cluster-0-0"));

    let (fake, uid) = (life.fake.clone(), life.state.uids.keeper.clone());
    let label = |key: &str| format!("clickhouse-keeper.altinity.com/{key}");
    let put = |name: &str, owner: Option<&str>, early: bool| {
        fake.put(&json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name,
            "namespace": "apps", "labels": {label("chk"): "db"}, "ownerReferences": [{"uid": owner}]},
            "spec": {"publishNotReadyAddresses": early, "selector": {label("shard"): "0",
                label("replica"): "0"}}}));
    };
    put("chk-db-cluster-0-0", uid.as_deref(), true);
    put("somebodys", Some("another"), false);
    life.refresh().await;
    assert_eq!(life.state.keeper.as_ref().unwrap().endpoints, endpoint("chk-db-cluster-0-0"));
    put("for-clients", uid.as_deref(), false);
    life.refresh().await;
    assert_eq!(life.state.keeper.as_ref().unwrap().endpoints, endpoint("for-clients"));
    assert_eq!(life.changes(keeper()), [""; 0]);

    // A preview knows it, but of a member that is to come.
    let (ctx, endpoints) = (context().0, PropertyPath::from("keeper.endpoints"));
    let mut more = keeper();
    more["logging"] = json!({"level": "debug"});
    for (replicas, is_known) in [(1, true), (3, false)] {
        more["coordination"]["keeper"]["replicas"] = json!(replicas);
        more["allowDataLoss"] = json!(true);
        let new = Known::all(checked(more.clone()));
        let preview =
            life.cluster.preview_update(&ctx, "apps/db", &life.args, Some(&life.state), &new).await.unwrap();
        assert_eq!(!preview.unknown.contains(&endpoints), is_known);
        assert_eq!(preview.state.keeper.unwrap().endpoints[..1], endpoint("for-clients"));
    }
    more["coordination"]["keeper"]["replicas"] = json!(1);
    life.update(more).await.unwrap();
    assert_eq!(life.state.keeper.as_ref().unwrap().endpoints, endpoint("for-clients"));
}

#[tokio::test(start_paused = true)]
async fn somebody_elses_object_in_the_place_of_a_row_is_left_alone() {
    let with = program(json!({"annotations": {PODS: "7"}}));
    let theirs = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "db-quota",
        "namespace": "apps"}});
    let fake = Fake::with([theirs.clone()]);
    let failed =
        Cluster::new(fake.session()).create(&context().0, Box::new(checked(with.clone()))).await.unwrap_err();
    assert!(
        failed.kind == FailureKind::AlreadyExists
            && failed.reasons[0].starts_with("ResourceQuota apps/db-quota already exists")
    );

    let mut life = Life::begin(program(json!({}))).await;
    life.fake.put(&theirs);
    let failed = life.update(with).await.unwrap_err();
    assert!(
        failed.partial.is_none() && failed.reasons[0].contains("it stays untouched"),
        "{:?}",
        failed.reasons
    );
    life.cluster.delete(&context().0, "apps/db", Some(&life.args), Some(&life.state)).await.unwrap();
    assert!(life.fake.at(QUOTA).is_some());
}
