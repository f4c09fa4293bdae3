//! The SDKs: generated from the schema by Pulumi's own generators.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::tools::{self, Tool};

/// Writes `schema.json` from the Rust types, and `sdk/` from `schema.json`.
///
/// Fails when a type can't be expressed, or when the schema does not bind without a warning.
pub fn generate() -> Result<()> {
    let root = tools::workspace_directory();
    let schema = clickhouse_provider::schema().context("a type can't be expressed in Pulumi's schema")?;
    fs::write(root.join("schema.json"), serde_json::to_string_pretty(&schema)? + "\n")
        .context("failed to write schema.json")?;
    generate_into(&root.join("sdk"))
}

/// The files of `sdk/` that are not what the generators make of `schema.json`, or that they don't make, or
/// that are missing.
pub fn stale() -> Result<Vec<PathBuf>> {
    let fresh = tempfile::tempdir()?;
    generate_into(fresh.path())?;
    let (mut expected, mut committed) = (BTreeMap::new(), BTreeMap::new());
    read_tree(fresh.path(), fresh.path(), &mut expected)?;
    let sdk = tools::workspace_directory().join("sdk");
    read_tree(&sdk, &sdk, &mut committed)?;
    let paths: std::collections::BTreeSet<_> = expected.keys().chain(committed.keys()).collect();
    Ok(paths.into_iter().filter(|path| expected.get(*path) != committed.get(*path)).cloned().collect())
}

fn generate_into(directory: &Path) -> Result<()> {
    let mut generator = Command::new(tools::build(Tool::SdkGenerator)?);
    generator.arg("-schema").arg(tools::workspace_directory().join("schema.json")).arg("-out").arg(directory);
    tools::run(&mut generator, "generating the SDKs")?;
    fs::write(directory.join("go/README.md"), go_readme()?).context("failed to write the Go module's README")
}

/// What the page of the Go module says: its generator makes none, and it is read where the module is.
fn go_readme() -> Result<String> {
    let root = tools::workspace_directory();
    let schema: Value = serde_json::from_slice(&fs::read(root.join("schema.json"))?)?;
    let text = |pointer: &str| -> Result<&str> {
        schema
            .pointer(pointer)
            .and_then(Value::as_str)
            .with_context(|| format!("schema.json has no {pointer}"))
    };
    let (title, description) = (text("/displayName")?, text("/description")?);
    let (module, repository) = (text("/language/go/importBasePath")?, text("/repository")?);
    let program = fs::read_to_string(root.join("examples/quickstart/go/main.go"))?;
    Ok(format!(
        "# {title}, for Pulumi programs in Go\n\n{description}\n\n```sh\ngo get {module}@v{}\n```\n\n\
        ```go\n{}\n```\n\nPulumi fetches the plugin by itself. Installation, reference and all pages: \
        [{repository}]({repository}).\n",
        text("/version")?,
        program.trim_end()
    ))
}

/// Whether installing and compiling leave something of this name, which git ignores too.
pub(crate) fn is_left_by_tools(name: &str) -> bool {
    ["node_modules", "bin", "build", "__pycache__", ".mypy_cache"].contains(&name)
        || name.ends_with(".egg-info")
}

fn read_tree(root: &Path, directory: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) -> Result<()> {
    for entry in
        fs::read_dir(directory).with_context(|| format!("failed to read `{}`", directory.display()))?
    {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if is_left_by_tools(name) {
            continue;
        }
        if path.is_dir() {
            read_tree(root, &path, files)?;
        } else {
            files.insert(path.strip_prefix(root)?.to_owned(), fs::read(&path)?);
        }
    }
    Ok(())
}
