use serde_json::{Value, json};

use crate::kubernetes::cluster::manifest::sha256_hex;
use crate::kubernetes::cluster::tests::{built, problems_of, problems_of_program, unknown};

fn configuration(program: Value) -> Value {
    built(program).installation.unwrap()["spec"]["configuration"].take()
}

#[test]
fn a_user_is_written_with_the_hash_of_its_password_and_closed_to_the_outside() {
    let made = configuration(json!({"users": {"app": {"password": "open sesame"}}}));
    assert_eq!(made["users"]["app/password_sha256_hex"], json!(sha256_hex("open sesame")));
    assert_eq!(made["users"]["app/networks/ip"], made["users"]["default/networks/ip"]);
    assert!(!made.to_string().contains("open sesame"));
    let like_admin =
        configuration(json!({"admin": {"networks": ["10.0.0.0/8", "bastion.corp", "^a[0-9]\\.corp$"]},
        "users": {"app": {"certificates": ["app.corp"]}, "web": {"password": "x", "networks": ["::1"]}}}));
    let users = &like_admin["users"];
    assert_eq!(
        (&users["app/networks/ip"], &users["app/networks/host"], &users["app/networks/host_regexp"]),
        (&json!(["10.0.0.0/8"]), &json!(["bastion.corp"]), &json!(["^a[0-9]\\.corp$"]))
    );
    assert_eq!(users["default/networks/host"], users["app/networks/host"]);
    assert_eq!(users["web/networks/ip"], json!(["::1"]));
    assert_eq!(users["app/ssl_certificates/common_name"], json!(["app.corp"]));
    assert_eq!(users.get("app/password_sha256_hex"), None);
}

#[test]
fn what_a_user_may_do_is_written_as_the_operator_reads_it() {
    let made = configuration(json!({
        "profiles": {"web": {"settings": {"max_threads": 4}}},
        "quotas": {"small": {"intervals": [{"seconds": 60, "queries": 5}]}},
        "roles": {"read-er": {"grants": ["GRANT SELECT ON shop.*"]}},
        "users": {
            "app": {"passwordSha256": "ab".repeat(32), "profile": "web", "quota": "small",
                "roles": ["read-er"],
                "grants": ["GRANT INSERT ON log.*"], "settings": {"max_block_size": 9}},
            "boss": {"password": "x", "accessManagement": true, "databases": ["shop"]},
        },
    }));
    let users = &made["users"];
    assert_eq!(users["app/grants/query"], json!(["GRANT `read-er`", "GRANT INSERT ON log.*"]));
    assert_eq!((&users["app/profile"], &users["app/quota"]), (&json!("user-app"), &json!("small")));
    assert_eq!(
        made["profiles"],
        json!({"web/max_threads": 4, "user-app/profile": "web", "user-app/max_block_size": 9})
    );
    assert_eq!(
        (&users["boss/access_management"], &users["boss/allow_databases/database"]),
        (&json!("1"), &json!(["shop"]))
    );
}

#[test]
fn a_user_that_would_let_others_in_or_stop_clickhouse_is_refused() {
    for (name, user, problem) in [
        ("app", json!({}), "users.app: has no credential, and anybody could log in"),
        (
            "app",
            json!({"password": "hush-hush", "passwordSecret": {"name": "s"}}),
            "users.app.passwordSecret: is given together with `password`",
        ),
        ("app", json!({"password": ""}), "users.app.password: must not be empty"),
        ("app", json!({"passwordSha256": "hush-hush"}), "users.app.passwordSha256: must be 64 hex digits"),
        (
            "app",
            json!({"passwordSecret": {"name": "S"}}),
            "users.app.passwordSecret.name: `S` is not a valid",
        ),
        ("app", json!({"certificates": []}), "users.app.certificates: must hold"),
        ("clickhouse_operator", json!({"password": "x"}), "is the operator's own user"),
        ("default", json!({"password": "x"}), "users.default: is the administrator: say it in `admin`"),
        ("a.b", json!({"password": "x"}), "`a.b` is not a valid name"),
        ("app", json!({"password": "x", "networks": []}), "users.app.networks: must name at least one"),
        (
            "app",
            json!({"password": "x", "networks": ["10.0.0/8"]}),
            "users.app.networks[0]: `10.0.0/8` is not",
        ),
        (
            "app",
            json!({"password": "x", "profile": "readonyl"}),
            "users.app.profile: there is no profile `readonyl`: did you mean `readonly`?",
        ),
        ("app", json!({"password": "x", "quota": "smal"}), "there is no quota `smal`: did you mean `small`?"),
        ("app", json!({"password": "x", "roles": ["readr"]}), "users.app.roles[0]: there is no role `readr`"),
        ("app", json!({"password": "x", "grants": []}), "users.app.grants: must name at least one"),
        ("app", json!({"password": "x", "databases": []}), "users.app.databases: must name at least one"),
        (
            "app",
            json!({"password": "x", "grants": ["SELECT"]}),
            "users.app.grants[0]: must begin with `GRANT`",
        ),
        (
            "app",
            json!({"password": "x", "roles": ["reader"], "accessManagement": true}),
            "users.app.accessManagement: ClickHouse does not start with it beside",
        ),
        (
            "app",
            json!({"password": "x", "settings": {"max_threads": [1]}}),
            "users.app.settings.max_threads: must be a string",
        ),
        (
            "odd",
            json!({"password": "x", "settings": {"max_threads": 1}}),
            "users.odd.settings: stand in a profile",
        ),
    ] {
        let program = json!({"users": {name: user}, "roles": {"reader": {"grants": ["GRANT SELECT ON a.*"]}},
            "quotas": {"small": {"intervals": [{"seconds": 60}]}},
            "profiles": {"user-odd": {"inherits": "default"}}});
        let found = problems_of_program(None, program);
        assert!(found.len() == 1 && found[0].contains(problem), "{name} {user}: {found:?}");
        assert!(!found[0].contains("hush-hush"), "{found:?}");
    }
    let of_admin = json!({"admin": {"username": "boss"}, "users": {"default": {"password": "x"}}});
    assert!(problems_of_program(None, of_admin)[0].contains("has the administrator's password"));
}

#[test]
fn what_is_not_known_yet_is_not_missed() {
    let program = json!({"users": {"app": {"profile": "web"}}});
    assert_eq!(
        problems_of(&unknown(program.clone(), &["users.app.password", "profiles"])),
        Vec::<String>::new()
    );
    assert_eq!(problems_of(&unknown(program, &["users"])), Vec::<String>::new());
}
