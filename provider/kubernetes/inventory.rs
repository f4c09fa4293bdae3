//! What a Kubernetes cluster as a whole has: operators, storage classes. Looked up once for all who ask
//! within a moment.

use std::future::Future;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::kubernetes::client::Api;
use crate::kubernetes::meta::Kind;
use crate::kubernetes::objects;

/// How long an answer is good for others, too.
const CACHE_FOR: Duration = Duration::from_secs(10);

/// The labels of the operator's Deployment: of the manifest, and of the Helm charts.
const OPERATORS: [&str; 2] = [
    "app=clickhouse-operator",
    "app.kubernetes.io/name in (altinity-clickhouse-operator,clickhouse-operator)",
];

/// By which annotation a storage class says that it is the default one; the second is of old clusters.
const DEFAULT_CLASS: [&str; 2] =
    ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];

/// What a session has looked up. `None` stands for what may not be read.
#[derive(Default)]
struct Inventory {
    operators: Memo<Option<Vec<String>>>,
    classes: Memo<Option<Vec<StorageClass>>>,
}

/// A storage class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StorageClass {
    pub(crate) name: String,
    /// Whether claims that name no class get it.
    pub(crate) is_default: bool,
    /// Whether its volumes can grow.
    pub(crate) expands: bool,
}

/// The namespaces with the Deployment of an operator. Two requests at most.
pub(crate) async fn operators(api: &Api) -> Option<Vec<String>> {
    let lookup = async {
        for selector in OPERATORS {
            let found = objects::list_names(api, Kind::Deployment, None, selector).await.ok()?;
            if !found.is_empty() {
                return Some(found.into_iter().filter_map(|object| object.namespace).collect());
            }
        }
        Some(Vec::new())
    };
    api.session().kept::<Inventory>().operators.get(Box::pin(lookup)).await
}

/// The storage classes, by name. One request.
pub(crate) async fn storage_classes(api: &Api) -> Option<Vec<StorageClass>> {
    let lookup = async { objects::list(api, Kind::StorageClass, None, "", storage_class).await.ok() };
    api.session().kept::<Inventory>().classes.get(Box::pin(lookup)).await
}

fn storage_class(object: &Value) -> Option<StorageClass> {
    let annotations = &object["metadata"]["annotations"];
    Some(StorageClass {
        name: object["metadata"]["name"].as_str()?.to_owned(),
        is_default: DEFAULT_CLASS.iter().any(|annotation| annotations[annotation] == "true"),
        expands: object["allowVolumeExpansion"] == true,
    })
}

/// An answer, and when it was had. Who asks while another does waits for the same answer.
struct Memo<T>(Mutex<Option<(Instant, T)>>);

impl<T> Default for Memo<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T: Clone> Memo<T> {
    async fn get(&self, lookup: impl Future<Output = T>) -> T {
        let mut known = self.0.lock().await;
        if let Some((_, answer)) = known.as_ref().filter(|(at, _)| at.elapsed() < CACHE_FOR) {
            return answer.clone();
        }
        let answer = lookup.await;
        *known = Some((Instant::now(), answer.clone()));
        answer
    }
}
