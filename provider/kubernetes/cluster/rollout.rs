//! EFFECT: writes a cluster's objects in their order and waits until they serve. Create and update are the
//! same from here on.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use serde_json::{Value, json};
use tokio::sync::SemaphorePermit;
use tokio::time::Instant;

use super::aspects::{ClusterArgs, Coordination, IngressType, KEEPER_REMEDIES, Naming, ValidatedCluster};
use super::guard::Growing;
use super::manifest::Login;
use super::objects::{Await, Objects, Part, PerPart, Row, Stage, TABLE, is_applied, is_settled};
use super::outputs::{ServerFacts, outputs};
use super::settings::stages::HeldBack;
use super::shape::Shape;
use super::state::ClusterState;
use super::{authority, manifest, members, restarts, task, validate};
use crate::kubernetes::client::Api;
use crate::kubernetes::error::Error;
use crate::kubernetes::meta;
use crate::kubernetes::objects::{self, Write};
use crate::kubernetes::readiness::{self, Expect, ExpectKeeper, Incomplete, Owner, Written};
use crate::kubernetes::wait::NotReady;
use crate::resource::{Context, Failure, FailureKind};

/// How long hosts to which nothing was sent may take to show that they serve.
const GLANCE: Duration = Duration::from_secs(5);

/// One rollout of one cluster.
pub(super) struct Rollout<'a> {
    pub(super) ctx: &'a Context,
    pub(super) api: &'a Api,
    pub(super) cluster: ValidatedCluster,
    pub(super) login: Login,
    /// When the waiting ends.
    pub(super) deadline: Instant,
    /// What is known before the first write; filled as the objects come.
    pub(super) facts: ServerFacts,
    /// Whether the namespace is this cluster's to write.
    pub(super) owns_namespace: bool,
    /// Whether anything of the cluster is on the API server already.
    pub(super) exists: bool,
    /// The incarnation that this create brings in; `None` for an update.
    pub(super) incarnation: Option<String>,
    /// The volumes that are to grow.
    pub(super) growing: Growing,
    /// The inputs of the last run, where there was one.
    pub(super) old: Option<&'a ClusterArgs>,
    /// The objects that are there as they are to be.
    pub(super) kept: PerPart<Option<Sent>>,
    /// The settings that come once all hosts run the new image.
    pub(super) held: HeldBack,
    /// Had while it writes, and not while it waits.
    pub(super) turn: Option<SemaphorePermit<'a>>,
}

/// A write, of this rollout or an earlier one.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    written: Written,
    /// The installation's task in it.
    task: String,
    /// Whether it was there already.
    is_kept: bool,
}

impl Rollout<'_> {
    /// Takes note of the objects that are there as they are to be: these are not written again. An
    /// installation whose last task the operator has not completed is: a fresh task has it go on.
    pub(super) fn keep(&mut self, found: &Objects) {
        let task = found
            .installation
            .as_ref()
            .and_then(|installation| meta::field(installation, "/spec/taskID"))
            .unwrap_or_default();
        let manifests = self.manifests(task, |_| true);
        for row in TABLE {
            let (Some(manifest), Some(live)) = (&manifests[row.part], &found[row.part]) else { continue };
            if is_applied(manifest, live) && (row.awaited != Await::Hosts || is_settled(live)) {
                self.facts.note(row.part, live);
                self.kept[row.part] =
                    Some(Sent { written: Written::of(live), task: task.to_owned(), is_kept: true });
            }
        }
    }

    /// Writes everything that is not kept and, unless told not to, waits until the cluster serves. A failure
    /// carries what exists by then.
    pub(super) async fn run(&mut self) -> Result<ClusterState, Failure<ClusterState>> {
        let result = self.steps().await;
        let result = match Box::pin(self.renew()).await {
            Ok(()) => result,
            // As long as the Secret carries the older incarnation this create has not taken the cluster over.
            Err(failure) => {
                self.exists = false;
                result.and(Err(failure))
            }
        };
        match result {
            Ok(()) => Ok(self.state()),
            Err(failure) if self.exists => Err(failure.leaving(self.cluster.naming.id(), self.state())),
            Err(failure) => Err(failure),
        }
    }

    fn state(&self) -> ClusterState {
        outputs(&self.cluster, &self.login, &self.facts)
    }

    /// Waits until it is this one's turn to write, unless it is.
    async fn take_turn(&mut self) {
        if self.turn.is_none() {
            self.turn = self.api.session().turn(self.ctx).await;
        }
    }

    /// Between the steps nothing of the manifests and the answers is held, nor the room for several calls at
    /// once: a thousand clusters can wait at once.
    async fn steps(&mut self) -> Result<(), Failure<ClusterState>> {
        let (mut has_address, awaited) = (false, !self.cluster.operations.skip_await);
        for stage in Stage::ALL {
            self.take_turn().await;
            if stage == Stage::Hosts && !self.held.is_empty() {
                Box::pin(self.bring_image()).await?;
                self.take_turn().await;
            }
            let sent = Box::pin(self.write_stage(stage)).await?;
            for (row, sent) in sent.into_iter().filter(|_| awaited) {
                self.turn.take_if(|_| matches!(row.awaited, Await::Members | Await::Hosts));
                match row.awaited {
                    Await::Nothing => {}
                    Await::Address => has_address = true,
                    Await::Members => self.await_keeper(sent.written).await?,
                    Await::Hosts => self.await_hosts(sent).await?,
                }
            }
        }
        self.turn = None;
        if awaited && self.facts.restores {
            Box::pin(self.restore()).await?;
        }
        if let Some(uid) = self.facts.uids.keeper.as_ref().filter(|_| awaited) {
            let Naming { namespace, name, .. } = &self.cluster.naming;
            if let Some(members) = Box::pin(members::read(self.api, namespace, name, uid)).await {
                self.facts.members = members;
            }
        }
        if let Some(secret) = self.cluster.tls.secret() {
            let (namespace, last) = (&self.cluster.naming.namespace, self.facts.ca_certificate.take());
            self.facts.ca_certificate = Box::pin(authority::read(self.api, namespace, secret, last)).await;
        }
        if has_address { self.await_address().await } else { Ok(()) }
    }

    /// Writes the objects of a stage, all but those that are as they are to be already, and gives all of
    /// them.
    pub(super) async fn write_stage(
        &mut self,
        stage: Stage,
    ) -> Result<Vec<(&'static Row, Sent)>, Failure<ClusterState>> {
        if stage == Stage::Claim && self.incarnation.is_some() && self.facts.uids.secret.is_none() {
            Box::pin(self.claim()).await?;
        }
        let rows = TABLE.iter().filter(|row| row.stage == stage);
        let mut sent: Vec<_> =
            rows.clone().filter_map(|row| Some((row, self.kept[row.part].take()?))).collect();
        self.exists |= !sent.is_empty();
        let is_kept = |row: &Row| sent.iter().any(|(kept, _)| kept.part == row.part);
        let task = task::new_id();
        let manifests = self.manifests(&task, |row| row.stage == stage && !is_kept(row));
        if self.cluster.adopted.is_some() && manifests.installation.is_some() {
            self.take_over_fields().await?;
        }
        let stopped = self.ctx.cancel.is_cancelled();
        let writes = rows.filter_map(|row| Some((row, manifests[row.part].as_ref()?)));
        let this = &*self;
        let answers =
            join_all(writes.map(|(row, manifest)| async move { (row, this.put(manifest).await) })).await;
        let mut failed = None;
        // What came of the one is noted before the other's failure ends the rollout.
        for (row, answer) in answers {
            match answer {
                Ok(object) => {
                    self.exists = true;
                    self.facts.note(row.part, &object);
                    sent.push((
                        row,
                        Sent { written: Written::of(&object), task: task.clone(), is_kept: false },
                    ));
                }
                Err(error) => {
                    // What is on its way when the user stops the run, or the answer is lost, may well arrive.
                    self.exists |= !stopped && error.leaves_open();
                    failed = failed.or(Some(error.to_failure()));
                }
            }
        }
        failed.map_or(Ok(sent), Err)
    }

    /// What others have written of an adopted installation would stay when the program does not say it any
    /// more: so first the program says all of it, as it is.
    async fn take_over_fields(&self) -> Result<(), Failure<ClusterState>> {
        let Naming { namespace, name, .. } = &self.cluster.naming;
        let object = Part::Installation.row().object(namespace, name);
        let failed = |error: Error| error.to_failure();
        let Some(managers) =
            Box::pin(objects::disown(self.api, &object, self.mode().force)).await.map_err(failed)?
        else {
            return Ok(());
        };
        if let Some(old) = self.old.and_then(validate::last) {
            let mut installation = manifest::installations(&old).0;
            if let Some(spec) = installation["spec"].as_object_mut() {
                spec.remove("taskID");
            }
            installation["metadata"]["uid"] = json!(self.facts.uids.installation);
            Box::pin(self.put(&installation)).await.map_err(failed)?;
        }
        if !managers.is_empty() {
            let names = managers.iter().map(|manager| format!("`{manager}`")).collect::<Vec<_>>().join(", ");
            self.ctx.report.info(&format!(
                "takes over the fields of {object} owned by {names}; from now on this program sets them"
            ));
        }
        Ok(())
    }

    /// The manifests that are `asked` for, as far as they are this cluster's to write.
    pub(super) fn manifests(&self, task: &str, asked: impl Fn(&Row) -> bool) -> Objects {
        let is_due = |row: &Row| asked(row) && (row.part != Part::Namespace || self.owns_namespace);
        let mut manifests = manifest::build_those(&self.cluster, &self.ctx.urn, &self.login, task, is_due);
        if let Some(installation) = &mut manifests.installation {
            self.held.apply(installation);
        }
        if let Some(secret) = manifests.secret.as_mut().filter(|_| self.facts.restores) {
            secret["metadata"]["annotations"][meta::RESTORE_ANNOTATION] = json!("pending");
        }
        manifest::identified(manifests, &self.facts.uids, self.facts.incarnation.as_deref())
    }

    pub(super) async fn put(&self, manifest: &Value) -> Result<Value, Error> {
        objects::apply(self.api, manifest, self.mode()).await
    }

    pub(super) fn mode(&self) -> Write {
        Write {
            dry_run: false,
            force: self.cluster.operations.force_conflicts,
            adopt: self.cluster.adopted.is_some(),
        }
    }

    async fn await_keeper(&mut self, written: Written) -> Result<(), Failure<ClusterState>> {
        // What is suspended does not grow.
        if written.suspended {
            self.growing.keeper.clear();
        }
        let Some(expect) = self.expect_keeper(written) else { return Ok(()) };
        readiness::await_keeper(self.api.session(), self.ctx, self.deadline, expect)
            .await
            .map_err(NotReady::to_failure)
    }

    /// What the Keeper is to come to; `None` where the operator is to leave it alone.
    fn expect_keeper(&self, written: Written) -> Option<ExpectKeeper> {
        let Shape { namespace, name, keeper, .. } = Shape::rendered(&self.cluster);
        let hosts = keeper.filter(|keeper| !keeper.suspended)?.names();
        let remedies = match &self.cluster.coordination {
            Coordination::Keeper(keeper) => keeper.remedies(),
            Coordination::External(_) | Coordination::None => KEEPER_REMEDIES,
        };
        Some(ExpectKeeper { namespace, name, written, hosts, remedies })
    }

    /// Waits for the hosts and their volumes. When the operator recorded the task as done without having
    /// started it, which can happen between two quick changes, the change was never rolled out; when it left
    /// a host without a pod, it lost its way. In both cases the change is sent again under a fresh task,
    /// once.
    ///
    /// The operator has taken what was never rolled out for what was there before, and would not restart the
    /// hosts for it: where it has to, it is told so, and that is taken back when it is done, since the order
    /// would be carried out at each later change too.
    pub(super) async fn await_hosts(
        &mut self,
        Sent { mut written, mut task, is_kept }: Sent,
    ) -> Result<(), Failure<ClusterState>> {
        if written.suspended {
            self.growing.hosts.clear();
        }
        if is_kept {
            // The operator says that it is done. Where the hosts don't serve all the same it is to look at
            // them again.
            let soon = self.deadline.min(Instant::now() + GLANCE);
            match Box::pin(self.await_task(soon, task, written, |_| self.send(false))).await {
                Ok(()) => return self.await_volumes().await,
                Err(failure) if failure.kind == FailureKind::Cancelled => return Err(failure),
                Err(_) => {
                    let (fresh, answer) = self.send(false).await.map_err(|error| error.to_failure())?;
                    (task, written) = (fresh, Written::of(&answer));
                }
            }
        }
        let restarted = AtomicBool::new(false);
        let again = |incomplete| {
            let restart = incomplete == Incomplete::Everything && self.restarts();
            restarted.store(restart, Ordering::Relaxed);
            self.send(restart)
        };
        self.await_task(self.deadline, task, written, again).await?;
        if restarted.into_inner() {
            let (task, answer) = self.send(false).await.map_err(|error| error.to_failure())?;
            Box::pin(self.await_task(self.deadline, task, Written::of(&answer), |_| self.send(false)))
                .await?;
        }
        self.await_volumes().await
    }

    /// Whether the change is one for which the operator restarts the hosts though their pods stay as they
    /// are.
    fn restarts(&self) -> bool {
        let old = self.old.and_then(validate::last);
        old.is_some_and(|old| {
            restarts::by_configuration(&Shape::rendered(&old), &Shape::rendered(&self.cluster))
        })
    }

    async fn await_task<F, Fut>(
        &self,
        deadline: Instant,
        task_id: String,
        written: Written,
        again: F,
    ) -> Result<(), Failure<ClusterState>>
    where
        F: FnOnce(Incomplete) -> Fut + Send,
        Fut: Future<Output = Result<(String, Value), Error>> + Send,
    {
        let expect = self.expect(task_id, written);
        let served =
            readiness::await_installation(self.api.session(), self.ctx, deadline, expect, again).await;
        served.map(drop).map_err(NotReady::to_failure)
    }

    /// What the installation is to come to.
    fn expect(&self, task_id: String, written: Written) -> Expect {
        let Shape { namespace, name, clickhouse, .. } = Shape::rendered(&self.cluster);
        let remedies = self.cluster.image.remedies();
        Expect { namespace, name, task_id, written, hosts: clickhouse.names(), remedies }
    }

    /// Sends the installation once more under a fresh task: gives that, and the answer. Boxed: few waits need
    /// the room for it.
    fn send(&self, restart: bool) -> BoxFuture<'_, Result<(String, Value), Error>> {
        Box::pin(async move {
            let task = task::new_id();
            let manifests = self.manifests(&task, |row| row.stage == Stage::Hosts);
            let mut installation = manifests.installation.unwrap_or_default();
            if restart {
                installation["spec"]["restart"] = json!("RollingUpdate");
            }
            let answer = objects::apply(self.api, &installation, self.mode()).await?;
            Ok((task, answer))
        })
    }

    /// Waits until the volumes have grown: the operator only asks for it, and says that it is done.
    async fn await_volumes(&mut self) -> Result<(), Failure<ClusterState>> {
        let Growing { hosts, keeper } = std::mem::take(&mut self.growing);
        let Naming { namespace, name, .. } = &self.cluster.naming;
        for (owner, wanted) in
            [(Owner::Installation(name.clone()), hosts), (Owner::Keeper(name.clone()), keeper)]
        {
            let grown = Box::pin(readiness::await_growth(
                self.api.session(),
                self.ctx,
                self.deadline,
                namespace,
                &owner,
                wanted,
            ))
            .await;
            grown.map_err(NotReady::to_failure)?;
        }
        Ok(())
    }

    async fn await_address(&mut self) -> Result<(), Failure<ClusterState>> {
        let Naming { namespace, name, .. } = &self.cluster.naming;
        let ingress = &self.cluster.ingress.ingress;
        let wanted = ingress.as_ref().is_some_and(|ingress| ingress.kind == IngressType::LoadBalancer);
        let is_due = self.facts.address.is_none() || self.renews_address();
        if wanted && is_due && !Shape::rendered(&self.cluster).clickhouse.stopped {
            let former = self.facts.address.take();
            let session = self.api.session();
            let address = readiness::await_load_balancer(
                session,
                self.ctx,
                self.deadline,
                namespace,
                name,
                former.as_deref(),
            )
            .await;
            self.facts.address = Some(address.map_err(NotReady::to_failure)?);
        }
        Ok(())
    }

    /// Whether the change may give the load balancer another address.
    fn renews_address(&self) -> bool {
        let Some(old) = self.old.and_then(validate::last).and_then(|old| old.ingress.ingress) else {
            return false;
        };
        self.cluster.ingress.ingress.as_ref().is_some_and(|new| !new.has_the_address_of(&old))
    }
}
