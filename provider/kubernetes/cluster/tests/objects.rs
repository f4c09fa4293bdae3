//! The table of objects, with a row that only these tests have: an object that programs ask for by an annotation.

use serde_json::json;

use super::*;
use crate::kubernetes::cluster::manifest::{Source, metadata};

/// The annotation of programs that want the object of the test's row: how many pods it allows.
pub(in crate::kubernetes::cluster) const PODS: &str = "example.com/pods";

/// Its renderer.
pub(in crate::kubernetes::cluster) fn quota(source: &mut Source<'_>) -> Value {
    let naming = &source.cluster.naming;
    let metadata = metadata(source.cluster, &format!("{}-quota", naming.name), Some(source.urn));
    json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": {"pods": naming.annotations[PODS]}}})
}
