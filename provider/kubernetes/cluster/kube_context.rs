//! EFFECT: tells whether the kubeconfig points to the Kubernetes cluster of the state.

use super::state::KubernetesCluster;
use crate::kubernetes::client::Api;
use crate::kubernetes::error::Error;
use crate::kubernetes::identity::{Identity, identify, namespace_uid};
use crate::resource::Urn;

/// The Kubernetes cluster that `api` leads to, when it is the one of the state: the recorded one, or that of
/// today where none is recorded. Fails with both when it is known to be another one; `None` when it can't be
/// told.
pub(super) async fn verified(
    api: &Api,
    namespace: &str,
    recorded: Option<&KubernetesCluster>,
) -> Result<Option<KubernetesCluster>, Error> {
    let server = api.session().server();
    let Some(recorded) = recorded else {
        let found = identify(api, namespace).await?;
        return Ok(found.map(|Identity { uid, namespace }| KubernetesCluster { uid, namespace, server }));
    };
    match namespace_uid(api, &recorded.namespace).await? {
        Some(uid) if uid == recorded.uid => Ok(Some(recorded.clone())),
        Some(uid) => Err(Error::Elsewhere {
            message: format!(
                "the kubeconfig{context} points to another Kubernetes cluster than this stack's state: to \
                    {here}, where namespace `{namespace}` has the uid {uid}; the state has {there}, where it \
                    has {recorded}; nothing was changed; use the kubeconfig or context of that one",
                context = api
                    .session()
                    .context()
                    .map(|context| format!("'s context `{context}`"))
                    .unwrap_or_default(),
                here = server.as_deref().unwrap_or("an unknown address"),
                there = recorded.server.as_deref().unwrap_or("an unknown address"),
                namespace = recorded.namespace,
                recorded = recorded.uid,
            ),
        }),
        None => Ok(None),
    }
}

/// The error for a cluster of which nothing is there, in a Kubernetes cluster that can't be told from the one
/// of the state.
pub(super) fn undetermined(
    api: &Api,
    urn: &Urn,
    namespace: &str,
    name: &str,
    recorded: Option<&KubernetesCluster>,
) -> Error {
    let server = recorded.and_then(|recorded| recorded.server.as_deref()).unwrap_or("an unknown address");
    let read = recorded.map_or(namespace, |recorded| &recorded.namespace);
    Error::Elsewhere {
        message: format!(
            "nothing of {namespace}/{name} is there, and whether this is the Kubernetes cluster that it was \
                created in ({server}) is not known, since namespace `{read}` can't be read in the one that \
                the kubeconfig points to ({here}); use the right kubeconfig or context, or request `get` on \
                that namespace; if the cluster no longer exists run `pulumi state delete '{urn}'`",
            here = api.session().server().as_deref().unwrap_or("an unknown address"),
        ),
    }
}
