//! Changes that are waited for, with an operator that does no more than a wait can see.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::*;
use crate::kubernetes::fake::Display;
use crate::kubernetes::meta::{Kind, ObjectRef};

/// What goes wrong with one task.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    /// It is recorded as completed, never as started, and not rolled out: the race of 0.25.6 between two
    /// quick changes.
    Lost,
    /// It ends with the host's StatefulSet scaled to 0: 0.25.6 loses its way when a host does not restart in
    /// time.
    LeftOut,
    Aborted,
    /// The operator is from before there was `suspend`.
    TooOld,
}

/// An operator for an installation of one host.
pub(super) struct Operator {
    fault: Arc<Mutex<Option<Fault>>>,
    /// The spec of each task that it saw.
    specs: Arc<Mutex<Vec<Value>>>,
}

impl Operator {
    fn start(fake: &Fake) -> Self {
        let operator = Self { fault: Arc::default(), specs: Arc::default() };
        let (fake, fault, specs) = (fake.clone(), operator.fault.clone(), operator.specs.clone());
        tokio::spawn(async move {
            loop {
                sleep(Duration::from_secs(1)).await;
                let Some(spec) = fake.at(CHI).map(|installation| installation["spec"].clone()) else {
                    continue;
                };
                if specs.lock().unwrap().last().is_none_or(|last| last["taskID"] != spec["taskID"]) {
                    specs.lock().unwrap().push(spec);
                    let fault = fault.lock().unwrap().take();
                    work(&fake, &specs.lock().unwrap(), fault);
                }
            }
        });
        operator
    }

    /// The next task has this fault, and those after it have none.
    pub(super) fn next(&self, fault: Fault) {
        *self.fault.lock().unwrap() = Some(fault);
    }

    pub(super) fn specs(&self) -> Vec<Value> {
        self.specs.lock().unwrap().clone()
    }
}

/// Deals with the last task.
fn work(fake: &Fake, specs: &[Value], fault: Option<Fault>) {
    let tasks: Vec<_> = specs.iter().rev().map(|spec| spec["taskID"].clone()).collect();
    let mut status = json!({"status": "Completed", "taskID": tasks[0], "taskIDsStarted": tasks,
        "taskIDsCompleted": tasks, "hosts": 1});
    match fault {
        Some(Fault::Lost) => status["taskIDsStarted"] = json!(tasks[1..]),
        Some(Fault::Aborted) => {
            status["status"] = json!("Aborted");
            status["error"] = json!("FAILED to reconcile CR apps/db, err: crud error - should abort");
        }
        Some(Fault::TooOld) => status["chop-version"] = json!("0.23.7"),
        Some(Fault::LeftOut) | None => {}
    }
    // Where it gives up, the host stays as it was.
    let hosts =
        specs.iter().rev().nth(usize::from(matches!(fault, Some(Fault::Aborted)))).unwrap_or(&specs[0]);
    let replicas = i32::from(!matches!(fault, Some(Fault::LeftOut)));
    let host = json!({"metadata": {"labels": {"clickhouse.altinity.com/app": "chop",
        "clickhouse.altinity.com/chi": "db"}},
        "spec": {"replicas": replicas, "template": hosts["templates"]["podTemplates"][0]},
        "status": {"observedGeneration": 9, "replicas": replicas, "readyReplicas": replicas,
            "updatedReplicas": replicas}});
    fake.put_at(&ObjectRef::new(Kind::StatefulSet, "apps", "chi-db-cluster-0-0").path(), &host);
    fake.set_status(Kind::Installation, "apps", "db", status);
}

/// A cluster that serves.
pub(super) struct Served {
    pub(super) cluster: Cluster,
    pub(super) fake: Fake,
    pub(super) operator: Operator,
    pub(super) args: ClusterArgs,
    pub(super) state: ClusterState,
}

impl Served {
    pub(super) async fn new(program: Value) -> Self {
        let (cluster, fake) = api();
        Self::on(cluster, fake, program).await
    }

    /// The same, on an API server of the test's.
    pub(super) async fn on(cluster: Cluster, fake: Fake, program: Value) -> Self {
        let operator = Operator::start(&fake);
        let args = checked(program);
        let state = create(&cluster, &args).await.unwrap();
        Self { cluster, fake, operator, args, state }
    }

    pub(super) async fn update(
        &self,
        new: &ClusterArgs,
    ) -> (Result<ClusterState, Failure<ClusterState>>, Arc<Display>) {
        let (ctx, display) = context();
        (self.cluster.update(&ctx, "apps/db", &self.args, Some(&self.state), new).await, display)
    }
}

fn debug() -> ClusterArgs {
    checked(json!({"name": "db", "logging": {"level": "debug"}}))
}

#[tokio::test(start_paused = true)]
async fn a_change_that_was_recorded_but_not_made_is_sent_once_more() {
    let served = Served::new(json!({"name": "db"})).await;
    served.operator.next(Fault::Lost);
    served.update(&debug()).await.0.unwrap();
    let specs = served.operator.specs();
    assert_eq!(specs.len(), 3, "the first, the one that was lost, the one in its place");
    assert_eq!(specs[1]["configuration"], specs[2]["configuration"]);
    assert!(
        specs.iter().all(|spec| spec.get("restart").is_none()),
        "ClickHouse takes a level over by itself"
    );
}

#[tokio::test(start_paused = true)]
async fn a_host_that_the_operator_left_without_a_pod_gets_another_task() {
    let served = Served::new(json!({"name": "db"})).await;
    served.operator.next(Fault::LeftOut);
    let (updated, display) = served.update(&debug()).await;
    updated.unwrap();
    assert_eq!(served.operator.specs().len(), 3);
    let statuses = display.statuses.lock().unwrap().clone();
    let told = "0/1 ready: no pod, its StatefulSet is scaled to 0 (cluster-0-0)";
    assert!(statuses.iter().any(|status| status == told), "{statuses:?}");
}

#[tokio::test(start_paused = true)]
async fn what_the_operator_will_not_do_is_told_and_the_next_update_goes_on() {
    for (fault, parts) in [
        (Fault::Aborted, ["the clickhouse-operator gave up", "crud error - should abort"]),
        (Fault::TooOld, ["the clickhouse-operator in this cluster is version 0.23.7", "upgrade it"]),
    ] {
        let served = Served::new(json!({"name": "db"})).await;
        served.operator.next(fault);
        let failure = served.update(&debug()).await.0.unwrap_err();
        assert!(parts.iter().all(|part| failure.reasons[0].contains(part)), "{:?}", failure.reasons);
        let left = failure.partial.expect("the change is written").state;
        let healed =
            served.cluster.update(&context().0, "apps/db", &debug(), Some(&left), &debug()).await.unwrap();
        assert_eq!((&healed.uids, &healed.password), (&served.state.uids, &served.state.password));
        assert_eq!(served.operator.specs().len(), 3, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_suspended_cluster_is_changed_without_a_wait() {
    let served = Served::new(json!({"name": "db"})).await;
    let suspended = checked(json!({"name": "db", "suspended": true, "logging": {"level": "debug"}}));
    let began = Instant::now();
    let (updated, display) = served.update(&suspended).await;
    updated.unwrap();
    assert!(began.elapsed() < Duration::from_millis(100), "{:?}", began.elapsed());
    let infos = display.infos();
    assert!(
        infos.iter().any(|info| info.contains("is suspended: the clickhouse-operator does not reconcile it")),
        "{infos:?}"
    );
    assert_eq!(served.fake.at(CHI).unwrap()["spec"]["configuration"]["settings"]["logger/level"], "debug");
}

/// A volume of the host, as the operator and Kubernetes have it.
fn volume(requested: &str, capacity: &str) -> Value {
    json!({"metadata": {"labels": {"clickhouse.altinity.com/app": "chop",
        "clickhouse.altinity.com/chi": "db"}},
        "spec": {"volumeName": "pv-1", "storageClassName": "standard",
            "resources": {"requests": {"storage": requested}}},
        "status": {"phase": "Bound", "capacity": {"storage": capacity}}})
}

#[tokio::test(start_paused = true)]
async fn an_update_is_done_when_the_volumes_have_grown() {
    let sized = |size: &str| json!({"name": "db", "storage": {"size": size, "storageClass": "standard"}});
    let served = Served::new(sized("1Gi")).await;
    served.fake.put(&storage_class("standard", true));
    served.fake.put_at(VOLUME, &volume("1Gi", "1Gi"));
    let (fake, began) = (served.fake.clone(), Instant::now());
    tokio::spawn(async move {
        sleep(Duration::from_secs(5)).await;
        fake.put_at(VOLUME, &volume("2Gi", "1Gi"));
        sleep(Duration::from_secs(15)).await;
        fake.put_at(VOLUME, &volume("2Gi", "2Gi"));
    });
    served.update(&checked(sized("2Gi"))).await.0.unwrap();
    assert_eq!((began.elapsed().as_secs(), served.operator.specs().len()), (20, 2));
}
