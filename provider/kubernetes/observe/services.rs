//! Services, and the events about everything.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::Deserialize;

use super::{Object, TrimmedMeta, slim};

/// A Service.
pub type Service = Object<ServiceSpec, ServiceStatus>;

/// What sort of Service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ServiceSpec {
    /// `ClusterIP`, `NodePort` or `LoadBalancer`.
    #[serde(rename = "type")]
    pub kind: String,
}

/// What the cloud made of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceStatus {
    /// The load balancer.
    pub load_balancer: LoadBalancer,
}

/// Where a load balancer listens.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct LoadBalancer {
    /// Its addresses.
    pub ingress: Vec<Ingress>,
}

/// One address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Ingress {
    /// As a number.
    pub ip: Option<String>,
    /// As a name.
    pub hostname: Option<String>,
}

/// An event: what happened to another object.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// The event's own.
    #[serde(deserialize_with = "slim")]
    pub metadata: TrimmedMeta,
    /// Whom it happened to.
    #[serde(default)]
    pub involved_object: Involved,
    /// What, in one word.
    #[serde(default)]
    pub reason: Option<String>,
    /// What, in words.
    #[serde(default)]
    pub message: Option<String>,
    /// When it happened last.
    #[serde(default)]
    pub last_timestamp: Option<Time>,
}

impl Event {
    /// When it happened last, by the API server's clock.
    pub fn at(&self) -> Option<&Time> {
        self.last_timestamp.as_ref().or_else(|| self.metadata.created())
    }
}

/// The object that an event is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Involved {
    /// Its kind, `Pod`.
    pub kind: String,
    /// Its name.
    pub name: String,
}
