use serde_json::json;

use super::*;
use crate::kubernetes::cluster::adopt::{drifted, inputs};
use crate::kubernetes::cluster::aspects::{Live, OverridesArgs};
use crate::kubernetes::cluster::manifest::build;

/// What the API server has after `program` was applied: the manifests, and what others add to them.
pub(super) fn live(program: Value) -> Live {
    let built = build(&cluster(program), &urn(), &login(), "pulumi-1");
    let mut installation = built.installation.unwrap();
    installation["metadata"]["uid"] = json!("1");
    installation["metadata"]["finalizers"] = json!(["x"]);
    installation["status"] = json!({"status": "Completed"});
    let mut service = built.service.expect("a Service");
    service["spec"]["clusterIP"] = json!("10.0.0.1");
    service["spec"]["ports"][0]["nodePort"] = json!(30000);
    Live::new(installation, built.keeper, Some(service), None)
}

pub(super) fn programs() -> Vec<Value> {
    vec![
        json!({"name": "db"}),
        json!({"name": "db", "shards": 3, "replicas": 2, "labels": {"team": "x"}, "version": "24.8.1.1"}),
        json!({"name": "db", "storage": {"ephemeral": true}, "logging": {"level": "debug"}, "stopped": true,
            "restartToken": "1"}),
        json!({"name": "db", "storage": {"size": "1Ti", "storageClass": "fast", "reclaimPolicy": "Delete",
            "logs": {"size": "5Gi"}}}),
        json!({"name": "db", "ingress": {"type": "NodePort", "annotations": {"a": "b"}},
            "clusterDomain": "k8s.example", "interserverSecret": {"enabled": false}}),
        json!({"name": "db", "coordination": {"external": {"nodes": ["zk:2181"], "root": "/ch",
            "timeouts": {"sessionMs": 1000}}}, "replicas": 2}),
        json!({"name": "db", "image": {"repository": "example.com/ch", "pullSecrets": ["regcred"]},
            "admin": {"username": "boss", "networks": ["::/0"]}}),
        json!({"name": "db", "chiOverrides": {"reconcile": {"policy": "wait"}}}),
    ]
}

/// The difference between what `args` render and what is there.
fn rendered(args: ClusterArgs) -> Live {
    let filled = fill(&urn(), &Autonaming::Default, "apps", None, &Known::all(args)).unwrap();
    let cluster = run_validate(&Known::all(filled)).unwrap_or_else(|failures| panic!("{failures:?}"));
    let built = build(&cluster, &urn(), &login(), "pulumi-1");
    Live::new(built.installation.unwrap(), built.keeper, built.service, None)
}

#[test]
fn an_imported_cluster_renders_to_what_is_there() {
    for program in programs() {
        let there = live(program.clone());
        let again = rendered(inputs(&there, &urn(), &login()));
        assert_eq!(again.installation["spec"], there.installation["spec"], "{program}");
        assert_eq!(
            again.keeper.map(|keeper| keeper["spec"].clone()),
            there.keeper.map(|keeper| keeper["spec"].clone()),
            "{program}"
        );
    }
}

#[test]
fn a_cluster_of_ours_needs_overrides_only_where_its_program_has_them() {
    for program in programs() {
        let args = inputs(&live(program.clone()), &urn(), &login());
        assert_eq!(
            args.overrides.chi_overrides.is_some(),
            program.get("chiOverrides").is_some(),
            "{program}: {:?}",
            args.overrides.chi_overrides
        );
        assert_eq!(args.overrides.chk_overrides, None, "{program}");
    }
}

#[test]
fn any_installation_can_be_adopted() {
    let spec = json!({
        "configuration": {
            "clusters": [{"name": "other", "layout": {"shards": [{"name": "a", "replicasCount": 2}]}},
                {"name": "second"}],
            "users": {"reader/password_sha256_hex": "00", "reader/networks/ip": ["::/0"], "default/k": ["a",
                null]},
            "zookeeper": {"nodes": [{"host": "zookeeper.zoo"}]},
        },
        "templates": {"podTemplates": [{"name": "pod", "spec": {"containers": [{"name": "clickhouse-pod",
            "image": "altinity/clickhouse-server:23.8"}]}}]},
        "useTemplates": [{"name": "shared"}],
        "stop": "no",
    });
    let there = Live::new(
        json!({"metadata": {"name": "legacy", "namespace": "apps"}, "spec": spec}),
        None,
        None,
        None,
    );
    let args = inputs(&there, &urn(), &Login::default());
    assert_eq!(
        (args.naming.cluster_name.as_deref(), args.image.version.as_deref()),
        (Some("other"), None),
        "no host uses the template"
    );
    let filled = fill(&urn(), &Autonaming::Default, "apps", None, &Known::all(args)).unwrap();
    let cluster = run_validate(&Known::all(filled)).unwrap_or_else(|failures| panic!("{failures:?}"));
    let mut again = build(&cluster, &urn(), &Login::default(), "").installation.unwrap()["spec"].clone();
    // Said where it was only implied.
    for field in ["taskID", "suspend"] {
        again.as_object_mut().unwrap().remove(field);
    }
    assert_eq!(again, spec);
}

#[test]
fn nothing_changes_in_the_inputs_when_nothing_drifted() {
    for program in programs() {
        let args = checked(program.clone());
        assert_eq!(drifted(&args, &live(program), &urn(), &login()), args);
    }
}

type Drift = fn(&mut Live);

#[test]
fn each_drift_is_told_at_its_input() {
    let program = json!({"name": "db", "replicas": 2, "ingress": {"sourceRanges": ["203.0.113.0/24"]}});
    let args = checked(program.clone());
    let drifts: [(Drift, &str, Value); 6] = [
        (
            |live| {
                live.installation["spec"]["configuration"]["clusters"][0]["layout"]["shardsCount"] = json!(4)
            },
            "/shards",
            json!(4),
        ),
        (|live| live.installation["spec"]["stop"] = json!("yes"), "/stopped", json!(true)),
        (
            |live| {
                live.installation["spec"]["templates"]["podTemplates"][0]["spec"]["containers"][0]["image"] =
                    json!("clickhouse/clickhouse-server:1.2")
            },
            "/version",
            json!("1.2"),
        ),
        (
            |live| live.installation["spec"]["configuration"]["settings"]["logger/level"] = json!("trace"),
            "/logging/level",
            json!("trace"),
        ),
        (
            |live| {
                live.keeper.as_mut().unwrap()["spec"]["configuration"]["clusters"][0]["layout"]["replicasCount"] =
                    json!(5)
            },
            "/coordination/keeper/replicas",
            json!(5),
        ),
        (
            |live| live.service.as_mut().unwrap()["spec"]["loadBalancerSourceRanges"] = json!(["0.0.0.0/0"]),
            "/ingress/sourceRanges",
            json!(["0.0.0.0/0"]),
        ),
    ];
    for (drift, pointer, expected) in drifts {
        let mut there = live(program.clone());
        drift(&mut there);
        let after = serde_json::to_value(drifted(&args, &there, &urn(), &login())).unwrap();
        let before = serde_json::to_value(&args).unwrap();
        assert_eq!(after.pointer(pointer), Some(&expected), "{pointer}");
        assert_ne!(before.pointer(pointer), Some(&expected), "{pointer}");
    }
}

#[test]
fn a_field_that_went_is_told_as_an_override() {
    let program = json!({"name": "db"});
    let mut there = live(program.clone());
    there.installation["spec"]["configuration"]["users"]
        .as_object_mut()
        .unwrap()
        .remove("default/password_sha256_hex");
    let after = drifted(&checked(program), &there, &urn(), &login());
    let overrides = serde_json::to_value(after.overrides.chi_overrides).unwrap();
    let users = overrides["configuration"]["users"].as_object().unwrap();
    assert!(users["$patch"] == "replace" && !users.contains_key("default/password_sha256_hex"), "{users:?}");
}

#[test]
fn a_drift_beside_an_override_leaves_what_the_override_says() {
    let pods = |node: &str| {
        json!({"templates": {"podTemplates": [{"name": "clickhouse",
        "spec": {"nodeSelector": {"zone": node}, "containers": [{"name": "clickhouse",
            "image": "mine:1"}]}}]}})
    };
    let program = json!({"name": "db", "chiOverrides": pods("a")});
    let mut there = live(program.clone());
    there.installation["spec"]["templates"]["podTemplates"][0]["spec"]["nodeSelector"]["zone"] = json!("b");
    let after = drifted(&checked(program.clone()), &there, &urn(), &login());
    assert_eq!(serde_json::to_value(&after.overrides.chi_overrides).unwrap(), pods("b"));
    assert_eq!(ClusterArgs { overrides: OverridesArgs::default(), ..after }, checked(json!({"name": "db"})));
}

fn edited(program: &Value, section: &str, key: &str, value: Option<Value>) -> ClusterArgs {
    let mut there = live(program.clone());
    let entries = there.installation["spec"]["configuration"][section].as_object_mut().unwrap();
    match value {
        Some(value) => _ = entries.insert(key.to_owned(), value),
        None => _ = entries.remove(key),
    }
    let after = drifted(&checked(program.clone()), &there, &urn(), &login());
    run_validate(&Known::all(after.clone())).unwrap_or_else(|failures| panic!("{failures:?}"));
    after
}

#[test]
fn a_password_that_somebody_changed_is_told_as_the_hash_that_is_there() {
    let (is, other) = ("ab".repeat(32), "cd".repeat(32));
    for credential in [json!({"password": "hush"}), json!({"passwordSha256": is})] {
        let program = json!({"name": "db", "users": {"app": credential, "web": {"password": "x"}}});
        let after = edited(&program, "users", "app/password_sha256_hex", Some(json!(other)));
        let expected =
            json!({"name": "db", "users": {"app": {"passwordSha256": other}, "web": {"password": "x"}}});
        assert_eq!(after, checked(expected));
        let after = edited(&program, "users", "app/profile", Some(json!("readonly")));
        assert_eq!(after, checked(program.clone()), "what others add is theirs");
        // Nobody could tell what such a user is, but as it is written.
        let after = edited(&program, "users", "app/password_sha256_hex", None);
        assert_eq!(after.users.unwrap().keys().collect::<Vec<_>>(), ["web"]);
        assert!(after.overrides.chi_overrides.is_some());
    }
}

#[test]
fn drift_is_told_where_the_program_says_it() {
    let said = json!({"settings": {"max_connections": "5"}, "profiles": {"web/max_threads": "1"}});
    let by_override = json!({"name": "db", "chiOverrides": {"configuration": said}});
    let after = edited(&by_override, "settings", "max_connections", Some(json!("6")));
    let mut expected = by_override.clone();
    expected["chiOverrides"]["configuration"]["settings"]["max_connections"] = json!("6");
    assert_eq!(after, checked(expected));
    let after = edited(&by_override, "profiles", "web/max_threads", None);
    let mut expected = by_override;
    expected["chiOverrides"]["configuration"]["profiles"] = json!({});
    assert_eq!(after, checked(expected));
    let by_input = json!({"name": "db", "settings": {"max_connections": "5"},
        "profiles": {"web": {"settings": {"max_threads": 1}}}});
    let after = edited(&by_input, "settings", "max_connections", Some(json!("6")));
    let mut expected = by_input.clone();
    expected["settings"]["max_connections"] = json!("6");
    assert_eq!(after, checked(expected));
    let after = edited(&by_input, "profiles", "web/max_threads", None);
    assert_eq!((after.profiles, after.configuration), (None, checked(by_input).configuration));
}
