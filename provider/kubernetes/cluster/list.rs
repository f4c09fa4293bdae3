//! Which clusters exist.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Cluster;
use crate::kubernetes::meta::Kind;
use crate::kubernetes::objects;
use crate::resource::list::{List, Listed};
use crate::resource::{Context, Failure};

/// Filters of a list of clusters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ListClustersArgs")]
pub struct ListClustersArgs {
    /// The namespace to list. Default: the provider's `namespace`, else the kubeconfig context's, else
    /// `default`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Whether to list all namespaces. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all_namespaces: Option<bool>,
    /// A label selector, in the syntax of `kubectl --selector`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<String>,
}

impl List for Cluster {
    type Query = ListClustersArgs;

    async fn list(
        &self,
        ctx: &Context,
        query: &ListClustersArgs,
        limit: Option<usize>,
    ) -> Result<Vec<Listed>, Failure<()>> {
        let namespace = query.namespace.clone().unwrap_or_else(|| self.session.default_namespace());
        let namespace = (query.all_namespaces != Some(true)).then_some(namespace.as_str());
        let selector = query.label_selector.as_deref().unwrap_or_default();
        let found = objects::list_names(&self.session.api(ctx), Kind::Installation, namespace, selector)
            .await
            .map_err(|error| error.to_failure())?;
        let listed = found.into_iter().map(|object| Listed {
            id: format!("{}/{}", object.namespace.unwrap_or_default(), object.name),
            name: object.name,
        });
        Ok(listed.take(limit.unwrap_or(usize::MAX)).collect())
    }
}
