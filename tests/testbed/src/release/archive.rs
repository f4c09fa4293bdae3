//! The plugin's archives, as Pulumi's command line fetches them.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use flate2::{Compression, GzBuilder};
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

use super::identity::Identity;
use super::{dependencies, notices, sbom};
use crate::cargo::{self, PLUGIN};
use crate::tools::{hex, output, workspace_directory};

/// A kind of machine that the plugin is built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Rust's name of it.
    pub triple: &'static str,
    /// The operating system, as Go and Pulumi call it.
    pub os: &'static str,
    /// The processor, likewise.
    pub arch: &'static str,
}

const fn target(triple: &'static str, os: &'static str, arch: &'static str) -> Target {
    Target { triple, os, arch }
}

/// Every target that a release has an archive for. On Linux the C library is linked in: one archive runs on
/// every distribution.
pub const TARGETS: [Target; 6] = [
    target("x86_64-unknown-linux-musl", "linux", "amd64"),
    target("aarch64-unknown-linux-musl", "linux", "arm64"),
    target("x86_64-apple-darwin", "darwin", "amd64"),
    target("aarch64-apple-darwin", "darwin", "arm64"),
    target("x86_64-pc-windows-msvc", "windows", "amd64"),
    target("aarch64-pc-windows-msvc", "windows", "arm64"),
];

/// What a machine builds for itself where it has not got the target of the release: it needs a C library as
/// new as the machine's own.
const LOCAL: [Target; 2] = [
    target("x86_64-unknown-linux-gnu", "linux", "amd64"),
    target("aarch64-unknown-linux-gnu", "linux", "arm64"),
];

impl Target {
    /// The one of this triple.
    pub fn named(triple: &str) -> Result<&'static Self> {
        let known = TARGETS.iter().chain(&LOCAL).find(|target| target.triple == triple);
        known.with_context(|| {
            let all: Vec<_> = TARGETS.iter().map(|target| target.triple).collect();
            format!("no archive is made for `{triple}`, but for {}", all.join(", "))
        })
    }

    /// The machine that this runs on.
    pub fn host() -> Result<&'static Self> {
        let version = output(Command::new("rustc").arg("-vV"))?;
        let triple = version.lines().find_map(|line| line.strip_prefix("host: "));
        Self::named(triple.context("rustc says for what it is")?)
    }

    /// Why the plugin can't be built for it on this machine; `None` when it can.
    pub fn obstacle(&self) -> Result<Option<String>> {
        let host = Self::host()?;
        if self == host {
            return Ok(None);
        }
        if self.os != host.os {
            return Ok(Some(format!("its linker and libraries are on {}", self.os)));
        }
        let libraries =
            output(Command::new("rustc").args(["--print", "target-libdir", "--target", self.triple]))?;
        if !Path::new(libraries.trim()).is_dir() {
            return Ok(Some(format!("`rustup target add {}` is needed", self.triple)));
        }
        if self.os == "linux" {
            let compiler = if self.arch == host.arch { "musl-gcc" } else { "aarch64-linux-musl-gcc" };
            if Command::new(compiler).arg("--version").output().is_err() {
                return Ok(Some(format!("`{compiler}` is needed, which compiles what is in C")));
            }
        }
        Ok(None)
    }

    fn program(&self) -> String {
        format!("{PLUGIN}{}", if self.os == "windows" { ".exe" } else { "" })
    }

    /// The archive's name, by which Pulumi asks for it.
    pub fn archive(&self, version: &str) -> String {
        format!("{PLUGIN}-v{version}-{}-{}.tar.gz", self.os, self.arch)
    }
}

/// Builds the plugin for a target and packs it into `out`; the archive's path.
pub fn build(target: &Target, out: &Path) -> Result<PathBuf> {
    let folder = cargo::dist(Some(target.triple))?;
    pack(target, &folder.join(target.program()), out)
}

/// Packs the plugins of all targets, which other machines have built: each is in a folder of its triple.
pub fn pack_all(built: &Path, out: &Path) -> Result<Vec<PathBuf>> {
    TARGETS
        .iter()
        .map(|target| pack(target, &built.join(target.triple).join(target.program()), out))
        .collect()
}

/// Packs a built plugin into `out`, with what belongs to it; the same files always give the same bytes.
pub fn pack(target: &Target, program: &Path, out: &Path) -> Result<PathBuf> {
    let identity = Identity::declared()?;
    let root = workspace_directory();
    let compiler = output(Command::new("rustc").arg("--version"))?;
    let (direct, all) = dependencies::of_plugin(target.triple)?;
    let bill = serde_json::to_string_pretty(&sbom::write(&identity, &direct, &all))? + "\n";
    let files: [(String, u32, Vec<u8>); 5] = [
        ("LICENSE".to_owned(), 0o644, fs::read(root.join("LICENSE"))?),
        ("README.md".to_owned(), 0o644, fs::read(root.join("README.md"))?),
        ("THIRD-PARTY.md".to_owned(), 0o644, notices::write(&all, compiler.trim())?.into_bytes()),
        (target.program(), 0o755, fs::read(program).with_context(|| format!("no `{}`", program.display()))?),
        ("sbom.cdx.json".to_owned(), 0o644, bill.into_bytes()),
    ];
    fs::create_dir_all(out).with_context(|| format!("failed to make `{}`", out.display()))?;
    let path = out.join(target.archive(&identity.version));
    let time = commit_time()?;
    let zipped = GzBuilder::new().write(File::create(&path)?, Compression::default());
    let mut archive = Builder::new(zipped);
    for (name, mode, content) in files {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        header.set_size(content.len() as u64);
        header.set_mode(mode);
        header.set_mtime(time);
        archive.append_data(&mut header, name, content.as_slice())?;
    }
    archive.into_inner()?.finish()?.sync_all()?;
    write_checksums(out, &identity.version)?;
    Ok(path)
}

/// The hashes of all archives of a version in a folder, in a file beside them.
fn write_checksums(folder: &Path, version: &str) -> Result<()> {
    let mut lines = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if name.starts_with(&format!("{PLUGIN}-v{version}-")) && name.ends_with(".tar.gz") {
            lines.push((name, hex(&Sha256::digest(fs::read(&path)?))));
        }
    }
    lines.sort();
    let mut text = String::new();
    for (name, hash) in lines {
        writeln!(text, "{hash}  {name}")?;
    }
    Ok(fs::write(folder.join(checksums(version)), text)?)
}

/// The name of the file with the archives' hashes.
pub fn checksums(version: &str) -> String {
    format!("pulumi-clickhouse_{version}_checksums.txt")
}

/// The time that all files have: that of the commit, or what `SOURCE_DATE_EPOCH` says.
pub(super) fn commit_time() -> Result<u64> {
    let said = match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(said) => said,
        Err(_) => output(
            Command::new("git").args(["log", "-1", "--format=%ct"]).current_dir(workspace_directory()),
        )?,
    };
    let Ok(time) = said.trim().parse() else { bail!("`{said}` is no time in seconds") };
    Ok(time)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use serde_json::Value;

    use super::*;

    #[test]
    fn an_archive_has_what_belongs_to_the_plugin_and_always_the_same_bytes() {
        let work = tempfile::tempdir().unwrap();
        let program = work.path().join("program");
        fs::write(&program, "the plugin").unwrap();
        let version = Identity::declared().unwrap().version;
        let host = Target::host().unwrap();
        let one = pack(host, &program, &work.path().join("one")).unwrap();
        let two = pack(host, &program, &work.path().join("two")).unwrap();
        let bytes = fs::read(&one).unwrap();
        assert_eq!(bytes, fs::read(two).unwrap());
        assert_eq!(one.file_name().unwrap().to_string_lossy(), host.archive(&version));
        let listed = fs::read_to_string(work.path().join("one").join(checksums(&version))).unwrap();
        assert_eq!(listed, format!("{}  {}\n", hex(&Sha256::digest(&bytes)), host.archive(&version)));

        let out = work.path().join("unpacked");
        tar::Archive::new(flate2::read::GzDecoder::new(bytes.as_slice())).unpack(&out).unwrap();
        let mut names: Vec<_> = fs::read_dir(&out)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["LICENSE", "README.md", "THIRD-PARTY.md", PLUGIN, "sbom.cdx.json"]);
        assert_eq!(fs::metadata(out.join(PLUGIN)).unwrap().permissions().mode() & 0o777, 0o755);
        let bill: Value = serde_json::from_slice(&fs::read(out.join("sbom.cdx.json")).unwrap()).unwrap();
        let notices = fs::read_to_string(out.join("THIRD-PARTY.md")).unwrap();
        let components = bill["components"].as_array().unwrap();
        assert!(components.len() > 100, "{}", components.len());
        for component in components {
            let name = component["name"].as_str().unwrap();
            assert!(component["hashes"][0]["content"].is_string(), "{name} comes from a registry");
            assert!(notices.contains(&format!("| {name} | {} |", component["version"].as_str().unwrap())));
        }
        assert!(!bill.to_string().contains("proptest") && notices.contains("Permission is hereby granted"));
        let home = std::env::home_dir().unwrap();
        assert!(!notices.contains(home.to_str().unwrap()) && !bill.to_string().contains("file://"));
    }

    #[test]
    fn windows_has_its_own_name_of_a_program() {
        let version = "0.1.0";
        let windows = Target::named("x86_64-pc-windows-msvc").unwrap();
        assert_eq!(windows.program(), "pulumi-resource-clickhouse.exe");
        assert_eq!(windows.archive(version), "pulumi-resource-clickhouse-v0.1.0-windows-amd64.tar.gz");
        assert!(Target::named("riscv64gc-unknown-linux-gnu").is_err());
    }
}
