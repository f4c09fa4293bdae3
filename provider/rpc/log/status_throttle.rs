//! The status lines of the resources: which to show now, which to hold back. The one place that throttles
//! them.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

/// How long a status text stays before the next one takes its place.
const STATUS_INTERVAL: Duration = Duration::from_millis(250);

/// The resources that show a status, by URN.
#[derive(Debug, Default)]
pub(super) struct StatusThrottle(HashMap<String, Shown>);

#[derive(Debug)]
struct Shown {
    line: String,
    since: Instant,
    waiting: Option<String>,
}

impl StatusThrottle {
    /// Takes a new text for a row; gives it back if it is to be shown at once. An empty one clears the row,
    /// and is shown at once if there is something to clear.
    pub(super) fn offer(&mut self, urn: &str, text: String, now: Instant) -> Option<String> {
        if text.is_empty() {
            return self.0.remove(urn).map(|_| text);
        }
        match self.0.get_mut(urn) {
            None => {
                self.0.insert(urn.to_owned(), Shown { line: text.clone(), since: now, waiting: None });
                Some(text)
            }
            Some(row) if row.line == text => {
                row.waiting = None;
                None
            }
            Some(row) if now < row.since + STATUS_INTERVAL => {
                row.waiting = Some(text);
                None
            }
            Some(row) => {
                *row = Shown { line: text.clone(), since: now, waiting: None };
                Some(text)
            }
        }
    }

    /// When the next text that was held back is to be shown.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.0.values().filter(|row| row.waiting.is_some()).map(|row| row.since + STATUS_INTERVAL).min()
    }

    /// The texts whose time has come.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<(String, String)> {
        self.0
            .iter_mut()
            .filter(|(_, row)| row.since + STATUS_INTERVAL <= now)
            .filter_map(|(urn, row)| {
                let text = row.waiting.take()?;
                row.line.clone_from(&text);
                row.since = now;
                Some((urn.clone(), text))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URN: &str = "urn";

    #[test]
    fn the_first_text_shows_at_once_and_the_newest_of_the_following_after_a_while() {
        let mut statuses = StatusThrottle::default();
        let start = Instant::now();
        assert_eq!(statuses.offer(URN, "1/3".into(), start).as_deref(), Some("1/3"));
        assert_eq!(statuses.offer(URN, "2/3".into(), start), None);
        assert_eq!(statuses.offer(URN, "3/3".into(), start), None);
        assert_eq!(statuses.next_due(), Some(start + STATUS_INTERVAL));
        assert!(statuses.take_due(start + STATUS_INTERVAL / 2).is_empty());
        assert_eq!(statuses.take_due(start + STATUS_INTERVAL), [(URN.to_owned(), "3/3".to_owned())]);
        assert_eq!(statuses.next_due(), None);
    }

    #[test]
    fn a_text_that_is_shown_already_is_not_shown_again() {
        let mut statuses = StatusThrottle::default();
        let start = Instant::now();
        statuses.offer(URN, "waiting".into(), start);
        assert_eq!(statuses.offer(URN, "waiting".into(), start + 2 * STATUS_INTERVAL), None);
        statuses.offer(URN, "other".into(), start);
        assert_eq!(statuses.offer(URN, "waiting".into(), start), None);
        assert_eq!(statuses.next_due(), None, "the text went back to what is shown");
    }

    #[test]
    fn clearing_drops_what_was_held_back_and_happens_once() {
        let mut statuses = StatusThrottle::default();
        let start = Instant::now();
        statuses.offer(URN, "a".into(), start);
        statuses.offer(URN, "b".into(), start);
        assert_eq!(statuses.offer(URN, String::new(), start).as_deref(), Some(""));
        assert_eq!(statuses.next_due(), None);
        assert_eq!(statuses.offer(URN, String::new(), start), None);
    }

    #[test]
    fn rows_do_not_hold_each_other_back() {
        let mut statuses = StatusThrottle::default();
        let start = Instant::now();
        assert!(statuses.offer("a", "x".into(), start).is_some());
        assert!(statuses.offer("b", "x".into(), start).is_some());
    }
}
