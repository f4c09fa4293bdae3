//! The SDKs as packages for npm, Python and Go: complete, and with nothing that runs when they are installed.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use clickhouse_provider::Origin;
use flate2::read::GzDecoder;
use serde_json::{Value, json};
use zip::write::SimpleFileOptions;
use zip::{DateTime, ZipWriter};

use super::archive::commit_time;
use super::identity::Identity;
use crate::cargo::target_directory;
use crate::tools::{self, workspace_directory};

/// The name on npm.
pub const NPM: &str = "pulumi-clickhouse-kubernetes";
/// The name that Python programs import.
pub const PYTHON: &str = "pulumi_clickhouse_kubernetes";

/// What `make` has made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packages {
    /// The archive for npm.
    pub npm: PathBuf,
    /// The wheel for Python.
    pub wheel: PathBuf,
    /// The sources that it is made from.
    pub sdist: PathBuf,
    /// A folder that Go takes for a module proxy.
    pub go: PathBuf,
}

/// Makes all of them in `out`, in the place of what was there.
pub fn make(out: &Path) -> Result<Packages> {
    if out.exists() {
        fs::remove_dir_all(out)?;
    }
    fs::create_dir_all(out).with_context(|| format!("failed to make `{}`", out.display()))?;
    let identity = Identity::declared()?;
    let (wheel, sdist) = python(&identity, &out.join("python"))?;
    Ok(Packages { npm: npm(&identity, &out.join("npm"))?, wheel, sdist, go: go(&identity, &out.join("go"))? })
}

/// Where `cargo packages` puts them.
pub fn directory() -> Result<PathBuf> {
    Ok(target_directory()?.join("packages"))
}

/// The compiled SDK with its types. Pulumi generates a package that compiles itself when it is installed;
/// this one is ready.
pub fn npm(identity: &Identity, out: &Path) -> Result<PathBuf> {
    let work = tempfile::tempdir()?;
    let sources = work.path().join("nodejs");
    copy(&workspace_directory().join("sdk/nodejs"), &sources)?;
    let modules = tools::node_modules(&workspace_directory().join("tests/testbed"))?;
    std::os::unix::fs::symlink(&modules, work.path().join("node_modules"))?;
    let mut compile = Command::new(modules.join(".bin/tsc"));
    // Maps would lead to sources that are not in the package.
    compile.args(["--sourceMap", "false", "--declarationMap", "false"]).current_dir(&sources);
    tools::run(&mut compile, "compiling the TypeScript SDK")?;

    let package = sources.join("bin");
    let mut manifest: Value = serde_json::from_slice(&fs::read(sources.join("package.json"))?)?;
    let Identity { repository, .. } = identity;
    manifest["main"] = json!("index.js");
    manifest["types"] = json!("index.d.ts");
    manifest["repository"] =
        json!({"type": "git", "url": format!("git+{repository}.git"), "directory": "sdk/nodejs"});
    manifest["bugs"] = json!(format!("{repository}/issues"));
    manifest["engines"] = json!({"node": ">=20"});
    if let Some(manifest) = manifest.as_object_mut() {
        manifest.remove("scripts");
        manifest.remove("devDependencies");
    }
    if let Some(dependencies) = manifest["dependencies"].as_object_mut() {
        dependencies.retain(|name, _| name == "@pulumi/pulumi");
    }
    fs::write(package.join("package.json"), serde_json::to_string_pretty(&manifest)? + "\n")?;
    texts(identity, &package)?;
    fs::create_dir_all(out)?;
    let mut pack = Command::new("npm");
    pack.args(["pack", "--ignore-scripts", "--pack-destination"]).arg(out).current_dir(&package);
    tools::run(&mut pack, "packing for npm")?;
    only(out, ".tgz")
}

/// Unpacks an archive of npm's into a folder, as its installation does.
pub fn unpack_npm(archive: &Path, folder: &Path) -> Result<()> {
    let work = tempfile::tempdir()?;
    tar::Archive::new(GzDecoder::new(File::open(archive)?)).unpack(work.path())?;
    copy(&work.path().join("package"), folder)
}

/// A wheel and its sources, in this order.
pub fn python(identity: &Identity, out: &Path) -> Result<(PathBuf, PathBuf)> {
    let work = tempfile::tempdir()?;
    let sources = work.path().join("python");
    copy(&workspace_directory().join("sdk/python"), &sources)?;
    texts(identity, &sources)?;
    let project = sources.join("pyproject.toml");
    fs::write(&project, project_of(&fs::read_to_string(&project)?, &identity.repository)?)?;
    let mut build = Command::new(checkers()?);
    build
        .args(["-m", "build", "--no-isolation", "--outdir"])
        .arg(out)
        .arg(&sources)
        .env("SOURCE_DATE_EPOCH", commit_time()?.to_string());
    tools::run(&mut build, "packing for PyPI")?;
    Ok((only(out, ".whl")?, only(out, ".tar.gz")?))
}

/// The generated project file with its licence in the form that setuptools will go on to read, and with the
/// page of changes.
fn project_of(generated: &str, repository: &str) -> Result<String> {
    let license = "  [project.license]\n    text = \"Apache-2.0\"\n";
    let version = "  requires-python = ";
    let urls = "  [project.urls]\n";
    for part in [license, version, urls] {
        if !generated.contains(part) {
            anyhow::bail!("the generated pyproject.toml has no `{}`", part.trim());
        }
    }
    Ok(generated
        .replace(license, "")
        .replace(version, &format!("  license = \"Apache-2.0\"\n  license-files = [\"LICENSE\"]\n{version}"))
        .replace(urls, &format!("{urls}    Changelog = \"{repository}/blob/main/CHANGELOG.md\"\n"))
        .replace("setuptools>=61.0", "setuptools>=77.0"))
}

/// The module as a proxy serves it.
fn go(identity: &Identity, out: &Path) -> Result<PathBuf> {
    let Identity { repository, version } = identity;
    let module = Origin::new(repository).go_module();
    let sources = workspace_directory().join("sdk/go");
    let archive = go_archive(identity, out);
    let served = archive.parent().context("an archive has a folder")?;
    fs::create_dir_all(served)?;
    fs::write(served.join("list"), format!("v{version}\n"))?;
    fs::write(
        served.join(format!("v{version}.info")),
        json!({"Version": format!("v{version}")}).to_string(),
    )?;
    fs::copy(sources.join("go.mod"), served.join(format!("v{version}.mod")))?;
    let mut files = Vec::new();
    list(&sources, &sources, &mut files)?;
    let license = workspace_directory().join("LICENSE");
    if !files.iter().any(|(name, _)| name == "LICENSE") {
        // As Go takes it from the root of the repository.
        files.push(("LICENSE".to_owned(), license));
    }
    files.sort();
    let mut zip = ZipWriter::new(File::create(&archive)?);
    for (name, file) in files {
        let options = SimpleFileOptions::default().last_modified_time(DateTime::default());
        zip.start_file(format!("{module}@v{version}/{name}"), options)?;
        zip.write_all(&fs::read(file)?)?;
    }
    zip.finish()?;
    Ok(out.to_owned())
}

/// The archive of the module in a proxy's folder.
pub(super) fn go_archive(identity: &Identity, proxy: &Path) -> PathBuf {
    let Identity { repository, version } = identity;
    let module = Origin::new(repository).go_module();
    proxy.join(escaped(&module)).join("@v").join(format!("v{version}.zip"))
}

/// A module's path as proxies write it: a capital letter is a mark and the small one.
fn escaped(module: &str) -> String {
    let letter = |letter: char| match letter {
        'A'..='Z' => format!("!{}", letter.to_ascii_lowercase()),
        other => other.to_string(),
    };
    module.chars().map(letter).collect()
}

/// README and LICENSE, with README's links leading to the repository.
fn texts(identity: &Identity, folder: &Path) -> Result<()> {
    let root = workspace_directory();
    let readme = with_whole_links(&fs::read_to_string(root.join("README.md"))?, &identity.repository);
    fs::write(folder.join("README.md"), readme)?;
    fs::copy(root.join("LICENSE"), folder.join("LICENSE"))?;
    Ok(())
}

/// A page whose links to files lead to those of the repository, wherever the page is read.
fn with_whole_links(page: &str, repository: &str) -> String {
    let mut result = String::new();
    let mut rest = page;
    while let Some(at) = rest.find("](") {
        let (before, after) = rest.split_at(at + 2);
        result.push_str(before);
        let is_whole = ["https://", "http://", "mailto:", "#"].iter().any(|start| after.starts_with(start));
        if !is_whole {
            let is_picture = [".svg)", ".png)"]
                .iter()
                .any(|end| after.find(')').is_some_and(|close| after[..=close].ends_with(end)));
            result.extend([repository, if is_picture { "/raw/main/" } else { "/blob/main/" }]);
        }
        rest = after;
    }
    result + rest
}

/// The interpreter of a Python environment with what builds and checks packages.
pub fn checkers() -> Result<PathBuf> {
    tools::python(&workspace_directory().join("tests/testbed/packaging/requirements.txt"))
}

/// The only file in a folder whose name ends so.
fn only(folder: &Path, end: &str) -> Result<PathBuf> {
    let mut files = fs::read_dir(folder)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.to_string_lossy().ends_with(end));
    files.next().with_context(|| format!("no *{end} in `{}`", folder.display()))
}

/// Copies what git knows of a folder.
pub(super) fn copy(from: &Path, to: &Path) -> Result<()> {
    let mut files = Vec::new();
    list(from, from, &mut files)?;
    for (name, file) in files {
        let target = to.join(name);
        fs::create_dir_all(target.parent().context("a file has a folder")?)?;
        fs::copy(file, target)?;
    }
    Ok(())
}

/// The files below a folder by their paths in it, without what tools leave there.
fn list(root: &Path, folder: &Path, files: &mut Vec<(String, PathBuf)>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("failed to read `{}`", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if crate::sdks::is_left_by_tools(name) || name.starts_with(".git") {
            continue;
        }
        if path.is_dir() {
            list(root, &path, files)?;
        } else {
            files.push((path.strip_prefix(root)?.to_string_lossy().into_owned(), path));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_the_repository() {
        let page = "[a](docs/a.md#b) [c](#c) [d](https://example.com) ![e](docs/e.svg)";
        assert_eq!(
            with_whole_links(page, "https://example.com/r"),
            "[a](https://example.com/r/blob/main/docs/a.md#b) [c](#c) [d](https://example.com) \
             ![e](https://example.com/r/raw/main/docs/e.svg)"
        );
    }

    #[test]
    fn a_proxy_writes_capital_letters_with_a_mark() {
        assert_eq!(escaped("github.com/Some-Owner/pulumi"), "github.com/!some-!owner/pulumi");
    }
}
