//! EFFECT: which Kubernetes cluster a session leads to. Its address says nothing of that: one cluster has
//! several, and one address can come to lead to another cluster. The unique id of a namespace does.

use std::collections::BTreeMap;

use tokio::sync::Mutex;

use crate::kubernetes::client::Api;
use crate::kubernetes::error::Error;
use crate::kubernetes::meta::{Kind, ObjectRef, uid};
use crate::kubernetes::objects::fetch;

/// The namespace that every Kubernetes cluster has from its birth to its end.
pub const KUBE_SYSTEM: &str = "kube-system";

/// What a Kubernetes cluster is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The unique id of the namespace `namespace`.
    pub uid: String,
    /// `kube-system`, or one that may be read where that may not.
    pub namespace: String,
}

/// The unique ids of the namespaces that were asked for; `None` for one that may not be read.
#[derive(Default)]
struct NamespaceUids(Mutex<BTreeMap<String, Option<String>>>);

/// The identity of the cluster that `api` leads to: by `kube-system`, else by `namespace`; `None` when
/// neither may be read. One request a process.
pub async fn identify(api: &Api, namespace: &str) -> Result<Option<Identity>, Error> {
    for namespace in [KUBE_SYSTEM, namespace] {
        if let Some(uid) = namespace_uid(api, namespace).await? {
            return Ok(Some(Identity { uid, namespace: namespace.to_owned() }));
        }
    }
    Ok(None)
}

/// The unique id of a namespace; `None` when it does not exist or may not be read. Asked once a process as
/// long as there is an answer.
pub async fn namespace_uid(api: &Api, namespace: &str) -> Result<Option<String>, Error> {
    // Held while the question is on its way, so that of a hundred clusters only the first asks.
    let namespaces = api.session().kept::<NamespaceUids>();
    let mut known = tokio::select! {
        biased;
        known = namespaces.0.lock() => known,
        () = api.cancel.cancelled() => return Ok(None),
    };
    if let Some(known) = known.get(namespace) {
        return Ok(known.clone());
    }
    let found = match fetch(api, &ObjectRef::global(Kind::Namespace, namespace)).await {
        Ok(found) => found.as_ref().and_then(uid).map(str::to_owned),
        Err(Error::Forbidden { .. } | Error::Refused { .. }) => None,
        Err(error) => return Err(error),
    };
    // One that is not there yet may come.
    if found.is_some() || namespace == KUBE_SYSTEM {
        known.insert(namespace.to_owned(), found.clone());
    }
    Ok(found)
}
