//! The engines: where they come from, and how one is asked.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clickhouse_provider::settings::catalogue::Release;
use serde::Deserialize;
use serde_json::Value;

use crate::tools;

/// The program in Python that runs an engine.
const PROGRAM: &str = include_str!("engine.py");

/// An engine of one release, as a pinned package.
#[derive(Debug, Clone, Copy)]
pub struct Engine {
    /// The release line that it is.
    pub release: Release,
    package: &'static str,
    hash: &'static str,
    /// Whether it judges configurations, and is kept on the machine for that: it takes half a gigabyte.
    pub judges: bool,
}

/// All of them, the oldest first.
pub const ENGINES: [Engine; 6] = [
    Engine::new(
        25,
        8,
        "chdb==3.7.2",
        "c119f0830c12438a4e4b60b8370859ba50992e8b1b01a8c681e1c57eeb2dc82d",
        true,
    ),
    Engine::new(
        26,
        1,
        "chdb-core==26.1.0",
        "ff3559d024c10a31c5041ab4387e0b7d6a3b5d5bbf6dda884c5a36d4dc50ce47",
        false,
    ),
    Engine::new(
        26,
        3,
        "chdb-core==26.3.0",
        "2b91a47a69db1185908f51aebdb32d1258cf7c0646e7dc6be3d2922cb694e3ad",
        false,
    ),
    Engine::new(
        26,
        5,
        "chdb-core==26.5.0",
        "85ddbf675b4a070aa5abb79456b0a08643273dcf3977dc39f347c8acf846c804",
        false,
    ),
    Engine::new(
        26,
        7,
        "chdb-core==26.7.3",
        "b10b96f9599fab42ba51d9be80333e1819782bdc8a91b2b26979149693ba431f",
        false,
    ),
    Engine::new(
        26,
        9,
        "chdb-core==26.9.0",
        "707e2ec3fe0f7953bac97942eaeb7a1ed1d66b1e56ecef3f0aa2130f61f6e735",
        true,
    ),
];

impl Engine {
    const fn new(year: u16, month: u16, package: &'static str, hash: &'static str, judges: bool) -> Self {
        Self { release: Release { year, month }, package, hash, judges }
    }

    /// Those that judge configurations and are on this machine; none is downloaded.
    pub fn present() -> Result<Vec<Self>> {
        let mut present = Vec::new();
        for engine in ENGINES.into_iter().filter(|engine| engine.judges) {
            if engine.folder()?.exists() {
                present.push(engine);
            }
        }
        Ok(present)
    }

    fn folder(self) -> Result<PathBuf> {
        Ok(tools::cache_directory()?.join(format!("settings-{}-{}", self.release, &self.hash[..16])))
    }

    /// Downloads the engine, where it is not there yet.
    ///
    /// Fails when there is none for this machine, or the registry can't be reached.
    pub fn install(self) -> Result<()> {
        tools::cached(&self.folder()?, |fresh| {
            let pins = tempfile::NamedTempFile::new()?;
            std::fs::write(pins.path(), format!("{} --hash=sha256:{}\n", self.package, self.hash))?;
            let mut pip = Command::new("python3");
            pip.args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--no-cache-dir",
                "--no-deps",
                "--require-hashes",
            ]);
            pip.args(["--only-binary", ":all:", "--target"]).arg(fresh).arg("-r").arg(pins.path());
            tools::run(&mut pip, &format!("downloading the engine of ClickHouse {}", self.release))
        })
    }

    /// Takes the engine off this machine.
    pub fn remove(self) -> Result<()> {
        Ok(std::fs::remove_dir_all(self.folder()?)?)
    }

    /// Starts a process that runs the engine.
    pub fn start(self) -> Result<Running> {
        // In memory, where there is such a place: each start writes some files.
        let home = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())?;
        std::fs::write(home.path().join("engine.py"), PROGRAM)?;
        let library = self.folder()?.join("chdb");
        let (child, questions, answers) = spawn(&library, home.path())?;
        Ok(Running { library, home, child, questions, answers, starts: 0 })
    }
}

/// A process that runs an engine; it ends when this is dropped.
pub struct Running {
    library: PathBuf,
    home: tempfile::TempDir,
    child: Child,
    questions: ChildStdin,
    answers: Receiver<String>,
    /// How often the engine has been started in this process.
    starts: usize,
}

/// What became of a configuration.
#[derive(Debug, Clone, Deserialize)]
pub struct Verdict {
    /// Whether the engine started with it and answered.
    pub took: bool,
    /// What it answered.
    pub answers: Vec<String>,
    /// Why it did not.
    pub reason: String,
}

impl Running {
    /// How long an answer may take.
    const PATIENCE: Duration = Duration::from_secs(60);
    /// How often an engine starts in one process: each time leaves some megabytes behind.
    const STARTS: usize = 150;

    /// Asks; an engine that fails or hangs is started again for the next question.
    pub fn ask(&mut self, question: &Value) -> Result<Value> {
        if self.starts >= Self::STARTS {
            self.renew()?;
        }
        self.starts += 1;
        let answer = self.try_to_ask(question);
        if answer.is_err() {
            self.renew()?;
        }
        answer
    }

    fn renew(&mut self) -> Result<()> {
        self.end();
        self.starts = 0;
        (self.child, self.questions, self.answers) = spawn(&self.library, self.home.path())?;
        Ok(())
    }

    fn try_to_ask(&mut self, question: &Value) -> Result<Value> {
        writeln!(self.questions, "{question}")?;
        self.questions.flush()?;
        let answer = self.answers.recv_timeout(Self::PATIENCE).context("the engine gives no answer")?;
        Ok(serde_json::from_str(&answer)?)
    }

    /// Has the engine start with the configuration of `question`.
    pub fn judge(&mut self, question: &Value) -> Result<Verdict> {
        Ok(serde_json::from_value(self.ask(question)?)?)
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

fn spawn(library: &Path, home: &Path) -> Result<(Child, ChildStdin, Receiver<String>)> {
    let mut python = Command::new("python3");
    python
        .arg(home.join("engine.py"))
        .arg(library)
        .env("TMPDIR", home)
        .env("CLICKHOUSE_INTERNODE_CLUSTER_SECRET", "secret")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = python.spawn().context("failed to run `python3`, which runs the engine")?;
    let (Some(questions), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
        bail!("a process without pipes")
    };
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(answers).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    Ok((child, questions, receiver))
}
