//! Roles, for which the operator has no section: they stand in a file.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::sections::is_element;
use super::{Aspect, Checker, ClusterArgs, Drafts, Live, NoDefaults, ValidatedCluster};
use crate::property::path::PropertyPath;

/// The file that holds them.
const FILE: &str = "users.d/pulumi-roles.xml";
/// What XML reads as something else, and how it is written.
const ESCAPES: [(char, &str); 3] = [('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;")];

/// A role: privileges that users share.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterRole")]
pub struct RoleArgs {
    /// The privileges, as statements without `TO`, for example `GRANT SELECT ON shop.*`.
    pub grants: Option<Vec<String>>,
}

/// Roles, by name, each with its grants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in super::super) struct Roles(BTreeMap<String, Vec<String>>);

impl Aspect for Roles {
    type Args = Option<BTreeMap<String, RoleArgs>>;
    type Defaults = NoDefaults;

    fn complete(_args: &mut ClusterArgs, _had_keeper: bool) {}

    fn check(check: &mut Checker<'_>) -> Self {
        let mut roles = BTreeMap::new();
        for (name, RoleArgs { grants }) in check.args().roles.clone().unwrap_or_default() {
            let path = PropertyPath::from("roles").key(&name);
            check.element(&path, &name);
            let grants = grants.unwrap_or_default();
            let path = path.key("grants");
            if grants.is_empty() {
                check.fail_at(path.clone(), "must hold at least one, for example `GRANT SELECT ON shop.*`");
            }
            check.grants(&path, &grants);
            roles.insert(name, grants);
        }
        Self(roles)
    }

    fn render(&self, _cluster: &ValidatedCluster, drafts: &mut Drafts) {
        if !self.0.is_empty() {
            drafts.installation.files.insert(FILE.to_owned(), json!(self.file()));
        }
    }

    fn read(live: &Live) -> Option<BTreeMap<String, RoleArgs>> {
        let files = live.section("files");
        let roles = Self::of_file(files.get(FILE)?.as_str()?)?;
        Some(roles.0.into_iter().map(|(name, grants)| (name, RoleArgs { grants: Some(grants) })).collect())
    }
}

impl Roles {
    fn file(&self) -> String {
        let mut lines = vec!["<clickhouse>".to_owned(), "    <roles>".to_owned()];
        for (name, grants) in &self.0 {
            lines.extend([format!("        <{name}>"), "            <grants>".to_owned()]);
            lines.extend(
                grants.iter().map(|grant| format!("                <query>{}</query>", escaped(grant))),
            );
            lines.extend(["            </grants>".to_owned(), format!("        </{name}>")]);
        }
        lines.extend(["    </roles>".to_owned(), "</clickhouse>".to_owned(), String::new()]);
        lines.join("\n")
    }

    /// The roles of a file that this provider has written; `None` where it is another.
    fn of_file(text: &str) -> Option<Self> {
        let mut found = Self::default();
        let mut last = None;
        for line in text.lines() {
            if let Some(grant) =
                line.trim().strip_prefix("<query>").and_then(|rest| rest.strip_suffix("</query>"))
            {
                found.0.get_mut(last?)?.push(unescaped(grant));
            } else if let Some(name) = line.strip_prefix("        <").and_then(|rest| rest.strip_suffix('>'))
                && is_element(name)
            {
                found.0.insert(name.to_owned(), Vec::new());
                last = Some(name);
            }
        }
        let is_sound = |grants: &Vec<String>| grants.iter().all(|grant| grant_problem(grant).is_none());
        let is_whole = found.0.values().all(|grants| !grants.is_empty() && is_sound(grants));
        (is_whole && found.file() == text).then_some(found)
    }
}

impl Checker<'_> {
    /// Refuses statements that are no grants of what is configured.
    pub(super) fn grants(&mut self, path: &PropertyPath, grants: &[String]) {
        for (index, grant) in grants.iter().enumerate() {
            if let Some(problem) = grant_problem(grant) {
                self.fail_at(path.index(index), problem);
            }
        }
    }
}

/// Why `text` is not a grant without its grantee, or `None`.
pub(super) fn grant_problem(text: &str) -> Option<String> {
    let words: Vec<String> = text.split_whitespace().map(str::to_uppercase).collect();
    let verb = words.first().map(String::as_str).unwrap_or_default();
    let (verb, grantee) = match verb {
        "GRANT" => ("GRANT", "TO"),
        "REVOKE" => ("REVOKE", "FROM"),
        _ => {
            return Some(
                "must begin with `GRANT` or `REVOKE`, for example `GRANT SELECT ON shop.*`".to_owned(),
            );
        }
    };
    if words.len() == 1 {
        return Some(format!("says nothing beside `{verb}`: write for example `{verb} SELECT ON shop.*`"));
    }
    if text.contains([';', '\n']) {
        return Some("must be one statement, on one line and without `;`".to_owned());
    }
    words
        .iter()
        .any(|word| word == grantee)
        .then(|| format!("must not say `{grantee}`: it is for whom it stands with; leave `{grantee} …` out"))
}

fn escaped(text: &str) -> String {
    ESCAPES.iter().fold(text.to_owned(), |text, (character, escape)| text.replace(*character, escape))
}

fn unescaped(text: &str) -> String {
    ESCAPES
        .iter()
        .rev()
        .fold(text.to_owned(), |text, (character, escape)| text.replace(escape, &character.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::cluster::tests::{built, problems};

    #[test]
    fn roles_stand_in_a_file_and_are_read_from_it() {
        let program = json!({"roles": {"reader": {"grants": ["GRANT SELECT ON shop.*", "GRANT a&b ON <c>"]},
            "writer-2": {"grants": ["GRANT reader"]}}});
        let files = built(program).installation.unwrap()["spec"]["configuration"]["files"].take();
        let text = files[FILE].as_str().unwrap();
        assert!(
            text.contains("<query>GRANT a&amp;b ON &lt;c&gt;</query>") && text.contains("<writer-2>"),
            "{text}"
        );
        let read = Roles::of_file(text).unwrap();
        assert_eq!(read.0["reader"], ["GRANT SELECT ON shop.*", "GRANT a&b ON <c>"]);
        assert_eq!(Roles::of_file(&text.replace("GRANT reader", "<x/>")), None);
    }

    #[test]
    fn what_is_no_grant_of_a_role_is_refused() {
        for (grants, problem) in [
            (json!([]), "roles.r.grants: must hold at least one"),
            (json!(["SELECT 1"]), "roles.r.grants[0]: must begin with `GRANT` or `REVOKE`"),
            (json!(["GRANT"]), "roles.r.grants[0]: says nothing"),
            (json!(["GRANT SELECT ON a.* TO r"]), "roles.r.grants[0]: must not say `TO`"),
            (json!(["REVOKE SELECT ON a.* from r"]), "roles.r.grants[0]: must not say `FROM`"),
            (json!(["GRANT a; GRANT b"]), "roles.r.grants[0]: must be one statement"),
        ] {
            let found = problems(json!({"roles": {"r": {"grants": grants}}}));
            assert!(found.len() == 1 && found[0].starts_with(problem), "{grants}: {found:?}");
        }
    }
}
