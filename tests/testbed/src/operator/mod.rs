//! A stand-in for the clickhouse-operator: it behaves on the API as version 0.25.6 does, runs no SQL, and
//! misbehaves on demand ([`faults`]).
//!
//! Each installation has an actor, which does one task at a time. A newer spec cancels the task under
//! way, so that the superseded one never completes.

mod ancestor;
mod children;
mod cluster;
mod configs;
pub mod faults;
mod installation;
mod presence;
mod reconcile;
mod render;
mod status;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Event, Namespace};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::ApiResource;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;

use self::cluster::Cluster;
pub use self::configs::of_hosts as configuration_of_hosts;
use self::faults::{CRASHED, Fault, Switches};
use self::installation::{Installation, Kind};
pub use self::presence::{install, uninstall};
pub(crate) use self::reconcile::is_gone;
use self::reconcile::{End, Task, notice};
use self::status::Status;
use crate::engine::Choice;

/// The version of the operator that is stood in for.
pub const OPERATOR_VERSION: &str = "0.25.6";
/// The operator's mark on what it must see off.
pub const FINALIZER: &str = "finalizer.clickhouseinstallation.altinity.com";

/// ClickHouseInstallations.
pub fn installations() -> ApiResource {
    Kind::ClickHouse.resource()
}

/// ClickHouseKeeperInstallations.
pub fn keepers() -> ApiResource {
    Kind::Keeper.resource()
}

/// The annotation of a pod that does not get ready for as long as it has it.
pub(crate) const HELD: &str = "testbed/hold";

/// How fast the stand-in is, and how patient.
#[derive(Debug, Clone)]
pub struct Settings {
    /// From a change to InProgress; the real one needs 50–180 ms.
    pub notice: Duration,
    /// What each host costs beside its pod's start; the real one needs about a second.
    pub host_pause: Duration,
    /// How many shards are served beside each other.
    pub shards_at_once: usize,
    /// From the readiness of a Keeper's last pod to its Completed; the real one looks every 15 s, for a
    /// minute at most.
    pub keeper_pause: Duration,
    /// After which a new host whose pod is not ready is passed by; the real one's default is 5 minutes.
    pub create_timeout: Duration,
    /// After which a task whose changed pod is not ready is Aborted; the real one's default is 5 minutes.
    pub update_timeout: Duration,
    /// Which engines the hosts of namespaces that don't say so are to have, if any.
    pub engines: Option<Choice>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            notice: Duration::from_millis(60),
            host_pause: Duration::from_millis(50),
            shards_at_once: 5,
            keeper_pause: Duration::from_secs(2),
            create_timeout: Duration::from_secs(20),
            update_timeout: Duration::from_secs(20),
            engines: None,
        }
    }
}

/// Plays the operator until dropped. The CRDs must be there. A lost connection is made anew.
pub async fn run(client: Client, settings: Settings) {
    let settings = Arc::new(settings);
    tokio::join!(
        serve(Kind::ClickHouse, client.clone(), settings.clone()),
        serve(Kind::Keeper, client, settings)
    );
}

type Newest = watch::Sender<Arc<DynamicObject>>;

/// Gives each installation of one kind its actor.
async fn serve(kind: Kind, client: Client, settings: Arc<Settings>) {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &kind.resource());
    let mut events = std::pin::pin!(watcher(api, watcher::Config::default()).default_backoff());
    let mut actors: HashMap<String, Newest> = HashMap::new();
    let mut running = JoinSet::new();
    let mut listed = Vec::new();
    while let Some(event) = events.next().await {
        let object = match event {
            Ok(watcher::Event::Apply(object)) => object,
            Ok(watcher::Event::InitApply(object)) => {
                listed.extend(object.uid());
                object
            }
            Ok(watcher::Event::Delete(object)) => {
                actors.remove(&object.uid().unwrap_or_default());
                if kind == Kind::Keeper
                    && object.data.pointer("/status/status").is_some_and(|status| status == "InProgress")
                    && let Err(problem) = crash(&client, &object).await
                {
                    note(&format!("the operator's stand-in: {problem:#}"));
                }
                continue;
            }
            Ok(watcher::Event::Init) => {
                listed.clear();
                continue;
            }
            Ok(watcher::Event::InitDone) => {
                actors.retain(|uid, _| listed.contains(uid));
                continue;
            }
            Err(_reconnecting) => continue,
        };
        let object = Arc::new(object);
        let known = actors.entry(object.uid().unwrap_or_default());
        let sender = known.or_insert_with(|| {
            let (sender, newest) = watch::channel(object.clone());
            let actor =
                Actor { kind, client: client.clone(), settings: settings.clone(), memory: Memory::default() };
            running.spawn(actor.live(newest));
            sender
        });
        sender.send_replace(object);
        while running.try_join_next().is_some() {}
    }
}

/// What the loss of a Keeper that is polled does to the operator, where the fault says so.
async fn crash(client: &Client, keeper: &DynamicObject) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let name = keeper.namespace().unwrap_or_default();
    let Some(namespace) = namespaces.get_opt(&name).await? else { return Ok(()) };
    let switches =
        Switches::of([keeper.annotations(), namespace.annotations()], Duration::ZERO, Duration::ZERO);
    if switches.fault == Some(Fault::KeeperCrash) {
        let crashed = json!({"metadata": {"annotations": {CRASHED: keeper.name_any()}}});
        namespaces.patch(&name, &PatchParams::default(), &Patch::Merge(crashed)).await?;
    }
    Ok(())
}

/// What an actor remembers of its installation.
#[derive(Debug, Default)]
struct Memory {
    /// The generation of the last task that ended.
    ended: Option<i64>,
    /// What is left to do for it.
    left: Option<(Left, tokio::time::Instant)>,
    /// Whether the finalize race was shown.
    raced: bool,
    /// Whether the deletion got as far as a fault lets it.
    deleted: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    /// Take up an aborted task again.
    Recover,
    /// Let the pods get ready.
    Release,
}

struct Actor {
    kind: Kind,
    client: Client,
    settings: Arc<Settings>,
    memory: Memory,
}

impl Actor {
    /// Serves one installation until it is gone.
    async fn live(mut self, mut newest: watch::Receiver<Arc<DynamicObject>>) {
        const RETRY: Duration = Duration::from_millis(300);
        loop {
            let object = newest.borrow_and_update().clone();
            let mut later = newest.clone();
            let again = tokio::select! {
                biased;
                result = self.step(&object) => match result {
                    Ok(again) => again,
                    Err(error) if is_gone(&error) => None,
                    Err(error) => {
                        note(&format!("the operator's stand-in: {}: {error:#}", object.name_any()));
                        Some(RETRY)
                    }
                },
                superseded = later.wait_for(|other| is_newer(other, &object)) => match superseded {
                    Ok(_) => continue,
                    Err(_gone) => return,
                },
            };
            let pause = async {
                match again {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = pause => {}
                changed = newest.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Does what the object asks for now. `Some` asks to be called again after that time.
    async fn step(&mut self, object: &DynamicObject) -> Result<Option<Duration>> {
        const LOOK_AGAIN: Duration = Duration::from_millis(250);
        let mut installation = Installation::of(self.kind, object);
        let switches = self.switches(object).await?;
        installation.paired = switches.paired;
        // With suspend, versions up to 0.26 see nothing at all, not even a deletion.
        if installation.says_yes("suspend") {
            return Ok(None);
        }
        if switches.fault == Some(Fault::Silent) {
            return Ok(Some(LOOK_AGAIN));
        }
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &installation.namespace, &self.kind.resource());
        let ours = object.finalizers().iter().any(|finalizer| finalizer == FINALIZER);
        if object.metadata.deletion_timestamp.is_some() {
            if ours {
                Box::pin(self.delete(installation, object, switches, api)).await?;
            }
            return Ok((ours && switches.fault == Some(Fault::FinalizerNeverGoes)).then_some(LOOK_AGAIN));
        }
        if self.kind == Kind::ClickHouse && !ours {
            set_finalizers(&api, object, |finalizers| finalizers.push(FINALIZER.to_owned())).await?;
            return Ok(None);
        }
        if self.memory.ended == Some(installation.generation) {
            return Box::pin(self.what_is_left(installation, object, switches, api)).await;
        }
        let cluster = Cluster::new(self.client.clone(), &installation.namespace);
        let ancestor = ancestor::load(&cluster, &installation, object).await?;
        let status = object.data.pointer("/status/status").and_then(Value::as_str);
        let unchanged = ancestor.as_ref() == Some(&installation.spec) && status == Some("Completed");
        let given_up = status == Some("Aborted")
            && installation.task().is_some_and(|task| object.data["status"]["taskID"] == task);
        if unchanged || given_up {
            self.memory.ended = Some(installation.generation);
            return Ok(None);
        }
        tokio::time::sleep(notice(&self.settings, &switches)).await;
        let raced = switches.fault == Some(Fault::FinalizeRace) && ancestor.is_some() && !self.memory.raced;
        let task = self.task(installation, object, switches, api, ancestor);
        if raced {
            // First, since the answer to what comes may end this step.
            self.memory.raced = true;
            let (installation, id) = (&task.installation, &task.id);
            task.write(|status| status.describe(installation, id)).await?;
            task.complete().await?;
            self.memory.ended = Some(task.installation.generation);
            return Ok(None);
        }
        Box::pin(self.work(task)).await
    }

    async fn work(&mut self, task: Task) -> Result<Option<Duration>> {
        let end = task.run().await?;
        self.memory.ended = Some(task.installation.generation);
        let left = match (end, task.switches.fault) {
            (End::Aborted, Some(Fault::AbortedRecovers(pause))) => Some((Left::Recover, pause)),
            (End::Completed, Some(Fault::CompletedNotReady(Some(pause)))) => Some((Left::Release, pause)),
            _ => None,
        };
        self.memory.left = left.map(|(left, pause)| (left, tokio::time::Instant::now() + pause));
        Ok(left.map(|(_, pause)| pause))
    }

    /// What a fault does some time after the task's end.
    async fn what_is_left(
        &mut self,
        installation: Installation,
        object: &DynamicObject,
        mut switches: Switches,
        api: Api<DynamicObject>,
    ) -> Result<Option<Duration>> {
        let Some((left, due)) = self.memory.left else { return Ok(None) };
        let now = tokio::time::Instant::now();
        if now < due {
            return Ok(Some(due - now));
        }
        self.memory.left = None;
        match left {
            Left::Release => {
                let cluster = Cluster::new(self.client.clone(), &installation.namespace);
                cluster.release(installation.hosts.iter().map(|host| installation.pod_name(host))).await?;
                Ok(None)
            }
            Left::Recover => {
                switches.fault = None;
                let task = self.task(installation, object, switches, api, None);
                Box::pin(self.work(task)).await
            }
        }
    }

    async fn delete(
        &mut self,
        installation: Installation,
        object: &DynamicObject,
        switches: Switches,
        api: Api<DynamicObject>,
    ) -> Result<()> {
        if !self.memory.deleted {
            let task = self.task(installation, object, switches, api.clone(), None);
            Box::pin(reconcile::delete(&task)).await?;
            self.memory.deleted = true;
        }
        if switches.fault != Some(Fault::FinalizerNeverGoes) {
            let current = api.get(&object.name_any()).await?;
            set_finalizers(&api, &current, |finalizers| {
                finalizers.retain(|finalizer| finalizer != FINALIZER);
            })
            .await?;
        }
        Ok(())
    }

    fn task(
        &self,
        installation: Installation,
        object: &DynamicObject,
        switches: Switches,
        api: Api<DynamicObject>,
        ancestor: Option<Value>,
    ) -> Task {
        let id = installation.task().map_or_else(automatic_task, str::to_owned);
        Task {
            settings: self.settings.clone(),
            cluster: Cluster::new(self.client.clone(), &installation.namespace),
            api,
            installation,
            switches,
            status: Mutex::new(Status::new(object.data.get("status"))),
            id,
            ancestor,
        }
    }

    async fn switches(&self, object: &DynamicObject) -> Result<Switches> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let namespace =
            namespaces.get_opt(&object.namespace().unwrap_or_default()).await?.unwrap_or_default();
        let places = [object.annotations(), namespace.annotations()];
        let mut switches = Switches::of(places, self.settings.create_timeout, self.settings.update_timeout);
        switches.engines = switches.engines.or(self.settings.engines);
        Ok(switches)
    }
}

/// Whether `other` asks for something else than `object`. A changed status doesn't.
fn is_newer(other: &DynamicObject, object: &DynamicObject) -> bool {
    other.metadata.generation != object.metadata.generation
        || other.metadata.deletion_timestamp.is_some() != object.metadata.deletion_timestamp.is_some()
}

/// Fails when the object has changed meanwhile.
async fn set_finalizers(
    api: &Api<DynamicObject>,
    object: &DynamicObject,
    change: impl FnOnce(&mut Vec<String>),
) -> Result<()> {
    let mut finalizers = object.finalizers().to_vec();
    change(&mut finalizers);
    let patch = json!({"metadata": {"finalizers": finalizers, "resourceVersion": object.resource_version()}});
    api.patch(&object.name_any(), &PatchParams::default(), &Patch::Merge(patch)).await?;
    Ok(())
}

/// The id of a task that the spec does not name.
fn automatic_task() -> String {
    let id = format!("{:032x}", rand::random::<u128>());
    format!("auto-{}-{}-{}-{}-{}", &id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..])
}

/// The installation as the operator keeps it, reduced to what others read.
fn ancestor_metadata(installation: &Installation) -> Value {
    json!({
        "metadata": {"name": installation.name, "namespace": installation.namespace, "uid": installation.uid,
            "generation": installation.generation},
        "spec": installation.spec,
    })
}

/// An event on an installation. The Keeper's side of the operator has none.
async fn event(cluster: &Cluster, installation: &Installation, reason: &str, message: &str) -> Result<()> {
    if installation.kind == Kind::Keeper {
        return Ok(());
    }
    let resource = installation.kind.resource();
    let now = Timestamp::now();
    let event = json!({
        "metadata": {"generateName": "chop-chi-", "namespace": installation.namespace},
        "involvedObject": {
            "apiVersion": resource.api_version, "kind": resource.kind, "name": installation.name,
                "namespace": installation.namespace, "uid": installation.uid,
        },
        "reason": reason,
        "message": message,
        "type": if reason.ends_with("Failed") { "Error" } else { "Normal" },
        "source": {"component": "clickhouse-operator"},
        "firstTimestamp": now.to_string(),
        "lastTimestamp": now.to_string(),
        "count": 1,
    });
    cluster.api::<Event>().create(&PostParams::default(), &serde_json::from_value(event)?).await?;
    Ok(())
}

/// Says on standard error what went wrong in a stand-in.
#[allow(clippy::print_stderr, reason = "a stand-in has no other place to say it")]
pub(crate) fn note(text: &str) {
    eprintln!("{text}");
}
