//! The configuration of the hosts, file by file as the operator 0.25.6 makes it: its own defaults, and what
//! it makes of the spec.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use kube::api::DynamicObject;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::installation::{Host, Installation, Kind};
use super::render::{self, REMOVED};
use crate::tools::hex;

/// The files that are the same for every installation, as they were recorded.
macro_rules! recorded {
    ($folder:literal, $($name:literal),+) => {
        [$((
            $name,
            include_str!(concat!(
                "../../../tests/itself/rendered/two-by-two-with-keeper/files/", $folder, "/", $name
            ))
        )),+]
    };
}

const COMMON: [(&str, &str); 5] = recorded!(
    "chi-db-common-configd",
    "01-clickhouse-01-listen.xml",
    "01-clickhouse-02-logger.xml",
    "01-clickhouse-03-query_log.xml",
    "01-clickhouse-04-part_log.xml",
    "01-clickhouse-05-trace_log.xml"
);
const USERS: [(&str, &str); 2] = recorded!(
    "chi-db-common-usersd",
    "01-clickhouse-operator-profile.xml",
    "02-clickhouse-default-profile.xml"
);
const KEEPER: [(&str, &str); 3] = recorded!(
    "chk-db-common-configd",
    "01-keeper-01-default-config.xml",
    "01-keeper-02-readiness.xml",
    "01-keeper-03-enable-reconfig.xml"
);

/// The user by whom the operator itself logs in.
const OPERATOR: &str = "clickhouse_operator";
/// The password of that user where none was configured for the operator.
const OPERATOR_PASSWORD: &str = "clickhouse_operator_password";
/// The password of a user for whom the spec has no login of any kind, other than `default`.
const NO_PASSWORD: &str = "default";
/// How the ways to log in begin, in a user's settings.
const LOGINS: [&str; 8] =
    ["password", "k8s_secret", "ssl_", "ssh_", "ldap", "kerberos", "no_password", "http_"];

impl Installation {
    /// The configuration that all hosts share, and that of the users, where `addresses` are those of the
    /// hosts' pods.
    pub(super) fn common_configs(&self, addresses: &[String]) -> Vec<Value> {
        let configuration = &self.spec["configuration"];
        let mut common = render::files(&configuration["files"], "config.d", "config.d");
        let mut users = render::files(&configuration["files"], "config.d", "users.d");
        let mut settings = object(&configuration["settings"]);
        let (own, kinds): (&[(&str, &str)], _) = match self.kind {
            Kind::ClickHouse => {
                settings.insert("display_secrets_in_show_and_select".to_owned(), json!("1"));
                put(&mut common, "remote_servers", Some(self.remote_servers()));
                for (name, settings) in [
                    ("users", self.users(addresses)),
                    ("profiles", self.profiles()),
                    ("quotas", object(&configuration["quotas"])),
                ] {
                    put(&mut users, name, render::section(name, &settings));
                }
                users.extend(USERS.map(|(name, text)| (name.to_owned(), json!(text))));
                (&COMMON, ["ChiCommon", "ChiCommonUsers"])
            }
            Kind::Keeper => {
                put(&mut common, "raft", Some(self.raft()));
                (&KEEPER, ["ChkCommon", "ChkCommonUsers"])
            }
        };
        common.extend(own.iter().map(|(name, text)| ((*name).to_owned(), json!(text))));
        put(&mut common, "settings", render::section("", &settings));
        let [common_kind, users_kind] = kinds;
        [("configd", common_kind, common), ("usersd", users_kind, users)]
            .into_iter()
            .map(|(part, kind, data)| self.config(&self.common_config_name(part), self.scope(), kind, &data))
            .collect()
    }

    /// One host's own configuration.
    pub(super) fn host_config(&self, host: &Host) -> Value {
        let mut data = render::files(&self.spec["configuration"]["files"], "config.d", "conf.d");
        for level in host.levels() {
            data.extend(render::files(&level["files"], "conf.d", "conf.d"));
        }
        let settings = host.levels().into_iter().flat_map(|level| object(&level["settings"])).collect();
        put(&mut data, "settings", render::section("", &settings));
        match self.kind {
            Kind::ClickHouse => {
                put(&mut data, "macros", Some(self.macros(host)));
                put(&mut data, "hostname-ports", Some(self.hostname_ports(host)));
                put(&mut data, "zookeeper", self.zookeeper(host));
            }
            Kind::Keeper => {
                let id = self
                    .hosts
                    .iter()
                    .position(|other| self.host_name(other) == self.host_name(host))
                    .unwrap_or_default();
                let settings = Map::from_iter([("server_id".to_owned(), json!(id))]);
                put(&mut data, "server-id", render::section("keeper_server", &settings));
            }
        }
        self.config(&self.host_config_name(host), self.host_scope(host), "Host", &data)
    }

    fn config(
        &self,
        name: &str,
        mut labels: Map<String, Value>,
        kind: &str,
        data: &Map<String, Value>,
    ) -> Value {
        labels.insert(self.label("ConfigMap"), json!(kind));
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": self.meta(name, labels), "data": data})
    }

    /// The users of the spec, each with what the operator fills in, and its own.
    fn users(&self, addresses: &[String]) -> Map<String, Value> {
        let mut users = object(&self.spec["configuration"]["users"]);
        let mut names: Vec<String> =
            users.keys().filter_map(|path| path.split('/').next().map(str::to_owned)).collect();
        names.push("default".to_owned());
        names.sort_unstable();
        names.dedup();
        for name in &names {
            let default = name == "default";
            let key = |field: &str| format!("{name}/{field}");
            for field in ["profile", "quota"] {
                users.entry(key(field)).or_insert(json!("default"));
            }
            let mut ips = vec!["::1".to_owned(), "127.0.0.1".to_owned()];
            ips.extend(addresses.iter().filter(|_| default).cloned());
            for ip in list(&users.remove(&key("networks/ip")).unwrap_or_default()) {
                if !ips.contains(&ip) {
                    ips.push(ip);
                }
            }
            users.insert(key("networks/ip"), json!(ips));
            users.entry(key("networks/host_regexp")).or_insert(json!(format!(
                r"(chi-{0}-[^.]+\d+-\d+|clickhouse\-{0})\.{1}\.svc\.cluster\.local$",
                self.name, self.namespace
            )));
            let has_login = users
                .keys()
                .filter_map(|path| path.strip_prefix(&key("")))
                .any(|field| LOGINS.iter().any(|login| field.starts_with(login)));
            if !has_login && !default {
                users.insert(key("password"), json!(NO_PASSWORD));
            }
            if let Some(password) = users.get(&key("password")).and_then(Value::as_str) {
                let hash = hex(&Sha256::digest(password));
                users.remove(&key("password"));
                users.entry(key("password_sha256_hex")).or_insert(json!(hash));
            }
            if default && has_login {
                users.entry(key("password")).or_insert(json!(REMOVED));
            }
        }
        let own = [
            ("access_management", "1".to_owned()),
            ("named_collection_control", "1".to_owned()),
            ("networks/ip", String::new()),
            ("password_sha256_hex", hex(&Sha256::digest(OPERATOR_PASSWORD))),
            ("profile", OPERATOR.to_owned()),
            ("show_named_collections", "1".to_owned()),
            ("show_named_collections_secrets", "1".to_owned()),
        ];
        users.extend(own.map(|(field, value)| (format!("{OPERATOR}/{field}"), json!(value))));
        users
    }

    fn profiles(&self) -> Map<String, Value> {
        let mut profiles = object(&self.spec["configuration"]["profiles"]);
        profiles.insert(format!("{OPERATOR}/format_display_secrets_in_show_and_select"), json!("1"));
        profiles
    }

    fn remote_servers(&self) -> String {
        let secret = |cluster: usize| match &self.clusters[cluster]["secret"] {
            Value::Object(secret) => match secret.get("value").and_then(Value::as_str) {
                Some(value) => vec![format!("<secret>{value}</secret>")],
                None => vec![format!("<secret from_env=\"{CLUSTER_SECRET}\" />")],
            },
            _ => Vec::new(),
        };
        let replica = |host: &Host| {
            let (secure, port) =
                match (host.is_secure, host.port("tcpPort", 9000), host.port("tlsPort", 9440)) {
                    (true, _, port) => (1, port),
                    (false, port, _) => (0, port),
                };
            let lines = [
                format!("<host>{}</host>", self.host_name(host)),
                format!("<port>{port}</port>"),
                format!("<secure>{secure}</secure>"),
            ];
            element("replica", &lines)
        };
        let shard = |replication: &str, weight: Option<&Value>, hosts: &[&Host]| {
            let mut lines = vec![format!("<internal_replication>{replication}</internal_replication>")];
            lines.extend(weight.map(|weight| format!("<weight>{weight}</weight>")));
            lines.extend(hosts.iter().flat_map(|host| replica(host)));
            element("shard", &lines)
        };
        let shards_of = |cluster: usize, weighted: bool| -> Vec<String> {
            let firsts = self.shards().filter(|first| first.cluster == cluster);
            firsts
                .flat_map(|first| {
                    let hosts: Vec<&Host> = self
                        .hosts
                        .iter()
                        .filter(|host| (host.cluster, host.shard) == (cluster, first.shard))
                        .collect();
                    let own = first.of_shard["internalReplication"].as_str().filter(|own| !own.is_empty());
                    let replication = own.unwrap_or(if hosts.len() > 1 { "True" } else { "False" });
                    let weight =
                        Some(&first.of_shard["weight"]).filter(|weight| weighted && !weight.is_null());
                    shard(replication, weight, &hosts)
                })
                .collect()
        };
        let all: Vec<&Host> = self.hosts.iter().collect();
        let mut clusters = Vec::new();
        for cluster in 0..self.clusters.len() {
            clusters.extend(element(
                self.cluster_name(cluster),
                &[secret(cluster), shards_of(cluster, true)].concat(),
            ));
        }
        clusters.extend(element("all-replicated", &shard("true", None, &all)));
        let sharded = all.iter().flat_map(|host| shard("false", None, &[host])).collect();
        clusters.extend(element("all-sharded", &[secret(0), sharded].concat()));
        let shards: Vec<String> =
            (0..self.clusters.len()).flat_map(|cluster| shards_of(cluster, false)).collect();
        clusters.extend(element("all-clusters", &shards));
        file(&element("remote_servers", &clusters))
    }

    fn macros(&self, host: &Host) -> String {
        let index = self
            .hosts
            .iter()
            .position(|other| self.host_name(other) == self.host_name(host))
            .unwrap_or_default();
        let lines = [
            format!("<installation>{}</installation>", self.name),
            format!("<all-sharded-shard>{index}</all-sharded-shard>"),
            format!("<cluster>{}</cluster>", self.cluster_name(host.cluster)),
            format!("<shard>{}</shard>", host.shard_name),
            format!("<replica>{}</replica>", self.host_name(host)),
        ];
        file(&element("macros", &lines))
    }

    fn hostname_ports(&self, host: &Host) -> String {
        let mut lines = Vec::new();
        for (element, field, usual, open) in [
            ("tcp_port", "tcpPort", 9000, host.is_insecure),
            ("tcp_port_secure", "tlsPort", 9440, host.is_secure),
            ("http_port", "httpPort", 8123, host.is_insecure),
            ("https_port", "httpsPort", 8443, host.is_secure),
        ] {
            let port = if open { host.port(field, usual) } else { 0 };
            if port != usual {
                lines.push(format!("<{element}>{port}</{element}>"));
            }
        }
        lines.push(format!("<interserver_http_host>{}</interserver_http_host>", self.host_name(host)));
        let interserver = host.port("interserverHTTPPort", 9009);
        if interserver != 9009 {
            lines.push(format!("<interserver_http_port>{interserver}</interserver_http_port>"));
        }
        file(&lines)
    }

    fn zookeeper(&self, host: &Host) -> Option<String> {
        let cluster = &self.clusters[host.cluster]["zookeeper"];
        let zookeeper = if cluster.is_object() { cluster } else { &self.spec["configuration"]["zookeeper"] };
        let nodes = zookeeper["nodes"].as_array().filter(|nodes| !nodes.is_empty())?;
        let mut lines = Vec::new();
        for node in nodes {
            let mut of_node = vec![
                format!("<host>{}</host>", node["host"].as_str().unwrap_or_default()),
                format!("<port>{}</port>", node["port"].as_u64().unwrap_or(2181)),
            ];
            if super::installation::yes(&node["secure"]) {
                of_node.push("<secure>1</secure>".to_owned());
            }
            lines.extend(element("node", &of_node));
        }
        for field in ["session_timeout_ms", "operation_timeout_ms", "root", "identity"] {
            match &zookeeper[field] {
                Value::String(value) if !value.is_empty() => {
                    lines.push(format!("<{field}>{value}</{field}>"));
                }
                Value::Number(value) => lines.push(format!("<{field}>{value}</{field}>")),
                _ => {}
            }
        }
        let mut queue = vec![format!("<path>/clickhouse/{}/task_queue/ddl</path>", self.name)];
        queue.extend(
            self.spec["defaults"]["distributedDDL"]["profile"]
                .as_str()
                .map(|profile| format!("<profile>{profile}</profile>")),
        );
        Some(file(&[element("zookeeper", &lines), element("distributed_ddl", &queue)].concat()))
    }

    fn raft(&self) -> String {
        let servers: Vec<String> = (self.hosts.iter().enumerate())
            .flat_map(|(id, host)| {
                let name = self.host_name(host);
                element(
                    "server",
                    &[
                        format!("<id>{id}</id>"),
                        format!("<hostname>{name}</hostname>"),
                        "<port>9444</port>".to_owned(),
                    ],
                )
            })
            .collect();
        let raft = element("keeper_server", &element("raft_configuration", &servers));
        raft.into_iter().fold("<clickhouse>\n".to_owned(), |text, line| text + "    " + &line + "\n")
            + "</clickhouse>\n"
    }

    /// The values of Secrets that the settings of a host need, as variables of its container.
    pub(super) fn environment(&self) -> Vec<Value> {
        let configuration = &self.spec["configuration"];
        let of_section = |section: &'static str| {
            object(&configuration[section]).into_iter().filter_map(move |(path, value)| {
                let source = value.get("valueFrom")?;
                Some(json!({"name": render::environment_name(section, &path), "valueFrom": source}))
            })
        };
        ["users", "profiles", "quotas", "settings"].into_iter().flat_map(of_section).collect()
    }
}

/// The variable that has the secret by which the hosts of a cluster know each other.
pub(super) const CLUSTER_SECRET: &str = "CLICKHOUSE_INTERNODE_CLUSTER_SECRET";

/// The files from which each host of a ClickHouseInstallation starts, as `folder/name`, by the host's name;
/// `addresses` are those of the pods.
pub fn of_hosts(object: &DynamicObject, addresses: &[String]) -> BTreeMap<String, BTreeMap<String, String>> {
    let installation = Installation::of(Kind::ClickHouse, object);
    let common = installation.common_configs(addresses);
    let of_host = |host: &Host| {
        let own = installation.host_config(host);
        let maps = ["config.d", "users.d", "conf.d"].into_iter().zip(common.iter().chain([&own]));
        let files = maps.flat_map(|(folder, map)| {
            let data = map["data"].as_object().into_iter().flatten();
            data.map(move |(name, text)| {
                (format!("{folder}/{name}"), text.as_str().unwrap_or_default().to_owned())
            })
        });
        (installation.host_name(host), files.collect())
    };
    installation.hosts.iter().map(of_host).collect()
}

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

fn list(value: &Value) -> Vec<String> {
    match value {
        Value::Array(values) => values.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Value::String(value) => vec![value.clone()],
        _ => Vec::new(),
    }
}

fn put(data: &mut Map<String, Value>, name: &str, text: Option<String>) {
    if let Some(text) = text {
        data.insert(format!("chop-generated-{name}.xml"), json!(text));
    }
}

/// An element with its contents, line by line.
fn element(name: &str, contents: &[String]) -> Vec<String> {
    let inner = contents.iter().map(|line| format!("    {line}"));
    std::iter::once(format!("<{name}>")).chain(inner).chain([format!("</{name}>")]).collect()
}

/// A whole file of the kind that the operator writes element by element.
fn file(contents: &[String]) -> String {
    element("yandex", contents).into_iter().fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "{line}");
        text
    })
}

#[cfg(test)]
mod tests;
