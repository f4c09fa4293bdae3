//! The quickstart's ClickHouse, as its user reaches it: by the stack's outputs and a port-forward.

use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use testbed::engine::Login;
use testbed::engine::forward::{self, Forward};
use testbed::tools;

/// Where a cluster is, and who may ask it.
pub(crate) struct Database {
    namespace: String,
    target: String,
    login: Login,
}

impl Database {
    /// Reads the outputs of the quickstart's stack, secrets in clear.
    pub(crate) fn of(outputs: &Value) -> Result<Self> {
        let text =
            |name: &str| outputs[name].as_str().with_context(|| format!("the stack has no output `{name}`"));
        let mut labels = text("hostname")?.split('.');
        let (Some(service), Some(namespace)) = (labels.next(), labels.next()) else {
            bail!("the output `hostname` is not that of a Service")
        };
        let login = Login { user: text("username")?.to_owned(), password: text("password")?.to_owned() };
        Ok(Self { namespace: namespace.to_owned(), target: format!("service/{service}"), login })
    }

    /// The answer to a statement.
    pub(crate) async fn query(
        &self,
        kubectl: impl Fn() -> Result<Command>,
        statement: &str,
    ) -> Result<String> {
        forward::ask(kubectl, &self.namespace, &self.target, &self.login, statement).await
    }

    /// An interactive prompt, until its user leaves it.
    pub(crate) async fn client(&self, kubectl: Command) -> Result<ExitCode> {
        let folder = tools::workspace_directory().join("tests/testbed/engine");
        let python = tools::python(&folder.join("requirements.txt"))?;
        let forward = Forward::open(kubectl, &self.namespace, &self.target, forward::HTTP).await?;
        let mut client = Command::new(python);
        client.arg(folder.join("client.py")).arg(forward.port().to_string());
        client.env("CLICKHOUSE_USER", &self.login.user).env("CLICKHOUSE_PASSWORD", &self.login.password);
        let status = client.status().context("failed to run the client")?;
        Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
