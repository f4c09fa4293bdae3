//! The Certificate that cert-manager makes and renews.

use serde_json::{Value, json};

use super::super::names;
use super::super::shape::Shape;
use super::{Source, metadata, object};
use crate::kubernetes::meta::Kind;

pub(in crate::kubernetes::cluster) fn certificate(source: &mut Source<'_>) -> Value {
    let Source { cluster, urn, .. } = *source;
    let Some(issuer) = cluster.tls.issuer() else { return Value::Null };
    let name = names::certificate(&cluster.naming.name);
    let spec = json!({
        "secretName": name,
        "issuerRef": {"name": issuer.name, "kind": issuer.kind, "group": issuer.group},
        "dnsNames": dns_names(source),
        // Hosts show it to each other, too.
        "usages": ["digital signature", "key encipherment", "server auth", "client auth"],
        "privateKey": {"rotationPolicy": "Always"},
    });
    object(Kind::Certificate, metadata(cluster, &name, Some(urn)), spec)
}

/// The names by which clients and other hosts reach the cluster.
fn dns_names(source: &Source<'_>) -> Vec<String> {
    let (naming, tls) = (&source.cluster.naming, &source.cluster.tls);
    let Shape { clickhouse, keeper, shard_services, .. } = Shape::rendered(source.cluster);
    let service = if source.cluster.has_service() { &naming.name } else { &clickhouse.service };
    let mut names = vec![
        service.clone(),
        format!("{service}.{}", naming.namespace),
        format!("{service}.{}.svc", naming.namespace),
        clickhouse.fqdn(service),
    ];
    names.extend(source.cluster.ingress.ingress.as_ref().and_then(|ingress| ingress.hostname.clone()));
    names.extend(shard_services.into_iter().flat_map(|service| [clickhouse.fqdn(&service), service]));
    for host in clickhouse.hosts.iter().filter(|_| tls.is_between_hosts()) {
        let fqdn = clickhouse.fqdn(&host.service);
        // Where replicas fetch from each other, a host is called by its pod's name.
        names.extend([host.service.clone(), format!("{}.{fqdn}", host.pod()), fqdn]);
    }
    for keeper in keeper.iter().filter(|_| tls.is_to_keeper()) {
        for member in &keeper.hosts {
            names.extend([member.service.clone(), keeper.fqdn(&member.service)]);
        }
    }
    names
}
