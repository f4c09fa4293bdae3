//! The calls about the plugin and its configuration.

use super::*;

#[tokio::test]
async fn handshake_and_configure_promise_the_same() {
    let mut client = client().await;
    let shaken = client.handshake(pb::ProviderHandshakeRequest::default()).await.unwrap().into_inner();
    let configured = client.configure(pb::ConfigureRequest::default()).await.unwrap().into_inner();
    assert!(
        shaken.accept_secrets
            && shaken.accept_resources
            && shaken.accept_outputs
            && shaken.supports_autonaming_configuration
    );
    assert!(!shaken.accepts_byte_string);
    assert!(
        configured.accept_secrets
            && configured.accept_resources
            && configured.accept_outputs
            && configured.supports_preview
    );
    assert!(configured.supports_autonaming_configuration);
}

#[tokio::test]
async fn the_schema_is_given_and_there_are_no_subpackages() {
    let mut client = client().await;
    let schema = client.get_schema(pb::GetSchemaRequest::default()).await.unwrap().into_inner().schema;
    assert_eq!(schema, r#"{"name":"test"}"#);
    let sub = pb::GetSchemaRequest { subpackage_name: "x".into(), ..pb::GetSchemaRequest::default() };
    assert_eq!(client.get_schema(sub).await.unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(client.get_plugin_info(()).await.unwrap().into_inner().version, "1.2.3");
}

#[tokio::test]
async fn a_configuration_goes_back_as_it_came() {
    let mut client = client().await;
    let news = wire([
        ("version", "0.1.0".into()),
        ("deleteUnreachable", "true".into()),
        ("context", "".into()),
        ("kubeconfig", PropertyValue::Unknown),
    ]);
    let request = pb::CheckRequest { news: news.clone(), ..pb::CheckRequest::default() };
    let checked = client.check_config(request).await.unwrap().into_inner();
    assert_eq!((checked.inputs, checked.failures), (news, Vec::new()));

    let wrong =
        wire([("deleteUnreachable", "maybe".into()), ("kubeconfig", "clusters: [never closed".into())]);
    let checked = client
        .check_config(pb::CheckRequest { news: wrong, ..pb::CheckRequest::default() })
        .await
        .unwrap()
        .into_inner();
    let places: Vec<_> = checked.failures.iter().map(|failure| failure.property.as_str()).collect();
    assert_eq!(places, ["deleteUnreachable", ""]);
    assert!(checked.failures[1].reason.starts_with("`kubeconfig`: "), "{:?}", checked.failures);
}

#[tokio::test]
async fn the_contents_of_a_kubeconfig_become_a_secret_and_a_path_does_not() {
    let mut client = client().await;
    for (given, expected) in [
        (PropertyValue::from("{}"), PropertyValue::from("{}").into_secret()),
        (PropertyMap::new().into(), PropertyValue::Map(PropertyMap::new()).into_secret()),
        ("~/.kube/config".into(), "~/.kube/config".into()),
        (PropertyValue::Unknown, PropertyValue::Unknown),
    ] {
        let request = pb::CheckRequest {
            news: wire([("kubeconfig", given), ("context", "a".into())]),
            ..pb::CheckRequest::default()
        };
        let checked = client.check_config(request).await.unwrap().into_inner();
        assert_eq!(checked.inputs, wire([("kubeconfig", expected), ("context", "a".into())]));
    }
}

#[tokio::test]
async fn no_change_of_the_configuration_replaces_the_provider() {
    let config = |server: &str, token: &str| {
        PropertyValue::from(format!(
            "current-context: a\nclusters:\n- name: c\n  cluster: {{server: '{server}'}}\n\
             contexts:\n- name: a\n  context: {{cluster: c, user: u}}\nusers:\n- name: u\n  user: {{token: \
             {token}}}\n"
        ))
    };
    let mut client = client().await;
    let mut diff = async |kubeconfig: PropertyValue, namespace: &str| {
        let request = pb::DiffRequest {
            old_inputs: wire([("kubeconfig", config("https://a.example", "t1"))]),
            news: wire([("kubeconfig", kubeconfig), ("namespace", namespace.into())]),
            ..pb::DiffRequest::default()
        };
        let diff = client.diff_config(request).await.unwrap().into_inner();
        (diff.changes(), diff.diffs, diff.replaces)
    };
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(diff(config("https://a.example", "t1"), "").await, (DiffChanges::DiffNone, vec![], vec![]));
    assert_eq!(
        diff(config("https://a.example", "t2"), "").await,
        (DiffChanges::DiffSome, names(&["kubeconfig"]), vec![])
    );
    assert_eq!(
        diff(config("https://a.example", "t1"), "n").await,
        (DiffChanges::DiffSome, names(&["namespace"]), vec![])
    );
    assert_eq!(
        diff(PropertyValue::Unknown, "").await,
        (DiffChanges::DiffSome, names(&["kubeconfig"]), vec![])
    );
    let elsewhere = diff(config("https://b.example", "t1"), "").await;
    assert_eq!(elsewhere, (DiffChanges::DiffSome, names(&["kubeconfig"]), vec![]));
}

#[tokio::test]
async fn a_configuration_takes_effect_at_once_and_args_outrank_variables() {
    let mut client = client().await;
    let variables =
        |context: &str| HashMap::from([("clickhouse:config:context".to_owned(), context.to_owned())]);
    let request =
        |args, variables| pb::ConfigureRequest { args, variables, ..pb::ConfigureRequest::default() };

    client.configure(request(None, variables("empty"))).await.unwrap();
    let status = client.create(create("a")).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("`test:index:Thing`"), "{status}");

    client.configure(request(wire([("context", "full".into())]), variables("empty"))).await.unwrap();
    client.create(create("a")).await.unwrap();
}

#[tokio::test]
async fn what_is_not_offered_is_unimplemented_and_mappings_are_empty() {
    let mut client = client().await;
    assert_eq!(
        client.parameterize(pb::ParameterizeRequest::default()).await.unwrap_err().code(),
        Code::Unimplemented
    );
    assert_eq!(client.call(pb::CallRequest::default()).await.unwrap_err().code(), Code::Unimplemented);
    assert_eq!(
        client.construct(pb::ConstructRequest::default()).await.unwrap_err().code(),
        Code::Unimplemented
    );
    assert_eq!(
        client.get_mapping(pb::GetMappingRequest::default()).await.unwrap().into_inner(),
        pb::GetMappingResponse::default()
    );
    assert_eq!(
        client.get_mappings(pb::GetMappingsRequest::default()).await.unwrap().into_inner(),
        pb::GetMappingsResponse::default()
    );
}
