use serde_json::{Value, json};

use super::*;
use crate::kubernetes::meta::ObjectRef;

fn on(verb: Verb, kind: Kind) -> Subject {
    Subject::object(verb, &ObjectRef::new(kind, "prod", "db"))
}

fn status(code: u16, reason: &str, message: &str, details: impl Into<Value>) -> String {
    let details: Value = details.into();
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "details": details, "code": code})
    .to_string()
}

#[test]
fn three_kinds_of_404_are_told_apart() {
    let subject = on(Verb::Apply, Kind::Installation);
    let no_kind = Error::from_answer(&subject, 404, "404 page not found\n");
    assert_eq!(no_kind, Error::CrdMissing { kind: Kind::Installation });
    assert!(no_kind.to_string().contains("helm install"), "{no_kind}");
    for (kind, remedy) in [
        (Kind::Certificate, "cert-manager is not installed"),
        (Kind::PodMonitor, "remove `monitoring.podMonitor`"),
        (Kind::ServiceMonitor, "remove `monitoring.serviceMonitor`"),
        (Kind::PrometheusRule, "remove `monitoring.rules`"),
    ] {
        let missing = Error::from_answer(&on(Verb::Apply, kind), 404, "404 page not found\n");
        assert!(missing.to_string().contains(remedy), "{missing}");
    }

    let details = json!({"name": "prod", "kind": "namespaces"});
    let no_namespace =
        Error::from_answer(&subject, 404, &status(404, "NotFound", "namespaces \"prod\" not found", details));
    assert_eq!(no_namespace, Error::NamespaceMissing { namespace: "prod".into() });

    let details =
        json!({"name": "db", "group": "clickhouse.altinity.com", "kind": "clickhouseinstallations"});
    let no_object = Error::from_answer(
        &on(Verb::Get, Kind::Installation),
        404,
        &status(404, "NotFound", "not found", details),
    );
    assert_eq!(no_object, Error::NotFound { object: "ClickHouseInstallation prod/db".into() });
}

#[test]
fn a_namespace_that_is_asked_for_and_absent_is_just_absent() {
    let subject = Subject::object(Verb::Get, &ObjectRef::global(Kind::Namespace, "prod"));
    let details = json!({"name": "prod", "kind": "namespaces"});
    let error =
        Error::from_answer(&subject, 404, &status(404, "NotFound", "namespaces \"prod\" not found", details));
    assert_eq!(error, Error::NotFound { object: "Namespace prod".into() });
}

#[test]
fn a_missing_right_names_the_verb_and_how_to_ask() {
    let message = "statefulsets.apps is forbidden: User \"ci\" cannot watch resource \"statefulsets\" in API \
        group \"apps\" in the namespace \"prod\"";
    let subject = Subject::all(Verb::Watch, Kind::StatefulSet, Some("prod"));
    let error = Error::from_answer(&subject, 403, &status(403, "Forbidden", message, json!({})));
    assert!(
        matches!(&error, Error::Forbidden { verb, resource,
            .. } if verb == "watch" && resource == "statefulsets.apps"),
        "{error:?}"
    );
    assert!(
        error.to_string().contains("kubectl auth can-i watch statefulsets.apps --namespace prod"),
        "{error}"
    );
}

#[test]
fn what_admission_refuses_is_no_missing_right() {
    let message = "secrets \"db\" is forbidden: exceeded quota: small, requested: secrets=1, used: \
        secrets=5, limited: secrets=5";
    let error = Error::from_answer(
        &on(Verb::Apply, Kind::Secret),
        403,
        &status(403, "Forbidden", message, json!({})),
    );
    assert!(matches!(error, Error::Refused { .. }), "{error:?}");
    assert!(!error.to_string().contains("can-i"), "{error}");
}

#[test]
fn a_conflict_names_managers_and_fields() {
    let cause = |manager: &str, field: &str| {
        json!({"reason": "FieldManagerConflict",
        "message": format!("conflict with {manager}"), "field": field})
    };
    let kubectl = "\"kubectl\" using clickhouse.altinity.com/v1";
    let details = json!({"causes": [cause(kubectl, ".spec.stop"), cause("\"argocd\"", ".spec.taskID"),
        cause(kubectl, ".spec.defaults")]});
    let error = Error::from_answer(
        &on(Verb::Apply, Kind::Installation),
        409,
        &status(409, "Conflict", "Apply failed with 3 conflicts", details),
    );
    let expected = vec![
        FieldConflict {
            manager: "kubectl".into(),
            applies: false,
            fields: vec![".spec.stop".into(), ".spec.defaults".into()],
        },
        FieldConflict { manager: "argocd".into(), applies: true, fields: vec![".spec.taskID".into()] },
    ];
    assert!(matches!(&error, Error::Conflict { conflicts, .. } if *conflicts == expected), "{error:?}");
    assert!(error.to_string().contains("`kubectl` owns .spec.stop, .spec.defaults"), "{error}");
    assert!(error.to_string().contains("forceConflicts"), "{error}");
}

#[test]
fn unknown_fields_are_named_in_both_forms_that_the_server_uses() {
    let strict = "ClickHouseInstallation in version \"v1\" cannot be handled as a ClickHouseInstallation: \
        strict decoding error: \
        unknown field \"spec.foo\", unknown field \"spec.configuration.bar\"";
    let merged = "failed to create typed patch object (prod/db; clickhouse.altinity.com/v1, \
        Kind=ClickHouseInstallation): errors:\n  \
        .spec.configuration.bar: field not declared in schema\n  .spec.foo: field not declared in schema";
    let expected = ["spec.configuration.bar", "spec.foo"];
    for (code, reason, message) in [(400, "BadRequest", strict), (500, "", merged)] {
        let error = Error::from_answer(
            &on(Verb::Apply, Kind::Installation),
            code,
            &status(code, reason, message, json!({})),
        );
        assert!(matches!(&error, Error::UnknownFields { fields, .. } if *fields == expected), "{error:?}");
    }
    let told = Error::UnknownFields {
        object: "x".into(),
        fields: vec!["spec.foo".into()],
        installed: Some("0.24.5".into()),
    };
    assert!(told.to_string().contains("0.24.5") && told.to_string().contains("`spec.foo`"), "{told}");
    for field in ["reconcile.hooks", "secure"] {
        let newer = Error::UnknownFields {
            object: "x".into(),
            fields: vec![format!("spec.configuration.clusters[0].{field}")],
            installed: Some("0.25.6".into()),
        };
        assert!(newer.to_string().contains("(operator 0.27.1 and newer do)"), "{newer}");
    }
}

#[test]
fn invalid_values_are_named_field_by_field() {
    let details = json!({"causes": [
        {"reason": "FieldValueInvalid", "message": "should be at most 15 \
            characters", "field": "spec.configuration.clusters[0].name"},
        {"reason": "FieldValueInvalid", "message": "<nil>: Invalid value: \"\"", "field": "<nil>"}]});
    let error = Error::from_answer(
        &on(Verb::Apply, Kind::Installation),
        422,
        &status(422, "Invalid", "is invalid", details),
    );
    assert_eq!(
        error.to_string(),
        "failed to apply ClickHouseInstallation prod/db: `spec.configuration.clusters[0].name`: should be at \
            most 15 characters"
    );
}

#[test]
fn a_value_of_the_wrong_type_is_invalid_and_not_the_servers_fault() {
    let message = "failed to create typed patch object (prod/db; clickhouse.altinity.com/v1, \
        Kind=ClickHouseInstallation): .spec.stop: expected string";
    let error =
        Error::from_answer(&on(Verb::Apply, Kind::Installation), 500, &status(500, "", message, json!({})));
    assert!(
        matches!(&error, Error::Invalid { problems, .. } if problems[0].problem.contains(".spec.stop: \
            expected string")),
        "{error:?}"
    );
}

#[test]
fn nothing_of_a_secret_is_repeated() {
    let details = json!({"causes": [{"reason": "FieldValueInvalid", "message": "Invalid value: \
        \"hunter2\"", "field": "data.password"}]});
    let converted = "failed to convert new object (/db; /v1, Kind=Secret) to proper version: hunter2";
    for (code, message) in
        [(422, "hunter2 is bad"), (400, "hunter2 is bad"), (418, "hunter2 is bad"), (500, converted)]
    {
        let error = Error::from_answer(
            &on(Verb::Apply, Kind::Secret),
            code,
            &status(code, "", message, details.clone()),
        );
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

#[test]
fn another_uid_than_the_precondition_is_not_a_field_conflict() {
    let message = "Precondition failed: UID in precondition: a, UID in object meta: b";
    let error = Error::from_answer(
        &on(Verb::Delete, Kind::Secret),
        409,
        &status(409, "Conflict", message, json!({})),
    );
    assert!(matches!(error, Error::Outdated { verb: Verb::Delete, .. }), "{error:?}");
}

#[test]
fn a_proxy_that_answers_is_quoted() {
    let error = Error::from_answer(&on(Verb::Get, Kind::Service), 418, "<html>teapot</html>");
    assert!(
        matches!(&error, Error::Other { code: 418, message, .. } if message.contains("teapot")),
        "{error:?}"
    );
    assert!(matches!(
        Error::from_answer(&on(Verb::Get, Kind::Service), 401, "Unauthorized"),
        Error::Unauthorized { .. }
    ));
}

#[test]
fn only_a_server_that_nobody_can_connect_to_is_none() {
    let answers = [
        (401, "Unauthorized"),
        (403, "Forbidden"),
        (404, "NotFound"),
        (409, "Conflict"),
        (422, "Invalid"),
        (500, ""),
        (418, ""),
    ];
    for (code, reason) in answers {
        let error = Error::from_answer(
            &on(Verb::Get, Kind::Service),
            code,
            &status(code, reason, "no: cannot", json!({})),
        );
        assert_eq!(
            error.reach(),
            if code == 401 { Reach::NoCredentials } else { Reach::Answered },
            "{error}"
        );
        assert!(!error.is_unreachable() && error.kind() != FailureKind::NoServer, "{error}");
    }
    for code in [429, 502, 503, 504] {
        let error =
            Error::from_answer(&on(Verb::Get, Kind::Service), code, &status(code, "", "later", json!({})));
        assert_eq!((error.reach(), error.kind()), (Reach::Busy, FailureKind::Timeout), "{error}");
    }
    assert_eq!(
        Error::from_answer(&on(Verb::Get, Kind::Service), 502, "<html>proxy</html>").reach(),
        Reach::Answered
    );
    assert_eq!(Error::Kubeconfig { message: "expired".into() }.reach(), Reach::NoCredentials);
    let unreachable = |connected| Error::Unreachable { server: None, cause: "x".into(), connected };
    assert_eq!(
        (unreachable(true).reach(), unreachable(true).kind()),
        (Reach::Busy, FailureKind::Unavailable)
    );
    assert_eq!(
        (unreachable(false).reach(), unreachable(false).kind()),
        (Reach::NoServer, FailureKind::NoServer)
    );
    assert!(unreachable(false).to_string().contains("PULUMI_CLICKHOUSE_DELETE_UNREACHABLE=true"));
    assert!(!unreachable(true).to_string().contains("PULUMI"));
}

#[test]
fn an_old_operator_is_refused_and_an_unknown_version_is_not() {
    for (version, refused) in [
        ("0.24.2", true),
        ("v0.23.7", true),
        ("0.24.3", false),
        ("0.25.6", false),
        ("1.0.0", false),
        ("dev", false),
    ] {
        assert_eq!(Error::for_operator(version).is_some(), refused, "{version}");
    }
}
