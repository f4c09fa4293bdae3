//! What users do with a cluster: programs and commands.

use serde_json::{Value, json};

/// What a user does.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Command {
    /// Changes the program to one with these inputs, and says `pulumi up`.
    Up(Value),
    /// Says `pulumi up` with `--replace`, and the same changes.
    Replace(Value),
    Refresh,
    Destroy,
    /// Loses the state, and imports what is there.
    Import,
    /// Somebody deletes the object at this path with kubectl.
    Deleted(String),
    /// Somebody sets a field of the object at this path with kubectl: the object, the JSON pointer, the
    /// value.
    Edited(String, String, Value),
    /// The stack gets another name.
    Renamed,
    /// Something else stands in the state for this output; null for nothing.
    Tampered(String, Value),
}

impl Command {
    /// Whether it may lose data: the user has said so.
    pub(super) fn loses(&self, program: &Value) -> bool {
        let may = program["allowDataLoss"] == true || program["storage"]["reclaimPolicy"] == "Delete";
        match self {
            Self::Up(_) | Self::Destroy => may,
            Self::Replace(_) => program["storage"]["reclaimPolicy"] == "Delete",
            // The operator takes the volumes of what is deleted by their policy.
            Self::Deleted(path) => {
                path.contains("persistentvolumeclaims") || program["storage"]["reclaimPolicy"] == "Delete"
            }
            Self::Refresh | Self::Import | Self::Edited(..) | Self::Renamed | Self::Tampered(..) => false,
        }
    }
}

impl Command {
    /// Whether the provider can tell in which Kubernetes cluster it is to do this: nothing tells a create
    /// that the cluster which it is to replace is in another one.
    pub(super) fn knows_where(&self) -> bool {
        match self {
            Self::Up(inputs) => inputs.get("name").is_none(),
            Self::Replace(_) | Self::Import => false,
            _ => true,
        }
    }
}

/// A story has a name and the commands one after the other.
pub(super) type Story = (&'static str, Vec<Command>);

const CHI: &str = "/apis/clickhouse.altinity.com/v1/namespaces/apps/clickhouseinstallations/db";
const SECRET: &str = "/api/v1/namespaces/apps/secrets/db-credentials";
const SERVICE: &str = "/api/v1/namespaces/apps/services/db";

fn up(changes: Value) -> Command {
    Command::Up(changes)
}

/// The stories whose every request is interrupted in every way.
pub(super) fn all() -> Vec<Story> {
    let mut all = first();
    all.extend(more());
    all
}

/// Those of creations and of changes of one input.
fn first() -> Vec<Story> {
    let create = || up(json!({}));
    let two = || up(json!({"shards": 2}));
    let replicated = || up(json!({"replicas": 2}));
    let delete_volumes = || up(json!({"storage": {"reclaimPolicy": "Delete"}}));
    vec![
        ("create and destroy", vec![create(), Command::Destroy]),
        ("create two shards", vec![two(), Command::Destroy]),
        ("create with a Keeper", vec![replicated(), Command::Destroy]),
        ("volumes go with the cluster", vec![delete_volumes(), Command::Destroy]),
        (
            "volumes of a Keeper go, too",
            vec![up(json!({"replicas": 2, "storage": {"reclaimPolicy": "Delete"}})), Command::Destroy],
        ),
        (
            "in a namespace of its own",
            vec![
                up(json!({"namespace": "own", "createNamespace": true,
                    "storage": {"reclaimPolicy": "Delete"}})),
                Command::Destroy,
            ],
        ),
        ("grow by a shard", vec![create(), two()]),
        ("grow by a replica and its Keeper", vec![create(), replicated()]),
        ("shrink is refused", vec![two(), up(json!({"shards": 1}))]),
        ("shrink by name", vec![two(), up(json!({"shards": 1, "allowDataLoss": true})), create()]),
        ("grow the volumes", vec![create(), up(json!({"storage": {"size": "80Gi"}}))]),
        (
            "grow volumes that StatefulSets make",
            vec![
                up(json!({"storage": {"provisioner": "StatefulSet"}})),
                up(json!({"storage": {"provisioner": "StatefulSet", "size": "80Gi"}})),
            ],
        ),
        ("shrinking volumes is refused", vec![create(), up(json!({"storage": {"size": "20Gi"}}))]),
        ("another version", vec![create(), up(json!({"version": "25.8.2.29"}))]),
        (
            "another version with a Keeper",
            vec![replicated(), up(json!({"replicas": 2, "version": "26.7.3.1"}))],
        ),
        ("a setting", vec![create(), up(json!({"settings": {"max_connections": 100}})), create()]),
        ("a restart", vec![create(), up(json!({"restartToken": "a"})), up(json!({"restartToken": "b"}))]),
        (
            "another password",
            vec![create(), up(json!({"admin": {"passwordVersion": "2"}})), Command::Refresh],
        ),
        ("a password of one's own", vec![create(), up(json!({"admin": {"password": "a-Long-enough-one"}}))]),
        ("another administrator", vec![create(), up(json!({"admin": {"username": "root"}}))]),
        (
            "users",
            vec![create(), up(json!({"users": {"app": {"passwordSha256": "a".repeat(64)}}})), create()],
        ),
    ]
}

/// Those of what others do, of replacements, and of several changes.
fn more() -> Vec<Story> {
    let create = || up(json!({}));
    let replicated = || up(json!({"replicas": 2}));
    let delete_volumes = || up(json!({"storage": {"reclaimPolicy": "Delete"}}));
    let edited =
        |path: &str, pointer: &str, value: Value| Command::Edited(path.into(), pointer.into(), value);
    vec![
        ("stop and start", vec![create(), up(json!({"stopped": true})), create()]),
        (
            "a load balancer",
            vec![
                create(),
                up(json!({"ingress": {"type": "LoadBalancer", "sourceRanges": ["192.0.2.0/24"]}})),
                create(),
            ],
        ),
        ("labels", vec![create(), up(json!({"labels": {"tier": "data"}})), create()]),
        ("another name", vec![delete_volumes(), up(json!({"name": "second", "allowDataLoss": true}))]),
        ("another name is refused", vec![create(), up(json!({"name": "second"}))]),
        ("replaced on demand", vec![delete_volumes(), Command::Replace(json!({}))]),
        ("replaced on demand, with its volumes kept", vec![create(), Command::Replace(json!({}))]),
        ("replaced with a Keeper", vec![replicated(), Command::Replace(json!({"replicas": 2}))]),
        ("refresh of nothing new", vec![create(), Command::Refresh, create()]),
        ("imported", vec![create(), Command::Import, create(), Command::Destroy]),
        ("imported with a Keeper", vec![replicated(), Command::Import, replicated(), Command::Destroy]),
        (
            "a Service that is gone comes back",
            vec![create(), Command::Deleted(SERVICE.into()), Command::Refresh, create()],
        ),
        (
            "a Secret that is gone comes back",
            vec![create(), Command::Deleted(SECRET.into()), Command::Refresh, create()],
        ),
        (
            "an edit is taken back",
            vec![
                create(),
                edited(CHI, "/spec/configuration/clusters/0/layout/shardsCount", json!(2)),
                Command::Refresh,
            ],
        ),
        (
            "an edited hash is put right",
            vec![
                create(),
                edited(CHI, "/spec/configuration/users/default~1password_sha256_hex", json!("b".repeat(64))),
                Command::Refresh,
                create(),
            ],
        ),
        (
            "no wait",
            vec![
                up(json!({"skipAwait": true})),
                up(json!({"skipAwait": true, "shards": 2})),
                Command::Destroy,
            ],
        ),
        ("suspended", vec![create(), up(json!({"suspended": true})), create(), Command::Destroy]),
        (
            "a file and a profile",
            vec![
                create(),
                up(json!({"files": {"users.d/more.xml": "<clickhouse/>"},
                    "profiles": {"default": {"settings": {"max_threads": 4}}}})),
            ],
        ),
        (
            "a network policy and a disruption budget",
            vec![
                create(),
                up(json!({"networkPolicy": {"from": [{"podSelector": {}}]},
                    "podDisruptionBudget": {"maxUnavailable": 1}})),
                create(),
            ],
        ),
        (
            "the stack is renamed",
            vec![
                create(),
                Command::Renamed,
                Command::Refresh,
                up(json!({"shards": 2})),
                Command::Renamed,
                Command::Destroy,
            ],
        ),
        (
            "the stack is renamed between two changes",
            vec![
                replicated(),
                Command::Renamed,
                up(json!({"replicas": 2, "admin": {"passwordVersion": "2"}})),
                Command::Destroy,
            ],
        ),
        ("destroyed and made again", vec![create(), Command::Destroy, create()]),
        (
            "two steps at once",
            vec![
                create(),
                up(json!({"shards": 2, "replicas": 2, "admin": {"passwordVersion": "2"},
                    "storage": {"size": "60Gi"}})),
            ],
        ),
    ]
}
