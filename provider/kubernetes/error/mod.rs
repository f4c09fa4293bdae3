//! What goes wrong at the API server, in classes that a caller can act on and texts that say what to do.

mod read;
mod subject;
#[cfg(test)]
mod tests;
mod texts;

pub(crate) use self::subject::Subject;
use std::fmt;

use semver::Version;

use self::texts::{crd_missing, forbidden, list_conflicts, list_problems, unknown_fields, unreachable};
use crate::kubernetes::meta::Kind;
use crate::resource::{Failure, FailureKind};

/// The oldest operator that the provider works with: from here on `suspend` exists and the status has the
/// fields that tell a finished change.
pub const OLDEST_OPERATOR: Version = Version::new(0, 24, 3);

/// How the operator and its definitions are installed.
pub const INSTALL_OPERATOR: &str = "helm install clickhouse-operator altinity-clickhouse-operator --repo \
    https://helm.altinity.com --namespace kube-system";

/// What was asked of the API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Read one object.
    Get,
    /// List objects.
    List,
    /// Watch objects.
    Watch,
    /// Make one that must not be there yet.
    Create,
    /// Server-side apply.
    Apply,
    /// Delete one object.
    Delete,
}

impl Verb {
    /// The verb as RBAC knows it.
    pub const fn rbac(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Apply => "patch",
            Self::Delete => "delete",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::Apply { "apply" } else { self.rbac() })
    }
}

/// A field manager that owns what we want to set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldConflict {
    /// The other manager, with the API version it used where the server tells it.
    pub manager: String,
    /// Whether it applies whole manifests; else it has changed single fields.
    pub applies: bool,
    /// The fields that it owns.
    pub fields: Vec<String>,
}

/// What the API server refused about one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldProblem {
    /// Which field; empty when the server names none.
    pub field: String,
    /// What is wrong with it. A value that the server repeats of a Secret is left out.
    pub problem: String,
}

/// The environment variable that says the same as the provider's `deleteUnreachable`, where a plain refresh
/// or destroy takes the configuration from the state.
pub const DELETE_UNREACHABLE: &str = "PULUMI_CLICKHOUSE_DELETE_UNREACHABLE";

/// What a failed call says about the API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Nobody can be connected to: the connection is refused or times out, or the address has no host.
    NoServer,
    /// The kubeconfig, its credentials or the server's certificate can't be used. Whether there is a server
    /// is not known.
    NoCredentials,
    /// Somebody is there, but gives no answer for now.
    Busy,
    /// It answered; or the user did not wait for the answer.
    Answered,
}

/// A failed call. The text names the object, the reason and the remedy, and never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no such object.
    #[error("{object} does not exist")]
    NotFound {
        /// Which one.
        object: String,
    },
    /// The cluster does not know the kind.
    #[error("{}", crd_missing(*.kind))]
    CrdMissing {
        /// Which kind.
        kind: Kind,
    },
    /// The namespace that an object was to go into does not exist.
    #[error(
        "namespace `{namespace}` does not exist; create it first (`kubectl create namespace {namespace}`), \
            or set `createNamespace: true`"
    )]
    NamespaceMissing {
        /// Which one.
        namespace: String,
    },
    /// RBAC does not allow it.
    #[error("{}", forbidden(.verb, .resource, .namespace.as_deref(), .message))]
    Forbidden {
        /// The verb, as RBAC knows it, that is not allowed: an apply needs `create` for an object that is not
        /// there yet.
        verb: String,
        /// On what: the plural with its group.
        resource: String,
        /// Where; `None` for the whole cluster.
        namespace: Option<String>,
        /// The server's own words.
        message: String,
    },
    /// Admission refused it: a quota, a policy, a webhook, a namespace that is going away.
    #[error("failed to {verb} {object}: the cluster's policy refused it: {message}")]
    Refused {
        /// What was tried.
        verb: Verb,
        /// On what.
        object: String,
        /// The server's own words.
        message: String,
    },
    /// Another field manager owns fields that we want to set.
    #[error("failed to apply {object}: {}; set `forceConflicts: true` to take the fields over, or leave them \
        out", list_conflicts(.conflicts))]
    Conflict {
        /// Which object.
        object: String,
        /// Who owns what.
        conflicts: Vec<FieldConflict>,
    },
    /// The object changed, or was replaced, between two calls.
    #[error("failed to {verb} {object}: it was changed or replaced by another client; run again")]
    Outdated {
        /// What was tried.
        verb: Verb,
        /// On what.
        object: String,
    },
    /// The object that was to be changed is not there, or another one has its name.
    #[error(
        "{object} is not the one in this stack's state ({}); run `pulumi refresh` and then this again, and \
            check that the kubeconfig points to the right Kubernetes cluster",
        if *.replaced {"another one has its name now"} else {"it does not exist"}
    )]
    NotTheOne {
        /// Which object.
        object: String,
        /// Whether another one has its name.
        replaced: bool,
    },
    /// The kubeconfig points to another Kubernetes cluster than the one in the state, or to one that can't be
    /// told from it.
    #[error("{message}")]
    Elsewhere {
        /// Both clusters, and the remedy.
        message: String,
    },
    /// Something of this name exists.
    #[error("{object} exists already")]
    AlreadyExists {
        /// What.
        object: String,
    },
    /// The server does not accept values.
    #[error("failed to apply {object}: {}", list_problems(.problems))]
    Invalid {
        /// Which object.
        object: String,
        /// Each refused field.
        problems: Vec<FieldProblem>,
    },
    /// The installed definition lacks fields.
    #[error("{}", unknown_fields(.object, .fields, .installed.as_deref()))]
    UnknownFields {
        /// Which object.
        object: String,
        /// The fields.
        fields: Vec<String>,
        /// The version of the installed definition, where it tells one.
        installed: Option<String>,
    },
    /// The operator is too old for this provider.
    #[error(
        "the clickhouse-operator in this cluster is version {version}, older than {OLDEST_OPERATOR}, the \
            oldest that this provider works with; upgrade it"
    )]
    OperatorTooOld {
        /// The version found.
        version: String,
    },
    /// The credentials are not accepted.
    #[error(
        "the API server does not accept the credentials ({message}); check the user of the kubeconfig's \
            context: an expired token or certificate, or another cluster's"
    )]
    Unauthorized {
        /// The server's own words.
        message: String,
    },
    /// No answer from the API server.
    #[error("{}", unreachable(.server.as_deref(), .cause, *.connected))]
    Unreachable {
        /// Its URL, where known.
        server: Option<String>,
        /// Why.
        cause: String,
        /// Whether a connection came about, or may have.
        connected: bool,
    },
    /// The kubeconfig can't be used.
    #[error("{message}")]
    Kubeconfig {
        /// What is wrong, with the remedy.
        message: String,
    },
    /// The API server kept answering that it can't just now, until there was no time left.
    #[error("failed to {verb} {object}: the API server could not answer in time ({message})")]
    Timeout {
        /// What was tried.
        verb: Verb,
        /// On what.
        object: String,
        /// The last answer.
        message: String,
    },
    /// The user stopped it. Whether a write was carried out nevertheless is not known.
    #[error("stopped while the API server was asked to {verb} {object}")]
    Cancelled {
        /// What was tried.
        verb: Verb,
        /// On what.
        object: String,
    },
    /// Anything else that the server said.
    #[error("failed to {verb} {object}: {message}")]
    Other {
        /// What was tried.
        verb: Verb,
        /// On what.
        object: String,
        /// The HTTP status; 0 when there was none.
        code: u16,
        /// The server's own words.
        message: String,
    },
}

impl Error {
    /// A request that can't even be sent: what is wrong with it.
    pub(crate) fn malformed(problem: &str) -> Self {
        Self::Invalid {
            object: "the object".to_owned(),
            problems: vec![FieldProblem { field: String::new(), problem: problem.to_owned() }],
        }
    }

    /// Whether this is the answer for an object, or a kind, or a namespace, that is not there.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::NotFound { .. } | Self::CrdMissing { .. } | Self::NamespaceMissing { .. })
    }

    /// What it says about the API server: the one answer to whether it is there.
    pub fn reach(&self) -> Reach {
        match self {
            Self::Unreachable { connected: false, .. } => Reach::NoServer,
            Self::Unauthorized { .. } | Self::Kubeconfig { .. } => Reach::NoCredentials,
            Self::Unreachable { connected: true, .. } | Self::Timeout { .. } => Reach::Busy,
            Self::NotFound { .. }
            | Self::CrdMissing { .. }
            | Self::NamespaceMissing { .. }
            | Self::Forbidden { .. }
            | Self::Refused { .. }
            | Self::Conflict { .. }
            | Self::Outdated { .. }
            | Self::AlreadyExists { .. }
            | Self::Invalid { .. }
            | Self::UnknownFields { .. }
            | Self::OperatorTooOld { .. }
            | Self::NotTheOne { .. }
            | Self::Elsewhere { .. }
            | Self::Cancelled { .. }
            | Self::Other { .. } => Reach::Answered,
        }
    }

    /// Whether nobody answers, for now or at all; never a statement about the object. Whoever asks again only
    /// waits again.
    pub fn is_unreachable(&self) -> bool {
        match self.reach() {
            Reach::NoServer | Reach::Busy => true,
            Reach::NoCredentials | Reach::Answered => false,
        }
    }

    /// Whether a write may have been carried out although it failed: its answer never came, or says nothing
    /// of it.
    pub fn leaves_open(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::Timeout { .. } | Self::Cancelled { .. } | Self::Other { .. }
        )
    }

    /// Whether a preview can go on without this answer: what the object needs does not exist yet, or the
    /// cluster does not.
    pub fn is_premature(&self) -> bool {
        self.is_unreachable() || matches!(self, Self::CrdMissing { .. } | Self::NamespaceMissing { .. })
    }

    /// An error when `version` is of an operator that is too old. A text that is no version passes: builds
    /// from source have none.
    pub fn for_operator(version: &str) -> Option<Self> {
        let parsed = Version::parse(version.trim_start_matches('v')).ok()?;
        (parsed < OLDEST_OPERATOR).then(|| Self::OperatorTooOld { version: version.to_owned() })
    }

    /// The same as a failed call of a resource, with nothing left behind.
    pub fn to_failure<S>(&self) -> Failure<S> {
        Failure::new(self.kind(), self.to_string())
    }

    /// The class of failure for the engine.
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::NotFound { .. }
            | Self::CrdMissing { .. }
            | Self::NamespaceMissing { .. }
            | Self::Conflict { .. }
            | Self::Outdated { .. }
            | Self::NotTheOne { .. }
            | Self::Elsewhere { .. }
            | Self::OperatorTooOld { .. } => FailureKind::Precondition,
            Self::Forbidden { .. } | Self::Refused { .. } => FailureKind::Forbidden,
            Self::AlreadyExists { .. } => FailureKind::AlreadyExists,
            Self::Invalid { .. } | Self::UnknownFields { .. } => FailureKind::Invalid,
            Self::Unreachable { connected: false, .. } => FailureKind::NoServer,
            Self::Unauthorized { .. }
            | Self::Unreachable { .. }
            | Self::Kubeconfig { .. }
            | Self::Other { .. } => FailureKind::Unavailable,
            Self::Timeout { .. } => FailureKind::Timeout,
            Self::Cancelled { .. } => FailureKind::Cancelled,
        }
    }
}
