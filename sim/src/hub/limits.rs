//! GitHub's REST rate limits, and the shape of a refusal (FACTS §2).
//!
//! Requests are always counted, so that every answer can carry its headers; only an enabled limit refuses.

use super::Hub;
use super::faults::seen;

/// Requests an hour of a token or an App's installation.
pub const PRIMARY_PER_HOUR: u32 = 5_000;
/// Points a minute.
pub const SECONDARY_PER_MINUTE: u32 = 900;
/// Points of a GET.
pub const READ_POINTS: u32 = 1;
/// Points of a POST or DELETE.
pub const WRITE_POINTS: u32 = 5;
/// Length of the primary window.
const HOUR_MS: u64 = 3_600_000;
/// Length of the secondary window.
const MINUTE_MS: u64 = 60_000;

/// A REST call that was refused or failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestError {
    /// The HTTP status.
    pub status: u16,
    /// Header `retry-after`, seconds.
    pub retry_after_s: Option<u64>,
    /// Header `x-ratelimit-remaining`.
    pub ratelimit_remaining: Option<u64>,
    /// Header `x-ratelimit-reset`, seconds since 1970.
    pub ratelimit_reset_s: Option<u64>,
    /// The answer's `message`.
    pub message: &'static str,
}

impl RestError {
    /// A failure with this status.
    pub const fn new(status: u16, message: &'static str) -> Self {
        Self { status, retry_after_s: None, ratelimit_remaining: None, ratelimit_reset_s: None, message }
    }

    /// 404.
    pub const fn not_found() -> Self {
        Self::new(404, "Not Found")
    }
}

/// The result of a REST call.
pub type RestResult<T> = Result<T, RestError>;

/// The primary limit as the headers tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Header `x-ratelimit-limit`.
    pub limit: u32,
    /// Header `x-ratelimit-used`.
    pub used: u32,
    /// Header `x-ratelimit-reset`, seconds since 1970.
    pub reset_s: u64,
}

impl Rate {
    /// Header `x-ratelimit-remaining`.
    pub fn remaining(self) -> u32 {
        self.limit.saturating_sub(self.used)
    }
}

/// Calls since the world began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Calls {
    /// All of them.
    pub made: u64,
    /// Those that were answered with 304.
    pub unchanged: u64,
}

/// What was used in the running windows.
#[derive(Debug, Default)]
pub(crate) struct Windows {
    hour_ms: u64,
    requests: u32,
    minute_ms: u64,
    points: u32,
    calls: Calls,
}

impl Windows {
    fn turn(&mut self, now_ms: u64) {
        if now_ms >= self.hour_ms + HOUR_MS || self.requests == 0 {
            (self.hour_ms, self.requests) = (now_ms, 0);
        }
        if now_ms >= self.minute_ms + MINUTE_MS || self.points == 0 {
            (self.minute_ms, self.points) = (now_ms, 0);
        }
    }
}

impl Hub {
    /// The primary limit now.
    pub fn rate(&mut self, now_ms: u64) -> Rate {
        self.windows.turn(now_ms);
        Rate {
            limit: self.faults.rest_rate_primary.unwrap_or(PRIMARY_PER_HOUR),
            used: self.windows.requests,
            reset_s: (self.windows.hour_ms + HOUR_MS).div_ceil(1_000),
        }
    }

    /// A REST call of so many points comes in.
    pub(crate) fn call(&mut self, now_ms: u64, points: u32) -> RestResult<()> {
        self.windows.turn(now_ms);
        let faulty = self.faulty(now_ms);
        if self.faults.rest_rate_primary.is_some_and(|limit| faulty && self.windows.requests >= limit) {
            self.saw(seen::RATE_PRIMARY);
            return Err(self.primary_refusal(now_ms));
        }
        if self.faults.rest_rate_secondary.is_some_and(|limit| faulty && self.windows.points + points > limit) {
            self.saw(seen::RATE_SECONDARY);
            return Err(self.secondary_refusal(now_ms));
        }
        self.windows.requests += 1;
        self.windows.calls.made += 1;
        self.windows.points += points;
        if self.faults.rest_denied && faulty {
            return Err(RestError::new(401, "Bad credentials"));
        }
        if self.strikes(now_ms, self.faults.rest_5xx_permille, seen::REST_5XX) {
            return Err(RestError::new(502, "Server Error"));
        }
        Ok(())
    }

    /// The call before was answered with 304: it costs nothing (docs.github.com, "Best practices for using the REST
    /// API", conditional requests).
    pub fn not_modified(&mut self) {
        self.windows.requests = self.windows.requests.saturating_sub(1);
        self.windows.calls.unchanged += 1;
    }

    /// Calls since the world began.
    pub fn calls(&self) -> Calls {
        self.windows.calls
    }

    fn primary_refusal(&mut self, now_ms: u64) -> RestError {
        let rate = self.rate(now_ms);
        RestError {
            ratelimit_remaining: Some(0),
            ratelimit_reset_s: Some(rate.reset_s),
            ..RestError::new(403, "API rate limit exceeded for installation.")
        }
    }

    fn secondary_refusal(&mut self, now_ms: u64) -> RestError {
        let left_ms = (self.windows.minute_ms + MINUTE_MS).saturating_sub(now_ms);
        let rate = self.rate(now_ms);
        RestError {
            retry_after_s: Some(left_ms.div_ceil(1_000).max(1)),
            ratelimit_remaining: Some(u64::from(rate.remaining())),
            ratelimit_reset_s: Some(rate.reset_s),
            ..RestError::new(403, "You have exceeded a secondary rate limit.")
        }
    }
}
