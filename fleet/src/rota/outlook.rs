//! What the rota can promise: after how long, at the latest, it sees a new job.

use serde::{Deserialize, Serialize};

use super::{
    LOOKS_PER_LISTING, ROUNDS_AHEAD, Rota,
    watch::{Effort, Kind},
};

/// How things are being looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outlook {
    /// Repositories that are looked at.
    pub repositories: usize,
    /// Those of them that have, or had of late, jobs.
    pub active: usize,
    /// Those whose webhooks arrive, so that they are looked at seldom.
    pub by_webhook: usize,
    /// Those that cannot be read at present.
    pub failing: usize,
    /// A new job of any other is seen within so many milliseconds, if no webhook tells of it sooner.
    pub worst_delay_ms: u64,
    /// Share of GitHub's limits that this may take, in per cent.
    pub share_percent: u32,
}

/// More rounds than the rota itself looks ahead, so that a promise does not end before the wait that it is about.
const ROUNDS_PROMISED: u32 = 2 * ROUNDS_AHEAD;

/// What one half of the repositories asks for.
#[derive(Debug, Default)]
struct Half {
    /// Longest interval that is meant.
    interval_ms: u64,
    /// What a round of all of them takes of the share.
    round_ms: u64,
    /// What the meant intervals would take of the share, in thousandths.
    demand_milli: u64,
}

impl Half {
    fn add(&mut self, interval_ms: u64, price_ms: u64) {
        self.interval_ms = self.interval_ms.max(interval_ms);
        self.round_ms += price_ms;
        self.demand_milli += price_ms * 1_000 / interval_ms.max(1);
    }

    /// A round beside another half, which gets no more than half of the share when both want more.
    fn takes_ms(&self, other: &Self) -> u64 {
        let left_milli = 1_000 - other.demand_milli.min(500);
        (self.round_ms * 1_000 / left_milli).max(self.interval_ms)
    }
}

impl Rota {
    /// What can be promised now, by what the last looks cost.
    pub fn outlook(&self, now_ms: u64) -> Outlook {
        let mut outlook =
            Outlook { repositories: self.watches.len(), share_percent: self.pace.share_percent, ..Outlook::default() };
        let affords = self.affords(ROUNDS_PROMISED, now_ms);
        let (mut active, mut others, mut slowest_ms) = (Half::default(), Half::default(), 0);
        for (repo, watch) in &self.watches {
            let kind = self.kind(repo, watch, now_ms);
            outlook.active += usize::from(kind == Kind::Active);
            outlook.by_webhook += usize::from(kind == Kind::Covered);
            outlook.failing += usize::from(watch.failures > 0);
            let half = if kind == Kind::Active { &mut active } else { &mut others };
            let (usual, listing) = watch.efforts();
            let effort = |effort: Effort| self.effort_ms(effort.cost, effort.took_ms, affords);
            let looks = u64::from(LOOKS_PER_LISTING);
            half.add(self.interval_ms(kind), (effort(usual) * (looks - 1) + effort(listing)).div_ceil(looks));
            slowest_ms = slowest_ms.max(effort(listing));
        }
        // The job may come right after a look. The next one may have to wait for another to end, and takes its time.
        let round_ms = active.takes_ms(&others).max(others.takes_ms(&active));
        outlook.worst_delay_ms = round_ms + 2 * slowest_ms;
        outlook
    }
}
