//! What goes wrong at a request of the provider.

use std::time::Duration;

use futures::StreamExt as _;
use http::Response;
use http_body_util::StreamBody;
use serde_json::{Value, json};

use super::hands::Hand;
use crate::kubernetes::fake::{Fake, Lines};

/// For how long a role lacks a right, and for how long watches are late.
pub(super) const A_WHILE: Duration = Duration::from_secs(30);

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
    /// The provider's role may not do this with objects of this kind, for a while.
    Forbidden,
    /// A quota of the namespace does not have what this makes.
    OverQuota,
    /// What watches tell is late, for a while. Lists are not: the provider asks for none that may be old.
    EventsLate,
    /// The next process of the provider finds another Kubernetes cluster at the address of this one.
    Elsewhere,
    /// Somebody else changes an object of the cluster first.
    Hand(Hand),
}

impl Fault {
    /// Those after which whoever does the same again gets what is wanted.
    pub(super) const ALL: [Self; 15] = [
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
        Self::Forbidden,
        Self::OverQuota,
        Self::EventsLate,
    ];
}

/// An answer of one object.
pub(super) fn answer(code: u16, body: &Value) -> Response<StreamBody<Lines>> {
    let text = body.to_string();
    let line = futures::stream::once(async move { Ok(http_body::Frame::data(text.into())) }).boxed();
    Response::builder().status(code).body(StreamBody::new(line as Lines)).unwrap()
}

/// An answer that makes no sense, another one for each number.
pub(super) fn garbled(number: usize) -> Response<StreamBody<Lines>> {
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

/// A failure in the API's own form.
pub(super) fn failure(code: u16, reason: &str, message: &str) -> Response<StreamBody<Lines>> {
    answer(
        code,
        &json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason,
        "message": message, "code": code}),
    )
}

/// Another Kubernetes cluster, with the same namespaces.
pub(super) fn elsewhere() -> Fake {
    let api = Fake::new();
    for namespace in ["kube-system", "default", "apps"] {
        api.set(&format!("/api/v1/namespaces/{namespace}"), |object| {
            object["metadata"]["uid"] = json!(format!("{namespace} elsewhere"));
        });
    }
    api
}
