//! Who tells a story: command for command, each done again after what goes wrong, and judged at rest.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{Paused, REST, Step, Told, said};
use crate::kubernetes::fake::Objects;
use crate::simulation::controllers::delete;
use crate::simulation::engine::{Ended, Engine, Resource};
use crate::simulation::hands::{Deed, Target};
use crate::simulation::oracle::{NAMESPACE, Oracle, differences, there};
use crate::simulation::promises::{broken, left};
use crate::simulation::stories::Command;
use crate::simulation::world::World;

/// How soon it is noticed that the cluster is gone.
const NOTICED: Duration = Duration::from_secs(10);

/// How soon a command ends once all is ready.
const PROMPT: Duration = Duration::from_millis(100);

#[derive(Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each says something else of what has happened")]
pub(super) struct Teller {
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
    /// Whether what comes now would be another story, since somebody has changed what it is about.
    is_over: bool,
    /// Whether the provider may not see something for a while. What it can't see it warns of, and goes on.
    pub(super) is_blind: bool,
    /// Whether somebody has taken a host away.
    has_lost_host: bool,
    /// Whether the cluster in the state was imported.
    is_imported: bool,
    /// Which command comes next.
    next: usize,
    pub(super) told: Told,
}

impl Teller {
    /// One of a new world.
    pub(super) async fn begin(world: &World, faults: usize) -> Self {
        let mut oracle = Oracle::new(world);
        sleep(REST).await;
        oracle.begin();
        Self {
            engine: Engine::new(world),
            oracle,
            program: json!({}),
            faults,
            is_touched: false,
            is_refreshed: false,
            is_over: false,
            is_blind: false,
            has_lost_host: false,
            is_imported: false,
            next: 0,
            told: Told::default(),
            world: world.clone(),
        }
    }

    /// One that goes on in another world, in which something goes wrong so many times at most.
    pub(super) fn moved(&self, world: &World, faults: usize) -> Self {
        Self {
            engine: self.engine.moved(world),
            oracle: self.oracle.moved(world),
            world: world.clone(),
            faults,
            ..self.clone()
        }
    }

    /// Tells what is left of a story.
    pub(super) async fn tell(&mut self, commands: &[Command], clean: Option<&Told>) {
        for (index, command) in commands.iter().enumerate().skip(self.next) {
            if clean.is_none() {
                let teller = Self { told: Told::default(), next: index, ..self.clone() };
                self.told.pauses.push(Paused { world: self.world.pause(), teller });
            }
            let step = self.step(command, clean.map(|clean| &clean.steps[index])).await;
            self.told.steps.push(step);
            // From here on it would go as it goes without faults.
            let then = clean.and_then(|clean| clean.pauses.get(index + 1));
            if self.is_over || then.is_some_and(|then| self.stands_as(then)) {
                return;
            }
        }
    }

    /// Whether nothing goes wrong any more, and all is as it is without faults.
    fn stands_as(&self, then: &Paused) -> bool {
        let other = &then.teller;
        self.world.stands_as(&then.world)
            && self.engine.stands_as(&other.engine)
            && self.oracle.stands_as(&other.oracle)
            && self.standing() == other.standing()
    }

    /// What it goes by.
    fn standing(&self) -> (&Value, [bool; 4]) {
        (&self.program, [self.is_touched, self.is_refreshed, self.is_imported, self.has_lost_host])
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
        let deeds = self.world.deeds().len();
        let (mut outcome, mut wrong) = self.attempt(command, started).await;
        let mut said = said(&outcome);
        if clean.is_none_or(|clean| clean.went_well) {
            // What went wrong was a fault's doing, or somebody's. Whoever does the same again gets what is
            // wanted, after a refresh where somebody has changed something.
            for left in (0..self.faults).rev().filter(|_| clean.is_some()) {
                let is_meddled = self.world.deeds().len() > deeds;
                if outcome.is_ok() && !is_meddled {
                    break;
                }
                if left == 0 {
                    self.world.heal();
                }
                sleep(REST).await;
                if is_meddled {
                    self.leave(command).await;
                }
                let attempt = self.attempt(command, started).await;
                outcome = attempt.0;
                said.push_str(&self::said(&outcome));
                wrong.extend(attempt.1);
            }
        }
        let meddled = self.world.deeds().split_off(deeds);
        self.is_imported |= outcome.is_ok() && *command == Command::Import;
        self.is_over = !meddled.is_empty() && self.is_another(command, &outcome, &meddled, clean);
        if self.is_over {
            for deed in &meddled {
                deed.end(self.world.api(), false);
            }
            sleep(REST).await;
            wrong.extend(self.oracle.judge(None, true, &said));
            for problem in &wrong {
                self.wrong(command, problem);
            }
            return Step { went_well: outcome.is_ok(), said, there: Objects::new() };
        }
        match (&outcome, clean.map(|clean| clean.went_well)) {
            (Err(problem), Some(true)) => {
                self.wrong(command, &format!("does not go well when it is done again: {problem:?}"));
            }
            (Ok(()), Some(false)) => self.wrong(command, "goes well, though it has to be refused"),
            (Ok(()), _) if !meddled.is_empty() => self.put_right(command).await,
            _ => {}
        }
        let loses = loses || meddled.iter().any(|deed| deed.loses(&self.program) || deed.loses(&before));
        if matches!(outcome, Err(Ended::Stuck)) {
            self.wrong(command, "a call did not come back");
        }
        if outcome.is_ok() {
            self.awaited(command, started, self.faults == 0, meddled.is_empty());
        }
        sleep(REST).await;
        let is_import_of_another = *command == Command::Import && !meddled.is_empty();
        if matches!(command, Command::Deleted(_) | Command::Edited(..)) || is_import_of_another {
            (self.is_touched, self.is_refreshed) = (true, is_import_of_another);
        }
        let is_put_right = outcome.is_ok() && matches!(command, Command::Up(_) | Command::Replace(_));
        // A host that somebody takes away is the operator's to make again, which it does at the next change.
        self.has_lost_host |= matches!(command, Command::Deleted(path) if path.contains("/statefulsets/"));
        self.is_refreshed |= outcome.is_ok() && matches!(command, Command::Refresh) && !self.has_lost_host;
        if is_put_right && self.is_refreshed {
            self.is_touched = false;
        }
        let resource = self.engine.resource.as_ref().filter(|_| !self.is_touched);
        wrong.extend(self.oracle.judge(resource, loses, &said));
        let there = there(self.world.api());
        if let Some(Step { there: expected, .. }) = clean.filter(|_| !is_import_of_another) {
            // The operator says of its own Secret what was true when it made it, and what somebody has made
            // stays theirs.
            let is_of_others = |problem: &String| {
                let is_about = |deed: &Deed| problem.starts_with(deed.path.as_str()) && deed.is_of_another();
                problem.contains("-auto-secret") || meddled.iter().any(is_about)
            };
            let found = differences(expected, &there).into_iter();
            wrong.extend(found.filter(|problem| meddled.is_empty() || !is_of_others(problem)));
        }
        wrong.append(&mut self.engine.wrong);
        if outcome.is_ok() && *command == Command::Destroy {
            wrong.extend(left(self.world.api()));
        }
        if self.is_imported {
            // An import does not look for what the installation does not tell of.
            wrong.retain(|problem| !(problem.contains("/networkpolicies/") && problem.contains("left")));
        }
        if self.is_blind && self.oracle.has_heard("is kept, because") {
            wrong.retain(|problem| !problem.starts_with("/api/v1/namespaces/own is left"));
        }
        let is_right = is_put_right && !self.is_touched;
        if is_right {
            wrong.extend(broken(self.world.api(), &self.program));
        }
        for problem in wrong {
            self.wrong(command, &problem);
        }
        if is_right {
            let deeds = self.world.deeds().len();
            self.nothing_to_do(command, clean.is_some()).await;
            if self.world.deeds().len() > deeds {
                self.leave(command).await;
                self.put_right(&Command::Refresh).await;
            }
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
            Command::Renamed => {
                self.engine.rename();
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

    /// One run of a command, and what is wrong with it whatever it comes to: with what somebody has made
    /// meanwhile, in another Kubernetes cluster, or with a success.
    async fn attempt(&mut self, command: &Command, started: Instant) -> (Result<(), Ended>, Vec<String>) {
        let (deeds, state) = (self.world.deeds().len(), self.engine.resource.clone());
        let outcome = self.run(command).await;
        let mut wrong = self.world.misdeeds();
        let deeds = self.world.deeds().split_off(deeds);
        wrong.extend(deeds.iter().filter_map(|deed| deed.undone(self.world.api())));
        if self.world.is_elsewhere() {
            if outcome.is_ok() && matches!(command, Command::Refresh | Command::Destroy) {
                wrong.push("goes well in another Kubernetes cluster".to_owned());
            }
            let outputs = |resource: &Option<Resource>| resource.as_ref().map(|kept| kept.outputs.clone());
            if outputs(&state) != outputs(&self.engine.resource) {
                wrong.push("another Kubernetes cluster changes the state".to_owned());
            }
        }
        if outcome.is_ok() && self.waits(command) && !deeds.is_empty() {
            // The Keeper is waited for before the hosts are.
            let is_about_hosts = !deeds.iter().any(|deed| deed.hand.target() == Target::Keeper);
            if is_about_hosts && self.world.served_last().is_none_or(|last| last < started) {
                wrong.push("went well, though nothing was ready".to_owned());
            }
            let is_long_gone = |deed: &Deed| deed.ends(Target::Installation) && deed.at.elapsed() > NOTICED;
            if deeds.iter().any(is_long_gone) {
                wrong.push("went well, though the cluster is gone".to_owned());
            }
        }
        (outcome, wrong)
    }

    /// Whoever changed something goes, and the state gets to know what was changed.
    async fn leave(&mut self, command: &Command) {
        for deed in self.world.deeds() {
            deed.end(self.world.api(), *command == Command::Destroy && self.engine.resource.is_none());
        }
        sleep(REST).await;
        if let Err(problem) = self.run(&Command::Refresh).await
            && self.faults == 1
        {
            self.wrong(command, &format!("the refresh after it fails: {problem:?}"));
        }
        // Nothing tells a create that the cluster without its Secret is the one that it is to replace.
        if matches!(command, Command::Replace(_)) && self.engine.resource.is_some() {
            self.put_right(&Command::Refresh).await;
        }
    }

    /// Whether what somebody did makes another story of it: something is possible that is refused otherwise,
    /// what is destroyed is another cluster by now, or nothing tells any more whose the cluster is.
    fn is_another(
        &self,
        command: &Command,
        outcome: &Result<(), Ended>,
        meddled: &[Deed],
        clean: Option<&Step>,
    ) -> bool {
        let is_about = |target| meddled.iter().any(|deed| deed.ends(target));
        let is_unknown = |message: &str| message.contains("was not created by this stack");
        clean.is_some_and(|clean| !clean.went_well)
            || *command == Command::Destroy && is_about(Target::Installation)
            || *command == Command::Import && (is_about(Target::Installation) || is_about(Target::Secret))
            // What is made anew has the defaults of today, which what is imported has not.
            || self.is_imported && is_about(Target::Installation)
            || self.engine.resource.is_none()
                && is_about(Target::Secret)
                && matches!(outcome, Err(Ended::Failed(message)) if is_unknown(message))
    }

    /// Has what was only looked at brought about, after somebody has changed it.
    async fn put_right(&mut self, command: &Command) {
        if *command != Command::Refresh || self.engine.resource.is_none() {
            return;
        }
        let up = Command::Up(json!({}));
        if let Err(problem) = self.run(&up).await {
            self.wrong(command, &format!("is not put right: {problem:?}"));
        }
        sleep(REST).await;
    }

    fn waits(&self, command: &Command) -> bool {
        matches!(command, Command::Up(_) | Command::Replace(_))
            && !self.is_touched
            && ["skipAwait", "suspended"].iter().all(|input| self.program[input] != true)
    }

    /// What went well did so once all was ready, and at once then.
    fn awaited(&mut self, command: &Command, started: Instant, is_prompt: bool, is_left_alone: bool) {
        if !self.waits(command) || !is_left_alone {
            return;
        }
        let Some(since) = self.world.served_since() else {
            if self.is_blind && self.oracle.has_heard("whether the volumes were resized is not known") {
                return;
            }
            return self.wrong(command, "went well before all was ready");
        };
        let late = Instant::now().duration_since(since.max(started));
        if is_prompt && since > started && late > PROMPT {
            self.wrong(command, &format!("went well {late:?} after all was ready"));
        }
    }

    async fn nothing_to_do(&mut self, command: &Command, is_faulty: bool) {
        let program = self.world.program(self.program.clone());
        let deeds = self.world.deeds().len();
        let mut looked = self.engine.is_up_to_date(&program).await;
        for _ in (0..self.faults).filter(|_| is_faulty) {
            if looked.is_err() {
                sleep(REST).await;
                looked = self.engine.is_up_to_date(&program).await;
            }
        }
        match looked {
            _ if self.world.deeds().len() > deeds => {}
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
