//! Defects that a provider could have, each planted in front of it or behind it: in the program that it gets,
//! or in the requests that it sends, which are changed, or never sent, as those of a provider with the defect
//! would be. A simulation that does not find them would not find others either.

use std::cell::RefCell;

use serde_json::{Value, json};

use super::gate::Message;

/// How a provider is made a defective one.
#[derive(Clone, Copy)]
pub(super) struct Defect {
    pub(super) name: &'static str,
    /// The story in which it shows, if need be with the provider killed at one of its requests.
    pub(super) story: &'static str,
    /// What becomes of a request.
    pub(super) request: fn(&mut Message),
    /// What becomes of a program.
    pub(super) program: fn(&mut Value),
}

const fn request(name: &'static str, story: &'static str, request: fn(&mut Message)) -> Defect {
    Defect { name, story, request, program: |_| {} }
}

const fn program(name: &'static str, story: &'static str, program: fn(&mut Value)) -> Defect {
    Defect { name, story, request: |_| {}, program }
}

impl Message {
    fn is(&self, method: &str, kind: &str) -> bool {
        self.method == method && self.path.contains(kind) && !self.query.contains("dryRun")
    }

    fn writes(&self, kind: &str) -> bool {
        self.method == "PATCH" && self.path.contains(kind)
    }

    fn drop_if(&mut self, is_meant: bool) {
        self.is_dropped |= is_meant;
    }

    /// Takes a part out of the body.
    fn without(&mut self, pointer: &str) {
        let Some((parent, key)) = pointer.rsplit_once('/') else { return };
        if let Some(parent) = self.body.pointer_mut(parent).and_then(Value::as_object_mut) {
            parent.remove(&key.replace("~1", "/"));
        }
    }

    /// Gives a part of the body, where it is there, another value.
    fn with(&mut self, pointer: &str, value: Value) {
        if let Some(field) = self.body.pointer_mut(pointer) {
            *field = value;
        }
    }
}

thread_local! {
    /// The password that was written last.
    static PASSWORD: RefCell<String> = const { RefCell::new(String::new()) };
}

const CHI: &str = "/clickhouseinstallations/";
const CHK: &str = "/clickhousekeeperinstallations/";
const SECRET: &str = "/secrets/";
const SERVICE: &str = "/services/";
const NAMESPACE: &str = "/namespaces/own";
const HASH: &str = "/spec/configuration/users/default~1password_sha256_hex";
const LAYOUT: &str = "/spec/configuration/clusters/0/layout";

const CREATE: &str = "create and destroy";
const KEEPER: &str = "create with a Keeper";

pub(super) const DEFECTS: &[Defect] = &[
    request("a preview writes", CREATE, |m| m.query = m.query.replace("dryRun=All", "pretty=false")),
    request("the Secret is not written", CREATE, |m| m.drop_if(m.is("PATCH", SECRET))),
    request("the Service is not written", CREATE, |m| m.drop_if(m.is("PATCH", SERVICE))),
    request("the installation is not written", CREATE, |m| m.drop_if(m.is("PATCH", CHI))),
    request("the Keeper is not written", KEEPER, |m| m.drop_if(m.is("PATCH", CHK))),
    request("the Secret stays", CREATE, |m| m.drop_if(m.is("DELETE", SECRET))),
    request("the Service stays", CREATE, |m| m.drop_if(m.is("DELETE", SERVICE))),
    request("the installation stays", CREATE, |m| m.drop_if(m.is("DELETE", CHI))),
    request("the Keeper stays", KEEPER, |m| m.drop_if(m.is("DELETE", CHK))),
    request("the namespace stays", "in a namespace of its own", |m| m.drop_if(m.is("DELETE", NAMESPACE))),
    request("volumes go, though they are retained", CREATE, |m| {
        if m.is("DELETE", SERVICE) {
            m.path = "/api/v1/namespaces/apps/persistentvolumeclaims/data-chi-db-cluster-0-0-0".to_owned();
            m.body = json!({});
        }
    }),
    request("volumes are never retained", CREATE, |m| {
        m.with("/spec/defaults/storageManagement/reclaimPolicy", json!("Delete"));
        m.with("/spec/templates/volumeClaimTemplates/0/reclaimPolicy", json!("Delete"));
    }),
    request("the hash is of another password", CREATE, |m| m.with(HASH, json!("c".repeat(64)))),
    request("another password at every write", "grow by a shard", |m| {
        if m.writes(SECRET) {
            let length = m.query.len()
                + PASSWORD.with_borrow_mut(|count| {
                    count.push('x');
                    count.len()
                });
            m.with("/data/password", json!(k8s_openapi::ByteString(length.to_string().into_bytes())));
            m.with("/stringData/password", json!(length.to_string()));
        }
    }),
    request("the password stands in the installation", CREATE, |m| {
        if m.writes(SECRET) {
            let data = [m.body.pointer("/stringData/password"), m.body.pointer("/data/password")];
            let given = data.into_iter().flatten().next().cloned().unwrap_or_default();
            let decoded = serde_json::from_value::<k8s_openapi::ByteString>(given.clone())
                .ok()
                .and_then(|bytes| String::from_utf8(bytes.0).ok());
            let is_plain = m.body.pointer("/stringData/password").is_some();
            let plain = decoded.filter(|_| !is_plain).or_else(|| given.as_str().map(str::to_owned));
            PASSWORD.set(plain.unwrap_or_default());
        } else if m.writes(CHI) {
            m.body["metadata"]["annotations"]["note"] = json!(PASSWORD.with_borrow(Clone::clone));
        }
    }),
    request("no object says whose it is", CREATE, |m| {
        m.without("/metadata/annotations/pulumi-clickhouse~1urn");
    }),
    request("no object says who made it", CREATE, |m| {
        m.without("/metadata/labels/app.kubernetes.io~1managed-by");
    }),
    request("a shard is missing", "create two shards", |m| {
        m.with(&format!("{LAYOUT}/shardsCount"), json!(1));
    }),
    request("a replica is missing", KEEPER, |m| m.with(&format!("{LAYOUT}/replicasCount"), json!(1))),
    request("volumes don't grow", "grow the volumes", |m| {
        let size = "/spec/templates/volumeClaimTemplates/0/spec/resources/requests/storage";
        m.with(size, json!("50Gi"));
    }),
    request("nothing is stopped", "stop and start", |m| m.without("/spec/stop")),
    request("the image stays", "another version", |m| {
        let image = "/spec/templates/podTemplates/0/spec/containers/0/image";
        m.with(image, json!("clickhouse/clickhouse-server:26.3.33.24"));
    }),
    request("somebody else's Service is written", CREATE, |m| {
        if m.is("PATCH", SERVICE) {
            m.path = m.path.replace("/services/db", "/services/other");
            m.without("/metadata/name");
        }
    }),
    request("somebody else's Secret goes", CREATE, |m| {
        if m.is("DELETE", SECRET) {
            m.path = m.path.replace("db-credentials", "other-credentials");
            m.body = json!({});
        }
    }),
    request("the Service selects nothing", CREATE, |m| {
        if m.writes(SERVICE) {
            m.with("/spec/selector", json!({"nobody": "there"}));
        }
    }),
    request("labels are forgotten", "labels", |m| m.without("/metadata/labels/tier")),
    request("what is taken out of a program stays", "a setting", |m| {
        if m.is("PATCH", CHI) {
            m.query = m.query.replace("fieldManager=pulumi-clickhouse", "fieldManager=pulumi-other");
        }
    }),
    request("edits stay", "an edited hash is put right", |m| {
        m.drop_if(m.is("PATCH", CHI) && m.query.contains("force=true"));
    }),
    request("watches see nothing", CREATE, |m| {
        if m.query.contains("watch=true") {
            m.path = m.path.replace("/namespaces/apps/", "/namespaces/prod/");
        }
    }),
    request("the policy is not written", "a network policy and a disruption budget", |m| {
        m.drop_if(m.is("PATCH", "/networkpolicies/"));
    }),
    request("users are forgotten", "users", |m| {
        m.without("/spec/configuration/users/app~1password_sha256_hex");
    }),
    request("the load balancer takes everybody", "a load balancer", |m| {
        m.without("/spec/loadBalancerSourceRanges");
    }),
    request("the load balancer is none", "a load balancer", |m| {
        if m.writes(SERVICE) {
            m.with("/spec/type", json!("ClusterIP"));
        }
    }),
    program("nothing is awaited", CREATE, |p| p["skipAwait"] = json!(true)),
    program("data may always be lost", "shrink is refused", |p| p["allowDataLoss"] = json!(true)),
    program("changes are taken for none", "grow by a shard", |p| {
        p.as_object_mut().map(|p| p.remove("shards"));
    }),
    program("volumes are Kubernetes' own", "create two shards", |p| {
        p["storage"] = json!({"provisioner": "StatefulSet"});
    }),
];
