//! From an answer that is no success, or from no answer at all, to what a caller branches on and a person reads.
//!
//! Never shows a token, a header or a whole body: of a body only GitHub's own `message` and its `errors`.

use std::time::Duration;

use controller::ports::{ErrorKind, PortError};
use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::contract::Call;

/// Wait after a refusal that names no time (FACTS §2: at least 60 s).
const RATE_WAIT_MS: u64 = 60_000;

/// Shortest wait: a reset in the past means that our clock is ahead of GitHub's.
const RATE_WAIT_MIN_MS: u64 = 1_000;

/// Longest wait that is believed: GitHub's windows last an hour, and a clock may be late by some minutes.
const RATE_WAIT_MAX_MS: u64 = 70 * 60_000;

/// Most characters of GitHub's words that are repeated.
const WORDS_MAX_CHARS: usize = 300;

/// Most entries of `errors` that are repeated.
const ERRORS_MAX: usize = 3;

/// The error that an answer with this status means.
pub(super) fn refusal(call: &Call, status: u16, headers: &HeaderMap, body: &[u8], now_ms: u64) -> PortError {
    let words = words(body);
    if let Some(until_ms) = rate_limit(status, headers, &words, now_ms) {
        let seconds = until_ms.saturating_sub(now_ms).div_ceil(1_000);
        return error(ErrorKind::RateLimited { until_ms }, call, status, &words, &format!("next try in {seconds} s"));
    }
    match status {
        401 => error(ErrorKind::Denied, call, status, &words, "the token is wrong or has expired: give a new one"),
        403 => error(ErrorKind::Denied, call, status, &words, &format!("the token needs {}", call.needs)),
        // A 404 of some proxy's, while GitHub is away, must not end jobs and runners as "gone".
        404 if words.is_empty() => {
            error(ErrorKind::Retry, call, status, &words, "not in GitHub's words, so that it proves nothing")
        }
        404 => {
            let advice = format!("it does not exist, or the token may not see it: it needs {}", call.needs);
            error(ErrorKind::NotFound, call, status, &words, &advice)
        }
        409 => error(ErrorKind::Conflict, call, status, &words, "it exists already or is being changed"),
        422 if words.to_ascii_lowercase().contains("already exists") => {
            error(ErrorKind::Conflict, call, status, &words, "it exists already")
        }
        422 => error(call.unprocessable, call, status, &words, "GitHub will not do it as things are"),
        300..400 => error(ErrorKind::Invalid, call, status, &words, "it was renamed or moved: use its new name"),
        408 | 500.. => error(ErrorKind::Retry, call, status, &words, "GitHub has trouble: try again later"),
        // A success of another kind than the documented one: what was done is not known.
        200..300 => error(ErrorKind::Retry, call, status, &words, "an answer that is not in GitHub's description"),
        0..200 | 400..500 => error(ErrorKind::Invalid, call, status, &words, "the request itself is at fault"),
    }
}

fn error(kind: ErrorKind, call: &Call, status: u16, words: &str, advice: &str) -> PortError {
    let words = if words.is_empty() { String::new() } else { format!(" \"{words}\"") };
    PortError::new(kind, format!("GitHub answered {status}{words} to {}: {advice}", call.operation))
}

/// Until when nothing may be asked, if that is what was answered: `retry-after`, else the reset of an empty budget,
/// else a minute (FACTS §2). A 403 without any of them is a missing permission.
fn rate_limit(status: u16, headers: &HeaderMap, words: &str, now_ms: u64) -> Option<u64> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
    let after_ms = number("retry-after").map(|seconds| seconds.saturating_mul(1_000));
    let reset_ms = (number("x-ratelimit-remaining") == Some(0)).then(|| {
        number("x-ratelimit-reset").map_or(RATE_WAIT_MS, |at| at.saturating_mul(1_000).saturating_sub(now_ms))
    });
    let limited = match status {
        429 => true,
        403 => after_ms.is_some() || reset_ms.is_some() || words.to_ascii_lowercase().contains("rate limit"),
        _ => false,
    };
    let wait_ms = after_ms.or(reset_ms).unwrap_or(RATE_WAIT_MS).clamp(RATE_WAIT_MIN_MS, RATE_WAIT_MAX_MS);
    limited.then(|| now_ms.saturating_add(wait_ms))
}

/// GitHub's own words: `message`, and the `message` of each of its `errors`.
fn words(body: &[u8]) -> String {
    let Ok(value) = serde_json::from_slice::<Value>(body) else { return String::new() };
    let errors = value.get("errors").and_then(Value::as_array).into_iter().flatten().take(ERRORS_MAX);
    let errors = errors.filter_map(|error| error.as_str().or_else(|| error.get("message")?.as_str()));
    let all: Vec<&str> = value.get("message").and_then(Value::as_str).into_iter().chain(errors).collect();
    all.join("; ").chars().filter(|c| !c.is_control() && *c != '"').take(WORDS_MAX_CHARS).collect()
}

/// The error that no answer means: whether it was done is not known.
pub(super) fn unanswered(call: &Call, error: &reqwest::Error, timeout: Duration) -> PortError {
    let what = if error.is_timeout() {
        format!("GitHub did not answer within {} ms", timeout.as_millis())
    } else if error.is_connect() {
        format!("GitHub cannot be reached: {}", innermost(error))
    } else {
        format!("the connection to GitHub broke: {}", innermost(error))
    };
    PortError::retry(format!("{what} ({})", call.operation))
}

/// The cause at the bottom; what is around it repeats the URL.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string().chars().take(WORDS_MAX_CHARS).collect()
}

/// The error that an answer of another shape than the documented one means.
pub(super) fn unreadable(call: &Call, why: impl std::fmt::Display) -> PortError {
    PortError::retry(format!("the answer to {} cannot be read: {why}", call.operation))
}
