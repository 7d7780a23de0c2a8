//! How many deliveries about owners and repositories that are not served are recorded, so that `why` can answer for
//! them. Who sends them has the webhook's secret, but need not be who runs this: a GitHub App that everybody may install
//! signs everybody's deliveries with one secret. So there is a limit; beyond it they are refused all the same.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// So many in an hour: with three deliveries a job and 7 days some 34 MB at most.
const AN_HOUR_MAX: u32 = 1_000;

/// Span of the limit.
const HOUR: Duration = Duration::from_secs(3_600);

/// When the hour began, and how many were recorded in it.
#[derive(Debug, Default)]
pub(super) struct Strangers(Mutex<Option<(Instant, u32)>>);

impl Strangers {
    /// Whether one more is recorded.
    pub(super) fn one_more(&self) -> bool {
        self.one_more_at(Instant::now())
    }

    fn one_more_at(&self, now: Instant) -> bool {
        let mut hour = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (began, kept) = hour.filter(|(began, _)| now.saturating_duration_since(*began) < HOUR).unwrap_or((now, 0));
        let fits = kept < AN_HOUR_MAX;
        *hour = Some((began, kept + u32::from(fits)));
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_has_its_limit_and_the_next_one_has_it_again() {
        let (strangers, begin) = (Strangers::default(), Instant::now());
        let kept = |at| (0..2 * AN_HOUR_MAX).filter(|_| strangers.one_more_at(at)).count();
        assert_eq!([kept(begin), kept(begin + HOUR / 2), kept(begin + HOUR)], [1_000, 0, 1_000]);
    }
}
