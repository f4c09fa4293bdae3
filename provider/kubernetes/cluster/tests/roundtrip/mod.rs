//! What inputs render is read back as these inputs, and what is read renders the same again: over every input
//! of every aspect. Over the corpus of installations it is `corpus::every_installation_is_adopted_as_it_is`.

pub(super) mod values;

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::json;

use self::values::{UNTOLD, VALUES};
use super::corpus::schema::Definitions;
use super::*;
use crate::kubernetes::cluster::adopt::inputs;
use crate::kubernetes::cluster::aspects::Live;
use crate::kubernetes::cluster::manifest::build;
use crate::kubernetes::cluster::objects::Objects;
use crate::property::path::{PropertyPath, Segment};

fn set(program: &mut Value, path: &str, value: Value) {
    let parent = path.split('.').collect::<Vec<_>>();
    *parent.iter().fold(program, |parent, key| &mut parent[*key]) = value;
}

/// A program of some of the inputs; what Check refuses beside the others is left out.
fn programs() -> impl Strategy<Value = Value> {
    let chosen =
        prop::collection::vec(prop::option::weighted(0.25, any::<prop::sample::Index>()), VALUES.len());
    chosen.prop_map(|chosen| {
        let mut program = json!({"name": "db"});
        for ((path, values), index) in VALUES.iter().zip(chosen) {
            let values: Vec<Value> = serde_json::from_str(values).unwrap();
            if let Some(index) = index {
                set(&mut program, path, index.get(&values).clone());
            }
        }
        while let Err(failures) = run_validate(&Known::all(checked(program.clone()))) {
            // One after the other: what is left out may be the whole that another one is a part of.
            if let Some(failure) = failures.first() {
                leave_out(&mut program, &failure.path);
            }
        }
        program
    })
}

/// Takes out what stands at `path`, or the nearest that is there above it.
fn leave_out(program: &mut Value, path: &PropertyPath) {
    let keys: Vec<_> = path
        .segments()
        .iter()
        .map_while(|segment| if let Segment::Key(key) = segment { Some(key.as_str()) } else { None })
        .collect();
    for length in (1..=keys.len()).rev() {
        let parent = keys[..length - 1].iter().try_fold(&mut *program, |parent, key| parent.get_mut(key));
        if parent.and_then(|parent| parent.as_object_mut()?.remove(keys[length - 1])).is_some() {
            return;
        }
    }
    panic!("{path} is refused, and not there: {program}");
}

fn built(args: &ClusterArgs) -> Objects {
    let filled = fill(&urn(), &Autonaming::Default, "apps", None, &Known::all(args.clone())).unwrap();
    let cluster = run_validate(&Known::all(filled)).unwrap_or_else(|failures| panic!("{failures:?}"));
    build(&cluster, &urn(), &login(), "")
}

fn live(objects: &Objects) -> Live {
    let Objects { installation, keeper, service, backup, .. } = objects.clone();
    Live { backup, ..Live::new(installation.unwrap(), keeper, service, None) }
}

/// What a Service asks for besides the numbers of node ports.
fn asked(service: Option<&Value>) -> Option<Value> {
    let mut spec = service?["spec"].clone();
    for port in spec["ports"].as_array_mut().into_iter().flatten() {
        port.as_object_mut()?.remove("nodePort");
    }
    Some(spec)
}

/// The leaves of inputs by their paths, without what no object tells; an empty object counts as none.
fn leaves(value: &Value, path: &str, found: &mut Vec<(String, Value)>) {
    if UNTOLD.contains(&path) {
        return;
    }
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                leaves(value, &if path.is_empty() { key.clone() } else { format!("{path}.{key}") }, found);
            }
        }
        // What is left out.
        Value::Bool(false) => {}
        value => found.push((path.to_owned(), value.clone())),
    }
}

/// Whether an input has no effect beside others: a version beside a tag or digest, an override of a Keeper
/// that there is not.
fn is_outdone(path: &str, args: &ClusterArgs) -> bool {
    let inputs = serde_json::to_value(args).unwrap();
    let has = |pointer: &str| inputs.pointer(pointer).is_some();
    path == "image.tag"
        || path == "backup.image.tag" && has("/backup/image/digest")
        || path == "version" && (has("/image/tag") || has("/image/digest"))
        || path.starts_with("chkOverrides") && !has("/coordination/keeper")
        // What holds anyway.
        || path.ends_with("pod.antiAffinity")
        || path == "coordination.keeper.pod.restricted"
}

fn told_leaves(args: &ClusterArgs) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    leaves(&serde_json::to_value(args).unwrap(), "", &mut found);
    found
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn what_inputs_render_is_read_back_and_renders_the_same(program in programs()) {
        let args = checked(program);
        let made = built(&args);
        let read = inputs(&live(&made), &urn(), &login());
        let again = built(&read);
        prop_assert_eq!(&again.installation, &made.installation);
        let spec = |object: &Option<Value>| object.as_ref().map(|object| object["spec"].clone());
        prop_assert_eq!(spec(&again.keeper), spec(&made.keeper));
        prop_assert_eq!(asked(again.service.as_ref()), asked(made.service.as_ref()));
        prop_assert_eq!(&again.backup, &made.backup);
        let told = told_leaves(&fill(&urn(), &Autonaming::Default, "apps", None,
            &Known::all(read.clone())).unwrap());
        for leaf in told_leaves(&args).into_iter().filter(|(path, _)| !is_outdone(path, &args)) {
            prop_assert!(told.contains(&leaf), "{leaf:?} is not in {told:?}");
        }
        prop_assert_eq!(inputs(&live(&again), &urn(), &login()), read);
    }

    #[test]
    fn every_operator_takes_what_inputs_render(program in programs()) {
        let Objects { installation, keeper, .. } = built(&checked(program));
        // Hooks, and a Keeper with TLS, are of 0.27.1.
        let newer: &[_] = &["hooks", "clusters[0].secure"];
        let known = [(Definitions::in_force(), newer), (Definitions::of_release("0.27.1"), &[])];
        for (definitions, newer) in known {
            let Some(definitions) = definitions else { continue };
            let mut problems: Vec<_> =
                installation.iter().chain(&keeper).flat_map(|object| definitions.problems(object)).collect();
            problems.retain(|problem| !newer.iter().any(|field| problem.contains(field)));
            prop_assert_eq!(problems, Vec::<String>::new());
        }
    }

    #[test]
    fn what_somebody_else_has_made_of_the_same_fields_renders_the_same(program in programs()) {
        let Objects { installation, keeper, .. } = built(&checked(program));
        let mut installation = installation.unwrap();
        installation["metadata"]["labels"].as_object_mut().unwrap().remove("app.kubernetes.io/managed-by");
        let there = Live::new(installation.clone(), keeper, None, None);
        let nobody = Login::default();
        let read = inputs(&there, &urn(), &nobody);
        let filled = fill(&urn(), &Autonaming::Default, "apps", None, &Known::all(read)).unwrap();
        let cluster = run_validate(&Known::all(filled)).unwrap_or_else(|failures| panic!("{failures:?}"));
        prop_assert_eq!(&build(&cluster, &urn(), &nobody, "").installation.unwrap()["spec"],
            &installation["spec"]);
    }
}

#[test]
fn no_input_is_forgotten() {
    let schema = serde_json::to_value(schemars::schema_for!(ClusterArgs)).unwrap();
    let mut known = BTreeSet::new();
    properties(&schema, &schema, "", &mut known);
    let covered = |path: &&String| {
        VALUES
            .iter()
            .any(|(covered, _)| *covered == path.as_str() || path.starts_with(&format!("{covered}.")))
    };
    assert!(known.len() >= 70, "{known:?}");
    assert_eq!(known.iter().filter(|path| !covered(path)).collect::<Vec<_>>(), Vec::<&String>::new());
}

/// The inputs that hold no others, by their paths.
fn properties(schema: &Value, node: &Value, path: &str, found: &mut BTreeSet<String>) {
    let node = node["anyOf"]
        .as_array()
        .and_then(|choices| choices.iter().find(|choice| choice["type"] != "null"))
        .unwrap_or(node);
    let node =
        node["$ref"].as_str().and_then(|place| schema.pointer(place.trim_start_matches('#'))).unwrap_or(node);
    match node["properties"].as_object() {
        Some(below) => {
            for (key, node) in below {
                properties(
                    schema,
                    node,
                    &if path.is_empty() { key.clone() } else { format!("{path}.{key}") },
                    found,
                );
            }
        }
        None => _ = found.insert(path.to_owned()),
    }
}
