//! Several users at once, each with a stack or both with one, and one who thinks otherwise half-way.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use super::engine::{Ended, Engine};
use super::faults::Fault;
use super::oracle::{NAMESPACE, Oracle, there};
use super::promises::{broken, left};
use super::rounds::{REST, said};
use super::runs::{for_all, is_whole};
use super::world::World;

/// How often a user tries.
const TRIES: usize = 3;

/// Of the rounds one in so many is told, unless all are to be; no multiple of the number of faults.
const SHARE: usize = 7;

/// What goes wrong at each request.
const FAULTS: [Fault; 4] =
    [Fault::KilledBefore, Fault::KilledAfter, Fault::AnswerLost, Fault::ServerRestarted];

/// A user with a stack of one cluster.
struct User {
    engine: Engine,
    program: Value,
    /// What the user was told.
    said: String,
}

impl User {
    fn new(world: &World, number: usize, stack: &str) -> Self {
        let urn = format!("urn:pulumi:{stack}::shop::clickhouse:kubernetes:Cluster::db");
        Self { engine: Engine::of(&world.of(number), &urn), program: json!({}), said: String::new() }
    }

    fn wants(&mut self, name: &str, inputs: &Value) {
        self.program = json!({"name": name, "namespace": NAMESPACE});
        for (key, value) in inputs.as_object().into_iter().flatten() {
            self.program[key] = value.clone();
        }
    }

    async fn up(&mut self) -> Result<(), Ended> {
        let outcome = self.engine.up(&self.program, false).await;
        self.said.push_str(&said(&outcome));
        outcome
    }

    /// `pulumi up` until it goes well.
    async fn insist(&mut self) -> Result<(), Ended> {
        let mut outcome = self.up().await;
        for _ in 1..TRIES {
            if outcome.is_err() {
                sleep(REST).await;
                outcome = self.up().await;
            }
        }
        outcome
    }

    /// `pulumi destroy` until it goes well.
    async fn leave(&mut self) -> Result<(), Ended> {
        let mut outcome = self.engine.destroy().await;
        for _ in 1..TRIES {
            if outcome.is_err() {
                sleep(REST).await;
                outcome = self.engine.destroy().await;
            }
        }
        outcome
    }

    /// What of the program is not as it should be after an `up` that went well.
    async fn judge(&mut self, world: &World, oracle: &mut Oracle) -> Vec<String> {
        let mut wrong = oracle.judge(self.engine.resource.as_ref(), false, &self.said);
        wrong.extend(broken(world.api(), &self.program));
        let mut looked = self.engine.is_up_to_date(&self.program).await;
        if looked.is_err() {
            sleep(REST).await;
            looked = self.engine.is_up_to_date(&self.program).await;
        }
        match looked {
            Ok(true) => {}
            other => wrong.push(format!("the next preview: {other:?}")),
        }
        wrong.append(&mut self.engine.wrong);
        wrong
    }
}

/// What is told of in a round, and of which requests.
struct Told {
    wrong: Vec<String>,
    requests: usize,
}

/// A story of several users, in a world in which these faults happen.
async fn begin(faults: Vec<(usize, Fault)>, seed: u64) -> (World, Oracle) {
    let world = World::new(seed, faults, None);
    let mut oracle = Oracle::new(&world);
    sleep(REST).await;
    oracle.begin();
    (world, oracle)
}

fn tell<F: Future<Output = Told>>(story: impl FnOnce() -> F) -> Told {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(story())
}

fn end(world: &World, wrong: Vec<String>) -> Told {
    world.end();
    Told { wrong, requests: world.lines().len() }
}

/// Tells a story without faults, and with each fault at each of its requests.
fn everywhere<F: Future<Output = Told>>(
    name: &str,
    faults: &[Fault],
    seeds: u64,
    story: impl Fn(Vec<(usize, Fault)>, u64) -> F + Sync,
) {
    let seeds: Vec<u64> = (0..seeds).collect();
    let clean = for_all(&seeds, |seed| tell(|| story(Vec::new(), *seed)));
    let (mut rounds, step) = (Vec::new(), if is_whole() { 1 } else { SHARE });
    for (seed, clean) in seeds.iter().zip(&clean) {
        assert!(clean.wrong.is_empty(), "{name}, seed {seed}:\n    {}", clean.wrong.join("\n    "));
        let of_seed = (0..clean.requests).flat_map(|at| faults.iter().map(move |fault| (*seed, at, *fault)));
        rounds.extend(of_seed.skip(usize::try_from(*seed).unwrap()).step_by(step));
    }
    let told = for_all(&rounds, |(seed, at, fault)| tell(|| story(vec![(*at, *fault)], *seed)).wrong);
    eprintln!("{name}: {} rounds", rounds.len());
    let wrong: Vec<_> = rounds.iter().zip(told).filter(|(_, wrong)| !wrong.is_empty()).collect();
    let shown: Vec<_> = wrong.iter().take(8).map(|(round, wrong)| format!("{round:?}: {wrong:#?}")).collect();
    assert!(wrong.is_empty(), "{name}: {} rounds broke a promise\n{}", wrong.len(), shown.join("\n"));
}

fn not_well(who: &str, outcome: &Result<(), Ended>) -> Option<String> {
    outcome.as_ref().err().map(|problem| format!("{who}: {problem:?}"))
}

/// Two stacks, each with a cluster, in one namespace.
async fn side_by_side(faults: Vec<(usize, Fault)>, seed: u64) -> Told {
    let (world, mut oracle) = begin(faults, seed).await;
    let [mut one, mut other] = [User::new(&world, 0, "dev"), User::new(&world, 1, "prod")];
    let steps = [
        (json!({}), json!({"replicas": 2})),
        (json!({"shards": 2}), json!({"replicas": 2, "version": "26.7.3.1"})),
    ];
    let mut wrong = Vec::new();
    for (mine, theirs) in steps {
        one.wants("first", &mine);
        other.wants("second", &theirs);
        let (mine, theirs) = tokio::join!(one.insist(), other.insist());
        wrong.extend([not_well("one", &mine), not_well("other", &theirs)].into_iter().flatten());
        sleep(REST).await;
        for user in [&mut one, &mut other] {
            wrong.extend(user.judge(&world, &mut oracle).await);
        }
    }
    other.wants("second", &json!({"replicas": 2, "admin": {"passwordVersion": "2"}}));
    let (mine, theirs) = tokio::join!(one.leave(), other.insist());
    wrong.extend([not_well("one", &mine), not_well("other", &theirs)].into_iter().flatten());
    sleep(REST).await;
    wrong.extend(other.judge(&world, &mut oracle).await);
    wrong.extend(left(world.api()).into_iter().filter(|left| left.contains("first")));
    end(&world, wrong)
}

/// Two stacks that want the same name at about the same time: one gets it, and the other one touches nothing.
async fn rivals(faults: Vec<(usize, Fault)>, seed: u64) -> Told {
    const LATER: [u64; 5] = [0, 2, 700, 2_000, 20_000];
    let (world, mut oracle) = begin(faults, seed).await;
    let mut users = [User::new(&world, 0, "dev"), User::new(&world, 1, "prod")];
    let mut wrong = Vec::new();
    for user in &mut users {
        user.wants("db", &json!({"replicas": 2}));
    }
    let [one, other] = &mut users;
    let later = Duration::from_millis(LATER[usize::try_from(seed).unwrap() % LATER.len()]);
    let second = async {
        sleep(later).await;
        other.insist().await
    };
    let outcomes = tokio::join!(one.insist(), second);
    let [mine, theirs] = [outcomes.0, outcomes.1];
    let has_it = usize::from(mine.is_err());
    if mine.is_ok() == theirs.is_ok() {
        wrong.push(format!("not one of two has the name: {mine:?}, {theirs:?}"));
    }
    sleep(REST).await;
    wrong.extend(users[has_it].judge(&world, &mut oracle).await);
    let before = there(world.api());
    let loser = &mut users[1 - has_it];
    let left = loser.leave().await;
    wrong.extend(not_well("who does not have it leaves", &left));
    wrong.append(&mut loser.engine.wrong);
    sleep(REST).await;
    if there(world.api()) != before {
        wrong.push("who does not have the name changes what is there".to_owned());
    }
    wrong.extend(users[has_it].judge(&world, &mut oracle).await);
    end(&world, wrong)
}

/// One stack whose lock is lost: two run it at once, and one of their states is kept.
async fn twins(faults: Vec<(usize, Fault)>, seed: u64) -> Told {
    let (world, mut oracle) = begin(faults, seed).await;
    let mut users = [User::new(&world, 0, "dev"), User::new(&world, 1, "dev")];
    let kept = usize::try_from(seed).unwrap() % 2;
    let mut wrong = Vec::new();
    let steps =
        [(json!({}), json!({})), (json!({"shards": 2}), json!({"settings": {"max_connections": 99}}))];
    for (mine, theirs) in steps {
        let [one, other] = &mut users;
        one.wants("db", &mine);
        other.wants("db", &theirs);
        // Neither has to go well: one may find the other's change.
        _ = tokio::join!(one.up(), other.up());
        sleep(REST).await;
        let state = users[kept].engine.resource.clone();
        users[1 - kept].engine.resource = state;
        let user = &mut users[kept];
        // What the other one made of it may be more.
        user.wants("db", &json!({"shards": if mine["shards"] == 2 { 2 } else { 1 }}));
        let refreshed = user.engine.refresh().await;
        if refreshed.is_err() {
            sleep(REST).await;
            wrong.extend(not_well("a refresh", &user.engine.refresh().await));
        }
        wrong.extend(not_well("who goes on", &user.insist().await));
        sleep(REST).await;
        wrong.extend(user.judge(&world, &mut oracle).await);
        let state = users[kept].engine.resource.clone();
        users[1 - kept].engine.resource = state;
    }
    end(&world, wrong)
}

/// What a user wanted, and what then instead.
fn changes() -> Vec<(Value, Value)> {
    vec![
        (json!({"version": "26.7.3.1"}), json!({})),
        (json!({"settings": {"max_connections": 99}}), json!({})),
        (json!({"admin": {"passwordVersion": "2"}}), json!({"admin": {"passwordVersion": "3"}})),
        (json!({"admin": {"password": "a-Long-one-1"}}), json!({"admin": {"password": "a-Long-one-2"}})),
        (json!({"stopped": true}), json!({})),
        (json!({"ingress": {"type": "LoadBalancer"}}), json!({})),
        (json!({"storage": {"size": "60Gi"}}), json!({"storage": {"size": "80Gi"}})),
        (json!({"shards": 2}), json!({"shards": 3})),
        (json!({"replicas": 2}), json!({"replicas": 2, "labels": {"tier": "data"}})),
        (json!({"networkPolicy": {"from": [{"podSelector": {}}]}}), json!({})),
    ]
}

/// A user is stopped half-way and wants something else then.
async fn another_mind(faults: Vec<(usize, Fault)>, seed: u64) -> Told {
    let (world, mut oracle) = begin(faults, seed).await;
    let mut user = User::new(&world, 0, "dev");
    let (first, then) = changes().swap_remove(usize::try_from(seed).unwrap());
    user.wants("db", &json!({}));
    let mut wrong: Vec<_> = not_well("the first", &user.insist().await).into_iter().collect();
    user.wants("db", &first);
    let is_killed = matches!(user.up().await, Err(Ended::Killed));
    if is_killed {
        // The engine asks for it: it does not know what was done.
        wrong.extend(not_well("the refresh", &user.engine.refresh().await));
    }
    user.wants("db", &then);
    wrong.extend(not_well("the other", &user.insist().await));
    sleep(REST).await;
    wrong.extend(user.judge(&world, &mut oracle).await);
    wrong.extend(not_well("the end", &user.leave().await));
    sleep(REST).await;
    // Nothing tells of a policy that was written by a process that was killed then.
    let is_untold = |left: &String| is_killed && left.contains("/networkpolicies/");
    wrong.extend(left(world.api()).into_iter().filter(|left| !is_untold(left)));
    end(&world, wrong)
}

#[test]
#[ignore = "takes an optimised build: `cargo test-all` runs it"]
fn two_clusters_side_by_side_leave_each_other_alone() {
    everywhere("side by side", &FAULTS, 1, side_by_side);
}

#[test]
#[ignore = "takes an optimised build: `cargo test-all` runs it"]
fn of_two_who_want_a_name_one_gets_it() {
    everywhere("rivals", &FAULTS, 5, rivals);
}

#[test]
#[ignore = "takes an optimised build: `cargo test-all` runs it"]
fn two_runs_of_one_stack_lose_nothing() {
    everywhere("twins", &FAULTS, 2, twins);
}

#[test]
#[ignore = "takes an optimised build: `cargo test-all` runs it"]
fn whoever_thinks_otherwise_half_way_gets_it() {
    let seeds = changes().len() as u64;
    everywhere("another mind", &[Fault::Interrupted, Fault::KilledAfter], seeds, another_mind);
}
