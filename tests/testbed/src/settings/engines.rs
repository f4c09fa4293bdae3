//! How an engine is asked.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use serde_json::Value;

use crate::engine::wheels::Wheel;

/// The program in Python that runs an engine.
const PROGRAM: &str = include_str!("engine.py");

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
    /// Starts a process that runs the engine of a wheel that is on this machine.
    pub fn start(wheel: Wheel) -> Result<Self> {
        // In memory, where there is such a place: each start writes some files.
        let home = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())?;
        std::fs::write(home.path().join("engine.py"), PROGRAM)?;
        let library = wheel.folder()?.join("chdb");
        let (child, questions, answers) = spawn(&library, home.path())?;
        Ok(Self { library, home, child, questions, answers, starts: 0 })
    }

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
