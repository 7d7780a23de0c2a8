//! The agent's configuration, and which environment variables live on in the runner.
//!
//! It only reads and sorts; the hand-over to the agent's second life is in `reexec`.
//!
//! | variable | what becomes of it |
//! |---|---|
//! | `SELF_RUNNERS_*` | taken out. It is the agent's own, and the claim token is among it |
//! | `DEBUG` | taken out: it is the agent's own |
//! | `ACTIONS_RUNNER_INPUT_*` | taken out: the agent alone gives arguments to the runner |
//! | `AWS_*`, `ECS_*` | taken out: what the platform gives to the machine (credentials, metadata) is not for jobs |
//! | anything else (`PATH`, `HOME`, `LANG`, `TZ`, proxies, an operator's own) | kept, also for the job |

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;

use fleet::wire::{ClaimAnswer, env};
use serde::{Deserialize, Serialize};

/// Everything the agent is told. Handed to its second life as JSON over a pipe.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Config {
    /// How it comes to its credentials.
    pub(crate) route: Route,
    /// The runner's base name.
    pub(crate) runner: String,
    /// The launch attempt, from 1.
    pub(crate) attempt: u32,
    /// Folder that holds `run.sh`.
    pub(crate) runner_dir: PathBuf,
    /// The task's own folder (process engine only).
    pub(crate) task_dir: Option<PathBuf>,
    /// Whether to talk more.
    pub(crate) debug: bool,
}

/// How the agent comes to its credentials. Holds secrets: it has no `Debug`.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum Route {
    /// It asks the control plane, and reports to it.
    Plane {
        /// Base URL, without a trailing slash.
        url: String,
        /// The claim token.
        claim_token: String,
    },
    /// It was told them at its launch, and talks to nobody.
    None(ClaimAnswer),
}

/// Why the environment gives no configuration. Names variables, never their values.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ConfigError {
    /// The variable is missing or empty.
    Missing(&'static str),
    /// The variable has a value that cannot be used.
    Invalid(&'static str, &'static str),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(name) => write!(f, "{name} is not set; an engine sets it when it starts a runner"),
            Self::Invalid(name, expected) => write!(f, "{name} must be {expected}"),
        }
    }
}

impl Config {
    /// Reads the configuration through `get` (a variable's value by its name).
    pub(crate) fn read(get: impl Fn(&str) -> Option<OsString>) -> Result<Self, ConfigError> {
        let text = |name: &'static str| required(&get, name);
        let attempt = text(env::ATTEMPT)?.parse().ok().filter(|n| *n > 0);
        Ok(Self {
            route: Route::read(&get)?,
            runner: text(env::RUNNER)?,
            attempt: attempt.ok_or(ConfigError::Invalid(env::ATTEMPT, "a whole number from 1"))?,
            runner_dir: text(env::RUNNER_DIR)?.into(),
            task_dir: get(env::TASK_DIR).filter(|dir| !dir.is_empty()).map(PathBuf::from),
            debug: get(env::DEBUG).is_some_and(|v| v == "1"),
        })
    }
}

impl Route {
    fn read(get: &impl Fn(&str) -> Option<OsString>) -> Result<Self, ConfigError> {
        if get(env::CREDENTIALS).is_some_and(|value| !value.is_empty()) {
            // serde's message could quote the secret.
            let answer = serde_json::from_str(&required(get, env::CREDENTIALS)?).ok();
            let run = answer.filter(|answer| matches!(answer, ClaimAnswer::Run { .. }));
            return run.map(Self::None).ok_or(ConfigError::Invalid(env::CREDENTIALS, "credentials of this protocol"));
        }
        let url = required(get, env::URL)?;
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(ConfigError::Invalid(env::URL, "an http:// or https:// URL"));
        }
        Ok(Self::Plane { url: url.trim_end_matches('/').to_owned(), claim_token: required(get, env::CLAIM_TOKEN)? })
    }
}

fn required(get: impl Fn(&str) -> Option<OsString>, name: &'static str) -> Result<String, ConfigError> {
    match get(name).map(OsString::into_string) {
        Some(Ok(value)) if !value.is_empty() => Ok(value),
        Some(Err(_)) => Err(ConfigError::Invalid(name, "valid UTF-8")),
        Some(Ok(_)) | None => Err(ConfigError::Missing(name)),
    }
}

/// Whether a variable is kept for the runner and its job (the table above).
pub(crate) fn is_kept(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name != env::DEBUG.as_bytes() && !TAKEN_OUT.iter().any(|prefix| name.starts_with(prefix.as_bytes()))
}

/// Variables that begin like this never reach a job.
const TAKEN_OUT: [&str; 4] = ["SELF_RUNNERS_", "ACTIONS_RUNNER_INPUT_", "AWS_", "ECS_"];

#[cfg(test)]
mod tests {
    use super::*;

    fn read(changes: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let mut vars = vec![
            (env::URL, "http://127.0.0.1:8080/"),
            (env::RUNNER, "sr-a"),
            (env::ATTEMPT, "1"),
            (env::CLAIM_TOKEN, "secret"),
            (env::RUNNER_DIR, "/runner"),
        ];
        vars.extend_from_slice(changes);
        Config::read(|name| vars.iter().rev().find(|(n, _)| *n == name).map(|(_, v)| OsString::from(v)))
    }

    #[test]
    fn reads_a_whole_configuration() {
        let config = read(&[(env::TASK_DIR, "/task"), (env::DEBUG, "1")]).unwrap_or_else(|e| panic!("{e}"));
        assert!(matches!(&config.route, Route::Plane { url, .. } if url == "http://127.0.0.1:8080"));
        assert_eq!(config.attempt, 1);
        assert_eq!(config.task_dir, Some(PathBuf::from("/task")));
        assert!(config.debug);
    }

    #[test]
    fn says_what_is_wrong() {
        assert_eq!(read(&[(env::RUNNER, "")]).err(), Some(ConfigError::Missing(env::RUNNER)));
        assert!(matches!(read(&[(env::ATTEMPT, "0")]), Err(ConfigError::Invalid(env::ATTEMPT, _))));
        assert!(matches!(read(&[(env::URL, "ftp://x")]), Err(ConfigError::Invalid(env::URL, _))));
    }

    #[test]
    fn credentials_take_the_place_of_the_control_plane() {
        let run = r#"{"answer":"run","name":"sr-a-1","credentials":{"jit":"abc"},"boot_timeout_ms":1,
            "idle_timeout_ms":2,"heartbeat_ms":3}"#;
        let route = |value| read(&[(env::URL, ""), (env::CLAIM_TOKEN, ""), (env::CREDENTIALS, value)]);
        assert!(matches!(route(run).map(|config| config.route), Ok(Route::None(ClaimAnswer::Run { .. }))));
        let invalid = |value| matches!(route(value).err(), Some(ConfigError::Invalid(env::CREDENTIALS, _)));
        assert!(invalid("s3cret") && invalid(r#"{"answer":"go"}"#));
        assert_eq!(route("").err(), Some(ConfigError::Missing(env::URL)));
    }

    #[test]
    fn keeps_what_is_the_operators() {
        for kept in ["PATH", "HOME", "LANG", "TZ", "HTTPS_PROXY", "MY_VAR", "ACTIONS_RUNNER_HOOK_JOB_STARTED"] {
            assert!(is_kept(OsStr::new(kept)), "{kept}");
        }
        for gone in [env::CLAIM_TOKEN, env::URL, "DEBUG", "AWS_SECRET_ACCESS_KEY", "ECS_CONTAINER_METADATA_URI_V4"] {
            assert!(!is_kept(OsStr::new(gone)), "{gone}");
        }
        assert!(!is_kept(OsStr::new("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")));
        assert!(!is_kept(OsStr::new("ACTIONS_RUNNER_INPUT_JITCONFIG")));
    }
}
