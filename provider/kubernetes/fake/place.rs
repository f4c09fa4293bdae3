//! Where a path of the API leads.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::faults::Reply;
use crate::kubernetes::meta::Kind;

/// A kind as the server serves it: those of the provider, and those that only others ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Served {
    Ours(Kind),
    DisruptionBudget,
}

impl Served {
    pub(super) fn all() -> impl Iterator<Item = Self> {
        Kind::ALL.into_iter().map(Self::Ours).chain([Self::DisruptionBudget])
    }

    fn group(self) -> &'static str {
        match self {
            Self::Ours(kind) => kind.group(),
            Self::DisruptionBudget => "policy",
        }
    }

    pub(super) fn plural(self) -> &'static str {
        match self {
            Self::Ours(kind) => kind.plural(),
            Self::DisruptionBudget => "poddisruptionbudgets",
        }
    }

    fn namespaced(self) -> bool {
        match self {
            Self::Ours(kind) => kind.namespaced(),
            Self::DisruptionBudget => true,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ours(kind) => kind.name(),
            Self::DisruptionBudget => "PodDisruptionBudget",
        }
    }

    pub(super) fn api_version(self) -> String {
        match self {
            Self::Ours(kind) => kind.api_version(),
            Self::DisruptionBudget => "policy/v1".to_owned(),
        }
    }
}

/// Where a path leads: to a collection, or to one object of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) kind: Served,
    /// `None` for all.
    pub(super) namespace: Option<String>,
    pub(super) name: Option<String>,
    /// Whether it is the status of the object.
    pub(super) is_status: bool,
}

impl Place {
    /// `None` for a path that nobody serves.
    pub(super) fn of(path: &str) -> Option<Self> {
        let mut parts = path.split('/').skip(1);
        let group = if parts.next()? == "apis" { parts.next()? } else { "" };
        let version = parts.next()?;
        let mut rest: Vec<&str> = parts.collect();
        let namespace = (rest.len() > 2 && rest[0] == "namespaces").then(|| rest.drain(..2).nth(1)).flatten();
        let served = |kind: &Served| (kind.group(), "v1", kind.plural()) == (group, version, rest[0]);
        let kind = Served::all().find(served).filter(|kind| kind.namespaced() || namespace.is_none())?;
        let name = rest.get(1).map(|name| (*name).to_owned());
        let is_status = rest.get(2) == Some(&"status");
        (rest.len() <= 2 || (rest.len() == 3 && is_status)).then(|| Self {
            kind,
            namespace: namespace.map(str::to_owned),
            name,
            is_status,
        })
    }

    /// The object, with what its path says of it.
    pub(super) fn filled(&self, mut object: Value) -> Value {
        let Some(name) = &self.name else { return object };
        object["apiVersion"] = json!(self.kind.api_version());
        object["kind"] = json!(self.kind.name());
        object["metadata"]["name"] = json!(name);
        if let Some(namespace) = &self.namespace {
            object["metadata"]["namespace"] = json!(namespace);
        }
        object
    }

    pub(super) fn missing(&self) -> Reply {
        Reply::missing(self.kind.plural(), self.name.as_deref().unwrap_or_default())
    }
}

/// The kinds that are served, those of the core group or all others, as servers from 1.27 on tell them.
pub(super) fn discovery(of_core: bool) -> Reply {
    let mut groups: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for kind in Served::all().filter(|kind| kind.group().is_empty() == of_core) {
        let scope = if kind.namespaced() { "Namespaced" } else { "Cluster" };
        groups.entry(kind.group()).or_default().push(json!({"resource": kind.plural(), "scope": scope,
            "responseKind": {"kind": kind.name()}, "verbs": ["delete", "get", "list"]}));
    }
    let group = |(name, resources): (&str, Vec<Value>)| {
        json!({"metadata": {"name": name}, "versions": [{"version": "v1", "freshness": "Current",
            "resources": resources}]})
    };
    let groups: Vec<_> = groups.into_iter().map(group).collect();
    Reply::Json(200, json!({"kind": "APIGroupDiscoveryList", "items": groups}))
}
