//! The testbed of a test process: started by the first test that asks, used by all, gone with the process.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{OnceLock, mpsc};

use anyhow::{Context as _, Result, anyhow, ensure};
use k8s_openapi::api::core::v1::Namespace as NamespaceObject;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, ResourceExt as _};
use serde_json::json;
use tokio::sync::OnceCell;

use crate::control_plane::{CONTEXT, ControlPlane, Lifetime};
use crate::elsewhere::Elsewhere;
use crate::engine::{Absent, Choice, ENGINES};
use crate::operator::faults::{CRASHED, FAULT};
use crate::pulumi::{Pulumi, Stack};
use crate::requests::{Counter, Requests};
use crate::tools::{self, Tool};
use crate::{borrowed, cargo, cloud, crds, engine, operator};

/// What a started testbed consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// The operator's stand-in runs.
    StandIn,
    /// No operator runs, and there is no trace of one but its CRDs.
    Absent,
}

/// A control plane with the stand-ins, or a cluster of the user's, and Pulumi.
pub struct Testbed {
    config: kube::Config,
    kubeconfig: PathBuf,
    directory: PathBuf,
    /// `None` on a cluster of the user's.
    own: Option<Own>,
    pulumi: OnceCell<Pulumi>,
    elsewhere: OnceCell<Elsewhere>,
    engines: OnceCell<Result<(), Absent>>,
    /// What the stand-ins run on: each test has a runtime of its own, which ends with it.
    runtime: Option<tokio::runtime::Runtime>,
}

/// A control plane of the testbed's.
struct Own {
    binary: PathBuf,
    /// For tests that break it; the shared one is never broken.
    control_plane: tokio::sync::Mutex<ControlPlane>,
    counted_kubeconfig: PathBuf,
    counter: tokio::sync::Mutex<Counter>,
}

impl Testbed {
    /// The testbed that all tests of this process share.
    ///
    /// # Panics
    /// When it can't be started: then no test can say anything.
    #[allow(clippy::panic, reason = "only tests call it, and none can go on")]
    pub async fn shared() -> &'static Self {
        static SHARED: OnceLock<Result<Testbed, String>> = OnceLock::new();
        let started = tokio::task::spawn_blocking(|| {
            SHARED.get_or_init(|| {
                let started = match borrowed::context() {
                    Some(context) => Self::borrow(&context),
                    None => Self::start(Operator::StandIn),
                };
                started.map_err(|error| format!("{error:#}"))
            })
        })
        .await;
        match started {
            Ok(Ok(testbed)) => testbed,
            Ok(Err(error)) => panic!("failed to start the testbed: {error}"),
            Err(error) => panic!("failed to start the testbed: {error}"),
        }
    }

    /// A testbed of one's own, for a test that breaks it. It is gone when dropped.
    pub async fn alone(operator: Operator) -> Result<Self> {
        tokio::task::spawn_blocking(move || Self::start(operator)).await?
    }

    /// Blocks: it has a runtime of its own.
    fn start(operator: Operator) -> Result<Self> {
        let binary = tools::build(Tool::ControlPlane)?;
        let directory = run_directory()?;
        let program = binary.clone();
        let runtime = runtime()?;
        let (sender, receiver) = mpsc::channel();
        runtime.spawn(async move {
            let started = start_plane(&directory, &program, operator).await;
            // The receiver waits until it has this.
            let _ = sender.send(started.map(|(plane, config)| (plane, config, directory)));
        });
        let (control_plane, config, directory) =
            receiver.recv().map_err(|_| anyhow!("the testbed's start was ended"))??;
        Ok(Self {
            config,
            kubeconfig: control_plane.kubeconfig(),
            directory,
            own: Some(Own {
                binary,
                counted_kubeconfig: control_plane.counted_kubeconfig(),
                counter: tokio::sync::Mutex::new(Counter::new(&control_plane.requests())),
                control_plane: tokio::sync::Mutex::new(control_plane),
            }),
            pulumi: OnceCell::new(),
            elsewhere: OnceCell::new(),
            engines: OnceCell::new(),
            runtime: Some(runtime),
        })
    }

    /// Nothing of its own: the cluster of a context of the user's kubeconfig.
    fn borrow(context: &str) -> Result<Self> {
        let directory = run_directory()?;
        let kubeconfig = directory.join("kubeconfig");
        let runtime = runtime()?;
        let (sender, receiver) = mpsc::channel();
        let (name, path) = (context.to_owned(), kubeconfig.clone());
        runtime.spawn(async move { sender.send(borrowed::config(&name, &path).await) });
        Ok(Self {
            config: receiver.recv().map_err(|_| anyhow!("the testbed's start was ended"))??,
            kubeconfig,
            directory,
            own: None,
            pulumi: OnceCell::new(),
            elsewhere: OnceCell::new(),
            engines: OnceCell::new(),
            runtime: Some(runtime),
        })
    }

    /// The name of the context in its kubeconfig.
    pub fn context(&self) -> String {
        borrowed::context().unwrap_or_else(|| CONTEXT.to_owned())
    }

    /// Whether it is a cluster of the user's, with real pods.
    pub fn is_borrowed(&self) -> bool {
        self.own.is_none()
    }

    fn own(&self) -> Result<&Own> {
        self.own.as_ref().context("only the testbed's own control plane can do this: say so with `needs!`")
    }

    /// A new client with the administrator's rights. Its connections live on the caller's runtime: a test
    /// that shared another's would lose them when that one ends.
    pub fn client(&self) -> Result<Client> {
        Ok(Client::try_from(self.config.clone())?)
    }

    /// The path of the kubeconfig.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The control plane, for tests that kill and restart its parts: on a testbed of one's own only.
    pub async fn control_plane(&self) -> Result<tokio::sync::MutexGuard<'_, ControlPlane>> {
        Ok(self.own()?.control_plane.lock().await)
    }

    /// The one user whose requests are counted. A second caller waits until the first one is done with it.
    pub async fn counted(&self) -> Result<Counted<'_>> {
        let own = self.own()?;
        let mut counter = own.counter.lock().await;
        counter.take()?;
        Ok(Counted { counter, kubeconfig: &own.counted_kubeconfig })
    }

    /// A fresh namespace with a name of its own, which goes with the testbed at the latest. In a cluster of
    /// the user's the run's end deletes it by its label ([`borrowed::RUN`]).
    pub async fn namespace(&self) -> Result<Namespace> {
        let client = self.client()?;
        let api: Api<NamespaceObject> = Api::all(client.clone());
        let namespace = serde_json::from_value(json!({"metadata": {"generateName": "test-",
            "labels": {borrowed::RUN: borrowed::run()}}}))?;
        let made =
            api.create(&PostParams::default(), &namespace).await.context("failed to make a namespace")?;
        Ok(Namespace { client, name: made.name_any() })
    }

    /// Another Kubernetes cluster, with the operator's definitions and nobody else's, but nobody in it who
    /// would do anything. Started at the first call.
    pub async fn elsewhere(&self) -> Result<&Elsewhere> {
        self.own()?;
        let directory = self.directory.join("elsewhere");
        let start = || Elsewhere::start(&directory, crds::install);
        self.elsewhere.get_or_try_init(start).await
    }

    /// Another one, with the definitions of this release of the operator, which lie beside those in force,
    /// and all others. `None` where they don't.
    pub async fn elsewhere_with(&self, release: &str) -> Result<Option<Elsewhere>> {
        // Each has files of its own: several tests may want one at a time.
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        self.own()?;
        let Some(folder) = crds::of_release(release) else { return Ok(None) };
        let install = async move |client: &Client| crds::install_all_of(client, Some(&folder)).await;
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        Elsewhere::start(&self.directory.join(format!("{release}-{number}")), install).await.map(Some)
    }

    /// A fresh namespace whose ClickHouse pods have real engines; the first call installs what is missing.
    /// In a cluster of the user's all pods do. [`Absent`] where there is none for this machine: what needs
    /// answers is left out there.
    pub async fn namespace_with_engines(&self, choice: Choice) -> Result<Result<Namespace, Absent>> {
        if self.is_borrowed() {
            return Ok(Ok(self.namespace().await?));
        }
        if let Err(absent) = self.engines.get_or_try_init(|| self.start_engines()).await? {
            return Ok(Err(absent.clone()));
        }
        if choice == Choice::ByImage
            && let Err(absent) = tokio::task::spawn_blocking(engine::install_older).await?
        {
            return Ok(Err(absent));
        }
        let namespace = self.namespace().await?;
        namespace.annotate(ENGINES, Some(choice.word())).await?;
        Ok(Ok(namespace))
    }

    async fn start_engines(&self) -> Result<Result<(), Absent>> {
        let installed = match tokio::task::spawn_blocking(engine::install).await? {
            Ok(installed) => installed,
            Err(absent) => return Ok(Err(absent)),
        };
        let runtime = self.runtime.as_ref().context("the testbed has ended")?;
        runtime.spawn(engine::run(self.client_of_its_own()?, installed, self.directory.join("engines")));
        Ok(Ok(()))
    }

    /// The folder in which engines keep what is on a volume, by its name.
    pub fn engine_volume(&self, name: &str) -> PathBuf {
        self.directory.join("engines/volumes").join(name)
    }

    /// A client whose connections live as long as the testbed.
    fn client_of_its_own(&self) -> Result<Client> {
        let _inside = self.runtime.as_ref().map(tokio::runtime::Runtime::enter);
        self.client()
    }

    /// A command that runs `kubectl` on this cluster: the testbed's, or for a cluster of the user's the
    /// installed one.
    pub fn kubectl(&self) -> Command {
        let mut command = match &self.own {
            Some(own) => {
                let mut command = Command::new(&own.binary);
                command.arg("kubectl");
                command
            }
            None => Command::new("kubectl"),
        };
        command.env("KUBECONFIG", &self.kubeconfig);
        command
    }

    /// Pulumi with the provider's plugin, built and installed at the first call.
    pub async fn pulumi(&self) -> Result<&Pulumi> {
        let home = self.directory.join("pulumi");
        let install = || async {
            tokio::task::spawn_blocking(move || Pulumi::install(&home, &cargo::plugin()?)).await?
        };
        self.pulumi.get_or_try_init(install).await
    }

    /// A stack whose program is the YAML text `program` (without `name` and `runtime`), on this cluster.
    pub async fn stack(&self, program: &str) -> Result<Stack> {
        self.pulumi().await?.stack(program, &self.kubeconfig).await
    }
}

impl Drop for Testbed {
    fn drop(&mut self) {
        // The stand-ins first: they would complain of a control plane that is gone. Ending a runtime waits
        // for its threads, which a test's own thread may not do.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        if let Some(own) = &mut self.own {
            own.control_plane.get_mut().stop();
        }
        drop(self.elsewhere.take());
        // What can't be removed now is removed by the next process's start.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    Ok(builder.worker_threads(2).thread_name("testbed").enable_all().build()?)
}

async fn start_plane(
    directory: &Path,
    binary: &Path,
    presence: Operator,
) -> Result<(ControlPlane, kube::Config)> {
    let plane = ControlPlane::start(directory, binary, Lifetime::Tethered, crds::install_all).await?;
    let config = plane.config().await?;
    let client = Client::try_from(config.clone())?;
    cloud::install(&client).await?;
    tokio::spawn(cloud::run(client.clone()));
    if presence == Operator::StandIn {
        operator::install(&client).await?;
        tokio::spawn(operator::run(client.clone(), operator::Settings::default()));
    }
    Ok((plane, config))
}

/// A folder for one testbed of this process. Those of processes that are gone are removed.
fn run_directory() -> Result<PathBuf> {
    let parent = std::env::temp_dir();
    for entry in std::fs::read_dir(&parent)?.flatten() {
        let name = entry.file_name();
        let process = name
            .to_str()
            .and_then(|name| name.strip_prefix("clickhouse-testbed-")?.split('-').next()?.parse().ok());
        let gone = process
            .and_then(rustix::process::Pid::from_raw)
            .is_some_and(|process| rustix::process::test_kill_process(process).is_err());
        if gone {
            // Another process may be removing it too.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    let prefix = format!("clickhouse-testbed-{}-", std::process::id());
    Ok(tempfile::Builder::new().prefix(&prefix).tempdir_in(parent)?.keep())
}

/// The user whose requests are counted, and nobody else's.
pub struct Counted<'a> {
    counter: tokio::sync::MutexGuard<'a, Counter>,
    kubeconfig: &'a Path,
}

impl Counted<'_> {
    /// The path of its kubeconfig.
    pub fn kubeconfig(&self) -> &Path {
        self.kubeconfig
    }

    /// What it asked for since the last call. A request that was answered is in it.
    pub fn take(&mut self) -> Result<Requests> {
        self.counter.take()
    }
}

/// A namespace of one test.
pub struct Namespace {
    client: Client,
    name: String,
}

impl Namespace {
    /// One that is there.
    pub(crate) fn new(client: Client, name: String) -> Self {
        Self { client, name }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// An API on the objects of one built-in kind in it.
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.name)
    }

    /// The ClickHouseInstallations in it.
    pub fn installations(&self) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.name, &operator::installations())
    }

    /// The ClickHouseKeeperInstallations in it.
    pub fn keepers(&self) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.name, &operator::keepers())
    }

    /// The objects in it of a kind that is known by group, version and name.
    pub fn custom(&self, group: &str, version: &str, kind: &str) -> Api<DynamicObject> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        Api::namespaced_with(self.client.clone(), &self.name, &resource)
    }

    /// Switches a fault of the operator's stand-in on for everything in it ([`operator::faults`] has the
    /// words).
    pub async fn set_fault(&self, fault: &str) -> Result<()> {
        ensure!(
            borrowed::context().is_none(),
            "only the operator's stand-in has faults: say so with `needs!`"
        );
        self.annotate(FAULT, Some(fault)).await
    }

    /// Switches the fault off.
    pub async fn clear_fault(&self) -> Result<()> {
        self.annotate(FAULT, None).await
    }

    /// Whether the operator's stand-in has crashed in it, as the fault `keeper-crash` makes it.
    pub async fn crashed(&self) -> Result<bool> {
        let api: Api<NamespaceObject> = Api::all(self.client.clone());
        Ok(api.get(&self.name).await?.annotations().contains_key(CRASHED))
    }

    /// Sets or removes an annotation of the namespace.
    pub async fn annotate(&self, key: &str, value: Option<&str>) -> Result<()> {
        let api: Api<NamespaceObject> = Api::all(self.client.clone());
        let patch = json!({"metadata": {"annotations": {key: value}}});
        api.patch(&self.name, &PatchParams::default(), &Patch::Merge(patch)).await?;
        Ok(())
    }

    /// Deletes it, without waiting for its contents.
    pub async fn delete(self) -> Result<()> {
        let api: Api<NamespaceObject> = Api::all(self.client);
        api.delete(&self.name, &DeleteParams::default()).await?;
        Ok(())
    }
}
