//! S3 as `moto` plays it, in memory.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use crate::control_plane::free_ports;
use crate::engine::http;
use crate::process::{Lifetime, Process};
use crate::tools;

/// The only access key that it knows.
pub const KEY: &str = "AKIATESTBED";
/// Its only bucket.
pub const BUCKET: &str = "cold";
const PATIENCE: Duration = Duration::from_secs(60);

/// One on a loopback port. It ends when this is dropped.
pub struct S3 {
    process: Process,
    port: u16,
    /// Its log.
    _directory: TempDir,
}

impl S3 {
    /// Starts one with an empty bucket, and waits until it answers; the first call downloads it.
    pub async fn start() -> Result<Self> {
        let testbed = tools::workspace_directory().join("tests/testbed");
        let requirements = testbed.join("s3/requirements.txt");
        let python = tokio::task::spawn_blocking(move || tools::python(&requirements)).await??;
        let directory = tempfile::tempdir()?;
        let [port] = free_ports()?;
        let mut command = Command::new(python);
        command.arg(testbed.join("engine/s3.py")).args([&port.to_string(), KEY, BUCKET]);
        let log = directory.path().join("log");
        let process = Process::start(command, "s3.py", &log, Lifetime::Tethered)?;
        let mut started = Self { process, port, _directory: directory };
        let since = Instant::now();
        while started.keys().await.is_err() {
            if !started.process.is_alive() || since.elapsed() > PATIENCE {
                bail!("S3 did not start: {}", std::fs::read_to_string(&log).unwrap_or_default());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(started)
    }

    /// The address of the bucket.
    pub fn bucket(&self) -> String {
        format!("http://127.0.0.1:{}/{BUCKET}", self.port)
    }

    /// The keys of the objects in the bucket, up to a thousand.
    pub async fn keys(&self) -> Result<Vec<String>> {
        let scope = "20200101/us-east-1/s3/aws4_request";
        let header = format!("Authorization: AWS4-HMAC-SHA256 Credential={KEY}/{scope}\r\n");
        let listed = http::get(self.port, &format!("/{BUCKET}?list-type=2"), &header).await;
        let listed = listed.context("it does not answer")?;
        let keys = listed.split("<Key>").skip(1).filter_map(|rest| rest.split_once("</Key>"));
        Ok(keys.map(|(key, _)| key.to_owned()).collect())
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        self.process.kill();
    }
}
