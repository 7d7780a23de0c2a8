//! Whether the store takes writes, found out by writing. What was written last may be long ago where nothing happens, and
//! a full disk is noticed by nobody then.
//!
//! Strangers may ask at any rate, so an answer is good for some seconds and all who ask meanwhile share it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use controller::ports::Store;
use tokio::{sync::Mutex, time::timeout};

use super::clock::now_ms;

/// How long an answer is good.
const FRESH: Duration = Duration::from_secs(5);

/// How long the write may take: who asks for the health of a service does not wait long.
const WRITTEN_WITHIN: Duration = Duration::from_secs(3);

/// The row that is written: a lease that nobody waits for, and that is free again at once.
const LEASE: &str = "writable";

/// The store, and what it last came to.
pub(crate) struct Writable {
    store: Arc<dyn Store>,
    last: Mutex<Option<(Instant, Option<String>)>>,
}

impl Writable {
    /// Not asked yet.
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, last: Mutex::new(None) }
    }

    /// Why it cannot be written, in words; `None` if it can.
    pub(crate) async fn trouble(&self) -> Option<String> {
        let mut last = self.last.lock().await;
        if let Some((_, trouble)) = last.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return trouble.clone();
        }
        let trouble = self.write().await;
        *last = Some((Instant::now(), trouble.clone()));
        trouble
    }

    async fn write(&self) -> Option<String> {
        let now_ms = now_ms();
        match timeout(WRITTEN_WITHIN, self.store.lease(LEASE, &LEASE.into(), now_ms, now_ms)).await {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(error.message),
            Err(_) => Some("the store takes too long".to_owned()),
        }
    }
}
