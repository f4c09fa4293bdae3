//! Texts and bytes from outside that are almost what they should be: kubeconfigs, quantities, paths, requests
//! of an engine. None makes the provider panic, hang, or tell a secret.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::oracle::NAMESPACE;
use super::runs::for_all;
use super::world::World;
use crate::kubernetes::client::{self, Settings};
use crate::kubernetes::quantity;
use crate::property::json::from_json;
use crate::property::path::PropertyPath;
use crate::property::{PropertyMap, PropertyValue};
use crate::rpc::in_process::{Call, Plugin};

/// How many texts of each sort are made up, and how many engines.
const TEXTS: u64 = 4_000;
const ENGINES: u64 = 400;

/// What stands in no message.
const TOKEN: &str = "t0ken-of-nobody";

/// Bytes that are a little different: some are lost, doubled, moved, others, or others' own.
fn mutated(rng: &mut StdRng, from: &[u8], others: &[&[u8]]) -> Vec<u8> {
    let mut bytes = from.to_vec();
    for _ in 0..rng.random_range(1..6) {
        let at = rng.random_range(0..=bytes.len());
        let end = (at + rng.random_range(0..12)).min(bytes.len());
        match rng.random_range(0..6) {
            0 => _ = bytes.drain(at..end),
            1 => {
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            2 => bytes[at..end].reverse(),
            3 if at < bytes.len() => bytes[at] ^= 1 << rng.random_range(0..8),
            4 => bytes.truncate(at.max(1)),
            _ => {
                let other = others[rng.random_range(0..others.len())];
                bytes.splice(at..end, other.iter().copied());
            }
        }
    }
    bytes
}

/// The same number of bytes, some of them others: what says how long something is mostly stays true, and so
/// most of it is still a request.
fn overwritten(rng: &mut StdRng, from: &[u8]) -> Vec<u8> {
    let mut bytes = from.to_vec();
    for _ in 0..rng.random_range(1..3) {
        let at = rng.random_range(0..bytes.len());
        let end = (at + rng.random_range(0..8)).min(bytes.len());
        match rng.random_range(0..3) {
            0 => bytes[at] ^= 1 << rng.random_range(0..7),
            1 => bytes[at..end].reverse(),
            _ => bytes.copy_within(at..end, at / 2),
        }
    }
    bytes
}

fn mutated_text(rng: &mut StdRng, from: &str, others: &[&str]) -> String {
    let others: Vec<_> = others.iter().map(|other| other.as_bytes()).collect();
    String::from_utf8_lossy(&mutated(rng, from.as_bytes(), &others)).into_owned()
}

fn settings(contents: &str) -> Settings {
    Settings { kubeconfig: Some(SecretString::from(contents.to_owned())), ..Settings::default() }
}

#[test]
fn kubeconfigs_of_anything_do_no_harm() {
    let whole = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: one\nclusters:\n- name: here\n  cluster:\n    \
         server: https://192.0.2.1:6443\n    certificate-authority-data: QUJD\ncontexts:\n- name: one\n  \
         context:\n    cluster: here\n    user: me\n    namespace: apps\nusers:\n- name: me\n  user:\n    \
         token: {TOKEN}\n    exec:\n      apiVersion: client.authentication.k8s.io/v1\n      command: login\n"
    );
    let parts = ["- ", ": ", "\n", "  ", "&a ", "*a", "null", "{", "[", "'", "\"", "|\n", "!!binary ", "~"];
    for seed in 0..TEXTS {
        let mut rng = StdRng::seed_from_u64(seed);
        let text = format!("{}\n", mutated_text(&mut rng, &whole, &parts));
        let settings = settings(&text);
        let checked = client::check(&settings);
        _ = client::server(&settings);
        let told = checked.failures.iter().map(|(_, problem)| problem).chain(&checked.warnings);
        for problem in told {
            // A name is told; what stands where a secret belongs is not.
            assert!(!problem.contains(TOKEN) || !whole_names(&text), "seed {seed}: {problem}\n{text}");
        }
    }
}

/// Whether the token stands where it belongs, and so is no name.
fn whole_names(text: &str) -> bool {
    text.contains(&format!("\n    token: {TOKEN}\n"))
}

#[test]
fn a_kubeconfig_that_grows_without_end_is_refused_soon() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let below = format!("*a{}", level - 1);
        _ = writeln!(bomb, "a{level}: &a{level} [{}]", vec![below; 10].join(", "));
    }
    let deep = format!("clusters: {}{}\n", "[".repeat(20_000), "]".repeat(20_000));
    for text in [bomb, deep, "x: ".repeat(20_000) + "\n", "- ".repeat(20_000) + "\n"] {
        let started = Instant::now();
        assert!(!client::check(&settings(&text)).failures.is_empty());
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    }
}

#[test]
fn quantities_of_anything_do_no_harm() {
    let parts = ["0", "9", ".", "-", "+", "e", "E", "Ki", "m", "n", "i", "1e", "99999999999999999999", "ü"];
    for seed in 0..10 * TEXTS {
        let mut rng = StdRng::seed_from_u64(seed);
        let from = ["4Gi", "500m", "1e9", "1.5", "-0.1n", "9223372036854775807"];
        let from = from[rng.random_range(0..from.len())];
        let text = mutated_text(&mut rng, from, &parts);
        let value = quantity::nanos(&text);
        assert!(quantity::same(&text, &text) && !quantity::shrinks(&text, &text), "{text}");
        if !text.starts_with(['-', '+']) {
            assert_eq!(quantity::nanos(&format!("-{text}")), value.map(|value| -value), "{text}");
        }
    }
    assert_eq!(quantity::nanos(&"9".repeat(1_000_000)), None);
    assert_eq!(quantity::nanos(&format!("1e{}", "9".repeat(1_000_000))), None);
}

#[test]
fn paths_of_anything_do_no_harm() {
    let parts = [".", "[", "]", "[0]", "[99999999999999999999]", "\"", "\\", "ü", "a"];
    let value = json!({"a": [{"b": 1}], "storage": {"size": "1Gi"}});
    for seed in 0..TEXTS {
        let mut rng = StdRng::seed_from_u64(seed);
        let text = mutated_text(&mut rng, "storage.disks[0].size", &parts);
        let path = PropertyPath::from(text.as_str());
        _ = (path.to_string(), path.find_in(&value), path.top_level());
        assert!(path.contains(&path));
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '.';
        if text.chars().all(is_plain) {
            assert_eq!(PropertyPath::from(path.to_string().as_str()), path, "{text}");
        }
    }
}

fn map(value: &Value) -> PropertyMap {
    match from_json(value) {
        PropertyValue::Map(map) => map,
        _ => PropertyMap::new(),
    }
}

/// Sends a provider almost the requests of an engine: how many of them it understands, or what is wrong.
async fn talk(seed: u64) -> Result<usize, String> {
    const LONGEST: Duration = Duration::from_secs(2 * 60 * 60);
    const URN: &str = "urn:pulumi:dev::shop::clickhouse:kubernetes:Cluster::db";
    let mut rng = StdRng::seed_from_u64(seed);
    let world = World::new(seed, Vec::new(), None);
    let program = map(&json!({"name": "db", "namespace": NAMESPACE, "shards": 2, "storage": {"size": "9Gi"},
        "admin": {"password": TOKEN}, "labels": {"a": "b"}}));
    let urn = URN.as_bytes();
    let (mut wrong, mut understood) = (None, 0);
    for _ in 0..6 {
        let plugin: Plugin = world.plugin(false);
        let call = Call::ALL[rng.random_range(0..Call::ALL.len())];
        let whole = Plugin::written(call, URN, "apps/db", &program);
        let others: [&[u8]; 4] = [b"\x0a\x00", b"\xff\xff\xff\xff\x7f", urn, b"\x12\x04apps"];
        let bytes = if rng.random_bool(0.2) {
            mutated(&mut rng, &whole, &others)
        } else {
            overwritten(&mut rng, &whole)
        };
        match timeout(LONGEST, plugin.send(call, &bytes)).await {
            Err(_) => wrong = Some(format!("{call:?} does not come back")),
            Ok(Some(said)) if said.contains("defect of the provider") => wrong = Some(said),
            Ok(said) => understood += usize::from(said.is_some()),
        }
    }
    world.end();
    wrong.map_or(Ok(understood), |wrong| Err(format!("seed {seed}: {wrong}")))
}

#[test]
fn engines_of_anything_do_no_harm() {
    let seeds: Vec<u64> = (0..ENGINES).collect();
    let talks = for_all(&seeds, |seed| {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(talk(*seed))
    });
    let wrong: Vec<_> = talks.iter().filter_map(|talk| talk.as_ref().err().cloned()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let understood: usize = talks.iter().flatten().sum();
    assert!(understood as u64 > ENGINES, "only {understood} of the requests are requests");
}
