//! One round: a story is told while some things go wrong, and held against how it went without.

mod teller;

use std::time::Duration;

use self::teller::Teller;
use super::defects::Defect;
use super::engine::Ended;
use super::faults::Fault;
use super::stories::Command;
use super::world::{Pause, World};
use crate::kubernetes::fake::Objects;

/// How long the cluster is left alone after each command.
pub(super) const REST: Duration = Duration::from_secs(60);

/// What happens in a round, all of which follows from this.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Plan {
    pub(super) commands: Vec<Command>,
    /// What goes wrong, and at which of the provider's requests.
    pub(super) faults: Vec<(usize, Fault)>,
    pub(super) seed: u64,
}

/// What came of a command.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) went_well: bool,
    /// What the user was told.
    pub(super) said: String,
    /// What was there at rest, by its path.
    there: Objects,
}

/// What a round came to.
#[derive(Clone, Default)]
pub(super) struct Told {
    pub(super) steps: Vec<Step>,
    /// Which promises were broken.
    pub(super) wrong: Vec<String>,
    /// The provider's requests in order, each with its time.
    pub(super) requests: Vec<String>,
    /// A number that differs when any request does.
    pub(super) fingerprint: u64,
    /// How it stood before each command.
    pauses: Vec<Paused>,
}

/// A story between two commands.
#[derive(Clone)]
struct Paused {
    world: Pause,
    teller: Teller,
}

/// Runs a round, of a provider with this defect. `clean` is how the same story goes without faults; where it is
/// given, the round begins with the first command in which something goes wrong.
pub(super) fn tell(plan: &Plan, defect: Option<Defect>, clean: Option<&Told>) -> Told {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let first = plan.faults.iter().map(|(at, _)| *at).min().unwrap_or_default();
        let paused = clean.and_then(|clean| clean.pauses.iter().rfind(|paused| paused.world.sent <= first));
        let faults = plan.faults.clone();
        let world = match paused {
            Some(paused) => World::resume(&paused.world, plan.seed, faults, defect),
            None => World::new(plan.seed, faults, defect),
        };
        // The trace takes its time: that of some rounds is enough.
        let _trace = (clean.is_none() || plan.seed % 8 == 1).then(|| world.listen());
        let mut teller = match paused {
            Some(paused) => paused.teller.moved(&world, plan.faults.len()),
            None => Teller::begin(&world, plan.faults.len()).await,
        };
        teller.is_blind = plan.faults.iter().any(|(_, fault)| *fault == Fault::Forbidden);
        teller.tell(&plan.commands, clean).await;
        world.end();
        Told { requests: world.lines(), fingerprint: world.fingerprint(), ..teller.told }
    })
}

/// What the user is told.
pub(super) fn said(outcome: &Result<(), Ended>) -> String {
    match outcome {
        Err(Ended::Failed(message)) => message.clone(),
        _ => String::new(),
    }
}
