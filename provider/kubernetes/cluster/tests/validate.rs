use serde_json::json;

use super::*;
use crate::kubernetes::cluster::Cluster;
use crate::kubernetes::fake::{Fake, Reply, context};
use crate::resource::Resource;

#[test]
fn all_problems_are_told_at_once_each_with_its_path_and_remedy() {
    let program = json!({
        "name": "My_DB", "clusterName": "analytics-and-more", "namespace": "Apps", "version": "latest",
            "shards": 0,
        "resources": {"limits": {"cpu": "two", "memory": "1Gi"}, "requests": {"memory": "2Gi"}},
        "storage": {"size": "50 GB", "accessModes": []},
        "coordination": {"keeper": {"replicas": 2}},
        "admin": {"username": "clickhouse_operator", "networks": ["10.0.0.0/33", "::1"]},
        "ingress": {"type": "NodePort", "hostname": "db_1", "sourceRanges": ["203.0.113.0/24"]},
        "labels": {"clickhouse.altinity.com/chi": "x", "ok": "not ok!"},
    });
    let problems = problems(program);
    for (path, part) in [
        ("name", "for example `my-db`"),
        ("clusterName", "at most 15"),
        ("namespace", "not a valid name"),
        ("version", "name a release"),
        ("shards", "at least 1"),
        ("resources.limits.cpu", "`two` is not a quantity"),
        ("resources.requests.memory", "more than the limit `1Gi`"),
        ("storage.size", "`50 GB` is not a quantity"),
        ("storage.accessModes", "leave it out"),
        ("coordination.keeper.replicas", "1, 3 or 5"),
        ("admin.username", "operator's own user"),
        ("admin.networks[0]", "not an address range"),
        ("ingress.hostname", "not a valid DNS name"),
        ("ingress.sourceRanges", "is a load balancer's"),
        ("labels[\"clickhouse.altinity.com/chi\"]", "reserved for the operator"),
        ("labels.ok", "not a valid label value"),
    ] {
        assert!(
            problems
                .iter()
                .any(|problem| problem.starts_with(&format!("{path}: ")) && problem.contains(part)),
            "{path}: {part} not in {problems:#?}"
        );
    }
    assert_eq!(problems.len(), 16, "{problems:#?}");
}

#[test]
fn more_hosts_than_are_supported_are_refused_at_once() {
    let started = std::time::Instant::now();
    let found = problems(json!({"shards": 999, "replicas": 999}));
    assert!(
        found.len() == 1
            && found[0].starts_with("shards: 999 shards of 999 replicas are 998001 hosts, at most 1000"),
        "{found:?}"
    );
    assert!(started.elapsed() < std::time::Duration::from_millis(100), "{:?}", started.elapsed());
    assert_eq!(problems(json!({"shards": 500, "replicas": 2})), Vec::<String>::new());
}

#[tokio::test]
async fn a_check_of_too_many_hosts_is_over_in_a_moment_however_they_are_said() {
    let clusters =
        |layout: Value| json!({"configuration": {"clusters": [{"name": "cluster", "layout": layout}]}});
    let huge = clusters(json!({"shardsCount": 999, "replicasCount": 999}));
    let listed = clusters(json!({"shards": vec![json!({"replicasCount": 300}); 300]}));
    let (chi, chk) = ("chiOverrides.configuration.clusters", "chkOverrides.configuration.clusters");
    let cluster = Cluster::new(Fake::new().session());
    for (program, path, count) in [
        (json!({"shards": 999, "replicas": 999}), "shards", "998001 hosts"),
        (json!({"shards": 300, "replicas": 300}), "shards", "90000 hosts"),
        (json!({"chiOverrides": huge}), chi, "998001 hosts"),
        (
            json!({"chiOverrides": huge, "shards": 2, "replicas": 2, "storage": {"size": "9Gi"}}),
            chi,
            "998001 hosts",
        ),
        (json!({"chiOverrides": listed}), chi, "90000 hosts"),
        (json!({"chiOverrides": listed, "shards": 999, "replicas": 999}), chi, "90000 hosts"),
        (json!({"chkOverrides": huge, "coordination": {"keeper": {}}}), chk, "998001 hosts"),
    ] {
        for old in [None, Some(checked(json!({"shards": 2, "replicas": 2})))] {
            let started = std::time::Instant::now();
            let found = cluster
                .check(&context().0, &Autonaming::Default, old.as_ref(), &Known::all(args(program.clone())))
                .await;
            let took = started.elapsed();
            let found = told(found.unwrap_err());
            let refusals = found
                .iter()
                .filter(|problem| problem.starts_with(&format!("{path}: ")) && problem.contains(count));
            assert_eq!(refusals.count(), 1, "{program}: {found:?}");
            assert!(took < std::time::Duration::from_secs(10), "{program}: {took:?}");
        }
    }
}

#[tokio::test]
async fn a_check_of_as_many_hosts_as_are_supported_is_over_in_a_moment() {
    let overrides = json!({"configuration": {"clusters": [{"name": "more", "layout": {"shardsCount": 1}}]}});
    let cluster = Cluster::new(Fake::scripted(|_| Reply::Hang).session());
    let old = checked(json!({"shards": 400, "replicas": 2}));
    let new =
        args(json!({"shards": 450, "replicas": 2, "storage": {"size": "60Gi"}, "chiOverrides": overrides}));
    let started = std::time::Instant::now();
    cluster.check(&context().0, &Autonaming::Default, Some(&old), &Known::all(new)).await.unwrap();
    assert!(started.elapsed() < std::time::Duration::from_secs(30), "{:?}", started.elapsed());
}

#[test]
fn sizes_beyond_what_kubernetes_knows_are_refused() {
    for size in ["1e400", "99999999999999999999Ei"] {
        let found = problems(json!({"storage": {"size": size}, "resources": {"limits": {"memory": size}}}));
        assert!(
            found.len() == 2 && found.iter().all(|problem| problem.contains("is not a quantity")),
            "{found:?}"
        );
    }
}

#[test]
fn contradictions_are_refused() {
    for (program, path) in [
        (json!({"admin": {"password": "x", "existingSecret": {"name": "s"}}}), "admin.existingSecret"),
        (json!({"admin": {"password": "x", "passwordVersion": "2"}}), "admin.passwordVersion"),
        (
            json!({"admin": {"existingSecret": {"name": "s"}, "passwordVersion": "2"}}),
            "admin.passwordVersion",
        ),
        (json!({"coordination": {"keeper": {}, "external": {"nodes": ["zk:2181"]}}}), "coordination"),
        (json!({"replicas": 2, "coordination": {"type": "None"}}), "replicas"),
        (json!({"coordination": {"type": "External"}}), "coordination.external.nodes"),
        (json!({"storage": {"ephemeral": true, "size": "1Gi"}}), "storage.size"),
        (
            json!({"interserverSecret": {"enabled": false, "existingSecret": {"name": "s"}}}),
            "interserverSecret.existingSecret",
        ),
        (json!({"image": {"repository": "example.com/ch:25.8"}}), "image.repository"),
        (json!({"image": {"digest": "sha256:12"}}), "image.digest"),
    ] {
        let found = told(program_problems(&Known::all(checked(program.clone())), None));
        assert!(found.len() == 1 && found[0].starts_with(&format!("{path}: ")), "{program}: {found:?}");
    }
}

#[test]
fn a_password_is_never_in_a_problem() {
    let found = problems(json!({"admin": {"password": "hunter2", "passwordVersion": "2", "username": "a/b"},
            "coordination": {"external": {"nodes": ["zk"], "identity": "hunter2"}}}));
    assert_eq!(found.len(), 3);
    assert!(found.iter().all(|problem| !problem.contains("hunter2")), "{found:?}");
}

#[test]
fn what_is_unknown_is_not_checked() {
    let known =
        unknown(json!({"replicas": 2}), &["name", "coordination.type", "admin.username", "storage.size"]);
    assert_eq!(problems_of(&known), Vec::<String>::new());
}
