//! The bill of materials: what the plugin is made of, in `CycloneDX`'s form.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::dependencies::{Dependency, Key};
use super::identity::Identity;
use crate::cargo::PLUGIN;

/// The document. It has neither time nor serial number, so that the same sources give the same bytes.
pub(super) fn write(
    identity: &Identity,
    direct: &BTreeSet<Key>,
    dependencies: &BTreeMap<Key, Dependency>,
) -> Value {
    let Identity { repository, version } = identity;
    let plugin = format!("pkg:generic/{PLUGIN}@{version}");
    let components: Vec<_> =
        dependencies.iter().map(|(key, dependency)| component(key, dependency)).collect();
    let edges = std::iter::once(json!({"ref": plugin, "dependsOn": references(direct)})).chain(
        dependencies.iter().map(
            |(key, dependency)| json!({"ref": reference(key), "dependsOn": references(&dependency.uses)}),
        ),
    );
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {
            "type": "application",
            "bom-ref": plugin,
            "name": PLUGIN,
            "version": version,
            "purl": plugin,
            "licenses": [{"expression": "Apache-2.0"}],
            "externalReferences": [{"type": "vcs", "url": repository}],
        }},
        "components": components,
        "dependencies": edges.collect::<Vec<_>>(),
    })
}

fn component(key: &Key, dependency: &Dependency) -> Value {
    let mut component = json!({
        "type": "library",
        "bom-ref": reference(key),
        "name": key.0,
        "version": key.1,
        "purl": reference(key),
        "licenses": [{"expression": dependency.license}],
    });
    if let Some(checksum) = &dependency.checksum {
        component["hashes"] = json!([{"alg": "SHA-256", "content": checksum}]);
    }
    if let Some(url) = &dependency.repository {
        component["externalReferences"] = json!([{"type": "vcs", "url": url}]);
    }
    component
}

fn reference((name, version): &Key) -> String {
    format!("pkg:cargo/{name}@{}", version.replace('+', "%2B"))
}

fn references(keys: &BTreeSet<Key>) -> Vec<String> {
    keys.iter().map(reference).collect()
}
