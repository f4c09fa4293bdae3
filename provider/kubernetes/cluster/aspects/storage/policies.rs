//! Storage policies: which data goes to which disks.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::super::read::text;
use super::super::{Checker, OverridesArgs};
use super::disks::{DEFAULT, Fields, LONGEST, S3Disk};
use super::{DATA, LOGS};
use crate::kubernetes::quantity;
use crate::property::path::PropertyPath;

/// Where the settings describe policies.
pub(super) const POLICIES: &str = "storage_configuration/policies";

/// A storage policy: to which volumes the parts of a table go.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ClusterStoragePolicy")]
pub struct StoragePolicy {
    /// The volumes in their order: new parts go to the first one with room for them. ClickHouse before 24.2
    /// takes them in the order of their names.
    pub volumes: Vec<PolicyVolume>,
    /// Parts move to the next volume as soon as less than this share of a volume is free. Default: 0.1.
    pub move_factor: Option<f64>,
}

/// A volume of a storage policy: one or more disks.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ClusterPolicyVolume")]
pub struct PolicyVolume {
    /// The name, which `ALTER TABLE … MOVE … TO VOLUME` and TTLs use.
    pub name: String,
    /// The names of its disks, of `storage.disks` or `storage.s3Disks`, or `default` for the data volume.
    /// Parts go to them by turns.
    pub disks: Vec<String>,
    /// The largest part that the volume takes, for example `10Gi`. Default: any.
    pub max_data_part_size: Option<String>,
    /// Whether the parts on it are left unmerged, as on slow disks. Default: false.
    pub prefer_not_to_merge: Option<bool>,
}

/// The policies where nobody says any: `jbod` over all volumes of a host, or `tiered` from these to the
/// buckets.
pub(super) fn presets<'a>(
    local: impl Iterator<Item = &'a str>,
    remote: &[S3Disk],
) -> BTreeMap<String, StoragePolicy> {
    let volume = |name: &str, disks: Vec<String>| PolicyVolume {
        name: name.to_owned(),
        disks,
        ..PolicyVolume::default()
    };
    let local: Vec<String> = std::iter::once(DEFAULT).chain(local).map(str::to_owned).collect();
    let (name, volumes) = match (local.len(), remote) {
        (1, []) => return BTreeMap::new(),
        (_, []) => ("jbod", vec![volume("main", local)]),
        (_, remote) => {
            let remote = remote.iter().map(|disk| disk.name.clone()).collect();
            ("tiered", vec![volume("hot", local), volume("cold", remote)])
        }
    };
    BTreeMap::from([(name.to_owned(), StoragePolicy { volumes, move_factor: None })])
}

/// Checks the policies over the disks that are called `disks`.
pub(super) fn check(
    policies: &BTreeMap<String, StoragePolicy>,
    disks: &BTreeSet<String>,
    check: &mut Checker<'_>,
) {
    // Overrides can describe more disks.
    let is_all = check.args().overrides == OverridesArgs::default()
        && !check.is_unknown("storage.disks")
        && !check.is_unknown("storage.s3Disks");
    for (name, StoragePolicy { volumes, move_factor }) in policies {
        let path = PropertyPath::from("storage.policies").key(name);
        if let Some(problem) = element_problem(name) {
            check.fail_at(path.clone(), problem);
        }
        if volumes.is_empty() {
            check.fail_at(path.key("volumes"), "must name at least one volume");
        }
        if move_factor.is_some_and(|factor| !(0.0..=1.0).contains(&factor)) {
            check.fail_at(path.key("moveFactor"), "must be between 0 and 1");
        }
        let (mut used, mut names) = (BTreeSet::new(), BTreeSet::new());
        for (index, volume) in volumes.iter().enumerate() {
            let PolicyVolume { name, disks: of_volume, max_data_part_size, prefer_not_to_merge: _ } = volume;
            let path = path.key("volumes").index(index);
            if let Some(problem) = element_problem(name) {
                check.fail_at(path.key("name"), problem);
            } else if !names.insert(name) {
                check.fail_at(path.key("name"), format!("`{name}` is there twice: choose another name"));
            }
            if of_volume.is_empty() {
                check.fail_at(path.key("disks"), "must name at least one disk, for example `default`");
            }
            for (index, disk) in of_volume.iter().enumerate() {
                let path = path.key("disks").index(index);
                let is_there = disks.contains(disk) && ![DATA, LOGS].contains(&disk.as_str());
                if !used.insert(disk) {
                    let reason = format!("`{disk}` is in this policy already: remove one of them");
                    check.fail_at(path, reason);
                } else if is_all && !is_there {
                    let reason = format!(
                        "there is no disk `{disk}`: name one of `storage.disks` or `storage.s3Disks`, or \
                            `default` for the data volume"
                    );
                    check.fail_newly(path, reason);
                }
            }
            let wrong = max_data_part_size.as_ref().filter(|size| bytes(size).is_none());
            if let Some(size) = wrong {
                let reason = format!("`{size}` is not a size: write for example `10Gi`");
                check.fail_at(path.key("maxDataPartSize"), reason);
            }
        }
    }
}

/// Why `name` can't stand in ClickHouse's configuration, or `None`.
fn element_problem(name: &str) -> Option<String> {
    let sound = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.len() <= LONGEST
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    (!sound).then(|| {
        format!(
            "`{name}` is not a valid name: at most {LONGEST} letters, digits, `_` and `-`, beginning with a \
                letter"
        )
    })
}

impl StoragePolicy {
    pub(super) fn render(&self, name: &str, remote: &[S3Disk], settings: &mut Map<String, Value>) {
        let Self { volumes, move_factor } = self;
        let in_use = |disk: &String| {
            remote.iter().find(|remote| remote.name == *disk).map_or_else(|| disk.clone(), S3Disk::in_use)
        };
        for (index, volume) in volumes.iter().enumerate() {
            let PolicyVolume { name: of_volume, disks, max_data_part_size, prefer_not_to_merge } = volume;
            let mut say = |field: &str, value: Value| {
                settings.insert(format!("{POLICIES}/{name}/volumes/{of_volume}/{field}"), value);
            };
            let disks: Vec<String> = disks.iter().map(in_use).collect();
            match disks.as_slice() {
                [only] => say("disk", json!(only)),
                several => say("disk", json!(several)),
            }
            // The operator sorts what it writes: the order is said.
            if volumes.len() > 1 {
                say("volume_priority", json!((index + 1).to_string()));
            }
            if let Some(size) = max_data_part_size.as_deref().and_then(bytes) {
                say("max_data_part_size_bytes", json!(size.to_string()));
            }
            if *prefer_not_to_merge == Some(true) {
                say("prefer_not_to_merge", json!("1"));
            }
        }
        if let Some(factor) = move_factor {
            settings.insert(format!("{POLICIES}/{name}/move_factor"), json!(factor.to_string()));
        }
    }

    pub(super) fn read(fields: &Fields<'_>, remote: &[S3Disk]) -> Option<Self> {
        let named = |disk: String| {
            remote.iter().find(|remote| remote.in_use() == disk).map_or(disk, |remote| remote.name.clone())
        };
        let mut volumes: BTreeMap<&str, (u32, PolicyVolume)> = BTreeMap::new();
        for (field, value) in fields {
            let Some((volume, field)) = field.strip_prefix("volumes/").and_then(|rest| rest.split_once('/'))
            else {
                continue;
            };
            let (priority, found) = volumes.entry(volume).or_default();
            volume.clone_into(&mut found.name);
            match field {
                "disk" => {
                    let disks = value.as_array().cloned().unwrap_or_else(|| vec![(*value).clone()]);
                    found.disks = disks.iter().filter_map(text).map(named).collect();
                }
                "volume_priority" => *priority = value.as_str()?.parse().ok()?,
                "max_data_part_size_bytes" => found.max_data_part_size = Some(written(value.as_str()?)),
                "prefer_not_to_merge" => found.prefer_not_to_merge = (*value == "1").then_some(true),
                _ => {}
            }
        }
        let mut volumes: Vec<_> = volumes.into_values().collect();
        volumes.sort_by_key(|(priority, _)| *priority);
        let move_factor = fields.get("move_factor").and_then(|factor| factor.as_str()?.parse().ok());
        let volumes: Vec<_> = volumes.into_iter().map(|(_, volume)| volume).collect();
        (!volumes.is_empty()).then_some(Self { volumes, move_factor })
    }
}

/// How many bytes a quantity is.
fn bytes(size: &str) -> Option<i128> {
    quantity::nanos(size).map(|nanos| nanos / quantity::NANOS).filter(|bytes| *bytes > 0)
}

/// A number of bytes in the largest unit that says it exactly.
fn written(bytes: &str) -> String {
    let Ok(number) = bytes.parse::<u128>() else { return bytes.to_owned() };
    let units = [("Ti", 40), ("Gi", 30), ("Mi", 20), ("Ki", 10)];
    let exact = units.iter().find(|(_, power)| number > 0 && number % (1 << power) == 0);
    exact.map_or_else(|| bytes.to_owned(), |(unit, power)| format!("{}{unit}", number >> power))
}
