//! The calls of functions, and listings.

use std::vec::IntoIter;

use tonic::Status;

use super::pb::list_response::{Computed, Continuation, Response, Result as Item};
use super::pb::{self, ListResponse};
use super::server::Server;
use super::{convert, status};
use crate::property::PropertyValue;
use crate::resource::Failure;
use crate::resource::erased::InvokeError;

/// What a listing answers with.
pub(super) type Listing = futures::stream::Iter<IntoIter<Result<ListResponse, Status>>>;

pub(super) async fn invoke(
    server: &Server,
    request: pb::InvokeRequest,
) -> Result<pb::InvokeResponse, Status> {
    let function =
        server.registry().find_function(&request.tok).ok_or_else(|| unknown("function", &request.tok))?;
    let args = convert::read(request.args)?;
    match function.invoke(&server.context("", 0.0), &args).await {
        Ok(result) => Ok(pb::InvokeResponse { r#return: Some(convert::write(result)), failures: Vec::new() }),
        Err(InvokeError::Arguments(failures)) => {
            Ok(pb::InvokeResponse { r#return: None, failures: status::check_failures(failures) })
        }
        Err(InvokeError::Failed(Failure { kind, reasons, partial: _ })) => Err(status::plain(kind, &reasons)),
    }
}

/// A page at a time where pages are asked for, in the order of the ids: the id of a page's last result leads
/// to the next one.
pub(super) async fn list(server: &Server, request: pb::ListRequest) -> Result<Listing, Status> {
    let list =
        server.registry().find_list(&request.token).ok_or_else(|| unknown("listing of", &request.token))?;
    let query = convert::read(request.query)?;
    if query.values().any(PropertyValue::has_unknown) {
        let computed = ListResponse { response: Some(Response::Computed(Computed {})) };
        return Ok(futures::stream::iter(vec![Ok(computed)]));
    }
    let limit = usize::try_from(request.limit).ok().filter(|limit| *limit > 0);
    let listed = list.list(&server.context("", 0.0), &query, limit).await.map_err(|error| match error {
        InvokeError::Arguments(failures) => {
            let told: Vec<String> =
                failures.iter().map(|failure| format!("{}: {}", failure.path, failure.reason)).collect();
            Status::invalid_argument(told.join("\n"))
        }
        InvokeError::Failed(Failure { kind, reasons, partial: _ }) => status::plain(kind, &reasons),
    })?;
    let mut listed: Vec<_> = listed.into_iter().take(limit.unwrap_or(usize::MAX)).collect();
    let size = usize::try_from(request.page_size).ok().filter(|size| *size > 0);
    let is_paged = size.is_some() || !request.continuation_token.is_empty();
    if is_paged {
        listed.sort_by(|one, other| one.id.cmp(&other.id));
        listed.retain(|listed| listed.id > request.continuation_token);
    }
    let rest = size.filter(|size| *size < listed.len()).map(|size| listed.drain(size..).len());
    let next = rest
        .and(listed.last())
        .map(|last| Response::Continuation(Continuation { continuation_token: last.id.clone() }));
    let results =
        listed.into_iter().map(|listed| Response::Result(Item { id: listed.id, name: listed.name }));
    let answers: Vec<_> =
        results.chain(next).map(|response| Ok(ListResponse { response: Some(response) })).collect();
    Ok(futures::stream::iter(answers))
}

fn unknown(what: &str, token: &str) -> Status {
    Status::invalid_argument(format!("failed to find the {what} `{token}`: this provider does not have it"))
}
