//! What the stand-in runner and the simulated GitHub's private broker say to each other.
//!
//! It is the only file that both sides share; the official program speaks another, undocumented protocol here, and
//! nothing outside `sim` may depend on this one. Shapes, paths and the JIT configuration's encoding only: no transport.
//!
//! `{base}` is `serverUrl` of the `.runner` file, `{id}` its `agentId`. All calls but `register` carry
//! `Authorization: Bearer <key>` with the key of `.credentials`. Bodies are JSON.
//!
//! | call | body | answers |
//! |---|---|---|
//! | `POST {base}/_runner/{id}/session` | [`SessionRequest`] | 200 [`SessionAnswer`] · 401, 404 registration gone · 409 another session lives · 426 version refused |
//! | `GET {base}/_runner/{id}/message?session=S` | | 200 [`Message`] · 204 nothing within [`LONG_POLL_MS`] · 401, 404 registration gone · 426 version refused |
//! | `POST {base}/_runner/{id}/jobs/{job}/acquire` | [`AcquireRequest`] | 200 [`AcquireAnswer`] · 404, 409 not yours any more: listen on |
//! | `POST {base}/_runner/{id}/jobs/{job}/renew` | `{}` | 200 [`RenewAnswer`] · 404 the job is over |
//! | `POST {base}/_runner/{id}/jobs/{job}/log` | [`LogRequest`] | 2xx · 404 the job is over |
//! | `POST {base}/_runner/{id}/jobs/{job}/complete` | [`CompleteRequest`] | 2xx · 404, 409 already over |
//! | `DELETE {base}/_runner/{id}/session?session=S` | | 2xx |
//! | `POST {base}/_runner/register` | [`RegisterRequest`] | 200 [`RegisterAnswer`] · 401, 404 bad token · 409 the name exists · 426 version refused |
//!
//! A 5xx or a lost connection is tried again. `{job}` is the number of GitHub's workflow job. For `register`, `{base}`
//! is scheme, host and port of `--url`.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

use crate::workflow::spec::{Conclusion, JobSpec, NeedResult};

/// First part of each path.
pub const PREFIX: &str = "/_runner";
/// Path of [`RegisterRequest`].
pub const REGISTER_PATH: &str = "/_runner/register";
/// Route pattern of the session calls, in axum's spelling.
pub const SESSION_ROUTE: &str = "/_runner/{id}/session";
/// Route pattern of the message call.
pub const MESSAGE_ROUTE: &str = "/_runner/{id}/message";
/// Route pattern of the acquire call.
pub const ACQUIRE_ROUTE: &str = "/_runner/{id}/jobs/{job}/acquire";
/// Route pattern of the renew call.
pub const RENEW_ROUTE: &str = "/_runner/{id}/jobs/{job}/renew";
/// Route pattern of the log call.
pub const LOG_ROUTE: &str = "/_runner/{id}/jobs/{job}/log";
/// Route pattern of the complete call.
pub const COMPLETE_ROUTE: &str = "/_runner/{id}/jobs/{job}/complete";

/// The longest that the broker holds a message call open.
pub const LONG_POLL_MS: u64 = 20_000;
/// Milliseconds between two renew calls of a worker, and so the longest that a cancellation goes unnoticed.
pub const RENEW_MS: u64 = 500;
/// Lines in one [`LogRequest`] at most.
pub const LOG_LINES_MAX: usize = 256;
/// Bytes of one log line at most; the rest is cut off with a mark.
pub const LOG_LINE_BYTES_MAX: usize = 4_096;
/// The version that the stand-in says it is (FACTS: newest known release of the official program).
pub const RUNNER_VERSION: &str = "2.337.0";

/// Name of the settings file in the runner's folder.
pub const SETTINGS_FILE: &str = ".runner";
/// Name of the credentials file in the runner's folder.
pub const CREDENTIALS_FILE: &str = ".credentials";
/// Name of the key file in the runner's folder. Here it holds nothing of use.
pub const RSA_FILE: &str = ".credentials_rsaparams";

/// Path of one of the calls about the session: `kind` is `session` or `message`.
#[must_use]
pub fn runner_path(registration: u64, kind: &str) -> String {
    format!("{PREFIX}/{registration}/{kind}")
}

/// Path of one of the calls about a job: `kind` is `acquire`, `renew`, `log` or `complete`.
#[must_use]
pub fn job_path(registration: u64, job: u64, kind: &str) -> String {
    format!("{PREFIX}/{registration}/jobs/{job}/{kind}")
}

/// "Here I am."
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRequest {
    /// The runner's name, as registered.
    pub name: String,
    /// [`RUNNER_VERSION`].
    pub version: String,
    /// `Linux` or `macOS`.
    pub os: String,
    /// `X64` or `ARM64`.
    pub arch: String,
}

/// The session that was opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionAnswer {
    /// Opaque name of the session.
    pub session: String,
}

/// A job is offered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// GitHub's number of the workflow job.
    pub job_id: u64,
    /// Opaque name of this offer, to be given back at `acquire`.
    pub request_id: String,
    /// Display name, for the listener's log.
    pub name: String,
}

/// "I take it."
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcquireRequest {
    /// From [`Message`].
    pub request_id: String,
    /// From [`SessionAnswer`].
    pub session: String,
}

/// The job, and the names around it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcquireAnswer {
    /// What to execute.
    pub spec: JobSpec,
    /// `github.*` for expressions and `GITHUB_*` for steps.
    pub github: GithubNames,
    /// `needs.*`.
    #[serde(default)]
    pub needs: BTreeMap<String, NeedResult>,
}

/// The names that a job knows its run by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GithubNames {
    /// `acme/web`.
    pub repository: String,
    /// Number of the run.
    pub run_id: u64,
    /// Attempt of the run, from 1.
    #[serde(default)]
    pub run_attempt: u64,
    /// Name of the workflow.
    #[serde(default)]
    pub workflow: String,
    /// Commit.
    #[serde(default)]
    pub sha: String,
    /// `main`.
    #[serde(default)]
    pub ref_name: String,
    /// `push`.
    #[serde(default)]
    pub event_name: String,
    /// Who started it.
    #[serde(default)]
    pub actor: String,
    /// `https://github.com`, or the simulated one.
    #[serde(default)]
    pub server_url: String,
    /// The REST address.
    #[serde(default)]
    pub api_url: String,
}

/// What became of the job meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewAnswer {
    /// Someone cancelled it.
    pub cancel: bool,
}

/// A batch of log lines, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRequest {
    /// Number of the first line of this batch, from 0: a repeated batch is seen as such.
    pub first: u64,
    /// At most [`LOG_LINES_MAX`] lines.
    pub lines: Vec<LogLine>,
}

/// One log line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Number of the step, from 1; 0 for what the worker itself says.
    pub step: u32,
    /// Milliseconds since 1970.
    pub at_ms: u64,
    /// The line, without its end.
    pub text: String,
}

/// How the job ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompleteRequest {
    /// Success, failure or cancelled.
    pub conclusion: Conclusion,
    /// `jobs.<id>.outputs`.
    #[serde(default)]
    pub outputs: BTreeMap<String, String>,
    /// Each step, in order.
    #[serde(default)]
    pub steps: Vec<StepResult>,
    /// What the steps wrote to `$GITHUB_STEP_SUMMARY`.
    #[serde(default)]
    pub summary: String,
}

/// How one step ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepResult {
    /// From 1.
    pub number: u32,
    /// Shown name.
    pub name: String,
    /// After `continue-on-error`.
    pub conclusion: Conclusion,
    /// Milliseconds since 1970; absent for a skipped step.
    #[serde(default)]
    pub started_at_ms: Option<u64>,
    /// Milliseconds since 1970; absent for a skipped step.
    #[serde(default)]
    pub completed_at_ms: Option<u64>,
}

/// What `config.sh` sends. `Debug` never prints the token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterRequest {
    /// `--url`: of an organisation or a repository.
    pub url: String,
    /// `--token`.
    pub token: String,
    /// `--name`.
    pub name: String,
    /// `--labels`, with `self-hosted`, the system and the architecture in front unless `--no-default-labels`.
    pub labels: Vec<String>,
    /// `--runnergroup`.
    #[serde(default)]
    pub group: Option<String>,
    /// `--ephemeral`.
    pub ephemeral: bool,
    /// `--replace`.
    #[serde(default)]
    pub replace: bool,
    /// [`RUNNER_VERSION`].
    pub version: String,
    /// `--work`.
    pub work_folder: String,
}

impl fmt::Debug for RegisterRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegisterRequest").field("url", &self.url).field("name", &self.name).finish_non_exhaustive()
    }
}

/// The registration, as the files that the runner's folder then holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterAnswer {
    /// For `.runner`.
    pub settings: Settings,
    /// For `.credentials`.
    pub credentials: Credentials,
}

/// The `.runner` file. Unknown keys are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    /// Number of the registration.
    pub agent_id: u64,
    /// The runner's name.
    pub agent_name: String,
    /// Address of the broker, without a trailing slash.
    pub server_url: String,
    /// What it is registered with: `http://127.0.0.1:1/acme`.
    #[serde(default)]
    pub git_hub_url: String,
    /// `_work`.
    #[serde(default = "work_folder")]
    pub work_folder: String,
    /// One job, then nothing.
    #[serde(default = "yes")]
    pub ephemeral: bool,
}

fn work_folder() -> String {
    "_work".to_owned()
}

const fn yes() -> bool {
    true
}

/// The `.credentials` file. `Debug` never prints the key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// Always `Bearer`.
    pub scheme: String,
    /// The data of the scheme.
    pub data: CredentialData,
}

/// The secret part of [`Credentials`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialData {
    /// The bearer key.
    pub key: String,
}

impl Credentials {
    /// Credentials with this bearer key.
    #[must_use]
    pub fn bearer(key: &str) -> Self {
        Self { scheme: "Bearer".to_owned(), data: CredentialData { key: key.to_owned() } }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(***)")
    }
}

impl fmt::Debug for CredentialData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CredentialData(***)")
    }
}

/// A JIT configuration that is none. The text says which part is wrong, never what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadJitConfig(pub &'static str);

impl fmt::Display for BadJitConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the JIT configuration is not valid: {}", self.0)
    }
}

impl std::error::Error for BadJitConfig {}

/// Makes the text that `generate-jitconfig` answers: base64 of a JSON object file name → base64 of the content.
#[must_use]
pub fn encode_jit_config(settings: &Settings, credentials: &Credentials) -> String {
    let files = [
        (SETTINGS_FILE, serde_json::json!(settings).to_string()),
        (CREDENTIALS_FILE, serde_json::json!(credentials).to_string()),
        (RSA_FILE, "{}".to_owned()),
    ];
    let map: BTreeMap<&str, String> =
        files.iter().map(|(name, content)| (*name, BASE64_STANDARD.encode(content))).collect();
    BASE64_STANDARD.encode(serde_json::json!(map).to_string())
}

/// The files of a JIT configuration: name → content.
///
/// # Errors
/// When the text is no base64, no JSON object of the expected shape, or lacks a file.
pub fn decode_jit_config(text: &str) -> Result<BTreeMap<String, Vec<u8>>, BadJitConfig> {
    let json = BASE64_STANDARD.decode(text.trim()).map_err(|_| BadJitConfig("it is not base64"))?;
    let map: BTreeMap<String, String> =
        serde_json::from_slice(&json).map_err(|_| BadJitConfig("it is not a JSON object of files"))?;
    let mut files = BTreeMap::new();
    for (name, content) in map {
        // A name decides where a file is written: only the three known ones may be.
        if ![SETTINGS_FILE, CREDENTIALS_FILE, RSA_FILE].contains(&name.as_str()) {
            return Err(BadJitConfig("it holds a file of another name"));
        }
        let content = BASE64_STANDARD.decode(content).map_err(|_| BadJitConfig("a file in it is not base64"))?;
        files.insert(name, content);
    }
    if files.contains_key(SETTINGS_FILE) && files.contains_key(CREDENTIALS_FILE) {
        Ok(files)
    } else {
        Err(BadJitConfig("`.runner` or `.credentials` is missing"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings {
            agent_id: 7,
            agent_name: "sr-1".into(),
            server_url: "http://127.0.0.1:1".into(),
            git_hub_url: String::new(),
            work_folder: "_work".into(),
            ephemeral: true,
        }
    }

    #[test]
    fn jit_config_comes_back_as_it_went() {
        let text = encode_jit_config(&settings(), &Credentials::bearer("k"));
        let files = decode_jit_config(&text).unwrap();
        assert_eq!(serde_json::from_slice::<Settings>(&files[SETTINGS_FILE]).unwrap(), settings());
        assert_eq!(serde_json::from_slice::<Credentials>(&files[CREDENTIALS_FILE]).unwrap().data.key, "k");
    }

    #[test]
    fn foreign_file_names_and_rubbish_are_refused() {
        let evil = BASE64_STANDARD.encode(r#"{"../x":"AA=="}"#);
        for text in ["", "%%%", "e30=", evil.as_str(), "W10="] {
            assert!(decode_jit_config(text).is_err(), "{text}");
        }
    }

    #[test]
    fn keys_are_not_printed() {
        assert_eq!(format!("{:?}", Credentials::bearer("secret-key")), "Credentials(***)");
    }
}
