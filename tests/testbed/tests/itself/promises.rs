//! The testbed keeps its promises: what the other tests stand on.

use anyhow::{Context as _, Result};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{
    ConfigMap, Node, PersistentVolume, PersistentVolumeClaim, Pod, Secret, Service,
};
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use testbed::Testbed;
use testbed::operator::FINALIZER;
use testbed::watching::{Recording, wait_for, wait_for_status};

use crate::{INSTALLATION, KEEPER, change, completed, create, installation, is_ready};

async fn names<K>(api: Api<K>) -> Result<Vec<String>>
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let mut names: Vec<String> =
        api.list(&ListParams::default()).await?.items.iter().map(kube::ResourceExt::name_any).collect();
    names.sort();
    Ok(names)
}

#[tokio::test]
async fn nodes_are_ready_in_three_zones() -> Result<()> {
    let testbed = Testbed::shared().await;
    let nodes = Api::<Node>::all(testbed.client()?).list(&ListParams::default()).await?;
    let mut zones: Vec<&str> = nodes
        .items
        .iter()
        .filter_map(|node| node.labels().get("topology.kubernetes.io/zone").map(String::as_str))
        .collect();
    zones.sort_unstable();
    assert_eq!(zones, ["zone-a", "zone-b", "zone-c"]);
    Ok(())
}

#[tokio::test]
async fn one_host_goes_through_the_real_operators_transitions() -> Result<()> {
    let namespace = Testbed::shared().await.namespace().await?;
    let mut recording = Recording::start(namespace.installations(), "db");
    create(&namespace.installations(), INSTALLATION, "db", installation(1, 1, "t-1")).await?;
    let status = completed(&namespace, "db", "t-1").await?;
    recording
        .until(|object| object.is_some_and(|object| object.data["status"]["status"] == "Completed"))
        .await?;

    let versions = recording.versions();
    let first: &DynamicObject = versions.iter().flatten().next().context("the creation was seen")?;
    assert_eq!((first.finalizers().len(), &first.data["status"]), (0, &Value::Null));
    let accepted = versions.iter().flatten().nth(1).context("a change was seen")?;
    assert_eq!(accepted.finalizers(), [FINALIZER]);
    assert_eq!(accepted.data["status"], Value::Null, "the finalizer comes before any status");
    let started = &versions.iter().flatten().nth(2).context("a second change was seen")?.data["status"];
    assert_eq!(started["status"], "InProgress");
    assert_eq!(started["hosts"], 1);
    assert_eq!(started["pods"], json!(["chi-db-c-0-0-0"]));
    assert_eq!(started["taskIDsStarted"], json!(["t-1"]));
    assert_eq!(started["taskIDsCompleted"], Value::Null);
    assert_eq!(recording.statuses("hostsAdded"), [json!(null), json!(1), json!(null)]);
    assert_eq!(recording.statuses("hostsCompleted"), [json!(null), json!(1), json!(null)]);

    assert_eq!(status["endpoint"], format!("clickhouse-db.{}.svc.cluster.local", namespace.name()));
    assert_eq!(status["fqdns"], json!([format!("chi-db-c-0-0.{}.svc.cluster.local", namespace.name())]));
    assert_eq!(status["error"], Value::Null);
    assert!(
        status["errors"].as_array().is_some_and(|errors| !errors.is_empty()),
        "the history of errors stays, on healthy runs too"
    );
    Ok(())
}

#[tokio::test]
async fn a_pod_whose_node_was_silent_is_ready_again() -> Result<()> {
    let namespace = Testbed::shared().await.namespace().await?;
    create(&namespace.installations(), INSTALLATION, "db", installation(1, 1, "t-1")).await?;
    completed(&namespace, "db", "t-1").await?;
    // What the controller manager does with the pods of a node that has not reported for too long.
    let marked = json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}});
    let pods = namespace.api::<Pod>();
    let pod = pods.patch_status("chi-db-c-0-0-0", &PatchParams::default(), &Patch::Strategic(marked)).await?;
    assert!(!is_ready(Some(&pod)));
    wait_for(&pods, "chi-db-c-0-0-0", "is ready again", is_ready).await?;
    Ok(())
}

#[tokio::test]
async fn two_shards_with_two_replicas_get_children_with_the_real_names() -> Result<()> {
    let namespace = Testbed::shared().await.namespace().await?;
    create(&namespace.installations(), INSTALLATION, "db", installation(2, 2, "t-1")).await?;
    let status = completed(&namespace, "db", "t-1").await?;
    assert_eq!((&status["shards"], &status["hosts"]), (&json!(2), &json!(4)));

    let hosts = ["chi-db-c-0-0", "chi-db-c-0-1", "chi-db-c-1-0", "chi-db-c-1-1"];
    assert_eq!(names(namespace.api::<StatefulSet>()).await?, hosts);
    assert_eq!(names(namespace.api::<Pod>()).await?, hosts.map(|host| format!("{host}-0")));
    assert_eq!(
        names(namespace.api::<PersistentVolumeClaim>()).await?,
        hosts.map(|host| format!("data-{host}-0"))
    );
    let services = [
        "chi-db-c-0-0",
        "chi-db-c-0-1",
        "chi-db-c-1-0",
        "chi-db-c-1-1",
        "clickhouse-db",
        "shard-db-c-0",
        "shard-db-c-1",
    ];
    assert_eq!(names(namespace.api::<Service>()).await?, services);
    let secrets = names(namespace.api::<Secret>()).await?;
    assert_eq!(secrets, ["db-c-auto-secret"]);
    let configs = names(namespace.api::<ConfigMap>()).await?;
    for config in
        ["chi-db-common-configd", "chi-db-common-usersd", "chi-db-deploy-confd-c-1-1", "chi-storage-db"]
    {
        assert!(configs.iter().any(|name| name == config), "{config} is not in {configs:?}");
    }

    let set = namespace.api::<StatefulSet>().get("chi-db-c-1-0").await?;
    assert_eq!(set.owner_references()[0].kind, INSTALLATION.1);
    let label = |key: &str| set.labels().get(&format!("clickhouse.altinity.com/{key}")).map(String::as_str);
    assert_eq!(
        (label("app"), label("chi"), label("namespace"), label("shard")),
        (Some("chop"), Some("db"), Some(namespace.name()), Some("1"))
    );
    let pod = namespace.api::<Pod>().get("chi-db-c-1-0-0").await?;
    assert_eq!(pod.labels().get("clickhouse.altinity.com/ready").map(String::as_str), Some("yes"));
    let claim = namespace.api::<PersistentVolumeClaim>().get("data-chi-db-c-1-0-0").await?;
    assert_eq!(
        claim.labels().get("clickhouse.altinity.com/reclaimPolicy").map(String::as_str),
        Some("Retain")
    );
    assert!(claim.owner_references().is_empty());
    Ok(())
}

#[tokio::test]
async fn a_changed_password_is_in_the_users_configuration_and_restarts_nothing() -> Result<()> {
    let namespace = Testbed::shared().await.namespace().await?;
    create(&namespace.installations(), INSTALLATION, "db", installation(1, 1, "t-1")).await?;
    completed(&namespace, "db", "t-1").await?;
    let before = namespace.api::<Pod>().get("chi-db-c-0-0-0").await?;
    let users = json!({"default/password_sha256_hex": "cd".repeat(32)});
    change(&namespace.installations(), "db", json!({"taskID": "t-2", "configuration": {"users": users}}))
        .await?;
    let status = completed(&namespace, "db", "t-2").await?;
    assert_eq!(status["taskIDsStarted"], json!(["t-2", "t-1"]));
    let config = namespace.api::<ConfigMap>().get("chi-db-common-usersd").await?;
    assert!(config.data.unwrap_or_default()["chop-generated-users.xml"].contains(&"cd".repeat(32)));
    assert_eq!(namespace.api::<Pod>().get("chi-db-c-0-0-0").await?.uid(), before.uid());
    Ok(())
}

#[tokio::test]
async fn storage_grows_without_a_restart() -> Result<()> {
    let namespace = Testbed::shared().await.namespace().await?;
    create(&namespace.installations(), INSTALLATION, "db", installation(1, 1, "t-1")).await?;
    completed(&namespace, "db", "t-1").await?;
    let pod = namespace.api::<Pod>().get("chi-db-c-0-0-0").await?;
    let mut spec = installation(1, 1, "t-2");
    spec["templates"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"] = json!("8Gi");
    change(&namespace.installations(), "db", spec).await?;
    completed(&namespace, "db", "t-2").await?;
    let grown = |claim: Option<&PersistentVolumeClaim>| {
        let capacity =
            claim.and_then(|claim| claim.status.as_ref()).and_then(|status| status.capacity.as_ref());
        capacity.is_some_and(|capacity| capacity["storage"].0 == "8Gi")
    };
    wait_for(&namespace.api(), "data-chi-db-c-0-0-0", "grown to 8Gi", grown).await?;
    assert_eq!(namespace.api::<Pod>().get("chi-db-c-0-0-0").await?.uid(), pod.uid());
    Ok(())
}

#[tokio::test]
async fn a_changed_image_rolls_the_pods() -> Result<()> {
    let namespace = Testbed::shared().await.namespace().await?;
    create(&namespace.installations(), INSTALLATION, "db", installation(1, 2, "t-1")).await?;
    completed(&namespace, "db", "t-1").await?;
    let mut spec = installation(1, 2, "t-2");
    spec["templates"]["podTemplates"][0]["spec"]["containers"][0]["image"] =
        json!("clickhouse/clickhouse-server:26.3");
    change(&namespace.installations(), "db", spec).await?;
    completed(&namespace, "db", "t-2").await?;
    for pod in ["chi-db-c-0-0-0", "chi-db-c-0-1-0"] {
        let image =
            namespace.api::<Pod>().get(pod).await?.spec.and_then(|spec| spec.containers[0].image.clone());
        assert_eq!(image.as_deref(), Some("clickhouse/clickhouse-server:26.3"));
    }
    Ok(())
}

#[tokio::test]
async fn restart_renews_the_pods_one_after_the_other() -> Result<()> {
    let namespace = Testbed::shared().await.namespace().await?;
    create(&namespace.installations(), INSTALLATION, "db", installation(1, 1, "t-1")).await?;
    completed(&namespace, "db", "t-1").await?;
    let before = namespace.api::<Pod>().get("chi-db-c-0-0-0").await?;
    change(&namespace.installations(), "db", json!({"taskID": "t-2", "restart": "RollingUpdate"})).await?;
    completed(&namespace, "db", "t-2").await?;
    assert_ne!(namespace.api::<Pod>().get("chi-db-c-0-0-0").await?.uid(), before.uid());
    Ok(())
}

#[tokio::test]
async fn scaling_in_removes_the_host_and_retains_its_claim() -> Result<()> {
    let namespace = Testbed::shared().await.namespace().await?;
    create(&namespace.installations(), INSTALLATION, "db", installation(1, 2, "t-1")).await?;
    completed(&namespace, "db", "t-1").await?;
    change(&namespace.installations(), "db", installation(1, 1, "t-2")).await?;
    completed(&namespace, "db", "t-2").await?;
    assert_eq!(names(namespace.api::<StatefulSet>()).await?, ["chi-db-c-0-0"]);
    assert_eq!(names(namespace.api::<Service>()).await?, ["chi-db-c-0-0", "clickhouse-db", "shard-db-c-0"]);
    assert_eq!(
        names(namespace.api::<PersistentVolumeClaim>()).await?,
        ["data-chi-db-c-0-0-0", "data-chi-db-c-0-1-0"]
    );
    Ok(())
}

#[tokio::test]
async fn stopping_ends_completed_without_pods() -> Result<()> {
    let namespace = Testbed::shared().await.namespace().await?;
    create(&namespace.installations(), INSTALLATION, "db", installation(1, 1, "t-1")).await?;
    completed(&namespace, "db", "t-1").await?;
    change(&namespace.installations(), "db", json!({"taskID": "t-2", "stop": "yes"})).await?;
    completed(&namespace, "db", "t-2").await?;
    assert!(names(namespace.api::<Pod>()).await?.is_empty());
    assert!(namespace.api::<Service>().get_opt("clickhouse-db").await?.is_none());
    assert_eq!(names(namespace.api::<PersistentVolumeClaim>()).await?, ["data-chi-db-c-0-0-0"]);
    change(&namespace.installations(), "db", json!({"taskID": "t-3", "stop": "no"})).await?;
    completed(&namespace, "db", "t-3").await?;
    assert_eq!(names(namespace.api::<Pod>()).await?, ["chi-db-c-0-0-0"]);
    Ok(())
}

#[tokio::test]
async fn deletion_leaves_what_is_retained() -> Result<()> {
    let namespace = Testbed::shared().await.namespace().await?;
    create(&namespace.installations(), INSTALLATION, "db", installation(1, 1, "t-1")).await?;
    completed(&namespace, "db", "t-1").await?;
    let mut recording = Recording::start(namespace.installations(), "db");
    namespace.installations().delete("db", &DeleteParams::default()).await?;
    recording.until(|object| object.is_none()).await?;
    assert_eq!(recording.statuses("status"), ["Completed", "Terminating"]);
    assert!(recording.statuses("hostsDeleted").contains(&json!(1)));
    assert!(names(namespace.api::<StatefulSet>()).await?.is_empty());
    assert!(names(namespace.api::<Secret>()).await?.is_empty());
    assert_eq!(names(namespace.api::<PersistentVolumeClaim>()).await?, ["data-chi-db-c-0-0-0"]);
    Ok(())
}

#[tokio::test]
async fn deletion_removes_claims_and_volumes_that_are_not_retained() -> Result<()> {
    let testbed = Testbed::shared().await;
    let namespace = testbed.namespace().await?;
    let mut spec = installation(1, 1, "t-1");
    spec["templates"]["volumeClaimTemplates"][0]["reclaimPolicy"] = json!("Delete");
    create(&namespace.installations(), INSTALLATION, "db", spec).await?;
    completed(&namespace, "db", "t-1").await?;
    let claims = namespace.api::<PersistentVolumeClaim>();
    let volume = claims
        .get("data-chi-db-c-0-0-0")
        .await?
        .spec
        .and_then(|spec| spec.volume_name)
        .context("the claim is bound")?;
    namespace.installations().delete("db", &DeleteParams::default()).await?;
    wait_for(&claims, "data-chi-db-c-0-0-0", "gone", |claim| claim.is_none()).await?;
    wait_for(&Api::<PersistentVolume>::all(testbed.client()?), &volume, "gone", |volume| volume.is_none())
        .await?;
    Ok(())
}

/// The real one knows a claim only by its templates ("In any unknown cases just delete PVC").
#[tokio::test]
async fn a_claim_that_no_template_explains_goes_with_its_host_whatever_its_label_says() -> Result<()> {
    let namespace = Testbed::shared().await.namespace().await?;
    let mut spec = installation(1, 2, "t-1");
    spec["defaults"]["templates"]["logVolumeClaimTemplate"] = json!("logs");
    let mut logs = spec["templates"]["volumeClaimTemplates"][0].clone();
    logs["name"] = json!("logs");
    spec["templates"]["volumeClaimTemplates"].as_array_mut().context("a list")?.push(logs);
    create(&namespace.installations(), INSTALLATION, "db", spec).await?;
    completed(&namespace, "db", "t-1").await?;

    let mut spec = installation(1, 2, "t-2");
    spec["defaults"]["templates"]["logVolumeClaimTemplate"] = Value::Null;
    change(&namespace.installations(), "db", spec).await?;
    completed(&namespace, "db", "t-2").await?;
    let claims = ["data-chi-db-c-0-0-0", "data-chi-db-c-0-1-0", "logs-chi-db-c-0-0-0", "logs-chi-db-c-0-1-0"];
    assert_eq!(
        names(namespace.api::<PersistentVolumeClaim>()).await?,
        claims,
        "they are labelled as retained"
    );

    change(&namespace.installations(), "db", installation(1, 1, "t-3")).await?;
    completed(&namespace, "db", "t-3").await?;
    assert_eq!(names(namespace.api::<PersistentVolumeClaim>()).await?, claims[..3]);
    namespace.installations().delete("db", &DeleteParams::default()).await?;
    wait_for(&namespace.installations(), "db", "gone", |object| object.is_none()).await?;
    assert_eq!(names(namespace.api::<PersistentVolumeClaim>()).await?, claims[..2]);
    Ok(())
}

#[tokio::test]
async fn a_newer_task_supersedes_the_one_under_way() -> Result<()> {
    let namespace = Testbed::shared().await.namespace().await?;
    namespace.annotate("stand-in/create-timeout", Some("30")).await?;
    let mut spec = installation(1, 1, "t-1");
    spec["templates"]["podTemplates"][0]["spec"]["nodeSelector"] = json!({"no-such": "node"});
    create(&namespace.installations(), INSTALLATION, "db", spec).await?;
    wait_for(&namespace.api::<Pod>(), "chi-db-c-0-0-0", "there", |pod| pod.is_some()).await?;
    let mut spec = installation(1, 1, "t-2");
    spec["templates"]["podTemplates"][0]["spec"]["nodeSelector"] = Value::Null;
    change(&namespace.installations(), "db", spec).await?;
    let status = completed(&namespace, "db", "t-2").await?;
    assert_eq!(status["taskIDsStarted"], json!(["t-2", "t-1"]));
    assert_eq!(status["taskIDsCompleted"], json!(["t-2"]));
    Ok(())
}

#[tokio::test]
async fn a_suspended_installation_is_not_touched() -> Result<()> {
    let namespace = Testbed::shared().await.namespace().await?;
    let mut spec = installation(1, 1, "t-1");
    spec["suspend"] = json!("yes");
    create(&namespace.installations(), INSTALLATION, "quiet", spec).await?;
    create(&namespace.installations(), INSTALLATION, "busy", installation(1, 1, "t-1")).await?;
    completed(&namespace, "busy", "t-1").await?;
    let quiet = namespace.installations().get("quiet").await?;
    assert!(quiet.finalizers().is_empty() && quiet.data["status"].is_null());
    Ok(())
}

#[tokio::test]
async fn a_keeper_has_no_finalizer_and_is_known_by_its_generation() -> Result<()> {
    let namespace = Testbed::shared().await.namespace().await?;
    let spec = json!({
        "taskID": "t-1",
        "defaults": {"templates": {"dataVolumeClaimTemplate": "data"}},
        "configuration": {"clusters": [{"name": "k", "layout": {"replicasCount": 3}}]},
        "templates": {"volumeClaimTemplates": [{"name": "data", "spec": {"accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}}}}]},
    });
    let keeper = create(&namespace.keepers(), KEEPER, "k", spec).await?;
    let is_ready =
        |set: Option<&StatefulSet>| set.and_then(|set| set.status.as_ref()?.ready_replicas) == Some(1);
    wait_for(&namespace.api::<StatefulSet>(), "chk-k-k-0-2", "ready", is_ready).await?;
    assert_eq!(
        namespace.keepers().get("k").await?.data["status"]["status"],
        "InProgress",
        "its last step waits"
    );
    let status =
        wait_for_status(&namespace.keepers(), "k", "Completed", |status| status["status"] == "Completed")
            .await?;
    assert_eq!(status["taskID"], Value::Null);
    assert_eq!((&status["taskIDsStarted"], &status["taskIDsCompleted"]), (&json!([""]), &json!([""])));
    assert_eq!(status["normalizedCompleted"]["metadata"]["generation"], json!(keeper.metadata.generation));
    assert!(namespace.keepers().get("k").await?.finalizers().is_empty());
    assert_eq!(names(namespace.api::<StatefulSet>()).await?, ["chk-k-k-0-0", "chk-k-k-0-1", "chk-k-k-0-2"]);
    assert_eq!(
        names(namespace.api::<Service>()).await?,
        ["chk-k-k-0-0", "chk-k-k-0-1", "chk-k-k-0-2", "keeper-k"]
    );

    namespace.keepers().delete("k", &DeleteParams::default()).await?;
    wait_for(&namespace.api::<StatefulSet>(), "chk-k-k-0-2", "collected", |set| set.is_none()).await?;
    assert_eq!(
        names(namespace.api::<PersistentVolumeClaim>()).await?.len(),
        3,
        "a keeper's claims always stay"
    );
    Ok(())
}

#[tokio::test]
async fn a_load_balancer_gets_an_address_and_a_plain_service_none() -> Result<()> {
    let namespace = Testbed::shared().await.namespace().await?;
    let api = namespace.api::<Service>();
    let service = |name: &str, kind: &str| {
        serde_json::from_value::<Service>(
            json!({"metadata": {"name": name}, "spec": {"type": kind, "ports": [{"port": 8123}]}}),
        )
    };
    api.create(&PostParams::default(), &service("balanced", "LoadBalancer")?).await?;
    api.create(&PostParams::default(), &service("plain", "ClusterIP")?).await?;
    let address = |service: Option<&Service>| {
        let balancer = service
            .and_then(|service| service.status.as_ref())
            .and_then(|status| status.load_balancer.as_ref());
        balancer
            .and_then(|balancer| balancer.ingress.as_ref())
            .and_then(|ingress| ingress.first())
            .and_then(|ingress| ingress.ip.clone())
    };
    let balanced =
        wait_for(&api, "balanced", "given an address", |service| address(service).is_some()).await?;
    assert!(address(balanced.as_ref()).is_some_and(|address| address.starts_with("203.0.113.")));
    assert_eq!(address(Some(&api.get("plain").await?)), None);
    Ok(())
}

#[tokio::test]
async fn pods_fail_in_the_ways_that_their_images_name() -> Result<()> {
    let namespace = Testbed::shared().await.namespace().await?;
    let api = namespace.api::<Pod>();
    for (name, image) in [
        ("missing", "example/does-not-exist:1"),
        ("crashing", "example/crash:1"),
        ("sound", "example/sound:1"),
    ] {
        let pod =
            json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "main", "image": image}]}});
        api.create(&PostParams::default(), &serde_json::from_value(pod)?).await?;
    }
    let reason = |pod: Option<&Pod>| {
        let containers =
            pod.and_then(|pod| pod.status.as_ref()).and_then(|status| status.container_statuses.as_ref());
        containers.and_then(|containers| containers.first()?.state.as_ref()?.waiting.as_ref()?.reason.clone())
    };
    wait_for(&api, "missing", "in ImagePullBackOff", |pod| {
        reason(pod).as_deref() == Some("ImagePullBackOff")
    })
    .await?;
    wait_for(&api, "crashing", "in CrashLoopBackOff", |pod| {
        reason(pod).as_deref() == Some("CrashLoopBackOff")
    })
    .await?;
    wait_for(&api, "sound", "running", |pod| {
        pod.and_then(|pod| pod.status.as_ref())
            .is_some_and(|status| status.phase.as_deref() == Some("Running"))
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn a_claim_of_the_class_that_never_binds_stays_pending() -> Result<()> {
    let namespace = Testbed::shared().await.namespace().await?;
    let api = namespace.api::<PersistentVolumeClaim>();
    for (name, class) in [("never", "never-binds"), ("bound", "standard")] {
        let claim = json!({
            "metadata": {"name": name},
            "spec": {"storageClassName": class, "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}}},
        });
        api.create(&PostParams::default(), &serde_json::from_value(claim)?).await?;
    }
    let phase =
        |claim: Option<&PersistentVolumeClaim>| claim.and_then(|claim| claim.status.as_ref()?.phase.clone());
    wait_for(&api, "bound", "Bound", |claim| phase(claim).as_deref() == Some("Bound")).await?;
    assert_eq!(phase(Some(&api.get("never").await?)).as_deref(), Some("Pending"));
    Ok(())
}
