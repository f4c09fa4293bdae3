//! The calls of functions, and listings.

use std::vec::IntoIter;

use tonic::Status;

use super::pb::list_response::{Computed, Response, Result as Item};
use super::pb::{self, ListResponse};
use super::server::Server;
use super::{convert, status};
use crate::property::PropertyValue;
use crate::resource::Failure;
use crate::resource::erased::Refusal;

/// What a listing answers with.
pub(super) type Listing = futures::stream::Iter<IntoIter<Result<ListResponse, Status>>>;

pub(super) async fn invoke(server: &Server, request: pb::InvokeRequest) -> Result<pb::InvokeResponse, Status> {
    let function = server.registry().find_function(&request.tok).ok_or_else(|| unknown("function", &request.tok))?;
    let args = convert::read(request.args)?;
    match function.invoke(&server.context("", 0.0), &args).await {
        Ok(result) => Ok(pb::InvokeResponse { r#return: Some(convert::write(result)), failures: Vec::new() }),
        Err(Refusal::Arguments(failures)) => Ok(pb::InvokeResponse { r#return: None, failures: status::check_failures(failures) }),
        Err(Refusal::Failed(Failure { kind, reasons, partial: _ })) => Err(status::plain(kind, &reasons)),
    }
}

/// All at once, without continuation: what is listed is a few names.
pub(super) async fn list(server: &Server, request: pb::ListRequest) -> Result<Listing, Status> {
    let list = server.registry().find_list(&request.token).ok_or_else(|| unknown("listing of", &request.token))?;
    let query = convert::read(request.query)?;
    if query.values().any(PropertyValue::has_unknown) {
        let computed = ListResponse { response: Some(Response::Computed(Computed {})) };
        return Ok(futures::stream::iter(vec![Ok(computed)]));
    }
    let limit = usize::try_from(request.limit).ok().filter(|limit| *limit > 0);
    let listed = list.list(&server.context("", 0.0), &query, limit).await.map_err(|refusal| match refusal {
        Refusal::Arguments(failures) => {
            let told: Vec<String> = failures.iter().map(|failure| format!("{}: {}", failure.path, failure.reason)).collect();
            Status::invalid_argument(told.join("\n"))
        }
        Refusal::Failed(Failure { kind, reasons, partial: _ }) => status::plain(kind, &reasons),
    })?;
    let results: Vec<_> = listed
        .into_iter()
        .take(limit.unwrap_or(usize::MAX))
        .map(|listed| Ok(ListResponse { response: Some(Response::Result(Item { id: listed.id, name: listed.name })) }))
        .collect();
    Ok(futures::stream::iter(results))
}

fn unknown(what: &str, token: &str) -> Status {
    Status::invalid_argument(format!("failed to find the {what} `{token}`: this provider does not have it"))
}
