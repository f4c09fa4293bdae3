//! The files held against those that the real operator wrote.

use std::path::{Path, PathBuf};

use super::*;
use crate::operator::children::Start;

fn recordings() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/itself/rendered");
    let mut cases: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|path| path.is_dir());
    cases.sort();
    cases
}

/// The files of a recording by the names of ConfigMap and file.
fn files_of(case: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for config in std::fs::read_dir(case.join("files")).unwrap().map(|entry| entry.unwrap().path()) {
        for file in std::fs::read_dir(&config).unwrap().map(|entry| entry.unwrap().path()) {
            let name = file.strip_prefix(case.join("files")).unwrap().display().to_string();
            files.insert(name, std::fs::read_to_string(&file).unwrap());
        }
    }
    files
}

fn installations(case: &Path) -> Vec<(Installation, Vec<Value>)> {
    let objects: Vec<Value> =
        serde_json::from_slice(&std::fs::read(case.join("objects.json")).unwrap()).unwrap();
    let kind_of = |object: &Value| match object["kind"].as_str() {
        Some("ClickHouseInstallation") => Some(Kind::ClickHouse),
        Some("ClickHouseKeeperInstallation") => Some(Kind::Keeper),
        _ => None,
    };
    let own = objects.iter().filter_map(|object| Some((kind_of(object)?, object)));
    own.map(|(kind, object)| {
        let read: DynamicObject = serde_json::from_value(object.clone()).unwrap();
        (Installation::of(kind, &read), objects.clone())
    })
    .collect()
}

#[test]
fn each_file_is_as_the_operator_made_it() {
    for case in recordings() {
        let recorded = files_of(&case);
        let users = recorded.get("chi-db-common-usersd/chop-generated-users.xml").unwrap();
        let ip =
            |line: &str| Some(line.trim().strip_prefix("<ip>10.244.")?.strip_suffix("</ip>")?.to_owned());
        let addresses: Vec<String> =
            users.lines().filter_map(ip).map(|rest| format!("10.244.{rest}")).collect();
        let mut made = BTreeMap::new();
        for (installation, _) in installations(&case) {
            let configs = installation.hosts.iter().map(|host| installation.host_config(host));
            for config in installation.common_configs(&addresses).into_iter().chain(configs) {
                for (file, text) in config["data"].as_object().unwrap() {
                    let name = format!("{}/{file}", config["metadata"]["name"].as_str().unwrap());
                    made.insert(name, text.as_str().unwrap().to_owned());
                }
            }
        }
        let names = |files: &BTreeMap<String, String>| files.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&made), names(&recorded), "{}", case.display());
        for (name, text) in &recorded {
            assert_eq!(made[name].trim_end(), text.trim_end(), "{}: {name}", case.display());
        }
    }
}

#[test]
fn each_host_gets_the_variables_that_the_operator_gave_it() {
    for case in recordings() {
        for (installation, objects) in installations(&case) {
            for host in &installation.hosts {
                let made = installation.stateful_set(host, Start::ByItself);
                let name = &made["metadata"]["name"];
                let recorded = objects
                    .iter()
                    .find(|object| object["kind"] == "StatefulSet" && object["metadata"]["name"] == *name)
                    .unwrap();
                let variables = "/spec/template/spec/containers/0/env";
                assert_eq!(
                    made.pointer(variables),
                    recorded.pointer(variables),
                    "{}: {name}",
                    case.display()
                );
            }
        }
    }
}

#[test]
fn a_user_gets_what_the_spec_leaves_out() {
    let mut object = DynamicObject::new("db", &Kind::ClickHouse.resource()).within("prod");
    let source = json!({"valueFrom": {"secretKeyRef": {"name": "logins", "key": "app"}}});
    let users = json!({"plain/password": "secret", "bare/profile": "web", "app/password": source});
    object.data = json!({"spec": {"configuration": {"users": users}}});
    let installation = Installation::of(Kind::ClickHouse, &object);
    let users = installation.users(&["10.244.0.7".to_owned()]);
    assert_eq!(users["plain/password_sha256_hex"], hex(&Sha256::digest("secret")));
    assert_eq!(users["bare/password_sha256_hex"], hex(&Sha256::digest("default")));
    assert_eq!(users["default/networks/ip"], json!(["::1", "127.0.0.1", "10.244.0.7"]));
    assert!(
        !users.contains_key("plain/password")
            && !users.contains_key("default/password")
            && !users.contains_key("app/password_sha256_hex")
    );
    assert_eq!(
        installation.environment(),
        [json!({"name": "CONFIGURATION_USERS_APP_PASSWORD", "valueFrom": source["valueFrom"]})]
    );
}
