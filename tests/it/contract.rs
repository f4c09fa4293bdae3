//! What a release has promised to programs is kept by the later ones.
//!
//! `contracts/<version>.txt` has a line for each input and output of a release. `RECORD=1` records those of
//! this one, or adds what is new; nothing goes from it again unless the version moves.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use clickhouse_provider::VERSION;
use semver::Version;
use serde_json::{Value, json};

/// What is said of each place: its type, and whether it must be given or is always there.
type Contract = BTreeMap<String, (String, bool)>;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn recorded(version: &str) -> PathBuf {
    root().join("tests/it/contracts").join(format!("{version}.txt"))
}

/// The name of a type: that of a reference without the package's part.
fn name(property: &Value) -> String {
    if let Some(types) = property["oneOf"].as_array() {
        return types.iter().map(name).collect::<Vec<_>>().join("|");
    }
    match (property["$ref"].as_str(), property["type"].as_str()) {
        (Some(reference), _) => reference.rsplit([':', '/']).next().unwrap_or_default().to_owned(),
        (None, Some("array")) => format!("[{}]", name(&property["items"])),
        (None, Some("object")) => format!("{{{}}}", name(&property["additionalProperties"])),
        (None, kind) => kind.unwrap_or("any").to_owned(),
    }
}

/// The types that a property leads to.
fn references(property: &Value) -> Vec<String> {
    let inner = [&property["items"], &property["additionalProperties"]];
    let types = property["oneOf"].as_array().into_iter().flatten();
    let own = property["$ref"].as_str().and_then(|reference| reference.strip_prefix("#/types/"));
    inner
        .into_iter()
        .filter(|value| value.is_object())
        .chain(types)
        .flat_map(references)
        .chain(own.map(str::to_owned))
        .collect()
}

fn note(schema: &Value, contract: &mut Contract, place: &str, properties: &Value, required: &Value) {
    let required: BTreeSet<_> = required.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (property, what) in properties.as_object().into_iter().flatten() {
        let entry = (name(what), required.contains(property.as_str()));
        contract.insert(format!("{place} {property}"), entry);
        for reference in references(what) {
            let side = place.split(' ').next().unwrap_or_default();
            let token = format!("{side} {reference}");
            let definition = &schema["types"][&reference];
            for value in definition["enum"].as_array().into_iter().flatten() {
                let value = value["value"].as_str().unwrap_or_default();
                contract.insert(format!("{token} {value}"), ("value".to_owned(), false));
            }
            if !contract.contains_key(&token) {
                contract.insert(token.clone(), ("type".to_owned(), false));
                note(schema, contract, &token, &definition["properties"], &definition["required"]);
            }
        }
    }
}

/// All that programs can give and get.
fn contract(schema: &Value) -> Contract {
    let mut contract = Contract::new();
    note(schema, &mut contract, "in config", &schema["config"]["variables"], &json!([]));
    for (token, resource) in schema["resources"].as_object().into_iter().flatten() {
        note(
            schema,
            &mut contract,
            &format!("in {token}"),
            &resource["inputProperties"],
            &resource["requiredInputs"],
        );
        note(schema, &mut contract, &format!("out {token}"), &resource["properties"], &resource["required"]);
    }
    for (token, function) in schema["functions"].as_object().into_iter().flatten() {
        for (side, part) in [("in", "inputs"), ("out", "outputs")] {
            let part = &function[part];
            note(schema, &mut contract, &format!("{side} {token}"), &part["properties"], &part["required"]);
        }
    }
    contract
}

fn written(contract: &Contract) -> String {
    let mut text = String::new();
    for (place, (kind, required)) in contract {
        writeln!(text, "{place}: {kind}{}", if *required { " required" } else { "" }).unwrap();
    }
    text
}

fn read(text: &str) -> Contract {
    let line = |line: &str| {
        let (place, kind) = line.rsplit_once(": ").unwrap();
        let kind_alone = kind.strip_suffix(" required");
        (place.to_owned(), (kind_alone.unwrap_or(kind).to_owned(), kind_alone.is_some()))
    };
    text.lines().map(line).collect()
}

/// What a program of `old` could rely on and can't any more.
fn broken(old: &Contract, new: &Contract) -> Vec<String> {
    let mut broken = Vec::new();
    for (place, (kind, was_required)) in old {
        let Some((now, is_required)) = new.get(place) else {
            broken.push(format!("{place} is gone"));
            continue;
        };
        if now != kind {
            broken.push(format!("{place} was {kind} and is {now}"));
        }
        if place.starts_with("in ") && *is_required && !was_required {
            broken.push(format!("{place} must be given now"));
        }
        if place.starts_with("out ") && *was_required && !is_required {
            broken.push(format!("{place} is not always there any more"));
        }
    }
    let owner = |place: &str| place.rsplit_once(' ').map(|(owner, _)| format!("{owner} "));
    for (place, (_, is_required)) in new {
        let is_old = owner(place).is_some_and(|owner| old.keys().any(|old| old.starts_with(&owner)));
        if place.starts_with("in ") && *is_required && !old.contains_key(place) && is_old {
            broken.push(format!("{place} is new and must be given"));
        }
    }
    broken
}

/// Whether version and changelog say that programs may have to change.
fn is_announced(old: &str, new: &str, changelog: &str) -> bool {
    let (from, to) = (Version::parse(old).unwrap(), Version::parse(new).unwrap());
    let moved = to.major > from.major || (from.major == 0 && to.major == 0 && to.minor > from.minor);
    let section = changelog.split("\n## ").find(|section| section.starts_with(&format!("{new},")));
    moved && section.is_some_and(|section| section.contains("Breaking"))
}

#[test]
fn what_earlier_releases_promised_is_kept_or_announced() {
    let now = contract(&clickhouse_provider::schema().unwrap());
    let own = recorded(VERSION);
    if std::env::var_os("RECORD").is_some() {
        // Nothing is unsaid: what is recorded of this version stays, and more may come.
        let promised = fs::read_to_string(&own).map(|text| read(&text)).unwrap_or_default();
        let broken = broken(&promised, &now);
        assert!(
            broken.is_empty(),
            "{VERSION} has promised otherwise: raise the version:\n{}",
            broken.join("\n")
        );
        fs::create_dir_all(own.parent().unwrap()).unwrap();
        fs::write(&own, written(&now)).unwrap();
    }
    let changelog = fs::read_to_string(root().join("CHANGELOG.md")).unwrap();
    let folder = fs::read_dir(own.parent().unwrap()).into_iter().flatten();
    for path in folder.map(|entry| entry.unwrap().path()) {
        let version = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let promised = read(&fs::read_to_string(&path).unwrap());
        if version == VERSION {
            assert!(promised == now, "{} is of another schema: record it with RECORD=1", path.display());
        }
        let broken = broken(&promised, &now);
        assert!(
            broken.is_empty() || is_announced(&version, VERSION, &changelog),
            "breaks programs of {version}: raise the version, and say so under Breaking in CHANGELOG.md:\n{}",
            broken.join("\n")
        );
    }
}

#[test]
fn what_breaks_a_program_is_found() {
    let schema = clickhouse_provider::schema().unwrap();
    let now = contract(&schema);
    assert_eq!(read(&written(&now)), now);
    assert!(now.len() > 300, "{}", now.len());
    assert_eq!(broken(&now, &now), Vec::<String>::new());
    let cluster = |change: &dyn Fn(&mut Value)| {
        let mut other = schema.clone();
        change(&mut other["resources"]["clickhouse:kubernetes:Cluster"]);
        broken(&now, &contract(&other))
    };
    let remove = |place: &'static str, name: &'static str| {
        cluster(&move |cluster| drop(cluster[place].as_object_mut().unwrap().remove(name)))
    };
    assert_eq!(remove("inputProperties", "shards"), ["in clickhouse:kubernetes:Cluster shards is gone"]);
    assert_eq!(
        remove("properties", "hosts").last().unwrap(),
        "out clickhouse:kubernetes:Cluster hosts is gone"
    );
    assert_eq!(
        cluster(&|cluster| cluster["inputProperties"]["shards"] = json!({"type": "string"})),
        ["in clickhouse:kubernetes:Cluster shards was integer and is string"]
    );
    assert_eq!(
        cluster(&|cluster| cluster["requiredInputs"] = json!(["shards"])),
        ["in clickhouse:kubernetes:Cluster shards must be given now"]
    );
    assert_eq!(
        cluster(&|cluster| {
            cluster["inputProperties"]["new"] = json!({"type": "string"});
            cluster["requiredInputs"] = json!(["new"]);
        }),
        ["in clickhouse:kubernetes:Cluster new is new and must be given"]
    );
    let optional = cluster(&|cluster| {
        cluster["required"].as_array_mut().unwrap().retain(|name| name != "uids");
    });
    assert_eq!(optional, ["out clickhouse:kubernetes:Cluster uids is not always there any more"]);
    let more = cluster(&|cluster| cluster["inputProperties"]["new"] = json!({"type": "string"}));
    assert_eq!(more, Vec::<String>::new());
}

#[test]
fn a_break_is_announced_by_version_and_changelog() {
    let changelog = "# Changelog\n\n## 0.2.0, unreleased\n\nBreaking: a thing.\n\n## 0.1.0, 2027-01-31\n";
    assert!(is_announced("0.1.0", "0.2.0", changelog));
    assert!(!is_announced("0.1.0", "0.1.1", changelog));
    assert!(!is_announced("0.1.0", "0.2.0", "## 0.2.0, unreleased\n\nNothing.\n"));
    assert!(is_announced("1.4.0", "2.0.0", "\n## 2.0.0, 2028-01-31\n\nBreaking: all.\n"));
    assert!(!is_announced("1.4.0", "1.5.0", "\n## 1.5.0, 2028-01-31\n\nBreaking: all.\n"));
}
