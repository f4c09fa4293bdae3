//! Real ClickHouse engines behind simulated pods: for each pod that asks for one, a process on the pod's own
//! configuration, Secrets, environment and volumes, which starts and ends with the pod.
//!
//! It is the kubelet's half that kwok has not: a pod is ready once its engine answers `/ping`, and
//! crash-loops when its engine ends. A claim's volume is a folder that is there for as long as the volume.
//! Other configuration is taken over by another process on the same data, since this engine reloads none.

mod config;
pub mod forward;
pub(crate) mod http;
mod install;
mod pod;
mod process;
pub mod wheels;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use futures::stream::{self, StreamExt as _};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, PersistentVolume, Pod};
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, ResourceExt as _};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use self::http::Login;
pub use self::install::{Absent, Installed, OLDER, VERSION, install, install_older};
use self::pod::{Files, Mounted};
use self::process::{Engine, Ports};
use crate::operator::note;

/// An annotation of a namespace, or of an installation, whose hosts are to have engines: a word of
/// [`Choice`].
pub const ENGINES: &str = "testbed/engines";
/// The annotation of the pods that have one: the same.
pub(crate) const ENGINE: &str = "testbed/engine";
/// An annotation of a namespace, for the engines of its pods: the loopback ports of what stands outside of
/// Kubernetes by the names of the hosts, in JSON, as a DNS would know them.
pub const HOSTS: &str = "testbed/hosts";
/// Why a pod with an engine is held back at first.
pub(crate) const HOLD: &str = "until its engine answers";
/// The annotation of a pod whose engine has ended: its last words.
const ENDED: &str = "testbed/engine-ended";
/// The label of what belongs to a ClickHouseInstallation.
const LABEL: &str = "clickhouse.altinity.com/chi";
/// After which an engine that ended is started again.
const BACK_OFF: Duration = Duration::from_secs(3);

/// Runs the engines of all pods that ask for one until dropped; their files and volumes are in `directory`.
/// No process outlives this one.
pub async fn run(client: Client, installed: Installed, directory: PathBuf) {
    let engines = Arc::new(Engines { client, installed, directory, ports: Mutex::default() });
    tokio::join!(engines.pods(), engines.volumes());
}

struct Engines {
    client: Client,
    installed: Installed,
    directory: PathBuf,
    /// The ports of hosts by namespace and name. Hosts know each other's before they run.
    ports: Mutex<HashMap<(String, String), Ports>>,
}

/// Which engine a pod has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// `newest`: of [`VERSION`], whatever its image is.
    Newest,
    /// `by-image`: of [`OLDER`] where the tag of its image begins like that, and of [`VERSION`] elsewhere.
    ByImage,
}

impl Choice {
    /// The annotation's value.
    pub fn word(self) -> &'static str {
        match self {
            Self::Newest => "newest",
            Self::ByImage => "by-image",
        }
    }

    pub(crate) fn parse(word: &str) -> Option<Self> {
        [Self::Newest, Self::ByImage].into_iter().find(|choice| choice.word() == word)
    }
}

/// What is wanted of the engine of one pod name.
#[derive(Clone, Default)]
struct Wanted {
    /// The pod, while there is one that is not being deleted.
    pod: Option<Arc<Pod>>,
    /// How often a ConfigMap of its namespace has changed.
    changes: u64,
}

impl Wanted {
    fn uid(&self) -> Option<String> {
        self.pod.as_ref().and_then(|pod| pod.uid())
    }
}

/// An engine that has answered.
struct Running {
    uid: Option<String>,
    files: Files,
    engine: Engine,
}

#[expect(clippy::large_enum_variant, reason = "each is looked at once, and dropped")]
enum Seen {
    Pod(watcher::Event<Pod>),
    Config(watcher::Event<ConfigMap>),
}

impl Engines {
    /// Gives each pod name its keeper.
    async fn pods(self: &Arc<Self>) {
        let labelled = || watcher::Config::default().labels(LABEL);
        let pods = watcher(Api::<Pod>::all(self.client.clone()), labelled())
            .default_backoff()
            .map(|event| event.map(Seen::Pod));
        let configs = watcher(Api::<ConfigMap>::all(self.client.clone()), labelled())
            .default_backoff()
            .map(|event| event.map(Seen::Config));
        let mut seen = std::pin::pin!(stream::select(pods, configs));
        let mut keepers: HashMap<(String, String), watch::Sender<Wanted>> = HashMap::new();
        let mut running = JoinSet::new();
        let mut listed = Vec::new();
        while let Some(event) = seen.next().await {
            match event {
                Ok(Seen::Pod(watcher::Event::Init)) => listed.clear(),
                Ok(Seen::Pod(watcher::Event::InitDone)) => {
                    let gone = keepers.iter().filter(|(key, _)| !listed.contains(*key));
                    gone.for_each(|(_, keeper)| keeper.send_modify(|wanted| wanted.pod = None));
                }
                Ok(Seen::Pod(watcher::Event::Delete(pod))) => {
                    if let Some(keeper) = keepers.get(&key(&pod)) {
                        keeper.send_modify(|wanted| wanted.pod = None);
                    }
                }
                Ok(Seen::Pod(watcher::Event::Apply(pod) | watcher::Event::InitApply(pod))) => {
                    let key = key(&pod);
                    listed.push(key.clone());
                    let on_a_node = pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
                    let runs = on_a_node
                        && pod.metadata.deletion_timestamp.is_none()
                        && pod.annotations().contains_key(ENGINE);
                    if !runs && !keepers.contains_key(&key) {
                        continue;
                    }
                    let keeper = keepers.entry(key).or_insert_with(|| {
                        let (keeper, wanted) = watch::channel(Wanted::default());
                        running.spawn(self.clone().keep(wanted));
                        keeper
                    });
                    keeper.send_modify(|wanted| wanted.pod = runs.then(|| Arc::new(pod)));
                }
                Ok(Seen::Config(watcher::Event::Apply(config))) => {
                    let namespace = config.namespace().unwrap_or_default();
                    let concerned = keepers.iter().filter(|((of, _), _)| *of == namespace);
                    concerned.for_each(|(_, keeper)| keeper.send_modify(|wanted| wanted.changes += 1));
                }
                Ok(Seen::Config(_)) | Err(_) => {}
            }
        }
    }

    /// Removes the folders of volumes that are gone.
    async fn volumes(&self) {
        let mut volumes = std::pin::pin!(
            watcher(Api::<PersistentVolume>::all(self.client.clone()), watcher::Config::default())
                .default_backoff()
        );
        while let Some(event) = volumes.next().await {
            if let Ok(watcher::Event::Delete(volume)) = event
                && let Err(problem) = pod::remove(&self.directory.join("volumes").join(volume.name_any()))
            {
                note(&format!("the engines: {problem:#}"));
            }
        }
    }

    /// Keeps the engine of one pod name as it is wanted, until nothing is wanted any more.
    async fn keep(self: Arc<Self>, mut wanted: watch::Receiver<Wanted>) {
        let mut running = None;
        loop {
            let now = wanted.borrow_and_update().clone();
            let mut later = wanted.clone();
            let again = tokio::select! {
                done = self.bring_up(&mut running, &now) => done.unwrap_or_else(|error| {
                    // What is not there yet comes with a change, or a little later.
                    if !crate::operator::is_gone(&error) {
                        note(&format!("the engines: {error:#}"));
                    }
                    Some(Duration::from_millis(300))
                }),
                superseded = later.wait_for(|other| other.uid() != now.uid()) => match superseded {
                    Ok(_) => continue,
                    Err(_over) => return,
                },
            };
            let pause = async {
                match again {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = wanted.changed() => if changed.is_err() { return },
                () = pause => {}
                () = ended(&mut running) => {}
            }
        }
    }

    /// Starts, ends or changes an engine so that it is as wanted. `Some` asks to be called again after that
    /// time.
    async fn bring_up(&self, running: &mut Option<Running>, wanted: &Wanted) -> Result<Option<Duration>> {
        if let Some(old) =
            running.take_if(|running| running.uid != wanted.uid() || !running.engine.is_alive())
        {
            let last_words = old.engine.last_words();
            let home = self.home(old.uid.as_deref());
            drop(old.engine);
            match &wanted.pod {
                Some(pod) if old.uid == wanted.uid() => {
                    self.show(pod, Some(&last_words)).await?;
                    return Ok(Some(BACK_OFF));
                }
                _ => pod::remove(&home)?,
            }
        }
        let Some(pod) = &wanted.pod else { return Ok(None) };
        let mounted = Mounted::of(&self.client, pod).await?;
        let ports = self.ports(&key(pod))?;
        let home = self.home(pod.uid().as_deref());
        let namespace = pod.namespace().unwrap_or_default();
        let installed = self.installed(pod).await?;
        let outside = self.outside(&namespace).await?;
        let files = config::files(&mounted, &home, ports, installed.listens, |host| {
            let port = outside.get(host);
            port.map(|port| Ports { http: *port, tcp: *port }).or_else(|| self.ports_of(&namespace, host))
        });
        if running.as_ref().is_some_and(|running| running.files == files) {
            return Ok(None);
        }
        // Two engines can't have the same data.
        *running = None;
        mounted.lay_out(&files, &home, &self.directory.join("volumes"))?;
        let environment = [mounted.environment.clone(), config::variables(&mounted)].concat();
        let mut engine = Engine::start(&installed, &home, ports, &environment)?;
        if let Err(error) = engine.serves().await {
            self.show(pod, Some(&error.to_string())).await?;
            return Ok(Some(BACK_OFF));
        }
        forward::install(&self.client, pod, ports).await?;
        *running = Some(Running { uid: pod.uid(), files, engine });
        self.show(pod, None).await?;
        Ok(None)
    }

    /// The ports of hosts outside of Kubernetes.
    async fn outside(&self, namespace: &str) -> Result<BTreeMap<String, u16>> {
        let namespace = Api::<Namespace>::all(self.client.clone()).get(namespace).await?;
        let hosts =
            namespace.annotations().get(HOSTS).map(|hosts| serde_json::from_str(hosts)).transpose()?;
        Ok(hosts.unwrap_or_default())
    }

    /// The engine that a pod is to have.
    async fn installed(&self, pod: &Pod) -> Result<Installed> {
        let by_image =
            pod.annotations().get(ENGINE).is_some_and(|word| Choice::parse(word) == Some(Choice::ByImage));
        let image = pod::container(pod).and_then(|container| container.image.as_deref()).unwrap_or_default();
        let older = image.rsplit_once(':').is_some_and(|(_, tag)| tag.starts_with(install::OLDER_RELEASE));
        if by_image && older {
            Ok(tokio::task::spawn_blocking(install_older).await??)
        } else {
            Ok(self.installed.clone())
        }
    }

    /// Shows on the pod that its engine answers, or with which words it ended.
    async fn show(&self, pod: &Pod, last_words: Option<&str>) -> Result<()> {
        let mut annotations = BTreeMap::from([(ENDED, json!(last_words))]);
        if pod.annotations().get(crate::operator::HELD).is_some_and(|reason| reason == HOLD) {
            annotations.insert(crate::operator::HELD, json!(null));
        }
        let known = pod.annotations().get(ENDED).map(String::as_str);
        if annotations.len() == 1 && known == last_words {
            return Ok(());
        }
        // The uid makes the write miss another pod of the same name.
        let shown = json!({"metadata": {"uid": pod.uid(), "annotations": annotations}});
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &pod.namespace().unwrap_or_default());
        pods.patch_metadata(&pod.name_any(), &PatchParams::default(), &Patch::Merge(shown)).await?;
        Ok(())
    }

    fn home(&self, uid: Option<&str>) -> PathBuf {
        self.directory.join("pods").join(uid.unwrap_or_default())
    }

    /// The ports of a host by its name in the configuration of another; `None` for one that is none of an
    /// installation's.
    fn ports_of(&self, namespace: &str, host: &str) -> Option<Ports> {
        let mut labels = host.split('.');
        let name = labels.next().filter(|name| name.starts_with("chi-"))?;
        let other = labels.next().is_some_and(|of| of != namespace);
        if other { None } else { self.ports(&(namespace.to_owned(), format!("{name}-0"))).ok() }
    }

    fn ports(&self, key: &(String, String)) -> Result<Ports> {
        let mut ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = ports.get(key) {
            return Ok(*known);
        }
        let taken: Vec<Ports> = ports.values().copied().collect();
        let free = Ports::free(&taken)?;
        ports.insert(key.clone(), free);
        Ok(free)
    }
}

fn key(pod: &Pod) -> (String, String) {
    (pod.namespace().unwrap_or_default(), pod.name_any())
}

/// Waits until an engine ends by itself.
async fn ended(running: &mut Option<Running>) {
    const LOOK: Duration = Duration::from_millis(250);
    let Some(running) = running else { return std::future::pending().await };
    while running.engine.is_alive() {
        tokio::time::sleep(LOOK).await;
    }
}
