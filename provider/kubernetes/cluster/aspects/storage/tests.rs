use serde_json::{Value, json};

use crate::kubernetes::cluster::guard::of_inputs;
use crate::kubernetes::cluster::tests::{built, checked, problems_of_program, told};
use crate::resource::Known;

#[test]
fn an_ephemeral_cluster_claims_no_volume() {
    let spec = built(json!({"storage": {"ephemeral": true}})).installation.unwrap()["spec"].clone();
    assert!(
        spec["templates"].get("volumeClaimTemplates").is_none()
            && spec["defaults"]["templates"].get("dataVolumeClaimTemplate").is_none()
    );
    assert_eq!(
        spec["templates"]["podTemplates"][0]["spec"]["volumes"],
        json!([{"name": "data", "emptyDir": {}}])
    );
}

fn settings(program: Value) -> Value {
    let spec = built(program).installation.unwrap()["spec"].take();
    let said = spec["configuration"]["settings"].as_object().unwrap().clone();
    let below = said
        .into_iter()
        .filter_map(|(key, value)| Some((key.strip_prefix("storage_configuration/")?.to_owned(), value)));
    Value::Object(below.collect())
}

#[test]
fn a_disk_is_claimed_mounted_and_described() {
    let storage = json!({"reclaimPolicy": "Delete", "provisioner": "StatefulSet", "disks": [
        {"name": "fast", "size": "3Gi", "storageClass": "nvme"},
        {"name": "wide", "size": "5Ti", "reclaimPolicy": "Retain"}]});
    let spec = built(json!({"storage": storage})).installation.unwrap()["spec"].take();
    let claim = |name: &str, size: &str, policy: &str| {
        json!({"name": name, "provisioner": "StatefulSet", "reclaimPolicy": policy,
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}})
    };
    let mut fast = claim("fast", "3Gi", "Delete");
    fast["spec"]["storageClassName"] = json!("nvme");
    let claims = &spec["templates"]["volumeClaimTemplates"].as_array().unwrap();
    assert!(claims.contains(&fast) && claims.contains(&claim("wide", "5Ti", "Retain")), "{claims:?}");
    assert_eq!(
        spec["templates"]["podTemplates"][0]["spec"]["containers"][0]["volumeMounts"],
        json!([{"name": "fast", "mountPath": "/var/lib/clickhouse-fast"},
            {"name": "wide", "mountPath": "/var/lib/clickhouse-wide"}])
    );
    assert_eq!(
        settings(json!({"storage": storage})),
        json!({"disks/fast/path": "/var/lib/clickhouse-fast/", "disks/wide/path": "/var/lib/clickhouse-wide/",
            "policies/jbod/volumes/main/disk": ["default", "fast", "wide"]})
    );
}

#[test]
fn a_bucket_has_its_key_from_a_secret_or_from_the_pods_identity() {
    let disk = json!({"name": "cold", "endpoint": "https://b.example/x/"});
    assert_eq!(
        settings(json!({"storage": {"s3Disks": [disk]}})),
        json!({"disks/cold/type": "s3", "disks/cold/endpoint": "https://b.example/x/",
            "disks/cold/use_environment_credentials": "1",
            "policies/tiered/volumes/hot/disk": "default", "policies/tiered/volumes/hot/volume_priority": "1",
            "policies/tiered/volumes/cold/disk": "cold", "policies/tiered/volumes/cold/volume_priority": "2"})
    );
    let cached = json!({"name": "cold", "endpoint": "https://b.example/x/", "region": "r", "cacheSize": "9Gi",
        "credentials": {"secretName": "bucket", "accessKeyIdKey": "id"}});
    let from = |key: &str| json!({"valueFrom": {"secretKeyRef": {"name": "bucket", "key": key}}});
    let volumes = json!([{"name": "z", "disks": ["default"], "maxDataPartSize": "1Gi"},
        {"name": "a", "disks": ["cold"], "preferNotToMerge": true}]);
    let policies = json!({"mine": {"volumes": volumes, "moveFactor": 0.5}});
    assert_eq!(
        settings(json!({"storage": {"s3Disks": [cached], "policies": policies}})),
        json!({"disks/cold/type": "s3", "disks/cold/endpoint": "https://b.example/x/",
            "disks/cold/region": "r",
            "disks/cold/access_key_id": from("id"),
            "disks/cold/secret_access_key": from("AWS_SECRET_ACCESS_KEY"),
            "disks/cold_cache/type": "cache", "disks/cold_cache/disk": "cold",
            "disks/cold_cache/max_size": "9Gi",
            "disks/cold_cache/path": "/var/lib/clickhouse/disks/cold_cache/",
            "policies/mine/move_factor": "0.5",
            "policies/mine/volumes/z/disk": "default", "policies/mine/volumes/z/volume_priority": "1",
            "policies/mine/volumes/z/max_data_part_size_bytes": "1073741824",
            "policies/mine/volumes/a/disk": "cold_cache", "policies/mine/volumes/a/volume_priority": "2",
            "policies/mine/volumes/a/prefer_not_to_merge": "1"})
    );
}

#[test]
fn what_is_wrong_with_disks_is_told_at_its_place() {
    let found = problems_of_program(
        None,
        json!({"storage": {
            "disks": [{"name": "data", "size": "3Gi"}, {"name": "A", "size": "3"},
                {"name": "b", "size": "1Gi", "accessModes": []}],
            "s3Disks": [{"name": "b", "endpoint": "https://x/"},
                {"name": "c", "endpoint": "x", "cacheSize": "no",
                "credentials": {"secretName": "A"}}],
            "policies": {"1": {"volumes": []}, "p": {"moveFactor": 2.0, "volumes": [
                {"name": "v", "disks": ["default", "nowhere"]},
                {"name": "v", "disks": ["default"], "maxDataPartSize": "x"}, {"name": "w", "disks": []}]}},
        }}),
    );
    for (path, part) in [
        ("storage.disks[0].name", "another volume"),
        ("storage.disks[1].name", "not a valid name"),
        ("storage.disks[1].size", "is a unit missing"),
        ("storage.disks[2].accessModes", "at least one mode"),
        ("storage.s3Disks[0].name", "another volume"),
        ("storage.s3Disks[1].endpoint", "not an endpoint"),
        ("storage.s3Disks[1].cacheSize", "not a quantity"),
        ("storage.s3Disks[1].credentials.secretName", "not a valid DNS name"),
        ("storage.policies.1", "not a valid name"),
        ("storage.policies.1.volumes", "at least one volume"),
        ("storage.policies.p.moveFactor", "between 0 and 1"),
        ("storage.policies.p.volumes[0].disks[1]", "there is no disk `nowhere`"),
        ("storage.policies.p.volumes[1].name", "twice"),
        ("storage.policies.p.volumes[1].disks[0]", "already"),
        ("storage.policies.p.volumes[1].maxDataPartSize", "not a size"),
        ("storage.policies.p.volumes[2].disks", "at least one disk"),
    ] {
        let told = |problem: &&String| problem.starts_with(&format!("{path}: ")) && problem.contains(part);
        assert_eq!(found.iter().filter(told).count(), 1, "{path}: {found:#?}");
    }
    assert_eq!(found.len(), 16, "{found:#?}");
}

#[test]
fn a_disk_that_goes_or_shrinks_is_refused() {
    let with = |disks: Value| json!({"storage": {"disks": disks}});
    let there = json!([{"name": "fast", "size": "3Gi"}, {"name": "wide", "size": "5Gi"}]);
    for (then, part) in [
        (json!([{"name": "fast", "size": "3Gi"}]), "the disk `wide` goes, which loses what is on its volume"),
        (json!([{"name": "fast", "size": "3Gi"}, {"name": "wide", "size": "4Gi"}]), "can't shrink"),
        (
            json!([{"name": "fast", "size": "3Gi"},
                {"name": "wide", "size": "5Gi", "reclaimPolicy": "Delete"}]),
            "`Retain` becomes `Delete`",
        ),
    ] {
        let (old, new) = (checked(with(there.clone())), checked(with(then)));
        let found = told(of_inputs(&old, &Known::all(new)));
        assert!(
            found.len() == 1 && found[0].starts_with("storage.disks: ") && found[0].contains(part),
            "{found:?}"
        );
    }
    let larger = json!([{"name": "fast", "size": "4Gi"}, {"name": "wide", "size": "5120Mi"}]);
    let (old, new) = (checked(with(there)), checked(with(larger)));
    assert_eq!(of_inputs(&old, &Known::all(new)), []);
}
