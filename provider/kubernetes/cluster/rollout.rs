//! EFFECT: writes a cluster's objects in their order and waits until they serve. Create and update are the same from here on.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::aspects::{ClusterArgs, HOST_REMEDIES, IngressType, KEEPER_REMEDIES, Naming, ValidatedCluster};
use super::guard::Growing;
use super::manifest::{Login, Manifests};
use super::outputs::{Observed, outputs};
use super::shape::Shape;
use super::state::ClusterState;
use super::{login, manifest, restarts, task, validate};
use crate::kubernetes::client::Api;
use crate::kubernetes::error::Error;
use crate::kubernetes::meta::{self, Kind, ObjectRef};
use crate::kubernetes::objects::{self, Write};
use crate::kubernetes::readiness::{self, Expect, ExpectKeeper, NotDone, Owner, Written};
use crate::kubernetes::wait::NotReady;
use crate::resource::{Context, Failure, FailureKind};

/// How long the last write of a run that was stopped may take.
const LAST_WRITE: Duration = Duration::from_secs(5);

/// One rollout of one cluster.
pub(super) struct Rollout<'a> {
    pub(super) ctx: &'a Context,
    pub(super) api: &'a Api,
    pub(super) cluster: &'a ValidatedCluster,
    pub(super) login: Login,
    /// When the waiting ends.
    pub(super) deadline: Instant,
    /// What is known before the first write; filled as the objects come.
    pub(super) observed: Observed,
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
}

impl Rollout<'_> {
    /// Writes everything and, unless told not to, waits until the cluster serves. A failure carries what exists by then.
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

    /// A create that has taken over what an earlier one made says so at its end, and before anything comes into the state: until
    /// then an interrupted run leaves the cluster to the earlier one.
    async fn renew(&mut self) -> Result<(), Failure<ClusterState>> {
        let Some(incarnation) = self.incarnation.take_if(|_| self.exists) else { return Ok(()) };
        if self.observed.incarnation.as_ref() == Some(&incarnation) {
            return Ok(());
        }
        self.observed.incarnation = Some(incarnation);
        let Some(secret) = self.manifests("").secret else { return Ok(()) };
        // A run that the user stops has still to say whose the cluster is.
        let api = Api { cancel: CancellationToken::new(), ..self.api.clone() }.until(Instant::now() + LAST_WRITE);
        objects::apply(&api, &secret, self.mode()).await.map(drop).map_err(|error| error.to_failure())
    }

    fn state(&self) -> ClusterState {
        outputs(self.cluster, &self.login, &self.observed)
    }

    /// Between the steps nothing of the manifests and the answers is held, nor the room for several calls at once: a thousand clusters
    /// can wait at once.
    async fn steps(&mut self) -> Result<(), Failure<ClusterState>> {
        let task = task::fresh();
        let keeper = Box::pin(self.write_before_hosts(&task)).await?;
        // What is suspended does not grow.
        if keeper.as_ref().is_none_or(|written| written.suspended) {
            self.growing.keeper.clear();
        }
        if let Some(keeper) = keeper.filter(|_| !self.cluster.operations.skip_await) {
            self.await_keeper(keeper).await?;
        }
        let written = Box::pin(self.write_installation(&task)).await?;
        if self.cluster.operations.skip_await {
            return Ok(());
        }
        if written.suspended {
            self.growing.hosts.clear();
        }
        self.await_hosts(task, written).await?;
        self.await_volumes().await?;
        self.await_address().await
    }

    /// Writes all but the installation; the Keeper's answer, where there is one.
    async fn write_before_hosts(&mut self, task: &str) -> Result<Option<Written>, Failure<ClusterState>> {
        let Manifests { namespace, secret, service, keeper, .. } = self.manifests(task);
        if let Some(namespace) = namespace.filter(|_| self.owns_namespace) {
            self.observed.uids.namespace = meta::owned_uid(&self.write(&namespace).await?);
        }
        // The Secret before all else: from then on an interrupted run finds the password again.
        let claims = self.incarnation.is_some() && self.observed.uids.secret.is_none();
        let secret = if claims { Box::pin(self.claim(task)).await? } else { secret };
        if let Some(secret) = secret {
            self.observed.uids.secret = meta::owned_uid(&self.write(&secret).await?);
        }
        // A load balancer takes minutes and a Keeper must serve before the hosts start: both begin at once.
        let (service, keeper) = futures::join!(self.put_all(service.as_ref()), self.put_all(keeper.as_ref()));
        // What came of the one is noted before the other's failure ends the rollout.
        let service = service.map(|service| service.iter().for_each(|service| self.note_service(service)));
        let keeper = keeper.map(|keeper| {
            self.observed.uids.keeper = keeper.as_ref().and_then(meta::owned_uid).or(self.observed.uids.keeper.take());
            keeper.as_ref().map(Written::of)
        });
        let failed = |error: Error| error.to_failure();
        service.map_err(failed)?;
        keeper.map_err(failed)
    }

    /// Makes the Secret with nothing but the marks of this stack and create, and gives the whole one to be written over it. Of two programs that
    /// make a cluster of one name at the same time, the other is told whose it is.
    async fn claim(&mut self, task: &str) -> Result<Option<Value>, Failure<ClusterState>> {
        self.observed.incarnation.clone_from(&self.incarnation);
        let Some(mut empty) = self.manifests(task).secret else { return Ok(None) };
        if let Some(secret) = empty.as_object_mut() {
            secret.remove("data");
        }
        let stopped = self.ctx.cancel.is_cancelled();
        match objects::create(self.api, &empty).await {
            Ok(made) => {
                self.exists = true;
                self.observed.uids.secret = meta::owned_uid(&made);
            }
            Err(Error::AlreadyExists { .. }) => self.join().await?,
            Err(error) => {
                self.exists |= !stopped && error.leaves_open();
                return Err(error.to_failure());
            }
        }
        Ok(self.manifests(task).secret)
    }

    /// Somebody made the Secret since it was looked for: goes on when it was this stack, or this very create, whose answer was lost.
    async fn join(&mut self) -> Result<(), Failure<ClusterState>> {
        let Naming { namespace, name, .. } = &self.cluster.naming;
        let object = login::secret_of(namespace, name);
        let found = objects::fetch(self.api, &object).await.map_err(|error| error.to_failure())?;
        let owner = found.as_ref().and_then(meta::owner_urn);
        let (Some(found), true) = (&found, owner == Some(&self.ctx.urn.0)) else {
            let whose = owner.map_or_else(|| "somebody else".to_owned(), |urn| format!("the resource {urn}"));
            let reason = format!("{object} was made at the same time by {whose}; choose another `name`");
            return Err(Failure::new(FailureKind::AlreadyExists, reason));
        };
        self.exists = true;
        self.observed.incarnation = meta::incarnation(found).map(str::to_owned);
        self.observed.uids.secret = meta::owned_uid(found);
        let before = login::Before { secret: Some(found.clone()), ..login::Before::default() };
        self.login = login::resolve(self.api, self.cluster, before).await?;
        Ok(())
    }

    async fn write_installation(&mut self, task: &str) -> Result<Written, Failure<ClusterState>> {
        if self.cluster.adopted.is_some() {
            self.take_over_fields().await?;
        }
        let written = self.write(&self.manifests(task).installation).await?;
        self.observed.uids.installation = meta::owned_uid(&written);
        Ok(Written::of(&written))
    }

    /// What others have written of an adopted installation would stay when the program does not say it any more: so first the program says
    /// all of it, as it is.
    async fn take_over_fields(&self) -> Result<(), Failure<ClusterState>> {
        let Naming { namespace, name, .. } = &self.cluster.naming;
        let object = ObjectRef::new(Kind::Installation, namespace, name);
        let failed = |error: Error| error.to_failure();
        let Some(managers) = Box::pin(objects::disown(self.api, &object, self.mode().force)).await.map_err(failed)? else { return Ok(()) };
        if let Some(old) = self.old.and_then(validate::last) {
            let mut installation = manifest::installations(&old).0;
            if let Some(spec) = installation["spec"].as_object_mut() {
                spec.remove("taskID");
            }
            installation["metadata"]["uid"] = json!(self.observed.uids.installation);
            Box::pin(self.put(&installation)).await.map_err(failed)?;
        }
        if !managers.is_empty() {
            let names = managers.iter().map(|manager| format!("`{manager}`")).collect::<Vec<_>>().join(", ");
            self.ctx.report.info(&format!("takes over what {names} wrote of {object}; from now on this program says it"));
        }
        Ok(())
    }

    fn manifests(&self, task: &str) -> Manifests {
        let manifests = manifest::build(self.cluster, &self.ctx.urn, &self.login, task);
        manifests.identified(&self.observed.uids, self.observed.incarnation.as_deref())
    }

    async fn put(&self, manifest: &Value) -> Result<Value, Error> {
        objects::apply(self.api, manifest, self.mode()).await
    }

    fn mode(&self) -> Write {
        Write { dry_run: false, force: self.cluster.operations.force_conflicts, adopt: self.cluster.adopted.is_some() }
    }

    async fn put_all(&self, manifest: Option<&Value>) -> Result<Option<Value>, Error> {
        match manifest {
            Some(manifest) => self.put(manifest).await.map(Some),
            None => Ok(None),
        }
    }

    async fn write(&mut self, manifest: &Value) -> Result<Value, Failure<ClusterState>> {
        let stopped = self.ctx.cancel.is_cancelled();
        let written = self.put(manifest).await;
        // What is on its way when the user stops the run, or the answer is lost, may well arrive.
        self.exists |= written.as_ref().map_or_else(|error| !stopped && error.leaves_open(), |_| true);
        written.map_err(|error| error.to_failure())
    }

    fn note_service(&mut self, service: &Value) {
        self.observed.uids.service = meta::owned_uid(service);
        let entry = &service["status"]["loadBalancer"]["ingress"][0];
        self.observed.address = entry["hostname"].as_str().or(entry["ip"].as_str()).map(str::to_owned);
    }

    async fn await_keeper(&self, written: Written) -> Result<(), Failure<ClusterState>> {
        let Some(expect) = self.expect_keeper(written) else { return Ok(()) };
        readiness::await_keeper(self.api.session(), self.ctx, self.deadline, expect).await.map_err(NotReady::to_failure)
    }

    /// What the Keeper is to come to; `None` where the operator is to leave it alone.
    fn expect_keeper(&self, written: Written) -> Option<ExpectKeeper> {
        let Shape { namespace, name, keeper, .. } = Shape::rendered(self.cluster);
        let hosts = keeper.filter(|keeper| !keeper.suspended)?.names();
        Some(ExpectKeeper { namespace, name, written, hosts, remedies: KEEPER_REMEDIES })
    }

    /// Waits for the hosts. When the operator recorded the task as done without having started it, which can happen between
    /// two quick changes, the change was never rolled out; when it left a host without a pod, it lost its way. In both cases the change is
    /// sent again under a fresh task, once.
    ///
    /// The operator has taken what was never rolled out for what was there before, and would not restart the hosts for it: where it has to, it is told
    /// so, and that is taken back when it is done, since the order would be carried out at each later change too.
    async fn await_hosts(&self, task: String, written: Written) -> Result<(), Failure<ClusterState>> {
        let restarted = AtomicBool::new(false);
        let again = |not_done| {
            let restart = not_done == NotDone::All && self.restarts();
            restarted.store(restart, Ordering::Relaxed);
            self.send(restart)
        };
        self.await_task(task, written, again).await?;
        if restarted.into_inner() {
            let (task, answer) = self.send(false).await.map_err(|error| error.to_failure())?;
            Box::pin(self.await_task(task, Written::of(&answer), |_| self.send(false))).await?;
        }
        Ok(())
    }

    /// Whether the change is one for which the operator restarts the hosts though their pods stay as they are.
    fn restarts(&self) -> bool {
        let old = self.old.and_then(validate::last);
        old.is_some_and(|old| restarts::by_configuration(&Shape::rendered(&old), &Shape::rendered(self.cluster)))
    }

    async fn await_task<F, Fut>(&self, task_id: String, written: Written, again: F) -> Result<(), Failure<ClusterState>>
    where
        F: FnOnce(NotDone) -> Fut + Send,
        Fut: Future<Output = Result<(String, Value), Error>> + Send,
    {
        let expect = self.expect(task_id, written);
        let served = readiness::await_installation(self.api.session(), self.ctx, self.deadline, expect, again).await;
        served.map(drop).map_err(NotReady::to_failure)
    }

    /// What the installation is to come to.
    fn expect(&self, task_id: String, written: Written) -> Expect {
        let Shape { namespace, name, clickhouse, .. } = Shape::rendered(self.cluster);
        Expect { namespace, name, task_id, written, hosts: clickhouse.names(), remedies: HOST_REMEDIES }
    }

    /// Sends the installation once more under a fresh task: gives that, and the answer.
    async fn send(&self, restart: bool) -> Result<(String, Value), Error> {
        let task = task::fresh();
        let mut installation = self.manifests(&task).installation;
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
        for (owner, wanted) in [(Owner::Installation(name.clone()), hosts), (Owner::Keeper(name.clone()), keeper)] {
            let grown = Box::pin(readiness::await_growth(self.api.session(), self.ctx, self.deadline, namespace, &owner, wanted)).await;
            grown.map_err(NotReady::to_failure)?;
        }
        Ok(())
    }

    async fn await_address(&mut self) -> Result<(), Failure<ClusterState>> {
        let Naming { namespace, name, .. } = &self.cluster.naming;
        let ingress = &self.cluster.ingress.ingress;
        let wanted = ingress.as_ref().is_some_and(|ingress| ingress.kind == IngressType::LoadBalancer);
        let is_due = self.observed.address.is_none() || self.renews_address();
        if wanted && is_due && !Shape::rendered(self.cluster).clickhouse.stopped {
            let former = self.observed.address.take();
            let session = self.api.session();
            let address = readiness::await_load_balancer(session, self.ctx, self.deadline, namespace, name, former.as_deref()).await;
            self.observed.address = Some(address.map_err(NotReady::to_failure)?);
        }
        Ok(())
    }

    /// Whether the change may give the load balancer another address.
    fn renews_address(&self) -> bool {
        let Some(old) = self.old.and_then(validate::last).and_then(|old| old.ingress.ingress) else { return false };
        self.cluster.ingress.ingress.as_ref().is_some_and(|new| !new.has_the_address_of(&old))
    }
}
