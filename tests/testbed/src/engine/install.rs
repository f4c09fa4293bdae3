//! The engine as a pinned package, and what to say where it can't be had.

use std::path::PathBuf;
use std::process::Command;

use super::wheels::WHEELS;
use crate::tools;

/// The version of ClickHouse that the pinned package has, whatever a pod's image says.
pub const VERSION: &str = "26.7.2.1";
/// The older version that data can be upgraded from. It has no ports: a front of ours speaks HTTP for it.
pub const OLDER: &str = "25.8.2.1";
/// How the tags of images begin that mean the older one.
pub(super) const OLDER_RELEASE: &str = "25.8.";
const LIBRARY: &str = "@chdb/lib-linux-x64-gnu/libchdb.so";

/// An engine that can be run.
#[derive(Debug, Clone)]
pub struct Installed {
    /// The engine's library, or the folder of its packages.
    pub(super) library: PathBuf,
    /// Our program that runs it.
    pub(super) program: PathBuf,
    /// Whether it serves by itself.
    pub(super) listens: bool,
}

/// Why there is none on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Absent(String);

impl std::fmt::Display for Absent {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "no ClickHouse answers here: {}", self.0)
    }
}

impl std::error::Error for Absent {}

/// The engine, downloaded from the npm registry at the first call and kept in the testbed's cache.
///
/// Fails, in one sentence, where there is no such package for the machine, where npm can't get it, or without
/// Python.
pub fn install() -> Result<Installed, Absent> {
    let project = project()?;
    let modules = tools::node_modules(&project)
        .map_err(|error| Absent(format!("npm could not install the engine: {error:#}")))?;
    Ok(Installed { library: modules.join(LIBRARY), program: project.join("serve.py"), listens: true })
}

/// The older engine, by pip, in the same way.
pub fn install_older() -> Result<Installed, Absent> {
    let project = project()?;
    let [older, ..] = WHEELS;
    let library = older
        .install()
        .map_err(|error| Absent(format!("pip could not install the older engine: {error:#}")))?;
    Ok(Installed { library, program: project.join("front.py"), listens: false })
}

/// The folder of our programs, on a machine that can run them.
fn project() -> Result<PathBuf, Absent> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu")) {
        let machine = format!("{} on {}", std::env::consts::OS, std::env::consts::ARCH);
        return Err(Absent(format!(
            "the engine is published for glibc on x86_64 Linux only, and this is {machine}"
        )));
    }
    if !Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success()) {
        return Err(Absent("the engine is run by Python, and `python3` was not found".to_owned()));
    }
    Ok(tools::workspace_directory().join("tests/testbed/engine"))
}
