//! Who comes back when an effect falls due: a delayed message to the queue, so that a retry or an empty rate budget does
//! not wait for the next sweep.
//!
//! Many calls see the same effect waiting. Each would send a message, each message would be a call, and none would ever
//! be the last. So time is cut into slots, a slot is leased in the store, and who has it sends the one message.

use std::sync::Arc;

use async_trait::async_trait;
use controller::ports::{PortResult, Store};

/// What sends a message late.
#[async_trait]
pub trait Later: Send + Sync {
    /// Sends a wake-up that is seen after so many seconds, 900 at the most (FACTS §5).
    async fn wake(&self, delay_s: u32) -> PortResult<()>;
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
        let delay_s = until_ms.saturating_sub(now_ms).div_ceil(1_000);
        self.later.wake(u32::try_from(delay_s).unwrap_or(u32::MAX).min(DELAY_MAX_S)).await?;
        Ok(true)
    }
}

/// Longest delay of a message (FACTS §5).
const DELAY_MAX_S: u32 = 900;
const DELAY_MAX_MS: u64 = 900_000;

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
    struct Sent(Mutex<Vec<u32>>);

    #[async_trait]
    impl Later for Sent {
        async fn wake(&self, delay_s: u32) -> PortResult<()> {
            self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(delay_s);
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
        assert_eq!(asked, [true, false, true, true, true, true, true]);
        assert_eq!(*sent.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner), [10, 12, 2, 900, 2, 1]);
    }
}
