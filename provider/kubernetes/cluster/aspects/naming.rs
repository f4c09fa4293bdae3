//! The names of a cluster, and the labels and annotations of its objects.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::super::names;
use super::check::{label_problem, name_problem};
use super::read::{entries, text};
use super::{Aspect, Checker, ClusterArgs, Drafts, Live, ValidatedCluster};

/// The DNS domain of a Kubernetes cluster that has no other.
pub(in super::super) const CLUSTER_DOMAIN: &str = "cluster.local";

/// Clusters that the operator itself puts into `remote_servers`.
const OPERATORS_CLUSTERS: [&str; 3] = ["all-replicated", "all-sharded", "all-clusters"];
/// Beginnings of the names that the operator gives to the Services of other clusters.
const OPERATORS_PREFIXES: [&str; 6] = ["clickhouse-", "keeper-", "chi-", "chk-", "shard-", "cluster-"];

/// The inputs about names.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NamingArgs {
    /// The name of the cluster, its ClickHouseInstallation and its Service. Lower-case letters, digits and
    /// `-`, beginning with a letter; together with `clusterName` at most 40 characters. Default: the
    /// resource's name in the program, `-` and 7 hex digits. A change replaces the cluster.
    #[schemars(extend("willReplaceOnChanges" = true))]
    pub name: Option<String>,

    /// The Kubernetes namespace. Default: the provider's `namespace`, else the kubeconfig context's, else
    /// `default`. A change replaces the cluster.
    #[schemars(extend("willReplaceOnChanges" = true))]
    pub namespace: Option<String>,

    /// Whether to create the namespace if it does not exist. It is deleted with the cluster only if the
    /// cluster created it and nothing else is in it. Default: false.
    pub create_namespace: Option<bool>,

    /// Labels for every object that the provider creates; the operator copies them to its own. A change is a
    /// rolling restart, since the pods have them too.
    pub labels: Option<BTreeMap<String, String>>,

    /// Annotations for every object that the provider creates; the operator copies them to its own. A change
    /// restarts the hosts, as one of `labels` does.
    pub annotations: Option<BTreeMap<String, String>>,

    /// The name of the cluster inside ClickHouse: in `remote_servers` and `ON CLUSTER`. At most 15 lower-case
    /// letters, digits and `-`. Default: `cluster`. A change replaces the cluster.
    #[schemars(extend("willReplaceOnChanges" = true))]
    pub cluster_name: Option<String>,

    /// The DNS domain of the Kubernetes cluster. Default: `cluster.local`.
    pub cluster_domain: Option<String>,
}

/// The names of a cluster, and the labels and annotations of its objects.
#[derive(Debug, Clone)]
pub(in super::super) struct Naming {
    pub(in super::super) name: String,
    pub(in super::super) namespace: String,
    pub(in super::super) create_namespace: bool,
    pub(in super::super) labels: BTreeMap<String, String>,
    pub(in super::super) annotations: BTreeMap<String, String>,
    pub(in super::super) cluster_name: String,
    pub(in super::super) cluster_domain: String,
}

/// What a cluster keeps of its naming.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in super::super) struct NamingDefaults {
    /// The namespace of the last run.
    pub(in super::super) namespace: Option<String>,
}

impl Aspect for Naming {
    type Args = NamingArgs;
    type Defaults = NamingDefaults;

    const FOLLOW: &'static [(&'static str, &'static [&'static str])] = &[
        (
            "name",
            &[
                "name",
                "credentialsSecret",
                "endpoints",
                "connection",
                "hosts",
                "shardServices",
                "keeper",
                "portForwardCommand",
                "internalHostname",
            ],
        ),
        (
            "namespace",
            &[
                "namespace",
                "endpoints",
                "connection",
                "hosts",
                "keeper",
                "portForwardCommand",
                "internalHostname",
            ],
        ),
        ("clusterName", &["clusterName", "hosts", "shardServices", "keeper"]),
        ("clusterDomain", &["endpoints", "connection", "hosts", "keeper", "internalHostname"]),
    ];

    fn complete(args: &mut ClusterArgs, _had_keeper: bool) {
        args.naming.cluster_name.get_or_insert_with(|| names::DEFAULT_CLUSTER_NAME.to_owned());
        args.naming.cluster_domain.get_or_insert_with(|| CLUSTER_DOMAIN.to_owned());
    }

    fn check(check: &mut Checker<'_>) -> Self {
        let NamingArgs {
            name,
            namespace,
            create_namespace,
            labels,
            annotations,
            cluster_name,
            cluster_domain,
        } = check.args().naming.clone();
        let (name, cluster_name) = (name.unwrap_or_default(), cluster_name.unwrap_or_default());
        // What somebody else has made is called as it is.
        if check.adopted().is_none() {
            names_together(check, &name, &cluster_name);
        }
        let namespace = namespace.unwrap_or_default();
        if let Some(problem) = label_problem(&namespace) {
            check.fail("namespace", problem);
        }
        check.labels("labels", labels.as_ref());
        check.annotations("annotations", annotations.as_ref());
        let cluster_domain = cluster_domain.unwrap_or_else(|| CLUSTER_DOMAIN.to_owned());
        check.dns_name("clusterDomain", Some(&cluster_domain));
        Self {
            name,
            namespace,
            create_namespace: create_namespace.unwrap_or_default(),
            labels: labels.unwrap_or_default(),
            annotations: annotations.unwrap_or_default(),
            cluster_name,
            cluster_domain,
        }
    }

    fn render(&self, cluster: &ValidatedCluster, drafts: &mut Drafts) {
        let is_nameless = cluster.adopted.as_ref().is_some_and(|adopted| adopted.is_nameless);
        for draft in drafts.both() {
            if !is_nameless {
                draft.cluster.insert("name".to_owned(), json!(self.cluster_name));
            }
            if self.cluster_domain != CLUSTER_DOMAIN {
                draft.fields.insert(
                    "namespaceDomainPattern".to_owned(),
                    json!(format!("%s.svc.{}", self.cluster_domain)),
                );
            }
        }
    }

    fn read(live: &Live) -> NamingArgs {
        let metadata = &live.installation["metadata"];
        NamingArgs {
            name: text(&metadata["name"]),
            namespace: text(&metadata["namespace"]),
            create_namespace: None,
            labels: entries(&metadata["labels"]),
            annotations: entries(&metadata["annotations"]),
            cluster_name: Some(live.cluster_name().to_owned()),
            cluster_domain: text(&live.spec()["namespaceDomainPattern"])
                .and_then(|pattern| Some(pattern.strip_prefix("%s.svc.")?.to_owned())),
        }
    }
}

fn names_together(check: &mut Checker<'_>, name: &str, cluster_name: &str) {
    if OPERATORS_CLUSTERS.contains(&cluster_name) {
        let reason = format!(
            "`{cluster_name}` is a cluster that the operator itself adds to `remote_servers`: choose another \
                name"
        );
        check.fail_newly("clusterName".into(), reason);
    }
    if let Some(prefix) = OPERATORS_PREFIXES.into_iter().find(|prefix| name.starts_with(prefix)) {
        let rest = &name[prefix.len()..];
        let reason = format!(
            "`{name}` is the name that the operator gives to a Service of a cluster `{rest}`, which would \
                replace this cluster's own: leave out `{prefix}`, or put it \
             at the end"
        );
        check.fail_newly("name".into(), reason);
    }
    if let Some(problem) = name_problem(name, names::NAME_BUDGET) {
        check.fail("name", problem);
    }
    if let Some(problem) = name_problem(cluster_name, names::CLUSTER_NAME_LENGTH) {
        check.fail("clusterName", problem);
    }
    let together = name.len() + cluster_name.len();
    if together > names::NAME_BUDGET
        && name.len() <= names::NAME_BUDGET
        && !check.is_unknown("name")
        && !check.is_unknown("clusterName")
    {
        let reason = format!(
            "`{name}` and the clusterName `{cluster_name}` have {together} characters together, at most {} \
                fit into the names that the operator derives from them: shorten one of them",
            names::NAME_BUDGET
        );
        check.fail("name", reason);
    }
}

impl Naming {
    /// Pulumi's id of the cluster.
    pub(in super::super) fn id(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::cluster::tests::{adopted, changed, problems};

    #[test]
    fn names_share_a_budget() {
        assert_eq!(problems(json!({"name": "a".repeat(33)})), Vec::<String>::new());
        let problems = problems(json!({"name": "a".repeat(34)}));
        assert!(
            problems.len() == 1 && problems[0].contains("41 characters together, at most 40"),
            "{problems:?}"
        );
    }

    #[test]
    fn a_cluster_without_a_name_stays_so() {
        let args = adopted(
            json!({"configuration": {"clusters": [{"layout": {"shardsCount": 2}, "settings": {"a": 1}}]}}),
        );
        assert_eq!(args.naming.cluster_name.as_deref(), Some("cluster"));
        let spec = changed(&args, json!({"shards": 3})).unwrap();
        assert_eq!(
            spec["configuration"]["clusters"],
            json!([{"layout": {"shardsCount": 3}, "settings": {"a": 1}}])
        );
    }
}
