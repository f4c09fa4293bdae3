//! Reading live objects back: the words that several aspects share.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::names;
use super::adopted::{Template, named as template};
use super::{Adopted, FreeForm, Kept};
use crate::kubernetes::meta;
use crate::kubernetes::observe::is_yes;

/// The objects of one cluster as they are on the API server.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in super::super) struct Live {
    /// The ClickHouseInstallation.
    pub(in super::super) installation: Value,
    /// The Keeper of the same name, where there is one.
    pub(in super::super) keeper: Option<Value>,
    /// The Service of the same name, where there is one.
    pub(in super::super) service: Option<Value>,
    /// The CronJob of its backups, where there is one.
    pub(in super::super) backup: Option<Value>,
    /// How they are written, where somebody else made them.
    pub(in super::super) adopted: Option<Adopted>,
    /// What is known to be the overrides' of the installation.
    pub(in super::super) overrides: Option<FreeForm>,
}

impl Live {
    /// The objects of a cluster. `known` says how they are written, where that was recorded when somebody
    /// else's cluster was adopted.
    pub(in super::super) fn new(
        installation: Value,
        keeper: Option<Value>,
        service: Option<Value>,
        known: Option<Adopted>,
    ) -> Self {
        let is_ours = meta::is_managed(&installation);
        let mut live = Self { installation, keeper, service, backup: None, adopted: known, overrides: None };
        if live.adopted.is_some() || !is_ours {
            let kept = Kept::take(&mut live.installation["spec"]);
            if live.adopted.is_none() {
                live.adopted = Some(Adopted { kept, ..Adopted::of(&live) });
            }
        }
        live
    }

    /// The installation's `spec`.
    pub(in super::super) fn spec(&self) -> &Value {
        &self.installation["spec"]
    }

    /// The installation's name.
    pub(super) fn name(&self) -> &str {
        self.installation["metadata"]["name"].as_str().unwrap_or_default()
    }

    /// The first cluster of the installation.
    pub(super) fn cluster(&self) -> &Value {
        &self.spec()["configuration"]["clusters"][0]
    }

    /// Its name.
    pub(super) fn cluster_name(&self) -> &str {
        self.cluster()["name"].as_str().unwrap_or(names::DEFAULT_CLUSTER_NAME)
    }

    /// The template of the hosts' pods; null where there is not one for all of them.
    pub(super) fn pod(&self) -> &Value {
        match &self.adopted {
            None => pod(self.spec()),
            Some(Adopted { pod: Template::One(name), .. }) => {
                template(&self.spec()["templates"]["podTemplates"], name).unwrap_or(&Value::Null)
            }
            Some(_) => &Value::Null,
        }
    }

    /// The ClickHouse container in it.
    pub(super) fn container(&self) -> &Value {
        container(self.pod(), "clickhouse")
    }
}

pub(super) fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

pub(super) fn number<N: TryFrom<u64>>(value: &Value) -> Option<N> {
    value.as_u64().and_then(|number| N::try_from(number).ok())
}

/// The operator's many spellings of yes; `None` for no, which is the default.
pub(super) fn yes(value: &Value) -> Option<bool> {
    is_yes(value).then_some(true)
}

/// The template of the pods that a `spec` makes.
pub(super) fn pod(spec: &Value) -> &Value {
    named(&spec["templates"]["podTemplates"], &spec["defaults"]["templates"]["podTemplate"])
}

/// The container called `name`, else the first: as the operator chooses.
pub(super) fn container<'a>(pod: &'a Value, name: &str) -> &'a Value {
    named(&pod["spec"]["containers"], &Value::from(name))
}

/// The element of `templates` that `name` names, else the first.
pub(super) fn named<'a>(templates: &'a Value, name: &Value) -> &'a Value {
    let all = templates.as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter().find(|template| &template["name"] == name).or(all.first()).unwrap_or(&Value::Null)
}

/// Labels or annotations without the provider's own marks, and without what tools keep there of what they
/// applied: whole manifests, passwords and all.
pub(super) fn entries(value: &Value) -> Option<BTreeMap<String, String>> {
    let is_of_a_tool = |key: &str, value: &str| {
        let name = key.rsplit('/').next().unwrap_or(key);
        let is_manifest = value.contains("spec") && value.contains("configuration");
        key.starts_with("kubectl.kubernetes.io/")
            || name.starts_with("last-applied")
            || ["original", "applied"].contains(&name)
            || is_manifest
    };
    let kept: BTreeMap<_, _> = value
        .as_object()?
        .iter()
        .filter(|(key, _)| *key != meta::MANAGED_BY && !key.starts_with("pulumi-clickhouse/"))
        .filter_map(|(key, value)| Some((key.clone(), text(value)?)))
        .filter(|(key, value)| !is_of_a_tool(key, value))
        .collect();
    (!kept.is_empty()).then_some(kept)
}
