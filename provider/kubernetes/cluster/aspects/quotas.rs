//! Quotas.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Aspect, Checker, ClusterArgs, Drafts, Live, NoDefaults, ValidatedCluster, sections};
use crate::property::path::PropertyPath;

/// The first interval's element; ClickHouse takes any that begins with it for another one.
const INTERVAL: &str = "interval";
/// The longest interval: what ClickHouse reads the seconds into.
const LONGEST: f64 = 2_147_483_647.0;
/// The greatest whole number up to which each has an `f64` of its own.
const EXACT: f64 = 9_007_199_254_740_991.0;

/// A quota: what the users who have it may use in a time.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterQuota")]
pub struct QuotaArgs {
    /// What may be used in an interval of time: several of different lengths hold at once.
    pub intervals: Option<Vec<QuotaIntervalArgs>>,
    /// For whom usage is counted separately. Default: `User`.
    pub keyed_by: Option<QuotaKey>,
}

/// What may be used in an interval of time. What is left out is only counted.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterQuotaInterval")]
pub struct QuotaIntervalArgs {
    /// The interval's length in seconds, for example `3600`.
    #[schemars(extend("alwaysPresent" = true))]
    pub seconds: Option<f64>,
    /// Queries.
    pub queries: Option<f64>,
    /// Queries that read.
    pub query_selects: Option<f64>,
    /// Queries that insert.
    pub query_inserts: Option<f64>,
    /// Queries that failed.
    pub errors: Option<f64>,
    /// Rows in results.
    pub result_rows: Option<f64>,
    /// Bytes in results.
    pub result_bytes: Option<f64>,
    /// Rows that are read from tables, on all hosts.
    pub read_rows: Option<f64>,
    /// Bytes that are read from tables, on all hosts.
    pub read_bytes: Option<f64>,
    /// Bytes that are written.
    pub written_bytes: Option<f64>,
    /// Seconds that queries run; fractions count.
    pub execution_time: Option<f64>,
}

/// For whom a quota counts separately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ClusterQuotaKey")]
pub enum QuotaKey {
    /// For each user.
    User,
    /// For each `quota_key` that a client sends, else for each user.
    ClientKey,
    /// For each address that clients come from.
    IpAddress,
    /// For each address that a proxy reports in `X-Forwarded-For`.
    ForwardedIpAddress,
}

/// Quotas, by name.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Quotas(BTreeMap<String, QuotaArgs>);

impl Aspect for Quotas {
    type Args = Option<BTreeMap<String, QuotaArgs>>;
    type Defaults = NoDefaults;

    fn complete(_args: &mut ClusterArgs, _had_keeper: bool) {}

    fn check(check: &mut Checker<'_>) -> Self {
        let given = check.args().quotas.clone().unwrap_or_default();
        for (name, quota) in &given {
            let path = PropertyPath::from("quotas").key(name);
            check.element(&path, name);
            let intervals = quota.intervals.as_deref().unwrap_or_default();
            let path = path.key("intervals");
            if intervals.is_empty() {
                let reason = "must hold at least one interval: for example `seconds: 3600, queries: 1000`";
                check.fail_at(path.clone(), reason);
            }
            for (index, interval) in intervals.iter().enumerate() {
                let is_double = intervals[..index].iter().any(|other| other.seconds == interval.seconds);
                interval.check(check, &path.index(index), is_double);
            }
        }
        Self(given)
    }

    fn render(&self, _cluster: &ValidatedCluster, drafts: &mut Drafts) {
        let quotas = &mut drafts.installation.quotas;
        for (name, QuotaArgs { intervals, keyed_by }) in &self.0 {
            for (index, interval) in intervals.iter().flatten().enumerate() {
                interval.render(quotas, &format!("{name}/{}", element(index)));
            }
            if let Some(key) = keyed_by.and_then(QuotaKey::element) {
                quotas.insert(format!("{name}/{key}"), json!("1"));
            }
        }
    }

    fn read(live: &Live) -> Option<BTreeMap<String, QuotaArgs>> {
        let read = |fields: &BTreeMap<_, _>| {
            let intervals: Vec<_> =
                (0..).map_while(|index| QuotaIntervalArgs::read(fields, &element(index))).collect();
            let keys = [QuotaKey::ClientKey, QuotaKey::IpAddress, QuotaKey::ForwardedIpAddress];
            let mut keys = keys.into_iter().filter(|key| {
                key.element().and_then(|element| fields.get(element)).is_some_and(|value| value == "1")
            });
            (!intervals.is_empty()).then(|| QuotaArgs { intervals: Some(intervals), keyed_by: keys.next() })
        };
        let found: BTreeMap<_, _> = live
            .elements("quotas")
            .into_iter()
            .filter_map(|(name, fields)| Some((name, read(&fields)?)))
            .collect();
        (!found.is_empty()).then_some(found)
    }
}

impl QuotaKey {
    /// The element that asks for it.
    fn element(self) -> Option<&'static str> {
        match self {
            Self::User => None,
            Self::ClientKey => Some("keyed"),
            Self::IpAddress => Some("keyed_by_ip"),
            Self::ForwardedIpAddress => Some("keyed_by_forwarded_ip"),
        }
    }
}

impl QuotaIntervalArgs {
    /// Each limit with its input and its element.
    fn limits(&mut self) -> [(&'static str, &'static str, &mut Option<f64>); 11] {
        let Self {
            seconds,
            queries,
            query_selects,
            query_inserts,
            errors,
            result_rows,
            result_bytes,
            read_rows,
            read_bytes,
            written_bytes,
            execution_time,
        } = self;
        [
            ("seconds", "duration", seconds),
            ("queries", "queries", queries),
            ("querySelects", "query_selects", query_selects),
            ("queryInserts", "query_inserts", query_inserts),
            ("errors", "errors", errors),
            ("resultRows", "result_rows", result_rows),
            ("resultBytes", "result_bytes", result_bytes),
            ("readRows", "read_rows", read_rows),
            ("readBytes", "read_bytes", read_bytes),
            ("writtenBytes", "written_bytes", written_bytes),
            ("executionTime", "execution_time", execution_time),
        ]
    }

    fn check(&self, check: &mut Checker<'_>, path: &PropertyPath, is_double: bool) {
        match self.seconds {
            None => check.fail_at(path.key("seconds"), "is required: the interval's length in seconds"),
            Some(seconds) if !(1.0..=LONGEST).contains(&seconds) || seconds.fract() != 0.0 => {
                let reason = format!("must be a whole number of seconds from 1 to {LONGEST}");
                check.fail_at(path.key("seconds"), reason);
            }
            Some(seconds) if is_double => {
                let reason = format!("another interval has {seconds} seconds, too: make one of them");
                check.fail_newly(path.key("seconds"), reason);
            }
            Some(_) => {}
        }
        for (input, _, value) in self.clone().limits().into_iter().filter(|(input, ..)| *input != "seconds") {
            let Some(value) = *value else { continue };
            let is_sound =
                (0.0..=EXACT).contains(&value) && (value.fract() == 0.0 || input == "executionTime");
            if !is_sound {
                let what = if input == "executionTime" { "a number" } else { "a whole number" };
                check.fail_at(path.key(input), format!("must be {what} from 0 to {EXACT}"));
            }
        }
    }

    fn render(&self, quotas: &mut Map<String, Value>, place: &str) {
        for (_, element, value) in self.clone().limits() {
            if let Some(value) = *value {
                quotas.insert(format!("{place}/{element}"), json!(value.to_string()));
            }
        }
    }

    /// The interval whose elements stand below `place`; `None` where inputs can't say it in these words.
    fn read(fields: &BTreeMap<String, Value>, place: &str) -> Option<Self> {
        let mut found = Self::default();
        for (_, element, limit) in found.limits() {
            let text = fields.get(&format!("{place}/{element}")).and_then(Value::as_str);
            let value =
                text.and_then(|text| text.parse::<f64>().ok().filter(|value| value.to_string() == text));
            let is_whole = element == "execution_time" || value.is_none_or(|value| value.fract() == 0.0);
            *limit = value.filter(|value| (0.0..=EXACT).contains(value) && is_whole);
        }
        found.seconds.filter(|seconds| (1.0..=LONGEST).contains(seconds)).map(|_| found)
    }
}

/// The element of the interval of this number.
fn element(index: usize) -> String {
    if index == 0 { INTERVAL.to_owned() } else { format!("{INTERVAL}_{}", index + 1) }
}

/// The quotas that users may have.
pub(super) fn names(args: &ClusterArgs) -> std::collections::BTreeSet<String> {
    let mut names = sections::names(args, "quotas", args.quotas.as_ref());
    names.insert(sections::QUOTA.to_owned());
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::cluster::tests::{built, problems_of_program};

    #[test]
    fn several_intervals_of_a_quota_hold_at_once() {
        let program = json!({"quotas": {"web": {"keyedBy": "IpAddress", "intervals": [
            {"seconds": 60, "queries": 5, "executionTime": 1.5},
            {"seconds": 3600, "readRows": 4_000_000_000_000_u64, "errors": 0}]}}});
        let spec = built(program).installation.unwrap()["spec"].take();
        assert_eq!(
            spec["configuration"]["quotas"],
            json!({"web/interval/duration": "60", "web/interval/queries": "5",
                "web/interval/execution_time": "1.5", "web/interval_2/duration": "3600",
                "web/interval_2/read_rows": "4000000000000", "web/interval_2/errors": "0",
                "web/keyed_by_ip": "1"})
        );
    }

    #[test]
    fn what_clickhouse_would_not_count_by_is_refused() {
        for (intervals, problem) in [
            (json!([]), "quotas.web.intervals: must hold at least one interval"),
            (json!([{"queries": 5}]), "quotas.web.intervals[0].seconds: is required"),
            (json!([{"seconds": 0}]), "quotas.web.intervals[0].seconds: must be a whole number of seconds"),
            (json!([{"seconds": 1.5}]), "quotas.web.intervals[0].seconds: must be a whole number of seconds"),
            (
                json!([{"seconds": 60}, {"seconds": 60, "errors": 1}]),
                "quotas.web.intervals[1].seconds: another interval has 60 seconds, too",
            ),
            (
                json!([{"seconds": 60, "queries": -1}]),
                "quotas.web.intervals[0].queries: must be a whole number from 0 to 9007199254740991",
            ),
            (
                json!([{"seconds": 60, "executionTime": -0.5}]),
                "quotas.web.intervals[0].executionTime: must be a number from 0",
            ),
        ] {
            let found = problems_of_program(None, json!({"quotas": {"web": {"intervals": intervals}}}));
            assert!(found.len() == 1 && found[0].starts_with(problem), "{intervals}: {found:?}");
        }
        let found = problems_of_program(None, json!({"quotas": {"we b": {"intervals": [{"seconds": 60}]}}}));
        assert!(found.len() == 1 && found[0].contains("is not a valid name"), "{found:?}");
    }
}
