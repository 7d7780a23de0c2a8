//! `ScalerHandler`: works off the queue. What a batch tells is decided together, then what has fallen due is done, then
//! somebody is called for what falls due later.
//!
//! Only messages that could not be handled are given back: the queue brings them again and puts them aside after some
//! tries, each alone.

use std::sync::Arc;

use aws::{
    ecs::event::{TaskWord, in_order},
    queue,
};
use controller::{ports::Clock, service::Controller};
use fleet::event::Event;
use tokio::time::Instant;
use tracing::{debug, warn};

use crate::wake::Wakes;

/// A message as the queue hands it over.
#[derive(Debug, Clone)]
pub struct Letter {
    /// What it is given back by.
    pub id: String,
    /// Its text.
    pub body: String,
}

/// What each function with a controller does at its end: nothing runs on when it has answered.
#[derive(Clone)]
pub struct Caller {
    /// What decides and does.
    pub controller: Arc<Controller>,
    /// What calls again.
    pub wakes: Wakes,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl Caller {
    /// Does what has fallen due, and calls somebody for the rest.
    pub async fn work(&self, last_start: Instant) {
        match self.controller.clone().run_due(last_start).await {
            Ok(due_ms) => self.call(due_ms).await,
            Err(error) => warn!(%error, "when to come again is not known; the sweep comes"),
        }
    }

    /// Calls somebody for what waits, due or not: whoever answers an agent does nothing that takes time.
    pub async fn call_if_due(&self) {
        match self.wakes.store.next_due_ms().await {
            Ok(due_ms) => self.call(due_ms).await,
            Err(error) => warn!(%error, "whether something waits is not known; the sweep comes"),
        }
    }

    async fn call(&self, due_ms: Option<u64>) {
        let Some(due_ms) = due_ms else { return };
        let moment = self.clock.moment();
        if let Err(error) = self.wakes.at(moment.now_ms, due_ms, moment.nonce).await {
            warn!(%error, "nobody is called for what falls due; the sweep comes");
        }
    }
}

/// The function.
pub struct ScalerFunction {
    /// The stage.
    pub stage: String,
    /// What decides and does.
    pub caller: Caller,
}

/// A message that is understood.
struct Read {
    id: String,
    word: Word,
}

enum Word {
    Event(Event),
    Task(TaskWord),
}

impl ScalerFunction {
    /// Handles a batch; the ids of what could not be handled. Nothing new is begun from `last_start` on.
    pub async fn answer(&self, batch: Vec<Letter>, last_start: Instant) -> Vec<String> {
        let (letters, mut failed) = self.read(batch);
        failed.extend(self.handle(&letters).await);
        self.caller.work(last_start).await;
        failed
    }

    fn read(&self, batch: Vec<Letter>) -> (Vec<Read>, Vec<String>) {
        let (mut letters, mut failed) = (Vec::new(), Vec::new());
        for Letter { id, body } in batch {
            match queue::Letter::read(&self.stage, &body) {
                Ok(queue::Letter::Event(event)) => letters.push(Read { id, word: Word::Event(event) }),
                Ok(queue::Letter::Task(word)) => letters.push(Read { id, word: Word::Task(word) }),
                Ok(queue::Letter::Wake(_) | queue::Letter::Nothing) => {}
                Err(error) => {
                    warn!(message.id = %id, %error, "given back");
                    failed.push(id);
                }
            }
        }
        (letters, failed)
    }

    /// All together; where that fails one by one, so that one that cannot be handled keeps no other from it.
    async fn handle(&self, letters: &[Read]) -> Vec<String> {
        let events = told_by(letters);
        if events.is_empty() {
            return Vec::new();
        }
        match self.caller.controller.handle(&events).await {
            Ok(_) => return Vec::new(),
            Err(error) => debug!(%error, "tried one by one"),
        }
        let mut failed = Vec::new();
        for letter in letters {
            if let Err(error) = self.caller.controller.handle(&told_by(std::slice::from_ref(letter))).await {
                warn!(message.id = %letter.id, %error, "a message is not handled; the queue brings it again");
                failed.push(letter.id.clone());
            }
        }
        failed
    }
}

/// What the messages tell: of each task in the order in which it happened.
fn told_by(letters: &[Read]) -> Vec<Event> {
    let (mut events, mut tasks) = (Vec::new(), Vec::new());
    for letter in letters {
        match &letter.word {
            Word::Event(event) => events.push(event.clone()),
            Word::Task(word) => tasks.push(word.clone()),
        }
    }
    events.extend(in_order(tasks));
    events
}
