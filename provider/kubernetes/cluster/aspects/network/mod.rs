//! How clients reach the cluster.

mod clouds;
mod node_ports;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use self::clouds::Clouds;
pub use self::node_ports::NodePorts;
use super::super::address::Ports;
use super::layout::SHARD_SERVICE;
use super::read::{entries, named, text};
use super::{Aspect, Checker, ClusterArgs, Drafts, Live, ValidatedCluster};

const EXTERNAL_DNS: &str = "external-dns.alpha.kubernetes.io/hostname";

/// Access from outside Kubernetes.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterIngress")]
pub struct IngressArgs {
    /// The type of the cluster's Service. Default: `LoadBalancer`. Without a load balancer its address is
    /// given back to the cloud.
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
    /// Whether the load balancer is internal to the cloud's private network, by the annotations of Alibaba,
    /// AWS, Azure, Google, IBM, OpenStack and Oracle. Default: false. A change gives it another address.
    pub internal: Option<bool>,
    /// The ports of the nodes. Default: Kubernetes allocates them, and they stay the same.
    pub node_ports: Option<NodePorts>,
    /// Whether each shard's own Service is of the same type, with the same annotations. Default: false. Needs
    /// `perShardServices`. The hostname is the cluster's alone.
    pub per_shard: Option<bool>,
}

/// The type of the Service for clients from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ClusterIngressType")]
pub enum IngressType {
    /// A load balancer of the cloud.
    LoadBalancer,
    /// A port of every node.
    NodePort,
    /// An address inside Kubernetes only, as without `ingress`: for annotations and labels of the Service.
    ClusterIP,
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
    /// The clouds that are told that it is internal.
    internal: Option<Clouds>,
    node_ports: NodePorts,
    per_shard: bool,
}

/// How a cloud was told what the cluster asked for when it was made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in super::super) struct NetworkDefaults {
    #[serde(skip_serializing_if = "Clouds::is_first")]
    internal_clouds: Clouds,
}

impl Aspect for Network {
    type Args = Option<IngressArgs>;
    type Defaults = NetworkDefaults;

    const FOLLOW: &'static [(&'static str, &'static [&'static str])] = &[("ingress", &["external"])];

    fn of_new(defaults: &mut NetworkDefaults) {
        defaults.internal_clouds = Clouds::All;
    }

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
        let (spec, metadata) = (&service["spec"], &service["metadata"]);
        let kind: IngressType = serde_json::from_value(spec["type"].clone()).ok()?;
        let ranges: Vec<_> =
            spec["loadBalancerSourceRanges"].as_array().into_iter().flatten().filter_map(text).collect();
        // What all objects have is said elsewhere.
        let own = |field: &str| {
            let common = &live.installation["metadata"][field];
            let mut own = entries(&metadata[field]).unwrap_or_default();
            own.retain(|key, value| common[key.as_str()] != value.as_str());
            own
        };
        let (mut annotations, labels) = (own("annotations"), own("labels"));
        if kind == IngressType::ClusterIP && annotations.is_empty() && labels.is_empty() {
            return None;
        }
        let hostname = annotations.remove(EXTERNAL_DNS);
        let internal = Clouds::take(&mut annotations);
        let shards = named(&live.spec()["templates"]["serviceTemplates"], &json!(SHARD_SERVICE));
        let of_shards = (shards["name"] == SHARD_SERVICE && live.adopted.is_none()).then_some(shards);
        let is_outside =
            |shards: &Value| shards["spec"]["type"].as_str().is_some_and(|word| word != "ClusterIP");
        Some(IngressArgs {
            kind: Some(kind),
            hostname,
            annotations: Some(annotations).filter(|annotations| !annotations.is_empty()),
            labels: Some(labels).filter(|labels| !labels.is_empty()),
            source_ranges: (!ranges.is_empty()).then_some(ranges),
            load_balancer_class: text(&spec["loadBalancerClass"]),
            external_traffic_policy: serde_json::from_value(spec["externalTrafficPolicy"].clone()).ok(),
            internal: internal.then_some(true),
            // Kubernetes fills them in: whether they were asked for nobody can tell.
            node_ports: None,
            per_shard: of_shards.is_some_and(is_outside).then_some(true),
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
            node_ports,
            per_shard,
        } = given.clone();
        let kind = kind.unwrap_or(IngressType::LoadBalancer);
        check.dns_name("ingress.hostname", hostname.as_deref());
        check.labels("ingress.labels", labels.as_ref());
        check.annotations("ingress.annotations", annotations.as_ref());
        let source_ranges = source_ranges.unwrap_or_default();
        check.ranges("ingress.sourceRanges", &source_ranges);
        let given = [
            ("sourceRanges", !source_ranges.is_empty()),
            ("loadBalancerClass", load_balancer_class.is_some()),
            ("internal", internal == Some(true)),
            ("externalTrafficPolicy", external_traffic_policy.is_some()),
            ("nodePorts", node_ports.is_some()),
            ("perShard", per_shard == Some(true)),
        ];
        let of_balancers = 3;
        let (refused, whose) = match kind {
            IngressType::LoadBalancer => (0, ""),
            IngressType::NodePort => (of_balancers, "is a load balancer's"),
            IngressType::ClusterIP => (given.len(), "is for clients from outside"),
        };
        for (field, _) in given.into_iter().take(refused).filter(|(_, is_given)| *is_given) {
            let reason = format!("{whose}, but `ingress.type` is `{kind:?}`: remove one of them");
            check.fail(&format!("ingress.{field}"), reason);
        }
        let layout = &check.args().layout;
        let is_split = layout.per_shard_services.unwrap_or(layout.shards.is_some_and(|shards| shards > 1));
        if per_shard == Some(true)
            && !is_split
            && !check.is_unknown("perShardServices")
            && !check.is_unknown("shards")
        {
            let reason = "there are no per-shard Services: set `perShardServices: true`, or remove this";
            check.fail("ingress.perShard", reason);
        }
        let node_ports = node_ports.unwrap_or_default();
        node_ports.check(check);
        let clouds = check.args().made_with().ingress.internal_clouds;
        Self {
            kind,
            hostname,
            annotations: annotations.unwrap_or_default(),
            labels: labels.unwrap_or_default(),
            source_ranges,
            load_balancer_class,
            external_traffic_policy,
            internal: internal.unwrap_or_default().then_some(clouds),
            node_ports,
            per_shard: per_shard.unwrap_or_default(),
        }
    }

    fn render(&self, drafts: &mut Drafts) {
        let service = &mut drafts.service;
        let (mut spec, annotations) = (self.spec(), self.annotations());
        service.annotations.extend(annotations.clone());
        if let Some(hostname) = &self.hostname {
            service.annotations.entry(EXTERNAL_DNS.to_owned()).or_insert_with(|| hostname.clone());
        }
        service.labels.extend(self.labels.clone());
        service.spec.extend(spec.clone());
        for port in service.spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(number) = port["name"].as_str().and_then(|name| self.node_ports.of(name)) {
                port["nodePort"] = json!(number);
            }
        }
        let of_shards =
            drafts.installation.services.iter_mut().find(|service| service["name"] == SHARD_SERVICE);
        if let Some(Value::Object(template)) = of_shards.filter(|_| self.per_shard) {
            if let Some(Value::Object(shards)) = template.get_mut("spec") {
                shards.append(&mut spec);
            }
            let entries = [("annotations", &annotations), ("labels", &self.labels)];
            let metadata: Map<_, _> = entries
                .into_iter()
                .filter(|(_, entries)| !entries.is_empty())
                .map(|(field, entries)| (field.to_owned(), json!(entries)))
                .collect();
            if !metadata.is_empty() {
                template.insert("metadata".to_owned(), Value::Object(metadata));
            }
        }
    }

    /// What the Services' `spec` says besides ports.
    fn spec(&self) -> Map<String, Value> {
        let Self { kind, source_ranges, load_balancer_class, external_traffic_policy, .. } = self;
        let mut spec = Map::from_iter([("type".to_owned(), json!(kind))]);
        if !source_ranges.is_empty() {
            spec.insert("loadBalancerSourceRanges".to_owned(), json!(source_ranges));
        }
        if let Some(class) = load_balancer_class {
            spec.insert("loadBalancerClass".to_owned(), json!(class));
        }
        if let Some(policy) = external_traffic_policy {
            spec.insert("externalTrafficPolicy".to_owned(), json!(policy));
        }
        spec
    }

    /// The annotations, those that the cloud reads among them.
    fn annotations(&self) -> BTreeMap<String, String> {
        let mut annotations = self.annotations.clone();
        if let Some(clouds) = self.internal {
            clouds.annotate(&mut annotations);
        }
        annotations
    }

    /// The ports under which clients from outside find `ports`.
    pub(in super::super) fn outside(&self, ports: Ports) -> Ports {
        let NodePorts { http, native, https, native_secure } = self.node_ports;
        if self.kind != IngressType::NodePort || self.node_ports == NodePorts::default() {
            return ports;
        }
        Ports { http, native, https, native_secure }
    }

    /// Whether `other` may have another address.
    pub(in super::super) fn has_the_address_of(&self, other: &Self) -> bool {
        let of = |ingress: &Self| {
            (ingress.kind, ingress.load_balancer_class.clone(), ingress.internal, ingress.annotations.clone())
        };
        of(self) == of(other)
    }
}

impl Network {
    /// What becomes of the `address` that clients know in the step to `new`; `None` where it stays.
    pub(in super::super) fn warning(&self, new: &Self, address: Option<&str>) -> Option<String> {
        let balancer = |network: &Self| {
            network.ingress.clone().filter(|ingress| ingress.kind == IngressType::LoadBalancer)
        };
        let (old, address) = (balancer(self)?, address?);
        match balancer(new) {
            None => Some(format!(
                "ingress: the load balancer goes, and `{address}` with it; clients that use it lose the cluster"
            )),
            Some(new)
                if (new.internal.is_some(), &new.load_balancer_class)
                    != (old.internal.is_some(), &old.load_balancer_class) =>
            {
                Some(format!("ingress: the load balancer gets another address than `{address}`"))
            }
            Some(_) => None,
        }
    }
}

/// A port that leads to the container's port of the same name.
fn port(name: &str, port: u16) -> Value {
    json!({"name": name, "port": port, "targetPort": name, "protocol": "TCP"})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::cluster::outputs::{ServerFacts, outputs};
    use crate::kubernetes::cluster::tests::{built, cluster, login, problems};

    fn service(ingress: &Value) -> Value {
        built(json!({"name": "db", "shards": 2, "ingress": ingress})).service.unwrap()
    }

    #[test]
    fn node_ports_are_those_that_are_given() {
        let ports =
            service(&json!({"type": "NodePort", "nodePorts": {"http": 30123}}))["spec"]["ports"].take();
        assert_eq!((&ports[0]["nodePort"], ports[1].get("nodePort")), (&json!(30123), None));
        let state = |ingress: Value| {
            let cluster = cluster(json!({"name": "db", "ingress": ingress}));
            outputs(&cluster, &login(), &ServerFacts::default()).external.unwrap().endpoints
        };
        let known = json!({"type": "NodePort", "hostname": "db.example", "nodePorts": {"native": 30900}});
        let endpoints = state(known).unwrap();
        assert_eq!((endpoints.http, endpoints.native.unwrap().port), (None, 30900));
    }

    #[test]
    fn shards_are_reached_as_the_cluster_is() {
        let ingress = json!({"perShard": true, "internal": true, "hostname": "db.example",
            "sourceRanges": ["203.0.113.0/24"], "annotations": {"a": "b"}});
        let program = json!({"name": "db", "shards": 2, "ingress": ingress});
        let template =
            built(program).installation.unwrap()["spec"]["templates"]["serviceTemplates"][0].take();
        assert_eq!(template["spec"]["type"], "LoadBalancer");
        assert_eq!(template["spec"]["loadBalancerSourceRanges"], json!(["203.0.113.0/24"]));
        let annotations = &template["metadata"]["annotations"];
        assert_eq!((&annotations["a"], annotations.get(EXTERNAL_DNS)), (&json!("b"), None));
        assert_eq!(annotations["networking.gke.io/load-balancer-type"], "Internal");
    }

    #[test]
    fn a_cluster_ip_has_annotations_and_nothing_of_outside() {
        let service = service(&json!({"type": "ClusterIP", "annotations": {"mesh/a": "b"}}));
        assert_eq!(
            (&service["spec"]["type"], &service["metadata"]["annotations"]["mesh/a"]),
            (&json!("ClusterIP"), &json!("b"))
        );
        for (ingress, path) in [
            (json!({"type": "ClusterIP", "nodePorts": {"http": 30000}}), "ingress.nodePorts: is for clients"),
            (json!({"type": "ClusterIP", "perShard": true}), "ingress.perShard: is for clients"),
            (json!({"type": "ClusterIP", "internal": true}), "ingress.internal: is for clients"),
            (json!({"type": "NodePort", "internal": true}), "ingress.internal: is a load balancer's"),
            (json!({"nodePorts": {"http": 1, "native": 1}}), "ingress.nodePorts.native: 1 is another"),
            (json!({"nodePorts": {"http": 0}}), "ingress.nodePorts.http: must be more than 0"),
            (json!({"nodePorts": {"https": 30000}}), "ingress.nodePorts.https: there is no such port"),
        ] {
            let told = problems(json!({"shards": 2, "ingress": ingress}));
            assert!(told.len() == 1 && told[0].starts_with(path), "{told:?}");
        }
        let alone = problems(json!({"ingress": {"perShard": true}}));
        assert!(alone[0].contains("set `perShardServices: true`"), "{alone:?}");
    }

    #[test]
    fn an_address_that_goes_is_told() {
        let network = |ingress: Value| cluster(json!({"name": "db", "ingress": ingress})).ingress;
        let balancer = network(json!({}));
        let told = |new: &Network| balancer.warning(new, Some("203.0.113.7"));
        assert!(told(&network(json!({"type": "NodePort"}))).unwrap().contains("`203.0.113.7`"));
        assert!(told(&cluster(json!({"name": "db"})).ingress).is_some());
        assert!(told(&network(json!({"internal": true}))).unwrap().contains("another address"));
        assert_eq!(told(&network(json!({"sourceRanges": ["203.0.113.0/24"]}))), None);
        assert_eq!(balancer.warning(&network(json!({"type": "NodePort"})), None), None);
    }

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
