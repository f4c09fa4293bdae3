//! One watch per kind, namespace and selector serves every wait of the process.
//!
//! A watch starts with its first subscriber and ends shortly after its last one left. It lists, then watches;
//! lists again when the server has forgotten where it was; comes back with growing delays when the server
//! goes away; and asks for new credentials when they ran out.

mod store;

pub(crate) use store::Snapshot;

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use kube::runtime::utils::Backoff as _;
use kube::runtime::watcher;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::backoff::Backoff;
use super::client::{Session, request};
use crate::kubernetes::error::{Error, Subject, Verb};
use crate::kubernetes::meta::{FIELD_MANAGER, Kind, MANAGED_BY};
use crate::kubernetes::observe::Watched;
use store::Store;

/// How long a watch without subscribers goes on: one wait often follows another.
const KEEP_UNUSED_FOR: Duration = Duration::from_secs(2);

/// How long one watch request lasts, in seconds. A connection that died silently is noticed when it is over.
const WATCH_SECONDS: u32 = 90;

/// The group of the subscribers that are told of everything.
const EVERYBODY: &str = "";

/// Which objects of a namespace a wait looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The one of this name, among all of its kind.
    Name(String),
    /// The one of this name, among those that this provider made.
    Ours(String),
    /// The children of the `ClickHouseInstallation` of this name.
    OfInstallation(String),
    /// The children of the `ClickHouseKeeperInstallation` of this name.
    OfKeeper(String),
    /// The one of this name, and nothing else is asked for: for kinds whose other objects are nobody's
    /// business.
    Only(String),
    /// All events that warn. Told of all; given by [`Subscription::about`].
    Warnings,
    /// Every object of the kind.
    All,
}

impl Scope {
    fn labels(&self) -> Option<String> {
        match self {
            Self::Name(_) | Self::Only(_) | Self::Warnings | Self::All => None,
            Self::Ours(_) => Some(format!("{MANAGED_BY}={FIELD_MANAGER}")),
            Self::OfInstallation(_) => Some("clickhouse.altinity.com/app=chop".to_owned()),
            Self::OfKeeper(_) => Some("clickhouse-keeper.altinity.com/app=chop".to_owned()),
        }
    }

    fn fields(&self) -> Option<String> {
        match self {
            Self::Only(name) => Some(format!("metadata.name={name}")),
            Self::Warnings => Some("type=Warning".to_owned()),
            _ => None,
        }
    }

    /// The group of objects that a subscriber is told about.
    fn group(&self) -> &str {
        match self {
            Self::Name(name)
            | Self::Ours(name)
            | Self::Only(name)
            | Self::OfInstallation(name)
            | Self::OfKeeper(name) => name,
            Self::Warnings | Self::All => EVERYBODY,
        }
    }

    /// The group that an object seen by a watch of this scope belongs to.
    fn key_of<'a, K: Watched>(&self, object: &'a K) -> &'a str {
        match self {
            Self::Name(_) | Self::Ours(_) | Self::Only(_) => object.slim().name(),
            Self::OfInstallation(_) | Self::OfKeeper(_) => object.slim().owner().unwrap_or_default(),
            Self::Warnings => object.about(),
            Self::All => EVERYBODY,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    fields: TypeId,
    kind: Kind,
    namespace: Option<String>,
    selector: Option<String>,
    only: Option<String>,
}

/// The watches of a session, which keeps them.
#[derive(Default)]
pub(crate) struct SharedWatches(Mutex<HashMap<Key, Arc<dyn Any + Send + Sync>>>);

impl SharedWatches {
    /// Joins the watch of `kind` in `namespace` (`None` for kinds without one), or starts it.
    pub(crate) fn subscribe<K>(
        session: &Session,
        kind: Kind,
        namespace: Option<&str>,
        scope: &Scope,
    ) -> Subscription<K>
    where
        K: Watched + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    {
        let key = Key {
            fields: TypeId::of::<K>(),
            kind,
            namespace: namespace.map(str::to_owned),
            selector: scope.labels(),
            only: scope.fields(),
        };
        let shared = session.kept::<Self>();
        let mut watches = locked(&shared.0);
        let known = watches.get(&key).and_then(|shared| Arc::clone(shared).downcast::<Shared<K>>().ok());
        let shared = known.unwrap_or_else(|| {
            let shared =
                Arc::new(Shared { store: Mutex::new(Store::default()), subscribers: watch::Sender::new(0) });
            watches.insert(key.clone(), shared.clone());
            tokio::spawn(run(session.clone(), key, scope.clone(), shared.clone()));
            shared
        });
        shared.subscribers.send_modify(|count| *count += 1);
        let changed = locked(&shared.store).group(scope.group()).changed.subscribe();
        Subscription { shared, group: scope.group().to_owned(), changed }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Shared<K> {
    store: Mutex<Store<K>>,
    subscribers: watch::Sender<usize>,
}

/// A wait's share in a watch; leaves it when dropped.
pub(crate) struct Subscription<K> {
    shared: Arc<Shared<K>>,
    group: String,
    changed: watch::Receiver<()>,
}

impl<K: Watched> Subscription<K> {
    /// What is known now.
    pub(crate) fn snapshot(&mut self) -> Snapshot<K> {
        self.changed.mark_unchanged();
        let store = locked(&self.shared.store);
        let objects = store.groups.get(&self.group).map(|group| group.objects.values().cloned().collect());
        Snapshot {
            objects: objects.unwrap_or_default(),
            listed: store.listed,
            revision: store.revision,
            trouble: store.trouble.clone(),
        }
    }

    /// Of a watch of warnings: those about the objects of these names.
    pub(crate) fn about<'a>(&mut self, names: impl Iterator<Item = &'a str>) -> Vec<Arc<K>> {
        self.changed.mark_unchanged();
        let store = locked(&self.shared.store);
        names
            .filter_map(|name| store.groups.get(name))
            .flat_map(|group| group.objects.values().cloned())
            .collect()
    }

    /// Whether the watch, which may be shared with others, knows any such object.
    pub(crate) fn any(&self, is_such: impl Fn(&K) -> bool) -> bool {
        locked(&self.shared.store)
            .groups
            .values()
            .flat_map(|group| group.objects.values())
            .any(|object| is_such(object))
    }

    /// Comes back when something changed since the last snapshot.
    pub(crate) async fn changed(&mut self) {
        if self.changed.changed().await.is_err() {
            // The group is kept as long as it has a receiver, so this can't be; but it must not become a busy
            // loop.
            futures::future::pending::<()>().await;
        }
    }
}

impl<K> Drop for Subscription<K> {
    fn drop(&mut self) {
        self.shared.subscribers.send_modify(|count| *count -= 1);
    }
}

async fn run<K>(session: Session, key: Key, scope: Scope, shared: Arc<Shared<K>>)
where
    K: Watched + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    let following = async {
        let (mut backoff, mut expiry) = (Backoff::default(), Backoff::default());
        loop {
            let began = Instant::now();
            let Some(error) = follow(&session, &key, &scope, &shared, &mut backoff).await else {
                // A list that is answered says nothing of the watch after it.
                if began.elapsed() >= Duration::from_secs(WATCH_SECONDS.into()) {
                    expiry.reset();
                }
                sleep(expiry.next().unwrap_or_default()).await;
                continue;
            };
            tracing::debug!(object = key.kind.plural(), %error, "watch interrupted");
            if matches!(error, Error::Unauthorized { .. }) {
                session.forget_client().await;
            }
            locked(&shared.store).set_trouble(Some(error));
            sleep(backoff.next().unwrap_or_default()).await;
        }
    };
    tokio::select! {
        biased;
        () = following => {}
        () = left_alone(&session, &key, &shared) => {}
    }
}

/// Comes back when nobody has been subscribed for a while; the session has forgotten the watch then.
async fn left_alone<K>(session: &Session, key: &Key, shared: &Shared<K>) {
    let mut subscribers = shared.subscribers.subscribe();
    loop {
        if subscribers.wait_for(|count| *count == 0).await.is_err() {
            return;
        }
        // Whoever comes, be it for a moment, has it go on.
        if timeout(KEEP_UNUSED_FOR, subscribers.changed()).await.is_ok() {
            continue;
        }
        let shared_watches = session.kept::<SharedWatches>();
        let mut watches = locked(&shared_watches.0);
        if *shared.subscribers.borrow() == 0 {
            watches.remove(key);
            return;
        }
    }
}

/// Lists and watches until something goes wrong, and gives that; `None` when it is only an old position.
/// Whoever goes on lists again, by which it is known that the server is back even when nothing has changed
/// there.
async fn follow<K>(
    session: &Session,
    key: &Key,
    scope: &Scope,
    shared: &Shared<K>,
    backoff: &mut Backoff,
) -> Option<Error>
where
    K: Watched + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    let config = watcher::Config {
        label_selector: key.selector.clone(),
        field_selector: key.only.clone(),
        ..watcher::Config::default().timeout(WATCH_SECONDS)
    };
    let events = match request::watch::<K>(session, key.kind, key.namespace.as_deref(), config).await {
        Ok(events) => events,
        Err(error) => return Some(error),
    };
    let mut events = std::pin::pin!(events);
    let subject = Subject::all(Verb::Watch, key.kind, key.namespace.as_deref());
    let mut list = Vec::new();
    let mut asked = Instant::now();
    loop {
        let event = match events.next().await {
            Some(Ok(event)) => event,
            Some(Err(error)) => return trouble(&subject, session, &error),
            // It never ends by itself.
            None => std::future::pending().await,
        };
        // A list that begins has not been answered yet.
        if !matches!(event, watcher::Event::Init) {
            backoff.reset();
        }
        let mut store = locked(&shared.store);
        match event {
            watcher::Event::Init => {
                list.clear();
                asked = Instant::now();
            }
            watcher::Event::InitApply(object) => list.push(object),
            watcher::Event::InitDone => store.replace(scope, std::mem::take(&mut list), asked),
            watcher::Event::Apply(object) => store.put(scope, object),
            watcher::Event::Delete(object) => store.remove(scope, &object),
        }
    }
}

/// What a failed watch means; `None` when it is only an old position, which a new list mends.
fn trouble(subject: &Subject, session: &Session, error: &watcher::Error) -> Option<Error> {
    let server = session.server();
    match error {
        watcher::Error::InitialListFailed(cause)
        | watcher::Error::WatchStartFailed(cause)
        | watcher::Error::WatchFailed(cause) => match cause {
            kube::Error::Api(status) if status.code == 410 => None,
            cause => Some(Error::from_kube(subject, server.as_deref(), cause)),
        },
        watcher::Error::WatchError(status) if status.code == 410 => None,
        watcher::Error::WatchError(status) => {
            Some(Error::from_kube(subject, server.as_deref(), &kube::Error::Api(status.clone())))
        }
        watcher::Error::NoResourceVersion => None,
    }
}
