//! Configuration files out of a spec's "/"-separated settings, as the operator writes them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value};

/// The file of one section (`users`, `profiles`, `keeper_server/raft_configuration`…) out of its settings by
/// their paths; the name is empty where the settings are the file's own. `None` when there are none.
pub(super) fn section(name: &str, settings: &Map<String, Value>) -> Option<String> {
    if settings.is_empty() {
        return None;
    }
    let mut root = Element::default();
    for (path, value) in settings {
        let whole = name.split('/').filter(|part| !part.is_empty()).chain(path.split('/'));
        root.put(whole, value, &environment_name(name, path));
    }
    let mut text = String::from("<clickhouse>\n");
    root.write(&mut text, 1);
    text.push_str("</clickhouse>\n");
    Some(text)
}

/// The variable by which a setting's value from a Secret gets to a host.
pub(super) fn environment_name(section: &str, path: &str) -> String {
    let section = if section.is_empty() { "settings" } else { section };
    let word = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("configuration_{section}_{path}").chars().map(word).collect()
}

/// The files of a spec (`files`) that belong to `folder`, by their names in it. A name without a folder
/// belongs to `home`.
pub(super) fn files(files: &Value, home: &str, folder: &str) -> Map<String, Value> {
    let files = files.as_object().cloned().unwrap_or_default();
    let of_folder = files.into_iter().filter_map(|(path, content)| {
        let (place, file) = path.split_once('/').unwrap_or((home, &path));
        let place = match place {
            "{common}" => "config.d",
            "{users}" => "users.d",
            "{hosts}" => "conf.d",
            place => place,
        };
        (place == folder && content.is_string()).then(|| (file.to_owned(), content))
    });
    of_folder.collect()
}

#[derive(Default)]
struct Element {
    /// Attributes and text of each occurrence.
    values: Vec<(String, String)>,
    children: BTreeMap<String, Element>,
}

impl Element {
    fn put<'a>(&mut self, mut path: impl Iterator<Item = &'a str>, value: &Value, variable: &str) {
        match path.next() {
            Some(name) => self.children.entry(name.to_owned()).or_default().put(path, value, variable),
            None => match value {
                Value::Array(values) => {
                    self.values.extend(values.iter().map(|value| occurrence(value, variable)));
                }
                value => self.values.push(occurrence(value, variable)),
            },
        }
    }

    fn write(&self, out: &mut String, depth: usize) {
        let indent = "    ".repeat(depth);
        for (name, child) in &self.children {
            for (attributes, value) in &child.values {
                let _ = writeln!(out, "{indent}<{name}{attributes}>{value}</{name}>");
            }
            if !child.children.is_empty() {
                let _ = writeln!(out, "{indent}<{name}>");
                child.write(out, depth + 1);
                let _ = writeln!(out, "{indent}</{name}>");
            }
        }
    }
}

/// What takes an element of an earlier file away.
pub(super) const REMOVED: &str = "_removed_";

fn occurrence(value: &Value, variable: &str) -> (String, String) {
    match value {
        Value::String(text) if text == REMOVED => (" remove=\"1\"".to_owned(), String::new()),
        // 0.25.6 escapes nothing.
        Value::String(text) => (String::new(), text.clone()),
        Value::Object(_) => (format!(" from_env=\"{variable}\""), String::new()),
        value => (String::new(), value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn users(settings: &Value) -> Option<String> {
        section("users", settings.as_object().unwrap())
    }

    #[test]
    fn paths_become_nested_elements_and_lists_repeat() {
        let settings = json!({"default/networks/ip": ["::1", "10.0.0.0/8"],
            "default/password_sha256_hex": "ab", "default/password": REMOVED});
        let expected = "<clickhouse>\n    <users>\n        <default>\n            \
            <networks>\n                <ip>::1</ip>\n                <ip>10.0.0.0/8</ip>\n            \
                        </networks>\n            <password remove=\"1\"></password>\n            \
                        <password_sha256_hex>ab</password_sha256_hex>\n        \
                        </default>\n    </users>\n</clickhouse>\n";
        assert_eq!(users(&settings).unwrap(), expected);
        assert_eq!(users(&json!({})), None);
    }

    #[test]
    fn a_value_of_a_secret_comes_by_the_environment() {
        let settings =
            json!({"app/password": {"valueFrom": {"secretKeyRef": {"name": "logins", "key": "app"}}}});
        assert!(
            users(&settings)
                .unwrap()
                .contains("<password from_env=\"CONFIGURATION_USERS_APP_PASSWORD\"></password>")
        );
    }

    #[test]
    fn files_go_where_their_prefix_says() {
        let spec = json!({"a.xml": "1", "config.d/b.xml": "2", "{users}/c.xml": "3", "other/d.xml": "4"});
        assert_eq!(Value::Object(files(&spec, "config.d", "config.d")), json!({"a.xml": "1", "b.xml": "2"}));
        assert_eq!(Value::Object(files(&spec, "config.d", "users.d")), json!({"c.xml": "3"}));
        assert_eq!(Value::Object(files(&spec, "conf.d", "conf.d")), json!({"a.xml": "1"}));
    }
}
