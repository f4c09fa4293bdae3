//! The plugin as a process, started and ended like an engine does it.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tonic::transport::{Channel, Endpoint};

use super::pb::resource_provider_client::ResourceProviderClient;

/// Nothing that a plugin does here takes this long.
pub(crate) const LONG: Duration = Duration::from_secs(20);

pub(crate) type Client = ResourceProviderClient<Channel>;

/// A plugin that runs. Dropped, it is killed.
pub(crate) struct Plugin {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Option<BufReader<ChildStdout>>,
    /// The first line of its output.
    pub(crate) first_line: String,
}

impl Plugin {
    /// Starts it and waits for the line that says where it listens.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_under(arguments, &[], Stdio::null())
    }

    /// The same with these variables in its environment, and with its standard error going there.
    pub(crate) fn start_under(arguments: &[&str], variables: &[(&str, &str)], errors: Stdio) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_pulumi-resource-clickhouse"))
            .args(arguments)
            .env_remove("KUBECONFIG")
            .env_remove("RUST_LOG")
            .env_remove("PULUMI_CLICKHOUSE_LOG")
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .expect("the plugin starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("its output is piped"));
        let mut first_line = String::new();
        stdout.read_line(&mut first_line).expect("it writes a line");
        let stdin = child.stdin.take();
        Self { child, stdin, stdout: Some(stdout), first_line }
    }

    /// A connection to it, as an engine dials it.
    pub(crate) async fn channel(&self) -> Channel {
        let port: u16 = self.first_line.trim().parse().expect("the line is a port");
        let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{port}")).expect("an address");
        endpoint.http2_max_header_list_size(1 << 20).connect().await.expect("it listens")
    }

    /// Its client on a connection of its own.
    pub(crate) async fn client(&self) -> Client {
        Client::new(self.channel().await)
    }

    /// Ends its standard input, as the death of an engine does.
    pub(crate) fn end_input(&mut self) {
        self.stdin = None;
    }

    /// Sends it a signal, `INT` or `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Waits until it ends: its status, and what it wrote behind the first line.
    pub(crate) fn ended(mut self) -> (ExitStatus, String) {
        let (done, end) = mpsc::channel();
        let mut stdout = self.stdout.take().expect("it is taken once");
        thread::spawn(move || {
            // The output ends with the process.
            let mut rest = String::new();
            _ = stdout.read_to_string(&mut rest);
            _ = done.send(rest);
        });
        let rest = end.recv_timeout(LONG).expect("the plugin ends");
        (self.child.wait().expect("it can be waited for"), rest)
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
