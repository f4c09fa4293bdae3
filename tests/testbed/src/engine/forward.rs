//! The way to an engine through the API server: kwok forwards a pod's ports to the engine's, and `kubectl
//! port-forward` goes to the pod.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, ResourceExt as _};
use serde_json::json;

use super::http::{self, Login};
use super::pod;
use super::process::Ports;

const GROUP: &str = "kwok.x-k8s.io";
const KIND: &str = "PortForward";
const VERSION: &str = "v1alpha1";
/// The port on which a server speaks HTTP, where nothing else is said.
pub const HTTP: u16 = 8123;

/// The definition of what tells kwok where a pod's ports are.
pub(crate) fn definition() -> Result<CustomResourceDefinition> {
    let free = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let schema = json!({"type": "object", "properties": {"spec": free, "status": free}});
    Ok(serde_json::from_value(json!({
        "metadata": {"name": format!("portforwards.{GROUP}")},
        "spec": {
            "group": GROUP,
            "names": {"kind": KIND, "plural": "portforwards", "singular": "portforward"},
            "scope": "Namespaced",
            "versions": [{
                "name": VERSION, "served": true, "storage": true, "subresources": {"status": {}},
                    "schema": {"openAPIV3Schema": schema},
            }],
        },
    }))?)
}

/// Forwards the ports that a pod's container names `http` and `tcp` to those of its engine, for as long as
/// the pod lives.
pub(super) async fn install(client: &Client, pod: &Pod, ports: Ports) -> Result<()> {
    let (name, namespace) = (pod.name_any(), pod.namespace().unwrap_or_default());
    let declared = pod::container(pod).and_then(|container| container.ports.as_ref());
    let number =
        |name: &str| Some(declared?.iter().find(|port| port.name.as_deref() == Some(name))?.container_port);
    let forwards: Vec<_> = [("http", ports.http), ("tcp", ports.tcp)]
        .into_iter()
        .filter_map(|(name, port)| {
            Some(json!({"ports": [number(name)?], "target": {"address": "127.0.0.1", "port": port}}))
        })
        .collect();
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(GROUP, VERSION, KIND));
    let forward = json!({
        "apiVersion": resource.api_version,
        "kind": KIND,
        "metadata": {"name": name, "namespace": namespace, "ownerReferences": [{"apiVersion": "v1",
            "kind": "Pod", "name": name, "uid": pod.uid()}]},
        "spec": {"forwards": forwards},
    });
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace, &resource);
    api.patch(&name, &PatchParams::apply("testbed").force(), &Patch::Apply(&forward)).await?;
    Ok(())
}

/// Asks `target` (`pod/name` or `service/name`) in `namespace` a statement by way of the `kubectl` that is
/// prepared each time, until it answers.
///
/// Fails with what ClickHouse says when it refuses the login or the statement, or when nobody has answered
/// after half a minute: a server that restarts, and one that takes over another configuration, are away for a
/// moment.
pub async fn ask(
    kubectl: impl Fn() -> Result<Command>,
    namespace: &str,
    target: &str,
    login: &Login,
    statement: &str,
) -> Result<String> {
    const PATIENCE: Duration = Duration::from_secs(30);
    const AGAIN: Duration = Duration::from_millis(300);
    let started = Instant::now();
    loop {
        let answer = match Forward::open(kubectl()?, namespace, target, HTTP).await {
            Ok(forward) => forward.query(login, statement).await,
            Err(error) => Err(error),
        };
        match answer {
            Err(error) if is_passing(&error.to_string()) && started.elapsed() < PATIENCE => {
                tokio::time::sleep(AGAIN).await;
            }
            answer => return answer,
        }
    }
}

/// Whether a failure is that of a server, or of another one that it asks, which is away.
fn is_passing(error: &str) -> bool {
    !error.starts_with("Code: ") || error.contains("NETWORK_ERROR")
}

/// A running `kubectl port-forward`. It ends when this is dropped.
#[derive(Debug)]
pub struct Forward {
    kubectl: Child,
    port: u16,
}

impl Forward {
    /// Opens one to a port of `target` (`pod/name` or `service/name`) in `namespace`, by way of a prepared
    /// `kubectl`.
    ///
    /// Fails when kubectl ends before the way is open, with what it says.
    pub async fn open(mut kubectl: Command, namespace: &str, target: &str, port: u16) -> Result<Self> {
        kubectl.args([
            "port-forward",
            "--address=127.0.0.1",
            "--namespace",
            namespace,
            target,
            &format!(":{port}"),
        ]);
        // The control plane's own kubectl ends with its standard input; another's is ended by `Drop` alone.
        kubectl
            .env("CONTROLPLANE_TETHERED", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut kubectl = kubectl.spawn().context("failed to run kubectl")?;
        let output = kubectl.stdout.take().context("kubectl has an output")?;
        let (sender, first) = tokio::sync::oneshot::channel();
        // All of its output must be read: it ends when it can't say what it does.
        std::thread::spawn(move || {
            let mut lines = BufReader::new(output).lines();
            let _ = sender.send(lines.next());
            lines.for_each(drop);
        });
        let first = first.await?.transpose()?;
        // `Forwarding from 127.0.0.1:40123 -> 8123`
        let local = first
            .as_deref()
            .and_then(|line| line.split_once("127.0.0.1:")?.1.split_once(' ')?.0.parse().ok());
        match local {
            Some(port) => Ok(Self { kubectl, port }),
            None => bail!(
                "kubectl port-forward: {}",
                String::from_utf8_lossy(&kubectl.wait_with_output()?.stderr).trim()
            ),
        }
    }

    /// The local port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The answer to a statement, in the format that it asks for.
    ///
    /// Fails with what ClickHouse says when it refuses the login or the statement.
    pub async fn query(&self, login: &Login, statement: &str) -> Result<String> {
        http::query(self.port, login, statement).await
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        // Both fail only when it is gone already.
        let _ = self.kubectl.kill();
        let _ = self.kubectl.wait();
    }
}
