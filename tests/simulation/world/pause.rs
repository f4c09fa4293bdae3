//! Worlds that begin, stand still, and go on from there.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;

use super::{Inner, World};
use crate::entropy;
use crate::kubernetes::fake::Fake;
use crate::rpc::log::EngineLog;
use crate::simulation::controllers::{self, Clocks};
use crate::simulation::defects::Defect;
use crate::simulation::faults::{Fault, elsewhere};
use crate::simulation::gate::Gate;
use crate::simulation::oracle::{is_same_world, is_served};

/// A world at rest: nobody is at work in it, nothing goes wrong in it any more.
#[derive(Clone)]
pub(in crate::simulation) struct Pause {
    api: Fake,
    other: Fake,
    age: Duration,
    clocks: Clocks,
    /// How many requests the provider had sent by then.
    pub(in crate::simulation) sent: usize,
}

impl World {
    /// One with an operator, in which these faults happen, each at the provider's request of that number.
    pub(in crate::simulation) fn new(seed: u64, faults: Vec<(usize, Fault)>, defect: Option<Defect>) -> Self {
        let api = Fake::new().with_controllers();
        let labels = json!({"app": "clickhouse-operator", "clickhouse.altinity.com/chop": "0.25.6"});
        api.put(&json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "clickhouse-operator", "namespace": "kube-system", "labels": labels},
            "spec": {"replicas": 1, "template": {"spec": {"containers": [{"name": "clickhouse-operator",
                "image": "altinity/clickhouse-operator:0.25.6"}]}}},
            "status": {"replicas": 1, "readyReplicas": 1, "availableReplicas": 1}}));
        let pause = Pause { api, other: elsewhere(), age: Duration::ZERO, clocks: Clocks::new(), sent: 0 };
        Self::resume(&pause, seed, faults, defect)
    }

    /// One that goes on where another one stood still. Its operator has just started.
    pub(in crate::simulation) fn resume(
        pause: &Pause,
        seed: u64,
        faults: Vec<(usize, Fault)>,
        defect: Option<Defect>,
    ) -> Self {
        // What is random must not be the same again.
        entropy::seed(seed.wrapping_add((pause.sent as u64) << 32));
        let api = pause.api.fork();
        let clocks = Arc::new(Mutex::new(pause.clocks.resumed(pause.age)));
        let inner = Arc::new(Inner {
            api: api.clone(),
            other: pause.other.fork(),
            gate: Mutex::new(Gate::new(pause.sent, faults)),
            killed: Default::default(),
            interrupted: Default::default(),
            watching: Arc::default(),
            watches: watch::Sender::new(0),
            tasks: Mutex::default(),
            operator: Mutex::default(),
            log: EngineLog::default(),
            defect,
            clocks: clocks.clone(),
        });
        let world = Self { inner, user: 0 };
        // A command that has nothing to do ends before anybody has looked.
        world.gate().note_served(world.api().look(is_served));
        let observed = world.clone();
        let tasks = [
            tokio::spawn(controllers::run(api, clocks)),
            tokio::spawn(async move { observed.observe().await }),
        ];
        world.inner.tasks.lock().unwrap().extend(tasks);
        world.start_operator();
        world
    }

    /// How it stands, at rest.
    pub(in crate::simulation) fn pause(&self) -> Pause {
        let clocks = self.inner.clocks.lock().unwrap().clone();
        Pause {
            api: self.inner.api.fork(),
            other: self.inner.other.fork(),
            age: clocks.age(),
            clocks,
            sent: self.gate().number(),
        }
    }

    /// Whether nothing goes wrong in it any more, and its objects are those of another one.
    pub(in crate::simulation) fn stands_as(&self, other: &Pause) -> bool {
        self.gate().is_at_peace()
            && self.inner.api.look(|ours| other.api.look(|theirs| is_same_world(ours, theirs)))
    }
}
