//! Creates, replacements, updates and deletes in which the engine, the plugin, the API server or its store is
//! killed right after something has happened: a write, a deletion.
//!
//! `KILL_SEED` chooses the moments and the victims (the failing test prints the one it had), `KILL_ROUNDS`
//! how many rounds there are for each of the four operations.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::process::Stdio;
use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Secret, Service};
use kube::api::{DynamicObject, ListParams};
use kube::runtime::wait::await_condition;
use kube::{Api, ResourceExt as _};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use rustix::process::Signal;
use serde::de::DeserializeOwned;
use serde_json::json;
use testbed::control_plane::Component;
use testbed::pulumi::Stack;
use testbed::{Namespace, Operator, Testbed, needs};
use tokio::sync::RwLock;

use crate::support::{identity, in_state, plugins_of, program_within, signal};

/// How many stacks are worked on at once.
const LANES: u64 = 4;
/// The longest time from a moment to the kill: long enough for the next write or two.
const LATER: Duration = Duration::from_millis(150);
const DB: &str = "urn:pulumi:test::test::clickhouse:kubernetes:Cluster::db";
/// The label of everything that the provider makes.
const OURS: &str = "app.kubernetes.io/managed-by=pulumi-clickhouse";

#[derive(Debug, Clone, Copy)]
enum Victim {
    Engine,
    Plugin,
    Server(Component),
}

/// Something that a watch shows of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    SecretWritten,
    IncarnationRenewed,
    KeeperWritten,
    TaskSent,
    TakenUp,
    HostAdded,
    ServiceGone,
    Deleting,
    InstallationGone,
    KeeperGone,
}

const VICTIMS: [Victim; 6] = [
    Victim::Engine,
    Victim::Plugin,
    Victim::Server(Component::ApiServer),
    Victim::Engine,
    Victim::Plugin,
    Victim::Server(Component::Etcd),
];

struct Lane<'a> {
    testbed: &'a Testbed,
    /// Held by those who need the API server to be up; who kills it holds it alone.
    servers: &'a RwLock<()>,
    namespace: Namespace,
    stack: Stack,
    rng: StdRng,
    /// Whether its cluster has two replicas and a Keeper.
    keeper: bool,
    /// How many operations something was to be killed in.
    kills: usize,
    /// How many of them still ran when it was, by the moment.
    hits: BTreeMap<Moment, usize>,
    /// What was done, for a failure's message.
    history: Vec<String>,
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[tokio::test]
#[allow(clippy::print_stdout, reason = "a failure can be repeated only when its seed is known")]
async fn whatever_is_killed_the_next_up_converges_and_nothing_is_lost_or_left() {
    needs!(ControlPlanes);
    let seed = number("KILL_SEED").unwrap_or_else(rand::random);
    let rounds = number("KILL_ROUNDS").unwrap_or(12);
    println!("KILL_SEED={seed} KILL_ROUNDS={rounds}");
    let testbed = Testbed::alone(Operator::StandIn).await.unwrap();
    let servers = RwLock::new(());
    let mut lanes = Vec::new();
    for lane in 0..LANES {
        let namespace = testbed.namespace().await.unwrap();
        let stack = testbed.stack("resources: {}\n").await.unwrap();
        let rng = StdRng::seed_from_u64(seed.wrapping_add(lane));
        lanes.push(Lane {
            testbed: &testbed,
            servers: &servers,
            namespace,
            stack,
            rng,
            keeper: lane == 0,
            kills: 0,
            hits: BTreeMap::new(),
            history: Vec::new(),
        });
    }
    let share = |lane: u64| rounds / LANES + u64::from(lane < rounds % LANES);
    let lanes = futures::future::join_all(lanes.into_iter().zip(0..).map(|(mut lane, index)| async move {
        for _ in 0..share(index) {
            lane.life().await;
        }
        lane
    }))
    .await;
    let (mut kills, mut hits) = (0, BTreeMap::<Moment, usize>::new());
    for lane in lanes {
        kills += lane.kills;
        lane.hits.into_iter().for_each(|(moment, count)| *hits.entry(moment).or_default() += count);
    }
    println!("of {kills} kills these hit a running operation: {hits:?}");
    assert!(hits.values().sum::<usize>() * 4 >= kills * 3, "too few of {kills} kills hit: {hits:?}");
}

/// What a cluster's objects say of the run that wrote them last.
struct Marks {
    incarnation: Option<String>,
    task: Option<String>,
    /// The host that comes last in an update.
    host: &'static str,
}

fn incarnation(secret: &Secret) -> Option<String> {
    secret.annotations().get("pulumi-clickhouse/incarnation").cloned()
}

fn task(installation: &DynamicObject) -> Option<String> {
    installation.data["spec"]["taskID"].as_str().map(str::to_owned)
}

impl Moment {
    /// Waits until it has come, for as long as that takes, through the loss of the server, too.
    async fn reached(self, namespace: &Namespace, before: &Marks) {
        let (installations, keepers) = (namespace.installations(), namespace.keepers());
        match self {
            Self::SecretWritten => {
                seen(namespace.api::<Secret>(), "db-credentials", |secret| secret.is_some()).await;
            }
            Self::IncarnationRenewed => {
                let is_new = |secret: Option<&Secret>| {
                    secret.is_some_and(|secret| incarnation(secret) != before.incarnation)
                };
                seen(namespace.api::<Secret>(), "db-credentials", is_new).await;
            }
            Self::KeeperWritten => seen(keepers, "db", |keeper| keeper.is_some()).await,
            Self::TaskSent => {
                seen(installations, "db", |object| object.is_some_and(|object| task(object) != before.task))
                    .await;
            }
            Self::TakenUp => {
                seen(installations, "db", |object| {
                    object.is_some_and(|object| !object.finalizers().is_empty())
                })
                .await;
            }
            Self::HostAdded => seen(namespace.api::<StatefulSet>(), before.host, |set| set.is_some()).await,
            Self::ServiceGone => seen(namespace.api::<Service>(), "db", |service| service.is_none()).await,
            Self::Deleting => {
                let is_leaving = |object: Option<&DynamicObject>| {
                    object.is_none_or(|object| object.metadata.deletion_timestamp.is_some())
                };
                seen(installations, "db", is_leaving).await;
            }
            Self::InstallationGone => seen(installations, "db", |object| object.is_none()).await,
            Self::KeeperGone => seen(keepers, "db", |keeper| keeper.is_none()).await,
        }
    }
}

async fn seen<K>(api: Api<K>, name: &str, condition: impl Fn(Option<&K>) -> bool)
where
    K: kube::Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    while await_condition(api.clone(), name, &condition).await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

impl Lane<'_> {
    /// A cluster's whole life, with a kill in each part of it.
    async fn life(&mut self) {
        self.stack.set_program(&self.program(1)).unwrap();
        let mut moments = vec![Moment::SecretWritten, Moment::TaskSent, Moment::TakenUp];
        moments.extend(self.keeper.then_some(Moment::KeeperWritten));
        self.disturbed(&["up"], &moments).await;
        let begun = self.password().await;
        self.converges("up").await;
        let made = self.identity().await;
        assert!(made.0.is_some(), "{:#?}", self.history);
        assert!(
            begun.is_none_or(|password| password == made.1),
            "the password is another: {:#?}",
            self.history
        );

        self.disturbed(&["up", "--replace", DB], &[Moment::IncarnationRenewed, Moment::TaskSent]).await;
        self.converges("up").await;
        assert_eq!(self.identity().await, made, "{:#?}", self.history);

        self.stack.set_program(&self.program(2)).unwrap();
        self.disturbed(&["up"], &[Moment::TaskSent, Moment::HostAdded]).await;
        self.converges("up").await;
        assert_eq!(self.identity().await, made, "{:#?}", self.history);
        let stated = self.stack.outputs().await.unwrap();
        assert_eq!(stated["password"], made.1, "{:#?}", self.history);
        assert_eq!(self.sets().await, if self.keeper { 5 } else { 2 }, "{:#?}", self.history);

        let mut moments = vec![Moment::ServiceGone, Moment::Deleting, Moment::InstallationGone];
        moments.extend(self.keeper.then_some(Moment::KeeperGone));
        self.disturbed(&["destroy"], &moments).await;
        self.converges("destroy").await;
        assert!(in_state(&self.stack).is_none());
        self.nothing_is_left().await;
    }

    /// A cluster with so many shards.
    fn program(&self, shards: u32) -> String {
        let mut properties = json!({"name": "db", "shards": shards});
        if self.keeper {
            properties["replicas"] = json!(2);
            properties["coordination"] = json!({"type": "Keeper", "keeper": {"replicas": 1}});
        }
        program_within(self.namespace.name(), &properties, 90)
    }

    /// Runs a command and kills something right after one of the moments.
    async fn disturbed(&mut self, command: &[&str], moments: &[Moment]) {
        let victim = VICTIMS[self.rng.random_range(0..VICTIMS.len())];
        let moment = moments[self.rng.random_range(0..moments.len())];
        let later = self.rng.random_range(Duration::ZERO..LATER);
        self.history.push(format!("{command:?}: {victim:?} {later:?} after {moment:?}"));
        // Nobody else's run has to end well as long as this one may kill the server.
        let alone = if matches!(victim, Victim::Server(_)) { Some(self.servers.write().await) } else { None };
        let up = if alone.is_none() { Some(self.servers.read().await) } else { None };
        let before = self.marks().await;
        drop(up);
        let reached = moment.reached(&self.namespace, &before);
        let arguments = [command, &["--yes", "--skip-preview", "--non-interactive"]].concat();
        let run =
            self.stack.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let engine = run.id().unwrap();
        let mut ended = tokio::spawn(run.wait_with_output());
        let output = tokio::select! {
            output = &mut ended => Some(output),
            () = reached => None,
        };
        #[expect(clippy::single_match_else, reason = "the comment belongs to the shorter arm")]
        let output = match output {
            // Too late: it was over before anybody saw that it had come so far.
            Some(output) => output,
            None => {
                tokio::time::sleep(later).await;
                let running = !ended.is_finished();
                let hit = match victim {
                    Victim::Engine => {
                        signal(engine, Signal::KILL);
                        running
                    }
                    Victim::Plugin => {
                        let plugins = plugins_of(engine);
                        for plugin in &plugins {
                            signal(*plugin, Signal::KILL);
                        }
                        running && !plugins.is_empty()
                    }
                    Victim::Server(component) => {
                        let mut control_plane = self.testbed.control_plane().await.unwrap();
                        control_plane.restart(component).await.unwrap();
                        control_plane.restart_clients().unwrap();
                        running
                    }
                };
                *self.hits.entry(moment).or_default() += usize::from(hit);
                tokio::time::timeout(Duration::from_secs(120), ended).await.expect("the run ends")
            }
        };
        drop(alone);
        self.kills += 1;
        self.history.push(String::from_utf8_lossy(&output.unwrap().unwrap().stdout).into_owned());
        self.stack.restore_state().unwrap();
        // Fails when there is no lock that a killed engine has left.
        self.stack.run(&["cancel", "--yes"]).await.unwrap();
    }

    /// By what a renewed cluster and a new task are known.
    async fn marks(&self) -> Marks {
        let secret = self.namespace.api::<Secret>().get_opt("db-credentials").await.unwrap();
        let installation = self.namespace.installations().get_opt("db").await.unwrap();
        Marks {
            incarnation: secret.as_ref().and_then(incarnation),
            task: installation.as_ref().and_then(task),
            host: if self.keeper { "chi-db-cluster-1-1" } else { "chi-db-cluster-1-0" },
        }
    }

    async fn converges(&mut self, command: &str) {
        let _up = self.servers.read().await;
        let run = self.stack.run(&[command, "--yes", "--skip-preview", "--non-interactive"]).await.unwrap();
        let found = if run.success { String::new() } else { self.found().await };
        assert!(run.success, "{:#?}\n{}\n{found}", self.history, run.text());
    }

    /// What is there, as far as a failure may come from it, and what the control plane said last.
    async fn found(&self) -> String {
        const LINES: usize = 20;
        let list = |kinds: &str, columns: &str| {
            let columns = format!("--output=custom-columns={columns}");
            let arguments = ["get", kinds, "--namespace", self.namespace.name(), &columns];
            let output = self.testbed.kubectl().args(arguments).output().unwrap();
            String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
        };
        let conditions = r#"CONDITIONS:.status.conditions[?(@.type=="Ready")]"#;
        let meta = "NAME:.metadata.name,UID:.metadata.uid,GONE:.metadata.deletionTimestamp";
        let plane = self.testbed.control_plane().await.unwrap();
        let logs = Component::ALL.map(|component| {
            let log = std::fs::read_to_string(plane.log(component)).unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            let words = &lines[lines.len().saturating_sub(LINES)..];
            format!("{component:?}\n{}\n", words.join("\n"))
        });
        let found = [
            list("nodes", &format!("NAME:.metadata.name,TAINTS:.spec.taints[*].key,{conditions}")),
            list("chi,chk", &format!("{meta},TASK:.spec.taskID,STATUS:.status")),
            list("statefulsets", &format!("{meta},OWNER:.metadata.ownerReferences[*].uid,STATUS:.status")),
            list("pods", &format!("{meta},NODE:.spec.nodeName,PHASE:.status.phase,{conditions}")),
            list("events", "AT:.lastTimestamp,OF:.involvedObject.name,REASON:.reason,MESSAGE:.message"),
        ];
        found.concat() + &logs.concat()
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
