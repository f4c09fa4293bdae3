//! The way to the Kubernetes cluster: settings, and the one lazy client that all calls share. It leaves this
//! folder never: whoever has something to ask goes through [`request`].

mod exec;
mod kubeconfig;
pub(in crate::kubernetes::api) mod request;

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex as SyncMutex, OnceLock, PoisonError};
use std::time::Duration;

use http::header::USER_AGENT;
use http::{HeaderValue, Uri};
use kube::{Client, Config};
use secrecy::SecretString;
use tokio::net::TcpStream;
use tokio::sync::{Mutex, Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::kubernetes::error::Error;
use crate::resource::{Context, Reporter};

pub use kubeconfig::{check, is_contents, server};

/// The provider's configuration, as far as it says which cluster to talk to and how.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// A kubeconfig's contents, or a path to one (`~` is the home directory). `None` means `KUBECONFIG`, then
    /// the default path, then the service account of the pod that this runs in.
    pub kubeconfig: Option<SecretString>,
    /// The context to use; `None` means the current one.
    pub context: Option<String>,
    /// The cluster to use; `None` means the context's.
    pub cluster: Option<String>,
    /// The namespace of objects that name none.
    pub namespace: Option<String>,
    /// Whether resources of a cluster that nobody can connect to any more count as gone.
    pub delete_unreachable: bool,
}

/// What all calls of the process share: the settings, one client, and what the modules above keep. Cheap to
/// clone.
#[derive(Clone)]
pub struct Session(Arc<Inner>);

struct Inner {
    settings: Settings,
    client: Mutex<Option<Connected>>,
    /// Whether the client was handed in, and so can't be made again.
    handed_in: bool,
    namespace: OnceLock<String>,
    server: OnceLock<String>,
    reached: AtomicBool,
    /// Whether the way leads through a proxy.
    proxied: AtomicBool,
    calls: Semaphore,
    turns: Semaphore,
    /// What modules above keep here, by type.
    kept: SyncMutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>,
}

/// A client, with what is known of its way.
#[derive(Clone)]
struct Connected {
    client: Client,
    /// When its credentials are to be renewed.
    renew: Option<Instant>,
    /// Whether it goes through a proxy.
    proxied: bool,
}

impl Session {
    /// How long the credentials of a call without a deadline may take: a plugin may ask for a login and wait
    /// for it.
    const LOGIN_TIMEOUT: Duration = Duration::from_secs(60);

    /// How long a connection may take to come about.
    const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

    /// How many calls are under way at once: each takes a connection of its own, and more of them only make
    /// the API server wait.
    const CALLS_AT_ONCE: usize = 16;

    /// How many resources are prepared and written at once: enough for all calls, and few to hold manifests.
    const TURNS_AT_ONCE: usize = 32;

    /// How long a turn is waited for: those that have one may be held up by the API server, each for its own
    /// reason.
    const TURN_TIMEOUT: Duration = Duration::from_secs(60);

    /// A session that will use `settings` when first needed. Does no I/O and never fails.
    pub fn new(settings: Settings) -> Self {
        Self::start(settings, None)
    }

    /// A session over a client that exists already.
    #[cfg(test)]
    pub fn with_client(settings: Settings, client: Client) -> Self {
        Self::start(settings, Some(client))
    }

    fn start(settings: Settings, client: Option<Client>) -> Self {
        let client = client.map(|client| Connected { client, renew: None, proxied: false });
        let handed_in = client.is_some();
        Self(Arc::new(Inner {
            settings,
            client: Mutex::new(client),
            handed_in,
            namespace: OnceLock::new(),
            server: OnceLock::new(),
            reached: AtomicBool::new(false),
            proxied: AtomicBool::new(false),
            calls: Semaphore::new(Self::CALLS_AT_ONCE),
            turns: Semaphore::new(Self::TURNS_AT_ONCE),
            kept: SyncMutex::default(),
        }))
    }

    /// The client: made at the first call, and again when its credentials ran out. A failure is not
    /// remembered. Opens no connection. Fails when the credentials are not there within a minute.
    async fn client(&self) -> Result<Client, Error> {
        self.client_by(Instant::now() + Self::LOGIN_TIMEOUT).await
    }

    /// The same, with credentials that may take until `deadline`. Calls that wait for those that another one
    /// gets have a deadline of their own.
    async fn client_by(&self, deadline: Instant) -> Result<Client, Error> {
        let Ok(mut slot) = timeout_at(deadline, self.0.client.lock()).await else {
            let problem = kubeconfig::plugin(&self.0.settings).map_or_else(
                || "the kubeconfig gives none".to_owned(),
                |command| format!("`{command}` of the kubeconfig has not ended"),
            );
            return Err(Error::Kubeconfig {
                message: format!("failed to get credentials: {problem}; run it by hand to log in first"),
            });
        };
        if let Some(connected) =
            slot.as_ref().filter(|connected| connected.renew.is_none_or(|renew| Instant::now() < renew))
        {
            return Ok(connected.client.clone());
        }
        let connected = connect(&self.0.settings, deadline).await?;
        self.0.proxied.store(connected.proxied, Ordering::Relaxed);
        Ok(slot.insert(connected).client.clone())
    }

    /// Forgets the client, so that the next call gets new credentials.
    pub(super) async fn forget_client(&self) {
        if !self.0.handed_in {
            *self.0.client.lock().await = None;
        }
    }

    /// The namespace of objects that name none: the configured one, else the kubeconfig context's, else
    /// `default`.
    pub fn default_namespace(&self) -> String {
        if let Some(namespace) = &self.0.settings.namespace {
            return namespace.clone();
        }
        if let Some(namespace) = self.0.namespace.get() {
            return namespace.clone();
        }
        match kubeconfig::namespace(&self.0.settings) {
            Some(namespace) => self.0.namespace.get_or_init(|| namespace).clone(),
            // A kubeconfig that can't be read may come later.
            None => kubeconfig::DEFAULT_NAMESPACE.to_owned(),
        }
    }

    /// The name of the kubeconfig's context that is used, where there is one.
    pub fn context(&self) -> Option<String> {
        kubeconfig::context_name(&self.0.settings)
    }

    /// The URL of the API server, where the settings tell it.
    pub fn server(&self) -> Option<String> {
        if let Some(server) = self.0.server.get() {
            return Some(server.clone());
        }
        // A kubeconfig that can't be read may come later.
        let server = server(&self.0.settings)?;
        Some(self.0.server.get_or_init(|| server).clone())
    }

    /// The handle for the calls of one operation: cancelled and reported as `ctx` says.
    pub fn api(&self, ctx: &Context) -> Api {
        Api { session: self.clone(), cancel: ctx.cancel.clone(), report: ctx.report.clone(), deadline: None }
    }

    /// Bounds the calls that are under way. Watches are not counted.
    fn calls(&self) -> &Semaphore {
        &self.0.calls
    }

    /// A turn to prepare and write a resource, until it is dropped: not to be held while anything is awaited.
    /// A thousand resources that all had their manifests ready before the first is written would take as much
    /// memory as a thousand manifests. `None` after a minute, or when the user stops the run: whoever asked
    /// goes on without.
    pub(crate) async fn turn(&self, ctx: &Context) -> Option<SemaphorePermit<'_>> {
        tokio::select! {
            biased;
            () = ctx.cancel.cancelled() => None,
            turn = timeout(Self::TURN_TIMEOUT, self.0.turns.acquire()) => turn.ok()?.ok(),
        }
    }

    /// What a module above keeps for as long as the session lives, such as its watches: one `T`, empty at
    /// first.
    pub(crate) fn kept<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let one = kept.entry(TypeId::of::<T>()).or_insert_with(|| Arc::new(T::default()));
        Arc::clone(one).downcast().unwrap_or_default()
    }

    /// Whether the API server has ever answered.
    pub(crate) fn was_reached(&self) -> bool {
        self.0.reached.load(Ordering::Relaxed)
    }

    /// Whether the user wants an API server that nobody can connect to taken for gone, and this is one: it
    /// has not answered in this run, and a last plain connection does not come about either. Of one behind a
    /// proxy that can't be said.
    pub(crate) async fn is_given_up(&self) -> bool {
        self.0.settings.delete_unreachable
            && !self.was_reached()
            && !self.0.proxied.load(Ordering::Relaxed)
            && !self.accepts().await
    }

    /// Whether anybody accepts connections at the server's address; so it seems where the address can't be
    /// told.
    async fn accepts(&self) -> bool {
        if self.0.handed_in {
            return false;
        }
        let Some(uri) = self.server().and_then(|server| server.parse::<Uri>().ok()) else { return true };
        let Some(host) = uri.host() else { return true };
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("http") { 80 } else { 443 });
        let connected =
            timeout(Self::CONNECT_TIMEOUT, TcpStream::connect((host.trim_matches(['[', ']']), port))).await;
        matches!(connected, Ok(Ok(_)))
    }

    pub(in crate::kubernetes::api) fn note_reached(&self) {
        self.0.reached.store(true, Ordering::Relaxed);
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("settings", &self.0.settings).finish_non_exhaustive()
    }
}

/// The API server as one operation uses it. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    pub(crate) session: Session,
    pub(crate) cancel: CancellationToken,
    pub(crate) report: Arc<dyn Reporter>,
    pub(crate) deadline: Option<Instant>,
}

impl Api {
    /// The same, with failed calls tried again until `deadline` at most. Without one they are for two
    /// minutes.
    #[must_use]
    pub fn until(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// The session behind it.
    pub fn session(&self) -> &Session {
        &self.session
    }
}

async fn connect(settings: &Settings, deadline: Instant) -> Result<Connected, Error> {
    let server = server(settings);
    let mut config = kubeconfig::load(settings).await?;
    let renew = exec::log_in(&mut config.auth_info, deadline).await?;
    let proxied = config.proxy_url.is_some();
    config.connect_timeout = Some(Session::CONNECT_TIMEOUT);
    // Requests are sent again by `request`, which knows the deadline and tells the user.
    config.default_retry = false;
    config.headers.push((
        USER_AGENT,
        HeaderValue::from_static(concat!("pulumi-clickhouse/", env!("CARGO_PKG_VERSION"))),
    ));
    // Certificates and token files are read, and an old auth provider runs a command: not on a thread that
    // serves other calls.
    let handle = tokio::runtime::Handle::current();
    let built = tokio::task::spawn_blocking(move || {
        let _runtime = handle.enter();
        build(config)
    });
    match built.await {
        Ok(client) => client
            .map(|client| Connected { client, renew, proxied })
            .map_err(|error| Error::from_transport(server.as_deref(), &error)),
        Err(_) => {
            Err(Error::Kubeconfig { message: "failed to set up the client of the Kubernetes API".to_owned() })
        }
    }
}

fn build(config: Config) -> Result<Client, kube::Error> {
    Client::try_from(config)
}

#[cfg(test)]
mod tests;
