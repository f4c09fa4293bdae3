//! The real Pulumi engine on a program of a test: one stack, kept in a folder of its own.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::cargo::PLUGIN;
use crate::tools::{self, PULUMI_VERSION, Tool};

/// The version under which the plugin is installed.
pub const PLUGIN_VERSION: &str = env!("CARGO_PKG_VERSION");
/// A version of the other provider's plugin called `clickhouse`.
const OTHER_VERSION: &str = "2.0.4";
/// What the stand-in of that plugin says when it is started.
const OTHER_PLUGIN: &str = "this is another plugin called clickhouse";
const STACK: &str = "test";

/// An installed Pulumi: the command line, the YAML host, and the provider's plugin.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Pulumi {
    program: PathBuf,
    home: PathBuf,
}

impl Pulumi {
    /// Builds what is missing of the tools and installs `plugin` in the plugin cache of `home`. The variable
    /// `TESTBED_PULUMI` of the environment names another command line, an older one for example, with the
    /// language host for YAML beside it.
    pub fn install(home: &Path, plugin: &Path) -> Result<Self> {
        let program = match std::env::var_os("TESTBED_PULUMI").filter(|program| !program.is_empty()) {
            Some(program) => program.into(),
            None => tools::build(Tool::Pulumi)?,
        };
        Self { program, home: home.to_owned() }.with_plugin(plugin)
    }

    /// The Pulumi that is installed on this machine, with a home of its own; `None` when there is none, when
    /// it is of an older minor release than the pinned one, or when its language host for YAML is not beside
    /// it.
    pub fn installed(home: &Path) -> Option<Self> {
        let path = std::env::var_os("PATH")?;
        let program = std::env::split_paths(&path)
            .map(|folder| folder.join("pulumi"))
            .find(|program| program.is_file())?;
        let version = std::process::Command::new(&program)
            .arg("version")
            .env("PULUMI_SKIP_UPDATE_CHECK", "true")
            .output()
            .ok()?;
        let is_recent =
            minor_release(&String::from_utf8_lossy(&version.stdout))? >= minor_release(PULUMI_VERSION)?;
        let speaks_yaml = program.canonicalize().ok()?.with_file_name("pulumi-language-yaml").is_file();
        (is_recent && speaks_yaml).then(|| Self { program, home: home.to_owned() })
    }

    /// Installs `plugin` in its plugin cache, in the place of an older one.
    pub fn with_plugin(self, plugin: &Path) -> Result<Self> {
        let mut install = std::process::Command::new(&self.program);
        let arguments =
            ["plugin", "install", "resource", "clickhouse", PLUGIN_VERSION, "--reinstall", "--file"];
        tools::run(install.args(arguments).arg(plugin).envs(self.environment()), "installing the plugin")?;
        Ok(self)
    }

    /// The same beside another plugin called `clickhouse`, of the version that the other provider of that
    /// name has: one that only says so, and ends.
    pub fn beside_another(&self) -> Result<Self> {
        let home = self.home.with_extension("beside");
        let plugins = home.join("plugins");
        let other = plugins.join(format!("resource-clickhouse-v{OTHER_VERSION}")).join(PLUGIN);
        let own = Path::new(&format!("resource-clickhouse-v{PLUGIN_VERSION}")).join(PLUGIN);
        if !plugins.exists() {
            let fresh = tempfile::Builder::new()
                .prefix("beside-")
                .tempdir_in(self.home.parent().context("a parent")?)?;
            let inside = |path: &Path| -> Result<PathBuf> {
                let path = fresh.path().join(path.strip_prefix(&home)?);
                std::fs::create_dir_all(path.parent().context("a plugin has a folder")?)?;
                Ok(path)
            };
            std::os::unix::fs::symlink(self.home.join("plugins").join(&own), inside(&plugins.join(&own))?)?;
            write_other(&inside(&other)?)?;
            // Another test may have been faster: then its folder is the one.
            if std::fs::rename(fresh.path(), &home).is_ok() {
                let _ = fresh.keep();
            }
        }
        Ok(Self { home, ..self.clone() })
    }

    /// Puts such a plugin into the cache of this home.
    pub fn add_another(&self) -> Result<()> {
        let folder = self.home.join("plugins").join(format!("resource-clickhouse-v{OTHER_VERSION}"));
        std::fs::create_dir_all(&folder)?;
        write_other(&folder.join(PLUGIN))
    }

    /// The same with nothing in its home.
    #[must_use]
    pub fn with_empty_home(&self, home: &Path) -> Self {
        Self { home: home.to_owned(), ..self.clone() }
    }

    /// The command line's path.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The environment of every run. Nothing of it is a secret: states live in folders of tests.
    pub fn environment(&self) -> Vec<(&'static str, std::ffi::OsString)> {
        vec![
            ("PULUMI_HOME", self.home.clone().into()),
            ("PULUMI_CONFIG_PASSPHRASE", "testbed".into()),
            ("PULUMI_SKIP_UPDATE_CHECK", "true".into()),
            ("PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION", "true".into()),
            ("NO_COLOR", "1".into()),
            // Short lives need no thrift: a collector that comes later costs memory for time.
            ("GOGC", "400".into()),
        ]
    }

    /// A stack of a new project whose program is the YAML text `program` (without `name` and
    /// `runtime`), with `kubeconfig` for its cluster.
    pub async fn stack(&self, program: &str, kubeconfig: &Path) -> Result<Stack> {
        let directory = tempfile::Builder::new().prefix("pulumi-stack-").tempdir()?;
        std::fs::create_dir(directory.path().join("state"))?;
        let stack = Stack {
            pulumi: self.clone(),
            directory,
            kubeconfig: kubeconfig.to_owned(),
            environment: Vec::new(),
        };
        stack.set_program(program)?;
        stack.run(&["stack", "init", STACK]).await?.succeeded()?;
        Ok(stack)
    }
}

/// Writes the stand-in of the other plugin.
fn write_other(program: &Path) -> Result<()> {
    std::fs::write(program, format!("#!/bin/sh\necho '{OTHER_PLUGIN}' >&2\nexit 1\n"))?;
    Ok(std::fs::set_permissions(program, std::os::unix::fs::PermissionsExt::from_mode(0o755))?)
}

/// The numbers of a version's major and minor release.
fn minor_release(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.trim().strip_prefix('v')?.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

/// One stack of one project. Dropping it removes its folder, not what it made.
#[derive(Debug)]
pub struct Stack {
    pulumi: Pulumi,
    directory: TempDir,
    kubeconfig: PathBuf,
    environment: Vec<(String, String)>,
}

impl Stack {
    /// The project's folder.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Replaces the program: YAML without `name` and `runtime`.
    pub fn set_program(&self, program: &str) -> Result<()> {
        let text = format!("name: test\nruntime: yaml\n{program}");
        std::fs::write(self.directory().join("Pulumi.yaml"), text).context("failed to write the program")
    }

    /// Sets a variable in the environment of all later runs.
    pub fn set_environment(&mut self, key: &str, value: &str) {
        self.environment.push((key.to_owned(), value.to_owned()));
    }

    /// Goes back to the last whole state. Pulumi writes a state in a folder in place, and beside it a file
    /// with its attributes: an engine that is killed meanwhile leaves half of one of them. The state before
    /// is there, too, and those of earlier updates are in a folder of their own. Fails where none of them is
    /// whole.
    pub fn restore_state(&self) -> Result<()> {
        let state = self.state_file();
        let is_whole = |path: &PathBuf| {
            std::fs::read(path).is_ok_and(|text| serde_json::from_slice::<Value>(&text).is_ok())
        };
        for attributes in ["json.attrs", "json.bak.attrs"].map(|end| state.with_extension(end)) {
            if attributes.exists() && !is_whole(&attributes) {
                std::fs::remove_file(&attributes).context("failed to remove half of a state's attributes")?;
            }
        }
        if is_whole(&state) || !state.exists() {
            return Ok(());
        }
        let folder = self.directory().join("state/.pulumi/backups/test").join(STACK);
        let entries = std::fs::read_dir(folder).into_iter().flatten();
        let mut earlier: Vec<_> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|end| end == "json"))
            .collect();
        earlier.sort();
        let candidates = std::iter::once(state.with_extension("json.bak")).chain(earlier.into_iter().rev());
        let whole = candidates.clone().find(is_whole).with_context(|| {
            let candidates: Vec<_> = candidates.collect();
            format!("neither {} nor one of {candidates:?} is whole", state.display())
        })?;
        std::fs::copy(&whole, &state).context("failed to restore the state").map(drop)
    }

    /// `pulumi up`.
    pub async fn up(&self) -> Result<Run> {
        self.run(&["up", "--yes", "--skip-preview", "--non-interactive"]).await
    }

    /// `pulumi preview`, with the details of each change.
    pub async fn preview(&self) -> Result<Run> {
        self.run(&["preview", "--diff", "--non-interactive"]).await
    }

    /// `pulumi preview --json`: the steps, as data.
    pub async fn preview_json(&self) -> Result<Value> {
        self.run(&["preview", "--json", "--non-interactive"]).await?.json()
    }

    /// `pulumi refresh`.
    pub async fn refresh(&self) -> Result<Run> {
        self.run(&["refresh", "--yes", "--skip-preview", "--non-interactive"]).await
    }

    /// `pulumi destroy`.
    pub async fn destroy(&self) -> Result<Run> {
        self.run(&["destroy", "--yes", "--skip-preview", "--non-interactive"]).await
    }

    /// `pulumi import` of one resource, not protected; the generated program is in the output.
    pub async fn import(&self, token: &str, name: &str, id: &str) -> Result<Run> {
        self.run(&[
            "import",
            token,
            name,
            id,
            "--yes",
            "--protect=false",
            "--skip-preview",
            "--non-interactive",
        ])
        .await
    }

    /// The stack's state as `pulumi stack export` prints it, secrets encrypted. It is read from its file: for
    /// the command, as for each, Pulumi derives a key for a third of a second.
    pub fn export(&self) -> Result<Value> {
        let text = std::fs::read(self.state_file()).context("failed to read the state")?;
        let mut state: Value = serde_json::from_slice(&text).context("the state is not whole")?;
        Ok(json!({"version": state["version"], "deployment": state["checkpoint"]["latest"].take()}))
    }

    fn state_file(&self) -> PathBuf {
        self.directory().join(format!("state/.pulumi/stacks/test/{STACK}.json"))
    }

    /// The stack's outputs, secrets in clear.
    pub async fn outputs(&self) -> Result<Value> {
        self.run(&["stack", "output", "--json", "--show-secrets"]).await?.json()
    }

    /// `pulumi config set`; with `secret`, encrypted.
    pub async fn set_config(&self, key: &str, value: &str, secret: bool) -> Result<()> {
        let kind = if secret { "--secret" } else { "--plaintext" };
        self.run(&["config", "set", kind, key, value]).await?.succeeded().map(drop)
    }

    /// Any `pulumi` command, in the project's folder, on this stack. Fails only when it can't be started.
    pub async fn run(&self, arguments: &[&str]) -> Result<Run> {
        let started = Instant::now();
        let output = self.command(arguments).output().await.context("failed to run pulumi")?;
        Ok(Run::new(arguments, &output, started.elapsed()))
    }

    /// The same as a command of one's own, for tests that end it early.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.pulumi.program);
        let backend = format!("file://{}", self.directory().join("state").display());
        command.args(arguments).current_dir(self.directory()).stdin(Stdio::null()).kill_on_drop(true);
        command.envs(self.pulumi.environment()).env("PULUMI_BACKEND_URL", backend).env("PULUMI_STACK", STACK);
        command.env("KUBECONFIG", &self.kubeconfig).envs(self.environment.iter().cloned());
        command
    }
}

/// What a run of `pulumi` left.
#[derive(Debug, Clone)]
pub struct Run {
    /// The command, for messages.
    pub command: String,
    /// Whether it ended well.
    pub success: bool,
    /// What it printed.
    pub stdout: String,
    /// What it printed as errors.
    pub stderr: String,
    /// How long it took.
    pub elapsed: Duration,
}

impl Run {
    fn new(arguments: &[&str], output: &Output, elapsed: Duration) -> Self {
        Self {
            command: format!("pulumi {}", arguments.join(" ")),
            success: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            elapsed,
        }
    }

    /// Fails, with all output, when the run did.
    pub fn succeeded(self) -> Result<Self> {
        if !self.success {
            bail!("`{}` failed:\n{}\n{}", self.command, self.stdout, self.stderr);
        }
        Ok(self)
    }

    /// Fails, with all output, when the run did not.
    pub fn failed(self) -> Result<Self> {
        if self.success {
            bail!("`{}` succeeded:\n{}\n{}", self.command, self.stdout, self.stderr);
        }
        Ok(self)
    }

    /// What it printed, as JSON; fails when the run did.
    pub fn json(self) -> Result<Value> {
        let run = self.succeeded()?;
        serde_json::from_str(&run.stdout)
            .with_context(|| format!("`{}` printed no JSON:\n{}", run.command, run.stdout))
    }

    /// Both outputs, for a search.
    pub fn text(&self) -> String {
        format!("{}\n{}", self.stdout, self.stderr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_compare_by_their_numbers() {
        assert!(minor_release("v3.1000.0\n") > minor_release(PULUMI_VERSION));
        assert!(minor_release("v3.99.4") < minor_release(PULUMI_VERSION));
        assert_eq!(minor_release("a development build"), None);
    }
}
