//! The calls about the plugin itself and its configuration.

use std::collections::HashMap;

use tonic::Status;

use super::pb::{self, LogSeverity, diff_response::DiffChanges, property_diff};
use super::server::Server;
use super::{convert, status};
use crate::config::ProviderArgs;
use crate::property::{PropertyMap, PropertyValue};

/// What this provider can do, the same for every engine. The engine holds us to it: secrets come wrapped and
/// must go back wrapped, resources come as references, and `autonaming` is obeyed. Byte strings are refused,
/// for Rust's texts can't hold them.
pub(super) fn handshake(
    server: &Server,
    request: &pb::ProviderHandshakeRequest,
) -> pb::ProviderHandshakeResponse {
    server.resume();
    if !request.engine_address.is_empty() {
        server.log.connect(&request.engine_address);
    }
    pb::ProviderHandshakeResponse {
        accept_secrets: true,
        accept_resources: true,
        accept_outputs: true,
        supports_autonaming_configuration: true,
        accepts_byte_string: false,
    }
}

pub(super) fn get_schema(
    server: &Server,
    request: &pb::GetSchemaRequest,
) -> Result<pb::GetSchemaResponse, Status> {
    if !request.subpackage_name.is_empty() || !request.subpackage_version.is_empty() {
        return Err(Status::invalid_argument("this provider takes no parameters, so it has no subpackages"));
    }
    match (server.package.schema)() {
        Ok(schema) => Ok(pb::GetSchemaResponse { schema: schema.to_string() }),
        Err(error) => Err(Status::internal(format!("failed to generate the schema: {error}"))),
    }
}

/// Inputs go back as they came, in whatever way they were written: they are stored and compared in it. The
/// contents of a kubeconfig become a secret, so that they are stored encrypted.
pub(super) fn check(server: &Server, request: pb::CheckRequest) -> Result<pb::CheckResponse, Status> {
    let news = request.news.unwrap_or_default();
    let map = convert::read(Some(news.clone()))?;
    let reading = ProviderArgs::read(&map);
    let (wrong, warnings) = reading.args.check();
    for warning in reading.warnings.iter().chain(&warnings) {
        server.log.line_once(LogSeverity::Warning, &request.urn, warning);
    }
    let mut failures = reading.failures;
    failures.extend(wrong);
    let mut inputs = news;
    let contents =
        map.into_iter().filter(|(name, value)| name == "kubeconfig" && ProviderArgs::is_contents(value));
    inputs
        .fields
        .extend(convert::write(contents.map(|(name, value)| (name, value.into_secret())).collect()).fields);
    Ok(pb::CheckResponse { inputs: Some(inputs), failures: status::check_failures(failures) })
}

/// Never replaces: a replaced provider replaces all that it made. Which Kubernetes cluster a configuration
/// leads to can't be read from it, and each call that changes anything compares that with the state.
pub(super) fn diff(request: pb::DiffRequest) -> Result<pb::DiffResponse, Status> {
    // Engines before 3.74 send no old inputs; a provider's outputs are the same.
    let old = convert::read(request.old_inputs.or(request.olds))?;
    let new = convert::read(request.news)?;
    let (old_args, new_args) = (ProviderArgs::read(&old).args, ProviderArgs::read(&new).args);
    let mut changes = old_args.changes(&new_args);
    // What is not known yet reads as not set, but it is a change all the same.
    changes.extend(
        ProviderArgs::NAMES.into_iter().filter(|name| new.get(*name).is_some_and(PropertyValue::has_unknown)),
    );
    changes.retain(|name| !request.ignore_changes.iter().any(|ignored| ignored == name));
    let detailed_diff: HashMap<_, _> = changes
        .iter()
        .map(|name| {
            let kind = kind(old.contains_key(*name), new.contains_key(*name));
            ((*name).to_owned(), pb::PropertyDiff { kind: kind.into(), input_diff: true })
        })
        .collect();
    Ok(pb::DiffResponse {
        changes: if changes.is_empty() { DiffChanges::DiffNone } else { DiffChanges::DiffSome }.into(),
        diffs: changes.iter().map(ToString::to_string).collect(),
        detailed_diff,
        has_detailed_diff: true,
        ..pb::DiffResponse::default()
    })
}

fn kind(was: bool, is: bool) -> property_diff::Kind {
    match (was, is) {
        (false, _) => property_diff::Kind::Add,
        (true, false) => property_diff::Kind::Delete,
        (true, true) => property_diff::Kind::Update,
    }
}

/// Never fails for a cluster that can't be reached or a kubeconfig that can't be used: whatever needs no
/// cluster must work all the same, and what needs one tells then.
pub(super) fn configure(
    server: &Server,
    request: pb::ConfigureRequest,
) -> Result<pb::ConfigureResponse, Status> {
    let map = match request.args {
        Some(args) => convert::read(Some(args))?,
        None => variables(&request),
    };
    if let Err(problem) = ProviderArgs::variable() {
        server.log.line_once(LogSeverity::Warning, request.urn.as_deref().unwrap_or_default(), &problem);
    }
    server.configure(&ProviderArgs::read(&map).args);
    Ok(pb::ConfigureResponse {
        accept_secrets: true,
        supports_preview: true,
        accept_resources: true,
        accept_outputs: true,
        supports_autonaming_configuration: true,
    })
}

/// Old engines send variables, `<package>:config:<name>`, instead.
fn variables(request: &pb::ConfigureRequest) -> PropertyMap {
    request
        .variables
        .iter()
        .map(|(key, value)| {
            (key.rsplit(':').next().unwrap_or(key).to_owned(), PropertyValue::from(value.as_str()))
        })
        .collect()
}
