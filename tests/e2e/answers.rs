//! What a real ClickHouse says of a cluster's life: rows are counted, passwords tried.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::ListParams;
use serde_json::{Value, json};
use testbed::engine::forward::{self, Forward};
use testbed::engine::{Choice, Login, OLDER, VERSION};
use testbed::pulumi::Stack;
use testbed::{Namespace, Testbed};

use crate::support::{in_state, program, with_engines};

const LOCAL: &str = "CREATE TABLE IF NOT EXISTS events_here (id UInt64) ENGINE = MergeTree ORDER BY id";
const DISTRIBUTED: &str = "CREATE TABLE IF NOT EXISTS events AS events_here ENGINE = Distributed('cluster', \
    currentDatabase(), events_here, id)";

/// A cluster `db` with engines, as its user sees it.
struct Database {
    testbed: &'static Testbed,
    namespace: Namespace,
    stack: Stack,
    /// The login that the stack hands out.
    login: Login,
}

impl Database {
    /// A stack whose pods have engines; `None`, and a word of it, where this machine has none.
    async fn new(choice: Choice) -> Option<Self> {
        let (testbed, namespace) = (Testbed::shared().await, with_engines(choice).await?);
        let login = Login { user: String::new(), password: String::new() };
        Some(Self { testbed, namespace, stack: testbed.stack("").await.unwrap(), login })
    }

    async fn up(&mut self, properties: &Value) {
        let mut properties = properties.clone();
        properties["name"] = json!("db");
        self.stack.set_program(&program(self.namespace.name(), &properties)).unwrap();
        self.stack.up().await.unwrap().succeeded().unwrap();
        let outputs = self.stack.outputs().await.unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        self.login = Login { user: text(&outputs["username"]), password: text(&outputs["password"]) };
    }

    async fn ask_as(&self, login: &Login, target: &str, statement: &str) -> anyhow::Result<String> {
        forward::ask(|| Ok(self.testbed.kubectl()), self.namespace.name(), target, login, statement).await
    }

    async fn ask(&self, target: &str, statement: &str) -> String {
        self.ask_as(&self.login, target, statement).await.unwrap().trim().to_owned()
    }

    /// Whether hosts with an image of `version` run it: the testbed's run an `engine` of ours.
    async fn runs(&self, version: &str, engine: &str) -> bool {
        let said = self.ask("service/db", "SELECT version()").await;
        said == engine || self.testbed.is_borrowed() && said == version
    }

    /// Makes the tables on the first hosts.
    async fn make_tables(&self, shards: usize) {
        for shard in 0..shards {
            for statement in [LOCAL, DISTRIBUTED] {
                self.ask(&pod(shard), statement).await;
            }
        }
    }

    async fn insert(&self, from: u64, rows: u64) {
        let numbers = format!(
            "INSERT INTO events SETTINGS distributed_foreground_insert = 1 SELECT number + {from} FROM \
                numbers({rows})"
        );
        self.ask("service/db", &numbers).await;
    }

    /// How many rows there are in all, and on each of the first hosts.
    async fn rows(&self, shards: usize) -> (u64, Vec<u64>) {
        let all = self.ask("service/db", "SELECT uniqExact(id) FROM events").await.parse().unwrap();
        let mut each = Vec::new();
        for shard in 0..shards {
            each.push(self.ask(&pod(shard), "SELECT count() FROM events_here").await.parse().unwrap());
        }
        (all, each)
    }
}

fn pod(shard: usize) -> String {
    format!("pod/chi-db-cluster-{shard}-0-0")
}

#[tokio::test]
async fn no_row_is_lost_from_create_to_recreate() {
    let Some(mut database) = Database::new(Choice::Newest).await else { return };

    // Create and write.
    let properties = json!({"shards": 2});
    database.up(&properties).await;
    let version = in_state(&database.stack).unwrap()["outputs"]["version"].clone();
    assert!(database.runs(version.as_str().unwrap(), VERSION).await);
    assert_eq!(database.ask("service/db", "SELECT currentUser()").await, "default");
    database.make_tables(2).await;
    database.insert(0, 10_000).await;
    let (all, each) = database.rows(2).await;
    assert_eq!((all, each.iter().sum()), (10_000, 10_000));
    assert!(each.iter().all(|rows| *rows > 4_000), "{each:?}");

    // Scale.
    let properties = json!({"shards": 3});
    database.up(&properties).await;
    database.make_tables(3).await;
    database.insert(10_000, 3_000).await;
    let (all, each) = database.rows(3).await;
    assert_eq!((all, each.iter().sum()), (13_000, 13_000));
    assert!(each[2] > 500, "{each:?}");

    // Rotate: the old password is refused, the new one taken.
    let old = database.login.clone();
    let properties = json!({"shards": 3, "admin": {"passwordVersion": "2"}});
    database.up(&properties).await;
    assert_eq!(database.rows(3).await, (all, each.clone()));
    let refused = database.ask_as(&old, "service/db", "SELECT 1").await.unwrap_err().to_string();
    assert!(refused.contains("Authentication failed"), "{refused}");

    // Restart.
    let started = database.ask(&pod(0), "SELECT now() - uptime()").await;
    let properties = json!({"shards": 3, "admin": {"passwordVersion": "2"}, "restartToken": "1"});
    database.up(&properties).await;
    assert_ne!(database.ask(&pod(0), "SELECT now() - uptime()").await, started);
    assert_eq!(database.rows(3).await, (all, each.clone()));

    // Stop and start.
    let mut stopped = properties.clone();
    stopped["stopped"] = json!(true);
    database.up(&stopped).await;
    let nobody =
        Forward::open(database.testbed.kubectl(), database.namespace.name(), &pod(0), forward::HTTP).await;
    assert!(nobody.is_err(), "{nobody:?}");
    database.up(&properties).await;
    assert_eq!(database.rows(3).await, (all, each.clone()));

    // Destroy with volumes that are retained, and create again.
    database.stack.destroy().await.unwrap().succeeded().unwrap();
    let claims =
        database.namespace.api::<PersistentVolumeClaim>().list(&ListParams::default()).await.unwrap();
    assert_eq!(claims.items.len(), 3);
    database.up(&properties).await;
    assert_eq!(database.rows(3).await, (all, each));
    database.stack.destroy().await.unwrap().succeeded().unwrap();
    database.namespace.delete().await.unwrap();
}

#[tokio::test]
async fn an_upgrade_keeps_the_rows_of_the_older_version() {
    let Some(mut database) = Database::new(Choice::ByImage).await else { return };
    let older = "25.8.30.16";
    database.up(&json!({"version": older})).await;
    assert!(database.runs(older, OLDER).await);
    database.ask("service/db", LOCAL).await;
    database.ask("service/db", "INSERT INTO events_here SELECT number FROM numbers(10000)").await;
    assert_eq!(
        database.ask("service/db", "SELECT count(), sum(id) FROM events_here").await,
        "10000\t49995000"
    );

    database.up(&json!({"version": VERSION})).await;
    assert_eq!(
        database.ask("service/db", "SELECT version(), currentUser()").await,
        format!("{VERSION}\tdefault")
    );
    assert_eq!(
        database.ask("service/db", "SELECT count(), sum(id) FROM events_here").await,
        "10000\t49995000"
    );
    database.ask("service/db", "INSERT INTO events_here SELECT number + 10000 FROM numbers(5000)").await;
    assert_eq!(database.ask("service/db", "SELECT uniqExact(id) FROM events_here").await, "15000");
    database.stack.destroy().await.unwrap().succeeded().unwrap();
    database.namespace.delete().await.unwrap();
}
