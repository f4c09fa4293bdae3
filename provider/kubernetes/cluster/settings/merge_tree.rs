//! Settings of tables of the `MergeTree` family.

use super::catalogue::{Kind, Release};
use super::said::Said;
use super::value::number;
use super::{By, Judge};

/// The sections of the server's configuration that hold them.
const SECTIONS: [&str; 2] = ["merge_tree", "replicated_merge_tree"];

/// Settings that must be no less than this.
const LEAST: [(&str, f64); 3] = [
    ("index_granularity", 1.0),
    ("merge_selecting_sleep_slowdown_factor", 1.0),
    ("shared_merge_tree_range_for_merge_window_size", 1.0),
];
/// Settings that must be no more than this.
const MOST: [(&str, f64); 3] = [
    ("max_buckets_in_map", 256.0),
    ("object_shared_data_buckets_for_compact_part", 256.0),
    ("object_shared_data_buckets_for_wide_part", 256.0),
];
/// Settings of which the first must not be more than the second, each with its default.
const ORDERED: [[(&str, f64); 2]; 3] = [
    [("cleanup_delay_period", 30.0), ("max_cleanup_delay_period", 300.0)],
    [("merge_selecting_sleep_ms", 5000.0), ("max_merge_selecting_sleep_ms", 60_000.0)],
    [("min_index_granularity_bytes", 1024.0), ("index_granularity_bytes", 10_485_760.0)],
];
/// Settings that must not be more than the background pool has room for tasks.
const OF_POOL: [&str; 3] = [
    "number_of_free_entries_in_pool_to_execute_mutation",
    "number_of_free_entries_in_pool_to_execute_optimize_entire_partition",
    "number_of_free_entries_in_pool_to_lower_max_size_of_merge",
];
/// Settings that name what `storage_configuration` describes, and in which section.
const STORED: [(&str, &str, &str); 2] =
    [("disk", "disks", "disk"), ("storage_policy", "policies", "storage policy")];
/// Settings that hold names with parameters, by their endings, and the names.
const EXPRESSIONS: [(&str, &[&str]); 2] = [
    (
        "_compression_codec",
        &[
            "NONE",
            "LZ4",
            "LZ4HC",
            "ZSTD",
            "T64",
            "GCD",
            "FPC",
            "ALP",
            "ZXC",
            "AES_128_GCM_SIV",
            "AES_256_GCM_SIV",
        ],
    ),
    ("auto_statistics_types", &["basic", "minmax", "tdigest", "uniq", "uniq_v2", "countmin"]),
];
/// In 26.9 the engine began to read them before data comes.
const EXPRESSIONS_READ: Release = Release { year: 26, month: 9 };
/// Settings that take a value only beside others that are on.
const BESIDE: [(&str, &str, &[&str]); 1] = [(
    "part_minmax_index_columns",
    "with_block_number_offset",
    &["enable_block_number_column", "enable_block_offset_column"],
)];
/// What must be no less than a part of the largest merge's bytes, or nothing; that, its default and the part.
const REBALANCE: (&str, &str, f64, f64) = (
    "min_bytes_to_rebalance_partition_over_jbod",
    "max_bytes_to_merge_at_max_space_in_pool",
    161_061_273_600.0,
    1024.0,
);
/// The disk, and the policy, that every server has.
const DEFAULT: &str = "default";
/// The threads of the pool, and how many tasks there are to each.
const POOL: [(&str, f64); 2] =
    [("background_pool_size", 16.0), ("background_merges_mutations_concurrency_ratio", 2.0)];

impl Judge<'_> {
    /// Judges what one level says; `sum` is that with what holds for all.
    pub(super) fn merge_tree(&mut self, level: &[Said], sum: &[&Said], profiles: &[Said]) {
        let settings = level.iter().filter(|said| said.path.len() > 1 && !said.is_removed());
        for said in settings
            .filter(|said| said.path.first().is_some_and(|section| SECTIONS.contains(&section.as_str())))
        {
            let name = said.path.get(1).map(String::as_str).unwrap_or_default();
            let found = self.found.len();
            match said.path.len() {
                2 if said.repeats() => {
                    self.refuse(
                        said,
                        By::Engine,
                        format!(
                            "ClickHouse does not start with several values of `{name}`: a setting has one"
                        ),
                    );
                }
                2 => self.setting(Kind::MergeTree, name, said, said.text()),
                _ => self.setting(Kind::MergeTree, name, said, None),
            }
            if found < self.found.len() || said.path.len() > 2 {
                continue;
            }
            if let Some((_, section, what)) = STORED.iter().find(|(stored, ..)| *stored == name) {
                self.storage(section, what, said, sum);
            } else if let Some((_, names)) = EXPRESSIONS.iter().find(|(ending, _)| name.ends_with(ending)) {
                if let Some(value) = said.text().filter(|value| !is_expression(value, names))
                    && self.release >= EXPRESSIONS_READ
                {
                    let names = names.join("`, `");
                    let reason =
                        format!("ClickHouse makes no table with `{value}`: `{name}` takes some of `{names}`");
                    self.refuse(said, by(said), reason);
                }
            } else if let Some((.., others)) =
                BESIDE.iter().find(|(of, value, _)| *of == name && said.text() == Some(*value))
            {
                self.beside(name, others, said, sum);
            } else if let Some(value) = said.text().and_then(number) {
                self.range(name, value, said, sum, profiles);
            }
        }
    }

    /// Judges the disk or the policy that tables have.
    fn storage(&mut self, section: &str, what: &str, said: &Said, sum: &[&Said]) {
        let Some(name) = said.text() else { return };
        let is_said = sum.iter().any(|said| {
            matches!(said.names().as_slice(), ["storage_configuration", other, known,
                ..] if *other == section && *known == name)
        });
        let is_expression = name.contains('(');
        if name != DEFAULT && !is_said && !is_expression && !self.is_in_files(name) {
            let reason = format!(
                "there is no {what} `{name}`, no table can be made with it: say it in `settings` below \
                `storage_configuration/{section}/{name}`, or in a file"
            );
            self.refuse(said, by(said), reason);
        }
    }

    /// Judges a value that needs others to be on.
    fn beside(&mut self, name: &str, others: &[&str], said: &Said, sum: &[&Said]) {
        let section = said.path.first().map(String::as_str).unwrap_or_default();
        let is_said = |other: &&&str| sum.iter().any(|said| said.names() == [section, **other]);
        if let Some(other) = others.iter().find(|other| !is_said(other)) {
            let value = said.text().unwrap_or_default();
            let reason =
                format!("ClickHouse makes no table with `{value}` of `{name}` without `{other}`: set both");
            self.refuse(said, by(said), reason);
        }
    }

    /// Judges the number that a setting has beside those of others.
    fn range(&mut self, name: &str, value: f64, said: &Said, sum: &[&Said], profiles: &[Said]) {
        let section = said.path.first().map(String::as_str).unwrap_or_default();
        let other = |name: &str, default: f64| match sum.iter().find(|said| said.names() == [section, name]) {
            Some(said) => said.text().and_then(number),
            None => Some(default),
        };
        let limit = |bounds: &[(&str, f64)]| {
            bounds.iter().find(|(bounded, _)| *bounded == name).map(|(_, bound)| *bound)
        };
        let of_server = |name: &str, default: f64| match sum.iter().find(|said| said.names() == [name]) {
            Some(said) => said.text().and_then(number),
            None => Some(default),
        };
        let starts = format!("ClickHouse {} does not start with", self.release);
        let mut reason = None;
        if let Some(least) = limit(&LEAST).filter(|least| value < *least) {
            reason = Some(format!("{starts} less than {least} of `{name}`"));
        }
        if let Some(most) = limit(&MOST).filter(|most| value > *most) {
            reason = Some(format!("{starts} more than {most} of `{name}`"));
        }
        for [(lower, low), (upper, high)] in ORDERED {
            let (low, high) = match name {
                _ if name == lower => (Some(value), other(upper, high)),
                _ if name == upper => (other(lower, low), Some(value)),
                _ => continue,
            };
            // Granules of any size are said by a zero.
            let unlimited = upper == "index_granularity_bytes" && high == Some(0.0);
            if let Some((low, high)) = low.zip(high).filter(|(low, high)| low > high && !unlimited) {
                reason = Some(format!(
                    "{starts} more of `{lower}` ({low}) than of `{upper}` ({high}): change one of them"
                ));
            }
        }
        let (rebalanced, merged, default, part) = REBALANCE;
        if let Some(least) =
            other(merged, default).filter(|_| name == rebalanced).map(|most| (most / part).floor())
            && value > 0.0
            && value < least
        {
            reason = Some(format!(
                "{starts} less than {least} of `{name}`, a {part}th of `{merged}`: set 0 or more than that"
            ));
        }
        let legacy = profiles
            .iter()
            .any(|said| said.names().get(1).is_some_and(|name| name.starts_with("background_")));
        if OF_POOL.contains(&name) && !legacy {
            let [threads, ratio] = POOL.map(|(name, default)| of_server(name, default));
            if let Some(tasks) = threads
                .zip(ratio)
                .map(|(threads, ratio)| (threads * ratio).floor())
                .filter(|tasks| value > *tasks)
            {
                reason = Some(format!(
                    "{starts} more of `{name}` than the {tasks} tasks of the background pool \
                    (`background_pool_size` times `background_merges_mutations_concurrency_ratio`)"
                ));
            }
        }
        if let Some(reason) = reason {
            self.refuse(said, by(said), reason);
        }
    }
}

/// Tables that are replicated are made by a server only.
fn by(said: &Said) -> By {
    if said.path.first().is_some_and(|section| section == SECTIONS[0]) { By::Engine } else { By::Server }
}

/// Whether it is nothing, or these names with commas between them, each with parameters or without.
fn is_expression(text: &str, names: &[&str]) -> bool {
    let mut depth = 0_i32;
    let parts = text.split(|c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == ',' && depth == 0
    });
    let is_known = |part: &str| {
        let name = part.split('(').next().unwrap_or_default().trim();
        names.iter().any(|known| known.eq_ignore_ascii_case(name))
    };
    text.is_empty() || parts.into_iter().all(is_known)
}
