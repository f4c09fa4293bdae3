//! EFFECT: looks whether anything is in a namespace, whatever its kind, before it is deleted. The only place
//! where the API is discovered.

use std::collections::HashSet;
use std::time::Duration;

use futures::future::join_all;
use serde_json::Value;
use tokio::time::Instant;

use crate::kubernetes::client::Api;
use crate::kubernetes::error::{Error, Reach};
use crate::kubernetes::meta::{Kind, ObjectRef};
use crate::kubernetes::objects;

/// How long a part of the API that does not answer is waited for: a server beside the API server may be away
/// for good.
const PATIENCE: Duration = Duration::from_secs(10);

/// Objects per page of a list. What Kubernetes itself puts there fits into the first.
const PAGE: u32 = 20;

/// Every group with its kinds in one answer, where the server can.
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
    application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

/// Names and labels, without contents.
const METADATA: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

/// What is put into every namespace by Kubernetes, `OpenShift` and Istio.
const EVERYWHERE: [(&str, &str); 4] = [
    ("configmaps", "kube-root-ca.crt"),
    ("configmaps", "openshift-service-ca.crt"),
    ("configmaps", "istio-ca-root-cert"),
    ("serviceaccounts", "default"),
];

/// Why a namespace is not to be deleted: the first object that nobody deletes otherwise, or what may not be
/// looked at. `None` when nothing is in it but what Kubernetes itself keeps there, what goes with its owner,
/// and what is being deleted already.
pub(super) async fn kept_by(api: &Api, namespace: &str) -> Result<Option<String>, Error> {
    let api = &api.clone().until(Instant::now() + PATIENCE);
    match look(api, namespace).await {
        Err(error) if error.reach() == Reach::Busy || is_forbidden(&error) => {
            Ok(Some(format!("its contents are not known: {error}")))
        }
        result => result,
    }
}

async fn look(api: &Api, namespace: &str) -> Result<Option<String>, Error> {
    let discovered = discover(api, namespace).await?;
    let unavailable = discovered
        .unavailable
        .first()
        .map(|group| format!("the kinds of {group} can't be listed at the moment"));
    let owners = &discovered.owners;
    // The session sends only so many at once.
    let found = join_all(discovered.kinds.iter().map(|kind| first_of(api, namespace, kind, owners))).await;
    let mut forbidden = None;
    for (kind, found) in discovered.kinds.iter().zip(found) {
        match found {
            Ok(None) => {}
            Ok(Some(name)) => return Ok(Some(format!("{} {namespace}/{name} is in it", kind.kind))),
            Err(error) if is_forbidden(&error) => {
                forbidden.get_or_insert_with(|| {
                    format!("listing {} is not allowed, so it may contain some", kind.qualified())
                });
            }
            Err(error) => return Err(error),
        }
    }
    Ok(forbidden.or(unavailable))
}

fn is_forbidden(error: &Error) -> bool {
    matches!(error, Error::Forbidden { .. } | Error::Refused { .. })
}

/// A kind of objects that live in namespaces and can be listed and deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Listed {
    group: String,
    version: String,
    plural: String,
    kind: String,
}

impl Listed {
    /// The plural with its group, as RBAC knows it.
    fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Discovered {
    kinds: Vec<Listed>,
    /// The group and the name of every kind whose objects live in namespaces.
    owners: HashSet<(String, String)>,
    /// Groups that did not tell their kinds.
    unavailable: Vec<String>,
}

impl Discovered {
    /// Takes note of a kind, in the first version that is told of it.
    fn add(&mut self, group: &str, version: &str, plural: &str, kind: &str, verbs: &Value) {
        self.owners.insert((group.to_owned(), kind.to_owned()));
        let can = |verb: &str| verbs.as_array().is_some_and(|verbs| verbs.iter().any(|known| known == verb));
        // What can't be deleted is not lost with its namespace, and events tell of others.
        let counts = can("list") && can("delete") && plural != "events" && !plural.contains('/');
        if counts && !self.kinds.iter().any(|known| known.group == group && known.plural == plural) {
            let [group, version, plural, kind] = [group, version, plural, kind].map(str::to_owned);
            self.kinds.push(Listed { group, version, plural, kind });
        }
    }

    fn add_aggregated(&mut self, groups: &Value) {
        for group in list(groups, "items") {
            let name = text(&group["metadata"], "name");
            for version in list(group, "versions") {
                let resources = list(version, "resources");
                if version["freshness"] == "Stale" && resources.is_empty() {
                    self.unavailable.push(format!("{name}/{}", text(version, "version")));
                }
                for resource in resources.iter().filter(|resource| resource["scope"] == "Namespaced") {
                    let kind = text(&resource["responseKind"], "kind");
                    self.add(
                        name,
                        text(version, "version"),
                        text(resource, "resource"),
                        kind,
                        &resource["verbs"],
                    );
                }
            }
        }
    }

    fn add_version(&mut self, group_version: &str, resources: &Value) {
        let (group, version) = group_version.rsplit_once('/').unwrap_or(("", group_version));
        for resource in list(resources, "resources").iter().filter(|resource| resource["namespaced"] == true)
        {
            self.add(group, version, text(resource, "name"), text(resource, "kind"), &resource["verbs"]);
        }
    }
}

/// Every kind of the API: two requests, or where the server is older than 1.27, one for each version of a
/// group.
async fn discover(api: &Api, namespace: &str) -> Result<Discovered, Error> {
    let about = ObjectRef::global(Kind::Namespace, namespace);
    let get = |path: String| {
        let about = &about;
        async move { objects::look(api, about, &path, AGGREGATED).await }
    };
    let mut discovered = Discovered::default();
    let (core, groups) = futures::try_join!(get("/api".to_owned()), get("/apis".to_owned()))?;
    let mut versions = Vec::new();
    for (root, answer) in [("/api", &core), ("/apis", &groups)] {
        if answer["kind"] == "APIGroupDiscoveryList" {
            discovered.add_aggregated(answer);
        } else {
            let of_core = list(answer, "versions").iter().filter_map(Value::as_str);
            let of_groups = list(answer, "groups")
                .iter()
                .flat_map(|group| list(group, "versions"))
                .map(|version| text(version, "groupVersion"));
            versions.extend(of_core.chain(of_groups).map(|version| (root, version.to_owned())));
        }
    }
    let answers = join_all(versions.iter().map(|(root, version)| get(format!("{root}/{version}")))).await;
    for ((_, version), answer) in versions.into_iter().zip(answers) {
        match answer {
            Ok(resources) => discovered.add_version(&version, &resources),
            Err(error) if error.reach() == Reach::Busy => discovered.unavailable.push(version),
            // It has gone since.
            Err(error) if error.is_absent() => {}
            Err(error) => return Err(error),
        }
    }
    // A volume is the most telling reason.
    discovered.kinds.sort_by_key(|kind| kind.plural != "persistentvolumeclaims");
    Ok(discovered)
}

/// The name of the first object of a kind that keeps the namespace.
async fn first_of(
    api: &Api,
    namespace: &str,
    kind: &Listed,
    owners: &HashSet<(String, String)>,
) -> Result<Option<String>, Error> {
    let Listed { group, version, plural, .. } = kind;
    let root = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
    let about = ObjectRef::global(Kind::Namespace, namespace);
    let mut next = String::new();
    loop {
        let path = format!("{root}/namespaces/{namespace}/{plural}?limit={PAGE}&continue={next}");
        let page = match objects::look(api, &about, &path, METADATA).await {
            // Its definition has gone since.
            Err(error) if error.is_absent() => return Ok(None),
            result => result?,
        };
        if let Some(object) =
            list(&page, "items").iter().find(|object| keeps(plural, &object["metadata"], owners))
        {
            return Ok(Some(text(&object["metadata"], "name").to_owned()));
        }
        match page["metadata"]["continue"].as_str() {
            Some(token) if !token.is_empty() => next = objects::escape(token).to_string(),
            _ => return Ok(None),
        }
    }
}

/// Whether an object would be lost with its namespace, and is nobody's who deletes it anyway.
fn keeps(plural: &str, metadata: &Value, owners: &HashSet<(String, String)>) -> bool {
    let name = text(metadata, "name");
    let annotation = |key: &str| metadata["annotations"][key].as_str();
    let is_everywhere = EVERYWHERE.contains(&(plural, name))
        || (plural == "secrets" && annotation("kubernetes.io/service-account.name") == Some("default"))
        || (plural == "endpoints"
            && (annotation("endpoints.kubernetes.io/last-change-trigger-time").is_some()
                || !metadata["labels"]["endpoints.kubernetes.io/managed-by"].is_null()));
    let is_leaving = !metadata["deletionTimestamp"].is_null();
    // Its owner is in the namespace too, and counts there, or has gone, and this follows.
    let owned = list(metadata, "ownerReferences");
    let follows = !owned.is_empty()
        && owned.iter().all(|owner| {
            let group = text(owner, "apiVersion").rsplit_once('/').map_or("", |(group, _)| group);
            owners.contains(&(group.to_owned(), text(owner, "kind").to_owned()))
        });
    !(is_everywhere || is_leaving || follows)
}

fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value[field].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests;
