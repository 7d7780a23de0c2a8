//! Facts about the living daemon that no row holds: since when it runs, which webhooks arrived. For `status`.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};

use super::clock::now_ms;
use crate::control::wire::Webhooks;

/// The facts.
#[derive(Debug)]
pub(crate) struct Vitals {
    /// Base URL at which it listens.
    pub(crate) url: String,
    /// Since when it runs, milliseconds.
    pub(crate) started_ms: u64,
    /// Milliseconds between two sweeps.
    pub(crate) sweep_interval_ms: u64,
    /// Whether repositories are looked at between sweeps.
    pub(crate) polls: bool,
    taken: AtomicU64,
    refused: AtomicU64,
    /// 0: none yet.
    last_ms: AtomicU64,
    /// Reasons that are constants: nobody outside makes this grow.
    needless: Mutex<BTreeMap<&'static str, u64>>,
}

impl Vitals {
    /// Of a daemon that begins now.
    pub(crate) fn new(url: String, sweep_interval_ms: u64, polls: bool) -> Self {
        Self {
            url,
            started_ms: now_ms(),
            sweep_interval_ms,
            polls,
            taken: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            last_ms: AtomicU64::new(0),
            needless: Mutex::default(),
        }
    }

    /// A delivery needed nothing, for this reason.
    pub(crate) fn told_of_no_job(&self, why: &'static str) {
        *self.needless.lock().unwrap_or_else(PoisonError::into_inner).entry(why).or_default() += 1;
    }

    /// The webhooks so far.
    pub(crate) fn webhooks(&self) -> Webhooks {
        let last_ms = self.last_ms.load(Ordering::Relaxed);
        let needless = self.needless.lock().unwrap_or_else(PoisonError::into_inner);
        Webhooks {
            needless: needless.iter().map(|(why, times)| ((*why).to_owned(), *times)).collect(),
            taken: self.taken.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            last_ms: (last_ms > 0).then_some(last_ms),
        }
    }
}

/// Counts the deliveries, as they were answered.
pub(super) async fn count(State(vitals): State<Arc<Vitals>>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let counter = if response.status().is_success() { &vitals.taken } else { &vitals.refused };
    counter.fetch_add(1, Ordering::Relaxed);
    vitals.last_ms.store(now_ms(), Ordering::Relaxed);
    response
}
