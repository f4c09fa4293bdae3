//! Every name that a cluster's objects have, from the cluster's own. The operator's patterns are those of its
//! 0.25.

use sha2::{Digest, Sha256};

use crate::resource::{Failure, FailureKind, Urn};

/// At most as many characters have `name` and `clusterName` together: the operator's longest derived label
/// value, `chi-<name>-<clusterName>-S-R` and a revision hash, must fit into 63 for each of as many hosts as
/// are supported.
pub(super) const NAME_BUDGET: usize = 40;
/// At most as many characters the operator takes for a cluster name.
pub(super) const CLUSTER_NAME_LENGTH: usize = 15;
/// The default `clusterName`.
pub(super) const DEFAULT_CLUSTER_NAME: &str = "cluster";

const AUTONAME_DIGITS: usize = 7;

/// The name of a cluster that the program gives none: its resource's name, made fit for Kubernetes and cut to
/// `budget`, and 7 hex digits that depend on the URN alone. So the preview tells the name that `up` will use,
/// and a create that was interrupted finds what it had made.
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
    let mapped: String = text
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' })
        .collect();
    mapped.trim_start_matches(|c: char| !c.is_ascii_lowercase()).trim_end_matches('-').to_owned()
}

/// A name cut to `budget` characters in its middle, so that what tells it from others, which is mostly at its
/// end, stays.
pub(super) fn cut(name: &str, budget: usize) -> String {
    if name.len() <= budget {
        return name.to_owned();
    }
    let last = name.rsplit('-').next().unwrap_or_default().len();
    let tail = if last <= budget / 2 { last } else { AUTONAME_DIGITS }.min(budget);
    let head = name[..budget.saturating_sub(tail + 1)].trim_end_matches('-');
    let tail = &name[name.len() - tail..];
    if head.is_empty() { fit(tail) } else { format!("{head}-{tail}") }
}

/// The Secret with the login.
pub(super) fn credentials_secret(name: &str) -> String {
    format!("{name}-credentials")
}

/// The Certificate of cert-manager, and the Secret that it fills.
pub(super) fn certificate(name: &str) -> String {
    format!("{name}-tls")
}

/// The CronJob that makes backups.
pub(super) fn backup(name: &str) -> String {
    format!("{name}-backup")
}

/// The ConfigMap with the dashboard.
pub(super) fn dashboard(name: &str) -> String {
    format!("{name}-dashboard")
}

/// The Service of the hosts' metrics.
pub(super) fn metrics(name: &str) -> String {
    format!("{name}-metrics")
}

/// The NetworkPolicy of the Keeper.
pub(super) fn keeper_policy(name: &str) -> String {
    format!("{name}-keeper")
}

/// The Job that restores a backup.
pub(super) fn restore(name: &str) -> String {
    format!("{name}-restore")
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

/// The DNS name of a Service.
pub(super) fn fqdn(service: &str, namespace: &str, domain: &str) -> String {
    format!("{service}.{namespace}.svc.{domain}")
}

/// Namespace and name of an id: `namespace/name`, or `name` in the default namespace.
pub(super) fn place<S>(
    id: &str,
    default_namespace: impl FnOnce() -> String,
) -> Result<(String, String), Failure<S>> {
    let (namespace, name) = match id.split_once('/') {
        Some((namespace, name)) => (namespace.to_owned(), name),
        None => (default_namespace(), id),
    };
    if namespace.is_empty() || name.is_empty() || name.contains('/') {
        let reason = format!(
            "`{id}` is not a valid id of a cluster: write `namespace/name`, or `name` for the default \
                namespace"
        );
        return Err(Failure::new(FailureKind::Invalid, reason));
    }
    Ok((namespace, name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::cluster::shape::MOST_HOSTS;

    fn urn(name: &str) -> Urn {
        Urn(format!("urn:pulumi:dev::shop::clickhouse:kubernetes:Cluster::{name}"))
    }

    #[test]
    fn autoname_is_the_same_every_time_and_differs_between_stacks() {
        let name = autoname(&urn("db"), 33);
        assert_eq!(name, autoname(&urn("db"), 33));
        assert!(name.starts_with("db-") && name.len() == 10, "{name}");
        assert_ne!(
            name,
            autoname(&Urn("urn:pulumi:prod::shop::clickhouse:kubernetes:Cluster::db".into()), 33)
        );
    }

    #[test]
    fn the_longest_names_fit_into_a_label_for_as_many_hosts_as_are_supported() {
        const REVISION: usize = "-1234567890".len();
        for shards in 1..=999 {
            let replicas = (MOST_HOSTS / shards).min(999);
            let longest = format!("chi-{}-{}-{}", "n".repeat(NAME_BUDGET + 1), shards - 1, replicas - 1);
            assert!(longest.len() + REVISION <= 63, "{shards} shards of {replicas} replicas: {longest}");
        }
    }

    #[test]
    fn a_name_that_is_cut_keeps_its_end() {
        for (name, made) in [
            ("short-1234567", "short-1234567"),
            ("a-very-long-resource-name-1234567", "a-very-long-1234567"),
            ("a-very-long-resource-name-7654321", "a-very-long-7654321"),
            ("averylongresourcenamewithoutdashes", "averylongres-tdashes"),
            ("long-resource---------------name-12", "long-resource-12"),
        ] {
            assert_eq!(cut(name, 20), made, "{name}");
        }
    }

    #[test]
    fn autoname_is_fit_for_kubernetes_and_within_the_budget() {
        for name in ["My_Data Base", "9lives", "___", "a-very-long-resource-name-that-goes-on-and-on", "über"]
        {
            let made = autoname(&urn(name), 25);
            assert!(made.len() <= 25 && made.starts_with(|c: char| c.is_ascii_lowercase()), "{made}");
            assert!(
                made.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
                    && !made.contains("--"),
                "{made}"
            );
        }
    }
}
