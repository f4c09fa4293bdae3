//! Which volumes a host has.

use std::collections::BTreeMap;

use serde_json::Value;

use super::layout::{Kind, Names};
use super::{Claim, Existence, Holds, list, named, policy, strings, text};
use crate::kubernetes::cluster::aspects::{Provisioner, ReclaimPolicy};

/// The claims of the host whose StatefulSet is `host` and whose pod comes from `pod`, by name.
pub(super) fn claims(
    kind: &Kind,
    spec: &Value,
    host: &str,
    pod: &Value,
    names: &Names,
) -> Vec<(String, Claim)> {
    let templates = &spec["templates"]["volumeClaimTemplates"];
    let mut held: BTreeMap<&str, Holds> = BTreeMap::new();
    for (name, path) in mounts(kind, pod, names) {
        // A volume of the pod's own goes before a template of the same name.
        if named(templates, name).is_some() && named(&pod["spec"]["volumes"], name).is_none() {
            let holds = match path.trim_end_matches('/') {
                path if path == kind.data_path => Holds::Data,
                path if path == kind.logs_path => Holds::Logs,
                path if path.strip_prefix(kind.data_path).and_then(|rest| rest.strip_prefix('-'))
                    == Some(name) =>
                {
                    Holds::Disk
                }
                _ => Holds::Other,
            };
            held.entry(name).and_modify(|held| *held = holds.min(*held)).or_insert(holds);
        }
    }
    let claim = |(name, holds)| {
        let template = named(templates, name)?;
        let management = &spec["defaults"]["storageManagement"];
        let said = |field: &str| [&template[field], &management[field]];
        let claim = Claim {
            template: name.to_owned(),
            host: host.to_owned(),
            holds,
            size: template["spec"]["resources"]["requests"]["storage"].as_str().map(str::to_owned),
            class: template["spec"]["storageClassName"].as_str().map(str::to_owned),
            access_modes: strings(&template["spec"]["accessModes"]),
            policy: said("reclaimPolicy").into_iter().find_map(policy).unwrap_or(ReclaimPolicy::Delete),
            provisioner: said("provisioner")
                .into_iter()
                .find_map(provisioner)
                .unwrap_or(Provisioner::StatefulSet),
            existence: Existence::Assumed,
        };
        Some((format!("{name}-{host}-0"), claim))
    };
    held.into_iter().filter_map(claim).collect()
}

/// What is mounted where: what the containers say, and the data and log templates in each container that has
/// neither their name nor their path yet.
fn mounts<'a>(kind: &Kind, pod: &'a Value, names: &Names<'a>) -> Vec<(&'a str, &'a str)> {
    let containers = list(&pod["spec"]["containers"]);
    let fixed = [(names.data(), kind.data_path), (names.logs(), kind.logs_path)];
    let mut mounts = Vec::new();
    // Without a container, the operator adds its own; with a log template always one for the logs.
    let of_operator = (containers.is_empty() || !names.logs().is_empty()).then_some(&Value::Null);
    for container in containers.iter().chain(of_operator) {
        let said: Vec<_> = list(&container["volumeMounts"])
            .iter()
            .map(|mount| (text(&mount["name"]), text(&mount["mountPath"])))
            .collect();
        let is_free = |(name, path): &(&str, &str)| {
            !name.is_empty() && said.iter().all(|(other, at)| other != name && at != path)
        };
        mounts.extend(fixed.into_iter().filter(is_free));
        mounts.extend(said);
    }
    mounts
}

fn provisioner(word: &Value) -> Option<Provisioner> {
    serde_json::from_value(word.clone()).ok()
}
