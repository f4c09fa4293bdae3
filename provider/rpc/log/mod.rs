//! What the user gets to see while a call goes on: lines and status texts for the engine's log.
//!
//! Nothing here is ever waited for by a call but the end of a run: entries go into a queue, a task of its own
//! sends them, and when the engine is gone or slow they are lost, the trace first and warnings last.

mod layer;
mod status_throttle;
mod trace;

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};
use tonic::transport::{Channel, Endpoint};

use super::pb::engine_client::EngineClient;
use super::pb::{LogRequest, LogSeverity};
use crate::resource::{Reporter, Urn};
use status_throttle::StatusThrottle;
use trace::Trace;

pub use layer::forwards;

/// How many entries wait at most for the engine to take them.
const QUEUE_LEN: usize = 8192;

/// How much of the queue is kept for what is more than a trace, and a quarter of it for what is more than a
/// status.
const RESERVED_LEN: usize = QUEUE_LEN / 2;

/// How long the end of a run waits at most for what is in the queue.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the engine may take for one entry.
const ENGINE_TIMEOUT: Duration = Duration::from_secs(5);

/// The engine's log. Cheap to clone; works before there is an engine, whose entries then wait, and without
/// one.
#[derive(Clone)]
pub struct EngineLog(Arc<Inner>);

struct Inner {
    sender: mpsc::Sender<Entry>,
    /// Taken by the task at the first engine.
    receiver: Mutex<Option<mpsc::Receiver<Entry>>>,
    /// Hashes of the lines that were said in this run.
    said: Mutex<HashSet<u64>>,
}

#[derive(Debug)]
enum Entry {
    /// From now on there.
    Engine(String),
    Line {
        severity: LogSeverity,
        urn: String,
        text: String,
    },
    Status {
        urn: String,
        text: String,
    },
    /// Answered once all before it is sent.
    Flush(oneshot::Sender<()>),
}

impl Entry {
    /// How much room it leaves to more important ones.
    fn reserve(&self) -> usize {
        match self {
            Self::Line { severity: LogSeverity::Debug, .. } => RESERVED_LEN,
            Self::Status { .. } => RESERVED_LEN / 4,
            Self::Line { .. } | Self::Engine(_) | Self::Flush(_) => 0,
        }
    }
}

impl Default for EngineLog {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE_LEN);
        Self(Arc::new(Inner { sender, receiver: Mutex::new(Some(receiver)), said: Mutex::default() }))
    }
}

impl EngineLog {
    /// Sends everything from now on, and what waits, to the engine at this `host:port`. Must be called on a
    /// tokio runtime.
    pub fn connect(&self, address: &str) {
        self.0.said.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let receiver = self.0.receiver.lock().unwrap_or_else(PoisonError::into_inner).take();
        match receiver {
            Some(receiver) => _ = tokio::spawn(deliver(receiver, address.to_owned())),
            None => self.put(Entry::Engine(address.to_owned())),
        }
    }

    /// The row of a resource on the display.
    pub(super) fn row(&self, urn: &Urn) -> Arc<dyn Reporter> {
        Arc::new(Row { log: self.clone(), urn: urn.0.clone() })
    }

    /// Adds a line as often as it comes.
    fn line(&self, severity: LogSeverity, urn: String, text: String) {
        self.put(Entry::Line { severity, urn, text });
    }

    /// Adds a line unless the same one was said about the same resource in this run.
    pub(super) fn line_once(&self, severity: LogSeverity, urn: &str, text: &str) {
        let mut hasher = DefaultHasher::new();
        (severity as i32, urn, text).hash(&mut hasher);
        if self.0.said.lock().unwrap_or_else(PoisonError::into_inner).insert(hasher.finish()) {
            self.line(severity, urn.to_owned(), text.to_owned());
        }
    }

    /// Waits until the engine has what is in the queue: a second at most, and not at all where there is no
    /// engine.
    pub(super) async fn flush(&self) {
        if self.0.receiver.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
            return;
        }
        let (done, sent) = oneshot::channel();
        let flushed = async {
            // An engine that is gone misses nothing.
            _ = self.0.sender.send(Entry::Flush(done)).await;
            _ = sent.await;
        };
        _ = timeout(FLUSH_TIMEOUT, flushed).await;
    }

    /// What waits for an engine, as texts; it does not wait any more.
    #[cfg(test)]
    pub(crate) fn take_texts(&self) -> Vec<String> {
        let mut receiver = self.0.receiver.lock().unwrap_or_else(PoisonError::into_inner);
        let entries = std::iter::from_fn(|| receiver.as_mut()?.try_recv().ok());
        let text = |entry| match entry {
            Entry::Line { text, .. } | Entry::Status { text, .. } => Some(text),
            Entry::Engine(_) | Entry::Flush(_) => None,
        };
        entries.filter_map(text).collect()
    }

    fn put(&self, entry: Entry) {
        // Full: the engine is slow or there is none, and then there is nobody to tell.
        if self.0.sender.capacity() > entry.reserve() {
            _ = self.0.sender.try_send(entry);
        }
    }
}

struct Row {
    log: EngineLog,
    urn: String,
}

impl Drop for Row {
    /// A call that is over has no status, however it ended.
    fn drop(&mut self) {
        self.status("");
    }
}

impl Reporter for Row {
    fn status(&self, text: &str) {
        // The display shows one line.
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        self.log.put(Entry::Status { urn: self.urn.clone(), text });
    }

    fn info(&self, text: &str) {
        self.log.line_once(LogSeverity::Info, &self.urn, text);
    }

    fn warn(&self, text: &str) {
        self.log.line_once(LogSeverity::Warning, &self.urn, text);
    }
}

/// Sends what comes, for each resource in its order; status texts no more often than the display can be read,
/// and the trace in few texts.
async fn deliver(mut receiver: mpsc::Receiver<Entry>, address: String) {
    let mut engine = client(&address);
    let (mut statuses, mut trace) = (StatusThrottle::default(), Trace::default());
    loop {
        let due = statuses.next_due().into_iter().chain(trace.next_due()).min();
        tokio::select! {
            entry = receiver.recv() => match entry {
                None => return,
                Some(Entry::Engine(address)) => engine = client(&address),
                Some(Entry::Flush(done)) => {
                    send_trace(engine.as_mut(), trace.take_all()).await;
                    _ = done.send(());
                }
                Some(Entry::Line { severity: LogSeverity::Debug, urn, text }) => {
                    trace.hold(urn, &text, Instant::now());
                }
                Some(Entry::Line { severity, urn, text }) => {
                    send_trace(engine.as_mut(), trace.take(&urn).map(|lines| (urn.clone(), lines))).await;
                    send(engine.as_mut(), severity, urn, text, false).await;
                }
                Some(Entry::Status { urn, text }) => {
                    send_trace(engine.as_mut(), trace.take(&urn).map(|lines| (urn.clone(), lines))).await;
                    if let Some(text) = statuses.offer(&urn, text, Instant::now()) {
                        send(engine.as_mut(), LogSeverity::Info, urn, text, true).await;
                    }
                }
            },
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                let now = Instant::now();
                send_trace(engine.as_mut(), trace.take_due(now)).await;
                for (urn, text) in statuses.take_due(now) {
                    send(engine.as_mut(), LogSeverity::Info, urn, text, true).await;
                }
            }
        }
    }
}

async fn send_trace(
    mut engine: Option<&mut EngineClient<Channel>>,
    trace: impl IntoIterator<Item = (String, String)>,
) {
    for (urn, lines) in trace {
        send(engine.as_deref_mut(), LogSeverity::Debug, urn, lines, false).await;
    }
}

fn client(address: &str) -> Option<EngineClient<Channel>> {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).ok()?;
    Some(EngineClient::new(endpoint.connect_timeout(ENGINE_TIMEOUT).connect_lazy()))
}

async fn send(
    engine: Option<&mut EngineClient<Channel>>,
    severity: LogSeverity,
    urn: String,
    message: String,
    ephemeral: bool,
) {
    let Some(engine) = engine else { return };
    let request = LogRequest { severity: severity.into(), message, urn, stream_id: 0, ephemeral };
    // An engine that is gone misses nothing.
    _ = timeout(ENGINE_TIMEOUT, engine.log(request)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_leaves_room_for_statuses_and_these_for_warnings() {
        let log = EngineLog::default();
        let row = log.row(&Urn("urn".to_owned()));
        for number in 0..2 * QUEUE_LEN {
            log.line(LogSeverity::Debug, String::new(), number.to_string());
        }
        for number in 0..2 * QUEUE_LEN {
            row.status(&number.to_string());
        }
        (0..RESERVED_LEN / 4).for_each(|number| row.warn(&number.to_string()));
        let mut receiver = log.0.receiver.lock().unwrap().take().unwrap();
        let mut found = [0; 3];
        while let Ok(entry) = receiver.try_recv() {
            match entry {
                Entry::Line { severity: LogSeverity::Debug, .. } => found[0] += 1,
                Entry::Status { .. } => found[1] += 1,
                Entry::Line { severity: LogSeverity::Warning, .. } => found[2] += 1,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(found, [QUEUE_LEN - RESERVED_LEN, RESERVED_LEN - RESERVED_LEN / 4, RESERVED_LEN / 4]);
    }
}
