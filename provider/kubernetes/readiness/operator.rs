//! Whether an operator runs, as far as its Deployment and its traces tell.

use crate::kubernetes::client::Api;
use crate::kubernetes::error::INSTALL_OPERATOR;
use crate::kubernetes::inventory;

/// Where an operator is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// Nowhere, and nothing shows that there ever was one.
    Absent,
    /// It has been at work here, but has no Deployment that could be found: it may run elsewhere, or be gone
    /// by now.
    Traces,
    /// Its Deployments are in these namespaces.
    In(Vec<String>),
    /// Deployments may not be listed.
    Unknown,
}

/// Looks for an operator in all namespaces. `traces`: whether one has been seen at work, for example by a
/// finalizer or a status.
pub async fn find(api: &Api, traces: bool) -> Presence {
    match inventory::operators(api).await {
        None => Presence::Unknown,
        Some(places) if places.is_empty() => {
            if traces {
                Presence::Traces
            } else {
                Presence::Absent
            }
        }
        Some(places) => Presence::In(places),
    }
}

impl Presence {
    /// Why nobody has taken up an object of `namespace`, and what to do.
    pub(super) fn explain(&self, namespace: &str) -> String {
        match self {
            Self::Absent => format!(
                "no clickhouse-operator runs in this Kubernetes cluster; install it with `{INSTALL_OPERATOR}`"
            ),
            Self::Traces => format!(
                "the clickhouse-operator that has worked here has not reconciled it: it is busy, down, or \
                    removed (no Deployment of it was found); \
                 check that it runs, and its log, or install it with `{INSTALL_OPERATOR}`"
            ),
            Self::In(places) if places.iter().any(|place| place == namespace) => {
                format!(
                    "the clickhouse-operator of namespace `{namespace}` has not reconciled it; see whether \
                        it runs (`kubectl get pods --namespace {namespace}`) and its log"
                )
            }
            Self::In(places) => {
                let places = places.iter().map(|place| format!("`{place}`")).collect::<Vec<_>>().join(", ");
                format!(
                    "a clickhouse-operator is installed in namespace {places}, but has not reconciled it: it \
                        is busy or down, or it does not watch namespace \
                     `{namespace}` (outside of kube-system it watches only its own unless its configuration \
                     or WATCH_NAMESPACES says otherwise)"
                )
            }
            Self::Unknown => format!(
                "no clickhouse-operator has reconciled it: none runs, none watches namespace `{namespace}`, \
                    or it is busy; install one with \
                 `{INSTALL_OPERATOR}` where there is none"
            ),
        }
    }
}
