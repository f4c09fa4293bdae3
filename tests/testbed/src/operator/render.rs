//! The configuration files that the operator makes of a spec's "/"-separated settings.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value};

/// The file of one section (`users`, `profiles`, `settings`…); `None` when it is empty.
pub(super) fn section(name: &str, settings: &Value) -> Option<String> {
    let settings = settings.as_object().filter(|settings| !settings.is_empty())?;
    let mut root = Element::default();
    for (path, value) in settings {
        root.put(path.split('/'), value);
    }
    let mut text = String::from("<yandex>\n");
    if name == "settings" {
        root.write(&mut text, 1);
    } else {
        let mut outer = Element::default();
        outer.children.insert(name.to_owned(), root);
        outer.write(&mut text, 1);
    }
    text.push_str("</yandex>\n");
    Some(text)
}

/// The files of a spec (`files`), without the prefix of their folder, that belong to `folder`.
pub(super) fn files(files: &Value, folder: &str) -> Map<String, Value> {
    let files = files.as_object().cloned().unwrap_or_default();
    let of_folder = files.into_iter().filter_map(|(path, content)| {
        let (place, file) = path.split_once('/').unwrap_or(("config.d", &path));
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
    values: Vec<String>,
    children: BTreeMap<String, Element>,
}

impl Element {
    fn put<'a>(&mut self, mut path: impl Iterator<Item = &'a str>, value: &Value) {
        match path.next() {
            Some(name) => self.children.entry(name.to_owned()).or_default().put(path, value),
            None => match value {
                Value::Array(values) => self.values.extend(values.iter().map(text)),
                value => self.values.push(text(value)),
            },
        }
    }

    fn write(&self, out: &mut String, depth: usize) {
        let indent = "    ".repeat(depth);
        for (name, child) in &self.children {
            for value in &child.values {
                let _ = writeln!(out, "{indent}<{name}>{value}</{name}>");
            }
            if !child.children.is_empty() {
                let _ = writeln!(out, "{indent}<{name}>");
                child.write(out, depth + 1);
                let _ = writeln!(out, "{indent}</{name}>");
            }
        }
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"),
        // A value from a Secret comes by the environment.
        Value::Object(_) => String::new(),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_become_nested_elements_and_lists_repeat() {
        let users =
            json!({"default/networks/ip": ["::1", "10.0.0.0/8"], "default/password_sha256_hex": "ab"});
        let expected = "<yandex>\n    <users>\n        <default>\n            <networks>\n                \
            <ip>::1</ip>\n                <ip>10.0.0.0/8</ip>\n            \
                        </networks>\n            <password_sha256_hex>ab</password_sha256_hex>\n        \
                        </default>\n    </users>\n</yandex>\n";
        assert_eq!(section("users", &users).unwrap(), expected);
        assert_eq!(section("users", &json!({})), None);
    }

    #[test]
    fn files_go_where_their_prefix_says() {
        let spec = json!({"a.xml": "1", "config.d/b.xml": "2", "{users}/c.xml": "3", "other/d.xml": "4"});
        assert_eq!(Value::Object(files(&spec, "config.d")), json!({"a.xml": "1", "b.xml": "2"}));
        assert_eq!(Value::Object(files(&spec, "users.d")), json!({"c.xml": "3"}));
    }
}
