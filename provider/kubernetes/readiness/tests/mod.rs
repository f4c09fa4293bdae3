//! The waits against an API server whose objects the test sets.
#![allow(clippy::needless_pass_by_value, reason = "objects are written where they are used")]

mod deletion;
mod installation;
mod keeper;
mod operator;
mod services;
mod watches;

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::installation::Served;
use super::*;
use crate::kubernetes::client::Session;
use crate::kubernetes::diagnosis::Remedies;
use crate::kubernetes::fake::{Display, Fake, Reply, context};
use crate::kubernetes::meta::{Kind, ObjectRef};
use crate::resource::Context;

fn installation(task: &str, status: Value) -> Value {
    let mut object = json!({"metadata": {"uid": "u1", "generation": 1,
        "finalizers": ["finalizer.clickhouseinstallation.altinity.com"]},
        "spec": {"taskID": task}});
    if !status.is_null() {
        object["status"] = status;
    }
    object
}

fn in_progress() -> Value {
    json!({"status": "InProgress", "taskID": "t1", "taskIDsStarted": ["t1"], "hosts": 2,
        "chop-version": "0.25.6"})
}

fn completed(task: &str) -> Value {
    json!({"status": "Completed", "taskID": task, "taskIDsStarted": [task], "taskIDsCompleted": [task],
        "hosts": 2})
}

fn expect() -> Expect {
    Expect {
        namespace: "prod".into(),
        name: "db".into(),
        task_id: "t1".into(),
        written: Written { uid: Some("u1".into()), generation: Some(1), ..Written::default() },
        hosts: vec!["chi-db-cluster-0-0".into(), "chi-db-cluster-0-1".into()],
        remedies: Remedies { image: "`image`", pull_secrets: "image.pullSecrets", ..Remedies::default() },
    }
}

fn put(fake: &Fake, kind: Kind, name: &str, object: Value) {
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or("prod").to_owned();
    fake.put_at(&ObjectRef::new(kind, namespace, name).path(), &object);
}

/// The labels of an installation's children.
fn of_installation() -> Value {
    json!({"clickhouse.altinity.com/app": "chop", "clickhouse.altinity.com/chi": "db"})
}

/// The labels of a Keeper's children.
fn of_keeper() -> Value {
    json!({"clickhouse-keeper.altinity.com/app": "chop", "clickhouse-keeper.altinity.com/chk": "db"})
}

/// A namespace `prod` whose objects the test sets, and a call that waits for some of them.
struct Bench {
    fake: Fake,
    session: Session,
    ctx: Context,
    display: Arc<Display>,
}

impl Bench {
    fn new() -> Self {
        let fake = Fake::new();
        let (ctx, display) = context();
        Self { session: fake.session(), fake, ctx, display }
    }

    /// Puts an object there, in the place of what is there.
    fn put(&self, kind: Kind, name: &str, object: Value) {
        put(&self.fake, kind, name, object);
    }

    fn delete(&self, kind: Kind, name: &str) {
        self.fake.remove(&ObjectRef::new(kind, "prod", name).path());
    }

    fn installation(&self, status: Value) {
        self.put(Kind::Installation, "db", installation("t1", status));
    }

    /// The installation before any operator has seen it.
    fn untouched(&self) {
        let object = json!({"metadata": {"uid": "u1", "generation": 1}, "spec": {"taskID": "t1"}});
        self.put(Kind::Installation, "db", object);
    }

    /// A host's StatefulSet.
    fn host(&self, name: &str, ready: bool) {
        let ready = i32::from(ready);
        self.put(
            Kind::StatefulSet,
            name,
            json!({"metadata": {"uid": name, "generation": 1, "labels": of_installation()},
                "spec": {"replicas": 1},
                "status": {"observedGeneration": 1, "replicas": 1, "readyReplicas": ready,
                    "updatedReplicas": 1}}),
        );
    }

    /// Starts a wait with a deadline in `minutes`.
    fn wait(&self, expect: Expect, minutes: u64) -> JoinHandle<Result<Served, NotReady>> {
        let (session, ctx, fake) = (self.session.clone(), self.ctx.clone(), self.fake.clone());
        tokio::spawn(async move {
            let deadline = Instant::now() + Duration::from_secs(60 * minutes);
            let again = |_| async move {
                put(&fake, Kind::Installation, "db", installation("t2", completed("t2")));
                Ok(("t2".to_owned(), json!({"metadata": {"uid": "u1", "generation": 1}})))
            };
            await_installation(&session, &ctx, deadline, expect, again).await
        })
    }
}

/// Lets everything that can run do so, without much time passing.
async fn settle() {
    sleep(Duration::from_millis(300)).await;
}
