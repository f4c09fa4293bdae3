//! What clusters use outside of Kubernetes, for real: a ZooKeeper that agrees for replicas, and a bucket of
//! S3 that takes old rows, each as its example has it.

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use kube::api::ListParams;
use kube::api::PostParams;
use serde_json::json;
use testbed::engine::forward;
use testbed::engine::{Choice, HOSTS, Login};
use testbed::programs::{Language, Program};
use testbed::s3::{KEY, S3};
use testbed::zookeeper::ZooKeeper;
use testbed::{Namespace, Testbed, needs};

use crate::support::with_engines;

/// An example that runs, with engines.
struct Running {
    testbed: &'static Testbed,
    namespace: Namespace,
    name: String,
    login: Login,
    program: Program,
}

impl Running {
    async fn new(namespace: Namespace, example: &str, config: &[(&str, &str)]) -> Self {
        let testbed = Testbed::shared().await;
        let mut program = Program::new(testbed, example, Language::Yaml).await.unwrap();
        program.set_config("clickhouse:namespace", namespace.name()).await.unwrap();
        for (key, value) in config {
            program.set_config(key, value).await.unwrap();
        }
        program.up().await.unwrap();
        let made = namespace.installations().list(&ListParams::default()).await.unwrap().items.remove(0);
        let name = made.name_any();
        let secret = namespace.api::<Secret>().get(&format!("{name}-credentials")).await.unwrap();
        let data = secret.data.unwrap();
        let text = |key: &str| String::from_utf8(data[key].0.clone()).unwrap();
        let login = Login { user: text("username"), password: text("password") };
        Self { testbed, namespace, name, login, program }
    }

    async fn answer(&self, replica: usize, statement: &str) -> anyhow::Result<String> {
        let pod = format!("pod/chi-{}-cluster-0-{replica}-0", self.name);
        let kubectl = || Ok(self.testbed.kubectl());
        forward::ask(kubectl, self.namespace.name(), &pod, &self.login, statement).await
    }

    /// The answer of a replica of the first shard.
    async fn ask(&self, replica: usize, statement: &str) -> String {
        let answer = self.answer(replica, statement).await;
        answer.unwrap_or_else(|error| panic!("{statement}: {error:#}")).trim().to_owned()
    }

    async fn end(mut self) {
        self.program.destroy().await.unwrap();
        self.namespace.delete().await.unwrap();
    }
}

#[tokio::test]
#[allow(clippy::print_stderr, reason = "what is left out must be said")]
async fn replicas_of_the_example_meet_in_a_real_zookeeper_below_their_root() {
    needs!(Faults);
    let Some(namespace) = with_engines(Choice::Newest).await else { return };
    let Some(zookeeper) = ZooKeeper::start().await.unwrap() else {
        return eprintln!("left out: the ZooKeeper of the example, which takes `java` and `mvn`");
    };
    let members = (0..3).map(|member| (format!("zookeeper-{member}.zookeeper.zoo"), zookeeper.port()));
    let hosts = json!(members.collect::<std::collections::BTreeMap<_, _>>());
    namespace.annotate(HOSTS, Some(&hosts.to_string())).await.unwrap();
    // The operator makes the root before the hosts start.
    for path in ["/clickhouse", "/clickhouse/db"] {
        zookeeper.ask(&["create", path]).await.unwrap();
    }
    let running = Running::new(namespace, "external-zookeeper", &[]).await;
    for replica in 0..2 {
        let table =
            "CREATE TABLE t (id UInt64) ENGINE = ReplicatedMergeTree('/t/{shard}', '{replica}') ORDER BY id";
        running.ask(replica, table).await;
    }
    for replica in 0..2 {
        let told = "SELECT replica_name, total_replicas FROM system.replicas WHERE table = 't'";
        let expected = format!("chi-{}-cluster-0-{replica}\t2", running.name);
        assert_eq!(running.ask(replica, told).await, expected);
    }
    let paths = zookeeper.ask(&["ls", "-R", "/clickhouse/db/t"]).await.unwrap();
    for replica in 0..2 {
        let path = format!("/clickhouse/db/t/0/replicas/chi-{}-cluster-0-{replica}", running.name);
        assert!(paths.contains(&path), "{path}: {paths:?}");
    }
    running.end().await;
}

#[tokio::test]
async fn old_rows_of_the_example_go_to_the_bucket_with_the_keys_of_its_secret() {
    needs!(Faults);
    let Some(namespace) = with_engines(Choice::Newest).await else { return };
    let s3 = S3::start().await.unwrap();
    let keys = json!({"metadata": {"name": "bucket-credentials"},
        "stringData": {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": "correct horse"}});
    let secrets = namespace.api::<Secret>();
    secrets.create(&PostParams::default(), &serde_json::from_value(keys).unwrap()).await.unwrap();
    let bucket = format!("{}/db/{{shard}}-{{replica}}/", s3.bucket());
    let running = Running::new(namespace, "tiered-storage", &[("bucket", &bucket)]).await;
    let folder = format!("db/0-chi-{}-cluster-0-0/", running.name);
    let objects = async || {
        let keys = s3.keys().await.unwrap();
        assert!(keys.iter().all(|key| key.starts_with(&folder)), "{keys:?}");
        keys.len()
    };

    let table = "CREATE TABLE t (day Date, id UInt64) ENGINE = MergeTree ORDER BY id PARTITION BY day \
        SETTINGS storage_policy = 'tiered'";
    running.ask(0, table).await;
    let before = objects().await;
    for day in ["2026-01-01", "2026-01-02"] {
        running.ask(0, &format!("INSERT INTO t SELECT '{day}', number FROM numbers(10000)")).await;
    }
    // On a disk that is nearly full it has gone by itself, and the order is refused.
    let _ = running.answer(0, "ALTER TABLE t MOVE PARTITION '2026-01-01' TO VOLUME 'cold'").await;
    let disk = "SELECT DISTINCT disk_name FROM system.parts WHERE table = 't' AND active \
        AND partition = '2026-01-01'";
    assert_eq!(running.ask(0, disk).await, "cold_cache");
    let after = objects().await;
    assert!(after > before, "{before} objects, {after} afterwards");
    let sum = "SELECT day, count(), sum(id) FROM t GROUP BY day ORDER BY day SETTINGS \
        enable_filesystem_cache = 0";
    assert_eq!(running.ask(0, sum).await, "2026-01-01\t10000\t49995000\n2026-01-02\t10000\t49995000");

    running.ask(0, "ALTER TABLE t DROP PARTITION '2026-01-01'").await;
    assert_eq!(running.ask(0, "SELECT count() FROM t").await, "10000");
    running.end().await;
}
