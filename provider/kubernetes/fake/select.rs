//! Which objects a list or a watch is about.

use serde_json::Value;

use super::Seen;
use super::kept::Kept;
use super::place::Place;

/// The objects of a collection that a request asks for.
#[derive(Debug, Clone)]
pub(super) struct Selection {
    place: Place,
    labels: String,
    fields: String,
}

impl Selection {
    pub(super) fn of(place: &Place, seen: &Seen) -> Self {
        let parameter = |name: &str| seen.parameter(name).unwrap_or_default();
        Self { place: place.clone(), labels: parameter("labelSelector"), fields: parameter("fieldSelector") }
    }

    pub(super) fn has(&self, object: &Kept) -> bool {
        let place = &object.place;
        let is_in = self.place.kind == place.kind
            && (self.place.namespace.is_none() || self.place.namespace == place.namespace);
        is_in
            && requirements(&self.labels).all(|one| labelled(object, one))
            && requirements(&self.fields).all(|one| filled(object, one))
    }
}

/// The requirements of a selector: what commas outside of parentheses separate.
fn requirements(selector: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0;
    let separates = move |c: char| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == ',' && depth == 0
    };
    selector.split(separates).map(str::trim).filter(|one| !one.is_empty())
}

fn labelled(object: &Value, requirement: &str) -> bool {
    let value = |key: &str| object["metadata"]["labels"][key.trim()].as_str();
    let among = |set: &str, value: &str| {
        set.trim().trim_matches(['(', ')']).split(',').any(|one| one.trim() == value)
    };
    if let Some((key, set)) = requirement.split_once(" notin ") {
        value(key).is_none_or(|value| !among(set, value))
    } else if let Some((key, set)) = requirement.split_once(" in ") {
        value(key).is_some_and(|value| among(set, value))
    } else if let Some((key, other)) = requirement.split_once("!=") {
        value(key) != Some(other.trim())
    } else if let Some((key, wanted)) = requirement.split_once('=') {
        value(key) == Some(wanted.trim_start_matches('=').trim())
    } else {
        requirement.strip_prefix('!').map_or_else(|| value(requirement).is_some(), |key| value(key).is_none())
    }
}

fn filled(object: &Value, requirement: &str) -> bool {
    let (field, wanted) = requirement.split_once('=').unwrap();
    object.pointer(&format!("/{}", field.replace('.', "/"))).and_then(Value::as_str)
        == Some(wanted.trim_start_matches('='))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selectors_are_those_of_the_api() {
        let object =
            json!({"metadata": {"name": "db", "labels": {"app": "chop", "chi": "db"}}, "type": "Warning"});
        let held = |selector: &str| requirements(selector).all(|one| labelled(&object, one));
        for selector in
            ["", "app=chop", "app==chop,chi in (a, db)", "chi notin (a,b)", "team!=a", "app,!team"]
        {
            assert!(held(selector), "{selector}");
        }
        for selector in ["app=other", "chi in (a,b)", "app=chop,chi notin (db)", "app!=chop", "team", "!app"]
        {
            assert!(!held(selector), "{selector}");
        }
        assert!(
            filled(&object, "metadata.name=db")
                && filled(&object, "type=Warning")
                && !filled(&object, "metadata.name=other")
        );
    }
}
