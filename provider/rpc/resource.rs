//! The calls about resources.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use tonic::Status;

use super::pb::check_request::autonaming_options::Mode;
use super::pb::{self, diff_response::DiffChanges, property_diff::Kind};
use super::server::Server;
use super::{convert, status};
use crate::property::PropertyMap;
use crate::property::pattern::Pattern;
use crate::resource::erased::{DiffResult, ErasedResource, Prior};
use crate::resource::{Autonaming, Change, ChangeKind, Urn};

/// The resource of this type. Engines before 3.132 tell the type in the URN only.
fn find(server: &Server, token: &str, urn: &str) -> Result<Arc<dyn ErasedResource>, Status> {
    let urn = Urn(urn.to_owned());
    let token = if token.is_empty() { urn.resource_type() } else { token };
    server.registry().find_resource(token).ok_or_else(|| {
        Status::invalid_argument(format!(
            "failed to find the resource type `{token}`: version {} does not have it",
            server.package.version
        ))
    })
}

fn old(inputs: Option<prost_types::Struct>, outputs: Option<prost_types::Struct>) -> Result<Prior, Status> {
    Ok(Prior { inputs: convert::read(inputs)?, outputs: convert::read(outputs)? })
}

pub(super) async fn check(server: &Server, request: pb::CheckRequest) -> Result<pb::CheckResponse, Status> {
    let resource = find(server, &request.r#type, &request.urn)?;
    let autonaming = autonaming(request.autonaming);
    let ctx = server.context(&request.urn, 0.0);
    let (old, new) = (convert::read(request.olds)?, convert::read(request.news)?);
    Ok(match resource.check(&ctx, &autonaming, &old, new).await {
        Ok(inputs) => pb::CheckResponse { inputs: Some(convert::write(inputs)), failures: Vec::new() },
        Err(failures) => pb::CheckResponse { inputs: None, failures: status::check_failures(failures) },
    })
}

fn autonaming(options: Option<pb::check_request::AutonamingOptions>) -> Autonaming {
    match options {
        None => Autonaming::Default,
        Some(options) => match options.mode() {
            Mode::Propose => Autonaming::Propose(options.proposed_name),
            Mode::Enforce => Autonaming::Enforce(options.proposed_name),
            Mode::Disable => Autonaming::Disabled,
        },
    }
}

pub(super) fn diff(server: &Server, request: pb::DiffRequest) -> Result<pb::DiffResponse, Status> {
    let resource = find(server, &request.r#type, &request.urn)?;
    let old = old(request.old_inputs, request.olds)?;
    let new = convert::read(request.news)?;
    let ignored: Vec<Pattern> =
        request.ignore_changes.iter().filter_map(|path| Pattern::parse(path)).collect();
    resource.diff(&old, &new, &ignored).map(compared).map_err(status::of_failed)
}

fn compared(result: DiffResult) -> pb::DiffResponse {
    let DiffResult { changes, delete_before_replace, stables } = result;
    let names = |of: &mut dyn Iterator<Item = &Change>| -> Vec<String> {
        of.filter_map(|change| change.path.top_level())
            .map(ToOwned::to_owned)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect()
    };
    let replaces = names(&mut changes.iter().filter(|change| change.replace));
    let detailed_diff: HashMap<_, _> = changes
        .iter()
        .map(|change| {
            (
                change.path.to_string(),
                pb::PropertyDiff { kind: kind(change).into(), input_diff: change.of_inputs },
            )
        })
        .collect();
    pb::DiffResponse {
        // Left out it means "unknown", and the engine compares by itself.
        changes: if changes.is_empty() { DiffChanges::DiffNone } else { DiffChanges::DiffSome }.into(),
        diffs: names(&mut changes.iter()),
        delete_before_replace,
        replaces,
        stables,
        detailed_diff,
        has_detailed_diff: true,
    }
}

fn kind(change: &Change) -> Kind {
    match (change.kind, change.replace) {
        (ChangeKind::Add, false) => Kind::Add,
        (ChangeKind::Add, true) => Kind::AddReplace,
        (ChangeKind::Delete, false) => Kind::Delete,
        (ChangeKind::Delete, true) => Kind::DeleteReplace,
        (ChangeKind::Update, false) => Kind::Update,
        (ChangeKind::Update, true) => Kind::UpdateReplace,
    }
}

pub(super) async fn create(
    server: &Server,
    request: pb::CreateRequest,
) -> Result<pb::CreateResponse, Status> {
    let resource = find(server, &request.r#type, &request.urn)?;
    let ctx = server.context(&request.urn, request.timeout);
    let new = convert::read(request.properties)?;
    let created = resource.create(&ctx, new, request.preview).await.map_err(status::of_failed)?;
    Ok(pb::CreateResponse {
        id: created.id,
        properties: Some(convert::write(created.outputs)),
        refresh_before_update: false,
    })
}

pub(super) async fn update(
    server: &Server,
    request: pb::UpdateRequest,
) -> Result<pb::UpdateResponse, Status> {
    let resource = find(server, &request.r#type, &request.urn)?;
    let ctx = server.context(&request.urn, request.timeout);
    let old = old(request.old_inputs, request.olds)?;
    let new = convert::read(request.news)?;
    let outputs: PropertyMap =
        resource.update(&ctx, &request.id, &old, &new, request.preview).await.map_err(status::of_failed)?;
    Ok(pb::UpdateResponse { properties: Some(convert::write(outputs)), refresh_before_update: false })
}

/// What does not exist is answered with no id and no properties; empty properties would make a resource of
/// them.
pub(super) async fn read(server: &Server, request: pb::ReadRequest) -> Result<pb::ReadResponse, Status> {
    let resource = find(server, &request.r#type, &request.urn)?;
    let ctx = server.context(&request.urn, request.timeout);
    let old = old(request.inputs, request.properties)?;
    Ok(match resource.read(&ctx, &request.id, &old).await.map_err(status::of_failed)? {
        None => pb::ReadResponse::default(),
        Some(read) => pb::ReadResponse {
            id: read.id,
            properties: Some(convert::write(read.outputs)),
            inputs: Some(convert::write(read.inputs)),
            refresh_before_update: false,
        },
    })
}

pub(super) async fn delete(server: &Server, request: pb::DeleteRequest) -> Result<(), Status> {
    let resource = find(server, &request.r#type, &request.urn)?;
    let ctx = server.context(&request.urn, request.timeout);
    let old = old(request.old_inputs, request.properties)?;
    resource.delete(&ctx, &request.id, &old).await.map_err(status::of_failed)
}
