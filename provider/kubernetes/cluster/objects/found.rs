//! The objects of a cluster that are there: reading them, and telling them apart by their unique ids.

use futures::future::join_all;
use serde_json::Value;

use super::super::aspects::ValidatedCluster;
use super::{Objects, Row, TABLE, Uids};
use crate::kubernetes::client::Api;
use crate::kubernetes::error::Error;
use crate::kubernetes::meta;
use crate::kubernetes::objects::fetch;
use crate::resource::Urn;

impl Uids {
    /// Those of objects.
    pub(in super::super) fn of(objects: &Objects) -> Self {
        let mut uids = Self::default();
        for Row { part, .. } in TABLE {
            uids[*part] = objects[*part].as_ref().and_then(meta::owned_uid);
        }
        uids
    }

    /// Whether an object that the cluster is to have is not there, as far as is known.
    pub(in super::super) fn lack_any_of(&self, cluster: &ValidatedCluster) -> bool {
        TABLE.iter().any(|row| row.is_own() && row.is_wanted(cluster) && self[row.part].is_none())
    }

    /// Whether a create was interrupted before the installation was made: what else there is may not be known
    /// of.
    pub(in super::super) fn create_interrupted(&self) -> bool {
        self.installation.is_none() && self.namespace.is_none()
    }
}

/// Reads the objects of a cluster that are asked for, one request each, all at once. An absent definition of
/// a kind is an absent object, where it is not `demanded`.
pub(in super::super) async fn read(
    api: &Api,
    namespace: &str,
    name: &str,
    demanded: bool,
    asks: impl Fn(&Row) -> bool,
) -> Result<Objects, Error> {
    let each = TABLE
        .iter()
        .filter(|row| asks(row))
        .map(|row| async { (row.part, fetch(api, &row.object(namespace, name)).await) });
    let mut objects = Objects::default();
    // What is said of the last ones says most.
    for (part, found) in join_all(each).await.into_iter().rev() {
        objects[part] = match found {
            Err(error) if error.is_absent() && !demanded => None,
            found => found?,
        };
    }
    Ok(objects)
}

/// Whether an object carries the mark of this resource.
pub(in super::super) fn is_marked_by(object: &Value, urn: &Urn) -> bool {
    meta::owner_urn(object) == Some(&urn.0)
}
