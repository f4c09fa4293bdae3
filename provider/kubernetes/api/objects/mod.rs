//! EFFECT: reading and writing objects: each function is one HTTP request, but where a person's edit is in
//! the way.

mod ports;

use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use serde_json::{Value, json};

use super::client::Api;
use super::client::request::{Form, request, send, send_once};
use crate::kubernetes::error::{Error, FieldConflict, Subject, Verb};
use crate::kubernetes::meta::{FIELD_MANAGER, Kind, ObjectRef, uid};

/// How an object is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Write {
    /// Try it out: validated and admitted, but not kept.
    pub dry_run: bool,
    /// Take over fields that another manager owns.
    pub force: bool,
    /// Take over fields that were written otherwise than by an apply: of an object that somebody else has
    /// made by hand or with Helm.
    pub adopt: bool,
}

/// What a delete came to.
#[derive(Debug, Clone, PartialEq)]
pub enum DeleteOutcome {
    /// It is not there any more, or never was.
    Gone,
    /// It goes once its finalizers are done. The object as it is now.
    Deleting(Value),
    /// There is another object of the same name, and it stays.
    NotOurs,
}

/// The media type of JSON.
const JSON: &str = "application/json";

/// Objects per page of a list.
const PAGE_OBJECTS: u32 = 500;

/// How much of a log is read from its end: the error of a server that can't start has a long stack trace
/// behind it.
const LOG_LINES: u32 = 100;
const LOG_BYTES: u32 = 64 * 1024;

/// Reads an object. `None` when it does not exist; an absent definition of its kind is an error.
pub async fn fetch(api: &Api, object: &ObjectRef) -> Result<Option<Value>, Error> {
    let subject = Subject::object(Verb::Get, object);
    let request = request(Method::GET, &path(object)?, Form::default())?;
    match send(api, &subject, &request).await {
        Ok(value) => Ok(Some(value)),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads an object. `None` also when its namespace or the definition of its kind does not exist.
pub async fn find(api: &Api, object: &ObjectRef) -> Result<Option<Value>, Error> {
    match fetch(api, object).await {
        Err(error) if error.is_absent() => Ok(None),
        found => found,
    }
}

/// Makes the object that a manifest describes, unless one of its name is there: then it fails with
/// [`Error::AlreadyExists`] and changes nothing. Of two that make the same object at the same time one
/// succeeds.
pub async fn create(api: &Api, manifest: &Value) -> Result<Value, Error> {
    let object = ObjectRef::of(manifest)
        .ok_or_else(|| Error::malformed("the manifest names no object of a known kind"))?;
    path(&object)?;
    let target = format!(
        "{}?fieldManager={FIELD_MANAGER}&fieldValidation=Strict",
        object.kind.collection_path(object.namespace.as_deref())
    );
    let form = Form { body: Some((JSON, manifest)), ..Form::default() };
    send(api, &Subject::object(Verb::Create, &object), &request(Method::POST, &target, form)?).await
}

/// Creates or updates the object that a manifest describes, by server-side apply: only the fields in the
/// manifest become ours, and fields that the definition does not know are refused. With a `metadata.uid` only
/// the object that has it is changed and nothing is made: else it fails with [`Error::NotTheOne`]. Fields
/// that somebody changed by hand with kubectl are taken back, a Service's ports too. Returns the object as
/// the server has it now.
pub async fn apply(api: &Api, manifest: &Value, write: Write) -> Result<Value, Error> {
    let object = ObjectRef::of(manifest)
        .ok_or_else(|| Error::malformed("the manifest names no object of a known kind"))?;
    let subject = Subject::object(Verb::Apply, &object);
    let mut applied = patch(api, &subject, &object, manifest, write).await;
    if matches!(&applied, Err(Error::Conflict { conflicts,
        .. }) if conflicts.iter().all(|conflict| is_edit(conflict) || write.adopt && !conflict.applies))
    {
        applied = patch(api, &subject, &object, manifest, Write { force: true, ..write }).await;
    }
    match applied {
        Err(error) if uid(manifest).is_some() && is_about_uid(&error) => {
            let replaced = matches!(error, Error::Invalid { .. });
            Err(Error::NotTheOne { object: object.to_string(), replaced })
        }
        Err(error @ Error::Invalid { .. }) if object.kind == Kind::Service => {
            let live = fetch(api, &object).await?;
            let Some(removal) = live.as_ref().and_then(|live| ports::without_edited(manifest, live)) else {
                return Err(error);
            };
            if write.dry_run {
                return Ok(manifest.clone());
            }
            change(api, &object, "application/strategic-merge-patch+json", &removal).await?;
            // What else was edited is taken back, too; whoever applies it was told already.
            patch(api, &subject, &object, manifest, Write { force: true, ..write }).await
        }
        Err(Error::UnknownFields { object: name, fields, .. }) => Err(Error::UnknownFields {
            object: name,
            fields,
            installed: installed_version(api, object.kind).await,
        }),
        result => result,
    }
}

/// Makes nobody the owner of what others have written of an object without an apply, so that what is not
/// written any more goes. The operator keeps its own, and so does who applies the object, unless told to
/// `force` it. Gives the names of those that lost something; `None` when this provider applies the object
/// already, and nobody did.
pub async fn disown(api: &Api, object: &ObjectRef, force: bool) -> Result<Option<Vec<String>>, Error> {
    let Some(live) = fetch(api, object).await? else { return Ok(None) };
    let entries = live["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let (dropped, mut kept): (Vec<Value>, Vec<Value>) =
        entries.into_iter().partition(|entry| is_foreign(entry, force));
    if dropped.is_empty() {
        let is_applied =
            kept.iter().any(|entry| entry["manager"] == FIELD_MANAGER && entry["operation"] == "Apply");
        return Ok((!is_applied).then(Vec::new));
    }
    // An empty list would leave all as it is.
    if kept.is_empty() {
        kept.push(json!({}));
    }
    let version = &live["metadata"]["resourceVersion"];
    merge(
        api,
        object,
        &json!({"metadata": {"uid": uid(&live), "resourceVersion": version, "managedFields": kept}}),
    )
    .await?;
    let mut names: Vec<_> =
        dropped.iter().filter_map(|entry| entry["manager"].as_str().map(str::to_owned)).collect();
    names.dedup();
    Ok(Some(names))
}

/// Whether an entry of `managedFields` is of somebody else's, who wrote what we are to write; by an apply
/// only where that counts, too.
fn is_foreign(entry: &Value, by_apply: bool) -> bool {
    const OPERATOR: &str = "clickhouse-operator";
    let manager = entry["manager"].as_str().unwrap_or_default();
    let fields = &entry["fieldsV1"];
    let of_ours =
        ["f:labels", "f:annotations"].into_iter().any(|field| !fields["f:metadata"][field].is_null());
    (by_apply || entry["operation"] != "Apply")
        && entry["subresource"].as_str().is_none_or(str::is_empty)
        && manager != FIELD_MANAGER
        && !manager.contains(OPERATOR)
        && (of_ours || !fields["f:spec"].is_null())
}

/// Whether a conflict is about single fields that were changed by hand, or by a merge patch of ours: nobody
/// claims them as a part of a manifest, as Argo CD, another stack or `kubectl apply` does.
fn is_edit(conflict: &FieldConflict) -> bool {
    let manager = conflict.manager.as_str();
    let by_hand =
        (manager == "kubectl" || manager.starts_with("kubectl-")) && manager != "kubectl-client-side-apply";
    manager == FIELD_MANAGER || by_hand && !conflict.applies
}

/// Whether an apply with a uid failed since no object has that: there is none (a conflict without fields), or
/// another one.
fn is_about_uid(error: &Error) -> bool {
    match error {
        Error::Outdated { .. } => true,
        Error::Invalid { problems, .. } => problems.iter().any(|problem| problem.field == "metadata.uid"),
        _ => false,
    }
}

async fn patch(
    api: &Api,
    subject: &Subject,
    object: &ObjectRef,
    manifest: &Value,
    write: Write,
) -> Result<Value, Error> {
    let dry_run = if write.dry_run { "&dryRun=All" } else { "" };
    let target = format!(
        "{}?fieldManager={FIELD_MANAGER}&fieldValidation=Strict&force={}{dry_run}",
        path(object)?,
        write.force
    );
    let form = Form { body: Some(("application/apply-patch+yaml", manifest)), ..Form::default() };
    send(api, subject, &request(Method::PATCH, &target, form)?).await
}

/// Changes single fields of an object by a JSON merge patch; the rest stays, whoever owns it.
pub async fn merge(api: &Api, object: &ObjectRef, patch: &Value) -> Result<Value, Error> {
    change(api, object, "application/merge-patch+json", patch).await
}

async fn change(api: &Api, object: &ObjectRef, media_type: &str, patch: &Value) -> Result<Value, Error> {
    let target = format!("{}?fieldManager={FIELD_MANAGER}&fieldValidation=Strict", path(object)?);
    let form = Form { body: Some((media_type, patch)), ..Form::default() };
    send(api, &Subject::object(Verb::Apply, object), &request(Method::PATCH, &target, form)?).await
}

/// Deletes an object. With a `uid`, only the object that has it.
pub async fn delete(
    api: &Api,
    object: &ObjectRef,
    uid_of_ours: Option<&str>,
) -> Result<DeleteOutcome, Error> {
    let subject = Subject::object(Verb::Delete, object);
    let mut options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"});
    if let Some(uid) = uid_of_ours {
        options["preconditions"] = json!({"uid": uid});
    }
    let form = Form { body: Some((JSON, &options)), ..Form::default() };
    match send(api, &subject, &request(Method::DELETE, &path(object)?, form)?).await {
        Ok(left) if is_held(&left) => Ok(DeleteOutcome::Deleting(left)),
        // The answer is the object itself also when nothing holds it back any more.
        Ok(_) | Err(Error::NotFound { .. } | Error::NamespaceMissing { .. } | Error::CrdMissing { .. }) => {
            Ok(DeleteOutcome::Gone)
        }
        // A namespace that is being emptied already answers the same as one of another uid.
        Err(Error::Outdated { .. }) if uid_of_ours.is_some() && object.kind == Kind::Namespace => {
            Ok(match fetch(api, object).await? {
                None => DeleteOutcome::Gone,
                Some(found) if uid(&found) == uid_of_ours => DeleteOutcome::Deleting(found),
                Some(_) => DeleteOutcome::NotOurs,
            })
        }
        Err(Error::Outdated { .. }) if uid_of_ours.is_some() => Ok(DeleteOutcome::NotOurs),
        Err(error) => Err(error),
    }
}

/// The names of the objects of a kind that a label selector matches (an empty one matches all), in a
/// namespace or in all. A page of 500 is one request. An absent definition of the kind is an error.
pub async fn list_names(
    api: &Api,
    kind: Kind,
    namespace: Option<&str>,
    selector: &str,
) -> Result<Vec<ObjectRef>, Error> {
    let accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    list_as(api, kind, namespace, selector, accept, |item| {
        let text = |field: &str| item["metadata"][field].as_str().map(str::to_owned);
        Some(ObjectRef { kind, namespace: text("namespace"), name: text("name")? })
    })
    .await
}

/// The objects of a kind that a label selector matches, what `read` makes of each, in a namespace or in all.
/// A page of 500 is one request.
pub async fn list<T>(
    api: &Api,
    kind: Kind,
    namespace: Option<&str>,
    selector: &str,
    read: impl Fn(&Value) -> Option<T>,
) -> Result<Vec<T>, Error> {
    list_as(api, kind, namespace, selector, JSON, read).await
}

async fn list_as<T>(
    api: &Api,
    kind: Kind,
    namespace: Option<&str>,
    selector: &str,
    accept: &str,
    read: impl Fn(&Value) -> Option<T>,
) -> Result<Vec<T>, Error> {
    if let Some(namespace) = namespace.filter(|namespace| !is_plain(namespace)) {
        return Err(Error::malformed(&format!("`{namespace}` is not a valid name of a namespace")));
    }
    let subject = Subject::all(Verb::List, kind, namespace);
    let form = Form { accept: Some(accept), body: None };
    let mut found = Vec::new();
    let mut next = String::new();
    loop {
        let target = format!(
            "{}?limit={PAGE_OBJECTS}&labelSelector={}&continue={next}",
            kind.collection_path(namespace),
            escape(selector)
        );
        let page = send(api, &subject, &request(Method::GET, &target, form)?).await?;
        found.extend(page["items"].as_array().into_iter().flatten().filter_map(&read));
        match page["metadata"]["continue"].as_str() {
            Some(token) if !token.is_empty() => next = escape(token).to_string(),
            _ => return Ok(found),
        }
    }
}

/// Reads what stands at any path of the API, in the form that `accept` asks for. `about` is what a failure
/// names.
pub(crate) async fn look(api: &Api, about: &ObjectRef, path: &str, accept: &str) -> Result<Value, Error> {
    let form = Form { accept: Some(accept), body: None };
    send(api, &Subject::object(Verb::List, about), &request(Method::GET, path, form)?).await
}

/// The version that the installed definition of an operator's kind is labelled with; `None` when it is not
/// there, not labelled, or may not be read.
pub async fn installed_version(api: &Api, kind: Kind) -> Option<String> {
    let definition = ObjectRef::global(Kind::CustomResourceDefinition, kind.qualified());
    let found = fetch(api, &definition).await.ok()??;
    let labels = found.get("metadata")?.get("labels")?;
    Some(labels.get(format!("{}/chop", kind.group()))?.as_str()?.to_owned())
}

/// The end of what a container has written, or had written before it ended; `None` when that can't be had
/// just now, or may not be read. Tried once.
pub async fn end_of_log(api: &Api, pod: &ObjectRef, container: &str) -> Option<String> {
    let target = format!(
        "{}/log?container={}&tailLines={LOG_LINES}&limitBytes={LOG_BYTES}",
        path(pod).ok()?,
        escape(container)
    );
    send_once(api, &Subject::object(Verb::Get, pod), &request(Method::GET, &target, Form::default()).ok()?)
        .await
}

/// Whether anything keeps a deleted object: a finalizer, or a grace period that runs.
fn is_held(object: &Value) -> bool {
    let finalizers = object["metadata"]["finalizers"].as_array().is_some_and(|list| !list.is_empty());
    let grace = object["metadata"]["deletionGracePeriodSeconds"].as_u64().is_some_and(|seconds| seconds > 0);
    // A namespace is emptied before it goes, and says so in its spec.
    let content = object["spec"]["finalizers"].as_array().is_some_and(|list| !list.is_empty());
    uid(object).is_some() && (finalizers || grace || content)
}

/// Whether a name stays in its place, in a path and in a label selector, whatever it is the name of.
pub(crate) fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('.')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | ':'))
}

/// The object's path. Names come from users: one that would lead elsewhere is refused.
fn path(object: &ObjectRef) -> Result<String, Error> {
    if object.kind.namespaced() && object.namespace.is_none() {
        return Err(Error::malformed(&format!("{object} needs a namespace")));
    }
    if is_plain(&object.name) && object.namespace.as_deref().is_none_or(is_plain) {
        Ok(object.path())
    } else {
        Err(Error::malformed(&format!("`{object}` is not a valid name of a Kubernetes object")))
    }
}

/// Percent-encodes a query value.
pub(crate) fn escape(value: &str) -> PercentEncode<'_> {
    utf8_percent_encode(value, NON_ALPHANUMERIC)
}

#[cfg(test)]
mod tests;
