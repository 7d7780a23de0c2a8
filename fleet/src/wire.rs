//! What the agent inside a runner's machine and the control plane say to each other.
//!
//! It stands in `fleet` because both sides need it and neither may depend on the other. It holds shapes only: no
//! transport, no secrets' storage, no decisions.
//!
//! Both calls are `POST` with a JSON body and `Authorization: Bearer <claim token>`:
//!
//! | path | body | 200 | otherwise |
//! |---|---|---|---|
//! | `/agent/v1/claim` | [`ClaimRequest`] | [`ClaimAnswer`] | 400 bad shape · 401 wrong token · 409 already registered, never try again · 426 protocol not served · 429, 503 try again after `Retry-After` seconds |
//! | `/agent/v1/report` | [`ReportRequest`] | [`ReportAnswer`] | the same |

use serde::{Deserialize, Serialize};

/// The version that this build speaks. The control plane also serves the one before it, because images are pinned.
pub const PROTOCOL: u32 = 1;

/// Path of the claim call.
pub const CLAIM_PATH: &str = "/agent/v1/claim";

/// Path of the report call.
pub const REPORT_PATH: &str = "/agent/v1/report";

/// Environment variables that an engine gives to the agent. They never reach a job.
pub mod env {
    /// Base URL of the control plane, without a trailing slash: `http://127.0.0.1:8080`.
    pub const URL: &str = "SELF_RUNNERS_URL";
    /// The runner's base name: `sr-dev-0f3k…`.
    pub const RUNNER: &str = "SELF_RUNNERS_RUNNER";
    /// The launch attempt, from 1.
    pub const ATTEMPT: &str = "SELF_RUNNERS_ATTEMPT";
    /// The claim token, worthless once the runner has registered.
    pub const CLAIM_TOKEN: &str = "SELF_RUNNERS_CLAIM_TOKEN";
    /// In place of URL and claim token, where a machine cannot reach the control plane: the answer to a claim
    /// ([`super::ClaimAnswer::Run`]) as JSON. Worthless once the runner has registered.
    pub const CREDENTIALS: &str = "SELF_RUNNERS_CREDENTIALS";
    /// Folder that holds the runner program's `run.sh`.
    pub const RUNNER_DIR: &str = "SELF_RUNNERS_RUNNER_DIR";
    /// The task's own folder (process engine only): the agent holds `lock` in it for as long as it lives.
    pub const TASK_DIR: &str = "SELF_RUNNERS_TASK_DIR";
    /// `1` makes the agent and the runner talk more. Still no secrets.
    pub const DEBUG: &str = "DEBUG";
}

/// "I am running. What shall I be?"
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimRequest {
    /// [`PROTOCOL`] of the agent.
    pub protocol: u32,
    /// The runner's base name.
    pub runner: String,
    /// The launch attempt that started this machine, from 1.
    pub attempt: u32,
}

/// The control plane's answer to a claim.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum ClaimAnswer {
    /// Register and run one job.
    Run {
        /// Name to register with: `<base>-<n>`.
        name: String,
        /// What to register with.
        credentials: Credentials,
        /// Milliseconds until the listener must be connected; then the agent ends it and itself.
        boot_timeout_ms: u64,
        /// Milliseconds without a job after which the agent ends an idle runner.
        idle_timeout_ms: u64,
        /// Milliseconds between two `idle` reports.
        heartbeat_ms: u64,
    },
    /// Nothing yet (a rate budget is empty): ask again. Does not count against the boot deadline.
    Wait {
        /// Milliseconds to wait before the next claim.
        retry_after_ms: u64,
    },
    /// No demand is left. End at once.
    Go,
}

/// What a runner registers with. `Debug` never prints the secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Credentials {
    /// GitHub's just-in-time configuration (base64), good for one runner.
    Jit(String),
    /// A registration token, for `config.sh --ephemeral`, where the operator allows it.
    Token {
        /// `https://github.com/acme` or `https://github.com/acme/web`.
        url: String,
        /// The registration token.
        token: String,
        /// The labels to register with.
        labels: Vec<String>,
        /// The runner group, if not the default one.
        group: Option<String>,
    },
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Jit(_) => f.write_str("Jit(***)"),
            Self::Token { url, labels, group, .. } => {
                f.debug_struct("Token").field("url", url).field("labels", labels).field("group", group).finish()
            }
        }
    }
}

impl std::fmt::Debug for ClaimAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Run { name, .. } => write!(f, "Run({name})"),
            Self::Wait { retry_after_ms } => write!(f, "Wait({retry_after_ms} ms)"),
            Self::Go => f.write_str("Go"),
        }
    }
}

/// One report of an agent. A hint about that one runner: it never frees capacity, extends a life or ends a job, because
/// a job with `sudo` could forge it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportRequest {
    /// [`PROTOCOL`] of the agent.
    pub protocol: u32,
    /// The runner's base name.
    pub runner: String,
    /// The launch attempt that started this machine, from 1.
    pub attempt: u32,
    /// What happened.
    pub report: Report,
}

/// What an agent can report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "snake_case")]
pub enum Report {
    /// The machine runs, nothing is claimed yet.
    Booted,
    /// The listener is connected and waits for a job. Ends the claim token's life.
    Registered,
    /// Still connected, still without a job (each `heartbeat_ms`).
    Idle,
    /// A worker was seen: a job runs.
    JobStarted,
    /// The worker is gone.
    JobEnded,
    /// The machine was asked to end (SIGTERM) while a job ran: the platform takes it back. The job was told to end.
    SpotNotice,
    /// The listener is dead and the agent ends now. Nothing can run on this runner any more.
    Ended {
        /// Whether a worker was ever seen.
        ran_job: bool,
        /// Exit code of `run.sh`, if it ended by itself.
        exit_code: Option<i32>,
        /// Why the agent ends.
        why: EndReason,
    },
}

/// Why an agent ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// The runner program ended by itself.
    Exited,
    /// No job came within the idle time, or the control plane asked an idle runner to end.
    Idle,
    /// The listener did not connect before the boot deadline.
    NotConnected,
    /// The platform asked to end (SIGTERM).
    Terminated,
    /// The runner's version is refused by GitHub (exit code 7).
    Deprecated,
}

/// The control plane's answer to a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum ReportAnswer {
    /// Noted, go on.
    Ok,
    /// This runner is not needed: end it **if it is idle** (freeze, look, kill). A busy one goes on.
    EndIfIdle,
}
