//! What a cluster costs the API server: it keeps count of the requests, and more of them than are needed fail
//! here.

use serde_json::{Value, json};
use testbed::pulumi::Stack;
use testbed::requests::Requests;
use testbed::{Counted, Namespace, Testbed, needs};

/// How many clusters a program has.
const CLUSTERS: usize = 3;
const CLAIMS: &str = "persistentvolumeclaims";
const OBJECTS: [&str; 3] = ["secrets", "services", "clickhouseinstallations"];

fn program(namespace: &Namespace, properties: &Value) -> String {
    let cluster = |index: usize| {
        let mut properties = properties.clone();
        properties["namespace"] = json!(namespace.name());
        (format!("db{index}"), json!({"type": "clickhouse:kubernetes:Cluster", "properties": properties}))
    };
    let resources: serde_json::Map<_, _> = (0..CLUSTERS).map(cluster).collect();
    format!("resources: {}\n", Value::from(resources))
}

async fn stack(counted: &Counted<'_>, namespace: &Namespace, properties: &Value) -> Stack {
    let pulumi = Testbed::shared().await.pulumi().await.unwrap();
    pulumi.stack(&program(namespace, properties), counted.kubeconfig()).await.unwrap()
}

/// Asserts that each object of each cluster was read once to make it, but the Secret: the request that makes
/// it tells whether it is there.
fn looked_for(requests: &Requests) {
    for (object, reads) in OBJECTS.into_iter().zip([0, CLUSTERS, CLUSTERS]) {
        assert_eq!(requests.of("get", object), reads, "get {object}: {requests}");
    }
    assert_eq!(requests.of("create", "secrets"), CLUSTERS, "{requests}");
}

/// Asserts that there was one request of `verb` for each object of each cluster.
fn one_each(requests: &Requests, verb: &str) {
    for object in OBJECTS {
        assert_eq!(requests.of(verb, object), CLUSTERS, "{verb} {object}: {requests}");
    }
}

#[tokio::test]
async fn without_waiting_each_object_is_read_and_written_once_and_deleted_once() {
    needs!(Counting);
    let testbed = Testbed::shared().await;
    let mut counted = testbed.counted().await.unwrap();
    let namespace = testbed.namespace().await.unwrap();
    // Nothing sets a finalizer, so that no deletion has to be waited for.
    namespace.set_fault("silent").await.unwrap();
    let stack = stack(&counted, &namespace, &json!({"skipAwait": true})).await;

    stack.up().await.unwrap().succeeded().unwrap();
    let up = counted.take().unwrap();
    one_each(&up, "patch");
    looked_for(&up);
    // The Kubernetes cluster is asked for once.
    assert_eq!(up.of("get", "namespaces"), 1, "{up}");
    assert_eq!(up.total(), 2 * OBJECTS.len() * CLUSTERS + 1, "{up}");

    stack
        .run(&["up", "--yes", "--skip-preview", "--non-interactive", "--expect-no-changes"])
        .await
        .unwrap()
        .succeeded()
        .unwrap();
    let unchanged = counted.take().unwrap();
    assert_eq!(unchanged.total(), 0, "{unchanged}");

    stack.refresh().await.unwrap().succeeded().unwrap();
    let refresh = counted.take().unwrap();
    one_each(&refresh, "get");
    assert_eq!(refresh.total(), OBJECTS.len() * CLUSTERS + 1, "{refresh}");

    stack.destroy().await.unwrap().succeeded().unwrap();
    let destroy = counted.take().unwrap();
    one_each(&destroy, "delete");
    // What is kept is looked for once, for all clusters: a list, and the watch that it begins.
    assert_eq!((destroy.of("list", CLAIMS), destroy.of("watch", CLAIMS)), (1, 1), "{destroy}");
    // Each Secret says whose the cluster is.
    assert_eq!((destroy.of("get", "secrets"), destroy.of("get", "namespaces")), (CLUSTERS, 1), "{destroy}");
    assert_eq!(destroy.total(), OBJECTS.len() * CLUSTERS + CLUSTERS + 3, "{destroy}");
}

#[tokio::test]
async fn one_watch_of_each_kind_serves_all_clusters_that_are_waited_for() {
    needs!(Counting);
    let testbed = Testbed::shared().await;
    let mut counted = testbed.counted().await.unwrap();
    let namespace = testbed.namespace().await.unwrap();
    let stack = stack(&counted, &namespace, &json!({})).await;

    stack.up().await.unwrap().succeeded().unwrap();
    let up = counted.take().unwrap();
    one_each(&up, "patch");
    looked_for(&up);
    shared_watches(&up);
    assert!(up.of("watch", "clickhouseinstallations") == 1 && up.of("watch", "statefulsets") == 1, "{up}");

    stack.destroy().await.unwrap().succeeded().unwrap();
    let destroy = counted.take().unwrap();
    one_each(&destroy, "delete");
    shared_watches(&destroy);
    assert_eq!(destroy.of("watch", "clickhouseinstallations"), 1, "{destroy}");
}

#[tokio::test]
async fn an_update_reads_each_object_once_and_writes_only_what_differs() {
    needs!(Counting);
    let testbed = Testbed::shared().await;
    let mut counted = testbed.counted().await.unwrap();
    let namespace = testbed.namespace().await.unwrap();
    let admin = json!({"networks": ["10.0.0.0/8"]});
    let first = json!({"ingress": {"type": "NodePort"}, "admin": admin});
    let stack = stack(&counted, &namespace, &first).await;
    stack.up().await.unwrap().succeeded().unwrap();
    counted.take().unwrap();
    let noted = json!({"type": "NodePort", "annotations": {"example.com/a": "b"}});
    let changes = [
        ("services", json!({"ingress": noted, "admin": admin})),
        ("clickhouseinstallations", json!({"ingress": noted, "admin": admin, "logging": {"level": "debug"}})),
    ];
    for (written, properties) in changes {
        stack.set_program(&program(&namespace, &properties)).unwrap();
        stack
            .run(&["up", "--yes", "--skip-preview", "--non-interactive"])
            .await
            .unwrap()
            .succeeded()
            .unwrap();
        let update = counted.take().unwrap();
        one_each(&update, "get");
        for object in OBJECTS {
            assert_eq!(
                update.of("patch", object),
                if object == written { CLUSTERS } else { 0 },
                "patch {object}: {update}"
            );
        }
        // The claims of each cluster, by its label.
        assert_eq!(update.of("list", CLAIMS), CLUSTERS, "{update}");
    }
    stack.destroy().await.unwrap().succeeded().unwrap();
}

/// Asserts that there was one watch, and one list for it to begin with, of a kind at most.
fn shared_watches(requests: &Requests) {
    for (request, count) in &requests.0 {
        if ["list", "watch"].contains(&request.verb.as_str()) {
            assert_eq!(*count, 1, "{request:?}: {requests}");
        }
    }
}
