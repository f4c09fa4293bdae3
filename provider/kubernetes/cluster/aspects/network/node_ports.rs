//! The ports of the nodes.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::Checker;

/// The ports of the nodes, in the range that Kubernetes has for them, by default 30000 to 32767.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterNodePorts")]
pub struct NodePorts {
    /// Of the HTTP interface.
    pub http: Option<u16>,
    /// Of the native protocol.
    pub native: Option<u16>,
    /// Of the HTTP interface over TLS.
    pub https: Option<u16>,
    /// Of the native protocol over TLS.
    pub native_secure: Option<u16>,
}

impl NodePorts {
    /// Each with the name of its port.
    fn each(&self) -> [(&'static str, &'static str, Option<u16>); 4] {
        [
            ("http", "http", self.http),
            ("native", "tcp", self.native),
            ("https", "https", self.https),
            ("nativeSecure", "secureclient", self.native_secure),
        ]
    }

    /// That of the port of this name.
    pub(super) fn of(&self, name: &str) -> Option<u16> {
        self.each().into_iter().find(|(_, port, _)| *port == name).and_then(|(.., number)| number)
    }

    /// Tells what is wrong with them.
    pub(super) fn check(&self, check: &mut Checker<'_>) {
        let tls = check.args().tls.as_ref();
        let (secure, plain) = (tls.is_some(), tls.is_none_or(|tls| tls.insecure_ports != Some(false)));
        let mut seen = BTreeSet::new();
        for (field, port, number) in self.each() {
            let Some(number) = number else { continue };
            let path = format!("ingress.nodePorts.{field}");
            let is_open = if ["https", "secureclient"].contains(&port) { secure } else { plain };
            if number == 0 {
                check.fail(&path, "must be more than 0; leave it out to have one allocated");
            } else if !seen.insert(number) {
                check.fail(&path, format!("{number} is another port's already: choose another one"));
            } else if !is_open && !check.is_unknown("tls") {
                check.fail(&path, "there is no such port: see `tls` and `tls.insecurePorts`");
            }
        }
    }
}
