//! The runs: every request of every story interrupted in every way, random rounds, and rounds of defective
//! providers, which must be found out.

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{available_parallelism, scope};
use std::time::{Duration, Instant};

use super::defects::DEFECTS;
use super::faults::Fault;
use super::hands::Hand;
use super::random::{SHARED, Tale, shrink};
use super::rounds::{Plan, Told, tell};
use super::stories::{self, Command, Story};

/// Seeds of rounds that once failed, each replayed for ever: a line each, with what it found after `#`.
const KEPT: &str = include_str!("seeds.txt");

/// Faults of which each is tried at each request; the others are left to the random rounds.
const EVERYWHERE: [Fault; 5] =
    [Fault::KilledBefore, Fault::KilledAfter, Fault::AnswerLost, Fault::ServerRestarted, Fault::Forbidden];

/// Of what somebody else may do one in so many is done at each request, unless `WHOLE` says to do all.
const SHARE: usize = 5;

/// Whether all is done that can be.
pub(super) fn is_whole() -> bool {
    env::var("WHOLE").is_ok()
}

/// The stories during whose every request somebody else does something. Two more are known to break a promise:
/// "imported", where an update fails half-way and is refreshed, keeps what the program says no more; so does "a
/// load balancer", where somebody restores the Service and owns its fields as well.
const MEDDLED: [&str; 6] = [
    "create and destroy",
    "create with a Keeper",
    "volumes go with the cluster",
    "grow by a replica and its Keeper",
    "another password",
    "replaced on demand",
];

pub(super) fn clean(story: &Story) -> Told {
    tell(&Plan { commands: story.1.clone(), ..Plan::default() }, None, None)
}

/// What is wrong with a story that was told without faults: those go well whose name does not say otherwise.
fn wrong((name, commands): &Story, told: &Told) -> Vec<String> {
    let is_refused = name.contains("refused");
    let mut wrong: Vec<_> = told.wrong.iter().map(|problem| format!("{name}: {problem}")).collect();
    for (command, step) in commands.iter().zip(&told.steps).filter(|(_, step)| !step.went_well && !is_refused)
    {
        wrong.push(format!("{name}: {command:?} is refused: {}", step.said));
    }
    if is_refused && told.steps.iter().all(|step| step.went_well) {
        wrong.push(format!("{name}: nothing is refused"));
    }
    wrong
}

/// Does all of this with as many threads as there are cores.
pub(super) fn for_all<T: Send + Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(BTreeMap::new());
    let threads = available_parallelism().map_or(1, usize::from);
    scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(index) else { return };
                    let result = work(item);
                    done.lock().unwrap().insert(index, result);
                }
            });
        }
    });
    done.into_inner().unwrap().into_values().collect()
}

/// The problems, with the first few rounds in which each came up.
fn report(problems: &[(String, Vec<String>)]) -> String {
    const SHOWN: usize = 3;
    let mut text = format!("{} rounds broke a promise\n", problems.len());
    let mut kinds: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (round, wrong) in problems {
        let shown: Vec<_> = wrong.iter().map(|one| one.chars().take(400).collect::<String>()).collect();
        kinds.entry(shown.join("\n    ")).or_default().push(round);
    }
    for (wrong, rounds) in kinds {
        let first = rounds[..rounds.len().min(SHOWN)].join("\n");
        _ = writeln!(text, "{} times, first\n{first}\n    {wrong}", rounds.len());
    }
    text
}

#[test]
fn stories_go_as_they_should_without_faults() {
    let stories = stories::all();
    let told = for_all(&stories, clean);
    let wrong: Vec<_> = stories.iter().zip(&told).flat_map(|(story, told)| wrong(story, told)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_same_plan_sends_the_same_requests_at_the_same_times() {
    let (_, commands) = stories::all().into_iter().find(|(name, _)| *name == "two steps at once").unwrap();
    for faults in
        [vec![], vec![(9, Fault::KilledAfter)], vec![(20, Fault::ServerRestarted), (30, Fault::Late)]]
    {
        let plan = Plan { commands: commands.clone(), faults, seed: 5 };
        let [one, other] = [tell(&plan, None, None), tell(&plan, None, None)];
        assert_eq!(one.requests, other.requests);
        assert_eq!(one.fingerprint, other.fingerprint);
    }
}

/// A story with how it goes without faults, and one that happens at one of its requests.
type Round<'a> = (&'a Story, &'a Told, usize, Fault);

/// Tells all of these, and fails with what is wrong in them.
fn survive(rounds: &[Round<'_>], started: Instant) {
    let problems = for_all(rounds, |((name, commands), clean, at, fault)| {
        let plan = Plan { commands: commands.clone(), faults: vec![(*at, *fault)], seed: 0 };
        let told = tell(&plan, None, Some(clean));
        let round = format!("{name}, {fault:?} at request {at}: {}", clean.requests[*at]);
        (!told.wrong.is_empty()).then_some((round, told.wrong))
    });
    eprintln!("{} rounds in {:?}", rounds.len(), started.elapsed());
    let problems: Vec<_> = problems.into_iter().flatten().collect();
    assert!(problems.is_empty(), "{}", report(&problems));
}

#[test]
#[ignore = "takes an optimised build: `cargo simulate` runs it"]
fn every_request_of_every_story_survives_every_fault() {
    let started = Instant::now();
    let stories = stories::all();
    let clean = for_all(&stories, clean);
    let mut rounds: Vec<Round<'_>> = Vec::new();
    for (story, clean) in stories.iter().zip(&clean) {
        let is_placed = story.1.iter().all(Command::knows_where);
        for (at, request) in clean.requests.iter().enumerate() {
            let is_read = request.contains(" GET ");
            // Whoever is killed before a read might as well be after it.
            let faults = EVERYWHERE.iter().filter(|fault| !(is_read && **fault == Fault::KilledBefore));
            rounds.extend(faults.map(|fault| (story, clean, at, *fault)));
            if request.contains(" PATCH ") || request.contains(" POST ") {
                rounds.push((story, clean, at, Fault::OverQuota));
                rounds.extend(is_placed.then_some((story, clean, at, Fault::Elsewhere)));
            }
        }
    }
    survive(&rounds, started);
}

#[test]
#[ignore = "takes an optimised build: `cargo simulate` runs it"]
fn every_request_of_some_stories_survives_somebody_else() {
    let started = Instant::now();
    let mut stories = stories::all();
    stories.retain(|(name, _)| MEDDLED.contains(name));
    assert_eq!(stories.len(), MEDDLED.len());
    let is_whole = is_whole();
    let clean = for_all(&stories, clean);
    let mut rounds: Vec<Round<'_>> = Vec::new();
    for (story, clean) in stories.iter().zip(&clean) {
        for at in 0..clean.requests.len() {
            let is_due = |(index, _): &(usize, &Hand)| is_whole || (index + at) % SHARE == 0;
            let hands = Hand::ALL.iter().enumerate().filter(is_due);
            rounds.extend(hands.map(|(_, hand)| (story, clean, at, Fault::Hand(*hand))));
        }
    }
    survive(&rounds, started);
}

/// What is wrong in the round of a seed, which tells this story.
fn round(tale: &Tale, seed: u64) -> Option<(Plan, Vec<String>)> {
    let plan = tale.plan(seed);
    let told = tell(&plan, None, Some(&tale.clean));
    let wrong = [tale.clean.wrong.clone(), told.wrong].concat();
    (!wrong.is_empty()).then_some((plan, wrong))
}

#[test]
fn rounds_that_once_failed_go_well() {
    let seeds: Vec<u64> = KEPT
        .lines()
        .filter_map(|line| line.split('#').next().map(str::trim).filter(|seed| !seed.is_empty()))
        .map(|seed| seed.parse().unwrap())
        .collect();
    let failed: Vec<_> = for_all(&seeds, |seed| round(&Tale::of(*seed), *seed).map(|failed| (*seed, failed)));
    let failed: Vec<_> = failed.into_iter().flatten().collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

/// `SEED` is the first seed, `MINUTES` how long it goes on, `ROUNDS` how many rounds it makes at most, but for
/// those that tell the last story.
#[test]
#[ignore = "goes on for as long as it is told: `cargo simulate` runs it"]
fn random_rounds_go_well() {
    /// With so many that break a promise it ends.
    const FAILED: usize = 20;
    let number = |name: &str| env::var(name).ok().and_then(|value| value.parse::<f64>().ok());
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a seed")]
    let first = number("SEED").unwrap_or(1.0) as u64;
    let most = env::var("ROUNDS").ok().and_then(|value| value.parse().ok()).unwrap_or(u64::MAX);
    let limit = Duration::from_secs_f64(60.0 * number("MINUTES").unwrap_or(1.0));
    let started = Instant::now();
    let [rounds, tales] = [const { AtomicUsize::new(0) }; 2];
    let failed = Mutex::new(Vec::new());
    let is_enough = || started.elapsed() >= limit || failed.lock().unwrap().len() >= FAILED;
    let threads = available_parallelism().map_or(1, usize::from);
    scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let number = tales.fetch_add(1, Ordering::Relaxed) as u64;
                    if number * SHARED >= most {
                        return;
                    }
                    let begin = (first / SHARED + number) * SHARED;
                    let tale = Tale::of(begin);
                    for seed in (begin..begin + SHARED).filter(|seed| *seed >= first) {
                        if is_enough() {
                            return;
                        }
                        rounds.fetch_add(1, Ordering::Relaxed);
                        let found = round(&tale, seed).map(|(plan, wrong)| (seed, plan, wrong));
                        failed.lock().unwrap().extend(found);
                    }
                }
            });
        }
    });
    let (rounds, took) = (rounds.into_inner(), started.elapsed());
    let a_minute = 60.0 * f64::from(u32::try_from(rounds).unwrap()) / took.as_secs_f64();
    eprintln!("{rounds} rounds from seed {first} in {took:.1?}: {a_minute:.0} a minute");
    let mut failed = failed.into_inner().unwrap();
    failed.sort_by_key(|(seed, ..)| *seed);
    let mut text = format!("{} rounds broke a promise\n", failed.len());
    for (seed, _, wrong) in &failed {
        let first: String = wrong[0].chars().take(300).collect();
        _ = writeln!(text, "seed {seed}: {first}");
    }
    for (seed, plan, _) in failed.iter().take(6) {
        let (plan, wrong) = shrink(plan.clone());
        _ = writeln!(text, "seed {seed}, in short {plan:#?}\n    {}", wrong.join("\n    "));
    }
    assert!(failed.is_empty(), "{text}");
}

#[test]
fn defects_are_found() {
    let stories = stories::all();
    let found = for_all(DEFECTS, |defect| {
        let story = stories.iter().find(|(name, _)| *name == defect.story).unwrap();
        let plan = Plan { commands: story.1.clone(), ..Plan::default() };
        let clean = tell(&plan, Some(*defect), None);
        let is_found = !wrong(story, &clean).is_empty()
            || (0..clean.requests.len()).any(|at| {
                let plan = Plan { faults: vec![(at, Fault::KilledAfter)], ..plan.clone() };
                !tell(&plan, Some(*defect), Some(&clean)).wrong.is_empty()
            });
        (!is_found).then_some(defect.name)
    });
    let missed: Vec<_> = found.into_iter().flatten().collect();
    assert!(missed.is_empty(), "not found: {missed:#?}");
}
