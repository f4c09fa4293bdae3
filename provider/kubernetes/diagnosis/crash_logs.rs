//! The last words of a container that ended: which line of its log says why.

use std::collections::HashMap;

use super::shorten;
use crate::kubernetes::observe::{Container, Pod};

/// One end of one container.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ContainerExit {
    pub(crate) pod: String,
    pub(crate) container: String,
    /// How often it had been started again by then.
    pub(crate) restarts: u32,
}

/// What containers said before they ended, as far as their logs may be read.
pub(crate) type CrashLogs = HashMap<ContainerExit, String>;

/// The containers of a pod that have ended and do not run now, of those that may be quoted.
pub(crate) fn ended(pod: &Pod) -> impl Iterator<Item = ContainerExit> {
    let status = pod.status.as_ref();
    let containers = status
        .into_iter()
        .flat_map(|status| status.init_container_statuses.iter().chain(&status.container_statuses));
    let down = containers.filter(|container| is_quoted(container)).filter(|container| {
        let crashed = container
            .state
            .waiting
            .as_ref()
            .is_some_and(|waiting| waiting.reason.as_deref() == Some("CrashLoopBackOff"));
        crashed || container.state.terminated.as_ref().is_some_and(|ended| ended.exit_code != 0)
    });
    down.map(|container| ContainerExit {
        pod: pod.metadata.name().to_owned(),
        container: container.name.clone(),
        restarts: container.restart_count,
    })
}

/// Whether a container's words may be told: those of the operator's own. What a sidecar writes may be a
/// secret.
pub(super) fn is_quoted(container: &Container) -> bool {
    ["clickhouse", "clickhouse-keeper", "clickhouse-log"].contains(&container.name.as_str())
}

/// The line of a log's end that tells most: the last error in ClickHouse's words, else the last line that is
/// not empty.
pub(crate) fn relevant_line(log: &str) -> Option<String> {
    let lines = || log.lines().rev().map(str::trim).filter(|line| !line.is_empty());
    let of_level = |level: &str| {
        lines().find_map(|line| Some(line.split_once(level)?.1.trim())).filter(|text| !text.is_empty())
    };
    let exception = || lines().find(|line| line.contains("Exception: "));
    of_level("<Fatal>")
        .or_else(|| of_level("<Error>"))
        .or_else(exception)
        .or_else(|| lines().next())
        .map(shorten)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_last_error_tells_more_than_the_lines_behind_it() {
        let log = "2026.01.01 12:00:00.1 [ 1 ] {} <Information> Application: starting up\n\
            2026.01.01 12:00:00.2 [ 1 ] {} <Error> Application: Code: 36. DB::Exception: no such disk `s3`\n\
            0. DB::Exception::Exception() @ 0x0\n1. main @ 0x1\n\n";
        assert_eq!(
            relevant_line(log).as_deref(),
            Some("Application: Code: 36. DB::Exception: no such disk `s3`")
        );
        assert_eq!(
            relevant_line("Poco::Exception: not found\n  at main\n").as_deref(),
            Some("Poco::Exception: not found")
        );
        assert_eq!(relevant_line("first\nlast words \n\n").as_deref(), Some("last words"));
        assert_eq!(relevant_line(" \n"), None);
    }

    #[test]
    fn only_containers_that_ended_badly_have_last_words() {
        let status =
            |state, restarts: u32| json!({"name": "clickhouse", "restartCount": restarts, "state": state});
        let pod = |status| {
            serde_json::from_value(
                json!({"metadata": {"name": "h-0"}, "status": {"containerStatuses": [status]}}),
            )
            .unwrap()
        };
        let restarts =
            |state, count| ended(&pod(status(state, count))).map(|ended| ended.restarts).collect::<Vec<_>>();
        assert_eq!(restarts(json!({"waiting": {"reason": "CrashLoopBackOff"}}), 3), [3]);
        assert_eq!(restarts(json!({"terminated": {"exitCode": 1}}), 0), [0]);
        assert_eq!(restarts(json!({"terminated": {"exitCode": 0}}), 0), [0; 0]);
        assert_eq!(restarts(json!({"waiting": {"reason": "ContainerCreating"}}), 0), [0; 0]);
        assert_eq!(restarts(json!({"running": {}}), 2), [0; 0]);
    }
}
