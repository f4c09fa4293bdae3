//! Monitoring by Prometheus and Grafana.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::address;
use super::read::{number, text};
use super::{Aspect, Checker, ClusterArgs, Drafts, Live, NoDefaults, ValidatedCluster};

/// The usual port of ClickHouse's metrics.
const PORT: u16 = 9363;
/// The usual path of them.
const PATH: &str = "/metrics";
/// What the container's port is called.
pub(in super::super) const PORT_NAME: &str = "prometheus";
/// The settings.
const ENDPOINT_SETTING: &str = "prometheus/endpoint";
const PORT_SETTING: &str = "prometheus/port";
/// What is told there.
const TOLD: [&str; 3] = ["prometheus/metrics", "prometheus/events", "prometheus/asynchronous_metrics"];
/// Other ports of the hosts.
const TAKEN: [u16; 6] = [
    address::HTTP_PORT,
    address::NATIVE_PORT,
    address::HTTPS_PORT,
    address::NATIVE_SECURE_PORT,
    address::INTERSERVER_HTTPS_PORT,
    9009,
];

/// Monitoring by Prometheus and Grafana.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterMonitoring")]
pub struct MonitoringArgs {
    /// Where each host serves its metrics.
    pub prometheus: Option<PrometheusArgs>,
    /// A PodMonitor, by which the Prometheus operator finds the hosts. Default: none.
    pub pod_monitor: Option<PodMonitorArgs>,
    /// A ServiceMonitor, instead of a PodMonitor, for a Prometheus that selects only these; with it comes a
    /// Service for the metrics of all hosts. Default: none. A change takes effect without a restart.
    pub service_monitor: Option<ServiceMonitorArgs>,
    /// A PrometheusRule with alerts: a host is down, replicas are read-only or late, there are too many
    /// parts, a disk is nearly full, the Keeper can't be reached. Default: none.
    pub rules: Option<LabelledArgs>,
    /// A ConfigMap with a dashboard, which Grafana's sidecar finds by its label `grafana_dashboard`. Default:
    /// none.
    pub dashboard: Option<LabelledArgs>,
}

/// Where each host serves its metrics.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterPrometheus")]
pub struct PrometheusArgs {
    /// The port. Default: 9363. A change is a rolling restart.
    pub port: Option<u16>,
    /// The path. Default: `/metrics`. A change is a rolling restart.
    pub path: Option<String>,
}

/// A PodMonitor of the Prometheus operator.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterPodMonitor")]
pub struct PodMonitorArgs {
    /// Its labels: those that Prometheus selects, for example `{release: kube-prometheus-stack}`.
    pub labels: Option<BTreeMap<String, String>>,
    /// How often the metrics are read, like `30s`. Default: as Prometheus does.
    pub interval: Option<String>,
}

/// A ServiceMonitor of the Prometheus operator.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterServiceMonitor")]
pub struct ServiceMonitorArgs {
    /// Its labels: those that Prometheus selects, for example `{release: kube-prometheus-stack}`.
    pub labels: Option<BTreeMap<String, String>>,
    /// How often the metrics are read, like `30s`. Default: as Prometheus does.
    pub interval: Option<String>,
}

/// An object for monitoring that is found by its labels.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterMonitoringObject")]
pub struct LabelledArgs {
    /// Its labels, besides its own.
    pub labels: Option<BTreeMap<String, String>>,
}

type Labels = BTreeMap<String, String>;

/// How a cluster is monitored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Monitoring {
    /// Where each host serves its metrics.
    pub(in super::super) metrics: Option<Metrics>,
    /// The PodMonitor, where there is to be one.
    pub(in super::super) pod_monitor: Option<Monitor>,
    /// The ServiceMonitor, where there is to be one.
    pub(in super::super) service_monitor: Option<Monitor>,
    /// The labels of the alerts, where there are to be any.
    pub(in super::super) rules: Option<Labels>,
    /// The labels of the dashboard, where there is to be one.
    pub(in super::super) dashboard: Option<Labels>,
}

/// What has Prometheus read the metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Monitor {
    pub(in super::super) labels: Labels,
    /// How often; as Prometheus does where it is not said.
    pub(in super::super) interval: Option<String>,
}

/// Where each host serves its metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Metrics {
    pub(in super::super) port: u16,
    pub(in super::super) path: String,
}

impl Aspect for Monitoring {
    type Args = Option<MonitoringArgs>;
    type Defaults = NoDefaults;

    fn complete(_args: &mut ClusterArgs, _had_keeper: bool) {}

    fn check(check: &mut Checker<'_>) -> Self {
        let Some(given) = check.args().monitoring.clone() else {
            return Self {
                metrics: None,
                pod_monitor: None,
                service_monitor: None,
                rules: None,
                dashboard: None,
            };
        };
        check.is_for_one_pod_template("monitoring", true);
        let MonitoringArgs { prometheus, pod_monitor, service_monitor, rules, dashboard } = given;
        let metrics = Some(Metrics::check(prometheus.unwrap_or_default(), check));
        let rules = rules.map(|given| labels("rules", given.labels, check));
        let dashboard = dashboard.map(|given| labels("dashboard", given.labels, check));
        if pod_monitor.is_some() && service_monitor.is_some() {
            let reason = "with `monitoring.podMonitor` beside it Prometheus reads each host twice: remove \
                one of them";
            check.fail("monitoring.serviceMonitor", reason);
        }
        let pod_monitor =
            pod_monitor.map(|given| Monitor::check("podMonitor", given.labels, given.interval, check));
        let service_monitor = service_monitor
            .map(|given| Monitor::check("serviceMonitor", given.labels, given.interval, check));
        Self { metrics, pod_monitor, service_monitor, rules, dashboard }
    }

    fn render(&self, _cluster: &ValidatedCluster, drafts: &mut Drafts) {
        let Some(Metrics { port, path }) = &self.metrics else { return };
        let draft = &mut drafts.installation;
        draft.settings.insert(ENDPOINT_SETTING.to_owned(), json!(path));
        draft.settings.insert(PORT_SETTING.to_owned(), json!(port));
        draft.settings.extend(TOLD.map(|setting| (setting.to_owned(), json!(true))));
        draft.pod.ports.push(json!({"name": PORT_NAME, "containerPort": port, "protocol": "TCP"}));
    }

    fn read(live: &Live) -> Option<MonitoringArgs> {
        let settings = &live.spec()["configuration"]["settings"];
        let has_port = |ports: &Value| {
            ports.as_array().is_some_and(|ports| ports.iter().any(|port| port["name"] == PORT_NAME))
        };
        let is_ours = live.adopted.is_none() && has_port(&live.container()["ports"]);
        let prometheus =
            PrometheusArgs { port: number(&settings[PORT_SETTING]), path: text(&settings[ENDPOINT_SETTING]) };
        (is_ours && prometheus.port.is_some())
            .then(|| MonitoringArgs { prometheus: Some(prometheus), ..MonitoringArgs::default() })
    }
}

impl Monitor {
    fn check(field: &str, labels: Option<Labels>, interval: Option<String>, check: &mut Checker<'_>) -> Self {
        if let Some(interval) = &interval {
            let digits = interval.trim_end_matches(|c: char| c.is_ascii_lowercase());
            let is_known =
                ["ms", "s", "m", "h"].iter().any(|unit| interval.strip_prefix(digits) == Some(unit));
            if !is_known || !digits.parse::<u32>().is_ok_and(|number| number > 0) {
                let reason = format!("`{interval}` is not an interval: write for example `30s`");
                check.fail(&format!("monitoring.{field}.interval"), reason);
            }
        }
        Self { labels: self::labels(field, labels, check), interval }
    }
}

/// The labels of an object that is found by them.
fn labels(field: &str, given: Option<Labels>, check: &mut Checker<'_>) -> Labels {
    check.labels(&format!("monitoring.{field}.labels"), given.as_ref());
    given.unwrap_or_default()
}

impl Metrics {
    fn check(given: PrometheusArgs, check: &mut Checker<'_>) -> Self {
        let PrometheusArgs { port, path } = given;
        let (port, path) = (port.unwrap_or(PORT), path.unwrap_or_else(|| PATH.to_owned()));
        if port == 0 || TAKEN.contains(&port) {
            let reason = format!("{port} is not a free port of the hosts: use for example {PORT}");
            check.fail("monitoring.prometheus.port", reason);
        }
        if !path.starts_with('/') {
            check.fail("monitoring.prometheus.path", format!("`{path}` must begin with `/`"));
        }
        Self { port, path }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::cluster::settings::problems as of_settings;
    use crate::kubernetes::cluster::tests::{built, problems};

    #[test]
    fn each_host_serves_its_metrics_and_no_object_is_made_that_is_not_asked_for() {
        let built = built(json!({"name": "db", "monitoring": {"prometheus": {"port": 9999}}}));
        let installation = built.installation.unwrap();
        let settings = &installation["spec"]["configuration"]["settings"];
        assert_eq!(
            (&settings[PORT_SETTING], &settings[ENDPOINT_SETTING]),
            (&json!(9999), &json!("/metrics"))
        );
        let container = &installation["spec"]["templates"]["podTemplates"][0]["spec"]["containers"][0];
        assert_eq!(container["ports"][0]["containerPort"], 9999);
        assert_eq!(of_settings(&installation), []);
        assert!(built.pod_monitor.is_none() && built.rules.is_none() && built.dashboard.is_none());
        assert!(built.service_monitor.is_none() && built.metrics_service.is_none());
    }

    #[test]
    fn a_service_monitor_finds_all_hosts_by_a_service_of_their_metrics() {
        let monitoring = json!({"serviceMonitor": {}});
        let built =
            built(json!({"name": "db", "ingress": {"type": "LoadBalancer"}, "monitoring": monitoring}));
        let (monitor, service) = (built.service_monitor.unwrap(), built.metrics_service.unwrap());
        let selected = monitor["spec"]["selector"]["matchLabels"].as_object().unwrap();
        let has = |service: &Value| {
            selected.iter().all(|(label, value)| service["metadata"]["labels"].get(label) == Some(value))
        };
        assert!(has(&service) && !has(&built.service.unwrap()), "of the two Services it finds one");
        let template = &built.installation.unwrap()["spec"]["templates"]["podTemplates"][0]["spec"];
        assert_eq!(service["spec"]["ports"][0]["targetPort"], template["containers"][0]["ports"][0]["name"]);
        assert_eq!(service["spec"]["clusterIP"], "None", "it is not the load balancer");
        assert_eq!(service["spec"]["publishNotReadyAddresses"], true, "a host that is not ready is read too");
    }

    #[test]
    fn prometheus_and_grafana_find_their_objects_by_labels() {
        let labels = json!({"labels": {"release": "prom"}});
        let monitoring = json!({"rules": labels, "dashboard": {}});
        let built = built(json!({"name": "db", "monitoring": monitoring, "networkPolicy": {}}));
        let rules = built.rules.unwrap();
        assert_eq!(rules["metadata"]["labels"]["release"], "prom");
        for rule in rules["spec"]["groups"][0]["rules"].as_array().unwrap() {
            assert!(
                rule["expr"].as_str().unwrap().contains(r#"namespace="apps",pod=~"chi-db-.*""#),
                "{rule}"
            );
        }
        let dashboard = built.dashboard.unwrap();
        assert_eq!(dashboard["metadata"]["labels"]["grafana_dashboard"], "1");
        let board: Value = serde_json::from_str(dashboard["data"]["db.json"].as_str().unwrap()).unwrap();
        assert!(board["panels"].as_array().unwrap().len() > 5);
        let policy = built.host_policy.unwrap();
        assert_eq!(policy["spec"]["ingress"][3]["ports"][0]["port"], 9363);
    }

    #[test]
    fn what_can_t_be_served_is_refused() {
        for (monitoring, problem) in [
            (json!({"prometheus": {"port": 8123}}), "monitoring.prometheus.port: 8123 is not a free port"),
            (json!({"prometheus": {"path": "metrics"}}), "monitoring.prometheus.path: `metrics` must begin"),
            (json!({"podMonitor": {"interval": "often"}}), "monitoring.podMonitor.interval: `often` is not"),
            (
                json!({"serviceMonitor": {"interval": "0s"}}),
                "monitoring.serviceMonitor.interval: `0s` is not",
            ),
            (json!({"podMonitor": {}, "serviceMonitor": {}}), "monitoring.serviceMonitor: with "),
            (json!({"rules": {"labels": {"a b": "c"}}}), "monitoring.rules.labels.a b: "),
        ] {
            let told = problems(json!({"monitoring": monitoring}));
            assert!(told.len() == 1 && told[0].starts_with(problem), "{told:?}");
        }
    }
}
