//! Ids that are looked up by name once and then known: a runner group's, a webhook's. Bounded; forgetting one costs a
//! request.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

/// Most ids kept.
const IDS_MAX: usize = 1_024;

/// Ids by key.
#[derive(Debug)]
pub(super) struct Known<K>(Mutex<BTreeMap<K, u64>>);

impl<K: Ord> Known<K> {
    /// None yet.
    pub(super) fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    /// The id, if it is known.
    pub(super) fn get(&self, key: &K) -> Option<u64> {
        self.with(|ids| ids.get(key).copied())
    }

    /// Remembers an id; when there are too many, all are looked up again.
    pub(super) fn keep(&self, key: K, id: u64) {
        self.with(|ids| {
            if ids.len() >= IDS_MAX {
                ids.clear();
            }
            ids.insert(key, id);
        });
    }

    /// It may be another one now.
    pub(super) fn forget(&self, key: &K) {
        self.with(|ids| ids.remove(key));
    }

    fn with<T>(&self, work: impl FnOnce(&mut BTreeMap<K, u64>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
