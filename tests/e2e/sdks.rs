//! The SDKs are what the schema gives, and they and the examples pass their languages' checkers.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use testbed::{programs, sdks, tools};

const EXAMPLES: [&str; 2] = ["quickstart", "production"];

#[test]
fn the_committed_sdks_are_what_the_generators_make_of_the_schema() -> Result<()> {
    let stale = sdks::stale()?;
    assert!(stale.is_empty(), "generate them with `cargo sdks`: {stale:?}");
    Ok(())
}

/// `tsc` in strict mode is how both are compiled for running.
#[test]
fn the_typescript_sdk_and_the_examples_compile() -> Result<()> {
    programs::typescript().map(drop)
}

/// The generator's own helpers don't pass the two checks that are left out for the SDK; the examples pass
/// them all.
#[test]
fn the_python_sdk_and_the_examples_pass_a_type_checker() -> Result<()> {
    let root = tools::workspace_directory();
    let cache = tempfile::tempdir()?;
    let mypy = |arguments: &[&str]| -> Result<()> {
        let mut command = Command::new(programs::python()?);
        command
            .args(["-m", "mypy", "--cache-dir"])
            .arg(cache.path())
            .args(arguments)
            .current_dir(root)
            .env("MYPYPATH", root.join("sdk/python"));
        tools::run(&mut command, "checking Python's types")
    };
    mypy(&[
        "--package",
        "pulumi_clickhouse_kubernetes",
        "--disable-error-code",
        "return-value",
        "--disable-error-code",
        "arg-type",
    ])?;
    for example in EXAMPLES {
        mypy(&["--strict", "--follow-imports", "silent", &format!("examples/{example}/python/__main__.py")])?;
    }
    Ok(())
}

#[test]
fn the_go_sdk_and_the_examples_pass_go_vet() -> Result<()> {
    let root = tools::workspace_directory();
    let go = |folder: &Path, arguments: &[&str]| {
        let what = format!("go {} in {}", arguments.join(" "), folder.display());
        tools::run(Command::new("go").args(arguments).current_dir(folder), &what)
    };
    for module in ["sdk/go", "tests/testbed/automation/go"] {
        go(&root.join(module), &["vet", "./..."])?;
    }
    for example in EXAMPLES {
        let program = programs::laid_out()?.join(example).join("go");
        go(&program, &["mod", "tidy"])?;
        go(&program, &["vet", "./..."])?;
    }
    Ok(())
}
