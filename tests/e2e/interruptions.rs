//! Runs that are stopped by the user or killed, and servers that go away under them: what the state holds
//! then, and that the next `pulumi up` goes on.

use std::process::Stdio;
use std::time::{Duration, Instant};

use kube::ResourceExt as _;
use kube::api::DynamicObject;
use rustix::process::Signal;
use serde_json::{Value, json};
use testbed::control_plane::Component;
use testbed::pulumi::Stack;
use testbed::watching::{PATIENCE, wait_for};
use testbed::{Namespace, Operator, Testbed, needs};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;

use crate::support::{
    failed_in_state, faulty_stack, identity, in_state, plugins_of, program, program_within, signal, stack,
};

const UP: [&str; 4] = ["up", "--yes", "--skip-preview", "--non-interactive"];
const DESTROY: [&str; 4] = ["destroy", "--yes", "--skip-preview", "--non-interactive"];

/// How long an interrupted run may take to end.
const PROMPT: Duration = Duration::from_secs(10);

fn start(stack: &Stack, arguments: &[&str]) -> Child {
    stack.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// What a run printed until it ended, which it must soon.
async fn end(run: Child) -> String {
    let output = tokio::time::timeout(PATIENCE, run.wait_with_output()).await.expect("the run ends").unwrap();
    assert!(!output.status.success(), "an interrupted run fails");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Ctrl-C, once `reached` holds of the installation; gives what was printed.
async fn interrupt(
    namespace: &Namespace,
    run: Child,
    what: &str,
    reached: impl Fn(&DynamicObject) -> bool,
) -> String {
    wait_for(&namespace.installations(), "db", what, |object| object.is_some_and(&reached)).await.unwrap();
    signal(run.id().unwrap(), Signal::INT);
    let interrupted = Instant::now();
    let text = end(run).await;
    assert!(interrupted.elapsed() < PROMPT, "{:?}\n{text}", interrupted.elapsed());
    text
}

fn is_taken_up(installation: &DynamicObject) -> bool {
    !installation.finalizers().is_empty()
}

fn pending_operations(stack: &Stack) -> Value {
    stack.export().unwrap()["deployment"]["pending_operations"].clone()
}

/// Frees the stack of a killed engine's lock.
async fn unlock(stack: &Stack) {
    stack.run(&["cancel", "--yes"]).await.unwrap().succeeded().unwrap();
}

/// Waits until processes are gone.
async fn gone(pids: &[u32]) -> Duration {
    let started = Instant::now();
    while pids.iter().any(|pid| std::path::Path::new(&format!("/proc/{pid}")).exists()) {
        assert!(started.elapsed() < PATIENCE, "a plugin outlives its engine");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    started.elapsed()
}

#[tokio::test]
async fn ctrl_c_in_a_create_keeps_what_is_there_and_the_next_up_goes_on() {
    needs!(Faults);
    let (namespace, stack) = faulty_stack("completed-not-ready", &json!({"name": "db"}), 600).await;
    let text = interrupt(&namespace, start(&stack, &UP), "taken up", is_taken_up).await;
    assert!(text.contains("stopped while waiting: "), "{text}");
    assert!(failed_in_state(&namespace, &stack).contains("stopped while waiting"));
    assert!(pending_operations(&stack).is_null());
    let made = identity(&namespace).await;

    namespace.clear_fault().await.unwrap();
    stack.up().await.unwrap().succeeded().unwrap();
    assert_eq!(identity(&namespace).await, made);
    stack.destroy().await.unwrap().succeeded().unwrap();
}

#[tokio::test]
async fn ctrl_c_in_an_update_keeps_the_change_and_the_next_up_finishes_it() {
    needs!(Faults);
    let (namespace, stack) = stack(&json!({"name": "db"})).await;
    stack.up().await.unwrap().succeeded().unwrap();
    let made = identity(&namespace).await;
    namespace.set_fault("silent").await.unwrap();
    stack
        .set_program(&program(namespace.name(), &json!({"name": "db", "logging": {"level": "debug"}})))
        .unwrap();
    let is_changed = |installation: &DynamicObject| {
        installation.data["spec"]["configuration"]["settings"]["logger/level"] == "debug"
    };
    interrupt(&namespace, start(&stack, &UP), "changed", is_changed).await;
    // In the wait, or as early as between the write and its answer.
    assert!(failed_in_state(&namespace, &stack).contains("stopped while "));
    assert!(pending_operations(&stack).is_null());

    namespace.clear_fault().await.unwrap();
    stack.up().await.unwrap().succeeded().unwrap();
    assert_eq!(identity(&namespace).await, made);
    stack.run(&["up", "--yes", "--skip-preview", "--expect-no-changes"]).await.unwrap().succeeded().unwrap();
}

#[tokio::test]
async fn ctrl_c_in_a_delete_keeps_the_state_and_the_next_destroy_finishes_it() {
    needs!(Faults);
    let (namespace, stack) = stack(&json!({"name": "db"})).await;
    stack.up().await.unwrap().succeeded().unwrap();
    namespace.set_fault("finalizer-never-goes").await.unwrap();
    let is_leaving = |installation: &DynamicObject| installation.metadata.deletion_timestamp.is_some();
    interrupt(&namespace, start(&stack, &DESTROY), "being deleted", is_leaving).await;
    assert!(in_state(&stack).is_some());
    assert!(pending_operations(&stack).is_null());

    namespace.clear_fault().await.unwrap();
    stack.destroy().await.unwrap().succeeded().unwrap();
    assert!(in_state(&stack).is_none() && namespace.installations().get_opt("db").await.unwrap().is_none());
}

#[tokio::test]
async fn a_killed_engine_takes_the_plugin_with_it_and_the_next_up_adopts_what_was_made() {
    needs!(Faults);
    let (namespace, stack) = faulty_stack("completed-not-ready", &json!({"name": "db"}), 600).await;
    let run = start(&stack, &UP);
    wait_for(&namespace.installations(), "db", "taken up", |object| object.is_some_and(is_taken_up))
        .await
        .unwrap();
    let engine = run.id().unwrap();
    let plugins = plugins_of(engine);
    assert!(!plugins.is_empty());
    signal(engine, Signal::KILL);
    let text = end(run).await;
    let took = gone(&plugins).await;
    assert!(took < Duration::from_secs(5), "{took:?}\n{text}");

    // The engine's own record: a create that was begun, of which it knows no more.
    unlock(&stack).await;
    assert!(in_state(&stack).is_none());
    assert_eq!(pending_operations(&stack)[0]["type"], "creating");
    let made = identity(&namespace).await;
    namespace.clear_fault().await.unwrap();
    let adopted = stack.up().await.unwrap().succeeded().unwrap();
    assert!(adopted.text().contains("is taken over as it is"), "{}", adopted.text());
    assert_eq!(identity(&namespace).await, made);
    // The engine keeps that record until it is told that it has been looked after.
    stack
        .run(&["refresh", "--yes", "--skip-preview", "--clear-pending-creates"])
        .await
        .unwrap()
        .succeeded()
        .unwrap();
    assert!(pending_operations(&stack).is_null());
    stack.run(&["up", "--yes", "--skip-preview", "--expect-no-changes"]).await.unwrap().succeeded().unwrap();
    stack.destroy().await.unwrap().succeeded().unwrap();
}

#[tokio::test]
async fn a_killed_plugin_fails_the_run_and_the_next_up_adopts_what_was_made() {
    needs!(Faults);
    let (namespace, stack) = faulty_stack("completed-not-ready", &json!({"name": "db"}), 600).await;
    let run = start(&stack, &UP);
    wait_for(&namespace.installations(), "db", "taken up", |object| object.is_some_and(is_taken_up))
        .await
        .unwrap();
    for plugin in plugins_of(run.id().unwrap()) {
        signal(plugin, Signal::KILL);
    }
    end(run).await;
    let made = identity(&namespace).await;
    namespace.clear_fault().await.unwrap();
    stack.up().await.unwrap().succeeded().unwrap();
    assert_eq!(identity(&namespace).await, made);
    stack.destroy().await.unwrap().succeeded().unwrap();
    assert!(namespace.installations().get_opt("db").await.unwrap().is_none());
}

#[tokio::test]
async fn a_wait_survives_the_restarts_of_the_api_server_and_of_its_store() {
    needs!(ControlPlanes);
    let testbed = Testbed::alone(Operator::StandIn).await.unwrap();
    let namespace = testbed.namespace().await.unwrap();
    namespace.set_fault("silent").await.unwrap();
    let stack = testbed.stack(&program_within(namespace.name(), &json!({"name": "db"}), 300)).await.unwrap();
    let mut run = start(&stack, &UP);
    wait_for(&namespace.installations(), "db", "made", |object| object.is_some()).await.unwrap();
    let mut lines = BufReader::new(run.stdout.take().unwrap()).lines();
    let mut says = async |text: &str| {
        let mut printed = String::new();
        let found = tokio::time::timeout(PATIENCE, async {
            while let Some(line) = lines.next_line().await.unwrap() {
                printed.extend([line.as_str(), "\n"]);
                if line.contains(text) {
                    return true;
                }
            }
            false
        });
        assert!(found.await.unwrap_or(false), "`{text}` is not in:\n{printed}");
    };
    says("waiting for the operator to start the change").await;
    let mut control_plane = testbed.control_plane().await.unwrap();
    control_plane.kill(Component::ApiServer);
    says("waiting for the API server: failed to reach the Kubernetes API server").await;
    control_plane.restart(Component::ApiServer).await.unwrap();
    says("waiting for the operator to start the change").await;
    control_plane.restart(Component::Etcd).await.unwrap();
    drop(control_plane);
    namespace.clear_fault().await.unwrap();
    says("2 created").await;
    assert!(run.wait().await.unwrap().success());
    stack.destroy().await.unwrap().succeeded().unwrap();
}
