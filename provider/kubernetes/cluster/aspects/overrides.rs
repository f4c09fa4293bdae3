//! What is said in the operator's own words.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Aspect, Checker, ClusterArgs, Drafts, Live, ValidatedCluster};

/// Free-form YAML or JSON, in the operator's own words.
pub type FreeForm = BTreeMap<String, Value>;

/// The inputs in the operator's own words.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct OverridesArgs {
    /// Fields of the ClickHouseInstallation's `spec`, merged last over what the provider renders: whatever the operator
    /// knows can be said. Objects are merged key by key, lists of named things (pod templates, containers, volumes, clusters …) by
    /// their names, everything else is replaced; `$patch: replace` in an object puts it in the place of the rendered one,
    /// `$patch: delete` removes that.
    pub chi_overrides: Option<FreeForm>,

    /// Fields of the ClickHouseKeeperInstallation's `spec`, merged last over what the provider renders, as `chiOverrides` are.
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

    fn complete(_args: &mut ClusterArgs, _had_keeper: bool) {}

    fn check(check: &mut Checker<'_>) -> Self {
        let OverridesArgs { chi_overrides, chk_overrides } = check.args().overrides.clone();
        let free_form = |given: Option<FreeForm>| given.map_or(Value::Null, |map| Value::Object(map.into_iter().collect()));
        Self { chi: free_form(chi_overrides), chk: free_form(chk_overrides) }
    }

    /// They are laid over what all aspects have rendered, by whoever finishes the manifests.
    fn render(&self, _cluster: &ValidatedCluster, _drafts: &mut Drafts) {}

    /// They are what no aspect has read.
    fn read(_live: &Live) -> OverridesArgs {
        OverridesArgs::default()
    }
}
