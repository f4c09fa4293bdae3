//! CPU and memory of containers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::read::text;
use super::{Aspect, Checker, ClusterArgs, Drafts, Live, ValidatedCluster};
use crate::kubernetes::quantity;

/// CPU and memory of a container.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterResources")]
pub struct Resources {
    /// The requests, which the scheduler reserves.
    pub requests: Option<ResourceAmounts>,
    /// The limits.
    pub limits: Option<ResourceAmounts>,
}

/// Amounts of CPU and memory.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterResourceAmounts")]
pub struct ResourceAmounts {
    /// CPUs, for example `2` or `500m`.
    pub cpu: Option<String>,
    /// Memory, for example `4Gi`.
    pub memory: Option<String>,
}

impl Resources {
    /// What is left out filled in: requests and limits of `defaults`, CPU and memory each. A given limit
    /// below the default request lowers the request, a given request above the default limit raises the
    /// limit.
    pub(super) fn complete(given: Option<Self>, [requests, limits]: &[[String; 2]; 2]) -> Self {
        let Self { requests: given_requests, limits: given_limits } = given.unwrap_or_default();
        let (request, limit) = (given_requests.unwrap_or_default(), given_limits.unwrap_or_default());
        let (cpu_request, cpu_limit) = fill(request.cpu, limit.cpu, &requests[0], &limits[0]);
        let (memory_request, memory_limit) = fill(request.memory, limit.memory, &requests[1], &limits[1]);
        Self {
            requests: Some(ResourceAmounts { cpu: Some(cpu_request), memory: Some(memory_request) }),
            limits: Some(ResourceAmounts { cpu: Some(cpu_limit), memory: Some(memory_limit) }),
        }
    }

    /// All amounts, where they are there.
    pub(super) fn amounts(&self) -> Option<[[String; 2]; 2]> {
        let of = |amounts: &Option<ResourceAmounts>| {
            let ResourceAmounts { cpu, memory } = amounts.clone()?;
            Some([cpu?, memory?])
        };
        Some([of(&self.requests)?, of(&self.limits)?])
    }

    /// Checks the amounts of the container whose inputs stand at `path`.
    pub(super) fn check_at(path: &str, given: Option<&Self>, check: &mut Checker<'_>) -> Self {
        let given = given.cloned().unwrap_or_default();
        let (requests, limits) =
            (given.requests.clone().unwrap_or_default(), given.limits.clone().unwrap_or_default());
        for (part, request, limit) in
            [("cpu", &requests.cpu, &limits.cpu), ("memory", &requests.memory, &limits.memory)]
        {
            for (kind, amount) in [("requests", request), ("limits", limit)] {
                let path = format!("{path}.{kind}.{part}");
                // A request that follows its limit is wrong with it.
                let follows = kind == "requests" && request == limit;
                if part == "memory" && !follows {
                    check.bytes(&path, amount.as_ref());
                } else {
                    check.quantity(&path, amount.as_ref());
                }
            }
            if let (Some(request), Some(limit)) = (request, limit)
                && quantity::shrinks(request, limit)
            {
                let reason = format!(
                    "`{request}` is more than the limit `{limit}`: raise the limit or lower the request"
                );
                check.fail(&format!("{path}.requests.{part}"), reason);
            }
        }
        given
    }

    /// The amounts of a container.
    pub(super) fn of(container: &Value) -> Option<Self> {
        serde_json::from_value(container.get("resources")?.clone()).ok()
    }
}

/// CPU and memory that a host of the cluster was made with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in super::super) struct ResourcesDefaults {
    /// Requests and limits, each of CPU and of memory.
    pub(in super::super) resources: [[String; 2]; 2],
}

impl Default for ResourcesDefaults {
    fn default() -> Self {
        Self { resources: amounts([["500m", "1Gi"], ["2", "4Gi"]]) }
    }
}

/// Requests and limits as they are recorded.
pub(super) fn amounts(of: [[&str; 2]; 2]) -> [[String; 2]; 2] {
    of.map(|pair| pair.map(str::to_owned))
}

impl Aspect for Resources {
    type Args = Option<Self>;
    type Defaults = ResourcesDefaults;

    const QUANTITIES: &'static [&'static str] = &[
        "resources.requests.cpu",
        "resources.requests.memory",
        "resources.limits.cpu",
        "resources.limits.memory",
    ];

    fn complete(args: &mut ClusterArgs, _had_keeper: bool) {
        if args.adopted().is_none() {
            args.resources =
                Some(Self::complete(args.resources.take(), &args.made_with().resources.resources));
        }
    }

    fn check(check: &mut Checker<'_>) -> Self {
        check.is_for_one_pod_template("resources", check.args().resources.is_some());
        Self::check_at("resources", check.args().resources.as_ref(), check)
    }

    fn render(&self, _cluster: &ValidatedCluster, drafts: &mut Drafts) {
        if *self != Self::default() {
            drafts.installation.pod.container.insert("resources".to_owned(), json!(self));
        }
    }

    fn read(live: &Live) -> Option<Self> {
        if live.adopted.is_none() {
            return Self::of(live.container());
        }
        let of = |part: &str| {
            let amounts = &live.container()["resources"][part];
            let amounts = ResourceAmounts { cpu: text(&amounts["cpu"]), memory: text(&amounts["memory"]) };
            (amounts != ResourceAmounts::default()).then_some(amounts)
        };
        let found = Self { requests: of("requests"), limits: of("limits") };
        (found != Self::default()).then_some(found)
    }
}

fn fill(
    request: Option<String>,
    limit: Option<String>,
    default_request: &str,
    default_limit: &str,
) -> (String, String) {
    match (request, limit) {
        (Some(request), Some(limit)) => (request, limit),
        (Some(request), None) if quantity::shrinks(&request, default_limit) => (request.clone(), request),
        (Some(request), None) => (request, default_limit.to_owned()),
        (None, Some(limit)) if quantity::shrinks(default_request, &limit) => (limit.clone(), limit),
        (None, Some(limit)) => (default_request.to_owned(), limit),
        (None, None) => (default_request.to_owned(), default_limit.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::cluster::tests::{adopted, changed, checked};

    #[test]
    fn a_given_limit_or_request_moves_the_other_default() {
        let args = checked(json!({"resources": {"limits": {"cpu": "250m"}, "requests": {"memory": "16Gi"}}}));
        assert_eq!(
            serde_json::to_value(args.resources).unwrap(),
            json!({"requests": {"cpu": "250m", "memory": "16Gi"}, "limits": {"cpu": "250m",
                "memory": "16Gi"}})
        );
    }

    #[test]
    fn one_amount_is_said_beside_what_others_have_said() {
        let pods = |resources: Value| {
            json!([{"name": "p", "spec": {"containers": [{"name": "clickhouse",
            "image": "a:1", "resources": resources}]}}])
        };
        let spec = |resources| {
            json!({"defaults": {"templates": {"podTemplate": "p"}},
            "templates": {"podTemplates": pods(resources)}})
        };
        for (there, then) in [
            (json!({}), json!({"limits": {"memory": "7Gi"}})),
            (
                json!({"limits": {"cpu": 2, "memory": "4Gi", "gpu": "1"}}),
                json!({"limits": {"cpu": 2, "memory": "7Gi", "gpu": "1"}}),
            ),
        ] {
            let args = adopted(spec(there));
            assert_eq!(
                changed(&args, json!({"resources": {"limits": {"memory": "7Gi"}}})).unwrap(),
                spec(then)
            );
        }
    }
}
