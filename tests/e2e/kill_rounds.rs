//! Creates, updates and deletes in which the engine, the plugin, the API server or its store is killed at a random moment.
//!
//! `KILL_SEED` chooses the moments and the victims (the failing test prints the one it had), `KILL_ROUNDS` how many rounds there
//! are for each of the three operations.

use std::process::Stdio;
use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Secret, Service};
use kube::Api;
use kube::api::ListParams;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use rustix::process::Signal;
use serde_json::json;
use testbed::control_plane::Component;
use testbed::pulumi::Stack;
use testbed::{Namespace, Operator, Testbed};
use tokio::sync::RwLock;

use crate::support::{identity, in_state, plugins_of, program_within, signal};

/// How many stacks are worked on at once.
const LANES: u64 = 4;
/// The longest time from the start of an operation to the kill: most of them are over by then.
const LONGEST: Duration = Duration::from_millis(3500);
/// The label of everything that the provider makes.
const OURS: &str = "app.kubernetes.io/managed-by=pulumi-clickhouse";

#[derive(Debug, Clone, Copy)]
enum Victim {
    Engine,
    Plugin,
    Server(Component),
}

const VICTIMS: [Victim; 6] =
    [Victim::Engine, Victim::Plugin, Victim::Server(Component::ApiServer), Victim::Engine, Victim::Plugin, Victim::Server(Component::Etcd)];

struct Lane<'a> {
    testbed: &'a Testbed,
    /// Held by those who need the API server to be up; who kills it holds it alone.
    servers: &'a RwLock<()>,
    namespace: Namespace,
    stack: Stack,
    rng: StdRng,
    /// What was done, for a failure's message.
    history: Vec<String>,
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[tokio::test]
#[allow(clippy::print_stdout, reason = "a failure can be repeated only when its seed is known")]
async fn whatever_is_killed_the_next_up_converges_and_nothing_is_lost_or_left() {
    let seed = number("KILL_SEED").unwrap_or_else(rand::random);
    let rounds = number("KILL_ROUNDS").unwrap_or(12);
    println!("KILL_SEED={seed} KILL_ROUNDS={rounds}");
    let testbed = Testbed::alone(Operator::StandIn).await.unwrap();
    let servers = RwLock::new(());
    let mut lanes = Vec::new();
    for lane in 0..LANES {
        let namespace = testbed.namespace().await.unwrap();
        let stack = testbed.stack(&small(&namespace, 1)).await.unwrap();
        let rng = StdRng::seed_from_u64(seed.wrapping_add(lane));
        lanes.push(Lane { testbed: &testbed, servers: &servers, namespace, stack, rng, history: Vec::new() });
    }
    let share = |lane: u64| rounds / LANES + u64::from(lane < rounds % LANES);
    futures::future::join_all(lanes.into_iter().zip(0..).map(|(mut lane, index)| async move {
        for _ in 0..share(index) {
            lane.life().await;
        }
    }))
    .await;
}

/// A cluster with so many shards.
fn small(namespace: &Namespace, shards: u32) -> String {
    program_within(namespace.name(), &json!({"name": "db", "shards": shards}), 90)
}

impl Lane<'_> {
    /// A cluster's whole life, with a kill in each part of it.
    async fn life(&mut self) {
        self.stack.set_program(&small(&self.namespace, 1)).unwrap();
        self.disturbed("up").await;
        let begun = self.password().await;
        self.converges("up").await;
        let made = self.identity().await;
        assert!(made.0.is_some(), "{:#?}", self.history);
        assert!(begun.is_none_or(|password| password == made.1), "the password is another: {:#?}", self.history);

        self.stack.set_program(&small(&self.namespace, 2)).unwrap();
        self.disturbed("up").await;
        self.converges("up").await;
        assert_eq!(self.identity().await, made, "{:#?}", self.history);
        let stated = self.stack.outputs().await.unwrap();
        assert_eq!(stated["password"], made.1, "{:#?}", self.history);
        assert_eq!(self.sets().await, 2, "{:#?}", self.history);

        self.disturbed("destroy").await;
        self.converges("destroy").await;
        assert!(in_state(&self.stack).await.is_none());
        self.nothing_is_left().await;
    }

    /// Runs a command and kills something on the way.
    async fn disturbed(&mut self, command: &str) {
        let victim = VICTIMS[self.rng.random_range(0..VICTIMS.len())];
        let moment = self.rng.random_range(Duration::ZERO..LONGEST);
        self.history.push(format!("{command}: {victim:?} after {moment:?}"));
        let arguments = [command, "--yes", "--skip-preview", "--non-interactive"];
        let run = self.stack.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let engine = run.id().unwrap();
        let ended = tokio::spawn(run.wait_with_output());
        tokio::time::sleep(moment).await;
        match victim {
            // What has ended by then can't be killed any more.
            _ if ended.is_finished() => {}
            Victim::Engine => signal(engine, Signal::KILL),
            Victim::Plugin => plugins_of(engine).into_iter().for_each(|plugin| signal(plugin, Signal::KILL)),
            Victim::Server(component) => {
                let _alone = self.servers.write().await;
                self.testbed.control_plane().await.restart(component).await.unwrap();
            }
        }
        let output = tokio::time::timeout(Duration::from_mins(2), ended).await.expect("the run ends").unwrap().unwrap();
        self.history.push(String::from_utf8_lossy(&output.stdout).into_owned());
        // Fails when there is no lock that a killed engine has left.
        self.stack.run(&["cancel", "--yes"]).await.unwrap();
    }

    async fn converges(&mut self, command: &str) {
        let _up = self.servers.read().await;
        let run = self.stack.run(&[command, "--yes", "--skip-preview", "--non-interactive"]).await.unwrap();
        assert!(run.success, "{:#?}\n{}", self.history, run.text());
    }

    async fn password(&self) -> Option<String> {
        let _up = self.servers.read().await;
        let secret = self.namespace.api::<Secret>().get_opt("db-credentials").await.unwrap()?;
        Some(String::from_utf8(secret.data?["password"].0.clone()).unwrap())
    }

    async fn identity(&self) -> (Option<String>, String) {
        let _up = self.servers.read().await;
        identity(&self.namespace).await
    }

    async fn sets(&self) -> usize {
        let _up = self.servers.read().await;
        self.namespace.api::<StatefulSet>().list(&ListParams::default()).await.unwrap().items.len()
    }

    async fn nothing_is_left(&self) {
        let _up = self.servers.read().await;
        let ours = ListParams::default().labels(OURS);
        let (secrets, services): (Api<Secret>, Api<Service>) = (self.namespace.api(), self.namespace.api());
        let left = [
            secrets.list(&ours).await.unwrap().items.len(),
            services.list(&ours).await.unwrap().items.len(),
            self.namespace.installations().list(&ListParams::default()).await.unwrap().items.len(),
            self.namespace.keepers().list(&ListParams::default()).await.unwrap().items.len(),
        ];
        assert_eq!(left, [0; 4], "{:#?}", self.history);
    }
}
