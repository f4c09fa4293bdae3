//! Processes that the testbed starts: tied to this one, or outliving it and found again by their record.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde::{Deserialize, Serialize};

/// How long a started process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// Until it is stopped, or the process that started it ends, whichever is first.
    Tethered,
    /// Until it is stopped.
    Detached,
}

/// A process as it is written down, so that another command can stop it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pid: i32,
    /// Part of its command line, by which a process that merely got the same id is told apart.
    mark: String,
}

impl Record {
    /// Whether the process still runs.
    pub(crate) fn is_alive(&self) -> bool {
        let Some(pid) = Pid::from_raw(self.pid) else { return false };
        if test_kill_process(pid).is_err() {
            return false;
        }
        command_line(self.pid).is_some_and(|line| line.contains(&self.mark))
    }

    /// Ends the process at once. Does nothing when it is gone, or when its id is another process's now.
    ///
    /// The API server waits for open watches after a polite signal, etcd needs no farewell.
    pub(crate) fn kill(&self) {
        if let Some(pid) = Pid::from_raw(self.pid).filter(|_| self.is_alive()) {
            // It may end between the two calls: then there is nothing left to do.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// A started process, with its handle while this process is the one that started it.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) record: Record,
    child: Option<Child>,
}

impl Process {
    /// Starts `command` with its output going to `log`. `mark` must occur in its command line.
    pub(crate) fn start(mut command: Command, mark: &str, log: &Path, lifetime: Lifetime) -> Result<Self> {
        let output = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("failed to open `{}`", log.display()))?;
        command.stdout(output.try_clone()?).stderr(output);
        match lifetime {
            Lifetime::Tethered => command.env("CONTROLPLANE_TETHERED", "1").stdin(Stdio::piped()),
            Lifetime::Detached => {
                std::os::unix::process::CommandExt::process_group(&mut command, 0).stdin(Stdio::null())
            }
        };
        let child = command
            .spawn()
            .with_context(|| format!("failed to start `{}`", command.get_program().display()))?;
        let record = Record { pid: i32::try_from(child.id())?, mark: mark.to_owned() };
        let mut process = Self { record, child: Some(child) };
        // A new process has no command line for a moment, and nobody could find it by its record.
        let started = Instant::now();
        while !process.record.is_alive() && process.is_alive() && started.elapsed() < Duration::from_secs(1) {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(process)
    }

    /// A process that another command started.
    pub(crate) fn found(record: Record) -> Self {
        Self { record, child: None }
    }

    /// Whether it still runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        match &mut self.child {
            // A child that ended is a zombie until it is waited for, and still has an id.
            Some(child) => matches!(child.try_wait(), Ok(None)),
            None => self.record.is_alive(),
        }
    }

    /// Ends it and waits until it is gone, where that can be known.
    pub(crate) fn kill(&mut self) {
        match &mut self.child {
            Some(child) => {
                // Both fail only when it is gone already.
                let _ = child.kill();
                let _ = child.wait();
            }
            None => self.record.kill(),
        }
    }
}

/// The command line of a process, its arguments separated by spaces.
fn command_line(pid: i32) -> Option<String> {
    if Path::new("/proc/self").exists() {
        let raw = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        return Some(String::from_utf8_lossy(&raw).replace('\0', " "));
    }
    let output = Command::new("ps").args(["-o", "args=", "-p", &pid.to_string()]).output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper(directory: &Path) -> Process {
        let mut command = Command::new("sleep");
        command.arg("600");
        Process::start(command, "sleep 600", &directory.join("log"), Lifetime::Detached).unwrap()
    }

    #[test]
    fn a_process_found_by_its_record_is_killed() {
        let directory = tempfile::tempdir().unwrap();
        let mut started = sleeper(directory.path());
        let mut found = Process::found(started.record.clone());
        assert!(found.is_alive());
        found.kill();
        started.child.take().unwrap().wait().unwrap();
        assert!(!found.is_alive());
    }

    #[test]
    fn a_process_that_got_the_same_id_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let mut started = sleeper(directory.path());
        let other = Record { mark: "another command".to_owned(), ..started.record.clone() };
        assert!(!other.is_alive());
        other.kill();
        assert!(started.is_alive());
        started.kill();
        assert!(!started.is_alive());
    }
}
