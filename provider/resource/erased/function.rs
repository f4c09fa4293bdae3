//! Functions and listings, erased.

use std::sync::{Arc, LazyLock};

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use super::discreet::Hidden;
use super::{ErasedFunction, ErasedList, Refusal, decode, encode};
use crate::property::PropertyMap;
use crate::property::json::take_apart;
use crate::resource::list::{List, Listed};
use crate::resource::{CheckFailure, Context, Function, Known, Paths};
use crate::schema::fields::Fields;

/// A function behind [`ErasedFunction`].
pub(in crate::resource) struct Called<F> {
    function: F,
    args: LazyLock<Fields>,
    result: LazyLock<Fields>,
}

impl<F: Function> Called<F> {
    pub(in crate::resource) fn new(function: F) -> Self {
        Self { function, args: LazyLock::new(Fields::of_inputs::<F::Args>), result: LazyLock::new(Fields::of_outputs::<F::Result>) }
    }
}

impl<F: Function> ErasedFunction for Called<F> {
    fn invoke<'a>(&'a self, ctx: &'a Context, args: &'a PropertyMap) -> BoxFuture<'a, Result<PropertyMap, Refusal>> {
        Box::pin(async move {
            let hidden = Hidden::of([(&*self.args, args)]);
            let args = arguments(&self.args, args).map_err(|refusal| hidden.refusal(refusal))?;
            let result = self.function.invoke(&hidden.context(ctx), &args).await;
            let result = result.map_err(|failure| Refusal::Failed(hidden.failure(failure)))?;
            Ok(encode::bag(&self.result, &result, &Paths::new(), &Paths::new()))
        })
    }
}

/// Reads arguments, which are never unknown and whose secrets are told apart only for what is said of them.
fn arguments<T: DeserializeOwned + JsonSchema>(fields: &Fields, args: &PropertyMap) -> Result<T, Refusal> {
    let mut map = args.clone();
    fields.drop_nulls(&mut map);
    fields.mark_secrets(&mut map);
    let apart = take_apart(&map);
    if let Some(path) = apart.unknown.first() {
        return Err(Refusal::Arguments(vec![CheckFailure { path: path.clone(), reason: "must be known".to_owned() }]));
    }
    match decode::written(fields, apart) {
        (Some(Known { value, .. }), failures) if failures.is_empty() => Ok(value),
        (_, failures) => Err(Refusal::Arguments(decode::without_secrets(&map, failures))),
    }
}

/// The listing of a resource behind [`ErasedList`].
pub(in crate::resource) struct Enumerated<R: List> {
    resource: Arc<R>,
    query: LazyLock<Fields>,
}

impl<R: List> Enumerated<R> {
    pub(in crate::resource) fn new(resource: Arc<R>) -> Self {
        Self { resource, query: LazyLock::new(Fields::of_inputs::<R::Query>) }
    }
}

impl<R: List> ErasedList for Enumerated<R> {
    fn list<'a>(&'a self, ctx: &'a Context, query: &'a PropertyMap, limit: Option<usize>) -> BoxFuture<'a, Result<Vec<Listed>, Refusal>> {
        Box::pin(async move {
            let hidden = Hidden::of([(&*self.query, query)]);
            let query: R::Query = arguments(&self.query, query).map_err(|refusal| hidden.refusal(refusal))?;
            let listed = self.resource.list(&hidden.context(ctx), &query, limit).await;
            listed.map_err(|failure| Refusal::Failed(hidden.failure(failure)))
        })
    }
}
