//! What hosts are made of: StatefulSets, pods, volumes.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Ignored, Object};

/// A StatefulSet: one host.
pub type StatefulSet = Object<SetSpec, SetStatus>;

/// How many pods it is to have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct SetSpec {
    /// Absent means 1.
    pub replicas: Option<i32>,
}

/// How far it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SetStatus {
    /// The generation that the rest is about.
    pub observed_generation: i64,
    /// Pods that exist.
    pub replicas: i32,
    /// Pods that are ready.
    pub ready_replicas: i32,
    /// Pods of the newest revision.
    pub updated_replicas: i32,
    /// The revision of the old pods.
    pub current_revision: Option<String>,
    /// The newest revision.
    pub update_revision: Option<String>,
}

/// A pod.
pub type Pod = Object<PodSpec, PodStatus>;

/// Where a pod runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSpec {
    /// Its node, once it has one.
    pub node_name: Option<String>,
}

/// How a pod is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodStatus {
    /// `Pending`, `Running` …
    pub phase: String,
    /// Why, when the kubelet itself refused it.
    pub reason: Option<String>,
    /// The same in words.
    pub message: Option<String>,
    /// `PodScheduled`, `Ready` …
    pub conditions: Vec<Condition>,
    /// The containers that run before the others.
    pub init_container_statuses: Vec<Container>,
    /// The containers.
    pub container_statuses: Vec<Container>,
}

/// A condition of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Condition {
    /// Which.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Why, in one word.
    pub reason: Option<String>,
    /// Why, in words.
    pub message: Option<String>,
}

/// How a container is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Its image.
    pub image: String,
    /// Whether it serves.
    pub ready: bool,
    /// How often it was started again.
    pub restart_count: u32,
    /// What it is now.
    pub state: ContainerState,
    /// How it ended before it was started again.
    pub last_state: ContainerState,
}

/// One of its states; neither means that it runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ContainerState {
    /// It can't be started yet.
    pub waiting: Option<Waiting>,
    /// It ended.
    pub terminated: Option<Terminated>,
}

/// Why a container is not started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Waiting {
    /// `ImagePullBackOff`, `CrashLoopBackOff` …
    pub reason: Option<String>,
    /// In words.
    pub message: Option<String>,
}

/// How a container ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Terminated {
    /// `Error`, `OOMKilled` …
    pub reason: Option<String>,
    /// The process's exit code.
    pub exit_code: i32,
    /// Its last words, where the container writes any.
    pub message: Option<String>,
}

/// A `PersistentVolumeClaim`.
pub type Claim = Object<ClaimSpec, ClaimStatus>;

/// What volume is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClaimSpec {
    /// The class; absent while no default class filled it in.
    pub storage_class_name: Option<String>,
    /// How large.
    pub resources: ClaimResources,
}

/// See [`ClaimSpec`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ClaimResources {
    /// The smallest size that is wanted.
    pub requests: Storage,
}

/// A size.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Storage {
    /// As a quantity.
    pub storage: Option<String>,
}

/// Whether there is one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClaimStatus {
    /// `Pending`, `Bound` or `Lost`.
    pub phase: String,
    /// How large it is.
    pub capacity: Storage,
    /// `Resizing`, `FileSystemResizePending` …
    pub conditions: Vec<Condition>,
    /// How far its growth is: `ControllerResizeInProgress`, `NodeResizeInfeasible` … Absent when it doesn't
    /// grow, and on older Kubernetes.
    pub allocated_resource_statuses: Storage,
}

/// A `ResourceQuota`.
pub type Quota = Object<Ignored, QuotaStatus>;

/// What a namespace may have and has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct QuotaStatus {
    /// The most of each resource.
    pub hard: BTreeMap<String, String>,
    /// What is taken of it.
    pub used: BTreeMap<String, String>,
}
