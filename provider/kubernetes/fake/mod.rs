//! One API server for all tests below `pulumi up`. It keeps objects as a real one does (unique ids,
//! revisions, managed fields and their conflicts, dry runs, finalizers, lists and watches), and fails as a
//! test says.
//!
//! It takes the requests of the client itself, but in this process and over no socket: so the paused clock of
//! tokio holds for both sides.

mod apply;
mod display;
mod faults;
mod fields;
mod kept;
mod patch;
mod place;
mod select;
mod store;
#[cfg(test)]
mod tests;
mod watch;

pub(crate) use display::{Display, context};
pub(crate) use faults::Reply;
pub(crate) use fields::Manager;
pub(crate) use kept::Kept;
pub(crate) use store::{Objects, with_data};

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt as _};
use http::{Method, Request, Response};
use http_body_util::StreamBody;
use kube::client::Body;
use percent_encoding::percent_decode_str;
use serde_json::Value;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch::Receiver;
use tokio::time::{Instant, sleep, sleep_until};

use self::faults::Faults;
use self::place::Place;
use self::store::Store;
use crate::kubernetes::client::{Session, Settings};
use crate::kubernetes::meta::{Kind, ObjectRef};

/// A request as the server saw it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
    /// In which form the body is, for the many of a patch.
    pub(crate) content_type: String,
    pub(crate) body: Value,
}

impl Seen {
    /// Path and query.
    pub(crate) fn target(&self) -> String {
        format!("{}?{}", self.path, self.query)
    }

    /// Whether it is tried out only.
    pub(crate) fn is_dry_run(&self) -> bool {
        self.query.contains("dryRun=All")
    }

    fn is_watch(&self) -> bool {
        self.method == Method::GET && self.query.contains("watch=true")
    }

    /// A parameter of the query.
    fn parameter(&self, name: &str) -> Option<String> {
        let value = self.query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
        Some(percent_decode_str(&value.replace('+', " ")).decode_utf8().unwrap().into_owned())
    }

    fn manager(&self, applies: bool) -> Manager {
        Manager::new(&self.parameter("fieldManager").unwrap_or_else(|| "unknown".to_owned()), applies)
    }
}

/// An API server. Its clones are the same one.
#[derive(Clone)]
pub(crate) struct Fake(Arc<Inner>);

struct Inner {
    store: Mutex<Store>,
    faults: Mutex<Faults>,
    seen: Mutex<Vec<Arc<Seen>>>,
}

/// The body of an answer.
pub(crate) type Lines = BoxStream<'static, Result<http_body::Frame<Bytes>, io::Error>>;

impl Fake {
    /// One with the namespaces `default`, `apps` and `prod`, and nothing in them.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner {
            store: Mutex::new(Store::new()),
            faults: Mutex::default(),
            seen: Mutex::default(),
        }))
    }

    /// The same, with objects that somebody has created there.
    pub(crate) fn with(objects: impl IntoIterator<Item = Value>) -> Self {
        let fake = Self::new();
        objects.into_iter().for_each(|object| fake.put(&object));
        fake
    }

    /// Another one with the same objects, which remembers none of the requests, and no history for watches.
    pub(crate) fn fork(&self) -> Self {
        Self(Arc::new(Inner {
            store: Mutex::new(self.store().fork()),
            faults: Mutex::default(),
            seen: Mutex::default(),
        }))
    }

    /// One that answers every request as a script says, and has no objects.
    pub(crate) fn scripted(script: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let fake = Self::new();
        fake.script(move |seen| Some(script(seen)));
        fake
    }

    /// One that refuses what `problems` finds.
    pub(crate) fn validating(self, problems: impl Fn(&Value) -> Vec<String> + Send + Sync + 'static) -> Self {
        self.store().validation = Some(Arc::new(problems));
        self
    }

    /// One with an operator, which takes its finalizers off whatever is deleted.
    pub(crate) fn with_operator(self) -> Self {
        self.store().has_operator = true;
        self
    }

    /// One with controllers, that is to say: somebody else plays them.
    pub(crate) fn with_controllers(self) -> Self {
        self.store().has_controllers = true;
        self
    }

    /// Told of every change.
    pub(crate) fn changes(&self) -> Receiver<()> {
        self.store().changed.subscribe()
    }

    /// Looks at all objects by their paths, also at the namespaces that were there from the beginning.
    pub(crate) fn look<T>(&self, at: impl FnOnce(&Objects) -> T) -> T {
        at(self.store().everything())
    }

    /// A new session of this server.
    pub(crate) fn session(&self) -> Session {
        self.session_under(Settings::default())
    }

    /// The same under these settings.
    pub(crate) fn session_under(&self, settings: Settings) -> Session {
        Session::with_client(settings, self.client())
    }

    /// A client of this server.
    pub(crate) fn client(&self) -> kube::Client {
        let fake = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let fake = fake.clone();
            async move { fake.respond(request).await }
        });
        #[expect(clippy::disallowed_methods, reason = "this client leads to no other server")]
        let client = kube::Client::new(service, "default");
        client
    }

    /// What it was asked so far.
    pub(crate) fn requests(&self) -> Vec<Seen> {
        self.0.seen.lock().unwrap().iter().map(|seen| Seen::clone(seen)).collect()
    }

    /// How many requests had this method, and `part` in their path or query.
    pub(crate) fn count(&self, method: &Method, part: &str) -> usize {
        self.0
            .seen
            .lock()
            .unwrap()
            .iter()
            .filter(|seen| seen.method == *method && seen.target().contains(part))
            .count()
    }

    /// What requests have written or deleted so far: `PATCH /api/…` each.
    pub(crate) fn writes(&self) -> Vec<String> {
        self.store().writes.clone()
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.0.store.lock().unwrap()
    }
}

/// The objects, which a test may look at and change as other clients do.
impl Fake {
    /// All, by their paths, but for the namespaces that were there from the beginning.
    pub(crate) fn objects(&self) -> BTreeMap<String, Value> {
        self.store().objects()
    }

    /// The paths of all.
    pub(crate) fn paths(&self) -> Vec<String> {
        self.objects().into_keys().collect()
    }

    /// The object at a path.
    pub(crate) fn at(&self, path: &str) -> Option<Value> {
        self.store().get(path).cloned()
    }

    /// One object.
    pub(crate) fn object(&self, kind: Kind, namespace: &str, name: &str) -> Option<Value> {
        self.at(&ObjectRef::new(kind, namespace, name).path())
    }

    /// Puts an object there, or in the place of the one of its name, as `kubectl create` does.
    pub(crate) fn put(&self, object: &Value) {
        self.put_as(object, &Manager::new("kubectl-create", false));
    }

    /// The same, as somebody else does.
    pub(crate) fn put_as(&self, object: &Value, manager: &Manager) {
        let path = ObjectRef::of(object).unwrap_or_else(|| panic!("{object}")).path();
        self.store().put(&path, object, manager);
    }

    /// Puts an object at a path, which says what the object does not say of itself.
    pub(crate) fn put_at(&self, path: &str, object: &Value) {
        self.store().put(path, object, &Manager::new("kubectl-create", false));
    }

    /// Changes an object by hand, as `kubectl edit` does.
    pub(crate) fn edit(&self, path: &str, change: impl FnOnce(&mut Value)) {
        let mut store = self.store();
        let mut object = store.get(path).cloned().unwrap_or_else(|| panic!("nothing is at {path}"));
        change(&mut object);
        object["metadata"].as_object_mut().unwrap().remove("generation");
        store.put(path, &object, &Manager::new("kubectl-edit", false));
    }

    /// What a controller says of an object.
    pub(crate) fn set_status(&self, kind: Kind, namespace: &str, name: &str, status: Value) {
        self.edit(&ObjectRef::new(kind, namespace, name).path(), |object| object["status"] = status);
    }

    /// Gives an object another status or other finalizers, as a controller does.
    pub(crate) fn set(&self, path: &str, change: impl FnOnce(&mut Value)) {
        self.store().set(path, change);
    }

    /// Takes an object away, whatever holds it.
    pub(crate) fn remove(&self, path: &str) {
        self.store().remove(path).unwrap_or_else(|| panic!("nothing is at {path}"));
    }

    /// Somebody deletes an object, and makes the same again: only its unique id is another one.
    pub(crate) fn recreate(&self, path: &str) {
        let mut store = self.store();
        let removed = store.remove(path).unwrap_or_else(|| panic!("nothing is at {path}"));
        let mut object = Value::clone(&removed);
        object["metadata"].as_object_mut().unwrap().remove("uid");
        store.put(path, &object, &Manager::new("kubectl-create", false));
    }
}

/// The faults, the earliest of which that fits a request counts.
impl Fake {
    /// Every request of a method (`None`: of any) with `part` in its path or query gets this reply from now
    /// on.
    pub(crate) fn on(&self, method: impl Into<Option<Method>>, part: &str, reply: Reply) {
        self.faults().add(method.into(), part, reply, None);
    }

    /// The same for the next so many requests.
    pub(crate) fn next(&self, count: usize, method: impl Into<Option<Method>>, part: &str, reply: Reply) {
        self.faults().add(method.into(), part, reply, Some(count));
    }

    /// What answers before the server does, or lets it; it may change the objects first.
    pub(crate) fn script(&self, script: impl Fn(&Seen) -> Option<Reply> + Send + Sync + 'static) {
        self.faults().script = Some(Arc::new(script));
    }

    /// Ends all faults.
    pub(crate) fn heal(&self) {
        *self.faults() = Faults::default();
    }

    /// Ends the watches: what was connected is not any more.
    pub(crate) fn end_watches(&self) {
        self.store().events.end(None);
    }

    /// Ends the watches as a server does for which their position is too old.
    pub(crate) fn expire_watches(&self) {
        self.store().events.end(Some(&watch::expired()));
    }

    /// Forgets what happened: a watch can't go on where an earlier one has ended.
    pub(crate) fn forget_history(&self) {
        let mut store = self.store();
        let revision = store.revision;
        store.events.forget(revision);
    }

    /// How many watches somebody reads.
    pub(crate) fn open_watches(&self) -> usize {
        self.store().events.count()
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.0.faults.lock().unwrap()
    }

    fn fault(&self, seen: &Seen) -> Option<Reply> {
        let fault = self.faults().take(seen);
        let script = self.faults().script.clone();
        fault.or_else(|| script.and_then(|script| script(seen)))
    }
}

/// The connection.
impl Fake {
    pub(crate) async fn respond(
        &self,
        request: Request<Body>,
    ) -> Result<Response<StreamBody<Lines>>, io::Error> {
        let (head, body) = request.into_parts();
        let body = body.collect_bytes().await.unwrap();
        let content_type = head.headers.get(http::header::CONTENT_TYPE).and_then(|form| form.to_str().ok());
        let seen = Arc::new(Seen {
            method: head.method,
            path: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            content_type: content_type.unwrap_or_default().to_owned(),
            body: serde_json::from_slice(&body).unwrap_or_default(),
        });
        self.0.seen.lock().unwrap().push(seen.clone());
        let reply = match self.fault(&seen) {
            Some(Reply::Late(delay)) => {
                sleep(delay).await;
                None
            }
            fault => fault,
        };
        match reply {
            Some(reply) => send(reply).await,
            None if seen.is_watch() => match self.watch(&seen) {
                Ok(lines) => Ok(Response::new(StreamBody::new(lines))),
                Err(reply) => send(reply).await,
            },
            None => {
                let reply = self.store().answer(&seen);
                send(reply).await
            }
        }
    }

    /// The lines of a watch. It ends when its time is over, with a bookmark.
    fn watch(&self, seen: &Seen) -> Result<Lines, Reply> {
        let (place, events) = self.store().watch(seen)?;
        let seconds = seen.parameter("timeoutSeconds").map_or(1800, |seconds| seconds.parse().unwrap());
        let over = Instant::now() + Duration::from_secs(seconds);
        let next = move |open: Option<(Self, Place, UnboundedReceiver<String>)>| async move {
            let (fake, place, mut events) = open?;
            tokio::select! {
                biased;
                line = events.recv() => line.map(|line| (line, Some((fake, place, events)))),
                () = sleep_until(over) => Some((fake.store().bookmark(&place).to_string(), None)),
            }
        };
        let lines = stream::unfold(Some((self.clone(), place, events)), next);
        Ok(lines.map(|line| Ok(frame(format!("{line}\n")))).boxed())
    }
}

async fn send(reply: Reply) -> Result<Response<StreamBody<Lines>>, io::Error> {
    let (code, after, text) = match reply {
        Reply::Json(code, value) => (code, None, value.to_string().into()),
        Reply::Written(code, text) => (code, None, text),
        Reply::Text(code, text) => (code, None, text.into()),
        Reply::Busy(seconds) => (429, Some(seconds), Bytes::new()),
        Reply::Refuse => return Err(io::Error::new(io::ErrorKind::ConnectionRefused, "connection refused")),
        Reply::Hang | Reply::Late(_) => return futures::future::pending().await,
    };
    let mut response = Response::builder().status(code);
    if let Some(seconds) = after {
        response = response.header("retry-after", seconds);
    }
    let body: Lines = stream::once(async { Ok(frame(text)) }).boxed();
    Ok(response.body(StreamBody::new(body)).unwrap())
}

fn frame(text: impl Into<Bytes>) -> http_body::Frame<Bytes> {
    http_body::Frame::data(text.into())
}
