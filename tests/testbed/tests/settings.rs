//! The preview judges configuration as ClickHouse's engines do, where they are on this machine: `cargo
//! settings` gets them.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a helper that fails is a test that fails; which engines judged is said"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use testbed::engine::wheels::{WHEELS, Wheel};
use testbed::settings::engines::Running;
use testbed::settings::{catalogue, judge};

/// A part of what `cargo settings judge` tries.
const SAMPLE: usize = 150;

/// The engines that are here; says so where one is not.
fn engines() -> Vec<Wheel> {
    let present = Wheel::present().unwrap();
    for engine in WHEELS
        .iter()
        .filter(|engine| engine.judges && present.iter().all(|other| other.release != engine.release))
    {
        eprintln!(
            "ClickHouse {} does not judge here, since its engine is not installed: `cargo settings` does \
                that",
            engine.release
        );
    }
    present
}

#[test]
fn the_catalogue_is_what_the_engines_say() {
    for engine in engines() {
        assert_eq!(
            catalogue::stale(engine).unwrap(),
            Vec::<String>::new(),
            "ClickHouse {}: run `cargo settings`",
            engine.release
        );
    }
}

#[test]
fn the_previews_verdict_is_the_engines() {
    for engine in engines() {
        let outcome = judge::compare(engine, 9, SAMPLE).unwrap();
        eprintln!("ClickHouse {}: {outcome}", engine.release);
        assert_eq!(outcome.falsely_refused, Vec::<String>::new(), "ClickHouse {}", engine.release);
    }
}

/// What operator 0.25.6 made of installations of ours.
fn recordings() -> Vec<(String, Value, BTreeMap<String, String>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/itself/rendered");
    let Ok(entries) = fs::read_dir(&folder) else {
        eprintln!("there are no recordings in {}", folder.display());
        return Vec::new();
    };
    let cases = entries.map(|entry| entry.unwrap().path()).filter(|path| path.join("files").is_dir());
    cases
        .map(|case| {
            (case.file_name().unwrap().to_string_lossy().into_owned(), installation(&case), files(&case))
        })
        .collect()
}

fn installation(case: &Path) -> Value {
    let objects: Vec<Value> =
        serde_json::from_str(&fs::read_to_string(case.join("objects.json")).unwrap()).unwrap();
    objects.into_iter().find(|object| object["kind"] == "ClickHouseInstallation").unwrap()
}

/// The files of the first host.
fn files(case: &Path) -> BTreeMap<String, String> {
    let maps = fs::read_dir(case.join("files")).unwrap().map(|entry| entry.unwrap().path());
    let mut maps: Vec<_> = maps
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("chi-")))
        .collect();
    maps.sort();
    let of = |part: &str| {
        maps.iter().find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().contains(part)))
    };
    let folders = [
        ("config.d", of("-common-configd")),
        ("users.d", of("-common-usersd")),
        ("conf.d", of("-deploy-confd-")),
    ];
    let maps = folders.into_iter().filter_map(|(folder, map)| Some((folder, map?)));
    maps.flat_map(|(folder, map)| {
        let files = fs::read_dir(map).unwrap().map(|entry| entry.unwrap().path());
        files.map(move |file| {
            (
                format!("{folder}/{}", file.file_name().unwrap().to_string_lossy()),
                fs::read_to_string(file).unwrap(),
            )
        })
    })
    .collect()
}

#[test]
fn the_engines_start_with_what_the_operator_makes_of_ours_or_the_preview_refuses_it() {
    let cases = recordings();
    for engine in engines() {
        let mut running = Running::start(engine).unwrap();
        for (name, installation, files) in &cases {
            let refused = !clickhouse_provider::settings::problems(installation).is_empty();
            let verdict =
                running.judge(&json!({"files": files, "ask": ["SELECT count() FROM system.users"]})).unwrap();
            // Of a TTL beside an engine only the newer engine takes notice without its server.
            assert!(
                verdict.took != refused || verdict.took && name == "users-profiles-quotas-settings-files",
                "{name}, ClickHouse {}: {}",
                engine.release,
                verdict.reason
            );
        }
    }
}
