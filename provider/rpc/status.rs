//! Failures as gRPC statuses, with what exists nevertheless in the status's details.

use prost::Message;
use tonic::codegen::Bytes;
use tonic::{Code, Status};

use super::{convert, google, pb};
use crate::property::{PropertyMap, PropertyValue};
use crate::resource::erased::{ErasedFailure, Partial};
use crate::resource::{CheckFailure, Existing, Failure, FailureKind};

/// How large the details may get. They travel in HTTP/2 trailers, written in base64 there. Go's gRPC has
/// announced to refuse more than 8 KiB of these, which today is a switch of it; a refused trailer loses the
/// resource.
const MAX_DETAILS_BYTES: usize = 5 * 1024;

/// The longest message that goes beside details: Pulumi shows the details' reasons instead of it.
const MAX_MESSAGE_CHARS: usize = 200;

/// What Pulumi looks for in the details.
const INIT_FAILED: &str = "type.googleapis.com/pulumirpc.ErrorResourceInitFailed";

/// The status of a failed call of a resource. With `id`, outputs and reasons in its details if something
/// exists, so that Pulumi keeps that in its state.
pub(super) fn of_failed(failed: ErasedFailure) -> Status {
    let Failure { kind, reasons, partial } = failed;
    match partial {
        None => plain(kind, &reasons),
        Some(existing) => {
            let Existing { id, state } = *existing;
            init_failed(id, state, reasons)
        }
    }
}

/// The status of a call that left nothing behind.
pub(super) fn plain(kind: FailureKind, reasons: &[String]) -> Status {
    Status::new(code(kind), reasons.join("\n"))
}

fn code(kind: FailureKind) -> Code {
    match kind {
        FailureKind::Invalid => Code::InvalidArgument,
        FailureKind::AlreadyExists => Code::AlreadyExists,
        FailureKind::Forbidden => Code::PermissionDenied,
        FailureKind::Unavailable | FailureKind::NoServer => Code::Unavailable,
        FailureKind::Precondition => Code::FailedPrecondition,
        FailureKind::Timeout => Code::DeadlineExceeded,
        FailureKind::Cancelled => Code::Cancelled,
        FailureKind::Internal => Code::Internal,
    }
}

fn init_failed(id: String, partial: Partial, reasons: Vec<String>) -> Status {
    let message: String = reasons
        .first()
        .map_or("the resource is not ready", String::as_str)
        .chars()
        .take(MAX_MESSAGE_CHARS)
        .collect();
    let Partial { mut outputs, inputs, computed } = partial;
    let mut detail = pb::ErrorResourceInitFailed {
        id,
        properties: Some(convert::write(outputs.clone())),
        reasons,
        inputs: inputs.map(convert::write),
        refresh_before_update: false,
    };
    for name in sparable(&outputs, &computed) {
        if detail.encoded_len() <= MAX_DETAILS_BYTES {
            break;
        }
        outputs.remove(&name);
        detail.properties = Some(convert::write(outputs.clone()));
    }
    let details = google::Status {
        // It must be the outer code: Go's gRPC drops details that contradict it.
        code: Code::Unknown as i32,
        message: message.clone(),
        details: vec![prost_types::Any { type_url: INIT_FAILED.to_owned(), value: detail.encode_to_vec() }],
    };
    Status::with_details(Code::Unknown, message, Bytes::from(details.encode_to_vec()))
}

/// What can be left out to save room, in this order: computed lists and objects, first those without a
/// secret, the largest first. Inputs are never left out, for the next diff needs them, nor are computed texts
/// and numbers, among which is the password, nor what identifies the resource, which is not named as
/// computed.
fn sparable(outputs: &PropertyMap, computed: &[String]) -> Vec<String> {
    let mut sparable: Vec<(bool, usize, &String)> = computed
        .iter()
        .filter_map(|name| Some((name, outputs.get(name)?)))
        .filter(|(_, value)| matches!(value.exposed(), PropertyValue::List(_) | PropertyValue::Map(_)))
        .map(|(name, value)| {
            let size = convert::write(PropertyMap::from([(name.clone(), value.clone())])).encoded_len();
            (value.has_secret(), usize::MAX - size, name)
        })
        .collect();
    sparable.sort_unstable();
    sparable.into_iter().map(|(_, _, name)| name.clone()).collect()
}

/// What is wrong with inputs, for the wire. The engine prints a value beside the property, which for a path
/// into one is always `<nil>`: such a path goes into the reason.
pub(super) fn check_failures(failures: Vec<CheckFailure>) -> Vec<pb::CheckFailure> {
    let told = |CheckFailure { path, reason }: CheckFailure| match path.segments() {
        [_, _, ..] => pb::CheckFailure { property: String::new(), reason: format!("`{path}`: {reason}") },
        _ => pb::CheckFailure { property: path.to_string(), reason },
    };
    failures.into_iter().map(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partial(outputs: PropertyMap, computed: &[&str]) -> ErasedFailure {
        let computed = computed.iter().map(|name| (*name).to_owned()).collect();
        let existing =
            Existing { id: "ns/db".to_owned(), state: Partial { outputs, inputs: None, computed } };
        Failure {
            kind: FailureKind::Timeout,
            reasons: vec!["2/6 hosts ready".to_owned()],
            partial: Some(Box::new(existing)),
        }
    }

    fn detail(status: &Status) -> pb::ErrorResourceInitFailed {
        let details = google::Status::decode(status.details()).unwrap();
        assert_eq!(details.code, status.code() as i32);
        assert_eq!(details.details[0].type_url, INIT_FAILED);
        pb::ErrorResourceInitFailed::decode(details.details[0].value.as_slice()).unwrap()
    }

    #[test]
    fn what_exists_is_in_the_details_and_inner_and_outer_code_agree() {
        let status = of_failed(partial(PropertyMap::from([("name".to_owned(), "db".into())]), &["name"]));
        assert_eq!(status.code(), Code::Unknown);
        let detail = detail(&status);
        assert_eq!(detail.id, "ns/db");
        assert_eq!(detail.reasons, ["2/6 hosts ready"]);
        assert_eq!(
            convert::read(detail.properties),
            Ok(PropertyMap::from([("name".to_owned(), "db".into())]))
        );
    }

    #[test]
    fn without_anything_that_exists_the_kind_is_the_code_and_the_reasons_the_message() {
        let failure =
            Failure { kind: FailureKind::Forbidden, reasons: vec!["a".into(), "b".into()], partial: None };
        let status = of_failed(failure);
        assert_eq!((status.code(), status.message()), (Code::PermissionDenied, "a\nb"));
        assert!(status.details().is_empty());
    }

    #[test]
    fn details_that_are_too_large_lose_computed_bulk_and_nothing_else() {
        let bulk = |size: usize| PropertyValue::List(vec!["x".repeat(size).into()]);
        let outputs = PropertyMap::from([
            ("settings".to_owned(), bulk(2000)),
            ("hosts".to_owned(), bulk(4000)),
            ("shardServices".to_owned(), bulk(100)),
            ("connection".to_owned(), bulk(1000).into_secret()),
            ("password".to_owned(), PropertyValue::from("hunter2").into_secret()),
            ("uid".to_owned(), "u".into()),
        ]);
        let status =
            of_failed(partial(outputs, &["hosts", "shardServices", "connection", "password", "uid"]));
        let kept = convert::read(detail(&status).properties).unwrap();
        assert_eq!(
            kept.keys().collect::<Vec<_>>(),
            ["connection", "password", "settings", "shardServices", "uid"]
        );
        assert!(status.details().len() <= MAX_DETAILS_BYTES + 512, "{}", status.details().len());
    }

    #[test]
    fn a_path_into_a_property_stands_in_the_reason() {
        let failures = vec![
            CheckFailure::new("storage.size", "is not a valid quantity"),
            CheckFailure::new("name", "is not a valid name"),
        ];
        let told: Vec<_> =
            check_failures(failures).into_iter().map(|failure| (failure.property, failure.reason)).collect();
        assert_eq!(
            told,
            [
                (String::new(), "`storage.size`: is not a valid quantity".to_owned()),
                ("name".to_owned(), "is not a valid name".to_owned())
            ]
        );
    }

    #[test]
    fn the_message_beside_details_is_short() {
        let mut failed = partial(PropertyMap::new(), &[]);
        failed.reasons = vec!["ö".repeat(1000)];
        assert_eq!(of_failed(failed).message().chars().count(), MAX_MESSAGE_CHARS);
    }
}
