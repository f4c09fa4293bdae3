//! What is wrong with the inputs of pods.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{
    Affinity, Container, EnvVarSource, PodSecurityContext, Probe, SecurityContext, TopologySpreadConstraint,
    Volume, VolumeMount,
};
use serde_json::Value;

use super::super::check::label_problem;
use super::super::storage::{DATA, DATA_PATH, LOGS};
use super::super::{Checker, FreeForm, OverridesArgs};
use super::{EnvVar, PodArgs, Toleration, TolerationOperator};
use crate::property::path::PropertyPath;

/// What is in the pods anyway, by the name that it has there: what the operator adds with a log volume, and
/// `backup` and `tls`, too.
const CONTAINERS: [&str; 4] = ["clickhouse", "clickhouse-keeper", "clickhouse-log", "clickhouse-backup"];
const VOLUMES: [&str; 4] = [DATA, LOGS, "clickhouse-backup", "tls"];
/// Where the operator mounts what it makes, and where the data and the logs are.
const MOUNTED: [&str; 11] = [
    DATA_PATH,
    "/var/lib/clickhouse-keeper",
    "/var/log/clickhouse-server",
    "/var/log/clickhouse-keeper",
    "/etc/clickhouse-server/config.d",
    "/etc/clickhouse-server/conf.d",
    "/etc/clickhouse-server/users.d",
    "/etc/clickhouse-server/secrets.d",
    "/etc/clickhouse-keeper/config.d",
    "/etc/clickhouse-keeper/conf.d",
    "/etc/clickhouse-keeper/users.d",
];
/// What the operator sets.
const CLUSTER_SECRET: &str = "CLICKHOUSE_INTERNODE_CLUSTER_SECRET";
const FROM_SECRETS: &str = "CONFIGURATION_";

impl PodArgs {
    /// Checks the pods whose inputs stand at `path`.
    pub(in super::super) fn check(self: Box<Self>, path: &str, check: &mut Checker<'_>) -> Box<Self> {
        let at = |field: &str| format!("{path}.{field}");
        check.labels(&at("nodeSelector"), self.node_selector.as_ref());
        check.labels(&at("labels"), self.labels.as_ref());
        check.annotations(&at("annotations"), self.annotations.as_ref());
        for (index, toleration) in self.tolerations.iter().flatten().enumerate() {
            tolerated(&PropertyPath::from(path).key("tolerations").index(index), toleration, check);
        }
        for (index, zone) in self.zones.iter().flatten().enumerate() {
            if zone.is_empty() {
                let reason = "is empty: write the zone's name, for example `eu-central-1a`";
                check.fail_at(PropertyPath::from(path).key("zones").index(index), reason);
            }
        }
        for (field, name) in [
            ("serviceAccountName", &self.service_account_name),
            ("priorityClassName", &self.priority_class_name),
            ("runtimeClassName", &self.runtime_class_name),
        ] {
            check.dns_name(&at(field), name.as_deref());
        }
        for (index, alias) in self.host_aliases.iter().flatten().enumerate() {
            if alias.ip.parse::<std::net::IpAddr>().is_err() {
                let reason = format!("`{}` is not an address: write for example `10.0.0.1`", alias.ip);
                check.fail_at(PropertyPath::from(path).key("hostAliases").index(index).key("ip"), reason);
            }
        }
        one::<Affinity>(&at("affinity"), self.affinity.as_ref(), check);
        one::<PodSecurityContext>(&at("securityContext"), self.security_context.as_ref(), check);
        let of_container = self.container_security_context.as_ref();
        one::<SecurityContext>(&at("containerSecurityContext"), of_container, check);
        for (field, probe) in [
            ("livenessProbe", &self.liveness_probe),
            ("readinessProbe", &self.readiness_probe),
            ("startupProbe", &self.startup_probe),
        ] {
            one::<Probe>(&at(field), probe.as_ref(), check);
        }
        each::<TopologySpreadConstraint>(&at("topologySpread"), self.topology_spread.as_deref(), check);
        each::<Container>(&at("extraContainers"), self.extra_containers.as_deref(), check);
        each::<Container>(&at("initContainers"), self.init_containers.as_deref(), check);
        each::<Volume>(&at("volumes"), self.volumes.as_deref(), check);
        each::<VolumeMount>(&at("volumeMounts"), self.volume_mounts.as_deref(), check);
        self.check_env(&at("env"), check);
        self.check_names(path, check);
        self
    }

    fn check_env(&self, path: &str, check: &mut Checker<'_>) {
        let mut seen = BTreeSet::new();
        for (index, EnvVar { name, value, value_from }) in self.env.iter().flatten().enumerate() {
            let path = PropertyPath::from(path).index(index);
            if name.is_empty() || name.contains('=') {
                check.fail_at(path.key("name"), format!("`{name}` is not the name of a variable"));
            } else if name == CLUSTER_SECRET || name.starts_with(FROM_SECRETS) {
                let reason = format!("`{name}` is one of the operator's own variables: choose another name");
                check.fail_at(path.key("name"), reason);
            } else if !seen.insert(name) {
                check.fail_at(path.key("name"), format!("`{name}` is there twice: remove one of them"));
            }
            if value.is_some() && value_from.is_some() {
                let reason = "has a `value`, too: remove one of them";
                check.fail_at(path.key("valueFrom"), reason);
            }
            if let Some(source) = value_from {
                check.kubernetes::<EnvVarSource>(path.key("valueFrom"), source);
            }
        }
    }

    /// Names and places that are taken, or that there are not.
    fn check_names(&self, path: &str, check: &mut Checker<'_>) {
        let given = check.args().storage.as_ref().and_then(|storage| storage.disks.as_ref());
        let disks: Vec<&str> = given.into_iter().flatten().map(|disk| disk.name.as_str()).collect();
        let of_claims = |name: &str| VOLUMES.contains(&name) || disks.contains(&name);
        let mut seen = BTreeSet::new();
        for (list, containers) in
            [("extraContainers", &self.extra_containers), ("initContainers", &self.init_containers)]
        {
            for (at, name) in texts(path, list, containers.as_ref(), "name") {
                if CONTAINERS.contains(&name) {
                    let reason = format!(
                        "`{name}` is the name of a container that `pod` and the other inputs describe: \
                            choose another name"
                    );
                    check.fail_at(at, reason);
                } else if !seen.insert(name) {
                    check.fail_at(at, format!("`{name}` is there twice: choose another name"));
                } else if let Some(problem) = label_problem(name) {
                    check.fail_at(at, problem);
                }
            }
        }
        let mut volumes = BTreeSet::new();
        for (at, name) in texts(path, "volumes", self.volumes.as_ref(), "name") {
            if of_claims(name) {
                let reason = format!(
                    "`{name}` is the name of a volume that other inputs describe: choose another name"
                );
                check.fail_at(at, reason);
            } else if !volumes.insert(name) {
                check.fail_at(at, format!("`{name}` is there twice: choose another name"));
            } else if let Some(problem) = label_problem(name) {
                check.fail_at(at, problem);
            }
        }
        let mounts = self.volume_mounts.as_ref();
        // Overrides and somebody else's templates can have more volumes.
        let is_all = check.adopted().is_none()
            && check.args().overrides == OverridesArgs::default()
            && !check.is_unknown(&format!("{path}.volumes"));
        for (at, name) in texts(path, "volumeMounts", mounts, "name") {
            if is_all && !of_claims(name) && !volumes.contains(name) {
                check.fail_newly(at, format!("`{name}` is no volume of `{path}.volumes`: name it there"));
            }
        }
        let mut places = BTreeSet::new();
        for (at, place) in texts(path, "volumeMounts", mounts, "mountPath") {
            let plain = place.trim_end_matches('/');
            let disk = plain.strip_prefix(DATA_PATH).and_then(|rest| rest.strip_prefix('-'));
            if !place.starts_with('/') {
                check.fail_at(at, format!("`{place}` is not a path from the root: begin it with `/`"));
            } else if MOUNTED.contains(&plain) || disk.is_some_and(of_claims) {
                let reason = format!("`{place}` is where something else is mounted: choose another place");
                check.fail_at(at, reason);
            } else if !places.insert(plain) {
                check.fail_at(at, format!("`{place}` is there twice: choose another place"));
            }
        }
    }
}

fn tolerated(path: &PropertyPath, toleration: &Toleration, check: &mut Checker<'_>) {
    let Toleration { key, operator, value, effect: _, toleration_seconds: _ } = toleration;
    let exists = *operator == Some(TolerationOperator::Exists);
    if exists && value.is_some() {
        let reason = "has no effect with the operator `Exists`, which takes any value: remove one of them";
        check.fail_at(path.key("value"), reason);
    }
    if key.is_none() && !exists {
        let reason = "is required, unless `operator` is `Exists`: name the key of the taint";
        check.fail_at(path.key("key"), reason);
    }
}

fn one<T: serde::de::DeserializeOwned + serde::Serialize>(
    path: &str,
    given: Option<&FreeForm>,
    check: &mut Checker<'_>,
) {
    if let Some(given) = given {
        check.kubernetes::<T>(path, given);
    }
}

fn each<T: serde::de::DeserializeOwned + serde::Serialize>(
    path: &str,
    given: Option<&[FreeForm]>,
    check: &mut Checker<'_>,
) {
    for (index, given) in given.into_iter().flatten().enumerate() {
        check.kubernetes::<T>(PropertyPath::from(path).index(index), given);
    }
}

/// What the objects of a list say in `field`, with the places where they do.
fn texts<'a>(
    path: &str,
    list: &str,
    objects: Option<&'a Vec<FreeForm>>,
    field: &str,
) -> Vec<(PropertyPath, &'a str)> {
    let list = PropertyPath::from(path).key(list);
    let named = objects.into_iter().flatten().enumerate();
    named
        .filter_map(|(index, object)| {
            Some((list.index(index).key(field), object.get(field).and_then(Value::as_str)?))
        })
        .collect()
}
