//! Settings profiles.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::sections::{self, PROFILES, is_element, is_scalar, written};
use super::{Aspect, Checker, ClusterArgs, Drafts, FreeForm, Live, NoDefaults, ValidatedCluster};
use crate::property::path::PropertyPath;

/// The operator's own profile.
const OPERATOR: &str = "clickhouse_operator";
/// The element that names the profile which another one inherits.
const PARENT: &str = "profile";
/// The element above the constraints of settings.
const CONSTRAINTS: &str = "constraints";

/// A settings profile: the settings of the users who have it.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterProfile")]
pub struct ProfileArgs {
    /// Settings by their names, for example `max_memory_usage: 10000000000`. Each is a string, a number or a
    /// boolean. Numbers from 2^53 on are written in quotes.
    pub settings: Option<FreeForm>,
    /// What users may make of a setting, by its name.
    pub constraints: Option<BTreeMap<String, ConstraintArgs>>,
    /// The profile whose settings and constraints hold as well: one of `profiles`, `default` or `readonly`.
    pub inherits: Option<String>,
}

/// What users may make of a setting.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterSettingConstraint")]
pub struct ConstraintArgs {
    /// The least value.
    pub min: Option<Value>,
    /// The greatest value.
    pub max: Option<Value>,
    /// Whether nobody may change the setting. Default: false.
    pub readonly: Option<bool>,
    /// Whether the setting may be changed where `readonly` is 1. Default: false. Needs
    /// `access_control_improvements/settings_constraints_replace_previous`, which is on by default.
    pub changeable_in_readonly: Option<bool>,
}

/// Settings profiles, by name.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Profiles(BTreeMap<String, ProfileArgs>);

impl Aspect for Profiles {
    type Args = Option<BTreeMap<String, ProfileArgs>>;
    type Defaults = NoDefaults;

    fn complete(_args: &mut ClusterArgs, _had_keeper: bool) {}

    fn check(check: &mut Checker<'_>) -> Self {
        let given = check.args().profiles.clone().unwrap_or_default();
        let known = names(check.args());
        for (name, profile) in &given {
            let path = PropertyPath::from("profiles").key(name);
            check.element(&path, name);
            if name == OPERATOR {
                check.fail_at(path.clone(), "is the operator's own profile: choose another name");
            }
            let ProfileArgs { settings, constraints, inherits } = profile;
            let says_nothing = inherits.is_none()
                && settings.as_ref().is_none_or(BTreeMap::is_empty)
                && constraints.as_ref().is_none_or(BTreeMap::is_empty);
            if says_nothing {
                let reason = "says nothing, so there would be no such profile: give it `settings`, or let it \
                    inherit `default`";
                check.fail_at(path.clone(), reason);
            }
            check_settings(check, &path.key("settings"), settings.as_ref());
            for (setting, constraint) in constraints.iter().flatten() {
                constraint.check(check, &path.key("constraints").key(setting), setting);
            }
            if let Some(parent) = inherits {
                let path = path.key("inherits");
                if parent == name {
                    check.fail_newly(path, format!("`{name}` can't inherit itself: remove it"));
                } else {
                    check.is_there(&path, "profile", parent, &known);
                }
            }
        }
        Self(given)
    }

    fn render(&self, _cluster: &ValidatedCluster, drafts: &mut Drafts) {
        for (name, ProfileArgs { settings, constraints, inherits }) in &self.0 {
            let profiles = &mut drafts.installation.profiles;
            render(profiles, name, inherits.as_deref(), settings.as_ref());
            for (setting, constraint) in constraints.iter().flatten() {
                for (limit, value) in constraint.limits() {
                    profiles.insert(format!("{name}/{CONSTRAINTS}/{setting}/{limit}"), value);
                }
            }
        }
    }

    fn read(live: &Live) -> Option<BTreeMap<String, ProfileArgs>> {
        let mut found: BTreeMap<_, _> = live
            .elements("profiles")
            .into_iter()
            .map(|(name, fields)| (name, ProfileArgs::read(&fields)))
            .filter(|(name, profile)| *profile != ProfileArgs::default() && name != OPERATOR)
            .collect();
        for user in super::users::with_settings(live) {
            found.remove(&of_user(&user));
        }
        (!found.is_empty()).then_some(found)
    }
}

impl Profiles {
    /// Whether there are any.
    pub(super) fn says_settings(&self) -> bool {
        !self.0.is_empty()
    }
}

impl ProfileArgs {
    /// The profile whose elements are `fields`, as far as inputs can say it.
    pub(super) fn read(fields: &BTreeMap<String, Value>) -> Self {
        let mut settings = FreeForm::new();
        let mut constraints = BTreeMap::<String, ConstraintArgs>::new();
        let mut inherits = None;
        for (field, value) in fields.iter().filter(|(_, value)| is_scalar(value)) {
            match field.split('/').collect::<Vec<_>>()[..] {
                [PARENT] => inherits = value.as_str().map(str::to_owned),
                [CONSTRAINTS, setting, limit] if is_element(setting) => {
                    constraints.entry(setting.to_owned()).or_default().note(limit, value);
                }
                [setting] if is_element(setting) => _ = settings.insert(setting.to_owned(), value.clone()),
                _ => {}
            }
        }
        constraints.retain(|_, constraint| *constraint != ConstraintArgs::default());
        Self {
            settings: (!settings.is_empty()).then_some(settings),
            constraints: (!constraints.is_empty()).then_some(constraints),
            inherits,
        }
    }
}

impl ConstraintArgs {
    fn check(&self, check: &mut Checker<'_>, path: &PropertyPath, setting: &str) {
        check.element(path, setting);
        let Self { min, max, readonly, changeable_in_readonly } = self;
        for (limit, value) in [("min", min), ("max", max)] {
            if let Some(value) = value {
                check.scalar(&path.key(limit), value);
            }
        }
        if *readonly == Some(true) && *changeable_in_readonly == Some(true) {
            let reason = "is true together with `readonly`: remove one of them";
            check.fail_newly(path.key("changeableInReadonly"), reason);
        }
    }

    /// The elements that it becomes.
    fn limits(&self) -> impl Iterator<Item = (&'static str, Value)> {
        let Self { min, max, readonly, changeable_in_readonly } = self;
        let mark = |is_set: &Option<bool>| is_set.filter(|is_set| *is_set).map(|_| json!("1"));
        let all = [
            ("min", min.as_ref().map(written)),
            ("max", max.as_ref().map(written)),
            ("readonly", mark(readonly)),
            ("changeable_in_readonly", mark(changeable_in_readonly)),
        ];
        all.into_iter().filter_map(|(limit, value)| Some((limit, value?)))
    }

    /// Takes note of one of them, where it is written as inputs write it.
    fn note(&mut self, limit: &str, value: &Value) {
        match limit {
            "min" => self.min = Some(value.clone()),
            "max" => self.max = Some(value.clone()),
            "readonly" if value == "1" => self.readonly = Some(true),
            "changeable_in_readonly" if value == "1" => self.changeable_in_readonly = Some(true),
            _ => {}
        }
    }
}

/// The profiles that users may have.
pub(super) fn names(args: &ClusterArgs) -> std::collections::BTreeSet<String> {
    let mut names = sections::names(args, "profiles", args.profiles.as_ref());
    names.extend(PROFILES.map(str::to_owned));
    names
}

/// The name of the profile that holds the settings of a user alone.
pub(super) fn of_user(user: &str) -> String {
    format!("user-{user}")
}

/// Checks settings by their names.
pub(super) fn check_settings(check: &mut Checker<'_>, path: &PropertyPath, settings: Option<&FreeForm>) {
    for (name, value) in settings.into_iter().flatten() {
        let path = path.key(name);
        check.element(&path, name);
        if [PARENT, CONSTRAINTS].contains(&name.as_str()) {
            check.fail_at(path.clone(), "is not a setting: say it in `inherits` or `constraints`");
        }
        check.scalar(&path, value);
    }
}

/// Writes the profile `name` with its parent and its settings.
pub(super) fn render(
    profiles: &mut Map<String, Value>,
    name: &str,
    parent: Option<&str>,
    settings: Option<&FreeForm>,
) {
    if let Some(parent) = parent {
        profiles.insert(format!("{name}/{PARENT}"), json!(parent));
    }
    for (setting, value) in settings.into_iter().flatten() {
        profiles.insert(format!("{name}/{setting}"), written(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::cluster::tests::{built, problems_of_program};

    #[test]
    fn a_profile_is_written_as_the_operator_reads_it() {
        let program = json!({"profiles": {"web": {"inherits": "readonly",
            "settings": {"max_threads": 8, "totals_auto_threshold": 0.25, "log_queries": true},
            "constraints": {"max_threads": {"min": 1, "max": "16"}, "log_queries": {"readonly": true},
                "max_rows_to_read": {"changeableInReadonly": true}}}}});
        let spec = built(program).installation.unwrap()["spec"].take();
        assert_eq!(
            spec["configuration"]["profiles"],
            json!({"web/profile": "readonly", "web/max_threads": 8, "web/totals_auto_threshold": "0.25",
                "web/log_queries": true, "web/constraints/max_threads/min": 1,
                "web/constraints/max_threads/max": "16", "web/constraints/log_queries/readonly": "1",
                "web/constraints/max_rows_to_read/changeable_in_readonly": "1"})
        );
    }

    #[test]
    fn what_would_be_no_profile_is_refused() {
        for (profiles, problem) in [
            (json!({"a/b": {"inherits": "default"}}), "profiles.a/b: `a/b` is not a valid name"),
            (json!({"clickhouse_operator": {"inherits": "default"}}), "is the operator's own profile"),
            (json!({"web": {}}), "profiles.web: says nothing"),
            (json!({"web": {"inherits": "web"}}), "profiles.web.inherits: `web` can't inherit itself"),
            (
                json!({"web": {"inherits": "readonli"}}),
                "profiles.web.inherits: there is no profile `readonli`: did you mean `readonly`?",
            ),
            (
                json!({"web": {"settings": {"max_threads": [1]}}}),
                "profiles.web.settings.max_threads: must be a string, a number or a boolean",
            ),
            (
                json!({"web": {"settings": {"max_rows_to_read": 9_007_199_254_740_993_u64}}}),
                "profiles.web.settings.max_rows_to_read: is an integer that Pulumi can't represent exactly",
            ),
            (
                json!({"web": {"settings": {"format_csv_delimiter": "<"}}}),
                "profiles.web.settings.format_csv_delimiter: must not contain",
            ),
            (
                json!({"web": {"constraints": {"x": {"readonly": true, "changeableInReadonly": true}}}}),
                "profiles.web.constraints.x.changeableInReadonly: is true together with `readonly`",
            ),
        ] {
            let found = problems_of_program(None, json!({"profiles": profiles}));
            assert!(found.len() == 1 && found[0].contains(problem), "{profiles}: {found:?}");
        }
    }
}
