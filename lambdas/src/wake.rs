//! Who comes back when an effect falls due: a delayed message to the queue, so that a retry or an empty rate budget does
//! not wait for the next sweep.
//!
//! Many calls see the same effect waiting. Each would send a message, each message would be a call, and none would ever
//! be the last. So time is cut into slots, a slot is leased in the store, and who has it sends the one message.

use std::sync::Arc;

use async_trait::async_trait;
use aws::queue::DELAY_MAX_S;
use controller::ports::{PortResult, Store};

/// What sends a message late.
#[async_trait]
pub trait Later: Send + Sync {
    /// Sends a wake-up that is seen at `due_ms`, a quarter of an hour from now at the most.
    async fn wake(&self, due_ms: u64, now_ms: u64) -> PortResult<()>;
}

/// Sends one wake-up a slot.
#[derive(Clone)]
pub struct Wakes {
    /// Where slots are leased.
    pub store: Arc<dyn Store>,
    /// What sends.
    pub later: Arc<dyn Later>,
}

impl Wakes {
    /// Makes sure that somebody is called at `due_ms`, or soon after. `nonce`: what no other call has.
    ///
    /// # Errors
    /// The store or the queue does not answer: the sweep comes within a minute.
    pub async fn at(&self, now_ms: u64, due_ms: u64, nonce: u64) -> PortResult<bool> {
        let delay_ms = due_ms.saturating_sub(now_ms).min(DELAY_MAX_MS);
        let slot = (now_ms + delay_ms).div_ceil(SLOT_MS);
        let (name, until_ms) = (format!("wake/{}", slot % SLOTS), slot * SLOT_MS);
        let owner: Arc<str> = format!("wake-{nonce:x}").into();
        // One that is due now has a slot that ends now: it is nobody's any more.
        if !self.store.lease(&name, &owner, now_ms, until_ms.max(now_ms + SLOT_MS / 2)).await? {
            return Ok(false);
        }
        self.later.wake(until_ms, now_ms).await?;
        Ok(true)
    }
}

/// Longest delay of a message.
const DELAY_MAX_MS: u64 = DELAY_MAX_S * 1_000;

/// How late a wake-up may come: a retry's backoff is longer than that.
const SLOT_MS: u64 = 2_000;

/// Slots in use at once, and one more.
const SLOTS: u64 = DELAY_MAX_MS / SLOT_MS + 2;

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use controller::mem::MemStore;

    use super::*;

    #[derive(Default)]
    struct Sent(Mutex<Vec<u64>>);

    #[async_trait]
    impl Later for Sent {
        async fn wake(&self, due_ms: u64, _now_ms: u64) -> PortResult<()> {
            self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(due_ms);
            Ok(())
        }
    }

    #[tokio::test]
    async fn one_message_is_sent_for_what_falls_due_together() {
        let sent = Arc::new(Sent::default());
        let wakes = Wakes { store: Arc::new(MemStore::new()), later: sent.clone() };
        let mut asked = Vec::new();
        for (nonce, (now_ms, due_ms)) in
            [(0, 9_500), (10, 9_900), (20, 12_000), (30, 0), (40, 9_999_999), (10_500, 10_500), (13_000, 13_000)]
                .into_iter()
                .enumerate()
        {
            asked.push(wakes.at(now_ms, due_ms, nonce as u64).await.is_ok_and(|sent| sent));
        }
        assert_eq!(asked, [true, false, true, true, true, false, true]);
        assert_eq!(
            *sent.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner),
            [10_000, 12_000, 2_000, 902_000, 14_000]
        );
    }
}
