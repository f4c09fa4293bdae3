//! The tables of system logs.

use super::said::{Said, Told};
use super::{By, Judge};

/// The tables.
const LOGS: [&str; 37] = [
    "aggregated_zookeeper_log",
    "asynchronous_insert_log",
    "asynchronous_metric_log",
    "azure_queue_log",
    "background_schedule_pool_log",
    "backup_log",
    "blob_storage_log",
    "bucketed_metric_log",
    "crash_log",
    "dead_letter_queue",
    "delta_lake_metadata_log",
    "distributed_cache_log",
    "distributed_cache_server_log",
    "error_log",
    "filesystem_cache_log",
    "filesystem_read_prefetches_log",
    "histogram_metric_log",
    "iceberg_metadata_log",
    "instrumentation_trace_log",
    "latency_log",
    "metric_log",
    "opentelemetry_span_log",
    "part_log",
    "predicate_statistics_log",
    "processors_profile_log",
    "query_log",
    "query_metric_log",
    "query_thread_log",
    "query_views_log",
    "s3queue_log",
    "session_log",
    "text_log",
    "trace_log",
    "transactions_info_log",
    "transposed_metric_log",
    "zookeeper_connection_log",
    "zookeeper_log",
];
/// Those whose `engine` the operator's own configuration says, and the image's.
const WITH_ENGINE: [&str; 4] = ["opentelemetry_span_log", "part_log", "query_log", "trace_log"];
/// Those whose `partition_by` the image's configuration says, where the operator does not replace it.
const WITH_PARTITIONS: [&str; 6] = [
    "asynchronous_insert_log",
    "backup_log",
    "blob_storage_log",
    "processors_profile_log",
    "query_views_log",
    "s3queue_log",
];
/// Of them those that have a `ttl`, too.
const WITH_TTL: [&str; 3] = ["asynchronous_insert_log", "blob_storage_log", "processors_profile_log"];
/// What can only be said inside `engine`, where there is one.
const INSIDE: [(&str, &str); 5] = [
    ("partition_by", "PARTITION BY"),
    ("ttl", "TTL"),
    ("order_by", "ORDER BY"),
    ("storage_policy", "SETTINGS storage_policy ="),
    ("settings", "SETTINGS"),
];
/// What takes a whole number.
const NUMBERS: [&str; 4] = [
    "flush_interval_milliseconds",
    "max_size_rows",
    "reserved_size_rows",
    "buffer_size_rows_flush_threshold",
];

impl Judge<'_> {
    /// Judges what one level says; `sum` is that with what holds for all.
    pub(super) fn system_logs(&mut self, level: &[Said], sum: &[&Said]) {
        for said in level {
            let [log, field] = said.path.as_slice() else { continue };
            if !LOGS.contains(&log.as_str()) {
                continue;
            }
            if said.is_removed() {
                continue;
            }
            let other = |field: &str| {
                sum.iter().find(|said| said.names() == [log.as_str(), field]).map(|said| &said.value)
            };
            if let Some((_, words)) = INSIDE.iter().find(|(inside, _)| inside == field) {
                let by_operator = WITH_ENGINE.contains(&log.as_str());
                let engine = other("engine").map_or(by_operator, |engine| *engine != Told::Removed);
                if engine {
                    let whose = if other("engine").is_none() {
                        ", which the operator's own configuration sets"
                    } else {
                        ""
                    };
                    let reason = format!(
                        "ClickHouse does not start with `{field}` beside `{log}/engine`{whose}: say it \
                        inside the engine, as `{log}/engine: \"ENGINE = MergeTree … {words} …\"`, or take \
                        that out with `{log}/engine: _removed_`"
                    );
                    self.refuse(said, By::Server, reason);
                }
            }
            if field == "engine" {
                let partitions = WITH_PARTITIONS.contains(&log.as_str()).then_some("partition_by");
                let ttl = WITH_TTL.contains(&log.as_str()).then_some("ttl");
                if let Some(there) = partitions.into_iter().chain(ttl).find(|field| other(field).is_none()) {
                    let reason = format!(
                        "ClickHouse does not start with `engine` beside `{log}/{there}`, which the image's \
                        own configuration sets: take that out with `{log}/{there}: _removed_`"
                    );
                    self.refuse(said, By::Server, reason);
                }
            }
            if NUMBERS.contains(&field.as_str()) && said.text().is_some_and(|text| !is_number(text)) {
                let reason = format!(
                    "ClickHouse does not start with `{}`: `{field}` takes a whole number",
                    said.text().unwrap_or_default()
                );
                self.refuse(said, By::Server, reason);
            }
        }
    }
}

/// Whether the server reads it as a whole number of 64 bits.
fn is_number(text: &str) -> bool {
    let text = text.trim_start().replace(',', "");
    let text = text.strip_prefix('+').unwrap_or(&text);
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u64::from_str_radix(digits, 16).is_ok(),
        None => text.parse::<u64>().is_ok(),
    }
}
