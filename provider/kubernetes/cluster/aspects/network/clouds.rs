//! By which annotations a cloud is told that a load balancer is for its private network only.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What the first releases set: Google's, Amazon's (two controllers) and Microsoft's.
const FIRST: [(&str, &str); 4] = [
    ("networking.gke.io/load-balancer-type", "Internal"),
    ("service.beta.kubernetes.io/aws-load-balancer-internal", "true"),
    ("service.beta.kubernetes.io/aws-load-balancer-scheme", "internal"),
    ("service.beta.kubernetes.io/azure-load-balancer-internal", "true"),
];
/// Those of Google's older clusters, Oracle's (load balancer, network load balancer), Alibaba's, IBM's and
/// OpenStack's.
const OTHERS: [(&str, &str); 6] = [
    ("cloud.google.com/load-balancer-type", "Internal"),
    ("oci-network-load-balancer.oraclecloud.com/internal", "true"),
    ("service.beta.kubernetes.io/alibaba-cloud-loadbalancer-address-type", "intranet"),
    ("service.beta.kubernetes.io/oci-load-balancer-internal", "true"),
    ("service.beta.kubernetes.io/openstack-internal-load-balancer", "true"),
    ("service.kubernetes.io/ibm-load-balancer-cloud-provider-ip-type", "private"),
];

/// Which clouds are told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::kubernetes::cluster) enum Clouds {
    /// Those that the first releases knew.
    #[default]
    First,
    /// All that are known.
    All,
}

impl Clouds {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it")]
    pub(super) fn is_first(&self) -> bool {
        *self == Self::First
    }

    /// The annotations, each where it does not say anything yet.
    pub(super) fn annotate(self, annotations: &mut BTreeMap<String, String>) {
        let others = OTHERS.into_iter().filter(|_| self == Self::All);
        for (key, value) in FIRST.into_iter().chain(others) {
            annotations.entry(key.to_owned()).or_insert_with(|| value.to_owned());
        }
    }

    /// Takes them out, and says whether they were there.
    pub(super) fn take(annotations: &mut BTreeMap<String, String>) -> bool {
        let is_there = |(key, value): &(&str, &str)| annotations.get(*key).is_some_and(|said| said == value);
        let found = FIRST.iter().all(is_there);
        if found {
            annotations.retain(|key, said| {
                !FIRST.iter().chain(&OTHERS).any(|(known, value)| known == key && value == said)
            });
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cloud_is_told_in_its_own_words_and_read_back() {
        let mut annotations = BTreeMap::from([
            ("mine".to_owned(), "kept".to_owned()),
            ("cloud.google.com/load-balancer-type".to_owned(), "External".to_owned()),
        ]);
        let given = annotations.clone();
        Clouds::All.annotate(&mut annotations);
        for (key, value) in [
            ("cloud.google.com/load-balancer-type", "External"),
            ("networking.gke.io/load-balancer-type", "Internal"),
            ("service.beta.kubernetes.io/aws-load-balancer-scheme", "internal"),
            ("service.beta.kubernetes.io/azure-load-balancer-internal", "true"),
            ("service.beta.kubernetes.io/oci-load-balancer-internal", "true"),
            ("service.beta.kubernetes.io/alibaba-cloud-loadbalancer-address-type", "intranet"),
            ("service.kubernetes.io/ibm-load-balancer-cloud-provider-ip-type", "private"),
        ] {
            assert_eq!(annotations[key], value);
        }
        assert!(Clouds::take(&mut annotations));
        assert_eq!(annotations, given);
        assert!(!Clouds::take(&mut annotations));
    }

    #[test]
    fn a_cluster_of_the_first_releases_keeps_their_annotations() {
        let mut annotations = BTreeMap::new();
        Clouds::First.annotate(&mut annotations);
        assert_eq!(annotations.len(), FIRST.len());
    }
}
