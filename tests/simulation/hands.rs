//! Somebody else, who changes objects of the cluster while the provider is at work.

use serde_json::{Value, json};
use tokio::time::Instant;

use super::controllers::delete;
use super::oracle::is_foreign;
use crate::kubernetes::fake::Fake;

/// An object of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Target {
    Installation,
    Keeper,
    Secret,
    Service,
}

/// What somebody does with one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Hand {
    Deletes(Target),
    /// Gives a field another value that the provider has written.
    Edits(Target),
    /// Deletes it, and makes the same again, as a restore of a backup does: it has another unique id.
    Recreates(Target),
    /// Deletes it, and makes something else under its name.
    Takes(Target),
}

impl Hand {
    pub(super) const ALL: [Self; 14] = [
        Self::Deletes(Target::Installation),
        Self::Deletes(Target::Keeper),
        Self::Deletes(Target::Secret),
        Self::Deletes(Target::Service),
        Self::Edits(Target::Installation),
        Self::Edits(Target::Keeper),
        Self::Edits(Target::Secret),
        Self::Edits(Target::Service),
        Self::Recreates(Target::Installation),
        Self::Recreates(Target::Keeper),
        Self::Recreates(Target::Secret),
        Self::Recreates(Target::Service),
        Self::Takes(Target::Secret),
        Self::Takes(Target::Service),
    ];
}

impl Hand {
    pub(super) fn target(self) -> Target {
        let (Self::Deletes(it) | Self::Edits(it) | Self::Recreates(it) | Self::Takes(it)) = self;
        it
    }
}

/// What somebody has done.
#[derive(Debug, Clone)]
pub(super) struct Deed {
    pub(super) hand: Hand,
    pub(super) path: String,
    pub(super) at: Instant,
    /// The object that is somebody else's since.
    pub(super) theirs: Option<Value>,
}

impl Deed {
    /// Whether it may lose data, by the program of the cluster.
    pub(super) fn loses(&self, program: &Value) -> bool {
        let is_of_volumes = self.path.contains("installations/") && !matches!(self.hand, Hand::Edits(_));
        is_of_volumes && program["storage"]["reclaimPolicy"] == "Delete"
    }

    /// Whether what was there is gone; there may be another one.
    pub(super) fn ends(&self, target: Target) -> bool {
        self.hand.target() == target && !matches!(self.hand, Hand::Edits(_))
    }

    /// Whether what is there by that name may be nobody's but theirs.
    pub(super) fn is_of_another(&self) -> bool {
        matches!(self.hand, Hand::Recreates(_))
    }

    /// What has become of somebody's own object that had to stay as it was.
    pub(super) fn undone(&self, api: &Fake) -> Option<String> {
        let theirs = self.theirs.as_ref()?;
        let now = api.at(&self.path).unwrap_or_default();
        (now != *theirs).then(|| format!("{} of somebody else is now {now}", self.path))
    }

    /// Takes away what is somebody's own, and with `all` whatever there is.
    pub(super) fn end(&self, api: &Fake, all: bool) {
        let is_theirs = |object: &Value| Some(object) == self.theirs.as_ref();
        if api.at(&self.path).is_some_and(|object| all || is_theirs(&object)) {
            delete(api, &self.path);
        }
    }
}

/// Does it; `None` where there is nothing to do it with, or it is being deleted.
pub(super) fn act(api: &Fake, hand: Hand) -> Option<Deed> {
    let target = hand.target();
    let path = api.look(|objects| {
        let is_meant = |path: &str, object: &Value| {
            let ending = match target {
                Target::Installation => "/clickhouseinstallations/",
                Target::Keeper => "/clickhousekeeperinstallations/",
                Target::Secret => "/secrets/",
                Target::Service => "/services/",
            };
            path.contains(ending)
                && object["metadata"].get("ownerReferences").is_none()
                && object["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "pulumi-clickhouse"
                && object["metadata"].get("deletionTimestamp").is_none()
                && !is_foreign(object)
        };
        objects.iter().find(|(path, object)| is_meant(path, object)).map(|(path, _)| path.clone())
    })?;
    let mut theirs = None;
    match hand {
        Hand::Deletes(_) => delete(api, &path),
        Hand::Edits(_) => api.edit(&path, |object| edit(object, target)),
        Hand::Recreates(_) => recreate(api, &path, target)?,
        Hand::Takes(_) => {
            let object = api.at(&path)?;
            api.remove(&path);
            api.put(&other(&object));
            theirs = api.at(&path);
        }
    }
    Some(Deed { hand, path, at: Instant::now(), theirs })
}

/// A new object is nobody's but theirs who wrote the old one, and what has a status of its own gets that from
/// its controller.
fn recreate(api: &Fake, path: &str, target: Target) -> Option<()> {
    let mut object = api.at(path)?;
    for field in ["uid", "resourceVersion", "generation"] {
        object["metadata"].as_object_mut()?.remove(field);
    }
    if matches!(target, Target::Installation | Target::Keeper) {
        object.as_object_mut()?.remove("status");
    }
    api.remove(path);
    api.put(&object);
    let managers = &object["metadata"]["managedFields"];
    api.set(path, |made| made["metadata"]["managedFields"] = managers.clone());
    Some(())
}

fn edit(object: &mut Value, target: Target) {
    match target {
        Target::Installation => {
            let users = &mut object["spec"]["configuration"]["users"];
            users["default/password_sha256_hex"] = json!("b".repeat(64));
        }
        Target::Keeper => {
            let container = &mut object["spec"]["templates"]["podTemplates"][0]["spec"]["containers"][0];
            container["image"] = json!("clickhouse/clickhouse-keeper:25.3.1.1");
        }
        Target::Secret => object["data"]["password"] = json!("ZWRpdGVk"),
        Target::Service => object["spec"]["selector"]["clickhouse.altinity.com/chi"] = json!("nobody"),
    }
}

/// Something else of the same kind and name.
fn other(object: &Value) -> Value {
    let metadata = &object["metadata"];
    let mut other = json!({"apiVersion": object["apiVersion"], "kind": object["kind"],
        "metadata": {"name": metadata["name"], "namespace": metadata["namespace"],
            "labels": {"team": "other"}}});
    match object["kind"].as_str().unwrap_or_default() {
        "Secret" => other["data"] = json!({"token": "c2VjcmV0"}),
        _ => other["spec"] = json!({"clusterIP": "10.96.0.8", "ports": [{"port": 80}]}),
    }
    other
}
