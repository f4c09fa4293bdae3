//! Finding the objects of a kind, for resources that offer it.

use std::future::Future;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use super::{Context, Failure, Resource};

/// One object that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The id with which it can be read and imported.
    pub id: String,
    /// What to call it on the display.
    pub name: String,
}

/// A resource that can say which of its kind exist.
pub trait List: Resource {
    /// What to look for.
    type Query: DeserializeOwned + JsonSchema + Send + Sync;

    /// Finds the objects that `query` describes, at most `limit` where one is given, in a stable order.
    fn list(
        &self,
        ctx: &Context,
        query: &Self::Query,
        limit: Option<usize>,
    ) -> impl Future<Output = Result<Vec<Listed>, Failure<()>>> + Send;
}
