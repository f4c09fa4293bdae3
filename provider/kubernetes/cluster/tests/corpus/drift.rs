//! What people do by hand to an adopted installation: it is told, and the next update takes it back or says
//! why not.

use serde_json::{Value, json};

use super::compare::differences;
use super::life::{Adopted, Life, Outcome, program_of, same};
use super::model::is_yes;
use crate::kubernetes::fake::Manager;
use crate::property::{PropertyMap, PropertyValue};
use crate::resource::erased::Prior;

/// A password that is set by hand.
const PASSWORD: &str = "hush-by-hand";

/// What somebody does to the installation; `None` where it can't be done.
type Drift = fn(&mut Value) -> Option<()>;

/// What people do, some of it what no program may say.
pub(super) const DRIFTS: [(&str, Drift); 14] = [
    ("latest", |chi| image(chi, "clickhouse/clickhouse-server:latest")),
    ("image", |chi| image(chi, "clickhouse/clickhouse-server:24.1.1.1")),
    ("digest", |chi| image(chi, &format!("mirror.example/ch@sha256:{}", "ab".repeat(32)))),
    ("host name", |chi| {
        let users = chi["spec"].pointer_mut("/configuration/users")?.as_object_mut()?;
        *users.iter_mut().find(|(key, _)| key.ends_with("/networks/ip"))?.1 = json!(["bastion.example.com"]);
        Some(())
    }),
    ("replicas+", |chi| {
        chi["spec"].pointer_mut("/configuration/clusters/0")?["layout"]["replicasCount"] = json!(4);
        Some(())
    }),
    ("stop", |chi| {
        chi["spec"]["stop"] = json!(if is_yes(&chi["spec"]["stop"]) { "no" } else { "yes" });
        Some(())
    }),
    ("setting-", |chi| {
        let settings = chi["spec"].pointer_mut("/configuration/settings")?.as_object_mut()?;
        // What Pulumi can't carry is in no program.
        let is_said =
            |value: &Value| !value.is_null() && value.as_u64().is_none_or(|number| number < 1 << 53);
        let key = settings.iter().find(|(_, value)| is_said(value))?.0.clone();
        settings.remove(&key).map(|_| ())
    }),
    ("setting+", |chi| {
        chi["spec"]["configuration"]["settings"]["by_hand/limit"] = json!(7);
        Some(())
    }),
    ("user", |chi| {
        chi["spec"]["configuration"]["users"]["intruder/password"] = json!(PASSWORD);
        Some(())
    }),
    ("keeper", |chi| {
        chi["spec"]["configuration"]["zookeeper"] = json!({"nodes": [{"host": "by-hand.example"}]});
        Some(())
    }),
    ("memory", |chi| {
        container(chi)?["resources"]["limits"]["memory"] = json!("9Gi");
        Some(())
    }),
    ("size", |chi| {
        chi["spec"].pointer_mut("/templates/volumeClaimTemplates/0/spec")?["resources"]["requests"]["storage"] =
            json!("2Ti");
        Some(())
    }),
    ("cluster", |chi| {
        chi["spec"].pointer_mut("/configuration/clusters")?.as_array_mut()?.push(json!({"name": "by-hand"}));
        Some(())
    }),
    ("label", |chi| {
        let labels = chi["metadata"]["labels"].as_object_mut()?;
        // The operator's own, and the mark of whoever made it, are nobody's inputs.
        let is_said = |key: &&String| {
            !key.starts_with("clickhouse.altinity.com/") && *key != "app.kubernetes.io/managed-by"
        };
        let key = labels.keys().find(is_said)?.clone();
        labels.remove(&key).map(|_| ())
    }),
];

fn container(chi: &mut Value) -> Option<&mut Value> {
    chi["spec"].pointer_mut("/templates/podTemplates/0/spec/containers/0")
}

fn image(chi: &mut Value, image: &str) -> Option<()> {
    container(chi)?["image"] = json!(image);
    Some(())
}

/// Whether a refresh tells what somebody did by hand, also what no program may say, the next one tells no
/// more, and an update takes it back.
pub(super) async fn drift(adopted: &Adopted<'_>, drift: Drift) -> Outcome {
    let (old, mut life) = (&adopted.old, adopted.life());
    let program = program_of(&old.inputs);
    let before = life.installation();
    let mut edited = before.clone();
    if drift(&mut edited).is_none() || edited == before {
        return Outcome::Without;
    }
    let new = match life.check(&old.inputs, program.clone()).await {
        Ok(new) => new,
        Err(reason) => return Outcome::Wrong(reason),
    };
    life.credentials.push(PASSWORD.to_owned());
    life.fake.put_as(&edited, &Manager::new("kubectl-edit", false));
    let told = Box::pin(told(&mut life, &Prior { inputs: new, outputs: old.outputs.clone() }, program)).await;
    match told {
        Ok(Ok((found, new))) => Box::pin(taken_back(&mut life, &found, new, &before)).await,
        Ok(Err(reason)) => Outcome::Refused(reason),
        Err(wrong) => Outcome::Wrong(wrong),
    }
}

/// What a refresh finds, with the program as it is checked then; or why it is refused.
async fn told(
    life: &mut Life<'_>,
    old: &Prior,
    program: PropertyMap,
) -> Result<Result<(Prior, PropertyMap), String>, String> {
    let found = life.read(old).await?;
    life.told([&found.inputs, &found.outputs])?;
    if found.inputs == old.inputs {
        return Err("the refresh does not tell it".to_owned());
    }
    let again = life.read(&found).await?;
    same("inputs of a second refresh", &found.inputs, &again.inputs)?;
    // Whoever wants what was done by hand may have to say it in another way.
    match life.check(&found.inputs, program).await {
        Ok(new) if life.diff(&found, &new)?.0.is_empty() => {
            Err("the next preview does not take it back".to_owned())
        }
        Ok(new) => Ok(Ok((found, new))),
        Err(reason) => life.silent(&reason).map(|()| Err(reason)),
    }
}

async fn taken_back(life: &mut Life<'_>, found: &Prior, mut new: PropertyMap, before: &Value) -> Outcome {
    new.insert("skipAwait".to_owned(), PropertyValue::Bool(true));
    let ctx = life.context();
    let updated = life.resource.update(&ctx, &life.case.id(), found, &new, false).await;
    if let Err(failed) = updated {
        let reason = failed.reasons.join("; ");
        return life.silent(&reason).map_or_else(Outcome::Wrong, |()| Outcome::Refused(reason));
    }
    let after = life.installation();
    for part in ["spec", "metadata"] {
        let is_meant = |path: &[String]| {
            part == "spec" && path != ["taskID"] || path.first().is_some_and(|field| field == "labels")
        };
        if let Some((path, was, is)) =
            differences(&before[part], &after[part]).into_iter().find(|(path, _, _)| is_meant(path))
        {
            return Outcome::Wrong(format!("`up` leaves {part}.{}: {was:?} → {is:?}", path.join(".")));
        }
    }
    Outcome::Right
}
