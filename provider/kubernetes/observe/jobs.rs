//! What runs once.

use serde::Deserialize;

use super::{Condition, Ignored, Object};

/// A Job.
pub type Job = Object<Ignored, JobStatus>;

/// How far it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct JobStatus {
    /// Whether it is over, and how it ended.
    pub conditions: Vec<Condition>,
}

impl JobStatus {
    /// Whether it has this condition.
    pub fn is(&self, kind: &str) -> bool {
        self.conditions.iter().any(|condition| condition.kind == kind && condition.status == "True")
    }
}
