//! Backups as far as a control plane without clickhouse-backup's image goes: the CronJob, and what a change
//! of it does to the hosts.

use k8s_openapi::api::batch::v1::CronJob;
use kube::api::Api;
use serde_json::{Value, json};

use crate::support::{program, stack};

fn properties(backup: &Value) -> Value {
    let mut properties = json!({"name": "db", "backup": backup});
    properties["backup"]["s3"] = json!({"bucket": "backups", "endpoint": "http://s3.storage:9000",
        "forcePathStyle": true});
    properties
}

#[tokio::test]
async fn backups_come_change_without_a_restart_and_go_with_the_cluster() {
    let (namespace, stack) = stack(&properties(&json!({}))).await;
    stack.up().await.unwrap().succeeded().unwrap();
    let cron_jobs: Api<CronJob> = namespace.api();
    let made = cron_jobs.get("db-backup").await.unwrap().spec.unwrap();
    assert_eq!((made.schedule.as_str(), made.suspend), ("0 2 * * *", Some(false)));
    let task = namespace.installations().get("db").await.unwrap().data["spec"]["taskID"].clone();

    let hourly = properties(&json!({"schedule": "@hourly", "timeZone": "Europe/Berlin"}));
    stack.set_program(&program(namespace.name(), &hourly)).unwrap();
    let preview = stack.preview().await.unwrap().succeeded().unwrap();
    assert!(!preview.text().contains("restarts"), "{}", preview.text());
    stack.up().await.unwrap().succeeded().unwrap();
    let changed = cron_jobs.get("db-backup").await.unwrap().spec.unwrap();
    assert_eq!((changed.schedule.as_str(), changed.time_zone.as_deref()), ("@hourly", Some("Europe/Berlin")));
    assert_eq!(namespace.installations().get("db").await.unwrap().data["spec"]["taskID"], task);
    for command in ["refresh", "up"] {
        let again = stack.run(&[command, "--yes", "--skip-preview", "--expect-no-changes"]).await;
        again.unwrap().succeeded().unwrap();
    }

    stack.set_program(&program(namespace.name(), &json!({"name": "db"}))).unwrap();
    let preview = stack.preview().await.unwrap().succeeded().unwrap();
    assert!(preview.text().contains("restarts the hosts"), "{}", preview.text());
    stack.up().await.unwrap().succeeded().unwrap();
    assert!(cron_jobs.get_opt("db-backup").await.unwrap().is_none());
    stack.set_program(&program(namespace.name(), &hourly)).unwrap();
    stack.up().await.unwrap().succeeded().unwrap();
    stack.destroy().await.unwrap().succeeded().unwrap();
    assert!(cron_jobs.get_opt("db-backup").await.unwrap().is_none());
}
