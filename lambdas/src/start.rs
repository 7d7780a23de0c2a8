//! What each program does before it hands over to the runtime, and how much time a call has.

use std::time::{Duration, SystemTime};

use controller::settings::EFFECT_TIMEOUT_MS;
use lambda_runtime::Context;
use tokio::time::Instant;
use tracing_subscriber::fmt::MakeWriter;

/// Logs as JSON lines, which CloudWatch's queries understand. `RUST_LOG` is not read: a log must not depend on who calls.
pub fn log() {
    log_to(std::io::stdout);
}

/// The same to somewhere else.
pub fn log_to(out: impl for<'a> MakeWriter<'a> + Send + Sync + 'static) {
    let subscriber = tracing_subscriber::fmt().json().flatten_event(true).with_ansi(false).without_time();
    // A second call finds one that is set already.
    let _set = subscriber.with_max_level(tracing::Level::INFO).with_writer(out).try_init();
}

/// Until when a call may begin something: what is in hand then must be finished before the function is cut off.
#[must_use]
pub fn last_start(context: &Context) -> Instant {
    let left = context.deadline().duration_since(SystemTime::now()).unwrap_or_default();
    Instant::now() + left.saturating_sub(Duration::from_millis(EFFECT_TIMEOUT_MS) + SETTLING)
}

/// To store how the last effect went, and to answer.
const SETTLING: Duration = Duration::from_secs(5);
