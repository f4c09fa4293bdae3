//! The installations of the corpus, as an API server has them after somebody else has made them.
//!
//! A file begins with a line that says what is special about it. `# by: name` tells who made it where it was
//! not `kubectl apply` (`, applies`: on the server's side), `# then: name` who changed all but its clusters
//! after that, `# operator: release` which definitions it needs where those in force are too old. Whatever
//! has `hush` in it is a credential; so are the hashes of passwords.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};

use super::schema::Definitions;
use crate::kubernetes::cluster::shape::{Claim, Shape};
use crate::kubernetes::fake::{Fake, Manager, with_data};
use crate::kubernetes::meta::{FIELD_MANAGER, Kind, ObjectRef};

const KUBECTL: &str = "kubectl-client-side-apply";

/// One file: an installation, and what belongs to it or stands beside it.
pub(super) struct Case {
    pub(super) name: String,
    /// The release of the operator that it needs, where that is not the one in force.
    pub(super) release: Option<String>,
    pub(super) objects: Vec<Value>,
    by: Manager,
    then: Option<Manager>,
}

/// All of them, by name.
pub(super) fn all() -> Vec<Case> {
    inside(
        &PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("provider/kubernetes/cluster/tests/corpus/installations"),
    )
}

/// Those to try: of the folder that `CORPUS_FOLDER` names, else all; with `CORPUS` in their names, where the
/// environment has one.
pub(super) fn chosen() -> Vec<Case> {
    let part = std::env::var("CORPUS").unwrap_or_default();
    let cases = std::env::var_os("CORPUS_FOLDER").map_or_else(all, |folder| inside(Path::new(&folder)));
    cases.into_iter().filter(|case| case.name.contains(&part)).collect()
}

/// Whether it is the whole corpus that is tried.
pub(super) fn are_all() -> bool {
    ["CORPUS", "CORPUS_FOLDER"].into_iter().all(|name| std::env::var_os(name).is_none())
}

/// The installations in the files of a folder, by the files' names. A file with several stands for as many,
/// each with all that is no installation; one with none, or with a template's braces, for none.
fn inside(folder: &Path) -> Vec<Case> {
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    paths.sort();
    paths
        .iter()
        .flat_map(|path| {
            Case::of(path.file_stem().unwrap().to_str().unwrap(), &std::fs::read_to_string(path).unwrap())
        })
        .collect()
}

impl Case {
    fn of(name: &str, text: &str) -> Vec<Self> {
        if text.contains("{{") {
            return Vec::new();
        }
        let says = |word: &str| text.lines().find_map(|line| line.strip_prefix(&format!("# {word}: ")));
        let manager = |by: &str| {
            by.strip_suffix(", applies").map_or_else(|| Manager::new(by, false), |by| Manager::new(by, true))
        };
        let by = says("by").map_or_else(|| Manager::new(KUBECTL, false), manager);
        let then = says("then").map(manager);
        let objects: Vec<Value> =
            serde_saphyr::from_multiple(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let known = objects.into_iter().map(as_stored).filter(|object| Kind::of(object).is_some());
        let (installations, others): (Vec<_>, Vec<_>) =
            known.partition(|object| Kind::of(object) == Some(Kind::Installation));
        let only = installations.len() == 1;
        let case = |(index, installation): (usize, Value)| Self {
            name: if only { name.to_owned() } else { format!("{name}-{}", index + 1) },
            release: says("operator").map(str::to_owned),
            objects: others.iter().cloned().chain([installation]).collect(),
            by: by.clone(),
            then: then.clone(),
        };
        installations.into_iter().enumerate().map(case).collect()
    }

    /// What this provider has made itself, as a server has it.
    pub(super) fn of_ours(objects: Vec<Value>) -> Self {
        Self {
            name: "ours".to_owned(),
            release: None,
            objects,
            by: Manager::new(FIELD_MANAGER, true),
            then: None,
        }
    }

    /// The ClickHouseInstallation.
    pub(super) fn installation(&self) -> &Value {
        self.objects.iter().find(|object| Kind::of(object) == Some(Kind::Installation)).unwrap()
    }

    /// What names it.
    pub(super) fn place(&self) -> ObjectRef {
        ObjectRef::of(self.installation()).unwrap()
    }

    /// What Pulumi calls it.
    pub(super) fn id(&self) -> String {
        let ObjectRef { namespace, name, .. } = self.place();
        format!("{}/{name}", namespace.unwrap())
    }

    /// The text under a key of one of its Secrets.
    pub(super) fn secret(&self, name: &str, key: &str) -> Option<String> {
        let secrets = self.objects.iter().filter(|object| object["kind"] == "Secret");
        let found = secrets
            .filter(|secret| secret["metadata"]["name"] == name)
            .find_map(|secret| secret["stringData"].get(key));
        found.and_then(Value::as_str).map(str::to_owned)
    }

    /// Whether the Keeper of its name is one that its hosts ask.
    pub(super) fn has_keeper(&self) -> bool {
        let name = self.place().name;
        let zookeeper = &self.installation()["spec"]["configuration"]["zookeeper"];
        let hosts =
            zookeeper["nodes"].as_array().into_iter().flatten().filter_map(|node| node["host"].as_str());
        let is_of_it = |host: &str| {
            host.split('.').next() == Some(&format!("keeper-{name}"))
                || host.starts_with(&format!("chk-{name}-"))
        };
        zookeeper["keeper"]["name"] == name || hosts.clone().next().is_some() && hosts.clone().all(is_of_it)
    }

    /// An API server that has all of it, as it is once the operator has seen it.
    pub(super) fn stored(&self, definitions: Option<Arc<Definitions>>) -> Fake {
        let fake = served(definitions);
        for object in &self.objects {
            let mut made = with_data(object);
            if self.by == Manager::new(KUBECTL, false) {
                made["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] =
                    json!(format!("{made}\n"));
            }
            let place = ObjectRef::of(object).unwrap();
            if let Some(then) = self.then.as_ref().filter(|_| place.kind == Kind::Installation) {
                let mut first = made.clone();
                first["spec"] =
                    json!({"configuration": {"clusters": made["spec"]["configuration"]["clusters"]}});
                fake.put_as(&first, &self.by);
                let mut live = fake.at(&place.path()).unwrap();
                live["spec"] = made["spec"].clone();
                fake.put_as(&live, then);
            } else {
                fake.put_as(&made, &self.by);
            }
            if place.kind == Kind::Installation {
                let mut seen = fake.at(&place.path()).unwrap();
                seen["metadata"]["finalizers"] = json!(["finalizer.clickhouseinstallation.altinity.com"]);
                // Older operators keep all of it in the status, too.
                let normalized = json!({"metadata": seen["metadata"], "spec": seen["spec"]});
                seen["status"] = json!({"status": "Completed", "taskID": "auto-1", "chop-version": "0.25.6",
                    "normalized": normalized});
                fake.put_as(&seen, &Manager::new("clickhouse-operator", false));
            }
            for class in object
                .pointer("/spec/templates/volumeClaimTemplates")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                put_class(&fake, class["spec"]["storageClassName"].as_str().unwrap_or("standard"));
            }
        }
        fake
    }
}

/// A value as a server gives it back: a number without a fraction as a whole one.
fn as_stored(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            Value::Object(map.into_iter().map(|(key, value)| (key, as_stored(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(as_stored).collect()),
        Value::Number(number) => {
            let whole = number.as_f64().filter(|float| number.is_f64() && float.fract() == 0.0);
            whole
                .and_then(|whole| format!("{whole:.0}").parse::<i64>().ok())
                .map_or(Value::Number(number), Value::from)
        }
        value => value,
    }
}

/// An API server with an operator, which validates by these definitions.
pub(super) fn served(definitions: Option<Arc<Definitions>>) -> Fake {
    let fake = Fake::new().with_operator();
    match definitions {
        Some(definitions) => fake.validating(move |object| definitions.problems(object)),
        None => fake,
    }
}

/// The volume claims that the operator has made for an installation, with data in them.
pub(super) fn claims_of(installation: &Value) -> Vec<Value> {
    let metadata = &installation["metadata"];
    let labels =
        json!({"clickhouse.altinity.com/app": "chop", "clickhouse.altinity.com/chi": metadata["name"]});
    let claim = |(name, claim): (String, Claim)| {
        let size = json!({"storage": claim.size.as_deref().unwrap_or("1Gi")});
        let class = claim.class.as_deref().unwrap_or("standard");
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "namespace": metadata["namespace"], "labels": labels},
            "spec": {"storageClassName": class, "accessModes": claim.access_modes,
                "resources": {"requests": size}, "volumeName": "pv"},
            "status": {"phase": "Bound", "capacity": size}})
    };
    Shape::of(installation, None).clickhouse.claims.into_iter().map(claim).collect()
}

fn put_class(fake: &Fake, name: &str) {
    let annotations =
        json!({"storageclass.kubernetes.io/is-default-class": (name == "standard").to_string()});
    let class = json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name,
        "annotations": annotations}, "allowVolumeExpansion": true});
    fake.put(&class);
}
