//! Checking inputs: everything that is wrong is found at once. What several aspects ask of their values.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::Value;

use super::super::names;
use super::adopted::Template;
use super::{Adopted, ClusterArgs, SecretKey};
use crate::kubernetes::meta::MANAGED_BY;
use crate::kubernetes::quantity;
use crate::property::path::{PropertyPath, Segment};
use crate::resource::{CheckFailure, Known};

/// The smallest volume, and the least memory, in bytes: less is a forgotten unit.
const LEAST_BYTES: i128 = 1 << 20;

/// The inputs with their defaults, and what is wrong with them.
pub(in super::super) struct Checker<'a> {
    known: &'a Known<ClusterArgs>,
    failures: Vec<CheckFailure>,
    /// Whether more is asked of what is new to the cluster than of what it has.
    asks_of_new: bool,
    /// The inputs of the last run.
    old: Option<&'a ClusterArgs>,
    /// What is only wrong where it is new.
    new_failures: Vec<CheckFailure>,
}

impl<'a> Checker<'a> {
    /// Nothing is found yet. What is unknown is neither checked nor guessed at.
    pub(in super::super) fn new(known: &'a Known<ClusterArgs>) -> Self {
        Self { known, failures: Vec::new(), asks_of_new: false, old: None, new_failures: Vec::new() }
    }

    /// The same for a program: more is asked of what is new to the cluster than of what it has already in the
    /// same place.
    pub(in super::super) fn of_program(known: &'a Known<ClusterArgs>, old: Option<&'a ClusterArgs>) -> Self {
        Self { asks_of_new: true, old, ..Self::new(known) }
    }

    /// What is wrong, the first thing of each property.
    pub(in super::super) fn into_failures(self) -> Vec<CheckFailure> {
        let Self { known, mut failures, asks_of_new: _, old, new_failures } = self;
        if new_failures.is_empty() {
            return failures;
        }
        let (old, new) =
            (old.and_then(|old| serde_json::to_value(old).ok()), serde_json::to_value(&known.value));
        let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
        for failure in new_failures {
            let there = at(&old, &failure.path);
            let is_new = there.is_none() || there != at(&new, &failure.path);
            if is_new && !failures.iter().any(|other| other.path == failure.path) {
                failures.push(failure);
            }
        }
        failures
    }

    /// Whether the cluster has an input of the last run that `is_there`.
    pub(super) fn had(&self, is_there: impl Fn(&ClusterArgs) -> bool) -> bool {
        self.old.is_some_and(is_there)
    }

    /// Of a value that a cluster may have, but not get.
    pub(super) fn fail_newly(&mut self, path: PropertyPath, reason: impl Into<String>) {
        if self.asks_of_new && !self.known.is_unknown(&path) {
            self.new_failures.push(CheckFailure { path, reason: reason.into() });
        }
    }

    /// The inputs.
    pub(super) fn args(&self) -> &'a ClusterArgs {
        &self.known.value
    }

    /// How the cluster's objects are written, where somebody else made it.
    pub(super) fn adopted(&self) -> Option<&'a Adopted> {
        self.known.value.adopted()
    }

    pub(super) fn fail(&mut self, path: &str, reason: impl Into<String>) {
        self.fail_at(PropertyPath::from(path), reason);
    }

    pub(super) fn fail_at(&mut self, path: PropertyPath, reason: impl Into<String>) {
        if !self.known.is_unknown(&path) {
            self.fail_certainly(path, reason);
        }
    }

    /// Of something that is wrong whatever is not known of its parts.
    pub(super) fn fail_certainly(&mut self, path: impl Into<PropertyPath>, reason: impl Into<String>) {
        self.failures.push(CheckFailure { path: path.into(), reason: reason.into() });
    }

    pub(super) fn is_unknown(&self, path: &str) -> bool {
        self.is_unknown_at(&PropertyPath::from(path))
    }

    pub(super) fn is_unknown_at(&self, path: &PropertyPath) -> bool {
        self.known.is_unknown(path)
    }

    /// Refuses an input of the hosts' pods where these come from several templates of somebody else's.
    pub(super) fn is_for_one_pod_template(&mut self, path: &str, is_given: bool) {
        if is_given && self.adopted().is_some_and(|adopted| adopted.pod == Template::Several) {
            let reason = "the hosts' pods don't come from one template of this installation: set it in \
                `chiOverrides.templates.podTemplates`";
            self.fail(path, reason);
        }
    }

    /// Refuses an input of volumes that come from several templates of somebody else's.
    pub(super) fn is_for_one_claim_template(&mut self, path: &str, template: &Template, is_given: bool) {
        if is_given && *template == Template::Several {
            let reason = "not all hosts have the same volumes: set it in \
                `chiOverrides.templates.volumeClaimTemplates`";
            self.fail(path, reason);
        }
    }

    pub(super) fn quantity(&mut self, path: &str, text: Option<&String>) {
        let Some(text) = text else { return };
        match quantity::nanos(text) {
            None => {
                self.fail(
                    path,
                    format!(
                        "`{text}` is not a quantity: write for example `500m`, `2`, `4Gi`; Kubernetes \
                        knows less than `8Ei`"
                    ),
                );
            }
            Some(value) if value <= 0 => self.fail(path, format!("`{text}` must be more than 0")),
            Some(_) => {}
        }
    }

    /// A size of a volume or of memory.
    pub(super) fn bytes(&mut self, path: &str, text: Option<&String>) {
        self.quantity(path, text);
        let Some(text) = text else { return };
        if quantity::nanos(text).is_some_and(|nanos| nanos > 0 && nanos < LEAST_BYTES * quantity::NANOS) {
            let reason = format!("`{text}` is less than `1Mi`: is a unit missing? write for example `4Gi`");
            self.fail_newly(path.into(), reason);
        }
    }

    pub(super) fn dns_name(&mut self, path: &str, name: Option<&str>) {
        if let Some(problem) = name.and_then(dns_problem) {
            self.fail(path, problem);
        }
    }

    /// The name and the key of a Secret's entry.
    pub(super) fn secret_key(
        &mut self,
        path: &str,
        given: &SecretKey,
        default_key: &str,
    ) -> (String, String) {
        self.secret_key_at(&path.into(), given, default_key)
    }

    /// The same of an entry that stands below names of the user's own.
    pub(super) fn secret_key_at(
        &mut self,
        path: &PropertyPath,
        given: &SecretKey,
        default_key: &str,
    ) -> (String, String) {
        let name = given.name.clone().unwrap_or_default();
        if let Some(problem) = dns_problem(&name) {
            self.fail_at(path.key("name"), problem);
        }
        let key = given.key.clone().unwrap_or_else(|| default_key.to_owned());
        self.key_of_secret(&path.key("key"), &key);
        (name, key)
    }

    /// A key of a Secret.
    pub(super) fn key_of_secret(&mut self, path: &PropertyPath, key: &str) {
        if key.is_empty() || !key.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
            self.fail_at(
                path.clone(),
                format!("`{key}` is not a valid key of a Secret: use letters, digits, `-`, `_` and `.`"),
            );
        }
    }

    pub(super) fn ranges(&mut self, path: &str, ranges: &[String]) {
        for (index, range) in ranges.iter().enumerate() {
            if !is_range(range) {
                let reason = format!("`{range}` is not an address range: write for example `10.0.0.0/8`");
                self.fail_at(PropertyPath::from(path).index(index), reason);
            }
        }
    }

    pub(super) fn labels(&mut self, path: &str, labels: Option<&BTreeMap<String, String>>) {
        for (key, value) in labels.into_iter().flatten() {
            self.metadata_key(path, key);
            let sound = value.len() <= 63 && (value.is_empty() || is_qualified_part(value));
            if !sound {
                let reason = format!(
                    "`{value}` is not a valid label value: at most 63 letters, digits, `-`, `_` and `.`, \
                        beginning and ending with a letter or digit"
                );
                self.fail_at(PropertyPath::from(path).key(key), reason);
            }
        }
    }

    pub(super) fn annotations(&mut self, path: &str, annotations: Option<&BTreeMap<String, String>>) {
        for key in annotations.into_iter().flat_map(BTreeMap::keys) {
            self.metadata_key(path, key);
        }
    }

    fn metadata_key(&mut self, path: &str, key: &str) {
        let (prefix, part) = key.rsplit_once('/').map_or((None, key), |(prefix, part)| (Some(prefix), part));
        let sound = part.len() <= 63
            && is_qualified_part(part)
            && prefix.is_none_or(|prefix| dns_problem(prefix).is_none());
        let is_operators = |prefix: &str| {
            prefix.ends_with("clickhouse.altinity.com") || prefix.ends_with("clickhouse-keeper.altinity.com")
        };
        let path = PropertyPath::from(path).key(key);
        if key == MANAGED_BY || key.starts_with("pulumi-clickhouse/") {
            let reason = format!("`{key}` is reserved for this provider: choose another key");
            self.fail_newly(path.clone(), reason);
        }
        if !sound {
            self.fail_at(
                path,
                format!(
                    "`{key}` is not a valid key: letters, digits, `-`, `_` and `.`, after a DNS name and \
                    `/` where wanted"
                ),
            );
        } else if prefix.is_some_and(is_operators) {
            self.fail_at(
                path,
                format!(
                    "`{key}` is reserved for the operator, which would take the object \
                for its own and delete it"
                ),
            );
        }
    }
}

fn at<'a>(value: &'a Value, path: &PropertyPath) -> Option<&'a Value> {
    path.segments().iter().try_fold(value, |value, segment| match segment {
        Segment::Key(key) => value.get(key),
        Segment::Index(index) => value.get(index),
    })
}

/// Why `name` is not a valid name for the operator, or `None`.
pub(super) fn name_problem(name: &str, longest: usize) -> Option<String> {
    if name.len() > longest {
        return Some(format!(
            "`{name}` has {} characters, at most {longest} are allowed: shorten it",
            name.len()
        ));
    }
    let sound = name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    (!sound).then(|| {
        let fit = names::fit(name);
        let remedy = if fit.is_empty() { String::new() } else { format!(", for example `{fit}`") };
        format!(
            "`{name}` is not a valid name: use lower-case letters, digits and `-`, beginning with a letter \
                and ending with a letter or digit{remedy}"
        )
    })
}

/// Why `label` is not a DNS label, or `None`.
pub(super) fn label_problem(label: &str) -> Option<String> {
    const LONGEST: usize = 63;
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let sound = label.len() <= LONGEST
        && edge(label.chars().next())
        && edge(label.chars().last())
        && label.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    (!sound).then(|| {
        format!(
            "`{label}` is not a valid name: at most {LONGEST} lower-case letters, digits and `-`, \
            beginning and ending with a letter or digit"
        )
    })
}

/// Why `name` is not a DNS name, or `None`.
pub(super) fn dns_problem(name: &str) -> Option<String> {
    let sound = name.len() <= 253 && name.split('.').all(|label| label_problem(label).is_none());
    (!sound).then(|| format!("`{name}` is not a valid DNS name: use lower-case letters, digits, `-` and `.`"))
}

/// Whether `part` is the name part of a label key, or a label value.
fn is_qualified_part(part: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    edge(part.chars().next())
        && edge(part.chars().last())
        && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

/// Whether `text` is an address, or an address and a prefix length.
pub(super) fn is_range(text: &str) -> bool {
    let (address, prefix) =
        text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let longest = if address.is_ipv4() { 32 } else { 128 };
    prefix.is_none_or(|prefix| prefix.parse::<u8>().is_ok_and(|prefix| prefix <= longest))
}
