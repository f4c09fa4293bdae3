//! An existing Keeper or ZooKeeper.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::Checker;
use super::super::check::dns_problem;
use super::super::draft::yes_no;
use super::super::read::{number, text, yes};
use super::COORDINATION_PORT;
use crate::property::path::PropertyPath;

/// An existing Keeper or ZooKeeper.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterExternalCoordination")]
pub struct ExternalArgs {
    /// Its nodes. A string `host:port` can stand for a node.
    pub nodes: Option<Vec<ExternalNode>>,
    /// The path under which this cluster keeps its entries, beginning with `/`. Default: `/`.
    pub root: Option<String>,
    /// `user:password`, if the servers need a login. The ClickHouseInstallation holds it in plain text.
    #[schemars(extend("secret" = true))]
    pub identity: Option<String>,
    /// The timeouts of the servers.
    pub timeouts: Option<ExternalTimeouts>,
}

/// A node of an external Keeper or ZooKeeper.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterExternalNode", extend("textForm" = true))]
pub struct ExternalNode {
    /// The host's name or address.
    #[schemars(extend("alwaysPresent" = true))]
    pub host: Option<String>,
    /// The port. Default: 2181.
    pub port: Option<u16>,
    /// Whether to use TLS. Default: false.
    pub secure: Option<bool>,
    /// The availability zone of the node, for hosts that prefer a nearby one.
    pub availability_zone: Option<String>,
}

impl<'de> Deserialize<'de> for ExternalNode {
    /// Takes the object, or the text `host:port`.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Fields {
            host: Option<String>,
            port: Option<u16>,
            secure: Option<bool>,
            availability_zone: Option<String>,
        }
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Text(String),
            Fields(Fields),
        }
        Ok(match Written::deserialize(deserializer)? {
            Written::Text(text) => Self { host: Some(text), ..Self::default() },
            Written::Fields(Fields { host, port, secure, availability_zone }) => {
                Self { host, port, secure, availability_zone }
            }
        })
    }
}

/// Timeouts of the coordination servers.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterExternalTimeouts")]
pub struct ExternalTimeouts {
    /// The timeout of a session, in milliseconds. Default: ClickHouse's own.
    pub session_ms: Option<u32>,
    /// The timeout of an operation, in milliseconds. Default: ClickHouse's own.
    pub operation_ms: Option<u32>,
}

/// An existing Keeper or ZooKeeper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super::super) struct External {
    nodes: Vec<Node>,
    root: Option<String>,
    identity: Option<String>,
    session_ms: Option<u32>,
    operation_ms: Option<u32>,
}

/// One server of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Node {
    host: String,
    port: Option<u16>,
    secure: bool,
    availability_zone: Option<String>,
}

impl ExternalArgs {
    /// The inputs that a live installation's `zookeeper` stands for.
    pub(super) fn read(zookeeper: &Value, nodes: &[Value]) -> Self {
        let timeouts = ExternalTimeouts {
            session_ms: number(&zookeeper["session_timeout_ms"]),
            operation_ms: number(&zookeeper["operation_timeout_ms"]),
        };
        let node = |node: &Value| ExternalNode {
            host: text(&node["host"]),
            port: number(&node["port"]),
            secure: yes(&node["secure"]),
            availability_zone: text(&node["availabilityZone"]),
        };
        Self {
            nodes: Some(nodes.iter().map(node).collect()),
            root: text(&zookeeper["root"]),
            identity: text(&zookeeper["identity"]),
            timeouts: (timeouts != ExternalTimeouts::default()).then_some(timeouts),
        }
    }
}

impl External {
    pub(super) fn check(given: ExternalArgs, check: &mut Checker<'_>) -> Self {
        let ExternalArgs { nodes, root, identity, timeouts } = given;
        let nodes = nodes.unwrap_or_default();
        if nodes.is_empty() {
            let reason =
                "must name at least one server, for example `{host: zookeeper.example.svc, port: 2181}`";
            check.fail("coordination.external.nodes", reason);
        }
        let nodes =
            nodes.into_iter().enumerate().map(|(index, node)| Node::check(index, node, check)).collect();
        if root.as_ref().is_some_and(|root| !root.starts_with('/')) {
            check.fail("coordination.external.root", "must begin with `/`");
        }
        if identity.as_ref().is_some_and(|identity| !identity.contains(':')) {
            check.fail("coordination.external.identity", "must have the form `user:password`");
        }
        let ExternalTimeouts { session_ms, operation_ms } = timeouts.unwrap_or_default();
        Self { nodes, root, identity, session_ms, operation_ms }
    }

    /// The installation's `zookeeper`; in an adopted one without what the operator takes anyway.
    pub(super) fn render(&self, is_adopted: bool) -> Value {
        let Self { nodes, root, identity, session_ms, operation_ms } = self;
        let mut zookeeper =
            json!({"nodes": nodes.iter().map(|node| node.render(is_adopted)).collect::<Vec<_>>()});
        for (key, value) in [
            ("root", root.as_ref().map(|root| json!(root))),
            ("identity", identity.as_ref().map(|identity| json!(identity))),
            ("session_timeout_ms", session_ms.map(|ms| json!(ms))),
            ("operation_timeout_ms", operation_ms.map(|ms| json!(ms))),
        ] {
            if let Some(value) = value {
                zookeeper[key] = value;
            }
        }
        zookeeper
    }
}

impl Node {
    fn check(index: usize, given: ExternalNode, check: &mut Checker<'_>) -> Self {
        let path = PropertyPath::from("coordination.external.nodes").index(index);
        let ExternalNode { host: written, port: given, secure, availability_zone } = given;
        let written = written.unwrap_or_default();
        let (host, port) = match written.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') => {
                let parsed = port.parse().ok();
                if parsed.is_none() {
                    check.fail_at(path.key("host"), format!("`{written}`: `{port}` is not a valid port"));
                }
                (host.to_owned(), parsed)
            }
            _ => (written.clone(), None),
        };
        if let (Some(written), Some(given)) = (port, given)
            && written != given
        {
            check.fail_at(
                path.key("port"),
                format!("is {given}, but `host` says {written}: remove one of them"),
            );
        }
        if host.parse::<IpAddr>().is_err()
            && let Some(problem) = dns_problem(&host)
        {
            check.fail_at(path.key("host"), problem);
        }
        let port = port.or(given);
        if port == Some(0) {
            check.fail_at(path.key("port"), "must be between 1 and 65535");
        }
        Self { host, port, secure: secure.unwrap_or_default(), availability_zone }
    }

    fn render(&self, is_adopted: bool) -> Value {
        let Self { host, port, secure, availability_zone } = self;
        let mut node = json!({"host": host});
        if let Some(port) = port.or((!is_adopted).then_some(COORDINATION_PORT)) {
            node["port"] = json!(port);
        }
        if *secure {
            node["secure"] = json!(yes_no(true));
        }
        if let Some(zone) = availability_zone {
            node["availabilityZone"] = json!(zone);
        }
        node
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::cluster::manifest::installations;
    use crate::kubernetes::cluster::tests::{cluster, problems};

    #[test]
    fn an_external_node_may_be_written_as_host_and_port() {
        let nodes = json!(["zk-0:2281", {"host": "zk-1:2282"}, {"host": "zk-2", "port": 2283,
            "secure": true}, {"host": "10.0.0.1"}]);
        let cluster = cluster(json!({"coordination": {"external": {"nodes": nodes}}}));
        let nodes = installations(&cluster).0["spec"]["configuration"]["zookeeper"]["nodes"].take();
        let node = |host: &str, port: u16| json!({"host": host, "port": port});
        let secure = json!({"host": "zk-2", "port": 2283, "secure": "yes"});
        assert_eq!(nodes, json!([node("zk-0", 2281), node("zk-1", 2282), secure, node("10.0.0.1", 2181)]));
        let contradiction =
            problems(json!({"coordination": {"external": {"nodes": [{"host": "zk:1", "port": 2}]}}}));
        assert!(contradiction[0].starts_with("coordination.external.nodes[0].port: "), "{contradiction:?}");
    }
}
