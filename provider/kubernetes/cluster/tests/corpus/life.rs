//! The life of an adopted installation, call by call as the engine makes them, over bags of properties:
//! secrets are still marked there.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::compare::differences;
use super::credentials;
use super::installation::{Case, claims_of, served};
use super::schema::Definitions;
use crate::kubernetes::cluster::Cluster;
use crate::kubernetes::fake::{Display, Fake, context};
use crate::kubernetes::meta::{Kind, ObjectRef, is_managed, is_marked};
use crate::property::json::{from_json, strip_marks};
use crate::property::{PropertyMap, PropertyValue};
use crate::resource::erased::{ErasedResource, Prior};
use crate::resource::registry::Registry;
use crate::resource::{Autonaming, Context, Resource as _};

/// What a step came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// There is nothing to do.
    Without,
    /// As it should be.
    Right,
    /// As it should be, once `forceConflicts` was set.
    Forced,
    /// Refused, as it should or may be, with the reason.
    Refused(String),
    /// Refused, though it can be done.
    Unneeded(String),
    /// Wrong: how.
    Wrong(String),
}

/// An installation on an API server of its own, and the resource that is to adopt it.
pub(super) struct Life<'a> {
    pub(super) case: &'a Case,
    pub(super) fake: Fake,
    pub(super) resource: Arc<dyn ErasedResource>,
    pub(super) credentials: Vec<String>,
    displays: Vec<Arc<Display>>,
}

/// How a change of the program ended before anything was written.
pub(super) enum Stop {
    Refused(String),
    Conflict,
    Wrong(String),
}

impl From<String> for Stop {
    fn from(wrong: String) -> Self {
        Self::Wrong(wrong)
    }
}

impl<'a> Life<'a> {
    pub(super) fn new(case: &'a Case, definitions: Option<&Arc<Definitions>>) -> Self {
        // Definitions of another release know fields that these don't.
        let fake = case.stored(definitions.filter(|_| case.release.is_none()).cloned());
        let resource =
            Registry::default().resource(Cluster::new(fake.session())).find_resource(Cluster::TOKEN).unwrap();
        Self { case, fake, resource, credentials: credentials::of(case), displays: Vec::new() }
    }

    pub(super) fn context(&mut self) -> Context {
        let (ctx, display) = context();
        self.displays.push(display);
        ctx
    }

    pub(super) async fn read(&mut self, old: &Prior) -> Result<Prior, String> {
        let ctx = self.context();
        match self.resource.read(&ctx, &self.case.id(), old).await {
            Ok(Some(read)) if read.id == self.case.id() => {
                Ok(Prior { inputs: read.inputs, outputs: read.outputs })
            }
            Ok(Some(read)) => Err(format!("the id is `{}`", read.id)),
            Ok(None) => Err("nothing was found".to_owned()),
            Err(failed) => Err(failed.reasons.join("; ")),
        }
    }

    pub(super) async fn check(
        &mut self,
        old: &PropertyMap,
        program: PropertyMap,
    ) -> Result<PropertyMap, String> {
        let ctx = self.context();
        let checked = self.resource.check(&ctx, &Autonaming::Default, old, program).await;
        checked.map_err(|failures| {
            let told: Vec<_> =
                failures.iter().map(|failure| format!("{}: {}", failure.path, failure.reason)).collect();
            told.join("; ")
        })
    }

    /// The paths that differ, and whether the cluster would be replaced.
    pub(super) fn diff(&self, old: &Prior, new: &PropertyMap) -> Result<(Vec<String>, bool), String> {
        let found = self.resource.diff(old, new, &[]).map_err(|failed| failed.reasons.join("; "))?;
        let replaces = found.changes.iter().any(|change| change.replace);
        Ok((found.changes.iter().map(|change| change.path.to_string()).collect(), replaces))
    }

    pub(super) fn objects(&self) -> BTreeMap<String, Value> {
        self.fake.objects()
    }

    pub(super) fn installation(&self) -> Value {
        self.fake.at(&self.case.place().path()).unwrap_or_default()
    }

    pub(super) fn keeper(&self) -> Option<ObjectRef> {
        let ObjectRef { namespace, name, .. } = self.case.place();
        let keeper = ObjectRef { kind: Kind::KeeperInstallation, namespace, name };
        let is_there = |object: &Value| ObjectRef::of(object).as_ref() == Some(&keeper);
        (self.case.has_keeper() && self.case.objects.iter().any(is_there)).then_some(keeper)
    }

    /// What is somebody else's: all but the installation and its own Keeper.
    pub(super) fn others(&self) -> BTreeMap<String, Value> {
        let ours = [Some(self.case.place()), self.keeper()]
            .into_iter()
            .flatten()
            .map(|object| object.path())
            .collect::<Vec<_>>();
        let made =
            self.case.objects.iter().map(|object| ObjectRef::of(object).unwrap().path()).collect::<Vec<_>>();
        self.objects()
            .into_iter()
            .filter(|(path, object)| made.contains(path) && !ours.contains(path) && !is_marked(object))
            .collect()
    }

    /// The first credential that was told: in a bag without a mark, or on the display.
    pub(super) fn told(&self, bags: [&PropertyMap; 2]) -> Result<(), String> {
        if let Some(place) = bags.into_iter().find_map(|bag| credentials::unmarked(bag, &self.credentials)) {
            return Err(format!("`{place}` has a credential that is not marked secret"));
        }
        self.displayed()
    }

    fn displayed(&self) -> Result<(), String> {
        for display in &self.displays {
            let lines = [&display.statuses, &display.infos, &display.warnings]
                .map(|lines| lines.lock().unwrap().join("\n"))
                .join("\n");
            self.silent(&lines)?;
        }
        Ok(())
    }

    pub(super) fn silent(&self, text: &str) -> Result<(), String> {
        match self.credentials.iter().find(|credential| text.contains(credential.as_str())) {
            Some(_) => Err("a credential was displayed".to_owned()),
            None => Ok(()),
        }
    }

    /// Whether the outputs, and a Secret of ours, have the password that can be known, and no other.
    pub(super) fn password(&self, old: &Prior) -> Result<(), String> {
        let admin = strip_marks(&old.inputs).json;
        let user = admin.get("admin").and_then(|admin| admin["username"].as_str()).unwrap_or("default");
        let known = credentials::password(self.case, user);
        let output = old.outputs.get("password").and_then(PropertyValue::as_str).map(str::to_owned);
        let say = |password: &Option<String>| if password.is_some() { "one" } else { "none" };
        if output != known {
            return Err(format!(
                "the output `password` is not the one of `{user}`: {} is known, {} is told",
                say(&known),
                say(&output)
            ));
        }
        if known.is_none()
            && old.outputs.get("connection").is_some_and(|connection| *connection != PropertyValue::Null)
        {
            return Err("`connection` is told without a password".to_owned());
        }
        for secret in self.objects().values().filter(|object| object["kind"] == "Secret" && is_marked(object))
        {
            let stored = crate::kubernetes::cluster::login::decode(secret, "password");
            if stored != known {
                return Err(format!("the Secret has {} password, {} is known", say(&stored), say(&known)));
            }
        }
        Ok(())
    }
}

/// A cluster that this provider makes of a program.
pub(super) async fn made(program: Value, definitions: Option<&Arc<Definitions>>) -> Case {
    let fake = served(definitions.cloned());
    let resource =
        Registry::default().resource(Cluster::new(fake.session())).find_resource(Cluster::TOKEN).unwrap();
    let mut inputs: PropertyMap =
        program.as_object().unwrap().iter().map(|(key, value)| (key.clone(), from_json(value))).collect();
    for (name, value) in [("namespace", "apps".into()), ("skipAwait", PropertyValue::Bool(true))] {
        inputs.insert(name.to_owned(), value);
    }
    let checked =
        resource.check(&context().0, &Autonaming::Default, &PropertyMap::new(), inputs).await.unwrap();
    resource.create(&context().0, checked, false).await.unwrap();
    Case::of_ours(fake.objects().into_values().collect())
}

/// The program that an import prints.
pub(super) fn program_of(inputs: &PropertyMap) -> PropertyMap {
    inputs
        .iter()
        .filter(|(key, _)| !key.starts_with("__"))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

pub(super) fn right(result: Result<(), String>) -> Outcome {
    result.map_or_else(Outcome::Wrong, |()| Outcome::Right)
}

/// The steps before anything changes, each as far as those before it let it come.
pub(super) const QUIET: [&str; 7] = ["import", "check", "preview", "refresh", "secrets", "rename", "destroy"];

/// An import, and what must not change anything.
pub(super) async fn adopt(case: &Case, definitions: Option<&Arc<Definitions>>) -> [Outcome; 7] {
    let mut outcomes = [const { Outcome::Without }; 7];
    let mut life = Life::new(case, definitions);
    let there = life.objects();
    let old = match life.read(&Prior::default()).await {
        Ok(old) => old,
        Err(wrong) => {
            outcomes[0] = Outcome::Wrong(wrong);
            return outcomes;
        }
    };
    outcomes[0] = Outcome::Right;
    let checked = life.check(&old.inputs, program_of(&old.inputs)).await;
    outcomes[1] = right(checked.as_ref().map(|_| ()).map_err(Clone::clone));
    if let Ok(new) = &checked {
        let empty = life.diff(&old, new).and_then(|(paths, _)| {
            if paths.is_empty() { Ok(()) } else { Err(format!("differs: {}", paths.join(", "))) }
        });
        outcomes[2] = right(empty);
    }
    outcomes[3] = right(refreshed(&mut life, &old, checked.ok().as_ref()).await);
    outcomes[4] = right(life.told([&old.inputs, &old.outputs]).and_then(|()| life.password(&old)));
    if life.objects() != there {
        outcomes[2] = Outcome::Wrong(format!("something was written: {:?}", life.fake.writes()));
    }
    outcomes[5] = right(not_renamed(&mut life, &old).await);
    outcomes[6] = right(destroyed(&mut life, &old).await);
    outcomes
}

/// Whether a refresh finds what the state has: right after the import, and after an `up` that changed
/// nothing.
async fn refreshed(life: &mut Life<'_>, old: &Prior, checked: Option<&PropertyMap>) -> Result<(), String> {
    let again = life.read(old).await?;
    same("inputs", &old.inputs, &again.inputs)?;
    same("outputs", &old.outputs, &again.outputs)?;
    if let Some(new) = checked {
        let stored = Prior { inputs: new.clone(), outputs: old.outputs.clone() };
        let again = life.read(&stored).await?;
        same("inputs after `up`", new, &again.inputs)?;
        let computed = |outputs: &PropertyMap| {
            outputs
                .iter()
                .filter(|(key, _)| !new.contains_key(*key))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect()
        };
        same("outputs after `up`", &computed(&old.outputs), &computed(&again.outputs))?;
    }
    Ok(())
}

pub(super) fn same(what: &str, before: &PropertyMap, after: &PropertyMap) -> Result<(), String> {
    let keys = before.keys().chain(after.keys()).filter(|key| before.get(*key) != after.get(*key));
    match keys.min() {
        Some(key) => {
            let json = |bag: &PropertyMap| {
                Value::Object(
                    strip_marks(
                        &bag.iter()
                            .filter(|(name, _)| *name == key)
                            .map(|(k, v)| (k.clone(), v.clone()))
                            .collect(),
                    )
                    .json,
                )
            };
            let place = differences(&json(before), &json(after))
                .into_iter()
                .next()
                .map_or_else(|| format!("marks of {key}"), |(path, _, _)| path.join("."));
            Err(format!("{what}: {place}"))
        }
        None => Ok(()),
    }
}

/// Whether another name, of the cluster or in ClickHouse, is refused where it leaves data behind.
async fn not_renamed(life: &mut Life<'_>, old: &Prior) -> Result<(), String> {
    let claims = claims_of(life.case.installation());
    for claim in &claims {
        life.fake.put(claim);
    }
    let mut wrong = Vec::new();
    for input in ["name", "clusterName"] {
        let mut program = program_of(&old.inputs);
        program.insert(input.to_owned(), "renamed".into());
        match life.check(&old.inputs, program).await {
            Err(reason) if reason.contains("allowDataLoss") => {}
            // An override that lays the cluster out names it, too.
            Err(reason) if input == "clusterName" && reason.starts_with("clusterName: `chiOverrides.") => {}
            Err(reason) => wrong.push(format!("{input} is refused for something else: {reason}")),
            Ok(new) if claims.is_empty() || keeps_hosts(life, old, &new).await? => {}
            Ok(_) => wrong.push(format!("{input} may be changed")),
        }
    }
    for claim in &claims {
        life.fake.remove(&ObjectRef::of(claim).unwrap().path());
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
}

/// Whether all hosts stay, so that others come beside them.
async fn keeps_hosts(life: &mut Life<'_>, old: &Prior, new: &PropertyMap) -> Result<bool, String> {
    let ctx = life.context();
    let previewed = life.resource.update(&ctx, &life.case.id(), old, new, true).await;
    let outputs = previewed.map_err(|failed| failed.reasons.join("; "))?;
    let hosts = |outputs: &PropertyMap| match &outputs["hosts"] {
        PropertyValue::List(hosts) => hosts.clone(),
        other => panic!("{other:?}"),
    };
    let after = hosts(&outputs);
    Ok(hosts(&old.outputs).iter().all(|host| after.contains(host)))
}

/// Whether a destroy deletes the installation, its Keeper and what is ours, and nothing else.
pub(super) async fn destroyed(life: &mut Life<'_>, old: &Prior) -> Result<(), String> {
    let others = life.others();
    let ctx = life.context();
    let deleted = life.resource.delete(&ctx, &life.case.id(), old).await;
    deleted.map_err(|failed| format!("destroy: {}", failed.reasons.join("; ")))?;
    let left = life.objects();
    if left.contains_key(&life.case.place().path()) {
        return Err("destroy leaves the installation".to_owned());
    }
    if let Some((path, _)) = others.iter().find(|(path, object)| left.get(*path) != Some(object)) {
        return Err(format!("destroy touches {path}"));
    }
    match left.iter().find(|(_, object)| is_managed(object)) {
        Some((path, _)) => Err(format!("destroy leaves {path}")),
        None => Ok(()),
    }
}

/// An installation that is adopted, as often as it takes.
pub(super) struct Adopted<'a> {
    pub(super) case: &'a Case,
    definitions: Option<&'a Arc<Definitions>>,
    /// What the import found.
    pub(super) old: Prior,
}

impl<'a> Adopted<'a> {
    pub(super) async fn new(case: &'a Case, definitions: Option<&'a Arc<Definitions>>) -> Self {
        let old = Life::new(case, definitions)
            .read(&Prior::default())
            .await
            .unwrap_or_else(|wrong| panic!("{}: {wrong}", case.name));
        Self { case, definitions, old }
    }

    /// As it was after the import.
    pub(super) fn life(&self) -> Life<'a> {
        Life::new(self.case, self.definitions)
    }
}
