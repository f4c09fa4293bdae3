//! What a request was about.

use std::fmt;

use super::Verb;
use crate::kubernetes::meta::{Kind, ObjectRef};

/// What a call was about, for texts.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    pub(crate) verb: Verb,
    pub(crate) kind: Kind,
    pub(crate) namespace: Option<String>,
    pub(crate) name: Option<String>,
}

impl Subject {
    pub(crate) fn object(verb: Verb, object: &ObjectRef) -> Self {
        Self { verb, kind: object.kind, namespace: object.namespace.clone(), name: Some(object.name.clone()) }
    }

    pub(crate) fn all(verb: Verb, kind: Kind, namespace: Option<&str>) -> Self {
        Self { verb, kind, namespace: namespace.map(str::to_owned), name: None }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.namespace, &self.name) {
            (Some(namespace), Some(name)) => write!(f, "{} {namespace}/{name}", self.kind.name()),
            (None, Some(name)) => write!(f, "{} {name}", self.kind.name()),
            (Some(namespace), None) => write!(f, "{} in namespace {namespace}", self.kind.plural()),
            (None, None) => f.write_str(self.kind.plural()),
        }
    }
}
