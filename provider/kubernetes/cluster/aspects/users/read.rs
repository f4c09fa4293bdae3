//! Reading users back: those that inputs can say in the very words that are there.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::access::administrator;
use super::super::profiles::{self, ProfileArgs};
use super::super::roles::grant_problem;
use super::super::sections::{is_element, strings};
use super::{
    CERTIFICATES, DATABASES, DEFAULT_USER, GRANTS, HASH, Live, MANAGES, OPERATOR, PROFILE, QUOTA, UserArgs,
    granted, is_hash, networks,
};

/// The users of a cluster of this provider's, besides the administrator. One whose credential is of another
/// kind is left to the overrides as a whole.
pub(super) fn all(live: &Live) -> BTreeMap<String, UserArgs> {
    let admin = administrator(&live.spec()["configuration"]["users"]);
    let profiles = live.elements("profiles");
    let others = |name: &String| ![DEFAULT_USER, OPERATOR, admin.as_str()].contains(&name.as_str());
    let users = live.elements("users").into_iter().filter(|(name, _)| others(name));
    users.filter_map(|(name, fields)| user(&name, &fields, &profiles).map(|user| (name, user))).collect()
}

/// The users that have settings of their own.
pub(in super::super) fn with_settings(live: &Live) -> Vec<String> {
    all(live).into_iter().filter(|(_, user)| user.settings.is_some()).map(|(name, _)| name).collect()
}

fn user(
    name: &str,
    fields: &BTreeMap<String, Value>,
    profiles: &BTreeMap<String, BTreeMap<String, Value>>,
) -> Option<UserArgs> {
    let text = |field: &str| fields.get(field).and_then(Value::as_str);
    let list = |field: &str| {
        let plain = |text: &String| !text.contains(['&', '<', '>']);
        fields.get(field).and_then(strings).filter(|texts| texts.iter().all(plain))
    };
    let password_sha256 = text(HASH).filter(|hash| is_hash(hash)).map(str::to_owned);
    let certificates = list(CERTIFICATES);
    let is_other = |field: &String| {
        let is_credential =
            ["password", "ssl_", "ssh_", "ldap", "kerberos", "http_auth", "no_password", "auth"]
                .into_iter()
                .any(|start| field.starts_with(start));
        is_credential && field != HASH && field != CERTIFICATES
    };
    if password_sha256.is_some() == certificates.is_some() || fields.keys().any(is_other) {
        return None;
    }
    let (roles, grants) = list(GRANTS).map(|statements| split(&statements)).unwrap_or_default();
    let is_limited = !roles.is_empty() || !grants.is_empty();
    let mut found = UserArgs {
        password_sha256,
        certificates,
        networks: networks::read(|field| fields.get(field)),
        profile: text(PROFILE).map(str::to_owned),
        quota: text(QUOTA).map(str::to_owned),
        roles: (!roles.is_empty()).then_some(roles),
        grants: (!grants.is_empty()).then_some(grants),
        databases: list(DATABASES).filter(|_| !is_limited),
        access_management: text(MANAGES).filter(|value| *value == "1" && !is_limited).map(|_| true),
        ..UserArgs::default()
    };
    let own = profiles::of_user(name);
    if let Some(fields) = profiles.get(&own).filter(|_| found.profile.as_ref() == Some(&own)) {
        let ProfileArgs { settings, constraints, inherits } = ProfileArgs::read(fields);
        let said = settings.as_ref().map_or(0, BTreeMap::len) + usize::from(inherits.is_some());
        if settings.is_some() && constraints.is_none() && said == fields.len() {
            (found.settings, found.profile) = (settings, inherits);
        }
    }
    Some(found)
}

/// The roles that come first among statements, and the others.
fn split(statements: &[String]) -> (Vec<String>, Vec<String>) {
    let role = |statement: &String| {
        let name = statement.strip_prefix("GRANT ")?.trim_matches('`');
        (is_element(name) && granted(name) == *statement).then(|| name.to_owned())
    };
    let roles: Vec<String> = statements.iter().map_while(role).collect();
    let grants: Vec<String> = statements[roles.len()..].to_vec();
    if grants.iter().all(|grant| grant_problem(grant).is_none()) {
        (roles, grants)
    } else {
        (Vec::new(), Vec::new())
    }
}
