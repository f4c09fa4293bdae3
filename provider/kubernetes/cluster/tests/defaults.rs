use serde_json::json;

use super::*;
use crate::kubernetes::cluster::aspects::{CoordinationType, LogLevel};

#[test]
fn a_program_that_says_nothing_is_one_host_with_its_volume() {
    let args = checked(json!({}));
    let resources = args.resources.expect("resources");
    assert_eq!((args.layout.shards, args.layout.replicas), (Some(1), Some(1)));
    assert_eq!(
        (args.naming.namespace.as_deref(), args.naming.cluster_name.as_deref()),
        (Some("apps"), Some("cluster"))
    );
    assert_eq!(
        serde_json::to_value(resources).unwrap(),
        json!({"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "4Gi"}})
    );
    assert_eq!(
        serde_json::to_value(args.storage).unwrap(),
        json!({"size": "50Gi", "reclaimPolicy": "Retain", "provisioner": "Operator"})
    );
    assert_eq!(args.coordination.and_then(|coordination| coordination.kind), Some(CoordinationType::None));
}

#[test]
fn a_cluster_keeps_the_release_and_the_name_it_was_made_with() {
    let old = args(json!({"name": "db-0000000", "version": "24.8.1.1"}));
    let new = fill(&urn(), &Autonaming::Default, "apps", Some(&old), &Known::all(args(json!({})))).unwrap();
    assert_eq!(
        (new.naming.name.as_deref(), new.image.version.as_deref()),
        (Some("db-0000000"), Some("24.8.1.1"))
    );
}

#[test]
fn a_cluster_keeps_its_namespace_whoever_runs_pulumi() {
    let old = checked(json!({}));
    let of_another_context =
        fill(&urn(), &Autonaming::Default, "other", Some(&old), &Known::all(args(json!({})))).unwrap();
    assert_eq!(of_another_context, old);
    let before = ClusterArgs { defaults: None, ..old.clone() };
    let upgraded =
        fill(&urn(), &Autonaming::Default, "other", Some(&before), &Known::all(args(json!({})))).unwrap();
    assert_eq!(upgraded, old, "a state of a release that recorded no defaults");
}

/// What a later release changes: the cluster was made with other defaults than today's.
#[test]
fn a_cluster_keeps_every_default_it_was_made_with() {
    let mut old = checked(json!({"replicas": 2, "storage": {"logs": {}}}));
    let mut earlier = old.defaults.take().unwrap();
    earlier.image.version = "24.8.1.1".into();
    (earlier.storage.data_size, earlier.storage.logs_size, earlier.coordination.keeper_size) =
        ("20Gi".into(), "5Gi".into(), "6Gi".into());
    earlier.coordination.keeper_replicas = 5;
    earlier.resources.resources[1] = ["1".into(), "2Gi".into()];
    earlier.coordination.keeper_resources[0][1] = "512Mi".into();
    earlier.access.networks = vec!["10.0.0.0/8".into()];
    earlier.logging.log_level = LogLevel::Warning;
    let program = Known::all(args(json!({"replicas": 2, "storage": {"logs": {}}})));
    let made = fill(
        &urn(),
        &Autonaming::Default,
        "apps",
        Some(&ClusterArgs { defaults: Some(earlier), ..ClusterArgs::default() }),
        &program,
    );
    let made = made.unwrap();
    let spec = |args: &ClusterArgs| {
        crate::kubernetes::cluster::manifest::installations(&run_validate(&Known::all(args.clone())).unwrap())
            .0
    };
    let text = spec(&made).to_string();
    for kept in ["24.8.1.1", "20Gi", "5Gi", "2Gi", "warning", "[\"10.0.0.0/8\"]", "chk-db-"] {
        assert!(text.contains(kept), "{kept}: {text}");
    }
    let again = fill(&urn(), &Autonaming::Default, "apps", Some(&made), &program).unwrap();
    assert_eq!(again, made);
    // What a person changed by hand, and a refresh found, is no default: the next update repairs it.
    let mut drifted = ClusterArgs { resources: None, ..made.clone() };
    drifted.image.version = Some("1.2.3".into());
    assert_eq!(fill(&urn(), &Autonaming::Default, "apps", Some(&drifted), &program).unwrap(), made);
}

#[test]
fn autonaming_configuration_is_obeyed() {
    let named = |autonaming| {
        fill(&urn(), &autonaming, "apps", None, &Known::all(args(json!({}))))
            .map(|args| args.naming.name.expect("name"))
    };
    assert_eq!(named(Autonaming::Propose("My_DB".into())).unwrap(), "my-db");
    assert_eq!(named(Autonaming::Enforce("exactly".into())).unwrap(), "exactly");
    assert_eq!(named(Autonaming::Disabled).unwrap_err().path.to_string(), "name");
}
