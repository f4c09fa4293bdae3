//! What a watch knows.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;

use super::{EVERYBODY, Scope};
use crate::kubernetes::error::Error;
use crate::kubernetes::observe::Watched;

/// All objects that a watch knows, in the groups that subscribers are told about.
pub(super) struct Store<K> {
    pub(super) groups: BTreeMap<String, Group<K>>,
    /// When the newest complete list was asked for.
    pub(super) listed: Option<Instant>,
    /// The newest revision seen.
    pub(super) revision: u64,
    pub(super) trouble: Option<Error>,
}

impl<K> Default for Store<K> {
    fn default() -> Self {
        Self { groups: BTreeMap::new(), listed: None, revision: 0, trouble: None }
    }
}

pub(super) struct Group<K> {
    pub(super) objects: BTreeMap<String, Arc<K>>,
    pub(super) changed: watch::Sender<()>,
}

impl<K: Watched> Store<K> {
    pub(super) fn group(&mut self, name: &str) -> &mut Group<K> {
        self.groups
            .entry(name.to_owned())
            .or_insert_with(|| Group { objects: BTreeMap::new(), changed: watch::Sender::new(()) })
    }

    pub(super) fn put(&mut self, scope: &Scope, object: K) {
        self.revision = self.revision.max(object.slim().revision());
        let group = self.group(scope.key_of(&object));
        group.objects.insert(object.slim().name().to_owned(), Arc::new(object));
        group.changed.send_replace(());
        self.tell_everybody();
    }

    pub(super) fn remove(&mut self, scope: &Scope, object: &K) {
        self.revision = self.revision.max(object.slim().revision());
        let group = self.group(scope.key_of(object));
        group.objects.remove(object.slim().name());
        group.changed.send_replace(());
        self.tell_everybody();
        self.drop_empty_groups();
    }

    /// Puts a complete list in the place of everything known.
    pub(super) fn replace(&mut self, scope: &Scope, objects: Vec<K>, asked: Instant) {
        for group in self.groups.values_mut() {
            group.objects.clear();
        }
        for object in objects {
            self.revision = self.revision.max(object.slim().revision());
            let group = self.group(scope.key_of(&object));
            group.objects.insert(object.slim().name().to_owned(), Arc::new(object));
        }
        self.listed = Some(asked);
        self.trouble = None;
        self.drop_empty_groups();
        self.tell_all();
    }

    fn drop_empty_groups(&mut self) {
        self.groups.retain(|_, group| !group.objects.is_empty() || group.changed.receiver_count() > 0);
    }

    fn tell_everybody(&self) {
        if let Some(group) = self.groups.get(EVERYBODY) {
            group.changed.send_replace(());
        }
    }

    fn tell_all(&self) {
        for group in self.groups.values() {
            group.changed.send_replace(());
        }
    }

    pub(super) fn set_trouble(&mut self, trouble: Option<Error>) {
        if self.trouble != trouble {
            self.trouble = trouble;
            self.tell_all();
        }
    }
}

/// What a wait sees of a watch at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot<K> {
    /// The objects, by name.
    pub(crate) objects: Vec<Arc<K>>,
    /// When the list that this builds on was asked for; `None` before the first list: then nothing is known.
    pub(crate) listed: Option<Instant>,
    /// The newest revision that the watch has seen.
    pub(crate) revision: u64,
    /// Why the watch gets no news just now.
    pub(crate) trouble: Option<Error>,
}

impl<K: Watched> Snapshot<K> {
    /// The object of this name.
    pub(crate) fn named(&self, name: &str) -> Option<&K> {
        self.objects.iter().find(|object| object.slim().name() == name).map(AsRef::as_ref)
    }

    /// Whether this is at least as new as a write that ended at `since` and gave the object `revision`. Only
    /// then does an object's absence say that it was deleted.
    pub(crate) fn is_newer_than(&self, since: Instant, revision: Option<u64>) -> bool {
        self.listed.is_some_and(|listed| {
            listed >= since || revision.is_some_and(|revision| self.revision >= revision)
        })
    }
}
