//! README's quickstart by somebody who has Pulumi and a kubeconfig: its very commands, in a shell, with
//! nothing installed. The Kubernetes cluster is the testbed's; plugin, packages and repository are served here
//! in the place of where a release will be.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};

use anyhow::{Context as _, Result, bail};
use clickhouse_provider::REPOSITORY;
use kube::api::ListParams;
use serde_json::{Value, json};
use testbed::release::archive::Target;
use testbed::tools::{self, Tool};
use testbed::{Namespace, Testbed};
use tokio::process::Command;

use crate::install::newcomer;
use crate::served::{Release, made};

/// How many commands it may take until the cluster serves.
const MOST: usize = 5;

/// The commands of README's quickstart below the line that begins with `label`, for a language.
fn commands(label: &str, language: &str) -> Result<String> {
    let readme = fs::read_to_string(tools::workspace_directory().join("README.md"))?;
    let (_, section) = readme.split_once("\n## Quickstart\n").context("README has a quickstart")?;
    let section = section.split("\n## ").next().unwrap_or_default();
    let (_, rest) =
        section.split_once(&format!("\n{label}")).with_context(|| format!("no line `{label}`"))?;
    let (line, rest) = rest.split_once("\n\n```sh\n").with_context(|| format!("no block below `{label}`"))?;
    assert!(
        !line.contains('\n') && (language == "yaml" || !label.starts_with("Then") || line.contains(language))
    );
    let (block, _) = rest.split_once("```").context("the block ends")?;
    // The one word that README says to replace.
    Ok(block.replace("quickstart/yaml\n", &format!("quickstart/{language}\n")))
}

/// A machine with a shell, Pulumi, git, and an empty home of Pulumi's.
struct Machine {
    environment: Vec<(String, OsString)>,
    folder: tempfile::TempDir,
    home: tempfile::TempDir,
    release: Release,
}

impl Machine {
    async fn new(testbed: &Testbed, namespace: &Namespace) -> Result<Self> {
        let (home, pulumi) = newcomer().await?;
        pulumi.add_another()?;
        let hosts = tokio::task::spawn_blocking(|| tools::build(Tool::LanguageHosts)).await??;
        let packages = tokio::task::spawn_blocking(made).await??;
        let release = Release::serve_with(packages).await?;
        let folder = tempfile::tempdir()?;
        let inside = |name: &str| folder.path().join(name);
        fs::create_dir(inside("state"))?;
        publish(&inside("origin"))?;
        fs::write(inside("kubeconfig"), kubeconfig(testbed, namespace)?)?;
        let programs = [pulumi.program(), &hosts].into_iter().filter_map(Path::parent).map(Path::to_owned);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(programs.chain(std::env::split_paths(&path)))?;
        let of = |name: &str, value: OsString| (name.to_owned(), value);
        let mut environment: Vec<_> =
            pulumi.environment().into_iter().map(|(name, value)| of(name, value)).collect();
        environment.extend(release.environment().into_iter().map(|(name, value)| of(&name, value.into())));
        environment.extend(release.registries(packages, &inside("modules"))?);
        environment.extend([
            of("PATH", path),
            of("KUBECONFIG", inside("kubeconfig").into()),
            of("PULUMI_BACKEND_URL", format!("file://{}", inside("state").display()).into()),
            // Nobody is there to say yes.
            of("PULUMI_SKIP_CONFIRMATIONS", "true".into()),
            of("GIT_CONFIG_COUNT", "1".into()),
            of("GIT_CONFIG_KEY_0", format!("url.file://{}.insteadOf", inside("origin").display()).into()),
            of("GIT_CONFIG_VALUE_0", REPOSITORY.into()),
        ]);
        Ok(Self { environment, folder, home, release })
    }

    /// Runs commands in a shell that ends at the first one that fails; what they print.
    async fn run(&self, folder: &Path, commands: &str) -> Result<String> {
        let mut shell = Command::new("sh");
        shell.args(["-euc", commands]).current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
        let Output { status, stdout, stderr } =
            shell.envs(self.environment.iter().cloned()).output().await.context("no shell")?;
        let printed = String::from_utf8_lossy(&stdout).into_owned();
        if !status.success() {
            bail!("{commands}\nended with {status}:\n{printed}\n{}", String::from_utf8_lossy(&stderr));
        }
        Ok(printed)
    }
}

/// A repository with what of this clone the commands use.
fn publish(origin: &Path) -> Result<()> {
    let (from, to) = (tools::workspace_directory().join("examples"), origin.join("examples"));
    fs::create_dir_all(origin)?;
    let mut copy = std::process::Command::new("cp");
    tools::run(copy.arg("-R").arg(from).arg(to), "copying the examples")?;
    for arguments in [
        &["init", "--quiet"][..],
        &["add", "--all"],
        &[
            "-c",
            "user.name=Test",
            "-c",
            "user.email=test@example.com",
            "commit",
            "--quiet",
            "--message",
            "All",
        ],
    ] {
        let mut git = std::process::Command::new("git");
        tools::run(git.args(arguments).current_dir(origin), "making a repository")?;
    }
    Ok(())
}

/// The testbed's kubeconfig with `namespace` as the one of its context.
fn kubeconfig(testbed: &Testbed, namespace: &Namespace) -> Result<String> {
    let mut kubeconfig: Value = serde_saphyr::from_str(&fs::read_to_string(testbed.kubeconfig())?)?;
    kubeconfig["contexts"][0]["context"]["namespace"] = json!(namespace.name());
    Ok(kubeconfig.to_string())
}

async fn quickstart(language: &str) -> Result<()> {
    let testbed = Testbed::shared().await;
    let namespace = testbed.namespace().await?;
    let machine = Machine::new(testbed, &namespace).await?;
    let up = commands("Then, in YAML", language)?;
    assert!(up.lines().count() <= MOST, "more than {MOST} commands:\n{up}");
    let printed = machine.run(machine.folder.path(), &up).await?;
    assert!(printed.contains("\"http://db-"), "no URL in\n{printed}");
    assert_eq!(namespace.installations().list(&ListParams::default()).await?.items.len(), 1, "{printed}");
    assert_eq!(
        machine.release.asked(),
        [format!("/{}", Target::host()?.archive(clickhouse_provider::VERSION))]
    );

    fs::remove_dir_all(machine.home.path().join("plugins")).context("another machine has no plugin")?;
    let program = up.lines().find_map(|line| line.strip_prefix("cd ")).context("it enters a folder")?;
    let program = machine.folder.path().join(program);
    let printed = machine.run(&program, &commands("And it is gone again by", language)?).await?;
    assert_eq!(namespace.installations().list(&ListParams::default()).await?.items.len(), 0, "{printed}");
    assert_eq!(machine.run(&program, "pulumi stack ls --json").await?.trim(), "[]");
    namespace.delete().await
}

#[tokio::test]
async fn readme_leads_to_a_cluster_in_yaml() -> Result<()> {
    quickstart("yaml").await
}

#[tokio::test]
async fn readme_leads_to_a_cluster_in_typescript() -> Result<()> {
    quickstart("typescript").await
}

#[tokio::test]
async fn readme_leads_to_a_cluster_in_python() -> Result<()> {
    quickstart("python").await
}

#[tokio::test]
async fn readme_leads_to_a_cluster_in_go() -> Result<()> {
    quickstart("go").await
}
