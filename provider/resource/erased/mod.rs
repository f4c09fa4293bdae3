//! The object-safe twin of [`Resource`](super::Resource) and [`Function`](super::Function), over property
//! maps.
//!
//! Here, and only here, unknowns and secrets are handled: inputs are decoded, the typed call is made, its
//! result is encoded. A resource's outputs are its inputs, echoed with their marks, and over them the fields
//! of its state.

mod decode;
mod discreet;
mod encode;
mod function;
mod resource;

use futures::future::BoxFuture;

use super::list::Listed;
use super::{Autonaming, Change, CheckFailure, Context, Failure};
use crate::property::PropertyMap;
use crate::property::pattern::Pattern;

pub(super) use discreet::DiscreetResource;
pub(super) use function::{TypedFunction, TypedList};
pub(super) use resource::TypedResource;

/// What would change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiffResult {
    /// The changed properties, without those that the program ignores.
    pub changes: Vec<Change>,
    /// Whether a replacement must delete the old object first.
    pub delete_before_replace: bool,
    /// The outputs that an update leaves as they are.
    pub stables: Vec<String>,
}

/// What a create made.
#[derive(Debug, Clone, PartialEq)]
pub struct Created {
    /// Pulumi's id; empty in a preview.
    pub id: String,
    /// The outputs.
    pub outputs: PropertyMap,
}

/// What a read found.
#[derive(Debug, Clone, PartialEq)]
pub struct Read {
    /// The canonical id.
    pub id: String,
    /// The inputs that the live objects correspond to.
    pub inputs: PropertyMap,
    /// The outputs.
    pub outputs: PropertyMap,
}

/// What exists after a call that failed.
#[derive(Debug, Clone, PartialEq)]
pub struct Partial {
    /// The outputs.
    pub outputs: PropertyMap,
    /// The inputs; only of a read.
    pub inputs: Option<PropertyMap>,
    /// The names of outputs that are computed, no inputs, and do not identify the resource: whoever has to
    /// save room can leave them out, since the next update computes them again.
    pub computed: Vec<String>,
}

/// The failure of a call, in property maps.
pub type ErasedFailure = Failure<Partial>;

/// What a resource had before the call.
#[derive(Debug, Clone, Default)]
pub struct Prior {
    /// The inputs of the last run; empty when nothing is known of them.
    pub inputs: PropertyMap,
    /// The outputs of the last run; empty when nothing is known of them.
    pub outputs: PropertyMap,
}

/// A resource whose types are hidden.
pub trait ErasedResource: Send + Sync {
    /// Fills the defaults into `new` and marks what is secret, or tells all that is wrong. A failure whose
    /// path is the root names its property in the reason: Pulumi would print the value of the named property,
    /// and it is secret.
    fn check<'a>(
        &'a self,
        ctx: &'a Context,
        autonaming: &'a Autonaming,
        old: &'a PropertyMap,
        new: PropertyMap,
    ) -> BoxFuture<'a, Result<PropertyMap, Vec<CheckFailure>>>;

    /// Compares, leaving out what `ignored` covers.
    fn diff(&self, old: &Prior, new: &PropertyMap, ignored: &[Pattern]) -> Result<DiffResult, ErasedFailure>;

    /// Creates it, or in a preview predicts its outputs.
    fn create<'a>(
        &'a self,
        ctx: &'a Context,
        new: PropertyMap,
        preview: bool,
    ) -> BoxFuture<'a, Result<Created, ErasedFailure>>;

    /// Updates it, or in a preview predicts its outputs.
    fn update<'a>(
        &'a self,
        ctx: &'a Context,
        id: &'a str,
        old: &'a Prior,
        new: &'a PropertyMap,
        preview: bool,
    ) -> BoxFuture<'a, Result<PropertyMap, ErasedFailure>>;

    /// Reads it; `None` when it definitely does not exist.
    fn read<'a>(
        &'a self,
        ctx: &'a Context,
        id: &'a str,
        old: &'a Prior,
    ) -> BoxFuture<'a, Result<Option<Read>, ErasedFailure>>;

    /// Deletes it.
    fn delete<'a>(
        &'a self,
        ctx: &'a Context,
        id: &'a str,
        old: &'a Prior,
    ) -> BoxFuture<'a, Result<(), ErasedFailure>>;
}

/// Why a call of a function or a listing gave no result.
#[derive(Debug, Clone)]
pub enum InvokeError {
    /// The arguments are wrong.
    Arguments(Vec<CheckFailure>),
    /// The call failed.
    Failed(Failure<()>),
}

/// A function whose types are hidden.
pub trait ErasedFunction: Send + Sync {
    /// Calls it.
    fn invoke<'a>(
        &'a self,
        ctx: &'a Context,
        args: &'a PropertyMap,
    ) -> BoxFuture<'a, Result<PropertyMap, InvokeError>>;
}

/// A listing whose types are hidden.
pub trait ErasedList: Send + Sync {
    /// Finds the objects that `query` describes.
    fn list<'a>(
        &'a self,
        ctx: &'a Context,
        query: &'a PropertyMap,
        limit: Option<usize>,
    ) -> BoxFuture<'a, Result<Vec<Listed>, InvokeError>>;
}

#[cfg(test)]
mod tests;
