//! Settings of the server, and files of its configuration.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::overrides::{check_free_form, check_values};
use super::sections::written;
use super::{
    Aspect, Checker, ClusterArgs, Drafts, FreeForm, Live, NoDefaults, PASSWORD_KEY, SecretKey,
    ValidatedCluster,
};
use crate::property::path::PropertyPath;

/// Where the operator puts files: into the configuration of the server, of the users, and of single hosts.
const FOLDERS: [&str; 3] = ["config.d", "users.d", "conf.d"];
/// What the files are called that the operator writes itself.
const OPERATORS: &str = "chop-generated-";
/// What stands in the configuration of users, whose settings the server does not look at.
const OF_USERS: [&str; 3] = ["users", "profiles", "quotas"];

/// The inputs that are ClickHouse's own configuration.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ConfigurationArgs {
    /// Settings of the server, by their paths, for example `max_connections: 500` or
    /// `merge_tree/max_suspicious_broken_parts: 5`.
    ///
    /// A value is a string, a number or a boolean; a list of these repeats the element; `{secret: {name,
    /// key}}` takes it from a Secret in the cluster's namespace. Numbers from 2^53 on are written in quotes.
    /// A value from a Secret is read when a host starts: after a change of the Secret set `restartToken`.
    ///
    /// A change is a rolling restart, except of settings that ClickHouse reloads, like
    /// `max_server_memory_usage`, `max_concurrent_queries` and `max_table_size_to_drop`.
    pub settings: Option<FreeForm>,

    /// Files of ClickHouse's configuration, by their names: `config.d/…` for the server, `users.d/…` for
    /// users, `conf.d/…` for hosts; a name alone stands in `config.d`.
    ///
    /// A file is its text, or `{secret: {name, key}}`: a key of a Secret in the cluster's namespace, for
    /// certificates and the like. Such a file is not part of the configuration, which can name it:
    /// `/etc/clickhouse-server/secrets.d/FILE/SECRET/KEY`. The hosts see when it changes.
    ///
    /// A changed text of the server's XML is a rolling restart, of `users.d` none; a file from a Secret that
    /// comes or goes is one.
    pub files: Option<FreeForm>,
}

/// Settings of the server, and files of its configuration, as the operator takes them.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Configuration {
    settings: Map<String, Value>,
    files: Map<String, Value>,
}

/// A value that comes from a Secret.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FromSecret {
    secret: SecretKey,
}

impl Aspect for Configuration {
    type Args = ConfigurationArgs;
    type Defaults = NoDefaults;

    fn complete(_args: &mut ClusterArgs, _had_keeper: bool) {}

    fn check(check: &mut Checker<'_>) -> Self {
        let ConfigurationArgs { settings, files } = check.args().configuration.clone();
        check_free_form("files", files.as_ref(), check);
        let mut there = BTreeSet::new();
        let files = files.unwrap_or_default();
        for name in files.keys() {
            check_file_name(check, name, &mut there);
        }
        let settings = settings.unwrap_or_default();
        for key in settings.keys() {
            check_key(check, key);
        }
        Self {
            settings: settings
                .iter()
                .filter_map(|(key, value)| Some((key.clone(), setting(check, key, value)?)))
                .collect(),
            files: files
                .iter()
                .filter_map(|(name, value)| Some((name.clone(), file(check, name, value)?)))
                .collect(),
        }
    }

    fn render(&self, _cluster: &ValidatedCluster, drafts: &mut Drafts) {
        drafts.installation.settings.extend(self.settings.clone());
        drafts.installation.files.extend(self.files.clone());
    }

    /// All of them; what other inputs say is left to these when they are known.
    fn read(live: &Live) -> ConfigurationArgs {
        let read = |section, is_sound: &dyn Fn(&str, &Value) -> bool| {
            let found: FreeForm = live
                .section(section)
                .into_iter()
                .map(|(key, value)| {
                    let from_secret = of_reference(&value);
                    (key, from_secret.unwrap_or(value))
                })
                .filter(|(key, value)| is_sound(key, value))
                .collect();
            (!found.is_empty()).then_some(found)
        };
        ConfigurationArgs {
            settings: read("settings", &|key, value| key_problem(key).is_none() && is_setting(value)),
            files: read("files", &|name, value| {
                place(name).is_some() && (value.is_string() || FromSecret::of(value).is_some())
            }),
        }
    }
}

impl Configuration {
    /// Whether there are settings of the server.
    pub(super) fn says_settings(&self) -> bool {
        !self.settings.is_empty()
    }
}

impl ConfigurationArgs {
    /// Leaves out what `others`, the configuration that other inputs come to, say.
    pub(in super::super) fn leave_to(&mut self, others: &Value) {
        for (section, said) in [("settings", &mut self.settings), ("files", &mut self.files)] {
            if let Some(map) = said {
                map.retain(|key, _| others[section].get(key).is_none());
            }
            said.take_if(|map| map.is_empty());
        }
    }

    /// The paths of what `others`, the configuration that other inputs come to, say as well.
    pub(in super::super) fn doubled(&self, others: &Value) -> Vec<PropertyPath> {
        let sections = [("settings", &self.settings), ("files", &self.files)];
        let keys = sections
            .into_iter()
            .flat_map(|(section, said)| said.iter().flat_map(BTreeMap::keys).map(move |key| (section, key)));
        keys.filter(|(section, key)| others[*section].get(key).is_some())
            .map(|(section, key)| PropertyPath::from(section).key(key))
            .collect()
    }
}

impl FromSecret {
    fn of(value: &Value) -> Option<Self> {
        serde_json::from_value(value.clone()).ok().filter(|_| value.is_object())
    }

    /// The operator's reference to it.
    fn reference(self, check: &mut Checker<'_>, path: &PropertyPath, default_key: &str) -> Value {
        let (name, key) = check.secret_key_at(&path.key("secret"), &self.secret, default_key);
        json!({"valueFrom": {"secretKeyRef": {"name": name, "key": key}}})
    }
}

/// How inputs say what the operator takes from a Secret.
fn of_reference(value: &Value) -> Option<Value> {
    let reference = value["valueFrom"]["secretKeyRef"].as_object()?;
    let is_plain = reference.keys().all(|key| key == "name" || key == "key") && reference.len() == 2;
    is_plain.then(|| json!({"secret": reference}))
}

/// Whether `value` can be that of a setting.
fn is_setting(value: &Value) -> bool {
    match value {
        Value::Array(items) => !items.is_empty() && items.iter().all(is_single),
        Value::Object(_) => FromSecret::of(value).is_some(),
        single => is_single(single),
    }
}

fn is_single(value: &Value) -> bool {
    value.is_string() || value.is_number() || value.is_boolean()
}

/// A setting's value for the operator; `None` where it is refused.
fn setting(check: &mut Checker<'_>, key: &str, value: &Value) -> Option<Value> {
    let path = PropertyPath::from("settings").key(key);
    if let Some(from_secret) = FromSecret::of(value) {
        return Some(from_secret.reference(check, &path, PASSWORD_KEY));
    }
    if !is_setting(value) {
        let reason = "must be a string, a number or a boolean, a list of these, or \
            `{secret: {name, key}}`";
        check.fail_at(path, reason);
        return None;
    }
    check_values(value, &path, 1, check);
    Some(match value {
        Value::Array(items) => items.iter().map(written).collect(),
        single => written(single),
    })
}

/// A file for the operator; `None` where it is refused.
fn file(check: &mut Checker<'_>, name: &str, value: &Value) -> Option<Value> {
    let path = PropertyPath::from("files").key(name);
    if let Some(from_secret) = FromSecret::of(value) {
        let is_xml = std::path::Path::new(name).extension().is_some_and(|kind| kind == "xml");
        if name.contains('/') || is_xml {
            let reason = "comes from a Secret, where ClickHouse looks for no configuration: give the text of \
                an XML file, and any other one a name without a folder";
            check.fail_newly(path.clone(), reason);
        }
        return Some(from_secret.reference(check, &path, name.rsplit('/').next().unwrap_or(name)));
    }
    match value.as_str() {
        None => {
            check.fail_at(path, "must be the file's text, or `{secret: {name, key}}`");
            None
        }
        Some(text) => {
            if text.trim().is_empty() {
                check.fail_newly(path, "is empty: give its text, or remove it");
            }
            Some(json!(text))
        }
    }
}

fn check_key(check: &mut Checker<'_>, key: &str) {
    let path = PropertyPath::from("settings").key(key);
    let first = key.split('/').next().unwrap_or(key);
    if let Some(problem) = key_problem(key) {
        check.fail_certainly(path, problem);
    } else if OF_USERS.contains(&first) {
        let reason = format!("is not read from the server's configuration: say it in `{first}`");
        check.fail_newly(path, reason);
    }
}

/// Why `key` is not the path of a setting, or `None`.
fn key_problem(key: &str) -> Option<String> {
    let is_sound = |name: &str| {
        !name.is_empty()
            && !name.contains(|c: char| c.is_whitespace() || c.is_control() || "<>&\"'".contains(c))
    };
    (!key.split('/').all(is_sound)).then(|| {
        format!(
            "`{key}` is not the path of a setting: write the names of elements with `/` between them, for \
            example `merge_tree/max_parts_in_total`"
        )
    })
}

/// The folder and the name of a file; `None` where the operator would ignore it.
fn place(name: &str) -> Option<(&str, &str)> {
    let (folder, file) = name.split_once('/').unwrap_or((FOLDERS[0], name));
    let is_sound = !file.is_empty()
        && !file.starts_with('.')
        && file.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    (FOLDERS.contains(&folder) && is_sound).then_some((folder, file))
}

fn check_file_name<'a>(check: &mut Checker<'_>, name: &'a str, there: &mut BTreeSet<(&'a str, &'a str)>) {
    let path = PropertyPath::from("files").key(name);
    let Some((folder, file)) = place(name) else {
        let reason = format!(
            "the operator would ignore `{name}`: write `config.d/`, `users.d/` or `conf.d/` and a name of \
            letters, digits, `-`, `_` and `.`"
        );
        return check.fail_certainly(path, reason);
    };
    if file.starts_with(OPERATORS) {
        let reason = format!("the operator writes files that begin with `{OPERATORS}`: choose another name");
        check.fail_newly(path, reason);
    } else if !there.insert((folder, file)) {
        check.fail_newly(path, format!("is the same file as `{file}`: remove one of them"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::cluster::tests::{built, problems_of_program};

    #[test]
    fn settings_and_files_are_written_as_the_operator_reads_them() {
        let program = json!({
            "settings": {"max_connections": 500, "merge_tree/ratio": 0.5, "listen_host": ["0.0.0.0", "::"],
                "kafka/sasl_password": {"secret": {"name": "kafka", "key": "pw"}},
                "big": "18446744073709551615"},
            "files": {"a.xml": "<clickhouse/>", "ca.pem": {"secret": {"name": "ca"}}},
        });
        let configuration = built(program).installation.unwrap()["spec"]["configuration"].take();
        assert_eq!(
            configuration["settings"],
            json!({"logger/level": "information", "max_connections": 500, "merge_tree/ratio": "0.5",
                "listen_host": ["0.0.0.0", "::"], "big": "18446744073709551615",
                "kafka/sasl_password": {"valueFrom": {"secretKeyRef": {"name": "kafka", "key": "pw"}}}})
        );
        assert_eq!(
            configuration["files"],
            json!({"a.xml": "<clickhouse/>",
                "ca.pem": {"valueFrom": {"secretKeyRef": {"name": "ca", "key": "ca.pem"}}}})
        );
    }

    #[test]
    fn what_the_operator_would_ignore_or_spoil_is_refused() {
        for (program, problem) in [
            (json!({"settings": {"": 1}}), "is not the path of a setting"),
            (json!({"settings": {"a//b": 1}}), "settings.a//b: `a//b` is not the path of a setting"),
            (json!({"settings": {"a b": 1}}), "is not the path of a setting"),
            (json!({"settings": {"profiles/web/max_threads": 1}}), "say it in `profiles`"),
            (
                json!({"settings": {"a": {"b": 1}}}),
                "settings.a: must be a string, a number or a boolean, a list",
            ),
            (json!({"settings": {"a": []}}), "settings.a: must be a string"),
            (json!({"settings": {"a": u64::MAX}}), "settings.a: is an integer that Pulumi can't represent"),
            (
                json!({"settings": {"a": {"secret": {"name": "A"}}}}),
                "settings.a.secret.name: `A` is not a valid",
            ),
            (json!({"files": {"": "x"}}), "the operator would ignore ``"),
            (
                json!({"files": {"conf/a.xml": "x"}}),
                "the operator would ignore `conf/a.xml`: write `config.d/`",
            ),
            (json!({"files": {"config.d/a/b.xml": "x"}}), "the operator would ignore `config.d/a/b.xml`"),
            (json!({"files": {"a.xml": " "}}), "is empty"),
            (json!({"files": {"a.xml": {"secret": {"name": "s"}}}}), "comes from a Secret, where ClickHouse"),
            (
                json!({"files": {"users.d/a": {"secret": {"name": "s"}}}}),
                "comes from a Secret, where ClickHouse",
            ),
            (json!({"files": {"a.xml": 7}}), "must be the file's text"),
            (json!({"files": {"a.xml": "x", "config.d/a.xml": "x"}}), "is the same file as `a.xml`"),
            (json!({"files": {"users.d/chop-generated-users.xml": "x"}}), "choose another name"),
        ] {
            let found = problems_of_program(None, program.clone());
            assert!(found.len() == 1 && found[0].contains(problem), "{program}: {found:?}");
        }
    }
}
