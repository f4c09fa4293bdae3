//! The one table that is printed.

use std::fmt::Display;
use std::time::Duration;

use crate::terminal::{heading, say};

/// What was measured, beside what it may be.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: Vec<[String; 5]>,
}

const HEAD: [&str; 5] = ["figure", "measured", "budget", "holds", "details"];

impl Table {
    /// Adds a figure that has no budget. The details may be empty.
    pub(super) fn plain(&mut self, figure: impl Display, measured: impl Display, details: &str) {
        self.rows.push([
            figure.to_string(),
            measured.to_string(),
            String::new(),
            String::new(),
            details.to_owned(),
        ]);
    }

    /// Adds a figure and whether it is within its budget. The details may be empty.
    pub(super) fn budgeted(
        &mut self,
        figure: impl Display,
        measured: impl Display,
        budget: impl Display,
        holds: bool,
        details: &str,
    ) {
        let holds = if holds { "yes" } else { "NO" };
        self.rows.push([
            figure.to_string(),
            measured.to_string(),
            format!("≤ {budget}"),
            holds.to_owned(),
            details.to_owned(),
        ]);
    }

    /// Adds a time.
    pub(super) fn time(
        &mut self,
        figure: impl Display,
        measured: Duration,
        budget: Option<Duration>,
        details: &str,
    ) {
        match budget {
            Some(budget) => self.budgeted(figure, time(measured), time(budget), measured <= budget, details),
            None => self.plain(figure, time(measured), details),
        }
    }

    /// Adds an amount of memory, in KiB.
    pub(super) fn memory(&mut self, figure: impl Display, kibibytes: u64, budget_mebibytes: Option<u64>) {
        let tenths = kibibytes * 10 / 1024;
        let measured = format!("{}.{} MiB", tenths / 10, tenths % 10);
        match budget_mebibytes {
            Some(budget) => {
                self.budgeted(figure, measured, format!("{budget} MiB"), kibibytes <= budget * 1024, "");
            }
            None => self.plain(figure, measured, ""),
        }
    }

    /// Prints it.
    pub(super) fn print(&self) {
        let head = HEAD.map(str::to_owned);
        let width = |column: usize| {
            self.rows.iter().chain([&head]).map(|row| row[column].chars().count()).max().unwrap_or_default()
        };
        let widths: [usize; 4] = std::array::from_fn(width);
        let line = |row: &[String; 5]| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}  "));
            format!("{}{}", cells.collect::<String>(), row[4]).trim_end().to_owned()
        };
        heading(&line(&head));
        for row in &self.rows {
            say(&line(row));
        }
    }
}

/// A time as people read it.
pub(super) fn time(duration: Duration) -> String {
    if duration.is_zero() {
        "0 ms".to_owned()
    } else if duration < Duration::from_millis(100) {
        format!("{:.1} ms", duration.as_secs_f64() * 1e3)
    } else {
        format!("{:.2} s", duration.as_secs_f64())
    }
}

/// The middle one of an odd number of times; of an even number the later of the two.
pub(super) fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
