//! What a release publishes, served on loopback in the place of where it will be: the plugin's archive at its
//! address, npm's package by a registry, Python's and Go's as folders.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result};
use clickhouse_provider::{Origin, REPOSITORY, VERSION};
use serde_json::{Value, json};
use testbed::cargo;
use testbed::release::archive::{self, Target};
use testbed::release::packages::{self, NPM, Packages};
use testbed::tools::output;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OnceCell;

/// Below it is what a registry of npm's has.
const REGISTRY: &str = "/npm/";

/// Such a server.
pub(crate) struct Release {
    address: String,
    /// What was asked for of the plugin.
    asked: Arc<Mutex<Vec<String>>>,
}

/// What it answers.
struct Files {
    files: BTreeMap<String, Vec<u8>>,
    /// The registry that has all other packages.
    registry: String,
}

impl Files {
    async fn of_plugin() -> Result<Self> {
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(packed().await?)? {
            let entry = entry?;
            files.insert(format!("/{}", entry.file_name().to_string_lossy()), fs::read(entry.path())?);
        }
        Ok(Self { files, registry: String::new() })
    }
}

impl Release {
    /// That of this build's plugin.
    pub(crate) async fn serve() -> Result<Self> {
        Self::answer(TcpListener::bind("127.0.0.1:0").await?, Files::of_plugin().await?)
    }

    /// The same, with the packages of this build.
    pub(crate) async fn serve_with(packages: &Packages) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let archive = format!("{REGISTRY}{NPM}.tgz");
        let tarball = format!("http://{}{archive}", listener.local_addr()?);
        let about = json!({
            "name": NPM,
            "dist-tags": {"latest": VERSION},
            "versions": {VERSION: manifest(packages, &tarball)?},
        });
        let mut served = Files::of_plugin().await?;
        served.registry = said("npm", &["config", "get", "registry"])?;
        served.files.insert(format!("{REGISTRY}{NPM}"), about.to_string().into_bytes());
        served.files.insert(archive, fs::read(&packages.npm)?);
        Self::answer(listener, served)
    }

    fn answer(listener: TcpListener, served: Files) -> Result<Self> {
        let address = format!("http://{}", listener.local_addr()?);
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let (requests, served) = (Arc::clone(&asked), Arc::new(served));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, Arc::clone(&served), Arc::clone(&requests)));
            }
        });
        Ok(Self { address, asked })
    }

    /// What has Pulumi look here instead of at the address that the package names.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let named = Origin::new(REPOSITORY).download_url().replace('.', "\\.");
        vec![
            ("PULUMI_PLUGIN_DOWNLOAD_URL_OVERRIDES".to_owned(), format!("^{named}={}", self.address)),
            ("PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION".to_owned(), "false".to_owned()),
        ]
    }

    /// What has npm, pip and Go find the packages; Go keeps modules below `kept`.
    pub(crate) fn registries(&self, packages: &Packages, kept: &Path) -> Result<Vec<(String, OsString)>> {
        let variable = |name: &str| std::env::var(name).unwrap_or_default();
        let wheels = packages.wheel.parent().context("a wheel has a folder")?.display();
        let here = said("go", &["env", "GOMODCACHE"])?;
        let proxies = said("go", &["env", "GOPROXY"])?;
        let served = packages.go.display();
        let of = |name: &str, value: String| (name.to_owned(), OsString::from(value));
        Ok(vec![
            of("npm_config_registry", format!("{}{REGISTRY}", self.address)),
            // Not that of the person whose machine this is: each server has another port.
            of("npm_config_cache", cargo::target_directory()?.join("tmp/npm").display().to_string()),
            of("PIP_FIND_LINKS", format!("{} {wheels}", variable("PIP_FIND_LINKS")).trim().to_owned()),
            of("GOPROXY", format!("file://{served},file://{here}/cache/download,{proxies}")),
            of("GONOSUMDB", Origin::new(REPOSITORY).go_module()),
            of("GOMODCACHE", kept.display().to_string()),
            // Without paths, what was compiled from another folder is found.
            of("GOFLAGS", format!("{} -modcacherw -trimpath", variable("GOFLAGS")).trim().to_owned()),
        ])
    }

    /// The files of the plugin that were asked for.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// What a registry says of the package's version.
fn manifest(packages: &Packages, url: &str) -> Result<Value> {
    let text = said("tar", &["-xzOf", &packages.npm.display().to_string(), "package/package.json"])?;
    let mut manifest: Value = serde_json::from_str(&text)?;
    manifest["dist"] = json!({"tarball": url});
    Ok(manifest)
}

/// What a program prints, without the end of the line.
fn said(program: &str, arguments: &[&str]) -> Result<String> {
    output(Command::new(program).args(arguments)).map(|text| text.trim().to_owned())
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

/// The packages of this build, made once.
pub(crate) fn made() -> Result<&'static Packages> {
    static MADE: std::sync::OnceLock<Result<Packages, String>> = std::sync::OnceLock::new();
    let make = || packages::make(&packages::directory()?);
    match MADE.get_or_init(|| make().map_err(|error| format!("{error:#}"))) {
        Ok(packages) => Ok(packages),
        Err(error) => anyhow::bail!("{error}"),
    }
}

async fn answer(mut stream: TcpStream, served: Arc<Files>, asked: Arc<Mutex<Vec<String>>>) {
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
    let elsewhere =
        path.strip_prefix(REGISTRY).map(|rest| format!("{}/{rest}", served.registry.trim_end_matches('/')));
    let (status, body) = match (served.files.get(&path), &elsewhere) {
        (Some(body), _) => ("200 OK".to_owned(), body.as_slice()),
        (None, Some(url)) => (format!("302 Found\r\nLocation: {url}"), &[][..]),
        (None, None) => ("404 Not Found".to_owned(), &[][..]),
    };
    if elsewhere.is_none() {
        asked.lock().unwrap().push(path);
    }
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    // Who hangs up early has its reasons.
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(body).await;
}
