//! The calls about resources and functions.

use super::*;

#[tokio::test]
async fn a_check_gives_inputs_or_all_failures() {
    let mut client = client().await;
    let request =
        |news: Option<Struct>| pb::CheckRequest { urn: URN.into(), news, ..pb::CheckRequest::default() };
    // As an old engine asks: no type, no old inputs, no seed.
    let checked = client.check(request(None)).await.unwrap().into_inner();
    let inputs = convert::read(checked.inputs).unwrap();
    assert!(
        inputs
            == map([
                ("name", "thing".into()),
                ("size", 1.0.into()),
                ("password", PropertyValue::from("generated").into_secret())
            ])
    );
    let checked = client
        .check(request(wire([("size", 0.0.into()), ("password", "".into())])))
        .await
        .unwrap()
        .into_inner();
    let failures: Vec<_> =
        checked.failures.iter().map(|failure| (failure.property.as_str(), failure.reason.as_str())).collect();
    assert_eq!(failures, [("size", "must be at least 1"), ("", "`password`: must not be empty")]);
}

#[tokio::test]
async fn a_check_obeys_the_configured_naming() {
    use pb::check_request::AutonamingOptions;
    use pb::check_request::autonaming_options::Mode;
    let mut client = client().await;
    let mut name = async |mode: Mode| {
        let autonaming = Some(AutonamingOptions { proposed_name: "proposed".into(), mode: mode.into() });
        let request = pb::CheckRequest { urn: URN.into(), autonaming, ..pb::CheckRequest::default() };
        convert::read(client.check(request).await.unwrap().into_inner().inputs).unwrap().remove("name")
    };
    assert_eq!(name(Mode::Propose).await, Some("proposed".into()));
    assert_eq!(name(Mode::Enforce).await, Some("proposed".into()));
    assert_eq!(name(Mode::Disable).await, None);
}

#[tokio::test]
async fn a_diff_is_told_in_detail() {
    let mut client = client().await;
    let request = |news| pb::DiffRequest {
        urn: URN.into(),
        old_inputs: wire([("name", "a".into()), ("size", 1.0.into())]),
        news,
        ..pb::DiffRequest::default()
    };
    let same =
        client.diff(request(wire([("name", "a".into()), ("size", 1.0.into())]))).await.unwrap().into_inner();
    assert_eq!(
        (same.changes(), same.has_detailed_diff, same.stables),
        (DiffChanges::DiffNone, true, vec!["name".to_owned()])
    );

    let overrides = PropertyValue::Map(map([("a.b", 1.0.into())]));
    let news = wire([("name", "b".into()), ("size", PropertyValue::Unknown), ("overrides", overrides)]);
    let diff = client.diff(request(news)).await.unwrap().into_inner();
    assert_eq!(diff.changes(), DiffChanges::DiffSome);
    assert_eq!(diff.diffs, ["name", "overrides", "size"]);
    assert_eq!(diff.replaces, ["name"]);
    assert!(diff.delete_before_replace);
    let kinds: HashMap<_, _> = diff
        .detailed_diff
        .iter()
        .map(|(path, diff)| (path.as_str(), (diff.kind(), diff.input_diff)))
        .collect();
    let expected = [
        ("name", (Kind::UpdateReplace, true)),
        ("size", (Kind::Update, true)),
        ("overrides[\"a.b\"]", (Kind::Add, true)),
        ("overrides.c", (Kind::Delete, true)),
    ];
    assert_eq!(kinds, expected.into());

    let mut ignoring = request(wire([("name", "a".into()), ("size", 2.0.into())]));
    ignoring.ignore_changes = vec!["size".into()];
    assert_eq!(client.diff(ignoring).await.unwrap().into_inner().changes(), DiffChanges::DiffNone);
}

#[tokio::test]
async fn what_a_failed_create_left_comes_in_the_status() {
    let mut client = client().await;
    let detail = init_failed(&client.create(create("half")).await.unwrap_err());
    assert_eq!((detail.id.as_str(), detail.reasons), ("ns/half", vec!["not ready".to_owned()]));
    let outputs = convert::read(detail.properties).unwrap();
    assert!(outputs["key"] == PropertyValue::from("hunter2").into_secret());

    let status = client.create(create("fail")).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::PermissionDenied, "not allowed"));
}

#[tokio::test]
async fn a_panic_fails_its_call_and_no_other() {
    let mut client = client().await;
    let status = client.create(create("panic")).await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    assert!(status.message().contains("out of cheese"), "{status}");
    assert_eq!(client.create(create("next")).await.unwrap().into_inner().id, "ns/next");
}

#[tokio::test]
async fn a_preview_makes_nothing_and_says_what_is_unknown() {
    let mut client = client().await;
    let created =
        client.create(pb::CreateRequest { preview: true, ..create("panic") }).await.unwrap().into_inner();
    assert_eq!(created.id, "");
    assert!(convert::read(created.properties).unwrap()["key"].has_unknown());
}

#[tokio::test]
async fn an_update_and_a_delete_pass_on_old_and_new() {
    let mut client = client().await;
    let update = |size: f64| pb::UpdateRequest {
        id: "ns/a".into(),
        urn: URN.into(),
        old_inputs: wire([("name", "a".into())]),
        olds: wire([("name", "a".into()), ("key", PropertyValue::from("old").into_secret())]),
        news: wire([("name", "a".into()), ("size", size.into())]),
        ..pb::UpdateRequest::default()
    };
    let outputs = convert::read(client.update(update(2.0)).await.unwrap().into_inner().properties).unwrap();
    assert!(outputs["key"] == PropertyValue::from("old").into_secret());
    assert_eq!(init_failed(&client.update(update(13.0)).await.unwrap_err()).id, "ns/a");

    let delete = |id: &str, old_inputs| pb::DeleteRequest {
        id: id.into(),
        urn: URN.into(),
        old_inputs,
        ..pb::DeleteRequest::default()
    };
    client.delete(delete("ns/a", None)).await.unwrap();
    let status = client.delete(delete("ns/stuck", wire([("name", "stuck".into())]))).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message(), status.details()),
        (Code::DeadlineExceeded, "still there", &[][..])
    );
}

#[tokio::test]
async fn a_read_tells_gone_ill_and_there_apart() {
    let mut client = client().await;
    let read = |id: &str, inputs| pb::ReadRequest {
        id: id.into(),
        urn: URN.into(),
        inputs,
        ..pb::ReadRequest::default()
    };
    assert_eq!(client.read(read("ns/gone", None)).await.unwrap().into_inner(), pb::ReadResponse::default());
    let there = client.read(read("ns/a", None)).await.unwrap().into_inner();
    assert_eq!(there.id, "ns/a");
    assert_eq!(convert::read(there.inputs).unwrap(), map([("name", "a".into()), ("size", 7.0.into())]));
    assert!(convert::read(there.properties).unwrap().contains_key("endpoints"));
    let ill = init_failed(&client.read(read("ns/ill", wire([("name", "ill".into())]))).await.unwrap_err());
    assert_eq!(
        (ill.id.as_str(), convert::read(ill.inputs).unwrap()),
        ("ns/ill", map([("name", "ill".into())]))
    );
    assert_eq!(client.read(read("bad", None)).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_listing_gives_results_or_says_that_it_will_know_later() {
    let mut client = client().await;
    let request = |query, limit| pb::ListRequest {
        token: Thing::TOKEN.into(),
        query,
        limit,
        ..pb::ListRequest::default()
    };
    let mut collect = async |request: pb::ListRequest| {
        let mut stream = client.list(request).await?.into_inner();
        let mut all = Vec::new();
        while let Some(item) = stream.message().await? {
            all.push(match item.response.unwrap() {
                Listed::Result(result) => result.id,
                Listed::Computed(_) => "computed".to_owned(),
                Listed::Continuation(next) => format!("next of {}", next.continuation_token),
            });
        }
        Ok::<_, Status>(all)
    };
    assert_eq!(collect(request(None, 0)).await.unwrap(), ["ns/t0", "ns/t1", "ns/t2"]);
    assert_eq!(collect(request(wire([("prefix", "x".into())]), 1)).await.unwrap(), ["ns/x0"]);
    assert_eq!(collect(request(wire([("prefix", PropertyValue::Unknown)]), 0)).await.unwrap(), ["computed"]);
    assert_eq!(
        collect(request(wire([("perfix", "x".into())]), 0)).await.unwrap_err().code(),
        Code::InvalidArgument
    );
    let page = |size, after: &str| pb::ListRequest {
        page_size: size,
        continuation_token: after.into(),
        ..request(None, 0)
    };
    assert_eq!(collect(page(2, "")).await.unwrap(), ["ns/t0", "ns/t1", "next of ns/t1"]);
    assert_eq!(collect(page(2, "ns/t1")).await.unwrap(), ["ns/t2"]);
    assert_eq!(collect(page(3, "")).await.unwrap(), ["ns/t0", "ns/t1", "ns/t2"]);
    assert_eq!(collect(pb::ListRequest { limit: 2, ..page(1, "ns/t0") }).await.unwrap(), ["ns/t1"]);
    let unlisted = pb::ListRequest { token: "test:index:Other".into(), ..pb::ListRequest::default() };
    assert_eq!(collect(unlisted).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn an_invoke_gives_a_result_failures_or_an_error() {
    let mut client = client().await;
    let invoke = |args| pb::InvokeRequest { tok: "test:index:getThing".into(), args, preview: false };
    let answer = client.invoke(invoke(wire([("id", "ns/a".into())]))).await.unwrap().into_inner();
    let result = convert::read(answer.r#return).unwrap();
    assert!(result == map([("id", "ns/a".into()), ("key", PropertyValue::from("hunter2").into_secret())]));
    let answer = client.invoke(invoke(None)).await.unwrap().into_inner();
    assert_eq!(answer.failures.iter().map(|failure| failure.property.as_str()).collect::<Vec<_>>(), ["id"]);
    assert_eq!(answer.r#return, None);
    let status = client.invoke(invoke(wire([("id", "ns/gone".into())]))).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::InvalidArgument, "there is no `ns/gone`"));
}

#[tokio::test]
async fn broken_values_are_refused_with_their_place() {
    let mut client = client().await;
    let broken = PropertyValue::Map(map([(convert::SIGNATURE, "0000".into())]));
    let request = pb::CreateRequest { properties: wire([("name", broken)]), ..create("") };
    let status = client.create(request).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("`name`"), "{status}");
}

#[tokio::test]
async fn messages_far_beyond_grpcs_usual_limit_pass() {
    let mut client = client().await.max_decoding_message_size(1 << 30).max_encoding_message_size(1 << 30);
    let overrides = PropertyValue::Map(map([("text", "x".repeat(20 << 20).into())]));
    let request = pb::CreateRequest {
        properties: wire([("name", "big".into()), ("overrides", overrides.clone())]),
        ..create("")
    };
    let created = client.create(request).await.unwrap().into_inner();
    assert!(convert::read(created.properties).unwrap()["overrides"] == overrides);
}
