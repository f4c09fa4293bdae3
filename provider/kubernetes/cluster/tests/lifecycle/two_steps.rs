//! A change of the image and of settings that only one of the two releases reads: no host is told to run
//! settings that its image can't read.

use std::time::Duration;

use tokio::time::sleep;

use super::awaited::{Fault, Served};
use super::*;
use crate::kubernetes::cluster::settings;
use crate::kubernetes::meta::{Kind, ObjectRef};

/// A program of this release whose profile has these settings.
fn of(release: &str, keys: &[&String]) -> Value {
    let mut profiles = json!({"web/max_threads": "4"});
    for key in keys {
        profiles[key.as_str()] = json!("1");
    }
    let (version, said) = (format!("{release}.1.1"), json!({"configuration": {"profiles": profiles}}));
    json!({"name": "db", "version": version, "chiOverrides": said})
}

/// The same in inputs of their own.
fn of_inputs(release: &str, keys: &[&String]) -> Value {
    let mut settings = json!({"max_threads": "4"});
    for key in keys {
        settings[key.strip_prefix("web/").unwrap()] = json!("1");
    }
    json!({"name": "db", "version": format!("{release}.1.1"), "profiles": {"web": {"settings": settings}}})
}

/// The tag of a host's image.
fn tag(spec: &Value) -> String {
    let image = spec["templates"]["podTemplates"][0]["spec"]["containers"][0]["image"].as_str().unwrap();
    image.rsplit(':').next().unwrap().to_owned()
}

/// The tasks of an operator as the host's release and how many settings it is told. Fails where it is told
/// what it, or the image before it, does not start with.
fn told(specs: &[Value]) -> Vec<(String, usize)> {
    let mut before = &specs[0];
    let mut told = Vec::new();
    for spec in specs {
        for image in [before, spec] {
            let mut host = spec.clone();
            host["templates"] = image["templates"].clone();
            let problems = settings::problems(&json!({"spec": host}));
            assert!(problems.is_empty(), "{problems:?}");
        }
        before = spec;
        let settings = spec["configuration"]["profiles"].as_object().unwrap().len();
        told.push((tag(spec).trim_end_matches(".1.1").to_owned(), settings));
    }
    told
}

fn steps(steps: &[(&String, usize)]) -> Vec<(String, usize)> {
    steps.iter().map(|(release, settings)| ((*release).clone(), *settings)).collect()
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_brings_the_image_first_and_a_downgrade_takes_the_settings_away_first() {
    let (old, new, newer) = settings::stages::tests::releases();
    for of in [of, of_inputs] {
        let up = Served::new(of(&old, &[])).await;
        up.update(&checked(of(&new, &[&newer]))).await.0.unwrap();
        let tasks = up.operator.specs();
        assert_eq!(told(&tasks), steps(&[(&old, 1), (&new, 1), (&new, 2)]));
        assert_ne!(tasks[1]["taskID"], tasks[2]["taskID"]);
    }

    // The operator writes the configuration of all hosts before it replaces the first: that is one step.
    let down = Served::new(of(&new, &[&newer])).await;
    down.update(&checked(of(&old, &[]))).await.0.unwrap();
    assert_eq!(told(&down.operator.specs()), steps(&[(&new, 2), (&old, 1)]));
}

#[tokio::test(start_paused = true)]
async fn what_is_interrupted_between_the_steps_is_gone_on_with() {
    let (old, new, newer) = settings::stages::tests::releases();
    let args = checked(of(&new, &[&newer]));
    for aborted in [true, false] {
        let served = Served::new(of(&old, &[])).await;
        let (ctx, _) = context();
        if aborted {
            served.operator.next(Fault::Aborted);
        } else {
            let (fake, cancel, new) = (served.fake.clone(), ctx.cancel.clone(), format!("{new}.1.1"));
            tokio::spawn(async move {
                while tag(&fake.at(CHI).unwrap()["spec"]) != new {
                    sleep(Duration::from_millis(100)).await;
                }
                cancel.cancel();
            });
        }
        let update = served.cluster.update(&ctx, "apps/db", &served.args, Some(&served.state), &args);
        let left = update.await.unwrap_err().partial.expect("the first step is written").state;
        sleep(Duration::from_secs(5)).await;
        assert_eq!(told(&served.operator.specs()), steps(&[(&old, 1), (&new, 1)]));
        served.cluster.update(&context().0, "apps/db", &args, Some(&left), &args).await.unwrap();
        // A host that has not got the image is brought it again; one that has is told the rest.
        let again: &[_] = if aborted { &[(&new, 1)] } else { &[] };
        let all = [&[(&old, 1), (&new, 1)], again, &[(&new, 2)]].concat();
        assert_eq!(told(&served.operator.specs()), steps(&all), "aborted {aborted}");
    }
}

/// An operator for a Keeper of one member.
fn start_keeper(fake: &Fake) {
    let fake = fake.clone();
    tokio::spawn(async move {
        loop {
            sleep(Duration::from_secs(1)).await;
            let Some(keeper) = fake.at(CHK) else { continue };
            let done = json!({"metadata": {"generation": keeper["metadata"]["generation"]}});
            let status = json!({"status": "Completed", "normalized": done, "normalizedCompleted": done});
            if keeper["status"] == status {
                continue;
            }
            let labels = json!({"clickhouse-keeper.altinity.com/app": "chop",
                "clickhouse-keeper.altinity.com/chk": "db"});
            let owner = json!([{"kind": "ClickHouseKeeperInstallation", "controller": true,
                "uid": keeper["metadata"]["uid"]}]);
            let member = json!({"metadata": {"labels": labels, "ownerReferences": owner},
                "spec": {"replicas": 1}, "status": {"observedGeneration": 9, "replicas": 1,
                    "readyReplicas": 1, "updatedReplicas": 1}});
            let name = format!("chk-db-{}-0-0", cluster_of(&keeper));
            fake.put_at(&ObjectRef::new(Kind::StatefulSet, "apps", name).path(), &member);
            fake.set_status(Kind::KeeperInstallation, "apps", "db", status);
        }
    });
}

fn cluster_of(keeper: &Value) -> &str {
    keeper["spec"]["configuration"]["clusters"][0]["name"].as_str().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_keeper_has_its_image_before_the_hosts_have_theirs() {
    let (old, new, newer) = settings::stages::tests::releases();
    let with_keeper = |mut program: Value| {
        merge(&mut program, &json!({"coordination": {"keeper": {"replicas": 1}}}));
        program
    };
    let (cluster, fake) = api();
    start_keeper(&fake);
    let served = Served::on(cluster, fake, with_keeper(of(&old, &[]))).await;
    let before = served.fake.requests().len();
    served.update(&checked(with_keeper(of(&new, &[&newer])))).await.0.unwrap();
    assert_eq!(told(&served.operator.specs()), steps(&[(&old, 1), (&new, 1), (&new, 2)]));
    let requests = served.fake.requests();
    let written = requests[before..].iter().filter(|seen| seen.method == Method::PATCH);
    let written: Vec<_> =
        written.map(|seen| seen.path.as_str()).filter(|path| [CHI, CHK].contains(path)).collect();
    assert_eq!(written, [CHK, CHI, CHI]);
}

#[tokio::test(start_paused = true)]
async fn without_a_wait_the_image_is_waited_for_all_the_same_and_a_preview_tells_the_steps() {
    let (old, new, newer) = settings::stages::tests::releases();
    let served = Served::new(of(&old, &[])).await;
    let mut program = of(&new, &[&newer]);
    merge(&mut program, &json!({"skipAwait": true}));
    let (args, (ctx, display)) = (checked(program), context());
    let known = Known::all(args.clone());
    let preview = served.cluster.preview_update(&ctx, "apps/db", &served.args, Some(&served.state), &known);
    preview.await.unwrap();
    let told_steps = format!("(`configuration.profiles.{newer}`)");
    assert!(display.infos().iter().any(|info| info.contains("two steps") && info.contains(&told_steps)));
    served.update(&args).await.0.unwrap();
    assert_eq!(told(&served.operator.specs()), steps(&[(&old, 1), (&new, 1)]));
    sleep(Duration::from_secs(2)).await;
    assert_eq!(told(&served.operator.specs()), steps(&[(&old, 1), (&new, 1), (&new, 2)]));
}
