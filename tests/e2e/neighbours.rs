//! Kinds that cert-manager and the Prometheus operator define: the API server takes what the provider makes
//! of them, hosts wait for the certificate, and where a definition is missing it is said.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::params::ValidationDirective;
use serde_json::{Value, json};
use testbed::engine::Choice;
use testbed::watching::wait_for;
use testbed::{Namespace, Testbed, needs};

use crate::support::{in_state, program, stack, with_engines};

fn certificates(namespace: &Namespace) -> Api<DynamicObject> {
    namespace.custom("cert-manager.io", "v1", "Certificate")
}

fn monitoring(namespace: &Namespace, kind: &str) -> Api<DynamicObject> {
    namespace.custom("monitoring.coreos.com", "v1", kind)
}

fn all() -> Value {
    let labels = json!({"release": "prom"});
    json!({"name": "db", "shards": 2, "tls": {"issuerRef": {"name": "ca", "kind": "ClusterIssuer"}},
        "ingress": {"hostname": "db.example.com", "sourceRanges": ["203.0.113.0/24"]},
        "monitoring": {"rules": {"labels": labels}, "podMonitor": {"labels": labels, "interval": "30s"}}})
}

/// Why an object's definition refuses a field that it doesn't know.
async fn strictness(api: &Api<DynamicObject>, name: &str) -> String {
    let params =
        PatchParams { field_validation: Some(ValidationDirective::Strict), ..PatchParams::default() };
    let unknown = Patch::Merge(json!({"spec": {"unknownField": 1}}));
    api.patch(name, &params, &unknown).await.unwrap_err().to_string()
}

#[tokio::test]
async fn certificates_monitors_and_alerts_are_as_their_definitions_have_them() {
    needs!(Definitions);
    let (namespace, stack) = stack(&all()).await;
    let preview = stack.preview().await.unwrap().succeeded().unwrap();
    assert!(!preview.text().contains("dry run skipped"), "{}", preview.text());
    stack.up().await.unwrap().succeeded().unwrap();

    let each = [
        (certificates(&namespace), "db-tls"),
        (monitoring(&namespace, "PodMonitor"), "db"),
        (monitoring(&namespace, "PrometheusRule"), "db"),
    ];
    for (api, name) in &each {
        let refused = strictness(api, name).await;
        assert!(refused.contains("unknown field"), "{refused}");
    }
    let [certificate, monitor, rules] = &each;
    let certificate = certificate.0.get("db-tls").await.unwrap().data;
    let names = certificate["spec"]["dnsNames"].as_array().unwrap();
    assert!(names.contains(&json!("db.example.com")), "{names:?}");

    // The PodMonitor leads to the hosts, and to a port that they have.
    let monitor = monitor.0.get("db").await.unwrap().data["spec"].take();
    let labels = monitor["selector"]["matchLabels"].as_object().unwrap().iter();
    let selector =
        labels.map(|(key, value)| format!("{key}={}", value.as_str().unwrap())).collect::<Vec<_>>();
    let pods = namespace.api::<Pod>().list(&ListParams::default().labels(&selector.join(","))).await.unwrap();
    assert_eq!(pods.items.len(), 2, "{selector:?}");
    let port = monitor["podMetricsEndpoints"][0]["port"].as_str().unwrap();
    for pod in pods {
        let containers = pod.spec.unwrap().containers;
        let mut ports = containers.iter().flat_map(|container| container.ports.iter().flatten());
        assert!(ports.any(|other| other.name.as_deref() == Some(port)), "{containers:?}");
        for target in monitor["podTargetLabels"].as_array().unwrap() {
            assert!(pod.metadata.labels.as_ref().unwrap().contains_key(target.as_str().unwrap()), "{target}");
        }
    }
    let rules = rules.0.get("db").await.unwrap().data["spec"].take();
    assert_eq!(rules["groups"][0]["rules"].as_array().map(Vec::len), Some(6), "{rules}");

    for command in ["refresh", "up"] {
        let again = stack.run(&[command, "--yes", "--skip-preview", "--expect-no-changes"]).await;
        again.unwrap().succeeded().unwrap();
    }
    stack.set_program(&program(namespace.name(), &json!({"name": "db", "shards": 2}))).unwrap();
    stack.up().await.unwrap().succeeded().unwrap();
    for (api, name) in &each {
        assert_eq!(api.get_opt(name).await.unwrap(), None);
    }
    stack.destroy().await.unwrap().succeeded().unwrap();
    namespace.delete().await.unwrap();
}

fn is_ready(pod: Option<&Pod>) -> bool {
    let conditions = pod.and_then(|pod| pod.status.as_ref()?.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Makes the Secret that a Certificate asks for, as cert-manager does.
async fn issue(namespace: &Namespace, authority: &str) {
    let asked = wait_for(&certificates(namespace), "db-tls", "there", |found| found.is_some()).await;
    let asked = asked.unwrap().unwrap().data["spec"].take();
    let secret = json!({"metadata": {"name": asked["secretName"]}, "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": "certificate", "tls.key": "key", "ca.crt": authority}});
    let secret = serde_json::from_value(secret).unwrap();
    namespace.api::<Secret>().create(&PostParams::default(), &secret).await.unwrap();
}

#[tokio::test]
#[allow(clippy::print_stderr, reason = "what is left out must be said")]
async fn hosts_wait_for_the_certificate_and_its_authority_is_told() {
    needs!(Definitions);
    let testbed = Testbed::shared().await;
    let Some(namespace) = with_engines(Choice::Newest).await else { return };
    let properties = json!({"name": "db", "tls": {"issuerRef": {"name": "ca"}}});
    let stack = testbed.stack(&program(namespace.name(), &properties)).await.unwrap();
    let pods = namespace.api::<Pod>();
    let pod = "chi-db-cluster-0-0-0";
    let cert_manager = async {
        wait_for(&pods, pod, "there", |pod| pod.is_some()).await.unwrap();
        // An engine that waits for nothing answers after one.
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert!(!is_ready(pods.get_opt(pod).await.unwrap().as_ref()), "it has no certificate yet");
        issue(&namespace, "authority").await;
    };
    let (up, ()) = tokio::join!(stack.up(), cert_manager);
    up.unwrap().succeeded().unwrap();
    assert!(is_ready(pods.get_opt(pod).await.unwrap().as_ref()));
    let outputs = in_state(&stack).unwrap()["outputs"].take();
    assert_eq!(outputs["caCertificate"], "authority", "{outputs}");
    assert_eq!(outputs["endpoints"]["https"]["port"], 8443, "{outputs}");
    stack.destroy().await.unwrap().succeeded().unwrap();
    assert_eq!(certificates(&namespace).get_opt("db-tls").await.unwrap(), None);
    namespace.delete().await.unwrap();
}

#[tokio::test]
async fn a_definition_that_is_missing_is_told_with_the_way_out() {
    needs!(ControlPlanes);
    let testbed = Testbed::shared().await;
    let elsewhere = testbed.elsewhere().await.unwrap();
    let namespace = elsewhere.namespace("without-definitions").await.unwrap();
    let pulumi = testbed.pulumi().await.unwrap();
    let stack = pulumi.stack(&program(namespace.name(), &all()), &elsewhere.kubeconfig()).await.unwrap();
    let missing = [
        "does not have the kind Certificate (cert-manager.io/v1): cert-manager is not installed",
        "does not have the kind PodMonitor (monitoring.coreos.com/v1): the Prometheus operator is not",
        "does not have the kind PrometheusRule (monitoring.coreos.com/v1): the Prometheus operator is not",
    ];
    // They may come in the same run.
    let preview = stack.preview().await.unwrap().succeeded().unwrap();
    for part in missing {
        assert!(preview.text().contains(part), "`{part}` is not in:\n{}", preview.text());
    }
    let failed = stack.up().await.unwrap().failed().unwrap();
    assert!(missing.iter().any(|part| failed.text().contains(part)), "{}", failed.text());
    assert_eq!(namespace.installations().get_opt("db").await.unwrap(), None, "no host comes without them");
    stack.destroy().await.unwrap().succeeded().unwrap();
}
