//! What ClickHouse's own engines say of settings.

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use testbed::engine::wheels::WHEELS;
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

/// Judges configurations by the engines, all at once, and by the preview; fails where the preview refuses
/// what an engine takes.
pub(crate) fn judge(count: Option<&str>, seed: Option<&str>) -> Result<ExitCode> {
    let count = count.map_or(Ok(COUNT), |count| count.parse().context("the number of configurations"))?;
    let seed = seed.map_or(Ok(SEED), |seed| seed.parse().context("the seed"))?;
    let engines: Vec<_> = WHEELS.into_iter().filter(|engine| engine.judges).collect();
    for engine in &engines {
        engine.install()?;
    }
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let judges: Vec<_> =
            engines.iter().map(|engine| scope.spawn(|| judge::compare(*engine, seed, count))).collect();
        judges.into_iter().map(|judge| judge.join().unwrap_or_else(|_| bail!("the judge ended"))).collect()
    });
    let mut code = ExitCode::SUCCESS;
    for (engine, outcome) in engines.iter().zip(outcomes) {
        let outcome = outcome?;
        say(&format!("ClickHouse {}, {count} configurations of seed {seed}: {outcome}", engine.release));
        for (verdict, told) in [
            ("refused falsely", &outcome.falsely_refused),
            ("missed", &outcome.missed),
            ("without a verdict", &outcome.without_verdict),
        ] {
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
