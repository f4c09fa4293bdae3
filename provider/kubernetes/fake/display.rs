//! The other side of a call: what the user would have seen.

use std::sync::{Arc, Mutex};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::resource::{Context, Reporter, Urn};

/// What the user would have seen.
#[derive(Default)]
pub(crate) struct Display {
    pub(crate) statuses: Mutex<Vec<String>>,
    pub(crate) infos: Mutex<Vec<String>>,
    pub(crate) warnings: Mutex<Vec<String>>,
}

impl Reporter for Display {
    fn status(&self, text: &str) {
        self.statuses.lock().unwrap().push(text.to_owned());
    }

    fn info(&self, text: &str) {
        self.infos.lock().unwrap().push(text.to_owned());
    }

    fn warn(&self, text: &str) {
        self.warnings.lock().unwrap().push(text.to_owned());
    }
}

impl Display {
    pub(crate) fn infos(&self) -> Vec<String> {
        self.infos.lock().unwrap().clone()
    }

    pub(crate) fn warnings(&self) -> Vec<String> {
        self.warnings.lock().unwrap().clone()
    }

    /// The status line as it stands now.
    pub(crate) fn last_status(&self) -> String {
        self.statuses.lock().unwrap().last().cloned().unwrap_or_default()
    }
}

/// A call's context with a display to look at.
pub(crate) fn context() -> (Context, Arc<Display>) {
    let display = Arc::new(Display::default());
    let urn = Urn("urn:pulumi:dev::shop::clickhouse:kubernetes:Cluster::db".to_owned());
    (
        Context {
            urn,
            cancel: CancellationToken::new(),
            started: Instant::now(),
            timeout: None,
            report: display.clone(),
        },
        display,
    )
}
