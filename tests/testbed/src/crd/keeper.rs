//! The fields of a `ClickHouseKeeperInstallation`.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps;

use super::installation::{cleanup, defaults, level, templates};
use super::schema::{between, free, integer, list, object, one_of, port, text, with, word};

/// `spec`.
pub(super) fn spec() -> JSONSchemaProps {
    let configuration = object([("clusters", list(cluster())), ("settings", free()), ("files", free())]);
    let reconciling = object([
        ("policy", one_of(&["", "wait", "nowait"])),
        ("configMapPropagationTimeout", between(0, 3600)),
        ("cleanup", cleanup()),
    ]);
    object([
        ("taskID", text()),
        ("stop", word()),
        ("suspend", word()),
        ("namespaceDomainPattern", text()),
        ("reconciling", reconciling),
        ("defaults", defaults()),
        ("configuration", configuration),
        ("templates", templates(host())),
    ])
}

fn cluster() -> JSONSchemaProps {
    let replica = with(level(), [("shardsCount", integer()), ("shards", list(host()))]);
    let layout = object([("replicasCount", integer()), ("replicas", list(replica))]);
    with(level(), [("pdbManaged", word()), ("pdbMaxUnavailable", integer()), ("layout", layout)])
}

fn host() -> JSONSchemaProps {
    with(level(), [("zkPort", port()), ("raftPort", port())])
}
