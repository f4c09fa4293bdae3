//! No reason and no row says a value that came in as a secret.

use serde_json::json;

use super::*;
use crate::kubernetes::cluster::Cluster;
use crate::kubernetes::fake::{Fake, Reply, context};
use crate::property::json::from_json;
use crate::property::{PropertyMap, PropertyValue};
use crate::resource::registry::Registry;
use crate::resource::{Resource, erased::ErasedResource};

fn secret(value: Value) -> PropertyValue {
    from_json(&value).into_secret()
}

fn resource(reply: Reply) -> std::sync::Arc<dyn ErasedResource> {
    let fake = Fake::scripted(move |_| reply.clone());
    Registry::default().resource(Cluster::new(fake.session())).find_resource(Cluster::TOKEN).unwrap()
}

#[tokio::test]
async fn wrong_secret_inputs_are_refused_without_their_values() {
    let inputs = PropertyMap::from([
        ("name".to_owned(), secret(json!("My_Hidden"))),
        ("version".to_owned(), secret(json!("25.8 hidden"))),
        ("labels".to_owned(), PropertyMap::from([("team".to_owned(), secret(json!("hidden one!")))]).into()),
        ("storage".to_owned(), PropertyMap::from([("size".to_owned(), secret(json!("50 hidden")))]).into()),
        ("admin".to_owned(), secret(json!({"username": "hidden@min", "networks": ["hidden/8"]}))),
        ("shards".to_owned(), secret(json!(70707))),
    ]);
    let checked = resource(Reply::Json(200, json!({})))
        .check(&context().0, &Autonaming::Default, &PropertyMap::new(), inputs)
        .await;
    let told: Vec<_> = checked
        .unwrap_err()
        .into_iter()
        .map(|failure| format!("{}: {}", failure.path, failure.reason))
        .collect();
    assert_eq!(told.len(), 7, "{told:#?}");
    for line in &told {
        assert!(
            line.contains("[secret]") && !line.to_lowercase().contains("hidden") && !line.contains("70707"),
            "{told:#?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn values_that_the_api_server_quotes_are_not_repeated() {
    let inputs = || {
        let settings = PropertyMap::from([("x".to_owned(), secret(json!("hunter 2 \"b\"")))]);
        let user = PropertyMap::from([(
            "configuration".to_owned(),
            PropertyMap::from([("settings".to_owned(), settings.into())]).into(),
        )]);
        let mut inputs: PropertyMap = serde_json::to_value(checked(json!({"name": "db"})))
            .unwrap()
            .as_object()
            .unwrap()
            .iter()
            .map(|(key, value)| (key.clone(), from_json(value)))
            .collect();
        inputs.insert("chiOverrides".to_owned(), user.into());
        inputs
    };
    let quoting = r#"spec.x: Invalid value: "hunter 2 \"b\"", at http://u:hunter%202%20%22b%22@db"#;
    for code in [422, 418, 503] {
        let (ctx, display) = context();
        let failed =
            resource(Reply::status(code, "", quoting)).create(&ctx, inputs(), false).await.unwrap_err();
        let told = format!(
            "{:?} {:?} {:?}",
            failed.reasons,
            display.statuses.lock().unwrap(),
            display.warnings.lock().unwrap()
        );
        assert!(told.contains("[secret]") && !told.contains("hunter"), "{told}");
        let (ctx, display) = context();
        let previewed = resource(Reply::status(code, "", quoting)).create(&ctx, inputs(), true).await;
        let told = format!(
            "{:?} {:?}",
            previewed.map_err(|failed| failed.reasons).err(),
            display.warnings.lock().unwrap()
        );
        assert!(told.contains("[secret]") && !told.contains("hunter"), "{told}");
    }
}
