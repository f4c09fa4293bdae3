//! Every way in which Pulumi comes to replace a cluster, or might, on the real engine. Afterwards what the
//! state says exists does, the data is still there unless both the policy and the user said otherwise, and
//! there is nothing left to do.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret, Service};
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use testbed::pulumi::{Run, Stack};
use testbed::{Namespace, Testbed, borrowed};

use crate::address::{self, Address};
use crate::support::in_state;

const DB: &str = "urn:pulumi:test::test::clickhouse:kubernetes:Cluster::db";
const TOKEN: &str = "urn:pulumi:test::test::pulumi:index:Stash::token";
const PROVIDER: &str = "urn:pulumi:test::test::pulumi:providers:clickhouse::kube";

macro_rules! ways {
    ($($way:ident,)*) => {
        /// A way to make Pulumi replace a cluster.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        enum Way {
            $($way,)*
        }

        use Way::{$($way),*};

        /// All of them, in the order in which they are tried.
        const WAYS: &[Way] = &[$($way),*];
    };
}

// Those in which nobody says that data may be lost come first.
ways! {
    Replace,
    TargetReplace,
    Taint,
    ReplaceWith,
    ReplacementTrigger,
    ReplaceOnChanges,
    DependencyReplaced,
    DependencyDeletedFirst,
    OtherContext,
    OtherAddressInConfiguration,
    ExplicitProvider,
    OtherAddressInProvider,
    RenamedProvider,
    ReplacedProvider,
    CreateBeforeDelete,
    CreateBeforeDeleteOfTheSameName,
    OtherClusterName,
    DeleteBeforeCreate,
    OtherName,
    OtherNamespace,
}

impl Way {
    /// Whether it needs the two addresses that the testbed's API server has.
    fn needs_two_addresses(self) -> bool {
        matches!(self, OtherAddressInConfiguration | OtherAddressInProvider)
    }

    /// Whether the user has said that data may be lost.
    fn may_lose(self) -> bool {
        matches!(
            self,
            CreateBeforeDeleteOfTheSameName
                | OtherClusterName
                | DeleteBeforeCreate
                | OtherName
                | OtherNamespace
        )
    }

    /// Whether the engine is to leave the cluster alone.
    fn is_nothing_to_the_cluster(self) -> bool {
        matches!(
            self,
            OtherContext
                | OtherAddressInConfiguration
                | ExplicitProvider
                | OtherAddressInProvider
                | RenamedProvider
        )
    }
}

/// How large the cluster is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Size {
    One,
    Four,
}

/// A stack, and what its program says at the moment.
struct Lane {
    size: Size,
    policy: &'static str,
    namespaces: [Namespace; 2],
    stack: Stack,
    properties: Value,
    options: Value,
    others: Value,
}

/// What there is of a cluster.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    /// The unique ids of all objects that a state may name.
    uids: BTreeSet<String>,
    /// Of the claims, by namespace and name.
    claims: BTreeMap<String, String>,
    installation: String,
    password: String,
}

impl Lane {
    async fn new(size: Size, policy: &'static str) -> Result<Self> {
        let testbed = Testbed::shared().await;
        let namespaces = [testbed.namespace().await?, testbed.namespace().await?];
        let storage = json!({"size": "1Gi", "reclaimPolicy": policy});
        let mut properties = json!({"name": "db", "namespace": namespaces[0].name(), "storage": storage});
        if size == Size::Four {
            properties["shards"] = json!(2);
            properties["replicas"] = json!(2);
            properties["coordination"] =
                json!({"type": "Keeper", "keeper": {"replicas": 1, "storage": storage}});
        }
        let stack = testbed.stack("resources: {}\n").await?;
        let others = json!({"token": {"type": "pulumi:index:Stash", "properties": {"input": "first"}}});
        let mut lane = Self { size, policy, namespaces, stack, properties, options: json!({}), others };
        // The YAML host finds what `replaceWith` names only after what comes first for another reason.
        lane.options = json!({"dependsOn": ["${token}"], "replaceWith": ["${token}"],
            "replacementTrigger": "first", "replaceOnChanges": ["logging"]});
        lane.properties["annotations"] = json!({"example.com/token": "first"});
        lane.up(&[]).await?;
        Ok(lane)
    }

    fn write_program(&self) -> Result<()> {
        let (mut resources, mut options) = (self.others.clone(), self.options.clone());
        let time = if borrowed::context().is_some() { "15m" } else { "40s" };
        options["customTimeouts"] = json!({"create": time, "update": time, "delete": time});
        resources["db"] = json!({"type": "clickhouse:kubernetes:Cluster", "properties": self.properties,
            "options": options});
        self.stack.set_program(&format!("resources: {resources}\n"))
    }

    async fn up(&self, more: &[&str]) -> Result<Run> {
        self.write_program()?;
        let mut arguments = vec!["up", "--yes", "--skip-preview", "--non-interactive"];
        arguments.extend(more);
        self.stack.run(&arguments).await?.succeeded()
    }

    /// Says what there is, and holds it against the state.
    async fn look(&self) -> Result<Found> {
        let state = in_state(&self.stack).context("the cluster is not in the state")?;
        let (mut uids, mut claims, mut installations, mut keepers) =
            (BTreeSet::new(), BTreeMap::new(), Vec::new(), 0);
        let all = ListParams::default();
        for namespace in &self.namespaces {
            let (secrets, services): (Api<Secret>, Api<Service>) = (namespace.api(), namespace.api());
            uids.extend(secrets.list(&all).await?.items.iter().filter_map(kube::ResourceExt::uid));
            uids.extend(services.list(&all).await?.items.iter().filter_map(kube::ResourceExt::uid));
            let of_keepers = namespace.keepers().list(&all).await?.items;
            keepers += of_keepers.len();
            uids.extend(of_keepers.iter().filter_map(kube::ResourceExt::uid));
            installations.extend(namespace.installations().list(&all).await?.items);
            let found: Api<PersistentVolumeClaim> = namespace.api();
            for claim in found
                .list(&all)
                .await?
                .items
                .into_iter()
                .filter(|claim| claim.metadata.deletion_timestamp.is_none())
            {
                claims.insert(
                    format!("{}/{}", namespace.name(), claim.name_any()),
                    claim.uid().unwrap_or_default(),
                );
            }
        }
        uids.extend(installations.iter().filter_map(kube::ResourceExt::uid));
        ensure!(installations.len() == 1, "{} ClickHouseInstallations are there", installations.len());
        ensure!(keepers == usize::from(self.size == Size::Four), "{keepers} Keepers are there");
        let stated = state["outputs"]["uids"].as_object().context("the state has no uids")?;
        for part in ["installation", "secret", "service"]
            .into_iter()
            .chain((self.size == Size::Four).then_some("keeper"))
        {
            let uid = stated.get(part).and_then(Value::as_str).unwrap_or_default();
            ensure!(uids.contains(uid), "the {part} of the state, `{uid}`, does not exist");
        }

        let installation = installations.remove(0);
        let (name, namespace) = (installation.name_any(), installation.namespace().unwrap_or_default());
        let namespace = self
            .namespaces
            .iter()
            .find(|own| own.name() == namespace)
            .context("it is in another namespace")?;
        ensure!(
            installation.metadata.deletion_timestamp.is_none(),
            "the ClickHouseInstallation is being deleted"
        );
        ensure!(
            state["id"] == format!("{}/{name}", namespace.name()),
            "the state has the id {}",
            state["id"]
        );
        let of_cluster = ListParams::default().labels(&format!("clickhouse.altinity.com/chi={name}"));
        let sets = namespace.api::<StatefulSet>().list(&of_cluster).await?.items;
        let ready = sets
            .iter()
            .filter(|set| set.status.as_ref().and_then(|status| status.ready_replicas) == Some(1))
            .count();
        let wanted = if self.size == Size::Four { 4 } else { 1 };
        ensure!(
            ready == wanted && sets.len() == wanted,
            "{ready} of {} hosts are ready where {wanted} are wanted",
            sets.len()
        );
        let secret = namespace.api::<Secret>().get(&format!("{name}-credentials")).await?;
        let password =
            secret.data.and_then(|mut data| data.remove("password")).context("the Secret has no password")?;
        let hash =
            Sha256::digest(&password.0).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
        let users = &installation.data["spec"]["configuration"]["users"];
        ensure!(
            users["default/password_sha256_hex"] == hash,
            "the installation's hash is of another password than the Secret's"
        );
        let password = String::from_utf8(password.0)?;
        Ok(Found { uids, claims, installation: installation.uid().unwrap_or_default(), password })
    }

    /// Makes the engine replace the cluster, and looks at what has come of it.
    async fn go(&mut self, way: Way) -> Result<()> {
        let before = self.look().await.context("before")?;
        let run = self.make(way).await?;
        let context = || format!("after:\n{}", run.text());
        let after = self.look().await.with_context(context)?;
        if !(self.policy == "Delete" && way.may_lose()) {
            for (claim, uid) in &before.claims {
                ensure!(
                    after.claims.get(claim) == Some(uid),
                    "the claim {claim} is gone, or another one; {}",
                    context()
                );
            }
        }
        if after.installation == before.installation {
            ensure!(after.password == before.password, "the password is another; {}", context());
        }
        if way.is_nothing_to_the_cluster() {
            ensure!(
                !run.text().contains("replac") || way == RenamedProvider,
                "something was replaced; {}",
                context()
            );
            ensure!(after.installation == before.installation, "the cluster is another; {}", context());
        }
        self.up(&["--expect-no-changes"]).await.context("the next up")?;
        self.stack
            .run(&["refresh", "--yes", "--skip-preview", "--non-interactive", "--expect-no-changes"])
            .await?
            .succeeded()?;
        let later = self.look().await.context("after the next up")?;
        ensure!(later == after, "the next up changed {after:?} to {later:?}");
        Ok(())
    }

    /// Changes the program as the way says, and runs it.
    async fn make(&mut self, way: Way) -> Result<Run> {
        self.forget_permissions();
        match way {
            Replace => self.up(&["--replace", DB]).await,
            TargetReplace => self.up(&["--target-replace", DB]).await,
            Taint => {
                self.stack.run(&["state", "taint", DB, "--yes"]).await?.succeeded()?;
                self.up(&[]).await
            }
            ReplaceWith => self.up(&["--replace", TOKEN]).await,
            ReplacementTrigger => {
                self.options["replacementTrigger"] = json!("second");
                self.up(&[]).await
            }
            ReplaceOnChanges => {
                self.properties["logging"] = json!({"level": "debug"});
                self.up(&[]).await
            }
            DependencyReplaced => {
                self.options.as_object_mut().map(|options| options.remove("replaceWith"));
                self.properties["annotations"] = json!({"example.com/token": "${token.output}"});
                self.up(&[]).await?;
                self.others["token"]["properties"]["input"] = json!("second");
                self.up(&["--replace", TOKEN]).await
            }
            // The engine asks what a name that is not known yet means, and deletes before it knows.
            DependencyDeletedFirst => {
                let name = self.properties["name"].take();
                let options = self.options["dependsOn"].take();
                ensure!(options.is_array() && name.is_string(), "the program was left incomplete");
                self.options = json!({"provider": self.options["provider"], "replaceOnChanges": ["logging"]});
                if let Some(options) = self.options.as_object_mut() {
                    options.retain(|_, option| !option.is_null());
                }
                self.others["token"] = json!({"type": "pulumi:index:Stash", "properties": {"input": name},
                    "options": {"deleteBeforeReplace": true}});
                self.up(&["--replace", TOKEN]).await?;
                self.properties["name"] = json!("${token.output}");
                self.up(&[]).await?;
                let run = self.up(&["--replace", TOKEN]).await;
                self.properties["name"] = name;
                match run {
                    // A refusal is as good.
                    Err(_) => self.up(&[]).await,
                    run => run,
                }
            }
            OtherContext => {
                let kubeconfig = address::kubeconfig(Address::Number).await?;
                self.stack.set_config("clickhouse:kubeconfig", &kubeconfig, true).await?;
                self.stack
                    .set_config("clickhouse:context", &Testbed::shared().await.context(), false)
                    .await?;
                self.up(&[]).await?;
                self.stack.set_config("clickhouse:context", "other", false).await?;
                self.up(&[]).await
            }
            OtherAddressInConfiguration => {
                self.stack
                    .set_config("clickhouse:kubeconfig", &address::kubeconfig(Address::Name).await?, true)
                    .await?;
                self.up(&[]).await
            }
            ExplicitProvider => {
                self.provider("kube", &address::kubeconfig(Address::Number).await?);
                self.up(&[]).await
            }
            OtherAddressInProvider => {
                self.provider("kube", &address::kubeconfig(Address::Name).await?);
                self.up(&[]).await
            }
            RenamedProvider => {
                let same =
                    self.others["kube"]["properties"]["kubeconfig"].as_str().unwrap_or_default().to_owned();
                self.provider("renamed", &same);
                self.up(&[]).await?;
                self.provider("kube", &same);
                self.up(&[]).await
            }
            ReplacedProvider => self.up(&["--replace", PROVIDER]).await,
            CreateBeforeDelete => {
                self.options["deleteBeforeReplace"] = json!(false);
                self.up(&["--replace", DB]).await
            }
            CreateBeforeDeleteOfTheSameName => {
                self.options["deleteBeforeReplace"] = json!(false);
                self.identity("clusterName", "b").await
            }
            OtherClusterName => self.identity("clusterName", "c").await,
            DeleteBeforeCreate => {
                self.options["deleteBeforeReplace"] = json!(true);
                self.up(&["--replace", DB]).await
            }
            OtherName => self.identity("name", "other").await,
            OtherNamespace => {
                let namespace = self.namespaces[1].name().to_owned();
                self.identity("namespace", &namespace).await
            }
        }
    }

    async fn identity(&mut self, property: &str, value: &str) -> Result<Run> {
        self.properties[property] = json!(value);
        self.properties["allowDataLoss"] = json!(true);
        self.up(&[]).await
    }

    /// What one way permits is not permitted to the next.
    fn forget_permissions(&mut self) {
        for (object, key) in
            [(&mut self.properties, "allowDataLoss"), (&mut self.options, "deleteBeforeReplace")]
        {
            object.as_object_mut().map(|object| object.remove(key));
        }
    }

    fn provider(&mut self, name: &str, kubeconfig: &str) {
        let provider =
            json!({"type": "pulumi:providers:clickhouse", "properties": {"kubeconfig": kubeconfig}});
        self.others = json!({"token": self.others["token"], name: provider});
        self.options["provider"] = json!(format!("${{{name}}}"));
    }
}

/// Goes all ways (the one that `REPLACEMENT` names, where it is set) with one cluster, or with a new one
/// where that is broken.
#[allow(clippy::print_stdout, reason = "where the time went is of interest when a row takes too long")]
async fn table(size: Size, policy: &'static str) {
    let chosen = std::env::var("REPLACEMENT").ok();
    let mut lane = None;
    let mut failed = Vec::new();
    for &way in WAYS.iter().filter(|way| chosen.as_ref().is_none_or(|chosen| format!("{way:?}") == *chosen)) {
        if way.needs_two_addresses() && borrowed::context().is_some() {
            println!("{way:?}, {size:?}, {policy}: left out, the cluster has one address");
            continue;
        }
        let mut own = match lane.take() {
            Some(lane) => lane,
            None => Lane::new(size, policy).await.unwrap(),
        };
        if matches!(way, ReplacedProvider | OtherAddressInProvider | RenamedProvider)
            && own.options["provider"].is_null()
        {
            own.make(ExplicitProvider).await.unwrap();
        }
        let began = Instant::now();
        let went = own.go(way).await;
        println!("{way:?}, {size:?}, {policy}: {:.1} s", began.elapsed().as_secs_f64());
        match went {
            Ok(()) => lane = Some(own),
            Err(error) => failed.push(format!("── {way:?}, {size:?}, {policy}: {error:#}")),
        }
    }
    assert!(failed.is_empty(), "{} ways failed:\n{}", failed.len(), failed.join("\n"));
}

#[tokio::test]
async fn one_host_whose_volumes_are_retained_survives_every_replacement() {
    table(Size::One, "Retain").await;
}

#[tokio::test]
async fn one_host_whose_volumes_may_go_survives_every_replacement() {
    table(Size::One, "Delete").await;
}

#[tokio::test]
async fn four_hosts_whose_volumes_are_retained_survive_every_replacement() {
    table(Size::Four, "Retain").await;
}

#[tokio::test]
async fn four_hosts_whose_volumes_may_go_survive_every_replacement() {
    table(Size::Four, "Delete").await;
}
