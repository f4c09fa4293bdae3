//! Random programs of every input, as the provider's own tests have them: the API server takes what they
//! render, by the operator's definitions in force and by newer ones.

use std::path::Path;
use std::process::Command;

use fake_engine::{Client, FakeEngine, Plugin, pb, properties, strings};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Map, Value, json};
use testbed::{Namespace, Testbed, cargo, needs};

use self::values::VALUES;
use crate::support::newer;

#[path = "../../provider/kubernetes/cluster/tests/roundtrip/values.rs"]
#[expect(dead_code, reason = "the provider's own test has more use for it")]
mod values;

const URN: &str = "urn:pulumi:test::test::clickhouse:kubernetes:Cluster::db";
/// How many programs each API server is to take.
const PROGRAMS: usize = 60;
/// Where a program is, and what it takes for given.
const GIVEN: [&str; 2] = ["namespace", "createNamespace"];

fn set(program: &mut Value, path: &str, value: Value) {
    *path.split('.').fold(program, |parent, key| &mut parent[key]) = value;
}

/// A program of some of the inputs, as far as there are those that `known` lets through.
fn random(random: &mut StdRng, namespace: &str, known: impl Fn(&str) -> bool) -> Value {
    let mut program = json!({"name": "db", "namespace": namespace});
    for (path, values) in VALUES.iter().filter(|(path, _)| !GIVEN.contains(path) && known(path)) {
        let values: Vec<Value> = serde_json::from_str(values).unwrap();
        if random.random_bool(0.2) {
            set(&mut program, path, values[random.random_range(0..values.len())].clone());
        }
    }
    program
}

/// Takes out what stands at the path of a failure, or the nearest that is there above it; `false` where
/// nothing is.
fn leave_out(program: &mut Value, path: &str) -> bool {
    let keys: Vec<_> = path.split(['.', '[', ']', '"']).filter(|key| !key.is_empty()).collect();
    for length in (1..=keys.len()).rev() {
        let parent = keys[..length - 1].iter().try_fold(&mut *program, |parent, key| parent.get_mut(*key));
        if parent.and_then(|parent| parent.as_object_mut()?.remove(keys[length - 1])).is_some() {
            return true;
        }
    }
    false
}

/// Asks the plugin what is wrong with a program until nothing is, and has it try the rest; `None` where
/// something is missing that a random program doesn't find.
async fn taken(client: &mut Client, mut program: Value) -> Result<Option<Value>, String> {
    loop {
        let news = Some(properties(&program));
        let check =
            pb::CheckRequest { urn: URN.into(), news, random_seed: vec![1; 32], ..Default::default() };
        let checked = client.check(check).await.unwrap().into_inner();
        let Some(failure) = checked.failures.first() else {
            let create = pb::CreateRequest {
                urn: URN.into(),
                properties: checked.inputs,
                preview: true,
                ..Default::default()
            };
            let tried = client.create(create).await;
            return tried
                .map(|_| Some(program.clone()))
                .map_err(|status| format!("{}: {program}", status.message()));
        };
        // What is not there is named by the reason.
        let named = failure.reason.split('`').nth(1).filter(|_| failure.property.is_empty());
        if !leave_out(&mut program, named.unwrap_or(&failure.property)) {
            return Ok(None);
        }
    }
}

/// Tries the programs on an API server.
async fn all_are_taken(kubeconfig: &Path, namespace: &Namespace, known: impl Fn(&str) -> bool) {
    let plugin = Plugin::start(&mut Command::new(cargo::plugin().unwrap())).unwrap();
    let mut client = plugin.client().await.unwrap();
    let mut engine = FakeEngine::start().await.unwrap();
    let handshake =
        pb::ProviderHandshakeRequest { engine_address: engine.address.clone(), ..Default::default() };
    client.handshake(handshake).await.unwrap();
    let args = Some(strings([("kubeconfig", kubeconfig.to_str().unwrap())]));
    client.configure(pb::ConfigureRequest { args, ..Default::default() }).await.unwrap();

    let mut seed = StdRng::seed_from_u64(10);
    let (mut tried, mut inputs, mut refused) = (0, 0, Vec::new());
    for _ in 0..PROGRAMS {
        match taken(&mut client, random(&mut seed, namespace.name(), &known)).await {
            Ok(Some(program)) => {
                tried += 1;
                inputs += program.as_object().map_or(0, Map::len);
            }
            Ok(None) => {}
            Err(reason) => refused.push(reason),
        }
    }
    assert!(refused.is_empty(), "{} of {PROGRAMS} are refused:\n{}", refused.len(), refused.join("\n"));
    assert!(tried > PROGRAMS * 3 / 4 && inputs > 10 * tried, "{tried} programs, {inputs} inputs are few");
    let unknown = json!({"name": "db", "namespace": namespace.name(), "chiOverrides": {"unknownField": 1}});
    let reason = taken(&mut client, unknown).await.unwrap_err();
    assert!(reason.contains("unknownField"), "{reason}");
    while let Some(entry) = engine.next_at_once() {
        assert!(!entry.message.contains("dry run skipped"), "{}", entry.message);
    }
}

#[tokio::test]
async fn the_definitions_in_force_take_random_programs_of_every_input() {
    needs!(Definitions);
    let testbed = Testbed::shared().await;
    let namespace = testbed.namespace().await.unwrap();
    // These are of 0.27.1.
    let is_known = |path: &str| !path.starts_with("hooks") && path != "tls.keeper";
    all_are_taken(testbed.kubeconfig(), &namespace, is_known).await;
}

#[tokio::test]
async fn newer_definitions_take_random_programs_of_every_input() {
    needs!(ControlPlanes);
    let Some(newer) = newer().await else { return };
    let namespace = newer.namespace("inputs").await.unwrap();
    all_are_taken(&newer.kubeconfig(), &namespace, |_| true).await;
}
