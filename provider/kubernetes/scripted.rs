//! An API server for tests: answers as a script says, and remembers what it was asked.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt as _};
use http::{Request, Response};
use http_body_util::StreamBody;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::kubernetes::client::{Session, Settings};
use crate::resource::{Context, Reporter, Urn};

/// A request as the server saw it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    /// In which form the body is, for the many of a patch.
    pub(crate) content_type: String,
    pub(crate) body: Value,
}

/// What the server does about a request.
pub(crate) enum Reply {
    Json(u16, Value),
    Text(u16, &'static str),
    /// 429 with the seconds to wait.
    Busy(u64),
    /// A watch: one line for each value, the end when the sender is dropped.
    Watch(mpsc::UnboundedReceiver<Value>),
    /// No connection.
    Refuse,
    /// No answer, ever.
    Hang,
}

impl Reply {
    /// A failure in the API's own form.
    pub(crate) fn status(code: u16, reason: &str, message: &str) -> Self {
        Self::Json(
            code,
            json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message, "code": code}),
        )
    }
}

/// What the server was asked.
#[derive(Default)]
pub(crate) struct Log(Mutex<Vec<Seen>>);

impl Log {
    pub(crate) fn all(&self) -> Vec<Seen> {
        self.0.lock().unwrap().clone()
    }

    /// How many requests had this method, and `part` in their path or query.
    pub(crate) fn count(&self, method: &str, part: &str) -> usize {
        self.all().iter().filter(|seen| seen.method == method && format!("{}?{}", seen.path, seen.query).contains(part)).count()
    }
}

type Lines = BoxStream<'static, Result<http_body::Frame<Bytes>, std::io::Error>>;

/// A session whose API server is `script`.
pub(crate) fn server(script: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> (Session, Arc<Log>) {
    server_under(Settings::default(), script)
}

/// The same under these settings.
pub(crate) fn server_under(settings: Settings, script: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> (Session, Arc<Log>) {
    let log = Arc::new(Log::default());
    let (script, seen_by) = (Arc::new(script), log.clone());
    let service = tower::service_fn(move |request: Request<Body>| -> Pin<Box<dyn Future<Output = _> + Send>> {
        let (script, log) = (script.clone(), seen_by.clone());
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let body = body.collect_bytes().await.unwrap();
            let seen = Seen {
                method: head.method.to_string(),
                path: head.uri.path().to_owned(),
                query: head.uri.query().unwrap_or_default().to_owned(),
                content_type: head
                    .headers
                    .get(http::header::CONTENT_TYPE)
                    .and_then(|form| form.to_str().ok())
                    .unwrap_or_default()
                    .to_owned(),
                body: serde_json::from_slice(&body).unwrap_or_default(),
            };
            log.0.lock().unwrap().push(seen.clone());
            respond(script(&seen)).await
        })
    });
    #[expect(clippy::disallowed_methods, reason = "this client leads to no other server")]
    let client = kube::Client::new(service, "default");
    (Session::with_client(settings, client), log)
}

async fn respond(reply: Reply) -> Result<Response<StreamBody<Lines>>, std::io::Error> {
    let (code, after, lines): (u16, Option<u64>, Lines) = match reply {
        Reply::Json(code, value) => (code, None, once(value.to_string())),
        Reply::Text(code, text) => (code, None, once(text.to_owned())),
        Reply::Busy(seconds) => (429, Some(seconds), once(String::new())),
        Reply::Watch(events) => {
            (200, None, tokio_stream::wrappers::UnboundedReceiverStream::new(events).map(|event| Ok(frame(format!("{event}\n")))).boxed())
        }
        Reply::Refuse => return Err(std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "connection refused")),
        Reply::Hang => futures::future::pending::<Result<Infallible, std::io::Error>>().await.map(|never| match never {})?,
    };
    let mut response = Response::builder().status(code);
    if let Some(seconds) = after {
        response = response.header("retry-after", seconds);
    }
    Ok(response.body(StreamBody::new(lines)).unwrap())
}

fn once(text: String) -> Lines {
    stream::once(async { Ok(frame(text)) }).boxed()
}

fn frame(text: String) -> http_body::Frame<Bytes> {
    http_body::Frame::data(Bytes::from(text))
}

/// What the user would have seen.
#[derive(Default)]
pub(crate) struct Display {
    pub(crate) statuses: Mutex<Vec<String>>,
    pub(crate) infos: Mutex<Vec<String>>,
    pub(crate) warnings: Mutex<Vec<String>>,
}

impl Reporter for Display {
    fn status(&self, text: &str) {
        self.statuses.lock().unwrap().push(text.to_owned());
    }

    fn info(&self, text: &str) {
        self.infos.lock().unwrap().push(text.to_owned());
    }

    fn warn(&self, text: &str) {
        self.warnings.lock().unwrap().push(text.to_owned());
    }
}

/// A call's context with a display to look at.
pub(crate) fn context() -> (Context, Arc<Display>) {
    let display = Arc::new(Display::default());
    let urn = Urn("urn:pulumi:dev::shop::clickhouse:kubernetes:Cluster::db".to_owned());
    (Context { urn, cancel: CancellationToken::new(), started: Instant::now(), timeout: None, report: display.clone() }, display)
}
