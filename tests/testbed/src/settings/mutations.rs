//! Configurations with something wrong in them, or nothing: made from a seed.

use clickhouse_provider::settings::catalogue::{Kind, Release};
use serde_json::{Map, Value, json};

use super::catalogue::{All, Fact};

/// A source of numbers: the same seed gives the same ones.
#[derive(Debug, Clone)]
pub(super) struct Seeded(u64);

/// A part of `configuration` (`profiles`, `settings` …) with keys and values.
pub(super) type Part = (&'static str, Map<String, Value>);

/// Texts that are right or wrong of one type or another.
const TEXTS: [&str; 52] = [
    "0",
    "1",
    "2",
    "5",
    "10",
    "100",
    "-1",
    "+7",
    "007",
    "1.5",
    ".5",
    "1e3",
    "1e+2",
    "1e",
    "-0.5",
    "abc",
    "",
    " 5",
    "5 ",
    "auto",
    "Auto",
    "auto(4)",
    "true",
    "True",
    "FALSE",
    "yes",
    "no",
    "on",
    "10G",
    "10Gi",
    "10GB",
    "64k",
    "64K",
    "64Ki",
    "64KI",
    "1M",
    "1m",
    "5T",
    "5s",
    "10 s",
    "0x10",
    "1_000",
    "1,000",
    "nan",
    "inf",
    "18446744073709551615",
    "18446744073709551616",
    "9223372036854775808",
    "100000000000000000000",
    "throw",
    "random",
    "UTC",
];
const ADDRESSES: [&str; 12] = [
    "10.0.0.0/8",
    "::/0",
    "::1",
    "127.0.0.1",
    "10.0.0.0/33",
    "10.0.0.256",
    "localhost",
    "2001:db8::/129",
    "10.0.0.0/",
    "10.0.0.0/255.0.0.0",
    "abc",
    "fd00::/8",
];
/// Sections of the server's configuration that are no settings.
const SECTIONS: [(&str, &str); 10] = [
    ("listen_host", "::"),
    ("tcp_port", "9000"),
    ("http_port", "8123"),
    ("interserver_http_port", "9009"),
    ("dictionaries_config", "*_dictionary.xml"),
    ("storage_configuration/disks/cold/path", "/tmp/cold/"),
    ("remote_url_allow_hosts/host", "example.com"),
    ("timezone", "UTC"),
    ("max_session_timeout", "3600"),
    ("compression/case/method", "zstd"),
];
/// Settings that change what a test of an engine in a process can show: its memory, its paths, its database,
/// its logs.
const APART: [&str; 14] = [
    "path",
    "tmp_path",
    "tmp_policy",
    "default_database",
    "max_server_memory_usage",
    "max_server_memory_usage_to_ram_ratio",
    "temporary_data_in_cache",
    "config-file",
    "include_from",
    "mlock_executable",
    "remap_executable",
    "oom_score",
    "keeper_hosts",
    "license_public_key_for_testing",
];

impl Seeded {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `end`.
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % (end.max(1) as u64)).unwrap_or_default()
    }

    fn of<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len()))
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// The next configuration for a release.
pub(super) fn next(seeded: &mut Seeded, catalogue: &All, release: Release) -> Part {
    let mut said = Map::new();
    let kind = seeded.below(100);
    let part = match kind {
        0..45 => {
            let (name, fact) = setting(seeded, catalogue, release, Kind::Query);
            let name = misspelt(seeded, &name);
            match seeded.below(10) {
                0 => {
                    let limit = *seeded
                        .of(&["min", "max", "disallowed", "readonly", "const", "maximum", "allowed"])
                        .unwrap_or(&"max");
                    said.insert(
                        format!("web/constraints/{name}/{limit}"),
                        value(seeded, catalogue, release, fact.as_ref()),
                    );
                }
                1 => _ = said.insert(format!("web/{name}/{}", "deeper"), json!("1")),
                2 => {
                    _ = said.insert(
                        format!("web/{name}"),
                        json!([value(seeded, catalogue, release, fact.as_ref()), "1"]),
                    );
                }
                _ => _ = said.insert(format!("web/{name}"), value(seeded, catalogue, release, fact.as_ref())),
            }
            "profiles"
        }
        45..65 => {
            let (name, fact) = setting(seeded, catalogue, release, Kind::Server);
            let name = misspelt(seeded, &name).replace('.', "/");
            said.insert(name, value(seeded, catalogue, release, fact.as_ref()));
            "settings"
        }
        65..80 => {
            let (name, fact) = setting(seeded, catalogue, release, Kind::MergeTree);
            let name = misspelt(seeded, &name);
            let section = if seeded.chance(15) { "replicated_merge_tree" } else { "merge_tree" };
            said.insert(format!("{section}/{name}"), value(seeded, catalogue, release, fact.as_ref()));
            "settings"
        }
        80..84 => {
            let (section, text) = *seeded.of(&SECTIONS).unwrap_or(&("timezone", "UTC"));
            said.insert(section.to_owned(), json!(text));
            "settings"
        }
        84..87 => {
            let (name, fact) = setting(seeded, catalogue, release, Kind::Query);
            said.insert(name, value(seeded, catalogue, release, fact.as_ref()));
            "settings"
        }
        87..92 => {
            let log = *seeded
                .of(&["query_log", "part_log", "text_log", "query_metric_log", "session_log", "crash_log"])
                .unwrap_or(&"query_log");
            for _ in 0..=seeded.below(2) {
                let fields = [
                    "ttl",
                    "partition_by",
                    "order_by",
                    "engine",
                    "flush_interval_milliseconds",
                    "storage_policy",
                    "nothing",
                ];
                let field = *seeded.of(&fields).unwrap_or(&"ttl");
                let text = match field {
                    "ttl" => "event_date + INTERVAL 7 DAY",
                    "engine" => "ENGINE = MergeTree ORDER BY event_time",
                    "storage_policy" => "default",
                    "flush_interval_milliseconds" => *seeded.of(&TEXTS).unwrap_or(&"1"),
                    _ => "event_date",
                };
                said.insert(format!("{log}/{field}"), json!(text));
            }
            "settings"
        }
        92..97 => user(seeded, &mut said),
        _ => {
            let field = *seeded
                .of(&[
                    "queries",
                    "errors",
                    "read_rows",
                    "execution_time",
                    "duration",
                    "written_bytes",
                    "nothing",
                ])
                .unwrap_or(&"queries");
            said.insert("small/interval/duration".to_owned(), json!("3600"));
            said.insert(format!("small/interval/{field}"), json!(seeded.of(&TEXTS)));
            "quotas"
        }
    };
    (part, said)
}

fn user(seeded: &mut Seeded, said: &mut Map<String, Value>) -> &'static str {
    said.insert("app/password_sha256_hex".to_owned(), json!("0".repeat(64)));
    match seeded.below(6) {
        0 => {
            _ = said.insert(
                "app/profile".to_owned(),
                json!(seeded.of(&["default", "readonly", "web", "nope", "Default"])),
            );
        }
        1 => _ = said.insert("app/quota".to_owned(), json!(seeded.of(&["default", "nope"]))),
        2 => {
            _ = said
                .insert("app/networks/ip".to_owned(), json!([seeded.of(&ADDRESSES), seeded.of(&ADDRESSES)]));
        }
        3 => _ = said.insert("app/access_management".to_owned(), json!(seeded.of(&TEXTS))),
        4 => {
            let digits = seeded.below(3) + 63;
            said.insert("app/password_sha256_hex".to_owned(), json!("a".repeat(digits)));
        }
        _ => {
            said.insert("app/grants/query".to_owned(), json!(["GRANT SELECT ON default.*"]));
            if seeded.chance(50) {
                said.insert("app/access_management".to_owned(), json!(seeded.of(&["0", "1", "true", "no"])));
            }
        }
    }
    "users"
}

/// A setting of one kind, mostly of this release.
fn setting(seeded: &mut Seeded, catalogue: &All, release: Release, kind: Kind) -> (String, Option<Fact>) {
    let any: Vec<Release> = catalogue.keys().copied().collect();
    let from = if seeded.chance(12) { seeded.of(&any).copied().unwrap_or(release) } else { release };
    let Some(facts) = catalogue.get(&from) else { return Default::default() };
    let names: Vec<_> = facts
        .settings
        .iter()
        .filter(|((other, name), _)| *other == kind && !APART.contains(&name.as_str()))
        .collect();
    // What the testbed itself says of the logger comes last.
    let names: Vec<_> = names.into_iter().filter(|((_, name), _)| !name.starts_with("logger.")).collect();
    seeded.of(&names).map(|((_, name), fact)| (name.clone(), Some((*fact).clone()))).unwrap_or_default()
}

/// The name, or now and then one with a few letters changed.
fn misspelt(seeded: &mut Seeded, name: &str) -> String {
    let mut letters: Vec<char> = name.chars().collect();
    if !seeded.chance(30) || letters.len() < 3 {
        return name.to_owned();
    }
    for _ in 0..=seeded.below(3) {
        // An element of XML begins with a letter.
        let place = 1 + seeded.below(letters.len() - 1);
        let letter = *seeded.of(&['a', 'e', 'i', 's', 't', 'z', '_', 'x', '0', 'M']).unwrap_or(&'x');
        match seeded.below(4) {
            0 => _ = letters.remove(place),
            1 => letters.insert(place, letter),
            2 => letters.swap(place, place - 1),
            _ => letters[place] = letter,
        }
        if letters.len() < 3 {
            break;
        }
    }
    let text: String = letters.into_iter().collect();
    if text.starts_with(|c: char| c.is_ascii_alphabetic()) { text } else { name.to_owned() }
}

/// A value, right or wrong, of the setting's type or of another.
fn value(seeded: &mut Seeded, catalogue: &All, release: Release, fact: Option<&Fact>) -> Value {
    let words = fact.and_then(|fact| catalogue.get(&release)?.words.get(&fact.value));
    if let Some((words, _)) = words.filter(|_| seeded.chance(70)) {
        let one = seeded.of(words).cloned().unwrap_or_default();
        return match seeded.below(6) {
            0 => json!(one.to_uppercase()),
            1 => json!(format!("{one},{}", seeded.of(words).cloned().unwrap_or_default())),
            2 => json!(misspelt(seeded, &one)),
            _ => json!(one),
        };
    }
    match seeded.below(12) {
        0 => json!(seeded.below(1000)),
        1 => json!(true),
        2 => json!(0.25),
        3 => json!(-3),
        _ => json!(seeded.of(&TEXTS)),
    }
}
