//! From an answer that is no success, or from no answer at all, to what a caller branches on and a person reads.
//!
//! Never shows a token, a header that we sent or a whole body: of a body only GitHub's own `message` and its `errors`.

use std::time::Duration;

use controller::ports::{ErrorKind, PortError};
use reqwest::header::{DATE, HeaderMap, LOCATION};
use serde_json::Value;

use crate::{
    contract::{Call, Credential},
    time,
};

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

/// From this on clocks are said to be apart: an App's JWT says that it was made a minute ago.
pub(crate) const CLOCKS_APART_MS: i64 = 60_000;

/// What GitHub says of a JWT whose times it does not like: "'Expiration time' claim ('exp') …", "'Issued at' claim …".
const TIME_CLAIMS: [&str; 2] = ["('exp')", "('iat')"];

/// The error that an answer with this status means.
pub(crate) fn refusal(call: &Call, status: u16, headers: &HeaderMap, body: &[u8], now_ms: u64) -> PortError {
    let words = words(body);
    if let Some(until_ms) = rate_limit(status, headers, &words, now_ms) {
        let seconds = until_ms.saturating_sub(now_ms).div_ceil(1_000);
        let advice = format!("it is asked again in {seconds} s");
        return error(ErrorKind::RateLimited { until_ms }, call, status, &words, &advice);
    }
    let (kind, advice) = match status {
        401 => (ErrorKind::Denied, unauthorized(call, &words, headers, now_ms)),
        403 => (ErrorKind::Denied, forbidden(call, headers)),
        // To an App that is unknown nothing else is said.
        404 if words.contains("Integration not found") => {
            (ErrorKind::Denied, "there is no GitHub App of this id: compare `app_id` with the App's page".into())
        }
        // A 404 of some proxy's, while GitHub is away, must not end jobs and runners as "gone".
        404 if words.is_empty() => (ErrorKind::Retry, "not in GitHub's words, so that it proves nothing".into()),
        404 => {
            let advice = format!("it does not exist, or the token may not see it: it needs {}", call.needs);
            (ErrorKind::NotFound, advice)
        }
        409 => (ErrorKind::Conflict, "it exists already or is being changed".into()),
        422 if words.to_ascii_lowercase().contains("already exists") => {
            (ErrorKind::Conflict, "it exists already".into())
        }
        422 => (call.unprocessable, "GitHub will not do it as things are".into()),
        300..400 => (ErrorKind::Invalid, moved(headers)),
        408 | 500.. => (ErrorKind::Retry, "GitHub has trouble: it is tried again".into()),
        // A success of another kind than the documented one: what was done is not known.
        200..300 => (ErrorKind::Retry, "an answer that is not in GitHub's description".into()),
        0..200 | 400..500 => (ErrorKind::Invalid, "the request itself is at fault".into()),
    };
    error(kind, call, status, &words, &advice)
}

fn error(kind: ErrorKind, call: &Call, status: u16, words: &str, advice: &str) -> PortError {
    let words = if words.is_empty() { String::new() } else { format!(" \"{words}\"") };
    PortError::new(kind, format!("GitHub answered {status}{words} to {}: {advice}", call.operation))
}

/// A token is wrong, or an App's word is: for its times, or because its key is not the App's.
fn unauthorized(call: &Call, words: &str, headers: &HeaderMap, now_ms: u64) -> String {
    if call.credential != Credential::App {
        return "the token is wrong, was revoked or has expired: give a new one".into();
    }
    let ahead_ms = clock_ahead_ms(headers, now_ms).filter(|ahead_ms| ahead_ms.abs() >= CLOCKS_APART_MS);
    match ahead_ms {
        Some(ahead_ms) => clocks_apart(ahead_ms),
        None if TIME_CLAIMS.iter().any(|claim| words.contains(claim)) => {
            "this machine's clock is not GitHub's: set it, best by NTP".into()
        }
        None => {
            "`app_id` and the private key do not belong together, or the key was deleted: take both from the App's \
                 page"
                .into()
        }
    }
}

/// What to say of clocks that are apart.
pub(crate) fn clocks_apart(ahead_ms: i64) -> String {
    let (seconds, side) = (ahead_ms.unsigned_abs() / 1_000, if ahead_ms < 0 { "behind" } else { "ahead of" });
    format!("this machine's clock is {seconds} s {side} GitHub's: set it, best by NTP")
}

/// How far our clock is ahead of GitHub's, by the answer's `Date`: to the second, and the answer's way counts.
pub(crate) fn clock_ahead_ms(headers: &HeaderMap, now_ms: u64) -> Option<i64> {
    let theirs = time::parse_http_ms(headers.get(DATE)?.to_str().ok()?)?;
    now_ms.checked_signed_diff(theirs)
}

/// A permission is missing. GitHub names what it wants for tokens of either kind.
fn forbidden(call: &Call, headers: &HeaderMap) -> String {
    if shown(headers, "x-github-sso").is_some() {
        return "the organisation wants single sign-on: authorize the token for it on GitHub's page of your tokens"
            .into();
    }
    let mut advice = format!("the token needs {}", call.needs);
    if let Some(wanted) = shown(headers, "x-accepted-github-permissions") {
        advice += &format!("; for this request GitHub wants `{wanted}`");
    } else if let Some(wanted) = shown(headers, "x-accepted-oauth-scopes") {
        let has = shown(headers, "x-oauth-scopes").map_or_else(|| "none".into(), |has| format!("`{has}`"));
        advice += &format!("; for this request GitHub wants one of the scopes `{wanted}`, the token has {has}");
    }
    advice
}

/// A redirect that was not followed: it leads elsewhere, or would have made a GET of a POST.
fn moved(headers: &HeaderMap) -> String {
    let url = headers.get(LOCATION).and_then(|to| to.to_str().ok()).and_then(|to| reqwest::Url::parse(to).ok());
    match url.as_ref().and_then(reqwest::Url::host_str) {
        Some(host) => format!(
            "it was renamed or moved, to {host}: use the new name; if that is not your GitHub, correct `api_url`"
        ),
        None => "it was renamed or moved: use its new name".into(),
    }
}

/// The text of a header of GitHub's, for a person; `None` for an empty one.
fn shown(headers: &HeaderMap, name: &str) -> Option<String> {
    let text = headers.get(name)?.to_str().ok()?.trim();
    let text: String = text.chars().filter(|c| !matches!(c, '"' | '`')).take(WORDS_MAX_CHARS).collect();
    (!text.is_empty()).then_some(text)
}

/// Until when nothing may be asked, if that is what was answered: `retry-after`, else the reset of an empty budget,
/// else a minute (FACTS §2). A 403 without any of them is a missing permission. The reset is a time of GitHub's clock.
fn rate_limit(status: u16, headers: &HeaderMap, words: &str, now_ms: u64) -> Option<u64> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
    let after_ms = number("retry-after").map(|seconds| seconds.saturating_mul(1_000));
    let theirs_ms = now_ms.saturating_add_signed(clock_ahead_ms(headers, now_ms).unwrap_or(0).saturating_neg());
    let reset_ms = (number("x-ratelimit-remaining") == Some(0)).then(|| {
        number("x-ratelimit-reset").map_or(RATE_WAIT_MS, |at| at.saturating_mul(1_000).saturating_sub(theirs_ms))
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
pub(crate) fn unanswered(call: &Call, error: &reqwest::Error, timeout: Duration) -> PortError {
    let what = if error.is_timeout() {
        format!("GitHub did not answer within {} ms", timeout.as_millis())
    } else if error.is_connect() {
        let host = error.url().and_then(reqwest::Url::host_str).unwrap_or("its address");
        let cause = innermost(error);
        let advice = if cause.contains("certificate") {
            "give the authority of its certificate with `ca_file`"
        } else {
            "look at network, firewall, proxy and `api_url`"
        };
        format!("GitHub cannot be reached at {host}: {cause}; {advice}; it is tried again")
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
pub(crate) fn unreadable(call: &Call, why: impl std::fmt::Display) -> PortError {
    PortError::retry(format!("the answer to {} cannot be read: {why}", call.operation))
}
