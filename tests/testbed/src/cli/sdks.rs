//! schema.json from the Rust types, and the SDKs from schema.json.

use std::process::ExitCode;

use anyhow::Result;
use testbed::sdks;

use super::say;

/// Writes all of it anew.
pub(crate) fn run() -> Result<ExitCode> {
    sdks::generate()?;
    say("schema.json and sdk/ are up to date");
    Ok(ExitCode::SUCCESS)
}
