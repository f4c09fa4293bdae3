//! What shards and single replicas have instead of what all hosts have.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::super::adopted::named;
use super::super::draft::POD;
use super::super::read::text;
use super::super::resources::Resources;
use super::super::storage::{DATA, StorageArgs, Volume};
use super::super::{Checker, FreeForm, PodArgs};

/// A replica of a shard.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterShardHost")]
pub struct ShardHost {
    /// The name, instead of those of the shard and its number. Another name is another, empty host.
    pub name: Option<String>,
    /// Settings of the host, by their paths in ClickHouse's configuration. Most changes restart it.
    pub settings: Option<FreeForm>,
    /// Configuration files of the host, by their names. A change restarts it.
    pub files: Option<BTreeMap<String, String>>,
    /// CPU and memory of the host's ClickHouse container. Default: those of the shard. A change restarts it.
    pub resources: Option<Resources>,
    /// The host's data volume. Default, also of each field: as that of the shard. It is for new hosts: the
    /// volume has another name, so a host that is there already would begin empty.
    pub storage: Option<Volume>,
    /// The host's pod, for example which nodes it may be on. Each field stands instead of the same field of
    /// the shard's and the cluster's `pod`. A change restarts the host.
    pub pod: Option<Box<PodArgs>>,
}

impl ShardHost {
    pub(super) fn own(&self) -> Own<'_> {
        let Self { resources, storage, pod, .. } = self;
        Own { resources: resources.as_ref(), storage: storage.as_ref(), pod: pod.as_deref() }
    }

    /// The operator's words for it; `template` says what a template of its own is called.
    pub(super) fn render(&self, template: impl Fn(&str) -> String) -> Value {
        let Self { name, settings, files, resources: _, storage: _, pod: _ } = self;
        let said = [("name", json!(name)), ("settings", json!(settings)), ("files", json!(files))];
        let said = said.into_iter().filter(|(_, value)| !value.is_null());
        let mut host: Map<_, _> = said.map(|(field, value)| (field.to_owned(), value)).collect();
        self.own().refer(template, &mut host);
        Value::Object(host)
    }

    /// The host that the operator's words stand for, besides its own pod.
    pub(super) fn read(host: &Value, spec: &Value) -> Self {
        Self {
            name: text(&host["name"]),
            settings: serde_json::from_value(host["settings"].clone()).ok(),
            files: serde_json::from_value(host["files"].clone()).ok(),
            storage: own_volume(host, spec),
            resources: None,
            pod: None,
        }
    }
}

/// What a shard or a host has instead of what is above it.
#[derive(Clone, Copy)]
pub(super) struct Own<'a> {
    pub(super) resources: Option<&'a Resources>,
    pub(super) storage: Option<&'a Volume>,
    pub(super) pod: Option<&'a PodArgs>,
}

impl Own<'_> {
    pub(super) fn has_pods(&self) -> bool {
        self.resources.is_some() || self.pod.is_some()
    }

    /// Checks what stands at `path`.
    pub(super) fn check(&self, path: &str, check: &mut Checker<'_>) {
        let is_ephemeral = |storage: &StorageArgs| storage.ephemeral == Some(true);
        if self.storage.is_some() && check.args().storage.as_ref().is_some_and(is_ephemeral) {
            let reason = "has no effect with `storage.ephemeral: true`: remove one of them";
            check.fail(&format!("{path}.storage"), reason);
        }
        if self.resources.is_some() {
            Resources::check_at(&format!("{path}.resources"), self.resources, check);
        }
        if let Some(pod) = self.pod {
            Box::new(pod.clone()).check(&format!("{path}.pod"), check);
        }
    }

    /// Has the operator's words for the shard or host name the templates of its own.
    pub(super) fn refer(&self, template: impl Fn(&str) -> String, to: &mut Map<String, Value>) {
        let of_pods = self.has_pods().then_some(("podTemplate", POD));
        let of_data = self.storage.is_some().then_some(("dataVolumeClaimTemplate", DATA));
        for (field, base) in of_pods.into_iter().chain(of_data) {
            to.entry("templates").or_insert_with(|| json!({}))[field] = json!(template(base));
        }
    }
}

/// Pods that differ from those of all hosts: what their template is called, and what is said of them.
pub(in super::super) struct OwnPods<'a> {
    pub(in super::super) name: String,
    pub(in super::super) resources: Option<&'a Resources>,
    /// What stands instead of the cluster's `pod`; the last holds.
    pub(in super::super) pods: Vec<&'a PodArgs>,
}

/// Before the name of a host in that of a template of its own.
pub(super) const OF_HOST: &str = "host-";

/// Whether a template of volumes is of a single shard or host.
pub(in super::super::super) fn is_claim_of_layout(template: &str) -> bool {
    let base = template.strip_prefix(OF_HOST).unwrap_or(template);
    base.strip_prefix(DATA).is_some_and(|rest| rest.starts_with('-'))
}

/// What a volume leaves out filled in from the one `above` it.
pub(super) fn complete_volume(own: &mut Volume, above: &Volume) {
    let Volume { size, storage_class, access_modes, reclaim_policy } = above;
    own.size = own.size.take().or_else(|| size.clone());
    own.storage_class = own.storage_class.take().or_else(|| storage_class.clone());
    own.access_modes = own.access_modes.take().or_else(|| access_modes.clone());
    own.reclaim_policy = own.reclaim_policy.or(*reclaim_policy);
}

/// The volume whose template a shard or a host names.
pub(super) fn own_volume(level: &Value, spec: &Value) -> Option<Volume> {
    let name = level["templates"]["dataVolumeClaimTemplate"].as_str()?;
    Some(Volume::of(named(&spec["templates"]["volumeClaimTemplates"], name)?, spec))
}
