//! What an update does to the running hosts, told in its preview. Pure.

use super::args::Provisioner;
use super::validate::ValidatedCluster;
use super::{manifest, restarts};

/// What a user should know before saying yes, a sentence each; nothing when no host notices.
///
/// The rules are the operator's (0.25): a changed pod template or coordination rolls host by host; users, log level and
/// networks are reloaded; volumes of the provisioner `Operator` grow in place.
pub(super) fn effects(old: &ValidatedCluster, new: &ValidatedCluster) -> Vec<String> {
    let (before, after) = (manifest::spec(old), manifest::spec(new));
    let mut reasons = Vec::new();
    if old.image != new.image {
        reasons.push(format!("image `{}` → `{}`", old.image.reference, new.image.reference));
    }
    if old.resources != new.resources {
        reasons.push("resources".to_owned());
    }
    if before["configuration"]["zookeeper"] != after["configuration"]["zookeeper"] {
        reasons.push("coordination".to_owned());
    }
    // The operator hands both on to the pods.
    if old.labels != new.labels {
        reasons.push("labels".to_owned());
    }
    if old.annotations != new.annotations {
        reasons.push("annotations".to_owned());
    }
    if old.restart_token != new.restart_token {
        reasons.push("restartToken".to_owned());
    }
    if old.interserver != new.interserver {
        reasons.push("interserverSecret".to_owned());
    }
    if (old.replicas > 1) != (new.replicas > 1) {
        reasons.push("anti-affinity".to_owned());
    }
    let grown = old.storage.data.as_ref().map(|data| &data.size) != new.storage.data.as_ref().map(|data| &data.size);
    if old.storage.logs.is_some() != new.storage.logs.is_some() || grown && new.storage.provisioner == Provisioner::StatefulSet {
        reasons.push("volumes".to_owned());
    }
    if old.storage.provisioner != new.storage.provisioner {
        reasons.push("storage.provisioner".to_owned());
    }
    if reasons.is_empty() && (restarts::by_pods(&before, &after) || restarts::by_configuration(&before, &after)) {
        reasons.push("chiOverrides".to_owned());
    }
    let mut told = Vec::new();
    if !old.stopped && new.stopped {
        told.push("stops all hosts; volumes and settings stay".to_owned());
    } else if !reasons.is_empty() && !new.stopped {
        let order = if old.replicas > 1 {
            "one after the other, so each shard keeps serving"
        } else {
            "one after the other; with one replica its shard is away meanwhile"
        };
        told.push(format!("restarts the hosts {order} ({})", reasons.join(", ")));
    }
    if let (Some(old), Some(new)) = (old.keeper(), new.keeper())
        && (&old.image, &old.resources) != (&new.image, &new.resources)
    {
        told.push("restarts the Keeper's members, one after the other".to_owned());
    }
    if new.shards > old.shards {
        told.push(format!("adds {} shards; ClickHouse does not spread existing data over them", new.shards - old.shards));
    }
    told
}
