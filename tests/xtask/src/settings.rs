//! What ClickHouse's own engines say of settings.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use testbed::settings::engines::ENGINES;
use testbed::settings::{catalogue, judge};

use crate::terminal::say;

/// How many configurations are judged where no number is said.
const COUNT: usize = 10_000;
/// From which they are made.
const SEED: u64 = 20_261_126;

/// Asks the engines for their settings.
pub(crate) fn generate() -> Result<ExitCode> {
    catalogue::generate()?;
    say("the catalogue of settings is up to date");
    Ok(ExitCode::SUCCESS)
}

/// Judges configurations by the engines and by the preview; fails where the preview refuses what an engine
/// takes.
pub(crate) fn judge(count: Option<&str>) -> Result<ExitCode> {
    let count = count.map_or(Ok(COUNT), |count| count.parse().context("the number of configurations"))?;
    let mut code = ExitCode::SUCCESS;
    for engine in ENGINES.into_iter().filter(|engine| engine.judges) {
        engine.install()?;
        let outcome = judge::compare(engine, SEED, count)?;
        say(&format!("ClickHouse {}, {count} configurations: {outcome}", engine.release));
        for (verdict, told) in [("refused falsely", &outcome.falsely_refused), ("missed", &outcome.missed)] {
            for told in told {
                say(&format!("  {verdict}: {told}"));
            }
        }
        if !outcome.falsely_refused.is_empty() {
            code = ExitCode::FAILURE;
        }
    }
    Ok(code)
}
