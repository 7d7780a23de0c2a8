//! What can go wrong at GitHub, and how often it did.
//!
//! Every knob is off by default and counted where it takes effect, so that a run can tell which fault it never met.

use super::Hub;

/// The knobs. `_permille` = of a thousand occasions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HubFaults {
    /// A webhook is never sent.
    pub lose_permille: u32,
    /// Every webhook is never sent.
    pub all_lost: bool,
    /// A delivery is recorded as failed with a 5xx; half of them arrived all the same.
    pub fail_permille: u32,
    /// A webhook comes twice.
    pub double_permille: u32,
    /// A webhook is late, by up to `late_max_ms`.
    pub late_permille: u32,
    /// How late at most, milliseconds.
    pub late_max_ms: u64,
    /// A webhook is overtaken by the next one of its job.
    pub reorder_permille: u32,
    /// A REST call answers 502 and does nothing.
    pub rest_5xx_permille: u32,
    /// Every REST call is refused, as after the App was taken away or the token revoked.
    pub rest_denied: bool,
    /// Requests an hour, the primary limit (GitHub's: [`super::limits::PRIMARY_PER_HOUR`]).
    pub rest_rate_primary: Option<u32>,
    /// Points a minute, the secondary limit (GitHub's: [`super::limits::SECONDARY_PER_MINUTE`]).
    pub rest_rate_secondary: Option<u32>,
    /// Reads and listings may show a state up to that old, milliseconds.
    pub read_lag_ms: u64,
    /// A runner is missing from a page of the listing.
    pub list_drop_permille: u32,
    /// A runner is shown as not busy for a while although a job runs (FACTS §2), and can then be deleted.
    pub busy_lie_permille: u32,
    /// A registration vanishes while its listener waits.
    pub ghost_permille: u32,
    /// An assignment does not reach its runner: 60 s later the job is queued again (FACTS §1).
    pub requeue_permille: u32,
    /// Every runner group refuses every repository.
    pub group_refuses: bool,
    /// `generate-jitconfig` registers the runner, but its answer is lost.
    pub jit_lost_answer_permille: u32,
    /// From then on all faults are off, milliseconds.
    pub until_ms: u64,
}

impl Default for HubFaults {
    fn default() -> Self {
        Self {
            lose_permille: 0,
            all_lost: false,
            fail_permille: 0,
            double_permille: 0,
            late_permille: 0,
            late_max_ms: 0,
            reorder_permille: 0,
            rest_5xx_permille: 0,
            rest_denied: false,
            rest_rate_primary: None,
            rest_rate_secondary: None,
            read_lag_ms: 0,
            list_drop_permille: 0,
            busy_lie_permille: 0,
            ghost_permille: 0,
            requeue_permille: 0,
            group_refuses: false,
            jit_lost_answer_permille: 0,
            until_ms: u64::MAX,
        }
    }
}

/// Names under which faults are counted.
pub mod seen {
    /// A webhook was never sent.
    pub const WEBHOOK_LOST: &str = "webhook lost";
    /// A delivery failed and did not arrive.
    pub const WEBHOOK_FAILED: &str = "webhook failed";
    /// A delivery arrived but is recorded as failed.
    pub const WEBHOOK_FAILED_BUT_SEEN: &str = "webhook failed but seen";
    /// A webhook came twice.
    pub const WEBHOOK_DOUBLED: &str = "webhook doubled";
    /// A webhook was late.
    pub const WEBHOOK_LATE: &str = "webhook late";
    /// A webhook was overtaken.
    pub const WEBHOOK_REORDERED: &str = "webhook reordered";
    /// A REST call answered 502.
    pub const REST_5XX: &str = "rest 5xx";
    /// The primary limit refused.
    pub const RATE_PRIMARY: &str = "rate limit primary";
    /// The secondary limit refused.
    pub const RATE_SECONDARY: &str = "rate limit secondary";
    /// A read showed something that was no longer so.
    pub const READ_STALE: &str = "read stale";
    /// A runner was missing from a page.
    pub const LIST_DROPPED: &str = "listing dropped a runner";
    /// `busy: false` was shown of a working runner.
    pub const BUSY_LIE: &str = "busy lie";
    /// A working runner was deleted because `busy` lied.
    pub const BUSY_LIE_DELETED: &str = "busy lie deleted";
    /// A registration vanished under its listener.
    pub const GHOST: &str = "ghost";
    /// An assignment was not heard.
    pub const UNHEARD: &str = "assignment unheard";
    /// An assignment was not heard, but announced as `in_progress`.
    pub const UNHEARD_ANNOUNCED: &str = "assignment unheard but announced";
    /// A job was queued again.
    pub const REQUEUED: &str = "job requeued";
    /// A runner group refused.
    pub const GROUP_REFUSED: &str = "group refused";
    /// A JIT configuration's answer was lost.
    pub const JIT_ANSWER_LOST: &str = "jit answer lost";

    /// All of them.
    pub const ALL: [&str; 19] = [
        WEBHOOK_LOST,
        WEBHOOK_FAILED,
        WEBHOOK_FAILED_BUT_SEEN,
        WEBHOOK_DOUBLED,
        WEBHOOK_LATE,
        WEBHOOK_REORDERED,
        REST_5XX,
        RATE_PRIMARY,
        RATE_SECONDARY,
        READ_STALE,
        LIST_DROPPED,
        BUSY_LIE,
        BUSY_LIE_DELETED,
        GHOST,
        UNHEARD,
        UNHEARD_ANNOUNCED,
        REQUEUED,
        GROUP_REFUSED,
        JIT_ANSWER_LOST,
    ];
}

impl Hub {
    /// Whether faults are on.
    pub(crate) fn faulty(&self, now_ms: u64) -> bool {
        now_ms < self.faults.until_ms
    }

    /// Rolls the dice for a fault.
    pub(crate) fn roll(&mut self, now_ms: u64, permille: u32) -> bool {
        permille > 0 && self.faulty(now_ms) && self.rng.u32(0..1_000) < permille
    }

    /// Counts a fault that took effect.
    pub(crate) fn saw(&mut self, fault: &'static str) {
        *self.faults_seen.entry(fault).or_default() += 1;
    }

    /// Rolls, and counts if it hits.
    pub(crate) fn strikes(&mut self, now_ms: u64, permille: u32, fault: &'static str) -> bool {
        let hit = self.roll(now_ms, permille);
        if hit {
            self.saw(fault);
        }
        hit
    }

    /// The time whose state a read shows.
    pub(crate) fn read_at(&mut self, now_ms: u64) -> u64 {
        if self.faults.read_lag_ms == 0 || !self.faulty(now_ms) {
            return now_ms;
        }
        now_ms.saturating_sub(self.rng.u64(0..=self.faults.read_lag_ms))
    }
}
