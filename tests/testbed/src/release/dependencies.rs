//! The packages that the plugin is linked from, as cargo knows them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::cargo::{PLUGIN, cargo};
use crate::tools::{output, workspace_directory};

/// A package's name and version.
pub(super) type Key = (String, String);

/// A package that is in the plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dependency {
    /// The licences, as an SPDX expression.
    pub(super) license: String,
    /// Where its source is read.
    pub(super) repository: Option<String>,
    /// The SHA-256 of what its registry served.
    pub(super) checksum: Option<String>,
    /// The folder of its source here.
    pub(super) folder: PathBuf,
    /// What it uses itself.
    pub(super) uses: BTreeSet<Key>,
}

/// Every package that the plugin is linked from on a target; with those that the plugin itself names first.
pub(super) fn of_plugin(triple: &str) -> Result<(BTreeSet<Key>, BTreeMap<Key, Dependency>)> {
    // With the features that the plugin alone asks for, and without what only runs at build time.
    let tree = output(&mut cargo(&[
        "tree",
        "--package",
        PLUGIN,
        "--edges",
        "normal,no-proc-macro",
        "--target",
        triple,
        "--prefix",
        "none",
        "--format",
        "{p}",
        "--locked",
    ]))?;
    let linked: BTreeSet<Key> = tree.lines().filter_map(key).filter(|(name, _)| name != PLUGIN).collect();
    let metadata =
        output(&mut cargo(&["metadata", "--format-version", "1", "--locked", "--filter-platform", triple]))?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let mut keys = BTreeMap::new();
    for package in list(&metadata["packages"]) {
        let key = text(&package["name"]).zip(text(&package["version"])).context("a package has both")?;
        keys.insert(text(&package["id"]).context("a package has an id")?, (key, package));
    }
    let checksums = checksums()?;
    let (mut direct, mut all) = (BTreeSet::new(), BTreeMap::new());
    for node in list(&metadata["resolve"]["nodes"]) {
        let Some((key, package)) = node["id"].as_str().and_then(|id| keys.get(id)) else { continue };
        let of_the_running =
            |edge: &Value| list(&edge["dep_kinds"]).iter().any(|kind| kind["kind"].is_null());
        let uses: BTreeSet<Key> = list(&node["deps"])
            .iter()
            .filter(|edge| of_the_running(edge))
            .filter_map(|edge| Some(keys.get(edge["pkg"].as_str()?)?.0.clone()))
            .filter(|key| linked.contains(key))
            .collect();
        if key.0 == PLUGIN {
            direct.clone_from(&uses);
        }
        if !linked.contains(key) {
            continue;
        }
        let manifest = PathBuf::from(package["manifest_path"].as_str().unwrap_or_default());
        all.insert(
            key.clone(),
            Dependency {
                license: text(&package["license"])
                    .with_context(|| format!("{} {} names no licence", key.0, key.1))?
                    .replace('/', " OR "),
                repository: text(&package["repository"]),
                checksum: checksums.get(key).cloned(),
                folder: manifest.parent().map(PathBuf::from).unwrap_or_default(),
                uses,
            },
        );
    }
    Ok((direct, all))
}

/// `name v1.2.3`, and what else cargo writes behind it.
fn key(line: &str) -> Option<Key> {
    let mut words = line.split(' ');
    Some((words.next()?.to_owned(), words.next()?.strip_prefix('v')?.to_owned()))
}

/// What Cargo.lock says that each package's archive hashes to.
fn checksums() -> Result<BTreeMap<Key, String>> {
    let lock = std::fs::read_to_string(workspace_directory().join("Cargo.lock"))?;
    let value = |block: &str, name: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix(&format!("{name} = \"")))?;
        Some(line.trim_end_matches('"').to_owned())
    };
    let packages = lock.split("[[package]]").filter_map(|block| {
        Some(((value(block, "name")?, value(block, "version")?), value(block, "checksum")?))
    });
    Ok(packages.collect())
}
