//! Deletes that hang, that meet somebody else's objects, and that can't reach the API server.

use k8s_openapi::api::core::v1::{
    Namespace as NamespaceObject, PersistentVolumeClaim, Secret, Service, ServiceAccount,
};
use kube::api::{DeleteParams, DynamicObject, ListParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};
use testbed::operator::FINALIZER;
use testbed::pulumi::Stack;
use testbed::watching::wait_for;
use testbed::{Testbed, needs};

use crate::support::{in_state, program_with, stack};

#[tokio::test]
async fn a_finalizer_that_never_goes_is_named_and_the_next_destroy_finishes() {
    needs!(Faults);
    let (namespace, stack) = stack(&json!({"name": "db"})).await;
    let options = json!({"customTimeouts": {"delete": "10s"}});
    stack.set_program(&program_with(namespace.name(), &json!({"name": "db"}), &options)).unwrap();
    stack.up().await.unwrap().succeeded().unwrap();
    let made = in_state(&stack).unwrap();
    namespace.set_fault("finalizer-never-goes").await.unwrap();
    let hanging = stack.destroy().await.unwrap().failed().unwrap();
    for part in ["gave up waiting after 10 seconds", "is being deleted, held by the finalizer", FINALIZER] {
        assert!(hanging.text().contains(part), "`{part}` is not in:\n{}", hanging.text());
    }
    let kept = in_state(&stack).expect("it stays in the state");
    assert_eq!((&kept["id"], &kept["outputs"]["uids"]), (&made["id"], &made["outputs"]["uids"]));
    let installation = namespace.installations().get("db").await.unwrap();
    assert_eq!(installation.finalizers(), [FINALIZER], "it is not forced");
    assert!(
        namespace.api::<Secret>().get_opt("db-credentials").await.unwrap().is_some(),
        "the password is still there"
    );

    namespace.clear_fault().await.unwrap();
    stack.destroy().await.unwrap().succeeded().unwrap();
    assert!(in_state(&stack).is_none());
    assert!(namespace.installations().get_opt("db").await.unwrap().is_none());
    assert!(namespace.api::<Secret>().get_opt("db-credentials").await.unwrap().is_none());
}

#[tokio::test]
async fn a_delete_that_no_operator_takes_up_names_who_has_to() {
    needs!(Faults);
    let (namespace, stack) = stack(&json!({"name": "db"})).await;
    let options = json!({"customTimeouts": {"delete": "17s"}});
    stack.set_program(&program_with(namespace.name(), &json!({"name": "db"}), &options)).unwrap();
    stack.up().await.unwrap().succeeded().unwrap();
    namespace.set_fault("silent").await.unwrap();
    let hanging = stack.destroy().await.unwrap().failed().unwrap();
    for part in [
        FINALIZER,
        "is never removed by this provider",
        "a clickhouse-operator is installed in namespace `kube-system`",
    ] {
        assert!(hanging.text().contains(part), "`{part}` is not in:\n{}", hanging.text());
    }
    namespace.clear_fault().await.unwrap();
    stack.destroy().await.unwrap().succeeded().unwrap();
}

#[tokio::test]
async fn another_ones_installation_of_the_same_name_is_left_alone() {
    let (namespace, stack) = stack(&json!({"name": "db"})).await;
    stack.up().await.unwrap().succeeded().unwrap();
    let installations = namespace.installations();
    installations.delete("db", &DeleteParams::default()).await.unwrap();
    wait_for(&installations, "db", "gone", |object| object.is_none()).await.unwrap();
    let others: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "clickhouse.altinity.com/v1", "kind": "ClickHouseInstallation",
            "metadata": {"name": "db"},
        "spec": {"configuration": {"clusters": [{"name": "theirs"}]}},
    }))
    .unwrap();
    let uid = installations.create(&PostParams::default(), &others).await.unwrap().uid();
    let destroyed = stack.destroy().await.unwrap().succeeded().unwrap();
    assert!(
        destroyed.text().contains("was not created by this stack; it stays untouched"),
        "{}",
        destroyed.text()
    );
    assert_eq!(installations.get("db").await.unwrap().uid(), uid);
}

#[tokio::test]
async fn volumes_go_by_their_policy_the_keepers_too() {
    let storage = json!({"size": "1Gi", "reclaimPolicy": "Delete"});
    let properties = json!({
        "name": "db", "replicas": 2, "storage": storage,
        "coordination": {"type": "Keeper", "keeper": {"replicas": 1, "storage": storage}},
    });
    let (namespace, stack) = stack(&properties).await;
    stack.up().await.unwrap().succeeded().unwrap();
    let claims: Api<PersistentVolumeClaim> = namespace.api();
    assert_eq!(claims.list(&ListParams::default()).await.unwrap().items.len(), 3);
    stack.destroy().await.unwrap().succeeded().unwrap();
    assert_eq!(claims.list(&ListParams::default()).await.unwrap().items.len(), 0);
    assert_eq!(namespace.keepers().list(&ListParams::default()).await.unwrap().items.len(), 0);
    let services = namespace.api::<Service>().list(&ListParams::default()).await.unwrap();
    assert_eq!(services.items.len(), 0);
}

/// The operator 0.25.6 crashes as a whole when a Keeper that it still looks at is deleted (languages D2).
#[tokio::test]
async fn a_destroy_never_takes_a_keeper_away_while_the_operator_looks_at_it() {
    needs!(Faults);
    let properties =
        json!({"name": "db", "replicas": 2, "coordination": {"type": "Keeper", "keeper": {"replicas": 1}}});
    // Right after an `up` that served, and after one that failed on the Keeper's volume.
    let broken = json!({
        "name": "db", "replicas": 2, "coordination": {"type": "Keeper", "keeper": {"replicas": 1,
            "storage": {"storageClass": "never-binds"}}},
    });
    futures::future::join_all([(properties, true), (broken, false)].map(async |(properties, sound)| {
        let (namespace, stack) = stack(&properties).await;
        namespace.set_fault("keeper-crash").await.unwrap();
        namespace.annotate("stand-in/create-timeout", Some("8")).await.unwrap();
        if sound {
            stack.up().await.unwrap().succeeded().unwrap();
        } else {
            stack
                .set_program(&program_with(
                    namespace.name(),
                    &properties,
                    &json!({"customTimeouts": {"create": "3s"}}),
                ))
                .unwrap();
            stack.up().await.unwrap().failed().unwrap();
        }
        let destroyed = stack.destroy().await.unwrap();
        assert!(!namespace.crashed().await.unwrap(), "the operator is down\n{}", destroyed.text());
        destroyed.succeeded().unwrap();
        assert_eq!(namespace.keepers().list(&ListParams::default()).await.unwrap().items.len(), 0);
    }))
    .await;
}

/// A kubeconfig like the testbed's but for a change, in the stack's folder.
fn kubeconfig(testbed: &Testbed, stack: &Stack, change: impl FnOnce(&mut Value)) -> String {
    let mut kubeconfig: Value =
        serde_json::from_slice(&std::fs::read(testbed.kubeconfig()).unwrap()).unwrap();
    change(&mut kubeconfig);
    let path = stack.directory().join("kubeconfig");
    std::fs::write(&path, kubeconfig.to_string()).unwrap();
    path.display().to_string()
}

#[tokio::test]
async fn a_server_that_does_not_answer_says_nothing_about_the_cluster_unless_told_so() {
    let (namespace, mut stack) = stack(&json!({"name": "db"})).await;
    stack.up().await.unwrap().succeeded().unwrap();
    // Port 9 is the one that discards: nobody listens there.
    let path = kubeconfig(Testbed::shared().await, &stack, |config| {
        config["clusters"][0]["cluster"]["server"] = json!("https://127.0.0.1:9");
    });
    stack.set_environment("KUBECONFIG", &path);
    let made = in_state(&stack).unwrap();
    for command in ["refresh", "destroy"] {
        let failed = stack.run(&[command, "--yes", "--skip-preview"]).await.unwrap().failed().unwrap();
        assert!(failed.text().contains("failed to reach the Kubernetes API server"), "{}", failed.text());
        let kept = in_state(&stack).expect("unreachable is not gone");
        assert_eq!((&kept["id"], &kept["outputs"]["uids"]), (&made["id"], &made["outputs"]["uids"]));
    }
    stack.set_config("clickhouse:deleteUnreachable", "true", false).await.unwrap();
    // The provider takes its configuration from the program's run, not from the state.
    let dropped = stack
        .run(&["refresh", "--yes", "--skip-preview", "--run-program"])
        .await
        .unwrap()
        .succeeded()
        .unwrap();
    assert!(
        dropped.text().contains("`deleteUnreachable` is set, so the cluster is dropped from the state"),
        "{}",
        dropped.text()
    );
    assert!(in_state(&stack).is_none());
    assert!(namespace.installations().get_opt("db").await.unwrap().is_some());
}

#[tokio::test]
async fn a_server_that_forbids_says_nothing_about_the_cluster() {
    let (namespace, mut stack) = stack(&json!({"name": "db"})).await;
    stack.up().await.unwrap().succeeded().unwrap();
    let accounts: Api<ServiceAccount> = namespace.api();
    let nobody = serde_json::from_value(json!({"metadata": {"name": "nobody"}})).unwrap();
    accounts.create(&PostParams::default(), &nobody).await.unwrap();
    let request = serde_json::from_value(json!({"spec": {"audiences": []}})).unwrap();
    let token = accounts
        .create_token_request("nobody", &PostParams::default(), &request)
        .await
        .unwrap()
        .status
        .unwrap()
        .token;
    let path = kubeconfig(Testbed::shared().await, &stack, |config| {
        config["users"][0]["user"] = json!({"token": token});
    });
    stack.set_environment("KUBECONFIG", &path);
    stack.set_config("clickhouse:deleteUnreachable", "true", false).await.unwrap();
    for command in ["refresh", "destroy"] {
        let failed = stack
            .run(&[command, "--yes", "--skip-preview", "--run-program"])
            .await
            .unwrap()
            .failed()
            .unwrap();
        assert!(failed.text().contains("not allowed to "), "{}", failed.text());
        assert!(in_state(&stack).is_some(), "forbidden is not gone");
    }
}

/// Sets the switch that a plain refresh and destroy see, too.
fn may_drop(stack: &mut Stack) {
    stack.set_environment("PULUMI_CLICKHOUSE_DELETE_UNREACHABLE", "true");
}

#[tokio::test]
async fn a_login_that_fails_says_nothing_about_the_cluster() {
    let (namespace, mut stack) = stack(&json!({"name": "db"})).await;
    stack.up().await.unwrap().succeeded().unwrap();
    may_drop(&mut stack);
    let made = in_state(&stack).unwrap();
    let fails = json!({"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "false",
        "interactiveMode": "Never"}});
    for (what, place, value) in [
        ("a token that has expired", "/users/0/user", json!({"token": "expired"})),
        ("a plugin that fails", "/users/0/user", fails),
        ("another server's certificate", "/clusters/0/cluster/tls-server-name", json!("other.example.com")),
    ] {
        let path = kubeconfig(Testbed::shared().await, &stack, |config| {
            let (parent, key) = place.rsplit_once('/').unwrap();
            config.pointer_mut(parent).unwrap()[key] = value;
        });
        stack.set_environment("KUBECONFIG", &path);
        for command in ["refresh", "destroy"] {
            stack.run(&[command, "--yes", "--skip-preview"]).await.unwrap().failed().unwrap();
            let kept =
                in_state(&stack).unwrap_or_else(|| panic!("with {what} `{command}` forgets the cluster"));
            assert_eq!(
                (&kept["id"], &kept["outputs"]["uids"]),
                (&made["id"], &made["outputs"]["uids"]),
                "{what}: {command}"
            );
        }
    }
    stack.set_environment("KUBECONFIG", &Testbed::shared().await.kubeconfig().display().to_string());
    stack.destroy().await.unwrap().succeeded().unwrap();
    assert!(namespace.installations().get_opt("db").await.unwrap().is_none());
}

#[tokio::test]
async fn a_server_that_is_gone_is_dropped_by_a_plain_refresh_and_destroy_when_the_environment_says_so() {
    for command in ["refresh", "destroy"] {
        let (namespace, mut stack) = stack(&json!({"name": "db", "skipAwait": true})).await;
        stack.up().await.unwrap().succeeded().unwrap();
        may_drop(&mut stack);
        let path = kubeconfig(Testbed::shared().await, &stack, |config| {
            config["clusters"][0]["cluster"]["server"] = json!("https://127.0.0.1:9");
        });
        stack.set_environment("KUBECONFIG", &path);
        stack.run(&[command, "--yes", "--skip-preview"]).await.unwrap().succeeded().unwrap();
        assert!(in_state(&stack).is_none());
        assert!(namespace.installations().get_opt("db").await.unwrap().is_some());
    }
}

#[tokio::test]
async fn a_namespace_of_ours_goes_only_when_it_is_empty() {
    let others = [
        ("v1", "ConfigMap", json!({"data": {"any": "thing"}})),
        (
            "batch/v1",
            "CronJob",
            json!({"spec": {"suspend": true, "schedule": "0 0 1 1 \
                *", "jobTemplate": {"spec": {"template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "main", "image": "example/any:1"}]}}}}}}),
        ),
        ("rbac.authorization.k8s.io/v1", "Role", json!({"rules": []})),
        (
            "networking.k8s.io/v1",
            "Ingress",
            json!({"spec": {"defaultBackend": {"service": {"name": "theirs", "port": {"number": 80}}}}}),
        ),
    ];
    let testbed = Testbed::shared().await;
    futures::future::join_all(others.into_iter().enumerate().map(
        |(index, (version, kind, mut object))| async move {
            let name = format!("ours-{}-{index}", std::process::id());
            let stack = testbed
                .stack(&program_with(&name, &json!({"name": "db", "createNamespace": true}), &json!({})))
                .await
                .unwrap();
            stack.up().await.unwrap().succeeded().unwrap();
            let namespaces: Api<NamespaceObject> = Api::all(testbed.client().unwrap());
            object["metadata"] = json!({"name": "theirs"});
            let (group, release) = version.split_once('/').unwrap_or(("", version));
            let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, release, kind));
            object["apiVersion"] = json!(version);
            object["kind"] = json!(kind);
            let api: Api<DynamicObject> = Api::namespaced_with(testbed.client().unwrap(), &name, &resource);
            api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
            let destroyed = stack.destroy().await.unwrap().succeeded().unwrap();
            assert!(in_state(&stack).is_none());
            let namespace = namespaces
                .get(&name)
                .await
                .unwrap_or_else(|_| panic!("the namespace with the {kind} is gone\n{}", destroyed.text()));
            assert!(
                namespace.metadata.deletion_timestamp.is_none(),
                "the namespace with the {kind} is being deleted\n{}",
                destroyed.text()
            );
            assert!(destroyed.text().contains("is kept, because"), "{}", destroyed.text());
            api.get("theirs").await.unwrap();
        },
    ))
    .await;
}

#[tokio::test]
async fn an_empty_namespace_of_ours_goes_with_the_cluster() {
    let testbed = Testbed::shared().await;
    let name = format!("ours-{}-empty", std::process::id());
    let properties = json!({"name": "db", "createNamespace": true, "storage": {"reclaimPolicy": "Delete"}});
    let stack = testbed.stack(&program_with(&name, &properties, &json!({}))).await.unwrap();
    stack.up().await.unwrap().succeeded().unwrap();
    let destroyed = stack.destroy().await.unwrap().succeeded().unwrap();
    let namespaces: Api<NamespaceObject> = Api::all(testbed.client().unwrap());
    let left = namespaces.get_opt(&name).await.unwrap();
    assert!(left.is_none_or(|left| left.metadata.deletion_timestamp.is_some()), "{}", destroyed.text());
}
