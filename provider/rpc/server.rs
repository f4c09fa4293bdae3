//! What is served, and what holds from one call to the next: the configuration, the log, the user's Ctrl-C.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::log::EngineLog;
use crate::config::ProviderArgs;
use crate::resource::registry::Registry;
use crate::resource::{Context, Urn};
use crate::schema::convert::ConvertError;

/// The package that is served.
#[derive(Debug, Clone, Copy)]
pub struct Package {
    /// The version of the plugin.
    pub version: &'static str,
    /// Makes the schema.
    pub schema: fn() -> Result<serde_json::Value, ConvertError>,
    /// Makes what can be called under a configuration. Must do no I/O.
    pub registry: fn(&ProviderArgs) -> Registry,
}

/// Serves a package to Pulumi.
pub struct Server {
    pub(super) package: Package,
    pub(super) log: EngineLog,
    run: Mutex<Run>,
}

/// What holds from one configuration to the next.
struct Run {
    registry: Arc<Registry>,
    cancel: CancellationToken,
}

impl Server {
    /// A server that is not configured yet, which is the same as configured with nothing.
    pub(crate) fn new(package: Package, log: EngineLog) -> Self {
        let registry = Arc::new((package.registry)(&ProviderArgs::default()));
        Self { package, log, run: Mutex::new(Run { registry, cancel: CancellationToken::new() }) }
    }

    /// Uses this configuration from now on. Calls that are under way keep the one that they began with.
    pub(super) fn configure(&self, args: &ProviderArgs) {
        let registry = Arc::new((self.package.registry)(args));
        let mut run = self.run.lock().unwrap_or_else(PoisonError::into_inner);
        run.registry = registry;
        if run.cancel.is_cancelled() {
            run.cancel = CancellationToken::new();
        }
    }

    /// Starts again after a cancel: a process that an engine attaches to lives longer than one run.
    pub(super) fn resume(&self) {
        let mut run = self.run.lock().unwrap_or_else(PoisonError::into_inner);
        if run.cancel.is_cancelled() {
            run.cancel = CancellationToken::new();
        }
    }

    pub(super) fn cancel_all(&self) {
        self.run.lock().unwrap_or_else(PoisonError::into_inner).cancel.cancel();
    }

    pub(super) fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.run.lock().unwrap_or_else(PoisonError::into_inner).registry)
    }

    /// What a call about `urn` brings along. Pulumi writes no timeout as 0.
    pub(super) fn context(&self, urn: &str, timeout: f64) -> Context {
        let urn = Urn(urn.to_owned());
        let cancel = self.run.lock().unwrap_or_else(PoisonError::into_inner).cancel.clone();
        let timeout = Duration::try_from_secs_f64(timeout).ok().filter(|timeout| !timeout.is_zero());
        let report = self.log.row(&urn);
        Context { urn, cancel, started: Instant::now(), timeout, report }
    }
}
