//! From the API server's answer to an [`Error`].

use std::error::Error as _;
use std::io;

use kube::core::Status;

use super::{Error, FieldConflict, FieldProblem, Subject};
use crate::kubernetes::meta::Kind;

impl Error {
    /// What an answer with an error status means.
    pub(crate) fn from_answer(subject: &Subject, code: u16, body: &str) -> Self {
        match serde_json::from_str::<Status>(body) {
            Ok(status) if !status.message.is_empty() || !status.reason.is_empty() => {
                Self::from_status(subject, code, &status)
            }
            _ => Self::from_text(subject, code, body.trim()),
        }
    }

    /// The same for a watch, whose failures come through the client library.
    pub(crate) fn from_kube(subject: &Subject, server: Option<&str>, error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) if status.reason == "Failed to parse error data" => {
                Self::from_text(subject, status.code, &status.message)
            }
            kube::Error::Api(status) => Self::from_status(subject, status.code, status),
            kube::Error::SerdeError(cause) => {
                Self::other(subject, 0, &format!("its answer can't be read: {cause}"))
            }
            _ => Self::from_transport(server, error),
        }
    }

    /// What a call without an answer means.
    pub(crate) fn from_transport(server: Option<&str>, error: &kube::Error) -> Self {
        let causes = causes(error);
        if let Some(message) = credentials(error, &causes) {
            return Self::Kubeconfig { message };
        }
        let cause = causes.last().cloned().unwrap_or_else(|| error.to_string());
        Self::Unreachable {
            server: server.map(str::to_owned),
            cause,
            connected: !never_connected(error, &causes),
        }
    }

    fn from_text(subject: &Subject, code: u16, text: &str) -> Self {
        // Only a path that nobody serves is answered without a Status: the kind has no definition.
        if code == 404 && subject.kind.is_custom() {
            return Self::CrdMissing { kind: subject.kind };
        }
        let message = if text.is_empty() { format!("HTTP status {code}") } else { shorten(text) };
        if code == 401 { Self::Unauthorized { message } } else { Self::other(subject, code, &message) }
    }

    fn from_status(subject: &Subject, code: u16, status: &Status) -> Self {
        let message = status.message.trim();
        match code {
            401 => Self::Unauthorized { message: message.to_owned() },
            403 => forbidden(subject, status),
            404 => absent(subject, status),
            409 if status.reason == "AlreadyExists" => Self::AlreadyExists { object: subject.to_string() },
            409 => conflict(subject, status),
            400 | 422 | 500 if unknown_fields(message).is_some() => {
                let fields = unknown_fields(message).unwrap_or_default();
                Self::UnknownFields { object: subject.to_string(), fields, installed: None }
            }
            400 | 422 => Self::Invalid { object: subject.to_string(), problems: problems(subject, status) },
            500 if is_wrong_type(message) => {
                Self::Invalid { object: subject.to_string(), problems: problems(subject, status) }
            }
            429 | 502..=504 => {
                Self::Timeout { verb: subject.verb, object: subject.to_string(), message: message.to_owned() }
            }
            _ => Self::other(subject, code, message),
        }
    }

    fn other(subject: &Subject, code: u16, message: &str) -> Self {
        // A refused Secret may be repeated in the server's words.
        let message =
            if subject.kind == Kind::Secret { format!("HTTP status {code}") } else { message.to_owned() };
        Self::Other { verb: subject.verb, object: subject.to_string(), code, message }
    }
}

fn forbidden(subject: &Subject, status: &Status) -> Error {
    let message = status.message.trim().to_owned();
    // RBAC says `… is forbidden: User "…" cannot patch resource …`; whatever else answers 403 is admission.
    if message.contains(" cannot ") || message.is_empty() {
        let namespace = subject.namespace.clone();
        let verb = message.split_once(" cannot ").and_then(|(_, rest)| rest.split_whitespace().next());
        let verb = verb.unwrap_or(subject.verb.rbac()).to_owned();
        return Error::Forbidden { verb, resource: subject.kind.qualified(), namespace, message };
    }
    Error::Refused { verb: subject.verb, object: subject.to_string(), message }
}

fn absent(subject: &Subject, status: &Status) -> Error {
    let about = status.details.as_ref().map(|details| (details.kind.as_str(), details.name.as_str()));
    match about {
        Some(("namespaces", namespace)) if subject.kind != Kind::Namespace => {
            Error::NamespaceMissing { namespace: namespace.to_owned() }
        }
        Some((_, name)) if !name.is_empty() => Error::NotFound { object: subject.to_string() },
        // Without a name the answer is about the path.
        _ if subject.kind.is_custom() => Error::CrdMissing { kind: subject.kind },
        _ => Error::NotFound { object: subject.to_string() },
    }
}

fn conflict(subject: &Subject, status: &Status) -> Error {
    let causes = status.details.as_ref().map(|details| details.causes.as_slice()).unwrap_or_default();
    let mut conflicts: Vec<FieldConflict> = Vec::new();
    for cause in causes.iter().filter(|cause| cause.reason == "FieldManagerConflict") {
        let manager = cause.message.split('"').nth(1).unwrap_or("another manager");
        // The server tells the API version of those that changed single fields, and of no others.
        let applies = !cause.message.contains("\" using ") && !cause.message.contains("with subresource");
        match conflicts.iter_mut().find(|conflict| conflict.manager == manager && conflict.applies == applies)
        {
            Some(conflict) => conflict.fields.push(cause.field.clone()),
            None => conflicts.push(FieldConflict {
                manager: manager.to_owned(),
                applies,
                fields: vec![cause.field.clone()],
            }),
        }
    }
    // Without fields it is about the whole object: another revision, or another uid than the precondition's.
    if conflicts.is_empty() {
        return Error::Outdated { verb: subject.verb, object: subject.to_string() };
    }
    Error::Conflict { object: subject.to_string(), conflicts }
}

fn problems(subject: &Subject, status: &Status) -> Vec<FieldProblem> {
    let secret = subject.kind == Kind::Secret;
    let say = |text: &str| if secret { "not accepted".to_owned() } else { shorten(text) };
    let causes = status.details.as_ref().map(|details| details.causes.as_slice()).unwrap_or_default();
    let named: Vec<_> = causes
        .iter()
        .filter(|cause| !cause.field.is_empty() && cause.field != "<nil>")
        .map(|cause| FieldProblem { field: cause.field.clone(), problem: say(&cause.message) })
        .collect();
    if named.is_empty() {
        vec![FieldProblem { field: String::new(), problem: say(status.message.trim()) }]
    } else {
        named
    }
}

/// Whether a server-side apply failed for a value of the wrong type, which the server calls an internal
/// error.
fn is_wrong_type(message: &str) -> bool {
    message.starts_with("failed to create typed patch object")
        || message.starts_with("failed to convert new object")
}

/// The fields that strict validation or the merge of a server-side apply did not know; `None` when the text
/// is about something else.
fn unknown_fields(message: &str) -> Option<Vec<String>> {
    let strict = message.split("unknown field \"").skip(1).filter_map(|rest| rest.split('"').next());
    let merged = message.split(": field not declared in schema").collect::<Vec<_>>();
    let merged =
        merged[..merged.len() - 1].iter().filter_map(|before| before.split([' ', '\n', '\t']).next_back());
    let mut fields: Vec<String> =
        strict.chain(merged).map(|field| field.trim_start_matches('.').to_owned()).collect();
    fields.sort();
    fields.dedup();
    (!fields.is_empty()).then_some(fields)
}

/// Whether no connection came about: it was refused or timed out, there is no way there, or the host's name
/// is not known. Whoever breaks a connection off, or speaks no TLS, is there; and of what is behind a proxy
/// nothing is known.
fn never_connected(error: &kube::Error, causes: &[String]) -> bool {
    if causes.iter().any(|cause| cause.starts_with("tunnel error") || cause.starts_with("SOCKS error")) {
        return false;
    }
    let connecting = causes.iter().any(|cause| cause == "client error (Connect)");
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = next {
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            match io.kind() {
                io::ErrorKind::ConnectionRefused
                | io::ErrorKind::HostUnreachable
                | io::ErrorKind::NetworkUnreachable => return true,
                io::ErrorKind::TimedOut => return connecting,
                _ => {}
            }
        }
        next = cause.source();
    }
    causes.iter().any(|cause| cause == "dns error")
}

/// The chain of causes, outermost first, without texts that only repeat the one below.
fn causes(error: &kube::Error) -> Vec<String> {
    let mut texts = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        texts.push(cause.to_string());
        next = cause.source();
    }
    texts
}

/// What is wrong with the way to get credentials, when that is what failed. The output of a plugin may hold a
/// token: it is never repeated.
fn credentials(error: &kube::Error, causes: &[String]) -> Option<String> {
    use kube::client::AuthError;
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = next {
        if let Some(auth) = cause.downcast_ref::<AuthError>() {
            return Some(match auth {
                AuthError::AuthExecRun { cmd, out } => {
                    format!(
                        "failed to get credentials: `{}` of the kubeconfig ended with {}; run it by hand to \
                            find out why",
                        first_word(cmd),
                        out.status
                    )
                }
                AuthError::ReadTokenFile(cause, path) => {
                    format!("failed to read the token file '{}': {cause}", path.display())
                }
                _ => "failed to get credentials as the kubeconfig says; log in first, or correct its user"
                    .to_owned(),
            });
        }
        next = cause.source();
    }
    let certificate = causes.iter().find(|cause| cause.contains("certificate"))?;
    Some(format!(
        "the API server's TLS certificate is not accepted ({certificate}); check \
            `certificate-authority-data` of the kubeconfig's cluster"
    ))
}

fn first_word(command: &str) -> &str {
    command.split_whitespace().next().unwrap_or(command).trim_matches('"')
}

/// At most a paragraph of what a server or proxy said.
fn shorten(text: &str) -> String {
    const MAX_TEXT_BYTES: usize = 1000;
    if text.len() <= MAX_TEXT_BYTES {
        return text.to_owned();
    }
    let end = (0..=MAX_TEXT_BYTES).rev().find(|&index| text.is_char_boundary(index)).unwrap_or(0);
    format!("{}…", &text[..end])
}
