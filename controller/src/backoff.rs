//! Growing waits between tries of something that must succeed in the end.

/// How often it has failed.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Milliseconds to wait after one more failure.
    pub fn next_ms(&mut self) -> u64 {
        let wait_ms = (FIRST_WAIT_MS << self.failures.min(DOUBLINGS_MAX)).min(LONGEST_WAIT_MS);
        self.failures += 1;
        wait_ms
    }
}

/// The first wait.
const FIRST_WAIT_MS: u64 = 50;

/// The longest wait: a full disk is noticed as free again within this time.
const LONGEST_WAIT_MS: u64 = 2_000;

/// Doubling more often changes nothing.
const DOUBLINGS_MAX: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_bound() {
        let mut backoff = Backoff::default();
        let waits: Vec<u64> = (0..20).map(|_| backoff.next_ms()).collect();
        assert_eq!((waits[0], waits[1], waits[19]), (FIRST_WAIT_MS, 2 * FIRST_WAIT_MS, LONGEST_WAIT_MS));
    }
}
