//! How many requests of each kind a command takes: as many for a large cluster as for a small one.

use serde_json::{Value, json};
use tokio::time::sleep;

use super::engine::Engine;
use super::oracle::NAMESPACE;
use super::rounds::REST;
use super::world::World;

/// Requests by what they are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Asked {
    tries: usize,
    reads: usize,
    writes: usize,
    watches: usize,
}

impl Asked {
    fn of(lines: &[String]) -> Self {
        let mut asked = Self::default();
        for line in lines {
            *match line {
                line if line.contains("dryRun") => &mut asked.tries,
                line if !line.contains(" GET ") => &mut asked.writes,
                // Each watch begins with a list.
                line if line.contains("watch=true") => &mut asked.watches,
                _ => &mut asked.reads,
            } += 1;
        }
        asked
    }

    fn is_within(self, budget: Self) -> bool {
        self.tries <= budget.tries
            && self.reads <= budget.reads
            && self.writes <= budget.writes
            && self.watches <= budget.watches
    }
}

const fn asked(tries: usize, reads: usize, writes: usize, watches: usize) -> Asked {
    Asked { tries, reads, writes, watches }
}

/// Commands, each with the inputs of its program and with its budget: what it takes today. Where something is
/// waited for, one read and one watch more: what is looked at depends on what happens meanwhile.
type Budgets = [(&'static str, Value, Asked)];

/// What the commands take that take more than they may.
fn over(more: &Value, budgets: &Budgets) -> Vec<String> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let world = World::new(7, Vec::new(), None);
        let mut engine = Engine::new(&world);
        let mut over = Vec::new();
        for (command, inputs, budget) in budgets {
            sleep(REST).await;
            let mut program = json!({"name": "db", "namespace": NAMESPACE});
            for inputs in [more, inputs] {
                for (key, value) in inputs.as_object().into_iter().flatten() {
                    program[key] = value.clone();
                }
            }
            let before = world.lines().len();
            match *command {
                "up" => engine.up(&program, false).await.unwrap(),
                "refresh" => engine.refresh().await.unwrap(),
                _ => engine.destroy().await.unwrap(),
            }
            let lines = world.lines().split_off(before);
            let asked = Asked::of(&lines);
            if !asked.is_within(*budget) {
                over.push(format!("{command} {program} takes {asked:?}\n    {}", lines.join("\n    ")));
            }
        }
        world.end();
        over
    })
}

#[test]
fn no_command_takes_more_requests_than_it_may() {
    let (same, larger) = (json!({}), json!({"labels": {"tier": "data"}}));
    let small = [
        ("up", same.clone(), asked(3, 12, 4, 4)),
        ("up", same.clone(), asked(0, 0, 0, 0)),
        ("up", larger.clone(), asked(3, 11, 3, 3)),
        ("refresh", same.clone(), asked(0, 4, 0, 0)),
        ("destroy", same.clone(), asked(0, 5, 3, 3)),
    ];
    let replicated = [
        ("up", same.clone(), asked(4, 18, 5, 7)),
        ("up", same.clone(), asked(0, 0, 0, 0)),
        ("up", larger, asked(4, 18, 4, 5)),
        ("refresh", same.clone(), asked(0, 6, 0, 0)),
        ("destroy", same, asked(0, 9, 4, 7)),
    ];
    let mut wrong = Vec::new();
    for shards in [1, 4] {
        wrong.extend(over(&json!({"shards": shards}), &small));
        wrong.extend(over(&json!({"shards": shards, "replicas": 2}), &replicated));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
