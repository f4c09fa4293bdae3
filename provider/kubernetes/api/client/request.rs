//! EFFECT: requests to the API server, the only ones that this provider sends: each traced, sent again while
//! that can help, its failure put into words.

use std::fmt::Debug;
use std::pin::pin;
use std::time::Duration;

use futures::Stream;
use http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use http::{Method, Request, StatusCode};
use kube::Client;
use kube::client::Body;
use kube::core::DynamicResourceScope;
use kube::runtime::watcher::{self, watcher};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

use super::super::backoff::Backoff;
use super::{Api, Session};
use crate::kubernetes::error::{Error, Reach, Subject};
use crate::kubernetes::meta::Kind;

/// How long one try may take; the API server itself gives up after a minute at most.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a server that has never answered is tried: a wrong address is reported soon.
const RETRY_FOR_UNREACHED: Duration = Duration::from_secs(10);

/// How long a server that has answered before is tried when the caller gives no deadline: it restarts.
const RETRY_FOR: Duration = Duration::from_secs(120);

/// How long an internal error is tried again: a webhook or the storage may recover, a defect won't.
const RETRY_FOR_INTERNAL: Duration = Duration::from_secs(15);

/// How long a call is tried again before the user is told.
const REPORT_RETRY_AFTER: Duration = Duration::from_secs(1);

/// How long credentials may take before the user is told that they are waited for.
const REPORT_LOGIN_AFTER: Duration = Duration::from_secs(5);

/// What one try came to.
enum Attempt {
    Answer { code: StatusCode, retry_after: Option<Duration>, body: Vec<u8> },
    NoAnswer(Error),
}

/// What a request is besides its method and its path.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::kubernetes::api) struct Form<'a> {
    /// The media type that the answer should have; JSON when `None`.
    pub(in crate::kubernetes::api) accept: Option<&'a str>,
    /// The media type of the body, and the body.
    pub(in crate::kubernetes::api) body: Option<(&'a str, &'a Value)>,
}

/// Builds a request. Fails when `target` is not a path of the API.
pub(in crate::kubernetes::api) fn request(
    method: Method,
    target: &str,
    form: Form<'_>,
) -> Result<Request<Vec<u8>>, Error> {
    let mut builder = Request::builder().method(method).uri(target);
    if let Some(accept) = form.accept {
        builder = builder.header(ACCEPT, accept);
    }
    if let Some((media_type, _)) = form.body {
        builder = builder.header(CONTENT_TYPE, media_type);
    }
    let body = form.body.map(|(_, body)| body.to_string().into_bytes()).unwrap_or_default();
    builder
        .body(body)
        .map_err(|_| Error::malformed(&format!("`{target}` is not a path of the Kubernetes API")))
}

/// Sends a request and reads the answer. Everything that the provider sends can be sent twice: reads,
/// server-side applies, and deletes of one uid.
///
/// Answers 429 and 5xx and failed connections are tried again with growing, jittered delays, within the time
/// for their kind and the deadline of `api`; a 401 once, with new credentials. Returns at once when `api` is
/// cancelled.
pub(in crate::kubernetes::api) async fn send(
    api: &Api,
    subject: &Subject,
    request: &Request<Vec<u8>>,
) -> Result<Value, Error> {
    let started = Instant::now();
    let mut backoff = Backoff::default();
    let mut renewed = false;
    let mut reported = false;
    loop {
        let sent = Instant::now();
        let outcome = tokio::select! {
            biased;
            () = api.cancel.cancelled() => return Err(cancelled(subject)),
            outcome = attempt(api, request) => outcome,
        };
        trace(subject, &outcome, sent.elapsed());
        let (error, retry_for, delay) = match outcome {
            Attempt::Answer { code, body, .. } if code.is_success() => {
                if reported {
                    api.report.status("");
                }
                // What the API answers with is an object; anything else comes from something between.
                let answer: Option<Value> = serde_json::from_slice(&body).ok();
                return answer.filter(Value::is_object).ok_or_else(|| unreadable(subject, code));
            }
            Attempt::Answer { code: StatusCode::UNAUTHORIZED, body, .. } if renewed => {
                return Err(refusal(subject, 401, &body));
            }
            Attempt::Answer { code: StatusCode::UNAUTHORIZED, .. } => {
                renewed = true;
                api.session.forget_client().await;
                continue;
            }
            Attempt::Answer { code, retry_after, body } => {
                let error = refusal(subject, code.as_u16(), &body);
                match retry_for(code, &error) {
                    Some(retry_for) => (error, retry_for, retry_after),
                    None => return Err(error),
                }
            }
            Attempt::NoAnswer(error @ Error::Unreachable { .. }) => {
                (error, if api.session.was_reached() { RETRY_FOR } else { RETRY_FOR_UNREACHED }, None)
            }
            // Credentials that were good before in this run are renewed: the plugin may just not have reached
            // its own server.
            Attempt::NoAnswer(error)
                if error.reach() == Reach::NoCredentials && api.session.was_reached() =>
            {
                (error, RETRY_FOR, None)
            }
            Attempt::NoAnswer(error) => return Err(error),
        };
        let delay = delay.unwrap_or_default().max(backoff.next().unwrap_or_default());
        let retry_for = api
            .deadline
            .filter(|_| retry_for == RETRY_FOR)
            .map_or(retry_for, |deadline| deadline.duration_since(started));
        if started.elapsed() + delay >= retry_for {
            return Err(error);
        }
        if started.elapsed() >= REPORT_RETRY_AFTER || delay >= REPORT_RETRY_AFTER {
            reported = true;
            api.report.status(&format!("{}; trying again", wait_text(&error)));
        }
        tokio::select! {
            biased;
            () = api.cancel.cancelled() => return Err(cancelled(subject)),
            () = sleep(delay) => {}
        }
    }
}

/// Sends a request once, and gives what a good answer says. For what is nice to know.
pub(in crate::kubernetes::api) async fn send_once(
    api: &Api,
    subject: &Subject,
    request: &Request<Vec<u8>>,
) -> Option<String> {
    let sent = Instant::now();
    let outcome = tokio::select! {
        biased;
        () = api.cancel.cancelled() => return None,
        outcome = attempt(api, request) => outcome,
    };
    trace(subject, &outcome, sent.elapsed());
    match outcome {
        Attempt::Answer { code, body, .. } if code.is_success() => {
            Some(String::from_utf8_lossy(&body).into_owned())
        }
        _ => None,
    }
}

/// Lists the objects of a kind, in a namespace or in all, and watches them from then on. Fails when there are
/// no credentials; the stream itself never ends.
pub(in crate::kubernetes::api) async fn watch<K>(
    session: &Session,
    kind: Kind,
    namespace: Option<&str>,
    config: watcher::Config,
) -> Result<impl Stream<Item = watcher::Result<watcher::Event<K>>> + Send + use<K>, Error>
where
    K: kube::Resource<DynamicType = Kind, Scope = DynamicResourceScope>
        + Clone
        + DeserializeOwned
        + Debug
        + Send
        + 'static,
{
    let client = session.client().await?;
    let api: kube::Api<K> = match namespace {
        Some(namespace) => kube::Api::namespaced_with(client, namespace, &kind),
        None => kube::Api::all_with(client, &kind),
    };
    Ok(watcher(api, config))
}

async fn attempt(api: &Api, request: &Request<Vec<u8>>) -> Attempt {
    let session = &api.session;
    let client = match log_in(api).await {
        Ok(client) => client,
        Err(error) => return Attempt::NoAnswer(error),
    };
    let _permit = session.calls().acquire().await;
    let exchange = async {
        let response = client.send(request.clone().map(Body::from)).await?;
        session.note_reached();
        let code = response.status();
        let seconds = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let body = response.into_body().collect_bytes().await?.to_vec();
        Ok::<_, kube::Error>(Attempt::Answer { code, retry_after: seconds.map(Duration::from_secs), body })
    };
    match timeout(ATTEMPT_TIMEOUT, exchange).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => Attempt::NoAnswer(Error::from_transport(session.server().as_deref(), &error)),
        Err(_) => Attempt::NoAnswer(Error::Unreachable {
            server: session.server(),
            cause: format!("it did not answer within {} seconds", ATTEMPT_TIMEOUT.as_secs()),
            connected: true,
        }),
    }
}

/// The client. Reports a login that takes long.
async fn log_in(api: &Api) -> Result<Client, Error> {
    let client = async {
        match api.deadline {
            Some(deadline) => api.session.client_by(deadline).await,
            None => api.session.client().await,
        }
    };
    let mut client = pin!(client);
    if let Ok(client) = timeout(REPORT_LOGIN_AFTER, &mut client).await {
        return client;
    }
    api.report.status("waiting for the credentials that a plugin of the kubeconfig gets");
    let client = client.await;
    api.report.status("");
    client
}

/// How long an answer is worth trying again; `None` when it is final.
fn retry_for(code: StatusCode, error: &Error) -> Option<Duration> {
    match (code, error) {
        (_, Error::UnknownFields { .. } | Error::Invalid { .. }) => None,
        (
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT,
            _,
        ) => Some(RETRY_FOR),
        (code, _) if code.is_server_error() => Some(RETRY_FOR_INTERNAL),
        _ => None,
    }
}

fn refusal(subject: &Subject, code: u16, body: &[u8]) -> Error {
    Error::from_answer(subject, code, &String::from_utf8_lossy(body))
}

fn cancelled(subject: &Subject) -> Error {
    Error::Cancelled { verb: subject.verb, object: subject.to_string() }
}

fn unreadable(subject: &Subject, code: StatusCode) -> Error {
    let message = "its answer is not JSON; is the kubeconfig's server a Kubernetes API server?".to_owned();
    Error::Other { verb: subject.verb, object: subject.to_string(), code: code.as_u16(), message }
}

fn wait_text(error: &Error) -> String {
    match error {
        Error::Unreachable { server, cause, .. } => {
            format!(
                "the API server{} does not answer: {cause}",
                server.as_ref().map(|server| format!(" {server}")).unwrap_or_default()
            )
        }
        Error::Timeout { message, .. } | Error::Other { message, .. } => {
            format!("the API server is busy: {message}")
        }
        other => other.to_string(),
    }
}

fn trace(subject: &Subject, outcome: &Attempt, took: Duration) {
    let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    match outcome {
        Attempt::Answer { code, .. } => {
            tracing::debug!(verb = %subject.verb, object = %subject, status = code.as_u16(), milliseconds,
                "api call");
        }
        Attempt::NoAnswer(error) => {
            tracing::debug!(verb = %subject.verb, object = %subject, %error, milliseconds, "api call");
        }
    }
}
