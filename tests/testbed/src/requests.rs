//! Which requests the API server got, by its own record of them.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{BufRead as _, BufReader, ErrorKind, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Deserialize;

/// A way in which an object, or a collection, was asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Request {
    /// `get`, `list`, `watch`, `patch`, `delete` …
    pub verb: String,
    /// The resource in the plural, as in a URL: `secrets`. Empty for what is no resource, as `/version`.
    pub resource: String,
    /// The namespace; `None` for what has none, and for a collection over all of them.
    pub namespace: Option<String>,
    /// Whether nothing was to be changed.
    pub dry_run: bool,
}

/// How often what was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requests(pub BTreeMap<Request, usize>);

impl Requests {
    /// How many there were.
    pub fn total(&self) -> usize {
        self.0.values().sum()
    }

    /// How many there were of one verb and resource, whatever else they said.
    pub fn of(&self, verb: &str, resource: &str) -> usize {
        self.0
            .iter()
            .filter(|(request, _)| request.verb == verb && request.resource == resource)
            .map(|(_, count)| count)
            .sum()
    }
}

impl fmt::Display for Requests {
    /// `patch secrets 3, patch services 3`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (Request { verb, resource, dry_run, .. }, count)) in self.0.iter().enumerate() {
            let separator = if index > 0 { ", " } else { "" };
            let dry = if *dry_run { " (dry run)" } else { "" };
            write!(f, "{separator}{verb} {resource}{dry} {count}")?;
        }
        Ok(())
    }
}

/// Reads the record, from one moment to the next.
#[derive(Debug)]
pub struct Counter {
    record: PathBuf,
    read: u64,
}

impl Counter {
    /// Begins at the record's start.
    pub fn new(record: &Path) -> Self {
        Self { record: record.to_owned(), read: 0 }
    }

    /// What came since the last call. A request that was answered is in it.
    pub fn take(&mut self) -> Result<Requests> {
        let mut requests = Requests::default();
        let mut file = match File::open(&self.record) {
            // Nothing was asked for yet.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(requests),
            opened => opened.with_context(|| format!("failed to open `{}`", self.record.display()))?,
        };
        file.seek(SeekFrom::Start(self.read))?;
        let mut lines = BufReader::new(file);
        let mut line = String::new();
        loop {
            line.clear();
            let length = lines.read_line(&mut line)?;
            // A line without its end is still being written.
            if !line.ends_with('\n') {
                return Ok(requests);
            }
            self.read += u64::try_from(length)?;
            let event: Event = serde_json::from_str(&line)
                .with_context(|| format!("failed to read the record's line {line:?}"))?;
            *requests.0.entry(event.request()).or_default() += 1;
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    verb: String,
    #[serde(rename = "requestURI")]
    request_uri: String,
    #[serde(default)]
    object_ref: Reference,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Reference {
    resource: String,
    subresource: String,
    namespace: String,
}

impl Event {
    fn request(self) -> Request {
        let Reference { resource, subresource, namespace } = self.object_ref;
        Request {
            verb: self.verb,
            resource: if subresource.is_empty() { resource } else { format!("{resource}/{subresource}") },
            namespace: Some(namespace).filter(|namespace| !namespace.is_empty()),
            dry_run: self.request_uri.contains("dryRun="),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn line(verb: &str, query: &str) -> String {
        let object = r#"{"resource":"secrets","namespace":"a","name":"b"}"#;
        let place = format!("/api/v1/namespaces/a/secrets/b{query}");
        let event = r#""kind":"Event","stage":"RequestReceived""#;
        format!(r#"{{{event},"requestURI":"{place}","verb":"{verb}","objectRef":{object}}}"#) + "\n"
    }

    #[test]
    fn each_line_is_counted_once_and_only_when_it_is_whole() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let mut counter = Counter::new(file.path());
        let last = line("get", "");
        file.write_all(
            format!("{}{}{}", line("patch", "?dryRun=All"), line("patch", ""), &last[..9]).as_bytes(),
        )
        .unwrap();
        assert_eq!(counter.take().unwrap().to_string(), "patch secrets 1, patch secrets (dry run) 1");
        assert_eq!(counter.take().unwrap().total(), 0);
        file.write_all(&last.as_bytes()[9..]).unwrap();
        assert_eq!(counter.take().unwrap().of("get", "secrets"), 1);
    }

    #[test]
    fn a_record_that_is_not_there_yet_is_empty() {
        assert_eq!(Counter::new(Path::new("/nowhere/requests.log")).take().unwrap(), Requests::default());
    }
}
