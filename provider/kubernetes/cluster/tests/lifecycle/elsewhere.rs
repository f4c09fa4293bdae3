//! A kubeconfig that points to another Kubernetes cluster.

use std::collections::BTreeMap;

use super::*;

#[tokio::test]
async fn another_kubernetes_cluster_is_told_with_both_and_nothing_changes() {
    let (cluster, fake) = api();
    let args = program(json!({}));
    let state = create(&cluster, &args).await.unwrap();
    assert_eq!(state.kubernetes.as_ref().map(|kubernetes| kubernetes.uid.as_str()), Some("here"));
    for objects in [BTreeMap::new(), fake.objects()] {
        let there = Fake::with(objects.into_values());
        there.recreate(KUBE_SYSTEM);
        let before = there.objects();
        let elsewhere = Cluster::new(there.session());
        let new = program(json!({"logging": {"level": "debug"}}));
        let failures = [
            elsewhere.update(&context().0, "apps/db", &args, Some(&state), &new).await.unwrap_err(),
            elsewhere
                .preview_update(&context().0, "apps/db", &args, Some(&state), &Known::all(new))
                .await
                .unwrap_err(),
            elsewhere.read(&context().0, "apps/db", Some(&args), Some(&state)).await.unwrap_err(),
            elsewhere.delete(&context().0, "apps/db", Some(&args), Some(&state)).await.unwrap_err(),
        ];
        for failure in failures {
            assert!(
                failure.reasons[0].contains(&format!("the uid uid of {KUBE_SYSTEM}"))
                    && failure.reasons[0].contains("it has here;"),
                "{:?}",
                failure.reasons
            );
            assert!(failure.partial.is_none());
        }
        assert_eq!((there.writes(), there.objects()), (Vec::new(), before));
    }
}

#[tokio::test]
async fn where_the_kubernetes_cluster_can_not_be_told_an_empty_one_is_no_proof_of_a_deletion() {
    let (cluster, fake) = api();
    let args = program(json!({}));
    let state = create(&cluster, &args).await.unwrap();
    let hide = |fake: &Fake| fake.on(None, KUBE_SYSTEM, Reply::forbidden("User \"a\" cannot get resource"));
    let (empty, nothing) = api();
    hide(&nothing);
    for failure in [
        empty.read(&context().0, "apps/db", Some(&args), Some(&state)).await.unwrap_err(),
        empty.delete(&context().0, "apps/db", Some(&args), Some(&state)).await.unwrap_err(),
    ] {
        assert!(
            failure.reasons[0].contains("is not known, since")
                && failure.reasons[0].contains("pulumi state delete"),
            "{:?}",
            failure.reasons
        );
    }
    hide(&fake);
    let same = Cluster::new(fake.session());
    assert!(same.read(&context().0, "apps/db", Some(&args), Some(&state)).await.unwrap().is_some());
    same.delete(&context().0, "apps/db", Some(&args), Some(&state)).await.unwrap();
    assert!(fake.objects().is_empty());
}
