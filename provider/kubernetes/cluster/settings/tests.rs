//! What ClickHouse would not start with is refused with its place and the remedy; what it takes, or nobody
//! knows, is let through.

#![allow(clippy::needless_pass_by_value, reason = "configurations are written where they are used")]

use serde_json::{Value, json};

use super::super::tests::{checked, told};
use super::*;
use crate::resource::Known;

fn installation(image: &str, configuration: Value) -> Value {
    let pod = json!({"name": "p", "spec": {"containers": [{"name": "clickhouse", "image": image}]}});
    json!({"spec": {"configuration": configuration, "templates": {"podTemplates": [pod]}}})
}

/// The problems of a part of the configuration in a version.
fn of(version: &str, part: &str, said: Value) -> Vec<String> {
    let found =
        problems(&installation(&format!("clickhouse/clickhouse-server:{version}"), json!({part: said})));
    found.into_iter().map(|problem| format!("{}: {}", problem.place, problem.reason)).collect()
}

fn refuses(version: &str, part: &str, key: &str, value: Value, because: &str) {
    let found = of(version, part, json!({key: value}));
    let place = PropertyPath::from("configuration").key(part).key(key).to_string();
    assert!(
        found.len() == 1 && found[0].starts_with(&format!("{place}: ")) && found[0].contains(because),
        "{part} {key} {value}: {found:?}"
    );
}

fn takes(version: &str, part: &str, key: &str, value: Value) {
    assert_eq!(of(version, part, json!({key: value})), Vec::<String>::new(), "{part} {key} {value}");
}

#[test]
fn a_misspelt_setting_is_refused_with_its_nearest_name() {
    refuses("25.8.30.16", "profiles", "web/max_thredz", json!(4), "did you mean `max_threads`?");
    refuses(
        "25.8.30.16",
        "profiles",
        "web/constraints/max_memry_usage/max",
        json!("5"),
        "did you mean `max_memory_usage`?",
    );
    refuses(
        "25.8.30.16",
        "settings",
        "merge_tree/max_part_in_total",
        json!("5"),
        "did you mean `max_parts_in_total`?",
    );
    refuses(
        "25.8.30.16",
        "settings",
        "max_concurent_queries",
        json!("5"),
        "did you mean `max_concurrent_queries`?",
    );
    refuses("25.8.30.16", "profiles", "web/quite_something_else_altogether", json!("5"), "remove it");
    takes("25.8.30.16", "profiles", "web/max_threads", json!(4));
    takes("25.8.30.16", "profiles", "web/SQL_anything", json!(4));
    takes("25.8.30.16", "settings", "storage_configuration/disks/cold/path", json!("/cold/"));
    takes("25.8.30.16", "settings", "a_section_of_somebodys/own", json!("x"));
}

#[test]
fn a_setting_of_a_newer_release_is_refused_with_the_release_that_has_it() {
    let (old, new, key) = stages::tests::releases();
    refuses(&old, "profiles", &key, json!("1"), &format!("of ClickHouse {new} and newer"));
    assert!(!of(&new, "profiles", json!({key: "1"})).iter().any(|problem| problem.contains("newer")));
}

#[test]
fn a_value_is_refused_where_the_engine_does_not_read_it() {
    for (key, wrong, right) in [
        ("max_threads", json!("many"), json!("auto")),
        ("max_block_size", json!(0), json!("64Ki")),
        ("max_memory_usage", json!("10GB"), json!("10G")),
        ("max_memory_usage", json!(-1), json!(10_000_000_000_u64)),
        ("use_uncompressed_cache", json!("yes"), json!(true)),
        ("max_execution_time", json!("10s"), json!(1.5)),
        ("load_balancing", json!("Random"), json!("random")),
        ("join_algorithm", json!("hash;auto"), json!("hash, auto")),
        ("format_csv_delimiter", json!(";;"), json!(";")),
        ("max_threads", json!(["1", "2"]), json!(["1"])),
    ] {
        refuses("25.8.30.16", "profiles", &format!("web/{key}"), wrong, &format!("`{key}`"));
        takes("25.8.30.16", "profiles", &format!("web/{key}"), right);
    }
    for (key, wrong, right) in [
        ("default_compression_codec", json!("zst"), json!("LZ4HC(9), zstd")),
        ("auto_statistics_types", json!("min_max"), json!("uniq, minmax")),
        ("min_bytes_to_rebalance_partition_over_jbod", json!("1M"), json!(0)),
        ("lock_acquire_timeout_for_background_operations", json!("inf"), json!(1.5)),
    ] {
        let key = format!("merge_tree/{key}");
        refuses("26.9.1.1", "settings", &key, wrong, "`");
        takes("26.9.1.1", "settings", &key, right);
    }
    refuses("26.9.1.1", "settings", "named_collections_storage/type", json!("disk"), "`local`");
    refuses("25.8.30.16", "profiles", "web/session_timezone", json!("Berlin"), "`Europe/Berlin`");
    takes("25.8.30.16", "profiles", "web/session_timezone", json!("Europe/Berlin"));
    let with = json!({"merge_tree/part_minmax_index_columns": "with_block_number_offset"});
    assert!(of("26.9.1.1", "settings", with)[0].contains("without `enable_block_number_column`"));
    takes("25.8.30.16", "settings", "merge_tree/default_compression_codec", json!("2"));
    refuses("26.9.1.1", "settings", "max_concurrent_queries", json!("lots"), "takes a whole number");
    refuses("26.9.1.1", "settings", "backup_threads", json!(0), "1 or more");
    refuses("26.9.1.1", "settings", "merge_tree/index_granularity", json!(0), "less than 1");
    refuses(
        "26.9.1.1",
        "settings",
        "merge_tree/max_cleanup_delay_period",
        json!(10),
        "`cleanup_delay_period` (30)",
    );
    refuses(
        "26.9.1.1",
        "settings",
        "merge_tree/number_of_free_entries_in_pool_to_execute_mutation",
        json!(33),
        "32 tasks",
    );
    takes("26.9.1.1", "settings", "merge_tree/number_of_free_entries_in_pool_to_execute_mutation", json!(32));
}

#[test]
fn a_setting_of_queries_is_refused_in_the_servers_configuration() {
    refuses(
        "25.8.30.16",
        "settings",
        "max_memory_usage",
        json!("5G"),
        "`profiles.default.settings.max_memory_usage`",
    );
    takes("25.8.30.16", "settings", "max_table_size_to_drop", json!("0"));
    takes("25.8.30.16", "settings", "background_pool_size", json!("32"));
    let both = of(
        "25.8.30.16",
        "settings",
        json!({"max_memory_usage": "5G", "skip_check_for_incorrect_settings": "1"}),
    );
    assert_eq!(both, Vec::<String>::new());
}

#[test]
fn a_system_log_has_an_engine_or_parts_of_one() {
    refuses(
        "25.8.30.16",
        "settings",
        "query_log/ttl",
        json!("event_date + INTERVAL 7 DAY"),
        "which the operator's own configuration sets",
    );
    takes("25.8.30.16", "settings", "text_log/ttl", json!("event_date + INTERVAL 7 DAY"));
    let without = json!({"query_log/engine": "_removed_", "query_log/ttl": "event_date + INTERVAL 7 DAY"});
    assert_eq!(of("25.8.30.16", "settings", without), Vec::<String>::new());
    refuses(
        "25.8.30.16",
        "settings",
        "query_views_log/engine",
        json!("ENGINE = Memory"),
        "`query_views_log/partition_by: _removed_`",
    );
    takes(
        "25.8.30.16",
        "settings",
        "query_log/engine",
        json!("ENGINE = MergeTree ORDER BY event_time TTL event_date + INTERVAL 7 DAY"),
    );
    refuses("25.8.30.16", "settings", "query_log/flush_interval_milliseconds", json!("7s"), "a whole number");
}

#[test]
fn users_name_profiles_that_exist() {
    refuses("25.8.30.16", "users", "app/profile", json!("wbe"), "there is no profile `wbe`");
    refuses("25.8.30.16", "users", "app/quota", json!("none"), "there is no quota `none`");
    refuses("25.8.30.16", "users", "app/networks/ip", json!(["10.0.0.0/8", "10.0.0.0/33"]), "`10.0.0.0/33`");
    refuses("25.8.30.16", "users", "app/password_sha256_hex", json!("abc"), "64 hex digits");
    refuses("25.8.30.16", "users", "app/access_management", json!("maybe"), "`1` or `0`");
    refuses("25.8.30.16", "quotas", "q/interval/queries", json!("5k"), "a whole number");
    takes("25.8.30.16", "users", "app/profile", json!("readonly"));
    let files = json!({"users.d/team.xml": "<clickhouse><profiles><team/></profiles></clickhouse>"});
    let said = installation(
        "clickhouse/clickhouse-server:25.8",
        json!({"users": {"app/profile": "team"}, "files": files}),
    );
    assert_eq!(problems(&said), Vec::new());
    let both = json!({"app/grants/query": "GRANT SELECT ON *.*", "app/access_management": "1"});
    assert!(of("25.8", "users", both)[0].contains("beside `app/access_management`"));
}

#[test]
fn what_nobody_knows_is_let_through() {
    let wrong = json!({"profiles": {"web/max_thredz": "x"}});
    for image in [
        "clickhouse/clickhouse-server:99.1.1.1",
        "clickhouse/clickhouse-server:21.3",
        "clickhouse/clickhouse-server:25.8.16.10001.altinitystable",
        "clickhouse/clickhouse-server:latest",
        "clickhouse/clickhouse-server",
        "clickhouse/clickhouse-server@sha256:0123",
        "ours:team-7",
    ] {
        assert_eq!(problems(&installation(image, wrong.clone())), Vec::new(), "{image}");
    }
    assert_eq!(problems(&installation("ours/clickhouse:25.8.1.1", wrong)).len(), 1);
    takes(
        "25.8",
        "profiles",
        "web/max_threads",
        json!({"valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}),
    );
    takes("25.8", "profiles", "web/max_threadz", json!("_removed_"));
}

#[test]
fn a_program_is_refused_only_for_what_is_new() {
    let program = |more: Value| {
        let mut program =
            json!({"name": "db", "chiOverrides": {"configuration": {"profiles": {"web/max_thredz": "4"}}}});
        program.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        checked(program)
    };
    let refused =
        |old: Option<Value>, new: Value| told(refusals(old.map(program).as_ref(), &Known::all(program(new))));
    let found = refused(None, json!({}));
    assert!(
        found.len() == 1 && found[0].starts_with("chiOverrides.configuration.profiles.web/max_thredz: "),
        "{found:?}"
    );
    assert_eq!(refused(Some(json!({})), json!({"shards": 2})), Vec::<String>::new());
    assert_eq!(
        refused(Some(json!({"version": "99.1"})), json!({"version": "25.8"})).len(),
        1,
        "the version takes what the last one took"
    );
    assert_eq!(refused(None, json!({"version": "99.1"})), Vec::<String>::new());
    let unknown =
        Known { value: program(json!({})), unknown: std::collections::BTreeSet::from(["version".into()]) };
    assert_eq!(refusals(None, &unknown), Vec::new());
}

#[test]
fn what_inputs_say_is_refused_at_the_input() {
    let refused = |program: Value| told(refusals(None, &Known::all(checked(program))));
    for (program, place) in [
        (json!({"profiles": {"web": {"settings": {"max_thredz": 4}}}}), "profiles.web.settings.max_thredz: "),
        (
            json!({"profiles": {"web": {"constraints": {"max_thredz": {"max": 4}}}}}),
            "profiles.web.constraints.max_thredz: ",
        ),
        (
            json!({"users": {"app": {"password": "x", "settings": {"max_thredz": 4}}}}),
            "users.app.settings.max_thredz: ",
        ),
        (json!({"settings": {"max_concurent_queries": 4}}), "settings.max_concurent_queries: "),
        (json!({"users": {"app": {"password": "x", "profile": "wev"}}}), "users.app.profile: "),
    ] {
        let found = refused(program.clone());
        assert!(found.len() == 1 && found[0].starts_with(place), "{program}: {found:?}");
    }
    let sound = json!({"profiles": {"web": {"settings": {"max_threads": 4}}},
        "quotas": {"q": {"intervals": [{"seconds": 60, "queries": 5},
            {"seconds": 3600, "executionTime": 0.5}]}},
        "settings": {"max_concurrent_queries": 4},
        "users": {"app": {"password": "x", "profile": "web", "quota": "q",
            "grants": ["GRANT SELECT ON a.*"]}}});
    assert_eq!(refused(sound), Vec::<String>::new());
}
