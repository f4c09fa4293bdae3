//! What is asked of a value that a program gives anew, and not of one that the cluster has already.

use serde_json::json;

use super::*;

/// How large an override may be.
const LARGEST: usize = 1_000_000;
const OPERATORS_PREFIXES: [&str; 6] = ["clickhouse-", "keeper-", "chi-", "chk-", "shard-", "cluster-"];

fn wrong() -> Vec<(&'static str, Value)> {
    let mut wrong = vec![
        ("clusterName", json!({"clusterName": "all-sharded"})),
        (
            "labels[\"app.kubernetes.io/managed-by\"]",
            json!({"labels": {"app.kubernetes.io/managed-by": "me"}}),
        ),
        ("annotations.pulumi-clickhouse/urn", json!({"annotations": {"pulumi-clickhouse/urn": "u"}})),
        (
            "ingress.labels[\"app.kubernetes.io/managed-by\"]",
            json!({"ingress": {"internal": true, "labels": {"app.kubernetes.io/managed-by": "me"}}}),
        ),
        (
            "ingress.annotations.pulumi-clickhouse/urn",
            json!({"ingress": {"internal": true, "annotations": {"pulumi-clickhouse/urn": "u"}}}),
        ),
        (
            "coordination.keeper.image.repository",
            json!({"coordination": {"keeper": {"image": {"repository": "a//b"}}}}),
        ),
        ("admin.username", json!({"admin": {"username": "u".repeat(300)}})),
        ("admin.networks", json!({"admin": {"networks": []}})),
        ("storage.size", json!({"storage": {"size": "1m"}})),
        ("storage.logs.size", json!({"storage": {"logs": {"size": "50"}}})),
        (
            "coordination.keeper.storage.size",
            json!({"coordination": {"keeper": {"storage": {"size": "1k"}}}}),
        ),
        ("resources.limits.memory", json!({"resources": {"limits": {"memory": "4"}}})),
        ("chiOverrides", json!({"chiOverrides": {"x": "y".repeat(LARGEST)}})),
        ("chkOverrides.a[0].b", json!({"chkOverrides": {"a": [{"b": 9_007_199_254_740_992_u64}]}})),
        ("chiOverrides.a.b", json!({"chiOverrides": {"a": {"b": -1e30}}})),
    ];
    wrong.extend(OPERATORS_PREFIXES.map(|prefix| ("name", json!({"name": format!("{prefix}db")}))));
    wrong.extend(
        ["-/ü<>", "a//b", "", "A/b", "a..b", "a/b_", "a.example:x/b", "a/b:1"]
            .map(|text| ("image.repository", json!({"image": {"repository": text}}))),
    );
    wrong
}

#[test]
fn what_a_program_gives_anew_is_refused_with_its_path_and_what_is_there_stays() {
    for (path, program) in wrong() {
        let found = problems_of_program(None, program.clone());
        assert!(found.len() == 1 && found[0].starts_with(&format!("{path}: ")), "{path}: {found:?}");
        assert_eq!(
            problems_of_program(Some(program.clone()), program.clone()),
            Vec::<String>::new(),
            "{path}: a cluster has it already"
        );
        assert_eq!(
            problems_of_program(Some(json!({"name": "other"})), program).len(),
            1,
            "{path}: it is new to this cluster"
        );
    }
}

#[test]
fn what_is_sound_passes() {
    for repository in [
        "clickhouse/clickhouse-server",
        "localhost/a",
        "localhost:5000/a/b",
        "registry.example.com:443/a__b/c-d--e.f",
        "clickhouse",
    ] {
        assert_eq!(
            problems_of_program(None, json!({"image": {"repository": repository}})),
            Vec::<String>::new(),
            "{repository}"
        );
    }
    let program = json!({
        "name": "my-clickhouse", "storage": {"size": "1Mi"}, "resources": {"limits": {"memory": "2Gi",
            "cpu": "1"}},
        "chiOverrides": {"a": 9_007_199_254_740_991_u64, "b": 1.5, "c": -3},
    });
    assert_eq!(problems_of_program(None, program), Vec::<String>::new());
}

#[test]
fn what_is_unknown_passes() {
    let unknown = std::collections::BTreeSet::from(["labels".into()]);
    let given = Known { value: checked(json!({"labels": {"app.kubernetes.io/managed-by": "me"}})), unknown };
    assert_eq!(program_problems(&given, None), Vec::new());
}
