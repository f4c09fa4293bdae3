//! The administrator's password: where it comes from, and that it is made only once; and the passwords of
//! users that Secrets hold.

mod referred;

use rand::{Rng, RngExt as _};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

pub(super) use self::referred::{Found, found, rotated};
use super::aspects::{Credential, PASSWORD_KEY, ValidatedCluster};
use super::manifest::{Login, PASSWORD_VERSION_ANNOTATION};
use super::shape::Shape;
use super::state::ClusterState;
use crate::entropy::draw;
use crate::kubernetes::client::Api;
use crate::resource::{Context, Failure};

/// Letters and digits only: nothing in it has to be escaped in a URL, in XML or in a shell.
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/// 32 of 62 characters are 190 bits.
const LENGTH: usize = 32;

/// What is known of the password before this call.
#[derive(Debug, Clone, Default)]
pub(super) struct Before {
    /// The password in Pulumi's state.
    pub(super) password: Option<SecretString>,
    /// Whether that one was made for the same `passwordVersion` as is asked for now.
    pub(super) same_version: bool,
    /// The Secret of ours as it is on the API server, where it was read.
    pub(super) secret: Option<Value>,
    /// Whether the administrator's password is set by `chiOverrides`, as in an adopted cluster.
    pub(super) overridden: bool,
}

/// The login that `cluster` is to have, and what its users' Secrets hold.
pub(super) async fn resolve<S>(
    api: &Api,
    ctx: &Context,
    cluster: &ValidatedCluster,
    before: Before,
) -> Result<Login, Failure<S>> {
    let users = referred::hashes(api, cluster).await?;
    let login = Login { users, ..of_administrator(api, cluster, before).await? };
    let is_odd = |password: &SecretString| password.expose_secret().ends_with('\n');
    if login.password.as_ref().is_some_and(is_odd) {
        ctx.report.warn(
            "the administrator's password ends with a line break, which clients have to send, too: make the \
            Secret without it (`echo -n`) unless that is wanted",
        );
    }
    Ok(login)
}

/// The administrator's login.
///
/// A generated password is taken from the state, or from the Secret when an interrupted run has made it
/// already; a new one is drawn only when there is none or another `passwordVersion` is asked for. Reads the
/// user's own Secret, where one is named.
async fn of_administrator<S>(
    api: &Api,
    cluster: &ValidatedCluster,
    before: Before,
) -> Result<Login, Failure<S>> {
    match &cluster.access.credential {
        Credential::Given(password) => Ok(of_password(Some(password.clone()))),
        Credential::Existing { secret, key } => {
            let password = referred::read(api, cluster, secret, key, referred::ADMIN).await?;
            Ok(of_password(Some(password)))
        }
        // What the state knows of it has been read where the installation points to.
        Credential::Foreign => Ok(of_password(before.password)),
        Credential::Generated { version } => {
            let stored = || {
                let secret = before.secret.as_ref()?;
                let made_for = secret["metadata"]["annotations"][PASSWORD_VERSION_ANNOTATION].as_str();
                (made_for == Some(version))
                    .then(|| decode(secret, PASSWORD_KEY))
                    .flatten()
                    .map(SecretString::from)
            };
            let known = before.password.clone().filter(|_| before.same_version).or_else(stored);
            if known.is_none() && before.overridden && before.password.is_none() {
                return Ok(Login::default());
            }
            let version = Some(version.clone());
            Ok(Login { version, ..of_password(Some(known.unwrap_or_else(generate))) })
        }
    }
}

/// Whether the users in `chiOverrides` give the administrator a credential of their own.
pub(super) fn is_overridden(cluster: &ValidatedCluster) -> bool {
    let says_something = |overrides: &Map<String, Value>| !overrides.is_empty();
    cluster.overrides.chi.as_object().is_some_and(says_something)
        && Shape::rendered(cluster).users.contains(&cluster.access.username)
}

/// The text under `key` of a Secret; `None` when there is none.
pub(super) fn decode(secret: &Value, key: &str) -> Option<String> {
    let bytes: k8s_openapi::ByteString = serde_json::from_value(secret["data"].get(key)?.clone()).ok()?;
    String::from_utf8(bytes.0).ok()
}

fn generate() -> SecretString {
    let character = |rng: &mut dyn Rng| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())]);
    draw(|rng| (0..LENGTH).map(|_| character(rng)).collect::<String>()).into()
}

/// The login as far as it is known without asking anybody.
pub(super) fn known(cluster: &ValidatedCluster, state: Option<&ClusterState>) -> Login {
    let password = || state.and_then(ClusterState::secret_password);
    match &cluster.access.credential {
        Credential::Given(password) => of_password(Some(password.clone())),
        Credential::Existing { .. } => Login::default(),
        Credential::Foreign => of_password(password()),
        Credential::Generated { version } => {
            Login { version: Some(version.clone()), ..of_password(password()) }
        }
    }
}

/// A login of which only the password is known.
pub(super) fn of_password(password: Option<SecretString>) -> Login {
    Login { password, ..Login::default() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_generated_password_is_long_plain_and_never_the_same() {
        let passwords: BTreeSet<_> = (0..50).map(|_| generate().expose_secret().to_owned()).collect();
        assert_eq!(passwords.len(), 50);
        assert!(
            passwords
                .iter()
                .all(|password| password.len() == 32 && password.chars().all(|c| c.is_ascii_alphanumeric()))
        );
    }

    #[test]
    fn a_secrets_text_is_decoded() {
        let secret = serde_json::json!({"data": {"password": "cMOkc3M=", "odd": "/w=="}});
        assert_eq!(decode(&secret, "password").as_deref(), Some("päss"));
        assert_eq!((decode(&secret, "odd"), decode(&secret, "none")), (None, None));
    }
}
