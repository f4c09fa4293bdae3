//! Waiting for what a test expects, and recording how it came.

use std::fmt::Debug;
use std::time::Duration;

use anyhow::{Result, bail};
use futures::StreamExt as _;
use kube::api::DynamicObject;
use kube::runtime::wait::await_condition;
use kube::runtime::watcher::watch_object;
use kube::{Api, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long a test waits for anything.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// Waits until `condition` holds of the object, which is `None` while it does not exist.
///
/// Fails after [`PATIENCE`], and shows `what` was waited for and what the object was then.
pub async fn wait_for<K>(
    api: &Api<K>,
    name: &str,
    what: &str,
    condition: impl Fn(Option<&K>) -> bool,
) -> Result<Option<K>>
where
    K: kube::Resource + Clone + Debug + DeserializeOwned + Serialize + Send + 'static,
{
    let waited =
        tokio::time::timeout(PATIENCE, Box::pin(await_condition(api.clone(), name, condition))).await;
    let Ok(object) = waited else {
        let mut object = api.get_opt(name).await?;
        if let Some(object) = &mut object {
            object.managed_fields_mut().clear();
        }
        bail!("`{name}` was not {what} after {PATIENCE:?}; it is {}", serde_json::to_string_pretty(&object)?);
    };
    Ok(object?)
}

/// Waits until the status of a custom resource meets `condition`.
///
/// Fails as [`wait_for`] does.
pub async fn wait_for_status(
    api: &Api<DynamicObject>,
    name: &str,
    what: &str,
    condition: impl Fn(&Value) -> bool,
) -> Result<Value> {
    let meets =
        |object: Option<&DynamicObject>| object.is_some_and(|object| condition(&object.data["status"]));
    let object = wait_for(api, name, what, meets).await?;
    Ok(object.map(|object| object.data["status"].clone()).unwrap_or_default())
}

/// Every version of one object that a watch shows, from now on.
pub struct Recording {
    seen: watch::Receiver<Vec<Option<DynamicObject>>>,
    task: JoinHandle<()>,
}

impl Recording {
    /// Begins.
    pub fn start(api: Api<DynamicObject>, name: &str) -> Self {
        let (sender, seen) = watch::channel(Vec::new());
        let name = name.to_owned();
        let task = tokio::spawn(async move {
            let mut versions = std::pin::pin!(watch_object(api, &name));
            while let Some(version) = versions.next().await {
                if let Ok(version) = version {
                    sender.send_modify(|seen| seen.push(version));
                }
            }
        });
        Self { seen, task }
    }

    /// Waits until the newest version that was seen meets `condition`; it is `None` while the object does not
    /// exist.
    ///
    /// Fails after [`PATIENCE`].
    pub async fn until(&mut self, condition: impl Fn(Option<&DynamicObject>) -> bool) -> Result<()> {
        let waited = tokio::time::timeout(
            PATIENCE,
            self.seen.wait_for(|seen| seen.last().is_some_and(|last| condition(last.as_ref()))),
        )
        .await;
        if waited.is_err() {
            bail!("what was to be recorded did not come within {PATIENCE:?}");
        }
        Ok(())
    }

    /// What was seen so far, oldest first; `None` where the object was gone.
    pub fn versions(&self) -> Vec<Option<DynamicObject>> {
        self.seen.borrow().clone()
    }

    /// The values of one field of the status, without repetitions.
    pub fn statuses(&self, field: &str) -> Vec<Value> {
        let mut values: Vec<Value> = self
            .versions()
            .into_iter()
            .flatten()
            .map(|object| object.data["status"][field].clone())
            .collect();
        values.dedup();
        values
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.task.abort();
    }
}
