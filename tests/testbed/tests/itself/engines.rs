//! An engine lives and dies with its pod, and the pod says how it fares.

use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::DeleteParams;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use testbed::engine::forward::ask;
use testbed::engine::{Choice, Login};
use testbed::watching::wait_for;
use testbed::{Namespace, Testbed};

use crate::{INSTALLATION, change, completed, create, installation, is_ready};

const POD: &str = "chi-db-c-0-0-0";
const CLAIM: &str = "data-chi-db-c-0-0-0";
/// `printf secret | sha256sum`
const HASH: &str = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";

/// The last words of the engine of a pod that crash-loops.
fn last_words(pod: Option<&Pod>) -> Option<String> {
    let status = pod?.status.as_ref()?.container_statuses.as_ref()?.first()?;
    let waits = status.state.as_ref()?.waiting.as_ref()?.reason.as_deref() == Some("CrashLoopBackOff");
    waits.then(|| status.last_state.as_ref()?.terminated.as_ref()?.message.clone())?
}

async fn until(namespace: &Namespace, what: &str, condition: impl Fn(Option<&Pod>) -> bool) -> Option<Pod> {
    wait_for(&namespace.api::<Pod>(), POD, what, condition).await.unwrap()
}

/// The processes whose folder is in that of the engines of a pod.
fn processes(uid: &str) -> Vec<i32> {
    let commands = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let id: i32 = entry.unwrap().file_name().to_str()?.parse().ok()?;
        let line = std::fs::read_to_string(Path::new("/proc").join(id.to_string()).join("cmdline")).ok()?;
        line.contains(uid).then_some(id)
    });
    commands.collect()
}

#[tokio::test]
#[allow(clippy::print_stderr, reason = "what is left out must be said")]
async fn a_pod_is_as_ready_as_its_engine() {
    let testbed = Testbed::shared().await;
    let namespace = match testbed.namespace_with_engines(Choice::Newest).await.unwrap() {
        Ok(namespace) => namespace,
        Err(absent) => return eprintln!("{absent}"),
    };
    let api = namespace.installations();
    let mut spec = installation(1, 1, "t1");
    spec["configuration"]["users"]["default/password_sha256_hex"] = json!(HASH);
    create(&api, INSTALLATION, "db", spec).await.unwrap();
    completed(&namespace, "db", "t1").await.unwrap();
    let login = Login { user: "default".to_owned(), password: "secret".to_owned() };
    let target = format!("pod/{POD}");
    let count = async |statement: &str| {
        ask(|| Ok(testbed.kubectl()), namespace.name(), &target, &login, statement).await
    };
    assert_eq!(count("SELECT getMacro('replica')").await.unwrap().trim(), "chi-db-c-0-0");
    count("CREATE TABLE t (x UInt8) ENGINE = MergeTree ORDER BY x").await.unwrap();
    count("INSERT INTO t VALUES (1), (2), (3)").await.unwrap();

    // A killed engine comes back on the same data, and the pod says both.
    let uid = until(&namespace, "is ready", is_ready).await.unwrap().metadata.uid.unwrap();
    let [process] = processes(&uid)[..] else { panic!("one process for the pod") };
    kill_process(Pid::from_raw(process).unwrap(), Signal::KILL).unwrap();
    until(&namespace, "crash-loops", |pod| last_words(pod).is_some()).await;
    until(&namespace, "is ready again", is_ready).await;
    assert_eq!(count("SELECT count() FROM t").await.unwrap().trim(), "3");

    // A configuration that ClickHouse refuses is shown with its own words.
    let profile =
        |value: Value| json!({"taskID": "t2", "configuration": {"profiles": {"web/max_thredz": value}}});
    change(&api, "db", profile(json!("1"))).await.unwrap();
    let refused = until(&namespace, "is refused", |pod| {
        last_words(pod).is_some_and(|words| words.contains("max_thredz"))
    })
    .await;
    assert!(!is_ready(refused.as_ref()));
    change(&api, "db", profile(json!(null))).await.unwrap();
    until(&namespace, "is ready again", is_ready).await;

    // Nothing is left of a deleted installation's engine but the volume, which is retained.
    let claim = namespace.api::<PersistentVolumeClaim>().get(CLAIM).await.unwrap();
    let volume = testbed.engine_volume(&claim.spec.unwrap().volume_name.unwrap());
    api.delete("db", &DeleteParams::default()).await.unwrap();
    until(&namespace, "is gone", |pod| pod.is_none()).await;
    let mut looks = 0;
    while !processes(&uid).is_empty() {
        looks += 1;
        assert!(looks < 100, "the engine outlives its pod");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(volume.join("store").exists());
    namespace.api::<PersistentVolumeClaim>().delete(CLAIM, &DeleteParams::default()).await.unwrap();
    let mut looks = 0;
    while volume.exists() {
        looks += 1;
        assert!(looks < 100, "the rows outlive their volume");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    namespace.delete().await.unwrap();
}
