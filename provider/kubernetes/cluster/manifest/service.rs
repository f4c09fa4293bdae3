//! The Service that is the cluster's address: its own, not the operator's, so that it outlives whatever the
//! operator does.

use serde_json::{Map, Value, json};

use super::super::aspects::ServiceDraft;
use super::{Source, metadata, object};
use crate::kubernetes::meta::Kind;

pub(in crate::kubernetes::cluster) fn service(source: &mut Source<'_>) -> Value {
    let Source { cluster, urn, .. } = *source;
    let ServiceDraft { annotations, labels, spec } = std::mem::take(&mut source.drafts().service);
    let mut metadata = metadata(cluster, &cluster.naming.name, Some(urn));
    for (field, entries) in [("annotations", annotations), ("labels", labels)] {
        if let Value::Object(map) = metadata.entry(field).or_insert_with(|| Value::Object(Map::new())) {
            map.extend(entries.into_iter().map(|(key, value)| (key, json!(value))));
        }
        if metadata.get(field).and_then(Value::as_object).is_some_and(Map::is_empty) {
            metadata.remove(field);
        }
    }
    object(Kind::Service, metadata, Value::Object(spec))
}
