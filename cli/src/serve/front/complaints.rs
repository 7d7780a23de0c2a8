//! Refusals in the log. Strangers can cause them at any rate, so each kind is told once in a while with how often it
//! occurred, and a flood of them fills no disk.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// A kind is told at most so often.
const EVERY: Duration = Duration::from_secs(10);

/// When each kind was told last, and how often it occurred since.
#[derive(Debug, Default)]
pub(super) struct Complaints(Mutex<BTreeMap<&'static str, (Instant, u64)>>);

impl Complaints {
    /// How often it occurred that was not told yet, if it is to be told now.
    pub(super) fn due(&self, kind: &'static str) -> Option<u64> {
        self.due_at(kind, Instant::now())
    }

    fn due_at(&self, kind: &'static str, now: Instant) -> Option<u64> {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((told, untold)) = kinds.get_mut(kind) else {
            kinds.insert(kind, (now, 0));
            return Some(1);
        };
        *untold += 1;
        if now.saturating_duration_since(*told) < EVERY {
            return None;
        }
        *told = now;
        Some(std::mem::take(untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_at_once_and_the_others_together() {
        let complaints = Complaints::default();
        let begin = Instant::now();
        assert_eq!(complaints.due_at("a", begin), Some(1));
        assert_eq!([1, 2, 9].map(|s| complaints.due_at("a", begin + Duration::from_secs(s))), [None; 3]);
        assert_eq!(complaints.due_at("b", begin), Some(1));
        assert_eq!(complaints.due_at("a", begin + EVERY), Some(4));
        assert_eq!(complaints.due_at("a", begin + EVERY * 2), Some(1));
    }
}
