//! schema.json from the Rust types, and the SDKs from schema.json.

use std::process::ExitCode;

use anyhow::Result;
use testbed::sdks;

use crate::terminal::say;

/// Generates all of it.
pub(crate) fn run() -> Result<ExitCode> {
    sdks::generate()?;
    say("schema.json and sdk/ are up to date");
    Ok(ExitCode::SUCCESS)
}
