use serde_json::{Value, json};

use tokio::time::Instant;

use super::*;

const WRITTEN: &str = "2026-01-01T12:00:00Z";
const BEFORE: &str = "2026-01-01T11:00:00Z";

#[derive(Default)]
struct Scene {
    set: Option<Value>,
    pod: Option<Value>,
    claim: Option<Value>,
    event: Option<Value>,
    quota: Option<Value>,
    words: CrashLogs,
    stage: Stage,
}

const REMEDIES: Remedies = Remedies {
    image: "`version` or `image`",
    pull_secrets: "image.pullSecrets",
    storage_classes: &[("data", "storage.storageClass")],
    other_storage_class: "overrides.claims",
};

impl Scene {
    fn findings(&self) -> Vec<Finding> {
        self.findings_of("h")
    }

    fn findings_of(&self, host: &str) -> Vec<Finding> {
        fn read<K: serde::de::DeserializeOwned>(object: Option<&Value>) -> Vec<Arc<K>> {
            object
                .map(|object| Arc::new(serde_json::from_value(object.clone()).unwrap()))
                .into_iter()
                .collect()
        }
        let written: Time = serde_json::from_value(json!(WRITTEN)).unwrap();
        findings(&Evidence {
            name: "db",
            hosts: &[host],
            sets: &read(self.set.as_ref()),
            pods: &read(self.pod.as_ref()),
            claims: &read(self.claim.as_ref()),
            events: &read(self.event.as_ref()),
            quotas: &read(self.quota.as_ref()),
            words: &self.words,
            written: Some(&written),
            stage: self.stage,
            remedies: REMEDIES,
        })
    }

    fn one(&self) -> Finding {
        let mut findings = self.findings();
        assert_eq!(findings.len(), 1, "{findings:?}");
        findings.remove(0)
    }
}

fn pod(status: Value) -> Value {
    let mut pod = json!({"metadata": {"name": "h-0", "creationTimestamp": "2026-01-01T12:00:01Z"},
        "spec": {"nodeName": "n1"}});
    pod["status"] = status;
    pod
}

fn waiting(reason: &str, message: &str) -> Value {
    pod(json!({"phase": "Pending", "containerStatuses": [{"name": "clickhouse", "image": "i:1",
            "state": {"waiting": {"reason": reason, "message": message}}}]}))
}

fn event(kind: &str, name: &str, message: &str) -> Value {
    json!({"metadata": {"name": "e"}, "involvedObject": {"kind": kind, "name": name}, "reason": "Failed",
        "message": message, "lastTimestamp": "2026-01-01T12:00:05Z"})
}

fn unscheduled(message: &str) -> Value {
    pod(json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False",
            "reason": "Unschedulable", "message": message}]}))
}

fn claim(class: Option<&str>) -> Value {
    json!({"metadata": {"name": "data-h-0"}, "spec": {"storageClassName": class},
        "status": {"phase": "Pending"}})
}

#[test]
fn each_state_of_a_host_has_its_words_and_its_grace() {
    let crash =
        pod(json!({"phase": "Running", "containerStatuses": [{"name": "clickhouse", "restartCount": 4,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}}]}));
    let unready =
        pod(json!({"phase": "Running", "containerStatuses": [{"name": "clickhouse", "ready": false}]}));
    let silent = pod(json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}],
        "containerStatuses": [{"name": "clickhouse", "ready": true}]}));
    let mut terminating = silent.clone();
    terminating["metadata"]["deletionTimestamp"] = json!(BEFORE);
    let with = |pod: Value, claim: Option<Value>, event: Option<Value>| Scene {
        pod: Some(pod),
        claim,
        event,
        ..Scene::default()
    };
    let cases = [
        (
            with(
                unscheduled("0/3 nodes are available: 3 Insufficient memory. preemption: 0/3 nodes"),
                None,
                None,
            ),
            "h-0: Pending, 0/3 nodes are available: 3 Insufficient memory",
            None,
        ),
        (
            with(unscheduled("unbound claims"), Some(claim(Some("fast"))), None),
            "volume data-h-0 is Pending, of storage class `fast`",
            None,
        ),
        (
            with(
                unscheduled("unbound claims"),
                Some(claim(Some("fast"))),
                Some(event(
                    "PersistentVolumeClaim",
                    "data-h-0",
                    "storageclass.storage.k8s.io \"fast\" not found",
                )),
            ),
            "the storage class `fast` does not exist",
            Some(GracePeriod::Other),
        ),
        (
            with(unscheduled("unbound claims"), Some(claim(None)), None),
            "no default storage class",
            Some(GracePeriod::Other),
        ),
        (
            with(waiting("ImagePullBackOff", "not found"), None, None),
            "the image `i:1` can't be pulled: not found",
            Some(GracePeriod::Image),
        ),
        (
            with(waiting("InvalidImageName", ""), None, None),
            "`i:1` is not a valid image name",
            Some(GracePeriod::Other),
        ),
        (
            with(waiting("CreateContainerConfigError", "secret \"x\" not found"), None, None),
            "secret \"x\" not found",
            Some(GracePeriod::Other),
        ),
        (
            with(crash, None, None),
            "CrashLoopBackOff of container `clickhouse`, exit code 137 (OOMKilled), started 5 times",
            None,
        ),
        (
            with(
                waiting("ContainerCreating", ""),
                None,
                Some(event("Pod", "h-0", "MountVolume.SetUp failed")),
            ),
            "starting on node n1, Failed: MountVolume.SetUp failed",
            None,
        ),
        (
            with(unready, None, Some(event("Pod", "h-0", "Readiness probe failed"))),
            "runs but is not ready, Readiness probe failed",
            None,
        ),
        (
            with(silent, None, Some(event("Pod", "h-0", "Node is not ready"))),
            "h-0: not ready though its containers are on node n1, Node is not ready",
            None,
        ),
        (with(terminating, None, None), "h-0: Terminating on node n1", None),
    ];
    for (scene, text, ends) in cases {
        let finding = scene.one();
        assert!(finding.text.contains(text), "{} does not contain {text}", finding.text);
        assert_eq!(finding.ends, ends, "{}", finding.text);
    }
}

#[test]
fn a_quota_that_lets_no_pod_in_is_told_and_ends_the_wait() {
    let message = "create Pod h-0 in StatefulSet h failed error: pods \"h-0\" is forbidden: exceeded quota: \
        small, requested: cpu=2, limited: cpu=1";
    let finding = Scene { event: Some(event("StatefulSet", "h", message)), ..Scene::default() }.one();
    assert!(
        finding.text.starts_with("h: no pod, the namespace's quota is exceeded: small, requested"),
        "{}",
        finding.text
    );
    assert_eq!(finding.ends, Some(GracePeriod::Other));
}

#[test]
fn what_the_change_may_still_mend_does_not_end_the_wait() {
    let mut old = waiting("ImagePullBackOff", "not found");
    old["metadata"]["creationTimestamp"] = json!(BEFORE);
    let mut scene = Scene { pod: Some(old), ..Scene::default() };
    assert_eq!(scene.one().ends, None);
    scene.stage = Stage::GaveUp;
    assert_eq!(scene.one().ends, Some(GracePeriod::Image));
}

#[test]
fn a_host_without_news_has_no_finding() {
    assert!(Scene::default().findings().is_empty());
}

#[test]
fn a_state_must_last_its_grace_without_a_break() {
    let grace_periods = GracePeriods::default();
    let started = Instant::now();
    let pulling = Scene { pod: Some(waiting("ErrImagePull", "a")), ..Scene::default() }.findings();
    let backing_off = Scene { pod: Some(waiting("ImagePullBackOff", "b")), ..Scene::default() }.findings();
    let mut ages = FindingAges::default();
    assert_eq!(ages.judge(&pulling, &grace_periods, started).again, Some(started + grace_periods.image));
    assert!(ages.judge(&backing_off, &grace_periods, started + grace_periods.image / 2).reasons.is_empty());
    assert_eq!(ages.judge(&backing_off, &grace_periods, started + grace_periods.image).reasons.len(), 1);

    ages.judge(&[], &grace_periods, started + grace_periods.image);
    assert!(ages.judge(&pulling, &grace_periods, started + 2 * grace_periods.image).reasons.is_empty());
}

#[test]
fn the_remedy_names_the_property_of_the_claims_template() {
    let told = |template: &str| {
        let host = "chi-db-cluster-0-0";
        let mut pod = unscheduled("unbound claims");
        pod["metadata"]["name"] = json!(format!("{host}-0"));
        let claim = json!({"metadata": {"name": format!("{template}-{host}-0")},
            "spec": {"storageClassName": "gp9"}, "status": {"phase": "Pending"}});
        let event = event(
            "PersistentVolumeClaim",
            &format!("{template}-{host}-0"),
            "storageclass.storage.k8s.io \"gp9\" not found",
        );
        let scene = Scene { pod: Some(pod), claim: Some(claim), event: Some(event), ..Scene::default() };
        scene.findings_of(host).remove(0)
    };
    for (template, property) in [("data", "`storage.storageClass`"), ("cold", "`overrides.claims`")] {
        let finding = told(template);
        assert!(finding.text.contains(&format!("does not exist; correct {property}")), "{}", finding.text);
        assert_eq!(finding.row, "the storage class `gp9` does not exist (cluster-0-0)");
    }
}

#[test]
fn a_storage_quota_is_named_where_a_volume_was_not_made() {
    let quota = json!({"metadata": {"name": "small"}, "status": {"hard": {"requests.storage": "1Gi",
        "pods": "9"}, "used": {"requests.storage": "0"}}});
    let pod = unscheduled(
        "0/3 nodes are available: persistentvolumeclaim \"data-h-0\" not found. preemption: none",
    );
    let mut scene = Scene { pod: Some(pod), quota: Some(quota), ..Scene::default() };
    let finding = scene.one();
    assert_eq!(finding.row, "storage quota: small: 0 of requests.storage=1Gi is used (h)");
    assert!(finding.text.contains("the namespace's storage quota may not allow it"), "{}", finding.text);
    assert_eq!(finding.ends, None);
    scene.stage = Stage::Done;
    assert_eq!(scene.one().ends, Some(GracePeriod::Other), "nobody makes it any more");
    scene.quota = None;
    assert!(
        scene.one().text.ends_with("persistentvolumeclaim \"data-h-0\" not found"),
        "{}",
        scene.one().text
    );
}

#[test]
fn what_a_sidecar_writes_is_not_told() {
    let crash = |name: &str| {
        pod(json!({"phase": "Running", "containerStatuses": [{"name": name, "restartCount": 1,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {"exitCode": 1,
                "message": "token=abc"}}}]}))
    };
    let told = |name: &str| Scene { pod: Some(crash(name)), ..Scene::default() }.one().text;
    assert!(told("clickhouse").ends_with(": token=abc"));
    assert!(told("backup").ends_with("exit code 1, started 2 times"), "{}", told("backup"));
    let read = |name: &str| serde_json::from_value(crash(name)).map(|pod| ended(&pod).count()).unwrap();
    assert_eq!((read("clickhouse-log"), read("backup")), (1, 0));
}
