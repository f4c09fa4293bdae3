//! Differences: what is told, what is ignored, what an older version wrote.

use super::super::resource::is_taken_back;
use super::*;

#[test]
fn a_diff_leaves_out_what_is_ignored_and_tells_what_stays() {
    let old =
        Prior { inputs: map([("name", "n".into()), ("size", 1.0.into())]), outputs: PropertyMap::new() };
    let new = map([("name", "n".into()), ("size", 2.0.into())]);
    let result = thing().diff(&old, &new, &[]).unwrap();
    assert_eq!(result.changes.iter().map(|change| change.path.to_string()).collect::<Vec<_>>(), ["size"]);
    assert_eq!(result.stables, ["name"]);
    let result = thing().diff(&old, &new, &[Pattern::parse("size").unwrap()]).unwrap();
    assert!(result.changes.is_empty());
}

#[test]
fn what_the_engine_can_not_take_back_is_a_change_though_it_is_ignored() {
    let nodes = |hosts: &[&str]| {
        PropertyValue::List(hosts.iter().map(|host| object([("host", (*host).into())])).collect())
    };
    let properties = |hosts: &[&str]| map([("name", "n".into()), ("nodes", nodes(hosts))]);
    let is_change = |pattern: &str, path: PropertyPath, old: PropertyMap, new: PropertyMap| {
        let old = Prior { inputs: old, outputs: PropertyMap::new() };
        !is_taken_back(&Pattern::parse(pattern).unwrap(), &path, &old, &new)
    };
    let host = |index| PropertyPath::from("nodes").index(index).key("host");
    assert!(is_change("nodes[1]", host(1), properties(&["a"]), properties(&["a", "b"])), "an element came");
    assert!(
        is_change("nodes[*].host", host(1), properties(&["a", "b"]), properties(&["a"])),
        "an element went"
    );
    assert!(
        is_change(
            "target.host",
            "target.host".into(),
            map([("target", object([("host", "a".into())]))]),
            properties(&[])
        ),
        "its place went"
    );
    for pattern in ["nodes", "nodes[0]", "nodes[0].host", "*"] {
        assert!(!is_change(pattern, host(0), properties(&["a"]), properties(&["b"])), "{pattern}");
    }
    assert!(
        !is_change("nodes", host(1), properties(&["a"]), properties(&["a", "b"])),
        "the list as a whole is taken back"
    );
    assert!(!is_change("target.host", "target.host".into(), properties(&[]), properties(&[])));
}

#[test]
fn a_diff_of_a_refresh_reads_what_an_older_version_wrote() {
    let old =
        Prior { inputs: map([("name", "n".into()), ("size", 2.0.into())]), outputs: PropertyMap::new() };
    let state = map([
        ("name", "n".into()),
        ("size", "large".into()),
        ("nodes", list([object([("hostname", "a".into())])])),
    ]);
    let result = thing().diff(&old, &state, &[]).unwrap();
    assert_eq!(result.changes.iter().map(|change| change.path.to_string()).collect::<Vec<_>>(), ["size"]);
}

#[test]
fn a_diff_takes_secrets_for_their_values_and_unknowns_for_changes() {
    let old =
        Prior { inputs: map([("name", secret("n")), ("size", 1.0.into())]), outputs: PropertyMap::new() };
    assert!(
        thing()
            .diff(&old, &map([("name", "n".into()), ("size", 1.0.into())]), &[])
            .unwrap()
            .changes
            .is_empty()
    );
    let unknown = map([("name", "n".into()), ("size", PropertyValue::Unknown)]);
    assert_eq!(thing().diff(&old, &unknown, &[]).unwrap().changes.len(), 1);
}

#[test]
fn a_diff_reads_the_inputs_from_the_outputs_when_an_old_engine_sends_no_other() {
    let old = Prior {
        inputs: PropertyMap::new(),
        outputs: map([("name", "n".into()), ("size", 1.0.into()), ("endpoints", list([]))]),
    };
    assert!(
        thing()
            .diff(&old, &map([("name", "n".into()), ("size", 1.0.into())]), &[])
            .unwrap()
            .changes
            .is_empty()
    );
}

#[test]
fn a_diff_passes_over_what_an_older_version_wrote_otherwise() {
    let inputs = map([
        ("name", "n".into()),
        ("size", "large".into()),
        ("nodes", list([object([("hostname", "a".into())])])),
    ]);
    let result = thing()
        .diff(&Prior { inputs, outputs: PropertyMap::new() }, &map([("name", "n".into())]), &[])
        .unwrap();
    assert!(result.changes.is_empty(), "{result:?}");
}
