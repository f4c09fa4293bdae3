//! One round: a story is told while some things go wrong, and held against how it went without.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::controllers::delete;
use super::defects::Defect;
use super::engine::{Ended, Engine};
use super::oracle::{NAMESPACE, Oracle, differences, there};
use super::promises::{broken, left};
use super::stories::Command;
use super::world::{Fault, World};

/// How long the cluster is left alone after each command.
const REST: Duration = Duration::from_secs(60);

/// How soon a command ends once all is ready.
const PROMPT: Duration = Duration::from_millis(100);

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
    there: BTreeMap<String, String>,
}

/// What a round came to.
#[derive(Debug, Clone, Default)]
pub(super) struct Told {
    pub(super) steps: Vec<Step>,
    /// Which promises were broken.
    pub(super) wrong: Vec<String>,
    /// The provider's requests in order, each with its time.
    pub(super) requests: Vec<String>,
    /// A number that differs when any request does.
    pub(super) fingerprint: u64,
}

/// Runs a round, of a provider with this defect. `clean` is how the same story goes without
/// faults.
pub(super) fn tell(plan: &Plan, defect: Option<Defect>, clean: Option<&Told>) -> Told {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let world = World::new(plan.seed, plan.faults.clone(), defect);
        let mut teller = Teller::new(&world, plan.faults.len());
        teller.tell(&plan.commands, clean).await;
        world.end();
        Told { requests: world.lines(), fingerprint: world.fingerprint(), ..teller.told }
    })
}

struct Teller {
    world: World,
    engine: Engine,
    oracle: Oracle,
    program: Value,
    /// How often at most something goes wrong.
    faults: usize,
    /// Whether somebody has changed the cluster since it was last put right.
    is_touched: bool,
    /// Whether the state knows of that.
    is_refreshed: bool,
    told: Told,
}

impl Teller {
    fn new(world: &World, faults: usize) -> Self {
        Self {
            engine: Engine::new(world),
            oracle: Oracle::new(world),
            program: json!({}),
            faults,
            is_touched: false,
            is_refreshed: false,
            told: Told::default(),
            world: world.clone(),
        }
    }

    async fn tell(&mut self, commands: &[Command], clean: Option<&Told>) {
        sleep(REST).await;
        self.oracle.begin();
        for (index, command) in commands.iter().enumerate() {
            let step = self.step(command, clean.map(|clean| &clean.steps[index])).await;
            self.told.steps.push(step);
        }
    }

    async fn step(&mut self, command: &Command, clean: Option<&Step>) -> Step {
        let before = self.program.clone();
        if let Command::Up(inputs) | Command::Replace(inputs) = command {
            self.program = json!({"name": "db", "namespace": NAMESPACE});
            for (key, value) in inputs.as_object().into_iter().flatten() {
                self.program[key] = value.clone();
            }
        }
        let loses = command.loses(&self.program) || command.loses(&before);
        let started = Instant::now();
        let mut outcome = self.run(command).await;
        let mut said = said(&outcome);
        if clean.is_none_or(|clean| clean.went_well) {
            // What went wrong was a fault's doing. Whoever does the same again gets what is wanted.
            let mut again = self.faults;
            while outcome.is_err() && again > 0 && clean.is_some() {
                again -= 1;
                if again == 0 {
                    self.world.heal();
                }
                sleep(REST).await;
                outcome = self.run(command).await;
                said.push_str(&self::said(&outcome));
            }
            if let (Err(problem), Some(_)) = (&outcome, clean) {
                self.wrong(command, &format!("does not go well when it is done again: {problem:?}"));
            }
        } else if outcome.is_ok() {
            self.wrong(command, "goes well, though it has to be refused");
        }
        if matches!(outcome, Err(Ended::Stuck)) {
            self.wrong(command, "a call did not come back");
        }
        if outcome.is_ok() {
            self.awaited(command, started, self.faults == 0);
        }
        sleep(REST).await;
        if matches!(command, Command::Deleted(_) | Command::Edited(..)) {
            (self.is_touched, self.is_refreshed) = (true, false);
        }
        let is_put_right = outcome.is_ok() && matches!(command, Command::Up(_) | Command::Replace(_));
        self.is_refreshed |= outcome.is_ok() && matches!(command, Command::Refresh);
        if is_put_right && self.is_refreshed {
            self.is_touched = false;
        }
        let resource = self.engine.resource.as_ref().filter(|_| !self.is_touched);
        let mut wrong = self.oracle.judge(resource, loses, &said);
        let there = there(self.world.api());
        if let Some(Step { there: expected, .. }) = clean {
            wrong.extend(differences(expected, &there));
        }
        wrong.append(&mut self.engine.wrong);
        if outcome.is_ok() && *command == Command::Destroy {
            wrong.extend(left(self.world.api()));
        }
        let is_right = is_put_right && !self.is_touched;
        if is_right {
            wrong.extend(broken(self.world.api(), &self.program));
        }
        for problem in wrong {
            self.wrong(command, &problem);
        }
        if is_right {
            self.nothing_to_do(command).await;
        }
        if outcome.is_err() {
            self.program = before;
        }
        Step { went_well: outcome.is_ok(), said, there }
    }

    async fn run(&mut self, command: &Command) -> Result<(), Ended> {
        let program = self.world.program(self.program.clone());
        match command {
            Command::Up(_) => self.engine.up(&program, false).await,
            Command::Replace(_) => self.engine.up(&program, true).await,
            Command::Refresh => self.engine.refresh().await,
            Command::Destroy => self.engine.destroy().await,
            Command::Import => {
                self.engine.forget();
                let place = |key: &str| program[key].as_str().unwrap_or_default();
                self.engine.import(&format!("{}/{}", place("namespace"), place("name"))).await
            }
            Command::Deleted(path) => {
                delete(self.world.api(), path);
                Ok(())
            }
            Command::Tampered(output, value) => {
                self.engine.tamper(output, value);
                Ok(())
            }
            Command::Edited(path, pointer, value) => {
                if self.world.api().at(path).is_some() {
                    self.world.api().edit(path, |object| set(object, pointer, value));
                }
                Ok(())
            }
        }
    }

    /// What went well did so once all was ready, and at once then.
    fn awaited(&mut self, command: &Command, started: Instant, is_prompt: bool) {
        let waits = matches!(command, Command::Up(_) | Command::Replace(_))
            && !self.is_touched
            && ["skipAwait", "suspended"].iter().all(|input| self.program[input] != true);
        if !waits {
            return;
        }
        let Some(since) = self.world.served_since() else {
            return self.wrong(command, "went well before all was ready");
        };
        let late = Instant::now().duration_since(since.max(started));
        if is_prompt && since > started && late > PROMPT {
            self.wrong(command, &format!("went well {late:?} after all was ready"));
        }
    }

    async fn nothing_to_do(&mut self, command: &Command) {
        let program = self.world.program(self.program.clone());
        let mut looked = self.engine.is_up_to_date(&program).await;
        if looked.is_err() && self.faults > 0 {
            looked = self.engine.is_up_to_date(&program).await;
        }
        match looked {
            Ok(true) => {}
            Ok(false) => self.wrong(command, "the next preview finds something to do"),
            Err(problem) => self.wrong(command, &format!("the next preview fails: {problem:?}")),
        }
    }

    fn wrong(&mut self, command: &Command, problem: &str) {
        self.told.wrong.push(format!("{command:?}: {problem}"));
    }
}

fn set(object: &mut Value, pointer: &str, value: &Value) {
    let Some((parent, key)) = pointer.rsplit_once('/') else { return };
    if let Some(parent) = object.pointer_mut(parent) {
        parent[key.replace("~1", "/")] = value.clone();
    }
}

fn said(outcome: &Result<(), Ended>) -> String {
    match outcome {
        Err(Ended::Failed(message)) => message.clone(),
        _ => String::new(),
    }
}
