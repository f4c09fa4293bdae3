//! How clients reach the cluster.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::read::{entries, text};
use super::{Aspect, Checker, ClusterArgs, Drafts, Live, NoDefaults, ValidatedCluster};

const EXTERNAL_DNS: &str = "external-dns.alpha.kubernetes.io/hostname";
/// What each cloud reads as "inside the private network only".
const INTERNAL: [(&str, &str); 4] = [
    ("networking.gke.io/load-balancer-type", "Internal"),
    ("service.beta.kubernetes.io/aws-load-balancer-internal", "true"),
    ("service.beta.kubernetes.io/aws-load-balancer-scheme", "internal"),
    ("service.beta.kubernetes.io/azure-load-balancer-internal", "true"),
];

/// Access from outside Kubernetes.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterIngress")]
pub struct IngressArgs {
    /// A load balancer or node ports. Default: `LoadBalancer`.
    #[serde(rename = "type")]
    pub kind: Option<IngressType>,
    /// The DNS name that external-dns assigns to the load balancer.
    pub hostname: Option<String>,
    /// Annotations of the Service, for example for the cloud's load balancer.
    pub annotations: Option<BTreeMap<String, String>>,
    /// Labels of the Service.
    pub labels: Option<BTreeMap<String, String>>,
    /// The source ranges that the load balancer accepts, like `203.0.113.0/24`. They may also log in, unless
    /// `admin.networks` is given.
    pub source_ranges: Option<Vec<String>>,
    /// The load balancer class, if the Kubernetes cluster has several.
    pub load_balancer_class: Option<String>,
    /// Whether traffic may enter through any node (`Cluster`), or only through nodes with a host, which keeps
    /// the client's address (`Local`). Default: `Cluster`.
    pub external_traffic_policy: Option<ExternalTrafficPolicy>,
    /// Whether the load balancer is internal to the cloud's (AWS, Azure, Google) private network. Default:
    /// false.
    pub internal: Option<bool>,
}

/// The type of the Service for clients from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ClusterIngressType")]
pub enum IngressType {
    /// A load balancer of the cloud.
    LoadBalancer,
    /// A port of every node.
    NodePort,
}

/// The external traffic policy of the Service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ClusterExternalTrafficPolicy")]
pub enum ExternalTrafficPolicy {
    /// Traffic may enter through any node.
    Cluster,
    /// Traffic enters only through nodes that run a host: the client's address is kept.
    Local,
}

/// How clients reach the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Network {
    /// `None` when it is only reached from inside.
    pub(in super::super) ingress: Option<Ingress>,
}

/// How clients get in from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Ingress {
    pub(in super::super) kind: IngressType,
    pub(in super::super) hostname: Option<String>,
    annotations: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
    pub(super) source_ranges: Vec<String>,
    load_balancer_class: Option<String>,
    external_traffic_policy: Option<ExternalTrafficPolicy>,
    internal: bool,
}

impl Aspect for Network {
    type Args = Option<IngressArgs>;
    type Defaults = NoDefaults;

    const FOLLOW: &'static [(&'static str, &'static [&'static str])] = &[("ingress", &["external"])];

    fn complete(_args: &mut ClusterArgs, _had_keeper: bool) {}

    fn check(check: &mut Checker<'_>) -> Self {
        Self { ingress: check.args().ingress.as_ref().map(|given| Ingress::check(given, check)) }
    }

    fn render(&self, cluster: &ValidatedCluster, drafts: &mut Drafts) {
        let service = &mut drafts.service;
        service.spec.insert("type".to_owned(), json!("ClusterIP"));
        // Only hosts in rotation: the operator takes the label off while it works on a host.
        let selector = json!({
            "clickhouse.altinity.com/app": "chop",
            "clickhouse.altinity.com/chi": cluster.naming.name,
            "clickhouse.altinity.com/namespace": cluster.naming.namespace,
            "clickhouse.altinity.com/ready": "yes",
        });
        service.spec.insert("selector".to_owned(), selector);
        let ports: Vec<_> = cluster.tls.ports().each().map(|(name, number)| port(name, number)).collect();
        service.spec.insert("ports".to_owned(), Value::Array(ports));
        if let Some(ingress) = &self.ingress {
            ingress.render(drafts);
        }
    }

    fn read(live: &Live) -> Option<IngressArgs> {
        let service = live.service.as_ref()?;
        let spec = &service["spec"];
        let ranges: Vec<_> =
            spec["loadBalancerSourceRanges"].as_array().into_iter().flatten().filter_map(text).collect();
        Some(IngressArgs {
            kind: Some(serde_json::from_value(spec["type"].clone()).ok()?),
            hostname: None,
            annotations: entries(&service["metadata"]["annotations"]),
            labels: entries(&service["metadata"]["labels"]),
            source_ranges: (!ranges.is_empty()).then_some(ranges),
            load_balancer_class: text(&spec["loadBalancerClass"]),
            external_traffic_policy: serde_json::from_value(spec["externalTrafficPolicy"].clone()).ok(),
            internal: None,
        })
    }
}

impl Ingress {
    fn check(given: &IngressArgs, check: &mut Checker<'_>) -> Self {
        let IngressArgs {
            kind,
            hostname,
            annotations,
            labels,
            source_ranges,
            load_balancer_class,
            external_traffic_policy,
            internal,
        } = given.clone();
        let kind = kind.unwrap_or(IngressType::LoadBalancer);
        check.dns_name("ingress.hostname", hostname.as_deref());
        check.labels("ingress.labels", labels.as_ref());
        check.annotations("ingress.annotations", annotations.as_ref());
        let source_ranges = source_ranges.unwrap_or_default();
        check.ranges("ingress.sourceRanges", &source_ranges);
        let of_balancers = [
            ("sourceRanges", !source_ranges.is_empty()),
            ("loadBalancerClass", load_balancer_class.is_some()),
            ("internal", internal == Some(true)),
        ];
        for (field, _) in
            of_balancers.into_iter().filter(|(_, is_given)| kind == IngressType::NodePort && *is_given)
        {
            let reason = "is a load balancer's, but `ingress.type` is `NodePort`: remove one of them";
            check.fail(&format!("ingress.{field}"), reason);
        }
        Self {
            kind,
            hostname,
            annotations: annotations.unwrap_or_default(),
            labels: labels.unwrap_or_default(),
            source_ranges,
            load_balancer_class,
            external_traffic_policy,
            internal: internal.unwrap_or_default(),
        }
    }

    fn render(&self, drafts: &mut Drafts) {
        let Self {
            kind,
            hostname,
            annotations,
            labels,
            source_ranges,
            load_balancer_class,
            external_traffic_policy,
            internal,
        } = self;
        let service = &mut drafts.service;
        service.annotations.extend(annotations.clone());
        if let Some(hostname) = hostname {
            service.annotations.entry(EXTERNAL_DNS.to_owned()).or_insert_with(|| hostname.clone());
        }
        for (key, value) in INTERNAL.into_iter().filter(|_| *internal) {
            service.annotations.entry(key.to_owned()).or_insert_with(|| value.to_owned());
        }
        service.labels.extend(labels.clone());
        service.spec.insert("type".to_owned(), json!(kind));
        if !source_ranges.is_empty() {
            service.spec.insert("loadBalancerSourceRanges".to_owned(), json!(source_ranges));
        }
        if let Some(class) = load_balancer_class {
            service.spec.insert("loadBalancerClass".to_owned(), json!(class));
        }
        if let Some(policy) = external_traffic_policy {
            service.spec.insert("externalTrafficPolicy".to_owned(), json!(policy));
        }
    }

    /// Whether `other` may have another address.
    pub(in super::super) fn has_the_address_of(&self, other: &Self) -> bool {
        let of = |ingress: &Self| {
            (ingress.kind, ingress.load_balancer_class.clone(), ingress.internal, ingress.annotations.clone())
        };
        of(self) == of(other)
    }
}

/// A port that leads to the container's port of the same name.
fn port(name: &str, port: u16) -> Value {
    json!({"name": name, "port": port, "targetPort": name, "protocol": "TCP"})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::cluster::tests::built;

    #[test]
    fn an_ingress_turns_the_service_and_leaves_its_ports() {
        let service = built(json!({"ingress": {"hostname": "db.example", "sourceRanges": ["203.0.113.0/24"],
                "internal": true, "annotations": {"a": "b"}}}))
        .service
        .unwrap();
        assert_eq!(
            (&service["spec"]["type"], &service["spec"]["loadBalancerSourceRanges"]),
            (&json!("LoadBalancer"), &json!(["203.0.113.0/24"]))
        );
        let annotations = &service["metadata"]["annotations"];
        assert_eq!(
            (&annotations["external-dns.alpha.kubernetes.io/hostname"], &annotations["a"]),
            (&json!("db.example"), &json!("b"))
        );
        assert_eq!(annotations["networking.gke.io/load-balancer-type"], "Internal");
        assert_eq!(service["spec"]["ports"], built(json!({})).service.unwrap()["spec"]["ports"]);
    }
}
