//! The command line fetches the plugin by itself, from where the package says: an empty home, and a file
//! server of this test in the place of the release.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result};
use clickhouse_provider::{Origin, REPOSITORY, VERSION};
use kube::api::ListParams;
use serde_json::json;
use tempfile::TempDir;
use testbed::Testbed;
use testbed::programs::{Language, Program};
use testbed::pulumi::{Pulumi, Stack};
use testbed::release::archive::Target;

use crate::served::Release;

/// A Pulumi that has nothing installed.
pub(crate) async fn newcomer() -> Result<(TempDir, Pulumi)> {
    let home = tempfile::tempdir()?;
    let pulumi = Testbed::shared().await.pulumi().await?.with_empty_home(home.path());
    Ok((home, pulumi))
}

#[tokio::test]
async fn the_command_line_installs_the_plugin_from_its_address() -> Result<()> {
    let release = Release::serve().await?;
    let (home, pulumi) = newcomer().await?;
    let mut install = Command::new(pulumi.program());
    let url = Origin::new(REPOSITORY).download_url();
    install
        .args(["plugin", "install", "resource", "clickhouse", VERSION, "--server", &url])
        .envs(pulumi.environment())
        .envs(release.environment());
    tokio::task::spawn_blocking(move || testbed::tools::run(&mut install, "installing the plugin")).await??;
    let folder = home.path().join(format!("plugins/resource-clickhouse-v{VERSION}"));
    for file in ["pulumi-resource-clickhouse", "README.md", "LICENSE", "THIRD-PARTY.md", "sbom.cdx.json"] {
        assert!(folder.join(file).is_file(), "{file}");
    }
    let output = Command::new(folder.join("pulumi-resource-clickhouse")).arg("--version").output()?;
    assert_eq!(String::from_utf8(output.stdout)?.trim(), VERSION);
    assert_eq!(release.asked(), [format!("/{}", Target::host()?.archive(VERSION))]);
    Ok(())
}

/// What a program must not leave out: the newest plugin called `clickhouse` is taken then, whoever made it.
/// The examples and the SDKs run beside such a one in each of their tests.
#[tokio::test]
async fn a_yaml_program_without_a_version_gets_another_plugin_of_the_name() -> Result<()> {
    let testbed = Testbed::shared().await;
    let pulumi = testbed.pulumi().await?.beside_another()?;
    let program = "resources: {db: {type: 'clickhouse:kubernetes:Cluster'}}\n";
    let stack = pulumi.stack(program, testbed.kubeconfig()).await?;
    let refused = stack.preview().await?.failed()?;
    assert!(refused.text().contains("this is another plugin called clickhouse"), "{}", refused.text());
    Ok(())
}

/// A program that says nothing of the plugin at its resources.
const BARE: &str =
    "resources: {db: {type: 'clickhouse:kubernetes:Cluster'}}\noutputs: {url: '${db.endpoints.http.url}'}\n";

/// Brings up a program that knows the plugin by its package, beside another one, and destroys it on a second
/// machine, which has another one, too.
async fn live(release: &Release, home: &TempDir, pulumi: &Pulumi, stack: &Stack) -> Result<()> {
    let testbed = Testbed::shared().await;
    let namespace = testbed.namespace().await?;
    pulumi.add_another()?;
    stack.set_config("clickhouse:namespace", namespace.name(), false).await?;
    stack.up().await?.succeeded()?;
    let url = stack.outputs().await?["url"].take();
    assert!(url.as_str().is_some_and(|url| url.starts_with("http://db-")), "{url}");
    let fetched = release.asked().len();
    fs::remove_dir_all(home.path().join("plugins")).context("another machine has no plugin")?;
    pulumi.add_another()?;
    stack.destroy().await?.succeeded()?;
    assert_eq!(release.asked().len(), fetched + 1, "fetched by what the state says");
    assert_eq!(namespace.installations().list(&ListParams::default()).await?.items.len(), 0);
    namespace.delete().await
}

/// `pulumi package add` of a plugin that is installed: the project knows version and address from then on.
#[tokio::test]
async fn a_yaml_project_to_which_the_package_was_added_needs_no_options() -> Result<()> {
    let release = Release::serve().await?;
    let (home, pulumi) = newcomer().await?;
    let mut stack = pulumi.stack(BARE, Testbed::shared().await.kubeconfig()).await?;
    release.environment().iter().for_each(|(name, value)| stack.set_environment(name, value));
    let url = Origin::new(REPOSITORY).download_url();
    let install = ["plugin", "install", "resource", "clickhouse", VERSION, "--server", &url];
    stack.run(&install).await?.succeeded()?;
    stack.run(&["package", "add", &format!("clickhouse@{VERSION}")]).await?.succeeded()?;
    let declared =
        fs::read_to_string(stack.directory().join(format!("sdks/clickhouse/clickhouse-{VERSION}.yaml")))?;
    assert!(declared.contains(&format!("downloadUrl: {url}")), "{declared}");
    assert_eq!(release.asked().len(), 1, "{:?}", release.asked());
    live(&release, &home, &pulumi, &stack).await
}

/// A project that declares the package by hand, and `pulumi install`.
#[tokio::test]
async fn a_yaml_project_that_declares_the_package_needs_no_options() -> Result<()> {
    let release = Release::serve().await?;
    let (home, pulumi) = newcomer().await?;
    let url = Origin::new(REPOSITORY).download_url();
    let program = format!(
        "packages:\n  clickhouse:\n    source: clickhouse\n    version: {VERSION}\n    \
        pluginDownloadURL: {url}\n{BARE}"
    );
    let mut stack = pulumi.stack(&program, Testbed::shared().await.kubeconfig()).await?;
    release.environment().iter().for_each(|(name, value)| stack.set_environment(name, value));
    stack.run(&["install"]).await?.succeeded()?;
    assert_eq!(release.asked().len(), 1, "{:?}", release.asked());
    live(&release, &home, &pulumi, &stack).await
}

/// What `pulumi package add` generates a local SDK from, in any language, is what the committed ones are
/// generated from, by the same generators.
#[tokio::test]
async fn an_installed_plugin_gives_the_schema_of_the_sdks() -> Result<()> {
    let testbed = Testbed::shared().await;
    let stack = testbed.stack("resources: {}").await?;
    let schema = stack.run(&["package", "get-schema", &format!("clickhouse@{VERSION}")]).await?.json()?;
    let committed = fs::read(testbed::tools::workspace_directory().join("schema.json"))?;
    assert_eq!(schema, serde_json::from_slice::<serde_json::Value>(&committed)?);
    Ok(())
}

/// The quickstart by somebody who has Pulumi and a kubeconfig, and its end on another machine.
async fn quickstart(language: Language) -> Result<()> {
    let testbed = Testbed::shared().await;
    let namespace = testbed.namespace().await?;
    let release = Release::serve().await?;
    let (home, pulumi) = newcomer().await?;
    let mut program = Program::with(testbed, &pulumi, &release.environment(), "quickstart", language).await?;
    program.set_config("clickhouse:namespace", namespace.name()).await?;
    assert_eq!(program.preview().await?, json!({"create": 2}));
    let fetched = vec![format!("/{}", Target::host()?.archive(VERSION))];
    assert_eq!(release.asked(), fetched, "fetched once, and nothing else");
    program.up().await?;
    let url = program.outputs().await?.remove("url").context("it has a URL")?.value;
    assert!(url.as_str().is_some_and(|url| url.starts_with("http://db-")), "{url}");
    fs::remove_dir_all(home.path().join("plugins")).context("another machine has no plugin")?;
    program.destroy().await?;
    assert_eq!(release.asked().len(), 2, "fetched by what the state says");
    namespace.delete().await
}

#[tokio::test]
async fn a_newcomer_needs_only_the_program_in_yaml() -> Result<()> {
    quickstart(Language::Yaml).await
}

#[tokio::test]
async fn a_newcomer_needs_only_program_and_package_in_typescript() -> Result<()> {
    quickstart(Language::TypeScript).await
}

#[tokio::test]
async fn a_newcomer_needs_only_program_and_package_in_python() -> Result<()> {
    quickstart(Language::Python).await
}

#[tokio::test]
async fn a_newcomer_needs_only_program_and_package_in_go() -> Result<()> {
    quickstart(Language::Go).await
}
