//! Functions and listings, erased.

use std::sync::{Arc, LazyLock};

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use super::discreet::Hidden;
use super::{ErasedFunction, ErasedList, InvokeError, decode, encode};
use crate::property::PropertyMap;
use crate::property::json::strip_marks;
use crate::resource::list::{List, Listed};
use crate::resource::{CheckFailure, Context, Function, Known, Paths};
use crate::schema::fields::Fields;

/// A function behind [`ErasedFunction`].
pub(in crate::resource) struct TypedFunction<F> {
    function: F,
    args: LazyLock<Fields>,
    result: LazyLock<Fields>,
}

impl<F: Function> TypedFunction<F> {
    pub(in crate::resource) fn new(function: F) -> Self {
        Self {
            function,
            args: LazyLock::new(Fields::of_inputs::<F::Args>),
            result: LazyLock::new(Fields::of_outputs::<F::Result>),
        }
    }
}

impl<F: Function> ErasedFunction for TypedFunction<F> {
    fn invoke<'a>(
        &'a self,
        ctx: &'a Context,
        args: &'a PropertyMap,
    ) -> BoxFuture<'a, Result<PropertyMap, InvokeError>> {
        Box::pin(async move {
            let hidden = Hidden::of([(&*self.args, args)]);
            let args = arguments(&self.args, args).map_err(|error| hidden.error(error))?;
            let result = self.function.invoke(&hidden.context(ctx), &args).await;
            let result = result.map_err(|failure| InvokeError::Failed(hidden.failure(failure)))?;
            Ok(encode::property_map(&self.result, &result, &Paths::new(), &Paths::new()))
        })
    }
}

/// Reads arguments. They are always known; their secrets are marked only to keep them out of messages.
fn arguments<T: DeserializeOwned + JsonSchema>(
    fields: &Fields,
    args: &PropertyMap,
) -> Result<T, InvokeError> {
    let mut map = args.clone();
    fields.drop_nulls(&mut map);
    fields.mark_secrets(&mut map);
    let stripped = strip_marks(&map);
    if let Some(path) = stripped.unknown.first() {
        return Err(InvokeError::Arguments(vec![CheckFailure {
            path: path.clone(),
            reason: "must be known".to_owned(),
        }]));
    }
    match decode::program_inputs(fields, stripped) {
        (Some(Known { value, .. }), failures) if failures.is_empty() => Ok(value),
        (_, failures) => Err(InvokeError::Arguments(decode::without_secrets(&map, failures))),
    }
}

/// The listing of a resource behind [`ErasedList`].
pub(in crate::resource) struct TypedList<R: List> {
    resource: Arc<R>,
    query: LazyLock<Fields>,
}

impl<R: List> TypedList<R> {
    pub(in crate::resource) fn new(resource: Arc<R>) -> Self {
        Self { resource, query: LazyLock::new(Fields::of_inputs::<R::Query>) }
    }
}

impl<R: List> ErasedList for TypedList<R> {
    fn list<'a>(
        &'a self,
        ctx: &'a Context,
        query: &'a PropertyMap,
        limit: Option<usize>,
    ) -> BoxFuture<'a, Result<Vec<Listed>, InvokeError>> {
        Box::pin(async move {
            let hidden = Hidden::of([(&*self.query, query)]);
            let query: R::Query = arguments(&self.query, query).map_err(|error| hidden.error(error))?;
            let listed = self.resource.list(&hidden.context(ctx), &query, limit).await;
            listed.map_err(|failure| InvokeError::Failed(hidden.failure(failure)))
        })
    }
}
