//! Time and chance of a function.

use std::time::{SystemTime, UNIX_EPOCH};

use controller::ports::Clock;
use fleet::decide::Moment;

/// The machine's own.
#[derive(Debug, Clone, Copy, Default)]
pub struct WallClock;

impl Clock for WallClock {
    fn moment(&self) -> Moment {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Moment { now_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX), nonce: fastrand::u64(..) }
    }
}
