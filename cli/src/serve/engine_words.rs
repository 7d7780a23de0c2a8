//! What the engine says of its machines goes to the controller. Each word frees capacity, so it is said again until it
//! is stored. One that a crash loses is found by the sweep.

use std::{sync::Arc, time::Duration};

use controller::{backoff::Backoff, service::Controller};
use fleet::event::Event;
use tokio::sync::mpsc;
use tracing::warn;

/// Listens for ever.
pub(crate) async fn listen(mut words: mpsc::Receiver<Event>, controller: Arc<Controller>) {
    let mut heard = Vec::with_capacity(WORDS_AT_ONCE);
    while words.recv_many(&mut heard, WORDS_AT_ONCE).await > 0 {
        let mut backoff = Backoff::default();
        while let Err(error) = controller.handle(&heard).await {
            warn!(%error, "the end of a runner is not stored yet; tried again");
            tokio::time::sleep(Duration::from_millis(backoff.next_ms())).await;
        }
        heard.clear();
    }
}

/// Most words that are decided together.
const WORDS_AT_ONCE: usize = 50;
