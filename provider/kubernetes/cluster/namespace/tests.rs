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
        let resources = of_group(group, |plural, kind| {
            json!({"resource": plural, "responseKind": {"kind": kind},
                "scope": "Namespaced", "verbs": ["delete", "get", "list"]})
        });
        json!({"metadata": {"name": group}, "versions": [{"version": "v1", "freshness": "Current",
            "resources": resources}]})
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
        "secrets" => items(vec![json!({"name": "default-token-x",
                "annotations": {"kubernetes.io/service-account.name": "default"}})]),
        "endpoints" => items(vec![
            json!({"name": "db", "labels": {"endpoints.kubernetes.io/managed-by": "endpoint-controller"}}),
        ]),
        "events" => items(vec![json!({"name": "db.1"})]),
        _ => items(vec![]),
    }
}

/// What keeps the namespace `apps`, where `more` says what else is in it.
async fn kept(
    more: impl Fn(&Seen) -> Option<Reply> + Send + Sync + 'static,
) -> (Option<String>, Vec<String>) {
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
    assert_eq!(
        asked.len(),
        2 + kinds().len() - 1,
        "two requests tell the kinds, and each is listed once but events: {asked:?}"
    );
}

#[tokio::test]
async fn an_object_of_any_kind_keeps_it_and_is_named() {
    for (group, plural, kind) in kinds().into_iter().filter(|(_, plural, _)| *plural != "events") {
        let root = if group.is_empty() { "/api/v1".to_owned() } else { format!("/apis/{group}/v1") };
        let path = format!("{root}/namespaces/apps/{plural}");
        let (kept, _) =
            kept(move |seen| (seen.path == path).then(|| items(vec![json!({"name": "theirs"})]))).await;
        assert_eq!(kept.as_deref(), Some(format!("{kind} apps/theirs is in it").as_str()));
    }
}

#[tokio::test]
async fn an_old_server_is_asked_for_each_version_of_a_group() {
    let (kept, asked) = kept(|seen| {
        let resources = |group: &str| {
            let resources = of_group(group, |plural, kind| {
                json!({"name": plural, "kind": kind, "namespaced": true,
                    "verbs": ["delete", "list"]})
            });
            Some(Reply::Json(200, json!({"kind": "APIResourceList", "resources": resources})))
        };
        match seen.path.as_str() {
            "/api" => Some(Reply::Json(200, json!({"kind": "APIVersions", "versions": ["v1"]}))),
            "/apis" => {
                let groups: Vec<_> = groups()
                    .into_iter()
                    .map(|group| json!({"versions": [{"groupVersion": format!("{group}/v1")}]}))
                    .collect();
                Some(Reply::Json(200, json!({"kind": "APIGroupList", "groups": groups})))
            }
            "/api/v1" => resources(""),
            "/apis/batch/v1/namespaces/apps/cronjobs" => Some(items(vec![json!({"name": "nightly"})])),
            path => path.strip_prefix("/apis/").and_then(|path| path.strip_suffix("/v1")).and_then(resources),
        }
    })
    .await;
    assert_eq!(kept.as_deref(), Some("CronJob apps/nightly is in it"));
    assert!(
        asked.contains(&"/apis/rbac.authorization.k8s.io/v1/namespaces/apps/roles".to_owned()),
        "{asked:?}"
    );
}

#[tokio::test]
async fn what_goes_anyway_is_no_reason_and_a_volume_is_named_before_all() {
    let owned = |kind: &str, version: &str| {
        json!({"name": "x",
        "ownerReferences": [{"apiVersion": version, "kind": kind, "name": "o"}]})
    };
    let (follows, stays) = (owned("StatefulSet", "apps/v1"), owned("Fleet", "example.com/v1"));
    let leaving = json!({"name": "y", "deletionTimestamp": "2026-01-01T00:00:00Z"});
    let pods = move |pod: Value| {
        move |seen: &Seen| match seen.path.rsplit('/').next() {
            Some("pods") => Some(items(vec![pod.clone()])),
            Some("statefulsets") => {
                Some(items(vec![json!({"name": "z", "deletionTimestamp": "2026-01-01T00:00:00Z"})]))
            }
            _ => None,
        }
    };
    assert_eq!(kept(pods(follows.clone())).await.0, None);
    assert_eq!(kept(pods(leaving)).await.0, None);
    assert_eq!(
        kept(pods(stays)).await.0.as_deref(),
        Some("Pod apps/x is in it"),
        "its owner lives outside and stays"
    );
    let claim = |seen: &Seen| match seen.path.rsplit('/').next() {
        Some("configmaps") => Some(items(vec![json!({"name": "theirs"})])),
        Some("persistentvolumeclaims") => Some(items(vec![json!({"name": "data"})])),
        _ => None,
    };
    assert_eq!(kept(claim).await.0.as_deref(), Some("PersistentVolumeClaim apps/data is in it"));
}

#[tokio::test(start_paused = true)]
async fn what_may_not_or_can_not_be_looked_at_keeps_it() {
    let forbid = |seen: &Seen| {
        seen.path
            .ends_with("/roles")
            .then(|| Reply::status(403, "Forbidden", "x is forbidden: User \"u\" cannot list"))
    };
    assert_eq!(
        kept(forbid).await.0.as_deref(),
        Some("listing roles.rbac.authorization.k8s.io is not allowed, so it may contain some")
    );
    let both = move |seen: &Seen| {
        forbid(seen)
            .or_else(|| seen.path.ends_with("/ingresses").then(|| items(vec![json!({"name": "web"})])))
    };
    assert_eq!(
        kept(both).await.0.as_deref(),
        Some("Ingress apps/web is in it"),
        "what is there says more than what may be"
    );
    let stale = |seen: &Seen| {
        let stale = json!({"kind": "APIGroupDiscoveryList", "items": [{"metadata": {"name": "x.io"},
            "versions": [{"version": "v1", "freshness": "Stale"}]}]});
        (seen.path == "/apis").then_some(Reply::Json(200, stale))
    };
    assert_eq!(kept(stale).await.0.as_deref(), Some("the kinds of x.io/v1 can't be listed at the moment"));
    let away = |seen: &Seen| {
        seen.path.ends_with("/certificates").then(|| Reply::status(503, "ServiceUnavailable", "no endpoints"))
    };
    assert!(kept(away).await.0.unwrap().starts_with("its contents are not known: "));
}
