//! The objects of a cluster, one row each. All that is done with them walks the rows: the dry run, the
//! rollout, the refresh, what is missing, the deletion, the unique ids, the rights of docs/rbac.md.
//!
//! A new object is a row here and a renderer in `manifest/`. A column that a row leaves out does not compile;
//! `tests/objects.rs` has a row of its own to show that no other line is needed.

mod applied;
mod columns;
mod found;

pub(super) use self::applied::{is_applied, is_settled};
use self::columns::Output;
pub(super) use self::columns::{Await, Leaves, Stage, Whose};
pub(super) use self::found::{is_marked_by, read};

use std::ops::{Index, IndexMut};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::aspects::{ValidatedCluster, has_backup_container, has_certificate};
use super::manifest::{self, Source};
use super::names;
use super::state::ClusterState;
use crate::kubernetes::meta::{Kind, ObjectRef};

/// An object of a cluster: what it is, and what becomes of it.
pub(super) struct Row {
    /// Which one it is.
    pub(super) part: Part,
    /// What it is called among the outputs' `uids`.
    field: &'static str,
    kind: Kind,
    /// Its name, by the cluster's namespace and name.
    name: fn(&str, &str) -> String,
    /// Whether a cluster is to have it.
    wanted: fn(&ValidatedCluster) -> bool,
    /// Its manifest, where it is wanted.
    render: fn(&mut Source<'_>) -> Value,
    /// When it is written.
    pub(super) stage: Stage,
    /// By what it is known for this provider's.
    pub(super) whose: Whose,
    /// What is waited for once it is written.
    pub(super) awaited: Await,
    /// When it is deleted.
    pub(super) leaves: Leaves,
    /// Where in the manifest that stands which no input speaks of: a refresh that finds it otherwise takes
    /// the object for missing.
    vital: &'static [&'static str],
    /// The output that is absent while the object is missing; without one it is its unique id.
    output: Option<Output>,
    /// What in an installation tells that it may have one; without it that is looked for with every cluster
    /// of which nothing is known.
    trace: Option<fn(&Value) -> bool>,
}

/// Makes all that has a place for each row.
macro_rules! objects {
    ($($(#[cfg($cfg:meta)])? #[doc = $doc:literal] $part:ident as $field:ident { $($columns:tt)* })*) => {
        /// One of the objects of a cluster.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Part {
            $($(#[cfg($cfg)])? #[doc = $doc] $part,)*
        }

        /// The uids of the cluster's objects, as far as they exist.
        #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "camelCase", default)]
        #[schemars(rename = "ClusterUids")]
        pub struct Uids {
            $(
                $(#[cfg($cfg)])?
                #[doc = $doc]
                #[serde(skip_serializing_if = "Option::is_none")]
                pub $field: Option<String>,
            )*
        }

        /// Something for each object.
        #[derive(Debug, Clone, Default)]
        pub(super) struct PerPart<T> {
            $($(#[cfg($cfg)])? #[doc = $doc] pub(super) $field: T,)*
        }

        /// The rows, in the order in which the objects are told of.
        pub(super) static TABLE: &[Row] = &[
            $($(#[cfg($cfg)])? Row { part: Part::$part, field: stringify!($field), $($columns)* },)*
        ];

        objects!(@index Uids, Option<String>, (), $($(#[cfg($cfg)])? $part $field)*);
        objects!(@index PerPart<T>, T, (T), $($(#[cfg($cfg)])? $part $field)*);
    };
    (@index $map:ty, $value:ty, ($($parameter:ident)?),
        $($(#[cfg($cfg:meta)])? $part:ident $field:ident)*) => {
        impl$(<$parameter>)? Index<Part> for $map {
            type Output = $value;

            fn index(&self, part: Part) -> &$value {
                match part {
                    $($(#[cfg($cfg)])? Part::$part => &self.$field,)*
                }
            }
        }

        impl$(<$parameter>)? IndexMut<Part> for $map {
            fn index_mut(&mut self, part: Part) -> &mut $value {
                match part {
                    $($(#[cfg($cfg)])? Part::$part => &mut self.$field,)*
                }
            }
        }
    };
}

/// What holds for an object beside the hosts that others serve, where its row says nothing else.
const BESIDE_HOSTS: Row = Row {
    part: Part::Installation,
    field: "",
    kind: Kind::ConfigMap,
    name: |_, name| name.to_owned(),
    wanted: |_| false,
    render: |_| Value::Null,
    stage: Stage::BeforeHosts,
    whose: Whose::Marked,
    awaited: Await::Nothing,
    leaves: Leaves::AfterHosts,
    vital: &["/spec"],
    output: None,
    trace: Some(leaves_no_trace),
};

objects! {
    /// Of the namespace, if this cluster created it.
    Namespace as namespace {
        kind: Kind::Namespace,
        name: |namespace, _| namespace.to_owned(),
        wanted: |cluster| cluster.naming.create_namespace,
        render: manifest::namespace,
        stage: Stage::Namespace,
        whose: Whose::Anybodys,
        awaited: Await::Nothing,
        leaves: Leaves::IfEmpty,
        vital: &[],
        output: None,
        trace: None,
    }
    /// Of the Secret.
    Secret as secret {
        kind: Kind::Secret,
        name: |_, name| names::credentials_secret(name),
        wanted: ValidatedCluster::has_secret,
        render: manifest::secret,
        stage: Stage::Claim,
        whose: Whose::Marked,
        awaited: Await::Nothing,
        leaves: Leaves::Last,
        vital: &["/data", "/metadata/labels"],
        output: Some(Output {
            path: "credentialsSecret",
            is_absent: |state| state.password.is_some() && state.credentials_secret.is_none(),
            remove: |state| state.credentials_secret = None,
        }),
        trace: None,
    }
    /// Of the Service.
    Service as service {
        kind: Kind::Service,
        name: |_, name| name.to_owned(),
        wanted: ValidatedCluster::has_service,
        render: manifest::service,
        stage: Stage::BeforeHosts,
        whose: Whose::Marked,
        awaited: Await::Address,
        leaves: Leaves::First,
        vital: &["/spec/selector", "/spec/ports"],
        output: Some(Output {
            path: "endpoints",
            is_absent: |state| state.endpoints.is_none(),
            remove: |state| (state.endpoints, state.connection, state.external) = (None, None, None),
        }),
        trace: None,
    }
    /// Of the Certificate of cert-manager.
    Certificate as certificate {
        kind: Kind::Certificate,
        name: |_, name| names::certificate(name),
        wanted: |cluster| cluster.tls.issuer().is_some(),
        render: manifest::certificate,
        trace: Some(has_certificate),
        ..BESIDE_HOSTS
    }
    /// Of the NetworkPolicy of the hosts.
    HostPolicy as host_policy {
        kind: Kind::NetworkPolicy,
        wanted: |cluster| cluster.network_policy.peers().is_some(),
        render: manifest::host_policy,
        ..BESIDE_HOSTS
    }
    /// Of the NetworkPolicy of the Keeper.
    KeeperPolicy as keeper_policy {
        kind: Kind::NetworkPolicy,
        name: |_, name| names::keeper_policy(name),
        wanted: |cluster| cluster.network_policy.peers().is_some() && cluster.keeper().is_some(),
        render: manifest::keeper_policy,
        ..BESIDE_HOSTS
    }
    /// Of the PodMonitor.
    PodMonitor as pod_monitor {
        kind: Kind::PodMonitor,
        wanted: |cluster| cluster.monitoring.pod_monitor.is_some(),
        render: manifest::pod_monitor,
        ..BESIDE_HOSTS
    }
    /// Of the Service of the metrics.
    MetricsService as metrics_service {
        kind: Kind::Service,
        name: |_, name| names::metrics(name),
        wanted: |cluster| cluster.monitoring.service_monitor.is_some(),
        render: manifest::metrics_service,
        vital: &["/metadata/labels", "/spec/selector", "/spec/ports"],
        ..BESIDE_HOSTS
    }
    /// Of the ServiceMonitor.
    ServiceMonitor as service_monitor {
        kind: Kind::ServiceMonitor,
        wanted: |cluster| cluster.monitoring.service_monitor.is_some(),
        render: manifest::service_monitor,
        ..BESIDE_HOSTS
    }
    /// Of the PrometheusRule.
    Rules as rules {
        kind: Kind::PrometheusRule,
        wanted: |cluster| cluster.monitoring.rules.is_some(),
        render: manifest::rules,
        ..BESIDE_HOSTS
    }
    /// Of the ConfigMap with the dashboard.
    Dashboard as dashboard {
        kind: Kind::ConfigMap,
        name: |_, name| names::dashboard(name),
        wanted: |cluster| cluster.monitoring.dashboard.is_some(),
        render: manifest::dashboard,
        vital: &["/data"],
        ..BESIDE_HOSTS
    }
    /// Of the ClickHouseKeeperInstallation.
    Keeper as keeper {
        kind: Kind::KeeperInstallation,
        name: |_, name| name.to_owned(),
        wanted: |cluster| cluster.keeper().is_some(),
        render: manifest::keeper,
        stage: Stage::BeforeHosts,
        whose: Whose::Labelled,
        awaited: Await::Members,
        leaves: Leaves::AfterHosts,
        vital: &[],
        output: Some(Output {
            path: "keeper",
            is_absent: |state| state.keeper.is_none(),
            remove: |state| state.keeper = None,
        }),
        trace: None,
    }
    /// Of the ClickHouseInstallation.
    Installation as installation {
        kind: Kind::Installation,
        name: |_, name| name.to_owned(),
        wanted: |_| true,
        render: manifest::installation,
        stage: Stage::Hosts,
        whose: Whose::Labelled,
        awaited: Await::Hosts,
        leaves: Leaves::Hosts,
        vital: &[],
        output: None,
        trace: None,
    }
    /// Of the CronJob that makes backups.
    Backup as backup {
        kind: Kind::CronJob,
        name: |_, name| names::backup(name),
        wanted: |cluster| cluster.backup.plan.is_some(),
        render: manifest::backup,
        stage: Stage::AfterHosts,
        whose: Whose::Marked,
        awaited: Await::Nothing,
        leaves: Leaves::First,
        vital: &["/spec/concurrencyPolicy", "/spec/jobTemplate"],
        output: None,
        trace: Some(has_backup_container),
    }
    #[cfg(test)]
    /// Of an object that a program of a test asks for by an annotation.
    Quota as quota {
        kind: Kind::ResourceQuota,
        name: |_, name| format!("{name}-quota"),
        wanted: |cluster| cluster.naming.annotations.contains_key(super::tests::objects::PODS),
        render: super::tests::objects::quota,
        trace: None,
        ..BESIDE_HOSTS
    }
}

/// Of what an installation does not tell: it is looked for where a program asks for it, or a state knows of it.
fn leaves_no_trace(_installation: &Value) -> bool {
    false
}

/// Objects as far as there are any.
pub(super) type Objects = PerPart<Option<Value>>;

impl Part {
    /// Its row.
    pub(super) fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }
}

impl Row {
    /// The object, of a cluster of this name.
    pub(super) fn object(&self, namespace: &str, name: &str) -> ObjectRef {
        ObjectRef::new(self.kind, namespace, (self.name)(namespace, name))
    }

    /// Whether a cluster is to have it.
    pub(super) fn is_wanted(&self, cluster: &ValidatedCluster) -> bool {
        (self.wanted)(cluster)
    }

    /// Whether nothing but an installation tells that a cluster may have it.
    pub(super) fn is_traced(&self) -> bool {
        self.trace.is_some()
    }

    /// Whether the cluster of an installation may have it.
    pub(super) fn may_be_of(&self, installation: &Value) -> bool {
        self.trace.is_none_or(|tells| tells(installation))
    }

    /// Whether it is the cluster's alone, so that it goes when the cluster is not to have it any more, and
    /// nobody else's may be in its place.
    pub(super) fn is_own(&self) -> bool {
        self.whose != Whose::Anybodys
    }

    /// Its manifest, where the cluster is to have it.
    pub(super) fn manifest(&self, source: &mut Source<'_>) -> Option<Value> {
        self.is_wanted(source.cluster).then(|| (self.render)(source))
    }

    /// Whether a live object lost something of `written` that no input speaks of, or has it otherwise. What
    /// others have added is theirs.
    pub(super) fn is_damaged(&self, written: &Value, live: &Value) -> bool {
        let is_whole = |path| {
            written
                .pointer(path)
                .is_none_or(|written| live.pointer(path).is_some_and(|live| contains(live, written)))
        };
        !self.vital.iter().copied().all(is_whole)
    }

    /// The output that is absent while the object is missing.
    pub(super) fn output(&self) -> String {
        self.output.as_ref().map_or_else(|| self.uid_path(), |output| output.path.to_owned())
    }

    /// Whether the outputs say that it is missing.
    pub(super) fn is_missing(&self, state: &ClusterState) -> bool {
        self.output
            .as_ref()
            .map_or_else(|| state.uids[self.part].is_none(), |output| (output.is_absent)(state))
    }

    /// Has the outputs say so.
    pub(super) fn report_missing(&self, state: &mut ClusterState) {
        match &self.output {
            Some(output) => (output.remove)(state),
            None => state.uids[self.part] = None,
        }
    }

    /// The path of its unique id among the outputs.
    pub(super) fn uid_path(&self) -> String {
        format!("uids.{}", self.field)
    }
}

fn contains(live: &Value, written: &Value) -> bool {
    match (live, written) {
        (Value::Object(live), Value::Object(written)) => {
            written.iter().all(|(key, written)| live.get(key).is_some_and(|live| contains(live, written)))
        }
        (Value::Array(live), Value::Array(written)) => {
            written.iter().all(|written| live.iter().any(|live| contains(live, written)))
        }
        (live, written) => live == written,
    }
}

/// The rows in the order in which their objects are deleted.
pub(super) fn leaving() -> impl Iterator<Item = &'static Row> {
    let mut rows: Vec<&Row> = TABLE.iter().collect();
    rows.sort_by_key(|row| row.leaves);
    rows.into_iter()
}
