//! What comes from outside may be anything: answers of the API server, the stored state, a program. Whatever
//! it is, no call panics or hangs, nothing is lost, and no password is told.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

use super::faults::Fault;
use super::rounds::{Plan, Told, tell};
use super::runs::{clean, for_all};
use super::stories::{self, Command};

/// How many programs are made up.
const PROGRAMS: u64 = 400;

/// What is wrong in a round in which nothing else can be expected to go well.
fn hard(told: &Told) -> Vec<String> {
    const HARD: [&str; 5] = [
        "a volume is lost",
        "did not come back",
        "tells the password",
        "is told outside of the Secret",
        "defect of the provider",
    ];
    let is_hard = |problem: &&String| HARD.iter().any(|hard| problem.contains(hard));
    let panicked = told.steps.iter().filter(|step| step.said.contains("defect of the provider"));
    let wrong = told.wrong.iter().filter(is_hard).cloned();
    wrong.chain(panicked.map(|step| step.said.clone())).collect()
}

fn none_of(problems: Vec<Option<String>>) {
    let problems: Vec<_> = problems.into_iter().flatten().collect();
    let shown = problems[..problems.len().min(12)].join("\n");
    assert!(problems.is_empty(), "{} rounds\n{shown}", problems.len());
}

fn problem(plan: &Plan, told: &Told) -> Option<String> {
    let wrong = hard(told);
    (!wrong.is_empty()).then(|| format!("{plan:?}\n    {}", wrong.join("\n    ")))
}

#[test]
#[ignore = "takes an optimised build: `cargo test-all` runs it"]
fn garbled_answers_do_no_harm() {
    let stories = stories::all();
    let clean = for_all(&stories, clean);
    let rounds: Vec<_> = stories
        .iter()
        .zip(&clean)
        .flat_map(|(story, clean)| (0..clean.requests.len()).map(move |at| (story, clean, at)))
        .collect();
    none_of(for_all(&rounds, |((_, commands), clean, at)| {
        let faults = vec![(*at, Fault::Garbled)];
        let plan = Plan { commands: commands.clone(), faults, seed: *at as u64 };
        problem(&plan, &tell(&plan, None, Some(clean)))
    }));
}

/// Values of all kinds, some of them nothing that is ever there.
fn anything(rng: &mut StdRng, depth: usize) -> Value {
    match rng.random_range(0..if depth > 3 { 8 } else { 10 }) {
        0 => Value::Null,
        1 => json!(rng.random_bool(0.5)),
        2 => json!(rng.random_range(-5..5)),
        3 => json!(1e300),
        4 => json!(""),
        5 => json!(["db", "10Gi", "-1", "1e9Ei", "a/b", "10.0.0.0/33", "\u{0}", "ü"][rng.random_range(0..8)]),
        6 => json!("x".repeat(rng.random_range(1..3000))),
        7 => json!(i64::MAX),
        8 => (0..rng.random_range(0..3)).map(|_| anything(rng, depth + 1)).collect(),
        _ => {
            let keys = ["name", "size", "type", "default", "settings", "port", "host", "", "a/b"];
            let mut map = json!({});
            for _ in 0..rng.random_range(0..4) {
                map[keys[rng.random_range(0..keys.len())]] = anything(rng, depth + 1);
            }
            map
        }
    }
}

/// Inputs by their names.
const INPUTS: [&str; 34] = [
    "name",
    "namespace",
    "createNamespace",
    "labels",
    "annotations",
    "clusterName",
    "version",
    "image",
    "shards",
    "replicas",
    "layout",
    "resources",
    "storage",
    "coordination",
    "admin",
    "users",
    "profiles",
    "quotas",
    "settings",
    "files",
    "interserverSecret",
    "tls",
    "perShardServices",
    "ingress",
    "pod",
    "podDisruptionBudget",
    "networkPolicy",
    "monitoring",
    "backup",
    "logging",
    "hooks",
    "chiOverrides",
    "chkOverrides",
    "clusterDomain",
];

#[test]
#[ignore = "takes an optimised build: `cargo test-all` runs it"]
fn programs_of_anything_do_no_harm() {
    let seeds: Vec<u64> = (0..PROGRAMS).collect();
    none_of(for_all(&seeds, |seed| {
        let mut rng = StdRng::seed_from_u64(*seed);
        let mut inputs = json!({});
        for _ in 0..rng.random_range(1..4) {
            inputs[INPUTS[rng.random_range(0..INPUTS.len())]] = anything(&mut rng, 0);
        }
        let commands = vec![Command::Up(json!({})), Command::Up(inputs), Command::Destroy];
        let plan = Plan { commands, faults: Vec::new(), seed: *seed };
        problem(&plan, &tell(&plan, None, None))
    }));
}

/// Outputs by their names.
const OUTPUTS: [&str; 17] = [
    "name",
    "namespace",
    "clusterName",
    "username",
    "password",
    "credentialsSecret",
    "version",
    "image",
    "shards",
    "replicas",
    "endpoints",
    "connection",
    "hosts",
    "keeper",
    "uids",
    "incarnation",
    "kubernetes",
];

#[test]
#[ignore = "takes an optimised build: `cargo test-all` runs it"]
fn states_of_anything_do_no_harm() {
    let values =
        || [Value::Null, json!(7), json!("not-the-one-it-was"), json!(["a", 1]), json!({"a": {"b": 1}})];
    let next = || [Command::Up(json!({"replicas": 2, "shards": 2})), Command::Refresh, Command::Destroy];
    let rounds: Vec<_> = OUTPUTS
        .iter()
        .flat_map(|output| values().map(|value| (*output, value)))
        .flat_map(|(output, value)| next().map(|next| (output, value.clone(), next)))
        .collect();
    none_of(for_all(&rounds, |(output, value, next)| {
        let tampered = Command::Tampered((*output).to_owned(), value.clone());
        let commands = vec![Command::Up(json!({"replicas": 2})), tampered, next.clone()];
        let plan = Plan { commands, ..Plan::default() };
        problem(&plan, &tell(&plan, None, None))
    }));
}
