//! A process that outlives the command which started it.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::process::{Lifetime, Process, Record};

/// Such a process, as it is written down.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Detached(Record);

impl Detached {
    /// Starts `command` with its output going to `log`. `mark` is a part of its command line that no
    /// other process's has.
    pub fn start(command: Command, mark: &str, log: &Path) -> Result<Self> {
        Ok(Self(Process::start(command, mark, log, Lifetime::Detached)?.record))
    }

    /// Whether it runs.
    pub fn is_alive(&self) -> bool {
        self.0.is_alive()
    }

    /// Ends it, if it runs.
    pub fn kill(&self) {
        self.0.kill();
    }
}
