//! Which credentials an installation holds, and which of its administrator's passwords can be known.

use serde_json::Value;

use super::installation::Case;
use crate::kubernetes::cluster::login::decode;
use crate::kubernetes::meta::is_marked;
use crate::property::{PropertyMap, PropertyValue};

/// Every credential of an installation and of what stands beside it: no bag of properties may have it
/// unmarked, and no text at all.
pub(super) fn of(case: &Case) -> Vec<String> {
    let mut found = Vec::new();
    for object in &case.objects {
        collect("", object, &mut found);
    }
    let users = case.installation()["spec"]["configuration"]["users"].as_object();
    for (key, value) in users.into_iter().flatten() {
        if key.rsplit('/').next().is_some_and(|last| last.starts_with("password"))
            && !value.is_object()
            && !value.is_null()
            && value != "_removed_"
        {
            found.push(text(value));
        }
    }
    found.sort();
    // A word that stands elsewhere, too, tells nothing where it is found.
    let text = serde_json::to_string(&case.objects).unwrap();
    let is_telling = |credential: &String| {
        text.matches(credential.as_str()).count() <= found.iter().filter(|other| *other == credential).count()
    };
    let mut telling: Vec<_> = found.iter().filter(|credential| is_telling(credential)).cloned().collect();
    telling.dedup();
    telling
}

fn collect(key: &str, value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) if key == "stringData" => {
            found.extend(map.values().filter(|value| is_long(value)).map(text))
        }
        Value::Object(map) => map.iter().for_each(|(key, value)| collect(key, value, found)),
        Value::Array(items) => items.iter().for_each(|item| collect(key, item, found)),
        Value::String(text) => found.extend(
            text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
                .filter(|word| word.starts_with("hush-"))
                .map(str::to_owned),
        ),
        _ => {}
    }
}

/// A name in a Secret is no credential.
fn is_long(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.contains("hush") || text.len() >= 40)
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The first credential that stands unmarked in a bag, and where.
pub(super) fn unmarked(bag: &PropertyMap, credentials: &[String]) -> Option<String> {
    bag.iter().find_map(|(key, value)| told(key, value, credentials))
}

fn told(at: &str, value: &PropertyValue, credentials: &[String]) -> Option<String> {
    let is_one = |text: &str| credentials.iter().any(|credential| text.contains(credential.as_str()));
    match value {
        PropertyValue::String(text) if is_one(text) => Some(at.to_owned()),
        PropertyValue::Number(number) if credentials.contains(&number.to_string()) => Some(at.to_owned()),
        PropertyValue::List(items) => items
            .iter()
            .enumerate()
            .find_map(|(index, item)| told(&format!("{at}[{index}]"), item, credentials)),
        PropertyValue::Map(map) => {
            map.iter().find_map(|(key, value)| told(&format!("{at}.{key}"), value, credentials))
        }
        _ => None,
    }
}

/// The password of `user`, where the installation or a Secret that it names tells it. Of a hash nobody knows
/// what it is of, and it counts more than a password.
pub(super) fn password(case: &Case, user: &str) -> Option<String> {
    if let Some(ours) = case.objects.iter().find(|object| object["kind"] == "Secret" && is_marked(object)) {
        return decode(ours, "password");
    }
    let users = &case.installation()["spec"]["configuration"]["users"];
    let own = |field: &str| users.get(format!("{user}/{field}"));
    let forms = ["", "k8s_secret_", "k8s_secret_env_"];
    let hashes = ["password_sha256_hex", "password_double_sha1_hex"];
    if forms.iter().any(|form| hashes.iter().any(|hash| own(&format!("{form}{hash}")).is_some())) {
        return None;
    }
    if let Some(place) = own("k8s_secret_password").or_else(|| own("k8s_secret_env_password")) {
        let mut parts = place.as_str()?.rsplit('/');
        let (key, name) = (parts.next()?, parts.next()?);
        return case.secret(name, key);
    }
    let password = own("password").filter(|password| !password.is_null())?;
    match &password["valueFrom"]["secretKeyRef"] {
        Value::Object(reference) => case.secret(reference["name"].as_str()?, reference["key"].as_str()?),
        _ => Some(text(password)).filter(|password| password != "_removed_" && !password.is_empty()),
    }
}
