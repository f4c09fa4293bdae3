//! What a change of one input means for an installation that somebody else has made, by the operator's rules.

use serde_json::{Value, json};

use super::compare::{Path, get};
use super::model::{Layout, clusters, container, is_coordinated, is_yes, named, with_version};

/// The changes, each made by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Change {
    LogLevel,
    Label,
    Shards,
    Replicas,
    Version,
    Memory,
    Size,
    Stopped,
    Networks,
    Override,
}

impl Change {
    pub(super) const ALL: [Self; 10] = [
        Self::LogLevel,
        Self::Label,
        Self::Shards,
        Self::Replicas,
        Self::Version,
        Self::Memory,
        Self::Size,
        Self::Stopped,
        Self::Networks,
        Self::Override,
    ];

    /// The column of the table.
    pub(super) fn title(self) -> &'static str {
        [
            "level", "label", "shards", "replicas", "version", "memory", "size", "stopped", "networks",
            "override",
        ][self as usize]
    }
}

/// How a refusal is to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It can be done, so it has to be.
    Unneeded,
    /// As good as doing it.
    Allowed,
    /// Nothing else is right.
    Needed,
}

/// What a change means.
pub(super) struct Meaning {
    /// What to write into the program: the properties' paths and values; `None` takes one out.
    pub(super) program: Vec<(Path, Option<Value>)>,
    /// The fields that may differ afterwards, or what stands below them.
    pub(super) fields: Vec<Path>,
    /// Whether the installation is as asked for.
    pub(super) holds: Box<dyn Fn(&Value) -> bool>,
    pub(super) refusal: Refusal,
    /// Of each list a refusal has a word: of what was asked for, and of what is in the way.
    pub(super) names: [Vec<String>; 2],
}

const VERSION: &str = "24.3.99.1";
const MEMORY: &str = "7Gi";
const SIZE: &str = "800Gi";
const OVERRIDES: &[&str] =
    &["chiOverrides", "chkOverrides", "Template", "template", "layout", "users", "settings", "image.digest"];

/// A path from its keys with dots between them.
pub(super) fn path(dotted: &str) -> Path {
    dotted.split('.').map(str::to_owned).collect()
}

fn words(asked: &[&str], in_the_way: &[&str]) -> [Vec<String>; 2] {
    [asked, in_the_way].map(|words| words.iter().map(|word| (*word).to_owned()).collect())
}

fn below(dotted: &str, more: &[&str]) -> Path {
    path(dotted).into_iter().chain(more.iter().map(|key| (*key).to_owned())).collect()
}

/// What `change` means for the installation `chi`, of which `inputs` were read.
pub(super) fn of(change: Change, chi: &Value, inputs: &Value) -> Option<Meaning> {
    let spec = chi["spec"].clone();
    match change {
        Change::LogLevel => Some(log_level(&spec)),
        Change::Label => Some(Meaning {
            program: vec![(path("labels.team"), Some(json!("corpus")))],
            fields: vec![path("metadata.labels.team")],
            holds: Box::new(|chi| chi["metadata"]["labels"]["team"] == "corpus"),
            refusal: Refusal::Unneeded,
            names: words(&["labels"], OVERRIDES),
        }),
        Change::Shards => Some(shards(&spec)),
        Change::Replicas => Some(replicas(&spec)),
        Change::Version => {
            let mut meaning = pods(&spec, "version", json!(VERSION), &["image"], move |container| {
                let now = container["image"].as_str().unwrap_or_default();
                now == with_version(Some(now), VERSION)
            });
            // Who asks for a version does not ask for a digest any more.
            meaning.program.push((path("image.digest"), None));
            Some(meaning)
        }
        Change::Memory => Some(pods(
            &spec,
            "resources.limits.memory",
            json!(MEMORY),
            &["resources", "limits", "memory"],
            |container| container["resources"]["limits"]["memory"] == MEMORY,
        )),
        Change::Size => Some(size(&spec)),
        Change::Stopped => {
            let wanted = !is_yes(&spec["stop"]);
            Some(Meaning {
                program: vec![(path("stopped"), Some(json!(wanted)))],
                fields: vec![path("spec.stop")],
                holds: Box::new(move |chi| is_yes(&chi["spec"]["stop"]) == wanted),
                refusal: Refusal::Unneeded,
                names: words(&["stopped"], OVERRIDES),
            })
        }
        Change::Networks => {
            let key = format!("{}/networks/ip", inputs["admin"]["username"].as_str().unwrap_or("default"));
            Some(Meaning {
                program: vec![(path("admin.networks"), Some(json!(["10.9.0.0/16"])))],
                fields: vec![below("spec.configuration.users", &[&key])],
                holds: Box::new(move |chi| {
                    chi["spec"]["configuration"]["users"][&key] == json!(["10.9.0.0/16"])
                }),
                refusal: Refusal::Unneeded,
                names: words(&["networks"], OVERRIDES),
            })
        }
        Change::Override => without_override(inputs),
    }
}

fn log_level(spec: &Value) -> Meaning {
    let level = if spec["configuration"]["settings"]["logger/level"] == "error" { "fatal" } else { "error" };
    let elsewhere =
        serde_json::to_string(&spec["configuration"]["clusters"]).unwrap().contains("logger/level");
    Meaning {
        program: vec![(path("logging.level"), Some(json!(level)))],
        fields: vec![below("spec.configuration.settings", &["logger/level"])],
        holds: Box::new(move |chi| chi["spec"]["configuration"]["settings"]["logger/level"] == level),
        refusal: if elsewhere { Refusal::Allowed } else { Refusal::Unneeded },
        names: words(&["logging"], OVERRIDES),
    }
}

fn shards(spec: &Value) -> Meaning {
    let first = clusters(spec)[0].clone();
    let layout = Layout::of(spec, &first);
    let (wanted, replicas) = (layout.shards + 1, layout.replicas);
    let lists = |name: &str| first["layout"][name].as_array().cloned().unwrap_or_default();
    let by_replica = lists("replicas")
        .iter()
        .any(|replica| replica.get("shards").is_some() || replica.get("shardsCount").is_some());
    let listed = !lists("shards").is_empty() || by_replica;
    let mut fields = in_first(spec, &["layout.shardsCount"]);
    if listed {
        fields.extend(in_first(spec, &[&format!("layout.shards.{}", lists("shards").len())]));
    }
    Meaning {
        program: vec![(path("shards"), Some(json!(wanted)))],
        fields,
        holds: Box::new(move |chi| {
            let clusters = clusters(&chi["spec"]);
            let layout = Layout::of(&chi["spec"], clusters[0]);
            let is_same =
                clusters[0]["name"] == first["name"] || (first.is_null() && clusters[0]["name"] == "cluster");
            is_same && layout.shards == wanted && layout.replicas[..wanted - 1] == replicas
        }),
        refusal: if listed { Refusal::Allowed } else { Refusal::Unneeded },
        names: words(&["shards"], &["chiOverrides", "layout"]),
    }
}

fn replicas(spec: &Value) -> Meaning {
    let first = clusters(spec)[0].clone();
    let layout = Layout::of(spec, &first);
    let (wanted, shards) = (layout.replicas.iter().max().unwrap() + 1, layout.shards);
    let own = |shard: &Value| shard.get("replicas").is_some() || shard.get("replicasCount").is_some();
    let listed = first["layout"]["shards"].as_array().is_some_and(|shards| shards.iter().any(own))
        || first["layout"].get("replicas").is_some();
    let coordinated = is_coordinated(spec, &first);
    Meaning {
        program: vec![(path("replicas"), Some(json!(wanted)))],
        fields: in_first(spec, if listed { &["layout"] } else { &["layout.replicasCount"] }),
        holds: Box::new(move |chi| {
            let clusters = clusters(&chi["spec"]);
            Layout::of(&chi["spec"], clusters[0]).replicas == vec![wanted; shards]
        }),
        refusal: if listed || !coordinated { Refusal::Allowed } else { Refusal::Unneeded },
        names: words(&["replicas"], &["chiOverrides", "layout", "coordination", "Keeper"]),
    }
}

/// Fields of the first cluster. One that nobody has named may get the operator's name and counts, which are
/// those that it has.
fn in_first(spec: &Value, fields: &[&str]) -> Vec<Path> {
    let implied = if clusters(spec)[0].is_null() {
        &["name", "layout.shardsCount", "layout.replicasCount"][..]
    } else {
        &[]
    };
    fields
        .iter()
        .chain(implied)
        .map(|field| path(&format!("spec.configuration.clusters.0.{field}")))
        .collect()
}

/// A change of the ClickHouse container in the pod templates that the hosts use; of a new template where they
/// use none.
fn pods(
    spec: &Value,
    input: &str,
    value: Value,
    field: &[&str],
    is_so: impl Fn(&Value) -> bool + 'static,
) -> Meaning {
    let used: Vec<_> =
        clusters(spec).into_iter().map(|cluster| Layout::of(spec, cluster).pods(spec)).collect();
    let defined = |name: Option<&str>| name.and_then(|name| named(spec, "podTemplates", name)).is_some();
    let mut fields = Vec::new();
    for (index, template) in used.iter().flatten().filter_map(|name| named(spec, "podTemplates", (*name)?)) {
        let at =
            |container: usize| format!("spec.templates.podTemplates.{index}.spec.containers.{container}");
        match container(template) {
            Some((container, _)) => fields.push(below(&at(container), field)),
            // Of a container that only the operator adds all has to be said.
            None => fields.extend([&["name"], &["image"], field].map(|field| below(&at(0), field))),
        }
    }
    let new = spec["templates"]["podTemplates"].as_array().map_or(0, Vec::len).to_string();
    if !used.iter().flatten().copied().all(defined) {
        fields.push(path("spec.defaults.templates.podTemplate"));
        fields.push(below("spec.templates.podTemplates", &[&new, "name"]));
        for field in [&["image"], field] {
            fields.push(below(
                "spec.templates.podTemplates",
                &[&[new.as_str(), "spec", "containers", "0"], field].concat(),
            ));
        }
        fields.push(below("spec.templates.podTemplates", &[&new, "spec", "containers", "0", "name"]));
    }
    let outside = spec.get("useTemplates").is_some()
        || used.iter().flatten().any(|name| name.is_some() && !defined(*name));
    Meaning {
        program: vec![(path(input), Some(value))],
        fields,
        holds: Box::new(move |chi| {
            let spec = &chi["spec"];
            let first = Layout::of(spec, clusters(spec)[0]).pods(spec);
            let container = |name: Option<&str>| {
                container(named(spec, "podTemplates", name?)?.1).map(|(_, container)| is_so(container))
            };
            first.into_iter().all(|name| container(name) == Some(true))
        }),
        refusal: if outside || used[0].len() > 1 { Refusal::Allowed } else { Refusal::Unneeded },
        names: words(if input == "version" { &["version"] } else { &["resources"] }, OVERRIDES),
    }
}

fn size(spec: &Value) -> Meaning {
    let all = clusters(spec);
    let used: Vec<_> = all.into_iter().map(|cluster| Layout::of(spec, cluster).volumes(spec)).collect();
    let places = used.iter().flatten().filter_map(|name| named(spec, "volumeClaimTemplates", name));
    let at = |index: usize| {
        below(
            "spec.templates.volumeClaimTemplates",
            &[&index.to_string(), "spec", "resources", "requests", "storage"],
        )
    };
    let fields: Vec<_> = places.map(|(index, _)| at(index)).collect();
    let refusal = match used[0].len() {
        _ if used[0].iter().all(|name| named(spec, "volumeClaimTemplates", name).is_none()) => {
            Refusal::Needed
        }
        1 => Refusal::Unneeded,
        _ => Refusal::Allowed,
    };
    Meaning {
        program: vec![(path("storage.size"), Some(json!(SIZE)))],
        fields,
        holds: Box::new(|chi| {
            let spec = &chi["spec"];
            let size = |name: &str| {
                named(spec, "volumeClaimTemplates", name)
                    .map(|(_, claim)| &claim["spec"]["resources"]["requests"]["storage"])
            };
            Layout::of(spec, clusters(spec)[0])
                .volumes(spec)
                .into_iter()
                .all(|name| size(name) == Some(&json!(SIZE)))
        }),
        refusal,
        names: words(&["storage", "size"], &["chiOverrides", "ephemeral", "volume", "Template", "template"]),
    }
}

/// Some field of `chiOverrides`, taken out of it: of the settings where it has any, and never one that names
/// something.
fn without_override(inputs: &Value) -> Option<Meaning> {
    let mut leaves = Vec::new();
    collect(&inputs["chiOverrides"], &mut Vec::new(), &mut leaves);
    let rank = |leaf: &Path| {
        let top = [
            "configuration.settings",
            "configuration.profiles",
            "configuration.quotas",
            "configuration.files",
            "reconcil",
            "configuration",
        ];
        let dotted = leaf.join(".");
        top.iter().position(|prefix| dotted.starts_with(prefix)).unwrap_or(top.len())
    };
    let leaf =
        leaves.into_iter().filter(|leaf| leaf.last().is_some_and(|last| last != "name")).min_by_key(rank)?;
    let field: Path = ["spec".to_owned()].into_iter().chain(leaf.iter().cloned()).collect();
    let name = leaf.last().cloned().unwrap_or_default();
    Some(Meaning {
        program: vec![(["chiOverrides".to_owned()].into_iter().chain(leaf).collect(), None)],
        fields: vec![field.clone()],
        holds: Box::new(move |chi| get(chi, &field).is_none()),
        refusal: Refusal::Allowed,
        names: [vec!["chiOverrides".to_owned(), name.clone()], vec!["chiOverrides".to_owned(), name]],
    })
}

/// The fields of an override, with none that stands in a list, where names count and not places.
fn collect(value: &Value, at: &mut Path, found: &mut Vec<Path>) {
    for (key, below) in value.as_object().into_iter().flatten().filter(|(key, _)| *key != "$patch") {
        at.push(key.clone());
        match below {
            Value::Object(_) => collect(below, at, found),
            Value::Array(elements) if elements.iter().any(Value::is_object) => {}
            _ => found.push(at.clone()),
        }
        at.pop();
    }
}
