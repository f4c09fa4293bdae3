//! Keys to S3, from a Secret: of disks that are buckets, and of the place where backups are kept.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Checker;
use super::read::text;

/// The keys of the Secret where the program names none.
const KEYS: [&str; 2] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];

/// A Secret in the cluster's namespace with keys to S3.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterS3Credentials")]
pub struct S3Credentials {
    /// The Secret's name. Other keys in the same Secret are read once the hosts have restarted.
    #[schemars(extend("alwaysPresent" = true))]
    pub secret_name: Option<String>,
    /// The key of the access key's id. Default: `AWS_ACCESS_KEY_ID`.
    pub access_key_id_key: Option<String>,
    /// The key of the secret access key. Default: `AWS_SECRET_ACCESS_KEY`.
    pub secret_access_key_key: Option<String>,
}

impl S3Credentials {
    /// Checks those that stand at `path`.
    pub(super) fn check(&self, path: &str, check: &mut Checker<'_>) {
        let [(name, id), (_, secret)] = self.entries();
        check.dns_name(&format!("{path}.secretName"), Some(name));
        for (field, key) in [("accessKeyIdKey", id), ("secretAccessKeyKey", secret)] {
            check.key_of_secret(&format!("{path}.{field}").as_str().into(), key);
        }
    }

    /// The Secret's name and the key, of the id and of the secret access key.
    pub(super) fn entries(&self) -> [(&str, &str); 2] {
        let name = self.secret_name.as_deref().unwrap_or_default();
        let [id, secret] = KEYS;
        [
            (name, self.access_key_id_key.as_deref().unwrap_or(id)),
            (name, self.secret_access_key_key.as_deref().unwrap_or(secret)),
        ]
    }

    /// Those that two references to entries of a Secret stand for; `None` where there are none.
    pub(super) fn read(id: &Value, secret: &Value) -> Option<Self> {
        let [default_id, default_secret] = KEYS;
        let (id_key, secret_key) = (text(&id["key"])?, text(&secret["key"])?);
        Some(Self {
            secret_name: Some(text(&id["name"])?),
            access_key_id_key: (id_key != default_id).then_some(id_key),
            secret_access_key_key: (secret_key != default_secret).then_some(secret_key),
        })
    }
}
