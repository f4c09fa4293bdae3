//! What is there once a program was brought about: as it says, and nothing when it was taken away.

use serde_json::Value;

use super::oracle::{NAMESPACE, is_foreign};
use crate::kubernetes::fake::Fake;
use crate::kubernetes::quantity::shrinks;

/// What of a program's cluster is not as the program says.
pub(super) fn broken(api: &Fake, program: &Value) -> Vec<String> {
    let namespace = program["namespace"].as_str().unwrap_or(NAMESPACE);
    let name = program["name"].as_str().unwrap_or_default();
    let at = |collection: &str, name: &str| api.at(&format!("{collection}/{name}")).unwrap_or_default();
    let core = |kind: &str| format!("/api/v1/namespaces/{namespace}/{kind}");
    let installations =
        format!("/apis/clickhouse.altinity.com/v1/namespaces/{namespace}/clickhouseinstallations");
    let (chi, service) = (at(&installations, name), at(&core("services"), name));
    let secret = at(&core("secrets"), &format!("{name}-credentials"));
    let mut wrong = Vec::new();
    let mut must = |is_so: bool, what: &str| {
        if !is_so {
            wrong.push(format!("not as the program says: {what}"));
        }
    };
    must(!chi.is_null() && !secret.is_null() && !service.is_null(), "its objects are there");
    for (key, value) in program["labels"].as_object().into_iter().flatten() {
        let is_on = |object: &Value| object["metadata"]["labels"][key] == *value;
        must([&chi, &service, &secret].into_iter().all(is_on), "labels are on all objects");
    }
    let users = &chi["spec"]["configuration"]["users"];
    for name in program["users"].as_object().into_iter().flat_map(serde_json::Map::keys) {
        must(users.get(format!("{name}/password_sha256_hex")).is_some(), "users are there");
    }
    balanced(&service, program, &mut must);
    // Nobody brings about what is suspended, or not awaited.
    if program["suspended"] != true && program["skipAwait"] != true {
        hosts(api, namespace, name, &service, program, &mut must);
    }
    wrong
}

fn balanced(service: &Value, program: &Value, must: &mut impl FnMut(bool, &str)) {
    let ingress = &program["ingress"];
    let wanted = ingress["type"].as_str().unwrap_or("ClusterIP");
    must(service["spec"]["type"].as_str().unwrap_or("ClusterIP") == wanted, "the Service's type");
    let ranges = &service["spec"]["loadBalancerSourceRanges"];
    must(ingress.is_null() || *ranges == ingress["sourceRanges"], "the load balancer's sources");
}

/// The hosts by their pods and claims.
fn hosts(
    api: &Fake,
    namespace: &str,
    name: &str,
    service: &Value,
    program: &Value,
    must: &mut impl FnMut(bool, &str),
) {
    let count = |input: &str| program[input].as_u64().unwrap_or(1);
    let is_stopped = program["stopped"] == true;
    let wanted = if is_stopped { 0 } else { count("shards") * count("replicas") };
    let is_here = |object: &Value, kind: &str| {
        object["kind"] == kind
            && object["metadata"]["namespace"] == namespace
            && object["metadata"]["labels"]["clickhouse.altinity.com/chi"] == name
    };
    let objects = api.objects();
    let pods: Vec<_> = objects.values().filter(|object| is_here(object, "Pod")).collect();
    must(pods.len() as u64 == wanted, "how many hosts run");
    if let Some(version) = program["version"].as_str() {
        let runs = |pod: &&Value| {
            let image = pod["spec"]["containers"][0]["image"].as_str();
            image.is_some_and(|image| image.ends_with(&format!(":{version}")))
        };
        must(pods.iter().all(runs), "the version that runs");
    }
    let selects = |pod: &&Value| {
        let selector = service["spec"]["selector"].as_object();
        selector.is_some_and(|selector| {
            selector.iter().all(|(key, value)| pod["metadata"]["labels"][key] == *value)
        })
    };
    must(pods.iter().all(selects), "the Service's hosts");
    let size = program["storage"]["size"].as_str().unwrap_or("50Gi");
    let mounted = pods.iter().flat_map(|pod| pod["spec"]["volumes"].as_array().into_iter().flatten());
    let claims = mounted.filter_map(|volume| volume["persistentVolumeClaim"]["claimName"].as_str());
    for claim in claims {
        let path = format!("/api/v1/namespaces/{namespace}/persistentvolumeclaims/{claim}");
        let claim = api.at(&path).unwrap_or_default();
        // Those of an earlier cluster of the name may be larger.
        let capacity = claim["status"]["capacity"]["storage"].as_str();
        must(capacity.is_some_and(|capacity| !shrinks(size, capacity)), "the size of the volumes");
    }
    let made_by_sets = objects
        .values()
        .filter(|object| is_here(object, "StatefulSet"))
        .any(|set| set["spec"]["volumeClaimTemplates"].as_array().is_some_and(|claims| !claims.is_empty()));
    let wants_sets = program["storage"]["provisioner"] == "StatefulSet";
    must(is_stopped || made_by_sets == wants_sets, "who makes the volumes");
}

/// What a destroyed cluster has left behind: everything but volumes, which go or stay by their policy, and
/// what others have.
pub(super) fn left(api: &Fake) -> Vec<String> {
    let is_left = |path: &str, object: &Value| {
        let kind = object["kind"].as_str().unwrap_or_default();
        !["Event", "PersistentVolumeClaim", "Deployment"].contains(&kind)
            && !is_foreign(object)
            && path != format!("/api/v1/namespaces/{NAMESPACE}")
    };
    let objects = api.objects();
    objects
        .iter()
        .filter(|(path, object)| is_left(path, object))
        .map(|(path, _)| format!("{path} is left behind"))
        .collect()
}
