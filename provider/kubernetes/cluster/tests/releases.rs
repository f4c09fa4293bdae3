//! What releases have left in the states of their users: this one finds nothing to change in it, and writes
//! nothing.
//!
//! A file of `releases/` holds, for a few programs, the inputs and outputs as Pulumi's state has them, and
//! the objects as a scripted API server took them. `UPDATE=1` records that of this release, once, where it
//! has none yet.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::lifecycle::{create, requests};
use super::*;
use crate::kubernetes::cluster::Cluster;
use crate::kubernetes::cluster::state::ClusterState;
use crate::kubernetes::fake::{Fake, Manager, context};
use crate::kubernetes::meta::FIELD_MANAGER;
use crate::resource::Resource as _;

/// What is there of one program's cluster.
#[derive(Clone, Serialize, Deserialize)]
struct Left {
    program: Value,
    inputs: Value,
    state: Value,
    objects: BTreeMap<String, Value>,
}

impl Left {
    fn cluster(&self) -> (Cluster, Fake) {
        let fake = Fake::new();
        self.objects.values().for_each(|object| fake.put_as(object, &Manager::new(FIELD_MANAGER, true)));
        (Cluster::new(fake.session()), fake)
    }

    fn inputs(&self) -> ClusterArgs {
        serde_json::from_value(self.inputs.clone()).expect("the inputs can be read")
    }

    fn state(&self) -> ClusterState {
        serde_json::from_value(self.state.clone()).expect("the outputs can be read")
    }
}

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("provider/kubernetes/cluster/tests/releases")
}

/// Each program of each release.
fn all() -> Vec<(String, Left)> {
    let mut all = Vec::new();
    for file in std::fs::read_dir(directory()).unwrap() {
        let path = file.unwrap().path();
        let left: BTreeMap<String, Left> = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        all.extend(
            left.into_iter().map(|(program, left)| (format!("{program} of {}", path.display()), left)),
        );
    }
    all
}

#[tokio::test]
async fn this_release_has_recorded_its_states() {
    let path = directory().join(concat!(env!("CARGO_PKG_VERSION"), ".json"));
    if !path.exists() && std::env::var_os("UPDATE").is_some() {
        let mut recorded = BTreeMap::new();
        for (name, Left { program, .. }) in all() {
            let name = name.split(" of ").next().unwrap().to_owned();
            let fake = Fake::new();
            let cluster = Cluster::new(fake.session());
            let inputs = checked(program.clone());
            let state = json!(create(&cluster, &inputs).await.unwrap());
            recorded.insert(name, Left { program, inputs: json!(inputs), state, objects: fake.objects() });
        }
        std::fs::write(&path, serde_json::to_string_pretty(&recorded).unwrap() + "\n").unwrap();
    }
    assert!(path.exists(), "record the states of this release with UPDATE=1");
}

#[tokio::test]
async fn what_an_earlier_release_made_stays_as_it_is() {
    for (name, left) in all() {
        let (cluster, fake) = left.cluster();
        let (ctx, display) = context();
        let (inputs, state) = (left.inputs(), left.state());
        let program = Known::all(serde_json::from_value(left.program.clone()).unwrap());
        let new = cluster.check(&ctx, &Autonaming::Default, Some(&inputs), &program).await.unwrap();
        let diff = cluster.diff(&inputs, Some(&state), &Known::all(new.clone()));
        assert_eq!(diff.changes, [], "{name}");
        let found =
            cluster.read(&ctx, "apps/db", Some(&inputs), Some(&state)).await.unwrap().expect("it is there");
        assert_eq!(json!(found.inputs), left.inputs, "{name}");
        // What this release knows besides is new.
        for (output, value) in left.state.as_object().unwrap() {
            assert_eq!(json!(found.state)[output], *value, "{output} of {name}");
        }
        let new = cluster.check(&ctx, &Autonaming::Default, Some(&found.inputs), &program).await.unwrap();
        assert_eq!(cluster.diff(&found.inputs, Some(&found.state), &Known::all(new)).changes, [], "{name}");
        assert!(
            requests(&fake).iter().all(|request| request.starts_with("GET")),
            "{name}: {:?}",
            requests(&fake)
        );
        assert!(display.warnings().is_empty(), "{name}");
    }
}

#[tokio::test]
async fn what_an_earlier_release_made_is_changed_and_deleted() {
    for (name, left) in all() {
        let (cluster, fake) = left.cluster();
        let there = fake.objects();
        let (ctx, _) = context();
        let (inputs, state) = (left.inputs(), left.state());
        let mut program = left.program.clone();
        program["logging"] = json!({"level": "trace"});
        let program = Known::all(serde_json::from_value(program).unwrap());
        let new = cluster.check(&ctx, &Autonaming::Default, Some(&inputs), &program).await.unwrap();
        let changes: Vec<_> = cluster
            .diff(&inputs, Some(&state), &Known::all(new.clone()))
            .changes
            .iter()
            .map(|change| change.path.to_string())
            .collect();
        assert!(
            changes.iter().all(|path| path.starts_with("logging")) && changes.len() == 1,
            "{name}: {changes:?}"
        );
        let updated = cluster.update(&ctx, "apps/db", &inputs, Some(&state), &new).await.unwrap();
        assert_eq!(
            (&updated.password, &updated.uids, &updated.version),
            (&state.password, &state.uids, &state_version(&left)),
            "{name}"
        );
        for path in left.objects.keys() {
            let mut now = fake.at(path).unwrap();
            let mut before = there[path].clone();
            for object in [&mut now, &mut before] {
                object["spec"]["configuration"]["settings"]["logger/level"] = Value::Null;
                object["spec"]["taskID"] = Value::Null;
                object["metadata"] = json!({"labels": object["metadata"]["labels"],
                    "annotations": object["metadata"]["annotations"]});
            }
            assert_eq!(now, before, "{path} of {name}");
        }
        cluster.delete(&ctx, "apps/db", Some(&new), Some(&updated)).await.unwrap();
        assert_eq!(fake.paths(), Vec::<String>::new(), "{name}");
    }
}

/// The version that the first releases had in their inputs only.
fn state_version(left: &Left) -> String {
    left.state["version"].as_str().or(left.inputs["version"].as_str()).unwrap().to_owned()
}
