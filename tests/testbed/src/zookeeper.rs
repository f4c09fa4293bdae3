//! A real ZooKeeper, by Maven, for clusters that use one.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::control_plane::free_ports;
use crate::process::{Lifetime, Process};
use crate::tools;

/// The version that `tests/testbed/zookeeper/pom.xml` names.
pub const VERSION: &str = "3.9.4";
/// The hash of the names and contents of all that Maven gets for it.
const SUM: &str = "8d1af8004c4e71ccfb07f40f5dd6077981af446b4b9e8bff32ed0ae167efcb5a";
const COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";
const PATIENCE: Duration = Duration::from_secs(30);

/// One on a loopback port, with nothing in it. It ends when this is dropped.
pub struct ZooKeeper {
    process: Process,
    jars: PathBuf,
    port: u16,
    /// Its data.
    directory: TempDir,
}

impl ZooKeeper {
    /// Starts one, and waits until it answers; the first call downloads it. `None` on a machine without Java
    /// or Maven.
    pub async fn start() -> Result<Option<Self>> {
        let is_there =
            |tool| Command::new(tool).arg("-version").output().is_ok_and(|out| out.status.success());
        if !["java", "mvn"].into_iter().all(is_there) {
            return Ok(None);
        }
        let (jars, directory) = (tokio::task::spawn_blocking(jars).await??, tempfile::tempdir()?);
        let [port] = free_ports()?;
        let home = directory.path().display();
        let configuration = format!(
            "dataDir={home}\nclientPort={port}\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n\
             4lw.commands.whitelist=srvr\n"
        );
        let path = directory.path().join("zoo.cfg");
        std::fs::write(&path, configuration)?;
        let mut command = Command::new("python3");
        command.arg(tools::workspace_directory().join("tests/testbed/engine/zookeeper.py"));
        command.arg(&jars).arg(&path);
        let log = directory.path().join("log");
        let process = Process::start(command, &path.display().to_string(), &log, Lifetime::Tethered)?;
        let mut started = Self { process, jars, port, directory };
        let since = Instant::now();
        while !started.server().await.is_ok_and(|answer| answer.contains(VERSION)) {
            if !started.process.is_alive() || since.elapsed() > PATIENCE {
                bail!("ZooKeeper did not start: {}", std::fs::read_to_string(&log).unwrap_or_default());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(Some(started))
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it says of itself.
    pub async fn server(&self) -> Result<String> {
        let asked = async {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
            stream.write_all(b"srvr").await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            anyhow::Ok(answer)
        };
        tokio::time::timeout(PATIENCE, asked).await.context("ZooKeeper does not answer")?
    }

    /// What its own command line says to a command like `ls -R /`, line by line.
    pub async fn ask(&self, command: &[&str]) -> Result<Vec<String>> {
        let mut client = tokio::process::Command::new("java");
        client.arg("-cp").arg(format!("{}/*", self.jars.display())).arg("org.apache.zookeeper.ZooKeeperMain");
        client.args(["-server", &format!("127.0.0.1:{}", self.port)]).args(command);
        let output = client.current_dir(self.directory.path()).kill_on_drop(true).output();
        let output = tokio::time::timeout(PATIENCE, output).await.context("ZooKeeper does not answer")??;
        let told = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "ZooKeeper refused {command:?}: {told}");
        Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
    }
}

impl Drop for ZooKeeper {
    fn drop(&mut self) {
        self.process.kill();
    }
}

/// The folder with its packages.
fn jars() -> Result<PathBuf> {
    let project = tools::workspace_directory().join("tests/testbed/zookeeper/pom.xml");
    let folder = tools::keyed("zookeeper", &[&project])?;
    tools::cached(&folder, |fresh| {
        let mut maven = Command::new("mvn");
        maven.args(["-q", "-B", "-C", "-f"]).arg(&project).args([COPY, "-DincludeScope=runtime"]);
        maven.arg(format!("-DoutputDirectory={}", fresh.display()));
        tools::run(&mut maven, "downloading ZooKeeper")?;
        ensure!(sum(fresh)? == SUM, "what Maven got for ZooKeeper {VERSION} is not what is pinned");
        Ok(())
    })?;
    Ok(folder)
}

fn sum(folder: &Path) -> Result<String> {
    let mut files = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    let mut hasher = Sha256::new();
    for file in files {
        let name = file.file_name().context("a file has a name")?;
        hasher.update(format!("{}\n", name.display()));
        hasher.update(std::fs::read(&file)?);
    }
    Ok(tools::hex(&hasher.finalize()))
}
