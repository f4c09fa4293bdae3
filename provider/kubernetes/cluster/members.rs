//! EFFECT: reads by which Services clients reach the members of a Keeper. Each member has one of its own,
//! which leads to it before it is ready; with operators since 0.27.2 also one that doesn't, which is for
//! clients.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::kubernetes::client::Api;
use crate::kubernetes::meta::{Kind, field};
use crate::kubernetes::objects::list;

/// The labels of a member: its shard's name and its own.
const SHARD: &str = "/spec/selector/clickhouse-keeper.altinity.com~1shard";
const REPLICA: &str = "/spec/selector/clickhouse-keeper.altinity.com~1replica";

/// The Services for clients, by the member's name in the cluster.
pub(super) type Members = BTreeMap<String, String>;

/// Those of the Keeper `name` with this `uid`; a Service is known by its owner and by the member that it
/// leads to, whatever it is called. `None` where they can't be read.
pub(super) async fn read(api: &Api, namespace: &str, name: &str, uid: &str) -> Option<Members> {
    let selector = format!("clickhouse-keeper.altinity.com/chk={name}");
    let member = |service: &Value| {
        let owners = service["metadata"]["ownerReferences"].as_array()?;
        let is_own = owners.iter().any(|owner| owner["uid"] == uid);
        if !is_own || service["spec"]["publishNotReadyAddresses"] == true {
            return None;
        }
        let (shard, replica) = (field(service, SHARD)?, field(service, REPLICA)?);
        Some((format!("{shard}-{replica}"), field(service, "/metadata/name")?.to_owned()))
    };
    let found = list(api, Kind::Service, Some(namespace), &selector, member).await.ok()?;
    Some(found.into_iter().collect())
}
