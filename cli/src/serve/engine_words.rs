//! What the engine says of its machines goes to the controller. Each word frees capacity, so it is said again until it
//! is stored; only then the engine clears away what it knows of that machine.

use std::{sync::Arc, time::Duration};

use controller::{backoff::Backoff, service::Controller};
use fleet::event::Event;
use local::word::Word;
use tokio::sync::mpsc;
use tracing::warn;

/// Listens for ever.
pub(crate) async fn listen(mut words: mpsc::Receiver<Word>, controller: Arc<Controller>) {
    let mut heard = Vec::with_capacity(WORDS_AT_ONCE);
    while words.recv_many(&mut heard, WORDS_AT_ONCE).await > 0 {
        let mut backoff = Backoff::default();
        let events: Vec<Event> = heard.iter().map(|word| word.event().clone()).collect();
        while let Err(error) = controller.handle(&events).await {
            warn!(%error, "the end of a runner is not stored yet; tried again");
            tokio::time::sleep(Duration::from_millis(backoff.next_ms())).await;
        }
        heard.drain(..).for_each(Word::kept);
    }
}

/// Most words that are decided together.
const WORDS_AT_ONCE: usize = 50;
