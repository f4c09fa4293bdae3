#![allow(clippy::needless_pass_by_value, reason = "programs are written where they are used")]

use std::process::Command;

use serde_json::{Value, json};

use super::job::{BACK_UP, RESTORE};
use crate::kubernetes::cluster::aspects::Live;
use crate::kubernetes::cluster::login::decode;
use crate::kubernetes::cluster::manifest::merge;
use crate::kubernetes::cluster::objects::Objects;
use crate::kubernetes::cluster::shape::Shape;
use crate::kubernetes::cluster::tests::{adopted, built, changed, checked, cluster, problems, urn};
use crate::kubernetes::cluster::{adopt, effects};
use crate::resource::Known;

fn program(backup: Value) -> Value {
    let mut program = json!({"name": "db", "backup": {"s3": {"bucket": "b"}}});
    merge(&mut program["backup"], &backup);
    program
}

fn pod(objects: &Objects) -> Value {
    objects.installation.as_ref().unwrap()["spec"]["templates"]["podTemplates"][0]["spec"].clone()
}

fn env(objects: &Objects) -> Value {
    let entries = pod(objects)["containers"][1]["env"].as_array().unwrap().clone();
    entries
        .into_iter()
        .map(|mut entry| (entry["name"].as_str().unwrap().to_owned(), entry["value"].take()))
        .collect()
}

#[test]
fn without_backups_nothing_of_them_is_rendered() {
    let built = built(json!({"name": "db"}));
    assert!(built.backup.is_none() && decode(built.secret.as_ref().unwrap(), "backup-config").is_none());
    assert_eq!(pod(&built)["containers"].as_array().unwrap().len(), 1);
}

#[test]
fn the_container_has_the_data_and_the_storage_but_no_secret() {
    let credentials = json!({"secretName": "keys", "accessKeyIdKey": "id"});
    let built = built(program(json!({"s3": {"credentials": credentials}, "retention": {"remote": 3}})));
    let pod = pod(&built);
    let container = &pod["containers"][1];
    assert_eq!(
        (&container["name"], &container["image"]),
        (&json!("clickhouse-backup"), &json!("altinity/clickhouse-backup:2.8.0"))
    );
    assert_eq!(container["volumeMounts"][1], json!({"name": "data", "mountPath": "/var/lib/clickhouse"}));
    let env = env(&built);
    for (name, value) in [
        ("REMOTE_STORAGE", "s3"),
        ("S3_BUCKET", "b"),
        ("S3_PATH", "apps/db/shard-{shard}"),
        ("S3_ACL", ""),
        ("API_LISTEN", "127.0.0.1:7171"),
        ("BACKUPS_TO_KEEP_LOCAL", "-1"),
        ("BACKUPS_TO_KEEP_REMOTE", "3"),
    ] {
        assert_eq!(env[name], value, "{name}");
    }
    let disks = env["S3_OBJECT_DISK_PATH"].as_str().unwrap();
    assert!(!disks.starts_with(env["S3_PATH"].as_str().unwrap()), "{disks}");
    let keys: Vec<_> = container["env"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|entry| Some(format!("{}={}", entry["name"], entry["valueFrom"].get("secretKeyRef")?)))
        .collect();
    assert_eq!(
        keys,
        [
            r#""S3_ACCESS_KEY"={"key":"id","name":"keys"}"#,
            r#""S3_SECRET_KEY"={"key":"AWS_SECRET_ACCESS_KEY","name":"keys"}"#
        ]
    );
    // The login is in a file that follows the Secret, and nowhere else.
    assert_eq!(pod["volumes"][0]["secret"]["secretName"], "db-credentials");
    let configuration = decode(built.secret.as_ref().unwrap(), "backup-config").unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(&configuration).unwrap(),
        json!({"clickhouse": {"username": "default", "password": "correct horse"}})
    );
    for object in [built.installation, built.backup] {
        let text = object.unwrap().to_string();
        assert!(!text.contains("correct horse"));
    }
}

#[test]
fn each_service_has_its_variables_and_an_identity_where_no_key_is_given() {
    let of = |target: Value| env(&built(json!({"name": "db", "backup": target})));
    let google = of(json!({"gcs": {"bucket": "b", "path": "a/c"}}));
    assert_eq!((&google["GCS_BUCKET"], &google["GCS_PATH"]), (&json!("b"), &json!("a/c/shard-{shard}")));
    assert!(google.get("GCS_CREDENTIALS_JSON").is_none());
    let azure = json!({"container": "c", "accountName": "acme"});
    assert_eq!(of(json!({"azure": azure}))["AZBLOB_USE_MANAGED_IDENTITY"], "true");
    let mut keyed = azure;
    keyed["credentials"] = json!({"name": "az"});
    let keyed = of(json!({"azure": keyed}));
    assert!(keyed.get("AZBLOB_ACCOUNT_KEY").is_some() && keyed.get("AZBLOB_USE_MANAGED_IDENTITY").is_none());
}

#[test]
fn what_lives_in_the_pod_alone_is_shared_with_the_container() {
    let mut program = program(json!({}));
    program["storage"] = json!({"ephemeral": true});
    let pod = pod(&built(program));
    assert!(pod["volumes"].as_array().unwrap().contains(&json!({"name": "data", "emptyDir": {}})));
    assert_eq!(pod["containers"][0]["volumeMounts"][0], pod["containers"][1]["volumeMounts"][1]);
}

#[test]
fn the_cron_job_asks_the_first_host_of_each_shard() {
    let mut program = program(json!({"schedule": "@hourly", "timeZone": "Europe/Berlin"}));
    merge(&mut program, &json!({"shards": 2, "replicas": 2, "labels": {"team": "a"}}));
    merge(&mut program, &json!({"image": {"pullSecrets": ["registry"]}}));
    let cron_job = built(program).backup.unwrap();
    let (spec, metadata) = (&cron_job["spec"], &cron_job["metadata"]);
    assert_eq!((&metadata["name"], &metadata["labels"]["team"]), (&json!("db-backup"), &json!("a")));
    assert_eq!(
        (&spec["schedule"], &spec["timeZone"], &spec["suspend"], &spec["concurrencyPolicy"]),
        (&json!("@hourly"), &json!("Europe/Berlin"), &json!(false), &json!("Forbid"))
    );
    let template = &spec["jobTemplate"]["spec"]["template"];
    assert!(!template.to_string().contains("altinity.com"), "no label of the operator's");
    assert_eq!(template["spec"]["imagePullSecrets"], json!([{"name": "registry"}]));
    let container = &template["spec"]["containers"][0];
    assert_eq!(
        container["env"][0]["value"],
        "chi-db-cluster-0-0.apps.svc.cluster.local chi-db-cluster-1-0.apps.svc.cluster.local"
    );
    assert_eq!(container["env"][3]["valueFrom"]["secretKeyRef"]["name"], "db-credentials");
    // What a restricted namespace asks for.
    let context = &container["securityContext"];
    assert_eq!(
        (&context["runAsNonRoot"], &context["allowPrivilegeEscalation"]),
        (&json!(true), &json!(false))
    );
}

#[test]
fn a_cluster_that_is_stopped_makes_no_backups_and_goes_on_as_it_was() {
    for (stopped, suspended, expected) in
        [(false, false, false), (true, false, true), (false, true, true), (true, true, true)]
    {
        let mut program = program(json!({"suspended": suspended}));
        program["stopped"] = json!(stopped);
        let Objects { installation, service, backup, .. } = built(program);
        assert_eq!(backup.as_ref().unwrap()["spec"]["suspend"], expected);
        let live = Live { backup, ..Live::new(installation.unwrap(), None, service, None) };
        let read = adopt::inputs(&live, &urn(), &crate::kubernetes::cluster::tests::login());
        assert_eq!(read.backup.unwrap().suspended.unwrap_or_default(), suspended);
    }
}

#[test]
fn another_schedule_restarts_no_host_and_another_container_does() {
    let told = |from: Value, to: Value| {
        let shape = |program| Shape::rendered(&cluster(program));
        effects::effects(&shape(from), &shape(to.clone()), &Known::all(checked(to))).join("\n")
    };
    let none = json!({"name": "db"});
    assert_eq!(told(program(json!({})), program(json!({"schedule": "@daily", "suspended": true}))), "");
    for (from, to) in [
        (none.clone(), program(json!({}))),
        (program(json!({})), none),
        (program(json!({})), program(json!({"retention": {"remote": 1}}))),
    ] {
        let told = told(from, to);
        assert!(told.starts_with("restarts the hosts") && told.ends_with("(backup)"), "{told}");
    }
}

#[test]
fn what_is_wrong_with_backups_is_told_with_its_remedy() {
    let s3 = |fields: Value| json!({"s3": fields});
    for (backup, path, part) in [
        (json!({"s3": null}), "backup", "give one of `s3`"),
        (json!({"gcs": {"bucket": "b"}}), "backup.gcs", "beside `backup.s3`"),
        (json!({"schedule": "at noon"}), "backup.schedule", "0 2 * * *"),
        (json!({"timeZone": "Berlin!"}), "backup.timeZone", "Europe/Berlin"),
        (s3(json!({"bucket": null})), "backup.s3.bucket", "must be given"),
        (s3(json!({"bucket": "b/c"})), "backup.s3.bucket", "not a name"),
        (s3(json!({"path": "/a"})), "backup.s3.path", "not a path"),
        (s3(json!({"path": "a/../b"})), "backup.s3.path", "not a path"),
        (s3(json!({"path": "$(HOME)"})), "backup.s3.path", "not a path"),
        (s3(json!({"endpoint": "minio:9000"})), "backup.s3.endpoint", "https://minio"),
        (s3(json!({"region": "eu 1"})), "backup.s3.region", "not a name"),
        (s3(json!({"storageClass": ""})), "backup.s3.storageClass", "not a name"),
        (s3(json!({"serverSideEncryption": "yes"})), "backup.s3.serverSideEncryption", "AES256"),
        (s3(json!({"credentials": {}})), "backup.s3.credentials.secretName", "DNS name"),
        (
            s3(json!({"credentials": {"secretName": "a", "accessKeyIdKey": "a b"}})),
            "backup.s3.credentials.accessKeyIdKey",
            "key of a Secret",
        ),
        (json!({"s3": null, "azure": {"container": "c"}}), "backup.azure.accountName", "must be given"),
        (
            json!({"s3": null, "gcs": {"bucket": "b", "credentials": {}}}),
            "backup.gcs.credentials.name",
            "DNS",
        ),
        (json!({"image": {"tag": "latest"}}), "backup.image.tag", "not a fixed release"),
        (
            json!({"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}}),
            "backup.resources.requests.cpu",
            "more than the limit",
        ),
    ] {
        let told = problems(program(backup.clone()));
        let [only] = told.as_slice() else { panic!("{backup}: {told:?}") };
        assert!(only.starts_with(&format!("{path}: ")) && only.contains(part), "{backup}: {only}");
    }
}

#[test]
fn an_adopted_cluster_gives_its_login_and_its_volume() {
    let backup = json!({"backup": {"s3": {"bucket": "b"}}});
    let refused = |spec: Value, more: Value| {
        let mut program = backup.clone();
        merge(&mut program, &more);
        changed(&adopted(spec), program).unwrap_err().join("\n")
    };
    let volumes = json!({"defaults": {"templates": {"dataVolumeClaimTemplate": "disk"}},
        "templates": {"volumeClaimTemplates": [{"name": "disk",
            "spec": {"resources": {"requests": {"storage": "1Gi"}}}}]}});
    let login = json!({"admin": {"password": "hush"}});
    assert!(refused(volumes.clone(), json!({})).contains("`admin.existingSecret`"));
    assert!(refused(json!({}), login.clone()).contains("no volume"));
    let mut program = backup.clone();
    merge(&mut program, &login);
    let spec = changed(&adopted(volumes), program).unwrap();
    let container = &spec["templates"]["podTemplates"][0]["spec"]["containers"][1];
    assert_eq!(container["volumeMounts"][1], json!({"name": "disk", "mountPath": "/var/lib/clickhouse"}));
}

/// Runs the script against two hosts, whose answers to `$sql` are a part of a script. Gives what it says,
/// whether it is content, and what it asked which host, line by line.
fn run(script: &str, answers: &str) -> (String, bool, String) {
    const CURL: &str = r#"
        log=$(mktemp); trap 'cat "$log" >&2; rm "$log"' EXIT
        curl() {
            for last; do sql=$asked; asked=$last; done
            host=${last#http://}; host=${host%%:*}
            echo "$host $sql" >>"$log"
            count=$(grep -cF "$host $sql" "$log")
            answer
        }"#;
    let output = Command::new("/bin/sh")
        .args(["-c", &format!("asked=\nanswer() {{ {answers} ; }}\n{CURL}\n{script}")])
        .envs([("HOSTS", "a b"), ("PORT", "8123"), ("USERNAME", "u"), ("PASSWORD", "p'w")])
        .envs([("OTHERS", "c"), ("BACKUP", "old")])
        .envs([("PAUSE", "0"), ("TRIES", "3")])
        .output()
        .unwrap();
    let [said, asked] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    (said, output.status.success(), asked)
}

#[test]
fn the_script_has_all_hosts_begin_and_waits_for_each() {
    let (text, is_content, log) = run(
        BACK_UP,
        "case \"$sql\" in *count*) [ $count = 1 ] && echo 1 || echo 0 ;; *'SELECT status'*) \
        [ $count = 1 ] && echo 'in progress' || echo success ;; esac",
    );
    assert!(is_content, "{text}\n{log}");
    assert!(
        text.contains("a: create_remote 20")
            && text.contains("b: create_remote 20")
            && text.contains(": done"),
        "{text}"
    );
    let lines: Vec<_> = log.lines().collect();
    let begun = |host: &str| lines.iter().position(|line| line.starts_with(host) && line.contains("INSERT"));
    let waited = lines.iter().position(|line| line.contains("SELECT status")).unwrap();
    assert!(begun("a").unwrap() < begun("b").unwrap() && begun("b").unwrap() < waited, "{log}");
    assert!(!log.contains("delete local"));
    let name = text.split([' ', ':']).nth(3).unwrap();
    assert!(log.contains(&format!("VALUES ('create_remote {name}')")), "{name}: {log}");
}

#[test]
fn the_script_tells_why_a_host_failed_and_leaves_nothing_on_its_volume() {
    let failing = "case \"$host $sql\" in *count*) echo 0 ;; 'b '*'SELECT status'*) echo error ;;
        'b '*'SELECT error'*) echo 'NoSuchBucket: b' ;; *'SELECT status'*) echo success ;; esac";
    let (text, is_content, log) = run(BACK_UP, failing);
    assert!(!is_content && text.contains("b: create_remote") && text.contains("NoSuchBucket: b"));
    assert!(text.contains(": done"), "the other host's is: {text}");
    let deleted: Vec<_> = log.lines().filter(|line| line.contains("delete local")).collect();
    assert!(matches!(deleted.as_slice(), [only] if only.starts_with("b ")), "{log}");
}

#[test]
fn the_script_gives_up_on_a_host_that_does_not_answer_or_has_forgotten() {
    let dead = "[ \"$host\" = a ] && { echo 'connection refused'; return 7; }
        case \"$sql\" in *count*) echo 0 ;; *'SELECT status'*) echo ;; esac";
    let (text, is_content, _) = run(BACK_UP, dead);
    assert!(!is_content);
    assert!(text.contains("connection refused") && text.contains("has restarted"), "{text}");
}

#[test]
fn tables_come_back_on_every_host_before_rows_on_the_first_ones() {
    let busy_once = "case \"$sql\" in *count*) echo 0 ;; *'SELECT status'*) echo success ;; esac";
    let (text, is_content, log) = run(RESTORE, busy_once);
    assert!(is_content, "{text}\n{log}");
    let done: Vec<_> = log
        .lines()
        .filter_map(|line| {
            Some((line.split(' ').next()?, line.split("VALUES ('").nth(1)?.trim_end_matches("')")))
        })
        .map(|(host, command)| format!("{host} {command}"))
        .collect();
    let schema = "restore_remote --schema old";
    let expected: Vec<_> = [("a", schema), ("b", schema), ("c", schema)]
        .into_iter()
        .chain(["a", "b", "c"].map(|host| (host, "delete local old")))
        .chain(["a", "b"].map(|host| (host, "restore_remote --data old")))
        .chain(["a", "b"].map(|host| (host, "delete local old")))
        .map(|(host, command)| format!("{host} {command}"))
        .collect();
    assert_eq!(done, expected);
    let (text, is_content, log) = run(
        RESTORE,
        "case \"$sql\" in *count*) echo 0 ;; *'SELECT error'*) echo 'no such backup' ;; \
            *'SELECT status'*) echo error ;; esac",
    );
    assert!(!is_content && text.contains("a: restore_remote --schema old: no such backup"), "{text}");
    assert!(!log.contains("--data"), "{log}");
}

#[test]
fn with_tls_alone_backups_are_asked_for_and_read_over_it_and_let_in() {
    let tls = json!({"secretName": "cert", "insecurePorts": false});
    let built = built(json!({"backup": {"s3": {"bucket": "b"}}, "tls": tls, "networkPolicy": {}}));
    let pod = &built.installation.unwrap()["spec"]["templates"]["podTemplates"][0]["spec"];
    let env = &pod["containers"][1]["env"];
    for (name, value) in [("CLICKHOUSE_PORT", "9440"), ("CLICKHOUSE_SECURE", "true")] {
        assert!(env.as_array().unwrap().contains(&json!({"name": name, "value": value})), "{env}");
    }
    let job = &built.backup.unwrap()["spec"]["jobTemplate"]["spec"]["template"];
    let env = &job["spec"]["containers"][0]["env"];
    for (name, value) in
        [("PORT", "8443"), ("SCHEME", "https"), ("AUTHORITY", "/etc/clickhouse-authority/ca.crt")]
    {
        assert!(env.as_array().unwrap().contains(&json!({"name": name, "value": value})), "{env}");
    }
    assert_eq!(job["spec"]["volumes"][0]["secret"]["secretName"], "cert");
    let policy = built.host_policy.unwrap();
    let label = job["metadata"]["labels"]["pulumi-clickhouse/backup-of"].clone();
    let rules = policy["spec"]["ingress"].as_array().unwrap();
    let peer = json!([{"podSelector": {"matchLabels": {"pulumi-clickhouse/backup-of": label}}}]);
    assert!(rules.iter().any(|rule| rule["from"] == peer), "{policy}");
}
