//! The service as an engine calls it, but in this process and over no socket: for tests that play the engine.

use prost::Message as _;
use tonic::{Request, Status};

use super::log::EngineLog;
use super::pb::diff_response::DiffChanges;
use super::pb::resource_provider_server::ResourceProvider as _;
use super::{Package, Server, convert, google, pb};
use crate::property::PropertyMap;

/// A plugin's process.
pub(crate) struct Plugin(Server);

/// What a call came to that did not end well.
#[derive(Debug, Clone)]
pub(crate) struct Failed {
    /// All that is said, reasons included.
    pub(crate) message: String,
    /// What exists nevertheless.
    pub(crate) kept: Option<Kept>,
}

/// What a failed call says that exists.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub(crate) id: String,
    pub(crate) outputs: PropertyMap,
    pub(crate) inputs: Option<PropertyMap>,
}

/// What a diff says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    /// The paths that differ, in order.
    pub(crate) paths: Vec<String>,
    pub(crate) replaces: bool,
    pub(crate) deletes_first: bool,
}

type Answer<T> = Result<T, Failed>;

impl Plugin {
    /// One that says to `log` what it says to an engine.
    pub(crate) fn new(package: Package, log: EngineLog) -> Self {
        Self(Server::new(package, log))
    }

    pub(crate) async fn cancel(&self) {
        _ = self.0.cancel(Request::new(())).await;
    }

    pub(crate) async fn check(&self, urn: &str, old: &PropertyMap, new: &PropertyMap) -> Answer<PropertyMap> {
        let request = pb::CheckRequest {
            urn: urn.to_owned(),
            olds: written(old),
            news: written(new),
            ..pb::CheckRequest::default()
        };
        let answer = self.0.check(Request::new(request)).await.map_err(failed)?.into_inner();
        if !answer.failures.is_empty() {
            let told =
                answer.failures.iter().map(|failure| format!("{}: {}", failure.property, failure.reason));
            return Err(Failed { message: told.collect::<Vec<_>>().join("\n"), kept: None });
        }
        Ok(convert::read(answer.inputs).unwrap())
    }

    pub(crate) async fn diff(
        &self,
        urn: &str,
        id: &str,
        [inputs, outputs]: [&PropertyMap; 2],
        new: &PropertyMap,
    ) -> Answer<Difference> {
        let request = pb::DiffRequest {
            id: id.to_owned(),
            urn: urn.to_owned(),
            olds: written(outputs),
            old_inputs: written(inputs),
            news: written(new),
            ..pb::DiffRequest::default()
        };
        let answer = self.0.diff(Request::new(request)).await.map_err(failed)?.into_inner();
        let mut paths: Vec<_> = answer.detailed_diff.into_keys().collect();
        paths.sort_unstable();
        assert_eq!(paths.is_empty(), answer.changes == i32::from(DiffChanges::DiffNone));
        Ok(Difference {
            paths,
            replaces: !answer.replaces.is_empty(),
            deletes_first: answer.delete_before_replace,
        })
    }

    /// The id and the outputs of what was made.
    pub(crate) async fn create(
        &self,
        urn: &str,
        inputs: &PropertyMap,
        preview: bool,
    ) -> Answer<(String, PropertyMap)> {
        let request = pb::CreateRequest {
            urn: urn.to_owned(),
            properties: written(inputs),
            preview,
            ..pb::CreateRequest::default()
        };
        let answer = self.0.create(Request::new(request)).await.map_err(failed)?.into_inner();
        Ok((answer.id, convert::read(answer.properties).unwrap()))
    }

    pub(crate) async fn update(
        &self,
        urn: &str,
        id: &str,
        [inputs, outputs]: [&PropertyMap; 2],
        new: &PropertyMap,
        preview: bool,
    ) -> Answer<PropertyMap> {
        let request = pb::UpdateRequest {
            id: id.to_owned(),
            urn: urn.to_owned(),
            olds: written(outputs),
            old_inputs: written(inputs),
            news: written(new),
            preview,
            ..pb::UpdateRequest::default()
        };
        let answer = self.0.update(Request::new(request)).await.map_err(failed)?.into_inner();
        Ok(convert::read(answer.properties).unwrap())
    }

    /// Id, inputs and outputs of what is there; `None` when nothing is.
    pub(crate) async fn read(
        &self,
        urn: &str,
        id: &str,
        [inputs, outputs]: [&PropertyMap; 2],
    ) -> Answer<Option<(String, PropertyMap, PropertyMap)>> {
        let request = pb::ReadRequest {
            id: id.to_owned(),
            urn: urn.to_owned(),
            properties: written(outputs),
            inputs: written(inputs),
            ..pb::ReadRequest::default()
        };
        let answer = self.0.read(Request::new(request)).await.map_err(failed)?.into_inner();
        let read = || (convert::read(answer.inputs).unwrap(), convert::read(answer.properties).unwrap());
        Ok((!answer.id.is_empty()).then(|| {
            let (inputs, outputs) = read();
            (answer.id.clone(), inputs, outputs)
        }))
    }

    pub(crate) async fn delete(
        &self,
        urn: &str,
        id: &str,
        [inputs, outputs]: [&PropertyMap; 2],
    ) -> Answer<()> {
        let request = pb::DeleteRequest {
            id: id.to_owned(),
            urn: urn.to_owned(),
            properties: written(outputs),
            old_inputs: written(inputs),
            ..pb::DeleteRequest::default()
        };
        self.0.delete(Request::new(request)).await.map_err(failed).map(drop)
    }
}

/// A call that takes properties.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Check,
    Diff,
    Create,
    Update,
    Read,
    Delete,
}

impl Call {
    pub(crate) const ALL: [Self; 6] =
        [Self::Check, Self::Diff, Self::Create, Self::Update, Self::Read, Self::Delete];
}

/// Requests as bytes, which may be none.
impl Plugin {
    /// What an engine sends.
    pub(crate) fn written(call: Call, urn: &str, id: &str, map: &PropertyMap) -> Vec<u8> {
        let (urn, id) = (urn.to_owned(), id.to_owned());
        let (olds, old_inputs, news) = (written(map), written(map), written(map));
        match call {
            Call::Check => pb::CheckRequest { urn, olds, news, ..Default::default() }.encode_to_vec(),
            Call::Diff => {
                pb::DiffRequest { id, urn, olds, old_inputs, news, ..Default::default() }.encode_to_vec()
            }
            Call::Create => pb::CreateRequest { urn, properties: news, ..Default::default() }.encode_to_vec(),
            Call::Update => {
                pb::UpdateRequest { id, urn, olds, old_inputs, news, ..Default::default() }.encode_to_vec()
            }
            Call::Read => pb::ReadRequest { id, urn, properties: olds, inputs: news, ..Default::default() }
                .encode_to_vec(),
            Call::Delete => pb::DeleteRequest { id, urn, properties: olds, old_inputs, ..Default::default() }
                .encode_to_vec(),
        }
    }

    /// What is said when a call with these bytes fails, nothing when it does not; `None` for bytes that are no
    /// request.
    pub(crate) async fn send(&self, call: Call, bytes: &[u8]) -> Option<String> {
        macro_rules! send {
            ($method:ident, $request:ident) => {{
                let request = pb::$request::decode(bytes).ok()?;
                self.0.$method(Request::new(request)).await.err()
            }};
        }
        let failed = match call {
            Call::Check => send!(check, CheckRequest),
            Call::Diff => send!(diff, DiffRequest),
            Call::Create => send!(create, CreateRequest),
            Call::Update => send!(update, UpdateRequest),
            Call::Read => send!(read, ReadRequest),
            Call::Delete => send!(delete, DeleteRequest),
        };
        Some(failed.map(|status| self::failed(status).message).unwrap_or_default())
    }
}

#[expect(clippy::unnecessary_wraps, reason = "every property map in a request is optional")]
fn written(map: &PropertyMap) -> Option<prost_types::Struct> {
    Some(convert::write(map.clone()))
}

#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` gives")]
fn failed(status: Status) -> Failed {
    let details = google::Status::decode(status.details()).unwrap_or_default();
    let Some(detail) = details.details.first() else {
        return Failed { message: status.message().to_owned(), kept: None };
    };
    let kept = pb::ErrorResourceInitFailed::decode(detail.value.as_slice()).unwrap();
    Failed {
        message: kept.reasons.join("\n"),
        kept: Some(Kept {
            id: kept.id,
            outputs: convert::read(kept.properties).unwrap(),
            inputs: kept.inputs.map(|inputs| convert::read(Some(inputs)).unwrap()),
        }),
    }
}
