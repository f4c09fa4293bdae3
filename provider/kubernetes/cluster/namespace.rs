//! EFFECT: looks whether anything is in a namespace, whatever its kind, before it is deleted. The only place where the API is discovered.

use std::collections::HashSet;
use std::time::Duration;

use futures::future::join_all;
use serde_json::Value;
use tokio::time::Instant;

use crate::kubernetes::client::Api;
use crate::kubernetes::error::{Error, Reach};
use crate::kubernetes::meta::{Kind, ObjectRef};
use crate::kubernetes::objects;

/// How long a part of the API that does not answer is waited for: a server beside the API server may be away for good.
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

/// Why a namespace is not to be deleted: the first object that nobody deletes otherwise, or what may not be looked at. `None` when nothing
/// is in it but what Kubernetes itself keeps there, what goes with its owner, and what is being deleted already.
pub(super) async fn kept_by(api: &Api, namespace: &str) -> Result<Option<String>, Error> {
    let api = &api.clone().until(Instant::now() + PATIENCE);
    match look(api, namespace).await {
        Err(error) if error.reach() == Reach::Busy || is_forbidden(&error) => Ok(Some(format!("its contents are not known: {error}"))),
        result => result,
    }
}

async fn look(api: &Api, namespace: &str) -> Result<Option<String>, Error> {
    let discovered = discover(api, namespace).await?;
    let unavailable = discovered.unavailable.first().map(|group| format!("the kinds of {group} can't be listed at the moment"));
    let owners = &discovered.owners;
    // The session sends only so many at once.
    let found = join_all(discovered.kinds.iter().map(|kind| first_of(api, namespace, kind, owners))).await;
    let mut forbidden = None;
    for (kind, found) in discovered.kinds.iter().zip(found) {
        match found {
            Ok(None) => {}
            Ok(Some(name)) => return Ok(Some(format!("{} {namespace}/{name} is in it", kind.kind))),
            Err(error) if is_forbidden(&error) => {
                forbidden.get_or_insert_with(|| format!("listing {} is not allowed, so it may contain some", kind.qualified()));
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
                    self.add(name, text(version, "version"), text(resource, "resource"), kind, &resource["verbs"]);
                }
            }
        }
    }

    fn add_version(&mut self, group_version: &str, resources: &Value) {
        let (group, version) = group_version.rsplit_once('/').unwrap_or(("", group_version));
        for resource in list(resources, "resources").iter().filter(|resource| resource["namespaced"] == true) {
            self.add(group, version, text(resource, "name"), text(resource, "kind"), &resource["verbs"]);
        }
    }
}

/// Every kind of the API: two requests, or where the server is older than 1.27, one for each version of a group.
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
            let of_groups =
                list(answer, "groups").iter().flat_map(|group| list(group, "versions")).map(|version| text(version, "groupVersion"));
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
async fn first_of(api: &Api, namespace: &str, kind: &Listed, owners: &HashSet<(String, String)>) -> Result<Option<String>, Error> {
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
        if let Some(object) = list(&page, "items").iter().find(|object| keeps(plural, &object["metadata"], owners)) {
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
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kubernetes::fake::{Fake, Reply, Seen, context};

    fn kinds() -> Vec<(&'static str, &'static str, &'static str)> {
        vec![
            ("", "configmaps", "ConfigMap"),
            ("", "secrets", "Secret"),
            ("", "serviceaccounts", "ServiceAccount"),
            ("", "pods", "Pod"),
            ("", "events", "Event"),
            ("", "endpoints", "Endpoints"),
            ("", "persistentvolumeclaims", "PersistentVolumeClaim"),
            ("apps", "statefulsets", "StatefulSet"),
            ("batch", "cronjobs", "CronJob"),
            ("rbac.authorization.k8s.io", "roles", "Role"),
            ("networking.k8s.io", "ingresses", "Ingress"),
            ("cert-manager.io", "certificates", "Certificate"),
        ]
    }

    fn of_group<T>(group: &str, make: impl Fn(&str, &str) -> T) -> Vec<T> {
        kinds().into_iter().filter(|(of, ..)| *of == group).map(|(_, plural, kind)| make(plural, kind)).collect()
    }

    fn groups() -> Vec<&'static str> {
        vec!["apps", "batch", "rbac.authorization.k8s.io", "networking.k8s.io", "cert-manager.io"]
    }

    fn aggregated(groups: &[&str]) -> Value {
        let group = |group: &&str| {
            let resources = of_group(
                group,
                |plural, kind| json!({"resource": plural, "responseKind": {"kind": kind}, "scope": "Namespaced", "verbs": ["delete", "get", "list"]}),
            );
            json!({"metadata": {"name": group}, "versions": [{"version": "v1", "freshness": "Current", "resources": resources}]})
        };
        json!({"kind": "APIGroupDiscoveryList", "items": groups.iter().map(group).collect::<Vec<_>>()})
    }

    fn items(items: Vec<Value>) -> Reply {
        Reply::Json(
            200,
            json!({"metadata": {}, "items": items.into_iter().map(|metadata| json!({"metadata": metadata})).collect::<Vec<_>>()}),
        )
    }

    /// What Kubernetes puts into every namespace.
    fn ordinary(seen: &Seen) -> Reply {
        match seen.path.rsplit('/').next().unwrap() {
            "configmaps" => items(vec![json!({"name": "kube-root-ca.crt"})]),
            "serviceaccounts" => items(vec![json!({"name": "default"})]),
            "secrets" => items(vec![json!({"name": "default-token-x", "annotations": {"kubernetes.io/service-account.name": "default"}})]),
            "endpoints" => items(vec![json!({"name": "db", "labels": {"endpoints.kubernetes.io/managed-by": "endpoint-controller"}})]),
            "events" => items(vec![json!({"name": "db.1"})]),
            _ => items(vec![]),
        }
    }

    /// What keeps the namespace `apps`, where `more` says what else is in it.
    async fn kept(more: impl Fn(&Seen) -> Option<Reply> + Send + Sync + 'static) -> (Option<String>, Vec<String>) {
        let fake = Fake::scripted(move |seen| {
            more(seen).unwrap_or_else(|| match seen.path.as_str() {
                "/api" => Reply::Json(200, aggregated(&[""])),
                "/apis" => Reply::Json(200, aggregated(&groups())),
                _ => ordinary(seen),
            })
        });
        let kept = kept_by(&fake.session().api(&context().0), "apps").await.unwrap();
        (kept, fake.requests().into_iter().map(|seen| seen.path).collect())
    }

    #[tokio::test]
    async fn a_namespace_with_nothing_but_what_kubernetes_keeps_there_goes() {
        let (kept, asked) = kept(|_| None).await;
        assert_eq!(kept, None);
        assert_eq!(asked.len(), 2 + kinds().len() - 1, "two requests tell the kinds, and each is listed once but events: {asked:?}");
    }

    #[tokio::test]
    async fn an_object_of_any_kind_keeps_it_and_is_named() {
        for (group, plural, kind) in kinds().into_iter().filter(|(_, plural, _)| *plural != "events") {
            let root = if group.is_empty() { "/api/v1".to_owned() } else { format!("/apis/{group}/v1") };
            let path = format!("{root}/namespaces/apps/{plural}");
            let (kept, _) = kept(move |seen| (seen.path == path).then(|| items(vec![json!({"name": "theirs"})]))).await;
            assert_eq!(kept.as_deref(), Some(format!("{kind} apps/theirs is in it").as_str()));
        }
    }

    #[tokio::test]
    async fn an_old_server_is_asked_for_each_version_of_a_group() {
        let (kept, asked) = kept(|seen| {
            let resources = |group: &str| {
                let resources =
                    of_group(group, |plural, kind| json!({"name": plural, "kind": kind, "namespaced": true, "verbs": ["delete", "list"]}));
                Some(Reply::Json(200, json!({"kind": "APIResourceList", "resources": resources})))
            };
            match seen.path.as_str() {
                "/api" => Some(Reply::Json(200, json!({"kind": "APIVersions", "versions": ["v1"]}))),
                "/apis" => {
                    let groups: Vec<_> =
                        groups().into_iter().map(|group| json!({"versions": [{"groupVersion": format!("{group}/v1")}]})).collect();
                    Some(Reply::Json(200, json!({"kind": "APIGroupList", "groups": groups})))
                }
                "/api/v1" => resources(""),
                "/apis/batch/v1/namespaces/apps/cronjobs" => Some(items(vec![json!({"name": "nightly"})])),
                path => path.strip_prefix("/apis/").and_then(|path| path.strip_suffix("/v1")).and_then(resources),
            }
        })
        .await;
        assert_eq!(kept.as_deref(), Some("CronJob apps/nightly is in it"));
        assert!(asked.contains(&"/apis/rbac.authorization.k8s.io/v1/namespaces/apps/roles".to_owned()), "{asked:?}");
    }

    #[tokio::test]
    async fn what_goes_anyway_is_no_reason_and_a_volume_is_named_before_all() {
        let owned =
            |kind: &str, version: &str| json!({"name": "x", "ownerReferences": [{"apiVersion": version, "kind": kind, "name": "o"}]});
        let (follows, stays) = (owned("StatefulSet", "apps/v1"), owned("Fleet", "example.com/v1"));
        let leaving = json!({"name": "y", "deletionTimestamp": "2026-01-01T00:00:00Z"});
        let pods = move |pod: Value| {
            move |seen: &Seen| match seen.path.rsplit('/').next() {
                Some("pods") => Some(items(vec![pod.clone()])),
                Some("statefulsets") => Some(items(vec![json!({"name": "z", "deletionTimestamp": "2026-01-01T00:00:00Z"})])),
                _ => None,
            }
        };
        assert_eq!(kept(pods(follows.clone())).await.0, None);
        assert_eq!(kept(pods(leaving)).await.0, None);
        assert_eq!(kept(pods(stays)).await.0.as_deref(), Some("Pod apps/x is in it"), "its owner lives outside and stays");
        let claim = |seen: &Seen| match seen.path.rsplit('/').next() {
            Some("configmaps") => Some(items(vec![json!({"name": "theirs"})])),
            Some("persistentvolumeclaims") => Some(items(vec![json!({"name": "data"})])),
            _ => None,
        };
        assert_eq!(kept(claim).await.0.as_deref(), Some("PersistentVolumeClaim apps/data is in it"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_not_or_can_not_be_looked_at_keeps_it() {
        let forbid =
            |seen: &Seen| seen.path.ends_with("/roles").then(|| Reply::status(403, "Forbidden", "x is forbidden: User \"u\" cannot list"));
        assert_eq!(kept(forbid).await.0.as_deref(), Some("listing roles.rbac.authorization.k8s.io is not allowed, so it may contain some"));
        let both =
            move |seen: &Seen| forbid(seen).or_else(|| seen.path.ends_with("/ingresses").then(|| items(vec![json!({"name": "web"})])));
        assert_eq!(kept(both).await.0.as_deref(), Some("Ingress apps/web is in it"), "what is there says more than what may be");
        let stale = |seen: &Seen| {
            let stale = json!({"kind": "APIGroupDiscoveryList", "items": [{"metadata": {"name": "x.io"}, "versions": [{"version": "v1", "freshness": "Stale"}]}]});
            (seen.path == "/apis").then_some(Reply::Json(200, stale))
        };
        assert_eq!(kept(stale).await.0.as_deref(), Some("the kinds of x.io/v1 can't be listed at the moment"));
        let away = |seen: &Seen| seen.path.ends_with("/certificates").then(|| Reply::status(503, "ServiceUnavailable", "no endpoints"));
        assert!(kept(away).await.0.unwrap().starts_with("its contents are not known: "));
    }
}
