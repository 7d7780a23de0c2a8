//! The stand-in's side of the wire: one blocking HTTP client.
//!
//! It turns status codes into the few answers that the listener and the worker branch on. It never retries on its own
//! and never prints a key.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::wire::{
    self, AcquireAnswer, AcquireRequest, CompleteRequest, LogRequest, Message, RegisterAnswer, RegisterRequest,
    RenewAnswer, SessionAnswer, SessionRequest,
};

/// The longest that a call may take.
const CALL_MS: u64 = 10_000;
/// The longest that ending a session may take: the listener is on its way out and may be killed soon.
const CLOSE_MS: u64 = 2_000;
/// Beyond the broker's own limit, a long poll is given up after this much more.
const POLL_SLACK_MS: u64 = 10_000;
/// Bytes of an answer at most.
const ANSWER_BYTES_MAX: u64 = 16 * 1_048_576;

/// Why a call did not do what it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// 401, 404: the registration or the job is gone.
    Gone,
    /// 409: another one was first.
    Conflict,
    /// 426: this version is refused.
    Deprecated,
    /// All else: try again.
    Trouble(String),
}

type Answer<T> = Result<T, Refusal>;

/// The broker, as one registration sees it.
#[derive(Clone)]
pub(super) struct Broker {
    agent: ureq::Agent,
    base: String,
    registration: u64,
    key: String,
}

impl Broker {
    pub(super) fn new(base: &str, registration: u64, key: &str) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            // The broker is on this machine or beside it; a proxy of the job's environment is not for it.
            .proxy(None)
            .max_redirects(0)
            .timeout_connect(Some(Duration::from_millis(CALL_MS)))
            .build();
        let base = base.trim_end_matches('/').to_owned();
        Self { agent: ureq::Agent::new_with_config(config), base, registration, key: key.to_owned() }
    }

    pub(super) fn open_session(&self, request: &SessionRequest) -> Answer<SessionAnswer> {
        some(self.post(&wire::runner_path(self.registration, "session"), request)?)
    }

    pub(super) fn close_session(&self, session: &str) -> Answer<()> {
        let url = format!("{}{}", self.base, wire::runner_path(self.registration, "session"));
        let request = self.agent.delete(&url).query("session", session).header("Authorization", self.bearer());
        let request = request.config().timeout_global(Some(Duration::from_millis(CLOSE_MS))).build();
        read::<serde::de::IgnoredAny>(request.call()).map(drop)
    }

    /// One long poll. None: nothing happened.
    pub(super) fn message(&self, session: &str) -> Answer<Option<Message>> {
        let url = format!("{}{}", self.base, wire::runner_path(self.registration, "message"));
        let request = self.agent.get(&url).query("session", session).header("Authorization", self.bearer());
        let limit = Duration::from_millis(wire::LONG_POLL_MS + POLL_SLACK_MS);
        read(request.config().timeout_global(Some(limit)).build().call())
    }

    pub(super) fn acquire(&self, job: u64, request: &AcquireRequest) -> Answer<AcquireAnswer> {
        some(self.post(&wire::job_path(self.registration, job, "acquire"), request)?)
    }

    pub(super) fn renew(&self, job: u64) -> Answer<RenewAnswer> {
        some(self.post(&wire::job_path(self.registration, job, "renew"), &serde_json::json!({}))?)
    }

    pub(super) fn log(&self, job: u64, request: &LogRequest) -> Answer<()> {
        let path = wire::job_path(self.registration, job, "log");
        self.post::<serde::de::IgnoredAny>(&path, request).map(drop)
    }

    pub(super) fn complete(&self, job: u64, request: &CompleteRequest) -> Answer<()> {
        let path = wire::job_path(self.registration, job, "complete");
        self.post::<serde::de::IgnoredAny>(&path, request).map(drop)
    }

    pub(super) fn register(&self, request: &RegisterRequest) -> Answer<RegisterAnswer> {
        some(self.post(wire::REGISTER_PATH, request)?)
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.key)
    }

    fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Answer<Option<T>> {
        let body = serde_json::to_vec(body).map_err(|error| Refusal::Trouble(error.to_string()))?;
        let request = self.agent.post(format!("{}{path}", self.base)).header("Content-Type", "application/json");
        let request = if self.key.is_empty() { request } else { request.header("Authorization", self.bearer()) };
        let limit = Duration::from_millis(CALL_MS);
        read(request.config().timeout_global(Some(limit)).build().send(&body[..]))
    }
}

fn some<T>(answer: Option<T>) -> Answer<T> {
    answer.ok_or_else(|| Refusal::Trouble("the answer is empty".to_owned()))
}

/// None when the answer has no body.
fn read<T: DeserializeOwned>(answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Answer<Option<T>> {
    let mut answer = answer.map_err(|error| Refusal::Trouble(error.to_string()))?;
    let status = answer.status().as_u16();
    match status {
        200..=299 => {}
        401 | 404 => return Err(Refusal::Gone),
        409 => return Err(Refusal::Conflict),
        426 => return Err(Refusal::Deprecated),
        other => return Err(Refusal::Trouble(format!("HTTP status {other}"))),
    }
    let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
    let body = body.map_err(|error| Refusal::Trouble(error.to_string()))?;
    if status == 204 || body.is_empty() {
        return Ok(None);
    }
    serde_json::from_slice(&body)
        .map(Some)
        .map_err(|error| Refusal::Trouble(format!("the answer is not valid: {error}")))
}
