//! The administrator of an adopted installation: who it is, from where it may log in, and where its
//! password is.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde_json::{Map, Value, json};

use super::super::check::is_range;
use super::super::read::text;
use super::{DEFAULT_USER, NETWORKS};

/// Where an installation of somebody else's has a user's password.
#[derive(Clone)]
pub(in super::super::super) enum Source {
    /// In the installation itself, in clear text.
    Text(SecretString),
    /// In a Secret: its namespace, where that is not the installation's own, its name and the key.
    Secret(Option<String>, String, String),
}

impl Source {
    /// Where `spec` has the administrator's; `None` where it has none, or one that can't be read back.
    pub(in super::super::super) fn of(spec: &Value) -> Option<Self> {
        let users = &spec["configuration"]["users"];
        let field = |name: &str| &users[format!("{}/{name}", administrator(users))];
        // Of a hash nobody knows what it is of, and it counts more than a password.
        let is_hashed = ["", "k8s_secret_", "k8s_secret_env_"].into_iter().any(|form| {
            ["password_sha256_hex", "password_double_sha1_hex"]
                .into_iter()
                .any(|hash| !field(&format!("{form}{hash}")).is_null())
        });
        if is_hashed {
            return None;
        }
        let reference = &field("password")["valueFrom"]["secretKeyRef"];
        if let (Some(name), Some(key)) = (text(&reference["name"]), text(&reference["key"])) {
            return Some(Self::Secret(None, name, key));
        }
        let path = ["k8s_secret_password", "k8s_secret_env_password"]
            .into_iter()
            .find_map(|name| field(name).as_str());
        if let Some(path) = path {
            let parts: Vec<_> = path.split('/').map(str::to_owned).collect();
            return match parts.as_slice() {
                [namespace, name, key] => {
                    Some(Self::Secret(Some(namespace.clone()), name.clone(), key.clone()))
                }
                [name, key] => Some(Self::Secret(None, name.clone(), key.clone())),
                _ => None,
            };
        }
        let password = field("password");
        let password = text(password).or_else(|| password.as_number().map(ToString::to_string));
        password
            .filter(|password| !password.is_empty() && password != "_removed_")
            .map(|password| Self::Text(password.into()))
    }
}

/// The networks of the administrator, by the field's key, where they are not written as inputs write them.
pub(in super::super) fn odd_networks(users: &Value) -> BTreeMap<String, Value> {
    let key = format!("{}/{NETWORKS}", administrator(users));
    let written = users
        .get(&key)
        .filter(|written| addresses(written).is_none_or(|networks| json!(networks) != **written))
        .cloned();
    written.map(|written| (key, written)).into_iter().collect()
}

/// The addresses and ranges in a user's networks; `None` where there is anything else, as a host's name.
pub(in super::super) fn addresses(written: &Value) -> Option<Vec<String>> {
    let items = written.as_array().map_or_else(|| std::slice::from_ref(written), Vec::as_slice);
    let said =
        items.iter().filter(|item| !item.is_null()).map(|item| text(item).filter(|item| is_range(item)));
    said.collect::<Option<Vec<_>>>().filter(|networks| !networks.is_empty())
}

/// The user that may manage users, else ClickHouse's `default`. Of several it is `default`, or the one that
/// has its password.
pub(in super::super) fn administrator(users: &Value) -> String {
    let none = Map::new();
    let managers =
        || users.as_object().unwrap_or(&none).keys().filter_map(|key| key.strip_suffix("/access_management"));
    let hash = |user: &str| users.get(format!("{user}/password_sha256_hex"));
    let admin = managers()
        .find(|user| *user == DEFAULT_USER)
        .or_else(|| managers().find(|user| hash(user).is_some() && hash(user) == hash(DEFAULT_USER)))
        .or_else(|| managers().next());
    admin.unwrap_or(DEFAULT_USER).to_owned()
}
