//! The worker of the inbox: takes what webhooks appended, has it decided, acknowledges it. Woken by each append, so no
//! delay stands between a webhook and its decision.
//!
//! Letters that were taken are held until they are handled: the inbox gives them out again only after a restart.

use std::{sync::Arc, time::Duration};

use fleet::event::Event;
use tokio::sync::Notify;
use tracing::{debug, warn};

use crate::{
    backoff::Backoff,
    ports::{Inbox, Letter, PortResult},
    service::Controller,
    settings::BATCH_EVENTS,
};

/// The worker.
pub struct Letters {
    /// Decides.
    pub controller: Arc<Controller>,
    /// Where the letters are.
    pub inbox: Arc<dyn Inbox>,
    /// Wakes it.
    pub arrived: Arc<Notify>,
}

impl Letters {
    /// Works for ever. Dropping the future loses nothing: what was in hand comes again after a restart.
    pub async fn work(self) {
        let mut held: Vec<Letter> = Vec::new();
        let mut backoff = Backoff::default();
        loop {
            let taken = self.take(&mut held).await;
            let left = self.handle(std::mem::take(&mut held)).await;
            let failed = !left.is_empty() || taken.is_err();
            held = left;
            if failed {
                let wait_ms = backoff.next_ms();
                tokio::time::sleep(Duration::from_millis(wait_ms)).await;
            } else {
                backoff = Backoff::default();
                if taken.is_ok_and(|taken| taken == 0) {
                    self.arrived.notified().await;
                }
            }
        }
    }

    async fn take(&self, held: &mut Vec<Letter>) -> PortResult<usize> {
        let letters = self.inbox.take(BATCH_EVENTS.saturating_sub(held.len())).await;
        let letters = letters.inspect_err(|error| warn!(%error, "the inbox cannot be read; tried again"))?;
        let taken = letters.len();
        held.extend(letters);
        Ok(taken)
    }

    /// Handles letters together; what could not be handled is given back.
    async fn handle(&self, letters: Vec<Letter>) -> Vec<Letter> {
        if letters.is_empty() {
            return letters;
        }
        let events: Vec<Event> = letters.iter().map(|letter| letter.event.clone()).collect();
        match self.controller.handle(&events).await {
            Ok(_) => {
                self.controller.told(&events);
                self.acknowledge(&letters).await;
                Vec::new()
            }
            Err(error) if letters.len() == 1 => {
                warn!(%error, "a delivery is not decided yet; tried again");
                letters
            }
            // One that cannot be handled must not keep the others from it.
            Err(error) => {
                debug!(%error, "tried one by one");
                let mut left = Vec::new();
                for letter in letters {
                    left.extend(Box::pin(self.handle(vec![letter])).await);
                }
                left
            }
        }
    }

    async fn acknowledge(&self, letters: &[Letter]) {
        let receipts: Vec<u64> = letters.iter().map(|letter| letter.receipt).collect();
        if let Err(error) = self.inbox.acknowledge(&receipts).await {
            // They come again after a restart and are duplicates then.
            warn!(%error, "handled deliveries could not be taken out of the inbox");
        }
    }
}
