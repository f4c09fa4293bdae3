//! The way from the provider's processes to the API server: what they ask for is noted here, and what goes
//! wrong at it is known here.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde_json::Value;
use tokio::time::Instant;

use super::faults::{A_WHILE, Fault};
use super::hands::Deed;
use crate::kubernetes::fake::Fake;

/// How many users there are, each with a process of the provider at a time.
pub(super) const USERS: usize = 2;

/// A request of the provider.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) body: Value,
    /// Whether it is dropped: the provider never sends it, and goes on as if all were well.
    pub(super) is_dropped: bool,
}

impl Message {
    /// Whether it is to change something.
    pub(super) fn is_write(&self) -> bool {
        self.method != "GET" && !self.query.contains("dryRun")
    }

    pub(super) fn is_watch(&self) -> bool {
        self.query.contains("watch=true")
    }

    /// Whether it makes an object that is not there, or tries to.
    pub(super) fn makes(&self, api: &Fake) -> bool {
        self.method == "POST" || (self.method == "PATCH" && api.at(&self.path).is_none())
    }

    /// What a role has to allow: the verb, and the collection.
    fn right(&self) -> (&'static str, String) {
        let depth = if self.path.starts_with("/apis/") { 7 } else { 6 };
        let parts: Vec<_> = self.path.split('/').collect();
        let is_namespaced = parts.len() >= depth && parts[depth - 3] == "namespaces";
        let collection = depth - if is_namespaced { 0 } else { 2 };
        let verb = match self.method.as_str() {
            "PATCH" => "patch",
            "POST" => "create",
            "DELETE" => "delete",
            _ if self.is_watch() => "watch",
            _ if parts.len() > collection => "get",
            _ => "list",
        };
        (verb, parts[..collection.min(parts.len())].join("/"))
    }
}

#[derive(Default)]
pub(super) struct Gate {
    /// How many requests the provider has sent.
    sent: usize,
    faults: Vec<(usize, Fault)>,
    /// How many processes there were.
    started: u64,
    /// The process of each user that lives; those before it are dead.
    alive: [u64; USERS],
    pub(super) down_until: Option<Instant>,
    /// How many requests of each user changed something, if they came through.
    pub(super) wrote: [usize; USERS],
    log: DefaultHasher,
    pub(super) lines: Vec<String>,
    /// Every body that was sent to write something else than a Secret.
    pub(super) told: Vec<String>,
    pub(super) served_since: Option<Instant>,
    /// When everything that was wanted served last.
    pub(super) served_last: Option<Instant>,
    forbidden: Option<(&'static str, String, Instant)>,
    /// Until when what watches tell is held back.
    pub(super) late_until: Option<Instant>,
    /// Whether the next process is led to another Kubernetes cluster.
    pub(super) is_diverted: bool,
    /// The processes that were.
    elsewhere: BTreeSet<u64>,
    /// The unique ids of the objects of which each user's state knows, by their paths.
    pub(super) known: [BTreeMap<String, String>; USERS],
    /// What somebody else has done.
    pub(super) deeds: Vec<Deed>,
    /// What the provider has done with what is not its own.
    pub(super) wrong: Vec<String>,
}

impl Gate {
    /// One to which so many requests came before, and at which these faults happen, each at the request of that
    /// number.
    pub(super) fn new(sent: usize, faults: Vec<(usize, Fault)>) -> Self {
        Self { sent, faults, ..Self::default() }
    }

    pub(super) fn note_served(&mut self, is_served: bool) {
        if is_served || self.served_since.is_some() {
            self.served_last = Some(Instant::now());
        }
        self.served_since = is_served.then(|| self.served_since.unwrap_or_else(Instant::now));
    }

    /// A user's new process, in the place of the one before it. `is_settled` says that the state has a
    /// cluster: only then the Kubernetes cluster can be known for another one.
    pub(super) fn start(&mut self, user: usize, is_settled: bool) {
        self.started += 1;
        self.alive[user] = self.started;
        self.known[user].clear();
        if is_settled && std::mem::take(&mut self.is_diverted) {
            self.elsewhere.insert(self.started);
        }
    }

    pub(super) fn process(&self, user: usize) -> u64 {
        self.alive[user]
    }

    /// Ends a process, if it lives.
    pub(super) fn kill(&mut self, user: usize, process: u64) {
        if self.alive[user] == process {
            self.started += 1;
            self.alive[user] = self.started;
        }
    }

    pub(super) fn is_elsewhere(&self, process: u64) -> bool {
        self.elsewhere.contains(&process)
    }

    /// What goes wrong at the next request, and whether the server is away.
    pub(super) fn next(&mut self) -> (Option<Fault>, bool) {
        let number = self.sent;
        self.sent += 1;
        let fault = self.faults.iter().find(|(at, _)| *at == number).map(|(_, fault)| *fault);
        (fault, self.down_until.is_some())
    }

    pub(super) fn number(&self) -> usize {
        self.sent
    }

    /// Takes note of a request.
    pub(super) fn note(&mut self, user: usize, message: &Message, bytes: &[u8], milliseconds: u128) {
        (milliseconds, message.method.as_str(), &message.path, &message.query, bytes).hash(&mut self.log);
        self.lines.push(format!("{milliseconds} {} {}?{}", message.method, message.path, message.query));
        self.wrote[user] += usize::from(message.is_write());
        if !bytes.is_empty() && !message.path.contains("/secrets") {
            self.told.push(String::from_utf8_lossy(bytes).into_owned());
        }
    }

    pub(super) fn fingerprint(&self) -> u64 {
        self.log.finish()
    }

    /// Takes the right away that a request needs, for a while.
    pub(super) fn forbid(&mut self, message: &Message) {
        let (verb, collection) = message.right();
        self.forbidden = Some((verb, collection, Instant::now() + A_WHILE));
    }

    /// Why a request is forbidden, if it is.
    pub(super) fn refusal(&self, message: &Message) -> Option<String> {
        let (verb, collection, until) = self.forbidden.as_ref()?;
        let plural = collection.rsplit('/').next().unwrap_or_default();
        let is_meant = message.right() == (*verb, collection.clone()) && Instant::now() < *until;
        is_meant
            .then(|| format!("{plural} is forbidden: User \"deployer\" cannot {verb} resource \"{plural}\""))
    }

    /// Has everything be allowed again, and nothing go wrong any more.
    pub(super) fn heal(&mut self) {
        self.faults.clear();
        (self.forbidden, self.late_until, self.is_diverted) = (None, None, false);
    }

    /// Whether nothing goes wrong, now or later.
    pub(super) fn is_at_peace(&self) -> bool {
        let is_over = |until: Option<Instant>| until.is_none_or(|until| until <= Instant::now());
        self.faults.iter().all(|(at, _)| *at < self.sent)
            && self.down_until.is_none()
            && is_over(self.late_until)
            && is_over(self.forbidden.as_ref().map(|(.., until)| *until))
            && !self.is_diverted
    }

    /// What the provider would do wrong with a request, if it is granted: write what is not the object that
    /// the state knows.
    pub(super) fn misdeed(&self, user: usize, message: &Message, live: Option<&Value>) -> Option<String> {
        let known = self.known[user].get(&message.path).filter(|_| message.is_write())?;
        let there = live?["metadata"]["uid"].as_str()?;
        (there != known)
            .then(|| format!("{} {} is granted, though another one is there", message.method, message.path))
    }
}

#[test]
fn a_right_is_a_verb_with_a_collection() {
    let right = |method: &str, path: &str, query: &str| {
        let message = Message {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            body: Value::Null,
            is_dropped: false,
        };
        message.right()
    };
    let secrets = "/api/v1/namespaces/apps/secrets";
    assert_eq!(right("GET", &format!("{secrets}/db"), ""), ("get", secrets.to_owned()));
    assert_eq!(right("GET", secrets, ""), ("list", secrets.to_owned()));
    assert_eq!(right("GET", secrets, "watch=true"), ("watch", secrets.to_owned()));
    let namespaces = "/api/v1/namespaces";
    assert_eq!(right("PATCH", &format!("{namespaces}/own"), ""), ("patch", namespaces.to_owned()));
    let sets = "/apis/apps/v1/namespaces/apps/statefulsets";
    assert_eq!(right("DELETE", &format!("{sets}/db"), ""), ("delete", sets.to_owned()));
}
