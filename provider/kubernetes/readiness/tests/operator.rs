//! What is told when no operator takes a change up.

use super::*;

#[tokio::test(start_paused = true)]
async fn no_operator_is_warned_of_once_and_is_the_reason_at_the_deadline() {
    let bench = Bench::new();
    bench.untouched();
    let started = Instant::now();
    let waiting = bench.wait(expect(), 5);
    sleep(Duration::from_millis(15_500)).await;
    assert_eq!(bench.display.warnings().len(), 1, "{:?}", bench.display.warnings());
    assert!(
        bench.display.warnings()[0].contains("no clickhouse-operator runs"),
        "{:?}",
        bench.display.warnings()
    );
    let failed = waiting.await.unwrap().unwrap_err();
    assert_eq!(started.elapsed().as_secs(), 300);
    assert_eq!(failed.kind, FailureKind::Timeout);
    assert!(failed.reasons.iter().any(|reason| reason.contains("helm install")), "{failed:?}");
    assert_eq!(bench.display.warnings().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_operator_elsewhere_is_named_with_its_namespace() {
    let bench = Bench::new();
    bench.untouched();
    bench.put(
        Kind::Deployment,
        "clickhouse-operator",
        json!({"metadata": {"namespace": "ops", "labels": {"app": "clickhouse-operator"}}}),
    );
    let _waiting = bench.wait(expect(), 5);
    sleep(Duration::from_millis(15_500)).await;
    assert!(
        bench.display.warnings()[0].contains("`ops`")
            && bench.display.warnings()[0].contains("does not watch namespace `prod`"),
        "{:?}",
        bench.display.warnings()
    );
}

#[tokio::test(start_paused = true)]
async fn many_waits_look_for_the_operator_once() {
    let bench = Bench::new();
    bench.untouched();
    let _waits: Vec<_> = (0..30).map(|_| bench.wait(expect(), 5)).collect();
    sleep(Duration::from_secs(16)).await;
    assert_eq!(bench.display.warnings().len(), 30);
    assert_eq!(bench.fake.count(&Method::GET, "deployments"), 2, "one for each way to install it");
}

#[tokio::test(start_paused = true)]
async fn an_operator_that_has_worked_in_the_namespace_is_not_called_absent() {
    let bench = Bench::new();
    bench.untouched();
    bench.put(
        Kind::Installation,
        "other",
        json!({"metadata": {"uid": "u2"}, "spec": {}, "status": completed("t0")}),
    );
    let _waiting = bench.wait(expect(), 5);
    sleep(Duration::from_millis(15_500)).await;
    let told = &bench.display.warnings()[0];
    assert!(
        told.contains("the clickhouse-operator that has worked here has not reconciled it")
            && !told.contains("no clickhouse-operator runs")
    );
}
