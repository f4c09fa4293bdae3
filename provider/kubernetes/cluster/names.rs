//! Every name that a cluster's objects have, from the cluster's own. The operator's patterns are those of its 0.25.

use sha2::{Digest, Sha256};

use crate::resource::Urn;

/// At most as many characters have `name` and `clusterName` together: the operator's longest derived label value,
/// `chi-<name>-<clusterName>-S-R` and a revision hash, must fit into 63 with two-digit shards and replicas.
pub(super) const NAME_BUDGET: usize = 40;
/// At most as many characters the operator takes for a cluster name.
pub(super) const CLUSTER_NAME_LENGTH: usize = 15;
/// The default `clusterName`.
pub(super) const DEFAULT_CLUSTER_NAME: &str = "cluster";

const AUTONAME_DIGITS: usize = 7;

/// The name of a cluster that the program gives none: its resource's name, made fit for Kubernetes and cut to `budget`, and
/// 7 hex digits that depend on the URN alone. So the preview tells the name that `up` will use, and a create that was
/// interrupted finds what it had made.
pub(super) fn autoname(urn: &Urn, budget: usize) -> String {
    let fit = fit(urn.name());
    let room = budget.saturating_sub(AUTONAME_DIGITS + 1).min(fit.len());
    let stem = fit[..room].trim_end_matches('-');
    let stem = if stem.is_empty() { "clickhouse" } else { stem };
    let digest = Sha256::digest(urn.0.as_bytes());
    let digits = digest.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    format!("{stem}-{}", &digits[..AUTONAME_DIGITS])
}

/// `text` in lower case, with `-` for what Kubernetes names can't have, beginning with a letter.
pub(super) fn fit(text: &str) -> String {
    let mapped: String = text.to_lowercase().chars().map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' }).collect();
    mapped.trim_start_matches(|c: char| !c.is_ascii_lowercase()).trim_end_matches('-').to_owned()
}

/// The Secret with the login.
pub(super) fn credentials_secret(name: &str) -> String {
    format!("{name}-credentials")
}

/// A Keeper's StatefulSet and Service.
pub(super) fn keeper_host(name: &str, cluster: &str, replica: u32) -> String {
    format!("chk-{name}-{cluster}-0-{replica}")
}

/// The only pod of a StatefulSet.
pub(super) fn pod(stateful_set: &str) -> String {
    format!("{stateful_set}-0")
}

/// The Service of a Keeper as a whole.
pub(super) fn keeper_service(name: &str) -> String {
    format!("keeper-{name}")
}

/// The Service that the operator makes for a whole installation.
pub(super) fn operator_service(name: &str) -> String {
    format!("clickhouse-{name}")
}

/// The DNS name of a Service.
pub(super) fn fqdn(service: &str, namespace: &str, domain: &str) -> String {
    format!("{service}.{namespace}.svc.{domain}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urn(name: &str) -> Urn {
        Urn(format!("urn:pulumi:dev::shop::clickhouse:kubernetes:Cluster::{name}"))
    }

    #[test]
    fn autoname_is_the_same_every_time_and_differs_between_stacks() {
        let name = autoname(&urn("db"), 33);
        assert_eq!(name, autoname(&urn("db"), 33));
        assert!(name.starts_with("db-") && name.len() == 10, "{name}");
        assert_ne!(name, autoname(&Urn("urn:pulumi:prod::shop::clickhouse:kubernetes:Cluster::db".into()), 33));
    }

    #[test]
    fn autoname_is_fit_for_kubernetes_and_within_the_budget() {
        for name in ["My_Data Base", "9lives", "___", "a-very-long-resource-name-that-goes-on-and-on", "über"] {
            let made = autoname(&urn(name), 25);
            assert!(made.len() <= 25 && made.starts_with(|c: char| c.is_ascii_lowercase()), "{made}");
            assert!(made.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-') && !made.contains("--"), "{made}");
        }
    }
}
