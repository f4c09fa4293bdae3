//! The table of docs/operations.md is made from what a preview says of each change.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::json;

use super::super::costs::{Cost, costs};
use super::super::effects::effects;
use super::super::guard::of_inputs;
use super::super::shape::Shape;
use super::*;

const BEGIN: &str = "<!-- costs: made from what a preview says -->\n";
const END: &str = "<!-- end of costs -->";
const ALLOWED: &str = "; to do it anyway set `allowDataLoss: true`";

/// The changes of the page, in its words.
fn changes() -> Vec<(&'static str, Value)> {
    vec![
        ("another log level", json!({"logging": {"level": "debug"}})),
        ("other `admin.networks`", json!({"admin": {"networks": ["10.0.0.0/8"]}})),
        ("another `admin.passwordVersion`", json!({"admin": {"passwordVersion": "2"}})),
        ("a user, a role, a quota", json!({"users": {"app": {"password": "x"}}})),
        ("a profile", json!({"profiles": {"fast": {"settings": {"max_threads": 4}}}})),
        ("a setting that ClickHouse reloads", json!({"settings": {"max_concurrent_queries": 200}})),
        ("another setting", json!({"settings": {"max_connections": 500}})),
        ("a file in `users.d`", json!({"files": {"users.d/a.xml": "<clickhouse/>"}})),
        ("a file in `config.d`", json!({"files": {"config.d/a.xml": "<clickhouse/>"}})),
        ("a load balancer", json!({"ingress": {"type": "LoadBalancer", "internal": true}})),
        ("a network policy", json!({"networkPolicy": {"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}})),
        ("another `podDisruptionBudget`", json!({"podDisruptionBudget": {"maxUnavailable": 2}})),
        ("a larger `storage.size`", json!({"storage": {"size": "100Gi"}})),
        ("another `storage.provisioner`", json!({"storage": {"provisioner": "StatefulSet"}})),
        ("a newer `version`", json!({"version": "26.9.1.1"})),
        ("other `resources`", json!({"resources": {"limits": {"cpu": "4"}}})),
        ("a `nodeSelector`", json!({"pod": {"nodeSelector": {"disk": "fast"}}})),
        ("`labels`", json!({"labels": {"team": "x"}})),
        ("another `restartToken`", json!({"restartToken": "2"})),
        ("`tls`", json!({"tls": {"secretName": "clickhouse-tls"}})),
        ("`backup`", json!({"backup": {"s3": {"bucket": "b"}}})),
        ("`monitoring`", json!({"monitoring": {"prometheus": {}}})),
        ("`stopped: true`", json!({"stopped": true})),
        ("`troubleshoot: true`", json!({"troubleshoot": true})),
        ("a shard more", json!({"shards": 3})),
        ("a replica more", json!({"replicas": 3})),
        ("a shard less", json!({"shards": 1})),
        ("a replica less", json!({"replicas": 1})),
        ("a smaller `storage.size`", json!({"storage": {"size": "10Gi"}})),
        ("another `storage.storageClass`", json!({"storage": {"storageClass": "fast"}})),
        ("`reclaimPolicy: Delete`", json!({"storage": {"reclaimPolicy": "Delete"}})),
        ("another `clusterName`", json!({"clusterName": "main"})),
        ("another `name` or `namespace`", json!({"name": "other"})),
    ]
}

/// What a preview says of a change.
fn said(change: &Value) -> String {
    let base = json!({"name": "db", "shards": 2, "replicas": 2});
    let mut program = base.clone();
    program.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    let (old, new) = (checked(base.clone()), Known::all(checked(program.clone())));
    let refused = of_inputs(&old, &new);
    if !refused.is_empty() {
        let one = |failure: CheckFailure| match failure.reason.strip_suffix(ALLOWED) {
            Some(reason) => format!("**refused** unless `allowDataLoss` is set: {reason}"),
            None => format!("**refused**: {}", failure.reason),
        };
        return refused.into_iter().map(one).collect::<Vec<_>>().join("; ");
    }
    let (from, to) = (Shape::rendered(&cluster(base)), Shape::rendered(&cluster(program)));
    let mut told = effects(&from, &to, &new);
    let found: Vec<_> = costs(&from, &old, &new).into_iter().map(|(_, cost)| cost).collect();
    if told.is_empty() {
        told.push(
            if found.contains(&Cost::Growth) {
                "grows the volumes while the hosts run"
            } else if found.contains(&Cost::Other) {
                "adds hosts, without a restart of the others"
            } else {
                "takes effect without a restart"
            }
            .to_owned(),
        );
    }
    told.join("; ")
}

#[test]
fn the_page_says_what_a_preview_says() {
    let mut table = "| change | what the preview says |\n| --- | --- |\n".to_owned();
    for (words, change) in changes() {
        writeln!(table, "| {words} | {} |", said(&change)).unwrap();
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md");
    let committed = fs::read_to_string(&file).unwrap();
    let (before, rest) = committed.split_once(BEGIN).expect("docs/operations.md has the mark of the costs");
    let (_, after) = rest.split_once(END).expect("docs/operations.md has the end of the costs");
    let made = format!("{before}{BEGIN}\n{table}\n{END}{after}");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&file, &made).unwrap();
    } else {
        assert!(
            made == committed,
            "the table of docs/operations.md is stale; make it with `UPDATE=1 cargo test --lib costs`"
        );
    }
}
