//! EFFECT: passwords that stand in Secrets of the user's own.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::{join_all, try_join_all};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::timeout;

use super::super::aspects::{ClusterArgs, Credential, ValidatedCluster};
use super::super::manifest::sha256_hex;
use super::super::validate;
use super::decode;
use crate::kubernetes::client::Api;
use crate::kubernetes::meta::{Kind, ObjectRef};
use crate::kubernetes::objects::fetch;
use crate::property::path::PropertyPath;
use crate::resource::{Failure, FailureKind, Known};

/// The input that names the administrator's Secret.
pub(super) const ADMIN: &str = "admin.existingSecret";
/// How long Check looks for changed passwords.
const GLANCE: Duration = Duration::from_secs(5);

/// The passwords of users that Secrets hold, as far as they can be read.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Found {
    /// The administrator's.
    pub(in super::super) admin: Option<SecretString>,
    /// What ClickHouse stores of those of users, by their names.
    pub(in super::super) users: BTreeMap<String, String>,
}

/// The input that names the Secret of a user.
fn input(user: &str) -> String {
    PropertyPath::from("users").key(user).key("passwordSecret").to_string()
}

/// The password under `key` of a Secret, which `input` names.
pub(super) async fn read<S>(
    api: &Api,
    cluster: &ValidatedCluster,
    secret: &str,
    key: &str,
    input: &str,
) -> Result<SecretString, Failure<S>> {
    let object = ObjectRef::new(Kind::Secret, &cluster.naming.namespace, secret);
    let found = fetch(api, &object).await.map_err(|error| error.to_failure())?;
    let password = found.as_ref().and_then(|found| decode(found, key)).filter(|text| !text.is_empty());
    password.map(SecretString::from).ok_or_else(|| {
        let what = if found.is_some() {
            format!("{object} has no key `{key}`")
        } else {
            format!("{object} does not exist")
        };
        Failure::new(FailureKind::Precondition, format!("{what}: create it, or correct `{input}`"))
    })
}

/// What ClickHouse stores of the users' passwords that Secrets hold, by the users' names.
pub(super) async fn hashes<S>(
    api: &Api,
    cluster: &ValidatedCluster,
) -> Result<BTreeMap<String, String>, Failure<S>> {
    let each = cluster.users.of_secrets().map(|(user, secret, key)| async move {
        let password = read::<S>(api, cluster, secret, key, &input(user)).await?;
        if password.expose_secret().ends_with('\n') {
            let reason = format!(
                "the password of `{user}` in Secret {secret} ends with a line break, which clients would \
                have to send, too: make the Secret without it (`echo -n`)"
            );
            return Err(Failure::new(FailureKind::Precondition, reason));
        }
        Ok::<_, Failure<S>>((user.to_owned(), sha256_hex(password.expose_secret())))
    });
    Ok(try_join_all(each).await?.into_iter().collect())
}

/// The passwords in the Secrets that the inputs of the last run name. Those that can't be read are left out.
pub(in super::super) async fn found(api: &Api, cluster: &ValidatedCluster) -> Found {
    let look = async |secret: &str, key: &str| read::<()>(api, cluster, secret, key, "").await.ok();
    let admin = match &cluster.access.credential {
        Credential::Existing { secret, key } => look(secret, key).await,
        _ => None,
    };
    let each = cluster.users.of_secrets().map(async |(user, secret, key)| {
        let password = look(secret, key).await?;
        Some((user.to_owned(), sha256_hex(password.expose_secret())))
    });
    Found { admin, users: join_all(each).await.into_iter().flatten().collect() }
}

/// The inputs that name Secrets whose passwords are others than those of the running cluster; none where that
/// can't be told soon. Where no input names one, nothing is asked.
pub(in super::super) async fn rotated(api: &Api, new: &Known<ClusterArgs>) -> Vec<String> {
    let cluster = validate::anyway(new);
    let admin = matches!(&cluster.access.credential, Credential::Existing { .. });
    if !new.unknown.is_empty() && (new.is_unknown(&"admin".into()) || new.is_unknown(&"users".into()))
        || !admin && cluster.users.of_secrets().next().is_none()
    {
        return Vec::new();
    }
    let installation = ObjectRef::new(Kind::Installation, &cluster.naming.namespace, &cluster.naming.name);
    let looked = async {
        let (live, found) = futures::join!(fetch(api, &installation), found(api, &cluster));
        Some((live.ok()??, found))
    };
    let Ok(Some((live, Found { admin, users }))) = timeout(GLANCE, looked).await else { return Vec::new() };
    let admin = admin.map(|password| {
        (ADMIN.to_owned(), cluster.access.username.clone(), sha256_hex(password.expose_secret()))
    });
    let users = users.into_iter().map(|(user, hash)| (input(&user), user, hash));
    let is_other = |user: &str, hash: &str| {
        let stored = &live["spec"]["configuration"]["users"][format!("{user}/password_sha256_hex")];
        stored.as_str().is_some_and(|stored: &str| stored != hash)
    };
    let all = admin.into_iter().chain(users);
    all.filter(|(_, user, hash)| is_other(user, hash)).map(|(input, ..)| input).collect()
}
