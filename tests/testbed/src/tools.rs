//! The tools that the testbed runs, built once from pinned sources and kept outside the clone.

use std::fs::{self, File};
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// The Pulumi version that is pinned.
pub const PULUMI_VERSION: &str = "v3.255.0";
const PULUMI_YAML_VERSION: &str = "v1.38.1";
const KUBERNETES_VERSION: &str = "v1.36.3";

/// A tool that is built with Go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// The Kubernetes control plane.
    ControlPlane,
    /// Pulumi's command line and engine, and its language host for YAML, which it looks for beside itself.
    Pulumi,
    /// Pulumi's language hosts for TypeScript, Python and Go, with which `pulumi up` runs such programs by
    /// itself: those of 3.60.0, since later ones are in modules that can't be fetched.
    LanguageHosts,
    /// The generator of the SDKs.
    SdkGenerator,
}

impl Tool {
    /// The file name of the program.
    pub fn program(self) -> &'static str {
        match self {
            Self::ControlPlane => "controlplane",
            Self::Pulumi => "pulumi",
            Self::LanguageHosts => "pulumi-language-nodejs",
            Self::SdkGenerator => "sdkgen",
        }
    }

    /// The folder of the Go module in the testbed, and the packages in it.
    fn source(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::ControlPlane => ("controlplane", &["."]),
            Self::Pulumi => (
                "pulumi",
                &[
                    "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
                    "github.com/pulumi/pulumi-yaml/cmd/pulumi-language-yaml",
                ],
            ),
            Self::LanguageHosts => (
                "hosts",
                &[
                    "github.com/pulumi/pulumi/sdk/v3/nodejs/cmd/pulumi-language-nodejs",
                    "github.com/pulumi/pulumi/sdk/v3/python/cmd/pulumi-language-python",
                    "github.com/pulumi/pulumi/sdk/v3/go/pulumi-language-go",
                ],
            ),
            Self::SdkGenerator => ("pulumi", &["./sdkgen"]),
        }
    }

    fn link_flags(self) -> String {
        match self {
            Self::ControlPlane => {
                format!("-s -w -X k8s.io/component-base/version.gitVersion={KUBERNETES_VERSION}")
            }
            Self::Pulumi => format!(
                "-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version={PULUMI_VERSION} \
                 -X github.com/pulumi/pulumi-yaml/pkg/version.Version={PULUMI_YAML_VERSION}"
            ),
            Self::LanguageHosts | Self::SdkGenerator => "-s -w".to_owned(),
        }
    }

    /// What it takes on two idle cores with an empty build cache, for the progress line.
    fn minutes(self) -> u32 {
        match self {
            Self::ControlPlane => 6,
            Self::Pulumi => 5,
            Self::LanguageHosts | Self::SdkGenerator => 1,
        }
    }
}

/// The path of the built tool. The first call for one version of its sources builds it, which takes
/// minutes and says so; two callers at once build it once.
///
/// Fails when Go is absent or the build does, with its output.
pub fn build(tool: Tool) -> Result<PathBuf> {
    let (module, packages) = tool.source();
    let source = manifest_directory().join(module);
    let flags = tool.link_flags();
    let version = output(Command::new("go").arg("version"))
        .context("failed to run Go, which builds the testbed's tools: install Go 1.26 or newer")?;
    let mut hasher = Sha256::new();
    for part in packages.iter().copied().chain([flags.as_str(), version.trim()]) {
        hasher.update(part);
    }
    for path in go_sources(&source, tool)? {
        hasher.update(path.strip_prefix(&source)?.as_os_str().as_encoded_bytes());
        hasher.update(fs::read(&path)?);
    }
    let directory = cache_directory()?.join(format!("{}-{}", tool.program(), &hex(&hasher.finalize())[..16]));
    cached(&directory, |fresh| {
        let mut command = Command::new("go");
        let arguments = ["build", "-trimpath", "-buildvcs=false", "-ldflags", &flags, "-o"];
        let output = if packages.len() == 1 { fresh.join(tool.program()) } else { fresh.to_owned() };
        command.args(arguments).arg(output).args(packages).current_dir(&source);
        run(
            &mut command,
            &format!("building {} (the first time takes about {} min)", tool.program(), tool.minutes()),
        )?;
        if tool == Tool::LanguageHosts { add_python_scripts(&source, fresh) } else { Ok(()) }
    })?;
    Ok(directory.join(tool.program()))
}

/// Puts the scripts in place by which the host for Python is started, and by which it runs programs.
fn add_python_scripts(source: &Path, folder: &Path) -> Result<()> {
    let mut list = Command::new("go");
    list.args(["list", "-m", "-f", "{{.Dir}}", "github.com/pulumi/pulumi/sdk/v3"]).current_dir(source);
    let (host, run) = ("pulumi-language-python", "pulumi-language-python-exec");
    fs::rename(folder.join(host), folder.join("host-for-python"))?;
    let scripts = [
        (host, source.join(host).with_extension("sh")),
        (run, Path::new(output(&mut list)?.trim()).join("python/cmd").join(run)),
    ];
    for (name, script) in scripts {
        fs::copy(&script, folder.join(name)).with_context(|| format!("no `{}`", script.display()))?;
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(folder.join(name), executable)?;
    }
    Ok(())
}

/// A folder with the packages that the `package-lock.json` in `project` pins, in `node_modules`.
///
/// Fails when npm is absent or does.
pub fn node_modules(project: &Path) -> Result<PathBuf> {
    let directory = keyed("node", &[&project.join("package.json"), &project.join("package-lock.json")])?;
    cached(&directory, |fresh| {
        for file in ["package.json", "package-lock.json"] {
            fs::copy(project.join(file), fresh.join(file))?;
        }
        run(
            Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(fresh),
            "installing npm packages",
        )
    })?;
    Ok(directory.join("node_modules"))
}

/// A Python environment with what `requirements` pins; the path of its interpreter.
///
/// Fails when Python or pip does.
pub fn python(requirements: &Path) -> Result<PathBuf> {
    let directory = keyed("python", &[requirements])?;
    // An environment knows its own path, so that it can't be moved into place: a mark says that it is whole.
    let whole = directory.join("whole");
    let _lock = lock(&directory)?;
    if !whole.exists() {
        run(
            Command::new("python3").args(["-m", "venv", "--clear"]).arg(&directory),
            "making a Python environment",
        )?;
        let mut install = Command::new(directory.join("bin/pip"));
        run(
            install.args(["install", "--quiet", "--disable-pip-version-check", "-r"]).arg(requirements),
            "installing Python packages",
        )?;
        fs::write(&whole, "")?;
    }
    Ok(directory.join("bin/python"))
}

/// A folder with `files` of a Go module, `path@version`, that the module proxy serves; `sum` is what `go.sum`
/// would have of it.
///
/// Fails when Go is absent, the module can't be downloaded, or it is another one.
pub fn go_module(module: &str, sum: &str, files: &[&str]) -> Result<PathBuf> {
    let mut hasher = Sha256::new();
    [&[module, sum], files].concat().iter().for_each(|part| hasher.update(format!("{part}\n")));
    let directory = cache_directory()?.join(format!("module-{}", &hex(&hasher.finalize())[..16]));
    cached(&directory, |fresh| {
        // Where no module of ours would have a say.
        let told = Command::new("go").args(["mod", "download", "-json", module]).current_dir(fresh).output();
        let told: Value = serde_json::from_slice(&told.context("failed to run Go")?.stdout)
            .with_context(|| format!("`go mod download` says nothing of {module}"))?;
        ensure!(told["Sum"] == sum, "{module} is not the one that is pinned, {sum}: {told}");
        let source = Path::new(told["Dir"].as_str().context("a downloaded module has a folder")?);
        for file in files {
            let name = Path::new(file).file_name().context("a file has a name")?;
            fs::write(fresh.join(name), fs::read(source.join(file))?)?;
        }
        Ok(())
    })?;
    Ok(directory)
}

/// Where tools and their states are kept: `$XDG_CACHE_HOME` or `~/.cache`, never in the clone.
pub fn cache_directory() -> Result<PathBuf> {
    let base = match std::env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty()) {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(std::env::var_os("HOME").context("neither XDG_CACHE_HOME nor HOME is set")?)
            .join(".cache"),
    };
    Ok(base.join("pulumi-clickhouse-testbed"))
}

/// The root of the project's clone.
pub fn workspace_directory() -> &'static Path {
    let testbed = manifest_directory();
    testbed.ancestors().nth(2).unwrap_or(testbed)
}

fn manifest_directory() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files that a Go tool is made of: its module's pins, and its own sources where it has any.
fn go_sources(module: &Path, tool: Tool) -> Result<Vec<PathBuf>> {
    let mut paths = vec![module.join("go.mod"), module.join("go.sum")];
    let own = match tool {
        Tool::ControlPlane => module.to_owned(),
        Tool::SdkGenerator => module.join("sdkgen"),
        Tool::Pulumi => return Ok(paths),
        Tool::LanguageHosts => {
            paths.push(module.join("pulumi-language-python.sh"));
            return Ok(paths);
        }
    };
    for entry in fs::read_dir(&own).with_context(|| format!("failed to read `{}`", own.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|kind| kind == "go") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// A folder of the cache, named for the contents of files.
pub(crate) fn keyed(prefix: &str, files: &[&Path]) -> Result<PathBuf> {
    let mut hasher = Sha256::new();
    for file in files {
        hasher.update(fs::read(file).with_context(|| format!("failed to read `{}`", file.display()))?);
    }
    Ok(cache_directory()?.join(format!("{prefix}-{}", &hex(&hasher.finalize())[..16])))
}

/// Makes `directory` with `make` if it is not there: beside it first, then moved, so that a half-made one is
/// never used.
pub(crate) fn cached(directory: &Path, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    if directory.exists() {
        return Ok(());
    }
    let _lock = lock(directory)?;
    if directory.exists() {
        return Ok(());
    }
    let parent = directory.parent().context("a folder of the cache has a parent")?;
    let fresh = tempfile::Builder::new().prefix("unfinished-").tempdir_in(parent)?;
    make(fresh.path())?;
    fs::rename(fresh.keep(), directory)
        .with_context(|| format!("failed to move the result to `{}`", directory.display()))
}

/// Waits until no other process makes the same folder; held until dropped.
fn lock(directory: &Path) -> Result<File> {
    let path = directory.with_extension("lock");
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).with_context(|| format!("failed to make `{}`", parent.display()))?;
    }
    let file = File::create(&path).with_context(|| format!("failed to make `{}`", path.display()))?;
    file.lock()?;
    Ok(file)
}

/// Runs a command that takes its time: says what it does and for how long, and shows its output only when it
/// fails.
#[allow(clippy::print_stderr, reason = "progress is for the person who waits")]
pub fn run(command: &mut Command, what: &str) -> Result<()> {
    let started = Instant::now();
    let output = tempfile::NamedTempFile::new()?;
    // One file with one position: opened twice, what comes last would overwrite the rest.
    let file = output.reopen()?;
    command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
    let mut child =
        command.spawn().with_context(|| format!("failed to run `{}`", command.get_program().display()))?;
    let terminal = std::io::stderr().is_terminal();
    let mut said = started;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        // A terminal gets a line that counts, a log one that is repeated now and then.
        if terminal && started.elapsed() > Duration::from_secs(1) {
            eprint!("\r  {what}: {} s ", started.elapsed().as_secs());
            let _ = std::io::stderr().flush();
        } else if !terminal && said.elapsed() > Duration::from_secs(30) {
            said = Instant::now();
            eprintln!("  {what}: {} s", started.elapsed().as_secs());
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    if terminal {
        eprint!("\r\x1b[K");
    }
    if !status.success() {
        bail!("failed: {what}\n{}", fs::read_to_string(output.path()).unwrap_or_default());
    }
    Ok(())
}

/// What a command prints; fails, with its errors, when it does.
pub fn output(command: &mut Command) -> Result<String> {
    let output =
        command.output().with_context(|| format!("failed to run `{}`", command.get_program().display()))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!("{command:?}:\n{text}\n{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(text)
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_the_cache_is_made_once_and_only_whole() {
        let cache = tempfile::tempdir().unwrap();
        let directory = cache.path().join("tool-1");
        assert!(cached(&directory, |_| bail!("no network")).is_err());
        assert!(!directory.exists());
        cached(&directory, |fresh| Ok(fs::write(fresh.join("tool"), "1")?)).unwrap();
        cached(&directory, |_| bail!("made twice")).unwrap();
        assert_eq!(fs::read_to_string(directory.join("tool")).unwrap(), "1");
    }

    #[test]
    fn a_failed_command_shows_its_output() {
        let error = run(Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]), "trying")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("failed: trying") && error.contains("out") && error.contains("err"),
            "{error}"
        );
    }
}
