//! The manifests of what the operator makes for an installation.

use serde_json::{Map, Value, json};

use super::HELD;
use super::configs::CLUSTER_SECRET;
use super::installation::{Host, Installation, Kind, no, yes};
use crate::engine;

/// The annotation that tells one version of a StatefulSet from another.
pub(super) const VERSION: &str = "object-version";

/// How the pods of a host get ready.
#[derive(Debug, Clone, Copy)]
pub(super) enum Start {
    ByItself,
    /// Once somebody lets them.
    Held,
    /// Once their engine answers.
    WithEngine(engine::Choice),
}

impl Installation {
    pub(super) fn meta(&self, name: &str, labels: Map<String, Value>) -> Value {
        let mut all: Map<String, Value> =
            self.labels.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
        all.extend(labels);
        json!({"name": name, "namespace": self.namespace, "labels": all, "annotations": self.annotations,
            "ownerReferences": self.owner()})
    }

    /// The disruption budget of a cluster, unless the spec says that others manage it.
    pub(super) fn disruption_budget(&self, cluster: usize) -> Option<Value> {
        let spec = &self.clusters[cluster];
        (!no(&spec["pdbManaged"])).then(|| {
            json!({
                "apiVersion": "policy/v1",
                "kind": "PodDisruptionBudget",
                "metadata": self.meta(&self.cluster_object_name(cluster), self.cluster_scope(cluster)),
                "spec": {"maxUnavailable": spec["pdbMaxUnavailable"].as_i64().unwrap_or(1),
                    "selector": {"matchLabels": self.cluster_scope(cluster)}},
            })
        })
    }

    /// The name of the Secret by which the hosts of a cluster know each other, where the operator is to make
    /// one.
    pub(super) fn auto_secret_name(&self, cluster: usize) -> Option<String> {
        let auto = yes(&self.clusters[cluster]["secret"]["auto"]);
        auto.then(|| format!("{}-{}-auto-secret", self.name, self.cluster_name(cluster)))
    }

    /// That Secret, with a new value.
    pub(super) fn auto_secret(&self, cluster: usize) -> Option<Value> {
        let name = self.auto_secret_name(cluster)?;
        let value = format!("{:032x}", rand::random::<u128>());
        Some(json!({"apiVersion": "v1", "kind": "Secret", "metadata": self.meta(&name,
                self.cluster_scope(cluster)), "stringData": {"secret": value}}))
    }

    /// The Service of all hosts in rotation.
    pub(super) fn service(&self) -> Value {
        let mut selector = self.scope();
        selector.insert(self.label("ready"), json!("yes"));
        let ports = match self.kind {
            Kind::ClickHouse => json!([port("http", 8123), port("tcp", 9000)]),
            Kind::Keeper => json!([port("zk", 2181), port("raft", 9444)]),
        };
        let spec = json!({"clusterIP": "None", "type": "ClusterIP", "ports": ports, "selector": selector});
        let template =
            self.hosts.first().and_then(|host| host.templates.get("serviceTemplate")).and_then(Value::as_str);
        self.templated(template, None, &self.service_name(), self.scope(), self.kind.short(), Some(spec))
            .unwrap_or_default()
    }

    /// The Services of clusters, shards and replicas that templates ask for, and each host's own.
    pub(super) fn host_services(&self, host: &Host) -> Vec<Value> {
        let template = |key: &str| host.templates.get(key).and_then(Value::as_str);
        let cluster_name = format!("cluster-{}-{}", self.name, self.cluster_name(host.cluster));
        let spec = json!({
            "clusterIP": "None", "type": "ClusterIP", "publishNotReadyAddresses": true,
                "ports": self.ports(host), "selector": self.host_scope(host),
        });
        let own = self.templated(
            template("replicaServiceTemplate"),
            Some(host),
            &self.host_name(host),
            self.host_scope(host),
            "host",
            Some(spec),
        );
        let client = own.clone().filter(|_| self.kind == Kind::Keeper && self.paired).map(|mut client| {
            client["metadata"]["name"] = json!(format!("{}-client", self.host_name(host)));
            client["spec"]["publishNotReadyAddresses"] = json!(false);
            client["spec"]["ports"] = json!([port("zk", 2181)]);
            client
        });
        [
            self.templated(
                template("clusterServiceTemplate"),
                Some(host),
                &cluster_name,
                self.cluster_scope(host.cluster),
                "cluster",
                None,
            ),
            self.templated(
                template("shardServiceTemplate"),
                Some(host),
                &self.shard_service_name(host),
                self.shard_scope(host),
                "shard",
                None,
            ),
            own,
            client,
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// A Service by a template, or by the default spec where there is no template.
    fn templated(
        &self,
        template: Option<&str>,
        host: Option<&Host>,
        name: &str,
        scope: Map<String, Value>,
        of: &str,
        default: Option<Value>,
    ) -> Option<Value> {
        let template = template.and_then(|template| self.template("serviceTemplates", template));
        let (name, mut spec) = match template {
            None => (name.to_owned(), default?),
            Some(template) => {
                let name = template["generateName"]
                    .as_str()
                    .map_or_else(|| name.to_owned(), |pattern| self.expand(pattern, host));
                let mut spec = template["spec"].clone();
                let mut selector = spec["selector"].as_object().cloned().unwrap_or_default();
                selector.extend(scope.clone());
                selector.insert(self.label("ready"), json!("yes"));
                spec["selector"] = json!(selector);
                (name, spec)
            }
        };
        if spec["ports"].as_array().is_none_or(Vec::is_empty) {
            spec["ports"] = json!([port("http", 8123), port("tcp", 9000)]);
        }
        let mut labels = scope;
        labels.insert(self.label("Service"), json!(of));
        let mut metadata = self.meta(&name, labels);
        for part in ["labels", "annotations"] {
            let own = template
                .and_then(|template| template.pointer(&format!("/metadata/{part}")))
                .and_then(Value::as_object);
            for (key, value) in own.into_iter().flatten() {
                metadata[part][key] = value.clone();
            }
        }
        Some(json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}))
    }

    /// A name by a pattern with macros.
    fn expand(&self, pattern: &str, host: Option<&Host>) -> String {
        let mut name = pattern
            .replace("{namespace}", &self.namespace)
            .replace("{chi}", &self.name)
            .replace("{chk}", &self.name);
        if let Some(host) = host {
            name = name
                .replace("{cluster}", self.cluster_name(host.cluster))
                .replace("{clusterIndex}", &host.cluster.to_string())
                .replace("{shard}", &host.shard_name)
                .replace("{shardIndex}", &host.shard.to_string())
                .replace("{replica}", &host.replica_name);
        }
        name
    }

    fn ports(&self, host: &Host) -> Value {
        if self.kind == Kind::Keeper {
            return json!([port("zk", 2181), port("raft", 9444)]);
        }
        let mut ports = Vec::new();
        if host.is_insecure {
            ports
                .extend([port("tcp", host.port("tcpPort", 9000)), port("http", host.port("httpPort", 8123))]);
        }
        if host.is_secure {
            ports.extend([
                port("secureclient", host.port("tlsPort", 9440)),
                port("https", host.port("httpsPort", 8443)),
            ]);
        }
        ports.push(port("interserver", host.port("interserverHTTPPort", 9009)));
        json!(ports)
    }

    /// The volume claim templates that a host uses: those its pod template mounts, and the defaults.
    pub(super) fn claim_templates(&self, host: &Host) -> Vec<&Value> {
        let pod = self.pod_template(host);
        let mounts = containers(&pod["spec"])
            .into_iter()
            .flat_map(|container| container["volumeMounts"].as_array().cloned().unwrap_or_default());
        let mut names: Vec<String> =
            mounts.filter_map(|mount| mount["name"].as_str().map(str::to_owned)).collect();
        for key in ["dataVolumeClaimTemplate", "volumeClaimTemplate", "logVolumeClaimTemplate"] {
            names.extend(host.templates.get(key).and_then(Value::as_str).map(str::to_owned));
        }
        names.dedup();
        let templates = self.spec["templates"]["volumeClaimTemplates"].as_array();
        templates
            .into_iter()
            .flatten()
            .filter(|template| names.iter().any(|name| template["name"] == *name))
            .collect()
    }

    fn pod_template(&self, host: &Host) -> Value {
        let name = host.templates.get("podTemplate").and_then(Value::as_str);
        name.and_then(|name| self.template("podTemplates", name)).cloned().unwrap_or_else(|| json!({}))
    }

    /// Whether a claim is made by the operator itself and not by the StatefulSet.
    pub(super) fn operator_provisions(&self, template: &Value) -> bool {
        let own = template["provisioner"].as_str().filter(|provisioner| !provisioner.is_empty());
        own.or_else(|| self.spec["defaults"]["storageManagement"]["provisioner"].as_str()) == Some("Operator")
    }

    /// `Retain` or `Delete`.
    pub(super) fn reclaim_policy<'a>(&'a self, template: &'a Value) -> &'a str {
        let own = template["reclaimPolicy"].as_str().filter(|policy| !policy.is_empty());
        own.or_else(|| self.spec["defaults"]["storageManagement"]["reclaimPolicy"].as_str())
            .filter(|policy| !policy.is_empty())
            .unwrap_or("Delete")
    }

    /// The policy for a pod's claim by the templates in force; `None` when none of them explains it.
    pub(super) fn policy_of(&self, claim: &str, pod: &str) -> Option<&str> {
        let own = self.hosts.iter().filter(|host| self.pod_name(host) == pod).collect::<Vec<_>>();
        // A host that is gone from the spec is read with the templates of those that are left.
        let hosts = if own.is_empty() { self.hosts.iter().collect() } else { own };
        let named =
            |template: &&Value| claim == format!("{}-{pod}", template["name"].as_str().unwrap_or_default());
        hosts
            .into_iter()
            .flat_map(|host| self.claim_templates(host))
            .find(named)
            .map(|template| self.reclaim_policy(template))
    }

    /// The claim of a host by a template, without an owner: it outlives the installation unless deleted.
    pub(super) fn claim(&self, host: &Host, template: &Value) -> Value {
        let mut labels = self.host_scope(host);
        labels.extend(
            template.pointer("/metadata/labels").and_then(Value::as_object).cloned().unwrap_or_default(),
        );
        labels.insert(self.label("reclaimPolicy"), json!(self.reclaim_policy(template)));
        let annotations = template.pointer("/metadata/annotations").cloned().unwrap_or_else(|| json!({}));
        json!({
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": self.claim_name(host, template), "namespace": self.namespace,
                "labels": labels, "annotations": annotations},
            "spec": template["spec"],
        })
    }

    pub(super) fn claim_name(&self, host: &Host, template: &Value) -> String {
        format!("{}-{}", template["name"].as_str().unwrap_or_default(), self.pod_name(host))
    }

    /// The StatefulSet of a host.
    pub(super) fn stateful_set(&self, host: &Host, start: Start) -> Value {
        let template = self.pod_template(host);
        let mut spec = template["spec"].clone();
        if !spec.is_object() {
            spec = json!({});
        }
        let (container, image, data, logs) = match self.kind {
            Kind::ClickHouse => (
                "clickhouse",
                "clickhouse/clickhouse-server:latest",
                "/var/lib/clickhouse",
                "/var/log/clickhouse-server",
            ),
            Kind::Keeper => (
                "clickhouse-keeper",
                "clickhouse/clickhouse-keeper:latest",
                "/var/lib/clickhouse-keeper",
                "/var/log/clickhouse-keeper",
            ),
        };
        if containers(&spec).is_empty() {
            spec["containers"] = json!([{"name": container, "image": image}]);
        }
        let position =
            containers(&spec).iter().position(|other| other["name"] == container).unwrap_or_default();
        let main = &mut spec["containers"][position];
        if main["ports"].is_null() {
            let ports = self.ports(host);
            main["ports"] = ports
                .as_array()
                .into_iter()
                .flatten()
                .map(|port| json!({"name": port["name"], "containerPort": port["port"]}))
                .collect();
        }
        main["env"] = json!(self.container_environment(host, main, data));
        let mut mounts = main["volumeMounts"].as_array().cloned().unwrap_or_default();
        for (key, path) in [
            ("dataVolumeClaimTemplate", data),
            ("volumeClaimTemplate", data),
            ("logVolumeClaimTemplate", logs),
        ] {
            if let Some(name) = host.templates.get(key)
                && !mounts.iter().any(|mount| mount["name"] == *name)
            {
                mounts.push(json!({"name": name, "mountPath": path}));
            }
        }
        let mut volumes = spec["volumes"].as_array().cloned().unwrap_or_default();
        let configs = [
            (self.common_config_name("configd"), "config.d"),
            (self.common_config_name("usersd"), "users.d"),
            (self.host_config_name(host), "conf.d"),
        ];
        let home =
            if self.kind == Kind::ClickHouse { "/etc/clickhouse-server" } else { "/etc/clickhouse-keeper" };
        for (name, folder) in configs {
            // A volume's name is shorter than a ConfigMap's may be.
            let volume = format!("chop-{}", folder.replace('.', ""));
            volumes.push(json!({"name": volume, "configMap": {"name": name}}));
            mounts.push(json!({"name": volume, "mountPath": format!("{home}/{folder}/")}));
        }
        let mut claims = Vec::new();
        for template in self.claim_templates(host) {
            if self.operator_provisions(template) {
                volumes.push(json!({"name": template["name"],
                    "persistentVolumeClaim": {"claimName": self.claim_name(host, template)}}));
            } else {
                let mut claim = self.claim(host, template);
                claim["metadata"] = json!({"name": template["name"], "labels": claim["metadata"]["labels"],
                    "annotations": claim["metadata"]["annotations"]});
                claims.push(claim);
            }
        }
        spec["containers"][position]["volumeMounts"] = json!(mounts);
        spec["volumes"] = json!(volumes);
        let mut labels =
            self.labels.iter().map(|(key, value)| (key.clone(), json!(value))).collect::<Map<_, _>>();
        labels.extend(self.host_scope(host));
        labels.insert(self.label("ready"), json!("yes"));
        labels.extend(
            template.pointer("/metadata/labels").and_then(Value::as_object).cloned().unwrap_or_default(),
        );
        let mut annotations: Map<String, Value> =
            self.annotations.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
        annotations.extend(
            template.pointer("/metadata/annotations").and_then(Value::as_object).cloned().unwrap_or_default(),
        );
        match start {
            Start::ByItself => {}
            Start::Held => {
                annotations.insert(HELD.to_owned(), json!("by the operator's stand-in"));
            }
            Start::WithEngine(choice) => {
                annotations.insert(HELD.to_owned(), json!(engine::HOLD));
                annotations.insert(engine::ENGINE.to_owned(), json!(choice.word()));
            }
        }
        let replicas = i32::from(!self.says_yes("stop"));
        json!({
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": self.meta(&self.host_name(host), self.host_scope(host)),
            "spec": {
                "replicas": replicas,
                "serviceName": self.host_name(host),
                "selector": {"matchLabels": self.host_scope(host)},
                "podManagementPolicy": "OrderedReady",
                "updateStrategy": {"type": "RollingUpdate"},
                "template": {"metadata": {"labels": labels, "annotations": annotations}, "spec": spec},
                "volumeClaimTemplates": claims,
            },
        })
    }

    /// The variables of the main container: its own, and those that the operator adds.
    fn container_environment(&self, host: &Host, main: &Value, data: &str) -> Vec<Value> {
        let mut env = main["env"].as_array().cloned().unwrap_or_default();
        env.extend(self.environment());
        let own = &self.clusters[host.cluster]["secret"]["valueFrom"];
        if let Some(secret) = self.auto_secret_name(host.cluster) {
            env.push(json!({"name": CLUSTER_SECRET, "valueFrom": {"secretKeyRef": {"name": secret,
                "key": "secret"}}}));
        } else if own.is_object() {
            env.push(json!({"name": CLUSTER_SECRET, "valueFrom": own}));
        }
        match self.kind {
            Kind::ClickHouse if main["command"].is_null() => {
                env.push(json!({"name": "CLICKHOUSE_SKIP_USER_SETUP", "value": "1"}));
            }
            Kind::ClickHouse => {}
            Kind::Keeper => env.push(json!({"name": "CLICKHOUSE_DATA_DIR", "value": data})),
        }
        env
    }
}

fn containers(spec: &Value) -> Vec<Value> {
    spec["containers"].as_array().cloned().unwrap_or_default()
}

fn port(name: &str, number: u64) -> Value {
    json!({"name": name, "port": number, "protocol": "TCP", "targetPort": name})
}
