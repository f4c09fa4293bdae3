//! What the tests with the real engine share.

use std::path::Path;
use std::process::Command;

use k8s_openapi::api::core::v1::{Secret, Service};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::ResourceExt as _;
use kube::api::{ListParams, PostParams};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use testbed::Elsewhere;
use testbed::engine::Choice;
use testbed::pulumi::Stack;
use testbed::tools::workspace_directory;
use testbed::{Namespace, Testbed};

/// A program with one cluster, `db`, in `namespace`.
pub(crate) fn program(namespace: &str, properties: &Value) -> String {
    program_with(namespace, properties, &json!({}))
}

/// The same, where the waits of the cluster end after `seconds`.
pub(crate) fn program_within(namespace: &str, properties: &Value, seconds: u32) -> String {
    let time = format!("{seconds}s");
    program_with(
        namespace,
        properties,
        &json!({"customTimeouts": {"create": time, "update": time, "delete": time}}),
    )
}

/// The same, with resource options of one's own.
pub(crate) fn program_with(namespace: &str, properties: &Value, options: &Value) -> String {
    let mut properties = properties.clone();
    properties["namespace"] = json!(namespace);
    let resources = json!({"db": {"type": "clickhouse:kubernetes:Cluster", "properties": properties,
        "options": options}});
    let outputs = json!({"name": "${db.name}", "username": "${db.username}", "password": "${db.password}",
        "cluster": "${db}"});
    format!("resources: {resources}\noutputs: {outputs}\n")
}

/// A stack with one cluster, `db`, in a namespace of its own.
pub(crate) async fn stack(properties: &Value) -> (Namespace, Stack) {
    let testbed = Testbed::shared().await;
    let namespace = testbed.namespace().await.unwrap();
    let stack = testbed.stack(&program(namespace.name(), properties)).await.unwrap();
    (namespace, stack)
}

/// A namespace whose pods have engines; `None`, and a word of it, where there are none.
#[allow(clippy::print_stderr, reason = "what is left out must be said")]
pub(crate) async fn with_engines(choice: Choice) -> Option<Namespace> {
    match Testbed::shared().await.namespace_with_engines(choice).await.unwrap() {
        Ok(namespace) => Some(namespace),
        Err(absent) => {
            eprintln!("{absent}");
            None
        }
    }
}

/// An API server with the definitions of the operator's release 0.27.1, which have fields and checks that those
/// in force have not; `None`, and a word of it, where they are not beside those in force.
#[allow(clippy::print_stderr, reason = "what is left out must be said")]
pub(crate) async fn newer() -> Option<Elsewhere> {
    const NEWER: &str = "0.27.1";
    let newer = Testbed::shared().await.elsewhere_with(NEWER).await.unwrap();
    if newer.is_none() {
        eprintln!("left out: the definitions of operator {NEWER}, which are not beside those in force");
    }
    newer
}

/// The same as [`stack`], where the waits end after `seconds`.
pub(crate) async fn stack_within(properties: &Value, seconds: u32) -> (Namespace, Stack) {
    let (namespace, stack) = stack(properties).await;
    stack.set_program(&program_within(namespace.name(), properties, seconds)).unwrap();
    (namespace, stack)
}

/// The same, where the operator has a fault.
pub(crate) async fn faulty_stack(fault: &str, properties: &Value, seconds: u32) -> (Namespace, Stack) {
    let (namespace, stack) = stack_within(properties, seconds).await;
    namespace.set_fault(fault).await.unwrap();
    (namespace, stack)
}

/// What the stack's state says of its only cluster; `None` when it has none.
pub(crate) fn in_state(stack: &Stack) -> Option<Value> {
    let state = stack.export().unwrap();
    let resources = state["deployment"]["resources"].as_array().cloned().unwrap_or_default();
    resources.into_iter().find(|resource| resource["type"] == "clickhouse:kubernetes:Cluster")
}

/// What a failed run must have left in the state: the cluster with its id, and its password encrypted; gives
/// the reasons why it is not ready.
pub(crate) fn failed_in_state(namespace: &Namespace, stack: &Stack) -> String {
    let cluster = in_state(stack).expect("the cluster is in the state");
    assert_eq!(cluster["id"], format!("{}/db", namespace.name()));
    assert_eq!(cluster["inputs"]["name"], "db");
    assert!(cluster["outputs"]["password"]["ciphertext"].is_string(), "{}", cluster["outputs"]["password"]);
    let reasons = cluster["initErrors"].as_array().expect("the state says that it is not ready");
    reasons.iter().map(Value::to_string).collect::<Vec<_>>().join("\n")
}

/// The identity of the cluster `db` and its password: what must stay the same however often a run is
/// interrupted.
pub(crate) async fn identity(namespace: &Namespace) -> (Option<String>, String) {
    let installation = namespace.installations().get_opt("db").await.unwrap();
    let secret = namespace.api::<Secret>().get("db-credentials").await.unwrap();
    (
        installation.and_then(|object| object.uid()),
        String::from_utf8(secret.data.unwrap()["password"].0.clone()).unwrap(),
    )
}

/// What must stay the same: every object in a namespace by kind, name, unique id and version.
pub(crate) async fn objects(namespace: &Namespace) -> Vec<String> {
    let all = ListParams::default();
    let mut objects = Vec::new();
    let mut note = |kind: &str, meta: &kube::core::ObjectMeta| {
        objects.push(format!("{kind} {:?} {:?} {:?}", meta.name, meta.uid, meta.resource_version));
    };
    namespace
        .installations()
        .list(&all)
        .await
        .unwrap()
        .iter()
        .for_each(|object| note("installation", &object.metadata));
    namespace.keepers().list(&all).await.unwrap().iter().for_each(|object| note("keeper", &object.metadata));
    namespace
        .api::<Secret>()
        .list(&all)
        .await
        .unwrap()
        .iter()
        .for_each(|object| note("secret", &object.metadata));
    namespace
        .api::<Service>()
        .list(&all)
        .await
        .unwrap()
        .iter()
        .for_each(|object| note("service", &object.metadata));
    objects
}

/// Sends a signal to a process; one that has ended meanwhile doesn't mind.
pub(crate) fn signal(pid: u32, signal: Signal) {
    let sent = kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), signal);
    assert!(matches!(sent, Ok(()) | Err(Errno::SRCH)), "{sent:?}");
}

/// The ids of the provider's processes that an engine, or a language host of its, has started.
pub(crate) fn plugins_of(engine: u32) -> Vec<u32> {
    let output = Command::new("ps").args(["-A", "-o", "pid=,ppid=,args="]).output().unwrap();
    let listing = String::from_utf8(output.stdout).unwrap();
    let processes: Vec<(u32, u32, &str)> = listing
        .lines()
        .filter_map(|line| {
            let (pid, rest) = line.trim_start().split_once(' ')?;
            let (parent, command) = rest.trim_start().split_once(' ')?;
            Some((pid.parse().ok()?, parent.parse().ok()?, command))
        })
        .collect();
    let parent_of = |pid: u32| processes.iter().find(|process| process.0 == pid).map(|process| process.1);
    let descends =
        |pid: u32| std::iter::successors(Some(pid), |pid| parent_of(*pid)).any(|pid| pid == engine);
    let plugins = processes
        .iter()
        .filter(|(pid, _, command)| command.contains("pulumi-resource-clickhouse") && descends(*pid));
    plugins.map(|(pid, ..)| *pid).collect()
}

/// The Role of docs/rbac.md, as that of one namespace.
pub(crate) fn documented_role() -> Role {
    let page = std::fs::read_to_string(workspace_directory().join("docs/rbac.md")).unwrap();
    let role = page
        .split("```")
        .find_map(|block| block.strip_prefix("yaml\napiVersion: rbac"))
        .expect("the page has the role");
    serde_saphyr::from_str(&format!("apiVersion: rbac{role}")).unwrap()
}

/// Gives a user a role in a namespace.
pub(crate) async fn grant(namespace: &Namespace, role: Role, user: &str) {
    let binding = json!({
        "metadata": {"name": user},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role.metadata.name},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    });
    namespace.api::<Role>().create(&PostParams::default(), &role).await.unwrap();
    namespace
        .api::<RoleBinding>()
        .create(&PostParams::default(), &serde_json::from_value(binding).unwrap())
        .await
        .unwrap();
}

/// A kubeconfig of the administrator who acts as somebody with fewer rights.
pub(crate) fn acting_as(kubeconfig: &Path, user: &str) -> String {
    let mut kubeconfig: Value = serde_json::from_slice(&std::fs::read(kubeconfig).unwrap()).unwrap();
    kubeconfig["users"][0]["user"]["as"] = json!(user);
    kubeconfig.to_string()
}
