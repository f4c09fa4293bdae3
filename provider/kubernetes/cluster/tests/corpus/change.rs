//! One change of the program of an adopted installation: it does exactly what it means, or is refused with
//! the reason.

use serde_json::Value;

use super::compare::{differences, write};
use super::life::*;
use super::meaning::{self, Change, Meaning, Refusal};
use crate::property::PropertyValue;
use crate::property::json::strip_marks;
use crate::resource::erased::Prior;

/// One change of the program, alone.
pub(super) async fn change(adopted: &Adopted<'_>, change: Change) -> Outcome {
    let old = &adopted.old;
    let inputs = Value::Object(strip_marks(&old.inputs).json);
    let Some(meaning) = meaning::of(change, adopted.case.installation(), &inputs) else {
        return Outcome::Without;
    };
    for force in [false, true] {
        let mut life = adopted.life();
        match Box::pin(changed(&mut life, old, &meaning, force)).await {
            Ok(()) if meaning.refusal == Refusal::Needed => {
                return Outcome::Wrong("was not refused".to_owned());
            }
            Ok(()) if force => return Outcome::Forced,
            Ok(()) => return Outcome::Right,
            Err(Stop::Conflict) if !force => {}
            Err(Stop::Conflict) => {
                return Outcome::Wrong("a conflict in spite of `forceConflicts`".to_owned());
            }
            Err(Stop::Wrong(wrong)) => return Outcome::Wrong(wrong),
            Err(Stop::Refused(reason)) => {
                let names = |words: &[String]| words.iter().any(|word| reason.contains(word));
                return match meaning.refusal {
                    _ if life.silent(&reason).is_err() => {
                        Outcome::Wrong("the refusal tells a credential".to_owned())
                    }
                    _ if !meaning.names.iter().all(|words| names(words)) => {
                        Outcome::Wrong(format!("refused without naming both sides: {reason}"))
                    }
                    Refusal::Unneeded => Outcome::Unneeded(reason),
                    Refusal::Needed => Outcome::Right,
                    Refusal::Allowed => Outcome::Refused(reason),
                };
            }
        }
    }
    Outcome::Without
}

async fn changed(life: &mut Life<'_>, old: &Prior, meaning: &Meaning, force: bool) -> Result<(), Stop> {
    let (before, others) = (life.installation(), life.others());
    let keeper = life.keeper().map(|keeper| life.objects()[&keeper.path()]["spec"].clone());
    let mut program = program_of(&old.inputs);
    for (path, value) in &meaning.program {
        write(&mut program, path, value.as_ref());
    }
    for (name, is_set) in [("skipAwait", true), ("forceConflicts", force)] {
        if is_set {
            program.insert(name.to_owned(), PropertyValue::Bool(true));
        }
    }
    let new = life.check(&old.inputs, program.clone()).await.map_err(Stop::Refused)?;
    let (paths, replaces) = life.diff(old, &new)?;
    if paths.is_empty() || replaces {
        return Err(Stop::Wrong(if replaces {
            format!("replaces for {}", paths.join(", "))
        } else {
            "the change is no difference".to_owned()
        }));
    }
    let there = life.objects();
    for preview in [true, false] {
        let ctx = life.context();
        let updated = life.resource.update(&ctx, &life.case.id(), old, &new, preview).await;
        let outputs = match updated {
            Ok(outputs) => outputs,
            Err(failed) if failed.reasons.iter().any(|reason| reason.contains("forceConflicts")) => {
                return Err(Stop::Conflict);
            }
            Err(failed) if preview => return Err(Stop::Refused(failed.reasons.join("; "))),
            Err(failed) => {
                return Err(Stop::Wrong(format!(
                    "`up` fails where the preview passed: {}",
                    failed.reasons.join("; ")
                )));
            }
        };
        if preview {
            if life.objects() != there {
                return Err(Stop::Wrong("the preview writes".to_owned()));
            }
            continue;
        }
        let state = Prior { inputs: new.clone(), outputs };
        exact(&before, &life.installation(), meaning)?;
        if let (Some(place), Some(before)) = (life.keeper(), &keeper) {
            let after = &life.objects()[&place.path()]["spec"];
            if let Some((path, _, _)) =
                differences(before, after).into_iter().find(|(path, _, _)| path != &["taskID"])
            {
                return Err(Stop::Wrong(format!("the Keeper's {} changes, too", path.join("."))));
            }
        }
        if let Some((path, _)) =
            others.iter().find(|(path, object)| life.objects().get(*path) != Some(object))
        {
            return Err(Stop::Wrong(format!("touches {path}")));
        }
        life.told([&state.inputs, &state.outputs])?;
        life.password(&state)?;
        let again = life.read(&state).await?;
        same("refresh after the change: inputs", &state.inputs, &again.inputs)?;
        let next = life.check(&again.inputs, program.clone()).await?;
        let (paths, _) = life.diff(&again, &next)?;
        if !paths.is_empty() {
            return Err(Stop::Wrong(format!("the next preview is not empty: {}", paths.join(", "))));
        }
        destroyed(life, &state).await?;
    }
    Ok(())
}

/// Whether what changed is what the change means: the first thing that is not, what is asked of the operator
/// before what is marked.
pub(super) fn exact(before: &Value, after: &Value, meaning: &Meaning) -> Result<(), Stop> {
    let part = |object: &Value, name: &str| {
        let mut part = object[name].clone();
        if let Some(fields) = part.as_object_mut() {
            let is_meant = |key: &String| match name {
                "spec" => key != "taskID",
                _ => ["labels", "annotations", "finalizers", "ownerReferences"].contains(&key.as_str()),
            };
            fields.retain(|key, _| is_meant(key));
        }
        serde_json::json!({name: part})
    };
    let mut wrong = Vec::new();
    for name in ["spec", "metadata"] {
        for (path, was, is) in differences(&part(before, name), &part(after, name)) {
            if !meaning.fields.iter().any(|field| path.starts_with(field)) {
                let say = |value: Option<Value>| {
                    value.map_or_else(
                        || "nothing".to_owned(),
                        |value| value.to_string().chars().take(60).collect(),
                    )
                };
                wrong.push(format!("{} changes, too: {} → {}", path.join("."), say(was), say(is)));
            }
        }
        if name == "spec" && !(meaning.holds)(after) {
            wrong.push("the installation does not get it".to_owned());
        }
    }
    match wrong.as_slice() {
        [] => Ok(()),
        [first] => Err(Stop::Wrong(first.clone())),
        [first, more @ ..] => Err(Stop::Wrong(format!("{first} (and {} more)", more.len()))),
    }
}
