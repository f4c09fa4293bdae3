//! What is wrong with a property.

use super::path::PropertyPath;

/// One thing that is wrong with the inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckFailure {
    /// Where.
    pub path: PropertyPath,
    /// What is wrong and what to write instead. Never contains a secret's value.
    pub reason: String,
}

impl CheckFailure {
    /// A failure at `path`.
    pub fn new(path: impl Into<PropertyPath>, reason: impl Into<String>) -> Self {
        Self { path: path.into(), reason: reason.into() }
    }

    /// Fails with what was found, if anything was.
    pub fn none(found: Vec<Self>) -> Result<(), Vec<Self>> {
        if found.is_empty() { Ok(()) } else { Err(found) }
    }
}
