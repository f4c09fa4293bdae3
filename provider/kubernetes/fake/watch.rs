//! Watches: what happened to objects since a revision, as it happens.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::kept::Kept;
use super::place::Place;
use super::select::Selection;

/// What became of one object.
struct Event {
    revision: u64,
    before: Option<Arc<Kept>>,
    after: Option<Arc<Kept>>,
}

/// One that is open.
struct Watch {
    selection: Selection,
    lines: UnboundedSender<String>,
}

/// Everything that happened, for watches that begin in the past, and who is told what happens.
#[derive(Default)]
pub(super) struct Events {
    history: Vec<Event>,
    /// The last revision after which everything is remembered.
    forgotten: u64,
    open: Vec<Watch>,
}

impl Event {
    /// What a watch is told of it: an object that comes into its selection is a new one to it.
    fn line(&self, selection: &Selection) -> Option<String> {
        let had = self.before.as_ref().is_some_and(|object| selection.has(object));
        let has = self.after.as_ref().is_some_and(|object| selection.has(object));
        let kind = match (had, has) {
            (false, true) => "ADDED",
            (true, true) => "MODIFIED",
            (true, false) => "DELETED",
            (false, false) => return None,
        };
        let Some(after) = &self.after else {
            let mut last = Value::clone(self.before.as_ref()?);
            last["metadata"]["resourceVersion"] = json!(self.revision.to_string());
            return Some(format!(r#"{{"type":"{kind}","object":{last}}}"#));
        };
        let after = after.text();
        let after = std::str::from_utf8(&after).unwrap();
        Some(format!(r#"{{"type":"{kind}","object":{after}}}"#))
    }
}

impl Events {
    pub(super) fn record(&mut self, revision: u64, before: Option<Arc<Kept>>, after: Option<Arc<Kept>>) {
        let event = Event { revision, before, after };
        self.open
            .retain(|watch| event.line(&watch.selection).is_none_or(|line| watch.lines.send(line).is_ok()));
        self.history.push(event);
    }

    /// Opens a watch that begins after `since`.
    pub(super) fn open(&mut self, selection: Selection, since: u64) -> UnboundedReceiver<String> {
        let (lines, events) = unbounded_channel();
        if since < self.forgotten {
            lines.send(expired().to_string()).unwrap();
            return events;
        }
        let later = &self.history[self.history.partition_point(|event| event.revision <= since)..];
        later.iter().filter_map(|event| event.line(&selection)).for_each(|line| lines.send(line).unwrap());
        self.open.push(Watch { selection, lines });
        events
    }

    /// Ends all watches, after a last line where there is one.
    pub(super) fn end(&mut self, last: Option<&Value>) {
        for watch in self.open.drain(..) {
            if let Some(last) = last {
                let _ = watch.lines.send(last.to_string());
            }
        }
    }

    /// Forgets what happened until now: positions from before it are too old.
    pub(super) fn forget(&mut self, revision: u64) {
        self.history.clear();
        self.forgotten = revision;
    }

    /// How many watches somebody still reads.
    pub(super) fn count(&self) -> usize {
        self.open.iter().filter(|watch| !watch.lines.is_closed()).count()
    }
}

/// What a watch is told whose position is too old.
pub(super) fn expired() -> Value {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "too \
        old", "reason": "Expired", "code": 410});
    json!({"type": "ERROR", "object": status})
}

/// What a watch is told now and then, so that it knows where it is.
pub(super) fn bookmark(place: &Place, revision: u64) -> Value {
    let object = json!({"kind": place.kind.name(), "apiVersion": place.kind.api_version(),
        "metadata": {"resourceVersion": revision.to_string()}});
    json!({"type": "BOOKMARK", "object": object})
}
