//! The Role in docs/rbac.md is made from the table of objects, and from the kinds that are only looked at.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::json;

use super::*;
use crate::kubernetes::cluster::objects::{Part, TABLE};
use crate::kubernetes::meta::Kind;

/// What is done with each object of a cluster.
const OF_OBJECTS: &str = "get, list, watch, create, patch, delete";

/// What else is asked for: the resources, the verbs, and why.
const OF_OTHERS: [(&str, &[&str], &str, &str); 6] = [
    ("apps", &["statefulsets"], "list, watch", ""),
    ("", &["pods", "events"], "list, watch", "to say why something does not come up"),
    ("", &["namespaces"], "get", "to know the Kubernetes cluster by; kube-system is asked first"),
    ("", &["pods/log"], "get", ""),
    ("batch", &["jobs"], "get, list, watch, create, patch, delete", "for backup.restoreFrom"),
    (
        "",
        &["persistentvolumeclaims"],
        "list, watch, delete",
        "likewise; delete where a Keeper's volumes have the reclaim policy Delete",
    ),
];

const BEGIN: &str = "<!-- rights: made from the table of objects -->\n";
const END: &str = "<!-- end of rights -->";

fn rule(role: &mut String, group: &str, resources: &[&str], verbs: &str, why: &str) {
    let group = if group.is_empty() { "\"\"" } else { group };
    let why = if why.is_empty() { String::new() } else { format!(" # {why}") };
    writeln!(
        role,
        "  - apiGroups: [{group}]{why}\n    resources: [{}]\n    verbs: [{verbs}]",
        resources.join(", ")
    )
    .unwrap();
}

fn role() -> String {
    let mut role =
        "```yaml\napiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: { name: pulumi-clickhouse \
            }\nrules:\n"
            .to_owned();
    let plain = cluster(json!({"name": "db"}));
    let mut groups: BTreeMap<&str, (Vec<&str>, bool)> = BTreeMap::new();
    for row in TABLE.iter().filter(|row| row.part != Part::Quota) {
        let kind: Kind = row.object("apps", "db").kind;
        if kind.namespaced() {
            let (resources, has_any) = groups.entry(kind.group()).or_default();
            if !resources.contains(&kind.plural()) {
                resources.push(kind.plural());
            }
            *has_any |= row.is_wanted(&plain);
        }
    }
    for (group, (resources, is_general)) in groups {
        rule(
            &mut role,
            group,
            &resources,
            OF_OBJECTS,
            if is_general { "" } else { "where a cluster has one" },
        );
    }
    for (group, resources, verbs, why) in OF_OTHERS {
        rule(&mut role, group, resources, verbs, why);
    }
    role + "```\n"
}

#[test]
fn the_role_is_that_of_the_table_of_objects() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rbac.md");
    let committed = fs::read_to_string(&file).unwrap();
    let (before, rest) = committed.split_once(BEGIN).expect("docs/rbac.md has the mark of the rights");
    let (_, after) = rest.split_once(END).expect("docs/rbac.md has the end of the rights");
    let made = format!("{before}{BEGIN}\n{}\n{END}{after}", role());
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&file, &made).unwrap();
    } else {
        assert!(
            made == committed,
            "the Role of docs/rbac.md is stale; make it with `UPDATE=1 cargo test --lib rights`"
        );
    }
}
