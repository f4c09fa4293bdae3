//! Users besides the administrator.

mod read;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

pub(super) use self::read::with_settings;
use super::access::{DEFAULT_USER, OPERATOR, networks};
use super::{
    Aspect, Checker, ClusterArgs, Drafts, FreeForm, Live, NoDefaults, PASSWORD_KEY, SecretKey,
    ValidatedCluster, profiles, quotas,
};
use crate::kubernetes::cluster::manifest::sha256_hex;
use crate::property::path::PropertyPath;

/// How many digits the hash of a password has.
const DIGITS: usize = 64;
/// The fields of a user in the installation.
const HASH: &str = "password_sha256_hex";
const CERTIFICATES: &str = "ssl_certificates/common_name";
const PROFILE: &str = "profile";
const QUOTA: &str = "quota";
const MANAGES: &str = "access_management";
const DATABASES: &str = "allow_databases/database";
const GRANTS: &str = "grants/query";

/// A user besides the administrator. Exactly one credential is given: `password`, `passwordSha256`,
/// `passwordSecret` or `certificates`.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterUser")]
pub struct UserArgs {
    /// The password. Only its hash is stored in the installation.
    #[schemars(extend("secret" = true))]
    pub password: Option<String>,
    /// The SHA-256 of the password, 64 hex digits.
    #[schemars(extend("secret" = true))]
    pub password_sha256: Option<String>,
    /// An existing Secret with the password, in the cluster's namespace. A changed password in it is taken
    /// over by the next `pulumi up`.
    pub password_secret: Option<SecretKey>,
    /// The common names of the client certificates by which the user logs in, over TLS.
    pub certificates: Option<Vec<String>>,
    /// The networks that the user may log in from, as in `admin.networks`. Default: the same as the
    /// administrator's.
    pub networks: Option<Vec<String>>,
    /// The settings profile: one of `profiles`, `default` or `readonly`. Default: `default`.
    pub profile: Option<String>,
    /// The quota: one of `quotas`, or `default`. Default: `default`, which only counts.
    pub quota: Option<String>,
    /// The roles, of `roles`. With roles or grants the user has no other privileges.
    pub roles: Option<Vec<String>>,
    /// The privileges, as statements without `TO`, for example `GRANT SELECT ON shop.*`. Default: all, if
    /// there are no `roles` either.
    pub grants: Option<Vec<String>>,
    /// The only databases that the user may use, besides `system`. Default: all. Not beside `roles` or
    /// `grants`.
    pub databases: Option<Vec<String>>,
    /// Whether the user may manage users, roles and the like by SQL. Default: false. Not beside `roles` or
    /// `grants`.
    pub access_management: Option<bool>,
    /// Settings of this user alone, by their names, on top of the profile's.
    pub settings: Option<FreeForm>,
}

/// Users, by name.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Users(BTreeMap<String, User>);

#[derive(Debug, Clone)]
struct User {
    credential: Credential,
    networks: Option<Vec<String>>,
    profile: Option<String>,
    quota: Option<String>,
    /// The statements for roles and for privileges.
    grants: Vec<String>,
    databases: Vec<String>,
    access_management: bool,
    settings: FreeForm,
}

/// How a user proves who it is.
#[derive(Clone)]
enum Credential {
    /// By a password that the program gives.
    Password(SecretString),
    /// By the password that has this hash.
    Hash(String),
    /// By the password in a Secret.
    Secret { secret: String, key: String },
    /// By certificates with these common names.
    Certificates(Vec<String>),
    /// Not known; nothing is built of it.
    None,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Password(_) => "Password",
            Self::Hash(_) => "Hash",
            Self::Secret { .. } => "Secret",
            Self::Certificates(_) => "Certificates",
            Self::None => "None",
        })
    }
}

impl Aspect for Users {
    type Args = Option<BTreeMap<String, UserArgs>>;
    type Defaults = NoDefaults;

    fn complete(_args: &mut ClusterArgs, _had_keeper: bool) {}

    fn check(check: &mut Checker<'_>) -> Self {
        let given = check.args().users.clone().unwrap_or_default();
        let known = Known::of(check.args());
        let each = given.into_iter().map(|(name, user)| {
            let path = PropertyPath::from("users").key(&name);
            check_name(check, &path, &name);
            let user = user.check(check, &path, &name, &known);
            (name, user)
        });
        Self(each.collect())
    }

    fn render(&self, cluster: &ValidatedCluster, drafts: &mut Drafts) {
        for (name, user) in &self.0 {
            user.render(name, cluster, drafts);
        }
    }

    fn read(live: &Live) -> Option<BTreeMap<String, UserArgs>> {
        let found = read::all(live);
        (!found.is_empty()).then_some(found)
    }
}

impl Users {
    /// Whether a user has settings of its own.
    pub(super) fn says_settings(&self) -> bool {
        self.0.values().any(|user| !user.settings.is_empty())
    }

    /// The users whose passwords Secrets hold, each with the name of the Secret and the key in it.
    pub(in super::super) fn of_secrets(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.0.iter().filter_map(|(name, user)| match &user.credential {
            Credential::Secret { secret, key } => Some((name.as_str(), secret.as_str(), key.as_str())),
            _ => None,
        })
    }
}

/// The names that users may refer to.
struct Known {
    profiles: BTreeSet<String>,
    quotas: BTreeSet<String>,
    roles: BTreeSet<String>,
}

impl Known {
    fn of(args: &ClusterArgs) -> Self {
        Self {
            profiles: profiles::names(args),
            quotas: quotas::names(args),
            roles: args.roles.iter().flat_map(BTreeMap::keys).cloned().collect(),
        }
    }
}

fn check_name(check: &mut Checker<'_>, path: &PropertyPath, name: &str) {
    let admin = check.args().access.admin.as_ref().and_then(|admin| admin.username.as_deref());
    let reason = if name == OPERATOR {
        "is the operator's own user: choose another name"
    } else if admin.unwrap_or(DEFAULT_USER) == name {
        "is the administrator: say it in `admin`, or choose another name"
    } else if name == DEFAULT_USER {
        "has the administrator's password, lest anybody gets in without one: choose another name"
    } else {
        return check.element(path, name);
    };
    check.fail_certainly(path.clone(), reason);
}

impl UserArgs {
    fn check(self, check: &mut Checker<'_>, path: &PropertyPath, name: &str, known: &Known) -> User {
        let credential = self.credential(check, path);
        let Self { networks, profile, quota, roles, grants, databases, access_management, settings, .. } =
            self;
        if let Some(networks) = &networks {
            check.networks(&path.key("networks"), networks);
        }
        if let Some(profile) = &profile {
            check.is_there(&path.key("profile"), "profile", profile, &known.profiles);
        }
        if let Some(quota) = &quota {
            check.is_there(&path.key("quota"), "quota", quota, &known.quotas);
        }
        for (index, role) in roles.iter().flatten().enumerate() {
            let path = path.key("roles").index(index);
            check.element(&path, role);
            check.is_there(&path, "role", role, &known.roles);
        }
        for (input, list) in [("roles", &roles), ("grants", &grants), ("databases", &databases)] {
            if list.as_ref().is_some_and(Vec::is_empty) {
                let reason =
                    "must name at least one: without any the user is not limited; leave it out for that";
                check.fail_at(path.key(input), reason);
            }
        }
        let is_limited = roles.is_some() || grants.is_some();
        let beside =
            [("databases", databases.is_some()), ("accessManagement", access_management == Some(true))];
        for (input, _) in beside.into_iter().filter(|(_, is_given)| is_limited && *is_given) {
            let reason = "ClickHouse does not start with it beside `roles` or `grants`: say it in `grants`";
            check.fail_newly(path.key(input), reason);
        }
        let (of_grants, of_databases) = (path.key("grants"), path.key("databases"));
        check.grants(&of_grants, grants.as_deref().unwrap_or_default());
        let texts = [(of_grants, &grants), (of_databases, &databases)];
        for (path, texts) in texts {
            for (index, text) in texts.iter().flatten().enumerate() {
                check.plain(&path.index(index), text);
            }
        }
        profiles::check_settings(check, &path.key("settings"), settings.as_ref());
        let own = profiles::of_user(name);
        let settings = settings.unwrap_or_default();
        if !settings.is_empty() && known.profiles.contains(&own) {
            let reason = format!("stand in a profile `{own}`, which `profiles` has, too: rename that one");
            check.fail_newly(path.key("settings"), reason);
        }
        let of_roles = roles.iter().flatten().map(|role| granted(role));
        User {
            credential,
            networks,
            profile,
            quota,
            grants: of_roles.chain(grants.into_iter().flatten()).collect(),
            databases: databases.unwrap_or_default(),
            access_management: access_management.unwrap_or_default(),
            settings,
        }
    }

    /// The only credential; what is wrong with it, or that there is none, is refused.
    fn credential(&self, check: &mut Checker<'_>, path: &PropertyPath) -> Credential {
        const ALL: [&str; 4] = ["password", "passwordSha256", "passwordSecret", "certificates"];
        let Self { password, password_sha256, password_secret, certificates, .. } = self;
        let is_given = [
            password.is_some(),
            password_sha256.is_some(),
            password_secret.is_some(),
            certificates.is_some(),
        ];
        let given: Vec<_> = ALL.iter().zip(is_given).filter(|(_, is_given)| *is_given).collect();
        match given.as_slice() {
            [] => {
                let reason = "has no credential, and anybody could log in: give it `password`, \
                    `passwordSha256`, `passwordSecret` or `certificates`";
                check.fail_at(path.clone(), reason);
            }
            [(first, _), others @ ..] => {
                for (other, _) in others {
                    let reason = format!("is given together with `{first}`: remove one of them");
                    check.fail_at(path.key(**other), reason);
                }
            }
        }
        if let Some(password) = password {
            if password.is_empty() {
                check.fail_at(path.key("password"), "must not be empty");
            }
            return Credential::Password(password.clone().into());
        }
        if let Some(hash) = password_sha256 {
            if !is_hash(hash) {
                let reason = format!("must be {DIGITS} hex digits, the SHA-256 of the password");
                check.fail_at(path.key("passwordSha256"), reason);
            }
            return Credential::Hash(hash.clone());
        }
        if let Some(secret) = password_secret {
            let (secret, key) = check.secret_key_at(&path.key("passwordSecret"), secret, PASSWORD_KEY);
            return Credential::Secret { secret, key };
        }
        let Some(names) = certificates else { return Credential::None };
        let path = path.key("certificates");
        if names.is_empty() {
            check.fail_at(path.clone(), "must hold the common name of at least one certificate");
        }
        for (index, name) in names.iter().enumerate() {
            check.plain(&path.index(index), name);
        }
        Credential::Certificates(names.clone())
    }
}

impl User {
    fn render(&self, name: &str, cluster: &ValidatedCluster, drafts: &mut Drafts) {
        let Self { credential, networks, profile, quota, grants, databases, access_management, settings } =
            self;
        let users = &mut drafts.installation.users;
        let networks = networks.as_ref().or(cluster.access.networks.as_ref());
        match networks {
            Some(networks) => networks::render(users, name, networks),
            None => networks::render(users, name, &cluster.access.usual_networks),
        }
        let hash = match credential {
            Credential::Password(password) => Some(sha256_hex(password.expose_secret())),
            Credential::Hash(hash) => Some(hash.clone()),
            Credential::Secret { .. } => drafts.hashes.users.get(name).cloned(),
            Credential::Certificates(names) => {
                say_all(users, name, CERTIFICATES, names);
                None
            }
            Credential::None => None,
        };
        let mut profile = profile.clone();
        if !settings.is_empty() {
            let own = profiles::of_user(name);
            profiles::render(&mut drafts.installation.profiles, &own, profile.as_deref(), Some(settings));
            profile = Some(own);
        }
        for (field, value) in [(HASH, hash), (PROFILE, profile), (QUOTA, quota.clone())] {
            if let Some(value) = value {
                users.insert(format!("{name}/{field}"), json!(value));
            }
        }
        if *access_management {
            users.insert(format!("{name}/{MANAGES}"), json!("1"));
        }
        say_all(users, name, DATABASES, databases);
        say_all(users, name, GRANTS, grants);
    }
}

fn say_all(users: &mut Map<String, Value>, user: &str, field: &str, values: &[String]) {
    if !values.is_empty() {
        users.insert(format!("{user}/{field}"), json!(values));
    }
}

fn is_hash(text: &str) -> bool {
    text.len() == DIGITS && text.chars().all(|c| c.is_ascii_hexdigit())
}

/// The statement that grants a role.
fn granted(role: &str) -> String {
    if role.contains('-') { format!("GRANT `{role}`") } else { format!("GRANT {role}") }
}

impl ClusterArgs {
    /// Takes out the passwords of users for which a hash has been found beside them: what is there has
    /// another one.
    pub(in super::super) fn settle_passwords(&mut self) {
        for user in self.users.iter_mut().flat_map(BTreeMap::values_mut) {
            if user.password_sha256.is_some() {
                (user.password, user.password_secret, user.certificates) = (None, None, None);
            }
        }
    }
}
