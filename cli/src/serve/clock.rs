//! The wall clock and its randomness, as the controller's port.

use std::time::{SystemTime, UNIX_EPOCH};

use controller::ports::Clock;
use fleet::decide::Moment;

/// The clock of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct WallClock;

impl Clock for WallClock {
    fn moment(&self) -> Moment {
        Moment { now_ms: now_ms(), nonce: fastrand::u64(..) }
    }
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
