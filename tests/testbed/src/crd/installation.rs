//! The fields of a `ClickHouseInstallation`.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps;

use super::schema::{between, free, integer, list, object, one_of, pattern, port, text, with, word};

/// What clusters, shards, replicas and hosts may be called.
const NAME: &str = "^[a-zA-Z0-9-]{0,15}$";

/// `spec`.
pub(super) fn spec() -> JSONSchemaProps {
    object([
        ("taskID", text()),
        ("stop", word()),
        ("restart", one_of(&["", "RollingUpdate"])),
        ("suspend", word()),
        ("troubleshoot", word()),
        ("namespaceDomainPattern", text()),
        ("templating", object([("policy", one_of(&["", "auto", "manual"])), ("chiSelector", free())])),
        (
            "useTemplates",
            list(object([("name", text()), ("namespace", text()), ("useType", one_of(&["", "merge"]))])),
        ),
        ("reconciling", reconcile()),
        ("reconcile", reconcile()),
        ("defaults", defaults()),
        ("configuration", configuration()),
        ("templates", templates(host())),
    ])
}

/// How changes are rolled out.
fn reconcile() -> JSONSchemaProps {
    let section = || object([("enabled", word())]);
    let sections = ["users", "profiles", "quotas", "settings", "files"].map(|name| (name, section()));
    object([
        ("policy", one_of(&["", "wait", "nowait"])),
        ("configMapPropagationTimeout", between(0, 3600)),
        ("cleanup", cleanup()),
        ("macros", object([("sections", object(sections))])),
        ("runtime", runtime()),
        ("host", host_rollout()),
    ])
}

/// What becomes of objects that are not wanted any more.
pub(super) fn cleanup() -> JSONSchemaProps {
    let objects = || {
        object([
            ("statefulSet", reclaim_policy()),
            ("pvc", reclaim_policy()),
            ("configMap", reclaim_policy()),
            ("service", reclaim_policy()),
        ])
    };
    object([("unknownObjects", objects()), ("reconcileFailedObjects", objects())])
}

fn runtime() -> JSONSchemaProps {
    object([
        ("reconcileShardsThreadsNumber", port()),
        ("reconcileShardsMaxConcurrencyPercent", between(0, 100)),
    ])
}

fn host_rollout() -> JSONSchemaProps {
    let replicas = object([("all", word()), ("new", word()), ("delay", integer())]);
    let wait = object([
        ("exclude", word()),
        ("queries", word()),
        ("include", word()),
        ("replicas", replicas),
        ("probes", object([("startup", word()), ("readiness", word())])),
    ]);
    let drop =
        object([("replicas", object([("onDelete", word()), ("onLostVolume", word()), ("active", word())]))]);
    object([("wait", wait), ("drop", drop)])
}

/// What holds where nothing else is said.
pub(super) fn defaults() -> JSONSchemaProps {
    object([
        ("replicasUseFQDN", word()),
        ("distributedDDL", object([("profile", text())])),
        ("storageManagement", object([("provisioner", provisioner()), ("reclaimPolicy", reclaim_policy())])),
        ("templates", template_names()),
    ])
}

fn provisioner() -> JSONSchemaProps {
    one_of(&["", "StatefulSet", "Operator"])
}

fn reclaim_policy() -> JSONSchemaProps {
    one_of(&["", "Retain", "Delete"])
}

/// Which templates to use.
fn template_names() -> JSONSchemaProps {
    object([
        ("hostTemplate", text()),
        ("podTemplate", text()),
        ("dataVolumeClaimTemplate", text()),
        ("logVolumeClaimTemplate", text()),
        ("volumeClaimTemplate", text()),
        ("serviceTemplate", text()),
        ("serviceTemplates", list(text())),
        ("clusterServiceTemplate", text()),
        ("shardServiceTemplate", text()),
        ("replicaServiceTemplate", text()),
    ])
}

fn configuration() -> JSONSchemaProps {
    object([
        ("zookeeper", zookeeper()),
        ("users", free()),
        ("profiles", free()),
        ("quotas", free()),
        ("settings", free()),
        ("files", free()),
        ("clusters", list(cluster())),
    ])
}

fn zookeeper() -> JSONSchemaProps {
    let node = object([("host", text()), ("port", port()), ("secure", word()), ("availabilityZone", text())]);
    object([
        ("nodes", list(node)),
        ("session_timeout_ms", integer()),
        ("operation_timeout_ms", integer()),
        ("root", text()),
        ("identity", text()),
        ("use_compression", word()),
    ])
}

/// What every level of a cluster may say for itself.
pub(super) fn level() -> JSONSchemaProps {
    object([
        ("name", pattern(NAME)),
        ("settings", free()),
        ("files", free()),
        ("templates", template_names()),
    ])
}

fn cluster() -> JSONSchemaProps {
    let reference = object([
        ("name", text()),
        ("key", text()),
        ("optional", JSONSchemaProps { type_: Some("boolean".to_owned()), ..JSONSchemaProps::default() }),
    ]);
    let secret =
        object([("auto", word()), ("value", text()), ("valueFrom", object([("secretKeyRef", reference)]))]);
    let schema_policy = object([
        ("replica", one_of(&["", "None", "All"])),
        ("shard", one_of(&["", "None", "All", "DistributedTablesOnly"])),
    ]);
    with(
        level(),
        [
            ("zookeeper", zookeeper()),
            ("schemaPolicy", schema_policy),
            ("insecure", word()),
            ("secure", word()),
            ("secret", secret),
            ("pdbManaged", word()),
            ("pdbMaxUnavailable", integer()),
            ("reconcile", object([("runtime", runtime()), ("host", host_rollout())])),
            ("layout", layout()),
        ],
    )
}

fn layout() -> JSONSchemaProps {
    let shard = with(
        level(),
        [
            ("definitionType", text()),
            ("weight", integer()),
            ("internalReplication", word()),
            ("replicasCount", integer()),
            ("replicas", list(host())),
        ],
    );
    let replica = with(level(), [("shardsCount", integer()), ("shards", list(host()))]);
    object([
        ("shardsCount", integer()),
        ("replicasCount", integer()),
        ("shards", list(shard)),
        ("replicas", list(replica)),
    ])
}

/// A host, within a layout or a template.
fn host() -> JSONSchemaProps {
    with(
        level(),
        [
            ("insecure", word()),
            ("secure", word()),
            ("tcpPort", port()),
            ("tlsPort", port()),
            ("httpPort", port()),
            ("httpsPort", port()),
            ("interserverHTTPPort", port()),
        ],
    )
}

/// The templates that defaults and levels name.
pub(super) fn templates(host: JSONSchemaProps) -> JSONSchemaProps {
    let ports = object([("type", one_of(&["", "Unspecified", "ClusterScopeIndex"]))]);
    let distribution =
        object([("type", text()), ("scope", text()), ("number", integer()), ("topologyKey", text())]);
    let pod = object([
        ("name", text()),
        ("generateName", text()),
        ("zone", object([("key", text()), ("values", list(text()))])),
        ("distribution", text()),
        ("podDistribution", list(distribution)),
        ("metadata", free()),
        ("spec", free()),
    ]);
    let claim = object([
        ("name", text()),
        ("provisioner", provisioner()),
        ("reclaimPolicy", reclaim_policy()),
        ("metadata", free()),
        ("spec", free()),
    ]);
    let service =
        object([("name", text()), ("generateName", text()), ("metadata", free()), ("spec", free())]);
    object([
        (
            "hostTemplates",
            list(object([("name", text()), ("portDistribution", list(ports)), ("spec", host)])),
        ),
        ("podTemplates", list(pod)),
        ("volumeClaimTemplates", list(claim)),
        ("serviceTemplates", list(service)),
    ])
}
