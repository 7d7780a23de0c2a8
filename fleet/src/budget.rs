//! Rate budgets: how many calls the other side allows, shared by all workers as a stored row.

use serde::{Deserialize, Serialize};

/// A bucket of points that refills steadily and can be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// Most points it holds.
    pub capacity: u32,
    /// Points that come back each minute.
    pub per_minute: u32,
    /// Points in it, in thousandths.
    pub level_milli: u64,
    /// When it was last refilled, milliseconds.
    pub at_ms: u64,
    /// Closed until this time, milliseconds.
    pub blocked_until_ms: u64,
}

/// What a bucket answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// Go on.
    Granted,
    /// Ask again at this time, milliseconds.
    Until(u64),
}

impl Bucket {
    /// A full bucket.
    pub const fn new(capacity: u32, per_minute: u32) -> Self {
        Self { capacity, per_minute, level_milli: capacity as u64 * 1_000, at_ms: 0, blocked_until_ms: 0 }
    }

    /// Takes the limits of another bucket, keeping what is in it.
    pub fn resize(&mut self, limits: &Self) {
        self.capacity = limits.capacity;
        self.per_minute = limits.per_minute;
        self.level_milli = self.level_milli.min(u64::from(self.capacity) * 1_000);
    }

    /// Takes points out, or says when there will be enough.
    pub fn take(&mut self, points: u32, now_ms: u64) -> Grant {
        self.refill(now_ms);
        if self.blocked_until_ms > now_ms {
            return Grant::Until(self.blocked_until_ms);
        }
        let wanted = u64::from(points.min(self.capacity)) * 1_000;
        if self.level_milli >= wanted {
            self.level_milli -= wanted;
            return Grant::Granted;
        }
        let missing = wanted - self.level_milli;
        let wait_ms = (missing * 60).div_ceil(u64::from(self.per_minute.max(1)));
        Grant::Until(now_ms + wait_ms.max(1))
    }

    /// Closes it until the time that the other side named.
    pub fn block(&mut self, until_ms: u64) {
        self.blocked_until_ms = self.blocked_until_ms.max(until_ms);
    }

    fn refill(&mut self, now_ms: u64) {
        // A clock that went back refills nothing.
        let passed_ms = now_ms.saturating_sub(self.at_ms);
        if self.at_ms == 0 || passed_ms > 0 {
            let more = passed_ms.saturating_mul(u64::from(self.per_minute)) / 60;
            self.level_milli = (self.level_milli + more).min(u64::from(self.capacity) * 1_000);
            self.at_ms = now_ms;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_gives_what_it_holds_then_says_when_to_come_back() {
        let mut bucket = Bucket::new(10, 60);
        assert_eq!(bucket.take(10, 1_000), Grant::Granted);
        assert_eq!(bucket.take(1, 1_000), Grant::Until(2_000));
        assert_eq!(bucket.take(1, 2_000), Grant::Granted);
        assert_eq!(bucket.take(5, 1_500), Grant::Until(6_500));
    }

    #[test]
    fn a_refusal_of_the_other_side_closes_it() {
        let mut bucket = Bucket::new(10, 60);
        bucket.block(60_000);
        assert_eq!(bucket.take(1, 1_000), Grant::Until(60_000));
        assert_eq!(bucket.take(1, 60_000), Grant::Granted);
    }
}
