//! The waits for a load balancer's address, and for volumes to grow.

use super::*;
use crate::kubernetes::meta::{FIELD_MANAGER, MANAGED_BY};

#[tokio::test(start_paused = true)]
async fn a_load_balancers_address_is_awaited() {
    let bench = Bench::new();
    let service = |status: Value| {
        json!({"metadata": {"uid": "s", "labels": {MANAGED_BY: FIELD_MANAGER}},
        "spec": {"type": "LoadBalancer"}, "status": status})
    };
    bench.put(Kind::Service, "db", service(json!({"loadBalancer": {}})));
    let (session, ctx) = (bench.session.clone(), bench.ctx.clone());
    let waiting = tokio::spawn(async move {
        await_load_balancer(&session, &ctx, Instant::now() + Duration::from_secs(600), "prod", "db", None)
            .await
    });
    settle().await;
    bench.fake.set_status(
        Kind::Service,
        "prod",
        "db",
        json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}}),
    );
    assert_eq!(waiting.await.unwrap().as_deref(), Ok("192.0.2.7"));
}

#[tokio::test(start_paused = true)]
async fn a_former_address_of_a_changed_load_balancer_is_taken_only_when_it_stays() {
    let service = |ip: &str| {
        json!({"metadata": {"uid": "s", "labels": {MANAGED_BY: FIELD_MANAGER}},
        "spec": {"type": "LoadBalancer"}, "status": {"loadBalancer": {"ingress": [{"ip": ip}]}}})
    };
    for (later, after, expected) in [(Some("192.0.2.8"), 10, "192.0.2.8"), (None, 60, "192.0.2.7")] {
        let (bench, started) = (Bench::new(), Instant::now());
        bench.put(Kind::Service, "db", service("192.0.2.7"));
        let (session, ctx) = (bench.session.clone(), bench.ctx.clone());
        let waiting = tokio::spawn(async move {
            await_load_balancer(
                &session,
                &ctx,
                Instant::now() + Duration::from_secs(600),
                "prod",
                "db",
                Some("192.0.2.7"),
            )
            .await
        });
        sleep(Duration::from_secs(10)).await;
        if let Some(later) = later {
            bench.put(Kind::Service, "db", service(later));
        }
        assert_eq!(waiting.await.unwrap().as_deref(), Ok(expected));
        assert_eq!(started.elapsed().as_secs(), after);
    }
}

#[tokio::test(start_paused = true)]
async fn growth_is_awaited_with_the_reason_why_it_takes_long() {
    let bench = Bench::new();
    let claim = |size: &str| {
        json!({"metadata": {"uid": "c", "labels": of_installation()},
            "spec": {"resources": {"requests": {"storage": "100Gi"}}},
            "status": {"phase": "Bound", "capacity": {"storage": size}}})
    };
    let name = "data-chi-db-cluster-0-0-0";
    bench.put(Kind::PersistentVolumeClaim, name, claim("50Gi"));
    let event = |object: &str, message: &str| {
        json!({"type": "Warning",
        "involvedObject": {"kind": "PersistentVolumeClaim", "name": object}, "message": message})
    };
    bench.put(Kind::Event, "e1", event(name, "the disk is busy"));
    bench.put(Kind::Event, "e2", event("another", "no"));
    let (session, ctx) = (bench.session.clone(), bench.ctx.clone());
    let waiting = tokio::spawn(async move {
        let owner = Owner::Installation("db".to_owned());
        let deadline = Instant::now() + Duration::from_secs(1200);
        await_growth(&session, &ctx, deadline, "prod", &owner, vec![(name.to_owned(), "100Gi".to_owned())])
            .await
    });
    sleep(Duration::from_secs(300)).await;
    assert_eq!(bench.display.last_status(), "0/1 volumes grown: the disk is busy");
    bench.put(Kind::PersistentVolumeClaim, name, claim("100Gi"));
    assert_eq!(waiting.await.unwrap(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn where_claims_may_not_be_read_growth_is_not_waited_for() {
    let bench = Bench::new();
    bench.fake.on(
        None,
        "persistentvolumeclaims",
        Reply::forbidden("User \"ci\" cannot list resource \"persistentvolumeclaims\""),
    );
    let wanted = vec![("data-a".to_owned(), "1Gi".to_owned())];
    let owner = Owner::Keeper("db".to_owned());
    await_growth(
        &bench.session,
        &bench.ctx,
        Instant::now() + Duration::from_secs(60),
        "prod",
        &owner,
        wanted,
    )
    .await
    .unwrap();
    assert!(
        bench.display.warnings()[0].contains("whether the volumes were resized is not known"),
        "{:?}",
        bench.display.warnings()
    );
}
