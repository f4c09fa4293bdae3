//! Which parts of free-form inputs are credentials: users' passwords, files, keys and tokens, as far as their
//! places tell.

use serde_json::Value;

use super::{ClusterArgs, FreeForm};
use crate::property::path::PropertyPath;
use crate::resource::Paths;

/// Words in the name of a field, or of an environment variable, whose value is a credential.
const WORDS: [&str; 8] =
    ["password", "passwd", "secret", "token", "identity", "credential", "private_key", "access_key"];

/// The credentials in the free-form inputs of `args`.
pub(in super::super) fn credentials(args: &ClusterArgs) -> Paths {
    let mut found = Paths::new();
    let ClusterArgs { overrides, configuration, .. } = args;
    for (name, given) in [
        ("chiOverrides", &overrides.chi_overrides),
        ("chkOverrides", &overrides.chk_overrides),
        ("settings", &configuration.settings),
    ] {
        let root = PropertyPath::root().key(name);
        for (key, value) in given.iter().flat_map(FreeForm::iter) {
            look_into(key, "", value, &root.key(key), &mut found);
        }
    }
    let files = configuration.files.iter().flatten().filter(|(_, text)| text.is_string());
    found.extend(files.map(|(name, _)| PropertyPath::from("files").key(name)));
    found
}

/// Notes the credentials in `value`, which stands under `key` in something that stands under `above`.
fn look_into(key: &str, above: &str, value: &Value, path: &PropertyPath, found: &mut Paths) {
    match value {
        Value::Object(map) => {
            // A file holds what it likes.
            let is_file = key == "files";
            let env = map.get("name").and_then(Value::as_str).filter(|_| key == "env");
            for (below, value) in map {
                let path = path.key(below);
                let of_variable =
                    env.is_some_and(|name| below == "value" && says_credential(&name.to_lowercase()));
                if (is_file || of_variable) && value.is_string() {
                    found.insert(path);
                } else {
                    look_into(below, key, value, &path, found);
                }
            }
        }
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(index, item)| look_into(key, above, item, &path.index(index), found));
        }
        Value::String(_) | Value::Number(_) => {
            let field = key.rsplit('/').next().unwrap_or(key).to_lowercase();
            // `k8s_secret_…`, `secretName` and the like only name a Secret.
            let is_reference =
                field.starts_with("k8s_secret") || field.ends_with("name") || field.ends_with("ref");
            let is_value = field == "value" && above == "secret";
            if is_value || says_credential(&field) && !is_reference {
                found.insert(path.clone());
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}

/// Whether a name in lower case is one of a credential.
pub(super) fn says_credential(name: &str) -> bool {
    WORDS.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn credentials_are_found_by_their_places() {
        let overrides = json!({
            "configuration": {
                "users": {"a/password": "x", "a/password_sha256_hex": "y", "a/k8s_secret_password": "ns/s/k",
                    "a/profile": "p", "n/password": 7},
                "files": {"config.d/a.xml": "<a/>"},
                "settings": {"kafka/sasl_password": "z", "logger/level": "debug"},
                "clusters": [{"name": "c", "secret": {"value": "s"}, "zookeeper": {"identity": "u:p"}}],
            },
            "templates": {"podTemplates": [{"name": "p", "spec": {"containers": [{"name": "c", "env": [
                {"name": "AWS_SECRET_ACCESS_KEY", "value": "k"}, {"name": "TZ", "value": "UTC"},
                {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "s", "key": "password"}}},
            ]}], "volumes": [{"name": "v", "secret": {"secretName": "tls"}}]}}]},
        });
        let args: ClusterArgs = serde_json::from_value(json!({"chiOverrides": overrides,
            "settings": {"kafka/sasl_password": "z", "logger/size": "1", "s3/secret_access_key":
                {"secret": {"name": "s3", "key": "secret"}}},
            "files": {"a.xml": "<a/>", "b.xml": {"secret": {"name": "b"}}}}))
        .unwrap();
        let found: Vec<_> = credentials(&args).iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "chiOverrides.configuration.clusters[0].secret.value",
                "chiOverrides.configuration.clusters[0].zookeeper.identity",
                "chiOverrides.configuration.files[\"config.d/a.xml\"]",
                "chiOverrides.configuration.settings.kafka/sasl_password",
                "chiOverrides.configuration.users.a/password",
                "chiOverrides.configuration.users.a/password_sha256_hex",
                "chiOverrides.configuration.users.n/password",
                "chiOverrides.templates.podTemplates[0].spec.containers[0].env[0].value",
                "files[\"a.xml\"]",
                "settings.kafka/sasl_password",
            ]
        );
    }
}
