//! Which changes of the configuration restart hosts whose StatefulSet stays as it was.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Task;

impl Task {
    /// Whether hosts whose StatefulSet is as it was must start again for their new configuration.
    pub(super) fn needs_restart(&self) -> bool {
        if self.installation.spec["restart"] == "RollingUpdate" {
            return true;
        }
        let Some(old) = &self.ancestor else { return false };
        let spec = &self.installation.spec;
        let differs = |pointer: &str, restarts: fn(&str) -> bool| {
            let (old, new) =
                (old.pointer(pointer).unwrap_or(&Value::Null), spec.pointer(pointer).unwrap_or(&Value::Null));
            let keys: BTreeSet<&String> =
                [old, new].into_iter().filter_map(Value::as_object).flat_map(serde_json::Map::keys).collect();
            keys.into_iter().any(|key| old.get(key) != new.get(key) && restarts(key))
        };
        differs("/configuration/settings", setting_restarts)
            || differs("/configuration/files", file_restarts)
            || differs("/configuration/zookeeper", |_| true)
            || differs("/configuration/profiles", |key| {
                key.starts_with("default/background_") && key.ends_with("_pool_size")
            })
    }
}

/// The operator's default list of settings that ClickHouse takes over by itself.
fn setting_restarts(key: &str) -> bool {
    const FREE: [&str; 10] = [
        "access_control_path",
        "dictionaries_config",
        "max_concurrent_queries",
        "models_config",
        "user_defined_executable_functions_config",
        "logger",
        "macros",
        "remote_servers",
        "user_directories",
        "display_secrets_in_show_and_select",
    ];
    let first = key.split('/').next().unwrap_or(key);
    let limit =
        first.starts_with("max_") && (first.starts_with("max_server_memory_") || first.ends_with("_to_drop"));
    !(FREE.contains(&first) || limit)
}

fn file_restarts(path: &str) -> bool {
    let users = path.starts_with("users.d/") || path.starts_with("{users}");
    !users
        && std::path::Path::new(path).extension().is_some_and(|kind| kind == "xml")
        && !path.contains("dict")
        && !path.contains("no_restart")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_clickhouse_cannot_reload_restarts_it() {
        assert!(setting_restarts("max_connections"));
        assert!(!setting_restarts("logger/level"));
        assert!(!setting_restarts("max_table_size_to_drop"));
        assert!(file_restarts("config.d/storage.xml"));
        assert!(!file_restarts("users.d/more.xml"));
        assert!(!file_restarts("config.d/my_dictionary.xml"));
    }
}
