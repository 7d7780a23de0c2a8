//! Rate budgets: how many calls the other side allows, shared by all workers as a stored row.

use serde::{Deserialize, Serialize};

/// Nobody is told to come back later than this: some who were given a time do not come, and theirs would be waited for.
const PROMISE_MAX_MS: u64 = 60_000;

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
    /// What comes back until then was promised to those who were refused, milliseconds.
    #[serde(default)]
    pub promised_ms: u64,
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
        let level_milli = capacity as u64 * 1_000;
        Self { capacity, per_minute, level_milli, at_ms: 0, blocked_until_ms: 0, promised_ms: 0 }
    }

    /// Takes the limits of another bucket, keeping what is in it.
    pub fn resize(&mut self, limits: &Self) {
        self.capacity = limits.capacity;
        self.per_minute = limits.per_minute;
        self.level_milli = self.level_milli.min(u64::from(self.capacity) * 1_000);
    }

    /// Takes points out, or says when to come back. Each who is refused is given a time of its own, the later the more
    /// wait: told the same time, all would come back at once, and all but one in vain.
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
        let enough_ms = now_ms + self.refill_ms(wanted - self.level_milli);
        let turn_ms = self.promised_ms + self.refill_ms(wanted);
        self.promised_ms = enough_ms.max(turn_ms).clamp(now_ms + 1, now_ms + PROMISE_MAX_MS);
        Grant::Until(self.promised_ms)
    }

    fn refill_ms(&self, milli: u64) -> u64 {
        (milli * 60).div_ceil(u64::from(self.per_minute.max(1)))
    }

    /// Whole points in it at a moment.
    pub fn points(&self, now_ms: u64) -> u64 {
        let mut bucket = *self;
        bucket.refill(now_ms);
        bucket.level_milli / 1_000
    }

    /// Closes it until the time that the other side named.
    pub fn block(&mut self, until_ms: u64) {
        self.blocked_until_ms = self.blocked_until_ms.max(until_ms);
    }

    fn refill(&mut self, now_ms: u64) {
        // Workers' clocks differ: one that is behind refills nothing. One that is far behind was set back, and waiting
        // until it has caught up could take for ever.
        if self.at_ms > now_ms.saturating_add(CLOCKS_DIFFER_MS) {
            self.at_ms = now_ms;
        }
        let passed_ms = now_ms.saturating_sub(self.at_ms);
        if self.at_ms == 0 || passed_ms > 0 {
            let more = passed_ms.saturating_mul(u64::from(self.per_minute)) / 60;
            self.level_milli = (self.level_milli + more).min(u64::from(self.capacity) * 1_000);
            self.at_ms = now_ms;
        }
    }
}

/// Clocks of workers on one store differ by less than this.
const CLOCKS_DIFFER_MS: u64 = 5 * 60_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_gives_what_it_holds_then_says_when_to_come_back() {
        let mut bucket = Bucket::new(10, 60);
        assert_eq!(bucket.take(10, 1_000), Grant::Granted);
        assert_eq!(bucket.take(1, 1_000), Grant::Until(2_000));
        assert_eq!(bucket.take(1, 2_000), Grant::Granted);
        assert_eq!(bucket.take(5, 2_500), Grant::Until(7_000));
    }

    #[test]
    fn many_who_wait_come_back_one_after_the_other() {
        let mut bucket = Bucket::new(900, 900);
        // Who is to come when; each asks for five points, of which 180 a minute can be had.
        let mut coming: std::collections::BTreeSet<(u64, u32)> = (0..1_000).map(|who| (1_000, who)).collect();
        let mut asked = 0;
        let mut end_ms = 0;
        while let Some((now_ms, who)) = coming.pop_first() {
            asked += 1;
            match bucket.take(5, now_ms) {
                Grant::Granted => end_ms = now_ms,
                Grant::Until(until_ms) => assert!(coming.insert((until_ms, who))),
            }
        }
        assert!((272_000..290_000).contains(&end_ms), "the last came at {end_ms} ms");
        assert!(asked < 4_500, "asked {asked} times");
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_stop_the_refill() {
        let mut bucket = Bucket::new(10, 60);
        let hours_ms = 5 * 3_600_000;
        assert_eq!(bucket.take(10, hours_ms), Grant::Granted);
        assert_eq!(bucket.take(1, 1_000), Grant::Until(2_000));
        assert_eq!(bucket.take(1, 2_000), Grant::Granted);
    }

    #[test]
    fn a_refusal_of_the_other_side_closes_it() {
        let mut bucket = Bucket::new(10, 60);
        bucket.block(60_000);
        assert_eq!(bucket.take(1, 1_000), Grant::Until(60_000));
        assert_eq!(bucket.take(1, 60_000), Grant::Granted);
    }
}
