//! Each fault of the operator's stand-in has the shape that the real operator's has.

use anyhow::Result;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service};
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams};
use serde_json::{Value, json};
use testbed::operator::FINALIZER;
use testbed::operator::faults::KEEPER_SERVICES;
use testbed::watching::{Recording, wait_for, wait_for_status};
use testbed::{Namespace, Testbed};

use crate::{INSTALLATION, KEEPER, change, completed, create, installation};

/// A namespace with a completed installation `db`, and then the fault.
async fn after_completion(fault: &str) -> Result<Namespace> {
    let namespace = Testbed::shared().await.namespace().await?;
    create(&namespace.installations(), INSTALLATION, "db", installation(1, 1, "t-1")).await?;
    completed(&namespace, "db", "t-1").await?;
    namespace.set_fault(fault).await?;
    Ok(namespace)
}

async fn change_users(namespace: &Namespace, task: &str) -> Result<()> {
    let users = json!({"default/password_sha256_hex": "cd".repeat(32)});
    change(&namespace.installations(), "db", json!({"taskID": task, "configuration": {"users": users}})).await
}

async fn users(namespace: &Namespace) -> Result<String> {
    let config = namespace.api::<ConfigMap>().get("chi-db-common-usersd").await?;
    Ok(config.data.unwrap_or_default().remove("chop-generated-users.xml").unwrap_or_default())
}

fn is_ready(set: Option<&StatefulSet>) -> bool {
    set.and_then(|set| set.status.as_ref()).is_some_and(|status| status.ready_replicas == Some(1))
}

#[tokio::test]
async fn a_stale_completed_stays_for_a_while_after_a_change() -> Result<()> {
    let namespace = after_completion("stale-completed:1").await?;
    let mut recording = Recording::start(namespace.installations(), "db");
    change_users(&namespace, "t-2").await?;
    recording
        .until(|object| object.is_some_and(|object| object.data["status"]["taskIDsCompleted"][0] == "t-2"))
        .await?;
    let stale = recording.versions().into_iter().flatten().any(|object| {
        let status = &object.data["status"];
        object.data["spec"]["taskID"] == "t-2" && status["status"] == "Completed" && status["taskID"] == "t-1"
    });
    assert!(stale, "the old task's Completed was seen beside the new task");
    assert_eq!(recording.statuses("status"), ["Completed", "InProgress", "Completed"]);
    Ok(())
}

#[tokio::test]
async fn the_finalize_race_completes_a_task_that_never_started_and_rolls_nothing_out() -> Result<()> {
    let namespace = after_completion("finalize-race").await?;
    change_users(&namespace, "t-2").await?;
    let status = completed(&namespace, "db", "t-2").await?;
    assert_eq!(status["taskIDsStarted"], json!(["t-1"]));
    assert!(!users(&namespace).await?.contains(&"cd".repeat(32)));

    change(&namespace.installations(), "db", json!({"taskID": "t-3"})).await?;
    let status = completed(&namespace, "db", "t-3").await?;
    assert_eq!(status["taskIDsStarted"], json!(["t-3", "t-1"]));
    assert!(users(&namespace).await?.contains(&"cd".repeat(32)), "a fresh task rolls it out");
    Ok(())
}

#[tokio::test]
async fn completed_comes_before_the_pods_are_ready() -> Result<()> {
    let namespace = Testbed::shared().await.namespace().await?;
    namespace.set_fault("completed-not-ready:2").await?;
    create(&namespace.installations(), INSTALLATION, "db", installation(1, 1, "t-1")).await?;
    completed(&namespace, "db", "t-1").await?;
    assert!(!is_ready(Some(&namespace.api::<StatefulSet>().get("chi-db-c-0-0").await?)));
    wait_for(&namespace.api::<StatefulSet>(), "chi-db-c-0-0", "ready in the end", is_ready).await?;
    Ok(())
}

#[tokio::test]
async fn a_new_host_that_does_not_get_ready_is_passed_by() -> Result<()> {
    let namespace = Testbed::shared().await.namespace().await?;
    namespace.annotate("stand-in/create-timeout", Some("1")).await?;
    let mut spec = installation(1, 1, "t-1");
    spec["templates"]["podTemplates"][0]["spec"]["nodeSelector"] = json!({"no-such": "node"});
    create(&namespace.installations(), INSTALLATION, "db", spec).await?;
    completed(&namespace, "db", "t-1").await?;
    assert!(!is_ready(Some(&namespace.api::<StatefulSet>().get("chi-db-c-0-0").await?)));
    Ok(())
}

#[tokio::test]
async fn a_changed_host_that_does_not_get_ready_aborts_and_a_sound_change_heals() -> Result<()> {
    let namespace = Testbed::shared().await.namespace().await?;
    create(&namespace.installations(), INSTALLATION, "db", installation(1, 1, "t-1")).await?;
    completed(&namespace, "db", "t-1").await?;
    namespace.annotate("stand-in/update-timeout", Some("2")).await?;
    let mut broken = installation(1, 1, "t-2");
    broken["templates"]["podTemplates"][0]["spec"]["containers"][0]["image"] =
        json!("example/does-not-exist:1");
    change(&namespace.installations(), "db", broken).await?;
    let aborted = |status: &Value| status["status"] == "Aborted";
    let status = wait_for_status(&namespace.installations(), "db", "Aborted", aborted).await?;
    assert_eq!(status["taskIDsCompleted"], json!(["t-2", "t-1"]), "an aborted task counts as completed");
    let error = status["error"].as_str().unwrap_or_default();
    assert!(
        error.starts_with("FAILED to reconcile CR") && error.ends_with("err: crud error - should abort"),
        "{error}"
    );

    namespace.annotate("stand-in/update-timeout", None).await?;
    change(&namespace.installations(), "db", installation(1, 1, "t-3")).await?;
    completed(&namespace, "db", "t-3").await?;
    wait_for(&namespace.api::<StatefulSet>(), "chi-db-c-0-0", "ready", is_ready).await?;
    Ok(())
}

#[tokio::test]
async fn a_keeper_whose_members_never_started_is_made_anew_by_a_sound_change() -> Result<()> {
    let namespace = Testbed::shared().await.namespace().await?;
    namespace.annotate("stand-in/create-timeout", Some("1")).await?;
    let with = |image: &str| {
        let containers = json!([{"name": "clickhouse-keeper", "image": image}]);
        let mut spec = keeper(3);
        spec["defaults"] = json!({"templates": {"podTemplate": "p"}});
        spec["templates"] = json!({"podTemplates": [{"name": "p", "spec": {"containers": containers}}]});
        spec
    };
    let created = create(&namespace.keepers(), KEEPER, "k", with("example/does-not-exist:1")).await?;
    let completed = async |generation: Option<i64>| {
        wait_for_status(&namespace.keepers(), "k", "Completed", |status| {
            status["status"] == "Completed"
                && status["normalizedCompleted"]["metadata"]["generation"] == json!(generation)
        })
        .await
    };
    completed(created.metadata.generation).await?;
    let passed_by = namespace.api::<StatefulSet>().get("chk-k-k-0-0").await?;
    assert!(!is_ready(Some(&passed_by)));

    namespace.annotate("stand-in/create-timeout", None).await?;
    change(&namespace.keepers(), "k", with("example/sound:1")).await?;
    completed(namespace.keepers().get("k").await?.metadata.generation).await?;
    for member in ["chk-k-k-0-0", "chk-k-k-0-1", "chk-k-k-0-2"] {
        assert!(is_ready(Some(&namespace.api::<StatefulSet>().get(member).await?)), "{member}");
    }
    let made_anew = namespace.api::<StatefulSet>().get("chk-k-k-0-0").await?;
    assert_ne!(made_anew.uid(), passed_by.uid(), "the operator updates only what is ready");
    Ok(())
}

#[tokio::test]
async fn aborted_stays_until_a_new_task_without_the_fault() -> Result<()> {
    let namespace = after_completion("aborted").await?;
    change_users(&namespace, "t-2").await?;
    let aborted = |status: &Value| status["status"] == "Aborted" && status["taskID"] == "t-2";
    wait_for_status(&namespace.installations(), "db", "Aborted", aborted).await?;
    namespace.clear_fault().await?;
    change_users(&namespace, "t-3").await?;
    completed(&namespace, "db", "t-3").await?;
    Ok(())
}

#[tokio::test]
async fn aborted_recovers_by_itself() -> Result<()> {
    let namespace = after_completion("aborted-recovers:1").await?;
    let mut recording = Recording::start(namespace.installations(), "db");
    change_users(&namespace, "t-2").await?;
    let settled = |status: &Value| status["status"] == "Completed" && status["taskIDsCompleted"][0] == "t-2";
    recording.until(|object| object.is_some_and(|object| settled(&object.data["status"]))).await?;
    assert_eq!(
        recording.statuses("status"),
        ["Completed", "InProgress", "Aborted", "InProgress", "Completed"]
    );
    assert!(users(&namespace).await?.contains(&"cd".repeat(32)));
    Ok(())
}

#[tokio::test]
async fn a_stuck_keeper_serves_but_stays_in_progress() -> Result<()> {
    let namespace = Testbed::shared().await.namespace().await?;
    namespace.set_fault("keeper-stuck").await?;
    let spec = json!({"configuration": {"clusters": [{"name": "k", "layout": {"replicasCount": 1}}]}});
    create(&namespace.keepers(), KEEPER, "k", spec).await?;
    let all = |status: &Value| status["hostsCompleted"] == 1;
    let status = wait_for_status(&namespace.keepers(), "k", "done with its host", all).await?;
    assert_eq!(status["status"], "InProgress");
    assert!(is_ready(Some(&namespace.api::<StatefulSet>().get("chk-k-k-0-0").await?)));
    Ok(())
}

#[tokio::test]
async fn a_silent_operator_leaves_no_finalizer_and_no_status_until_it_speaks() -> Result<()> {
    let testbed = Testbed::shared().await;
    let (silent, other) = (testbed.namespace().await?, testbed.namespace().await?);
    silent.set_fault("silent").await?;
    for namespace in [&silent, &other] {
        create(&namespace.installations(), INSTALLATION, "db", installation(1, 1, "t-1")).await?;
    }
    completed(&other, "db", "t-1").await?;
    let untouched = silent.installations().get("db").await?;
    assert!(untouched.finalizers().is_empty() && untouched.data["status"].is_null());
    silent.clear_fault().await?;
    completed(&silent, "db", "t-1").await?;
    Ok(())
}

#[tokio::test]
async fn a_finalizer_that_never_goes_keeps_the_installation_terminating() -> Result<()> {
    let namespace = after_completion("finalizer-never-goes").await?;
    namespace.installations().delete("db", &DeleteParams::default()).await?;
    let undone = |status: &Value| status["status"] == "Terminating" && status["hostsDeleted"] == 1;
    wait_for_status(&namespace.installations(), "db", "Terminating without its host", undone).await?;
    assert_eq!(namespace.installations().get("db").await?.finalizers(), [FINALIZER]);
    assert!(namespace.api::<Pod>().get_opt("chi-db-c-0-0-0").await?.is_none());
    Ok(())
}

fn keeper(replicas: u32) -> Value {
    json!({"configuration": {"clusters": [{"name": "k", "layout": {"replicasCount": replicas}}]}})
}

#[tokio::test]
async fn a_keeper_that_is_deleted_in_progress_takes_the_operator_down_until_the_fault_is_gone() -> Result<()>
{
    let namespace = Testbed::shared().await.namespace().await?;
    namespace.set_fault("keeper-crash").await?;
    for name in ["in-time", "too-early"] {
        create(&namespace.keepers(), KEEPER, name, keeper(1)).await?;
    }
    wait_for_status(&namespace.keepers(), "in-time", "Completed", |status| status["status"] == "Completed")
        .await?;
    namespace.keepers().delete("in-time", &DeleteParams::default()).await?;
    create(&namespace.installations(), INSTALLATION, "db", installation(1, 1, "t-1")).await?;
    completed(&namespace, "db", "t-1").await?;
    assert!(!namespace.crashed().await?);

    change(&namespace.keepers(), "too-early", keeper(3)).await?;
    wait_for_status(&namespace.keepers(), "too-early", "InProgress", |status| {
        status["status"] == "InProgress"
    })
    .await?;
    namespace.keepers().delete("too-early", &DeleteParams::default()).await?;
    while !namespace.crashed().await? {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    change_users(&namespace, "t-2").await?;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(namespace.installations().get("db").await?.data["status"]["taskID"], "t-1");
    namespace.clear_fault().await?;
    completed(&namespace, "db", "t-2").await?;
    Ok(())
}

#[tokio::test]
async fn a_keepers_members_have_one_service_each_or_two() -> Result<()> {
    let namespace = Testbed::shared().await.namespace().await?;
    let services = async || -> Result<Vec<(String, Option<bool>)>> {
        let all = namespace.api::<Service>().list(&ListParams::default()).await?.items.into_iter();
        let early =
            |service: &Service| service.spec.as_ref().and_then(|spec| spec.publish_not_ready_addresses);
        Ok(all.map(|service| (service.name_any(), early(&service).filter(|early| *early))).collect())
    };
    let done = |generation: i64| {
        move |status: &Value| {
            status["status"] == "Completed"
                && status["normalizedCompleted"]["metadata"]["generation"] == generation
        }
    };
    let layout = json!({"configuration": {"clusters": [{"name": "c", "layout": {"replicasCount": 2}}]}});
    create(&namespace.keepers(), KEEPER, "zk", layout).await?;
    wait_for_status(&namespace.keepers(), "zk", "Completed", done(1)).await?;
    let (member, of_all) = (|name: &str| (name.to_owned(), Some(true)), ("keeper-zk".to_owned(), None));
    let own = ["chk-zk-c-0-0", "chk-zk-c-0-1"].map(member);
    assert_eq!(services().await?, [own[0].clone(), own[1].clone(), of_all.clone()]);

    namespace.annotate(KEEPER_SERVICES, Some("paired")).await?;
    change(&namespace.keepers(), "zk", json!({"taskID": "t-2"})).await?;
    wait_for_status(&namespace.keepers(), "zk", "Completed again", done(2)).await?;
    let client = |name: &str| (format!("{name}-client"), None);
    let [first, second] = own;
    assert_eq!(services().await?, [first, client("chk-zk-c-0-0"), second, client("chk-zk-c-0-1"), of_all]);
    Ok(())
}
