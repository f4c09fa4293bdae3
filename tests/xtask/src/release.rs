//! What a release consists of, and whether it can be made.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};
use testbed::cargo::cargo;
use testbed::release::archive::{self, Target};
use testbed::release::identity::{self, Identity};
use testbed::release::{self, Workflow, examples, packages};

use crate::terminal::{complain, say};

/// Has everything follow Cargo.toml's repository and version.
pub(crate) fn identity() -> Result<ExitCode> {
    for path in identity::follow()? {
        say(&format!("changed {}", path.display()));
    }
    // In another process: this one was built with the names as they were.
    if !cargo(&["sdks"]).status()?.success() {
        bail!("the SDKs could not be generated");
    }
    let Identity { repository, version } = Identity::declared()?;
    say(&format!("everything names {version} of {repository}"));
    Ok(ExitCode::SUCCESS)
}

/// Says whether this commit can be released.
pub(crate) fn check() -> Result<ExitCode> {
    let Identity { repository, version } = Identity::declared()?;
    let reasons = release::refusals(&Workflow::of_environment())?;
    if reasons.is_empty() {
        say(&format!("{version} of {repository} can be released"));
        return Ok(ExitCode::SUCCESS);
    }
    complain(&format!("{version} can't be released:\n- {}", reasons.join("\n- ")));
    Ok(ExitCode::FAILURE)
}

/// Makes the packages of the SDKs.
pub(crate) fn packages() -> Result<ExitCode> {
    let out = packages::directory()?;
    let made = packages::make(&out)?;
    for package in [made.npm, made.wheel, made.sdist, made.go] {
        say(&format!("✓ {}", package.display()));
    }
    Ok(ExitCode::SUCCESS)
}

/// Lays examples out with the packages of this clone.
pub(crate) fn examples(out: &str, names: &[&str]) -> Result<ExitCode> {
    for program in examples::lay_out(names, Path::new(out))? {
        say(&format!("✓ {}", program.display()));
    }
    let Identity { version, .. } = Identity::declared()?;
    say("The plugin that they name is installed by");
    say("  cargo build --profile dist");
    say(&format!(
        "  pulumi plugin install resource clickhouse {version} --file target/dist/pulumi-resource-clickhouse"
    ));
    Ok(ExitCode::SUCCESS)
}

/// Packs the plugins of all targets, built elsewhere.
pub(crate) fn pack(out: &str, built: &str) -> Result<ExitCode> {
    for archive in archive::pack_all(Path::new(built), Path::new(out))? {
        say(&format!("✓ {}", archive.display()));
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes the archives of the targets, or of all that can be built here, and says why others can't.
pub(crate) fn archives(out: &str, targets: &[&str]) -> Result<ExitCode> {
    let out = Path::new(out);
    let chosen: Vec<&Target> = if targets.is_empty() {
        archive::TARGETS.iter().collect()
    } else {
        targets.iter().map(|name| Target::named(name)).collect::<Result<_>>()?
    };
    let host = Target::host()?;
    let mut made = 0;
    for target in chosen {
        let archive = match target.obstacle()? {
            None => archive::build(target, out)?,
            Some(obstacle) if !targets.is_empty() => {
                bail!("{} can't be built here: {obstacle}", target.triple)
            }
            Some(obstacle) => {
                say(&format!("- {}: not here: {obstacle}", target.triple));
                if (target.os, target.arch) != (host.os, host.arch) {
                    continue;
                }
                say(&format!(
                    "  in its place {}, which runs where the C library is as new as here",
                    host.triple
                ));
                archive::build(host, out)?
            }
        };
        say(&format!("✓ {}", archive.display()));
        made += 1;
    }
    say(&format!(
        "{made} of {} archives are in {}; the release workflow builds all",
        archive::TARGETS.len(),
        out.display()
    ));
    Ok(ExitCode::SUCCESS)
}
