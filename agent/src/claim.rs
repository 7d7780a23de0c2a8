//! What the outcome of a claim means, and how long to wait before the next one.
//!
//! Pure: the call itself is `plane`'s, the decisions are `lifecycle`'s.

use fleet::wire::ClaimAnswer;

use crate::exit::code;

/// The outcome of one claim call.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The control plane answered.
    Answer(ClaimAnswer),
    /// Nobody answered, or the answer was no answer: ask again.
    Retry {
        /// What the `Retry-After` header asked for.
        after_ms: Option<u64>,
    },
    /// Asking again is of no use.
    Refused(Refusal),
}

/// Why asking again is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// 401: the claim token is not (or no longer) known.
    Token,
    /// 409: this runner has registered already.
    Registered,
    /// 426, or 400: the control plane does not speak this agent's protocol.
    Protocol,
}

impl Refusal {
    /// The refusal that an HTTP status means. Every other status is worth another try: a proxy or a gateway in between
    /// may have said it.
    pub(crate) fn of_status(status: u16) -> Option<Self> {
        match status {
            401 => Some(Self::Token),
            409 => Some(Self::Registered),
            400 | 426 => Some(Self::Protocol),
            _other => None,
        }
    }

    /// The agent's exit code for it.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Token => code::REFUSED,
            Self::Registered => code::ALREADY_REGISTERED,
            Self::Protocol => code::PROTOCOL,
        }
    }

    /// What a person reads.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Token => {
                "the control plane does not know this claim token (401): was its key replaced, or the runner ended?"
            }
            Self::Registered => "this runner has registered already (409): its claim token is used up",
            Self::Protocol => {
                "the control plane does not speak this agent's protocol (426 or 400): bring the image up to date"
            }
        }
    }
}

/// Exponential waiting with jitter, so that a fleet does not come back all at once after an outage.
#[derive(Debug)]
pub(crate) struct Backoff {
    failures: u32,
    random: fastrand::Rng,
}

impl Backoff {
    /// A new one; the same seed waits the same.
    pub(crate) fn new(seed: u64) -> Self {
        Self { failures: 0, random: fastrand::Rng::with_seed(seed) }
    }

    /// Milliseconds to wait after one more failure: between half and all of the doubled time, but never less than the
    /// other side asked for (within reason).
    pub(crate) fn after_failure(&mut self, asked_ms: Option<u64>) -> u64 {
        let doubled = FIRST_WAIT_MS.saturating_mul(1 << self.failures.min(MAX_DOUBLINGS));
        let wait = doubled.min(MAX_BACKOFF_MS);
        self.failures = self.failures.saturating_add(1);
        self.random.u64(wait / 2..=wait).max(asked_ms.unwrap_or(0).min(MAX_RETRY_AFTER_MS))
    }

    /// It worked: the next failure begins anew.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

/// The wait after the first failure.
const FIRST_WAIT_MS: u64 = 250;

/// The longest wait that the agent chooses by itself.
pub(crate) const MAX_BACKOFF_MS: u64 = 15_000;

/// Doubling more often than this changes nothing any more.
const MAX_DOUBLINGS: u32 = 10;

/// The longest `Retry-After` that is obeyed: beyond it something else is wrong.
pub(crate) const MAX_RETRY_AFTER_MS: u64 = 60_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_bound() {
        let mut backoff = Backoff::new(1);
        let waits: Vec<u64> = (0..20).map(|_| backoff.after_failure(None)).collect();
        assert!((125..=250).contains(&waits[0]));
        assert!(waits.iter().all(|w| *w <= MAX_BACKOFF_MS));
        assert!(waits[19] >= MAX_BACKOFF_MS / 2);
        backoff.reset();
        assert!(backoff.after_failure(None) <= 250);
    }

    #[test]
    fn retry_after_is_obeyed_within_reason() {
        let mut backoff = Backoff::new(1);
        assert_eq!(backoff.after_failure(Some(30_000)), 30_000);
        assert_eq!(backoff.after_failure(Some(u64::MAX)), MAX_RETRY_AFTER_MS);
    }

    #[test]
    fn only_four_statuses_are_final() {
        let refused: Vec<u16> = (100..600).filter(|s| Refusal::of_status(*s).is_some()).collect();
        assert_eq!(refused, [400, 401, 409, 426]);
    }
}
