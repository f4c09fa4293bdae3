//! What an installation says of its users. Pure.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// The users with a credential of any kind.
pub(super) fn credentialed(users: &Value) -> BTreeSet<String> {
    const CREDENTIALS: [&str; 8] = [
        "password",
        "k8s_secret_password",
        "k8s_secret_env_password",
        "ssl_certificates",
        "ssh_keys",
        "ldap",
        "kerberos",
        "http_authentication",
    ];
    let entries = users.as_object().into_iter().flatten().filter(|(_, value)| *value != "_removed_");
    entries
        .filter_map(|(key, _)| key.split_once('/'))
        .filter(|(_, field)| CREDENTIALS.iter().any(|credential| field.starts_with(credential)))
        .map(|(user, _)| user.to_owned())
        .collect()
}

/// The settings of users that newer operators refuse an installation for.
pub(super) fn removed_syntax(users: &Value) -> BTreeSet<String> {
    let is_removed =
        |key: &&String| key.split_once('/').is_some_and(|(_, field)| field.starts_with("k8s_secret_"));
    users.as_object().into_iter().flat_map(Map::keys).filter(is_removed).cloned().collect()
}
