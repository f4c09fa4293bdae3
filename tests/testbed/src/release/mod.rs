//! What people hold in hand: the plugin's archives and the SDKs' packages, and whether this commit can be
//! released as them.

pub mod archive;
mod dependencies;
pub mod examples;
pub mod identity;
mod notices;
pub mod packages;
mod sbom;

use std::fs;

use anyhow::Result;
use clickhouse_provider::Origin;

use self::identity::Identity;
use crate::tools::workspace_directory;

/// The versions of the other plugin called `clickhouse`, for the ClickHouse Cloud service. Pulumi keeps
/// plugins by name and version only: ours under such a version would be taken for theirs.
pub const TAKEN_VERSIONS: [&str; 13] = [
    "0.0.2", "0.0.3", "0.0.4", "0.0.5", "0.0.6", "0.0.7", "0.3.0", "1.0.0", "1.0.1", "2.0.1", "2.0.2",
    "2.0.3", "2.0.4",
];

/// Where a release is about to be made: what the workflow knows of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Workflow {
    /// `owner/name` of the repository that it runs in, where it runs on GitHub.
    pub repository: Option<String>,
    /// The tag that started it, if one did.
    pub tag: Option<String>,
}

impl Workflow {
    /// The one whose job this process is a step of.
    pub fn of_environment() -> Self {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let tag = variable("GITHUB_REF_NAME")
            .filter(|_| std::env::var("GITHUB_REF_TYPE").is_ok_and(|t| t == "tag"));
        Self { repository: variable("GITHUB_REPOSITORY"), tag }
    }
}

/// Why this commit can't be released; none when it can.
pub fn refusals(workflow: &Workflow) -> Result<Vec<String>> {
    let root = workspace_directory();
    let identity = Identity::declared()?;
    let Identity { repository, version } = &identity;
    let mut reasons = Vec::new();
    if Origin::new(repository).is_placeholder() {
        reasons.push(format!(
            "Cargo.toml's repository is the placeholder {repository}: set it, then `cargo identity`"
        ));
    }
    if TAKEN_VERSIONS.contains(&version.as_str()) {
        reasons.push(format!("the other plugin called `clickhouse` has a version {version}"));
    }
    if identity != Identity::generated()? {
        reasons.push("schema.json is of another repository or version: run `cargo identity`".to_owned());
    }
    if !is_dated(&fs::read_to_string(root.join("CHANGELOG.md"))?, version) {
        reasons.push(format!("CHANGELOG.md has no section `## {version}, <date>`"));
    }
    for (what, file, record) in [
        (
            "states",
            format!("provider/kubernetes/cluster/tests/releases/{version}.json"),
            "UPDATE=1 cargo test --lib releases",
        ),
        (
            "inputs and outputs",
            format!("tests/it/contracts/{version}.txt"),
            "RECORD=1 cargo test --test it contract",
        ),
    ] {
        if !root.join(&file).exists() {
            reasons.push(format!("the {what} of {version} are not in {file}: `{record}`"));
        }
    }
    if let Some(running) = &workflow.repository
        && !repository.ends_with(&format!("//github.com/{running}"))
    {
        reasons.push(format!("this is {running}, and Cargo.toml's repository is {repository}"));
    }
    if let Some(tag) = &workflow.tag
        && *tag != format!("v{version}")
    {
        reasons.push(format!("the tag is {tag}, and Cargo.toml's version is {version}"));
    }
    Ok(reasons)
}

/// Whether the changelog has a section of this version with a date.
fn is_dated(changelog: &str, version: &str) -> bool {
    changelog
        .lines()
        .filter_map(|line| line.strip_prefix(&format!("## {version}, ")))
        .any(|date| date.len() == 10 && date.split('-').all(|number| number.parse::<u32>().is_ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_version_is_none_of_the_other_plugins() {
        let Identity { version, .. } = Identity::declared().unwrap();
        assert!(!TAKEN_VERSIONS.contains(&version.as_str()), "{version}");
    }

    #[test]
    fn a_release_refuses_the_placeholder_and_the_wrong_tag() {
        let version = Identity::declared().unwrap().version;
        let workflow =
            Workflow { repository: Some("some/other".to_owned()), tag: Some("v99.0.0".to_owned()) };
        let reasons = refusals(&workflow).unwrap().join("\n");
        let placeholder = Origin::new(clickhouse_provider::REPOSITORY).is_placeholder();
        assert_eq!(reasons.contains("is the placeholder"), placeholder, "{reasons}");
        assert!(reasons.contains("this is some/other"), "{reasons}");
        assert!(
            reasons.contains(&format!("the tag is v99.0.0, and Cargo.toml's version is {version}")),
            "{reasons}"
        );
    }

    #[test]
    fn a_changelog_is_dated_by_a_day() {
        assert!(is_dated("# Changelog\n\n## 0.2.0, 2027-01-31\n", "0.2.0"));
        assert!(!is_dated("## 0.2.0, unreleased\n## 0.1.0, 2027-01-31\n", "0.2.0"));
    }
}
