//! TLS: which certificate the hosts have, and who has to use it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::address::Ports;
use super::super::{address, names};
use super::draft::{InstallationDraft, PodDraft, yes_no};
use super::read::{named, text};
use super::{Aspect, Checker, ClusterArgs, Drafts, Live, NoDefaults, ValidatedCluster};
use crate::kubernetes::observe::yes_or_no;

/// The volume with the certificate.
const VOLUME: &str = "tls";
/// Where the hosts find it: beside the operator's own mounts.
const DIRECTORY: &str = "/etc/clickhouse-server/tls";
/// Where the Keeper's members do.
const KEEPER_DIRECTORY: &str = "/etc/clickhouse-keeper/tls";
/// Where OpenSSL looks for further authorities; it goes on without where the file is missing.
const AUTHORITIES: &str = "SSL_CERT_FILE";
/// The setting of what is not spoken any more.
const DISABLED: &str = "openSSL/server/disableProtocols";
/// The port between hosts, which ClickHouse refuses beside the plain one.
const INTERSERVER: &str = "interserver_https_port";
/// By this word the operator takes a setting out.
const REMOVED: &str = "_removed_";
/// The ports without TLS that the image opens.
const PLAIN_PORTS: [&str; 4] = ["http_port", "tcp_port", "mysql_port", "postgresql_port"];
/// The largest cluster whose hosts' names fit into one certificate.
const MOST_NAMES: u64 = 300;

/// TLS for clients and between hosts.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterTls")]
pub struct TlsArgs {
    /// A Secret of type `kubernetes.io/tls` in the cluster's namespace, with `tls.crt` and `tls.key`. With
    /// `ca.crt` in it hosts also trust that authority, which a certificate of a private one needs. Between
    /// hosts it has to be valid for their names, see `interserver`. A renewed certificate is picked up
    /// without a restart; another Secret is a rolling restart.
    pub secret_name: Option<String>,
    /// The issuer of a certificate that cert-manager makes and renews for the cluster, valid for its Service,
    /// its hosts, the per-shard Services and `ingress.hostname`. It has to sign names inside Kubernetes, so
    /// an ACME issuer (Let's Encrypt) can't. Instead of `secretName`.
    pub issuer_ref: Option<IssuerRef>,
    /// Whether clients may also connect without TLS, to 8123 and 9000. Default: true. With false only 8443
    /// and 9440 are open. A change is a rolling restart.
    pub insecure_ports: Option<bool>,
    /// Whether hosts replicate and query each other over TLS. Default: true. Then the certificate has to be
    /// valid for the hosts' names, `chi-<name>-<clusterName>-<shard>-<replica>` and below the domain of that
    /// Service. A change is a rolling restart, during which distributed queries can fail.
    pub interserver: Option<bool>,
    /// Whether hosts reach the cluster's own Keeper over TLS, at its port 2281. Default: false. It needs the
    /// operator 0.27.1 or newer, and a certificate that is valid for the members' names,
    /// `chk-<name>-<clusterName>-0-<member>`. The port 2181 stays open, and what members say to each other is
    /// not encrypted. A change restarts the Keeper, then the hosts; turned off, replicated tables are
    /// read-only until their host has restarted.
    pub keeper: Option<bool>,
    /// The lowest version of TLS that clients may use. Default: `1.2`. A change is a rolling restart.
    pub min_version: Option<TlsVersion>,
}

/// An issuer of cert-manager.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterTlsIssuer")]
pub struct IssuerRef {
    /// Its name.
    #[schemars(extend("alwaysPresent" = true))]
    pub name: Option<String>,
    /// Its kind, for example `ClusterIssuer`. Default: `Issuer`, one of the cluster's namespace.
    pub kind: Option<String>,
    /// The API group of its kind. Default: `cert-manager.io`.
    pub group: Option<String>,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ClusterTlsVersion")]
pub enum TlsVersion {
    /// TLS 1.2.
    #[serde(rename = "1.2")]
    V1_2,
    /// TLS 1.3.
    #[serde(rename = "1.3")]
    V1_3,
}

impl TlsVersion {
    /// What is not spoken where it is the lowest.
    const fn disabled(self) -> &'static str {
        match self {
            Self::V1_2 => "sslv2,sslv3,tlsv1,tlsv1_1",
            Self::V1_3 => "sslv2,sslv3,tlsv1,tlsv1_1,tlsv1_2",
        }
    }
}

/// Whether a cluster uses TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Tls {
    /// `None` without it.
    encryption: Option<Encryption>,
}

/// How a cluster uses TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Encryption {
    secret: String,
    issuer: Option<Issuer>,
    insecure_ports: bool,
    interserver: bool,
    keeper: bool,
    min_version: TlsVersion,
}

/// Who signs the certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Issuer {
    pub(in super::super) name: String,
    pub(in super::super) kind: String,
    pub(in super::super) group: String,
}

impl Aspect for Tls {
    type Args = Option<TlsArgs>;
    type Defaults = NoDefaults;

    const FOLLOW: &'static [(&'static str, &'static [&'static str])] =
        &[("tls", &["endpoints", "connection", "external", "portForwardCommand", "caCertificate"])];

    fn complete(_args: &mut ClusterArgs, _had_keeper: bool) {}

    fn check(check: &mut Checker<'_>) -> Self {
        let given = check.args().tls.as_ref();
        check.is_for_one_pod_template("tls", given.is_some());
        Self { encryption: given.map(|given| Encryption::check(given, check)) }
    }

    fn render(&self, _cluster: &ValidatedCluster, drafts: &mut Drafts) {
        let Some(encryption) = &self.encryption else { return };
        let Encryption { secret, issuer: _, insecure_ports, interserver, keeper, min_version } = encryption;
        if let Some(keeper) = drafts.keeper.as_mut().filter(|_| *keeper) {
            encryption.render_keeper(keeper);
        }
        let draft = &mut drafts.installation;
        draft.settings.extend(shown(DIRECTORY, *min_version));
        let mut set = |key: &str, value: Value| _ = draft.settings.insert(key.to_owned(), value);
        set("https_port", json!(address::HTTPS_PORT));
        set("tcp_port_secure", json!(address::NATIVE_SECURE_PORT));
        // Clients need no certificate; one that they show has to be good.
        set("openSSL/server/verificationMode", json!("relaxed"));
        if *interserver {
            set(INTERSERVER, json!(address::INTERSERVER_HTTPS_PORT));
            set("interserver_http_port", json!(REMOVED));
            draft.cluster.insert("secure".to_owned(), json!(yes_no(true)));
        }
        if !insecure_ports {
            for port in PLAIN_PORTS {
                set(port, json!(REMOVED));
            }
            draft.cluster.insert("insecure".to_owned(), json!(yes_no(false)));
        }
        let pod = &mut draft.pod;
        mount(pod, secret, DIRECTORY);
        pod.env.push(json!({"name": AUTHORITIES, "value": format!("{DIRECTORY}/ca.crt")}));
    }

    fn read(live: &Live) -> Option<TlsArgs> {
        if live.adopted.is_some() {
            return None;
        }
        let volume = named(&live.pod()["spec"]["volumes"], &json!(VOLUME));
        let secret_name = text(&volume["secret"]["secretName"]).filter(|_| volume["name"] == VOLUME)?;
        let settings = &live.spec()["configuration"]["settings"];
        let is_lowest = |version: &TlsVersion| settings[DISABLED] == version.disabled();
        let insecure = live.cluster()["insecure"].as_str().and_then(yes_or_no);
        Some(TlsArgs {
            secret_name: Some(secret_name),
            issuer_ref: None,
            insecure_ports: Some(insecure.unwrap_or(true)),
            interserver: Some(settings.get(INTERSERVER).is_some()),
            keeper: Some(live.keeper.as_ref().is_some_and(|keeper| {
                let cluster = &keeper["spec"]["configuration"]["clusters"][0];
                cluster["secure"].as_str().and_then(yes_or_no) == Some(true)
            })),
            min_version: [TlsVersion::V1_2, TlsVersion::V1_3].into_iter().find(is_lowest),
        })
    }
}

impl Encryption {
    fn check(given: &TlsArgs, check: &mut Checker<'_>) -> Self {
        let TlsArgs { secret_name, issuer_ref, insecure_ports, interserver, keeper, min_version } =
            given.clone();
        if keeper == Some(true) && !check.args().has_keeper() && !check.is_unknown("coordination") {
            let reason = "there is no Keeper of the cluster's own: remove it, or set `secure: true` for the \
                nodes of `coordination.external`";
            check.fail("tls.keeper", reason);
        }
        let (insecure_ports, interserver) = (insecure_ports.unwrap_or(true), interserver.unwrap_or(true));
        check.dns_name("tls.secretName", secret_name.as_deref());
        let issuer = issuer_ref.map(|issuer| Issuer::check(issuer, check));
        match (&secret_name, &issuer) {
            (Some(_), Some(_)) => {
                check.fail("tls.issuerRef", "has both a `secretName` and an `issuerRef`: remove one of them");
            }
            (None, None) => check.fail(
                "tls",
                "has no certificate: name a Secret in `secretName`, or an issuer of cert-manager in \
                    `issuerRef`",
            ),
            _ => {}
        }
        let layout = &check.args().layout;
        let hosts = u64::from(layout.shards.unwrap_or(1)) * u64::from(layout.replicas.unwrap_or(1));
        if issuer.is_some() && interserver && hosts > MOST_NAMES {
            let reason = format!(
                "the names of {hosts} hosts don't fit into one certificate, at most {MOST_NAMES} do: name a \
                    Secret with a wildcard certificate in `tls.secretName`, or set `tls.interserver: false`"
            );
            check.fail("tls.issuerRef", reason);
        }
        let has_one = secret_name.is_some() || issuer.is_some();
        if has_one && !insecure_ports && !interserver && hosts > 1 {
            let reason = "hosts without TLS between them need the plain ports: remove `insecurePorts: false` \
                or `interserver: false`";
            check.fail("tls.interserver", reason);
        }
        let naming = &check.args().naming;
        let own = names::certificate(naming.name.as_deref().unwrap_or_default());
        Self {
            secret: secret_name.unwrap_or(own),
            issuer,
            insecure_ports,
            interserver,
            keeper: keeper.unwrap_or_default(),
            min_version: min_version.unwrap_or(TlsVersion::V1_2),
        }
    }
}

impl Encryption {
    /// Opens the Keeper's own port for TLS. The operator knows the word since 0.27.1.
    fn render_keeper(&self, keeper: &mut InstallationDraft) {
        keeper.cluster.insert("secure".to_owned(), json!(yes_no(true)));
        keeper.settings.extend(shown(KEEPER_DIRECTORY, self.min_version));
        keeper.settings.insert("openSSL/server/verificationMode".to_owned(), json!("none"));
        mount(&mut keeper.pod, &self.secret, KEEPER_DIRECTORY);
    }
}

/// The settings of what a server shows to clients, and of what it does not speak any more.
fn shown(directory: &str, lowest: TlsVersion) -> [(String, Value); 3] {
    [
        ("openSSL/server/certificateFile", format!("{directory}/tls.crt")),
        ("openSSL/server/privateKeyFile", format!("{directory}/tls.key")),
        (DISABLED, lowest.disabled().to_owned()),
    ]
    .map(|(key, value)| (key.to_owned(), json!(value)))
}

fn mount(pod: &mut PodDraft, secret: &str, directory: &str) {
    pod.volumes.push(json!({"name": VOLUME, "secret": {"secretName": secret}}));
    pod.mounts.push(json!({"name": VOLUME, "mountPath": directory, "readOnly": true}));
}

impl Issuer {
    fn check(given: IssuerRef, check: &mut Checker<'_>) -> Self {
        let IssuerRef { name, kind, group } = given;
        match &name {
            Some(name) => check.dns_name("tls.issuerRef.name", Some(name)),
            None => check.fail("tls.issuerRef.name", "is missing: name the issuer"),
        }
        check.dns_name("tls.issuerRef.group", group.as_deref());
        let kind = kind.unwrap_or_else(|| "Issuer".to_owned());
        if !kind.starts_with(|c: char| c.is_ascii_uppercase())
            || !kind.chars().all(|c| c.is_ascii_alphanumeric())
        {
            let reason = format!("`{kind}` is not a kind: write for example `ClusterIssuer`");
            check.fail("tls.issuerRef.kind", reason);
        }
        let group = group.unwrap_or_else(|| "cert-manager.io".to_owned());
        Self { name: name.unwrap_or_default(), kind, group }
    }
}

impl Tls {
    /// The ports that clients may use.
    pub(in super::super) fn ports(&self) -> Ports {
        let plain = self.encryption.as_ref().is_none_or(|encryption| encryption.insecure_ports);
        Ports::new(plain, self.encryption.is_some())
    }

    /// Who signs the certificate, where cert-manager is to make it.
    pub(in super::super) fn issuer(&self) -> Option<&Issuer> {
        self.encryption.as_ref()?.issuer.as_ref()
    }

    /// The Secret with the certificate.
    pub(in super::super) fn secret(&self) -> Option<&str> {
        self.encryption.as_ref().map(|encryption| encryption.secret.as_str())
    }

    /// Whether hosts talk to the cluster's own Keeper over TLS.
    pub(in super::super) fn is_to_keeper(&self) -> bool {
        self.encryption.as_ref().is_some_and(|encryption| encryption.keeper)
    }

    /// Whether hosts talk to each other over TLS.
    pub(in super::super) fn is_between_hosts(&self) -> bool {
        self.encryption.as_ref().is_some_and(|encryption| encryption.interserver)
    }
}

/// Whether the hosts of an installation have a certificate that cert-manager makes for the cluster.
pub(in super::super) fn has_certificate(installation: &Value) -> bool {
    let name = installation["metadata"]["name"].as_str().unwrap_or_default();
    let templates = installation["spec"]["templates"]["podTemplates"].as_array().into_iter().flatten();
    let mut volumes = templates.flat_map(|pod| pod["spec"]["volumes"].as_array().into_iter().flatten());
    volumes
        .any(|volume| volume["name"] == VOLUME && volume["secret"]["secretName"] == names::certificate(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::cluster::effects::effects;
    use crate::kubernetes::cluster::shape::Shape;
    use crate::kubernetes::cluster::tests::{built, checked, cluster, problems, problems_of, unknown};
    use crate::resource::Known;

    #[test]
    fn hosts_reach_the_keeper_over_tls_where_that_is_asked_for() {
        let issuer = json!({"issuerRef": {"name": "ca"}, "keeper": true});
        let built = built(json!({"name": "db", "replicas": 2, "tls": issuer, "networkPolicy": {}}));
        let keeper = &built.keeper.as_ref().unwrap()["spec"];
        assert_eq!(keeper["configuration"]["clusters"][0]["secure"], "yes");
        let settings = &keeper["configuration"]["settings"];
        assert_eq!(settings["openSSL/server/certificateFile"], "/etc/clickhouse-keeper/tls/tls.crt");
        let mount = &keeper["templates"]["podTemplates"][0]["spec"]["containers"][0]["volumeMounts"][0];
        assert_eq!(mount["mountPath"], "/etc/clickhouse-keeper/tls");
        let nodes = &built.installation.as_ref().unwrap()["spec"]["configuration"]["zookeeper"]["nodes"];
        assert_eq!(nodes[2], json!({"host": "chk-db-cluster-0-2", "port": 2281, "secure": "yes"}));
        let names = built.certificate.unwrap()["spec"]["dnsNames"].take();
        for name in ["chk-db-cluster-0-2", "chk-db-cluster-0-2.apps.svc.cluster.local"] {
            assert!(names.as_array().unwrap().contains(&json!(name)), "{name}: {names}");
        }
        let ports = &built.keeper_policy.unwrap()["spec"]["ingress"][0]["ports"];
        assert_eq!((&ports[0]["port"], &ports[1]["port"]), (&json!(2181), &json!(2281)));
        let with = |keeper: bool| {
            checked(json!({"name": "db", "replicas": 2, "tls": {"secretName": "cert", "keeper": keeper}}))
        };
        let (off, on) = (with(false), with(true));
        let shape = |args| Shape::rendered(&cluster(serde_json::to_value(args).unwrap()));
        let told = effects(&shape(&off), &shape(&on), &Known::all(on.clone()));
        let hosts = "restarts the hosts one after the other, so each shard keeps serving (coordination)";
        assert_eq!(told, [hosts, "restarts the Keeper's members, one after the other"]);
        let told = problems(json!({"tls": {"secretName": "cert", "keeper": true}}));
        assert!(told.len() == 1 && told[0].starts_with("tls.keeper: there is no Keeper"), "{told:?}");
    }

    #[test]
    fn without_insecure_ports_only_those_of_tls_are_left() {
        let tls = json!({"secretName": "cert", "insecurePorts": false, "minVersion": "1.3"});
        let built = built(json!({"name": "db", "shards": 2, "tls": tls}));
        let spec = &built.installation.as_ref().unwrap()["spec"];
        let settings = &spec["configuration"]["settings"];
        assert!(PLAIN_PORTS.iter().all(|port| settings[*port] == "_removed_"), "{settings}");
        assert!(settings[DISABLED].as_str().unwrap().ends_with("tlsv1_2"));
        assert_eq!(spec["configuration"]["clusters"][0]["insecure"], "no");
        for ports in [
            &built.service.as_ref().unwrap()["spec"]["ports"],
            &spec["templates"]["serviceTemplates"][0]["spec"]["ports"],
        ] {
            let ports: Vec<_> = ports.as_array().unwrap().iter().map(|port| &port["port"]).collect();
            assert_eq!(ports, [8443, 9440]);
        }
    }

    #[test]
    fn an_issuer_makes_a_certificate_of_every_name_that_is_used() {
        let issuer = json!({"issuerRef": {"name": "ca", "kind": "ClusterIssuer"}});
        let program =
            json!({"name": "db", "shards": 2, "ingress": {"hostname": "db.example"}, "tls": issuer});
        let spec = built(program).certificate.unwrap()["spec"].take();
        assert_eq!(
            spec["issuerRef"],
            json!({"name": "ca", "kind": "ClusterIssuer", "group": "cert-manager.io"})
        );
        assert_eq!(spec["secretName"], "db-tls");
        let names: Vec<_> =
            spec["dnsNames"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        for name in [
            "db.apps.svc.cluster.local",
            "db.example",
            "chi-db-cluster-1-0",
            "chi-db-cluster-1-0.apps.svc.cluster.local",
            "chi-db-cluster-1-0-0.chi-db-cluster-1-0.apps.svc.cluster.local",
            "shard-db-cluster-1.apps.svc.cluster.local",
        ] {
            assert!(names.contains(&name), "{name}: {names:?}");
        }
        assert_eq!(built(json!({"name": "db", "tls": {"secretName": "cert"}})).certificate, None);
    }

    #[test]
    fn a_certificate_comes_from_one_place_and_plain_hosts_need_plain_ports() {
        for (tls, problem) in [
            (json!({}), "tls: has no certificate: name a Secret in `secretName`"),
            (json!({"secretName": "a", "issuerRef": {"name": "b"}}), "tls.issuerRef: has both"),
            (json!({"issuerRef": {}}), "tls.issuerRef.name: is missing"),
            (
                json!({"issuerRef": {"name": "b", "kind": "issuer"}}),
                "tls.issuerRef.kind: `issuer` is not a kind",
            ),
            (json!({"secretName": "A_b"}), "tls.secretName: `A_b` is not a valid DNS name"),
            (
                json!({"secretName": "a", "insecurePorts": false, "interserver": false}),
                "tls.interserver: hosts without TLS",
            ),
        ] {
            let told = problems(json!({"shards": 2, "tls": tls}));
            assert!(told.len() == 1 && told[0].starts_with(problem), "{told:?}");
        }
        let many = problems(json!({"shards": 301, "tls": {"issuerRef": {"name": "b"}}}));
        assert!(many[0].contains("don't fit into one certificate"), "{many:?}");
        assert_eq!(problems_of(&unknown(json!({"tls": {}}), &["tls.secretName"])), [""; 0]);
    }
}
