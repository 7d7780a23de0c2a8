//! One slot an owner: its token, and the turn to make a new one. While one makes it, the others wait for that.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use controller::ports::{PortError, PortResult, Secret};
use tokio::sync::{Mutex as Queue, MutexGuard as Place};

use super::Installation;

/// A token is not used in its last minutes: a request takes time, and clocks differ.
const SPARE_MS: u64 = 5 * 60_000;

/// Most owners that are remembered; beyond that all are asked for again.
const OWNERS_MAX: usize = 10_000;

/// A token that was made.
#[derive(Debug, Clone)]
pub(super) struct Minted {
    pub(super) token: Secret,
    /// By our clock.
    pub(super) expires_ms: u64,
    pub(super) installation: Arc<Installation>,
}

/// All owners' slots.
#[derive(Default)]
pub(super) struct Slots(Mutex<BTreeMap<String, Arc<Slot>>>);

impl fmt::Debug for Slots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Slots")
    }
}

impl Slots {
    pub(super) fn of(&self, owner: &str) -> Arc<Slot> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= OWNERS_MAX {
            slots.clear();
        }
        slots.entry(owner.to_ascii_lowercase()).or_default().clone()
    }
}

/// One owner's.
#[derive(Default)]
pub(super) struct Slot {
    /// Attempts that have ended.
    attempts: AtomicU64,
    queue: Queue<State>,
}

#[derive(Default)]
struct State {
    minted: Option<Minted>,
    /// Known until an attempt fails: it may be another one then.
    installation: Option<Arc<Installation>>,
    /// What the last attempt came to, if it failed.
    failed: Option<PortError>,
}

impl Slot {
    /// Waits for the turn. Whoever is cut off in his turn leaves it to the next, who tries himself.
    pub(super) async fn turn(&self) -> Turn<'_> {
        let seen = self.attempts.load(Ordering::Acquire);
        let state = self.queue.lock().await;
        Turn { slot: self, waited: self.attempts.load(Ordering::Acquire) != seen, state }
    }
}

/// The turn to look, and to make a token.
pub(super) struct Turn<'a> {
    slot: &'a Slot,
    /// Somebody else's attempt ended while this one waited.
    waited: bool,
    state: Place<'a, State>,
}

impl Turn<'_> {
    /// What was made, if it is good for a while. What GitHub refused is good for nobody.
    pub(super) fn good(&mut self, now_ms: u64, refused: Option<&Secret>) -> Option<Minted> {
        let good = |minted: &Minted| {
            now_ms.saturating_add(SPARE_MS) < minted.expires_ms
                && refused.is_none_or(|refused| *refused != minted.token)
        };
        self.state.minted = self.state.minted.take().filter(good);
        self.state.minted.clone()
    }

    /// The failure of the attempt that this one waited for.
    pub(super) fn shared_failure(&self) -> PortResult<()> {
        match &self.state.failed {
            Some(error) if self.waited => Err(error.clone()),
            Some(_) | None => Ok(()),
        }
    }

    pub(super) fn installation(&self) -> Option<Arc<Installation>> {
        self.state.installation.clone()
    }

    /// Keeps what an attempt came to: a token for later, a failure only for those who wait now.
    pub(super) fn ended(mut self, result: PortResult<Minted>) -> PortResult<Minted> {
        self.slot.attempts.fetch_add(1, Ordering::Release);
        self.state.failed = result.as_ref().err().cloned();
        self.state.minted = result.as_ref().ok().cloned();
        self.state.installation = result.as_ref().ok().map(|minted| minted.installation.clone());
        result
    }
}
