//! Who may connect to the pods: a NetworkPolicy.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelectorRequirement;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::network::IngressType;
use super::{Aspect, Checker, ClusterArgs, Drafts, FreeForm, Live, NoDefaults, ValidatedCluster};
use crate::property::path::PropertyPath;

/// Who may connect to the pods.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterNetworkPolicy")]
pub struct NetworkPolicyArgs {
    /// The peers that may use the client ports, as in a NetworkPolicy of Kubernetes. Default: all pods of the
    /// cluster's namespace; with an `ingress` it has to be given.
    pub from: Option<Vec<Peer>>,
}

/// A peer as in a NetworkPolicy of Kubernetes: pods, by their labels and those of their namespaces, or
/// addresses.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterNetworkPolicyPeer")]
pub struct Peer {
    /// Pods with these labels; `{}` are all. Without `namespaceSelector` those of the cluster's namespace.
    pub pod_selector: Option<LabelSelector>,
    /// Namespaces with these labels; `{}` are all.
    pub namespace_selector: Option<LabelSelector>,
    /// Addresses outside of Kubernetes.
    pub ip_block: Option<IpBlock>,
}

/// A label selector of Kubernetes.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterLabelSelector")]
pub struct LabelSelector {
    /// Labels that have these values.
    pub match_labels: Option<BTreeMap<String, String>>,
    /// Requirements of labels: `{key, operator, values}`, with the operators `In`, `NotIn`, `Exists` and
    /// `DoesNotExist`.
    pub match_expressions: Option<Vec<FreeForm>>,
}

/// A range of addresses.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterIpBlock")]
pub struct IpBlock {
    /// The range, like `203.0.113.0/24`.
    #[schemars(extend("alwaysPresent" = true))]
    pub cidr: Option<String>,
    /// Ranges within it that are left out.
    pub except: Option<Vec<String>>,
}

/// Who may connect to the pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Firewall {
    /// Who may use the client ports; `None` where no policy is asked for.
    peers: Option<Vec<Peer>>,
}

impl Aspect for Firewall {
    type Args = Option<NetworkPolicyArgs>;
    type Defaults = NoDefaults;

    fn complete(_args: &mut ClusterArgs, _had_keeper: bool) {}

    fn check(check: &mut Checker<'_>) -> Self {
        let Some(NetworkPolicyArgs { from }) = check.args().network_policy.clone() else {
            return Self { peers: None };
        };
        let is_outside =
            check.args().ingress.as_ref().is_some_and(|ingress| ingress.kind != Some(IngressType::ClusterIP));
        if is_outside && from.is_none() {
            let reason = "is missing: with an `ingress` say whose traffic to let in, for example `[{ipBlock: \
                {cidr: 203.0.113.0/24}}]`; it comes from the clients with `ingress.externalTrafficPolicy: \
                Local`, and else from the nodes";
            check.fail("networkPolicy.from", reason);
        }
        let path = PropertyPath::from("networkPolicy.from");
        for (index, peer) in from.iter().flatten().enumerate() {
            peer.check(&path.index(index), check);
        }
        let of_namespace = || vec![Peer { pod_selector: Some(LabelSelector::default()), ..Peer::default() }];
        Self { peers: Some(from.unwrap_or_else(of_namespace)) }
    }

    fn render(&self, _cluster: &ValidatedCluster, _drafts: &mut Drafts) {}

    /// The policies are objects of their own: one that is not as it is to be is made again.
    fn read(_live: &Live) -> Option<NetworkPolicyArgs> {
        None
    }
}

impl Firewall {
    /// Who may use the client ports, in the words of Kubernetes; `None` where no policy is asked for.
    pub(in super::super) fn peers(&self) -> Option<Value> {
        self.peers.as_ref().map(|peers| json!(peers))
    }
}

impl Peer {
    fn check(&self, path: &PropertyPath, check: &mut Checker<'_>) {
        let Self { pod_selector, namespace_selector, ip_block } = self;
        let selects = pod_selector.is_some() || namespace_selector.is_some();
        if selects == ip_block.is_some() {
            let reason = "names either pods, by `podSelector` and `namespaceSelector`, or addresses, by \
                `ipBlock`: say one of them";
            check.fail_at(path.clone(), reason);
        }
        for (field, selector) in [("podSelector", pod_selector), ("namespaceSelector", namespace_selector)] {
            if let Some(selector) = selector {
                selector.check(&path.key(field), check);
            }
        }
        if let Some(IpBlock { cidr, except }) = ip_block {
            let path = path.key("ipBlock");
            let cidrs: Vec<_> = cidr.iter().cloned().collect();
            if cidrs.is_empty() || !cidrs.iter().all(|cidr| cidr.contains('/')) {
                check.fail_at(path.key("cidr"), "is not an address range: write for example `10.0.0.0/8`");
            } else {
                check.ranges(&path.key("cidr").to_string(), &cidrs);
            }
            check.ranges(&path.key("except").to_string(), except.as_deref().unwrap_or_default());
        }
    }
}

impl LabelSelector {
    fn check(&self, path: &PropertyPath, check: &mut Checker<'_>) {
        for (index, requirement) in self.match_expressions.iter().flatten().enumerate() {
            let path = path.key("matchExpressions").index(index);
            check.kubernetes::<LabelSelectorRequirement>(path.clone(), requirement);
            let values = requirement.get("values").and_then(Value::as_array);
            let has_values = values.is_some_and(|values| !values.is_empty());
            let reason = match requirement.get("operator").and_then(Value::as_str) {
                Some("In" | "NotIn") if !has_values => "has no `values`: give at least one",
                Some("Exists" | "DoesNotExist") if has_values => {
                    "has `values`, which `Exists` and `DoesNotExist` don't take: remove them"
                }
                Some("In" | "NotIn" | "Exists" | "DoesNotExist") | None => continue,
                Some(_) => {
                    "has an `operator` that there is not: use `In`, `NotIn`, `Exists` or `DoesNotExist`"
                }
            };
            check.fail_at(path, reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::cluster::tests::{built, problems};

    fn ports(rule: &Value) -> Vec<u64> {
        rule["ports"].as_array().into_iter().flatten().map(|port| port["port"].as_u64().unwrap()).collect()
    }

    #[test]
    fn clients_use_their_ports_and_the_clusters_own_pods_all() {
        let peer = json!({"namespaceSelector": {"matchLabels": {"team": "a"}}});
        let built = built(json!({"name": "db", "replicas": 2, "tls": {"secretName": "cert"},
            "networkPolicy": {"from": [peer]}}));
        let hosts = built.host_policy.unwrap();
        let own = json!({"clickhouse.altinity.com/app": "chop", "clickhouse.altinity.com/chi": "db"});
        assert_eq!(hosts["spec"]["podSelector"]["matchLabels"], own);
        let [clients, among, operator] = hosts["spec"]["ingress"].as_array().unwrap().as_slice() else {
            panic!("{hosts}")
        };
        assert_eq!((&clients["from"], ports(clients)), (&json!([peer]), vec![8123, 9000, 8443, 9440]));
        assert_eq!(among["from"], json!([{"podSelector": {"matchLabels": own}}]));
        assert_eq!((among.get("ports"), ports(operator)), (None, vec![8123, 9000, 8443, 9440]));
        assert!(operator["from"].to_string().contains("altinity-clickhouse-operator"));

        let keeper = built.keeper_policy.unwrap();
        let chk = "clickhouse-keeper.altinity.com/chk";
        assert_eq!(keeper["spec"]["podSelector"]["matchLabels"][chk], "db");
        let clients = &keeper["spec"]["ingress"][0];
        assert_eq!((&clients["from"][0]["podSelector"]["matchLabels"], ports(clients)), (&own, vec![2181]));
    }

    #[test]
    fn without_the_input_there_is_no_policy_and_without_a_keeper_none_for_it() {
        let plain = built(json!({"replicas": 2}));
        assert!(plain.host_policy.is_none() && plain.keeper_policy.is_none());
        let alone = built(json!({"networkPolicy": {}}));
        assert_eq!(alone.host_policy.unwrap()["spec"]["ingress"][0]["from"], json!([{"podSelector": {}}]));
        assert!(alone.keeper_policy.is_none());
    }

    #[test]
    fn a_peer_is_one_of_pods_and_addresses() {
        for (peer, problem) in [
            (json!({}), "networkPolicy.from[0]: names either pods"),
            (
                json!({"podSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8"}}),
                "networkPolicy.from[0]: names either",
            ),
            (
                json!({"ipBlock": {"cidr": "10.0.0.1"}}),
                "networkPolicy.from[0].ipBlock.cidr: is not an address",
            ),
            (
                json!({"podSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}),
                "networkPolicy.from[0].podSelector.matchExpressions[0]: has no `values`",
            ),
        ] {
            let told = problems(json!({"networkPolicy": {"from": [peer]}}));
            assert!(told.len() == 1 && told[0].starts_with(problem), "{told:?}");
        }
        let outside = problems(json!({"networkPolicy": {}, "ingress": {}}));
        assert!(
            outside.len() == 1 && outside[0].starts_with("networkPolicy.from: is missing"),
            "{outside:?}"
        );
    }
}
