//! What the package offers, by token.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::erased::{Called, DiscreetResource, Enumerated, ErasedFunction, ErasedList, ErasedResource, Typed};
use super::list::List;
use super::{Function, Resource};

/// The resources and functions that can be called.
#[derive(Clone, Default)]
pub struct Registry {
    resources: BTreeMap<&'static str, Arc<dyn ErasedResource>>,
    lists: BTreeMap<&'static str, Arc<dyn ErasedList>>,
    functions: BTreeMap<&'static str, Arc<dyn ErasedFunction>>,
}

impl Registry {
    /// Adds a resource.
    #[must_use]
    pub fn resource<R: Resource>(mut self, resource: R) -> Self {
        self.resources.insert(R::TOKEN, Arc::new(DiscreetResource(Typed::new(Arc::new(resource)))));
        self
    }

    /// Adds a resource that can be listed.
    #[must_use]
    pub fn listed<R: List>(mut self, resource: R) -> Self {
        let resource = Arc::new(resource);
        self.resources.insert(R::TOKEN, Arc::new(DiscreetResource(Typed::new(Arc::clone(&resource)))));
        self.lists.insert(R::TOKEN, Arc::new(Enumerated::new(resource)));
        self
    }

    /// Adds a function.
    #[must_use]
    pub fn function<F: Function>(mut self, function: F) -> Self {
        self.functions.insert(F::TOKEN, Arc::new(Called::new(function)));
        self
    }

    /// The resource of this token.
    pub fn find_resource(&self, token: &str) -> Option<Arc<dyn ErasedResource>> {
        self.resources.get(token).cloned()
    }

    /// The listing of the resource of this token, if it offers one.
    pub fn find_list(&self, token: &str) -> Option<Arc<dyn ErasedList>> {
        self.lists.get(token).cloned()
    }

    /// The function of this token.
    pub fn find_function(&self, token: &str) -> Option<Arc<dyn ErasedFunction>> {
        self.functions.get(token).cloned()
    }
}
