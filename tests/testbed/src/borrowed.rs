//! A cluster of the user's in the place of the testbed's: its operator and its pods are real, and what a test
//! needs beyond a cluster's own powers is not to be had there.

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use kube::config::{KubeConfigOptions, Kubeconfig};

/// The variable of the environment that names a context of the user's kubeconfig.
pub const CONTEXT: &str = "CLICKHOUSE_TEST_CONTEXT";

/// The variable of the environment with a word of the run's own, by which its namespaces are found again.
pub const RUN_ID: &str = "CLICKHOUSE_TEST_RUN";

/// The label of the namespaces that a run of the tests has made.
pub const RUN: &str = "testbed/run";

/// What only the testbed can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// Faults of the operator, and moments at which it is held.
    Faults,
    /// A control plane of the test's own: one whose parts it stops, one without an operator, or another
    /// cluster.
    ControlPlanes,
    /// The API server's own count of one user's requests.
    Counting,
    /// The definitions of cert-manager and of the Prometheus operator, and nobody who serves them.
    Definitions,
}

impl Power {
    /// Whether the test that runs on this thread has to be left out; then a line on standard error says so.
    pub fn is_missing(self) -> bool {
        let missing = context().is_some();
        if missing {
            let thread = std::thread::current();
            let what = match self {
                Self::Faults => "faults of the operator",
                Self::ControlPlanes => "a control plane of its own",
                Self::Counting => "the API server's count of requests",
                Self::Definitions => "definitions that nobody serves",
            };
            // Not by the macro: the harness shows what that prints only of tests that fail.
            let _ = writeln!(
                std::io::stderr(),
                "left out: {}, which needs {what} that only the testbed has",
                thread.name().unwrap_or_default()
            );
        }
        missing
    }
}

/// Leaves the test out where a power that it needs is missing.
#[macro_export]
macro_rules! needs {
    ($power:ident) => {
        if $crate::borrowed::Power::$power.is_missing() {
            return Default::default();
        }
    };
}

/// The context to run on; `None` for the testbed's own control plane.
pub fn context() -> Option<String> {
    std::env::var(CONTEXT).ok().filter(|context| !context.is_empty())
}

/// What the namespaces of this run are labelled with.
pub(crate) fn run() -> String {
    std::env::var(RUN_ID).unwrap_or_else(|_| std::process::id().to_string())
}

/// Writes a kubeconfig with nothing but `context` of the user's to `path`, and connects to it.
pub(crate) async fn config(context: &str, path: &Path) -> Result<kube::Config> {
    let mut kubeconfig = Kubeconfig::read().context("failed to read the kubeconfig")?;
    let named = kubeconfig
        .contexts
        .iter()
        .find(|named| named.name == context)
        .and_then(|named| named.context.clone())
        .with_context(|| format!("the kubeconfig has no context `{context}`"))?;
    kubeconfig.contexts.retain(|named| named.name == context);
    kubeconfig.clusters.retain(|cluster| cluster.name == named.cluster);
    kubeconfig.auth_infos.retain(|user| Some(&user.name) == named.user.as_ref());
    kubeconfig.current_context = Some(context.to_owned());
    std::fs::write(path, serde_json::to_vec(&kubeconfig)?).context("failed to write a kubeconfig")?;
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Ok(config)
}
