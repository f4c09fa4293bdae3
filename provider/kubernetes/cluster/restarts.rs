//! Which changes of an installation's spec restart hosts: the operator's default rules, as of 0.25 (its `configurationRestartPolicy`). Pure.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

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

/// Whether hosts get new pods, because the template of these differs.
pub(super) fn by_pods(old: &Value, new: &Value) -> bool {
    old["templates"]["podTemplates"] != new["templates"]["podTemplates"]
}

/// Whether hosts restart although their pods stay as they are: for settings and files that ClickHouse reads only once, and for
/// another coordination.
pub(super) fn by_configuration(old: &Value, new: &Value) -> bool {
    let (old, new) = (&old["configuration"], &new["configuration"]);
    old["zookeeper"] != new["zookeeper"]
        || changed(&old["settings"], &new["settings"]).any(setting)
        || changed(&old["files"], &new["files"]).any(file)
        || changed(&old["profiles"], &new["profiles"]).any(profile)
}

/// The keys under which two maps differ.
fn changed<'a>(old: &'a Value, new: &'a Value) -> impl Iterator<Item = &'a str> {
    let keys: BTreeSet<_> = [old, new].into_iter().filter_map(Value::as_object).flat_map(Map::keys).collect();
    keys.into_iter().filter(|key| old.get(*key) != new.get(*key)).map(String::as_str)
}

fn setting(key: &str) -> bool {
    let first = key.split('/').next().unwrap_or(key);
    let limit = first.starts_with("max_server_memory_") || first.starts_with("max_") && first.ends_with("_to_drop");
    !(RELOADED.contains(&first) || limit)
}

fn file(path: &str) -> bool {
    let name = path.strip_prefix("config.d/").unwrap_or(path);
    let is_xml = std::path::Path::new(name).extension().is_some_and(|kind| kind == "xml");
    is_xml && !name.contains('/') && !(name.contains("dict") || name.contains("no_restart"))
}

fn profile(key: &str) -> bool {
    let Some(name) = key.strip_prefix("default/") else { return false };
    name.starts_with("background_") && name.ends_with("_pool_size") || name.starts_with("max_") && name.ends_with("_for_server")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_clickhouse_reads_once_restarts_it() {
        let restarts =
            |part: &str, key: &str| by_configuration(&json!({"configuration": {}}), &json!({"configuration": {part: {key: "1"}}}));
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
        let same = json!({"configuration": {"settings": {"max_connections": 1}}});
        assert!(!by_configuration(&same, &same));
    }
}
