//! Answers that are asked for again with their ETag: an unchanged one comes as 304 and costs no rate limit (FACTS §2).
//!
//! Bounded in number and in bytes; what was kept first goes first. Losing any of it costs a request's worth of budget,
//! never a fact.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

/// Most answers kept.
const ANSWERS_MAX: usize = 4_096;

/// Most bytes of bodies kept.
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// An answer that GitHub may say is unchanged.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    /// Its ETag.
    pub(super) etag: String,
    /// Its body.
    pub(super) body: Arc<[u8]>,
}

/// Whose token it was asked with, and where. Two owners' tokens see different things at one URL.
pub(super) type Place = (String, String);

/// The kept answers by place.
#[derive(Debug, Default)]
pub(super) struct Etags {
    by_place: HashMap<Place, Kept>,
    order: VecDeque<Place>,
    bytes: usize,
}

impl Etags {
    /// What was answered last from there.
    pub(super) fn get(&self, place: &Place) -> Option<Kept> {
        self.by_place.get(place).cloned()
    }

    /// Keeps an answer, in place of the last one from there.
    pub(super) fn keep(&mut self, place: Place, kept: Kept) {
        self.bytes += kept.body.len();
        match self.by_place.insert(place.clone(), kept) {
            Some(old) => self.bytes -= old.body.len(),
            None => self.order.push_back(place),
        }
        while self.order.len() > ANSWERS_MAX || self.bytes > BYTES_MAX {
            let Some(first) = self.order.pop_front() else { break };
            self.bytes -= self.by_place.remove(&first).map_or(0, |old| old.body.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(url: impl ToString) -> Place {
        ("acme".into(), url.to_string())
    }

    fn kept(bytes: usize) -> Kept {
        Kept { etag: "e".into(), body: vec![0; bytes].into() }
    }

    #[test]
    fn the_number_of_answers_is_bounded() {
        let mut etags = Etags::default();
        for i in 0..=ANSWERS_MAX {
            etags.keep(at(i), kept(1));
            etags.keep(at(i), kept(2));
        }
        assert_eq!((etags.by_place.len(), etags.bytes), (ANSWERS_MAX, 2 * ANSWERS_MAX));
        assert!(etags.get(&at(0)).is_none() && etags.get(&at(1)).is_some());
    }

    #[test]
    fn the_bytes_are_bounded() {
        let mut etags = Etags::default();
        for url in ["a", "b", "c"] {
            etags.keep(at(url), kept(BYTES_MAX / 2));
        }
        assert!(etags.get(&at("a")).is_none() && etags.get(&at("b")).is_some() && etags.bytes <= BYTES_MAX);
        etags.keep(at("huge"), kept(BYTES_MAX + 1));
        assert!(etags.by_place.is_empty() && etags.bytes == 0);
    }
}
