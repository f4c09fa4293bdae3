//! What the errors say.

use super::{DELETE_UNREACHABLE, FieldConflict, FieldProblem, INSTALL_OPERATOR};
use crate::kubernetes::meta::Kind;

pub(super) fn crd_missing(kind: Kind) -> String {
    let missing =
        format!("the Kubernetes cluster does not have the kind {} ({})", kind.name(), kind.api_version());
    match kind {
        Kind::Installation | Kind::KeeperInstallation => {
            format!(
                "{missing}: the clickhouse-operator and its definitions are not installed; install them with \
                    `{INSTALL_OPERATOR}`"
            )
        }
        Kind::Certificate => format!(
            "{missing}: cert-manager is not installed; install it \
                (https://cert-manager.io/docs/installation), or name a Secret with a certificate in \
                `tls.secretName`"
        ),
        Kind::PodMonitor | Kind::ServiceMonitor | Kind::PrometheusRule => format!(
            "{missing}: the Prometheus operator is not installed; install it \
                (https://prometheus-operator.dev), or remove `monitoring.{}`",
            match kind {
                Kind::PodMonitor => "podMonitor",
                Kind::ServiceMonitor => "serviceMonitor",
                _ => "rules",
            }
        ),
        _ => format!("{missing}: this version of Kubernetes is too old"),
    }
}

pub(super) fn forbidden(verb: &str, resource: &str, namespace: Option<&str>, message: &str) -> String {
    let scope = namespace
        .map_or_else(|| "--all-namespaces".to_owned(), |namespace| format!("--namespace {namespace}"));
    format!(
        "not allowed to {verb} {resource}: {message}; request the permission (`kubectl auth can-i {verb} \
            {resource} {scope}` shows whether you have it)"
    )
}

pub(super) fn list_conflicts(conflicts: &[FieldConflict]) -> String {
    let each: Vec<_> = conflicts
        .iter()
        .map(|conflict| format!("`{}` owns {}", conflict.manager, conflict.fields.join(", ")))
        .collect();
    if each.is_empty() { "another field manager owns fields of it".to_owned() } else { each.join("; ") }
}

pub(super) fn list_problems(problems: &[FieldProblem]) -> String {
    let each = problems.iter().map(|problem| {
        if problem.field.is_empty() {
            problem.problem.clone()
        } else {
            format!("`{}`: {}", problem.field, problem.problem)
        }
    });
    each.collect::<Vec<_>>().join("; ")
}

pub(super) fn unknown_fields(object: &str, fields: &[String], installed: Option<&str>) -> String {
    let names: Vec<_> = fields
        .iter()
        .map(|field| match known_since(field) {
            Some(version) => format!("`{field}` (operator {version} and newer do)"),
            None => format!("`{field}`"),
        })
        .collect();
    let definition = installed.map_or_else(
        || "the definition installed in this cluster does".to_owned(),
        |version| format!("the definition installed in this cluster, of operator {version}, does"),
    );
    format!(
        "failed to apply {object}: {definition} not know {}; upgrade the operator with its definitions, or \
            leave the fields out",
        names.join(", ")
    )
}

/// Since which release the operator has a field of its kinds; `None` for what all have that this provider
/// works with, or none. From the operator's release notes and definitions.
fn known_since(field: &str) -> Option<&'static str> {
    const SINCE: [(&str, &str); 9] = [
        ("hooks", "0.27.1"),
        ("security", "0.27.1"),
        ("keeper", "0.27.1"),
        // Of a Keeper: an installation's is older.
        ("secure", "0.27.1"),
        ("reconcile", "0.25.4"),
        ("pdbManaged", "0.25.3"),
        ("macros", "0.25.1"),
        ("runtime", "0.25.0"),
        ("availabilityZone", "0.25.0"),
    ];
    let parts: Vec<_> = field.split(['.', '[']).collect();
    SINCE.into_iter().find(|(name, _)| parts.contains(name)).map(|(_, version)| version)
}

pub(super) fn unreachable(server: Option<&str>, cause: &str, connected: bool) -> String {
    let at = server.map(|server| format!(" at {server}")).unwrap_or_default();
    let remedy = "check the address in the kubeconfig, the network and the VPN";
    let gone = if connected {
        String::new()
    } else {
        format!(
            "; if the Kubernetes cluster is gone for good, {DELETE_UNREACHABLE}=true makes a refresh or a \
                destroy drop it from the state"
        )
    };
    format!("failed to reach the Kubernetes API server{at}: {cause}; {remedy}{gone}")
}
