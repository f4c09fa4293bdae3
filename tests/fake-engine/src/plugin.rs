//! The plugin as a process, started and ended as an engine does it.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tonic::transport::{Channel, Endpoint};

use crate::LONG;
use crate::pb::resource_provider_client::ResourceProviderClient;

/// A connection to a plugin.
pub type Client = ResourceProviderClient<Channel>;

/// The largest message that an engine takes.
const MAX_MESSAGE_BYTES: usize = 400 << 20;
const MAX_HEADERS_BYTES: u32 = 1 << 20;

/// A plugin that runs. Dropped, it is killed.
#[derive(Debug)]
pub struct Plugin {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Option<BufReader<ChildStdout>>,
    /// The first line of its output.
    pub first_line: String,
    /// When it was started.
    pub started: Instant,
    /// How long after that it said where it listens.
    pub until_port: Duration,
}

impl Plugin {
    /// Starts it and waits for the line that says where it listens. Its input and output are the caller's;
    /// what it writes as errors goes where the command says.
    pub fn start(command: &mut Command) -> Result<Self> {
        let started = Instant::now();
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child =
            spawned.with_context(|| format!("failed to start `{}`", command.get_program().display()))?;
        let mut stdout = BufReader::new(child.stdout.take().context("the plugin has an output")?);
        let mut first_line = String::new();
        stdout.read_line(&mut first_line)?;
        let until_port = started.elapsed();
        let stdin = child.stdin.take();
        Ok(Self { child, stdin, stdout: Some(stdout), first_line, started, until_port })
    }

    /// The port that it listens on.
    pub fn port(&self) -> Result<u16> {
        self.first_line
            .trim()
            .parse()
            .with_context(|| format!("the plugin's first line is not a port: {:?}", self.first_line))
    }

    /// The id of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// A connection to it, as an engine dials it.
    pub async fn channel(&self) -> Result<Channel> {
        let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{}", self.port()?))?;
        endpoint
            .http2_max_header_list_size(MAX_HEADERS_BYTES)
            .connect()
            .await
            .context("the plugin does not listen")
    }

    /// Its client, on a connection of its own.
    pub async fn client(&self) -> Result<Client> {
        Ok(Client::new(self.channel().await?).max_decoding_message_size(MAX_MESSAGE_BYTES))
    }

    /// Ends its standard input, as the death of an engine does.
    pub fn end_input(&mut self) {
        self.stdin = None;
    }

    /// Sends it a signal, `INT` or `TERM`.
    pub fn signal(&self, name: &str) -> Result<()> {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        ensure!(sent.context("failed to run `kill`")?.success(), "the plugin ended before the signal");
        Ok(())
    }

    /// Waits until it ends: its status, and what it wrote after the first line. Fails when it runs for
    /// [`LONG`].
    pub fn ended(mut self) -> Result<(ExitStatus, String)> {
        let (done, end) = mpsc::channel();
        let mut stdout = self.stdout.take().context("the plugin has an output")?;
        thread::spawn(move || {
            // The output ends with the process.
            let mut rest = String::new();
            _ = stdout.read_to_string(&mut rest);
            _ = done.send(rest);
        });
        let rest = end.recv_timeout(LONG).context("the plugin does not end")?;
        Ok((self.child.wait()?, rest))
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
