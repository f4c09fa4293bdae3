//! The examples, in each language, as programs that run on the real engine.
//!
//! YAML has its real host, on the command line. The hosts of the other languages are not to be had
//! everywhere, so those programs run inside a small driver that uses the Automation API, from the very files
//! that `pulumi up` reads.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context as _, Result, anyhow, bail};
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::{NamedTempFile, TempDir};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};

use crate::pulumi::{Pulumi, Stack};
use crate::release::{examples, packages};
use crate::{Testbed, cargo, tools};

const STACK: &str = "test";

/// A language that programs are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// On Pulumi's command line.
    Yaml,
    /// Driven through the Automation API for Node.js.
    TypeScript,
    /// Driven through the Automation API for Python.
    Python,
    /// Driven through the Automation API for Go.
    Go,
}

/// An output of a stack.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Output {
    /// The value, a secret's too.
    pub value: Value,
    /// Whether Pulumi knows that it is one.
    pub secret: bool,
}

/// A stack of an example.
pub enum Program {
    /// One that the command line runs.
    Yaml(Stack),
    /// One that a driver runs.
    Driven(Box<Driver>),
}

impl Program {
    /// A new, empty stack of `example` in `language`, on the testbed, where another plugin of the same name
    /// is installed beside the provider's.
    pub async fn new(testbed: &Testbed, example: &str, language: Language) -> Result<Self> {
        let pulumi = testbed.pulumi().await?.beside_another()?;
        Self::with(testbed, &pulumi, &[], example, language).await
    }

    /// The same with an installed Pulumi, and variables in its environment.
    pub async fn with(
        testbed: &Testbed,
        pulumi: &Pulumi,
        environment: &[(String, String)],
        example: &str,
        language: Language,
    ) -> Result<Self> {
        let example = example.to_owned();
        if language == Language::Yaml {
            let mut stack = pulumi.stack("resources: {}", testbed.kubeconfig()).await?;
            for (name, value) in environment {
                stack.set_environment(name, value);
            }
            // It names no package: the one that is laid out is the same.
            let program =
                tools::workspace_directory().join("examples").join(example).join("yaml/Pulumi.yaml");
            fs::copy(program, stack.directory().join("Pulumi.yaml"))?;
            stack.run(&["stack", "select", "--create", STACK]).await?.succeeded()?;
            return Ok(Self::Yaml(stack));
        }
        let mut command = tokio::task::spawn_blocking(move || command(&example, language)).await??;
        let state = tempfile::tempdir()?;
        let backend = format!("file://{}", state.path().display());
        command
            .current_dir(state.path())
            .envs(pulumi.environment())
            .env("PATH", with_folder_of(pulumi.program())?)
            .env("PULUMI_BACKEND_URL", backend)
            .env("KUBECONFIG", testbed.kubeconfig())
            .envs(environment.iter().cloned());
        Driver::start(command, state).map(|driver| Self::Driven(Box::new(driver)))
    }

    /// `pulumi preview`: how many resources would be created, updated and so on.
    pub async fn preview(&mut self) -> Result<Value> {
        Ok(match self {
            Self::Yaml(stack) => stack.preview_json().await?["changeSummary"].take(),
            Self::Driven(driver) => driver.ask(json!({"command": "preview"})).await?["changes"].take(),
        })
    }

    /// `pulumi up`.
    pub async fn up(&mut self) -> Result<()> {
        match self {
            Self::Yaml(stack) => stack.up().await?.succeeded().map(drop),
            Self::Driven(driver) => driver.ask(json!({"command": "up"})).await.map(drop),
        }
    }

    /// `pulumi up --expect-no-changes`.
    pub async fn up_without_changes(&mut self) -> Result<()> {
        match self {
            Self::Yaml(stack) => stack
                .run(&["up", "--yes", "--skip-preview", "--non-interactive", "--expect-no-changes"])
                .await?
                .succeeded()
                .map(drop),
            Self::Driven(driver) => {
                driver.ask(json!({"command": "up", "expectNoChanges": true})).await.map(drop)
            }
        }
    }

    /// `pulumi refresh --expect-no-changes`.
    pub async fn refresh_without_changes(&mut self) -> Result<()> {
        match self {
            Self::Yaml(stack) => stack
                .run(&["refresh", "--yes", "--skip-preview", "--non-interactive", "--expect-no-changes"])
                .await?
                .succeeded()
                .map(drop),
            Self::Driven(driver) => {
                driver.ask(json!({"command": "refresh", "expectNoChanges": true})).await.map(drop)
            }
        }
    }

    /// `pulumi destroy`.
    pub async fn destroy(&mut self) -> Result<()> {
        match self {
            Self::Yaml(stack) => stack.destroy().await?.succeeded().map(drop),
            Self::Driven(driver) => driver.ask(json!({"command": "destroy"})).await.map(drop),
        }
    }

    /// `pulumi config set`.
    pub async fn set_config(&mut self, key: &str, value: &str) -> Result<()> {
        match self {
            Self::Yaml(stack) => stack.set_config(key, value, false).await,
            Self::Driven(driver) => {
                driver.ask(json!({"command": "config", "key": key, "value": value})).await.map(drop)
            }
        }
    }

    /// `pulumi config set --secret`.
    pub async fn set_secret(&mut self, key: &str, value: &str) -> Result<()> {
        match self {
            Self::Yaml(stack) => stack.set_config(key, value, true).await,
            Self::Driven(driver) => {
                let request = json!({"command": "config", "key": key, "value": value, "secret": true});
                driver.ask(request).await.map(drop)
            }
        }
    }

    /// The stack's outputs.
    pub async fn outputs(&mut self) -> Result<BTreeMap<String, Output>> {
        match self {
            Self::Yaml(stack) => {
                let hidden = stack.run(&["stack", "output", "--json"]).await?.json()?;
                let Value::Object(clear) = stack.outputs().await? else { bail!("the outputs are no object") };
                Ok(clear
                    .into_iter()
                    .map(|(name, value)| (name.clone(), Output { secret: hidden[&name] != value, value }))
                    .collect())
            }
            Self::Driven(driver) => {
                Ok(serde_json::from_value(driver.ask(json!({"command": "outputs"})).await?)?)
            }
        }
    }
}

/// A process that runs a program through the Automation API, and does what it is told line by line.
pub struct Driver {
    /// Ends with this.
    _process: Child,
    requests: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    errors: NamedTempFile,
    /// The state of its stack.
    _state: TempDir,
}

impl Driver {
    fn start(command: Command, state: TempDir) -> Result<Self> {
        let errors = NamedTempFile::new()?;
        let mut command = tokio::process::Command::from(command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors.reopen()?).kill_on_drop(true);
        let mut process = command.spawn().context("failed to start the program's driver")?;
        let requests = process.stdin.take().context("the driver has an input")?;
        let answers = BufReader::new(process.stdout.take().context("the driver has an output")?).lines();
        Ok(Self { _process: process, requests, answers, errors, _state: state })
    }

    async fn ask(&mut self, request: Value) -> Result<Value> {
        let broken = |errors: &NamedTempFile| {
            anyhow!("the driver ended:\n{}", fs::read_to_string(errors.path()).unwrap_or_default())
        };
        // A driver that is gone shows in the answer that does not come, with what it said.
        let _ = self.requests.write_all(format!("{request}\n").as_bytes()).await;
        let mut answer: Value = loop {
            let line = self.answers.next_line().await?.ok_or_else(|| broken(&self.errors))?;
            // A program may print too.
            if let Ok(answer @ Value::Object(_)) = serde_json::from_str(&line) {
                break answer;
            }
        };
        match answer.get("error") {
            Some(error) => bail!("`{request}` failed:\n{}", error.as_str().unwrap_or_default()),
            None => Ok(answer["result"].take()),
        }
    }
}

/// A folder with all examples as `cargo examples` lays them out. Made once by each test process.
pub fn laid_out() -> Result<&'static Path> {
    static MADE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let make = || {
        let out = work_directory("examples")?;
        examples::lay_out(&[], &out).map(|_| out)
    };
    match MADE.get_or_init(|| make().map_err(|error| format!("{error:#}"))) {
        Ok(out) => Ok(out),
        Err(error) => bail!("{error}"),
    }
}

fn drivers() -> PathBuf {
    tools::workspace_directory().join("tests/testbed/automation")
}

/// The search path with a program's folder first: the Automation API looks for `pulumi` there.
fn with_folder_of(program: &Path) -> Result<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    Ok(std::env::join_paths(
        program.parent().map(Path::to_owned).into_iter().chain(std::env::split_paths(&path)),
    )?)
}

/// The command that drives an example, built where that is needed.
fn command(example: &str, language: Language) -> Result<Command> {
    let project = format!("clickhouse-{example}");
    Ok(match language {
        Language::Yaml => bail!("YAML needs no driver"),
        Language::TypeScript => {
            let work = typescript()?;
            let mut command = Command::new("node");
            command
                .arg(work.join("drive.js"))
                .arg(work.join(example).join("typescript/bin"))
                .args([&project, STACK]);
            command
        }
        Language::Python => {
            let mut command = Command::new(python()?);
            command
                .arg(drivers().join("python/drive.py"))
                .arg(laid_out()?.join(example).join("python"))
                .args([&project, STACK]);
            // Nothing is written into the clone.
            command.env("PYTHONPATH", python_sdk()?).env("PYTHONDONTWRITEBYTECODE", "1");
            command
        }
        Language::Go => {
            let mut command = Command::new(go(example)?);
            command.env("DRIVE_PROJECT", &project).env("DRIVE_STACK", STACK);
            command
        }
    })
}

/// The interpreter of a Python environment with Pulumi and a type checker.
pub fn python() -> Result<PathBuf> {
    tools::python(&tools::workspace_directory().join("tests/testbed/requirements.txt"))
}

/// A folder with the Python SDK, installed from its package. Made once by each test process.
fn python_sdk() -> Result<&'static Path> {
    static INSTALLED: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let install = || {
        let wheel = examples::package_of(&laid_out()?.join("quickstart/python"))?;
        let installed = work_directory("python-sdk")?;
        let mut pip = Command::new(python()?);
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--no-index",
            "--target",
        ]);
        tools::run(pip.arg(&installed).arg(&wheel), "installing the Python SDK")?;
        Ok(installed)
    };
    match INSTALLED.get_or_init(|| install().map_err(|error: anyhow::Error| format!("{error:#}"))) {
        Ok(installed) => Ok(installed),
        Err(error) => bail!("{error}"),
    }
}

/// An empty folder of this test process, below cargo's target folder.
fn work_directory(name: &str) -> Result<PathBuf> {
    let directory = cargo::target_directory()?.join("tmp").join(format!("{name}-{}", std::process::id()));
    if directory.exists() {
        fs::remove_dir_all(&directory)?;
    }
    fs::create_dir_all(&directory)?;
    Ok(directory)
}

/// The folder of the laid-out examples, with those in TypeScript compiled against the package that they name;
/// made once by each test process.
///
/// Fails when the compiler does, with what it says.
pub fn typescript() -> Result<&'static Path> {
    static COMPILED: OnceLock<Result<(), String>> = OnceLock::new();
    match COMPILED.get_or_init(|| compile_typescript().map_err(|error| format!("{error:#}"))) {
        Ok(()) => laid_out(),
        Err(error) => bail!("{error}"),
    }
}

/// Does what npm would do for each example once for all of them: the packages are above them, so that the SDK
/// and the programs find the one `@pulumi/pulumi`.
fn compile_typescript() -> Result<()> {
    let work = laid_out()?;
    let modules = tools::node_modules(&tools::workspace_directory().join("tests/testbed"))?;
    std::os::unix::fs::symlink(&modules, work.join("node_modules"))?;
    fs::copy(drivers().join("node/drive.js"), work.join("drive.js"))?;
    let sdk = work.join("sdk");
    for example in examples::names()? {
        let program = work.join(example).join("typescript");
        if !sdk.exists() {
            packages::unpack_npm(&examples::package_of(&program)?, &sdk)?;
        }
        fs::create_dir_all(program.join("node_modules"))?;
        std::os::unix::fs::symlink(&sdk, program.join("node_modules").join(packages::NPM))?;
        compile(&program, &modules)?;
    }
    Ok(())
}

fn compile(project: &Path, modules: &Path) -> Result<()> {
    let mut tsc = Command::new(modules.join(".bin/tsc"));
    tools::run(tsc.current_dir(project), &format!("compiling {}", project.display()))
}

/// The driver with an example's `program` in it. A `main` package can't be imported, so the driver is a test
/// of it, which Go is told to find beside it.
fn go(example: &str) -> Result<PathBuf> {
    let work = work_directory(&format!("go-{example}"))?;
    let test = work.join("main_test.go");
    fs::write(
        &test,
        "package main\n\nimport (\n\t\"testing\"\n\n\t\"automation/drive\"\n)\n\nfunc TestMain(*testing.M) { \
            drive.Main(program) }\n",
    )?;
    let module = drivers().join("go");
    let overlay = work.join("overlay.json");
    let package = module.join("example");
    let replace = BTreeMap::from([
        (package.join("main.go"), laid_out()?.join(example).join("go/main.go")),
        (package.join("main_test.go"), test),
    ]);
    fs::write(&overlay, serde_json::to_vec(&json!({"Replace": replace}))?)?;
    let program = work.join("drive");
    let mut build = Command::new("go");
    build
        .args(["test", "-c", "-vet=off", "-overlay"])
        .arg(&overlay)
        .arg("-o")
        .arg(&program)
        .arg("./example")
        .current_dir(module);
    tools::run(&mut build, &format!("building the {example} example in Go"))?;
    Ok(program)
}
