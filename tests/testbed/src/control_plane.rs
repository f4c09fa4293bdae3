//! A Kubernetes control plane on loopback: etcd, API server, controller manager, scheduler, and kwok,
//! which plays the kubelets. Real but for the containers, which never run.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::wait::await_condition;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::nodes;
pub use crate::process::Lifetime;
use crate::process::{Process, Record};

/// The name of the cluster, the user and the context in the kubeconfig.
pub const CONTEXT: &str = "testbed";
/// An address that is routed nowhere: the API server may not advertise loopback.
const ADVERTISED: &str = "192.0.2.1";
const STAGES: &str = include_str!("stages.yaml");
const STATE: &str = "control-plane.json";
/// A second administrator: the API server writes down what this one asks for, and nobody else's requests.
const COUNTED: &str = "counted";

/// One of the control plane's processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Component {
    /// The store.
    Etcd,
    /// The API server.
    ApiServer,
    /// What binds volumes, runs StatefulSets and collects garbage.
    ControllerManager,
    /// What gives pods a node.
    Scheduler,
    /// What plays the nodes.
    Kwok,
}

impl Component {
    /// All of them, in the order in which they start.
    pub const ALL: [Self; 5] =
        [Self::Etcd, Self::ApiServer, Self::ControllerManager, Self::Scheduler, Self::Kwok];
    /// Those that watch the API server.
    const CLIENTS: [Self; 3] = [Self::ControllerManager, Self::Scheduler, Self::Kwok];

    fn command(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::Kwok => "kwok",
        }
    }
}

/// What stays the same when a component is started again.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Fixed {
    binary: PathBuf,
    token: String,
    etcd_port: u16,
    peer_port: u16,
    api_port: u16,
    kwok_port: u16,
}

#[derive(Debug, Serialize, Deserialize)]
struct State {
    fixed: Fixed,
    processes: BTreeMap<Component, Record>,
}

/// A running control plane. Dropping it leaves detached processes running and ends tethered ones.
#[derive(Debug)]
pub struct ControlPlane {
    directory: PathBuf,
    lifetime: Lifetime,
    fixed: Fixed,
    processes: BTreeMap<Component, Process>,
}

impl ControlPlane {
    /// Starts one whose files are in `directory` (made when absent) with the `controlplane` tool
    /// `binary`, and waits until its nodes are ready.
    ///
    /// `prepare` is called as soon as the API server answers, before anything else runs: the controller
    /// manager looks for new resource types only every half minute, and what owns by them would not go.
    ///
    /// Fails when a component ends, or when no node is ready after a minute; says where the logs are.
    pub async fn start(
        directory: &Path,
        binary: &Path,
        lifetime: Lifetime,
        prepare: impl AsyncFnOnce(&kube::Client) -> Result<()>,
    ) -> Result<Self> {
        let mut plane = Self::start_api(directory, binary, lifetime, prepare).await?;
        for client in Component::CLIENTS {
            plane.start_component(client)?;
        }
        plane.nodes_ready().await?;
        Ok(plane)
    }

    /// Starts only the store and the API server of one, as [`Self::start`] does: objects can be there, but
    /// nothing comes of them.
    pub async fn start_api(
        directory: &Path,
        binary: &Path,
        lifetime: Lifetime,
        prepare: impl AsyncFnOnce(&kube::Client) -> Result<()>,
    ) -> Result<Self> {
        fs::create_dir_all(directory).with_context(|| format!("failed to make `{}`", directory.display()))?;
        let ports = free_ports::<4>()?;
        let fixed = Fixed {
            binary: binary.to_owned(),
            token: format!("{:032x}", rand::random::<u128>()),
            etcd_port: ports[0],
            peer_port: ports[1],
            api_port: ports[2],
            kwok_port: ports[3],
        };
        let mut plane = Self { directory: directory.to_owned(), lifetime, fixed, processes: BTreeMap::new() };
        plane.write_users()?;
        plane.start_component(Component::Etcd)?;
        plane.start_component(Component::ApiServer)?;
        plane.write_kubeconfigs().await?;
        plane.serves().await?;
        prepare(&plane.client().await?).await?;
        Ok(plane)
    }

    /// Finds the control plane that another command started in `directory`; `None` when there is none,
    /// or when one of its processes is gone.
    pub fn find(directory: &Path) -> Result<Option<Self>> {
        let Some(mut plane) = Self::read(directory)? else { return Ok(None) };
        Ok(plane.is_alive().then_some(plane))
    }

    fn read(directory: &Path) -> Result<Option<Self>> {
        let Ok(text) = fs::read_to_string(directory.join(STATE)) else { return Ok(None) };
        let state: State = serde_json::from_str(&text)
            .with_context(|| format!("failed to read `{}`", directory.join(STATE).display()))?;
        let processes = state
            .processes
            .into_iter()
            .map(|(component, record)| (component, Process::found(record)))
            .collect();
        Ok(Some(Self {
            directory: directory.to_owned(),
            lifetime: Lifetime::Detached,
            fixed: state.fixed,
            processes,
        }))
    }

    /// Stops the control plane that was started in `directory`, as far as it still runs. The files stay.
    pub fn stop_in(directory: &Path) -> Result<()> {
        if let Some(mut plane) = Self::read(directory)? {
            plane.stop();
        }
        Ok(())
    }

    /// Stops all of it. The files stay.
    pub fn stop(&mut self) {
        for component in Component::ALL.into_iter().rev() {
            self.kill(component);
        }
    }

    /// Whether every component runs.
    pub fn is_alive(&mut self) -> bool {
        Component::ALL
            .iter()
            .all(|component| self.processes.get_mut(component).is_some_and(Process::is_alive))
    }

    /// Kills one component, as a crash would. The others go on as they can.
    pub fn kill(&mut self, component: Component) {
        if let Some(mut process) = self.processes.remove(&component) {
            process.kill();
        }
    }

    /// Starts a killed component again, with the same ports, data, token and certificate, and waits
    /// until the API server answers.
    pub async fn restart(&mut self, component: Component) -> Result<()> {
        self.kill(component);
        self.start_component(component)?;
        self.serves().await
    }

    /// Starts what watches the API server anew, as a kubelet does where it has lost its leader's lease: when the
    /// API server was away some times in a row, it would try again only once a minute, and the scheduler
    /// ends itself when a pod is elsewhere than it believes.
    pub fn restart_clients(&mut self) -> Result<()> {
        for client in Component::CLIENTS {
            self.kill(client);
            self.start_component(client)?;
        }
        Ok(())
    }

    /// The path of the kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.directory.join("kubeconfig")
    }

    /// The path of a kubeconfig of a second administrator, all of whose requests are in [`Self::requests`].
    pub fn counted_kubeconfig(&self) -> PathBuf {
        self.directory.join("counted-kubeconfig")
    }

    /// Where the API server writes each request of the second administrator before it answers it.
    pub fn requests(&self) -> PathBuf {
        self.directory.join("requests.log")
    }

    /// How to reach the API server with the administrator's rights.
    pub async fn config(&self) -> Result<kube::Config> {
        let kubeconfig = Kubeconfig::read_from(self.kubeconfig())?;
        Ok(kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?)
    }

    /// A new client with the administrator's rights.
    pub async fn client(&self) -> Result<kube::Client> {
        Ok(kube::Client::try_from(self.config().await?)?)
    }

    /// A command that runs `kubectl` on this control plane.
    pub fn kubectl(&self) -> Command {
        let mut command = Command::new(&self.fixed.binary);
        command.arg("kubectl").env("KUBECONFIG", self.kubeconfig());
        command
    }

    fn start_component(&mut self, component: Component) -> Result<()> {
        let mut command = Command::new(&self.fixed.binary);
        command.arg(component.command()).args(self.arguments(component)?).current_dir(&self.directory);
        // A short life needs no thrift: a collector that comes later costs memory for time.
        if self.lifetime == Lifetime::Tethered {
            command.env("GOGC", "400");
        }
        let log = self.log(component);
        // Each command line names the directory, which tells these processes from any other's.
        let mark = self.directory.display().to_string();
        let process = Process::start(command, &mark, &log, self.lifetime)?;
        self.processes.insert(component, process);
        let processes =
            self.processes.iter().map(|(component, process)| (*component, process.record.clone())).collect();
        let state = State { fixed: self.fixed.clone(), processes };
        fs::write(self.directory.join(STATE), serde_json::to_vec_pretty(&state)?)?;
        Ok(())
    }

    /// The path of what a component says.
    pub fn log(&self, component: Component) -> PathBuf {
        self.directory.join(format!("{}.log", component.command()))
    }

    fn arguments(&self, component: Component) -> Result<Vec<String>> {
        let directory = self.directory.display();
        let Fixed { etcd_port, peer_port, api_port, kwok_port, .. } = &self.fixed;
        let kubeconfig = self.kubeconfig();
        let kubeconfig = kubeconfig.display();
        let arguments = match component {
            Component::Etcd => format!(
                "--data-dir={directory}/etcd --unsafe-no-fsync --log-level=error --name=testbed \
                    --initial-cluster=testbed=http://127.0.0.1:{peer_port} \
                 --listen-client-urls=http://127.0.0.1:{etcd_port} \
                 --advertise-client-urls=http://127.0.0.1:{etcd_port} \
                 --listen-peer-urls=http://127.0.0.1:{peer_port} \
                 --initial-advertise-peer-urls=http://127.0.0.1:{peer_port}"
            ),
            // It signs a certificate for itself, whose key serves the service accounts too.
            Component::ApiServer => format!(
                "--etcd-servers=http://127.0.0.1:{etcd_port} --bind-address=127.0.0.1 \
                    --secure-port={api_port} --advertise-address={ADVERTISED} \
                 --endpoint-reconciler-type=none --cert-dir={directory}/certificates \
                 --token-auth-file={directory}/tokens.csv \
                 --authorization-mode=RBAC --service-cluster-ip-range=10.96.0.0/16 \
                 --service-account-issuer=https://kubernetes.default.svc \
                 --service-account-key-file={directory}/certificates/apiserver.key \
                 --service-account-signing-key-file={directory}/certificates/apiserver.key --profiling=false \
                 --audit-policy-file={directory}/audit.yaml --audit-log-path={} --audit-log-mode=blocking",
                self.requests().display()
            ),
            // A node that says nothing for a while is this machine that is busy.
            Component::ControllerManager => format!(
                "--kubeconfig={kubeconfig} --secure-port=0 --node-monitor-grace-period=10m --leader-elect=false --kube-api-qps=200 \
                    --kube-api-burst=400 \
                 --service-account-private-key-file={directory}/certificates/apiserver.key \
                 --use-service-account-credentials=false --profiling=false"
            ),
            Component::Scheduler => {
                format!(
                    "--kubeconfig={kubeconfig} --secure-port=0 --leader-elect=false --kube-api-qps=200 \
                        --kube-api-burst=400 --profiling=false"
                )
            }
            Component::Kwok => {
                self.write_kwok_configuration(*kwok_port)?;
                format!(
                    "--kubeconfig={kubeconfig} --config={directory}/kwok.yaml --manage-all-nodes=true \
                        --cidr=10.244.0.0/16"
                )
            }
        };
        Ok(arguments.split_whitespace().map(str::to_owned).collect())
    }

    /// Run bare, kwok has no defaults for its parallelism, and would serve on all addresses.
    fn write_kwok_configuration(&self, port: u16) -> Result<()> {
        let stages = Command::new(&self.fixed.binary)
            .arg("stages")
            .output()
            .context("failed to run `controlplane stages`")?;
        if !stages.status.success() {
            bail!("failed to run `controlplane stages`: {}", String::from_utf8_lossy(&stages.stderr));
        }
        let configuration = json!({
            "apiVersion": "config.kwok.x-k8s.io/v1alpha1",
            "kind": "KwokConfiguration",
            "options": {
                "serverAddress": format!("127.0.0.1:{port}"),
                // The API server reaches the nodes' ports here, and with them those of pods.
                "nodeIP": "127.0.0.1",
                "nodePort": port,
                "enableDebuggingHandlers": true,
                "enableCRDs": ["PortForward"],
                "tlsCertFile": self.directory.join("certificates/apiserver.crt"),
                "tlsPrivateKeyFile": self.directory.join("certificates/apiserver.key"),
                "nodeLeaseParallelism": 4,
                // A kwok that starts anew waits until the lease of the one before it is over.
                "nodeLeaseDurationSeconds": 10,
                "nodePlayStageParallelism": 4,
                "podPlayStageParallelism": 16,
                "podsOnNodeSyncParallelism": 4,
            },
        });
        let text = format!("{configuration}\n{}\n{STAGES}", String::from_utf8_lossy(&stages.stdout));
        fs::write(self.directory.join("kwok.yaml"), text)?;
        Ok(())
    }

    /// The users, and whose requests are written down: the one line of a request comes before its answer.
    fn write_users(&self) -> Result<()> {
        let line = |token: &str, user: &str| format!("{token},{user},{user},system:masters\n");
        let lines = line(&self.fixed.token, "admin") + &line(&self.counted_token(), COUNTED);
        fs::write(self.directory.join("tokens.csv"), lines)?;
        let policy = json!({
            "apiVersion": "audit.k8s.io/v1",
            "kind": "Policy",
            "omitStages": ["ResponseStarted", "ResponseComplete", "Panic"],
            "rules": [{"level": "Metadata", "users": [COUNTED]}, {"level": "None"}],
        });
        fs::write(self.directory.join("audit.yaml"), policy.to_string())?;
        Ok(())
    }

    fn counted_token(&self) -> String {
        format!("{}-{COUNTED}", self.fixed.token)
    }

    async fn write_kubeconfigs(&mut self) -> Result<()> {
        let certificate = self.directory.join("certificates/apiserver.crt");
        let deadline = Instant::now() + Duration::from_secs(60);
        while !certificate.exists() {
            self.still_starting(deadline)?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        for (path, token) in
            [(self.kubeconfig(), self.fixed.token.clone()), (self.counted_kubeconfig(), self.counted_token())]
        {
            let kubeconfig = json!({
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": CONTEXT,
                "clusters": [{"name": CONTEXT, "cluster": {
                    "server": format!("https://127.0.0.1:{}", self.fixed.api_port),
                    "certificate-authority": certificate,
                }}],
                "users": [{"name": CONTEXT, "user": {"token": token}}],
                "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": CONTEXT}}],
            });
            fs::write(path, serde_json::to_vec_pretty(&kubeconfig)?)?;
        }
        Ok(())
    }

    /// Waits until the API server answers as it should.
    async fn serves(&mut self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Ok(client) = self.client().await {
                let request = http::Request::get("/readyz").body(Vec::new())?;
                if client.request_text(request).await.is_ok_and(|answer| answer == "ok") {
                    return Ok(());
                }
            }
            self.still_starting(deadline)?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn nodes_ready(&mut self) -> Result<()> {
        let nodes_api: Api<Node> = Api::all(self.client().await?);
        for zone in ["a", "b", "c"] {
            let name = format!("node-{zone}");
            nodes_api
                .create(&PostParams::default(), &serde_json::from_value(nodes::node(&name, zone))?)
                .await?;
        }
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut ready = std::pin::pin!(await_condition(nodes_api, "node-a", nodes::is_ready()));
        loop {
            tokio::select! {
                node = &mut ready => { node?; return Ok(()) }
                () = tokio::time::sleep(Duration::from_millis(500)) => self.still_starting(deadline)?,
            }
        }
    }

    /// Fails when a component has ended or the deadline is over.
    fn still_starting(&mut self, deadline: Instant) -> Result<()> {
        for (component, process) in &mut self.processes {
            if !process.is_alive() {
                let log = self.directory.join(format!("{}.log", component.command()));
                bail!(
                    "{} ended while the control plane was starting; see `{}`",
                    component.command(),
                    log.display()
                );
            }
        }
        if Instant::now() > deadline {
            bail!(
                "the control plane was not ready after a minute; see the logs in `{}`",
                self.directory.display()
            );
        }
        Ok(())
    }
}

/// Ports that were free a moment ago.
pub(crate) fn free_ports<const N: usize>() -> Result<[u16; N]> {
    // All are held at once: asked for one after the other, the same could come twice.
    let mut listeners = Vec::with_capacity(N);
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind("127.0.0.1:0").context("failed to find a free port")?;
        *port = listener.local_addr()?.port();
        listeners.push(listener);
    }
    Ok(ports)
}
