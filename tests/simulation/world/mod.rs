//! A Kubernetes cluster with its operator, in one thread and without a socket, and what goes wrong in it.

mod pause;

pub(super) use pause::Pause;

use std::cell::RefCell;
use std::collections::BTreeMap;
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
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{Layer as _, Registry as Subscribers};

use super::controllers::Clocks;
use super::defects::Defect;
use super::faults::{A_WHILE, Fault, answer, failure, garbled};
use super::gate::{Gate, Message, USERS};
use super::hands::{self, Deed, Hand};
use super::oracle::is_served;
use crate::config::ProviderArgs;
use crate::kubernetes::client::{Session, Settings};
use crate::kubernetes::fake::{Fake, Lines};
use crate::package::{self, VERSION};
use crate::resource::registry::Registry;
use crate::rpc::Package;
use crate::rpc::in_process::Plugin;
use crate::rpc::log::{EngineLog, forwards};

/// How long a killed operator is away.
const OPERATOR_AWAY: Duration = Duration::from_secs(5);
/// How long a restarting API server answers nobody.
const SERVER_AWAY: Duration = Duration::from_secs(3);

/// The cluster, as one of its users has it. Its clones are the same one.
#[derive(Clone)]
pub(super) struct World {
    inner: Arc<Inner>,
    user: usize,
}

struct Inner {
    api: Fake,
    /// Another Kubernetes cluster, in which nothing is.
    other: Fake,
    gate: Mutex<Gate>,
    /// Told when a user's process of the provider is killed.
    killed: [Notify; USERS],
    /// Told when a user presses Ctrl-C.
    interrupted: [Notify; USERS],
    /// Held by each open watch of the provider.
    watching: Arc<()>,
    /// Counts the ends of the provider's watches.
    watches: watch::Sender<u64>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    operator: Mutex<Option<JoinHandle<()>>>,
    /// What the provider says.
    log: EngineLog,
    defect: Option<Defect>,
    clocks: Arc<Mutex<Clocks>>,
}

thread_local! {
    /// The world that a plugin which starts in this thread finds itself in.
    static CURRENT: RefCell<Option<World>> = const { RefCell::new(None) };
}

impl World {
    /// The same cluster, as another user has it.
    pub(super) fn of(&self, user: usize) -> Self {
        Self { user, ..self.clone() }
    }

    /// Which of its users has it.
    pub(super) fn user(&self) -> usize {
        self.user
    }

    /// Ends everything in it.
    pub(super) fn end(&self) {
        CURRENT.set(None);
        (0..USERS).for_each(|user| self.gate().start(user, false));
        self.inner.tasks.lock().unwrap().drain(..).for_each(|task| task.abort());
        if let Some(operator) = self.inner.operator.lock().unwrap().take() {
            operator.abort();
        }
    }

    pub(super) fn api(&self) -> &Fake {
        &self.inner.api
    }

    /// A new process of the provider; the user's one before it is gone. See [`Gate::start`].
    pub(super) fn plugin(&self, is_settled: bool) -> Plugin {
        self.gate().start(self.user, is_settled);
        CURRENT.set(Some(self.clone()));
        let package = Package { version: VERSION, schema: || Ok(json!({"name": "clickhouse"})), registry };
        Plugin::new(package, self.inner.log.clone())
    }

    /// Says which objects the user's state knows: each by its path with its unique id.
    pub(super) fn know(&self, objects: BTreeMap<String, String>) {
        self.gate().known[self.user] = objects;
    }

    /// Whether the user's process is led to another Kubernetes cluster.
    pub(super) fn is_elsewhere(&self) -> bool {
        let gate = self.gate();
        gate.is_elsewhere(gate.process(self.user))
    }

    /// What somebody else has done so far.
    pub(super) fn deeds(&self) -> Vec<Deed> {
        self.gate().deeds.clone()
    }

    /// What the provider has done since the last question with what is not its own.
    pub(super) fn misdeeds(&self) -> Vec<String> {
        let mut wrong = std::mem::take(&mut self.gate().wrong);
        wrong.extend(self.inner.other.writes().iter().map(|write| format!("{write} in another cluster")));
        wrong
    }

    /// What the provider has said since the last question, and its trace where somebody listens to it.
    pub(super) fn heard(&self) -> Vec<String> {
        self.inner.log.take_texts()
    }

    /// Listens to the provider's trace until the guard is gone.
    pub(super) fn listen(&self) -> DefaultGuard {
        let log = self.inner.log.clone().with_filter(filter_fn(forwards));
        tracing::subscriber::set_default(Subscribers::default().with(log))
    }

    /// How many watches the provider has open.
    pub(super) fn open_watches(&self) -> usize {
        Arc::strong_count(&self.inner.watching) - 1
    }

    /// When everything that was wanted served last.
    pub(super) fn served_last(&self) -> Option<Instant> {
        self.gate().served_last
    }

    /// How many requests the provider has sent that change something.
    pub(super) fn wrote(&self) -> usize {
        self.gate().wrote[self.user]
    }

    /// What the provider has asked for, in order, with the time.
    pub(super) fn lines(&self) -> Vec<String> {
        self.gate().lines.clone()
    }

    /// A number that two runs share if the provider sent the same at the same time.
    pub(super) fn fingerprint(&self) -> u64 {
        self.gate().fingerprint()
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
        self.gate().heal();
    }

    /// What the provider that is under test makes of a program.
    pub(super) fn program(&self, mut program: Value) -> Value {
        if let Some(defect) = self.inner.defect {
            (defect.program)(&mut program);
        }
        program
    }

    /// Comes back when the provider's process is killed.
    pub(super) async fn killed(&self) {
        self.inner.killed[self.user].notified().await;
    }

    /// Comes back when the user presses Ctrl-C.
    pub(super) async fn interrupted(&self) {
        self.inner.interrupted[self.user].notified().await;
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.inner.gate.lock().unwrap()
    }

    /// Notes since when everything serves.
    async fn observe(&self) {
        let mut changed = self.inner.api.changes();
        loop {
            let is_served = self.inner.api.look(is_served);
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
                world.inner.api.respond(request).await
            }
        });
        #[expect(clippy::disallowed_methods, reason = "this client leads to no other server")]
        let client = kube::Client::new(service, "default");
        *self.inner.operator.lock().unwrap() = Some(tokio::spawn(operator::run(client, settings)));
    }

    fn kill_operator(&self) {
        if let Some(operator) = self.inner.operator.lock().unwrap().take() {
            operator.abort();
        }
        let world = self.clone();
        let again = tokio::spawn(async move {
            sleep(OPERATOR_AWAY).await;
            world.start_operator();
        });
        self.inner.tasks.lock().unwrap().push(again);
    }

    fn restart_server(&self) {
        self.gate().down_until = Some(Instant::now() + SERVER_AWAY);
        self.expire_watches();
        let world = self.clone();
        let again = tokio::spawn(async move {
            sleep(SERVER_AWAY).await;
            world.gate().down_until = None;
        });
        self.inner.tasks.lock().unwrap().push(again);
    }

    fn expire_watches(&self) {
        self.inner.api.forget_history();
        self.inner.watches.send_modify(|count| *count += 1);
    }

    fn session(&self) -> Session {
        let (world, process) = (self.clone(), self.gate().process(self.user));
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
        if self.gate().process(self.user) != process {
            dead().await;
        }
        let (request, message) = self.note(request).await;
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
            Some(Fault::Interrupted) => self.inner.interrupted[self.user].notify_one(),
            Some(Fault::OperatorKilled) => self.kill_operator(),
            Some(Fault::ServerRestarted) => {
                self.restart_server();
                return Err(broken());
            }
            Some(Fault::WatchesExpired) => self.expire_watches(),
            Some(Fault::Late) => sleep(Duration::from_secs(7)).await,
            Some(Fault::Forbidden) => self.gate().forbid(&message),
            Some(Fault::OverQuota) if message.makes(&self.inner.api) => {
                return Ok(failure(403, "Forbidden", "it is forbidden: exceeded quota: small"));
            }
            Some(Fault::EventsLate) => self.gate().late_until = Some(Instant::now() + A_WHILE),
            Some(Fault::Elsewhere) => self.gate().is_diverted = true,
            Some(Fault::Hand(hand)) => self.lend(hand),
            _ => {}
        }
        if message.is_dropped {
            return Ok(answer(200, &json!({"kind": "Status", "status": "Success"})));
        }
        if let Some(reason) = self.gate().refusal(&message) {
            return Ok(failure(403, "Forbidden", &reason));
        }
        let response = self.serve(process, &message, request).await?;
        match fault {
            Some(Fault::AnswerLost) => return Err(broken()),
            Some(Fault::Garbled) => return Ok(garbled(self.gate().number())),
            Some(Fault::KilledAfter) => {
                self.kill(process);
                dead().await;
            }
            _ => {}
        }
        if self.gate().process(self.user) != process {
            dead().await;
        }
        Ok(if message.is_watch() { self.followed(response) } else { response })
    }

    /// The answer of the Kubernetes cluster to which the process is led.
    async fn serve(
        &self,
        process: u64,
        message: &Message,
        request: Request<Body>,
    ) -> Result<Response<StreamBody<Lines>>, io::Error> {
        if self.gate().is_elsewhere(process) {
            return self.inner.other.respond(request).await;
        }
        let live = if message.is_write() { self.inner.api.at(&message.path) } else { None };
        let misdeed = self.gate().misdeed(self.user, message, live.as_ref());
        let response = self.inner.api.respond(request).await?;
        if response.status().is_success() {
            self.gate().wrong.extend(misdeed);
        }
        Ok(response)
    }

    /// A watch that ends when all do, and is late when all are.
    fn followed(&self, response: Response<StreamBody<Lines>>) -> Response<StreamBody<Lines>> {
        let mut ends = self.inner.watches.subscribe();
        let end = async move { _ = ends.changed().await };
        let (head, lines) = response.into_parts();
        let (world, open) = (self.clone(), self.inner.watching.clone());
        let in_time = lines.then(move |line| {
            let (until, guard) = (world.gate().late_until, open.clone());
            async move {
                if let Some(until) = until {
                    sleep_until(until).await;
                }
                drop(guard);
                line
            }
        });
        let lines: Lines = in_time.take_until(Box::pin(end)).boxed();
        Response::from_parts(head, StreamBody::new(lines))
    }

    /// Has somebody else do something.
    fn lend(&self, hand: Hand) {
        if let Some(deed) = hands::act(&self.inner.api, hand) {
            self.gate().deeds.push(deed);
        }
    }

    fn kill(&self, process: u64) {
        self.gate().kill(self.user, process);
        self.inner.killed[self.user].notify_one();
    }

    /// Notes a request, as a provider with the defect sends it.
    async fn note(&self, request: Request<Body>) -> (Request<Body>, Message) {
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
        if let Some(defect) = self.inner.defect {
            (defect.request)(&mut message);
            head.uri = format!("{}?{}", message.path, message.query).parse().unwrap();
            if !message.body.is_null() {
                bytes = message.body.to_string().into_bytes();
            }
        }
        let time = self.inner.clocks.lock().unwrap().age().as_millis();
        self.gate().note(self.user, &message, &bytes, time);
        (Request::from_parts(head, Body::from(bytes)), message)
    }
}

/// What a plugin in the current world has.
fn registry(_: &ProviderArgs) -> Registry {
    let session = CURRENT.with_borrow(|world| world.as_ref().map(World::session));
    package::registry_of(session.unwrap_or_else(|| Session::new(Settings::default())))
}
