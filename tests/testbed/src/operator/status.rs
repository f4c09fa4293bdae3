//! The status as the operator writes it.

use k8s_openapi::jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::installation::{Installation, Kind};
use super::{OPERATOR_VERSION, ancestor_metadata};

/// Lists of tasks and errors keep this many, newest first.
const KEPT: usize = 10;
const COUNTERS: [&str; 6] =
    ["hostsUpdated", "hostsAdded", "hostsUnchanged", "hostsCompleted", "hostsDeleted", "hostsDelete"];

/// A status under way, and which of its fields changed since it was last written.
#[derive(Debug, Default)]
pub(super) struct Status {
    fields: Map<String, Value>,
    changed: Map<String, Value>,
}

impl Status {
    pub(super) fn new(fields: Option<&Value>) -> Self {
        Self { fields: fields.and_then(Value::as_object).cloned().unwrap_or_default(), changed: Map::new() }
    }

    /// What to send as a merge patch, once; `None` when nothing changed.
    pub(super) fn take_patch(&mut self) -> Option<Value> {
        let changed = std::mem::take(&mut self.changed);
        (!changed.is_empty()).then(|| json!({"status": changed}))
    }

    fn set(&mut self, field: &str, value: Value) {
        let old = self.fields.get(field).unwrap_or(&Value::Null);
        if *old == value {
            return;
        }
        self.changed.insert(field.to_owned(), value.clone());
        if value.is_null() {
            self.fields.remove(field);
        } else {
            self.fields.insert(field.to_owned(), value);
        }
    }

    fn push(&mut self, field: &str, value: &str) {
        let mut list = self.fields.get(field).and_then(Value::as_array).cloned().unwrap_or_default();
        list.insert(0, json!(value));
        list.truncate(KEPT);
        self.set(field, json!(list));
    }

    /// The task's beginning: what is wanted, at once, and no progress yet.
    pub(super) fn start(&mut self, installation: &Installation, task: &str) {
        self.describe(installation, task);
        self.set("status", json!("InProgress"));
        self.push("taskIDsStarted", Self::recorded(installation, task));
        for counter in COUNTERS {
            self.set(counter, Value::Null);
        }
        if installation.kind == Kind::Keeper {
            self.set("normalizedCompleted", Value::Null);
            self.set("normalized", ancestor_metadata(installation));
        }
    }

    /// The layout and the names, and the task where the kind shows it.
    pub(super) fn describe(&mut self, installation: &Installation, task: &str) {
        let endpoint = installation.domain(&installation.service_name());
        let fqdns: Vec<String> = installation.hosts.iter().map(|host| installation.fqdn(host)).collect();
        let pods: Vec<String> = installation.hosts.iter().map(|host| installation.pod_name(host)).collect();
        self.set("chop-version", json!(OPERATOR_VERSION));
        self.set("clusters", json!(installation.clusters.len()));
        self.set("shards", json!(installation.shards().count()));
        self.set("hosts", json!(installation.hosts.len()));
        self.set("endpoint", json!(endpoint));
        self.set("endpoints", json!([endpoint]));
        self.set("fqdns", json!(fqdns));
        self.set("pods", json!(pods));
        if installation.kind == Kind::ClickHouse {
            self.set("taskID", json!(task));
        }
    }

    /// The Keeper's status knows its tasks only as empty strings.
    fn recorded<'a>(installation: &Installation, task: &'a str) -> &'a str {
        if installation.kind == Kind::Keeper { "" } else { task }
    }

    pub(super) fn count(&mut self, counter: &str) {
        let count = self.fields.get(counter).and_then(Value::as_i64).unwrap_or_default();
        self.set(counter, json!(count + 1));
    }

    /// What the operator notes, on healthy runs too, when it makes a Service. The Keeper's status has no
    /// errors.
    pub(super) fn service_made(&mut self, installation: &Installation, service: &str) {
        if installation.kind == Kind::ClickHouse {
            let namespace = &installation.namespace;
            self.error(&format!(
                "Update Service: {namespace}/{service} failed with error: just recreate the service in case \
                    of service type change ''=>'ClusterIP'"
            ));
        }
    }

    fn error(&mut self, text: &str) {
        self.set("error", json!(text));
        self.push("errors", &format!("{} {text}", Timestamp::now()));
    }

    /// The task's end.
    pub(super) fn complete(&mut self, installation: &Installation, task: &str) {
        self.set("status", json!("Completed"));
        self.push("taskIDsCompleted", Self::recorded(installation, task));
        self.set("error", Value::Null);
        for counter in COUNTERS {
            self.set(counter, Value::Null);
        }
        if installation.kind == Kind::Keeper {
            self.set("normalized", Value::Null);
            self.set("normalizedCompleted", ancestor_metadata(installation));
        }
    }

    /// The task's bad end, which is recorded as a completion too.
    pub(super) fn abort(&mut self, installation: &Installation, task: &str) {
        self.set("status", json!("Aborted"));
        self.push("taskIDsCompleted", Self::recorded(installation, task));
        self.error(&format!(
            "FAILED to reconcile CR {}/{}, err: crud error - should abort",
            installation.namespace, installation.name
        ));
    }

    /// The beginning of the end.
    pub(super) fn terminate(&mut self, installation: &Installation, task: &str) {
        self.describe(installation, task);
        self.set("status", json!("Terminating"));
        self.push("taskIDsStarted", task);
        for counter in COUNTERS {
            self.set(counter, Value::Null);
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::api::DynamicObject;

    use super::*;

    fn installation() -> Installation {
        Installation::of(
            Kind::ClickHouse,
            &DynamicObject::new("db", &Kind::ClickHouse.resource()).within("prod"),
        )
    }

    #[test]
    fn a_task_is_recorded_once_it_starts_and_once_it_ends_newest_first() {
        let mut status = Status::default();
        for task in ["a", "b"] {
            status.start(&installation(), task);
            status.complete(&installation(), task);
        }
        let patch = status.take_patch().unwrap();
        assert_eq!(patch["status"]["taskIDsStarted"], json!(["b", "a"]));
        assert_eq!(patch["status"]["taskIDsCompleted"], json!(["b", "a"]));
        assert_eq!(patch["status"]["taskID"], "b");
    }

    #[test]
    fn only_ten_tasks_are_kept() {
        let mut status = Status::default();
        for task in 0..12 {
            status.start(&installation(), &task.to_string());
        }
        let patch = status.take_patch().unwrap();
        assert_eq!(patch["status"]["taskIDsStarted"].as_array().unwrap().len(), KEPT);
        assert_eq!(patch["status"]["taskIDsStarted"][0], "11");
    }

    #[test]
    fn completion_removes_the_counters_and_the_error_and_keeps_the_history() {
        let mut status = Status::default();
        status.start(&installation(), "a");
        status.count("hostsAdded");
        status.service_made(&installation(), "chi-db-cluster-0-0");
        status.take_patch();
        status.complete(&installation(), "a");
        let patch = status.take_patch().unwrap();
        assert_eq!(patch["status"]["hostsAdded"], Value::Null);
        assert_eq!(patch["status"]["error"], Value::Null);
        assert!(patch["status"].get("errors").is_none());
        assert_eq!(status.take_patch(), None);
    }
}
