//! What inputs render is read back as these inputs, and what is read renders the same again: over every input
//! of every aspect. Over the corpus of installations it is `corpus::every_installation_is_adopted_as_it_is`.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::json;

use super::corpus::schema::Definitions;
use super::*;
use crate::kubernetes::cluster::adopt::inputs;
use crate::kubernetes::cluster::aspects::Live;
use crate::kubernetes::cluster::manifest::build;
use crate::kubernetes::cluster::objects::Objects;
use crate::property::path::{PropertyPath, Segment};

/// Every input with some values. A program takes some of them, as far as Check lets them stand together.
const VALUES: &[(&str, &str)] = &[
    ("name", r#"["db", "a-1"]"#),
    ("namespace", r#"["apps", "n-2"]"#),
    ("createNamespace", "[true]"),
    ("labels", r#"[{"team": "x"}, {"a.example/b": "c", "d": ""}]"#),
    ("annotations", r#"[{"a/b": "text: {}"}]"#),
    ("clusterName", r#"["main", "c-2"]"#),
    ("clusterDomain", r#"["k8s.example"]"#),
    ("version", r#"["24.8.1.1", "25.3"]"#),
    ("image.repository", r#"["example.com:5000/team/ch"]"#),
    ("image.tag", r#"["25.8-alpine"]"#),
    ("image.digest", r#"["sha256:1111111111111111111111111111111111111111111111111111111111111111"]"#),
    ("image.pullPolicy", r#"["Always", "IfNotPresent", "Never"]"#),
    ("image.pullSecrets", r#"[["one"], ["one", "two"]]"#),
    ("shards", "[2, 5]"),
    ("replicas", "[2, 3]"),
    (
        "layout",
        r#"[{"shards": [{"name": "a", "weight": 2, "replicas": 2},
                {"name": "b", "internalReplication": false, "replicas": 1}]},
            {"shards": [{"replicas": 1, "settings": {"x/y": "9"}, "files": {"conf.d/a.xml": "<a/>"}},
                {"hosts": [{"name": "x", "settings": {"x/y": "8"}}, {"files": {"b.xml": "<b/>"}}]}]},
            {"shards": [{"name": "big", "replicas": 1,
                "resources": {"requests": {"cpu": "2", "memory": "8Gi"},
                    "limits": {"cpu": "4", "memory": "9Gi"}},
                "pod": {"nodeSelector": {"kind": "big"}},
                "storage": {"size": "9Ti", "storageClass": "wide", "reclaimPolicy": "Retain"}},
                {"replicas": 2, "pod": {"priorityClassName": "low", "zones": ["q"]}}]}]"#,
    ),
    ("perShardServices", "[true, false]"),
    ("admin.username", r#"["boss", "a.b-c"]"#),
    ("admin.password", r#"["hush"]"#),
    ("admin.existingSecret.name", r#"["given"]"#),
    ("admin.existingSecret.key", r#"["key"]"#),
    ("admin.passwordVersion", r#"["2"]"#),
    ("admin.networks", r#"[["::/0"], ["10.0.0.0/8", "::1"]]"#),
    ("interserverSecret.enabled", "[true, false]"),
    ("interserverSecret.existingSecret.name", r#"["trust"]"#),
    ("interserverSecret.existingSecret.key", r#"["k"]"#),
    ("stopped", "[true, false]"),
    ("suspended", "[true, false]"),
    ("troubleshoot", "[true, false]"),
    ("restartToken", r#"["1", "again"]"#),
    ("reconcile.policy", r#"["Wait", "NoWait"]"#),
    ("reconcile.shardsAtOnce", "[1, 3]"),
    ("reconcile.shardsAtOncePercent", "[0, 100]"),
    ("reconcile.configMapPropagationSeconds", "[90]"),
    ("schemaPolicy.replica", r#"["All", "None"]"#),
    ("schemaPolicy.shard", r#"["All", "None", "DistributedTablesOnly"]"#),
    ("hooks.beforeHost", r#"[[{"events": ["HostShutdown"], "sql": ["SELECT 1", "SELECT 2"]}]]"#),
    ("hooks.afterHost", r#"[[{"events": ["Any"], "shell": {"command": ["a"], "container": "b"}}]]"#),
    ("hooks.beforeCluster", r#"[[{"events": ["Any"], "sql": ["SELECT 1"], "target": "AllShards"}]]"#),
    (
        "hooks.afterCluster",
        r#"[[{"events": ["Any"], "http": {"url": "http://a", "method": "GET"}, "failurePolicy": "Ignore"}]]"#,
    ),
    ("allowDataLoss", "[true]"),
    ("skipAwait", "[true]"),
    ("forceConflicts", "[true]"),
    (
        "chiOverrides",
        r#"[{"reconcile": {"cleanup": {"unknownObjects": {"service": "Retain"}}}}, {"configuration": {"quotas": {"x/y": 1}}}]"#,
    ),
    ("chkOverrides", r#"[{"configuration": {"settings": {"logger/level": "debug"}}}]"#),
    ("resources.requests.cpu", r#"["100m"]"#),
    ("resources.requests.memory", r#"["1Gi"]"#),
    ("resources.limits.cpu", r#"["3"]"#),
    ("resources.limits.memory", r#"["7Gi"]"#),
    ("storage.size", r#"["1Ti"]"#),
    ("storage.storageClass", r#"["fast"]"#),
    ("storage.accessModes", r#"[["ReadWriteOncePod"], ["ReadWriteMany"]]"#),
    ("storage.reclaimPolicy", r#"["Retain", "Delete"]"#),
    ("storage.provisioner", r#"["Operator", "StatefulSet"]"#),
    ("storage.ephemeral", "[true, false]"),
    (
        "storage.logs",
        r#"[{"size": "3Gi"},
            {"storageClass": "slow", "accessModes": ["ReadWriteMany"], "reclaimPolicy": "Delete"}]"#,
    ),
    ("coordination.type", r#"["Keeper", "External", "None"]"#),
    ("coordination.keeper.replicas", "[1, 5]"),
    (
        "coordination.keeper.image",
        r#"[{"tag": "25.3"}, {"repository": "example.com/k", "tag": "1", "pullPolicy": "Never"}]"#,
    ),
    (
        "coordination.keeper.resources",
        r#"[{"limits": {"memory": "2Gi", "cpu": "1"}}, {"requests": {"cpu": "50m", "memory": "64Mi"}}]"#,
    ),
    (
        "coordination.keeper.storage",
        r#"[{"size": "2Gi", "storageClass": "fast"}, {"reclaimPolicy": "Delete"}]"#,
    ),
    (
        "coordination.external",
        r#"[{"nodes": [{"host": "zk", "port": 2182}], "root": "/a"},
            {"nodes": [{"host": "a", "port": 2281, "secure": true, "availabilityZone": "z"}], "identity": "u:p",
             "timeouts": {"sessionMs": 9, "operationMs": 8}}]"#,
    ),
    ("ingress.type", r#"["LoadBalancer", "NodePort", "ClusterIP"]"#),
    ("ingress.hostname", r#"["db.example"]"#),
    ("ingress.annotations", r#"[{"cloud/a": "b"}]"#),
    ("ingress.labels", r#"[{"l": "m"}]"#),
    ("ingress.sourceRanges", r#"[["203.0.113.0/24"]]"#),
    ("ingress.loadBalancerClass", r#"["internal"]"#),
    ("ingress.externalTrafficPolicy", r#"["Cluster", "Local"]"#),
    ("ingress.internal", "[true]"),
    ("ingress.nodePorts.http", "[30123]"),
    ("ingress.nodePorts.native", "[30900]"),
    ("ingress.nodePorts.https", "[30443]"),
    ("ingress.nodePorts.nativeSecure", "[30440]"),
    ("ingress.perShard", "[true]"),
    ("tls.secretName", r#"["cert"]"#),
    ("tls.issuerRef.name", r#"["ca"]"#),
    ("tls.issuerRef.kind", r#"["ClusterIssuer"]"#),
    ("tls.issuerRef.group", r#"["issuers.example"]"#),
    ("tls.insecurePorts", "[true, false]"),
    ("tls.interserver", "[true, false]"),
    ("tls.minVersion", r#"["1.2", "1.3"]"#),
    ("networkPolicy.from", r#"[[{"podSelector": {}}], [{"ipBlock": {"cidr": "10.0.0.0/8"}}]]"#),
    ("podDisruptionBudget.managed", "[true]"),
    ("podDisruptionBudget.maxUnavailable", "[0, 2]"),
    ("monitoring.prometheus.port", "[9999]"),
    ("monitoring.prometheus.path", r#"["/m"]"#),
    ("monitoring.podMonitor", r#"[{"labels": {"release": "prom"}, "interval": "15s"}]"#),
    ("monitoring.rules", r#"[{"labels": {"release": "prom"}}]"#),
    ("monitoring.dashboard", r#"[{"labels": {"folder": "db"}}]"#),
    ("logging.rotation.size", r#"["50M", "900"]"#),
    ("logging.rotation.count", "[1, 9]"),
    ("logging.systemTables.retentionDays", "[7, 400]"),
    ("logging.level", r#"["none", "debug", "test"]"#),
    (
        "storage.disks",
        r#"[[{"name": "fast", "size": "3Gi"}], [{"name": "b", "size": "1Ti", "storageClass": "slow",
            "accessModes": ["ReadWriteMany"], "reclaimPolicy": "Delete"}, {"name": "a", "size": "1Gi"}]]"#,
    ),
    (
        "storage.s3Disks",
        r#"[[{"name": "cold", "endpoint": "https://a.example/b/", "cacheSize": "7Gi"}],
            [{"name": "s", "endpoint": "http://a/", "region": "x", "credentials": {"secretName": "k"}},
             {"name": "t", "endpoint": "http://b/", "credentials": {"secretName": "k",
                "accessKeyIdKey": "i", "secretAccessKeyKey": "j"}}]]"#,
    ),
    (
        "storage.policies",
        r#"[{"default": {"volumes": [{"name": "main", "disks": ["default", "fast"]}]}},
            {"tiers": {"volumes": [{"name": "z", "disks": ["default"], "maxDataPartSize": "5Gi"},
                {"name": "a", "disks": ["cold"], "preferNotToMerge": true}], "moveFactor": 0.25}}]"#,
    ),
    ("pod.nodeSelector", r#"[{"pool": "db"}]"#),
    (
        "pod.tolerations",
        r#"[[{"key": "a", "operator": "Exists"}], [{"key": "b", "value": "c", "effect": "NoExecute",
            "tolerationSeconds": 9}]]"#,
    ),
    (
        "pod.affinity",
        r#"[{"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms":
                [{"matchExpressions": [{"key": "disk", "operator": "In", "values": ["nvme"]}]},
                 {"matchFields": [{"key": "metadata.name", "operator": "Exists"}]}]}}},
            {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
                [{"topologyKey": "rack", "namespaceSelector": {}}]}}]"#,
    ),
    ("pod.antiAffinity", r#"["None", "Preferred", "Required"]"#),
    ("pod.zones", r#"[["a"], ["a", "b"]]"#),
    (
        "pod.topologySpread",
        r#"[[{"maxSkew": 1, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule"}]]"#,
    ),
    ("pod.serviceAccountName", r#"["db"]"#),
    ("pod.priorityClassName", r#"["high"]"#),
    ("pod.runtimeClassName", r#"["gvisor"]"#),
    ("pod.terminationGracePeriodSeconds", "[0, 120]"),
    ("pod.hostAliases", r#"[[{"ip": "10.0.0.1", "hostnames": ["a", "b"]}]]"#),
    (
        "pod.securityContext",
        r#"[{"runAsUser": 7}, {"fsGroup": 8, "sysctls": [{"name": "a", "value": "b"}]}]"#,
    ),
    ("pod.containerSecurityContext", r#"[{"readOnlyRootFilesystem": true}]"#),
    ("pod.restricted", "[true, false]"),
    ("pod.labels", r#"[{"tier": "db"}]"#),
    ("pod.annotations", r#"[{"a.example/scrape": "no"}]"#),
    (
        "pod.env",
        r#"[[{"name": "A", "value": "1"}],
            [{"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]]"#,
    ),
    (
        "pod.extraContainers",
        r#"[[{"name": "side", "image": "a:1"}],
            [{"name": "a", "image": "b", "securityContext": {"runAsUser": 3}}, {"name": "b"}]]"#,
    ),
    ("pod.initContainers", r#"[[{"name": "first", "image": "a:1", "command": ["x"]}]]"#),
    ("pod.volumes", r#"[[{"name": "more", "emptyDir": {}}, {"name": "x", "configMap": {"name": "y"}}]]"#),
    ("pod.volumeMounts", r#"[[{"name": "more", "mountPath": "/more", "readOnly": true}]]"#),
    ("pod.livenessProbe", r#"[{"httpGet": {"path": "/ping", "port": "http"}}]"#),
    ("pod.readinessProbe", r#"[{"periodSeconds": 5, "tcpSocket": {"port": 9000}}]"#),
    ("pod.startupProbe", r#"[{"exec": {"command": ["true"]}}]"#),
    (
        "coordination.keeper.pod",
        r#"[{"nodeSelector": {"a": "b"}, "antiAffinity": "Required", "zones": ["x", "y"]},
            {"restricted": true, "env": [{"name": "C", "value": "d"}]},
            {"antiAffinity": "None", "initContainers": [{"name": "i"}], "labels": {"k": "l"}}]"#,
    ),
    (
        "settings",
        r#"[{"max_connections": 500, "a/b": ["x", "y"], "c": "0.5"},
            {"kafka/sasl_password": {"secret": {"name": "s", "key": "k"}}, "on": true}]"#,
    ),
    (
        "files",
        r#"[{"config.d/a.xml": "<clickhouse/>", "b.txt": "x"},
            {"c.pem": {"secret": {"name": "s", "key": "k"}}}]"#,
    ),
    (
        "profiles",
        r#"[{"web": {"settings": {"max_threads": 4, "log_queries": "1"}, "inherits": "readonly"}},
            {"default": {"constraints": {"max_threads": {"min": 1, "max": "8"}, "log_queries":
                {"readonly": true}, "x": {"changeableInReadonly": true}}}, "web": {"inherits": "default"}}]"#,
    ),
    (
        "quotas",
        r#"[{"small": {"keyedBy": "ClientKey", "intervals": [{"seconds": 60, "queries": 5, "errors": 0,
                "querySelects": 1, "queryInserts": 2, "resultRows": 3}, {"seconds": 3600, "readRows": 7,
                "resultBytes": 8, "readBytes": 9, "writtenBytes": 10, "executionTime": 0.5}]}}]"#,
    ),
    ("roles", r#"[{"reader": {"grants": ["GRANT SELECT ON a.*", "GRANT b ON c WITH GRANT OPTION"]}}]"#),
    (
        "users",
        r#"[{"app": {"passwordSha256":
                "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
                "networks": ["::1", "a.corp", "b$"], "profile": "readonly", "quota": "default",
                "settings": {"max_threads": 1}, "roles": ["reader"], "grants": ["GRANT SELECT ON d.*"]}},
            {"one": {"certificates": ["one.corp"], "databases": ["a", "b"], "networks": ["10.0.0.0/8"]},
                "two":
                {"password": "x", "accessManagement": true}, "three": {"passwordSecret": {"name": "s"}}}]"#,
    ),
    ("backup.schedule", r#"["@daily", "5 4 * * sun"]"#),
    ("backup.timeZone", r#"["Europe/Berlin"]"#),
    ("backup.retention", r#"[{"local": 2, "remote": 0}, {"remote": 30}]"#),
    (
        "backup.s3",
        r#"[{"bucket": "b"}, {"bucket": "b.c", "path": "a/b", "endpoint": "http://minio:9000",
            "region": "eu-1", "forcePathStyle": true, "storageClass": "GLACIER_IR",
            "serverSideEncryption": "aws:kms", "credentials": {"secretName": "s3", "accessKeyIdKey": "id",
                "secretAccessKeyKey": "key"}}]"#,
    ),
    ("backup.gcs", r#"[{"bucket": "b", "path": "p", "credentials": {"name": "gcs", "key": "j.json"}}]"#),
    (
        "backup.azure",
        r#"[{"container": "c", "accountName": "acme"},
            {"container": "c", "path": "p", "accountName": "acme",
                "credentials": {"name": "az", "key": "k"}}]"#,
    ),
    ("backup.image.repository", r#"["example.com/team/backup"]"#),
    ("backup.image.tag", r#"["2.7.4"]"#),
    ("backup.image.digest", r#"["sha256:2222222222222222222222222222222222222222222222222222222222222222"]"#),
    ("backup.image.pullPolicy", r#"["Always", "Never"]"#),
    ("backup.resources", r#"[{"limits": {"memory": "3Gi"}}, {"requests": {"cpu": "2"}}]"#),
    ("backup.suspended", "[true, false]"),
    ("backup.restoreFrom", r#"["2026-11-26t02-00-00"]"#),
];

/// What no object tells that is read: how a run is made, what is only asked for once, where a password or a
/// certificate comes from. A Service has node ports and a type whoever asked for them.
const UNTOLD: &[&str] = &[
    "__defaults",
    "createNamespace",
    "allowDataLoss",
    "skipAwait",
    "forceConflicts",
    "admin.password",
    "admin.existingSecret",
    "admin.passwordVersion",
    "ingress.type",
    "ingress.nodePorts",
    "tls.issuerRef",
    "networkPolicy",
    "monitoring.podMonitor",
    "monitoring.rules",
    "monitoring.dashboard",
    "coordination.type",
    "interserverSecret",
    "users.two.password",
    "users.three",
    "backup.restoreFrom",
];

fn set(program: &mut Value, path: &str, value: Value) {
    let parent = path.split('.').collect::<Vec<_>>();
    *parent.iter().fold(program, |parent, key| &mut parent[*key]) = value;
}

/// A program of some of the inputs; what Check refuses beside the others is left out.
fn programs() -> impl Strategy<Value = Value> {
    let chosen =
        prop::collection::vec(prop::option::weighted(0.25, any::<prop::sample::Index>()), VALUES.len());
    chosen.prop_map(|chosen| {
        let mut program = json!({"name": "db"});
        for ((path, values), index) in VALUES.iter().zip(chosen) {
            let values: Vec<Value> = serde_json::from_str(values).unwrap();
            if let Some(index) = index {
                set(&mut program, path, index.get(&values).clone());
            }
        }
        while let Err(failures) = run_validate(&Known::all(checked(program.clone()))) {
            // One after the other: what is left out may be the whole that another one is a part of.
            if let Some(failure) = failures.first() {
                leave_out(&mut program, &failure.path);
            }
        }
        program
    })
}

/// Takes out what stands at `path`, or the nearest that is there above it.
fn leave_out(program: &mut Value, path: &PropertyPath) {
    let keys: Vec<_> = path
        .segments()
        .iter()
        .map_while(|segment| if let Segment::Key(key) = segment { Some(key.as_str()) } else { None })
        .collect();
    for length in (1..=keys.len()).rev() {
        let parent = keys[..length - 1].iter().try_fold(&mut *program, |parent, key| parent.get_mut(key));
        if parent.and_then(|parent| parent.as_object_mut()?.remove(keys[length - 1])).is_some() {
            return;
        }
    }
    panic!("{path} is refused, and not there: {program}");
}

fn built(args: &ClusterArgs) -> Objects {
    let filled = fill(&urn(), &Autonaming::Default, "apps", None, &Known::all(args.clone())).unwrap();
    let cluster = run_validate(&Known::all(filled)).unwrap_or_else(|failures| panic!("{failures:?}"));
    build(&cluster, &urn(), &login(), "")
}

fn live(objects: &Objects) -> Live {
    let Objects { installation, keeper, service, backup, .. } = objects.clone();
    Live { backup, ..Live::new(installation.unwrap(), keeper, service, None) }
}

/// What a Service asks for besides the numbers of node ports.
fn asked(service: Option<&Value>) -> Option<Value> {
    let mut spec = service?["spec"].clone();
    for port in spec["ports"].as_array_mut().into_iter().flatten() {
        port.as_object_mut()?.remove("nodePort");
    }
    Some(spec)
}

/// The leaves of inputs by their paths, without what no object tells; an empty object counts as none.
fn leaves(value: &Value, path: &str, found: &mut Vec<(String, Value)>) {
    if UNTOLD.contains(&path) {
        return;
    }
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                leaves(value, &if path.is_empty() { key.clone() } else { format!("{path}.{key}") }, found);
            }
        }
        // What is left out.
        Value::Bool(false) => {}
        value => found.push((path.to_owned(), value.clone())),
    }
}

/// Whether an input has no effect beside others: a version beside a tag or digest, an override of a Keeper
/// that there is not.
fn is_outdone(path: &str, args: &ClusterArgs) -> bool {
    let inputs = serde_json::to_value(args).unwrap();
    let has = |pointer: &str| inputs.pointer(pointer).is_some();
    path == "image.tag"
        || path == "backup.image.tag" && has("/backup/image/digest")
        || path == "version" && (has("/image/tag") || has("/image/digest"))
        || path.starts_with("chkOverrides") && !has("/coordination/keeper")
        // What holds anyway.
        || path.ends_with("pod.antiAffinity")
        || path == "coordination.keeper.pod.restricted"
}

fn told_leaves(args: &ClusterArgs) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    leaves(&serde_json::to_value(args).unwrap(), "", &mut found);
    found
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn what_inputs_render_is_read_back_and_renders_the_same(program in programs()) {
        let args = checked(program);
        let made = built(&args);
        let read = inputs(&live(&made), &urn(), &login());
        let again = built(&read);
        prop_assert_eq!(&again.installation, &made.installation);
        let spec = |object: &Option<Value>| object.as_ref().map(|object| object["spec"].clone());
        prop_assert_eq!(spec(&again.keeper), spec(&made.keeper));
        prop_assert_eq!(asked(again.service.as_ref()), asked(made.service.as_ref()));
        prop_assert_eq!(&again.backup, &made.backup);
        let told = told_leaves(&fill(&urn(), &Autonaming::Default, "apps", None,
            &Known::all(read.clone())).unwrap());
        for leaf in told_leaves(&args).into_iter().filter(|(path, _)| !is_outdone(path, &args)) {
            prop_assert!(told.contains(&leaf), "{leaf:?} is not in {told:?}");
        }
        prop_assert_eq!(inputs(&live(&again), &urn(), &login()), read);
    }

    #[test]
    fn every_operator_takes_what_inputs_render(program in programs()) {
        let Objects { installation, keeper, .. } = built(&checked(program));
        // Hooks are of 0.27.1.
        let known = [(Definitions::in_force(), "hooks"), (Definitions::of_release("0.27.1"), "nothing")];
        for (definitions, newer) in known {
            let Some(definitions) = definitions else { continue };
            let mut problems: Vec<_> =
                installation.iter().chain(&keeper).flat_map(|object| definitions.problems(object)).collect();
            problems.retain(|problem| !problem.contains(newer));
            prop_assert_eq!(problems, Vec::<String>::new());
        }
    }

    #[test]
    fn what_somebody_else_has_made_of_the_same_fields_renders_the_same(program in programs()) {
        let Objects { installation, keeper, .. } = built(&checked(program));
        let mut installation = installation.unwrap();
        installation["metadata"]["labels"].as_object_mut().unwrap().remove("app.kubernetes.io/managed-by");
        let there = Live::new(installation.clone(), keeper, None, None);
        let nobody = Login::default();
        let read = inputs(&there, &urn(), &nobody);
        let filled = fill(&urn(), &Autonaming::Default, "apps", None, &Known::all(read)).unwrap();
        let cluster = run_validate(&Known::all(filled)).unwrap_or_else(|failures| panic!("{failures:?}"));
        prop_assert_eq!(&build(&cluster, &urn(), &nobody, "").installation.unwrap()["spec"],
            &installation["spec"]);
    }
}

#[test]
fn no_input_is_forgotten() {
    let schema = serde_json::to_value(schemars::schema_for!(ClusterArgs)).unwrap();
    let mut known = BTreeSet::new();
    properties(&schema, &schema, "", &mut known);
    let covered = |path: &&String| {
        VALUES
            .iter()
            .any(|(covered, _)| *covered == path.as_str() || path.starts_with(&format!("{covered}.")))
    };
    assert!(known.len() >= 70, "{known:?}");
    assert_eq!(known.iter().filter(|path| !covered(path)).collect::<Vec<_>>(), Vec::<&String>::new());
}

/// The inputs that hold no others, by their paths.
fn properties(schema: &Value, node: &Value, path: &str, found: &mut BTreeSet<String>) {
    let node = node["anyOf"]
        .as_array()
        .and_then(|choices| choices.iter().find(|choice| choice["type"] != "null"))
        .unwrap_or(node);
    let node =
        node["$ref"].as_str().and_then(|place| schema.pointer(place.trim_start_matches('#'))).unwrap_or(node);
    match node["properties"].as_object() {
        Some(below) => {
            for (key, node) in below {
                properties(
                    schema,
                    node,
                    &if path.is_empty() { key.clone() } else { format!("{path}.{key}") },
                    found,
                );
            }
        }
        None => _ = found.insert(path.to_owned()),
    }
}
