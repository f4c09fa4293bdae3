use std::time::{Duration, Instant};

use serde_json::json;

use super::*;
use crate::kubernetes::cluster::aspects::{Provisioner, ReclaimPolicy};
use crate::kubernetes::cluster::login::is_overridden;
use crate::kubernetes::cluster::outputs::{ServerFacts, outputs};
use crate::kubernetes::cluster::shape::{Claim, Ensemble, Existence, Holds, Installation, Shape};

fn shape(spec: Value) -> Shape {
    Shape::of(&json!({"metadata": {"name": "db", "namespace": "apps"}, "spec": spec}), None)
}

fn of_layout(layout: Value) -> Shape {
    shape(json!({"configuration": {"clusters": [{"name": "c", "layout": layout}]}}))
}

fn hosts(installation: &Installation) -> Vec<&str> {
    installation.hosts.iter().map(|host| host.name.as_str()).collect()
}

fn claims(installation: &Installation) -> Vec<&str> {
    installation.claims.keys().map(String::as_str).collect()
}

#[test]
fn a_rendered_clusters_hosts_volumes_and_keeper_are_all_there() {
    let shape =
        Shape::rendered(&cluster(json!({"name": "db", "shards": 2, "replicas": 2, "storage": {"logs": {}}})));
    assert_eq!(
        hosts(&shape.clickhouse),
        ["chi-db-cluster-0-0", "chi-db-cluster-0-1", "chi-db-cluster-1-0", "chi-db-cluster-1-1"]
    );
    assert_eq!(shape.clickhouse.claims.len(), 8);
    assert_eq!(
        shape.clickhouse.claims["data-chi-db-cluster-1-0-0"],
        Claim {
            template: "data".into(),
            host: "chi-db-cluster-1-0".into(),
            holds: Holds::Data,
            size: Some("50Gi".into()),
            class: None,
            access_modes: vec!["ReadWriteOnce".into()],
            policy: ReclaimPolicy::Retain,
            provisioner: Provisioner::Operator,
            existence: Existence::Assumed,
        }
    );
    assert_eq!(shape.clickhouse.claims["logs-chi-db-cluster-0-1-0"].holds, Holds::Logs);
    let keeper = shape.keeper.as_ref().expect("a Keeper");
    assert_eq!(hosts(keeper), ["chk-db-cluster-0-0", "chk-db-cluster-0-1", "chk-db-cluster-0-2"]);
    assert_eq!(
        claims(keeper),
        ["data-chk-db-cluster-0-0-0", "data-chk-db-cluster-0-1-0", "data-chk-db-cluster-0-2-0"]
    );
    assert_eq!(keeper.claims["data-chk-db-cluster-0-0-0"].holds, Holds::Data);
    assert_eq!(
        (shape.coordination["cluster"].ensemble.clone(), shape.clickhouse.stopped),
        (Ensemble::Keeper, false)
    );
    assert_eq!(shape.shard_services, ["shard-db-cluster-0", "shard-db-cluster-1"]);
    assert_eq!(shape.clickhouse.fqdn("x"), "x.apps.svc.cluster.local");
}

#[test]
fn layouts_are_read_as_the_operator_reads_them() {
    for (layout, expected) in [
        (json!(null), &["0-0"] as &[_]),
        (json!({"shardsCount": 2, "replicasCount": 2}), &["0-0", "0-1", "1-0", "1-1"]),
        (json!({"shardsCount": 3, "shards": [{"name": "a"}]}), &["a-0", "1-0", "2-0"]),
        (json!({"shardsCount": 1, "shards": [{}, {}]}), &["0-0", "1-0"]),
        (
            json!({"shards": [{"replicasCount": 3}, {"name": "b", "replicas": [{"name": "one"}]}, {}]}),
            &["0-0", "0-1", "0-2", "one", "2-0", "2-1", "2-2"],
        ),
        (json!({"replicas": [{"name": "x"}, {"shardsCount": 2}]}), &["0-x", "0-1", "1-x", "1-1"]),
        (json!({"replicas": [{"shards": [{"name": "h"}, {}]}]}), &["h", "1-0"]),
        (json!({"shards": [{"name": "0", "replicas": [{"name": "0-0"}, {"name": "1"}]}]}), &["0-0", "0-1"]),
    ] {
        let shape = of_layout(layout.clone());
        let expected: Vec<_> = expected.iter().map(|host| format!("chi-db-c-{host}")).collect();
        assert_eq!(hosts(&shape.clickhouse), expected, "{layout}");
        assert_eq!(shape.clickhouse.count, expected.len() as u64, "{layout}");
    }
}

#[test]
fn an_installation_that_names_no_cluster_has_one_of_one_host() {
    for spec in [json!({}), json!({"configuration": {"clusters": []}})] {
        assert_eq!(hosts(&shape(spec).clickhouse), ["chi-db-cluster-0-0"]);
    }
    let two = shape(
        json!({"configuration": {"clusters": [{"name": "a"}, {"name": "b", "layout": {"shardsCount": 2}}]}}),
    );
    assert_eq!(hosts(&two.clickhouse), ["chi-db-a-0-0", "chi-db-b-0-0", "chi-db-b-1-0"]);
    assert_eq!(two.clickhouse.clusters(), ["a", "b"]);
}

#[test]
fn long_names_are_cut_as_the_operator_cuts_them() {
    let long = of_layout(json!({"shards": [{"name": "a-very-long-shard"}]}));
    assert_eq!(hosts(&long.clickhouse), ["chi-db-c-a-very-long-sha"]);
}

#[test]
fn a_generated_name_takes_the_place_of_the_operators() {
    let spec = json!({
        "defaults": {"templates": {"podTemplate": "p", "dataVolumeClaimTemplate": "v",
            "shardServiceTemplate": "s", "replicaServiceTemplate": "r"}},
        "configuration": {"clusters": [{"name": "c", "layout": {"shards": [{"name": "a"}]}}]},
        "templates": {
            "podTemplates": [{"name": "p", "generateName": "{chi}-{cluster}-{shard}-{replicaIndex}-{host}"}],
            "volumeClaimTemplates": [{"name": "v"}],
            "serviceTemplates": [{"name": "s", "generateName": "of-{shard}"}, {"name": "r",
                "generateName": "at-{host}"}],
        },
    });
    let shape = shape(spec);
    assert_eq!(
        (hosts(&shape.clickhouse), claims(&shape.clickhouse)),
        (vec!["db-c-a-0-a-0"], vec!["v-db-c-a-0-a-0-0"])
    );
    assert_eq!(
        (shape.clickhouse.hosts[0].service.as_str(), shape.shard_services),
        ("at-a-0", vec!["of-a".to_owned()])
    );
}

/// The claims of an installation whose templates are `data`, `other` and `logs`.
fn claims_of(defaults: Value, pods: Value, layout: Value) -> Vec<(String, Holds)> {
    let templates = ["data", "other", "logs"].map(|name| json!({"name": name}));
    let shape = shape(json!({
        "defaults": {"templates": defaults},
        "configuration": {"clusters": [{"name": "c", "layout": layout}]},
        "templates": {"podTemplates": pods, "volumeClaimTemplates": templates,
            "hostTemplates": [{"name": "h", "spec": {"templates": {"dataVolumeClaimTemplate": "other"}}}]},
    }));
    shape
        .clickhouse
        .claims
        .into_iter()
        .map(|(name, claim)| (name.replace("-chi-db-c", ""), claim.holds))
        .collect()
}

#[test]
fn volumes_are_found_wherever_they_are_named() {
    let mounted = |mounts: Value, volumes: Value| {
        json!([{"name": "p", "spec": {"containers": [{"name": "x",
        "volumeMounts": mounts}], "volumes": volumes}}])
    };
    let data = |name: &str| (name.to_owned(), Holds::Data);
    for (defaults, pods, layout, expected) in [
        (json!({"dataVolumeClaimTemplate": "data"}), json!([]), json!({}), vec![data("data-0-0-0")]),
        (json!({"volumeClaimTemplate": "data"}), json!([]), json!({}), vec![data("data-0-0-0")]),
        (json!({"dataVolumeClaimTemplate": "none"}), json!([]), json!({}), vec![]),
        // By a mount.
        (
            json!({"podTemplate": "p"}),
            mounted(
                json!([{"name": "data", "mountPath": "/var/lib/clickhouse/"}, {"name": "other",
                    "mountPath": "/disk"}]),
                json!([]),
            ),
            json!({}),
            vec![data("data-0-0-0"), ("other-0-0-0".to_owned(), Holds::Other)],
        ),
        // A mount of the same path, or a volume of the pod's own of the same name, goes before the template.
        (
            json!({"podTemplate": "p", "dataVolumeClaimTemplate": "data"}),
            mounted(
                json!([{"name": "here", "mountPath": "/var/lib/clickhouse"}]),
                json!([{"name": "here", "emptyDir": {}}]),
            ),
            json!({}),
            vec![],
        ),
        (
            json!({"podTemplate": "p", "dataVolumeClaimTemplate": "data"}),
            mounted(json!([]), json!([{"name": "data", "emptyDir": {}}])),
            json!({}),
            vec![],
        ),
        // By a shard, a replica, a host, a host's template.
        (
            json!({"dataVolumeClaimTemplate": "data", "logVolumeClaimTemplate": "logs"}),
            json!([]),
            json!({"shards": [{"templates": {"dataVolumeClaimTemplate": "other"}}]}),
            vec![("logs-0-0-0".to_owned(), Holds::Logs), data("other-0-0-0")],
        ),
        (
            json!({}),
            json!([]),
            json!({"replicas": [{}, {"templates": {"dataVolumeClaimTemplate": "data"}}]}),
            vec![data("data-0-1-0")],
        ),
        (
            json!({}),
            json!([]),
            json!({"shards": [{"replicas": [{"templates": {"volumeClaimTemplate": "data"}}]}]}),
            vec![data("data-0-0-0")],
        ),
        (json!({"hostTemplate": "h"}), json!([]), json!({}), vec![data("other-0-0-0")]),
    ] {
        assert_eq!(
            claims_of(defaults.clone(), pods.clone(), layout.clone()),
            expected,
            "{defaults} {pods} {layout}"
        );
    }
}

#[test]
fn a_claims_policy_is_its_templates_then_the_installations_then_delete() {
    let policy = |template: Value, management: Value| {
        let shape = shape(json!({
            "defaults": {"storageManagement": management, "templates": {"dataVolumeClaimTemplate": "data"}},
            "templates": {"volumeClaimTemplates": [template]},
        }));
        let claim = &shape.clickhouse.claims["data-chi-db-cluster-0-0-0"];
        (claim.policy, claim.provisioner)
    };
    let (retain, operator) = (json!({"reclaimPolicy": "Retain"}), json!({"provisioner": "Operator"}));
    assert_eq!(policy(json!({"name": "data"}), json!({})), (ReclaimPolicy::Delete, Provisioner::StatefulSet));
    assert_eq!(
        policy(json!({"name": "data", "reclaimPolicy": ""}), retain.clone()),
        (ReclaimPolicy::Retain, Provisioner::StatefulSet)
    );
    assert_eq!(
        policy(json!({"name": "data", "reclaimPolicy": "Delete"}), retain),
        (ReclaimPolicy::Delete, Provisioner::StatefulSet)
    );
    assert_eq!(policy(json!({"name": "data"}), operator).1, Provisioner::Operator);
    // Inside of the claim's own spec the operator does not see it.
    assert_eq!(
        policy(json!({"name": "data", "spec": {"reclaimPolicy": "Retain"}}), json!({})).0,
        ReclaimPolicy::Delete
    );
}

#[test]
fn an_ensemble_is_the_own_keeper_or_the_servers_of_a_cluster() {
    let ensemble = |zookeeper: Value| {
        shape(json!({"configuration": {"zookeeper": zookeeper}})).coordination["cluster"].ensemble.clone()
    };
    let servers = |names: &[&str]| Ensemble::Servers(names.iter().map(|name| (*name).to_owned()).collect());
    let nodes =
        |hosts: &[&str]| json!({"nodes": hosts.iter().map(|host| json!({"host": host})).collect::<Vec<_>>()});
    assert_eq!(ensemble(json!({})), Ensemble::None);
    assert_eq!(ensemble(nodes(&["chk-db-cluster-0-0", "chk-db-cluster-0-1.apps"])), Ensemble::Keeper);
    assert_eq!(ensemble(nodes(&["keeper-db.apps.svc.cluster.local"])), Ensemble::Keeper);
    assert_eq!(ensemble(nodes(&["keeper-db.other"])), servers(&["keeper-db.other"]));
    assert_eq!(ensemble(json!({"keeper": {"name": "db"}})), Ensemble::Keeper);
    assert_eq!(ensemble(json!({"keeper": {"name": "zk"}})), servers(&["keeper-zk.apps"]));
    for (one, other, same) in [(&["a", "b"], &["b.ns", "c"], true), (&["a", "b"], &["c", "ab"], false)] {
        assert_eq!(servers(one).is_same(&servers(other)), same, "{one:?} {other:?}");
    }
    // A Keeper's member has two Services since operator 0.27.2.
    let [own, client, other] = ["chk-zk-c-0-0.ns", "chk-zk-c-0-0-client.ns.svc", "chk-zk-c-0-1-client.ns"]
        .map(|host| servers(&[host]));
    assert!(own.is_same(&client) && client.is_same(&own) && !own.is_same(&other));
    assert!(!servers(&["a"]).is_same(&servers(&["a-client"])));
    let own =
        shape(json!({"configuration": {"zookeeper": {"nodes": [{"host": "a"}]}, "clusters": [{"name": "x",
            "zookeeper": {"nodes": [{"host": "b"}]}}, {"name": "y"}]}}));
    assert_eq!(
        (&own.coordination["x"].ensemble, &own.coordination["y"].ensemble),
        (&servers(&["b"]), &servers(&["a"]))
    );
}

#[test]
fn users_with_any_credential_and_the_operators_words_for_yes_are_known() {
    let users = json!({"a/password_sha256_hex": "00", "b/networks/ip": ["::1"],
        "c/ssl_certificates/common_name": "x", "d/k8s_secret_password": "s/k", "e/password": "_removed_"});
    let shape = shape(json!({"stop": "Enabled", "suspend": "0", "configuration": {"users": users}}));
    assert_eq!(shape.users.iter().collect::<Vec<_>>(), ["a", "c", "d"]);
    assert_eq!((shape.clickhouse.stopped, shape.clickhouse.suspended), (true, false));
}

#[test]
fn only_volumes_that_exist_can_be_lost_and_have_their_real_class_and_size() {
    let mut shape = Shape::rendered(&cluster(json!({"name": "db", "replicas": 2, "shards": 2})));
    let claim = |name: &str, phase: &str, spec: Value| {
        json!({"metadata": {"name": name}, "spec": spec,
        "status": {"phase": phase, "capacity": {"storage": "60Gi"}}})
    };
    shape.settle(&[
        claim("data-chi-db-cluster-0-0-0", "Bound", json!({"storageClassName": "fast"})),
        claim("data-chi-db-cluster-0-1-0", "Pending", json!({"storageClassName": "gone"})),
        claim("data-chk-db-cluster-0-0-0", "Bound", json!({"volumeName": "pv-1"})),
    ]);
    let found = &shape.clickhouse.claims;
    let first = &found["data-chi-db-cluster-0-0-0"];
    assert_eq!(
        (first.existence, first.class.as_deref(), first.size.as_deref()),
        (Existence::Made, Some("fast"), Some("60Gi"))
    );
    for name in ["data-chi-db-cluster-0-1-0", "data-chi-db-cluster-1-0-0"] {
        assert_eq!(found[name].existence, Existence::Unmade, "{name}");
    }
    let keepers = &shape.keeper.as_ref().unwrap().claims;
    assert_eq!(
        (keepers["data-chk-db-cluster-0-0-0"].existence, keepers["data-chk-db-cluster-0-1-0"].existence),
        (Existence::Made, Existence::Unmade)
    );
    assert!(!shape.is_unmade());
    shape.settle(&[]);
    assert!(shape.is_unmade());
}

#[test]
fn a_thousand_hosts_are_shaped_at_once_and_more_are_not_looked_at() {
    let program = cluster(json!({"name": "db", "shards": 500, "replicas": 2, "storage": {"logs": {}}}));
    let shape = Shape::rendered(&program);
    assert_eq!((shape.clickhouse.hosts.len(), shape.clickhouse.claims.len()), (1000, 2000));

    // The best of several runs, far from what a quadratic walk would take: the machine may be busy.
    let takes = |work: &dyn Fn()| {
        let run = |_| {
            let started = Instant::now();
            work();
            started.elapsed()
        };
        (0..20).map(run).min().unwrap_or_default()
    };
    let once = takes(&|| drop(Shape::rendered(&program)));
    assert!(once < Duration::from_millis(500), "{once:?}");
    for layout in [
        json!({"shardsCount": 999, "replicasCount": 999}),
        json!({"shardsCount": u64::MAX, "replicasCount": u64::MAX}),
        json!({"shards": [{"replicasCount": u64::MAX}, {"replicasCount": u64::MAX}]}),
    ] {
        let shape = of_layout(layout.clone());
        assert!(shape.clickhouse.is_too_large() && shape.clickhouse.hosts.is_empty());
        let once = takes(&|| drop(of_layout(layout.clone())));
        assert!(once < Duration::from_millis(5), "{once:?}");
    }
}

#[test]
fn outputs_and_the_login_follow_overrides() {
    // Probes D14, lifecycle H9.
    let of = |overrides: Value| {
        let cluster = cluster(json!({"name": "db", "replicas": 2, "chiOverrides": overrides}));
        let overridden = is_overridden(&cluster);
        (outputs(&cluster, &login(), &ServerFacts::default()), overridden)
    };
    let layout = |layout: Value| {
        json!({"configuration": {"clusters": [{"name": "cluster", "layout": layout},
        {"name": "two"}]}})
    };
    let (state, overridden) =
        of(layout(json!({"shards": [{"name": "a"}, {"name": "b", "replicasCount": 1}]})));
    let hosts: Vec<_> = state
        .hosts
        .iter()
        .map(|host| (host.name.as_str(), host.shard, host.replica, host.pod.as_str()))
        .collect();
    assert_eq!(
        hosts,
        [
            ("chi-db-cluster-a-0", 0, 0, "chi-db-cluster-a-0-0"),
            ("chi-db-cluster-a-1", 0, 1, "chi-db-cluster-a-1-0"),
            ("chi-db-cluster-b-0", 1, 0, "chi-db-cluster-b-0-0"),
            ("chi-db-two-0-0", 0, 0, "chi-db-two-0-0-0"),
        ]
    );
    assert_eq!(state.hosts[0].fqdn, "chi-db-cluster-a-0.apps.svc.cluster.local");
    // So does what a rollout waits for.
    let shape =
        Shape::rendered(&cluster(json!({"name": "db", "chiOverrides": {"stop": "1", "suspend": "on",
            "configuration": {"clusters": [{"name": "two"}]}}})));
    assert_eq!(shape.clickhouse.names(), ["chi-db-cluster-0-0", "chi-db-two-0-0"]);
    assert!(shape.clickhouse.stopped && shape.clickhouse.suspended);
    let keeper = state.keeper.expect("a Keeper");
    assert_eq!((keeper.service.as_str(), keeper.endpoints.len()), ("keeper-db", 3));
    assert_eq!(keeper.endpoints[2], "chk-db-cluster-0-2.apps.svc.cluster.local:2181");
    assert!(!overridden);
    for (users, expected) in [
        (json!({"default/password_sha256_hex": "00"}), true),
        (json!({"default/k8s_secret_password": "s/k"}), true),
        (json!({"default/networks/ip": ["::/0"], "other/password": "x"}), false),
    ] {
        assert_eq!(of(json!({"configuration": {"users": users}})).1, expected, "{users}");
    }
    let services =
        |program: Value| outputs(&cluster(program), &login(), &ServerFacts::default()).shard_services;
    assert_eq!(services(json!({"name": "db", "shards": 2})), ["shard-db-cluster-0", "shard-db-cluster-1"]);
    assert_eq!(services(json!({"name": "db", "shards": 2, "perShardServices": false})), [""; 0]);
}
