//! Two programs that make a cluster of the same name at the same time.

use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};
use testbed::pulumi::Stack;
use testbed::{Testbed, needs};

use crate::support::{in_state, objects, program};

const ROUNDS: usize = 10;

#[tokio::test]
async fn of_two_programs_one_makes_the_cluster_and_the_other_is_told_whose_it_is() {
    needs!(Faults);
    let testbed = Testbed::shared().await;
    let namespace = testbed.namespace().await.unwrap();
    // It is about the first writes: nothing has to come of them.
    namespace.set_fault("silent").await.unwrap();
    let text = program(namespace.name(), &json!({"name": "db", "skipAwait": true}));
    let stacks = [
        testbed.stack(&text).await.unwrap(),
        testbed.stack(&text.replace("\"db\":{", "\"second\":{").replace("${db", "${second")).await.unwrap(),
    ];
    let urns =
        ["db", "second"].map(|name| format!("urn:pulumi:test::test::clickhouse:kubernetes:Cluster::{name}"));
    for round in 0..ROUNDS {
        let (first, second) = tokio::join!(stacks[0].up(), stacks[1].up());
        let runs = [first.unwrap(), second.unwrap()];
        let texts = || format!("round {round}:\n{}\n{}", runs[0].text(), runs[1].text());
        assert!(runs[0].success != runs[1].success, "{}", texts());
        let winner = usize::from(runs[1].success);
        let loser = 1 - winner;
        assert!(
            runs[loser].text().contains("created by this stack")
                || runs[loser].text().contains(&urns[winner]),
            "{}",
            texts()
        );
        assert!(in_state(&stacks[loser]).is_none(), "the loser has a cluster in its state: {}", texts());

        let secret = namespace.api::<Secret>().get("db-credentials").await.unwrap();
        let stored = String::from_utf8(secret.data.unwrap()["password"].0.clone()).unwrap();
        assert_eq!(stacks[winner].outputs().await.unwrap()["password"], stored, "{}", texts());
        assert_eq!(
            secret.metadata.annotations.unwrap()["pulumi-clickhouse/urn"],
            urns[winner],
            "{}",
            texts()
        );

        // What the loser has not made it does not delete.
        let made = objects(&namespace).await;
        destroy(&stacks[loser]).await;
        assert_eq!(objects(&namespace).await, made, "{}", texts());
        destroy(&stacks[winner]).await;
        assert_eq!(objects(&namespace).await, Vec::<String>::new());
    }
}

async fn destroy(stack: &Stack) -> Value {
    stack.destroy().await.unwrap().succeeded().unwrap();
    in_state(stack).unwrap_or_default()
}
