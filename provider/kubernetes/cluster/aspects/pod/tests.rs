use serde_json::{Value, json};

use crate::kubernetes::cluster::tests::{adopted, built, changed, problems_of_program};

const KEEPER: &str = "clickhouse-keeper.altinity.com/chk";
const SPREAD: &str = "topologySpreadConstraints";

fn template(object: Option<Value>) -> Value {
    object.unwrap()["spec"]["templates"]["podTemplates"][0].take()
}

/// The template of the hosts' pods, and its `spec`.
fn hosts(program: Value) -> (Value, Value) {
    let template = template(built(program).installation);
    (template["spec"].clone(), template)
}

fn keeper(program: Value) -> Value {
    template(built(program).keeper)["spec"].take()
}

#[test]
fn kubernetes_objects_stand_in_the_pod_as_they_are() {
    let (spec, template) = hosts(json!({"pod": {
        "nodeSelector": {"pool": "db"}, "serviceAccountName": "db", "priorityClassName": "high",
        "terminationGracePeriodSeconds": 120, "labels": {"a": "b"}, "annotations": {"c": "d"},
        "tolerations": [{"key": "k", "operator": "Exists", "effect": "NoSchedule"}],
        "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["x"]}],
        "env": [{"name": "A", "value": "1"}],
        "extraContainers": [{"name": "side", "image": "i"}],
        "initContainers": [{"name": "first", "image": "i"}],
        "volumes": [{"name": "v", "emptyDir": {}}], "volumeMounts": [{"name": "v", "mountPath": "/v"}],
        "startupProbe": {"periodSeconds": 3}, "containerSecurityContext": {"privileged": false},
    }}));
    assert_eq!(template["metadata"], json!({"labels": {"a": "b"}, "annotations": {"c": "d"}}));
    for (field, value) in [
        ("nodeSelector", json!({"pool": "db"})),
        ("serviceAccountName", json!("db")),
        ("priorityClassName", json!("high")),
        ("terminationGracePeriodSeconds", json!(120)),
        ("tolerations", json!([{"key": "k", "operator": "Exists", "effect": "NoSchedule"}])),
        ("hostAliases", json!([{"ip": "10.0.0.1", "hostnames": ["x"]}])),
        ("initContainers", json!([{"name": "first", "image": "i"}])),
        ("volumes", json!([{"name": "v", "emptyDir": {}}])),
    ] {
        assert_eq!(spec[field], value, "{field}");
    }
    let main = &spec["containers"][0];
    assert_eq!((&main["name"], &spec["containers"][1]["name"]), (&json!("clickhouse"), &json!("side")));
    assert_eq!(main["env"], json!([{"name": "A", "value": "1"}]));
    assert_eq!(main["volumeMounts"], json!([{"name": "v", "mountPath": "/v"}]));
    assert_eq!(main["startupProbe"], json!({"periodSeconds": 3}));
    assert_eq!(main["securityContext"], json!({"privileged": false}));
}

#[test]
fn replicas_prefer_different_nodes_unless_something_else_is_asked_for() {
    const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
    const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
    let term = json!({"labelSelector": {"matchLabels": {"clickhouse.altinity.com/chi": "db"}},
        "matchLabelKeys": ["clickhouse.altinity.com/shard"], "topologyKey": "kubernetes.io/hostname"});
    let preferred = json!({PREFERRED: [{"weight": 100, "podAffinityTerm": term}]});
    let own = json!({REQUIRED: [{"topologyKey": "rack"}]});
    for (program, expected) in [
        (json!({"replicas": 2}), preferred),
        (json!({"replicas": 2, "pod": {"antiAffinity": "None"}}), Value::Null),
        (json!({"replicas": 2, "pod": {"antiAffinity": "Required"}}), json!({REQUIRED: [term]})),
        (json!({"replicas": 2, "pod": {"affinity": {"podAntiAffinity": own}}}), own.clone()),
        (json!({}), Value::Null),
    ] {
        let mut program = program;
        program["name"] = json!("db");
        assert_eq!(hosts(program.clone()).0["affinity"]["podAntiAffinity"], expected, "{program}");
    }
    let keeper = keeper(json!({"name": "db", "replicas": 2,
        "coordination": {"keeper": {"pod": {"antiAffinity": "Required", "nodeSelector": {"a": "b"}}}}}));
    let term =
        json!({"labelSelector": {"matchLabels": {KEEPER: "db"}}, "topologyKey": "kubernetes.io/hostname"});
    assert_eq!(keeper["affinity"], json!({"podAntiAffinity": {REQUIRED: [term]}}));
    assert_eq!(keeper["nodeSelector"], json!({"a": "b"}));
}

#[test]
fn zones_are_asked_of_every_term_and_spread_over() {
    let terms = |program: Value| {
        let (spec, _) = hosts(program);
        let required = &spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
        (required["nodeSelectorTerms"].clone(), spec[SPREAD].clone())
    };
    let zone = json!({"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["a", "b"]});
    let (asked, spread) = terms(json!({"name": "db", "replicas": 2, "pod": {"zones": ["a", "b"]}}));
    assert_eq!(asked, json!([{"matchExpressions": [zone]}]));
    assert_eq!(
        spread,
        json!([{"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone",
            "whenUnsatisfiable": "ScheduleAnyway", "matchLabelKeys": ["clickhouse.altinity.com/shard"],
            "labelSelector": {"matchLabels": {"clickhouse.altinity.com/chi": "db"}}}])
    );
    let disk = json!({"key": "disk", "operator": "Exists"});
    let own = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
        {"nodeSelectorTerms": [{"matchExpressions": [disk]}, {}]}}});
    let (asked, spread) = terms(json!({"pod": {"zones": ["a"], "affinity": own}}));
    let zone = json!({"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["a"]});
    assert_eq!(asked, json!([{"matchExpressions": [disk, zone]}, {"matchExpressions": [zone]}]));
    assert_eq!(spread, Value::Null, "one zone is nothing to be spread over");
}

#[test]
fn a_restricted_namespace_takes_every_container() {
    let program = json!({"replicas": 2, "storage": {"logs": {}}, "pod": {"restricted": true,
        "securityContext": {"runAsUser": 7}, "initContainers": [{"name": "i", "image": "x"}],
        "extraContainers": [{"name": "s", "image": "x", "securityContext": {"runAsUser": 9}}]}});
    let (spec, _) = hosts(program.clone());
    assert_eq!(
        spec["securityContext"],
        json!({"runAsNonRoot": true, "runAsUser": 7, "runAsGroup": 101, "fsGroup": 101,
            "fsGroupChangePolicy": "OnRootMismatch", "seccompProfile": {"type": "RuntimeDefault"}})
    );
    let containers: Vec<_> = ["containers", "initContainers"]
        .into_iter()
        .flat_map(|list| spec[list].as_array().unwrap())
        .collect();
    let names: Vec<_> = containers.iter().map(|container| container["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["clickhouse", "clickhouse-log", "s", "i"]);
    for container in containers {
        let context = &container["securityContext"];
        assert_eq!(context["allowPrivilegeEscalation"], false, "{container}");
        assert_eq!(context["capabilities"], json!({"drop": ["ALL"]}), "{container}");
        assert_eq!(context["runAsUser"] == 9, container["name"] == "s");
    }
    assert_eq!(keeper(program)["securityContext"]["runAsUser"], 101);
    let other = json!({"replicas": 2, "pod": {"restricted": true},
        "coordination": {"keeper": {"pod": {"restricted": false}}}});
    assert_eq!(keeper(other).get("securityContext"), None);
}

#[test]
fn what_is_wrong_with_pods_is_told_at_its_place() {
    let wrong = json!({
        "nodeSelector": {"a b": "c"},
        "tolerations": [{"value": "v"}, {"key": "k", "operator": "Exists", "value": "v"}],
        "affinity": {"podAntiaffinity": {}},
        "zones": [""],
        "topologySpread": [{"maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway"}],
        "serviceAccountName": "A",
        "hostAliases": [{"ip": "here", "hostnames": []}],
        "securityContext": {"runAsUser": "root"},
        "labels": {"clickhouse.altinity.com/x": "y"},
        "env": [{"name": "A", "value": "1"}, {"name": "A", "value": "1"}, {"name": "B", "value": "hush",
            "valueFrom": {"secretKeyRef": {"name": "s", "kee": "k"}}},
            {"name": "CLICKHOUSE_INTERNODE_CLUSTER_SECRET", "value": "hush"}],
        "extraContainers": [{"name": "clickhouse", "image": "x"}],
        "initContainers": [{"name": "A", "image": "x"}],
        "volumes": [{"name": "data", "emptyDir": {}}],
        "volumeMounts": [{"name": "nowhere", "mountPath": "/x"}, {"name": "data", "mountPath": "x"},
            {"name": "data", "mountPath": "/var/lib/clickhouse/"}, {"name": "data", "mountPath": "/x"}],
        "livenessProbe": {"httpGet": {"path": "/ping"}},
    });
    let keeper = json!({"keeper": {"pod": {"zones": [""]}}});
    let found = problems_of_program(None, json!({"replicas": 2, "pod": wrong, "coordination": keeper}));
    for (path, part) in [
        ("pod.nodeSelector.a b", "not a valid key"),
        ("pod.tolerations[0].key", "is required"),
        ("pod.tolerations[1].value", "no effect"),
        ("pod.affinity.podAntiaffinity", "did you mean `podAntiAffinity`?"),
        ("pod.zones[0]", "is empty"),
        ("pod.topologySpread[0].topologyKey", "is required"),
        ("pod.serviceAccountName", "not a valid DNS name"),
        ("pod.hostAliases[0].ip", "not an address"),
        ("pod.securityContext.runAsUser", "takes a whole number"),
        ("pod.labels[\"clickhouse.altinity.com/x\"]", "reserved"),
        ("pod.env[1].name", "twice"),
        ("pod.env[2].valueFrom", "remove one"),
        ("pod.env[2].valueFrom.secretKeyRef.kee", "did you mean `key`?"),
        ("pod.env[2].valueFrom.secretKeyRef.key", "is required"),
        ("pod.env[3].name", "operator's own"),
        ("pod.extraContainers[0].name", "name of a container"),
        ("pod.initContainers[0].name", "not a valid name"),
        ("pod.volumes[0].name", "volume that other inputs describe"),
        ("pod.volumeMounts[0].name", "is no volume"),
        ("pod.volumeMounts[1].mountPath", "begin it with `/`"),
        ("pod.volumeMounts[2].mountPath", "something else is mounted"),
        ("pod.volumeMounts[3].mountPath", "twice"),
        ("pod.livenessProbe.httpGet.port", "is required"),
        ("coordination.keeper.pod.zones[0]", "is empty"),
    ] {
        let told = |problem: &&String| problem.starts_with(&format!("{path}: ")) && problem.contains(part);
        assert_eq!(found.iter().filter(told).count(), 1, "{path}: {found:#?}");
    }
    assert_eq!(found.len(), 24, "{found:#?}");
    assert!(!found.iter().any(|problem| problem.contains("hush")), "{found:?}");
}

#[test]
fn a_pod_is_said_beside_what_others_have_said_where_there_is_one() {
    let spec = |more: Value| {
        let mut pod = json!({"containers": [{"name": "clickhouse", "image": "a:1"}],
            "affinity": {"nodeAffinity": {}}});
        pod.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"defaults": {"templates": {"podTemplate": "p"}},
            "templates": {"podTemplates": [{"name": "p", "spec": pod}]}})
    };
    let args = adopted(spec(json!({})));
    assert_eq!(args.pod, None);
    let selector = json!({"nodeSelector": {"a": "b"}});
    assert_eq!(changed(&args, json!({"pod": selector})).unwrap(), spec(selector));
    let several = json!({"configuration": {"clusters": [{"name": "c", "layout": {"shards": [
        {"templates": {"podTemplate": "p"}}, {"templates": {"podTemplate": "q"}}]}}]},
        "templates": {"podTemplates": [{"name": "p"}, {"name": "q"}]}});
    let refused = changed(&adopted(several), json!({"pod": {"zones": ["a"]}})).unwrap_err();
    assert!(refused[0].starts_with("pod: ") && refused[0].contains("`chiOverrides."), "{refused:?}");
}
