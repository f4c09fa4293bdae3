//! Cargo, started by a program that cargo started.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::tools::{run, workspace_directory};

/// The name of the plugin: of its package and of its program.
pub const PLUGIN: &str = "pulumi-resource-clickhouse";

/// Cargo on this workspace, as a person would start it.
///
/// The variables in which cargo describes the running program are removed: build scripts that watch them
/// (ring's does) would run again, and everything above them would be compiled again, in this call and in the
/// next one of the person.
pub fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(workspace_directory());
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(describes_a_program)) {
        command.env_remove(name);
    }
    command
}

/// Whether cargo sets this variable for a program that it runs, and nobody sets it for cargo.
fn describes_a_program(variable: &str) -> bool {
    const NAMES: [&str; 5] =
        ["CARGO", "CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE", "CARGO_TARGET_TMPDIR", "OUT_DIR"];
    const PREFIXES: [&str; 3] = ["CARGO_BIN_", "CARGO_MANIFEST_", "CARGO_PKG_"];
    NAMES.contains(&variable) || PREFIXES.iter().any(|prefix| variable.starts_with(prefix))
}

/// The provider's plugin, built by cargo in the profile of the running program, and fresh.
pub fn plugin() -> Result<PathBuf> {
    let profile = profile_directory()?;
    // With the testbed selected too, dependencies have the features that they have in all tests: nothing is
    // compiled twice.
    let testbed = ["--package", env!("CARGO_PKG_NAME")];
    build_plugin(
        &profile,
        if profile.file_name() == Some(OsStr::new("release")) { "release" } else { "dev" },
        &testbed,
    )
}

/// The plugin as it is released: as small as it gets, which takes minutes to build.
pub fn dist_plugin() -> Result<PathBuf> {
    Ok(dist(None)?.join(PLUGIN))
}

/// The folder of the plugin as it is released for a target, this machine's without one.
pub fn dist(triple: Option<&str>) -> Result<PathBuf> {
    let target = target_directory()?;
    // The sources are there first: their folders are among those that are not named.
    run(&mut cargo(&["fetch", "--locked"]), "fetching the sources")?;
    let mut command =
        cargo(&["build", "--package", PLUGIN, "--bin", PLUGIN, "--profile", "dist", "--locked"]);
    command.arg("--target-dir").arg(&target).arg("--config").arg(without_paths()?);
    if let Some(triple) = triple {
        command.args(["--target", triple]);
    }
    run(&mut command, "building the provider as it is released")?;
    Ok(triple.map_or(target.clone(), |triple| target.join(triple)).join("dist"))
}

/// A setting of cargo's by which no folder of this machine is named in what it builds: the same sources give
/// the same program elsewhere.
fn without_paths() -> Result<String> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo"))).context("there is a home")?;
    let mut folders = vec![(workspace_directory().to_owned(), "/clickhouse")];
    let registries = std::fs::read_dir(home.join("registry/src")).into_iter().flatten();
    folders.extend(registries.filter_map(|entry| Some((entry.ok()?.path(), "/registry"))));
    let flags: Vec<_> = folders
        .iter()
        .map(|(folder, name)| format!("'--remap-path-prefix={}={name}'", folder.display()))
        .collect();
    Ok(format!("build.rustflags=[{}]", flags.join(", ")))
}

/// Cargo's target folder, in which the running program was built.
pub fn target_directory() -> Result<PathBuf> {
    let profile = profile_directory()?;
    Ok(profile.parent().context("cargo's folder of a profile has a parent")?.to_owned())
}

/// The folder of the running program's profile in cargo's target folder; tests are a folder deeper than
/// programs.
fn profile_directory() -> Result<PathBuf> {
    let running = std::env::current_exe()?;
    let profile = running
        .ancestors()
        .skip(1)
        .find(|directory| directory.file_name().is_some_and(|name| name != "deps"));
    Ok(profile.context("failed to find cargo's target folder from the running program's path")?.to_owned())
}

/// Builds the plugin in a profile, whose folder is `directory`.
fn build_plugin(directory: &Path, profile: &str, selected: &[&str]) -> Result<PathBuf> {
    let mut command = cargo(&["build", "--package", PLUGIN, "--bin", PLUGIN, "--profile", profile]);
    command.args(selected).arg("--target-dir").args(directory.parent());
    run(&mut command, "building the provider")?;
    Ok(directory.join(PLUGIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cargo_says_of_the_running_program_is_not_passed_on() {
        let mut removed = Vec::new();
        for (name, value) in cargo(&[]).get_envs() {
            assert_eq!(value, None, "{} is set", name.display());
            removed.push(name.to_owned());
        }
        for name in ["CARGO_MANIFEST_DIR", "CARGO_PKG_NAME"] {
            assert!(removed.contains(&name.into()), "{name} is passed on: {removed:?}");
        }
    }

    #[test]
    fn what_a_person_says_to_cargo_is_passed_on() {
        for name in [
            "CARGO_HOME",
            "CARGO_TARGET_DIR",
            "CARGO_BUILD_JOBS",
            "CARGO_NET_OFFLINE",
            "CARGO_PROFILE_DEV_DEBUG",
            "RUSTFLAGS",
        ] {
            assert!(!describes_a_program(name), "{name}");
        }
    }
}
