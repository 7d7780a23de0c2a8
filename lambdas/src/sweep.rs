//! `SweepHandler`: one sweep a call, each minute; then what it wants done, as far as its time goes.

use tokio::time::Instant;
use tracing::{info, warn};

use crate::scaler::Caller;

/// The function.
pub struct SweepFunction {
    /// What sweeps, and who is called afterwards.
    pub caller: Caller,
}

impl SweepFunction {
    /// Sweeps. Nothing new is begun from `last_start` on.
    pub async fn answer(&self, last_start: Instant) {
        match self.caller.controller.sweep_until(last_start).await {
            Ok(swept) if swept.skipped => info!("another sweep is under way"),
            Ok(swept) => info!(?swept, "swept"),
            Err(error) => warn!(%error, "could not sweep; the next one comes in a minute"),
        }
        self.caller.work(last_start).await;
    }
}
