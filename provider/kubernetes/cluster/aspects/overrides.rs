//! What is said in the operator's own words.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Aspect, Checker, ClusterArgs, Drafts, Live, NoDefaults, ValidatedCluster};
use crate::property::path::PropertyPath;

/// How deep an override may be; Pulumi's protocol ends at about as many objects in one another.
const DEEPEST: usize = 32;
/// How large an override may be, as JSON: what Kubernetes stores of an object must fit into 1.5 MB.
const LARGEST: usize = 1_000_000;
/// From here on not every whole number has an `f64` of its own, which is what Pulumi carries numbers in.
const INEXACT: f64 = 9_007_199_254_740_992.0;

/// Free-form YAML or JSON, in the operator's own words.
pub type FreeForm = BTreeMap<String, Value>;

/// The inputs in the operator's own words.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct OverridesArgs {
    /// Fields of the ClickHouseInstallation's `spec`, merged over the rendered manifest: anything that the
    /// operator supports. Objects are merged key by key, lists of named items (pod templates, containers,
    /// volumes, clusters …) by name, everything else is replaced. `$patch: replace` in an object replaces the
    /// rendered one, `$patch: delete` removes it.
    pub chi_overrides: Option<FreeForm>,

    /// Fields of the ClickHouseKeeperInstallation's `spec`, merged over the rendered manifest as
    /// `chiOverrides` are.
    pub chk_overrides: Option<FreeForm>,
}

/// What is laid over the rendered objects.
#[derive(Debug, Clone)]
pub(in super::super) struct Overrides {
    pub(in super::super) chi: Value,
    pub(in super::super) chk: Value,
}

impl Aspect for Overrides {
    type Args = OverridesArgs;
    type Defaults = NoDefaults;

    const FOLLOW: &'static [(&'static str, &'static [&'static str])] = &[
        ("chiOverrides", &["hosts", "shardServices", "image", "shards", "replicas", "storageSize"]),
        ("chkOverrides", &["keeper"]),
    ];

    fn complete(_args: &mut ClusterArgs, _had_keeper: bool) {}

    fn check(check: &mut Checker<'_>) -> Self {
        let OverridesArgs { chi_overrides, chk_overrides } = check.args().overrides.clone();
        check_free_form("chiOverrides", chi_overrides.as_ref(), check);
        check_free_form("chkOverrides", chk_overrides.as_ref(), check);
        let free_form = |given: Option<FreeForm>| {
            given.map_or(Value::Null, |map| Value::Object(map.into_iter().collect()))
        };
        Self { chi: free_form(chi_overrides), chk: free_form(chk_overrides) }
    }

    /// They are laid over what all aspects have rendered, by whoever finishes the manifests.
    fn render(&self, _cluster: &ValidatedCluster, _drafts: &mut Drafts) {}

    /// They are what no aspect has read.
    fn read(_live: &Live) -> OverridesArgs {
        OverridesArgs::default()
    }
}

/// Checks what is said in the free-form input called `name`.
pub(super) fn check_free_form(name: &str, given: Option<&FreeForm>, check: &mut Checker<'_>) {
    let Some(given) = given else { return };
    let root = PropertyPath::root().key(name);
    let size = serde_json::to_vec(given).map(|json| json.len()).unwrap_or_default();
    if size > LARGEST {
        let reason = format!(
            "has {size} bytes, at most {LARGEST} fit into an object of Kubernetes: put large files into a \
                ConfigMap or Secret"
        );
        check.fail_newly(root.clone(), reason);
    }
    for (key, value) in given {
        check_values(value, &root.key(key), 1, check);
    }
}

/// Refuses values at and below `path` that would not arrive as they are.
pub(super) fn check_values(value: &Value, path: &PropertyPath, depth: usize, check: &mut Checker<'_>) {
    match value {
        Value::Object(_) | Value::Array(_) if depth > DEEPEST => {
            check.fail_newly(
                path.clone(),
                format!("is nested too deeply: at most {DEEPEST} levels are allowed"),
            );
        }
        Value::Object(map) => {
            map.iter().for_each(|(key, value)| check_values(value, &path.key(key), depth + 1, check));
        }
        Value::Array(items) => items
            .iter()
            .enumerate()
            .for_each(|(index, item)| check_values(item, &path.index(index), depth + 1, check)),
        Value::Number(number)
            if number.as_f64().is_some_and(|number| number.fract() == 0.0 && number.abs() >= INEXACT) =>
        {
            let reason = "is an integer that Pulumi can't represent exactly (the largest is \
                9007199254740991): write it in quotes";
            check.fail_newly(path.clone(), reason);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kubernetes::cluster::tests::problems_of_program;

    fn deep(levels: usize) -> Value {
        (0..levels).fold(json!("x"), |inner, _| json!([inner]))
    }

    #[test]
    fn an_override_may_be_deep_but_not_deeper() {
        assert_eq!(
            problems_of_program(None, json!({"chiOverrides": {"a": deep(DEEPEST)}})),
            Vec::<String>::new()
        );
        let found = problems_of_program(None, json!({"chiOverrides": {"a": deep(DEEPEST + 1)}}));
        assert!(
            found.len() == 1
                && found[0]
                    .starts_with(&format!("chiOverrides.a{}: is nested too deeply", "[0]".repeat(DEEPEST))),
            "{found:?}"
        );
    }
}
