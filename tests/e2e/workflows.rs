//! What the repository's workflows run exists, and they pass the linters of their trade.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use anyhow::Result;
use testbed::release::packages;
use testbed::tools;

const ACTIONLINT: &str = "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12";

#[test]
fn the_workflows_pass_actionlint() -> Result<()> {
    let mut lint = Command::new("go");
    // Shells are left to the run: their linter is not to be had everywhere.
    lint.args(["run", ACTIONLINT, "-no-color", "-shellcheck=", "-pyflakes="]);
    tools::run(lint.current_dir(tools::workspace_directory()), "linting the workflows")
}

#[test]
fn the_workflows_pass_zizmor() -> Result<()> {
    let mut audit = Command::new(packages::checkers()?.with_file_name("zizmor"));
    audit.args(["--offline", "--no-progress", ".github"]).current_dir(tools::workspace_directory());
    tools::run(&mut audit, "auditing the workflows")
}

#[test]
fn every_cargo_command_of_a_workflow_exists() -> Result<()> {
    let root = tools::workspace_directory();
    let aliases = fs::read_to_string(root.join(".cargo/config.toml"))?;
    let mut known: BTreeSet<_> = aliases.lines().filter_map(|line| Some(line.split_once(" = ")?.0)).collect();
    known.extend(["build", "check", "fetch", "install", "deny", "test"]);
    let mut found = 0;
    for entry in fs::read_dir(root.join(".github/workflows"))? {
        let path = entry?.path();
        let text = fs::read_to_string(&path)?;
        for command in text.lines().filter_map(|line| line.split_once("run: cargo ")) {
            let name = command.1.split(' ').next().unwrap_or_default();
            assert!(known.contains(name), "{}: cargo {name}", path.display());
            found += 1;
        }
    }
    assert!(found > 4, "{found}");
    Ok(())
}
