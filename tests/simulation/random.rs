//! Rounds that follow from a seed, and the shortest one that still breaks a promise.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

use super::faults::Fault;
use super::rounds::{Plan, Told, tell};
use super::stories::Command;

/// How many seeds in a row tell the same story, each with faults of its own.
pub(super) const SHARED: u64 = 8;

/// A story, and how it goes without faults.
pub(super) struct Tale {
    commands: Vec<Command>,
    pub(super) clean: Told,
}

impl Tale {
    /// That of a seed.
    pub(super) fn of(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed / SHARED);
        let mut inputs = json!({});
        let mut commands = Vec::new();
        for index in 0..rng.random_range(2..=5) {
            let command = if index == 0 { up(&mut rng, &mut inputs) } else { command(&mut rng, &mut inputs) };
            commands.push(command);
        }
        let plan = Plan { commands, faults: Vec::new(), seed: seed / SHARED };
        let clean = tell(&plan, None, None);
        Self { commands: plan.commands, clean }
    }

    /// The round of a seed that tells this story.
    pub(super) fn plan(&self, seed: u64) -> Plan {
        let mut rng = StdRng::seed_from_u64(!seed);
        let faults = (0..rng.random_range(1..=3))
            .map(|_| {
                let at = rng.random_range(0..self.clean.requests.len().max(1) + 8);
                (at, fault(&mut rng, &self.commands))
            })
            .collect();
        Plan { commands: self.commands.clone(), faults, seed }
    }
}

fn fault(rng: &mut StdRng, commands: &[Command]) -> Fault {
    match rng.random_range(0..16) {
        0 if commands.iter().all(Command::knows_where) => Fault::Elsewhere,
        _ => Fault::ALL[rng.random_range(0..Fault::ALL.len())],
    }
}

fn command(rng: &mut StdRng, inputs: &mut Value) -> Command {
    match rng.random_range(0..20) {
        0..11 => up(rng, inputs),
        11 => Command::Replace(inputs.clone()),
        12 | 13 => Command::Refresh,
        14 | 15 => Command::Destroy,
        16 if rng.random_bool(0.3) => Command::Renamed,
        16 => Command::Import,
        17 | 18 => Command::Deleted(one_of(rng, &DELETED).to_owned()),
        _ => {
            let (pointer, value) = &edits()[rng.random_range(0..3)];
            Command::Edited(DELETED[2].to_owned(), (*pointer).to_owned(), value.clone())
        }
    }
}

/// What somebody may delete.
const DELETED: [&str; 6] = [
    "/api/v1/namespaces/apps/secrets/db-credentials",
    "/api/v1/namespaces/apps/services/db",
    "/apis/clickhouse.altinity.com/v1/namespaces/apps/clickhouseinstallations/db",
    "/apis/clickhouse-keeper.altinity.com/v1/namespaces/apps/clickhousekeeperinstallations/db",
    "/api/v1/namespaces/apps/pods/chi-db-cluster-0-0-0",
    "/apis/apps/v1/namespaces/apps/statefulsets/chi-db-cluster-0-0",
];

/// What somebody may set in the installation.
fn edits() -> [(&'static str, Value); 3] {
    [
        ("/spec/stop", json!("yes")),
        ("/spec/configuration/users/default~1password_sha256_hex", json!("b".repeat(64))),
        ("/metadata/labels/somebody", json!("else")),
    ]
}

fn one_of<'a>(rng: &mut StdRng, of: &[&'a str]) -> &'a str {
    of[rng.random_range(0..of.len())]
}

/// `pulumi up` with one to three inputs that differ from before.
fn up(rng: &mut StdRng, inputs: &mut Value) -> Command {
    for _ in 0..rng.random_range(1..=3) {
        let (input, value) = input(rng);
        if value.is_null() {
            inputs.as_object_mut().unwrap().remove(input);
        } else {
            inputs[input] = value;
        }
    }
    Command::Up(inputs.clone())
}

/// An input with a value; null for none.
fn input(rng: &mut StdRng) -> (&'static str, Value) {
    let is_set = rng.random_bool(0.6);
    let or_none = |value: Value| if is_set { value } else { Value::Null };
    match rng.random_range(0..20) {
        0 | 1 => ("shards", json!(rng.random_range(1..=3))),
        2 | 3 => ("replicas", json!(rng.random_range(1..=2))),
        4 | 5 => ("storage", or_none(storage(rng))),
        6 => ("allowDataLoss", or_none(json!(true))),
        7 => ("admin", or_none(json!({"passwordVersion": rng.random_range(0..9).to_string()}))),
        8 => ("admin", or_none(json!({"password": format!("a-Long-one-{}", rng.random_range(0..9))}))),
        9 => ("version", or_none(json!(one_of(rng, &["26.3.33.24", "26.4.1.1", "26.7.3.1"])))),
        10 => ("settings", or_none(json!({"max_connections": rng.random_range(1000..1010)}))),
        11 => ("restartToken", or_none(json!(rng.random_range(0..9).to_string()))),
        12 => ("stopped", or_none(json!(true))),
        13 => ("suspended", or_none(json!(true))),
        14 => ("ingress", or_none(json!({"type": "LoadBalancer", "sourceRanges": ["192.0.2.0/24"]}))),
        15 => ("labels", or_none(json!({"tier": rng.random_range(0..9).to_string()}))),
        16 => ("users", or_none(json!({"app": {"passwordSha256": "a".repeat(64)}}))),
        17 => ("skipAwait", or_none(json!(true))),
        18 => ("networkPolicy", or_none(json!({"from": [{"podSelector": {}}]}))),
        _ => ("name", or_none(json!("second"))),
    }
}

fn storage(rng: &mut StdRng) -> Value {
    json!({
        "size": one_of(rng, &["40Gi", "50Gi", "60Gi", "80Gi"]),
        "reclaimPolicy": one_of(rng, &["Retain", "Delete"]),
        "provisioner": one_of(rng, &["Operator", "Operator", "StatefulSet"]),
    })
}

/// The same round with whatever can be left out of it left out, and what is wrong in it.
pub(super) fn shrink(mut plan: Plan) -> (Plan, Vec<String>) {
    let wrong_in = |plan: &Plan| {
        let clean = tell(&Plan { faults: Vec::new(), ..plan.clone() }, None, None);
        let told = tell(plan, None, Some(&clean));
        [clean.wrong, told.wrong].concat()
    };
    let mut wrong = wrong_in(&plan);
    loop {
        let shorter = shorter(&plan).find_map(|shorter| {
            let wrong = wrong_in(&shorter);
            (!wrong.is_empty()).then_some((shorter, wrong))
        });
        match shorter {
            Some(found) => (plan, wrong) = found,
            None => return (plan, wrong),
        }
    }
}

/// Rounds that are a little less.
fn shorter(plan: &Plan) -> impl Iterator<Item = Plan> {
    let without_fault = |index: usize| {
        let mut shorter = plan.clone();
        shorter.faults.remove(index);
        shorter
    };
    let without_command = |index: usize| {
        let mut shorter = plan.clone();
        shorter.commands.remove(index);
        shorter
    };
    let faults: Vec<_> = (0..plan.faults.len()).map(without_fault).collect();
    let commands: Vec<_> =
        (0..plan.commands.len()).filter(|_| plan.commands.len() > 1).map(without_command).collect();
    let simpler: Vec<_> = (0..plan.commands.len()).flat_map(|index| simpler(plan, index)).collect();
    faults.into_iter().chain(commands).chain(simpler)
}

/// Rounds in which a program has one input less.
fn simpler(plan: &Plan, index: usize) -> Vec<Plan> {
    let (Command::Up(inputs) | Command::Replace(inputs)) = &plan.commands[index] else { return Vec::new() };
    let keys: Vec<_> = inputs.as_object().unwrap().keys().cloned().collect();
    keys.into_iter()
        .map(|key| {
            let mut shorter = plan.clone();
            if let Command::Up(inputs) | Command::Replace(inputs) = &mut shorter.commands[index] {
                inputs.as_object_mut().unwrap().remove(&key);
            }
            shorter
        })
        .collect()
}
