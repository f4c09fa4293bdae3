//! A cluster that somebody else made: how its objects are written. Nothing is written into them but what
//! inputs say, in the templates that are there.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::shape::{Claim, Holds, Host, Installation, Shape};
use super::draft::{POD, yes_no};
use super::kept::Kept;
use super::read::{Live, container, text};
use super::storage::{DATA, LOGS, Provisioner, ReclaimPolicy};
use super::{access, image, layout};
use crate::kubernetes::observe::is_yes;

/// How the installation of an adopted cluster is written. Recorded with its inputs when it is adopted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Adopted {
    /// The template of the hosts' pods.
    pub(super) pod: Template,
    /// The name of the ClickHouse container in it; `None` where it has no container.
    pub(super) container: Option<String>,
    /// The container's image, where inputs don't say all of it.
    pub(super) image: Option<String>,
    /// The template of the data volumes.
    pub(super) data: ClaimStyle,
    /// The template of the log volumes.
    pub(super) logs: ClaimStyle,
    /// Names for new templates where the usual ones are taken.
    pub(super) instead: BTreeMap<String, String>,
    /// How many shards there are, where they are written out one by one.
    pub(super) shards: Option<u32>,
    /// How many replicas there are, where they are written out one by one.
    pub(super) replicas: Option<u32>,
    /// Whether the cluster has no name.
    pub(super) is_nameless: bool,
    /// Fields that say what is the operator's default anyway.
    pub(super) stated: BTreeSet<String>,
    /// The words in which fields say yes or no: the operator knows many.
    pub(super) words: BTreeMap<String, Value>,
    /// From where users may log in, by the field's key, where it is not written as inputs write it.
    pub(super) networks: BTreeMap<String, Value>,
    /// What properties can't carry.
    pub(super) kept: Kept,
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
        Self {
            template: Template::None,
            policy: ReclaimPolicy::Delete,
            provisioner: Provisioner::StatefulSet,
            stated: BTreeSet::new(),
        }
    }
}

impl Template {
    fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let names: BTreeSet<_> = names.into_iter().collect();
        match names.len() {
            0 => Self::None,
            1 => names
                .first()
                .filter(|name| !name.is_empty())
                .map_or(Self::None, |name| Self::One((*name).to_owned())),
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
    /// How a live installation is written. Of several clusters the first one's hosts count.
    pub(in super::super) fn of(live: &Live) -> Self {
        let spec = live.spec();
        let Shape { clickhouse, .. } = Shape::of(&live.installation, None);
        let hosts: Vec<&Host> =
            clickhouse.hosts.iter().filter(|host| host.cluster == live.cluster_name()).collect();
        let pod = Template::of(hosts.iter().map(|host| host.pod_template.as_str()));
        let templates = &spec["templates"];
        let template = pod.name().and_then(|name| named(&templates["podTemplates"], name));
        let container = template.map_or(&Value::Null, |template| container(template, "clickhouse"));
        let words = ["stop", "suspend", "troubleshoot"]
            .into_iter()
            .filter_map(|field| Some((field.to_owned(), spec.get(field)?.clone())));
        let counts = &live.cluster()["layout"];
        let stated =
            ["shardsCount", "replicasCount"].into_iter().filter(|field| counts.get(*field).is_some());
        let is_taken = |(list, name): &(&str, &str)| named(&templates[*list], name).is_some();
        let usual = [("podTemplates", POD), ("volumeClaimTemplates", DATA), ("volumeClaimTemplates", LOGS)]
            .into_iter()
            .filter(is_taken);
        let instead = usual.filter_map(|(list, name)| {
            let other = (2..u32::MAX)
                .map(|number| format!("{name}-{number}"))
                .find(|other| named(&templates[list], other).is_none())?;
            Some((name.to_owned(), other))
        });
        let (shards, replicas) = layout::written_out(counts, &hosts);
        Self {
            // One that is named and not there comes from elsewhere, and can't be written into.
            pod: if template.is_none() && pod != Template::None { Template::Several } else { pod },
            image: image::unsaid(container),
            container: text(&container["name"]),
            data: ClaimStyle::of(spec, &clickhouse, &hosts, Holds::Data),
            logs: ClaimStyle::of(spec, &clickhouse, &hosts, Holds::Logs),
            instead: instead.collect(),
            shards,
            replicas,
            is_nameless: live.cluster().is_object() && live.cluster().get("name").is_none(),
            stated: stated.map(str::to_owned).collect(),
            words: words.collect(),
            networks: access::odd_networks(&spec["configuration"]["users"]),
            kept: Kept::default(),
        }
    }

    /// How a field is to say yes or no; `None` where it need not.
    pub(super) fn word(&self, field: &str, says_yes: bool) -> Option<Value> {
        match self.words.get(field) {
            Some(word) if is_yes(word) == says_yes => Some(word.clone()),
            Some(Value::Bool(_)) => Some(json!(says_yes)),
            known => (says_yes || known.is_some()).then(|| json!(yes_no(says_yes))),
        }
    }

    /// Whether a field is to be written though it says what is the default.
    pub(super) fn states(&self, field: &str) -> bool {
        self.stated.contains(field)
    }

    /// What a new template is called whose usual name is `name`.
    pub(super) fn new_name<'a>(&'a self, name: &'a str) -> &'a str {
        self.instead.get(name).map_or(name, String::as_str)
    }

    /// Finishes a `spec` over which the overrides `said` were laid: what is new in a list comes last, and
    /// what properties can't carry is put back.
    pub(in super::super) fn finish(&self, spec: &mut Value, said: &Value) {
        let known = [self.pod.name(), self.data.template.name(), self.logs.template.name()];
        for list in ["podTemplates", "volumeClaimTemplates"] {
            let is_new = |template: &Value| {
                let name = template["name"].as_str();
                !known.contains(&name)
                    && name.is_none_or(|name| named(&said["templates"][list], name).is_none())
            };
            if let Some(templates) =
                spec.pointer_mut(&format!("/templates/{list}")).and_then(Value::as_array_mut)
            {
                templates.sort_by_key(is_new);
            }
        }
        self.kept.restore(spec);
    }
}

impl ClaimStyle {
    fn of(spec: &Value, clickhouse: &Installation, hosts: &[&Host], holds: Holds) -> Self {
        let is_of = |claim: &&Claim| claim.holds == holds && hosts.iter().any(|host| host.name == claim.host);
        let management = &spec["defaults"]["storageManagement"];
        let said = |field: &str| management[field].clone();
        let default = Self::default();
        let template =
            Template::of(clickhouse.claims.values().filter(is_of).map(|claim| claim.template.as_str()));
        let found = template.name().and_then(|name| named(&spec["templates"]["volumeClaimTemplates"], name));
        let stated = found.map(|found| {
            let own =
                ["reclaimPolicy", "provisioner"].into_iter().filter(|field| found.get(*field).is_some());
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
