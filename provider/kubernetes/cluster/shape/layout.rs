//! Which hosts an installation has, and by which names.

use serde_json::Value;

use super::{Configuration, Host, Installation, cluster_name, clusters, list, named, text, volumes};
use crate::kubernetes::cluster::aspects::CLUSTER_DOMAIN;
use crate::kubernetes::observe::is_yes;

/// What differs between the two kinds of installations.
pub(super) struct Kind {
    /// What the names of StatefulSets begin with.
    prefix: &'static str,
    /// What the name of the installation's Service begins with.
    service: &'static str,
    /// How name patterns call the installation.
    macro_name: &'static str,
    pub(super) data_path: &'static str,
    pub(super) logs_path: &'static str,
}

pub(super) const CLICKHOUSE: Kind = Kind {
    prefix: "chi",
    service: "clickhouse",
    macro_name: "{chi}",
    data_path: "/var/lib/clickhouse",
    logs_path: "/var/log/clickhouse-server",
};

pub(super) const KEEPER: Kind = Kind {
    prefix: "chk",
    service: "keeper",
    macro_name: "{chk}",
    data_path: "/var/lib/clickhouse-keeper",
    logs_path: "/var/log/clickhouse-keeper",
};

/// The operator cuts longer parts of a name.
const NAME_PART: usize = 60;
const HOST_PART: usize = 15;

/// The templates that a level of an installation names. What it leaves open the level above says.
#[derive(Clone, Copy, Default)]
pub(super) struct Names<'a>([&'a str; 7]);

const HOST: usize = 0;
const POD: usize = 1;
const DATA: usize = 2;
const LOGS: usize = 3;
const SHARD_SERVICE: usize = 4;
const REPLICA_SERVICE: usize = 5;
/// An older name of `DATA`.
const VOLUME: usize = 6;
const FIELDS: [&str; 7] = [
    "hostTemplate",
    "podTemplate",
    "dataVolumeClaimTemplate",
    "logVolumeClaimTemplate",
    "shardServiceTemplate",
    "replicaServiceTemplate",
    "volumeClaimTemplate",
];

impl<'a> Names<'a> {
    fn of(level: &'a Value) -> Self {
        Self(FIELDS.map(|field| text(&level["templates"][field])))
    }

    /// With what `above` says where this says nothing.
    fn below(self, above: Self) -> Self {
        let mut names = self.0;
        for (name, above) in names.iter_mut().zip(above.0) {
            if name.is_empty() {
                *name = above;
            }
        }
        if names[DATA].is_empty() {
            names[DATA] = names[VOLUME];
        }
        Self(names)
    }

    pub(super) fn data(&self) -> &'a str {
        self.0[DATA]
    }

    pub(super) fn logs(&self) -> &'a str {
        self.0[LOGS]
    }
}

/// The layout of one cluster: explicit shards and replicas, and the counts, of which the larger holds.
struct Layout<'a> {
    shards: &'a [Value],
    replicas: &'a [Value],
    shard_count: u64,
    replica_count: u64,
}

impl<'a> Layout<'a> {
    fn of(cluster: &'a Value) -> Self {
        let layout = &cluster["layout"];
        let (shards, replicas) = (list(&layout["shards"]), list(&layout["replicas"]));
        let largest = |field: &str, rows: &[Value], columns: &[Value], nested: &str| {
            let of_columns = columns
                .iter()
                .map(|column| count(&column[field]).max(length(&column[nested])))
                .max()
                .unwrap_or(0);
            count(&layout[field]).max(rows.len() as u64).max(of_columns).max(1)
        };
        Self {
            shard_count: largest("shardsCount", shards, replicas, "shards"),
            replica_count: largest("replicasCount", replicas, shards, "replicas"),
            shards,
            replicas,
        }
    }

    /// How many replicas a shard has that says something of its own.
    fn replicas_of(&self, shard: &Value) -> u64 {
        [count(&shard["replicasCount"]), length(&shard["replicas"])]
            .into_iter()
            .find(|count| *count > 0)
            .unwrap_or(self.replica_count)
    }

    fn hosts(&self) -> u64 {
        let explicit: u64 =
            self.shards.iter().map(|shard| self.replicas_of(shard)).fold(0, u64::saturating_add);
        let rest =
            self.shard_count.saturating_sub(self.shards.len() as u64).saturating_mul(self.replica_count);
        explicit.saturating_add(rest)
    }
}

/// The installation's hosts with their volumes, and the Services of its shards.
pub(super) fn installation(kind: &Kind, object: &Value) -> (Installation, Vec<String>) {
    let (spec, metadata) = (&object["spec"], &object["metadata"]);
    let (name, namespace) = (text(&metadata["name"]), text(&metadata["namespace"]));
    let clusters = clusters(spec);
    let entries = |field: &str| metadata[field].as_object().cloned().unwrap_or_default();
    let mut found = Installation {
        count: clusters.iter().map(|cluster| Layout::of(cluster).hosts()).fold(0, u64::saturating_add),
        pod_templates: list(&spec["templates"]["podTemplates"])
            .iter()
            .map(|template| (text(&template["name"]).to_owned(), template.clone()))
            .collect(),
        labels: entries("labels"),
        annotations: entries("annotations"),
        stopped: is_yes(&spec["stop"]),
        sleeps: is_yes(&spec["troubleshoot"]),
        suspended: is_yes(&spec["suspend"]),
        service: service(kind, spec, name, namespace),
        domain: domain(spec, namespace),
        ..Installation::default()
    };
    let mut configuration = Configuration::default();
    for part in ["settings", "files", "profiles", "quotas", "users"] {
        configuration.note(part, "", &spec["configuration"][part]);
    }
    let mut services = Vec::new();
    if !found.is_too_large() {
        let mut walk = Walk {
            kind,
            spec,
            name,
            namespace,
            defaults: Names::of(&spec["defaults"]).below(Names::default()),
            found: &mut found,
        };
        for (index, cluster) in clusters.into_iter().enumerate() {
            walk.cluster(index, cluster, &mut configuration, &mut services);
        }
    }
    found.configuration = configuration;
    (found, services)
}

struct Walk<'a> {
    kind: &'a Kind,
    spec: &'a Value,
    name: &'a str,
    namespace: &'a str,
    defaults: Names<'a>,
    found: &'a mut Installation,
}

impl<'a> Walk<'a> {
    fn cluster(
        &mut self,
        index: usize,
        cluster: &'a Value,
        configuration: &mut Configuration,
        services: &mut Vec<String>,
    ) {
        let layout = Layout::of(cluster);
        let cluster_name = cluster_name(cluster);
        let above = Names::of(cluster).below(self.defaults);
        let mut note = |level: &dyn Fn() -> String, value: &Value| {
            for part in ["settings", "files"].into_iter().filter(|part| value[*part].is_object()) {
                configuration.note(part, &level(), &value[part]);
            }
        };
        note(&|| cluster_name.to_owned(), cluster);
        // Hosts inherit from replicas only where there is no word of shards.
        let from_replicas = layout.shards.is_empty() && !layout.replicas.is_empty();
        for (number, replica) in layout.replicas.iter().enumerate() {
            note(&|| format!("{cluster_name}/replicas/{number}"), replica);
        }
        let mut in_cluster = 0;
        for shard_index in 0..usize::try_from(layout.shard_count).unwrap_or(0) {
            let shard = layout.shards.get(shard_index).unwrap_or(&Value::Null);
            let shard_name = own_name(shard, shard_index);
            let of_shard = Names::of(shard).below(above);
            note(&|| format!("{cluster_name}/shards/{shard_index}"), shard);
            let (kind, name, namespace) =
                (self.kind, cut(self.name, NAME_PART), cut(self.namespace, NAME_PART));
            let short_cluster = cut(cluster_name, HOST_PART);
            let of_shard_values = || {
                vec![
                    (kind.macro_name, name.to_owned()),
                    ("{namespace}", namespace.to_owned()),
                    ("{cluster}", short_cluster.to_owned()),
                    ("{clusterIndex}", index.to_string()),
                    ("{shard}", cut(&shard_name, HOST_PART).to_owned()),
                    ("{shardIndex}", shard_index.to_string()),
                ]
            };
            if let Some(template) =
                named(&self.spec["templates"]["serviceTemplates"], of_shard.0[SHARD_SERVICE])
            {
                let own = format!("shard-{name}-{short_cluster}-{}", cut(&shard_name, HOST_PART));
                services.push(expand(template, own, &of_shard_values));
            }
            for replica_index in 0..usize::try_from(layout.replicas_of(shard)).unwrap_or(0) {
                let replica = layout.replicas.get(replica_index).unwrap_or(&Value::Null);
                let replica_name = own_name(replica, replica_index);
                let written =
                    [list(&shard["replicas"]).get(replica_index), list(&replica["shards"]).get(shard_index)];
                let [first, second] = written.map(|host| host.unwrap_or(&Value::Null));
                let part = host_name(
                    if first.is_null() { second } else { first },
                    (&shard_name, shard_index),
                    (&replica_name, replica_index),
                );
                for (place, host) in [("shards", first), ("replicas", second)] {
                    note(&|| format!("{cluster_name}/{place}/{shard_index}/{replica_index}"), host);
                }
                let source = if from_replicas { Names::of(replica).below(above) } else { of_shard };
                let names = Names::of(first).below(Names::of(second)).below(source);
                let template = named(&self.spec["templates"]["hostTemplates"], names.0[HOST])
                    .map_or(&Value::Null, |template| &template["spec"]);
                note(&|| format!("hostTemplates/{}", names.0[HOST]), template);
                let names = names.below(Names::of(template));
                let in_all = self.found.hosts.len();
                let values = || {
                    let mut values = of_shard_values();
                    values.extend([
                        ("{replica}", cut(&replica_name, HOST_PART).to_owned()),
                        ("{replicaIndex}", replica_index.to_string()),
                        ("{host}", cut(&part, HOST_PART).to_owned()),
                        ("{chiScopeIndex}", in_all.to_string()),
                        ("{clusterScopeIndex}", in_cluster.to_string()),
                        ("{shardScopeIndex}", replica_index.to_string()),
                        ("{replicaScopeIndex}", shard_index.to_string()),
                    ]);
                    values
                };
                let own = format!("{}-{name}-{short_cluster}-{}", kind.prefix, cut(&part, HOST_PART));
                let host = self.host(&names, own, &values);
                self.found.hosts.push(Host {
                    cluster: cluster_name.to_owned(),
                    shard: u32::try_from(shard_index).unwrap_or(u32::MAX),
                    shard_name: shard_name.clone(),
                    replica: u32::try_from(replica_index).unwrap_or(u32::MAX),
                    part,
                    ..host
                });
                in_cluster += 1;
            }
        }
    }

    /// What a host is called, `own` where no template says otherwise, and its volumes.
    fn host(&mut self, names: &Names<'a>, own: String, values: &dyn Fn() -> Values) -> Host {
        let (pod_template, templates) = (names.0[POD], &self.spec["templates"]);
        let pod = named(&templates["podTemplates"], pod_template).unwrap_or(&Value::Null);
        let service = named(&templates["serviceTemplates"], names.0[REPLICA_SERVICE]).unwrap_or(&Value::Null);
        let name = expand(pod, own.clone(), values);
        self.found.claims.extend(volumes::claims(self.kind, self.spec, &name, pod, names));
        Host {
            name,
            service: expand(service, own, values),
            pod_template: pod_template.to_owned(),
            ..Host::default()
        }
    }
}

/// What stands for each word of a name's pattern.
type Values = Vec<(&'static str, String)>;

/// The name that a template's pattern gives, or else the operator's own.
fn expand(template: &Value, own: String, values: &dyn Fn() -> Values) -> String {
    match text(&template["generateName"]) {
        "" => own,
        pattern => values().iter().fold(pattern.to_owned(), |name, (word, value)| name.replace(word, value)),
    }
}

/// The name that a shard or replica is given; else its number.
fn own_name(level: &Value, index: usize) -> String {
    Some(text(&level["name"]))
        .filter(|name| !name.is_empty())
        .map_or_else(|| index.to_string(), str::to_owned)
}

/// A host's name within its cluster. One that looks like a number, or two, is taken for the operator's own
/// and made anew.
fn host_name(
    host: &Value,
    (shard, shard_index): (&str, usize),
    (replica, replica_index): (&str, usize),
) -> String {
    let given = text(&host["name"]);
    let numbers =
        || [format!("{shard_index}-{replica_index}"), shard_index.to_string(), replica_index.to_string()];
    if given.is_empty() || numbers().iter().any(|number| number == given) {
        format!("{shard}-{replica}")
    } else {
        given.to_owned()
    }
}

fn cut(part: &str, longest: usize) -> &str {
    let end = part.char_indices().nth(longest).map_or(part.len(), |(end, _)| end);
    part[..end].trim_matches(['-', '_', '.'])
}

/// The installation's own Service.
fn service(kind: &Kind, spec: &Value, name: &str, namespace: &str) -> String {
    let templates = &spec["defaults"]["templates"];
    let first = list(&templates["serviceTemplates"]).first().unwrap_or(&templates["serviceTemplate"]);
    let template = named(&spec["templates"]["serviceTemplates"], text(first)).unwrap_or(&Value::Null);
    let name = cut(name, NAME_PART);
    let values =
        || vec![(kind.macro_name, name.to_owned()), ("{namespace}", cut(namespace, NAME_PART).to_owned())];
    expand(template, format!("{}-{name}", kind.service), &values)
}

/// What stands behind a Service's name.
fn domain(spec: &Value, namespace: &str) -> String {
    let pattern = text(&spec["namespaceDomainPattern"]);
    if pattern.is_empty() || pattern.matches("%s").count() > 1 {
        return format!("{namespace}.svc.{CLUSTER_DOMAIN}");
    }
    pattern.replacen("%s", namespace, 1)
}

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

fn length(value: &Value) -> u64 {
    list(value).len() as u64
}
