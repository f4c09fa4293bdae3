//! The trace of the resources: held for a moment, so that what one of them traces goes to the engine as one
//! text. A request for each line costs more than what the lines are about.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

/// How long a line is held at most.
const TRACE_INTERVAL: Duration = Duration::from_millis(500);

/// The lines that are held, by URN.
#[derive(Debug, Default)]
pub(super) struct Trace {
    lines: HashMap<String, String>,
    /// Since when the oldest of them is.
    since: Option<Instant>,
}

impl Trace {
    /// Takes a line of a resource.
    pub(super) fn hold(&mut self, urn: String, line: &str, now: Instant) {
        self.since.get_or_insert(now);
        let lines = self.lines.entry(urn).or_default();
        if !lines.is_empty() {
            lines.push('\n');
        }
        lines.push_str(line);
    }

    /// The lines of one resource: before anything else is said of it, and at the end of a call.
    pub(super) fn take(&mut self, urn: &str) -> Option<String> {
        self.lines.remove(urn)
    }

    /// When the lines are to be sent.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.since.map(|since| since + TRACE_INTERVAL)
    }

    /// All lines, if their time has come.
    pub(super) fn take_due(&mut self, now: Instant) -> HashMap<String, String> {
        if self.next_due().is_some_and(|due| due <= now) { self.take_all() } else { HashMap::new() }
    }

    /// All lines.
    pub(super) fn take_all(&mut self) -> HashMap<String, String> {
        self.since = None;
        std::mem::take(&mut self.lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_one_resource_are_one_text_which_waits_for_nothing_but_its_time() {
        let mut trace = Trace::default();
        let start = Instant::now();
        trace.hold("a".into(), "one", start);
        trace.hold("b".into(), "other", start + TRACE_INTERVAL / 2);
        trace.hold("a".into(), "two", start + TRACE_INTERVAL / 2);
        assert_eq!(trace.next_due(), Some(start + TRACE_INTERVAL));
        assert!(trace.take_due(start).is_empty());
        assert_eq!((trace.take("a").as_deref(), trace.take("a")), (Some("one\ntwo"), None));
        let due = trace.take_due(start + TRACE_INTERVAL);
        assert_eq!(due, HashMap::from([("b".to_owned(), "other".to_owned())]));
        assert_eq!(trace.next_due(), None);
    }
}
