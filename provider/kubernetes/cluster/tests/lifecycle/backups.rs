//! Backups come, change and go with the cluster.

use std::time::Duration;

use tokio::time::sleep;

use super::*;
use crate::kubernetes::cluster::tests::objects::operate;
use crate::kubernetes::meta::Kind;

const CRON_JOB: &str = "/apis/batch/v1/namespaces/apps/cronjobs/db-backup";

const JOB: &str = "/apis/batch/v1/namespaces/apps/jobs/db-restore";

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

/// Ends each Job that it finds, the first one with a failure.
fn run_jobs(fake: &Fake) {
    let fake = fake.clone();
    tokio::spawn(async move {
        let mut end = "Failed";
        loop {
            sleep(Duration::from_secs(1)).await;
            if fake.at(JOB).is_some_and(|job| job["status"]["conditions"].is_null()) {
                let conditions = json!([{"type": end, "status": "True"}]);
                fake.set_status(Kind::Job, "apps", "db-restore", json!({"conditions": conditions}));
                end = "Complete";
            }
        }
    });
}

#[tokio::test(start_paused = true)]
async fn a_new_cluster_is_restored_again_until_it_is_done_and_never_later() {
    let restored = |from: &str| {
        checked(json!({"name": "db", "backup": {"s3": {"bucket": "b"},
        "restoreFrom": from}}))
    };
    let (cluster, fake) = api();
    let ctx = || Context { timeout: Some(Duration::from_secs(600)), ..context().0 };
    operate(&fake, Duration::ZERO);
    run_jobs(&fake);
    let said = json!([{"state": {"terminated": {"message": "db: no such backup\n"}}}]);
    fake.put(&json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "db-restore-x",
        "namespace": "apps", "labels": {"batch.kubernetes.io/job-name": "db-restore"}},
        "status": {"containerStatuses": said}}));
    let marked =
        || fake.at(SECRET).unwrap()["metadata"]["annotations"].get("pulumi-clickhouse/restore").is_some();

    let first = restored("wrong");
    let failure = create_within(&cluster, &ctx(), &first).await.unwrap_err();
    assert!(failure.reasons[0].contains("no such backup"), "{failure:?}");
    let state = failure.partial.unwrap().state;
    assert!(state.restores && marked());
    let second = restored("right");
    let state = cluster.update(&ctx(), "apps/db", &first, Some(&state), &second).await.unwrap();
    assert_eq!((state.restores, marked(), fake.at(JOB)), (false, false, None));
    let jobs: Vec<_> = fake.requests().into_iter().filter(|seen| seen.path == JOB).collect();
    let last = jobs.iter().rfind(|seen| seen.method == Method::PATCH).unwrap();
    assert!(last.body.to_string().contains("\"right\""), "{}", last.body);

    let third = restored("another");
    let ((ctx, display), known) = (context(), Known::all(third.clone()));
    let preview = cluster.preview_update(&ctx, "apps/db", &second, Some(&state), &known);
    preview.await.unwrap();
    assert!(display.warnings().iter().any(|warning| warning.contains("only a new cluster")));
    cluster.update(&ctx, "apps/db", &second, Some(&state), &third).await.unwrap();
    assert!(fake.at(JOB).is_none());
}

async fn create_within(
    cluster: &Cluster,
    ctx: &Context,
    args: &ClusterArgs,
) -> Result<ClusterState, Failure<ClusterState>> {
    Box::pin(cluster.create(ctx, Box::new(args.clone()))).await.map(|made| made.state)
}

#[test]
fn a_cluster_is_not_restored_whose_hosts_are_not_waited_for() {
    let refused = |more: Value| {
        let mut program = json!({"name": "db", "backup": {"s3": {"bucket": "b"}, "restoreFrom": "x"}});
        merge(&mut program, &more);
        problems_of_program(None, program)
    };
    assert_eq!(refused(json!({})), Vec::<String>::new());
    for input in ["skipAwait", "stopped", "suspended"] {
        let told = refused(json!({input: true}));
        assert!(matches!(told.as_slice(), [only] if only.contains(input)), "{told:?}");
    }
    let told = refused(json!({"backup": {"restoreFrom": "-x; DROP"}}));
    assert!(matches!(told.as_slice(), [only] if only.starts_with("backup.restoreFrom")), "{told:?}");
}
