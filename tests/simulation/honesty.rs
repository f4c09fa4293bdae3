//! The simulated API server beside a real one: the same random requests get the same answers, but for unique
//! ids, revisions, times, and what the real one adds by default.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use kube::Client;
use kube::client::Body;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Map, Value, json};
use testbed::control_plane::{ControlPlane, Lifetime};
use testbed::crds;
use testbed::tools::{self, Tool};

use crate::kubernetes::fake::Fake;

/// How many sequences of requests, each in a namespace of its own, and how long each is.
const SEQUENCES: u64 = 260;
const LENGTH: usize = 20;

const APPLY: &str = "application/apply-patch+yaml";
const MERGE: &str = "application/merge-patch+json";
const JSON: &str = "application/json";

/// A kind by the first part of its paths and its plural.
type Kind = (&'static str, &'static str, &'static str, &'static str);

const KINDS: [Kind; 4] = [
    (
        "/apis/clickhouse.altinity.com/v1",
        "clickhouseinstallations",
        "clickhouse.altinity.com/v1",
        "ClickHouseInstallation",
    ),
    ("/api/v1", "configmaps", "v1", "ConfigMap"),
    ("/api/v1", "secrets", "v1", "Secret"),
    ("/api/v1", "services", "v1", "Service"),
];

/// A request that can be made of both: in it `UID` stands for the unique id that the object has there.
#[derive(Debug, Clone)]
struct Asked {
    method: &'static str,
    path: String,
    query: String,
    form: &'static str,
    body: Value,
    /// The object that it is about.
    object: String,
}

/// A server, and what it was last seen to have.
struct Side {
    client: Client,
    uids: BTreeMap<String, String>,
}

impl Side {
    fn new(client: Client) -> Self {
        Self { client, uids: BTreeMap::new() }
    }

    async fn ask(&mut self, asked: &Asked) -> (u16, Value) {
        let uid = self.uids.get(&asked.object).cloned().unwrap_or_else(|| "none".to_owned());
        let body = if asked.body.is_null() { String::new() } else { asked.body.to_string() };
        let request = http::Request::builder()
            .method(asked.method)
            .uri(format!("{}?{}", asked.path, asked.query))
            .header(http::header::CONTENT_TYPE, asked.form)
            .body(Body::from(body.replace("UID", &uid).into_bytes()))
            .unwrap();
        let response = self.client.send(request).await.unwrap();
        let code = response.status().as_u16();
        let bytes = response.into_body().collect_bytes().await.unwrap();
        let answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let uid = answer["metadata"]["uid"].as_str().filter(|_| !asked.query.contains("dryRun"));
        if let Some(uid) = uid {
            self.uids.insert(asked.object.clone(), uid.to_owned());
        }
        (code, answer)
    }
}

fn content(rng: &mut StdRng, kind: Kind) -> Value {
    let word = |rng: &mut StdRng| ["red", "green", "blue"][rng.random_range(0..3)].to_owned();
    match kind.3 {
        "ConfigMap" => {
            let keys: Vec<_> = ["a", "b", "c"].into_iter().filter(|_| rng.random_bool(0.5)).collect();
            let data: Map<_, _> = keys.into_iter().map(|key| (key.to_owned(), json!(word(rng)))).collect();
            json!({"data": data})
        }
        // `stringData` is written by nobody here; the real one has owners of its own for it.
        "Secret" => json!({"data": {"password": ByteString(word(rng).into_bytes())}, "type": "Opaque"}),
        // Ports are a list with keys there, and one field here.
        "Service" => json!({"spec": {"selector": {"color": word(rng)}, "ports": [{"name": "http",
            "port": 8123, "targetPort": "http", "protocol": "TCP"}]}}),
        _ => {
            let mut spec = json!({"taskID": word(rng)});
            if rng.random_bool(0.5) {
                spec["stop"] = json!("yes");
            }
            if rng.random_bool(0.6) {
                spec["configuration"] = json!({"settings": {"max_connections": word(rng)},
                    "clusters": [{"name": word(rng), "layout": {"shardsCount": rng.random_range(1..4)}}]});
            }
            json!({"spec": spec})
        }
    }
}

fn manifest(rng: &mut StdRng, kind: Kind, namespace: &str, name: &str) -> Value {
    let mut object = content(rng, kind);
    object["apiVersion"] = json!(kind.2);
    object["kind"] = json!(kind.3);
    object["metadata"] = json!({"name": name, "namespace": namespace});
    if rng.random_bool(0.5) {
        let color = ["red", "green"][rng.random_range(0..2)];
        object["metadata"]["labels"] = json!({"color": color});
    }
    if rng.random_bool(0.2) {
        object["metadata"]["finalizers"] = json!(["example.com/held"]);
    }
    object
}

/// A random request about one of two objects of a kind.
fn request(rng: &mut StdRng, namespace: &str) -> Asked {
    let kind = KINDS[rng.random_range(0..KINDS.len())];
    let name = ["one", "other"][rng.random_range(0..2)];
    let collection = format!("{}/namespaces/{namespace}/{}", kind.0, kind.1);
    let object = format!("{collection}/{name}");
    let manager = ["pulumi-clickhouse", "somebody"][rng.random_range(0..2)];
    let dry = if rng.random_bool(0.15) { "&dryRun=All" } else { "" };
    let asked = |method, path: &str, query: String, form, body| Asked {
        method,
        path: path.to_owned(),
        query,
        form,
        body,
        object: object.clone(),
    };
    match rng.random_range(0..12) {
        0..5 => {
            let mut body = manifest(rng, kind, namespace, name);
            // A finalizer that is given up by apply stays apart from the question here.
            body["metadata"].as_object_mut().unwrap().remove("finalizers");
            if rng.random_bool(0.2) {
                body["metadata"]["uid"] = json!("UID");
            }
            let force = rng.random_bool(0.6);
            asked("PATCH", &object, format!("fieldManager={manager}&force={force}{dry}"), APPLY, body)
        }
        5 | 6 => {
            let body = manifest(rng, kind, namespace, name);
            asked("POST", &collection, format!("fieldManager={manager}{dry}"), JSON, body)
        }
        7 => {
            let mut body = content(rng, kind);
            if rng.random_bool(0.4) {
                body["metadata"] = json!({"finalizers": []});
            }
            asked("PATCH", &object, format!("fieldManager={manager}{dry}"), MERGE, body)
        }
        8 | 9 => {
            let mut body = json!({"kind": "DeleteOptions", "apiVersion": "v1"});
            if rng.random_bool(0.5) {
                body["preconditions"] = json!({"uid": if rng.random_bool(0.7) { "UID" } else { "another" }});
            }
            asked("DELETE", &object, String::new(), JSON, body)
        }
        10 => asked("GET", &object, String::new(), JSON, Value::Null),
        _ => asked("GET", &collection, "labelSelector=color%3Dred".to_owned(), JSON, Value::Null),
    }
}

/// What both must say: the code, a failure's reason, an object's own content. What a deletion answers with
/// depends on the kind.
fn told(asked: &Asked, code: u16, answer: &Value) -> Value {
    if code >= 400 {
        return json!([code, answer["reason"]]);
    }
    if let Some(items) = answer["items"].as_array() {
        return json!([code, items.iter().map(|item| &item["metadata"]["name"]).collect::<Vec<_>>()]);
    }
    if asked.method == "DELETE" || answer["metadata"]["uid"].is_null() {
        return json!([code]);
    }
    let metadata = &answer["metadata"];
    let mut spec = answer["spec"].clone();
    if answer["kind"] == "Service" {
        // The real one adds a dozen fields.
        spec = json!([spec["selector"], spec["ports"]]);
    }
    let is_leaving = metadata.get("deletionTimestamp").is_some();
    let finalizers = metadata["finalizers"].as_array().cloned().unwrap_or_default();
    let labels = metadata["labels"].as_object().cloned().unwrap_or_default();
    json!([
        code,
        spec,
        answer["data"].as_object().cloned().unwrap_or_default(),
        labels,
        finalizers,
        is_leaving
    ])
}

#[test]
#[ignore = "starts a real API server: `cargo test-all` runs it"]
fn the_real_server_gives_the_same_answers() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let binary = tools::build(Tool::ControlPlane).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let mut plane = ControlPlane::start_api(directory.path(), &binary, Lifetime::Tethered, crds::install)
            .await
            .unwrap();
        let real = plane.client().await.unwrap();
        let mut different = Vec::new();
        for seed in 0..SEQUENCES {
            different.extend(sequence(seed, real.clone()).await);
        }
        plane.stop();
        assert!(
            different.is_empty(),
            "{} differ\n{}",
            different.len(),
            different[..different.len().min(12)].join("\n\n")
        );
    });
}

/// The first request of a sequence that gets different answers.
async fn sequence(seed: u64, real: Client) -> Option<String> {
    let mut rng = StdRng::seed_from_u64(seed);
    let namespace = format!("sequence-{seed}");
    let mut real = Side::new(real);
    let mut fake = Side::new(Fake::new().client());
    let made = Asked {
        method: "POST",
        path: "/api/v1/namespaces".to_owned(),
        query: "fieldManager=test".to_owned(),
        form: JSON,
        body: json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}),
        object: "namespace".to_owned(),
    };
    real.ask(&made).await;
    fake.ask(&made).await;
    let mut so_far: Vec<(String, String)> = Vec::new();
    for _ in 0..LENGTH {
        let asked = request(&mut rng, &namespace);
        let (theirs, ours) = (real.ask(&asked).await, fake.ask(&asked).await);
        let line = format!("{} {}?{} {}", asked.method, asked.path, asked.query, asked.body);
        so_far.push((asked.object.clone(), line));
        if told(&asked, theirs.0, &theirs.1) != told(&asked, ours.0, &ours.1) {
            return Some(format!(
                "sequence {seed}:\n{}\nreal: {}\nsimulated: {}\nreal, whole: {}",
                about(&asked.object, &so_far),
                told(&asked, theirs.0, &theirs.1),
                told(&asked, ours.0, &ours.1),
                theirs.1
            ));
        }
    }
    None
}

/// The requests that were about an object.
fn about(object: &str, so_far: &[(String, String)]) -> String {
    let lines = so_far.iter().filter(|(about, _)| about == object).map(|(_, line)| line.as_str());
    lines.collect::<Vec<_>>().join("\n")
}
