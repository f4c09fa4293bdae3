//! A Kubernetes cluster with its operator, in one thread and without a socket, and what goes wrong in it.

use std::cell::RefCell;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures::StreamExt as _;
use http::{Request, Response};
use http_body_util::StreamBody;
use kube::client::Body;
use serde_json::{Value, json};
use testbed::operator;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

use super::controllers;
use super::defects::Defect;
use super::oracle::is_served;
use crate::config::ProviderArgs;
use crate::entropy;
use crate::kubernetes::client::{Session, Settings};
use crate::kubernetes::fake::{Fake, Lines};
use crate::package::{self, VERSION};
use crate::resource::registry::Registry;
use crate::rpc::Package;
use crate::rpc::in_process::Plugin;

/// How long a killed operator is away.
const OPERATOR_AWAY: Duration = Duration::from_secs(5);
/// How long a restarting API server answers nobody.
const SERVER_AWAY: Duration = Duration::from_secs(3);

/// What goes wrong at one request of the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// The connection breaks before the request is there.
    EffectLost,
    /// The connection breaks before the answer is there.
    AnswerLost,
    /// The server is busy: 429.
    Busy,
    /// The server fails: 500.
    Internal,
    /// There is no answer, ever.
    Hang,
    /// The provider's process is killed before the request is there.
    KilledBefore,
    /// The provider's process is killed before the answer is there.
    KilledAfter,
    /// The user presses Ctrl-C.
    Interrupted,
    /// The operator is killed, and started again by its Deployment.
    OperatorKilled,
    /// The API server restarts, and remembers no history for watches.
    ServerRestarted,
    /// The watches of the provider end, and can't go on where they were.
    WatchesExpired,
    /// The answer takes its time.
    Late,
    /// The answer is none that an API server gives.
    Garbled,
}

impl Fault {
    pub(super) const ALL: [Self; 12] = [
        Self::EffectLost,
        Self::AnswerLost,
        Self::Busy,
        Self::Internal,
        Self::Hang,
        Self::KilledBefore,
        Self::KilledAfter,
        Self::Interrupted,
        Self::OperatorKilled,
        Self::ServerRestarted,
        Self::WatchesExpired,
        Self::Late,
    ];
}

/// A request of the provider.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) body: Value,
    /// Whether it is dropped: the provider never sends it, and goes on as if all were well.
    pub(super) is_dropped: bool,
}

/// The cluster. Its clones are the same one.
#[derive(Clone)]
pub(super) struct World(Arc<Inner>);

struct Inner {
    api: Fake,
    gate: Mutex<Gate>,
    /// Told when the provider's process is killed.
    killed: Notify,
    /// Told when the user presses Ctrl-C.
    interrupted: Notify,
    /// Counts the ends of the provider's watches.
    watches: watch::Sender<u64>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    operator: Mutex<Option<JoinHandle<()>>>,
    defect: Option<Defect>,
    started: Instant,
}

/// The way from the provider to the API server.
#[derive(Default)]
struct Gate {
    /// How many requests the provider has sent.
    sent: usize,
    faults: Vec<(usize, Fault)>,
    /// The process that lives; those before it are dead.
    process: u64,
    down_until: Option<Instant>,
    /// How many of them changed something, if they came through.
    wrote: usize,
    log: DefaultHasher,
    lines: Vec<String>,
    /// Every body that was sent to write something else than a Secret.
    told: Vec<String>,
    served_since: Option<Instant>,
}

impl Gate {
    fn note_served(&mut self, is_served: bool) {
        self.served_since = is_served.then(|| self.served_since.unwrap_or_else(Instant::now));
    }

    /// The number of a request, what goes wrong at it, and whether the server is away.
    fn next(&mut self) -> (Option<Fault>, bool) {
        let number = self.sent;
        self.sent += 1;
        let fault = self.faults.iter().find(|(at, _)| *at == number).map(|(_, fault)| *fault);
        (fault, self.down_until.is_some())
    }
}

thread_local! {
    /// The world that a plugin which starts in this thread finds itself in.
    static CURRENT: RefCell<Option<World>> = const { RefCell::new(None) };
}

impl World {
    /// One with an operator, in which these faults happen, each at the provider's request of that number.
    pub(super) fn new(seed: u64, faults: Vec<(usize, Fault)>, defect: Option<Defect>) -> Self {
        entropy::seed(seed);
        let api = Fake::new().with_controllers();
        let world = Self(Arc::new(Inner {
            api: api.clone(),
            gate: Mutex::new(Gate { faults, ..Gate::default() }),
            killed: Notify::new(),
            interrupted: Notify::new(),
            watches: watch::Sender::new(0),
            tasks: Mutex::default(),
            operator: Mutex::default(),
            defect,
            started: Instant::now(),
        }));
        let labels = json!({"app": "clickhouse-operator", "clickhouse.altinity.com/chop": "0.25.6"});
        api.put(&json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "clickhouse-operator", "namespace": "kube-system", "labels": labels},
            "spec": {"replicas": 1, "template": {"spec": {"containers": [{"name": "clickhouse-operator",
                "image": "altinity/clickhouse-operator:0.25.6"}]}}},
            "status": {"replicas": 1, "readyReplicas": 1, "availableReplicas": 1}}));
        let observed = world.clone();
        let tasks =
            [tokio::spawn(controllers::run(api)), tokio::spawn(async move { observed.observe().await })];
        world.0.tasks.lock().unwrap().extend(tasks);
        world.start_operator();
        CURRENT.set(Some(world.clone()));
        world
    }

    /// Ends everything in it.
    pub(super) fn end(&self) {
        CURRENT.set(None);
        self.gate().process += 1;
        self.0.tasks.lock().unwrap().drain(..).for_each(|task| task.abort());
        if let Some(operator) = self.0.operator.lock().unwrap().take() {
            operator.abort();
        }
    }

    pub(super) fn api(&self) -> &Fake {
        &self.0.api
    }

    /// A new process of the provider; the one before it is gone.
    pub(super) fn plugin(&self) -> Plugin {
        self.gate().process += 1;
        Plugin::new(Package { version: VERSION, schema: || Ok(json!({"name": "clickhouse"})), registry })
    }

    /// How many requests the provider has sent that change something.
    pub(super) fn wrote(&self) -> usize {
        self.gate().wrote
    }

    /// What the provider has asked for, in order, with the time.
    pub(super) fn lines(&self) -> Vec<String> {
        self.gate().lines.clone()
    }

    /// A number that two runs share if the provider sent the same at the same time.
    pub(super) fn fingerprint(&self) -> u64 {
        self.gate().log.finish()
    }

    /// Everything that the provider wrote but the Secrets.
    pub(super) fn told(&self) -> Vec<String> {
        self.gate().told.clone()
    }

    /// Since when everything that is wanted serves.
    pub(super) fn served_since(&self) -> Option<Instant> {
        self.gate().served_since
    }

    /// Ends all faults that are still to come.
    pub(super) fn heal(&self) {
        self.gate().faults.clear();
    }

    /// What the provider that is under test makes of a program.
    pub(super) fn program(&self, mut program: Value) -> Value {
        if let Some(defect) = self.0.defect {
            (defect.program)(&mut program);
        }
        program
    }

    /// Comes back when the provider's process is killed.
    pub(super) async fn killed(&self) {
        self.0.killed.notified().await;
    }

    /// Comes back when the user presses Ctrl-C.
    pub(super) async fn interrupted(&self) {
        self.0.interrupted.notified().await;
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.0.gate.lock().unwrap()
    }

    /// Notes since when everything serves.
    async fn observe(&self) {
        let mut changed = self.0.api.changes();
        loop {
            let is_served = self.0.api.look(is_served);
            self.gate().note_served(is_served);
            if changed.changed().await.is_err() {
                return;
            }
        }
    }

    fn start_operator(&self) {
        let settings =
            operator::Settings { keeper_pause: Duration::from_millis(500), ..operator::Settings::default() };
        let world = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let world = world.clone();
            async move {
                // Its requests wait while the server is away: what it does about that is not looked at here.
                loop {
                    let until = world.gate().down_until;
                    let Some(until) = until else { break };
                    sleep_until(until).await;
                }
                world.0.api.respond(request).await
            }
        });
        #[expect(clippy::disallowed_methods, reason = "this client leads to no other server")]
        let client = kube::Client::new(service, "default");
        *self.0.operator.lock().unwrap() = Some(tokio::spawn(operator::run(client, settings)));
    }

    fn kill_operator(&self) {
        if let Some(operator) = self.0.operator.lock().unwrap().take() {
            operator.abort();
        }
        let world = self.clone();
        let again = tokio::spawn(async move {
            sleep(OPERATOR_AWAY).await;
            world.start_operator();
        });
        self.0.tasks.lock().unwrap().push(again);
    }

    fn restart_server(&self) {
        self.gate().down_until = Some(Instant::now() + SERVER_AWAY);
        self.expire_watches();
        let world = self.clone();
        let again = tokio::spawn(async move {
            sleep(SERVER_AWAY).await;
            world.gate().down_until = None;
        });
        self.0.tasks.lock().unwrap().push(again);
    }

    fn expire_watches(&self) {
        self.0.api.forget_history();
        self.0.watches.send_modify(|count| *count += 1);
    }

    fn session(&self) -> Session {
        let (world, process) = (self.clone(), self.gate().process);
        let service = tower::service_fn(move |request: Request<Body>| {
            let world = world.clone();
            async move { world.pass(process, request).await }
        });
        #[expect(clippy::disallowed_methods, reason = "this client leads to no other server")]
        let client = kube::Client::new(service, "default");
        Session::with_client(Settings::default(), client)
    }

    /// A request of one of the provider's processes.
    async fn pass(
        &self,
        process: u64,
        request: Request<Body>,
    ) -> Result<Response<StreamBody<Lines>>, io::Error> {
        let dead = || async { futures::future::pending::<()>().await };
        if self.gate().process != process {
            dead().await;
        }
        let is_watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
        let (request, is_dropped) = self.note(request).await;
        let (fault, is_down) = self.gate().next();
        let broken = || io::Error::new(io::ErrorKind::ConnectionReset, "connection reset");
        if is_down {
            return Err(io::Error::new(io::ErrorKind::ConnectionRefused, "connection refused"));
        }
        match fault {
            Some(Fault::EffectLost) => return Err(broken()),
            Some(Fault::Busy) => return Ok(failure(429, "TooManyRequests", "busy")),
            Some(Fault::Internal) => return Ok(failure(500, "InternalError", "failed")),
            Some(Fault::Hang) => dead().await,
            Some(Fault::KilledBefore) => {
                self.kill(process);
                dead().await;
            }
            Some(Fault::Interrupted) => self.0.interrupted.notify_one(),
            Some(Fault::OperatorKilled) => self.kill_operator(),
            Some(Fault::ServerRestarted) => {
                self.restart_server();
                return Err(broken());
            }
            Some(Fault::WatchesExpired) => self.expire_watches(),
            Some(Fault::Late) => sleep(Duration::from_secs(7)).await,
            Some(Fault::AnswerLost | Fault::KilledAfter | Fault::Garbled) | None => {}
        }
        if is_dropped {
            return Ok(answer(200, &json!({"kind": "Status", "status": "Success"})));
        }
        let response = self.0.api.respond(request).await?;
        match fault {
            Some(Fault::AnswerLost) => return Err(broken()),
            Some(Fault::Garbled) => return Ok(garbled(self.gate().sent)),
            Some(Fault::KilledAfter) => {
                self.kill(process);
                dead().await;
            }
            _ => {}
        }
        if self.gate().process != process {
            dead().await;
        }
        if !is_watch {
            return Ok(response);
        }
        let mut ends = self.0.watches.subscribe();
        let end = async move { _ = ends.changed().await };
        let (head, lines) = response.into_parts();
        let lines: Lines = lines.take_until(Box::pin(end)).boxed();
        Ok(Response::from_parts(head, StreamBody::new(lines)))
    }

    fn kill(&self, process: u64) {
        let mut gate = self.gate();
        if gate.process == process {
            gate.process += 1;
        }
        drop(gate);
        self.0.killed.notify_one();
    }

    /// Notes a request, as a provider with the defect sends it.
    async fn note(&self, request: Request<Body>) -> (Request<Body>, bool) {
        let (mut head, body) = request.into_parts();
        let body = body.collect_bytes().await.unwrap();
        let mut message = Message {
            method: head.method.to_string(),
            path: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            body: serde_json::from_slice(&body).unwrap_or_default(),
            is_dropped: false,
        };
        let mut bytes = body.to_vec();
        if let Some(defect) = self.0.defect {
            (defect.request)(&mut message);
            head.uri = format!("{}?{}", message.path, message.query).parse().unwrap();
            if !message.body.is_null() {
                bytes = message.body.to_string().into_bytes();
            }
        }
        let mut gate = self.gate();
        let time = (Instant::now() - self.0.started).as_millis();
        (time, message.method.as_str(), &message.path, &message.query, &bytes).hash(&mut gate.log);
        gate.lines.push(format!("{time} {} {}?{}", message.method, message.path, message.query));
        gate.wrote += usize::from(message.method != "GET" && !message.query.contains("dryRun"));
        if !bytes.is_empty() && !message.path.contains("/secrets") {
            gate.told.push(String::from_utf8_lossy(&bytes).into_owned());
        }
        drop(gate);
        (Request::from_parts(head, Body::from(bytes)), message.is_dropped)
    }
}

/// What a plugin in the current world has.
fn registry(_: &ProviderArgs) -> Registry {
    let session = CURRENT.with_borrow(|world| world.as_ref().map(World::session));
    package::registry_of(session.unwrap_or_else(|| Session::new(Settings::default())))
}

fn answer(code: u16, body: &Value) -> Response<StreamBody<Lines>> {
    let text = body.to_string();
    let line = futures::stream::once(async move { Ok(http_body::Frame::data(text.into())) }).boxed();
    Response::builder().status(code).body(StreamBody::new(line as Lines)).unwrap()
}

/// An answer that makes no sense, another one for each number.
fn garbled(number: usize) -> Response<StreamBody<Lines>> {
    const ANSWERS: [&str; 8] = [
        "",
        "null",
        "[]",
        "{\"kind\":\"Secret\",\"metadata\":{\"name\":",
        "<html>gateway</html>",
        "{\"metadata\":7,\"spec\":\"x\",\"status\":[]}",
        "{\"items\":{\"a\":1},\"metadata\":{\"resourceVersion\":{}}}",
        "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":[]}}}",
    ];
    let text = ANSWERS[number % ANSWERS.len()].to_owned();
    let line = futures::stream::once(async move { Ok(http_body::Frame::data(text.into())) }).boxed();
    Response::new(StreamBody::new(line as Lines))
}

fn failure(code: u16, reason: &str, message: &str) -> Response<StreamBody<Lines>> {
    answer(
        code,
        &json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason,
        "message": message, "code": code}),
    )
}
