//! The two calls to the control plane, over HTTP or HTTPS; or none, where the agent was told its credentials at its
//! launch.
//!
//! Blocking, without retries: `lifecycle` decides about claims, `report` about reports. It must not log anything of a
//! request or an answer but status and kind: the one carries the claim token, the other the runner's credentials.

use std::fmt;
use std::time::Duration;

use fleet::wire::{CLAIM_PATH, ClaimAnswer, ClaimRequest, PROTOCOL, REPORT_PATH, Report, ReportAnswer, ReportRequest};
use serde::Serialize;
use serde::de::DeserializeOwned;
use ureq::unversioned::transport::DefaultConnector;

use crate::claim::{Outcome, Refusal};
use crate::config::{Config, Route};
use crate::console::Log;
use crate::resolve::Resolver;

/// The control plane, as one agent sees it.
pub(crate) enum Plane {
    /// It is asked and reported to.
    Served(Served),
    /// There is no way to it. What it would have answered to a claim is known.
    Silent(ClaimAnswer),
}

/// A control plane that is called.
pub(crate) struct Served {
    agent: ureq::Agent,
    url: String,
    runner: String,
    attempt: u32,
    authorization: String,
    log: Log,
}

/// Why a report did not get through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReportError {
    /// Worth another try.
    Retry,
    /// Never.
    Refused,
}

impl Plane {
    /// The control plane of this configuration.
    pub(crate) fn new(config: &Config, log: Log) -> Self {
        match &config.route {
            Route::None(answer) => Self::Silent(answer.clone()),
            Route::Plane { url, claim_token } => Self::Served(Served {
                agent: http_client(url),
                url: url.clone(),
                runner: config.runner.clone(),
                attempt: config.attempt,
                authorization: format!("Bearer {claim_token}"),
                log,
            }),
        }
    }

    /// Claims once.
    pub(crate) fn claim(&self) -> Outcome {
        match self {
            Self::Served(served) => served.claim(),
            Self::Silent(answer) => Outcome::Answer(answer.clone()),
        }
    }

    /// Reports once. Where there is no way, the control plane learns from GitHub and the engine alone.
    pub(crate) fn report(&self, report: &Report) -> Result<ReportAnswer, ReportError> {
        match self {
            Self::Served(served) => served.report(report),
            Self::Silent(_) => Ok(ReportAnswer::Ok),
        }
    }
}

impl Served {
    fn claim(&self) -> Outcome {
        let body = ClaimRequest { protocol: PROTOCOL, runner: self.runner.clone(), attempt: self.attempt };
        match self.post(CLAIM_PATH, &body, CLAIM_TIMEOUT) {
            Ok(answer) => Outcome::Answer(answer),
            Err(error) => {
                self.log.say(format_args!("claim: {error}"));
                error.into_outcome()
            }
        }
    }

    fn report(&self, report: &Report) -> Result<ReportAnswer, ReportError> {
        let (runner, attempt) = (self.runner.clone(), self.attempt);
        let body = ReportRequest { protocol: PROTOCOL, runner, attempt, report: report.clone() };
        self.post(REPORT_PATH, &body, REPORT_TIMEOUT).map_err(|error| {
            self.log.say(format_args!("report: {error}"));
            match error {
                CallError::Status(status, _) if Refusal::of_status(status).is_some() => ReportError::Refused,
                CallError::Status(..) | CallError::Http(_) | CallError::Shape(_) => ReportError::Retry,
            }
        })
    }

    fn post<A: DeserializeOwned>(&self, path: &str, body: &impl Serialize, limit: Duration) -> Result<A, CallError> {
        let json = serde_json::to_vec(body).map_err(|_| CallError::Shape("request"))?;
        let request = self.agent.post(format!("{}{path}", self.url)).config().timeout_global(Some(limit)).build();
        let request = request.header("authorization", &self.authorization).header("content-type", "application/json");
        let mut response = request.send(&json[..]).map_err(CallError::Http)?;
        if response.status().as_u16() != 200 {
            let after = response.headers().get("retry-after").and_then(|v| v.to_str().ok()?.trim().parse().ok());
            return Err(CallError::Status(response.status().as_u16(), after));
        }
        let body = response.body_mut().with_config().limit(MAX_ANSWER_BYTES).read_to_vec().map_err(CallError::Http)?;
        // A page of something in between (a captive proxy), or half an answer. Never quote it.
        serde_json::from_slice(&body).map_err(|_| CallError::Shape("answer"))
    }
}

/// Why a call gave no answer.
enum CallError {
    /// No response at all.
    Http(ureq::Error),
    /// Another status than 200, and the seconds of its `Retry-After`.
    Status(u16, Option<u64>),
    /// Something is not the JSON that the protocol wants.
    Shape(&'static str),
}

impl CallError {
    fn into_outcome(self) -> Outcome {
        match self {
            Self::Status(status, after_s) => match Refusal::of_status(status) {
                Some(refusal) => Outcome::Refused(refusal),
                None => Outcome::Retry { after_ms: after_s.map(|s| s.saturating_mul(1000)) },
            },
            Self::Http(_) | Self::Shape(_) => Outcome::Retry { after_ms: None },
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(error) => write!(f, "no response from the control plane: {error}"),
            Self::Status(status, _) => match Refusal::of_status(*status) {
                Some(refusal) => f.write_str(refusal.text()),
                None => write!(f, "the control plane answered with status {status}"),
            },
            Self::Shape(what) => write!(f, "the {what} is not of this protocol's shape"),
        }
    }
}

fn http_client(url: &str) -> ureq::Agent {
    let mut config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_connect(Some(CONNECT_TIMEOUT))
        // A redirect would carry the claim token to somewhere else.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("self-runners-agent/", env!("CARGO_PKG_VERSION")));
    if is_loopback(url) {
        // An operator's HTTPS_PROXY is meant for the job's traffic; it cannot reach this machine's own loopback.
        config = config.proxy(None);
    }
    ureq::Agent::with_parts(config.build(), DefaultConnector::default(), Resolver::system())
}

fn is_loopback(url: &str) -> bool {
    let Ok(uri) = url.parse::<ureq::http::Uri>() else { return false };
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// How long a connection may take to come up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a claim may take: the control plane calls GitHub meanwhile.
const CLAIM_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a report may take.
const REPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// A just-in-time configuration is about 4.5 kB.
const MAX_ANSWER_BYTES: u64 = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_needs_no_proxy() {
        for url in ["http://127.0.0.1:8080", "http://localhost", "http://[::1]:80"] {
            assert!(is_loopback(url), "{url}");
        }
        assert!(!is_loopback("https://runners.example.com"));
    }

    #[test]
    fn statuses_become_outcomes() {
        assert!(matches!(CallError::Status(503, Some(3)).into_outcome(), Outcome::Retry { after_ms: Some(3000) }));
        assert!(matches!(CallError::Status(404, None).into_outcome(), Outcome::Retry { after_ms: None }));
        assert!(matches!(CallError::Status(409, None).into_outcome(), Outcome::Refused(Refusal::Registered)));
    }
}
