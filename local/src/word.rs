//! What an engine says of a machine, with the answer that it is kept.
//!
//! An engine clears away what it knows of an ended machine only after that answer. So a daemon that is killed in between
//! hears the word again in its next life.

use fleet::event::Event;
use tokio::sync::{mpsc, oneshot};

/// One word. Dropping it says that it is not kept: the engine leaves everything as it is.
#[derive(Debug)]
pub struct Word {
    event: Event,
    kept: oneshot::Sender<()>,
}

impl Word {
    /// What is said.
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// It is stored.
    pub fn kept(self) {
        // This occurs when the engine ends: then nobody clears anything away.
        let _unheard = self.kept.send(());
    }
}

/// Says something and waits until it is kept; `false`: it is not, because the daemon is ending.
pub(crate) async fn say(words: &mpsc::Sender<Word>, event: Event) -> bool {
    let (kept, is_kept) = oneshot::channel();
    words.send(Word { event, kept }).await.is_ok() && is_kept.await.is_ok()
}
