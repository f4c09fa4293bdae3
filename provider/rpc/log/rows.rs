//! The status texts of the resources' rows: which to show now, which to hold back.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

/// How long a status text stays before the next one takes its place.
const PACE: Duration = Duration::from_millis(250);

/// The rows that show something.
#[derive(Debug, Default)]
pub(super) struct Rows(HashMap<String, Row>);

#[derive(Debug)]
struct Row {
    shown: String,
    since: Instant,
    waiting: Option<String>,
}

impl Rows {
    /// Takes a new text for a row; gives it back if it is to be shown at once. An empty one clears the row, and is shown at once if
    /// there is something to clear.
    pub(super) fn offer(&mut self, urn: &str, text: String, now: Instant) -> Option<String> {
        if text.is_empty() {
            return self.0.remove(urn).map(|_| text);
        }
        match self.0.get_mut(urn) {
            None => {
                self.0.insert(urn.to_owned(), Row { shown: text.clone(), since: now, waiting: None });
                Some(text)
            }
            Some(row) if row.shown == text => {
                row.waiting = None;
                None
            }
            Some(row) if now < row.since + PACE => {
                row.waiting = Some(text);
                None
            }
            Some(row) => {
                *row = Row { shown: text.clone(), since: now, waiting: None };
                Some(text)
            }
        }
    }

    /// When the next text that was held back is to be shown.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.0.values().filter(|row| row.waiting.is_some()).map(|row| row.since + PACE).min()
    }

    /// The texts whose time has come.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<(String, String)> {
        self.0
            .iter_mut()
            .filter(|(_, row)| row.since + PACE <= now)
            .filter_map(|(urn, row)| {
                let text = row.waiting.take()?;
                row.shown.clone_from(&text);
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
        let mut rows = Rows::default();
        let start = Instant::now();
        assert_eq!(rows.offer(URN, "1/3".into(), start).as_deref(), Some("1/3"));
        assert_eq!(rows.offer(URN, "2/3".into(), start), None);
        assert_eq!(rows.offer(URN, "3/3".into(), start), None);
        assert_eq!(rows.next_due(), Some(start + PACE));
        assert!(rows.take_due(start + PACE / 2).is_empty());
        assert_eq!(rows.take_due(start + PACE), [(URN.to_owned(), "3/3".to_owned())]);
        assert_eq!(rows.next_due(), None);
    }

    #[test]
    fn a_text_that_is_shown_already_is_not_shown_again() {
        let mut rows = Rows::default();
        let start = Instant::now();
        rows.offer(URN, "waiting".into(), start);
        assert_eq!(rows.offer(URN, "waiting".into(), start + 2 * PACE), None);
        rows.offer(URN, "other".into(), start);
        assert_eq!(rows.offer(URN, "waiting".into(), start), None);
        assert_eq!(rows.next_due(), None, "the text went back to what is shown");
    }

    #[test]
    fn clearing_drops_what_was_held_back_and_happens_once() {
        let mut rows = Rows::default();
        let start = Instant::now();
        rows.offer(URN, "a".into(), start);
        rows.offer(URN, "b".into(), start);
        assert_eq!(rows.offer(URN, String::new(), start).as_deref(), Some(""));
        assert_eq!(rows.next_due(), None);
        assert_eq!(rows.offer(URN, String::new(), start), None);
    }

    #[test]
    fn rows_do_not_hold_each_other_back() {
        let mut rows = Rows::default();
        let start = Instant::now();
        assert!(rows.offer("a", "x".into(), start).is_some());
        assert!(rows.offer("b", "x".into(), start).is_some());
    }
}
