//! A model of Pulumi's engine for a stack of one cluster: what it calls, in which order, and what it writes
//! into its state when a call ends well, half-way, badly or never.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use super::oracle::without_random;
use super::world::World;
use crate::property::json::{from_json, strip_marks};
use crate::property::{PropertyMap, PropertyValue};
use crate::rpc::in_process::{Failed, Plugin};

/// The resource of the stack.
const URN: &str = "urn:pulumi:dev::shop::clickhouse:kubernetes:Cluster::db";

/// No call takes longer, by the world's time.
const LONGEST: Duration = Duration::from_secs(2 * 60 * 60);

/// How a run of the engine ends that did not end well.
#[derive(Debug, Clone)]
pub(super) enum Ended {
    /// The provider said no, or failed.
    Failed(String),
    /// The provider's process was killed.
    Killed,
    /// A call did not come back.
    Stuck,
}

/// A resource in the state.
#[derive(Debug, Clone)]
pub(super) struct Resource {
    pub(super) id: String,
    pub(super) inputs: PropertyMap,
    pub(super) outputs: PropertyMap,
    /// Whether it has errors of its creation or its last update.
    pub(super) is_failed: bool,
}

impl Resource {
    fn bags(&self) -> [&PropertyMap; 2] {
        [&self.inputs, &self.outputs]
    }

    /// The unique ids of the objects that it knows, by their paths.
    fn objects(&self) -> BTreeMap<String, String> {
        let Some(PropertyValue::Map(uids)) = self.outputs.get("uids") else { return BTreeMap::new() };
        let (namespace, name) = self.id.split_once('/').unwrap_or_default();
        let core =
            |collection: &str, name: &str| format!("/api/v1/namespaces/{namespace}/{collection}/{name}");
        let of_operator = |group: &str, plural: &str| {
            format!("/apis/{group}.altinity.com/v1/namespaces/{namespace}/{plural}/{name}")
        };
        let paths = [
            ("secret", core("secrets", &format!("{name}-credentials"))),
            ("service", core("services", name)),
            ("installation", of_operator("clickhouse", "clickhouseinstallations")),
            ("keeper", of_operator("clickhouse-keeper", "clickhousekeeperinstallations")),
        ];
        let known = paths.into_iter().filter_map(|(field, path)| match uids.get(field)?.exposed() {
            PropertyValue::String(uid) => Some((path, uid.clone())),
            _ => None,
        });
        known.collect()
    }

    /// An output that is a text, secret or not.
    pub(super) fn text(&self, output: &str) -> Option<String> {
        match self.outputs.get(output)?.exposed() {
            PropertyValue::String(text) => Some(text.clone()),
            _ => None,
        }
    }
}

/// What a run is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Same,
    Create,
    Update,
    Replace { deletes_first: bool },
}

/// The engine with its state.
#[derive(Clone)]
pub(super) struct Engine {
    world: World,
    urn: String,
    pub(super) resource: Option<Resource>,
    /// Those that were replaced, and are still to be deleted.
    condemned: Vec<Resource>,
    /// What a provider must not do in the way in which it is asked, and did.
    pub(super) wrong: Vec<String>,
}

type Run = Result<(), Ended>;

impl Engine {
    pub(super) fn new(world: &World) -> Self {
        Self::of(world, URN)
    }

    /// That of a stack whose resource has this name.
    pub(super) fn of(world: &World, urn: &str) -> Self {
        Self {
            world: world.clone(),
            urn: urn.to_owned(),
            resource: None,
            condemned: Vec::new(),
            wrong: Vec::new(),
        }
    }

    /// The same with the same state, in another world.
    pub(super) fn moved(&self, world: &World) -> Self {
        Self { world: world.of(self.world.user()), ..self.clone() }
    }

    /// Whether its state says what another one's says, but for what is random.
    pub(super) fn stands_as(&self, other: &Self) -> bool {
        let told = |resource: &Option<Resource>| {
            let texts = |resource: &Resource| {
                let bags =
                    resource.bags().map(|bag| without_random(&json!(strip_marks(bag).json).to_string()));
                (resource.id.clone(), resource.is_failed, bags)
            };
            resource.as_ref().map(texts)
        };
        self.condemned.is_empty()
            && other.condemned.is_empty()
            && told(&self.resource) == told(&other.resource)
    }

    /// A new process of the provider.
    fn plugin(&self) -> Plugin {
        self.world.plugin(self.resource.as_ref().is_some_and(|old| old.outputs.contains_key("kubernetes")))
    }

    /// `pulumi up`: a preview, and unless that fails, an update by a new process of the provider.
    pub(super) async fn up(&mut self, program: &Value, replaces: bool) -> Run {
        let program = properties(program);
        self.preview(&program, replaces).await?;
        let plugin = self.plugin();
        let (inputs, step) = self.plan(&plugin, &program, replaces).await?;
        let done = match step {
            Step::Same => Ok(()),
            Step::Create => self.create(&plugin, inputs).await,
            Step::Update => self.update(&plugin, inputs).await,
            Step::Replace { deletes_first: true } => {
                self.delete_current(&plugin).await?;
                self.create(&plugin, inputs).await
            }
            Step::Replace { deletes_first: false } => self.replace(&plugin, inputs).await,
        };
        done?;
        self.delete_condemned(&plugin).await
    }

    /// Whether `pulumi preview` finds nothing to do.
    pub(super) async fn is_up_to_date(&mut self, program: &Value) -> Result<bool, Ended> {
        let step = self.preview(&properties(program), false).await?;
        Ok(step == Step::Same && self.condemned.is_empty())
    }

    /// `pulumi destroy`.
    pub(super) async fn destroy(&mut self) -> Run {
        let plugin = self.plugin();
        self.delete_condemned(&plugin).await?;
        self.delete_current(&plugin).await
    }

    /// `pulumi refresh`.
    pub(super) async fn refresh(&mut self) -> Run {
        let Some(old) = self.resource.clone() else { return Ok(()) };
        let plugin = self.plugin();
        let read = self.call(&plugin, plugin.read(&self.urn, &old.id, old.bags())).await?.map_err(ended)?;
        self.resource = read.map(|(id, inputs, outputs)| Resource { id, inputs, outputs, is_failed: false });
        Ok(())
    }

    /// `pulumi import`.
    pub(super) async fn import(&mut self, id: &str) -> Run {
        let plugin = self.plugin();
        let none = PropertyMap::new();
        let read = self.call(&plugin, plugin.read(&self.urn, id, [&none, &none])).await?.map_err(ended)?;
        let (id, inputs, outputs) =
            read.ok_or_else(|| Ended::Failed(format!("nothing is there to import: {id}")))?;
        self.resource = Some(Resource { id, inputs, outputs, is_failed: false });
        Ok(())
    }

    /// `pulumi stack rename`: all names in the state are others.
    pub(super) fn rename(&mut self) {
        let (from, to) = if self.urn.contains(":dev:") { (":dev:", ":prod:") } else { (":prod:", ":dev:") };
        self.urn = self.urn.replace(from, to);
    }

    /// Puts another value into the state.
    pub(super) fn tamper(&mut self, output: &str, value: &Value) {
        let Some(resource) = &mut self.resource else { return };
        if value.is_null() {
            resource.outputs.remove(output);
        } else {
            resource.outputs.insert(output.to_owned(), from_json(value));
        }
    }

    /// Loses the state.
    pub(super) fn forget(&mut self) {
        self.resource = None;
        self.condemned.clear();
    }

    async fn preview(&mut self, program: &PropertyMap, replaces: bool) -> Result<Step, Ended> {
        let before = self.world.wrote();
        let step = self.try_out(program, replaces).await;
        if self.world.wrote() > before {
            self.wrong.push("something is written in a preview".to_owned());
        }
        step
    }

    async fn try_out(&mut self, program: &PropertyMap, replaces: bool) -> Result<Step, Ended> {
        let plugin = self.plugin();
        let (inputs, step) = self.plan(&plugin, program, replaces).await?;
        match (&step, &self.resource) {
            (Step::Create | Step::Replace { .. }, _) => {
                _ = self.call(&plugin, plugin.create(&self.urn, &inputs, true)).await?.map_err(ended)?;
            }
            (Step::Update, Some(old)) => {
                let updated = plugin.update(&self.urn, &old.id, old.bags(), &inputs, true);
                _ = self.call(&plugin, updated).await?.map_err(ended)?;
            }
            _ => {}
        }
        Ok(step)
    }

    async fn plan(
        &self,
        plugin: &Plugin,
        program: &PropertyMap,
        replaces: bool,
    ) -> Result<(PropertyMap, Step), Ended> {
        let none = PropertyMap::new();
        let old_inputs = self.resource.as_ref().map_or(&none, |old| &old.inputs);
        let inputs = self.call(plugin, plugin.check(&self.urn, old_inputs, program)).await?.map_err(ended)?;
        let Some(old) = &self.resource else { return Ok((inputs, Step::Create)) };
        let found =
            self.call(plugin, plugin.diff(&self.urn, &old.id, old.bags(), &inputs)).await?.map_err(ended)?;
        let step = if replaces || found.replaces {
            Step::Replace { deletes_first: found.deletes_first }
        } else if found.paths.is_empty() && !old.is_failed {
            Step::Same
        } else {
            Step::Update
        };
        Ok((inputs, step))
    }

    async fn create(&mut self, plugin: &Plugin, inputs: PropertyMap) -> Run {
        self.world.know(BTreeMap::new());
        match self.call(plugin, plugin.create(&self.urn, &inputs, false)).await? {
            Ok((id, outputs)) => {
                self.resource = Some(Resource { id, inputs, outputs, is_failed: false });
                Ok(())
            }
            Err(failed) => {
                if let Some(kept) = failed.kept.clone() {
                    let inputs = kept.inputs.unwrap_or(inputs);
                    self.resource =
                        Some(Resource { id: kept.id, inputs, outputs: kept.outputs, is_failed: true });
                }
                Err(ended(failed))
            }
        }
    }

    async fn update(&mut self, plugin: &Plugin, inputs: PropertyMap) -> Run {
        let Some(old) = self.resource.clone() else { return Ok(()) };
        self.world.know(old.objects());
        match self.call(plugin, plugin.update(&self.urn, &old.id, old.bags(), &inputs, false)).await? {
            Ok(outputs) => {
                self.resource = Some(Resource { id: old.id, inputs, outputs, is_failed: false });
                Ok(())
            }
            Err(failed) => {
                if let Some(kept) = failed.kept.clone() {
                    let inputs = kept.inputs.unwrap_or(inputs);
                    self.resource =
                        Some(Resource { id: old.id, inputs, outputs: kept.outputs, is_failed: true });
                }
                Err(ended(failed))
            }
        }
    }

    /// Makes the new one first; the old one is deleted once that is in the state.
    async fn replace(&mut self, plugin: &Plugin, inputs: PropertyMap) -> Run {
        let old = self.resource.take();
        let made = self.create(plugin, inputs).await;
        match (old, &self.resource) {
            (Some(old), Some(_)) => self.condemned.push(old),
            (old, _) => self.resource = old,
        }
        made
    }

    async fn delete_current(&mut self, plugin: &Plugin) -> Run {
        if let Some(old) = self.resource.clone() {
            self.delete(plugin, &old).await?;
            self.resource = None;
        }
        Ok(())
    }

    async fn delete_condemned(&mut self, plugin: &Plugin) -> Run {
        while let Some(old) = self.condemned.first().cloned() {
            self.delete(plugin, &old).await?;
            self.condemned.remove(0);
        }
        Ok(())
    }

    async fn delete(&self, plugin: &Plugin, old: &Resource) -> Run {
        self.world.know(old.objects());
        self.call(plugin, plugin.delete(&self.urn, &old.id, old.bags())).await?.map_err(ended)
    }

    /// Waits for a call's answer, for the death of the provider, and for the user, who may press Ctrl-C.
    async fn call<T>(
        &self,
        plugin: &Plugin,
        call: impl Future<Output = Result<T, Failed>>,
    ) -> Result<Result<T, Failed>, Ended> {
        let mut call = std::pin::pin!(call);
        let mut limit = std::pin::pin!(sleep(LONGEST));
        loop {
            tokio::select! {
                biased;
                () = self.world.killed() => return Err(Ended::Killed),
                () = self.world.interrupted() => plugin.cancel().await,
                answer = &mut call => return Ok(answer),
                () = &mut limit => return Err(Ended::Stuck),
            }
        }
    }
}

fn ended(failed: Failed) -> Ended {
    Ended::Failed(failed.message)
}

fn properties(program: &Value) -> PropertyMap {
    match from_json(program) {
        PropertyValue::Map(map) => map,
        other => unreachable!("a program is a map: {other:?}"),
    }
}
