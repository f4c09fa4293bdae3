//! Where backups are kept: a bucket of S3 or Google Cloud Storage, or a container of Azure.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::Checker;
use super::super::read::text;
use super::super::s3::S3Credentials;
use super::{BackupArgs, variable};

/// An S3 bucket, of AWS or of another provider of the protocol.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterBackupS3")]
pub struct S3Args {
    /// The bucket. It has to exist.
    #[schemars(extend("alwaysPresent" = true))]
    pub bucket: Option<String>,
    /// The path in the bucket. Each shard has a folder in it. Default: `namespace/name` of the cluster.
    pub path: Option<String>,
    /// The URL of the service, for example `https://minio.storage:9000`. Default: that of AWS.
    pub endpoint: Option<String>,
    /// The region. Default: `us-east-1`.
    pub region: Option<String>,
    /// Whether the bucket's name goes into the path of URLs, as MinIO and Ceph want it. Default: false.
    pub force_path_style: Option<bool>,
    /// The storage class of the objects, for example `STANDARD_IA`. Default: `STANDARD`.
    pub storage_class: Option<String>,
    /// The encryption by the service: `AES256` or `aws:kms`. Default: that of the bucket.
    pub server_side_encryption: Option<String>,
    /// The keys to the bucket. Default: the identity of the hosts' service account.
    pub credentials: Option<S3Credentials>,
}

/// A bucket of Google Cloud Storage.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterBackupGcs")]
pub struct GcsArgs {
    /// The bucket. It has to exist.
    #[schemars(extend("alwaysPresent" = true))]
    pub bucket: Option<String>,
    /// The path in the bucket. Each shard has a folder in it. Default: `namespace/name` of the cluster.
    pub path: Option<String>,
    /// The JSON key of a Google service account; its default key is `credentials.json`. Default: the identity
    /// of the hosts' service account.
    pub credentials: Option<BackupSecretKey>,
}

/// A container of Azure Blob Storage.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterBackupAzure")]
pub struct AzureArgs {
    /// The container. It has to exist.
    #[schemars(extend("alwaysPresent" = true))]
    pub container: Option<String>,
    /// The path in the container. Each shard has a folder in it. Default: `namespace/name` of the cluster.
    pub path: Option<String>,
    /// The storage account.
    #[schemars(extend("alwaysPresent" = true))]
    pub account_name: Option<String>,
    /// The storage account's key; its default key is `accountKey`. Default: the managed identity of the
    /// hosts' service account.
    pub credentials: Option<BackupSecretKey>,
}

/// A key of a Secret in the cluster's namespace that opens the storage of backups.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterBackupSecretKey")]
pub struct BackupSecretKey {
    /// The Secret's name. Another value in the same Secret is read once the hosts have restarted.
    #[schemars(extend("alwaysPresent" = true))]
    pub name: Option<String>,
    /// The key in it.
    #[schemars(extend("alwaysPresent" = true))]
    pub key: Option<String>,
}

const GOOGLE_KEY: &str = "credentials.json";
const AZURE_KEY: &str = "accountKey";

/// Where backups are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    service: Service,
    /// `None` for a path of the cluster's own.
    path: Option<String>,
    /// Variables with their values.
    plain: Vec<(&'static str, String)>,
    /// Variables whose values are in Secrets: with name and key of each.
    secret: Vec<(&'static str, String, String)>,
}

/// A service that keeps objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    S3,
    Gcs,
    Azure,
}

impl Service {
    /// How clickhouse-backup calls it, and how its variables begin.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::S3 => ("s3", "S3"),
            Self::Gcs => ("gcs", "GCS"),
            Self::Azure => ("azblob", "AZBLOB"),
        }
    }
}

impl Target {
    /// Checks that there is exactly one.
    pub(super) fn check(given: &BackupArgs, check: &mut Checker<'_>) -> Self {
        let BackupArgs { s3, gcs, azure, .. } = given;
        let names: Vec<_> = [("s3", s3.is_some()), ("gcs", gcs.is_some()), ("azure", azure.is_some())]
            .into_iter()
            .filter(|(_, is_given)| *is_given)
            .map(|(name, _)| name)
            .collect();
        match names.as_slice() {
            [] => check.fail("backup", "names no place for the backups: give one of `s3`, `gcs` and `azure`"),
            [_] => {}
            [first, others @ ..] => {
                for other in others {
                    let reason = format!("is given beside `backup.{first}`: remove one of them");
                    check.fail(&format!("backup.{other}"), reason);
                }
            }
        }
        match (s3, gcs, azure) {
            (Some(s3), ..) => Self::s3(s3, check),
            (_, Some(gcs), _) => Self::gcs(gcs, check),
            (.., Some(azure)) => Self::azure(azure, check),
            (None, None, None) => {
                Self { service: Service::S3, path: None, plain: Vec::new(), secret: Vec::new() }
            }
        }
    }

    fn s3(given: &S3Args, check: &mut Checker<'_>) -> Self {
        let S3Args {
            bucket,
            path,
            endpoint,
            region,
            force_path_style,
            storage_class,
            server_side_encryption,
            credentials,
        } = given;
        if let Some(endpoint) = endpoint {
            let host = endpoint.strip_prefix("https://").or_else(|| endpoint.strip_prefix("http://"));
            if host.is_none_or(|host| host.is_empty() || !is_plain(host)) {
                let reason =
                    format!("`{endpoint}` is not a URL: write for example `https://minio.storage:9000`");
                check.fail("backup.s3.endpoint", reason);
            }
        }
        for (field, value) in [("region", region), ("storageClass", storage_class)] {
            if let Some(value) = value.as_ref().filter(|value| !is_name(value)) {
                check.fail(&format!("backup.s3.{field}"), not_a_name(value));
            }
        }
        if let Some(word) =
            server_side_encryption.as_ref().filter(|word| !["AES256", "aws:kms"].contains(&&***word))
        {
            let reason = format!("`{word}` is none that backups know: use `AES256` or `aws:kms`");
            check.fail("backup.s3.serverSideEncryption", reason);
        }
        let style = force_path_style.filter(|forced| *forced).map(|forced| forced.to_string());
        let mut target = Self {
            service: Service::S3,
            path: checked_path("backup.s3.path", path.as_ref(), check),
            plain: with_values([
                ("S3_BUCKET", Some(needed("backup.s3.bucket", bucket.as_ref(), check))),
                // New buckets take no access control lists.
                ("S3_ACL", Some(String::new())),
                ("S3_ENDPOINT", endpoint.clone()),
                ("S3_REGION", region.clone()),
                ("S3_FORCE_PATH_STYLE", style),
                ("S3_STORAGE_CLASS", storage_class.clone()),
                ("S3_SSE", server_side_encryption.clone()),
            ]),
            secret: Vec::new(),
        };
        if let Some(credentials) = credentials {
            credentials.check("backup.s3.credentials", check);
            for (variable, (name, key)) in
                ["S3_ACCESS_KEY", "S3_SECRET_KEY"].into_iter().zip(credentials.entries())
            {
                target.secret.push((variable, name.to_owned(), key.to_owned()));
            }
        }
        target
    }

    fn gcs(given: &GcsArgs, check: &mut Checker<'_>) -> Self {
        let GcsArgs { bucket, path, credentials } = given;
        Self {
            service: Service::Gcs,
            path: checked_path("backup.gcs.path", path.as_ref(), check),
            plain: vec![("GCS_BUCKET", needed("backup.gcs.bucket", bucket.as_ref(), check))],
            secret: BackupSecretKey::check("backup.gcs.credentials", credentials.as_ref(), GOOGLE_KEY, check)
                .map(|(name, key)| ("GCS_CREDENTIALS_JSON", name, key))
                .into_iter()
                .collect(),
        }
    }

    fn azure(given: &AzureArgs, check: &mut Checker<'_>) -> Self {
        let AzureArgs { container, path, account_name, credentials } = given;
        let key = BackupSecretKey::check("backup.azure.credentials", credentials.as_ref(), AZURE_KEY, check);
        Self {
            service: Service::Azure,
            path: checked_path("backup.azure.path", path.as_ref(), check),
            plain: with_values([
                ("AZBLOB_CONTAINER", Some(needed("backup.azure.container", container.as_ref(), check))),
                (
                    "AZBLOB_ACCOUNT_NAME",
                    Some(needed("backup.azure.accountName", account_name.as_ref(), check)),
                ),
                // To make one is a right of its own.
                ("AZBLOB_ASSUME_CONTAINER_EXISTS", Some(true.to_string())),
                ("AZBLOB_USE_MANAGED_IDENTITY", key.is_none().then(|| true.to_string())),
            ]),
            secret: key.map(|(name, key)| ("AZBLOB_ACCOUNT_KEY", name, key)).into_iter().collect(),
        }
    }

    /// The container's environment; `path` is that of the cluster's own. Shards have folders of their own, so
    /// that none overwrites another's backup of the same name. What lives on object disks is copied to a path
    /// that is not below that of the backups.
    pub(super) fn environment(&self, path: &str) -> Vec<Value> {
        let Self { service, path: given, plain, secret } = self;
        let (name, prefix) = service.words();
        let path = given.as_deref().unwrap_or(path);
        let mut env = vec![
            variable("REMOTE_STORAGE", name),
            variable(&format!("{prefix}_PATH"), &format!("{path}/{FOLDER}")),
            variable(&format!("{prefix}_OBJECT_DISK_PATH"), &format!("object-disks/{path}/{FOLDER}")),
        ];
        env.extend(plain.iter().map(|(name, value)| variable(name, value)));
        env.extend(secret.iter().map(|(name, secret, key)| {
            json!({"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}})
        }));
        env
    }
}

/// The folder of a shard. The name in braces is one of ClickHouse's macros.
const FOLDER: &str = "shard-{shard}";

impl BackupSecretKey {
    /// Name and key of the Secret's entry.
    fn check(
        path: &str,
        given: Option<&Self>,
        default: &str,
        check: &mut Checker<'_>,
    ) -> Option<(String, String)> {
        let Self { name, key } = given?.clone();
        let (name, key) = (name.unwrap_or_default(), key.unwrap_or_else(|| default.to_owned()));
        check.dns_name(&format!("{path}.name"), Some(&name));
        check.key_of_secret(&format!("{path}.key").as_str().into(), &key);
        Some((name, key))
    }

    fn read(reference: &Value) -> Option<Self> {
        Some(Self { name: Some(text(&reference["name"])?), key: text(&reference["key"]) })
    }
}

/// Puts into `args` the place that the container's environment names.
pub(super) fn read(env: &Value, args: &mut BackupArgs) {
    let found = |name: &str| {
        env.as_array().into_iter().flatten().find(|entry| entry["name"] == name).unwrap_or(&Value::Null)
    };
    let value = |name: &str| text(&found(name)["value"]);
    let secret = |name: &str| &found(name)["valueFrom"]["secretKeyRef"];
    let path = |name: &str| value(name)?.strip_suffix(&format!("/{FOLDER}")).map(str::to_owned);
    match value("REMOTE_STORAGE").as_deref() {
        Some("s3") => {
            args.s3 = Some(S3Args {
                bucket: value("S3_BUCKET"),
                path: path("S3_PATH"),
                endpoint: value("S3_ENDPOINT"),
                region: value("S3_REGION"),
                force_path_style: value("S3_FORCE_PATH_STYLE").map(|style| style == "true"),
                storage_class: value("S3_STORAGE_CLASS"),
                server_side_encryption: value("S3_SSE"),
                credentials: S3Credentials::read(secret("S3_ACCESS_KEY"), secret("S3_SECRET_KEY")),
            });
        }
        Some("gcs") => {
            args.gcs = Some(GcsArgs {
                bucket: value("GCS_BUCKET"),
                path: path("GCS_PATH"),
                credentials: BackupSecretKey::read(secret("GCS_CREDENTIALS_JSON")),
            });
        }
        Some("azblob") => {
            args.azure = Some(AzureArgs {
                container: value("AZBLOB_CONTAINER"),
                path: path("AZBLOB_PATH"),
                account_name: value("AZBLOB_ACCOUNT_NAME"),
                credentials: BackupSecretKey::read(secret("AZBLOB_ACCOUNT_KEY")),
            });
        }
        _ => {}
    }
}

/// Those variables that have a value.
fn with_values<const N: usize>(all: [(&'static str, Option<String>); N]) -> Vec<(&'static str, String)> {
    all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// A value that no backup does without.
fn needed(path: &str, value: Option<&String>, check: &mut Checker<'_>) -> String {
    match value {
        Some(value) if is_name(value) => {}
        Some(value) => check.fail(path, not_a_name(value)),
        None => check.fail(path, "must be given"),
    }
    value.cloned().unwrap_or_default()
}

fn checked_path(path: &str, value: Option<&String>, check: &mut Checker<'_>) -> Option<String> {
    let value = value?;
    let is_folder = |part: &str| !part.is_empty() && part != "." && part != ".." && is_plain(part);
    if !value.split('/').all(is_folder) {
        let reason = format!(
            "`{value}` is not a path in a bucket: write for example `clickhouse/prod`, without `/` at its \
                beginning or end, without `..`"
        );
        check.fail(path, reason);
    }
    Some(value.clone())
}

fn not_a_name(value: &str) -> String {
    format!("`{value}` is not a name: use letters, digits, `-`, `_` and `.`")
}

/// Whether it can be a bucket, a container, an account, a region or a class.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

/// Whether Kubernetes and clickhouse-backup take `text` as it is: both put something else into braces.
fn is_plain(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:/=+@,".contains(c))
}
