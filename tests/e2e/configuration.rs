//! ClickHouse starts with whatever inputs become, and says of itself what the inputs said: random programs go
//! through `pulumi up`, the operator's files are made of the installations that stand on the API server then,
//! and engines of two releases start with those.

use std::collections::BTreeMap;

use kube::ResourceExt as _;
use kube::api::{DynamicObject, ListParams};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Map, Value, json};
use testbed::engine::wheels::Wheel;
use testbed::settings::engines::Running;
use testbed::{Testbed, needs, operator};

/// How many programs are tried.
pub(crate) const PROGRAMS: usize = 40;
/// The address that each pod is said to have.
const ADDRESS: &str = "10.0.0.1";

/// What a program of a cluster says, as far as ClickHouse can tell it again.
#[expect(clippy::struct_excessive_bools, reason = "each is something that a program says or does not")]
#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub(crate) name: String,
    /// Whether inputs of their own say users, profiles and the like; else the overrides do.
    by_inputs: bool,
    cluster_name: String,
    shards: u64,
    replicas: u64,
    level: &'static str,
    max_connections: Option<u64>,
    /// The limits of the profile `web`, by name.
    profile: BTreeMap<&'static str, u64>,
    /// How many queries the quota `web` allows in how many seconds.
    quota: Option<(u64, u64)>,
    /// Where the user `app` may come from.
    networks: Vec<&'static str>,
    /// The names of disks beside `default`, each in the policy `tiered` a volume of its own.
    disks: Vec<&'static str>,
    external_keeper: bool,
    /// Whether logs are rotated and dropped, and metrics served.
    has_more: bool,
    /// Whether there is a role, which only an input can say.
    has_role: bool,
}

impl Said {
    pub(crate) fn random(number: usize, random: &mut StdRng) -> Self {
        let some = |random: &mut StdRng| random.random_bool(0.5);
        let replicas = random.random_range(1..=3);
        let mut profile = BTreeMap::new();
        for (setting, values) in
            [("max_threads", 1..=64), ("max_memory_usage", 1 << 20..=1 << 33), ("readonly", 0..=2)]
        {
            if some(random) {
                profile.insert(setting, random.random_range(values));
            }
        }
        let mut disks = Vec::new();
        for disk in ["cold", "warm"] {
            if random.random_bool(0.3) {
                disks.push(disk);
            }
        }
        Self {
            name: format!("db-{number}"),
            by_inputs: number.is_multiple_of(2),
            cluster_name: ["cluster", "main", "a-b"][random.random_range(0..3)].to_owned(),
            shards: random.random_range(1..=3),
            replicas,
            level: ["none", "error", "information", "trace", "test"][random.random_range(0..5)],
            max_connections: some(random).then(|| random.random_range(10..=9999)),
            profile,
            quota: some(random).then(|| (random.random_range(1..=1000), random.random_range(1..=7200))),
            networks: [vec!["::/0"], vec!["10.1.0.0/16"], vec!["192.0.2.1", "10.2.0.0/16"]]
                [random.random_range(0..3)]
            .clone(),
            disks,
            external_keeper: replicas > 1 && some(random),
            has_more: some(random),
            has_role: number.is_multiple_of(2) && some(random),
        }
    }

    pub(crate) fn properties(&self, namespace: &str) -> Value {
        let mut properties = json!({"name": self.name, "namespace": namespace, "skipAwait": true,
            "clusterName": self.cluster_name, "shards": self.shards, "replicas": self.replicas,
            "logging": {"level": self.level}});
        if self.external_keeper {
            properties["coordination"] =
                json!({"type": "External", "external": {"nodes": [{"host": "keeper.example.com"}]}});
        }
        if self.by_inputs {
            self.say_by_inputs(&mut properties);
        } else {
            properties["chiOverrides"] = json!({"configuration": self.overrides()});
        }
        properties
    }

    /// Says the configuration in inputs of its own.
    fn say_by_inputs(&self, properties: &mut Value) {
        properties["users"] = json!({"app": {"passwordSha256": "ab".repeat(32), "profile": "web",
            "networks": self.networks}});
        let mut settings = json!(self.profile);
        settings["log_queries"] = json!("1");
        properties["profiles"] = json!({"web": {"settings": settings}});
        if let Some((queries, seconds)) = self.quota {
            properties["quotas"] = json!({"web": {"intervals": [{"seconds": seconds, "queries": queries}]}});
            properties["users"]["app"]["quota"] = json!("web");
        }
        if let Some(connections) = self.max_connections {
            properties["settings"] = json!({"max_connections": connections});
        }
        if !self.disks.is_empty() {
            let each = |disk: fn(&&str) -> Value| self.disks.iter().map(disk).collect::<Vec<_>>();
            let mut volumes = vec![json!({"name": "main", "disks": ["default"]})];
            volumes.extend(each(|disk| json!({"name": disk, "disks": [disk]})));
            properties["storage"] = json!({"disks": each(|disk| json!({"name": disk, "size": "1Gi"})),
                "policies": {"tiered": {"volumes": volumes, "moveFactor": 0.2}}});
        }
        if self.has_more {
            properties["logging"]["rotation"] = json!({"size": "50M", "count": 2});
            properties["logging"]["systemTables"] = json!({"retentionDays": 7});
            properties["monitoring"] = json!({"prometheus": {}});
        }
        if self.has_role {
            properties["roles"] = json!({"reader": {"grants": ["GRANT SELECT ON system.*"]}});
            properties["users"]["app"]["roles"] = json!(["reader"]);
        }
    }

    /// The same in the operator's own words.
    fn overrides(&self) -> Value {
        let mut configuration = json!({"users": {"app/password_sha256_hex": "ab".repeat(32),
            "app/profile": "web", "app/networks/ip": self.networks}});
        let mut profiles = Map::from_iter([("web/log_queries".to_owned(), json!("1"))]);
        profiles.extend(
            self.profile.iter().map(|(setting, value)| (format!("web/{setting}"), json!(value.to_string()))),
        );
        configuration["profiles"] = profiles.into();
        if let Some((queries, seconds)) = self.quota {
            configuration["quotas"] = json!({"web/interval/queries": queries.to_string(),
                "web/interval/duration": seconds.to_string()});
            configuration["users"]["app/quota"] = json!("web");
        }
        if let Some(connections) = self.max_connections {
            configuration["settings"] = json!({"max_connections": connections.to_string()});
        }
        if !self.disks.is_empty() {
            configuration["files"] = json!({"config.d/storage.xml": self.storage()});
        }
        configuration
    }

    fn storage(&self) -> String {
        let each = |text: fn(&str) -> String| self.disks.iter().map(|disk| text(disk)).collect::<String>();
        let disks = each(|disk| format!("<{disk}><path>/tmp/{disk}/</path></{disk}>"));
        let volumes = each(|disk| format!("<{disk}><disk>{disk}</disk></{disk}>"));
        format!(
            "<clickhouse><storage_configuration><disks>{disks}</disks><policies><tiered><volumes><main>\
             <disk>default</disk></main>{volumes}</volumes></tiered></policies></storage_configuration>\
             </clickhouse>"
        )
    }

    /// The questions whose answers the program determines, with those answers, for the first host.
    fn answers(&self) -> Vec<(&'static str, String)> {
        let Self { name, cluster_name, shards, replicas, .. } = self;
        let hosts = (0..*shards).flat_map(|shard| (0..*replicas).map(move |replica| (shard, replica)));
        let hosts: Vec<String> =
            hosts.map(|(shard, replica)| format!("{} {}", shard + 1, replica + 1)).collect();
        let mut limits: Vec<String> =
            self.profile.iter().map(|(setting, value)| format!("{setting} {value}")).collect();
        limits.push("log_queries 1".to_owned());
        limits.sort();
        let mut networks = self.networks.clone();
        networks.sort_unstable();
        let volumes = if self.disks.is_empty() {
            String::new()
        } else {
            ["main"].iter().chain(&self.disks).copied().collect::<Vec<_>>().join("\n")
        };
        vec![
            (
                "SELECT macro || ' ' || substitution FROM system.macros WHERE macro IN ('installation', \
                 'cluster', 'shard', 'replica') ORDER BY macro",
                format!(
                    "cluster {cluster_name}\ninstallation {name}\nreplica chi-{name}-{cluster_name}-0-0\n\
                     shard 0"
                ),
            ),
            (
                "SELECT toString(shard_num) || ' ' || toString(replica_num) FROM system.clusters WHERE \
                 cluster = getMacro('cluster') ORDER BY shard_num, replica_num",
                hosts.join("\n"),
            ),
            (
                "SELECT name FROM system.users WHERE storage = 'users_xml' ORDER BY name",
                "app\nclickhouse_operator\ndefault".to_owned(),
            ),
            (
                "SELECT arrayJoin(arraySort(host_ip)) FROM system.users WHERE \
                 name = 'app'",
                networks.join("\n"),
            ),
            (
                "SELECT toString(auth_type) LIKE '%sha256_password%' FROM system.users WHERE name = 'app'",
                "1".to_owned(),
            ),
            (
                "SELECT inherit_profile FROM system.settings_profile_elements WHERE user_name = 'app'",
                "web".to_owned(),
            ),
            (
                "SELECT setting_name || ' ' || assumeNotNull(value) FROM system.settings_profile_elements \
                 WHERE profile_name = 'web' AND setting_name IS NOT NULL ORDER BY setting_name",
                limits.join("\n"),
            ),
            (
                "SELECT toString(assumeNotNull(max_queries)) || ' ' || toString(duration) FROM \
                 system.quota_limits WHERE quota_name = 'web'",
                self.quota.map(|(queries, seconds)| format!("{queries} {seconds}")).unwrap_or_default(),
            ),
            (
                "SELECT value FROM system.server_settings WHERE name = 'max_connections' AND changed",
                self.max_connections.map(|connections| connections.to_string()).unwrap_or_default(),
            ),
            (
                "SELECT volume_name FROM system.storage_policies WHERE policy_name = 'tiered' ORDER BY \
                 volume_priority",
                volumes,
            ),
            (
                "SELECT name FROM system.roles ORDER BY name",
                if self.has_role { "reader".to_owned() } else { String::new() },
            ),
        ]
    }

    /// What of the program's only the files tell: the judge has a log, and a login for `default`, of its own.
    fn assert_files(&self, files: &BTreeMap<String, String>) {
        let all = files.values().map(String::as_str).collect::<String>();
        for part in [
            format!("<level>{}</level>", self.level),
            if self.external_keeper { "<host>keeper.example.com</host>".to_owned() } else { String::new() },
        ] {
            assert!(all.contains(&part), "`{part}` is in no file of {}", self.name);
        }
        assert_eq!(self.replicas > 1, all.contains("<zookeeper>"), "{}", self.name);
        let users = &files["users.d/chop-generated-users.xml"];
        let login = users.split("<default>").nth(1).and_then(|rest| rest.split("</default>").next()).unwrap();
        assert!(login.contains("<password_sha256_hex>") && login.contains(ADDRESS), "{}", self.name);
    }
}

/// Asks an engine that starts with `files`.
fn ask(running: &mut Running, said: &Said, files: &BTreeMap<String, String>) -> Vec<String> {
    let answers = said.answers();
    let questions: Vec<&str> = answers.iter().map(|(question, _)| *question).collect();
    let verdict = running.judge(&json!({"files": files, "ask": questions})).unwrap();
    if !verdict.took {
        return vec![format!("{}: {}", said.name, verdict.reason)];
    }
    answers
        .iter()
        .zip(&verdict.answers)
        .filter(|((_, expected), answer)| expected != answer.trim_end())
        .map(|((question, expected), answer)| {
            format!(
                "{}: {question}\n  gives {answer:?}\n  in the place of {expected:?}\n  {said:?}",
                said.name
            )
        })
        .collect()
}

#[tokio::test]
async fn clickhouse_says_of_itself_what_the_inputs_said() {
    needs!(Faults);
    let engines = Wheel::present().unwrap();
    if engines.is_empty() {
        return;
    }
    let testbed = Testbed::shared().await;
    let namespace = testbed.namespace().await.unwrap();
    // No pod is needed for what the operator makes of an installation.
    namespace.set_fault("silent").await.unwrap();
    let mut random = StdRng::seed_from_u64(9);
    let said: Vec<Said> = (0..PROGRAMS).map(|number| Said::random(number, &mut random)).collect();
    let resources: Map<String, Value> = said
        .iter()
        .map(|said| {
            let properties = said.properties(namespace.name());
            (said.name.clone(), json!({"type": "clickhouse:kubernetes:Cluster", "properties": properties}))
        })
        .collect();
    let stack = testbed.stack(&format!("resources: {}\n", Value::Object(resources))).await.unwrap();
    stack.up().await.unwrap().succeeded().unwrap();
    let made = namespace.installations().list(&ListParams::default()).await.unwrap().items;
    let made: BTreeMap<String, DynamicObject> =
        made.into_iter().map(|installation| (installation.name_any(), installation)).collect();
    let files: Vec<_> = said
        .iter()
        .map(|said| {
            let mut hosts = operator::configuration_of_hosts(&made[&said.name], &[ADDRESS.to_owned()]);
            let mut first = hosts.remove(&format!("chi-{}-{}-0-0", said.name, said.cluster_name)).unwrap();
            said.assert_files(&first);
            // What a host has mounted is a folder here.
            for text in first.values_mut() {
                *text = text.replace("/var/lib/clickhouse-", "/tmp/");
            }
            // There is no DNS that knows the hosts, and the engine would ask it.
            let servers = first.get_mut("config.d/chop-generated-remote_servers.xml").unwrap();
            let here = |line| {
                if str::trim_start(line).starts_with("<host>") { "<host>127.0.0.1</host>" } else { line }
            };
            *servers = servers.lines().map(here).collect();
            first
        })
        .collect();
    let wrong = tokio::task::spawn_blocking(move || {
        let mut wrong = Vec::new();
        for engine in engines {
            let mut running = Running::start(engine).unwrap();
            for (said, files) in said.iter().zip(&files) {
                wrong.extend(
                    ask(&mut running, said, files).iter().map(|wrong| format!("{} {wrong}", engine.release)),
                );
            }
        }
        wrong
    });
    let wrong = wrong.await.unwrap();
    assert!(wrong.is_empty(), "{} answers are others:\n{}", wrong.len(), wrong.join("\n"));
}
