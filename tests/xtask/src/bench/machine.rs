//! What a process used, and what else the machine did meanwhile, as Linux tells it.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

/// How much memory a process holds, in KiB.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Memory {
    /// Now.
    pub(super) now: u64,
    /// At most, so far.
    pub(super) peak: u64,
}

/// The resident memory of a process.
pub(super) fn memory(process: u32) -> Result<Memory> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
            .with_context(|| format!("the process has no {name}"))
    };
    Ok(Memory { now: field("VmRSS")?, peak: field("VmHWM")? })
}

/// The CPU time that a process used so far, in steps of the kernel's clock: 10 ms as a rule.
pub(super) fn cpu_time(process: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name, in parentheses, can hold anything; user and system time are the 12th and 13th field behind
    // it.
    let (_, fields) = stat.rsplit_once(')').context("the process has no name")?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u32>).sum::<Result<u32, _>>()?;
    let second = u32::try_from(rustix::param::clock_ticks_per_second())?;
    Ok(Duration::from_secs(1) * ticks / second)
}

/// How busy the machine was between two moments: walls are worth as much as this is small.
#[derive(Debug, Clone, Copy)]
pub(super) struct Busy {
    began: Instant,
    stolen: Duration,
    waited: Duration,
}

impl Busy {
    /// From now on.
    pub(super) fn begin() -> Result<Self> {
        Ok(Self { began: Instant::now(), stolen: stolen()?, waited: waited() })
    }

    /// Which part of the time, in percent, some process waited for a CPU, and how much time of the CPUs was
    /// stolen by other guests.
    pub(super) fn end(self) -> Result<String> {
        let wall = self.began.elapsed().as_secs_f64();
        let part = |duration: Duration| 100.0 * duration.as_secs_f64() / wall;
        Ok(format!(
            "CPU short {:.0} %, stolen {:.0} %",
            part(waited().saturating_sub(self.waited)),
            part(stolen()?.saturating_sub(self.stolen))
        ))
    }
}

fn stolen() -> Result<Duration> {
    let stat = fs::read_to_string("/proc/stat")
        .context("failed to read /proc/stat: the benchmark runs on Linux alone")?;
    let all =
        stat.lines().next().and_then(|line| line.split_whitespace().nth(8)?.parse().ok()).unwrap_or(0_u32);
    let second = u32::try_from(rustix::param::clock_ticks_per_second())?;
    Ok(Duration::from_secs(1) * all / second)
}

/// Zero where the kernel doesn't tell.
fn waited() -> Duration {
    let pressure = fs::read_to_string("/proc/pressure/cpu").unwrap_or_default();
    let total = pressure.lines().next().and_then(|line| line.rsplit_once("total=")?.1.parse().ok());
    Duration::from_micros(total.unwrap_or_default())
}
