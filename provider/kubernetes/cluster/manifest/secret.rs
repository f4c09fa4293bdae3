//! The Secret with the login and the addresses: all that an application needs.

use k8s_openapi::ByteString;
use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};

use super::super::aspects::{CONFIGURATION_KEY, PASSWORD_KEY};
use super::super::{address, names};
use super::{PASSWORD_VERSION_ANNOTATION, Source, metadata};

/// The key of the administrator's name.
pub(in crate::kubernetes::cluster) const USERNAME_KEY: &str = "username";

pub(in crate::kubernetes::cluster) fn secret(source: &mut Source<'_>) -> Value {
    let Source { cluster, urn, login, .. } = *source;
    let mut metadata = metadata(cluster, &names::credentials_secret(&cluster.naming.name), Some(urn));
    if let (Some(version), Some(annotations)) = (&login.version, metadata.get_mut("annotations")) {
        // Which rotation this password belongs to, so that one that was interrupted is not done twice.
        annotations[PASSWORD_VERSION_ANNOTATION] = json!(version);
    }
    let hostname =
        names::fqdn(&cluster.naming.name, &cluster.naming.namespace, &cluster.naming.cluster_domain);
    let endpoints = address::endpoints(&hostname, cluster.tls.ports());
    let mut data = Map::new();
    let mut put =
        |key: &str, value: &str| data.insert(key.to_owned(), json!(ByteString(value.as_bytes().to_vec())));
    put(USERNAME_KEY, &cluster.access.username);
    put("host", &hostname);
    for (key, endpoint) in [
        ("http-port", &endpoints.http),
        ("native-port", &endpoints.native),
        ("https-port", &endpoints.https),
        ("native-secure-port", &endpoints.native_secure),
    ] {
        if let Some(endpoint) = endpoint {
            put(key, &endpoint.port.to_string());
        }
    }
    if let Some(password) = &login.password {
        let connection = address::connection(&endpoints, &cluster.access.username, password.expose_secret());
        put(PASSWORD_KEY, password.expose_secret());
        put("http-url", &connection.http_url);
        put("native-url", &connection.native_url);
        put("jdbc-url", &connection.jdbc_url);
        if cluster.backup.plan.is_some() {
            // JSON, which is YAML, too: whatever the password holds. It is read anew for each backup.
            let login = json!({"username": cluster.access.username, "password": password.expose_secret()});
            put(CONFIGURATION_KEY, &json!({"clickhouse": login}).to_string());
        }
    }
    json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata, "data": data})
}
