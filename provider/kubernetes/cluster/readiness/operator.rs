//! Whether an operator runs, as far as its Deployment tells.

use crate::kubernetes::apply::list_names;
use crate::kubernetes::client::Api;
use crate::kubernetes::error::INSTALL_OPERATOR;
use crate::kubernetes::meta::Kind;

/// The labels of the operator's Deployment: of the manifest, and of the Helm charts.
const SELECTORS: [&str; 2] = ["app=clickhouse-operator", "app.kubernetes.io/name in (altinity-clickhouse-operator,clickhouse-operator)"];

/// Where an operator's Deployment is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Presence {
    /// Nowhere.
    Absent,
    /// In these namespaces.
    In(Vec<String>),
    /// Deployments may not be listed.
    Unknown,
}

/// Looks for an operator in all namespaces. Two requests at most.
pub(super) async fn find(api: &Api) -> Presence {
    for selector in SELECTORS {
        match list_names(api, Kind::Deployment, None, selector).await {
            Ok(found) if found.is_empty() => {}
            Ok(found) => return Presence::In(found.into_iter().filter_map(|object| object.namespace).collect()),
            Err(_) => return Presence::Unknown,
        }
    }
    Presence::Absent
}

impl Presence {
    /// Why nobody has taken up an object of `namespace`, and what to do.
    pub(super) fn explain(&self, namespace: &str) -> String {
        match self {
            Self::Absent => format!("no clickhouse-operator runs in this Kubernetes cluster; install it with `{INSTALL_OPERATOR}`"),
            Self::In(places) if places.iter().any(|place| place == namespace) => {
                format!(
                    "the clickhouse-operator of namespace `{namespace}` has not taken it up; see whether it runs (`kubectl get pods --namespace {namespace}`) and what it logs"
                )
            }
            Self::In(places) => {
                let places = places.iter().map(|place| format!("`{place}`")).collect::<Vec<_>>().join(", ");
                format!(
                    "a clickhouse-operator is installed in namespace {places}, but has not taken it up: it is down, or it does not watch namespace \
                     `{namespace}` (outside of kube-system it watches only its own unless its configuration or WATCH_NAMESPACES says otherwise)"
                )
            }
            Self::Unknown => format!(
                "no clickhouse-operator has taken it up: none runs, or none watches namespace `{namespace}`; install one with `{INSTALL_OPERATOR}`"
            ),
        }
    }
}
