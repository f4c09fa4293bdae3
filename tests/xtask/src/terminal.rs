//! What the commands print.

use std::io::{IsTerminal as _, Write as _};

/// Prints a line.
pub(crate) fn say(text: &str) {
    // Nobody listens any more: then there is nobody to tell.
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Prints a line that stands out.
pub(crate) fn heading(text: &str) {
    if std::io::stdout().is_terminal() { say(&format!("\x1b[1m{text}\x1b[0m")) } else { say(text) }
}

/// Prints what went wrong.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
