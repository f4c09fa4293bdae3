use serde_json::json;

use super::*;
use crate::kubernetes::cluster::args::CoordinationType;

#[test]
fn a_program_that_says_nothing_is_one_host_with_its_volume() {
    let args = checked(json!({}));
    let resources = args.resources.expect("resources");
    assert_eq!((args.shards, args.replicas), (Some(1), Some(1)));
    assert_eq!((args.namespace.as_deref(), args.cluster_name.as_deref()), (Some("apps"), Some("cluster")));
    assert_eq!(
        serde_json::to_value(resources).unwrap(),
        json!({"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "4Gi"}})
    );
    assert_eq!(serde_json::to_value(args.storage).unwrap(), json!({"size": "50Gi", "reclaimPolicy": "Retain", "provisioner": "Operator"}));
    assert_eq!(args.coordination.and_then(|coordination| coordination.kind), Some(CoordinationType::None));
}

#[test]
fn replicas_bring_a_keeper_of_three() {
    let coordination = checked(json!({"replicas": 2})).coordination.expect("coordination");
    assert_eq!(coordination.kind, Some(CoordinationType::Keeper));
    assert_eq!(coordination.keeper.and_then(|keeper| keeper.replicas), Some(3));
}

#[test]
fn a_keeper_stays_when_one_replica_is_left() {
    let old = checked(json!({"replicas": 2}));
    let new = fill(&urn(), &Autonaming::Default, "apps", Some(&old), &Known::all(args(json!({"replicas": 1})))).unwrap();
    assert_eq!(new.coordination.and_then(|coordination| coordination.kind), Some(CoordinationType::Keeper));
}

#[test]
fn a_cluster_keeps_the_release_and_the_name_it_was_made_with() {
    let old = args(json!({"name": "db-0000000", "version": "24.8.1.1"}));
    let new = fill(&urn(), &Autonaming::Default, "apps", Some(&old), &Known::all(args(json!({})))).unwrap();
    assert_eq!((new.name.as_deref(), new.version.as_deref()), (Some("db-0000000"), Some("24.8.1.1")));
}

#[test]
fn a_given_limit_or_request_moves_the_other_default() {
    let args = checked(json!({"resources": {"limits": {"cpu": "250m"}, "requests": {"memory": "16Gi"}}}));
    assert_eq!(
        serde_json::to_value(args.resources).unwrap(),
        json!({"requests": {"cpu": "250m", "memory": "16Gi"}, "limits": {"cpu": "250m", "memory": "16Gi"}})
    );
}

#[test]
fn autonaming_configuration_is_obeyed() {
    let named = |autonaming| fill(&urn(), &autonaming, "apps", None, &Known::all(args(json!({})))).map(|args| args.name.expect("name"));
    assert_eq!(named(Autonaming::Propose("My_DB".into())).unwrap(), "my-db");
    assert_eq!(named(Autonaming::Enforce("exactly".into())).unwrap(), "exactly");
    assert_eq!(named(Autonaming::Disabled).unwrap_err().path.to_string(), "name");
}
