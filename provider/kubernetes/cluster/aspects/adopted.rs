//! A cluster that somebody else made: how its objects are written. Nothing is written into them but what inputs say, in the templates that
//! are there.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::shape::{Claim, Holds, Installation, Shape};
use super::draft::yes_no;
use super::read::{Live, container, text};
use super::storage::{Provisioner, ReclaimPolicy};
use crate::kubernetes::observe;

/// How the installation of an adopted cluster is written. Recorded with its inputs when it is adopted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Adopted {
    /// The template of the hosts' pods.
    pub(super) pod: Template,
    /// The name of the ClickHouse container in it.
    pub(super) container: Option<String>,
    /// The template of the data volumes.
    pub(super) data: ClaimStyle,
    /// The template of the log volumes.
    pub(super) logs: ClaimStyle,
    /// How many shards and replicas there are, where the layout is written out host by host.
    pub(super) explicit_layout: Option<(u32, u32)>,
    /// Fields that say what is the operator's default anyway.
    pub(super) stated: BTreeSet<String>,
    /// The words in which fields say yes or no: the operator knows many.
    pub(super) words: BTreeMap<String, String>,
}

/// Which of the templates of a kind the hosts use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Template {
    /// None.
    #[default]
    None,
    /// All of them this one.
    One(String),
    /// Not all the same.
    Several,
}

/// How a volume claim template is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ClaimStyle {
    pub(super) template: Template,
    /// What holds where the template says nothing.
    pub(super) policy: ReclaimPolicy,
    /// What holds where the template says nothing.
    pub(super) provisioner: Provisioner,
    /// What the template says though it would hold anyway.
    pub(super) stated: BTreeSet<String>,
}

impl Default for ClaimStyle {
    fn default() -> Self {
        Self { template: Template::None, policy: ReclaimPolicy::Delete, provisioner: Provisioner::StatefulSet, stated: BTreeSet::new() }
    }
}

impl Template {
    fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let names: BTreeSet<_> = names.into_iter().collect();
        match names.len() {
            0 => Self::None,
            1 => names.first().filter(|name| !name.is_empty()).map_or(Self::None, |name| Self::One((*name).to_owned())),
            _ => Self::Several,
        }
    }

    /// Its name, where there is one.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::One(name) => Some(name),
            Self::None | Self::Several => None,
        }
    }
}

impl Adopted {
    /// How a live installation is written.
    pub(in super::super) fn of(live: &Live) -> Self {
        let spec = live.spec();
        let Shape { clickhouse, .. } = Shape::of(&live.installation, None);
        let pod = Template::of(clickhouse.pod_template_names());
        let template = pod.name().and_then(|name| named(&spec["templates"]["podTemplates"], name));
        let container = template.and_then(|template| text(&container(template, "clickhouse")["name"]));
        let words = ["stop", "suspend"].into_iter().filter_map(|field| Some((field.to_owned(), text(&spec[field])?)));
        let words = words.filter(|(_, word)| observe::yes_or_no(word).is_some()).collect();
        let layout = &live.cluster()["layout"];
        let counts = ["shardsCount", "replicasCount"].into_iter().filter(|field| layout.get(*field).is_some());
        let has_list = |field: &str| layout[field].as_array().is_some_and(|list| !list.is_empty());
        // Without a name it can't be told from another in a list.
        let is_nameless = live.cluster().is_object() && live.cluster().get("name").is_none();
        let is_explicit = is_nameless || has_list("shards") || has_list("replicas");
        let of_first = || clickhouse.hosts.iter().filter(|host| host.cluster == live.cluster_name());
        let most = |index: fn(&super::super::shape::Host) -> u32| of_first().map(|host| index(host) + 1).max().unwrap_or(1);
        Self {
            // One that is named and not there comes from elsewhere, and can't be written into.
            pod: if template.is_none() && pod != Template::None { Template::Several } else { pod },
            container,
            data: ClaimStyle::of(spec, &clickhouse, Holds::Data),
            logs: ClaimStyle::of(spec, &clickhouse, Holds::Logs),
            explicit_layout: is_explicit.then(|| (most(|host| host.shard), most(|host| host.replica))),
            stated: counts.map(str::to_owned).collect(),
            words,
        }
    }

    /// How a field is to say yes or no; `None` where it need not.
    pub(super) fn word(&self, field: &str, says_yes: bool) -> Option<&str> {
        match self.words.get(field) {
            Some(word) if observe::yes_or_no(word) == Some(says_yes) => Some(word),
            known => (says_yes || known.is_some()).then_some(yes_no(says_yes)),
        }
    }

    /// Whether a field is to be written though it says what is the default.
    pub(super) fn states(&self, field: &str) -> bool {
        self.stated.contains(field)
    }
}

impl ClaimStyle {
    fn of(spec: &Value, clickhouse: &Installation, holds: Holds) -> Self {
        let claims: Vec<&Claim> = clickhouse.claims.values().filter(|claim| claim.holds == holds).collect();
        let management = &spec["defaults"]["storageManagement"];
        let said = |field: &str| management[field].clone();
        let default = Self::default();
        let mut template = Template::of(claims.iter().map(|claim| claim.template.as_str()));
        // Not every host has one.
        if claims.len() != clickhouse.hosts.len() && template != Template::None {
            template = Template::Several;
        }
        let found = template.name().and_then(|name| named(&spec["templates"]["volumeClaimTemplates"], name));
        let stated = found.map(|found| {
            let own = ["reclaimPolicy", "provisioner"].into_iter().filter(|field| found.get(*field).is_some());
            own.chain(found["spec"].get("accessModes").map(|_| "accessModes")).map(str::to_owned).collect()
        });
        Self {
            template,
            policy: serde_json::from_value(said("reclaimPolicy")).unwrap_or(default.policy),
            provisioner: serde_json::from_value(said("provisioner")).unwrap_or(default.provisioner),
            stated: stated.unwrap_or_default(),
        }
    }
}

/// The template called `name`.
pub(super) fn named<'a>(templates: &'a Value, name: &str) -> Option<&'a Value> {
    templates.as_array()?.iter().find(|template| template["name"] == name)
}
