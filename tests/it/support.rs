//! The plugin of this build, as the tests start it.

use std::process::{Command, Stdio};

use fake_engine::Plugin;

/// Starts it and waits until it listens.
pub(crate) fn start(arguments: &[&str]) -> Plugin {
    start_under(arguments, &[], Stdio::null())
}

/// The same with these variables in its environment, and with its standard error going there.
pub(crate) fn start_under(arguments: &[&str], variables: &[(&str, &str)], errors: Stdio) -> Plugin {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pulumi-resource-clickhouse"));
    command
        .args(arguments)
        .env_remove("KUBECONFIG")
        .env_remove("RUST_LOG")
        .env_remove("PULUMI_CLICKHOUSE_LOG");
    Plugin::start(command.envs(variables.iter().copied()).stderr(errors)).unwrap()
}
