//! `cargo quickstart`: from nothing to a ClickHouse cluster that Pulumi made.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use testbed::control_plane::{ControlPlane, Lifetime};
use testbed::detached::Detached;
use testbed::pulumi::Pulumi;
use testbed::tools::{self, Tool};
use testbed::{cargo, cloud, crds, engine, operator};

use crate::database::Database;
use crate::terminal::{heading, say};

const STACK: &str = "quickstart";
const EXAMPLE: &str = "examples/quickstart/yaml/Pulumi.yaml";

/// The first question to a new cluster.
const FIRST: &str = "SELECT version(), currentUser()";

/// What is remembered between the commands.
#[derive(Serialize, Deserialize)]
struct Memory {
    /// The context of the user's own kubeconfig; `None` for a control plane of the quickstart's.
    context: Option<String>,
    pulumi: Pulumi,
    stand_ins: Option<Detached>,
    /// Whether a ClickHouse answers, as far as is known.
    #[serde(default)]
    answers: bool,
}

/// Brings up a cluster where none is named, and runs `pulumi up` on the example.
pub(crate) async fn up(context: Option<&str>) -> Result<ExitCode> {
    let started = Instant::now();
    let directory = directory()?;
    if let Some(memory) = read()?
        && memory.context.as_deref() != context
    {
        bail!("a quickstart on another cluster is there already: run `cargo quickstart down` first");
    }
    fs::create_dir_all(directory.join("state"))
        .with_context(|| format!("failed to make `{}`", directory.display()))?;
    fs::create_dir_all(directory.join("project"))?;

    step("the provider");
    let plugin = cargo::plugin()?;
    step("Pulumi");
    let pulumi = match Pulumi::installed(&directory.join("pulumi")) {
        Some(pulumi) => pulumi.with_plugin(&plugin)?,
        None => Pulumi::install(&directory.join("pulumi"), &plugin)?,
    };
    let mut memory =
        Memory { context: context.map(str::to_owned), pulumi, stand_ins: None, answers: context.is_some() };
    if context.is_none() {
        step("a ClickHouse engine");
        let absent = engine::install().err();
        memory.answers = absent.is_none();
        if let Some(absent) = absent {
            say(&format!("  {absent}; all else goes on"));
        }
        step("a Kubernetes control plane, on this machine");
        let (stand_ins, is_new) = cluster_here(&directory.join("cluster"), memory.answers).await?;
        memory.stand_ins = Some(stand_ins);
        // What the state says of an earlier cluster, from before this machine was restarted perhaps, went
        // with that one.
        if is_new {
            fs::remove_dir_all(directory.join("state"))?;
            fs::create_dir(directory.join("state"))?;
        }
    }
    fs::write(directory.join("quickstart.json"), serde_json::to_vec_pretty(&memory)?)?;

    step("pulumi up\n");
    fs::copy(tools::workspace_directory().join(EXAMPLE), directory.join("project/Pulumi.yaml"))?;
    pulumi_quietly(&memory, &["stack", "select", "--create", STACK])?;
    if let Some(context) = context {
        pulumi_quietly(&memory, &["config", "set", "clickhouse:context", context])?;
    }
    let done = run(&memory, &["up", "--yes", "--skip-preview"])?;
    if done != ExitCode::SUCCESS {
        return Ok(done);
    }
    what_next(&memory, started).await?;
    Ok(ExitCode::SUCCESS)
}

/// Starts the control plane and the stand-ins, as far as they don't run. `true` when the cluster is a new
/// one, with nothing in it.
async fn cluster_here(directory: &Path, with_engines: bool) -> Result<(Detached, bool)> {
    let found = ControlPlane::find(directory)?;
    let is_new = found.is_none();
    let remembered = read()?.and_then(|memory| memory.stand_ins).filter(Detached::is_alive);
    if let (Some(stand_ins), false) = (remembered, is_new) {
        return Ok((stand_ins, false));
    }
    let plane = if let Some(plane) = found {
        plane
    } else {
        stop_cluster(directory)?;
        let plane = ControlPlane::start(
            directory,
            &tools::build(Tool::ControlPlane)?,
            Lifetime::Detached,
            crds::install,
        )
        .await?;
        let client = plane.client().await?;
        cloud::install(&client).await?;
        operator::install(&client).await?;
        plane
    };
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("stand-ins").arg(plane.kubeconfig());
    if with_engines {
        command.arg(directory.join("engines"));
    }
    let stand_ins = Detached::start(
        command,
        &plane.kubeconfig().display().to_string(),
        &directory.join("stand-ins.log"),
    )?;
    Ok((stand_ins, is_new))
}

fn stop_cluster(directory: &Path) -> Result<()> {
    if let Some(stand_ins) = read()?.and_then(|memory| memory.stand_ins) {
        stand_ins.kill();
    }
    ControlPlane::stop_in(directory)?;
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("failed to remove `{}`", directory.display()))
        }
        _ => Ok(()),
    }
}

async fn what_next(memory: &Memory, started: Instant) -> Result<()> {
    let outputs = outputs(memory, &[])?;
    heading(&format!("\nA ClickHouse cluster, {} s after you asked for it:", started.elapsed().as_secs()));
    for (name, value) in outputs.as_object().into_iter().flatten() {
        say(&format!("  {name:<10} {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)));
    }
    if memory.answers {
        heading(&format!("\n{FIRST}, by that login and a port-forward:"));
        say(&format!("  {}", database(memory)?.query(|| kubectl_command(memory), FIRST).await?.trim()));
    }
    heading("\nTry next:");
    if memory.answers {
        say("  cargo quickstart query \"SELECT * FROM system.clusters FORMAT Vertical\"   or   cargo \
                quickstart client");
    }
    say("  cargo quickstart kubectl get chi,statefulsets,pods,services,pvc");
    say("  cargo quickstart pulumi config set shards 3   and then   cargo quickstart pulumi preview --diff");
    say("  cargo quickstart pulumi up");
    say("  cargo quickstart pulumi stack output password --show-secrets");
    say("  cargo quickstart down");
    if memory.context.is_none() {
        heading("\nWhat is real here:");
        say("  The API server, its controllers, the scheduler, Pulumi, the provider and, for each pod, an \
                engine of ClickHouse.");
        say(&format!(
            "  Simulated are the kubelet, the image (the engine is {} whatever the tag says), Keeper, \
                replication, the volumes'\n  disks and the clickhouse-operator.",
            engine::VERSION
        ));
        if !memory.answers {
            say("  On this machine there is no engine either: no ClickHouse answers at that address.");
        }
        say(
            "  With real pods: install the clickhouse-operator in a cluster, kind or a cloud's, and name its \
                context:\n    cargo quickstart down\n    cargo quickstart --context kind-kind",
        );
    }
    Ok(())
}

/// The stack's outputs.
fn outputs(memory: &Memory, flags: &[&str]) -> Result<Value> {
    let output = command(memory, &[&["stack", "output", "--json"], flags].concat())?.output()?;
    Ok(serde_json::from_slice(&output.stdout).unwrap_or_default())
}

fn database(memory: &Memory) -> Result<Database> {
    Database::of(&outputs(memory, &["--show-secrets"])?)
}

/// What ClickHouse answers to a statement, by the stack's own login.
pub(crate) async fn query(statement: &str) -> Result<ExitCode> {
    let memory = answering()?;
    let answer = database(&memory)?.query(|| kubectl_command(&memory), statement).await?;
    say(answer.trim_end());
    Ok(ExitCode::SUCCESS)
}

/// A prompt for statements, by the stack's own login.
pub(crate) async fn client() -> Result<ExitCode> {
    let memory = answering()?;
    database(&memory)?.client(kubectl_command(&memory)?).await
}

fn answering() -> Result<Memory> {
    let memory = there()?;
    if !memory.answers {
        bail!("there is no ClickHouse engine for this machine: name a cluster with real pods by `--context`");
    }
    Ok(memory)
}

/// Says what is there.
pub(crate) fn status() -> Result<ExitCode> {
    let Some(memory) = read()? else {
        say("nothing is there; `cargo quickstart` starts");
        return Ok(ExitCode::SUCCESS);
    };
    if let Some(context) = &memory.context {
        say(&format!("on the context `{context}` of your kubeconfig"));
    } else {
        let plane = ControlPlane::find(&directory()?.join("cluster"))?.is_some();
        let stand_ins = memory.stand_ins.as_ref().is_some_and(Detached::is_alive);
        say(&format!("control plane: {}, stand-ins: {}", running(plane), running(stand_ins)));
    }
    run(&memory, &["stack"])
}

fn running(runs: bool) -> &'static str {
    if runs { "running" } else { "stopped (`cargo quickstart` starts them anew)" }
}

/// kubectl on the quickstart's cluster.
pub(crate) fn kubectl(arguments: &[&str]) -> Result<ExitCode> {
    code(kubectl_command(&there()?)?.args(arguments))
}

fn kubectl_command(memory: &Memory) -> Result<Command> {
    if let Some(context) = &memory.context {
        let mut kubectl = Command::new("kubectl");
        kubectl.args(["--context", context]);
        return Ok(kubectl);
    }
    let plane = ControlPlane::find(&directory()?.join("cluster"))?;
    Ok(plane.context("the control plane is stopped: run `cargo quickstart`")?.kubectl())
}

/// pulumi on the quickstart's stack.
pub(crate) fn pulumi(arguments: &[&str]) -> Result<ExitCode> {
    run(&there()?, arguments)
}

/// Destroys the stack, stops everything and removes the files.
pub(crate) fn down() -> Result<ExitCode> {
    let directory = directory()?;
    if let Some(memory) = read()? {
        // What lived in a control plane of ours goes with it; what is in the user's own must be taken away.
        let alive = memory.context.is_some() || ControlPlane::find(&directory.join("cluster"))?.is_some();
        if alive {
            let done = run(&memory, &["destroy", "--yes", "--skip-preview"])?;
            if done != ExitCode::SUCCESS && memory.context.is_some() {
                bail!(
                    "pulumi could not remove everything: mend what it says, then run `cargo quickstart down` \
                        again"
                );
            }
        }
    }
    stop_cluster(&directory.join("cluster"))?;
    if directory.exists() {
        fs::remove_dir_all(&directory)
            .with_context(|| format!("failed to remove `{}`", directory.display()))?;
    }
    say("all of it is gone");
    Ok(ExitCode::SUCCESS)
}

fn step(what: &str) {
    say(&format!("→ {what}"));
}

/// `$XDG_STATE_HOME` or `~/.local/state`: it lives between the commands, outside the clone.
fn directory() -> Result<PathBuf> {
    let base = match std::env::var_os("XDG_STATE_HOME").filter(|path| !path.is_empty()) {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(std::env::var_os("HOME").context("neither XDG_STATE_HOME nor HOME is set")?)
            .join(".local/state"),
    };
    Ok(base.join("pulumi-clickhouse-quickstart"))
}

fn read() -> Result<Option<Memory>> {
    let path = directory()?.join("quickstart.json");
    let Ok(text) = fs::read_to_string(&path) else { return Ok(None) };
    Ok(Some(serde_json::from_str(&text).with_context(|| format!("failed to read `{}`", path.display()))?))
}

fn there() -> Result<Memory> {
    read()?.context("nothing is there: run `cargo quickstart` first")
}

/// Pulumi on the stack, its state in a folder, secrets encrypted with a passphrase that is no secret.
fn command(memory: &Memory, arguments: &[&str]) -> Result<Command> {
    let directory = directory()?;
    let mut command = Command::new(memory.pulumi.program());
    command.args(arguments).current_dir(directory.join("project")).envs(memory.pulumi.environment());
    command
        .env("PULUMI_BACKEND_URL", format!("file://{}", directory.join("state").display()))
        .env_remove("NO_COLOR")
        .env_remove("PULUMI_STACK");
    command.env("PULUMI_CONFIG_PASSPHRASE", "quickstart");
    if memory.context.is_none() {
        command.env("KUBECONFIG", directory.join("cluster/kubeconfig"));
    }
    Ok(command)
}

fn run(memory: &Memory, arguments: &[&str]) -> Result<ExitCode> {
    code(&mut command(memory, arguments)?)
}

fn pulumi_quietly(memory: &Memory, arguments: &[&str]) -> Result<()> {
    let output = command(memory, arguments)?.output().context("failed to run pulumi")?;
    if !output.status.success() {
        bail!("`pulumi {}` failed: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

fn code(command: &mut Command) -> Result<ExitCode> {
    let status =
        command.status().with_context(|| format!("failed to run `{}`", command.get_program().display()))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
