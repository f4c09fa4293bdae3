//! Backups come, change and go with the cluster.

use super::*;

const CRON_JOB: &str = "/apis/batch/v1/namespaces/apps/cronjobs/db-backup";

fn backed_up(backup: Value) -> ClusterArgs {
    let mut backup = json!({"backup": backup});
    merge(&mut backup, &json!({"backup": {"s3": {"bucket": "b"}}}));
    program(backup)
}

#[tokio::test]
async fn the_cron_job_comes_last_changes_alone_and_goes_first() {
    let (cluster, fake) = api();
    let first = backed_up(json!({}));
    let state = create(&cluster, &first).await.unwrap();
    assert!(fake.writes().last().unwrap().ends_with(CRON_JOB));
    assert!(state.uids.backup.is_some());
    let (before, second) = (fake.writes().len(), backed_up(json!({"schedule": "@hourly"})));
    let state = cluster.update(&context().0, "apps/db", &first, Some(&state), &second).await.unwrap();
    let written = fake.writes().split_off(before);
    assert!(!written.iter().any(|path| path.ends_with(SECRET) || path.ends_with(SERVICE)), "{written:?}");
    assert_eq!(fake.at(CRON_JOB).unwrap()["spec"]["schedule"], "@hourly");
    let before = fake.requests().len();
    cluster.delete(&context().0, "apps/db", Some(&second), Some(&state)).await.unwrap();
    let deleted: Vec<_> = requests(&fake)
        .split_off(before)
        .into_iter()
        .filter(|request| request.starts_with("DELETE"))
        .collect();
    assert!(deleted[..2].contains(&"DELETE cronjobs".to_owned()), "{deleted:?}");
    assert!(fake.objects().is_empty());
}

#[tokio::test]
async fn a_refresh_tells_a_schedule_that_was_edited_and_a_cron_job_that_was_deleted() {
    let (cluster, fake) = api();
    let args = backed_up(json!({}));
    let state = create(&cluster, &args).await.unwrap();
    let refreshed =
        || async { cluster.read(&context().0, "apps/db", Some(&args), Some(&state)).await.unwrap().unwrap() };
    let found = refreshed().await;
    assert_eq!((&found.inputs, &found.state), (&args, &state));
    fake.edit(CRON_JOB, |cron_job| cron_job["spec"]["schedule"] = json!("@yearly"));
    assert_eq!(refreshed().await.inputs.backup.unwrap().schedule.as_deref(), Some("@yearly"));
    fake.remove(CRON_JOB);
    let found = refreshed().await;
    assert_eq!((&found.inputs, found.state.uids.backup), (&args, None));
}

#[tokio::test]
async fn the_login_is_in_the_file_of_the_container_as_long_as_there_is_one() {
    let (cluster, fake) = api();
    let login = || crate::kubernetes::cluster::login::decode(&fake.at(SECRET).unwrap(), "backup-config");
    let mut args = backed_up(json!({}));
    let mut state = create(&cluster, &args).await.unwrap();
    for (password, backup) in [(None, true), (Some("rotated"), true), (Some("rotated"), false)] {
        let mut new = if backup { backed_up(json!({})) } else { program(json!({})) };
        new.access.admin.get_or_insert_default().password = password.map(str::to_owned);
        state = cluster.update(&context().0, "apps/db", &args, Some(&state), &new).await.unwrap();
        args = new;
        let expected = stored_password(&fake);
        assert_eq!(login().is_some_and(|file| file.contains(&expected)), backup);
    }
}
