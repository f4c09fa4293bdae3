//! One running engine.

use std::fs;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::install::Installed;
use super::{config, http};
use crate::process::{Lifetime, Process};

/// Keeps the engine serving: the statement that opens its ports, and one that never ends.
const SERVE: &str = "SYSTEM START LISTEN QUERIES ALL; SELECT sleepEachRow(3) FROM numbers(100000000) \
                     SETTINGS max_block_size = 1, function_sleep_max_microseconds_per_block = 0, \
                     max_execution_time = 0 FORMAT Null";
/// How long an engine may take to its first `/ping`.
const PATIENCE: Duration = Duration::from_secs(60);

/// The loopback ports of a host, the same ones for as long as the testbed runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ports {
    pub(super) http: u16,
    pub(super) tcp: u16,
}

impl Ports {
    /// Two ports that nobody listens on and that are not `taken`, none of those which the system gives to
    /// outgoing connections.
    pub(super) fn free(taken: &[Self]) -> Result<Self> {
        for _ in 0..1000 {
            let http = 20_000 + rand::random::<u16>() % 10_000;
            let tcp = http + 1;
            let known = taken
                .iter()
                .flat_map(|ports| [ports.http, ports.tcp])
                .any(|port| port == http || port == tcp);
            if !known && [http, tcp].iter().all(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()) {
                return Ok(Self { http, tcp });
            }
        }
        bail!("no two free ports were found between 20000 and 30000")
    }
}

/// A process of the engine. It ends when this is dropped.
pub(super) struct Engine {
    process: Process,
    ports: Ports,
    log: PathBuf,
}

impl Engine {
    /// Starts one in `home`, on the configuration and the data that are there.
    pub(super) fn start(
        installed: &Installed,
        home: &Path,
        ports: Ports,
        environment: &[(String, String)],
    ) -> Result<Self> {
        let log = home.join("log");
        match fs::remove_file(&log) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("failed to remove `{}`", log.display()));
            }
            _ => {}
        }
        let (configuration, data) = (config::inside(home, config::MAIN), config::inside(home, config::DATA));
        let mut command = Command::new("python3");
        command.arg(&installed.program).arg(&installed.library);
        if installed.listens {
            command
                .arg(format!("--config-file={}", configuration.display()))
                .arg(format!("--path={}", data.display()));
            // Of the configuration's own addresses none is listened on: nothing leaves loopback.
            command.args(["--listen_host=127.0.0.1", "--query", SERVE]);
        } else {
            command.args([&configuration, &data]).arg(ports.http.to_string());
        }
        command.current_dir(home).envs(environment.iter().cloned());
        let process = Process::start(command, &home.display().to_string(), &log, Lifetime::Tethered)?;
        Ok(Self { process, ports, log })
    }

    /// Waits until it answers. Fails with its last words when it ends before, or after a minute.
    pub(super) async fn serves(&mut self) -> Result<()> {
        let started = Instant::now();
        while http::get(self.ports.http, "/ping", "").await.is_none_or(|answer| answer.trim() != "Ok.") {
            if !self.is_alive() {
                bail!("{}", self.last_words());
            }
            if started.elapsed() > PATIENCE {
                bail!("no answer to /ping after {} s; {}", PATIENCE.as_secs(), self.last_words());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    pub(super) fn is_alive(&mut self) -> bool {
        self.process.is_alive()
    }

    /// What it complained of last.
    pub(super) fn last_words(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let complaint = text.lines().rev().find(|line| line.starts_with("Code: "));
        complaint.unwrap_or("the engine ended without a word").chars().take(500).collect()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.process.kill();
    }
}
