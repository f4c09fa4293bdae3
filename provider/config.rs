//! The provider's configuration.

use std::collections::BTreeSet;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kubernetes::client::{self, Settings};
use crate::kubernetes::error::DELETE_UNREACHABLE;
use crate::property::path::PropertyPath;
use crate::property::{PropertyMap, PropertyValue};
use crate::resource::CheckFailure;

/// How alike two names must be for one to be a misspelling of the other.
const ALIKE: f64 = 0.8;

/// The configuration of the provider. All of it is optional.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ProviderArgs {
    /// The contents or the path of a kubeconfig. Default: `KUBECONFIG`, else `~/.kube/config`, else the
    /// service account of the pod that Pulumi runs in.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("secret" = true))]
    pub kubeconfig: Option<String>,
    /// The kubeconfig's context to use. Default: its current one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// The kubeconfig's cluster to use. Default: the context's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// The default namespace of resources. Default: the context's, else `default`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Whether a refresh or delete drops resources from Pulumi's state when their Kubernetes cluster is
    /// unreachable. Unreachable means that the connection is refused or times out, or that the host name does
    /// not resolve; failed logins, certificates and missing rights drop nothing. Default: the environment
    /// variable `PULUMI_CLICKHOUSE_DELETE_UNREACHABLE` (`true` or `false`), else false. A plain `pulumi
    /// refresh` or `pulumi destroy` reads the configuration from the state: use the variable there, or
    /// `--run-program`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delete_unreachable: Option<bool>,
}

/// What the provider is configured with, as it was read.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// The configuration. What could not be read is absent.
    pub args: ProviderArgs,
    /// What could not be read, and why.
    pub failures: Vec<CheckFailure>,
    /// Names that nobody knows but that look like one of ours.
    pub warnings: Vec<String>,
}

impl ProviderArgs {
    /// The names of the settings.
    pub const NAMES: [&str; 5] = ["kubeconfig", "context", "cluster", "namespace", "deleteUnreachable"];

    /// Reads the configuration in each of the ways in which it comes: as values, as JSON in texts (from the
    /// SDKs), or as plain texts (from `pulumi config set`). An empty text is as good as none, and so is a
    /// value that is not known yet. Names that are not ours are passed over: another package's configuration
    /// can stand under the same name.
    pub fn read(map: &PropertyMap) -> Reading {
        let mut reader = Reader { map, failures: Vec::new() };
        let args = Self {
            kubeconfig: reader.text("kubeconfig"),
            context: reader.text("context"),
            cluster: reader.text("cluster"),
            namespace: reader.text("namespace"),
            delete_unreachable: reader.flag("deleteUnreachable"),
        };
        let warnings = map.keys().filter_map(|name| misspelled(name)).collect();
        Reading { args, failures: reader.failures, warnings }
    }

    /// Finds what can't work: a kubeconfig that can't be used, a context that it does not have; and what may
    /// come right by itself, which is warned of. Asks no server.
    pub fn check(&self) -> (Vec<CheckFailure>, Vec<String>) {
        let checked = client::check(&self.settings());
        (
            checked.failures.into_iter().map(|(name, problem)| failure(name, &problem)).collect(),
            checked.warnings,
        )
    }

    /// Whether a `kubeconfig` is one itself, with its credentials, and not the path of one.
    pub fn is_contents(kubeconfig: &PropertyValue) -> bool {
        match kubeconfig.exposed() {
            PropertyValue::String(text) => client::is_contents(text.trim()),
            PropertyValue::Map(_) => true,
            _ => false,
        }
    }

    /// What the Kubernetes client needs of it.
    pub fn settings(&self) -> Settings {
        Settings {
            kubeconfig: self.kubeconfig.clone().map(Into::into),
            context: self.context.clone(),
            cluster: self.cluster.clone(),
            namespace: self.namespace.clone(),
            delete_unreachable: self
                .delete_unreachable
                .or_else(|| Self::variable().ok()?)
                .unwrap_or_default(),
        }
    }

    /// What the environment says of `deleteUnreachable`; its text when it can't be understood.
    pub fn variable() -> Result<Option<bool>, String> {
        flag(&std::env::var(DELETE_UNREACHABLE).unwrap_or_default())
    }

    /// The names of what differs.
    pub fn changes(&self, new: &Self) -> BTreeSet<&'static str> {
        let differs = [
            self.kubeconfig != new.kubeconfig,
            self.context != new.context,
            self.cluster != new.cluster,
            self.namespace != new.namespace,
            self.delete_unreachable != new.delete_unreachable,
        ];
        Self::NAMES.into_iter().zip(differs).filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
    }
}

impl fmt::Debug for ProviderArgs {
    /// The kubeconfig is not shown: it holds credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderArgs")
            .field("kubeconfig", &self.kubeconfig.as_ref().map(|_| "[secret]"))
            .field("context", &self.context)
            .field("cluster", &self.cluster)
            .field("namespace", &self.namespace)
            .field("delete_unreachable", &self.delete_unreachable)
            .finish()
    }
}

/// A flag of the environment; an empty one is as good as none.
fn flag(text: &str) -> Result<Option<bool>, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "" => Ok(None),
        "true" | "1" => Ok(Some(true)),
        "false" | "0" => Ok(Some(false)),
        _ => Err(format!(
            "`{text}` in the environment variable {DELETE_UNREACHABLE} is not understood: write `true` or \
                `false`"
        )),
    }
}

struct Reader<'a> {
    map: &'a PropertyMap,
    failures: Vec<CheckFailure>,
}

impl Reader<'_> {
    fn value(&self, name: &str) -> Option<&PropertyValue> {
        self.map.get(name).map(PropertyValue::exposed).filter(|value| !value.has_unknown())
    }

    fn text(&mut self, name: &'static str) -> Option<String> {
        match self.value(name)? {
            PropertyValue::Null => None,
            PropertyValue::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
            // A kubeconfig written as an object is as good as its JSON.
            object @ PropertyValue::Map(_) if name == "kubeconfig" => {
                let properties = PropertyMap::from([(name.to_owned(), object.clone())]);
                crate::property::json::strip_marks(&properties).json.get(name).map(ToString::to_string)
            }
            _ => {
                self.failures.push(failure(name, "must be a string"));
                None
            }
        }
    }

    fn flag(&mut self, name: &'static str) -> Option<bool> {
        match self.value(name)? {
            PropertyValue::Null => None,
            PropertyValue::Bool(value) => Some(*value),
            PropertyValue::String(text) if text.is_empty() => None,
            PropertyValue::String(text) if text == "true" => Some(true),
            PropertyValue::String(text) if text == "false" => Some(false),
            _ => {
                self.failures.push(failure(name, "must be `true` or `false`"));
                None
            }
        }
    }
}

/// A failure of a setting. Pulumi prints the value of the property that a failure names, so the kubeconfig is
/// named in the reason.
fn failure(name: &str, problem: &str) -> CheckFailure {
    if name == "kubeconfig" {
        CheckFailure::new(PropertyPath::root(), format!("`kubeconfig`: {problem}"))
    } else {
        CheckFailure::new(PropertyPath::root().key(name), problem)
    }
}

fn misspelled(name: &str) -> Option<String> {
    if ProviderArgs::NAMES.contains(&name) || name.starts_with("__") {
        return None;
    }
    let near = ProviderArgs::NAMES
        .into_iter()
        .find(|ours| strsim::jaro_winkler(&ours.to_lowercase(), &name.to_lowercase()) >= ALIKE)?;
    Some(format!("the provider has no setting `{name}`; did you mean `{near}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::property::map;

    #[test]
    fn values_json_and_plain_texts_say_the_same() {
        let expected = ProviderArgs {
            context: Some("kind".into()),
            delete_unreachable: Some(true),
            ..ProviderArgs::default()
        };
        for flag in [PropertyValue::Bool(true), "true".into(), PropertyValue::from("true").into_secret()] {
            let reading = ProviderArgs::read(&map([
                ("context", "kind".into()),
                ("deleteUnreachable", flag),
                ("namespace", "".into()),
            ]));
            assert_eq!(reading.args, expected);
            assert!(reading.failures.is_empty());
        }
    }

    #[test]
    fn a_kubeconfig_may_be_an_object() {
        let reading = ProviderArgs::read(&map([("kubeconfig", map([("kind", "Config".into())]).into())]));
        assert_eq!(reading.args.kubeconfig.as_deref(), Some(r#"{"kind":"Config"}"#));
    }

    #[test]
    fn what_is_not_known_yet_is_not_set() {
        let reading = ProviderArgs::read(&map([
            ("kubeconfig", PropertyValue::Unknown),
            ("deleteUnreachable", PropertyValue::Unknown),
        ]));
        assert_eq!(reading.args, ProviderArgs::default());
        assert!(reading.failures.is_empty());
    }

    #[test]
    fn values_of_another_type_are_told_without_the_kubeconfig() {
        let reading = ProviderArgs::read(&map([
            ("deleteUnreachable", "yes".into()),
            ("kubeconfig", PropertyValue::List(vec!["hunter2".into()])),
        ]));
        let told: Vec<_> = reading
            .failures
            .iter()
            .map(|failure| (failure.path.to_string(), failure.reason.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                (String::new(), "`kubeconfig`: must be a string"),
                ("deleteUnreachable".to_owned(), "must be `true` or `false`"),
            ]
        );
    }

    #[test]
    fn a_near_miss_is_told_and_a_strangers_setting_is_not() {
        let reading = ProviderArgs::read(&map([
            ("kubeConfig", "x".into()),
            ("tokenSecret", "y".into()),
            ("version", "1.0.0".into()),
        ]));
        assert_eq!(
            reading.warnings,
            ["the provider has no setting `kubeConfig`; did you mean `kubeconfig`?"]
        );
        for typo in [
            "kubconfig",
            "kube-config",
            "contxt",
            "namespce",
            "delete_unreachable",
            "deleteUnreachble",
            "clusters",
        ] {
            assert_eq!(ProviderArgs::read(&map([(typo, "x".into())])).warnings.len(), 1, "{typo}");
        }
    }

    #[test]
    fn changed_settings_are_named() {
        let args = |kubeconfig: &str| ProviderArgs {
            kubeconfig: Some(kubeconfig.into()),
            ..ProviderArgs::default()
        };
        assert_eq!(args("a").changes(&args("b")), BTreeSet::from(["kubeconfig"]));
    }

    #[test]
    fn the_environments_flag_is_read_and_one_that_is_not_understood_is_told() {
        for (text, expected) in [
            ("", None),
            ("true", Some(true)),
            ("1", Some(true)),
            ("False", Some(false)),
            (" 0 ", Some(false)),
        ] {
            assert_eq!(flag(text), Ok(expected), "{text}");
        }
        assert!(
            flag("yes")
                .unwrap_err()
                .contains("`yes` in the environment variable PULUMI_CLICKHOUSE_DELETE_UNREACHABLE")
        );
    }

    #[test]
    fn debug_output_hides_the_kubeconfig() {
        let args = ProviderArgs { kubeconfig: Some("hunter2".into()), ..ProviderArgs::default() };
        assert!(!format!("{args:?}").contains("hunter2"));
    }
}
