//! Which changes of an installation's spec restart hosts: the operator's default rules, as of 0.25 (its
//! `configurationRestartPolicy`). Pure.

use serde_json::Value;

use super::shape::{Installation, Shape};

/// Settings that ClickHouse takes over while it runs.
const RELOADED: [&str; 10] = [
    "access_control_path",
    "dictionaries_config",
    "display_secrets_in_show_and_select",
    "logger",
    "macros",
    "max_concurrent_queries",
    "models_config",
    "remote_servers",
    "user_defined_executable_functions_config",
    "user_directories",
];

/// The parts of the configuration of which ClickHouse reads something only once.
const PARTS: [&str; 3] = ["settings", "files", "profiles"];

/// Whether hosts restart although their pods stay as they are: for settings and files that ClickHouse reads
/// only once, and for another coordination.
pub(super) fn by_configuration(from: &Shape, to: &Shape) -> bool {
    by_coordination(from, to) || by_settings(from, to)
}

/// Whether a cluster that stays is told of another coordination.
pub(super) fn by_coordination(from: &Shape, to: &Shape) -> bool {
    from.coordination
        .iter()
        .any(|(cluster, old)| to.coordination.get(cluster).is_some_and(|new| new.differs(old)))
}

/// Whether settings or files differ that ClickHouse reads only once.
fn by_settings(from: &Shape, to: &Shape) -> bool {
    PARTS.into_iter().any(|part| by_read_once(from, to, part))
}

/// Whether hosts restart for one part of the configuration: for what ClickHouse reads only once, or since
/// they get new pods for what comes from Secrets.
pub(super) fn by_part(from: &Shape, to: &Shape, part: &str) -> bool {
    by_read_once(from, to, part) || by_secret(from, to, part)
}

/// Whether a part of the configuration differs in what ClickHouse reads only once.
fn by_read_once(from: &Shape, to: &Shape, part: &str) -> bool {
    let mut changes = from.clickhouse.configuration.changes(&to.clickhouse.configuration);
    changes.any(|change| {
        change.part == part
            && match part {
                "settings" => setting(change.key),
                "files" => file(change.key),
                "profiles" => profile(change.key),
                _ => false,
            }
    })
}

/// Whether the hosts get new pods because a value of a part of the configuration comes from a Secret, by way
/// of their environment, or a file by way of a volume.
fn by_secret(from: &Shape, to: &Shape, part: &str) -> bool {
    let from_secret = |value: Option<&Value>| value.is_some_and(|value| value["valueFrom"].is_object());
    let mut changes = from.clickhouse.configuration.changes(&to.clickhouse.configuration);
    changes.any(|change| change.part == part && (from_secret(change.old) || from_secret(change.new)))
}

/// Whether a Keeper's members restart although their pods stay as they are: it reloads nothing but its
/// servers.
pub(super) fn of_keeper(old: &Installation, new: &Installation) -> bool {
    old.configuration.changes(&new.configuration).any(|change| setting(change.key))
}

fn setting(key: &str) -> bool {
    let first = key.split('/').next().unwrap_or(key);
    let limit =
        first.starts_with("max_server_memory_") || first.starts_with("max_") && first.ends_with("_to_drop");
    !(RELOADED.contains(&first) || limit)
}

fn file(path: &str) -> bool {
    let name = path.strip_prefix("config.d/").unwrap_or(path);
    let is_xml = std::path::Path::new(name).extension().is_some_and(|kind| kind == "xml");
    is_xml && !name.contains('/') && !(name.contains("dict") || name.contains("no_restart"))
}

fn profile(key: &str) -> bool {
    let Some(name) = key.strip_prefix("default/") else { return false };
    name.starts_with("background_") && name.ends_with("_pool_size")
        || name.starts_with("max_") && name.ends_with("_for_server")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_clickhouse_reads_once_restarts_it() {
        let shape =
            |configuration: Value| Shape::of(&json!({"spec": {"configuration": configuration}}), None);
        let restarts =
            |part: &str, key: &str| by_configuration(&shape(json!({})), &shape(json!({part: {key: "1"}})));
        let once = [
            ("settings", "max_connections"),
            ("settings", "max_open_files"),
            ("files", "config.d/storage.xml"),
            ("files", "storage.xml"),
            ("profiles", "default/background_merges_pool_size"),
            ("profiles", "default/max_memory_usage_for_server"),
            ("zookeeper", "root"),
        ];
        let running = [
            ("settings", "logger/level"),
            ("settings", "max_table_size_to_drop"),
            ("settings", "max_server_memory_usage"),
            ("files", "users.d/team.xml"),
            ("files", "config.d/dict_prices.xml"),
            ("files", "notes.txt"),
            ("profiles", "default/max_threads"),
            ("profiles", "other/background_merges_pool_size"),
            ("users", "default/networks/ip"),
        ];
        assert!(once.iter().all(|(part, key)| restarts(part, key)));
        assert_eq!(running.iter().find(|(part, key)| restarts(part, key)), None);
        let same = shape(json!({"settings": {"max_connections": 1}}));
        assert!(!by_configuration(&same, &same));
        let of_shard = |settings: Value| {
            shape(json!({"clusters": [{"name": "c", "layout": {"shards": [{"settings": settings}]}}]}))
        };
        assert!(by_configuration(&of_shard(json!({})), &of_shard(json!({"max_connections": 1}))));
        let from_secret = shape(
            json!({"users": {"a/password": {"valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}}}),
        );
        let empty = shape(json!({}));
        assert!(by_secret(&from_secret, &empty, "users") && !by_secret(&same, &empty, "settings"));
    }
}
