//! EFFECT: looks around before a cluster is made and after it was deleted: for what it will need, and for
//! what is left of an earlier one. It only tells, and never fails a run; what may not be read is passed over.
//! The storage classes that are to grow are the exception.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;

use super::aspects::{ClusterArgs, HOST_REMEDIES, KEEPER_REMEDIES, ValidatedCluster};
use super::guard::Growing;
use super::shape::{Holds, Installation, Shape};
use super::{Failed, guard};
use crate::kubernetes::client::{Api, Session};
use crate::kubernetes::diagnosis::Remedies;
use crate::kubernetes::error::INSTALL_OPERATOR;
use crate::kubernetes::inventory::{self, StorageClass};
use crate::kubernetes::meta::Kind;
use crate::kubernetes::observe::Claim;
use crate::kubernetes::quantity;
use crate::kubernetes::readiness::Owner;
use crate::kubernetes::readiness::operator::{self, Presence};
use crate::kubernetes::watch::{SharedWatches, Subscription};
use crate::resource::{CheckFailure, Context, Known};

/// How long a list of claims is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// What volumes of an installation or a Keeper are made of: the property that says their class, and the class
/// where one is named.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    property: String,
    class: Option<String>,
}

/// Warns of a storage class or an operator that is missing: both may come in the same run. Tells of volumes
/// that the new cluster takes up, unless it `continues` with what an earlier run made.
pub(super) async fn before_create(api: &Api, ctx: &Context, cluster: &ValidatedCluster, continues: bool) {
    let wanted = wanted(cluster);
    let classes = async { if wanted.is_empty() { None } else { inventory::storage_classes(api).await } };
    let owners = [
        Some(Owner::Installation(cluster.naming.name.clone())),
        cluster.keeper().map(|_| Owner::Keeper(cluster.naming.name.clone())),
    ];
    let found = async {
        if continues {
            return Vec::new();
        }
        let each =
            owners.into_iter().flatten().map(|owner| claims(api.session(), &cluster.naming.namespace, owner));
        futures::future::join_all(each).await
    };
    let (classes, presence, found) = futures::join!(classes, operator::find(api, false), found);
    for missing in classes.iter().flat_map(|classes| missing(&wanted, classes)) {
        ctx.report.warn(&missing);
    }
    if presence == Presence::Absent {
        ctx.report.warn(&format!(
            "no Deployment of a clickhouse-operator was found in this Kubernetes cluster: without one the \
                cluster does not start; install it with `{INSTALL_OPERATOR}`"
        ));
    }
    for (owner, claims) in found.iter().filter(|(_, claims)| !claims.is_empty()) {
        let of = if matches!(owner, Owner::Keeper(_)) { "Keeper" } else { "cluster" };
        let them = if claims.len() == 1 { "it" } else { "them" };
        ctx.report.info(&format!(
            "finds {} of an earlier {of} of this name ({}) and uses {them}",
            count(claims),
            total(claims)
        ));
    }
}

/// Tells which volumes a deleted cluster has left, and how they are removed. `with_keeper`: whether a Keeper
/// may have come with it.
pub(super) async fn after_delete(
    session: &Session,
    ctx: &Context,
    namespace: &str,
    name: &str,
    with_keeper: bool,
) {
    let owners =
        [Some(Owner::Installation(name.to_owned())), with_keeper.then(|| Owner::Keeper(name.to_owned()))];
    let each = owners.into_iter().flatten().map(|owner| claims(session, namespace, owner));
    for (owner, claims) in futures::future::join_all(each).await {
        if claims.is_empty() {
            continue;
        }
        let (of, them) = (
            if matches!(owner, Owner::Keeper(_)) { " of the Keeper" } else { "" },
            if claims.len() == 1 { "it" } else { "them" },
        );
        ctx.report.info(&format!(
            "kept: {}{of}, {}; `kubectl delete pvc --namespace {namespace} -l {}` removes {them}",
            count(&claims),
            total(&claims),
            owner.label()
        ));
    }
}

/// Refuses volumes that are to grow from one shape to another and can't. `new` are the inputs of the other.
/// One request, where anything grows; where storage classes may not be read, everything passes.
///
/// # Errors
///
/// A class that is not there any more, or does not allow it, at the input that asks for it.
pub(super) async fn expandable(
    api: &Api,
    from: &Shape,
    to: &Shape,
    new: &Known<ClusterArgs>,
) -> Result<(), Failed> {
    if guard::growing(from, to) == Growing::default() {
        return Ok(());
    }
    let Some(classes) = inventory::storage_classes(api).await else { return Ok(()) };
    Ok(CheckFailure::none(guard::stuck(from, to, new, |class| rigid(class, &classes)))?)
}

/// Why volumes of a class can't grow.
fn rigid(class: &str, classes: &[StorageClass]) -> Option<String> {
    match classes.iter().find(|found| found.name == class) {
        Some(found) if found.expands => None,
        Some(_) => Some(format!(
            "volumes of the storage class `{class}` can't be resized, because its `allowVolumeExpansion` is \
                not true; if its provisioner supports it, set it (`kubectl patch storageclass {class} \
                --patch '{{\"allowVolumeExpansion\": true}}'`), else keep the size"
        )),
        None => Some(format!(
            "the volumes can't be resized, because their storage class `{class}` no longer exists; create it \
                again with \
             `allowVolumeExpansion: true`, or keep the size"
        )),
    }
}

/// The classes of the volumes that the cluster comes to, each once, with the property that says it.
fn wanted(cluster: &ValidatedCluster) -> Vec<Wanted> {
    let Shape { clickhouse, keeper, .. } = Shape::rendered(cluster);
    let installation = of_claims(&clickhouse, &cluster.overrides.chi, HOST_REMEDIES);
    let keeper =
        keeper.map(|keeper| of_claims(&keeper, &cluster.overrides.chk, KEEPER_REMEDIES)).unwrap_or_default();
    let mut wanted: Vec<Wanted> = Vec::new();
    for each in installation.into_iter().chain(keeper) {
        if !wanted.iter().any(|known| known.class == each.class) {
            wanted.push(each);
        }
    }
    wanted
}

/// The classes of an installation's volumes. An override that names a class is the property that says it.
fn of_claims(installation: &Installation, overrides: &Value, remedies: Remedies) -> Vec<Wanted> {
    let overridden = overrides.pointer("/templates/volumeClaimTemplates").and_then(Value::as_array);
    let claims = installation.claims.values();
    let classes: BTreeSet<_> = claims.map(|claim| (&claim.template, &claim.class, claim.holds)).collect();
    let each = classes.into_iter().map(|(template, class, holds)| {
        let names_class =
            |found: &Value| found["name"] == **template && found.pointer("/spec/storageClassName").is_some();
        let by_override = overridden.is_some_and(|templates| templates.iter().any(names_class));
        let property = match holds {
            _ if by_override => remedies.other_storage_class,
            Holds::Disk => "storage.disks",
            // Templates without a name of ours are said by an override only.
            _ => remedies.storage_class(template),
        };
        Wanted { property: property.to_owned(), class: class.clone() }
    });
    each.collect()
}

/// A sentence for each class that is not there.
fn missing(wanted: &[Wanted], classes: &[StorageClass]) -> Vec<String> {
    let names = |default: bool| {
        let each = classes.iter().map(|class| {
            format!("`{}`{}", class.name, if default && class.is_default { " (default)" } else { "" })
        });
        let each = each.collect::<Vec<_>>().join(", ");
        if each.is_empty() { "none".to_owned() } else { each }
    };
    let sentence = |Wanted { property, class }: &Wanted| match class.as_deref() {
        // The empty name asks for volumes without a class.
        Some("") => None,
        Some(class) if classes.iter().any(|found| found.name == class) => None,
        Some(class) => Some(format!(
            "`{property}`: there is no storage class `{class}`, so volumes are only bound if they already \
                exist; the cluster has {}",
            names(true)
        )),
        None if classes.iter().any(|found| found.is_default) => None,
        None => Some(format!(
            "no storage class is the default, so no volume is provisioned; set `{property}` to one of the \
                cluster's: {}",
            names(false)
        )),
    };
    wanted.iter().filter_map(sentence).collect()
}

/// The claims of an installation or a Keeper that are not being deleted. Clusters that ask at the same time
/// share one list.
async fn claims(session: &Session, namespace: &str, owner: Owner) -> (Owner, Vec<Arc<Claim>>) {
    let mut watch: Subscription<Claim> =
        SharedWatches::subscribe(session, Kind::PersistentVolumeClaim, Some(namespace), &owner.children());
    let listed = async {
        loop {
            let snapshot = watch.snapshot();
            if snapshot.listed.is_some() || snapshot.trouble.is_some() {
                return snapshot.objects;
            }
            watch.changed().await;
        }
    };
    let mut claims = timeout(PATIENCE, listed).await.unwrap_or_default();
    claims.retain(|claim| !claim.metadata.is_deleting());
    (owner, claims)
}

fn count(claims: &[Arc<Claim>]) -> String {
    if claims.len() == 1 { "1 volume".to_owned() } else { format!("{} volumes", claims.len()) }
}

/// How large claims are together: what they have, or want where they have nothing yet.
fn total(claims: &[Arc<Claim>]) -> String {
    let size = |claim: &Arc<Claim>| {
        let has = claim.status.as_ref().and_then(|status| status.capacity.storage.as_deref());
        quantity::nanos(has.or(claim.spec.resources.requests.storage.as_deref())?)
    };
    let bytes = claims.iter().filter_map(size).sum::<i128>() / quantity::NANOS;
    let units = [("Ti", 1 << 40), ("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)];
    // The largest unit that gives a whole number, else gibibytes.
    let whole = units.iter().find(|(_, unit)| bytes >= *unit && bytes % unit == 0);
    let tenths = bytes * 10 / units[1].1;
    whole.map_or_else(
        || format!("{}.{}Gi", tenths / 10, tenths % 10),
        |(name, unit)| format!("{}{name}", bytes / unit),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kubernetes::cluster::tests::cluster;
    use crate::kubernetes::fake::{Fake, Reply, context};

    /// A Kubernetes cluster with one storage class, no operator, and the volumes of a cluster `db`.
    fn leftovers() -> Fake {
        let claim = |name: &str, group: &str, owner: &str| {
            let labels = json!({format!("{group}/app"): "chop", format!("{group}/{owner}"): "db"});
            json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name,
                "namespace": "apps", "labels": labels},
                "status": {"capacity": {"storage": "120Gi"}}})
        };
        let (chi, chk) = ("clickhouse.altinity.com", "clickhouse-keeper.altinity.com");
        let class = json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
            "metadata": {"name": "standard"}});
        Fake::with([class, claim("a", chi, "chi"), claim("b", chi, "chi"), claim("k", chk, "chk")])
    }

    #[tokio::test]
    async fn a_preview_tells_what_is_missing_and_which_volumes_are_taken_up() {
        let fake = leftovers();
        let (ctx, display) = context();
        let cluster = cluster(json!({"name": "db", "replicas": 2, "storage": {"storageClass": "gp9"}}));
        before_create(&fake.session().api(&ctx), &ctx, &cluster, false).await;
        let warnings = display.warnings.lock().unwrap().clone();
        assert_eq!(warnings.len(), 3, "{warnings:?}");
        assert!(
            warnings[0].starts_with("`storage.storageClass`: there is no storage class `gp9`"),
            "{warnings:?}"
        );
        assert!(
            warnings[1].contains(
                "set `coordination.keeper.storage.storageClass` to one of the cluster's: `standard`"
            ),
            "{warnings:?}"
        );
        assert!(warnings[2].starts_with("no Deployment of a clickhouse-operator was found"), "{warnings:?}");
        assert_eq!(
            *display.infos.lock().unwrap(),
            [
                "finds 2 volumes of an earlier cluster of this name (240Gi) and uses them",
                "finds 1 volume of an earlier Keeper of this name (120Gi) and uses it"
            ]
        );
        assert_eq!(fake.count(&http::Method::GET, "storageclasses"), 1);
    }

    #[tokio::test]
    async fn a_delete_tells_what_it_kept_and_how_that_is_removed() {
        let fake = leftovers();
        let (ctx, display) = context();
        after_delete(&fake.session(), &ctx, "apps", "db", true).await;
        assert_eq!(
            *display.infos.lock().unwrap(),
            [
                "kept: 2 volumes, 240Gi; `kubectl delete pvc --namespace apps -l \
                    clickhouse.altinity.com/chi=db` removes them",
                "kept: 1 volume of the Keeper, 120Gi; `kubectl delete pvc --namespace apps -l \
                    clickhouse-keeper.altinity.com/chk=db` removes it"
            ]
        );
    }

    #[tokio::test]
    async fn what_may_not_be_read_is_passed_over() {
        let fake = Fake::scripted(|_| Reply::status(403, "Forbidden", "no"));
        let (ctx, display) = context();
        let api = fake.session().api(&ctx);
        before_create(&api, &ctx, &cluster(json!({"name": "db"})), false).await;
        after_delete(&fake.session(), &ctx, "apps", "db", true).await;
        let (small, large) = (sized("slow", "1Gi"), sized("slow", "2Gi"));
        expandable(&api, &small.0, &large.0, &large.1).await.unwrap();
        assert!(display.infos.lock().unwrap().is_empty() && display.warnings.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_class_that_does_not_expand_is_refused() {
        let fake = leftovers();
        let (ctx, _) = context();
        let (small, large) = (sized("standard", "1Gi"), sized("standard", "2Gi"));
        let refused = expandable(&fake.session().api(&ctx), &small.0, &large.0, &large.1).await.unwrap_err();
        assert!(
            refused.reasons.len() == 1
                && refused.reasons[0]
                    .starts_with("storage.size: volumes of the storage class `standard` can't be resized"),
            "{:?}",
            refused.reasons
        );
        expandable(&fake.session().api(&ctx), &large.0, &small.0, &small.1).await.expect("nothing grows");
    }

    /// A cluster of a storage class whose volumes have a size.
    fn sized(class: &str, size: &str) -> (Shape, Known<ClusterArgs>) {
        let program = json!({"name": "db", "storage": {"storageClass": class, "size": size}});
        (Shape::rendered(&cluster(program.clone())), Known::all(serde_json::from_value(program).unwrap()))
    }

    fn class(name: &str, is_default: bool, expands: bool) -> StorageClass {
        StorageClass { name: name.to_owned(), is_default, expands }
    }

    fn want(property: &str, class: Option<&str>) -> Wanted {
        Wanted { property: property.to_owned(), class: class.map(str::to_owned) }
    }

    #[test]
    fn a_missing_class_is_told_with_its_property_and_those_that_exist() {
        let classes = [class("fast", false, true), class("slow", true, true)];
        let wanted = [
            want("storage.storageClass", Some("gp9")),
            want("storage.logs.storageClass", None),
            want("x", Some("fast")),
        ];
        assert_eq!(
            missing(&wanted, &classes),
            ["`storage.storageClass`: there is no storage class `gp9`, so volumes are only bound if they \
                    already exist; \
              the cluster has `fast`, `slow` (default)"]
        );
        let told = missing(&wanted[1..2], &classes[..1]);
        assert_eq!(
            told,
            ["no storage class is the default, so no volume is provisioned; set \
                    `storage.logs.storageClass` to one of the cluster's: `fast`"]
        );
    }

    #[test]
    fn the_property_of_a_class_is_the_override_that_names_it() {
        let storage = json!({"storageClass": "a", "logs": {"size": "1Gi", "storageClass": "b"}});
        let typed = cluster(json!({"name": "db", "storage": storage}));
        assert_eq!(
            wanted(&typed),
            [want("storage.storageClass", Some("a")), want("storage.logs.storageClass", Some("b"))]
        );
        let templates = json!([{"name": "data", "spec": {"storageClassName": "c"}}]);
        let by_override = cluster(
            json!({"name": "db", "chiOverrides": {"templates": {"volumeClaimTemplates": templates}}}),
        );
        assert_eq!(wanted(&by_override), [want("chiOverrides.templates.volumeClaimTemplates", Some("c"))]);
    }

    #[test]
    fn volumes_that_cannot_grow_are_named_with_class_and_remedy() {
        let classes = [class("fast", false, true), class("slow", true, false)];
        assert_eq!(rigid("fast", &classes), None);
        let told = rigid("slow", &classes).unwrap();
        assert!(
            told.starts_with("volumes of the storage class `slow` can't be resized")
                && told.contains("kubectl patch"),
            "{told}"
        );
        assert!(rigid("gone", &classes).unwrap().contains("no longer exists"));
    }

    #[test]
    fn sizes_are_added_up() {
        let claims = |sizes: &[&str]| -> Vec<Arc<Claim>> {
            let claim =
                |size: &&str| json!({"metadata": {"name": "c"}, "status": {"capacity": {"storage": size}}});
            sizes.iter().map(|size| Arc::new(serde_json::from_value(claim(size)).unwrap())).collect()
        };
        let cases: [(&[&str], &str); 4] = [
            (&["120Gi"; 4], "480Gi"),
            (&["512Gi", "512Gi"], "1Ti"),
            (&["1Gi", "1Mi"], "1025Mi"),
            (&["1G"], "0.9Gi"),
        ];
        for (sizes, expected) in cases {
            assert_eq!(total(&claims(sizes)), expected, "{sizes:?}");
        }
    }
}
