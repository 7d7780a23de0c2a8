//! A share of a limit, as a meter that may go into debt: what is spent is counted afterwards, and nothing more may be
//! spent before it is paid.

/// A quarter of what a window allows may be spent at once, the rest comes steadily: so no window of that length, wherever
/// it begins, sees more than it allows, but for the one look that led into debt.
const AT_ONCE: u64 = 4;

/// The meter. Time is in microseconds, because a request may cost less than a millisecond's worth.
#[derive(Debug, Clone, Copy)]
pub(super) struct Meter {
    /// What one request costs.
    price_us: u64,
    /// How far behind now it may be.
    credit_us: u64,
    /// Until when all that was spent is paid.
    paid_us: u64,
}

impl Meter {
    /// This share of a limit.
    pub(super) fn new(limit: u32, window_ms: u64, share_percent: u32) -> Self {
        let allowed = (u64::from(limit) * u64::from(share_percent) / 100).max(AT_ONCE);
        let at_once = allowed / AT_ONCE;
        let price_us = (window_ms * 1_000).div_ceil(allowed - at_once);
        Self { price_us, credit_us: at_once * price_us, paid_us: 0 }
    }

    /// From when on something may be spent, milliseconds.
    pub(super) fn paid_ms(&self) -> u64 {
        self.paid_us.div_ceil(1_000)
    }

    /// Counts what was spent.
    pub(super) fn spend(&mut self, requests: u32, now_ms: u64) {
        let earliest_us = (now_ms * 1_000).saturating_sub(self.credit_us);
        self.paid_us = self.paid_us.max(earliest_us) + u64::from(requests) * self.price_us;
    }

    /// Whether so much may be spent at once, and nobody waits.
    pub(super) fn affords(&self, requests: u32, now_ms: u64) -> bool {
        let paid_us = self.paid_us.max((now_ms * 1_000).saturating_sub(self.credit_us));
        paid_us + u64::from(requests) * self.price_us <= now_ms * 1_000
    }

    /// How long so many take to pay, milliseconds.
    pub(super) fn price_ms(&self, requests: u32) -> u64 {
        (u64::from(requests) * self.price_us).div_ceil(1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_may_be_spent_at_once_and_the_rest_steadily() {
        // 40 of 100 a minute: ten at once, then one each two seconds.
        let mut meter = Meter::new(100, 60_000, 40);
        let now_ms = 1_000_000;
        meter.spend(10, now_ms);
        assert_eq!(meter.paid_ms(), now_ms);
        meter.spend(1, now_ms);
        assert_eq!(meter.paid_ms(), now_ms + 2_000);
        assert_eq!(meter.price_ms(3), 6_000);
    }

    #[test]
    fn a_debt_is_paid_before_anything_else() {
        let mut meter = Meter::new(100, 60_000, 40);
        meter.spend(100, 1_000_000);
        assert_eq!(meter.paid_ms(), 1_000_000 + 180_000);
    }

    #[test]
    fn the_smallest_share_is_still_one() {
        let mut meter = Meter::new(5, 60_000, 0);
        meter.spend(1, 1_000_000);
        assert_eq!((meter.paid_ms(), meter.price_ms(1)), (1_000_000, 20_000));
    }
}
