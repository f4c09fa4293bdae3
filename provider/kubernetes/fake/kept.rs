//! Objects as the server keeps them.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde_json::Value;

use super::fields::{self, Owners};
use super::place::Place;

/// An object, with what is asked of it again and again as long as it stays as it is.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(super) place: Arc<Place>,
    value: Value,
    text: OnceLock<Bytes>,
    owners: OnceLock<Owners>,
}

impl Kept {
    /// An object whose owners are those that it names.
    pub(super) fn new(place: Arc<Place>, value: Value) -> Arc<Self> {
        Arc::new(Self { place, value, text: OnceLock::new(), owners: OnceLock::new() })
    }

    /// The same; `owners` are those that it names.
    pub(super) fn of(place: Arc<Place>, value: Value, owners: Owners) -> Arc<Self> {
        Arc::new(Self { place, value, text: OnceLock::new(), owners: owners.into() })
    }

    /// The object as it goes to clients.
    pub(super) fn text(&self) -> Bytes {
        self.text.get_or_init(|| self.value.to_string().into()).clone()
    }

    pub(super) fn owners(&self) -> &Owners {
        self.owners.get_or_init(|| fields::owners(&self.value))
    }
}

impl Deref for Kept {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.value
    }
}

impl PartialEq for Kept {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}
