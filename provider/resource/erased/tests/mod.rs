mod diff;

use std::sync::Arc;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::property::json::strip_marks;
use crate::property::path::PropertyPath;
use crate::property::{PropertyValue, map};
use crate::resource::registry::Registry;
use crate::resource::sample::{GetThing, Thing, ThingArgs};
use crate::resource::{FailureKind, Function, Reporter, Resource, Urn};
use crate::schema::fields::Fields;

struct Silent;

impl Reporter for Silent {
    fn status(&self, _: &str) {}
    fn info(&self, _: &str) {}
    fn warn(&self, _: &str) {}
}

fn registry() -> Registry {
    Registry::default().resource(Thing).function(GetThing)
}

fn thing() -> Arc<dyn ErasedResource> {
    registry().find_resource(Thing::TOKEN).unwrap()
}

fn urn() -> Urn {
    Urn("urn:pulumi:dev::proj::test:index:Parent$test:index:Thing::thing".into())
}

fn ctx() -> Context {
    Context {
        urn: urn(),
        cancel: CancellationToken::new(),
        started: Instant::now(),
        timeout: None,
        report: Arc::new(Silent),
    }
}

fn list<const N: usize>(items: [PropertyValue; N]) -> PropertyValue {
    PropertyValue::List(items.into())
}

fn object<const N: usize>(entries: [(&str, PropertyValue); N]) -> PropertyValue {
    map(entries).into()
}

fn secret(text: &str) -> PropertyValue {
    PropertyValue::from(text).into_secret()
}

/// Compares with the secrets in sight, which `Debug` hides.
#[track_caller]
fn assert_same(found: &PropertyMap, expected: &PropertyMap) {
    let names: Vec<_> =
        found.keys().chain(expected.keys()).filter(|name| found.get(*name) != expected.get(*name)).collect();
    assert!(names.is_empty(), "{names:?} differ:\n{found:?}\n{expected:?}");
}

fn check(new: PropertyMap) -> Result<PropertyMap, Vec<(String, String)>> {
    futures::executor::block_on(thing().check(&ctx(), &Autonaming::Default, &PropertyMap::new(), new))
        .map_err(|failures| {
            failures.into_iter().map(|failure| (failure.path.to_string(), failure.reason)).collect()
        })
}

#[test]
fn the_type_is_the_last_of_the_urns() {
    assert_eq!((urn().resource_type(), urn().name()), ("test:index:Thing", "thing"));
}

#[test]
fn a_check_adds_what_is_missing_and_changes_nothing_of_the_users() {
    let node = |port: Option<f64>| {
        let mut node = map([("host", "a".into()), ("token", secret("t"))]);
        node.extend(port.map(|port| ("port".to_owned(), port.into())));
        PropertyValue::Map(node)
    };
    let inputs = check(map([
        ("__internal", "x".into()),
        ("nodes", list([node(None), node(Some(9.0))])),
        ("target", PropertyValue::Null),
        ("overrides", object([("gone", PropertyValue::Null)])),
    ]));
    let expected = map([
        ("__internal", "x".into()),
        ("name", "thing".into()),
        ("size", 1.0.into()),
        ("password", secret("generated")),
        ("nodes", list([node(Some(f64::from(Thing::PORT))), node(Some(9.0))])),
        ("overrides", object([("gone", PropertyValue::Null)])),
    ]);
    assert_same(&inputs.unwrap(), &expected);
}

#[test]
fn a_check_marks_what_the_types_say_is_secret_and_keeps_the_users_marks() {
    let inputs = check(map([
        ("name", secret("n")),
        ("password", "plain".into()),
        ("target", object([("host", "a".into()), ("token", "plain".into())])),
    ]));
    let inputs = inputs.unwrap();
    assert!(inputs["name"] == secret("n"));
    assert!(inputs["password"] == secret("plain"));
    assert!(
        inputs["target"]
            == object([
                ("host", "a".into()),
                ("port", f64::from(Thing::PORT).into()),
                ("token", secret("plain"))
            ])
    );
}

#[test]
fn unknowns_pass_a_check_and_no_default_takes_their_place() {
    let new = map([
        ("name", PropertyValue::Unknown),
        ("size", PropertyValue::Unknown.into_secret()),
        ("password", PropertyValue::Unknown),
        ("nodes", list([object([("host", PropertyValue::Unknown)])])),
        ("target", object([("host", PropertyValue::Unknown)])),
    ]);
    let mut expected = new.clone();
    expected.insert("password".into(), PropertyValue::Unknown.into_secret());
    assert_same(&check(new).unwrap(), &expected);
}

#[test]
fn an_unknown_in_the_place_of_an_object_or_a_list_passes() {
    let new = map([
        ("nodes", PropertyValue::Unknown),
        ("target", PropertyValue::Unknown),
        ("overrides", PropertyValue::Unknown),
    ]);
    assert_eq!(check(new).unwrap()["target"], PropertyValue::Unknown);
}

#[test]
fn all_that_is_wrong_is_told_at_once_by_shape_and_by_meaning() {
    let failures = check(map([
        ("size", 0.0.into()),
        ("naem", "x".into()),
        ("target", object([("port", "eighty".into())])),
        ("nodes", PropertyValue::Asset(PropertyMap::new())),
    ]));
    let mut places: Vec<_> = failures.unwrap_err().into_iter().map(|(path, _)| path).collect();
    places.sort_unstable();
    assert_eq!(places, ["naem", "nodes", "size", "target.host", "target.port"]);
}

#[test]
fn a_wrong_part_of_a_lists_element_hides_nothing_else() {
    let node = |port: PropertyValue| object([("host", "a".into()), ("port", port)]);
    let inputs = map([("nodes", list([node(99999.0.into()), node(80.0.into())])), ("size", 2.0.into())]);
    let (known, failures) =
        decode::program_inputs::<ThingArgs>(&Fields::of_inputs::<ThingArgs>(), strip_marks(&inputs));
    assert_eq!(
        failures.iter().map(|failure| failure.path.to_string()).collect::<Vec<_>>(),
        ["nodes[0].port"]
    );
    let known = known.expect("the rest can be read");
    assert_eq!(known.unknown.iter().map(ToString::to_string).collect::<Vec<_>>(), ["nodes[0].port"]);
    assert_eq!(known.value.nodes.unwrap().iter().map(|node| node.port).collect::<Vec<_>>(), [None, Some(80)]);
}

#[test]
fn a_failure_of_a_secret_property_names_it_in_the_reason_only() {
    let failures = check(map([("password", "".into())])).unwrap_err();
    assert_eq!(failures, [(String::new(), "`password`: must not be empty".to_owned())]);
    let failures = check(map([("password", object([("x", secret("hunter2"))]))])).unwrap_err();
    assert_eq!(failures[0].0, "");
    assert!(failures[0].1.starts_with("`password`: ") && !failures[0].1.contains("hunter2"), "{failures:?}");
}

#[test]
fn a_check_hands_on_the_old_inputs_and_the_naming() {
    let checked = |autonaming: Autonaming| {
        futures::executor::block_on(thing().check(
            &ctx(),
            &autonaming,
            &map([("name", "old".into())]),
            PropertyMap::new(),
        ))
    };
    assert_eq!(checked(Autonaming::Default).unwrap()["name"], "old".into());
    assert_eq!(checked(Autonaming::Enforce("exact".into())).unwrap()["name"], "exact".into());
    assert!(checked(Autonaming::Disabled).is_err());
}

#[tokio::test]
async fn a_preview_echoes_the_inputs_and_says_what_is_unknown() {
    let new = map([("name", secret("n")), ("size", PropertyValue::Unknown)]);
    let created = thing().create(&ctx(), new, true).await.unwrap();
    assert_eq!(created.id, "");
    let expected = map([
        ("name", secret("n")),
        ("size", PropertyValue::Unknown),
        ("key", PropertyValue::Unknown.into_secret()),
        ("endpoints", list([PropertyValue::Unknown])),
    ]);
    assert_same(&created.outputs, &expected);
}

#[tokio::test]
async fn an_output_is_as_unknown_as_the_input_of_its_name() {
    let created = thing().create(&ctx(), map([("name", PropertyValue::Unknown)]), true).await.unwrap();
    assert_eq!(created.outputs["name"], PropertyValue::Unknown);
}

#[tokio::test]
async fn a_create_gives_inputs_and_state_with_both_kinds_of_secrets() {
    let new = map([("name", secret("n")), ("password", secret("p"))]);
    let created = thing().create(&ctx(), new, false).await.unwrap();
    assert_eq!(created.id, "ns/n");
    let expected = map([
        ("name", secret("n")),
        ("password", secret("p")),
        ("key", secret("hunter2")),
        ("endpoints", list(["n.example".into()])),
    ]);
    assert_same(&created.outputs, &expected);
}

#[tokio::test]
async fn what_is_made_of_a_secret_input_is_secret_too() {
    let created = thing().create(&ctx(), map([("name", secret("hidden"))]), false).await.unwrap();
    assert!(created.outputs["endpoints"] == list([secret("hidden.example")]), "{:?}", created.outputs);
    let target = object([("host", "plain".into())]).into_secret();
    let created =
        thing().create(&ctx(), map([("name", "plain".into()), ("target", target)]), false).await.unwrap();
    assert!(created.outputs["endpoints"] == list(["plain.example".into()]), "{:?}", created.outputs);
}

#[tokio::test]
async fn a_real_create_refuses_what_is_unknown() {
    let failed = thing().create(&ctx(), map([("size", PropertyValue::Unknown)]), false).await.unwrap_err();
    assert_eq!(
        (failed.kind, failed.reasons),
        (FailureKind::Invalid, vec!["failed to read the input `size`: its value is not known".into()])
    );
}

#[tokio::test]
async fn what_a_failed_create_left_has_its_secrets_marked() {
    let failed = thing().create(&ctx(), map([("name", secret("half"))]), false).await.unwrap_err();
    let existing = failed.partial.unwrap();
    assert_eq!(existing.id, "ns/half");
    let expected = map([
        ("name", secret("half")),
        ("key", secret("hunter2")),
        ("endpoints", list([secret("half.example")])),
    ]);
    assert_same(&existing.state.outputs, &expected);
    assert_eq!(existing.state.computed, ["key"], "no input, and not what identifies it");
}

#[tokio::test]
async fn an_update_sees_the_old_state() {
    let old = Prior {
        inputs: map([("name", "n".into())]),
        outputs: map([("name", "n".into()), ("key", secret("old"))]),
    };
    let outputs = thing()
        .update(&ctx(), "ns/n", &old, &map([("name", "n".into()), ("size", 2.0.into())]), false)
        .await
        .unwrap();
    assert!(outputs["key"] == secret("old"));
    let failed =
        thing().update(&ctx(), "ns/n", &old, &map([("size", 13.0.into())]), false).await.unwrap_err();
    assert!(failed.partial.unwrap().state.outputs["key"] == secret("old"));
}

#[tokio::test]
async fn a_read_keeps_secrets_secret_and_what_did_not_change_as_it_was_written() {
    let inputs = map([
        ("__internal", "x".into()),
        ("name", secret("n")),
        ("size", secret("1")),
        ("password", secret("p")),
        ("target", object([("host", secret("a")), ("port", PropertyValue::Null)])),
        ("nodes", list([object([("host", "a".into()), ("token", secret("t"))])])),
    ]);
    let read = thing()
        .read(&ctx(), "ns/n", &Prior { inputs: inputs.clone(), outputs: PropertyMap::new() })
        .await
        .unwrap()
        .unwrap();
    let mut expected = inputs;
    // The size was no number, and there is another one now.
    expected.insert("size".into(), PropertyValue::Number(7.0).into_secret());
    assert_same(&read.inputs, &expected);
    assert!(read.outputs["name"] == secret("n") && read.outputs["key"] == secret("hunter2"));
}

#[tokio::test]
async fn a_secret_that_the_user_marked_stays_so_where_the_live_value_differs() {
    let nodes = list([object([("host", secret("a"))])]);
    let old = Prior {
        inputs: map([("size", PropertyValue::Number(1.0).into_secret()), ("nodes", nodes)]),
        outputs: PropertyMap::new(),
    };
    let read = thing().read(&ctx(), "ns/n", &old).await.unwrap().unwrap();
    assert!(read.inputs["size"] == PropertyValue::Number(7.0).into_secret());
}

#[tokio::test]
async fn an_import_reads_from_the_id_alone() {
    let read = thing().read(&ctx(), "ns/n", &Prior::default()).await.unwrap().unwrap();
    assert_same(&read.inputs, &map([("name", "n".into()), ("size", 7.0.into())]));
    assert!(thing().read(&ctx(), "ns/gone", &Prior::default()).await.unwrap().is_none());
}

#[tokio::test]
async fn an_ill_resource_keeps_its_inputs_and_can_not_be_imported() {
    let inputs = map([("name", "ill".into())]);
    let failed = thing()
        .read(&ctx(), "ns/ill", &Prior { inputs: inputs.clone(), outputs: PropertyMap::new() })
        .await
        .unwrap_err();
    assert_eq!(failed.partial.unwrap().state.inputs, Some(inputs));
    assert!(thing().read(&ctx(), "ns/ill", &Prior::default()).await.unwrap_err().partial.is_none());
}

#[tokio::test]
async fn a_delete_that_failed_leaves_the_state_to_pulumi() {
    let old = Prior { inputs: map([("name", "stuck".into())]), outputs: PropertyMap::new() };
    assert!(thing().delete(&ctx(), "ns/stuck", &old).await.unwrap_err().partial.is_none());
    assert!(thing().delete(&ctx(), "ns/stuck", &Prior::default()).await.is_ok());
}

#[tokio::test]
async fn a_function_tells_what_is_wrong_with_its_arguments_and_marks_its_secrets() {
    let function = registry().find_function(GetThing::TOKEN).unwrap();
    let result = function.invoke(&ctx(), &map([("id", secret("ns/n"))])).await.unwrap();
    assert_same(&result, &map([("id", "ns/n".into()), ("key", secret("hunter2"))]));
    let Err(InvokeError::Arguments(failures)) = function.invoke(&ctx(), &map([("ids", "x".into())])).await
    else {
        panic!("no failures")
    };
    assert_eq!(failures.iter().map(|failure| failure.path.to_string()).collect::<Vec<_>>(), ["ids", "id"]);
    let refused = function.invoke(&ctx(), &map([("id", PropertyValue::Unknown)])).await;
    assert!(matches!(refused, Err(InvokeError::Arguments(_))));
}

#[tokio::test]
async fn a_listing_takes_its_query_and_its_limit() {
    let list = registry().find_list(Thing::TOKEN).unwrap();
    let found = list.list(&ctx(), &map([("prefix", "x".into())]), Some(2)).await.unwrap();
    assert_eq!(found.iter().map(|listed| listed.id.as_str()).collect::<Vec<_>>(), ["ns/x0", "ns/x1"]);
}
