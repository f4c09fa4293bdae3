//! The way to the Kubernetes cluster: settings, and the one lazy client that all calls share. It leaves this folder never: whoever has
//! something to ask goes through [`request`].

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
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::kubernetes::error::Error;
use crate::resource::{Context, Reporter};

pub use kubeconfig::{check, is_contents, server};

/// The provider's configuration, as far as it says which cluster to talk to and how.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// A kubeconfig's contents, or a path to one (`~` is the home directory). `None` means `KUBECONFIG`, then the default
    /// path, then the service account of the pod that this runs in.
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

/// What all calls of the process share: the settings, one client, and what the modules above keep. Cheap to clone.
#[derive(Clone)]
pub struct Session(Arc<Inner>);

struct Inner {
    settings: Settings,
    client: Mutex<Option<Connected>>,
    /// Whether the client was handed in, and so can't be made again.
    handed_in: bool,
    namespace: OnceLock<String>,
    reached: AtomicBool,
    /// Whether the way leads through a proxy.
    proxied: AtomicBool,
    calls: Semaphore,
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
    /// How long the credentials of a call without a deadline may take: a plugin may ask for a login and wait for it.
    const LOGIN_TIMEOUT: Duration = Duration::from_secs(60);

    /// How long a connection may take to come about.
    const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

    /// How many calls are under way at once: each takes a connection of its own, and more of them only make the API server wait.
    const CALLS_AT_ONCE: usize = 16;

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
            reached: AtomicBool::new(false),
            proxied: AtomicBool::new(false),
            calls: Semaphore::new(Self::CALLS_AT_ONCE),
            kept: SyncMutex::default(),
        }))
    }

    /// The client: made at the first call, and again when its credentials ran out. A failure is not remembered.
    /// Opens no connection. Fails when the credentials are not there within a minute.
    async fn client(&self) -> Result<Client, Error> {
        self.client_by(Instant::now() + Self::LOGIN_TIMEOUT).await
    }

    /// The same, with credentials that may take until `deadline`. Calls that wait for those that another one gets have a deadline of their
    /// own.
    async fn client_by(&self, deadline: Instant) -> Result<Client, Error> {
        let Ok(mut slot) = timeout_at(deadline, self.0.client.lock()).await else {
            let problem = kubeconfig::plugin(&self.0.settings)
                .map_or_else(|| "the kubeconfig gives none".to_owned(), |command| format!("`{command}` of the kubeconfig has not ended"));
            return Err(Error::Kubeconfig { message: format!("failed to get credentials: {problem}; log in with it first, by hand") });
        };
        if let Some(connected) = slot.as_ref().filter(|connected| connected.renew.is_none_or(|renew| Instant::now() < renew)) {
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

    /// The namespace of objects that name none: the configured one, else the kubeconfig context's, else `default`.
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
        server(&self.0.settings)
    }

    /// The handle for the calls of one operation: cancelled and reported as `ctx` says.
    pub fn api(&self, ctx: &Context) -> Api {
        Api { session: self.clone(), cancel: ctx.cancel.clone(), report: ctx.report.clone(), deadline: None }
    }

    /// Bounds the calls that are under way. Watches are not counted.
    fn calls(&self) -> &Semaphore {
        &self.0.calls
    }

    /// What a module above keeps for as long as the session lives, such as its watches: one `T`, empty at first.
    pub(crate) fn kept<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let one = kept.entry(TypeId::of::<T>()).or_insert_with(|| Arc::new(T::default()));
        Arc::clone(one).downcast().unwrap_or_default()
    }

    /// Whether the API server has ever answered.
    pub(crate) fn was_reached(&self) -> bool {
        self.0.reached.load(Ordering::Relaxed)
    }

    /// Whether the user wants an API server that nobody can connect to taken for gone, and this is one: it has not answered in this run,
    /// and a last plain connection does not come about either. Of one behind a proxy that can't be said.
    pub(crate) async fn is_given_up(&self) -> bool {
        self.0.settings.delete_unreachable && !self.was_reached() && !self.0.proxied.load(Ordering::Relaxed) && !self.accepts().await
    }

    /// Whether anybody accepts connections at the server's address; so it seems where the address can't be told.
    async fn accepts(&self) -> bool {
        if self.0.handed_in {
            return false;
        }
        let Some(uri) = self.server().and_then(|server| server.parse::<Uri>().ok()) else { return true };
        let Some(host) = uri.host() else { return true };
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("http") { 80 } else { 443 });
        let connected = timeout(Self::CONNECT_TIMEOUT, TcpStream::connect((host.trim_matches(['[', ']']), port))).await;
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
    /// The same, with failed calls tried again until `deadline` at most. Without one they are for two minutes.
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
    config.headers.push((USER_AGENT, HeaderValue::from_static(concat!("pulumi-clickhouse/", env!("CARGO_PKG_VERSION")))));
    // Certificates and token files are read, and an old auth provider runs a command: not on a thread that serves other calls.
    let handle = tokio::runtime::Handle::current();
    let built = tokio::task::spawn_blocking(move || {
        let _runtime = handle.enter();
        build(config)
    });
    match built.await {
        Ok(client) => {
            client.map(|client| Connected { client, renew, proxied }).map_err(|error| Error::from_transport(server.as_deref(), &error))
        }
        Err(_) => Err(Error::Kubeconfig { message: "failed to set up the client of the Kubernetes API".to_owned() }),
    }
}

fn build(config: Config) -> Result<Client, kube::Error> {
    Client::try_from(config)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kubernetes::error::Reach;

    #[tokio::test]
    async fn a_client_is_made_from_contents_without_asking_the_server() {
        let kubeconfig = "current-context: a\nclusters:\n- name: c\n  cluster: {server: 'http://127.0.0.1:1'}\n\
            contexts:\n- name: a\n  context: {cluster: c, user: u, namespace: team}\nusers:\n- name: u\n  user: {token: t}\n";
        let session = Session::new(Settings { kubeconfig: Some(kubeconfig.into()), ..Settings::default() });
        assert!(session.client().await.is_ok());
        assert!(!session.was_reached());
        assert_eq!(session.default_namespace(), "team");
    }

    /// A session that gives up what it can't connect to, and what a call to `server` came to.
    async fn asked(server: &str, more: &str) -> (Session, Error) {
        let kubeconfig = format!(
            "{{current-context: a, clusters: [{{name: c, cluster: {{server: '{server}'{more}}}}}], contexts: [{{name: a, context: {{cluster: c}}}}]}}"
        );
        let settings = Settings { kubeconfig: Some(kubeconfig.into()), delete_unreachable: true, ..Settings::default() };
        let session = Session::new(settings);
        let request = http::Request::get("/api/v1/namespaces/default").body(kube::client::Body::empty()).unwrap();
        let error = session.client().await.unwrap().send(request).await.unwrap_err();
        (session, Error::from_transport(Some(server), &error))
    }

    #[tokio::test]
    async fn a_server_is_given_up_only_where_no_connection_comes_about() {
        // A port that was just free has no listener; a name with an empty label is refused by every resolver.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        for server in [format!("https://{free}"), format!("http://{free}"), "http://no..where:6443".to_owned()] {
            let (session, error) = asked(&server, "").await;
            assert_eq!(error.reach(), Reach::NoServer, "{error}");
            assert!(session.is_given_up().await, "{server}");
            session.note_reached();
            assert!(!session.is_given_up().await, "what answered in this run is not gone");
        }
        let (session, error) = asked("http://no..where:6443", &format!(", proxy-url: 'http://{free}'")).await;
        assert_eq!(error.reach(), Reach::Busy, "{error}");
        assert!(!session.is_given_up().await, "behind a proxy nothing can be said");
    }

    #[tokio::test]
    async fn a_listener_that_is_no_api_server_is_not_given_up() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (closes, served) =
            (tokio::spawn(async move { while listener.accept().await.is_ok() {} }), asked(&format!("https://{address}"), "").await);
        assert_eq!(served.1.reach(), Reach::Busy, "{}", served.1);
        assert!(!served.0.is_given_up().await);
        closes.abort();
    }

    #[tokio::test]
    async fn a_kubeconfig_that_comes_later_is_used() {
        let path = std::env::temp_dir().join(format!("kubeconfig-{}", std::process::id()));
        let session = Session::new(Settings { kubeconfig: Some(path.to_string_lossy().into_owned().into()), ..Settings::default() });
        assert!(matches!(session.client().await, Err(Error::Kubeconfig { .. })));
        assert_eq!(session.default_namespace(), "default");
        let contents = "{current-context: a, clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}], contexts: [{name: a, context: {cluster: c}}]}";
        std::fs::write(&path, contents).unwrap();
        let client = session.client().await;
        std::fs::remove_file(&path).unwrap();
        assert!(client.is_ok());
    }

    #[tokio::test]
    async fn a_credentials_plugin_that_is_not_installed_is_named_as_such() {
        let kubeconfig = "current-context: a\nclusters:\n- name: c\n  cluster: {server: 'http://127.0.0.1:1'}\n\
            contexts:\n- name: a\n  context: {cluster: c, user: u}\nusers:\n- name: u\n  user:\n    exec: \
            {apiVersion: client.authentication.k8s.io/v1, command: no-such-plugin, interactiveMode: Never}\n";
        let session = Session::new(Settings { kubeconfig: Some(kubeconfig.into()), ..Settings::default() });
        let Err(error) = session.client().await else { panic!("a client without credentials") };
        assert!(error.to_string().contains("plugin can't be started (`no-such-plugin`"), "{error}");
    }

    /// A session whose user has a plugin: a shell that runs `script`.
    fn with_plugin(script: &str) -> Session {
        let kubeconfig = json!({
            "current-context": "a", "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
            "contexts": [{"name": "a", "context": {"cluster": "c", "user": "u"}}],
            "users": [{"name": "u", "user": {"exec": {
                "apiVersion": "client.authentication.k8s.io/v1", "command": "/bin/sh", "args": ["-c", script], "interactiveMode": "Never",
                "env": [{"name": "GIVEN", "value": "hunter2"}]}}}],
        });
        Session::new(Settings { kubeconfig: Some(kubeconfig.to_string().into()), ..Settings::default() })
    }

    #[tokio::test]
    async fn a_plugin_that_hangs_ends_with_the_deadline_and_is_named_also_by_those_that_wait_behind_it() {
        let (session, started) = (with_plugin("sleep 600"), Instant::now());
        let deadline = started + Duration::from_millis(300);
        let (first, second) = futures::join!(session.client_by(deadline), session.client_by(deadline));
        for told in [first, second] {
            let error = told.err().expect("no credentials");
            assert!(error.to_string().contains("`/bin/sh` of the kubeconfig"), "{error}");
            assert_eq!(error.reach(), Reach::NoCredentials);
        }
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    }

    #[tokio::test]
    async fn a_call_ends_with_its_deadline_while_a_plugin_hangs() {
        let session = with_plugin("sleep 600");
        let api = session.api(&crate::kubernetes::fake::context().0).until(Instant::now() + Duration::from_millis(300));
        let namespace = crate::kubernetes::meta::ObjectRef::global(crate::kubernetes::meta::Kind::Namespace, "default");
        let error = crate::kubernetes::objects::fetch(&api, &namespace).await.unwrap_err();
        assert!(error.to_string().contains("did not end within"), "{error}");
    }

    #[tokio::test]
    async fn a_renewal_that_fails_is_tried_again_where_the_first_one_was_good() {
        let flag = std::env::temp_dir().join(format!("plugin-flag-{}", std::process::id()));
        let token = json!({"status": {"token": "t"}}).to_string();
        let script = format!("test -e {0} && echo '{token}' || {{ touch {0}; exit 1; }}", flag.display());
        for (was_reached, reach) in [(false, Reach::NoCredentials), (true, Reach::NoServer)] {
            let session = with_plugin(&script);
            if was_reached {
                session.note_reached();
            }
            let api = session.api(&crate::kubernetes::fake::context().0).until(Instant::now() + Duration::from_secs(2));
            let namespace = crate::kubernetes::meta::ObjectRef::global(crate::kubernetes::meta::Kind::Namespace, "default");
            let error = crate::kubernetes::objects::fetch(&api, &namespace).await.unwrap_err();
            assert_eq!(error.reach(), reach, "nobody listens there, but with credentials it is asked: {error}");
            std::fs::remove_file(&flag).unwrap();
        }
    }

    #[tokio::test]
    async fn a_plugin_that_fails_is_named_and_nothing_that_it_printed_is_repeated() {
        for (script, part) in [("echo $GIVEN; exit 3", "ended with exit status: 3"), ("echo $GIVEN", "no ExecCredential")] {
            let error = with_plugin(script).client().await.err().expect("no credentials");
            let told = error.to_string();
            assert!(told.contains("`/bin/sh` of the kubeconfig") && told.contains(part), "{told}");
            assert!(!told.contains("hunter2") && !told.contains("KUBERNETES_EXEC_INFO"), "{told}");
        }
    }

    #[tokio::test]
    async fn credentials_of_a_plugin_are_kept_until_they_are_about_to_end() {
        let counter = std::env::temp_dir().join(format!("plugin-runs-{}", std::process::id()));
        let credential = |status: serde_json::Value| json!({"kind": "ExecCredential", "status": status}).to_string();
        for (status, runs) in [
            (json!({"token": "t"}), 1),
            (json!({"token": "t", "expirationTimestamp": "2999-01-01T00:00:00Z"}), 1),
            (json!({"token": "t", "expirationTimestamp": "2001-01-01T00:00:00Z"}), 2),
        ] {
            std::fs::write(&counter, "").unwrap();
            let script = format!(
                "echo run >> {}; echo \"$KUBERNETES_EXEC_INFO\" | grep -q ExecCredential && echo '{}'",
                counter.display(),
                credential(status.clone())
            );
            let session = with_plugin(&script);
            for _ in 0..2 {
                session.client().await.unwrap();
            }
            assert_eq!(std::fs::read_to_string(&counter).unwrap().lines().count(), runs, "{status}");
        }
        std::fs::remove_file(&counter).unwrap();
    }
}
