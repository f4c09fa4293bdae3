//! What the package offers, by token: one line for each resource and function.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Function;
use super::erased::{
    DiscreetResource, ErasedFunction, ErasedList, ErasedResource, TypedFunction, TypedList, TypedResource,
};
use super::list::List;
use crate::schema::document::{FunctionTypes, ResourceTypes};
use crate::schema::{of_input, of_output};

/// The resources and functions that can be called, and their types.
#[derive(Clone, Default)]
pub struct Registry {
    resources: BTreeMap<&'static str, ResourceEntry>,
    functions: BTreeMap<&'static str, FunctionEntry>,
}

#[derive(Clone)]
struct ResourceEntry {
    resource: Arc<dyn ErasedResource>,
    list: Arc<dyn ErasedList>,
    types: fn() -> ResourceTypes,
}

#[derive(Clone)]
struct FunctionEntry {
    function: Arc<dyn ErasedFunction>,
    types: fn() -> FunctionTypes,
}

impl Registry {
    /// Adds a resource and its listing.
    #[must_use]
    pub fn resource<R: List>(mut self, resource: R) -> Self {
        let resource = Arc::new(resource);
        let types = || ResourceTypes {
            token: R::TOKEN,
            description: R::DOCS,
            inputs: of_input::<R::Args>(),
            state: of_output::<R::State>(),
            list: of_input::<R::Query>(),
        };
        let list = Arc::new(TypedList::new(Arc::clone(&resource)));
        let resource = Arc::new(DiscreetResource(TypedResource::new(resource)));
        self.resources.insert(R::TOKEN, ResourceEntry { resource, list, types });
        self
    }

    /// Adds a function.
    #[must_use]
    pub fn function<F: Function>(mut self, function: F) -> Self {
        let types = || FunctionTypes {
            token: F::TOKEN,
            description: F::DOCS,
            arguments: of_input::<F::Args>(),
            result: of_output::<F::Result>(),
        };
        self.functions
            .insert(F::TOKEN, FunctionEntry { function: Arc::new(TypedFunction::new(function)), types });
        self
    }

    /// The resource of this token.
    pub fn find_resource(&self, token: &str) -> Option<Arc<dyn ErasedResource>> {
        Some(Arc::clone(&self.resources.get(token)?.resource))
    }

    /// The listing of the resource of this token.
    pub fn find_list(&self, token: &str) -> Option<Arc<dyn ErasedList>> {
        Some(Arc::clone(&self.resources.get(token)?.list))
    }

    /// The function of this token.
    pub fn find_function(&self, token: &str) -> Option<Arc<dyn ErasedFunction>> {
        Some(Arc::clone(&self.functions.get(token)?.function))
    }

    /// The types of the resources, by token.
    pub fn resource_types(&self) -> Vec<ResourceTypes> {
        self.resources.values().map(|entry| (entry.types)()).collect()
    }

    /// The types of the functions, by token.
    pub fn function_types(&self) -> Vec<FunctionTypes> {
        self.functions.values().map(|entry| (entry.types)()).collect()
    }
}
