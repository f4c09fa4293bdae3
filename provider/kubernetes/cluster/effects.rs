//! What an update does to the running hosts, told in its preview. Pure.

use super::args::Provisioner;
use super::validate::ValidatedCluster;

/// What a user should know before saying yes, a sentence each; nothing when no host notices.
///
/// The rules are the operator's (0.25): a changed pod template or coordination rolls host by host; users, log level and
/// networks are reloaded; volumes of the provisioner `Operator` grow in place.
pub(super) fn effects(old: &ValidatedCluster, new: &ValidatedCluster) -> Vec<String> {
    let mut restarts = Vec::new();
    if old.image != new.image {
        restarts.push(format!("image `{}` → `{}`", old.image.reference, new.image.reference));
    }
    if old.resources != new.resources {
        restarts.push("resources".to_owned());
    }
    if old.coordination != new.coordination && old.hosts().next().is_some() {
        restarts.push("coordination".to_owned());
    }
    if old.restart_token != new.restart_token {
        restarts.push("restartToken".to_owned());
    }
    if old.interserver != new.interserver {
        restarts.push("interserverSecret".to_owned());
    }
    if (old.replicas > 1) != (new.replicas > 1) {
        restarts.push("anti-affinity".to_owned());
    }
    let grown = old.storage.data.as_ref().map(|data| &data.size) != new.storage.data.as_ref().map(|data| &data.size);
    if old.storage.logs.is_some() != new.storage.logs.is_some() || grown && new.storage.provisioner == Provisioner::StatefulSet {
        restarts.push("volumes".to_owned());
    }
    if old.storage.provisioner != new.storage.provisioner {
        restarts.push("storage.provisioner".to_owned());
    }
    let mut told = Vec::new();
    if !old.stopped && new.stopped {
        told.push("stops all hosts; volumes and settings stay".to_owned());
    } else if !restarts.is_empty() && !new.stopped {
        let order = if old.replicas > 1 {
            "one after the other, so each shard keeps serving"
        } else {
            "one after the other; with one replica its shard is away meanwhile"
        };
        told.push(format!("restarts the hosts {order} ({})", restarts.join(", ")));
    }
    if new.shards > old.shards {
        told.push(format!("adds {} shards; ClickHouse does not spread existing data over them", new.shards - old.shards));
    }
    told
}
