//! What a server does instead of what it should: refusals, delays, silence, answers of something that is no
//! API server.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use super::Seen;

/// What the server does about a request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// A status code with a body.
    Json(u16, Value),
    /// A status code with a body that is JSON already.
    Written(u16, Bytes),
    /// A status code with a body that is no JSON.
    Text(u16, &'static str),
    /// 429 with the seconds to wait.
    Busy(u64),
    /// The right answer, but later.
    Late(Duration),
    /// No connection.
    Refuse,
    /// No answer, ever.
    Hang,
}

impl Reply {
    /// A failure in the API's own form.
    pub(crate) fn status(code: u16, reason: &str, message: &str) -> Self {
        Self::failure(code, reason, message, &json!({}))
    }

    /// 403.
    pub(crate) fn forbidden(message: &str) -> Self {
        Self::status(403, "Forbidden", message)
    }

    /// 404 about the object of this name.
    pub(crate) fn missing(plural: &str, name: &str) -> Self {
        Self::failure(
            404,
            "NotFound",
            &format!("{plural} \"{name}\" not found"),
            &json!({"name": name, "kind": plural}),
        )
    }

    /// A failure with its details.
    pub(crate) fn failure(code: u16, reason: &str, message: &str, details: &Value) -> Self {
        Self::Json(
            code,
            json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason,
                "message": message, "code": code,
                "details": details}),
        )
    }
}

/// What answers before the server does, or lets it.
pub(super) type Script = Arc<dyn Fn(&Seen) -> Option<Reply> + Send + Sync>;

/// Requests that get another answer.
struct Fault {
    /// `None` for any.
    method: Option<Method>,
    /// What their path, or path and query, has in it.
    part: String,
    reply: Reply,
    /// How many of them are left; `None` for all.
    left: Option<usize>,
}

/// The faults of a server: the earliest that fits counts.
#[derive(Default)]
pub(super) struct Faults {
    pub(super) script: Option<Script>,
    faults: Vec<Fault>,
}

impl Faults {
    pub(super) fn add(&mut self, method: Option<Method>, part: &str, reply: Reply, left: Option<usize>) {
        self.faults.push(Fault { method, part: part.to_owned(), reply, left });
    }

    /// What the faults, without the script, make of a request.
    pub(super) fn take(&mut self, seen: &Seen) -> Option<Reply> {
        let target = seen.target();
        let is_meant = |fault: &Fault| {
            fault.left != Some(0)
                && fault.method.as_ref().is_none_or(|method| *method == seen.method)
                && target.contains(&fault.part)
        };
        let fault = self.faults.iter_mut().find(|fault| is_meant(fault))?;
        if let Some(left) = &mut fault.left {
            *left -= 1;
        }
        Some(fault.reply.clone())
    }
}
