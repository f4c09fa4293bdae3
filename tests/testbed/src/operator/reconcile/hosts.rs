//! Brings hosts in line: their StatefulSets, claims and Services.

use anyhow::Result;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::Task;
use crate::operator::children::{Start, VERSION};
use crate::operator::faults::{Fault, Switches};
use crate::operator::installation::{Host, Kind};
use crate::tools::hex;

impl Task {
    /// Brings each host in line, the shards beside each other, the hosts of a shard one after the other.
    /// `false` when one must not go on.
    pub(super) async fn all_hosts(&self) -> Result<bool> {
        let shards = self.installation.shards().map(|first| {
            let of_shard = |host: &&Host| host.cluster == first.cluster && host.shard == first.shard;
            let hosts: Vec<&Host> = self.installation.hosts.iter().filter(of_shard).collect();
            async move {
                for host in hosts {
                    if !self.host(host).await? {
                        return Err(Unready.into());
                    }
                }
                anyhow::Ok(())
            }
        });
        // A Keeper's hosts vote: never two at a time.
        let at_once = if self.installation.kind == Kind::Keeper { 1 } else { self.settings.shards_at_once };
        let futures: Vec<_> = shards.collect();
        let done = stream::iter(futures).buffer_unordered(at_once).try_collect::<Vec<()>>().await;
        match done {
            Ok(_) => Ok(true),
            Err(error) if error.is::<Unready>() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Brings one host in line; `false` when its pod did not get ready and the task must end.
    async fn host(&self, host: &Host) -> Result<bool> {
        let (installation, cluster) = (&self.installation, &self.cluster);
        let name = installation.host_name(host);
        let hold = matches!(self.start(), Start::Held);
        cluster.apply(&installation.host_config(host)).await?;
        let grown = self.claims(host).await?;
        let mut wanted = installation.stateful_set(host, self.start());
        let version = hex(&Sha256::digest(wanted.to_string())[..16]);
        wanted["metadata"]["labels"][installation.label(VERSION)] = json!(version);
        let existing = cluster.api::<StatefulSet>().get_opt(&name).await?;
        let current = existing.as_ref().and_then(|set| set.labels().get(&installation.label(VERSION)));
        let scaled = existing.as_ref().and_then(|set| set.spec.as_ref()?.replicas).map(Value::from)
            != Some(wanted["spec"]["replicas"].clone());
        let changed = current != Some(&version) || scaled;
        let ready = match &existing {
            Some(_) if !changed && !grown => {
                let restart = self.needs_restart() && !installation.says_yes("stop");
                self.write(|status| status.count(if restart { "hostsUpdated" } else { "hostsUnchanged" }))
                    .await?;
                !restart
                    || cluster.restart_pod(&installation.pod_name(host), self.switches.update_timeout).await?
            }
            Some(set) => {
                // What is not ready is not updated but made anew, and then waited for like a new host.
                let is_broken = !is_ready(set);
                if is_broken || grown || !same_claims(set, &wanted) {
                    cluster.delete::<StatefulSet>(&name).await?;
                    cluster.gone::<StatefulSet>(&name).await?;
                    cluster.gone::<Pod>(&installation.pod_name(host)).await?;
                }
                let generation = cluster.apply(&wanted).await?;
                let Switches { create_timeout, update_timeout, .. } = self.switches;
                let timeout = if is_broken { create_timeout } else { update_timeout };
                let ready = hold || cluster.rolled_out(&name, generation, timeout).await? || is_broken;
                self.write(|status| status.count("hostsUpdated")).await?;
                ready
            }
            None => {
                let generation = cluster.apply(&wanted).await?;
                // A new host whose pod does not get ready is passed by.
                if !hold {
                    cluster.rolled_out(&name, generation, self.switches.create_timeout).await?;
                }
                self.write(|status| status.count("hostsAdded")).await?;
                true
            }
        };
        if !ready && installation.kind == Kind::ClickHouse {
            return Ok(false);
        }
        self.host_services(host).await?;
        tokio::time::sleep(self.settings.host_pause).await;
        // The real one counts a new host twice, unless it is alone.
        let twice = existing.is_none() && (installation.kind == Kind::Keeper || installation.hosts.len() > 1);
        self.write(|status| {
            if twice {
                status.count("hostsAdded");
            }
            status.count("hostsCompleted");
        })
        .await?;
        Ok(true)
    }

    fn start(&self) -> Start {
        match (self.switches.fault, self.switches.engines) {
            (Some(Fault::CompletedNotReady(_)), _) => Start::Held,
            (_, Some(choice)) if self.installation.kind == Kind::ClickHouse => Start::WithEngine(choice),
            _ => Start::ByItself,
        }
    }

    async fn host_services(&self, host: &Host) -> Result<()> {
        for service in self.installation.host_services(host) {
            self.apply_service(&service).await?;
        }
        Ok(())
    }

    /// Makes and grows the claims that are the operator's to make. `true` when a claim of the StatefulSet's
    /// own has to grow, for which the StatefulSet is recreated.
    async fn claims(&self, host: &Host) -> Result<bool> {
        let mut remake = false;
        for template in self.installation.claim_templates(host) {
            let mut claim = self.installation.claim(host, template);
            let existing = self
                .cluster
                .api::<PersistentVolumeClaim>()
                .get_opt(&self.installation.claim_name(host, template))
                .await?;
            let own = self.installation.operator_provisions(template);
            let Some(existing) = existing else {
                if own {
                    self.cluster.apply(&claim).await?;
                }
                continue;
            };
            let requested = existing
                .spec
                .and_then(|spec| spec.resources)
                .and_then(|resources| resources.requests)
                .unwrap_or_default();
            let current = requested.get("storage").map_or(0, |quantity| bytes(&quantity.0));
            let wanted =
                template.pointer("/spec/resources/requests/storage").and_then(Value::as_str).map_or(0, bytes);
            // Of the spec only the size can change, and it never shrinks.
            claim["spec"] = if wanted > current {
                json!({"resources": template["spec"]["resources"]})
            } else {
                json!({})
            };
            self.patch_claim(&claim).await?;
            remake |= wanted > current && !own;
        }
        Ok(remake)
    }

    async fn patch_claim(&self, claim: &Value) -> Result<()> {
        let name = claim["metadata"]["name"].as_str().unwrap_or_default();
        let patch = json!({"metadata": {"labels": claim["metadata"]["labels"]}, "spec": claim["spec"]});
        self.cluster
            .api::<PersistentVolumeClaim>()
            .patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await?;
        Ok(())
    }
}

/// A host of a completed installation whose pod did not get ready in time.
#[derive(Debug)]
struct Unready;

impl std::fmt::Display for Unready {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a host did not get ready")
    }
}

impl std::error::Error for Unready {}

/// Whether all pods of a StatefulSet are.
fn is_ready(set: &StatefulSet) -> bool {
    let wanted = set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    set.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or_default() == wanted
}

/// Whether a StatefulSet's claim templates are as wanted: they can't be changed in place.
fn same_claims(set: &StatefulSet, wanted: &Value) -> bool {
    let names = |value: &Value| -> Vec<String> {
        let claims = value.as_array().into_iter().flatten();
        claims
            .filter_map(|claim| claim.pointer("/metadata/name").and_then(Value::as_str).map(str::to_owned))
            .collect()
    };
    let current =
        serde_json::to_value(set.spec.as_ref().and_then(|spec| spec.volume_claim_templates.as_ref()))
            .unwrap_or_default();
    names(&current) == names(&wanted["spec"]["volumeClaimTemplates"])
}

/// A quantity of storage in bytes; 0 when it is none.
fn bytes(quantity: &str) -> u128 {
    const UNITS: [(&str, u128); 10] = [
        ("Ki", 1 << 10),
        ("Mi", 1 << 20),
        ("Gi", 1 << 30),
        ("Ti", 1 << 40),
        ("Pi", 1 << 50),
        ("k", 1_000),
        ("M", 1_000_000),
        ("G", 1_000_000_000),
        ("T", 1_000_000_000_000),
        ("", 1),
    ];
    let (digits, unit) =
        quantity.split_at(quantity.find(|c: char| !c.is_ascii_digit()).unwrap_or(quantity.len()));
    let factor = UNITS.iter().find(|(name, _)| *name == unit).map_or(0, |(_, factor)| *factor);
    digits.parse::<u128>().unwrap_or_default() * factor
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_compare_by_their_bytes() {
        assert!(bytes("50Gi") > bytes("50G"));
        assert_eq!(bytes("1Ti"), bytes("1024Gi"));
        assert_eq!(bytes("5"), 5);
    }
}
