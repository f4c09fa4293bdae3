//! The repository's address and the version: said in Cargo.toml, and followed by everything that names them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use clickhouse_provider::Origin;
use serde_json::Value;

use crate::cargo::cargo;
use crate::tools::{output, workspace_directory};

/// A repository's address, and a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The address, with `https://`.
    pub repository: String,
    /// The semantic version.
    pub version: String,
}

impl Identity {
    /// What Cargo.toml says now, whatever the running program was built with.
    pub fn declared() -> Result<Self> {
        let metadata = output(&mut cargo(&["metadata", "--no-deps", "--format-version", "1", "--offline"]))?;
        let metadata: Value = serde_json::from_str(&metadata)?;
        let provider = metadata["packages"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|package| package["name"] == "pulumi-resource-clickhouse");
        Self::of(provider.context("the workspace has the provider")?)
    }

    /// What schema.json and what is made of it were generated for.
    pub fn generated() -> Result<Self> {
        let schema =
            fs::read(workspace_directory().join("schema.json")).context("failed to read schema.json")?;
        Self::of(&serde_json::from_slice(&schema)?)
    }

    fn of(document: &Value) -> Result<Self> {
        let text = |name: &str| Some(document[name].as_str()?.to_owned());
        let (repository, version) =
            text("repository").zip(text("version")).context("repository and version")?;
        Ok(Self { repository: repository.trim_end_matches('/').to_owned(), version })
    }

    /// What is written where the identity is named, longest first.
    fn names(&self) -> [String; 3] {
        let origin = Origin::new(&self.repository);
        [origin.download_url(), origin.repository(), origin.go_module()]
    }
}

/// Has every file that a person writes name Cargo.toml's identity instead of the one that schema.json was
/// generated for; gives the files that changed. Schema and SDKs are generated after it.
pub fn follow() -> Result<Vec<PathBuf>> {
    let (old, new) = (Identity::generated()?, Identity::declared()?);
    let mut changed = Vec::new();
    for path in written()? {
        let file = workspace_directory().join(&path);
        let Ok(text) = fs::read_to_string(&file) else { continue };
        let renamed = renamed(&text, &path, &old, &new);
        if renamed != text {
            fs::write(&file, renamed)?;
            changed.push(path);
        }
    }
    Ok(changed)
}

/// The files that people write, as git knows them.
fn written() -> Result<Vec<PathBuf>> {
    const KINDS: [&str; 11] = ["md", "yaml", "yml", "ts", "json", "py", "txt", "go", "mod", "svg", "html"];
    const OTHERS: [&str; 5] =
        ["sdk/", "schema.json", "CHANGELOG.md", "provider/kubernetes/cluster/tests", "proto/"];
    let listed = output(Command::new("git").args(["ls-files", "-z"]).current_dir(workspace_directory()))?;
    let paths = listed.split('\0').filter(|path| !OTHERS.iter().any(|other| path.starts_with(other)));
    Ok(paths
        .map(PathBuf::from)
        .filter(|path| path.extension().is_some_and(|kind| KINDS.iter().any(|known| kind == *known)))
        .collect())
}

fn renamed(text: &str, path: &Path, old: &Identity, new: &Identity) -> String {
    let names: Vec<_> = old.names().into_iter().zip(new.names()).collect();
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    // In one pass: a new name may contain the old one.
    while !rest.is_empty() {
        if let Some((from, to)) = names.iter().find(|(from, _)| rest.starts_with(from.as_str())) {
            result.push_str(to);
            rest = &rest[from.len()..];
        } else {
            let next = rest.chars().next().map_or(0, char::len_utf8);
            result.push_str(&rest[..next]);
            rest = &rest[next..];
        }
    }
    if !names_versions(path) {
        return result;
    }
    result.split_inclusive('\n').map(|line| with_version(line, &old.version, &new.version)).collect()
}

/// Whether a file tells users which version to take. What happened in which one stays.
fn names_versions(path: &Path) -> bool {
    let of_users = ["README.md", "docs", "examples"].iter().any(|place| path.starts_with(place));
    let of_tests = path.starts_with("tests/testbed/automation");
    let is_history = path.starts_with("docs/decisions") || path.ends_with("docs/upgrading.md");
    (of_users || of_tests) && !is_history
}

/// A line with our version moved: one that names the package, or that is a YAML key `version`.
fn with_version(line: &str, old: &str, new: &str) -> String {
    let is_ours = line.to_lowercase().contains("clickhouse") || line.trim_start().starts_with("version:");
    if !is_ours {
        return line.to_owned();
    }
    let is_part =
        |letter: Option<char>| letter.is_some_and(|letter| letter.is_ascii_digit() || letter == '.');
    let mut result = String::new();
    let mut rest = line;
    while let Some(at) = rest.find(old) {
        let (before, after) = (&rest[..at], &rest[at + old.len()..]);
        let mut follows = after.chars();
        // The full stop of a sentence ends a version, a further number doesn't.
        let goes_on = match follows.next() {
            Some('.') => follows.next().is_some_and(|letter| letter.is_ascii_digit()),
            other => is_part(other),
        };
        let is_whole = !goes_on && !is_part(before.chars().next_back());
        result.push_str(before);
        result.push_str(if is_whole { new } else { old });
        rest = after;
    }
    result + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_generated_is_what_cargo_toml_declares() {
        assert_eq!(Identity::generated().unwrap(), Identity::declared().unwrap(), "run `cargo identity`");
    }

    #[test]
    fn every_name_follows_in_one_pass() {
        let old = Identity { repository: "https://example.com/a".to_owned(), version: "0.1.0".to_owned() };
        let new = Identity { repository: "https://github.com/o/a".to_owned(), version: "0.2.0".to_owned() };
        let text = "see https://example.com/a, import \"example.com/a/sdk/go/clickhouse/kubernetes\"\n\
            clickhouse 0.1.0, not 10.1.0 or 0.1.0.1; clickhouse 0.1.0.\n\
            version: 0.1.0\n\
            pluginDownloadURL: https://example.com/a/releases\n\
            tool 0.1.0\n";
        assert_eq!(
            renamed(text, Path::new("README.md"), &old, &new),
            "see https://github.com/o/a, import \"github.com/o/a/sdk/go/clickhouse/kubernetes\"\n\
            clickhouse 0.2.0, not 10.1.0 or 0.1.0.1; clickhouse 0.2.0.\n\
            version: 0.2.0\n\
            pluginDownloadURL: github://api.github.com/o/a\n\
            tool 0.1.0\n"
        );
        assert!(renamed(text, Path::new("docs/upgrading.md"), &old, &new).contains("clickhouse 0.1.0."));
    }

    #[test]
    fn every_go_program_imports_the_module_of_this_identity() {
        let identity = Identity::declared().unwrap();
        let module = Origin::new(&identity.repository).go_module();
        let mut found = 0;
        for path in written().unwrap() {
            let text = fs::read_to_string(workspace_directory().join(&path)).unwrap_or_default();
            for line in text.lines().filter(|line| line.contains("/sdk/go/clickhouse") && line.contains('"'))
            {
                assert!(line.contains(&format!("\"{module}/clickhouse")), "{}: {line}", path.display());
                found += 1;
            }
            if path.file_name().is_some_and(|name| name == "go.mod") && text.contains("sdk/go v") {
                assert!(text.contains(&format!("{module} v{}\n", identity.version)), "{}", path.display());
                found += 1;
            }
        }
        assert!(found > 4, "{found}");
    }
}
