//! The command line fetches the plugin by itself, from where the package says: an empty home, and a file
//! server of this test in the place of the release.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result};
use clickhouse_provider::{Origin, REPOSITORY, VERSION};
use serde_json::json;
use tempfile::TempDir;
use testbed::programs::{Language, Program};
use testbed::pulumi::Pulumi;
use testbed::release::archive::{self, Target};
use testbed::{Testbed, cargo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OnceCell;

/// The files of a release, served on loopback.
struct Release {
    address: String,
    /// What was asked for.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Release {
    /// That of this build's plugin.
    async fn serve() -> Result<Self> {
        let folder = packed().await?;
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            files.insert(format!("/{}", entry.file_name().to_string_lossy()), entry.path());
        }
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = format!("http://{}", listener.local_addr()?);
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let requests = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, files.clone(), Arc::clone(&requests)));
            }
        });
        Ok(Self { address, asked })
    }

    /// What has Pulumi look here instead of at the address that the package names.
    fn environment(&self) -> Vec<(String, String)> {
        let named = Origin::new(REPOSITORY).download_url().replace('.', "\\.");
        vec![
            ("PULUMI_PLUGIN_DOWNLOAD_URL_OVERRIDES".to_owned(), format!("^{named}={}", self.address)),
            ("PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION".to_owned(), "false".to_owned()),
        ]
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// The archive of this build's plugin, made once.
async fn packed() -> Result<&'static Path> {
    static PACKED: OnceCell<PathBuf> = OnceCell::const_new();
    let pack = || async {
        let out = cargo::target_directory()?.join("tmp").join(format!("archives-{}", std::process::id()));
        let pack = move || archive::pack(Target::host()?, &cargo::plugin()?, &out).map(|_| out);
        tokio::task::spawn_blocking(pack).await?
    };
    PACKED.get_or_try_init(pack).await.map(PathBuf::as_path)
}

async fn answer(mut stream: TcpStream, files: BTreeMap<String, PathBuf>, asked: Arc<Mutex<Vec<String>>>) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read_exact(&mut byte).await.is_err() {
            return;
        }
        request.extend(byte);
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let (status, body) = match files.get(&path).and_then(|file| fs::read(file).ok()) {
        Some(body) => ("200 OK", body),
        None => ("404 Not Found", Vec::new()),
    };
    asked.lock().unwrap().push(path);
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    // Who hangs up early has its reasons.
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(&body).await;
}

/// A Pulumi that has nothing installed.
async fn newcomer() -> Result<(TempDir, Pulumi)> {
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

/// What a program must not leave out: the newest plugin called `clickhouse` is taken then, whoever made it. The
/// examples and the SDKs run beside such a one in each of their tests.
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
