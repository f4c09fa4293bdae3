//! The packages that people install are whole, and need nothing but themselves.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use clickhouse_provider::{Origin, REPOSITORY, VERSION};
use serde_json::Value;
use testbed::release::packages::{self, Packages};
use testbed::tools::{self, output};

use crate::served::made;

fn download_url() -> String {
    Origin::new(REPOSITORY).download_url()
}

/// A checker of npm's, from the pinned packages.
fn npm_checker(name: &str) -> Result<PathBuf> {
    let modules = tools::node_modules(&tools::workspace_directory().join("tests/testbed/packaging"))?;
    Ok(modules.join(".bin").join(name))
}

#[test]
fn the_npm_package_is_compiled_and_runs_nothing_when_installed() -> Result<()> {
    let archive = &made()?.npm;
    let listed = output(Command::new("tar").arg("-tzf").arg(archive))?;
    for file in
        ["index.js", "index.d.ts", "kubernetes/cluster.js", "kubernetes/cluster.d.ts", "README.md", "LICENSE"]
    {
        assert!(listed.contains(&format!("package/{file}\n")), "{file} is not in\n{listed}");
    }
    assert!(!listed.contains(".map\n") && !listed.contains("scripts/"), "{listed}");
    let manifest = output(Command::new("tar").arg("-xzOf").arg(archive).arg("package/package.json"))?;
    let manifest: Value = serde_json::from_str(&manifest)?;
    assert_eq!((&manifest["version"], manifest.get("scripts")), (&VERSION.into(), None));
    assert_eq!(manifest["dependencies"].as_object().map(serde_json::Map::len), Some(1), "{manifest}");
    assert_eq!(manifest["pulumi"]["server"], download_url());
    let mut lint = Command::new(npm_checker("publint")?);
    output(lint.args(["run", "--strict"]).arg(archive)).map(drop)
}

/// The version and the address are what the engine is told, so that it starts this plugin and no other.
#[test]
fn the_npm_package_names_its_plugin() -> Result<()> {
    let work = tempfile::tempdir()?;
    let package = work.path().join("node_modules").join(packages::NPM);
    packages::unpack_npm(&made()?.npm, &package)?;
    let modules = tools::node_modules(&tools::workspace_directory().join("tests/testbed"))?;
    for entry in fs::read_dir(modules)? {
        let entry = entry?;
        std::os::unix::fs::symlink(entry.path(), work.path().join("node_modules").join(entry.file_name()))?;
    }
    let script = format!(
        "const u = require('{0}/utilities'); require('{0}'); \
         console.log(JSON.stringify(u.resourceOptsDefaults()))",
        packages::NPM
    );
    let said = output(Command::new("node").args(["-e", &script]).current_dir(work.path()))?;
    let said: Value = serde_json::from_str(&said)?;
    assert_eq!(said["version"], VERSION);
    assert_eq!(said["pluginDownloadURL"], download_url());
    Ok(())
}

#[test]
fn the_python_packages_pass_the_index_and_name_their_plugin() -> Result<()> {
    let Packages { wheel, sdist, .. } = made()?;
    let python = packages::checkers()?;
    let strict =
        output(Command::new(&python).args(["-m", "twine", "check", "--strict"]).args([wheel, sdist]))?;
    assert!(!strict.contains("WARNING"), "{strict}");
    output(Command::new(python.with_file_name("check-wheel-contents")).arg(wheel))?;
    let work = tempfile::tempdir()?;
    let mut install = Command::new(testbed::programs::python()?);
    let arguments = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target"];
    output(install.args(arguments).arg(work.path()).arg(wheel))?;
    let metadata = work.path().join(format!("{}-{VERSION}.dist-info", packages::PYTHON));
    assert!(metadata.join("licenses/LICENSE").is_file(), "the licence");
    let metadata = fs::read_to_string(metadata.join("METADATA"))?;
    for line in
        ["License-Expression: Apache-2.0", &format!("Project-URL: Repository, {REPOSITORY}"), "# ClickHouse"]
    {
        assert!(metadata.contains(line), "{line} is not in\n{metadata}");
    }
    let script = format!(
        "import {0}._utilities as u, {0}; print(u.get_version(), u.get_plugin_download_url())",
        packages::PYTHON
    );
    let mut run = Command::new(testbed::programs::python()?);
    let said = output(run.args(["-c", &script]).env("PYTHONPATH", work.path()))?;
    assert_eq!(said.trim(), format!("{VERSION} {}", download_url()));
    Ok(())
}

/// As somebody else's module gets it, by its path and version alone.
#[test]
fn the_go_module_is_fetched_and_compiles() -> Result<()> {
    let work = tempfile::tempdir()?;
    let module = Origin::new(REPOSITORY).go_module();
    let root = tools::workspace_directory();
    fs::copy(root.join("examples/quickstart/go/main.go"), work.path().join("main.go"))?;
    fs::write(work.path().join("go.mod"), "module newcomer\n\ngo 1.25.0\n")?;
    let proxies = output(Command::new("go").args(["env", "GOPROXY"]))?;
    // What was kept of an earlier version of the same name would be taken for this one.
    let kept = tempfile::tempdir()?;
    let here = output(Command::new("go").args(["env", "GOMODCACHE"]))?;
    let go = |arguments: &[&str]| -> Result<String> {
        let mut command = Command::new("go");
        command
            .args(arguments)
            .current_dir(work.path())
            .env(
                "GOPROXY",
                format!(
                    "file://{},file://{}/cache/download,{}",
                    made()?.go.display(),
                    here.trim(),
                    proxies.trim()
                ),
            )
            .env("GONOSUMDB", &module)
            .env("GOMODCACHE", kept.path())
            .env("GOFLAGS", "-mod=mod -modcacherw -trimpath")
            .env("GOWORK", "off");
        output(&mut command)
    };
    go(&["get", &format!("{module}/clickhouse@v{VERSION}")])?;
    go(&["mod", "tidy"])?;
    go(&["vet", "./..."])?;
    let required = fs::read_to_string(work.path().join("go.mod"))?;
    assert!(
        required.contains(&format!("{module} v{VERSION}")) && !required.contains("replace"),
        "{required}"
    );
    Ok(())
}
