//! EFFECT: writes a cluster's objects in their order and waits until they serve. Create and update are the
//! same from here on.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::aspects::{ClusterArgs, HOST_REMEDIES, IngressType, KEEPER_REMEDIES, Naming, ValidatedCluster};
use super::guard::Growing;
use super::manifest::Login;
use super::objects::{
    Await, Objects, Part, PerPart, Row, Stage, TABLE, is_applied, is_marked_by, is_settled,
};
use super::outputs::{ServerFacts, outputs};
use super::settings::stages::HeldBack;
use super::shape::Shape;
use super::state::ClusterState;
use super::{login, manifest, restarts, task, validate};
use crate::kubernetes::client::Api;
use crate::kubernetes::error::Error;
use crate::kubernetes::meta;
use crate::kubernetes::objects::{self, Write};
use crate::kubernetes::readiness::{self, Expect, ExpectKeeper, Incomplete, Owner, Written};
use crate::kubernetes::wait::NotReady;
use crate::resource::{Context, Failure, FailureKind};

/// How long the last write of a run that was stopped may take.
const LAST_WRITE: Duration = Duration::from_secs(5);

/// How long hosts to which nothing was sent may take to show that they serve.
const GLANCE: Duration = Duration::from_secs(5);

/// One rollout of one cluster.
pub(super) struct Rollout<'a> {
    pub(super) ctx: &'a Context,
    pub(super) api: &'a Api,
    pub(super) cluster: &'a ValidatedCluster,
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
        let manifests = self.manifests(task);
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
    pub(super) async fn run(mut self) -> Result<ClusterState, Failure<ClusterState>> {
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

    /// A create that has taken over what an earlier one made says so at its end, and before anything comes
    /// into the state: until then an interrupted run leaves the cluster to the earlier one.
    async fn renew(&mut self) -> Result<(), Failure<ClusterState>> {
        let Some(incarnation) = self.incarnation.take_if(|_| self.exists) else { return Ok(()) };
        if self.facts.incarnation.as_ref() == Some(&incarnation) {
            return Ok(());
        }
        self.facts.incarnation = Some(incarnation);
        let Some(secret) = self.manifests("").secret else { return Ok(()) };
        // A run that the user stops has still to say whose the cluster is.
        let api =
            Api { cancel: CancellationToken::new(), ..self.api.clone() }.until(Instant::now() + LAST_WRITE);
        objects::apply(&api, &secret, self.mode()).await.map(drop).map_err(|error| error.to_failure())
    }

    fn state(&self) -> ClusterState {
        outputs(self.cluster, &self.login, &self.facts)
    }

    /// Between the steps nothing of the manifests and the answers is held, nor the room for several calls at
    /// once: a thousand clusters can wait at once.
    async fn steps(&mut self) -> Result<(), Failure<ClusterState>> {
        let mut has_address = false;
        for stage in Stage::ALL {
            if stage == Stage::Hosts && !self.held.is_empty() {
                Box::pin(self.bring_image()).await?;
            }
            let sent = Box::pin(self.write_stage(stage)).await?;
            for (row, sent) in sent.into_iter().filter(|_| !self.cluster.operations.skip_await) {
                match row.awaited {
                    Await::Nothing => {}
                    Await::Address => has_address = true,
                    Await::Members => self.await_keeper(sent.written).await?,
                    Await::Hosts => self.await_hosts(sent).await?,
                }
            }
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
        let task = task::new_id();
        let manifests = self.manifests(&task);
        let rows = TABLE.iter().filter(|row| row.stage == stage && manifests[row.part].is_some());
        let (kept, due): (Vec<_>, Vec<_>) = rows.partition(|row| self.kept[row.part].is_some());
        self.exists |= !kept.is_empty();
        let mut sent: Vec<_> =
            kept.into_iter().filter_map(|row| Some((row, self.kept[row.part].take()?))).collect();
        if self.cluster.adopted.is_some() && due.iter().any(|row| row.part == Part::Installation) {
            self.take_over_fields().await?;
        }
        let stopped = self.ctx.cancel.is_cancelled();
        let writes = due.into_iter().filter_map(|row| Some((row, manifests[row.part].as_ref()?)));
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

    /// Makes the Secret with nothing but the marks of this stack and create, to be written over at once. Of
    /// two programs that make a cluster of one name at the same time, the other is told whose it is.
    async fn claim(&mut self) -> Result<(), Failure<ClusterState>> {
        self.facts.incarnation.clone_from(&self.incarnation);
        let Some(mut empty) = self.manifests("").secret else { return Ok(()) };
        if let Some(secret) = empty.as_object_mut() {
            secret.remove("data");
        }
        let stopped = self.ctx.cancel.is_cancelled();
        match objects::create(self.api, &empty).await {
            Ok(made) => {
                self.exists = true;
                self.facts.note(Part::Secret, &made);
                Ok(())
            }
            Err(Error::AlreadyExists { .. }) => self.join().await,
            Err(error) => {
                self.exists |= !stopped && error.leaves_open();
                Err(error.to_failure())
            }
        }
    }

    /// Somebody made the Secret since it was looked for: goes on when it was this stack, or this very create,
    /// whose answer was lost.
    async fn join(&mut self) -> Result<(), Failure<ClusterState>> {
        let Naming { namespace, name, .. } = &self.cluster.naming;
        let object = Part::Secret.row().object(namespace, name);
        let found = objects::fetch(self.api, &object).await.map_err(|error| error.to_failure())?;
        let Some(found) = found.as_ref().filter(|found| is_marked_by(found, &self.ctx.urn)) else {
            let owner = found.as_ref().and_then(meta::owner_urn);
            let whose = owner.map_or_else(|| "somebody else".to_owned(), |urn| format!("the resource {urn}"));
            let reason = format!("{object} was created at the same time by {whose}; choose another `name`");
            return Err(Failure::new(FailureKind::AlreadyExists, reason));
        };
        self.exists = true;
        self.facts.incarnation = meta::incarnation(found).map(str::to_owned);
        self.facts.note(Part::Secret, found);
        let before = login::Before { secret: Some(found.clone()), ..login::Before::default() };
        self.login = login::resolve(self.api, self.cluster, before).await?;
        Ok(())
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

    pub(super) fn manifests(&self, task: &str) -> Objects {
        let mut manifests = manifest::build(self.cluster, &self.ctx.urn, &self.login, task);
        manifests.namespace.take_if(|_| !self.owns_namespace);
        if let Some(installation) = &mut manifests.installation {
            self.held.apply(installation);
        }
        manifest::identified(manifests, &self.facts.uids, self.facts.incarnation.as_deref())
    }

    async fn put(&self, manifest: &Value) -> Result<Value, Error> {
        objects::apply(self.api, manifest, self.mode()).await
    }

    fn mode(&self) -> Write {
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
        let Shape { namespace, name, keeper, .. } = Shape::rendered(self.cluster);
        let hosts = keeper.filter(|keeper| !keeper.suspended)?.names();
        Some(ExpectKeeper { namespace, name, written, hosts, remedies: KEEPER_REMEDIES })
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
            restarts::by_configuration(&Shape::rendered(&old), &Shape::rendered(self.cluster))
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
        let Shape { namespace, name, clickhouse, .. } = Shape::rendered(self.cluster);
        Expect { namespace, name, task_id, written, hosts: clickhouse.names(), remedies: HOST_REMEDIES }
    }

    /// Sends the installation once more under a fresh task: gives that, and the answer.
    async fn send(&self, restart: bool) -> Result<(String, Value), Error> {
        let task = task::new_id();
        let mut installation = self.manifests(&task).installation.unwrap_or_default();
        if restart {
            installation["spec"]["restart"] = json!("RollingUpdate");
        }
        let answer = objects::apply(self.api, &installation, self.mode()).await?;
        Ok((task, answer))
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
        if wanted && is_due && !Shape::rendered(self.cluster).clickhouse.stopped {
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
